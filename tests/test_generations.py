"""What servers of 2026-10 and later answer, and what goes back to them; older ones stay read."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.types.replies import ToolCall
from puter.wire.dialects.base import BASE
from tests.door import (
    chat_body,
    chunks,
    error_body,
    json_answer,
    lines,
    shut,
    step,
    stream_answer,
    tool_call,
    until_done,
)

if TYPE_CHECKING:
    from tests.door import Door

OPUS, SONNET = "claude-opus-4-6", "claude-sonnet-4-6"
SIGNED = {"type": "thinking", "thinking": "First.", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "eHl6"}
ENCRYPTED = {"type": "reasoning", "id": "rs_1", "encrypted_content": "c2Vj", "summary": []}
CALL = tool_call("toolu_1", "look", '{"at":1}')
LINE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}, "text": ""}
USAGE = {"type": "usage", "usage": {"input_tokens": 31, "output_tokens": 12, "usd_cents": 0.03}}


def look(at: int) -> str:
    """Look at something."""
    return f"seen {at}"


def normalised(text: str | None = "Hello!", **message: Any) -> dict[str, Any]:
    """An answer of Claude in the newer server's default form."""
    calls = "tool_calls" in message
    return chat_body(
        text,
        message=message,
        metadata={"service_used": "claude", "providerUsed": OPUS},
        usage={"input_tokens": 31, "output_tokens": 12, "thinking_tokens": 5, "usd_cents": 0.03},
        finish_reason="tool_calls" if calls else "stop",
        stopReason="tool_use" if calls else "end_turn",
        stopSequence=None,
        usageDetails={"inputTokens": 31, "outputTokens": 12, "reasoningTokens": 5},
        normalized=True,
    )


# ------------------------------------------------------------ answers


async def test_a_normalised_answer_is_read(door: Door) -> None:
    door.answers(normalised(None, reasoning="First.", reasoning_details=[SIGNED, REDACTED],
                            tool_calls=[CALL]))  # fmt: skip
    reply = await door(door.client(), "chat", "Hi", OPUS)
    assert (reply, reply.finish_reason, reply.reasoning) == ("", "tool_calls", "First.")
    assert reply.reasoning_details == (SIGNED, REDACTED)
    assert [(one.id, one.name, one.arguments) for one in reply.tool_calls] == [
        ("toolu_1", "look", {"at": 1})
    ]
    assert (reply.usage.input_tokens, reply.usage.reasoning_tokens) == (31, 5)
    assert reply.cost == Decimal("0.0003")


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ({"finish_reason": "length", "stopReason": "max_tokens"}, "length"),
        ({"finish_reason": "stop", "stopReason": "max_tokens"}, "length"),
        ({"finish_reason": "content_filter", "stopReason": "refusal"}, "content_filter"),
        ({"finish_reason": "pause_turn"}, "pause_turn"),
        ({"finish_reason": "stop", "stopReason": "pause_turn"}, "pause_turn"),
        ({"finish_reason": "model_context_window_exceeded"}, "model_context_window_exceeded"),
        ({"finish_reason": "stop", "stopReason": None}, "stop"),
        ({"finish_reason": None, "stopReason": "stop_sequence"}, "stop"),
        ({}, "stop"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_why_an_answer_ended(
    door: Door, reasons: dict[str, Any], expected: str, stream: bool
) -> None:
    text = {"type": "text", "text": "Hello!"}
    whole = chat_body()
    whole["result"] = {**whole["result"], "finish_reason": None, **reasons}
    door.answers(stream_answer(text, {**USAGE, **reasons}) if stream else whole)
    reply = await door(door.client(), "chat", "Hi", stream=stream)
    if stream:
        reply = await until_done(reply)
    assert reply.finish_reason == expected


async def test_tool_lines_count_for_more_than_a_default_stop(door: Door) -> None:
    door.answers(stream_answer(LINE, {**USAGE, "finish_reason": "stop"}))
    reply = await until_done(await door(door.client(), "chat", "Hi", stream=True))
    assert reply.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "lines_",
    [
        [{**USAGE, "metadata": {"usage_limited": True}}],
        [{"metadata": {"usage_limited": True}}, USAGE],
    ],
)
async def test_an_answer_that_the_balance_ended_says_so(door: Door, lines_: list[Any]) -> None:
    text = {"type": "text", "text": "Hel"}
    door.answers(chat_body(metadata={"usage_limited": True}), stream_answer(text, *lines_))
    ai = door.client()
    assert (await door(ai, "chat", "Hi")).usage_limited is True
    reply = await until_done(await door(ai, "chat", "Hi", stream=True))
    assert reply.usage_limited is True
    assert puter.ChatReply.from_dict(json.loads(json.dumps(reply.to_dict()))).usage_limited is True


