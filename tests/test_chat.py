"""Chat through both doors: what goes out, what comes back, what is remembered."""

from __future__ import annotations

import copy
import json
import re
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest

import puter
from puter.secret import Secret
from puter.types.replies import ToolCall, Usage
from tests.door import Door, chat_body, error_body, text_answer, until_done


async def test_a_prompt_goes_out_as_the_driver_call_of_the_protocol(door: Door) -> None:
    ai = door.client()
    reply = await door(
        ai, "chat", "Hi", "gpt-4.1", temperature=0.5, max_tokens=20, provider="openai-completion"
    )
    (sent,) = door.sent
    assert (sent.method, sent.url) == ("POST", "https://api.puter.com/drivers/call")
    assert sent.json == {
        "interface": "puter-chat-completion",
        "driver": "ai-chat",
        "method": "complete",
        "args": {
            "messages": [{"role": "user", "content": "Hi"}],
            "model": "gpt-4.1",
            "temperature": 0.5,
            "max_tokens": 20,
            "provider": "openai-completion",
        },
    }
    headers = {name.lower(): value for name, value in sent.headers.items()}
    assert headers["authorization"] == "Bearer test-token-secret"
    assert headers["user-agent"] == f"puter-python-sdk/{puter.__version__}"
    assert headers["content-type"] == "application/json"
    assert not {"origin", "referer", "cookie"} & headers.keys()
    assert b"test-token-secret" not in sent.body
    assert reply == "Hello!"


async def test_a_reply_is_a_str_that_knows_its_origin(door: Door) -> None:
    reply = await door(door.client(), "chat", "Hi")
    assert issubclass(type(reply), str)
    assert (reply.text, type(reply.text)) == ("Hello!", str)
    assert (reply.model, reply.provider) == ("gpt-5-nano", "openai-completion")
    assert reply.usage == Usage(11, 7, 0, 0, reply.usage.raw)
    assert reply.cost == Decimal("0.000078")
    assert (reply.finish_reason, reply.attempts) == ("stop", 1)
    assert reply.raw["message"]["content"] == "Hello!"
    assert reply.messages == (
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
    )


async def test_the_conversation_is_remembered_in_whole_turns(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "one")
    await door(ai, "chat", "two")
    assert [m["content"] for m in door.sent[1].args["messages"]] == ["one", "Hello!", "two"]
    assert [m["role"] for m in ai.chat_history] == ["user", "assistant"] * 2
    ai.clear_chat_history()
    assert ai.chat_history == []


async def test_nothing_is_remembered_when_told_so_or_with_messages(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "one", remember=False)
    await door(ai, "chat", messages=["a", {"role": "assistant", "content": "b"}], prompt="c")
    assert ai.chat_history == []
    assert [m["content"] for m in door.sent[1].args["messages"]] == ["a", "b", "c"]


async def test_system_holds_for_one_call(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "one", system="Be brief.")
    await door(ai, "chat", "two")
    first, second = (sent.args["messages"] for sent in door.sent)
    assert first[0] == {"role": "system", "content": "Be brief."}
    assert "system" not in {m["role"] for m in second + ai.chat_history}


async def test_content_parts_travel_with_the_prompt(door: Door) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
    await door(door.client(), "chat", "What is this?", content_parts=[picture])
    assert door.sent[0].args["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        picture,
    ]


async def test_extra_is_merged_into_args(door: Door) -> None:
    await door(door.client(), "chat", "Hi", extra={"top_p": 0.5, "model": "other"})
    assert door.sent[0].args["top_p"] == 0.5
    assert door.sent[0].args["model"] == "other"


async def test_an_alias_becomes_its_model_and_an_unknown_name_goes_as_given(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "Hi", " OpenAI/GPT-4.1 ")
    await door(ai, "chat", "Hi", "brand-new/Model")
    await door(ai, "chat", "Hi")
    assert [sent.args["model"] for sent in door.sent] == [
        "gpt-4.1",
        "brand-new/Model",
        "gpt-5-nano",
    ]


async def test_the_ledger_adds_up(door: Door) -> None:
    ai = door.client()
    door.answers(chat_body(), chat_body(metadata={"providerUsed": "other"}))
    await door(ai, "chat", "one")
    await door(ai, "chat", "two")
    assert (ai.usage.requests, ai.usage.input_tokens, ai.usage.output_tokens) == (2, 22, 14)
    assert ai.usage.cost == Decimal("0.000156")
    assert {name: one.requests for name, one in ai.usage.by_model.items()} == {
        "gpt-5-nano": 1,
        "other": 1,
    }


# ------------------------------------------------------------ answers that are no answers


