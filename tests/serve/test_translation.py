"""Requests of both protocols as chats of Puter's, and answers as theirs: no network, no server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from puter import ChatReply, PuterAI, PuterError, PuterInputError, ToolCall, Usage
from puter.serve import anthropic_messages, openai_chat
from puter.serve.anthropic_messages import message_of
from puter.serve.openai_chat import completion_of
from puter.serve.thoughts import Thoughts
from puter.testing import MockRequest, MockTransport
from puter.types.media import Image
from puter.types.replies import ChatChunk

pytestmark = pytest.mark.filterwarnings("ignore::puter.PuterOptionWarning")

USER = {"role": "user", "content": "Hi"}
READERS = {"openai": openai_chat.read_chat, "anthropic": anthropic_messages.read_chat}
FUNCTION: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {}}}},
}


def options(kind: str, **body: Any) -> dict[str, Any]:
    return READERS[kind]({"messages": [USER], **body}).options


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("kind", "body", "wanted"),
    [
        ("openai", {"max_tokens": 1, "max_completion_tokens": 2}, {"max_tokens": 2}),
        ("openai", {"temperature": None, "top_p": 0.5}, {"top_p": 0.5}),
        ("openai", {"stop": ["a"], "reasoning_effort": "low"},
         {"stop": ["a"], "reasoning_effort": "low"}),
        ("openai", {"reasoning": {"effort": "high"}}, {"reasoning_effort": "high"}),
        ("openai", {"web_search_options": {}}, {"web_search": True}),
        ("openai", {"provider": "openrouter"}, {"provider": "openrouter"}),
        ("openai", {"provider": {"order": ["x"]}}, {}),
        ("openai", {"tools": [FUNCTION], "tool_choice": "auto"}, {"tools": [FUNCTION]}),
        ("openai", {"tools": [], "tool_choice": "none"}, {}),
        ("openai", {"timeout": 3, "extra": {"x": 1}, "seed": 1, "run_tools": True}, {}),
        ("openai", {"response_format": {"type": "text"}}, {}),
        ("anthropic", {"stop_sequences": ["a"], "top_k": 3}, {"stop": ["a"], "top_k": 3}),
        ("anthropic", {"metadata": {"user_id": "me"}}, {}),
        ("anthropic", {"thinking": {"type": "enabled", "budget_tokens": 9}},
         {"thinking": {"type": "enabled", "budget_tokens": 9}}),
        ("anthropic", {"output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ("anthropic", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
         {"web_search": True}),
        ("anthropic", {"tools": [{"name": "f", "input_schema": FUNCTION["function"]["parameters"]}],
                       "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
         {"tools": [FUNCTION], "parallel_tool_calls": False}),
    ],
)  # fmt: skip
def test_options_go_under_the_names_of_a_chat(
    kind: str, body: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert options(kind, **body) == wanted


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("required", "required"),
        ("none", "none"),
        ({"type": "function", "function": {"name": "f"}}, "f"),
        ({"type": "function", "name": "f"}, "f"),
        ({"type": "tool", "name": "f"}, "f"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
    ],
)
@pytest.mark.parametrize("kind", READERS)
def test_a_tool_is_chosen_in_the_words_of_either(kind: str, choice: Any, wanted: str) -> None:
    assert options(kind, tools=[FUNCTION], tool_choice=choice)["tool_choice"] == wanted


@pytest.mark.parametrize("choice", ["f", 7, {"type": "allowed_tools"}, {"type": "tool"}])
@pytest.mark.parametrize("kind", READERS)
def test_a_choice_that_is_none_is_refused(kind: str, choice: Any) -> None:
    with pytest.raises(PuterInputError, match="tool_choice"):
        options(kind, tools=[FUNCTION], tool_choice=choice)


@pytest.mark.parametrize(
    "tool",
    [
        FUNCTION,
        {"type": "function", **FUNCTION["function"]},  # as in Responses
        {"name": "f", "input_schema": FUNCTION["function"]["parameters"]},
    ],
)
@pytest.mark.parametrize("kind", READERS)
def test_tools_in_the_form_of_either(kind: str, tool: dict[str, Any]) -> None:
    assert options(kind, tools=[tool])["tools"] == [FUNCTION]


def test_a_schema_goes_into_the_instructions_as_in_parse() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    asked = options("openai", response_format=form)
    wanted = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    assert asked["output_format"] == wanted
    assert json.dumps(schema) in asked["system"]
    assert options("openai", response_format={"type": "json_object"})["output_format"] is None


# ---------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (
            {"role": "assistant", "content": "Hi", "refusal": None, "audio": None,
             "annotations": [], "tool_calls": None},
            {"role": "assistant", "content": "Hi"},
        ),
        ({"role": "assistant", "content": ""}, {}),
        ({"role": "system", "content": ""}, {}),
        ({"role": "developer", "content": []}, {}),
        ({"role": "user", "content": ""}, {"role": "user", "content": ""}),
        ({"role": "assistant", "content": None, "refusal": "No."},
         {"role": "assistant", "content": "No."}),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
         {"role": "assistant", "content": [{"type": "text", "text": "No."}]}),
        (
            {"role": "assistant", "content": "4",
             "reasoning_details": [{"type": "thinking", "thinking": "Hm", "signature": "s"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "s"},
                {"type": "text", "text": "4"}]},
        ),
        (
            {"role": "assistant", "content": "4", "reasoning_details": [{"type": "reasoning"}]},
            {"role": "assistant", "content": "4", "reasoning_details": [{"type": "reasoning"}]},
        ),
    ],
)  # fmt: skip
def test_what_clients_echo_is_left_out(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert openai_chat.read_message(given) == wanted


@pytest.mark.parametrize(
    ("block", "claude", "other"),
    [
        ({"type": "text", "text": "a", "citations": None}, {"type": "text", "text": "a"}, ...),
        (
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "a"},
        ),
        ({"type": "thinking", "thinking": "Hm", "signature": ""}, None, ...),
        (
            {"type": "tool_result", "tool_use_id": "1", "content": "no file", "is_error": True},
            {"type": "tool_result", "tool_use_id": "1", "content": "Error: no file"},
            ...,
        ),
        (
            {"type": "tool_result", "tool_use_id": "1", "is_error": True,
             "content": [{"type": "text", "text": "no"}]},
            {"type": "tool_result", "tool_use_id": "1",
             "content": [{"type": "text", "text": "Error:"}, {"type": "text", "text": "no"}]},
            ...,
        ),
        ("a text", "a text", ...),
    ],
)  # fmt: skip
def test_blocks_of_anthropic(block: Any, claude: Any, other: Any) -> None:
    for is_claude, wanted in ((True, claude), (False, claude if other is ... else other)):
        given = {"role": "user", "content": [block, {"type": "text", "text": "z"}]}
        *found, _ = anthropic_messages.read_message(given, is_claude=is_claude)["content"]
        assert found == ([] if wanted is None else [wanted])


@pytest.mark.parametrize(
    ("model", "system", "wanted"),
    [
        ("gpt-5-nano", "Be brief.", "Be brief."),
        ("gpt-5-nano", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\n\nb"),
        ("gpt-5-nano", [{"type": "text", "text": "a", "cache_control": {}}], "a"),
        ("claude-x", [{"type": "text", "text": "a", "cache_control": {}}],
         [{"type": "text", "text": "a", "cache_control": {}}]),
    ],
)  # fmt: skip
def test_instructions_of_anthropic(model: str, system: Any, wanted: Any) -> None:
    asked = anthropic_messages.read_chat({"model": model, "system": system, "messages": [USER]})
    assert asked.messages == [{"role": "system", "content": wanted}, USER]


def test_instructions_that_are_none_are_refused() -> None:
    for system in (7, ["a"], {"type": "text"}):
        with pytest.raises(PuterInputError, match="system"):
            anthropic_messages.read_chat({"system": system, "messages": [USER]})


# ---------------------------------------------------------------- anything that may come


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "role", "content", "name", "id", "function", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
NAMES = [
    "messages", "model", "stream", "tools", "tool_choice", "system", "response_format", "n",
    "max_tokens", "stop", "reasoning", "thinking", "output_config", "metadata", "temperature",
    "stream_options", "provider", "stop_sequences", "web_search_options", "output_format",
]  # fmt: skip


def ask(kind: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Carry a request out in memory; what went to Puter."""
    went: list[dict[str, Any]] = []

    def answer(request: MockRequest) -> Any:
        went.append(request.json["args"])
        return "Hello!"

    with PuterAI(token="t", transport=MockTransport(answer)) as ai:
        ai.chat(**READERS[kind](body).arguments())
    return went