async def test_most_answers_are_not_limited(door: Door) -> None:
    door.answers(chat_body(), stream_answer({"type": "text", "text": "Hel"}, USAGE))
    ai = door.client()
    assert (await door(ai, "chat", "Hi")).usage_limited is False
    stream = await door(ai, "chat", "Hi", stream=True)
    assert (await until_done(stream)).usage_limited is False


async def test_usage_details_fill_in_what_usage_leaves_out(door: Door) -> None:
    details = {"inputTokens": 31, "outputTokens": 12, "reasoningTokens": 5}
    door.answers(
        chat_body(usage={"usd_cents": 1, "fast_input_tokens": 31}, usageDetails=details),
        stream_answer(
            {"type": "text", "text": "Hel"},
            {"type": "usage", "stopReason": "end_turn", "usageDetails": details},
        ),
    )
    ai = door.client()
    for reply in (
        await door(ai, "chat", "Hi"),
        await until_done(await door(ai, "chat", "Hi", stream=True)),
    ):
        usage = reply.usage
        assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (31, 12, 5)


async def test_a_responses_stream_without_usage_that_says_why_it_ended_is_complete(
    door: Door,
) -> None:
    text = {"type": "text", "text": "Hello!"}
    door.answers(stream_answer(text, {"type": "usage", "stopReason": "stop"}))
    stream = await door(door.client(), "chat", "Hi", "gpt-5-pro", stream=True)
    assert await until_done(stream) == "Hello!"


@pytest.mark.parametrize(
    "message",
    [
        {"toolCalls": [CALL], "content": ""},
        {"toolCalls": [{**CALL, "function": {"name": "look", "arguments": {"at": 1}}}]},
        {"toolCalls": [CALL], "content": None, "tool_calls": None},
    ],
)
async def test_mistrals_tool_calls_are_read(door: Door, message: dict[str, Any]) -> None:
    first = chat_body(None, message=message, finish_reason=None, finishReason="tool_calls")
    door.answers(first, chat_body("done"))
    reply = await door(door.client(), "chat", "Hi", "mistral-small-2603", tools=[look])
    assert reply == "done"
    assert door.sent[1].args["messages"][-1]["content"] == "seen 1"


async def test_mistrals_thinking_and_end_are_read(door: Door) -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}, {"type": "text",
         "text": "."}]},
        {"type": "text", "text": "Hello"},
    ]  # fmt: skip
    body = chat_body("", finishReason="model_length", message={"content": content})
    del body["result"]["finish_reason"]
    door.answers(body)
    reply = await door(door.client(), "chat", "Hi", "mistral-small-2603")
    assert (reply, reply.reasoning, reply.finish_reason) == ("Hello", "Hm.", "length")


async def test_mistral_gets_pictures_in_its_own_form(door: Door) -> None:
    url = "https://example.com/a.png"
    for part in (
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": url},
        {"type": "image", "source": {"type": "url", "url": url}},
    ):
        await door(door.client(), "chat", "Hi", "mistral-small-2603", content_parts=[part])
        content = door.sent[-1].args["messages"][0]["content"]
        assert content[1] == {"type": "image_url", "imageUrl": url}


@pytest.mark.parametrize("stream", [False, True])
async def test_the_stand_ins_filler_is_no_answer(door: Door, stream: bool) -> None:
    filler = stream_answer(
        {"type": "text", "text": "Lorem ipsum"}, {"type": "usage", "usage": {"usd_cents": None}}
    )
    whole = chat_body("Lorem ipsum", metadata={"service_used": "fake-chat"})
    door.answers(filler if stream else whole)
    ai = door.client()
    with pytest.raises(puter.PuterBlockedError):
        await until_done(await door(ai, "chat", "Hi", stream=True)) if stream else await door(
            ai, "chat", "Hi"
        )
    assert ai.chat_history == []
    for canned in ({"model": "fake"}, {"provider": "fake-chat"}):
        reply = await door(door.client(), "chat", "Hi", stream=stream, **canned)
        assert (await until_done(reply) if stream else reply) == "Lorem ipsum"


