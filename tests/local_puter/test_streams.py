"""Streamed chats: the lines of the captures, scripted lines, and streams that go wrong."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import requests

from puter.testing import (
    ChatCall,
    Failure,
    Garbage,
    Gate,
    Hang,
    LocalPuter,
    RecordedRequest,
    Reply,
    StreamCut,
    StreamDisconnect,
    StreamError,
    StreamFault,
    StreamReset,
    Tier,
    UpstreamFailure,
)
from tests.local_puter.support import Caller, captures, error_of

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAMS = captures("streams")

HELLO = "Hello from fake upstream: "
COUNTED = {"prompt_tokens": 11, "completion_tokens": 7}
RESPONSES = {"prompt_tokens": 16, "completion_tokens": 9, "cached_tokens": 5}
OLLAMA = {"prompt": 11, "completion": 7}
CLAUDE = {"input_tokens": 31, "output_tokens": 12, "cache_read_input_tokens": 2}
WEATHER = {"name": "get_weather", "arguments": {"location": "Paris"}}
CLAUDE_ERROR = '{{"type":"error","error":{{"type":"{}","message":"{}"}}}}'
PARTS = Reply(chunks=["part one ", "part two "])

# What the vendor behind each capture answered.
VENDOR: dict[str, Reply | UpstreamFailure | StreamFault] = {
    "claude_compaction": Reply(
        text="Claude says: cmd:compaction", compaction="SUMMARY", usage=CLAUDE
    ),
    "claude_fail_400": UpstreamFailure(400, "fake anthropic 400", "fake_error"),
    "claude_fail_401": UpstreamFailure(
        401, CLAUDE_ERROR.format("fake_error", "fake anthropic 401")
    ),
    "claude_midfail": StreamError(
        CLAUDE_ERROR.format("overloaded_error", "Overloaded"),
        after=9,
        reply="Claude says: cmd:midfail",
    ),
    "claude_texttool": Reply(
        text="I will check.", tool_calls=[{**WEATHER, "id": "toolu_fake"}], usage=CLAUDE
    ),
    "fake": Reply(text=json.loads(STREAMS["fake"]["response"]["body"].splitlines()[0])["text"]),
    "gzip_accept": Reply(text=HELLO + "hi", usage=COUNTED),
    "ollama_badtool": Reply(tool_calls=[{"name": "get_weather", "arguments": '{"location":"Pa'}]),
    "ollama_cut": StreamError("terminated", after=2, reply=PARTS),
    "ollama_fail_500": UpstreamFailure(500, "fake upstream says 500", "fake_500"),
    "ollama_length": Reply(text=HELLO + "cmd:length", usage=OLLAMA, finish_reason="length"),
    "ollama_midfail": StreamError("vendor blew up", after=2, reply=PARTS),
    "ollama_nousage": Reply(text=HELLO + "cmd:nousage", no_usage=True),
    "ollama_reason": Reply(
        chunks=[
            {"type": "reasoning", "reasoning": "I think, "},
            {"type": "reasoning", "reasoning": "therefore."},
            *(HELLO + "cmd:reason").replace(" ", " \n").split("\n"),
        ],
        usage=OLLAMA,
    ),
    "ollama_slow": Reply(chunks=[f"chunk{number} " for number in range(4)], usage=OLLAMA),
    "ollama_text": Reply(text=HELLO + "hi there", usage=OLLAMA),
    "ollama_texttool": Reply(
        chunks=["Let me look."],
        tool_calls=[
            {
                "id": "call_fake_1",
                "name": "get_weather",
                "arguments": '{"location": "Paris", "days": 2}',
            }
        ],
        usage=OLLAMA,
    ),
    "openai_cached": Reply(
        text=HELLO + "cmd:cached",
        usage={"prompt_tokens": 7, "completion_tokens": 7, "cached_tokens": 4},
    ),
    "openrouter_cost": Reply(
        text=HELLO + "cmd:cost", usage={**OLLAMA, "billedUsage": 1, "usd_cents": 0.0123}
    ),
    "responses_text": Reply(text="Responses says: hello", usage=RESPONSES),
    "responses_tool": Reply(tool_calls=[{**WEATHER, "id": "call_r1"}], usage=RESPONSES),
}


@contextmanager
def streaming(caller: Caller, *messages: Any, **args: Any) -> Iterator[requests.Response]:
    """A streamed chat whose body has not been read yet."""
    body = {"messages": list(messages) or ["hello"], "model": "gpt-4.1", "stream": True, **args}
    response = caller.session.post(
        caller.puter.url + "/drivers/call",
        json={"interface": "puter-chat-completion", "method": "complete", "args": body},
        headers={"Authorization": f"Bearer {caller.puter.token}"},
        stream=True,
        timeout=10,
    )
    with response:
        yield response


def lines(caller: Caller, *messages: Any, **args: Any) -> list[dict[str, Any]]:
    """All lines of a streamed chat, after the checks that hold for each."""
    response = caller.chat(*messages, stream=True, **args)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert response.content.endswith(b"\n")
    return [json.loads(line) for line in response.content.split(b"\n")[:-1]]


def text_of(answer: list[dict[str, Any]]) -> str:
    return "".join(line["text"] for line in answer if line["type"] == "text")


def is_over(record: RecordedRequest) -> bool:
    return record.dropped or record.finished is not None


@pytest.mark.parametrize("name", STREAMS)
def test_the_captured_streams_to_the_last_byte(older: Caller, name: str) -> None:
    caller, capture = older, STREAMS[name]
    wanted = capture["response"]
    caller.puter.reply_with(VENDOR[name])
    response = caller.call("puter-chat-completion", "complete", capture["args"])
    assert response.status_code == wanted["status"]
    assert response.content.decode() == wanted["body"]
    for header, value in wanted["headers"].items():
        assert response.headers[header] == value
    if response.status_code == 200:
        assert "Content-Encoding" not in response.headers
        assert "Vary" not in response.headers


@pytest.mark.parametrize("stream", [True, 1, "true", "false", [], {}])
def test_what_streams(caller: Caller, stream: Any) -> None:
    assert caller.chat("hi", stream=stream).headers["Content-Type"] == "application/x-ndjson"


@pytest.mark.parametrize("stream", [False, None, 0, ""])
def test_what_does_not(caller: Caller, stream: Any) -> None:
    assert caller.chat("hi", stream=stream).json()["success"] is True


def test_streaming_is_asked_for_in_the_arguments(caller: Caller) -> None:
    args = {"messages": ["hi"], "model": "gpt-4.1"}
    response = caller.call("puter-chat-completion", "complete", args, stream=True)
    assert response.json()["success"] is True


MODELS = ["gpt-4.1", "glm-5.1", "gpt-5-pro", "claude-sonnet-4-5", "deepseek-r1", "gpt-5-nano"]


@pytest.mark.parametrize("model", MODELS)
def test_the_same_answer_streamed_and_not(caller: Caller, model: str) -> None:
    reply = Reply(text=" Zwölf Boxkämpfer\n\u2028jagen ", reasoning="Hm, hm.", tool_calls=[WEATHER])
    caller.puter.reply_with(reply, reply)
    whole = caller.answer("hi", model=model)
    answer = lines(caller, "hi", model=model)
    assert text_of(answer) == reply.text
    assert answer[-1]["usage"] == whole["usage"]
    assert whole["usage"]["usd_cents"] > 0
    order = [line["type"] for line in answer if "detail" not in line and "format" not in line]
    assert order == ["reasoning"] * 2 + ["text"] * 4 + ["tool_use", "usage"]
    first, second = caller.puter.chats
    assert first.usage == second.usage == whole["usage"]


def test_everything_at_once_in_the_order_of_each_family(older: Caller) -> None:
    caller = older
    calls: list[dict[str, Any]] = [{"name": "one", "arguments": ""}, WEATHER]
    reply = Reply(
        text="text",
        reasoning="reasoning",
        tool_calls=[{**call, "extra_content": {"n": 1}} for call in calls],
        images=["data:,"],
        compaction="SUMMARY",
        extra={"extra_content": {"google": {"thought_signature": "c2ln"}}},
    )
    caller.puter.reply_with(reply, reply, reply)
    openai, responses, claude = (
        lines(caller, model=model)[:-1] for model in ("glm-5.1", "gpt-5-pro", "claude-sonnet-4-5")
    )
    extra = {"type": "extra_content", **reply.extra}
    reasoning = {"type": "reasoning", "reasoning": "reasoning"}
    text = {"type": "text", "text": "text"}
    one: dict[str, Any] = {"type": "tool_use", "name": "one", "input": {}, "text": ""}
    two = {**one, "name": "get_weather", "input": {"location": "Paris"}}
    one["extra_content"] = two["extra_content"] = {"n": 1}
    compaction = {"type": "compaction", "encrypted_content": "SUMMARY"}
    assert openai == [  # the first of the parallel calls is lost
        *(extra, reasoning, text),
        {"type": "image", "image_url": {"url": "data:,"}},
        {**two, "id": "call_2"},
    ]
    assert responses == [
        *(extra, reasoning, text),
        {**one, "id": "call_1", "canonical_id": "fc_1"},
        {**two, "id": "call_2", "canonical_id": "fc_2"},
        {**compaction, "id": "cmp_1"},
    ]
    assert claude == [
        compaction,
        *(extra, reasoning, text),
        {**one, "id": "toolu_1"},
        {**two, "id": "toolu_2"},
    ]


def test_empty_answers_and_refusals(caller: Caller) -> None:
    caller.puter.reply_with("", Reply(text=None), Reply(refusal="No."), Reply(refusal="No."))
    for _ in range(3):
        assert [line["type"] for line in lines(caller)] == ["usage"]
    assert text_of(lines(caller, model="claude-sonnet-4-5")) == "No."


def test_blocked_prompts_stream_lorem_ipsum(caller: Caller) -> None:
    caller.puter.reply_with(Reply(blocked=True))
    answer = lines(caller, "how to build a bomb")
    assert answer[0]["text"].startswith("Lorem ")
    assert answer[1:] == [{"type": "usage", "usage": {"usd_cents": None}}]


def test_the_built_in_partner_streams(caller: Caller) -> None:
    assert text_of(lines(caller, "What is 6 times 7?")) == "6 * 7 = 42"
    assert lines(caller, "tell me " * 20, max_tokens=2)[-1]["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(
    ("args", "status"),
    [({"model": "nope"}, 400), ({"messages": [None]}, 400), ({"max_tokens": 0}, 402)],
)
def test_faults_before_the_start_are_plain_errors(
    caller: Caller, args: dict[str, Any], status: int
) -> None:
    args = {"messages": ["x"], "model": "claude-sonnet-4-5", "stream": True, **args}
    response = caller.call("puter-chat-completion", "complete", args)
    assert error_of(response)[0] == status
    assert caller.puter.chats[0].usage is None


def test_failures_of_a_script(older: Caller) -> None:
    caller = older
    caller.puter.reply_with(Failure(429), UpstreamFailure(529, "Overloaded"))
    assert error_of(caller.chat(stream=True))[0] == 429
    (line,) = lines(caller, model="claude-sonnet-4-5")
    told = CLAUDE_ERROR.format("overloaded_error", "Overloaded")
    assert line == {"type": "error", "message": f"529 {told}"}
    caller.puter.reply_with(UpstreamFailure(529, "Overloaded"))
    assert caller.chat(model="claude-sonnet-4-5").json()["attempts"][0]["error"] == f"529 {told}"
    assert [chat.usage for chat in caller.puter.chats] == [None] * 3


# --- scripted lines ------------------------------------------------------------------------------


def test_chunks_are_sent_as_given(caller: Caller) -> None:
    limited = {"metadata": {"usage_limited": True}}
    reply = Reply(chunks=["a b", limited, {"type": "text", "text": "c"}, b'{"type":"new"}\n'])
    caller.puter.reply_with(reply, reply)
    assert lines(caller)[:-1] == [
        {"type": "text", "text": "a b"},
        limited,
        {"type": "text", "text": "c"},
        {"type": "new"},
    ]
    assert caller.text() == "a bc"
    caller.puter.reply_with(Reply(text="whole", chunks=["streamed"]))
    assert caller.text() == "whole"


@pytest.mark.parametrize(
    "last",
    [
        {"type": "usage"},
        {"type": "error", "message": "x"},
        {"error": {"code": "x", "message": "y"}},
        b'{"type":"usage","usage":{}}',  # without its line ending
    ],
)
def test_a_scripted_end_is_the_end(caller: Caller, last: Any) -> None:
    caller.puter.reply_with(Reply(chunks=["a", last, "never"]))
    wanted = last if isinstance(last, bytes) else json.dumps(last).replace(" ", "").encode() + b"\n"
    assert caller.chat(stream=True).content == b'{"type":"text","text":"a"}\n' + wanted


def test_a_very_long_line(caller: Caller) -> None:
    text = "x" * (16 << 20)
    caller.puter.reply_with(Reply(chunks=[text]))
    assert text_of(lines(caller)) == text


def test_a_gate_shows_each_line_before_the_next_is_sent(caller: Caller) -> None:
    gate = Gate()
    caller.puter.reply_with(Reply(chunks=["a", "b", "c"], gate=gate))
    with streaming(caller) as response:
        answer = response.iter_lines(chunk_size=None)
        assert json.loads(next(answer))["text"] == "a"
        gate.let()
        assert json.loads(next(answer))["text"] == "b"
        (record,) = caller.puter.chats
        assert (record.status, record.finished) == (200, None)
        gate.open()
        assert [json.loads(line)["type"] for line in answer] == ["text", "usage"]
    (record,) = caller.puter.wait_for(is_over)
    assert record.finished is not None
    assert not record.dropped


async def test_gates_in_an_event_loop(puter: LocalPuter) -> None:
    gates = [Gate(0), Gate(0)]
    puter.reply_with(*(Reply(text="one two", gate=gate) for gate in gates))
    url, headers = puter.url + "/drivers/call", {"Authorization": f"Bearer {puter.token}"}
    args = {"messages": ["hi"], "model": "gpt-4.1", "stream": True}
    body = {"interface": "puter-chat-completion", "method": "complete", "args": args}
    async with aiohttp.ClientSession() as session:
        # The headers come before the first line does.
        answers = [await session.post(url, json=body, headers=headers) for _ in gates]
        told: list[str] = []
        for which in (1, 0, 1, 1, 0, 0):
            gates[which].let()
            told.append(json.loads(await answers[which].content.readline())["type"])
        assert told == ["text", "text", "text", "usage", "text", "usage"]
        assert [await answer.content.read() for answer in answers] == [b"", b""]


def test_a_pace(caller: Caller) -> None:
    caller.puter.reply_with(Reply(chunks=["a", "b"], pace=0.03))
    lines(caller)
    (record,) = caller.puter.wait_for(is_over)
    assert record.finished is not None
    assert record.finished - record.started >= 0.06


# --- streams that go wrong -----------------------------------------------------------------------


def test_a_vendor_error_after_some_lines(caller: Caller) -> None:
    caller.puter.reply_with(StreamError("blew up", after=2, reply="one two three"))
    assert lines(caller) == [
        {"type": "text", "text": "one "},
        {"type": "text", "text": "two "},
        {"type": "error", "message": "blew up", "status": 500},
    ]
    assert caller.puter.chats[0].usage is not None  # billed all the same


def test_what_goes_wrong_without_a_reply_is_the_built_in_answer(caller: Caller) -> None:
    caller.puter.reply_with(lambda _: StreamError(after=0), StreamError(after=99))
    (line,) = lines(caller, "2 + 2")
    assert line == {"type": "error", "message": "the vendor failed", "status": 500}
    answer = lines(caller, "2 + 2")
    assert text_of(answer) == "2 + 2 = 4"
    assert [line["type"] for line in answer[-2:]] == ["text", "error"]


def test_a_clean_end_without_usage(caller: Caller) -> None:
    caller.puter.reply_with(StreamCut(after=1, reply="one two"))
    assert lines(caller) == [{"type": "text", "text": "one "}]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(StreamDisconnect, "InvalidChunkLength|ended prematurely"), (StreamReset, "ConnectionReset")],
)
def test_a_lost_connection(caller: Caller, fault: type[StreamFault], reason: str) -> None:
    gate = Gate()
    caller.puter.reply_with(fault(reply=Reply(text="one two", gate=gate)))
    with streaming(caller) as response:
        answer = response.iter_lines(chunk_size=None)
        assert json.loads(next(answer)) == {"type": "text", "text": "one "}
        gate.let()
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match=reason):
            next(answer)
    (record,) = caller.puter.wait_for(is_over)
    assert record.dropped
    assert caller.puter.running_now == 0


def test_garbage_between_lines(caller: Caller) -> None:
    caller.puter.reply_with(Garbage(reply="one two", line=b"\xff\xfe\n"))
    first, second, *rest, last = caller.chat(stream=True).content.split(b"\n")
    assert (json.loads(first)["text"], second, last) == ("one ", b"\xff\xfe", b"")
    assert [json.loads(line)["type"] for line in rest] == ["text", "usage"]


def test_stream_faults_of_a_chat_that_is_not_streamed(caller: Caller) -> None:
    caller.puter.reply_with(StreamError("blew up"), Garbage(), StreamDisconnect(), StreamReset())
    assert error_of(caller.chat())[1] == "upstream_provider_unavailable"
    assert caller.chat().text.startswith("<html>")
    for reason in ("RemoteDisconnected", "ConnectionReset"):
        with pytest.raises(requests.RequestException, match=reason):
            caller.chat()
    caller.puter.reply_with(StreamCut())
    with streaming(caller, stream=False) as response:
        body = b'{"success":true,"result":{"mess'  # and no more, though more was promised
        assert response.raw.read(len(body)) == body
        assert int(response.headers["Content-Length"]) > len(body)


# --- slots and bills -----------------------------------------------------------------------------


def test_a_stream_holds_its_slot_until_it_ends(session: requests.Session) -> None:
    with LocalPuter(tier=Tier("one", concurrency=1)) as puter, requests.Session() as other:
        other.trust_env = False
        caller, second, gate = Caller(puter, session), Caller(puter, other), Gate()
        puter.reply_with(Reply(text="one two", gate=gate))
        with streaming(caller) as response:
            answer = response.iter_lines(chunk_size=None)
            assert next(answer)
            assert error_of(second.chat(stream=True))[2] == "Too many concurrent requests."
            gate.open()
            assert len(list(answer)) == 2
            assert second.chat().status_code == 200  # the client saw the end: the slot is free


@pytest.mark.parametrize(
    "held", [Reply(text="one two three", gate=Gate()), Reply(text="one two three", pace=60)]
)
def test_a_client_that_leaves_frees_its_slot_and_pays_it_all(
    session: requests.Session, held: Reply
) -> None:
    with LocalPuter(tier=Tier("one", concurrency=1), generation="2026-08") as puter:
        caller = Caller(puter, session)
        puter.reply_with(held)
        with streaming(caller) as response:
            assert next(response.iter_lines(chunk_size=None))
        (record,) = puter.wait_for(is_over)
        assert record.dropped
        assert puter.running_now == 0
        puter.reply_with(Reply(text=held.text))
        assert caller.answer()["usage"] == record.usage


def test_a_client_that_leaves_a_long_line_unread(caller: Caller) -> None:
    caller.puter.reply_with(Reply(chunks=["x" * (16 << 20)] * 3))
    with streaming(caller) as response:
        assert response.raw.read(10)
    (record,) = caller.puter.wait_for(is_over)
    assert record.dropped
    assert caller.puter.running_now == 0


def test_the_server_stops_in_the_middle_of_streams(session: requests.Session) -> None:
    puter = LocalPuter().start()
    puter.reply_with(Reply(text="one two", gate=Gate()), Hang())
    with streaming(Caller(puter, session)) as response:
        answer = response.iter_lines(chunk_size=None)
        assert next(answer)
        puter.stop()
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            next(answer)
    assert not any(thread.name.startswith("LocalPuter") for thread in threading.enumerate())


def test_a_responder_chooses_by_the_call(caller: Caller) -> None:
    @caller.puter.respond
    def responder(call: ChatCall) -> Reply:
        return Reply(chunks=[call.family, "!"])

    assert text_of(lines(caller, model="claude-haiku-4-5")) == "claude!"


def test_many_streams_use_one_connection(caller: Caller) -> None:
    for _ in range(20):
        assert text_of(lines(caller, "2 + 2")) == "2 + 2 = 4"
    adapter = caller.session.get_adapter(caller.puter.url)
    assert isinstance(adapter, requests.adapters.HTTPAdapter)
    (key,) = adapter.poolmanager.pools.keys()
    assert adapter.poolmanager.pools[key].num_connections == 1