async def test_filler_from_the_stand_in_is_an_error(door: Door) -> None:
    ai = door.client()
    door.answers(
        chat_body("Lorem ipsum", metadata={"service_used": "fake-chat", "providerUsed": "fake"})
    )
    with pytest.raises(puter.PuterBlockedError, match="filler") as caught:
        await door(ai, "chat", "something blocked")
    assert caught.value.reply == "Lorem ipsum"
    assert ai.chat_history == []
    assert ai.usage.requests == 1  # it was answered, and may have been paid
    assert await door(ai, "chat", "Hi", "fake") == "Lorem ipsum"  # asked for by name it is fine


@pytest.mark.parametrize("text", [None, "", "  \n"])
async def test_an_empty_answer_is_an_error_that_keeps_what_was_paid(
    door: Door, text: str | None
) -> None:
    ai = door.client()
    door.answers(chat_body(text, finish_reason="length"))
    with pytest.raises(puter.PuterEmptyResponseError, match="max_tokens") as caught:
        await door(ai, "chat", "Hi")
    assert caught.value.reply is not None
    assert caught.value.reply.cost == Decimal("0.000078")
    assert ai.chat_history == []


async def test_a_refusal_is_an_answer(door: Door) -> None:
    ai = door.client()
    door.answers(chat_body(None, message={"refusal": "I cannot."}))
    reply = await door(ai, "chat", "Hi")
    assert (reply, reply.refusal, reply.finish_reason) == (
        "I cannot.",
        "I cannot.",
        "content_filter",
    )
    assert ai.chat_history[1] == {"role": "assistant", "content": "I cannot."}


async def test_tool_calls_are_no_empty_answer_and_are_stored_in_the_safe_form(door: Door) -> None:
    call = {"id": "call_1", "type": "function", "canonical_id": "fc_1",
            "function": {"name": "get_weather", "arguments": '{"location":"Paris"}'}}  # fmt: skip
    door.answers(chat_body(None, message={"tool_calls": [call]}, finish_reason="tool_calls"))
    reply = await door(door.client(), "chat", "Hi", extra={"tools": []})
    assert reply.tool_calls == (
        ToolCall("call_1", "get_weather", {"location": "Paris"}, {"canonical_id": "fc_1"}),
    )
    assert reply.finish_reason == "tool_calls"
    assert reply.messages[1:] == (
        {
            "role": "assistant",
            "content": [
                {
                    "type": "tool_use",
                    "id": "call_1",
                    "name": "get_weather",
                    "input": {"location": "Paris"},
                    "canonical_id": "fc_1",
                }
            ],
        },
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"success": True},
        {"success": True, "result": None},
        {"success": True, "result": "text"},
        {"success": True, "result": {"message": []}},
        {"success": True, "result": {}},
        [1, 2],
        "text",
        None,
        {},
    ],
)
async def test_an_unknown_shape_is_an_error_and_leaves_the_history_alone(
    door: Door, answer: Any
) -> None:
    ai = door.client()
    door.answers((200, answer))
    with pytest.raises(puter.PuterResponseError):
        await door(ai, "chat", "Hi")
    assert ai.chat_history == []
    assert len(door.sent) == 1


# ------------------------------------------------------------ habits from elsewhere


@pytest.mark.parametrize("kind", [list, tuple])
async def test_a_list_of_messages_in_the_place_of_the_prompt(door: Door, kind: type) -> None:
    ai = door.client()
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    reply = await door(ai, "chat", kind(messages), "gpt-4.1")
    stream = await door(ai, "chat", kind(messages), stream=True)
    await until_done(stream)
    door.answers(chat_body("[1]"))
    assert await door(ai, "parse", kind(messages[1:]), list[int]) == [1]
    assert [sent.args["messages"] for sent in door.sent[:2]] == [messages] * 2
    assert door.sent[2].args["messages"][1:] == messages[1:]
    assert door.sent[0].args["model"] == "gpt-4.1"
    assert (reply.standalone, ai.chat_history) == (True, [])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("What is this?", "https://example.org/cat.png"), "not 'https.*Pass pictures as images="),
        (("What is this?", "HTTPS://example.org/cat.png"), "not .HTTPS.*Pass pictures as images="),
        (("What is this?", "data:image/png;base64,AAAA"), None),
        (("What is this?", b"\x89PNG"), "not b.*Pass pictures as images="),
        (("What is this?", {"model": "gpt-4.1"}), "Options are keyword arguments"),
        (("What is this?", True), "There is no test mode; model='fake' is free"),
        ((b"Hi",), r"not bytes. Pass text as prompt.decode\(\), a picture as images="),
        (({"role": "user", "content": "Hi"},), "not dict. Pass messages as a list"),
        (([{"type": "text", "text": "Hi"}],), "content parts. Pass the parts as content_parts="),
        ((["Hi", b"x"],), "not list. Pass messages as messages="),
        (([{"content": "Hi"}, b"x"],), r"messages\[1\] must be a dict or a str, not bytes"),
    ],
)
async def test_what_stands_in_the_wrong_place_is_told_its_own(
    door: Door, arguments: Any, told: str | None
) -> None:
    told = told or "not 'data:image.*Pass pictures as images="
    with pytest.raises(puter.PuterInputError, match=told) as caught:
        await door(door.client(), "chat", *arguments)
    assert len(str(caught.value)) < 500
    assert door.sent == []