# ------------------------------------------------------------ reasoning goes back


async def rounds(door: Door, model: str, *answers: Any, stream: bool = False) -> list[Any]:
    """The messages of the second request of a turn with a tool."""
    door.answers(*answers)
    reply = await door(door.client(), "chat", "Hi", model, tools=[look], stream=stream)
    if stream:
        await until_done(reply)
    messages: list[Any] = door.sent[1].args["messages"]
    return messages


async def test_reasoning_details_go_back_on_the_first_message_of_their_round(door: Door) -> None:
    for text in (None, "Let me look."):
        door.sent.clear()
        first = normalised(text, reasoning_details=[SIGNED, REDACTED], tool_calls=[CALL])
        _, message, *others = await rounds(door, OPUS, first, normalised())
        assert message["reasoning_details"] == [SIGNED, REDACTED]
        assert message["role"] == "assistant"
        assert all("reasoning_details" not in one for one in others)
        assert "made_by" not in json.dumps(door.sent[1].args)


async def test_streamed_reasoning_details_go_back_too(door: Door) -> None:
    detail = {"type": "reasoning_detail", "detail": SIGNED}
    first = stream_answer(
        {"type": "reasoning_start", "format": "anthropic"},
        {"type": "reasoning", "reasoning": "First."},
        detail, LINE, {**USAGE, "finish_reason": "tool_calls"},
    )  # fmt: skip
    second = stream_answer({"type": "text", "text": "done"}, USAGE)
    _, message, result = await rounds(door, OPUS, first, second, stream=True)
    assert message["reasoning_details"] == [SIGNED]
    assert result["role"] == "tool"


async def test_a_chunk_has_the_detail(door: Door) -> None:
    door.answers(
        stream_answer(
            {"type": "reasoning_detail", "detail": SIGNED}, {"type": "text", "text": "x"}, USAGE
        )
    )
    stream = await door(door.client(), "chat", "Hi", stream=True)
    detail, *_ = await chunks(stream)
    assert (detail.type, detail.reasoning_detail, detail) == ("reasoning_detail", SIGNED, "")
    assert stream.reply.reasoning_details == (SIGNED,)


async def test_native_thoughts_go_back_as_they_came(door: Door) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}}
    first = chat_body(message={"content": [SIGNED, use], "stop_reason": "tool_use"},
                      metadata={"service_used": "claude"})  # fmt: skip
    _, call, result = await rounds(door, OPUS, first, normalised())
    assert call == {"role": "assistant", "content": [SIGNED, use]}
    assert result["role"] == "tool"


async def test_native_thoughts_of_a_plain_answer_go_back_too(door: Door) -> None:
    said = [SIGNED, REDACTED, {"type": "text", "text": "One."}]
    unsigned = {"type": "thinking", "thinking": "Hm."}
    door.answers(
        chat_body(message={"content": [unsigned, *said]}, metadata={"service_used": "claude"}),
        chat_body("Two."),
    )
    ai = door.client()
    reply = await door(ai, "chat", "Hi", OPUS)
    assert reply.reasoning_details == (SIGNED, REDACTED)
    await door(ai, "chat", "And?", OPUS)
    assert door.sent[1].args["messages"][1] == {"role": "assistant", "content": said}


@pytest.mark.parametrize(
    ("model", "details", "then", "kept"),
    [
        (OPUS, [SIGNED], OPUS, True),
        (OPUS, [SIGNED], SONNET, False),
        (OPUS, [SIGNED], "gpt-4.1", False),
        (OPUS, [SIGNED], "gpt-5-pro", False),
        ("gpt-5-pro", [ENCRYPTED], "gpt-5-pro", True),
        ("gpt-5-pro", [ENCRYPTED], OPUS, False),
        ("gpt-5-pro", [ENCRYPTED], "gpt-4.1", False),
    ],
)
async def test_reasoning_goes_to_its_own_model_alone(
    door: Door, model: str, details: list[Any], then: str, kept: bool
) -> None:
    metadata = {"service_used": "claude" if model == OPUS else "openai-completion"}
    first = chat_body("One.", message={"reasoning_details": details}, metadata=metadata)
    door.answers(first, chat_body("Two."))
    ai = door.client()
    await door(ai, "chat", "Hi", model)
    await door(ai, "chat", "And?", then)
    said = door.sent[1].args["messages"][1]
    assert said.pop("reasoning_details", None) == (details if kept else None)
    assert said == {"role": "assistant", "content": "One."}


