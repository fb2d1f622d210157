"""Streamed chats through both doors: every line, every end, and what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import puter
from puter.types.replies import ChatChunk, ChatReply, ToolCall, Usage
from tests.door import (
    CUT,
    SILENCE,
    Door,
    chat_body,
    chunks,
    each,
    error_body,
    json_answer,
    lines,
    shut,
    step,
    stream_answer,
    text_answer,
    tool_call,
    until_done,
)

WIRE = Path(__file__).parent / "fixtures" / "wire"
STREAMS: dict[str, Any] = json.loads((WIRE / "streams.json").read_text(encoding="utf-8"))
CHATS: dict[str, Any] = json.loads((WIRE / "chat_answers.json").read_text(encoding="utf-8"))
PNG = "data:image/png;base64,iVBORw0KGgo="

HEL = {"type": "text", "text": "Hel"}
LO = {"type": "text", "text": "lo"}
USAGE = {
    "type": "usage",
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "cached_tokens": 1, "usd_cents": 0.5},
}
TOOL = {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": "it"}, "text": ""}
HELLO = stream_answer(HEL, LO, USAGE).pieces


def hello() -> Any:
    return stream_answer(*HELLO)


def captured(name: str) -> Any:
    answer = STREAMS[name]["response"]
    kind = answer["headers"]["Content-Type"]
    if kind == "application/x-ndjson":
        return stream_answer(answer["body"].encode())
    return text_answer(answer["body"], kind, answer["status"])


async def streamed(door: Door, *answers: Any, model: str | None = None, **arguments: Any) -> Any:
    """A stream of a new client, and that client."""
    door.answers(*answers)
    ai = door.client()
    return ai, await door(ai, "chat", "Hi", model, stream=True, **arguments)


async def failing(
    door: Door, *answers: Any, model: str | None = None, sent: int = 1
) -> tuple[Any, list[Any]]:
    """The error a stream ends in, and the chunks before it; nothing may be left behind."""
    ai, stream = await streamed(door, *answers, model=model)
    got: list[Any] = []

    async def read() -> None:
        async for chunk in each(stream):
            got.append(chunk)  # noqa: PERF401 - a comprehension would lose them

    with pytest.raises(puter.PuterError) as caught:
        await read()
    assert ai.chat_history == []
    assert ai._throttle.running == 0
    assert len(door.sent) == sent
    assert door.answered.closed
    assert await chunks(stream) == []
    with pytest.raises(puter.PuterError, match="closed before its end"):
        _ = stream.reply
    return caught.value, got


# ------------------------------------------------------------ what comes


async def test_a_stream_joins_to_the_answer(door: Door) -> None:
    ai, stream = await streamed(door, hello())
    assert door.sent[0].args["stream"] is True
    got = await chunks(stream)
    assert [type(one) for one in got] == [ChatChunk] * 3
    assert "".join(got) == "Hello"
    assert [one.type for one in got] == ["text", "text", "usage"]
    reply = stream.reply
    assert isinstance(reply, ChatReply)
    assert (reply, reply.text) == ("Hello", "Hello")
    assert reply.usage == got[-1].usage == Usage(11, 7, 1, 0, USAGE["usage"])
    assert (reply.cost, reply.model, reply.attempts) == (Decimal("0.005"), "gpt-5-nano", 1)
    assert reply.raw == (HEL, LO, USAGE)
    assert list(reply.messages) == ai.chat_history
    assert ai.chat_history == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
    ]
    assert (ai.usage.requests, ai.usage.cost) == (1, Decimal("0.005"))


async def test_every_type_of_line_is_a_chunk(door: Door) -> None:
    compaction = {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}
    extra = {"type": "extra_content", "extra_content": {"google": {"thought_signature": "s"}}}
    picture = {"type": "image", "image_url": {"url": PNG}}
    novel = {"type": "sparkle", "text": "not for print"}
    legacy = {"metadata": {"usage_limited": True}}
    thought = {"type": "reasoning", "reasoning": "Hm."}
    tool = {**TOOL, "canonical_id": "fc_1"}
    sent = [extra, thought, HEL, picture, tool, compaction, novel, legacy, {}, USAGE]
    _, stream = await streamed(door, stream_answer(*sent))
    got = await chunks(stream)
    assert [one.raw for one in got] == sent
    assert [one.type for one in got] == [
        "extra_content", "reasoning", "text", "image", "tool_use", "compaction", "sparkle",
        "metadata", "unknown", "usage",
    ]  # fmt: skip
    assert "".join(got) == "Hel"
    assert got[0].extra_content == extra["extra_content"]
    assert got[1].reasoning == "Hm."
    assert got[3].image == puter.Image(b"\x89PNG\r\n\x1a\n")
    assert got[4].tool_use == ToolCall("call_1", "look", {"at": "it"}, {"canonical_id": "fc_1"})
    assert got[5].compaction == compaction
    reply = stream.reply
    assert (reply, reply.reasoning, reply.finish_reason) == ("Hel", "Hm.", "tool_calls")
    assert reply.images == (got[3].image,)
    assert reply.tool_calls == (got[4].tool_use,)
    assert reply.compaction == compaction


@pytest.mark.parametrize(
    "line",
    [
        {"type": "text"},
        {"type": "text", "text": None},
        {"type": "text", "text": 5},
        {"type": "reasoning", "reasoning": ["x"]},
        {"type": "image"},
        {"type": "image", "image": 5},
        {"type": "tool_use"},
        {"type": "tool_use", "name": 5, "input": "not JSON"},
        {"type": "compaction"},
        {"type": ["text"]},
        {"type": None},
        {"error": None},
    ],
    ids=json.dumps,
)
async def test_lines_with_holes_are_passed_on(door: Door, line: dict[str, Any]) -> None:
    _, stream = await streamed(door, stream_answer(line, HEL, USAGE))
    got = await chunks(stream)
    assert (got[0].raw, got[0].text) == (line, "")
    assert stream.reply == "Hel"


PAIRS = {
    "claude_compaction": "chat_claude_compaction",
    "claude_texttool": "chat_claude_texttool",
    "ollama_reason": "chat_ollama_reason",
}


@pytest.mark.parametrize("name", PAIRS)
async def test_a_stream_says_what_the_whole_answer_says(door: Door, name: str) -> None:
    asked = STREAMS[name]["args"]["model"]
    answer = CHATS[PAIRS[name]]["response"]["body"]
    door.answers(json_answer(answer), captured(name))
    ai = door.client()
    whole = await door(ai, "chat", "Hi", asked)
    stream = await door(ai, "chat", "Hi", asked, stream=True, remember=False)
    assert "".join(await chunks(stream)) == whole
    reply = stream.reply
    for attribute in ("usage", "cost", "tool_calls", "reasoning", "compaction", "finish_reason"):
        assert getattr(reply, attribute) == getattr(whole, attribute), attribute
    assert [m for m in reply.messages if m.get("role") != "user"] == [
        m for m in whole.messages if m.get("role") != "user"
    ]


SAYS = "Hello from fake upstream: "
# name: text, (tokens in, out, cached), dollars, calls, reasoning
EXPECTED: dict[str, tuple[str, tuple[int, int, int], str | None, list[Any], str]] = {
    "gzip_accept": (SAYS + "hi", (11, 7, 0), "0.000078", [], ""),
    "ollama_length": (SAYS + "cmd:length", (11, 7, 0), None, [], ""),
    "ollama_nousage": (SAYS + "cmd:nousage", (0, 0, 0), None, [], ""),
    "ollama_reason": (SAYS + "cmd:reason", (11, 7, 0), None, [], "I think, therefore."),
    "ollama_slow": ("chunk0 chunk1 chunk2 chunk3 ", (11, 7, 0), None, [], ""),
    "ollama_text": (SAYS + "hi there", (11, 7, 0), None, [], ""),
    "ollama_texttool": (
        "Let me look.", (11, 7, 0), None,
        [ToolCall("call_fake_1", "get_weather", {"location": "Paris", "days": 2})], "",
    ),
    "openai_cached": (SAYS + "cmd:cached", (7, 7, 4), "0.000072", [], ""),
    "openrouter_cost": (SAYS + "cmd:cost", (11, 7, 0), "0.000123", [], ""),
    "responses_text": ("Responses says: hello", (16, 9, 5), "0.001395", [], ""),
    "responses_tool": (
        "", (16, 9, 5), "0.001395",
        [ToolCall("call_r1", "get_weather", {"location": "Paris"}, {"canonical_id": "fc_1"})], "",
    ),
    "claude_compaction": ("Claude says: cmd:compaction", (31, 12, 2), "0.0002736", [], ""),
    "claude_texttool": (
        "I will check.", (31, 12, 2), "0.0002736",
        [ToolCall("toolu_fake", "get_weather", {"location": "Paris"})], "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
async def test_captured_streams_are_read_field_by_field(door: Door, name: str) -> None:
    text, tokens, dollars, calls, reasoning = EXPECTED[name]
    _, stream = await streamed(door, captured(name), model=STREAMS[name]["args"]["model"])
    reply = await until_done(stream)
    usage = reply.usage
    assert reply == text
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == tokens
    assert reply.cost == (None if dollars is None else Decimal(dollars))
    assert list(reply.tool_calls) == calls
    assert reply.reasoning == reasoning
    assert reply.finish_reason == ("tool_calls" if calls else "stop")


FAILED = {
    "claude_midfail": ("Claude says: cmd:midfail", "Overloaded"),
    "ollama_midfail": ("part one part two ", "vendor blew up"),
    "ollama_cut": ("part one part two ", "terminated"),
    "ollama_badtool": ("", "Unexpected end of JSON input"),
}


@pytest.mark.parametrize("name", FAILED)
async def test_captured_failures_keep_what_came(door: Door, name: str) -> None:
    text, told = FAILED[name]
    error, got = await failing(door, captured(name), model=STREAMS[name]["args"]["model"])
    assert type(error) is puter.PuterStreamError
    assert error.message == told
    assert error.partial == "".join(got) == text


def test_every_capture_is_looked_at() -> None:
    others = {"fake", "ollama_fail_500", "claude_fail_400", "claude_fail_401"}
    assert STREAMS.keys() == EXPECTED.keys() | FAILED.keys() | others


async def test_half_an_emoji_is_no_trap_for_the_next_call(door: Door) -> None:
    ai, stream = await streamed(door, stream_answer(b'{"type":"text","text":"a\\ud83d"}\n', USAGE))
    assert "".join(await chunks(stream)) == "a?"
    door.answers(chat_body())
    await door(ai, "chat", "and then?")


# ------------------------------------------------------------ the end


async def test_the_reply_is_there_after_the_end_only(door: Door) -> None:
    _, stream = await streamed(door, hello())
    with pytest.raises(puter.PuterError, match="still runs"):
        _ = stream.reply
    reply = await until_done(stream)
    assert reply == stream.reply == "Hello"
    assert await until_done(stream) is reply
    assert await chunks(stream) == []
    await shut(stream)
    assert stream.reply is reply


async def test_the_end_comes_with_the_last_chunk(door: Door) -> None:
    ai, stream = await streamed(door, hello())
    async for chunk in each(stream):
        if chunk.usage is not None:
            break
    assert stream.reply == "Hello"
    assert ai._throttle.running == 0


async def test_a_stream_is_complete_with_its_usage_line_whatever_follows(door: Door) -> None:
    _, stream = await streamed(door, stream_answer(HEL, lines(USAGE, LO), b"garbage", CUT))
    assert [one.type for one in await chunks(stream)] == ["text", "usage"]
    assert stream.reply == "Hel"


async def test_a_last_line_without_its_end_counts(door: Door) -> None:
    _, stream = await streamed(door, stream_answer(HEL, lines(USAGE).rstrip()))
    assert await until_done(stream) == "Hel"


@pytest.mark.parametrize("usage", [{}, {"usage": None}, {"usage": []}, {"usage": "?"}])
async def test_a_usage_line_without_a_value_is_an_end_of_unknown_cost(
    door: Door, usage: dict[str, Any]
) -> None:
    _, stream = await streamed(door, stream_answer(HEL, {"type": "usage", **usage}))
    reply = await until_done(stream)
    assert (reply, reply.cost, reply.usage.input_tokens) == ("Hel", None, 0)


async def test_a_responses_model_that_ends_without_usage_was_cut_short(door: Door) -> None:
    error, got = await failing(door, stream_answer(HEL, {"type": "usage"}), model="gpt-5-pro")
    assert type(error) is puter.PuterStreamError
    assert error.partial == "".join(got) == "Hel"
    assert "max_tokens" in error.hint


async def test_an_answer_with_nothing_in_it_is_an_error(door: Door) -> None:
    ai, stream = await streamed(
        door, stream_answer({"type": "reasoning", "reasoning": "Hm."}, USAGE)
    )
    with pytest.raises(puter.PuterEmptyResponseError) as caught:
        await until_done(stream)
    assert caught.value.reply is not None
    assert caught.value.reply.cost == Decimal("0.005")
    assert (ai.chat_history, ai._throttle.running) == ([], 0)
    assert ai.usage.requests == 1


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        ((HEL, {"type": "error", "message": "vendor blew up"}), "vendor blew up"),
        ((HEL, {"error": {"code": "oops", "message": "older form"}}), "older form"),
        ((HEL, {"error": "text alone"}), "text alone"),
        ((HEL, {"type": "error"}), "without a message"),
        ((HEL, {"type": "error", "message": '{"error":{"message":"inner"}}'}), "^inner"),
        ((HEL,), "ended before the answer was complete"),
        ((HEL, lines(LO)[:-5]), "damaged"),
        ((HEL, b"<html>"), "damaged"),
        ((HEL, b"[1]\n"), "not a JSON object"),
        ((HEL, b"\xff\xfe\n"), "damaged"),
        ((HEL, b"[" * 60_000 + b"\n"), "damaged"),
        ((HEL, CUT), "closed the connection before the answer was complete"),
        ((HEL, SILENCE), "was silent for 300 s"),
    ],
)
async def test_a_stream_that_does_not_come_to_its_end_is_an_error(
    door: Door, pieces: tuple[Any, ...], told: str
) -> None:
    error, got = await failing(door, stream_answer(*pieces))
    assert type(error) is puter.PuterStreamError
    assert "".join(got) == error.partial == "Hel"
    assert error.partial.messages == (
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hel"},
    )
    assert error.attempts == 1
    with pytest.raises(puter.PuterStreamError, match=told):
        raise error


async def test_nothing_at_all_is_cut_off_too(door: Door) -> None:
    error, got = await failing(door, stream_answer(b""))
    assert type(error) is puter.PuterStreamError
    assert error.partial == ""
    assert got == []


async def test_a_secret_in_a_broken_stream_stays_one(door: Door) -> None:
    for piece in (b"token test-token-secret\n", {"type": "error", "message": "test-token-secret"}):
        door.sent.clear()
        error, _ = await failing(door, stream_answer(HEL, piece))
        assert "test-token-secret" not in f"{error} {error.body}"


async def test_a_vendors_status_in_the_first_line_is_the_error_of_the_whole_answer(
    door: Door,
) -> None:
    error, got = await failing(door, captured("claude_fail_400"), model="claude-sonnet-4-5")
    assert (type(error), error.status) == (puter.PuterBadRequestError, 400)
    assert (error.code, got) == ("upstream_bad_request", [])
    assert error.message == "400 fake anthropic 400"
    door.sent.clear()
    error, _ = await failing(door, captured("claude_fail_401"), model="claude-sonnet-4-5")
    assert (type(error), error.status) == (puter.PuterUpstreamError, 500)
    assert error.code == "upstream_auth_failed"


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (429, error_body("AI provider rate limit exceeded", "upstream_rate_limited")),
        (529, error_body("AI provider unavailable", "upstream_provider_unavailable")),
        (403, error_body("AI provider authentication failed", "upstream_auth_failed")),
        (422, error_body("422 no", "upstream_bad_request")),
    ],
)
async def test_that_error_is_of_the_class_code_and_status_that_http_would_give(
    door: Door, status: int, answer: dict[str, Any]
) -> None:
    over_http = {"upstream_rate_limited": 429, "upstream_auth_failed": 500}
    told = f'{status} {{"type":"error","error":{{"type":"x","message":"no"}}}}'
    error, _ = await failing(
        door, stream_answer({"type": "error", "message": told}), sent=3 if status == 429 else 1
    )
    door.answers((over_http.get(answer["code"], 400), answer))
    with pytest.raises(puter.PuterAPIError) as caught:
        await door(door.client(), "chat", "Hi")
    for attribute in ("code", "status", "retryable", "hint", "attempts"):
        assert getattr(error, attribute) == getattr(caught.value, attribute)
    assert type(error) is type(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        {"error": {"code": "insufficient_funds", "message": "poor"}},
        {"error": "poor", "message": "poor", "code": "insufficient_funds"},
        {"success": False, "error": {"code": "insufficient_funds", "message": "poor"}},
    ],
)
async def test_an_older_servers_code_in_the_first_line_chooses_the_error(
    door: Door, line: dict[str, Any]
) -> None:
    error, _ = await failing(door, stream_answer(line))
    assert (type(error), error.message) == (puter.PuterInsufficientFundsError, "poor")


# ------------------------------------------------------------ before the headers


async def test_a_refused_call_raises_at_the_call(door: Door) -> None:
    ai = door.client()
    for answer, kind in (
        (
            (402, error_body("No usage left.", "insufficient_funds")),
            puter.PuterInsufficientFundsError,
        ),
        ((401, error_body("expired", "reauth_required")), puter.PuterAuthError),
        (captured("ollama_fail_500"), puter.PuterUpstreamError),
        ((200, {"success": False, "error": "no"}), puter.PuterAPIError),
        (text_answer("<html>", "text/html"), puter.PuterResponseError),
        (json_answer({"success": True}), puter.PuterResponseError),
        (json_answer(chat_body("")), puter.PuterEmptyResponseError),
    ):
        door.sent.clear()
        door.answers(answer)
        with pytest.raises(kind):
            await door(ai, "chat", "Hi", stream=True)
        assert len(door.sent) == 1
        assert (ai.chat_history, ai._throttle.running) == ([], 0)


async def test_retries_come_before_the_headers_and_never_after(door: Door) -> None:
    busy = (429, error_body("Too many requests.", "too_many_requests"))
    _, stream = await streamed(door, busy, busy, hello())
    assert len(door.sent) == 3
    reply = await until_done(stream)
    assert (reply, reply.attempts) == ("Hello", 3)
    door.sent.clear()
    _, stream = await streamed(door, busy, stream_answer(HEL, CUT), hello())
    with pytest.raises(puter.PuterStreamError) as caught:
        await until_done(stream)
    assert (len(door.sent), caught.value.attempts) == (2, 2)
    assert isinstance(caught.value.partial, ChatReply)
    assert caught.value.partial.attempts == 2


async def test_a_whole_answer_to_a_streamed_request_will_do(door: Door) -> None:
    calls = [tool_call("c", "f")]
    message = {"reasoning_content": "Hm.", "tool_calls": calls, "images": [PNG]}
    ai, stream = await streamed(door, chat_body("Hello!", message=message))
    got = await chunks(stream)
    assert [one.type for one in got] == ["reasoning", "text", "image", "tool_use", "usage"]
    assert "".join(got) == stream.reply == "Hello!"
    assert (got[0].reasoning, got[3].tool_use) == ("Hm.", stream.reply.tool_calls[0])
    assert got[2].image == stream.reply.images[0]
    assert stream.reply.cost == Decimal("0.000078")
    assert ai._throttle.running == 0


@pytest.mark.parametrize("stream", ["yes", 1, None])
async def test_stream_is_true_or_false(door: Door, stream: Any) -> None:
    with pytest.raises(puter.PuterInputError, match="stream must be True or False"):
        await door(door.client(), "chat", "Hi", stream=stream)
    assert door.sent == []


# ------------------------------------------------------------ leaving early


async def _close(stream: Any) -> None:
    await shut(stream)
    await shut(stream)


async def _leave_block(stream: Any) -> None:
    if hasattr(stream, "__aenter__"):
        async with stream as same:
            assert same is stream
    else:
        with stream as same:
            assert same is stream


async def _fail_in_block(stream: Any) -> None:
    with contextlib.suppress(ZeroDivisionError):
        if hasattr(stream, "__aenter__"):
            async with stream:
                _ = [1 / 0 async for _ in stream]
        else:
            with stream:
                _ = [1 / 0 for _ in stream]


async def _break(stream: Any) -> None:
    if hasattr(stream, "__aenter__"):
        async with stream:
            async for _ in stream:
                break
    else:
        with stream:
            for _ in stream:
                break


@pytest.mark.parametrize("leave", [_close, _leave_block, _fail_in_block, _break])
@pytest.mark.parametrize("read", [0, 1, 2])
async def test_leaving_early_frees_everything_and_remembers_nothing(
    door: Door, leave: Callable[[Any], Any], read: int
) -> None:
    ai, stream = await streamed(door, stream_answer(HEL, LO, LO, USAGE))
    assert ai._throttle.running == 1
    for _ in range(read):
        await step(stream)
    assert (ai._throttle.running, door.answered.closed) == (1, False)
    await leave(stream)
    assert (ai._throttle.running, door.answered.closed) == (0, True)
    assert ai.chat_history == []
    assert await chunks(stream) == []
    with pytest.raises(puter.PuterError, match="closed before its end"):
        await until_done(stream)


async def test_a_dropped_stream_frees_everything_and_warns(door: Door) -> None:
    ai, stream = await streamed(door, hello())
    with pytest.warns(
        ResourceWarning, match="^(a |an Async)ChatStream was dropped before its end; close it"
    ):
        del stream
    assert (ai._throttle.running, door.answered.closed) == (0, True)
    assert ai.chat_history == []


async def test_a_dropped_stream_needs_no_collector(door: Door) -> None:
    gc.disable()
    try:
        ai, stream = await streamed(door, stream_answer(HEL, {"type": "error", "message": "no"}))
        with pytest.raises(puter.PuterStreamError):
            await until_done(stream)
        del stream
        ai, stream = await streamed(door, hello())
        await step(stream)
        with pytest.warns(ResourceWarning):
            del stream
        assert ai._throttle.running == 0
    finally:
        gc.enable()


async def test_cancelling_the_reader_frees_everything() -> None:
    door = Door("async")
    reading = asyncio.Event()

    async def forever() -> None:
        reading.set()
        await asyncio.Event().wait()

    ai, stream = await streamed(door, stream_answer(HEL, forever))
    task = asyncio.create_task(stream.until_done())
    await reading.wait()
    assert ai._throttle.running == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (ai._throttle.running, door.answered.closed) == (0, True)
    assert (ai.chat_history, await chunks(stream)) == ([], [])


async def test_ctrl_c_while_reading_frees_everything(door: Door) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    ai, stream = await streamed(door, stream_answer(HEL, interrupt))
    with pytest.raises(KeyboardInterrupt):
        await until_done(stream)
    assert (ai._throttle.running, door.answered.closed) == (0, True)
    assert ai.chat_history == []


async def test_a_stream_has_one_reader(door: Door) -> None:
    refused: list[BaseException] = []

    def read() -> None:
        try:
            if isinstance(stream, puter.ChatStream):
                stream.until_done()
            else:  # another task of the same loop
                stream.until_done().send(None)
        except puter.PuterError as error:
            refused.append(error)

    def elsewhere() -> None:
        if door.kind == "async":
            read()
        else:
            thread = threading.Thread(target=read)
            thread.start()
            thread.join(10)

    _, stream = await streamed(door, stream_answer(HEL, elsewhere, LO, USAGE))
    assert "".join(await chunks(stream)) == "Hello"
    assert "read elsewhere" in str(refused[0])


@pytest.mark.parametrize(
    ("pieces", "text"),
    [((HEL,), "Hel"), ((HEL, lines(LO).rstrip()), "Hello")],
    ids=["text", "line"],
)
async def test_a_stream_that_is_closed_while_it_is_read_ends_in_an_error(
    door: Door, pieces: tuple[Any, ...], text: str
) -> None:
    def close() -> None:
        thread = threading.Thread(target=stream._close)
        thread.start()
        thread.join(10)

    ai, stream = await streamed(door, stream_answer(*pieces, close, LO, USAGE))
    with pytest.raises(puter.PuterStreamError) as caught:
        await chunks(stream)
    assert caught.value.partial == text
    assert (ai._throttle.running, ai.chat_history) == (0, [])
    assert door.answered.closed
    assert await chunks(stream) == []


async def test_the_places_are_given_back_in_turn(door: Door) -> None:
    """A stream holds its place until closed: the fourth waits for one of the three."""
    door.answers(*(hello() for _ in range(4)))
    ai = door.client()
    streams = [await door(ai, "chat", "Hi", stream=True) for _ in range(3)]
    waiting = (
        asyncio.create_task(ai.async_chat("Hi", stream=True)) if door.kind == "async" else None
    )
    if waiting is None:
        with pytest.raises(puter.PuterTimeoutError, match="queue"):
            ai.with_options(deadline=0.05).chat("Hi", stream=True)
    else:
        while ai._throttle.waiting == 0:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
    await shut(streams[0])
    fourth = await waiting if waiting is not None else ai.chat("Hi", stream=True)
    assert await until_done(fourth) == "Hello"
    for one in streams:
        await shut(one)
    assert ai._throttle.running == 0


# ------------------------------------------------------------ with tools


async def test_rounds_of_tools_are_one_stream(door: Door) -> None:
    ran = itertools.count()

    def look(at: str) -> str:
        """Look at something."""
        return f"{at} {next(ran)}"

    ai, stream = await streamed(
        door,
        stream_answer({"type": "text", "text": "Let me see. "}, TOOL, USAGE),
        stream_answer(HEL, LO, USAGE),
        tools=[look],
    )
    got = []
    async for chunk in each(stream):
        got.append(chunk.type)
        assert ai.chat_history == [] or len(got) == 6
    assert got == ["text", "tool_use", "usage", "text", "text", "usage"]
    assert (stream.reply, stream.reply.cost) == ("Hello", Decimal("0.010"))
    assert ai.chat_history[-1] == {"role": "assistant", "content": "Hello"}
    assert {"role": "tool", "tool_call_id": "call_1", "content": "it 0"} in ai.chat_history
    assert (ai._throttle.running, len(door.sent)) == (0, 2)