async def test_two_lists_of_messages_are_one_too_many(door: Door) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    with pytest.raises(puter.PuterInputError, match="Pass one of them"):
        await door(door.client(), "chat", messages, messages=messages)


def test_a_model_that_is_not_known_is_told_with_near_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ai = puter.PuterAI(token="t")
    assert not ai.set_model("gpt5")
    assert not ai.set_model("qqqqq")
    first, second = (record.getMessage() for record in caplog.records)
    assert re.search(r"'gpt5'.*gpt-5-nano stays. Did you mean 'gpt-5", first)
    assert "config.default_model = 'qqqqq' takes any name" in second
    assert {record.name for record in caplog.records} == {"puter"}


# ------------------------------------------------------------ bad input


BAD: list[tuple[dict[str, Any], str]] = [
    ({"prompt": ""}, "empty"),
    ({"prompt": " \n"}, "empty"),
    ({"prompt": None}, "empty"),
    ({"prompt": 5}, "prompt must be a str"),
    ({"prompt": b"Hi"}, "prompt must be a str"),
    ({"prompt": ["Hi"]}, "messages="),
    ({"prompt": "Hi", "model": 5}, "model"),
    ({"prompt": "Hi", "model": " "}, "model"),
    ({"prompt": "Hi", "system": ""}, "system"),
    ({"prompt": "Hi", "system": 5}, "system"),
    ({"messages": "Hi"}, "list of messages"),
    ({"messages": {"role": "user", "content": "Hi"}}, "list of messages"),
    ({"messages": 5}, "list of messages"),
    ({"messages": []}, "empty"),
    ({"messages": [None]}, r"messages\[0\]"),
    ({"messages": ["Hi", 5]}, r"messages\[1\]"),
    ({"messages": [{}]}, "no content"),
    ({"messages": [{"role": "user"}]}, "no content"),
    ({"messages": [{"role": "user", "content": ""}]}, "no content"),
    ({"messages": [{"role": "user", "content": None}]}, "no content"),
    ({"messages": [{"role": "user", "content": 5}]}, "content must be text"),
    ({"messages": [{"role": "user", "content": []}]}, "empty list"),
    ({"messages": [{"role": "user", "content": [None]}]}, r"content\[0\]"),
    ({"messages": [{"role": "user", "content": [5]}]}, r"content\[0\]"),
    ({"messages": [{"role": "user", "content": [{"type": 5}]}]}, "type must be a str"),
    ({"messages": [{"role": 5, "content": "Hi"}]}, "role"),
    ({"messages": [{"role": ["user"], "content": "Hi"}]}, "role"),
    ({"messages": [{"role": "usr", "content": "Hi"}]}, r"messages\[0\].*'usr'.*mean 'user'"),
    ({"messages": ["Hi", {"role": "asistant", "content": "Hi"}]}, "mean 'assistant'"),
    ({"messages": [{"role": "User", "content": ["Hi"]}]}, "mean 'user'"),
    ({"messages": [{"role": "human", "content": "Hi"}]}, "mean 'user'"),
    ({"messages": [{"role": "model", "content": "Hi"}]}, "mean 'assistant'"),
    ({"messages": [{"role": "zzz", "content": "Hi"}]}, "Roles: assistant, developer"),
    ({"messages": [{"role": "assistant", "tool_calls": "x"}]}, "tool_calls"),
    ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "function"),
    ({"prompt": "Hi", "content_parts": "x"}, "content_parts"),
    ({"prompt": "Hi", "content_parts": [5]}, "content_parts"),
    ({"prompt": "Hi", "temperature": "hot"}, "temperature"),
    ({"prompt": "Hi", "temperature": float("nan")}, "temperature"),
    ({"prompt": "Hi", "temperature": True}, "temperature"),
    ({"prompt": "Hi", "max_tokens": 0}, "max_tokens"),
    ({"prompt": "Hi", "max_tokens": 1.5}, "max_tokens"),
    ({"prompt": "Hi", "provider": ""}, "provider"),
    ({"prompt": "Hi", "timeout": 0}, "timeout"),
    ({"prompt": "Hi", "timeout": "soon"}, "timeout"),
    ({"prompt": "Hi", "extra": 5}, "extra"),
    ({"prompt": "Hi", "extra": {5: 5}}, "extra"),
    ({"prompt": "Hi", "extra": {"x": object()}}, "JSON"),
    ({"prompt": "Hi", "extra": {"x": float("inf")}}, "JSON"),
    ({"prompt": "Hi", "extra": {"stream": True}}, "stream"),
    ({"prompt": "Hi", "extra": {"test_mode": True}}, "fake"),
    ({"prompt": "lone surrogate \ud800"}, r"holds '\\ud800', half a character"),
]