async def test_native_thoughts_do_not_reach_another_model(door: Door) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}}
    first = chat_body(message={"content": [SIGNED, use], "stop_reason": "tool_use"},
                      metadata={"service_used": "claude"})  # fmt: skip
    for then in (SONNET, "gpt-4.1", "gpt-5-pro", "mistral-small-2603"):
        door.sent.clear()
        door.answers(first, normalised("done"), chat_body("Two."))
        ai = door.client()
        await door(ai, "chat", "Hi", OPUS, tools=[look])
        await door(ai, "chat", "And?", then)
        assert "c2ln" not in json.dumps(door.sent[2].args)


async def test_reasoning_of_a_fallback_goes_to_its_own_vendor(door: Door) -> None:
    details = [{"type": "reasoning.text", "text": "Hm.", "format": "anthropic-claude-v1"}]
    first = chat_body(
        "One.", message={"reasoning_details": details}, metadata={"service_used": "openrouter"}
    )
    door.answers(first, chat_body("Two."))
    ai = door.client()
    await door(ai, "chat", "Hi", OPUS)
    await door(ai, "chat", "And?", OPUS)
    assert "reasoning_details" not in door.sent[1].args["messages"][1]
    await door(ai, "chat", "And?", OPUS, provider="openrouter")
    assert door.sent[2].args["messages"][1]["reasoning_details"] == details


@pytest.mark.parametrize(
    ("compaction", "model", "kept_by"),
    [
        ({"type": "compaction", "encrypted_content": "Q2w="}, OPUS, {OPUS, SONNET}),
        (
            {"type": "compaction", "id": "cmp_1", "encrypted_content": "T3A="},
            "gpt-5-pro",
            {"gpt-5-pro"},
        ),
    ],
)
async def test_a_compacted_conversation_goes_to_its_own_vendor(
    door: Door, compaction: dict[str, Any], model: str, kept_by: set[str]
) -> None:
    for then in (OPUS, SONNET, "gpt-5-pro", "gpt-4.1", "mistral-small-2603", "grok-4.5"):
        door.sent.clear()
        service = {"service_used": "claude" if model == OPUS else "azure-openai"}
        door.answers(chat_body("One.", compaction=compaction, metadata=service), chat_body("Two."))
        ai = door.client()
        await door(ai, "chat", "Hi", model)
        await door(ai, "chat", "And?", then)
        sent = [one for one in door.sent[1].args["messages"] if one.get("type") == "compaction"]
        assert sent == ([compaction] if then in kept_by else []), then


async def test_a_saved_conversation_keeps_whose_reasoning_it_holds(
    door: Door, tmp_path: Any
) -> None:
    door.answers(normalised("One.", reasoning_details=[SIGNED]), chat_body("Two."))
    ai = door.client()
    talk: Any = ai.conversation()
    await door(talk, "chat", "Hi", OPUS)
    loaded: Any = ai.load_conversation(talk.save(tmp_path / "talk.json"))
    await door(loaded, "chat", "And?", OPUS)
    assert door.sent[1].args["messages"][1]["reasoning_details"] == [SIGNED]
    await door(loaded, "chat", "And?", SONNET)
    assert "c2ln" not in json.dumps(door.sent[2].args)


@pytest.mark.parametrize("plain", [False, True])
async def test_a_resumed_turn_sends_the_reasoning_of_its_open_call(door: Door, plain: bool) -> None:
    door.answers(normalised(None, reasoning_details=[SIGNED], tool_calls=[CALL]), normalised())
    ai = door.client()
    reply = await door(ai, "chat", "Hi", OPUS, tools=[look], run_tools=False)
    left: Any = json.loads(json.dumps(reply.to_dict())) if plain else reply
    await door(ai, "chat", model=OPUS, resume=left, tool_results={"toolu_1": "seen"})
    _, message, result = door.sent[1].args["messages"]
    assert message["reasoning_details"] == [SIGNED]
    assert message["content"][0]["input"] == {"at": 1}
    assert result["content"] == "seen"