@pytest.mark.parametrize("kind", READERS)
@hypothesis.given(body=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6), said=JSON)
@hypothesis.settings(max_examples=60)
def test_whatever_comes_is_a_chat_or_an_error_that_says_why(
    kind: str, body: dict[str, Any], said: Any
) -> None:
    for messages in (said, [said], [{"role": "user", "content": said}]):
        try:
            ask(kind, {"messages": messages, **body})
        except PuterError as error:
            assert error.message  # noqa: PT017 - of any kind, but one of ours


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[tuple[str, Any]], int]:
    """Turns of a conversation: texts, and rounds of calls with their results; each text is new."""
    turns: list[tuple[str, Any]] = []
    count = 0

    def text() -> str:
        nonlocal count
        count += 1
        return f"text-{count}."

    for _ in range(draw(st.integers(1, 4))):
        turns.append(("user", [text() for _ in range(draw(st.integers(1, 3)))]))
        for _ in range(draw(st.integers(0, 2))):
            calls = [(f"call_{count}_{i}", text(), text()) for i in range(draw(st.integers(1, 3)))]
            turns.append(("calls", (draw(st.none() | st.just(text())), calls)))
        turns.append(("assistant", text()))
    turns.append(("user", [text()]))
    return turns, count


def in_openai_form(turns: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for kind, value in turns:
        if kind == "user":
            content = [{"type": "text", "text": one} for one in value]
            messages.append({"role": "user", "content": content})
        elif kind == "assistant":
            messages.append({"role": "assistant", "content": value, "refusal": None})
        else:
            said, calls = value
            made = [
                {"id": one, "type": "function",
                 "function": {"name": "f", "arguments": json.dumps({"x": x})}}
                for one, x, _ in calls
            ]  # fmt: skip
            messages.append({"role": "assistant", "content": said, "tool_calls": made})
            messages += [
                {"role": "tool", "tool_call_id": one, "content": result} for one, _, result in calls
            ]
    return messages


def in_anthropic_form(turns: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for kind, value in turns:
        if kind == "user":
            content = [{"type": "text", "text": one} for one in value]
            messages.append({"role": "user", "content": content})
        elif kind == "assistant":
            messages.append({"role": "assistant", "content": value})
        else:
            said, calls = value
            blocks = [] if said is None else [{"type": "text", "text": said}]
            blocks += [
                {"type": "tool_use", "id": one, "name": "f", "input": {"x": x}}
                for one, x, _ in calls
            ]
            results = [
                {"type": "tool_result", "tool_use_id": one, "content": result}
                for one, _, result in calls
            ]
            messages.append({"role": "assistant", "content": blocks})
            messages.append({"role": "user", "content": results})
    return messages


FORMS = {"openai": in_openai_form, "anthropic": in_anthropic_form}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("model", ["gpt-5-nano", "claude-haiku-4-5"])
@hypothesis.given(given=conversations())
@hypothesis.settings(max_examples=20)
def test_no_message_is_lost(
    kind: str, model: str, given: tuple[list[tuple[str, Any]], int]
) -> None:
    turns, _ = given
    (went,) = ask(kind, {"model": model, "messages": FORMS[kind](turns), "tools": [FUNCTION]})
    texts = re.findall(r"text-\d+\.", json.dumps(went["messages"]))
    wanted = re.findall(r"text-\d+\.", json.dumps([_in_order(one) for one in turns]))
    assert texts == wanted  # each once, and each result behind its call


def _in_order(turn: tuple[str, Any]) -> Any:
    kind, value = turn
    return value if kind != "calls" else [value[0], [pair[1:] for pair in value[1]]]


# ---------------------------------------------------------------- answers


FULL = ChatReply(
    "4",
    model="m",
    provider="p",
    usage=Usage(5, 7, cached_tokens=2, reasoning_tokens=3),
    reasoning="Hm.",
    reasoning_details=({"type": "thinking", "thinking": "Hm.", "signature": "s"},),
    tool_calls=(ToolCall("1", "f", {"x": 1}, {"extra_content": {"g": 1}, "message": {"a": 1}}),),
    images=(Image(b"GIF89a"),),
    finish_reason="tool_calls",
)


def test_an_answer_as_openai_writes_it() -> None:
    found = completion_of(FULL, "asked")
    (choice,) = found["choices"]
    arguments = {"name": "f", "arguments": '{"x": 1}'}
    assert choice["message"] == {
        "role": "assistant",
        "content": "4",
        "refusal": None,
        "reasoning_content": "Hm.",
        "reasoning_details": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}],
        "tool_calls": [
            {"id": "1", "type": "function", "function": arguments, "extra_content": {"g": 1}}
        ],
        "images": [
            {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh"}}
        ],
    }  # fmt: skip
    assert choice["finish_reason"] == "tool_calls"
    assert found["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    refused = completion_of(ChatReply("No.", refusal="No."), "asked")
    assert refused["model"] == "asked"
    assert refused["choices"][0]["message"]["content"] is None
    assert refused["choices"][0]["message"]["refusal"] == "No."


def test_an_answer_as_anthropic_writes_it() -> None:
    found = message_of(FULL, "asked")
    assert found["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "text", "text": "4"},
        {"type": "text", "text": "![image](data:image/gif;base64,R0lGODlh)"},
        {"type": "tool_use", "id": "1", "name": "f", "input": {"x": 1}},
    ]
    assert found["stop_reason"] == "tool_use"
    assert found["usage"]["cache_read_input_tokens"] == 2


@pytest.mark.parametrize(
    ("reply", "reason", "stopped"),
    [
        (ChatReply("a"), "end_turn", None),
        (ChatReply("a", finish_reason="length"), "max_tokens", None),
        (ChatReply("a", finish_reason="content_filter"), "refusal", None),
        (ChatReply("a", finish_reason="pause_turn"), "pause_turn", None),
        (ChatReply("a", raw={"message": {"stop_sequence": "END"}}), "stop_sequence", "END"),
    ],
)
def test_why_an_answer_of_anthropic_ended(
    reply: ChatReply, reason: str, stopped: str | None
) -> None:
    found = message_of(reply, "m")
    assert (found["stop_reason"], found["stop_sequence"]) == (reason, stopped)


def test_thoughts_of_others_have_no_signature() -> None:
    (thought, _) = message_of(ChatReply("4", reasoning="Hm."), "m")["content"]
    assert thought == {"type": "thinking", "thinking": "Hm.", "signature": ""}


REDACTED = {"type": "redacted_thinking", "data": "d"}
CHUNKS = [
    ChatChunk("", type="reasoning", reasoning="H"),
    ChatChunk("", type="reasoning", reasoning="m."),
    ChatChunk("", type="reasoning_detail", reasoning_detail=FULL.reasoning_details[0]),
    ChatChunk("", type="reasoning_detail", reasoning_detail=REDACTED),
    ChatChunk("a"),
    ChatChunk("b"),
    ChatChunk("", type="image", image=Image(b"GIF89a")),
    ChatChunk("", type="tool_use", tool_use=ToolCall("", "f", {"x": 1})),
    ChatChunk("", type="tool_use", tool_use=ToolCall("", "g", {})),
    ChatChunk("", type="something new"),
]  # fmt: skip


def events(data: bytes) -> list[dict[str, Any]]:
    found = re.findall(rb"^data: (\{.*)$", data, re.MULTILINE)
    return [json.loads(one) for one in found]


def test_events_as_anthropic_writes_them() -> None:
    writer = anthropic_messages._Writer("m")
    data = writer.begin() + b"".join(map(writer.chunk, CHUNKS)) + writer.end(FULL)
    told = events(data)
    blocks: list[dict[str, Any]] = []
    for one in told[1:-2]:
        match one["type"]:
            case "content_block_start":
                assert one["index"] == len(blocks)
                blocks.append({**one["content_block"], "deltas": [], "open": True})
            case "content_block_delta":
                assert blocks[one["index"]]["open"]
                blocks[one["index"]]["deltas"].append([*one["delta"].values()][1])
            case "content_block_stop":
                assert blocks[one["index"]].pop("open")
    assert [(one["type"], one["deltas"]) for one in blocks] == [
        ("thinking", ["H", "m.", "s"]),
        ("redacted_thinking", []),
        ("text", ["a", "b", "![image](data:image/gif;base64,R0lGODlh)"]),
        ("tool_use", ['{"x": 1}']),
        ("tool_use", ["{}"]),
    ]
    assert not any("open" in one for one in blocks)
    assert [one["id"] for one in blocks[-2:]] == ["call_0", "call_1"]
    assert [one["type"] for one in told[-2:]] == ["message_delta", "message_stop"]
    assert told[-2]["delta"]["stop_reason"] == "tool_use"


def test_events_as_openai_writes_them() -> None:
    writer = openai_chat._Writer("m", usage=True)
    data = writer.begin() + b"".join(map(writer.chunk, CHUNKS)) + writer.end(FULL)
    told = events(data)
    deltas = [choice["delta"] for one in told for choice in one["choices"]]
    assert [one["content"] for one in deltas if one.get("content")] == ["a", "b"]
    calls = [call for one in deltas for call in one.get("tool_calls", ())]
    assert [(one["index"], one["id"]) for one in calls] == [(0, "call_0"), (1, "call_1")]
    assert [one["reasoning_content"] for one in deltas if "reasoning_content" in one] == ["H", "m."]
    assert told[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert (told[-1]["choices"], told[-1]["usage"]["total_tokens"]) == ([], 12)
    assert data.endswith(b"data: [DONE]\n\n")
    assert len({one["id"] for one in told}) == 1


# ---------------------------------------------------------------- thoughts that callers drop


def turn_of(call_id: str, name: str = "f", **block: Any) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": call_id, "name": name, "input": {"x": 1}, **block}],
    }


def reply_with(*messages: dict[str, Any]) -> ChatReply:
    blocks = [one["content"][0] for one in messages]
    calls = [ToolCall(one["id"], one["name"], one["input"]) for one in blocks]
    return ChatReply("", tool_calls=tuple(calls), messages=messages)


def call_message(call_id: str, name: str = "f", x: int = 1) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps({"x": x})}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
    }