@pytest.mark.parametrize(
    ("arguments", "told"), BAD, ids=[json.dumps(one[0], default=str)[:50] for one in BAD]
)
async def test_bad_input_is_refused_before_any_traffic(
    door: Door, arguments: dict[str, Any], told: str
) -> None:
    ai = door.client()
    with pytest.raises(puter.PuterInputError, match=told):
        await door(ai, "chat", **arguments)
    assert door.sent == []
    assert ai.chat_history == []


async def test_bottomless_input_is_refused(door: Door) -> None:
    bottomless: list[Any] = []
    bottomless.append(bottomless)
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    for value in (bottomless, deep):
        with pytest.raises(puter.PuterInputError, match="JSON"):
            await door(door.client(), "chat", "Hi", extra={"x": value})


async def test_a_body_over_the_servers_limit_is_refused(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match="50 MiB"):
        await door(door.client(), "chat", "x" * (50 * 1024 * 1024 + 1))
    assert door.sent == []


@pytest.mark.parametrize(
    ("name", "told"),
    [("temprature", "temperature"), ("test_mode", "fake"), ("sytem", "system"), ("zzz", "extra=")],
)
async def test_a_misspelt_option_is_a_type_error_with_a_suggestion(
    door: Door, name: str, told: str
) -> None:
    with pytest.raises(TypeError, match=told):
        await door(door.client(), "chat", "Hi", **{name: 1})
    assert door.sent == []


# ------------------------------------------------------------ errors of the server


async def test_an_unknown_model_is_told_with_near_misses(door: Door) -> None:
    ai = door.client()
    door.answers((400, error_body("Model not found: gpt-5-nanno", "bad_request")))
    with pytest.raises(puter.PuterModelNotFoundError, match="Did you mean 'gpt-5-nano'") as caught:
        await door(ai, "chat", "Hi", "gpt-5-nanno")
    assert "gpt-5-nano" in caught.value.suggestions
    assert len(door.sent) == 1


async def test_a_failed_call_leaves_the_history_as_it_was(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "one")
    before = list(ai.chat_history)
    door.answers((402, error_body("No usage left for request.", "insufficient_funds")))
    with pytest.raises(puter.PuterInsufficientFundsError):
        await door(ai, "chat", "two")
    assert ai.chat_history == before


async def test_an_older_servers_forms_are_read(door: Door) -> None:
    door.answers(chat_body(usage=[{"type": "prompt", "model": "m", "amount": 3, "cost": 1}]))
    reply = await door(door.client(), "chat", "Hi")
    assert (reply, reply.cost, reply.usage.input_tokens) == ("Hello!", None, 0)
    door.answers(
        (200, {"success": False, "error": {"code": "insufficient_funds", "message": "poor"}})
    )
    with pytest.raises(puter.PuterInsufficientFundsError, match="poor"):
        await door(door.client(), "chat", "Hi")
    door.answers((200, {"success": False, "error": "just text"}))
    with pytest.raises(puter.PuterAPIError, match="just text"):
        await door(door.client(), "chat", "Hi")


# ------------------------------------------------------------ models


def test_models_are_listed_without_network() -> None:
    ai = puter.PuterAI(token="t")
    names = ai.get_available_models()
    assert names == sorted(ai.available_models)
    assert ai.available_models["gpt-5-nano"] == "openai-completion"
    names.clear()
    assert ai.get_available_models()
    with pytest.raises(TypeError):
        ai.available_models["x"] = "y"  # type: ignore[index]