def test_reasoning_of_hand_written_messages_stays_where_it_belongs() -> None:
    said = {"role": "assistant", "content": "x", "reasoning_details": [SIGNED]}
    plain = [{"role": "assistant", "content": "x"}]
    assert BASE.encode_messages([said], "claude", OPUS) == [said]
    assert BASE.encode_messages([said], "mistral", "m") == plain
    echo = {"role": "assistant", "content": None, "tool_calls": [CALL],
            "reasoning_details": [SIGNED]}  # fmt: skip
    (first,) = BASE.encode_messages([echo], "claude", OPUS)
    assert first["reasoning_details"] == [SIGNED]


@pytest.mark.parametrize(
    ("model", "served", "details"),
    [
        ("gpt-6-nano", "openai-responses", [ENCRYPTED]),
        ("gpt-5-nano", "openai-responses", [ENCRYPTED]),
        ("gpt-5-nano", "azure-openai-responses", [ENCRYPTED]),
        ("gemini-9", "gemini", [{"type": "thought", "data": "x"}]),
        ("openrouter:new/model", "openrouter", [{"type": "reasoning.text", "text": "x"}]),
        ("claude-new", "claude", [SIGNED]),
    ],
)
async def test_reasoning_goes_back_whatever_the_registry_knows(
    door: Door, model: str, served: str, details: list[Any]
) -> None:
    first = chat_body(
        None,
        message={"reasoning_details": details, "tool_calls": [CALL]},
        metadata={"service_used": served},
    )
    _, message, _result = await rounds(door, model, first, chat_body("done"))
    assert message["reasoning_details"] == details


@pytest.mark.parametrize(
    ("model", "served"),
    [
        ("gpt-6-nano", "gpt-6-nano"),
        (OPUS, "openrouter:anthropic/claude-opus-4.6"),
        ("gpt-4.1", "gpt-4.1-2025-04-14"),
    ],
)
@pytest.mark.parametrize("own", [None, "gpt-4o"])
async def test_a_turn_is_resumed_with_its_model(
    door: Door, model: str, served: str, own: str | None
) -> None:
    first = chat_body(None, message={"tool_calls": [CALL]}, metadata={"providerUsed": served})
    door.answers(first, (503, error_body("no", "internal_error")), chat_body("done"))
    ai = door.client()
    talk: Any = ai.conversation(model=own)
    reply = await door(talk, "chat", "Hi", model, tools=[look], run_tools=False)
    assert reply.requested_model == model
    left = json.loads(json.dumps(reply.to_dict()))
    with pytest.raises(puter.PuterServerError) as caught:
        await door(talk, "chat", resume=left, tools=[look])
    assert await door(talk, "chat", resume=caught.value.partial, tools=[look]) == "done"
    assert [one.args["model"] for one in door.sent] == [model] * 3


async def test_reasoning_stays_first_when_the_first_call_stays_open(door: Door) -> None:
    class Unpaid(puter.PuterError):
        pass

    paid = iter([Unpaid("no"), None])

    def pay(at: int) -> str:
        """Pay."""
        if error := next(paid):
            raise error
        return f"paid {at}"

    other = {"id": "toolu_2", "type": "function",
             "function": {"name": "look", "arguments": '{"at": 2}'}}  # fmt: skip
    first = {**CALL, "function": {"name": "pay", "arguments": '{"at": 1}'}}
    door.answers(
        normalised(None, reasoning_details=[SIGNED], tool_calls=[first, other]), normalised()
    )
    ai = door.client()
    tools = [pay, look]

    def careful(call: ToolCall) -> bool:
        return call.name == "pay"  # so that the other call is answered although it is not run

    with pytest.raises(Unpaid) as caught:
        await door(ai, "chat", "Hi", OPUS, tools=tools, raise_tool_errors=Unpaid,
                   before_tool=careful)  # fmt: skip
    await door(ai, "chat", resume=caught.value.partial, tools=tools)
    kept = [("reasoning_details" in one, one["role"]) for one in door.sent[1].args["messages"]]
    assert kept == [
        (False, "user"), (True, "assistant"), (False, "tool"), (False, "assistant"),
        (False, "tool"),
    ]  # fmt: skip


# ------------------------------------------------------------ late instructions


LATE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": "And?"},
]


