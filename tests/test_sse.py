"""Streams of OpenAI's form: any cut of the bytes gives the same chunks, and no damage passes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puter.exceptions import PuterError, PuterResponseError
from puter.types.replies import ChatChunk, ToolCall
from puter.wire.chunk_accumulator import ChunkAccumulator
from puter.wire.completion_stream import CompletionStream
from puter.wire.ndjson import LineError
from puter.wire.sse import RawLines

TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("\u2028\u2029\x85\r\n\x0b"))
DONE = "data: [DONE]"


def event(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


def data(value: Any) -> str:
    return f"data: {json.dumps(value)}"


def accumulator() -> ChunkAccumulator:
    stream = CompletionStream("local")
    return ChunkAccumulator("m", "local", stream.read_line, stream.flush)


def read(pieces: list[bytes]) -> tuple[list[ChatChunk], ChunkAccumulator]:
    """The chunks of a stream, that of ``usage`` included."""
    lines, kept, chunks = RawLines(2**20), accumulator(), []
    for piece in pieces:
        chunks += kept.add(lines.feed(piece))
    chunks += kept.add(lines.flush())
    chunks += kept.end()
    return [*chunks, *([] if kept.last is None else [kept.last])], kept


def of(*lines: str, end: str = "\n\n") -> list[bytes]:
    return ["".join(line + end for line in lines).encode()]


@given(
    texts=st.lists(TEXT, min_size=1, max_size=6),
    thought=TEXT,
    end=st.sampled_from(["\n\n", "\r\n\r\n", "\n", "\n: keep-alive\n\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    space=st.sampled_from(["data: ", "data:"]),
    cuts=st.data(),
)
def test_any_cut_of_the_bytes_gives_the_same_chunks(
    texts: list[str], thought: str, end: str, mark: str, space: str, cuts: st.DataObject
) -> None:
    events = [event({"role": "assistant", "content": None}), event({"reasoning_content": thought})]
    events += [event({"content": text}) for text in texts]
    events += [event({}, "stop"), {"choices": [], "usage": {"prompt_tokens": 3}}]
    lines = [space + json.dumps(one, ensure_ascii=False) for one in events]
    (whole,) = of(*lines, "data: [DONE]", end=end)
    whole = mark.encode() + whole
    places = sorted(cuts.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in pairwise([0, *places, len(whole)])]
    chunks, kept = read(pieces)
    assert [str(one) for one in chunks if one.type == "text"] == [one for one in texts if one]
    assert "".join(one.reasoning for one in chunks) == thought
    reply = kept.reply()
    assert (reply.text, reply.reasoning) == ("".join(texts), thought)
    assert (reply.usage.input_tokens, reply.finish_reason) == (3, "stop")
    assert chunks[-1].type == "usage"
    assert read([whole])[0] == chunks


def test_pieces_of_tool_calls_become_whole_calls() -> None:
    pieces = [
        {"index": 0, "id": "a", "function": {"name": "add", "arguments": ""}},
        {"index": 1, "id": "b", "function": {"name": "sub", "arguments": '{"x"'}},
        {"index": 0, "function": {"arguments": '{"x": 1,'}},
        {"index": 1, "function": {"arguments": ": 2}"}},
        {"index": 0, "function": {"arguments": ' "y": 2}'}},
    ]
    events = [event({"tool_calls": [one]}) for one in pieces]
    chunks, kept = read(of(*map(data, [*events, event({}, "tool_calls")]), DONE))
    calls = [ToolCall("a", "add", {"x": 1, "y": 2}), ToolCall("b", "sub", {"x": 2})]
    assert [one.tool_use for one in chunks if one.type == "tool_use"] == calls
    assert kept.reply().tool_calls == tuple(calls)
    assert kept.reply().finish_reason == "tool_calls"


def test_calls_without_index_are_told_apart_by_their_ids() -> None:
    pieces = [
        {"id": "a", "function": {"name": "add", "arguments": '{"x":'}},
        {"function": {"arguments": "1}"}},
        {"id": "b", "function": {"name": "add", "arguments": {"x": 2}}},
    ]
    _, kept = read(of(*(data(event({"tool_calls": [one]})) for one in pieces), DONE))
    assert [(one.id, one.arguments["x"]) for one in kept.reply().tool_calls] == [("a", 1), ("b", 2)]


def test_a_call_without_id_gets_one() -> None:
    one = {"index": 0, "function": {"name": "now", "arguments": "{}"}}
    _, kept = read(of(data(event({"tool_calls": [one]}, "tool_calls")), DONE))
    assert kept.reply().tool_calls[0].id == "call_0"


def test_an_event_may_have_its_data_in_several_lines() -> None:
    written = json.dumps(event({"content": "Hi"}, "stop"), indent=1).splitlines()
    lines = "\n".join(f"data: {line}" for line in written)
    chunks, _ = read(of(lines, DONE))
    assert [str(one) for one in chunks] == ["Hi", ""]


@pytest.mark.parametrize(
    "tail", [[DONE], []], ids=["done", "end of the body after a finish_reason"]
)
def test_what_says_that_an_answer_is_complete(tail: list[str]) -> None:
    _, kept = read(of(data(event({"content": "Hi"}, "length")), *tail))
    assert kept.last is not None
    assert kept.reply().finish_reason == "length"


def test_an_end_without_a_word_completes_nothing() -> None:
    _, kept = read(of(data(event({"content": "Hi"}))))
    assert kept.last is None
    assert kept.reply().text == "Hi"


@pytest.mark.parametrize(
    "line",
    [
        'data: {"choices": [{"delta"',
        "data: nonsense",
        "data: {}\ndata: }",
    ],
)
def test_what_is_no_json_is_an_error_at_the_end_of_its_event(line: str) -> None:
    _, kept = read(of(data(event({"content": "Hi"})), line, data(event({"content": "!"}, "stop"))))
    assert isinstance(kept.failure, PuterError)
    assert "not JSON" in kept.failure.message
    assert kept.failure.partial == "Hi"


def test_lines_that_never_become_json_are_given_up() -> None:
    _, kept = read(of(*["data: {"] * 200, end="\n"))
    assert isinstance(kept.failure, PuterResponseError)


@pytest.mark.parametrize(
    "lines",
    [
        ['data: {"error": {"message": "Busy", "type": "rate_limit_error"}}'],
        ["event: error", 'data: {"message": "Busy", "code": 429}'],
        ['error: {"message": "Busy", "code": 429, "type": "x"}'],
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_an_error_in_the_stream(lines: list[str], first: bool) -> None:
    before = [] if first else [data(event({"content": "Hi"})) + "\n"]
    _, kept = read(of(*before, *lines, end="\n"))
    assert kept.failure is not None
    assert kept.failure.status == 429
    assert type(kept.failure).__name__ == ("PuterRateLimitError" if first else "PuterStreamError")
    assert kept.failure.message == "local: Busy"
    assert kept.failure.partial == (None if first else "Hi")


def test_other_choices_and_unknown_fields_are_left_alone() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "no"}}]}
    chunks, _ = read(of("id: 7", "retry: 10", data(other), data({"choices": None}), DONE))
    assert [one.type for one in chunks] == ["usage"]


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"data: ", b"\n", b"{}", b"[DONE]"])))
def test_any_garbage_gives_chunks_or_our_errors(pieces: list[bytes]) -> None:
    chunks, kept = read(pieces)
    assert all(isinstance(one, ChatChunk) for one in chunks)
    assert kept.failure is None or isinstance(kept.failure, PuterError)


def test_a_line_is_bounded() -> None:
    with pytest.raises(LineError, match="longer than"):
        RawLines(100).feed(b"data: " + b"x" * 200)


def test_all_lines_together_are_bounded() -> None:
    line = b"data: [" + b"{}," * 20 + b"{}]\n"
    with pytest.raises(LineError, match="max_response_bytes"):
        RawLines(2**20).feed(line * 2**14)
