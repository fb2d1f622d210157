"""The key of a request, and what a cache keeps of an answer."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puter import ChatReply, Image, ToolCall, Usage
from puter.engine.middleware import Request
from puter.extensions.cache_entries import entry_of, is_kept, key_of, reply_of
from puter.records import replace
from puter.tools import Toolbox

SENT = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"})
ANSWER = {"role": "assistant", "content": "Hello"}


def add(a: int) -> int:
    """Add."""
    return a


REQUEST = Request(
    "chat",
    "m",
    SENT,
    {"temperature": 0.5, "extra": {"seed": 1}},
    {"tools": Toolbox([add])},
    turn=1,
)


def key(
    *, at: str = "https://api.puter.com", tools: Any = REQUEST.args["tools"], **changes: Any
) -> str | None:
    return key_of(replace(REQUEST, args={"tools": tools}, **changes), at)


def test_a_key_is_a_digest_and_the_same_whatever_the_order() -> None:
    found = key()
    assert found is not None
    assert len(found) == 64
    assert int(found, 16) >= 0
    turned = [dict(reversed(one.items())) for one in SENT]
    assert key(messages=turned, options={"extra": {"seed": 1}, "temperature": 0.5}) == found
    assert key(options={**REQUEST.options, "timeout": 3, "top_p": None}) == found


@pytest.mark.parametrize(
    "change",
    [
        {"at": "http://127.0.0.1:4100"},
        {"operation": "parse"},
        {"model": "gpt-5"},
        {"messages": SENT[1:]},
        {"messages": (*SENT, ANSWER)},
        {"messages": (SENT[0], {"role": "user", "content": [{"type": "text", "text": "Hi"}]})},
        {"options": {"temperature": 0.5}},
        {"options": {**REQUEST.options, "provider": "openrouter"}},
        {"options": {**REQUEST.options, "extra": {"seed": 2}}},
        {"tools": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_determines_the_answer_changes_the_key(change: dict[str, Any]) -> None:
    assert key(**change) not in (None, key())


def test_what_is_no_json_has_no_key() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for odd in (object(), {1, 2}, {1: 2, "1": 3}, deep):
        assert key(options={"extra": odd}) is None


def reply(text: str = "Hello", **changes: Any) -> ChatReply:
    messages = changes.pop("messages", (SENT[1], ANSWER))
    return ChatReply(
        text,
        **{"model": "m", "requested_model": "m", "messages": messages, **changes},
    )


def kept(answer: ChatReply, stream: bool = False, **options: Any) -> bool:
    return is_kept(answer, replace(REQUEST, options=options, stream=stream))


@pytest.mark.parametrize(
    "changes",
    [
        {"text": " "},
        {"finish_reason": "length"},
        {"finish_reason": "content_filter"},
        {"finish_reason": "incomplete"},
        {"finish_reason": "pause_turn"},
        {"tool_calls": (ToolCall("1", "add"),)},
        {"usage_limited": True},
        {"requested_model": "another"},
        {"images": (Image(url="https://example.org/a.png?signature=1"),)},
        {"messages": (SENT[1], {"role": "tool", "tool_call_id": "1", "content": "3"}, ANSWER)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_answers_that_are_not_whole_or_not_the_models_own_are_not_kept(changes: Any) -> None:
    assert kept(reply())
    assert not kept(reply(**changes))


def test_a_stream_that_used_all_its_tokens_may_have_been_cut_off() -> None:
    answer = reply(usage=Usage(output_tokens=10))
    assert kept(answer, max_tokens=10)
    assert kept(answer, stream=True, max_tokens=11)
    assert not kept(answer, stream=True, max_tokens=10)
    assert not kept(answer, stream=True, max_tokens=99, extra={"max_tokens": 10})
    assert kept(answer, stream=True, extra={"max_tokens": 11})


@pytest.mark.parametrize("model", ["fake", "costly"])
def test_answers_of_no_model_are_not_kept(model: str) -> None:
    assert not is_kept(reply(requested_model=model), replace(REQUEST, model=model))


def test_tools_of_earlier_turns_do_not_matter() -> None:
    earlier = ({"role": "assistant", "tool_calls": []}, {"role": "tool", "content": "3"})
    answer = reply(messages=(*earlier, ANSWER), standalone=True)
    assert is_kept(answer, replace(REQUEST, messages=(SENT[0], *earlier)))


def test_an_answer_comes_back_as_it_was_but_for_how_it_came() -> None:
    image = Image(b"GIF89a")
    answer = reply(
        provider="openai-completion",
        usage=Usage(3, 2, raw={"prompt_tokens": 3}),
        cost=Decimal("0.01"),
        reasoning="Hm.",
        reasoning_details=({"type": "x", "signature": "s"},),
        images=(image,),
        annotations=({"url": "https://example.org/?a=1"},),
        compaction={"type": "compaction", "x": 1},
        messages=(SENT[1], {"type": "compaction", "x": 1}, ANSWER),
        attempts=3,
        elapsed=2.5,
        request_id="r1",
        headers={"x": "y"},
        raw={"message": {"content": "Hello \ud83d"}},
    )
    entry = entry_of(answer, REQUEST, now=100.0)
    assert entry is not None
    assert "r1" not in entry
    again = reply_of(entry, REQUEST, oldest=100.0)
    assert again is not None
    assert again == "Hello"
    assert again.cached
    assert again.cost == 0
    assert again.usage == answer.usage
    assert again.images == (image,)
    assert again.messages == answer.messages
    for name in ("reasoning", "reasoning_details", "annotations", "compaction", "raw", "provider"):
        assert getattr(again, name) == getattr(answer, name)
    assert (again.attempts, again.elapsed, again.headers, again.request_id) == (0, 0.0, {}, None)


def test_an_entry_that_is_too_old_or_no_entry_is_none() -> None:
    entry = entry_of(reply(), REQUEST, now=100.0)
    assert entry is not None
    assert reply_of(entry, REQUEST, oldest=100.1) is None
    for odd in ("", "{", "[]", "{}", '{"stored": "x"}', '{"stored": 100, "reply": {}}', b"\xff", 3):
        assert reply_of(odd, REQUEST, oldest=0) is None
    damaged = {**json.loads(entry), "reply": {**json.loads(entry)["reply"], "usage": {"odd": 1}}}
    assert reply_of(json.dumps(damaged), REQUEST, oldest=0) is None


@pytest.mark.parametrize(
    "change",
    [
        {"reply": "x"},
        {"reply": []},
        {"reply": {"text": "a", "messages": []}},
        {"reply": {"text": "a", "messages": [1]}},
        {"reply": {"text": "a", "messages": [{"a": 1}]}},
        {"reply": {"text": "a", "messages": [{"role": "user", "content": "x"}]}},
        {"turn": 1},
        {"turn": {"of": 1}},
        {"turn": {"of": 1, "messages": [1]}},
        {"turn": {"of": 2, "messages": [{"role": "user", "content": "x"}]}},  # of another history
    ],
)
def test_an_entry_that_would_spoil_the_history_is_none(change: dict[str, Any]) -> None:
    entry = json.loads(entry_of(reply(), REQUEST, now=100.0) or "")
    assert reply_of(json.dumps(entry), REQUEST, oldest=0) is not None
    assert reply_of(json.dumps({**entry, **change}), REQUEST, oldest=0) is None


def test_what_is_no_json_is_not_kept() -> None:
    assert entry_of(reply(raw=object()), REQUEST, now=0) is None


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(name=st.sampled_from([*ChatReply._fields, "text", "stored", "reply", "turn"]), value=values)
def test_whatever_stands_in_an_entry_is_an_answer_or_none(name: str, value: Any) -> None:
    whole = json.loads(entry_of(reply(), REQUEST, now=100.0) or "")
    (whole if name in whole else whole["reply"])[name] = value
    found = reply_of(json.dumps(whole), REQUEST, oldest=0)
    if found is not None:
        assert reply_of(entry_of(found, REQUEST, now=1), REQUEST, oldest=0) == found
        assert all(isinstance(one, dict) for one in found.messages)
        assert found.cached
        assert found.cost == 0