@pytest.mark.parametrize(
    ("model", "roles", "first"),
    [
        (OPUS, ["system", "user", "assistant", "user"], "Be brief.\n\nBe kind."),
        ("gpt-4.1", ["system", "user", "assistant", "developer", "user"], "Be brief."),
        ("gpt-5-pro", ["system", "user", "assistant", "developer", "user"], "Be brief."),
        ("grok-4.5", ["system", "user", "assistant", "system", "user"], "Be brief."),
        ("mistral-small-2603", ["system", "user", "assistant", "system", "user"], "Be brief."),
    ],
)
async def test_late_instructions_are_put_where_the_route_keeps_them(
    door: Door, model: str, roles: list[str], first: str
) -> None:
    await door(door.client(), "chat", model=model, messages=LATE)
    sent = door.sent[0].args["messages"]
    assert [one["role"] for one in sent] == roles
    assert sent[0]["content"] == first


async def test_instructions_in_parts_are_kept_in_parts(door: Door) -> None:
    parts = [{"type": "text", "text": "Be kind."}]
    late = [*LATE[:3], {"role": "system", "content": parts}, LATE[4]]
    await door(door.client(), "chat", model=OPUS, messages=late, system="Be just.")
    first = door.sent[0].args["messages"][0]
    assert [one["text"] for one in first["content"]] == ["Be just.", "Be brief.", "Be kind."]


# ------------------------------------------------------------ errors


def failed(status: int, code: str | None, **more: Any) -> Any:
    return status, error_body("no", code, **more)


@pytest.mark.parametrize(
    ("answer", "kind", "code", "told"),
    [
        (failed(429, "too_many_requests", errorCode="credits_reserved"),
         puter.PuterRateLimitError, "credits_reserved", "still run"),
        (failed(503, "upstream_credits_exhausted"),
         puter.PuterUpstreamError, "upstream_credits_exhausted", "another model"),
        (failed(504, "upstream_timeout"), puter.PuterUpstreamError, "upstream_timeout",
         "took too long"),
        (failed(502, "upstream_failed"), puter.PuterUpstreamError, "upstream_failed",
         "another model"),
        (failed(403, "reputation_required"), puter.PuterPermissionError, "reputation_required",
         "trust"),
        (failed(403, "two_factor_required"), puter.PuterPermissionError, "two_factor_required",
         "two-factor"),
        (failed(400, "upstream_bad_request", errorCode="invalid_request_error"),
         puter.PuterBadRequestError, "upstream_bad_request", "vendor refused"),
        (failed(400, "upstream_provider_unavailable", errorCode="overloaded_error"),
         puter.PuterUpstreamError, "upstream_provider_unavailable", "down"),
        (failed(402, "insufficient_funds"), puter.PuterInsufficientFundsError,
         "insufficient_funds", "hold.*max_tokens"),
        (failed(400, None, errorCode="somebodys_slug"), puter.PuterBadRequestError,
         "somebodys_slug", "Check the arguments"),
    ],
)  # fmt: skip
async def test_errors_of_newer_servers(
    door: Door, answer: Any, kind: type[puter.PuterError], code: str, told: str
) -> None:
    door.answers(answer)
    with pytest.raises(puter.PuterError, match=told) as caught:
        await door(door.client(max_retries=0), "chat", "Hi")
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert len(door.sent) == 1


async def test_chats_are_not_repeated_after_the_vendors_timeout_or_outage(door: Door) -> None:
    for status, code in ((503, "upstream_credits_exhausted"), (504, "upstream_timeout")):
        door.sent.clear()
        door.answers(failed(status, code))
        with pytest.raises(puter.PuterUpstreamError):
            await door(door.client(), "chat", "Hi")
        assert len(door.sent) == 1


async def test_the_body_says_how_long_to_wait(door: Door) -> None:
    door.answers(failed(429, "upstream_rate_limited", retryAfter=0.01), chat_body())
    assert await door(door.client(), "chat", "Hi") == "Hello!"
    door.answers(failed(429, "upstream_rate_limited", retryAfter=3600))
    with pytest.raises(puter.PuterRateLimitError) as caught:
        await door(door.client(), "chat", "Hi")
    assert caught.value.retry_after == 3600


