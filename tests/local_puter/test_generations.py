"""What the two generations of the server make of the same chat, and what vendors refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from puter.testing import Gate, LocalPuter, Reply, StreamEnd, StreamError, UpstreamFailure
from puter.testing.messages import for_vendor, normalize
from tests.local_puter.support import Caller, error_of
from tests.local_puter.test_streams import lines, streaming, text_of

if TYPE_CHECKING:
    import requests

    from puter.testing import ChatCall

OPENAI, RESPONSES, CLAUDE, MISTRAL = (
    "gpt-4.1",
    "gpt-5-pro",
    "claude-sonnet-4-5",
    "mistral-small-2603",
)
DATED = "claude-opus-5-5"  # released since answers have OpenAI's form
WEATHER = {"name": "get_weather", "arguments": {"city": "Paris"}}
TOOL = {"name": "get_weather", "description": "", "parameters": {"properties": {"city": {}}}}
CLOCK = {"name": "clock", "description": "", "parameters": {}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
URL = "data:image/png;base64,AA=="
PICTURE = {"type": "image_url", "image_url": {"url": URL}}


def chat_of(caller: Caller, *messages: Any, **args: Any) -> ChatCall:
    """A chat that succeeds, as its vendor got it."""
    caller.puter.clear_requests()
    caller.answer(*messages, **args)
    (record,) = caller.puter.chats
    assert record.chat is not None
    return record.chat


def always(caller: Caller, reply: Reply) -> None:
    def responder(call: ChatCall) -> Reply:
        del call
        return reply

    caller.puter.respond(responder)


def refused(caller: Caller, *messages: Any, **args: Any) -> str:
    """Why a chat fails: what the first attempt says, else the answer itself."""
    response = caller.chat(*messages, **args)
    assert response.status_code >= 400, response.text
    body = response.json()
    return str(body.get("attempts", [body])[0]["error"])


# --- options -------------------------------------------------------------------------------------

AUTO, ANY = {"type": "auto"}, {"type": "any"}
NAMED = {"type": "tool", "name": "clock"}
OF_CHAT = {"type": "function", "function": {"name": "clock"}}
OF_RESPONSES = {"type": "function", "name": "clock"}
CHOICES: list[tuple[str, str, Any, Any]] = [
    ("caller", OPENAI, "required", ANY),
    ("caller", OPENAI, OF_CHAT, NAMED),
    ("caller", OPENAI, NAMED, NAMED),
    ("caller", OPENAI, OF_RESPONSES, None),
    ("caller", RESPONSES, OF_CHAT, NAMED),
    ("caller", RESPONSES, OF_RESPONSES, None),
    ("caller", CLAUDE, ANY, ANY),
    ("caller", CLAUDE, {"type": "made up"}, None),
    ("caller", "muse-spark-1.2", "required", None),
    ("caller", "muse-spark-1.2", "auto", AUTO),
    ("caller", MISTRAL, "required", None),
    ("caller", "grok-4.5", "required", None),
    ("older", OPENAI, "required", None),
    ("older", CLAUDE, ANY, None),
    ("older", "glm-5.1", OF_CHAT, NAMED),
    ("older", "glm-5.1", NAMED, None),
    ("older", RESPONSES, OF_RESPONSES, NAMED),
    ("older", RESPONSES, OF_CHAT, None),
]


@pytest.mark.parametrize(("who", "model", "given", "told"), CHOICES)
def test_tool_choice(
    who: str, model: str, given: Any, told: Any, request: pytest.FixtureRequest
) -> None:
    caller: Caller = request.getfixturevalue(who)
    call = chat_of(caller, "hi", model=model, tools=[TOOL, CLOCK], tool_choice=given)
    assert call.upstream_options.get("tool_choice") == told
    call = chat_of(caller, "hi", model=model, tool_choice=given)
    assert "tool_choice" not in call.upstream_options  # only beside tools


def test_the_partner_does_as_it_is_told(caller: Caller) -> None:
    def called(**args: Any) -> list[str]:
        message = caller.answer("What is the weather?", tools=[CLOCK, TOOL], **args)["message"]
        return [call["function"]["name"] for call in message.get("tool_calls", ())]

    assert called() == called(tool_choice="required") == ["get_weather"]
    assert called(tool_choice="none") == []
    assert called(tool_choice=OF_CHAT) == ["clock"]
    assert caller.answer("hm", tools=[CLOCK], tool_choice="required")["message"]["tool_calls"]
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    typed = {"type": "json_schema", "name": "x", "schema": schema}
    assert caller.text("It is 5.", outputFormat=typed) == '{"n": 5}'


def test_stop_sequences(caller: Caller, older: Caller) -> None:
    args = {"stopSequences": ["b", "read: a"]}
    stopped = caller.answer("a b", model=CLAUDE, **args)
    assert stopped["message"]["content"][0]["text"].endswith("claude-sonnet-4-5-20250929, ")
    assert (stopped["stopReason"], stopped["stopSequence"]) == ("stop_sequence", "read: a")
    assert caller.answer("a b", **args)["finish_reason"] == "stop"
    assert caller.text("a b", **args).endswith("gpt-4.1, ")
    assert caller.text("a b", model=RESPONSES, **args).endswith("read: a b")
    assert older.text("a b", **args).endswith("read: a b")


def test_which_options_reach_the_vendor(caller: Caller, older: Caller) -> None:
    args: dict[str, Any] = {
        "temperature": 1, "top_p": 0.5, "topK": 4, "reasoning_effort": "low", "outputFormat": {},
        "thinking": {"type": "adaptive"}, "max_tokens": 9, "tools": [TOOL], "response_format": {},
        "parallel_tool_calls": True,
    }  # fmt: skip

    def read(who: Caller, model: str) -> set[str]:
        return chat_of(who, "hi", **args, model=model).upstream_options.keys() - {"max_tokens"}

    several = {"top_p", "parallel_tool_calls"}
    everything = {"temperature", "reasoning_effort", "outputFormat", *several}
    assert read(caller, OPENAI) == read(caller, "gpt-5-nano") == everything
    assert read(caller, CLAUDE) == everything | {"topK", "thinking"}
    assert read(caller, "claude-opus-5") == everything - {"temperature", "top_p"} | {
        "topK",
        "thinking",
    }
    assert read(caller, "deepseek-r1") == everything | {"topK"}
    assert read(caller, RESPONSES) == everything - {"temperature"}
    assert read(caller, MISTRAL) == read(older, MISTRAL) == {"temperature"}
    assert read(older, OPENAI) == {"temperature", "reasoning_effort"}
    assert read(older, "gpt-5-nano") == {"temperature"}
    assert read(older, CLAUDE) == {"temperature", "reasoning_effort", "parallel_tool_calls"}
    assert read(older, "glm-5.1") == {"temperature", *several}
    assert read(older, RESPONSES) == several
    assert chat_of(older, "hi", model=CLAUDE).upstream_options == {"temperature": 0}


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt", "background"])
def test_what_would_need_a_state_at_the_vendor(name: str, caller: Caller, older: Caller) -> None:
    answer = (400, "bad_request", f"`{name}` is not supported")
    assert error_of(caller.chat(**{name: "x"})) == answer
    assert older.chat(**{name: "x"}).status_code == 200


def test_test_mode(caller: Caller) -> None:
    body = caller.chat(test_mode=True).json()
    assert body["metadata"]["service_used"] == "fake-chat"
    assert body["result"]["usage"]["usd_cents"] is None
    assert caller.text("2+2", test_mode=1) == "2 + 2 = 4"


# --- messages ------------------------------------------------------------------------------------


def test_later_system_messages_of_claude(caller: Caller, older: Caller) -> None:
    given = [{"role": "system", "content": "a"}, "hi", {"role": "system", "content": "b"}, "there"]
    for who, heard in ((caller, ["a", "hi", "b", "there"]), (older, ["a", "hi", "there"])):
        call = chat_of(who, *given, model=CLAUDE)
        assert [one["content"][0]["text"] for one in call.heard] == heard
        assert len(chat_of(who, *given).heard) == 4


def test_pictures_by_family(caller: Caller, older: Caller) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "AA=="}
    native, own = {"type": "image", "source": source}, {"type": "image_url", "imageUrl": URL}

    def sent(who: Caller, part: Any, model: str) -> Any:
        message = {"role": "user", "content": [part]}
        return chat_of(who, message, model=model).upstream_messages[0]["content"]

    for part in (PICTURE, native, {"type": "input_image", "image_url": URL}):
        assert sent(caller, part, OPENAI) == [PICTURE]
        assert sent(caller, part, CLAUDE) == [native]
        assert sent(caller, part, RESPONSES) == [{"type": "input_image", "image_url": URL}]
    linked = {"type": "image_url", "image_url": {"url": "https://x.org/a.png"}}
    assert sent(caller, linked, CLAUDE)[0]["source"] == {
        "type": "url",
        "url": "https://x.org/a.png",
    }
    film = {"type": "video_url", "video_url": {"url": "https://x.org/a.mp4"}}
    messages = normalize([{"content": [film]}])
    assert "unsupported" in for_vendor("claude", messages, newer=True)[0]["content"][0]["text"]
    assert sent(older, native, CLAUDE) == [native]
    assert "image_url" in refused(older, {"content": [PICTURE]}, model=CLAUDE)
    assert "'image'" in refused(older, {"content": [native]})
    for who in (caller, older):
        assert sent(who, own, MISTRAL) == [own]
        failed = refused(who, {"content": [PICTURE]}, model=MISTRAL)
        assert failed == "Input validation failed"


def test_pictures_for_those_who_see_none(caller: Caller, older: Caller) -> None:
    blind = {"model": "codestral-2508"}
    answer = (400, "bad_request", "Model codestral-2508 does not support image input")
    assert error_of(caller.chat({"content": [PICTURE]}, **blind)) == answer
    assert older.chat({"content": [PICTURE]}, **blind).json()["code"] == "internal_error"
    file = {"type": "document", "source": {"type": "file", "file_id": "f"}}
    assert error_of(caller.chat({"content": [file]}, model=CLAUDE))[:2] == (400, "bad_request")


def test_web_search(caller: Caller, older: Caller) -> None:
    tools = [{"type": "web_search"}]
    assert caller.chat("hi", model=CLAUDE, tools=tools).status_code == 200
    assert error_of(older.chat("hi", model=CLAUDE, tools=tools))[0] == 500
    for who in (caller, older):
        assert refused(who, "hi", model=MISTRAL, tools=tools) == "Input validation failed"


@pytest.mark.parametrize("who", ["caller", "older"])
def test_what_vendors_refuse(who: str, request: pytest.FixtureRequest) -> None:
    caller: Caller = request.getfixturevalue(who)
    text = [{"type": "text", "text": "x"}]
    for model in (OPENAI, RESPONSES, CLAUDE, MISTRAL):
        assert "usr" in refused(caller, {"role": "usr", "content": "hi"}, model=model)
    assert "developer" in refused(caller, {"role": "developer", "content": "x"}, model=CLAUDE)
    assert "hgih" in refused(caller, "hi", model="o3", reasoning_effort="hgih")
    foreign = {"role": "assistant", "content": [THOUGHT, *text]}
    assert caller.chat("hi", foreign, "so?", model=CLAUDE).status_code == 200
    assert "'thinking'" in refused(caller, "hi", foreign, "so?")
    summary = {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}
    assert caller.chat(summary, "so?", model=RESPONSES).status_code == 200
    assert "compaction" in refused(caller, summary, "so?")
    assert "cmp_1" in refused(caller, summary, "so?", model=CLAUDE)


def test_details_of_thoughts_on_their_way(caller: Caller, older: Caller) -> None:
    use = {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {}}
    about: dict[str, Any] = {"reasoning_details": [THOUGHT], "reasoning": "H"}
    said = {"role": "assistant", "content": [use], **about}
    told = {"role": "tool", "tool_call_id": "c1", "content": "20"}
    item = {"type": "reasoning", "id": "rs_1", "encrypted_content": "ZW5j", "summary": []}
    claude = chat_of(caller, "hi", said, told, model=CLAUDE).upstream_messages
    assert claude[1] == {"role": "assistant", "content": [THOUGHT, use]}
    ours = {**said, "reasoning_details": [item]}
    responses = chat_of(caller, "hi", ours, told, model=RESPONSES).upstream_messages
    assert [one.get("type") for one in responses[1:]] == [
        "reasoning",
        "function_call",
        "function_call_output",
    ]
    assert chat_of(older, "hi", said, told, model=CLAUDE).upstream_messages[1]["content"] == [use]
    # A chat-completions route passes on what another family's model thought: tests see it.
    text = {**said, "content": "so"}
    assert chat_of(caller, "hi", text, "and?").upstream_messages[1]["reasoning_details"]


def test_all_calls_of_a_message_reach_responses(caller: Caller, older: Caller) -> None:
    uses = [{"type": "tool_use", "id": f"c{n}", "name": "f", "input": {}} for n in (1, 2)]
    messages = ["hi", {"role": "assistant", "content": uses}]
    for who, ids in ((caller, ["c1", "c2"]), (older, ["c2"])):
        sent = chat_of(who, *messages, model=RESPONSES).upstream_messages
        assert [one["call_id"] for one in sent[1:]] == ids


@pytest.mark.parametrize("stream", [False, True])
def test_signed_thoughts_have_to_come_back(stream: bool, caller: Caller) -> None:
    reply = Reply(reasoning="Hm.", signed=True, tool_calls=[WEATHER, WEATHER])
    caller.puter.reply_with(reply)
    args: dict[str, Any] = {"model": CLAUDE, "tools": [TOOL], "parallel_tool_calls": True}
    if stream:
        answer = lines(caller, "hi", **args)
        ids = [line["id"] for line in answer if line["type"] == "tool_use"]
        details = [line["detail"] for line in answer if line["type"] == "reasoning_detail"]
    else:
        message = caller.answer("hi", normalize=True, **args)["message"]
        ids = [call["id"] for call in message["tool_calls"]]
        details = message["reasoning_details"]
    assert details == [THOUGHT]
    messages: list[Any] = []
    for one in ids:
        use = {"type": "tool_use", "id": one, "name": "f", "input": {}}
        messages.append({"role": "assistant", "content": [use]})
        messages.append({"role": "tool", "tool_call_id": one, "content": "20"})
    assert "Expected `thinking`" in refused(caller, "hi", *messages, **args)
    first, *rest = messages
    with_details = {**first, "reasoning_details": details}
    assert caller.chat("hi", with_details, *rest, **args).status_code == 200
    before = {"role": "assistant", "content": details}
    assert caller.chat("hi", before, first, *rest, **args).status_code == 200
    with_blocks = {**first, "content": [*details, *first["content"]]}
    assert caller.chat("hi", with_blocks, *rest, **args).status_code == 200


# --- answers -------------------------------------------------------------------------------------


def test_claude_in_openais_form(caller: Caller) -> None:
    redacted = {"type": "redacted_thinking", "data": "eHl6"}
    thoughts = [THOUGHT, {**THOUGHT, "thinking": "So."}, redacted]
    reply = Reply(reasoning="Hm. So.", reasoning_details=thoughts, tool_calls=[WEATHER])
    caller.puter.reply_with(reply, reply)
    result = caller.answer("hi", model=DATED)
    arguments = '{"city":"Paris"}'
    function = {"name": "get_weather", "arguments": arguments}
    assert result["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "reasoning": "Hm.\n\nSo.",
        "reasoning_details": thoughts,
        "tool_calls": [{"id": "toolu_1", "type": "function", "function": function}],
    }
    assert (result["finish_reason"], result["stopReason"]) == ("tool_calls", "tool_use")
    assert result["stopSequence"] is None
    assert result["normalized"] is True
    assert result["usageDetails"]["reasoningTokens"] == 2
    native = caller.answer("hi", model=DATED, normalize=False)
    assert native["message"]["content"][:3] == thoughts
    assert (native["finish_reason"], native["stopReason"]) == ("stop", "tool_use")
    assert "normalized" not in native


@pytest.mark.parametrize(
    ("model", "args", "in_openais"),
    [
        (CLAUDE, {}, False),
        (CLAUDE, {"normalize": True}, True),
        (CLAUDE, {"normalize": True, "response": {"normalize": True}}, True),
        (DATED, {}, True),
        (DATED, {"normalize": False}, False),
        (DATED, {"response": {"normalize": True}}, False),
        (OPENAI, {"normalize": True}, True),
        ("gpt-6", {}, True),  # "2026-09" is late enough
        (OPENAI, {}, False),
    ],
)
def test_who_gets_openais_form(caller: Caller, model: str, args: Any, in_openais: bool) -> None:
    result = caller.answer("hi", model=model, **args)
    assert result.get("normalized", False) is in_openais
    content = result["message"]["content"]
    assert isinstance(content, str) is (in_openais or model == OPENAI)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter")]
    + [(other, other) for other in ("pause_turn", "model_context_window_exceeded")],
)
def test_finish_reasons(caller: Caller, reason: str, finish: str) -> None:
    always(caller, Reply(text="x", finish_reason=reason))
    for model in (OPENAI, RESPONSES, CLAUDE):
        assert caller.answer("hi", model=model, normalize=True)["finish_reason"] == finish
        assert lines(caller, "hi", model=model)[-1]["finish_reason"] == finish


def test_thoughts_of_the_other_families(caller: Caller, older: Caller) -> None:
    reply = Reply(text="x", reasoning="Hm.")
    for who in (caller, older):
        always(who, reply)
    assert caller.answer("hi", model="deepseek-r1")["message"]["reasoning"] == "Hm."
    assert older.answer("hi", model="deepseek-r1")["message"]["reasoning_content"] == "Hm."
    for args in ({}, {"normalize": True}):
        message = caller.answer("hi", model=RESPONSES, **args)["message"]
        assert message["reasoning_details"][0]["encrypted_content"] == "ZW5j"
    assert "reasoning_details" not in older.answer("hi", model=RESPONSES)["message"]
    caller.puter.respond(None)
    assert "reasoning" not in caller.answer("hi", model=RESPONSES)["message"]
    assert older.answer("hi", model=RESPONSES, normalize=True)["finish_reason"] == "stop"


def test_mistral(caller: Caller, older: Caller) -> None:
    reply = Reply(text="Look:", reasoning="Hm.", tool_calls=[WEATHER])
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    for who in (caller, older):
        always(who, reply)
        result = who.answer("hi", model=MISTRAL)
        message = result["message"]
        assert (result["finishReason"], "finish_reason" in result) == ("tool_calls", False)
        assert message["content"] == [thought, {"type": "text", "text": "Look:"}]
        assert message["toolCalls"][0]["function"]["name"] == "get_weather"
        assert "tool_calls" not in message
    result = caller.answer("hi", model=MISTRAL, normalize=True)
    assert (result["finish_reason"], result["message"]["content"]) == ("tool_calls", "Look:")
    assert result["message"]["tool_calls"][0]["type"] == "function"
    assert lines(caller, "hi", model=MISTRAL)[0] == {"type": "reasoning", "reasoning": "Hm."}
    assert lines(older, "hi", model=MISTRAL)[0]["text"] == [thought]
    use = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    told = {"role": "tool", "tool_call_id": "c1", "content": "20"}
    messages = ["hi", {"role": "assistant", "content": [use]}, told]
    call, found = chat_of(caller, *messages, model=MISTRAL).upstream_messages[1:]
    assert (call["toolCalls"][0]["id"], found["toolCallId"]) == ("c1", "c1")


# --- streams -------------------------------------------------------------------------------------


def test_the_lines_of_a_thought(caller: Caller) -> None:
    always(caller, Reply(text="x", reasoning="Hm."))
    thought = {"type": "reasoning", "reasoning": "Hm."}
    detail = {"type": "reasoning_detail", "detail": THOUGHT}
    start = {"type": "reasoning_start", "format": "anthropic"}
    assert lines(caller, model=CLAUDE)[:3] == [start, thought, detail]
    assert lines(caller, model=RESPONSES)[1]["detail"]["type"] == "reasoning"
    assert [line["type"] for line in lines(caller)] == ["reasoning", "text", "usage"]


def test_the_last_line(caller: Caller) -> None:
    reply = Reply(text="x", finish_reason="length", usage_limited=True)
    caller.puter.reply_with(reply, Reply(text="x", no_usage=True), reply)
    last = lines(caller, model=CLAUDE)[-1]
    assert (last["stopReason"], last["finish_reason"]) == ("max_tokens", "length")
    assert last["stopDetails"] is last["stopSequence"] is None
    assert last["usageDetails"] == {"inputTokens": 5, "outputTokens": 1}
    assert last["metadata"] == {"usage_limited": True}
    bare = lines(caller)[-1]
    assert (bare["stopReason"], "usage" in bare) == ("stop", False)
    assert caller.chat().json()["metadata"]["usage_limited"] is True
    assert lines(caller, model="fake")[-1] == {"type": "usage", "usage": {"usd_cents": None}}


def test_arguments_in_pieces_and_unreadable_ones(caller: Caller) -> None:
    call = {"name": "f", "arguments": '{"a": 1}'}
    caller.puter.reply_with(
        Reply(tool_calls=[call]), Reply(tool_calls=[{**call, "arguments": "{"}])
    )
    start, *pieces, use, _ = lines(caller, streamToolInput=True)
    assert start == {"type": "tool_use_start", "id": "call_1", "name": "f"}
    assert "".join(piece["partialJson"] for piece in pieces) == '{"a": 1}'
    assert use["input"] == {"a": 1}
    assert lines(caller)[0]["input"] == {}


def test_failures_in_streams(caller: Caller, older: Caller) -> None:
    overloaded = StreamError("Overloaded", status=529, code="overloaded_error", reply="a b")
    for who in (caller, older):
        who.puter.reply_with(overloaded, StreamEnd(reply="a b"), UpstreamFailure(529, "Overloaded"))
    wanted = {"type": "error", "message": "Overloaded", "code": "overloaded_error", "status": 529}
    assert lines(caller)[-1] == wanted
    assert lines(older)[-1] == {"type": "error", "message": "Overloaded"}
    ended = {"type": "error", "message": "Stream ended before completion", "status": 500}
    assert lines(caller)[-1] == ended
    assert lines(older)[-1] == {"type": "usage"}
    # Before the first byte Claude's faults are HTTP errors on the newer server.
    failed = caller.chat(stream=True, model=CLAUDE)
    assert error_of(failed)[:2] == (400, "upstream_provider_unavailable")
    assert lines(older, model=CLAUDE)[0]["message"].startswith("529 ")


# --- money ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("generation", "refusal"),
    [("2026-08", (402, "insufficient_funds")), ("2026-10", (429, "too_many_requests"))],
)
def test_running_chats_hold_their_highest_cost(
    generation: Any, refusal: Any, session: requests.Session
) -> None:
    with LocalPuter(generation=generation, allowance=0.30) as puter:  # gpt-4.1: 0.26 at most
        caller, gates = Caller(puter, session), [Gate(), Gate()]
        puter.reply_with(*(Reply(text="a b", gate=gate) for gate in gates))
        with streaming(caller) as first:
            answer = first.iter_lines(chunk_size=None)
            next(answer)
            with streaming(caller) as second:  # holds what is left
                parts = second.iter_lines(chunk_size=None)
                next(parts)
                refused = caller.chat()
                assert error_of(refused)[:2] == refusal
                reserved = generation == "2026-10"
                assert (refused.json().get("errorCode") == "credits_reserved") is reserved
                for gate in gates:
                    gate.open()
                assert len(list(parts)) == len(list(answer)) == 2
        assert caller.chat().status_code == 200
        puter.reply_with(Reply(text="a b", gate=Gate()), "x")
        with streaming(caller, max_tokens=100) as small:
            next(small.iter_lines(chunk_size=None))
            assert caller.chat().status_code == 200


def test_a_prompt_that_leaves_no_room_for_an_answer(caller: Caller, older: Caller) -> None:
    for who in (caller, older):
        refused = error_of(who.chat("word " * 40_000))  # more than gpt-4.1 may answer
        assert refused == (402, "insufficient_funds", "No usage left for request.")


def test_a_prompt_that_is_longer_than_the_context(caller: Caller) -> None:
    caller.puter.reply_with("kept")
    rich = caller.puter.issue_token(caller.puter.add_user("rich", None, allowance=10))
    text = "x" * 600_000  # dense text, which Puter underestimates
    assert "maximum context length" in refused(caller, text, model="deepseek-r1", token=rich)
    assert caller.text("hi") == "kept"


def test_a_poor_account_gets_short_answers(session: requests.Session) -> None:
    with LocalPuter(allowance=0.0001) as puter:  # 12 tokens of gpt-4.1
        caller = Caller(puter, session)
        body = caller.chat("tell me a story " * 5).json()
        assert body["result"]["finish_reason"] == "length"
        assert body["metadata"]["usage_limited"] is True
        assert "metadata" not in lines(Caller(puter, session), model="fake")[-1]


@pytest.mark.parametrize(("generation", "paid"), [("2026-08", True), ("2026-10", False)])
def test_a_client_that_leaves_before_the_answer(
    generation: Any, paid: bool, session: requests.Session
) -> None:
    with LocalPuter(generation=generation) as puter:
        caller = Caller(puter, session)
        puter.reply_with(Reply(text="late", gate=Gate(0)))
        with streaming(caller):
            pass  # the headers came, and no line
        (record,) = puter.wait_for(lambda one: one.dropped)
        assert (record.usage is not None) is paid


def test_a_client_that_leaves_pays_what_was_streamed(caller: Caller) -> None:
    caller.puter.reply_with(Reply(text="one two three", gate=Gate(2)))
    with streaming(caller) as response:
        answer = response.iter_lines(chunk_size=None)
        assert [next(answer), next(answer)]
    (record,) = caller.puter.wait_for(lambda one: one.dropped)
    assert record.usage is not None
    assert record.usage["completion_tokens"] == 2
    assert text_of(lines(caller, "2 + 2")) == "2 + 2 = 4"
