"""Streams and answers as LLMock breaks them, an OpenAI-shaped server that is none of ours.

Needs ``llmock``, whose pytest plugin brings the fixture: ``pytest -m local_model``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.extensions import OpenAICompatible
from tests.door import Door, chunks, until_done

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.local_model,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of its web framework
]


@pytest.fixture
def mock(request: pytest.FixtureRequest) -> Any:
    """The server, for one test."""
    pytest.importorskip("llmock")
    return request.getfixturevalue("llmock")


@pytest.fixture
def ai(door: Door, mock: Any) -> Iterator[puter.PuterAI]:
    with door.client(transport=None, token=None, default_model="gpt-4o") as client:
        base_url = mock.base_url("openai")
        yield client.use(OpenAICompatible(base_url, models=["gpt-4o"], api_key="sk-mock"))


async def test_an_answer_and_a_stream(door: Door, ai: puter.PuterAI, mock: Any) -> None:
    mock.reply("Hello there, friend", times=2)
    assert await door(ai, "chat", "Hi") == "Hello there, friend"
    reply = await until_done(await door(ai, "chat", "Hi", stream=True))
    assert reply == "Hello there, friend"
    assert reply.usage.output_tokens > 0
    mock.assert_resilient(strict=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_loop(door: Door, ai: puter.PuterAI, mock: Any, stream: bool) -> None:
    cities: list[str] = []

    def weather(city: str) -> str:
        """The weather of a city."""
        cities.append(city)
        return f"Rain in {city}"

    mock.call_tool("weather", {"city": "Paris"}).reply("It rains.")
    reply = await door(ai, "chat", "Weather?", tools=[weather], stream=stream)
    reply = await until_done(reply) if stream else reply
    assert (reply, cities) == ("It rains.", ["Paris"])
    mock.assert_resilient(strict=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_rate_limit_is_waited_out(
    door: Door, ai: puter.PuterAI, mock: Any, stream: bool
) -> None:
    mock.rate_limit(times=2, retry_after=0.2).reply("At last")
    reply = await door(ai, "chat", "Hi", stream=stream)
    reply = await until_done(reply) if stream else reply
    assert (reply, reply.attempts) == ("At last", 3)
    mock.assert_resilient()


@pytest.mark.parametrize("fault", ["disconnect", "truncate", "corrupt"])
async def test_a_broken_stream_is_an_error_with_what_came(
    door: Door, ai: puter.PuterAI, mock: Any, fault: str
) -> None:
    mock.reply("one two three four five six seven")
    getattr(mock, fault)(after_chunks=4)
    stream = await door(ai, "chat", "Hi", stream=True)
    with pytest.raises(puter.PuterStreamError) as caught:
        await chunks(stream)
    assert caught.value.partial is not None
    assert "one two three four five six seven".startswith(caught.value.partial.text)
    assert ai.chat_history == []
    assert len(mock.requests) == 1  # it may be billed


async def test_a_stalled_stream_ends_with_chunk_timeout(
    door: Door, ai: puter.PuterAI, mock: Any
) -> None:
    mock.reply("one two three four").stall(after_chunks=2, seconds=5)
    stream = await door(ai.with_options(chunk_timeout=0.2), "chat", "Hi", stream=True)
    with pytest.raises(puter.PuterStreamError, match="chunk_timeout"):
        await chunks(stream)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, puter.PuterBadRequestError),
        (401, puter.PuterAuthError),
        (403, puter.PuterPermissionError),
        (404, puter.PuterNotFoundError),
        (500, puter.PuterServerError),
        (503, puter.PuterServerError),
    ],
)
async def test_errors_are_typed_and_not_asked_again(
    door: Door, ai: puter.PuterAI, mock: Any, status: int, kind: type
) -> None:
    mock.fail(status, times=None, message="no luck")
    with pytest.raises(kind, match="no luck"):
        await door(ai, "chat", "Hi")
    assert len(mock.requests) == 1


async def test_broken_arguments_of_a_tool_go_back_to_the_model(
    door: Door, ai: puter.PuterAI, mock: Any
) -> None:
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"Rain in {city}"

    mock.call_tool("weather", {"city": "Paris"}).break_tool_call().reply("Sorry")
    assert await door(ai, "chat", "Weather?", tools=[weather]) == "Sorry"
    assert "no JSON object" in mock.last_request.body["messages"][-1]["content"]