@pytest.mark.parametrize("value", [True, "5", -1, 0, None, 1e300, {}])
async def test_a_wait_that_is_none_is_not_read(door: Door, value: Any) -> None:
    door.answers(failed(429, "upstream_rate_limited", retryAfter=value))
    with pytest.raises(puter.PuterRateLimitError) as caught:
        await door(door.client(max_retries=0), "chat", "Hi")
    assert caught.value.retry_after is None


async def test_money_held_by_running_calls_is_waited_for(door: Door) -> None:
    held = failed(429, "too_many_requests", errorCode="credits_reserved")
    door.answers(*[held] * 9, chat_body())
    ai = door.client()  # more often than max_retries
    assert (await door(ai, "chat", "Hi")).attempts == 10
    assert ai._throttle.max_concurrency == 3
    door.answers(held)
    with pytest.raises(puter.PuterRateLimitError):
        await door(door.client(retry_delay=30, deadline=10), "chat", "Hi")


async def test_the_failure_of_all_routes_tells_the_first(door: Door) -> None:
    tried = [{"model": "m", "provider": "p", "error": "messages is not iterable"}]
    door.answers((500, error_body("All providers failed", "internal_error", attempts=tried)))
    with pytest.raises(puter.PuterServerError, match="failed: messages is not iterable"):
        await door(door.client(), "chat", "Hi")


async def test_a_prompt_longer_than_any_answer_explains_the_402(door: Door) -> None:
    door.answers(failed(402, "insufficient_funds"))
    with pytest.raises(puter.PuterInsufficientFundsError, match="longer than the 4,096"):
        await door(door.client(), "chat", "word " * 20_000, "allam-2-7b")
    with pytest.raises(puter.PuterInsufficientFundsError) as caught:
        await door(door.client(), "chat", "Hi", "allam-2-7b")
    assert "longer than" not in caught.value.hint


async def test_an_older_server_that_cannot_search_for_claude_is_explained(door: Door) -> None:
    door.answers((500, error_body("All providers failed", "internal_error")))
    with pytest.raises(puter.PuterServerError, match="Older servers"):
        await door(door.client(), "chat", "Hi", OPUS, web_search=True)


# ------------------------------------------------------------ error lines


def error_line(status: int | None = None, code: str | None = None, **more: Any) -> dict[str, Any]:
    told = {"status": status, "code": code}
    given = {name: value for name, value in told.items() if value is not None}
    return {"type": "error", "message": "Overloaded", **given, **more}


@pytest.mark.parametrize(
    ("line", "over_http"),
    [
        (error_line(529, "overloaded_error"), (400, "upstream_provider_unavailable")),
        (error_line(500), (400, "upstream_provider_unavailable")),
        (error_line(504, "timeout"), (504, "upstream_timeout")),
        (error_line(401, "authentication_error"), (500, "upstream_auth_failed")),
        (error_line(404, "not_found_error"), (400, "upstream_bad_request")),
        (error_line(402, "insufficient_funds"), (402, "insufficient_funds")),
        (error_line(503, "upstream_credits_exhausted"), (503, "upstream_credits_exhausted")),
    ],
)
async def test_an_error_in_the_first_line_is_what_it_would_be_over_http(
    door: Door, line: dict[str, Any], over_http: tuple[int, str]
) -> None:
    door.answers(stream_answer(line))
    with pytest.raises(puter.PuterAPIError) as streamed:
        await until_done(await door(door.client(), "chat", "Hi", stream=True))
    door.answers((over_http[0], error_body("Overloaded", over_http[1])))
    with pytest.raises(puter.PuterAPIError) as whole:
        await door(door.client(), "chat", "Hi")
    assert type(streamed.value) is type(whole.value)
    for name in ("status", "code", "hint", "retryable", "message", "attempts"):
        assert getattr(streamed.value, name) == getattr(whole.value, name), name
    assert len(door.sent) == 2


@pytest.mark.parametrize(
    "line",
    [
        error_line(429, "rate_limit_error"),
        error_line(429, "too_many_requests"),
        error_line(None, None, message='429 {"type":"error","error":{"message":"slow"}}'),
    ],
)
async def test_a_429_before_anything_else_is_waited_out(door: Door, line: dict[str, Any]) -> None:
    hello = stream_answer({"type": "text", "text": "Hello!"}, USAGE)
    door.answers(stream_answer(line), stream_answer(line), hello)
    ai = door.client()
    reply = await until_done(await door(ai, "chat", "Hi", stream=True))
    assert (reply, reply.attempts, len(door.sent)) == ("Hello!", 3, 3)
    assert ai._throttle.running == 0
    assert len(ai.chat_history) == 2