BESIDE = {"reasoning_details": [{"type": "thinking"}], "made_by": {"family": "claude"}}


def test_thoughts_are_put_back_where_they_were() -> None:
    thoughts = Thoughts()
    thoughts.keep(reply_with({**turn_of("1"), **BESIDE}, turn_of("2", extra_content={"g": 1})))
    result = {"role": "tool", "tool_call_id": "1", "content": "r"}
    said: list[dict[str, Any]] = [USER, call_message("1"), result, call_message("2")]
    restored = thoughts.restore(said)
    assert restored[1] == {**turn_of("1"), **BESIDE}
    assert restored[3]["content"][0]["extra_content"] == {"g": 1}
    with_text: list[dict[str, Any]] = [{**call_message("1"), "content": "Let me see."}]
    first, second = thoughts.restore(with_text)
    assert first == {"role": "assistant", "content": "Let me see.", **BESIDE}
    assert second == turn_of("1")


def test_thoughts_of_another_call_are_not() -> None:
    thoughts = Thoughts()
    said: list[dict[str, Any]] = [call_message("1")]
    assert thoughts.restore(said) is said
    thoughts.keep(reply_with({**turn_of("1"), **BESIDE}))
    for other in (call_message("1", "g"), call_message("1", x=2), call_message("2"), USER):
        said = [other]
        assert thoughts.restore(said) is said
    own = {**call_message("1"), "content": [{"type": "thinking", "thinking": "", "signature": "s"}]}
    assert all("made_by" not in one for one in thoughts.restore([own]))


def test_only_so_many_thoughts_are_kept() -> None:
    thoughts = Thoughts()
    for number in range(1500):
        thoughts.keep(reply_with({**turn_of(str(number)), **BESIDE}))
    assert len(thoughts._kept) == 1000
    assert "1499" in thoughts._kept