def test_set_model_knows_ids_and_aliases_in_any_case() -> None:
    ai = puter.PuterAI(token="t")
    assert ai.set_model("openai/GPT-4.1")
    assert ai.current_model == "gpt-4.1"
    for unknown in ("5", "no such", "", 5):
        assert not ai.set_model(unknown)  # type: ignore[arg-type]
        assert ai.current_model == "gpt-4.1"


async def test_the_history_is_its_own_and_not_the_replys(door: Door) -> None:
    ai = door.client()
    reply = await door(ai, "chat", "Hi")
    reply.messages[0]["content"] = "changed"
    assert ai.chat_history[0]["content"] == "Hi"


@pytest.mark.parametrize("junk", ["text is fine?", 5, None, {"role": "user"}])
async def test_junk_in_the_live_history_is_named_before_any_traffic(door: Door, junk: Any) -> None:
    ai = door.client()
    ai.chat_history.append(junk)
    if isinstance(junk, str):
        assert await door(ai, "chat", "Hi") == "Hello!"
        return
    with pytest.raises(puter.PuterInputError, match=r"chat_history\[0\]"):
        await door(ai, "chat", "Hi")
    assert door.sent == []


def _said(count: int) -> list[dict[str, Any]]:
    return [
        {"role": ("user", "assistant")[n % 2], "content": f"Räume, said {n} times"}
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [1, 498, 499, 500, 1203])
async def test_a_conversation_of_any_length_goes_out_whole(door: Door, count: int) -> None:
    ai = door.client()
    ai.chat_history.extend(_said(count))
    await door(ai, "chat", "Hi", temperature=0.5, extra={"x": "\U0001f600"})
    body = door.sent[0].json
    assert body.pop("args") == {
        "messages": [*_said(count), {"role": "user", "content": "Hi"}],
        "model": "gpt-5-nano",
        "temperature": 0.5,
        "x": "\U0001f600",
    }
    assert body == {
        "interface": "puter-chat-completion", "method": "complete", "driver": "ai-chat",
    }  # fmt: skip


async def test_what_changes_in_the_live_history_is_found_before_the_next_request(
    door: Door,
) -> None:
    ai = door.client()
    ai.chat_history.extend(_said(600))
    await door(ai, "chat", "Hi", remember=False)
    changed = ai.chat_history[550]
    changed["content"] = "something else"
    await door(ai, "chat", "Hi", remember=False)
    assert door.sent[1].json["args"]["messages"][550] == changed
    changed["content"] = [{"type": "image_url", "image_url": "https://example.org/x.png"}]
    await door(ai, "chat", "Hi", "claude-sonnet-4-5", remember=False)
    part = door.sent[2].json["args"]["messages"][550]["content"][0]
    assert part == {"type": "image", "source": {"type": "url", "url": "https://example.org/x.png"}}
    for junk in ({"role": "human", "content": "Hi"}, {"role": "user", "content": ""}):
        changed.clear()
        changed.update(junk)
        with pytest.raises(puter.PuterInputError, match=r"chat_history\[550\]"):
            await door(ai, "chat", "Hi")
    changed["content"] = "half \ud83d"
    with pytest.raises(puter.PuterInputError, match="lone surrogate"):
        await door(ai, "chat", "Hi")
    assert len(door.sent) == 3


async def test_a_long_conversation_takes_little_beside_its_body(door: Door) -> None:
    ai = door.client()
    ai.chat_history.extend(_said(20_000))
    await door(ai, "chat", "Hi", remember=False)
    size = len(door.sent[0].body)
    door.sent.clear()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await door(ai, "chat", "Hi", remember=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 2.2 * size


async def test_a_model_in_extra_is_the_model(door: Door) -> None:
    door.answers(chat_body("Lorem", metadata={"service_used": "fake-chat", "providerUsed": "fake"}))
    assert await door(door.client(), "chat", "Hi", extra={"model": "fake"}) == "Lorem"


@pytest.mark.parametrize("kind", ["application/problem+json", "text/json"])
async def test_json_under_other_names_is_read(door: Door, kind: str) -> None:
    body = json.dumps(error_body("No usage left for request.", "insufficient_funds"))
    door.answers(text_answer(body, kind, 402))
    with pytest.raises(puter.PuterInsufficientFundsError):
        await door(door.client(), "chat", "Hi")


async def test_a_copy_keeps_token_and_history(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "Hi")
    twin = copy.copy(ai)
    await door(twin, "chat", "again")
    assert (len(ai.chat_history), len(twin.chat_history)) == (2, 4)


def test_a_blank_token_in_the_environment_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUTER_AUTH_TOKEN", " \n")
    monkeypatch.setenv("PUTER_TOKEN", " abc\n")
    assert puter.PuterAI()._shared.credentials.token == Secret("abc")