async def test_a_429_after_text_is_not_repeated(door: Door) -> None:
    door.answers(stream_answer({"type": "text", "text": "Hel"}, error_line(429, "rate_limit")))
    with pytest.raises(puter.PuterStreamError) as caught:
        await until_done(await door(door.client(), "chat", "Hi", stream=True))
    error = caught.value
    assert (error.status, error.code, error.retryable) == (429, "rate_limit", True)
    assert error.partial is not None
    assert error.partial.text == "Hel"
    assert len(door.sent) == 1


async def test_a_stream_closed_while_it_waits_sends_nothing_more(door: Door) -> None:
    door.answers(
        stream_answer(error_line(429)), stream_answer({"type": "text", "text": "x"}, USAGE)
    )
    ai = door.client()
    stream = await door(ai, "chat", "Hi", stream=True)
    await shut(stream)
    assert len(door.sent) == 1
    assert ai._throttle.running == 0


# ------------------------------------------------------------ .partial of a stream


async def test_partial_is_there_at_any_time(door: Door) -> None:
    lines_ = [{"type": "text", "text": text} for text in ("Hel", "lo")]
    door.answers(stream_answer(lines(lines_[0]), lines(lines_[1]), USAGE))
    ai = door.client()
    stream = await door(ai, "chat", "Hi", stream=True)
    assert stream.partial == ""
    await step(stream)
    assert (stream.partial, stream.partial.finish_reason) == ("Hel", "incomplete")
    await shut(stream)
    assert (stream.partial, stream.partial.cost) == ("Hel", None)
    assert [one["role"] for one in stream.partial.messages] == ["user", "assistant"]
    with pytest.raises(puter.PuterError, match=r"\.partial has what came"):
        _ = stream.reply
    assert ai.chat_history == []
    door.answers(stream_answer({"type": "text", "text": "Hello!"}, USAGE))
    resumed = await door(ai, "chat", resume=stream.partial, stream=True)
    assert await until_done(resumed) == resumed.partial == "Hello!"
    assert resumed.partial is resumed.reply


async def test_partial_of_a_tool_turn_has_its_rounds(door: Door) -> None:
    door.answers(
        stream_answer(LINE, USAGE), stream_answer({"type": "text", "text": "do"}, b"", USAGE)
    )
    stream = await door(door.client(), "chat", "Hi", tools=[look], stream=True)
    while await step(stream) != "do":
        pass
    await shut(stream)
    partial = stream.partial
    assert partial == "do"
    assert [one["role"] for one in partial.messages] == ["user", "assistant", "tool", "assistant"]
    assert partial.usage.input_tokens == 31


def test_a_tool_call_keeps_what_belongs_beside_it() -> None:
    from puter.wire.messages import call_message, with_reasoning

    call = with_reasoning(ToolCall("1", "look"), {"reasoning_details": [SIGNED], "content": "x"})
    message = call_message(call)
    assert message["reasoning_details"] == [SIGNED]
    assert "message" not in message["content"][0]


# ------------------------------------------------------------ what came with an answer


@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_has_the_headers_and_the_servers_name_of_the_request(
    door: Door, stream: bool
) -> None:
    name: Any = {"X-Request-Id": "req_1"}
    text = {"type": "text", "text": "x"}
    door.answers(stream_answer(text, USAGE, **name) if stream else json_answer(chat_body(), **name))
    reply = await door(door.client(), "chat", "Hi", stream=stream)
    if stream:
        reply = await until_done(reply)
    assert reply.request_id == reply.headers["x-request-id"] == "req_1"


async def test_an_error_that_a_stream_tells_first_has_the_hint_of_the_call(door: Door) -> None:
    line = {"type": "error", "message": "Model not found: gpt-nano", "status": 400,
            "code": "bad_request"}  # fmt: skip
    door.answers(stream_answer(line))
    with pytest.raises(puter.PuterModelNotFoundError, match="gpt-5-nano"):
        await until_done(await door(door.client(), "chat", "Hi", "gpt-nano", stream=True))
    assert len(door.sent) == 1
