"""One script of calls against both generations of the server: what users see is the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import puter
from puter.testing import LocalPuter, Reply, UpstreamFailure
from puter.testing.backend import GENERATIONS
from tests.door import until_done

if TYPE_CHECKING:
    from tests.sockets.live import Live

GPT, RESPONSES, CLAUDE, MISTRAL = "gpt-4.1", "gpt-5-pro", "claude-sonnet-4-5", "mistral-small-2603"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)


@dataclass
class Book:
    title: str
    year: int


def weather(city: str) -> str:
    """Say what the weather is like."""
    return f"sunny in {city}"


def visible(reply: Any) -> Any:
    """What a user sees of an answer."""
    if isinstance(reply, puter.ChatReply):
        return reply.text, reply.finish_reason, reply.reasoning, reply.tool_calls, reply.refusal
    return reply


async def script(live: Live, server: LocalPuter) -> list[Any]:
    """What comes of twenty calls, in order."""
    seen: list[Any] = []
    ai = live.client(server)

    async def chat(answer: Any, *args: Any, stream: bool = False, **options: Any) -> None:
        server.reply_with(*(answer if isinstance(answer, list) else [answer]))
        try:
            reply = await live(ai, "chat", *args, stream=stream, **options)
            seen.append(visible(await until_done(reply) if stream else reply))
        except puter.PuterError as error:
            seen.append((type(error), error.status, error.code, error.hint, error.retryable))

    call = Reply(tool_calls=[{"id": "c1", "name": "weather", "arguments": {"city": "Oslo"}}])
    thoughtful = Reply(
        reasoning="Hm.",
        signed=True,
        tool_calls=[{"name": "weather", "arguments": {"city": "Rome"}}],
    )
    tools: dict[str, Any] = {"tools": [weather], "remember": False}
    late = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "And?"},
    ]
    await chat("One.", "First", GPT)
    await chat(Reply(text="Two.", reasoning="Hm."), "Second", CLAUDE)
    await chat("Three.", "Third", RESPONSES)
    await chat("Four.", "Fourth", MISTRAL)
    await chat("Five.", "Fifth", GPT, stream=True)
    await chat(Reply(text="Six.", reasoning="Hm."), "Sixth", CLAUDE, stream=True)
    await chat([call, "Sunny."], "Weather?", GPT, **tools)
    await chat([call, "Sunny."], "Weather?", RESPONSES, **tools, tool_choice="weather")
    await chat([call, "Sunny."], "Weather?", MISTRAL, **tools)
    await chat([thoughtful, "Sunny."], "Weather?", CLAUDE, **tools)
    await chat([call, "Sunny."], "Weather?", GPT, stream=True, **tools)
    await chat(Reply(text="Cut", finish_reason="length"), "Long", CLAUDE, remember=False)
    await chat("A dot.", "Look", CLAUDE, images=PNG, remember=False)
    await chat("A dot.", "Look", MISTRAL, images=PNG, remember=False)
    await chat("Yes.", model=CLAUDE, messages=late)
    await chat("No.", model=GPT, messages=late)
    await chat(UpstreamFailure(400, "no such thing"), "Bad", CLAUDE)
    await chat(UpstreamFailure(529, "overloaded"), "Busy", CLAUDE, stream=True)
    server.reply_with('{"title": "Dune", "year": 1965}')
    seen.append(await live(ai, "parse", "A book", Book, CLAUDE))
    await chat("Bye.", "Model?", "gpt-nano-5")
    seen.append([one["role"] for one in ai.chat_history])
    seen.append([one["content"] for one in ai.chat_history])
    return seen


async def test_twenty_calls_come_out_alike_from_both_generations(live: Live) -> None:
    results: list[list[Any]] = []
    for generation in GENERATIONS:
        with LocalPuter(tier=None, generation=generation) as server:
            results.append(await script(live, server))
    older, newer = results
    for one, other in zip(older, newer, strict=True):
        assert one == other
    assert len(older) == 22
