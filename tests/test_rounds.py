"""Histories with tool calls, of whatever style, in the one form that every route keeps intact."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puter.testing.messages import for_vendor, normalize
from puter.wire.dialects import route_of
from puter.wire.tool_messages import normalize_tool_messages

if TYPE_CHECKING:
    from tests.door import Door

FIXTURES = Path(__file__).parent / "fixtures" / "wire" / "upstream_messages.json"
CAPTURED: dict[str, Any] = json.loads(FIXTURES.read_text("utf-8"))
ROUTES = {"claude": ("claude", "claude"), "responses": ("openai-responses", "responses")}


def use(name: str, arguments: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"id_{name}", "name": name, "input": arguments or {}, **more}


def call(name: str, arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": f"id_{name}", "type": "function", "function": function, **more}


def says(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def result(name: str, content: Any = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"id_{name}", "content": content}


def block(name: str, content: Any = "ok") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"id_{name}", "content": content}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def echo(content: Any, *calls: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **more}


HI = {"role": "user", "content": "Hi"}
TEXT = {"type": "text", "text": "Let me look."}
AND = {"type": "text", "text": "And?"}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
PICTURE: dict[str, Any] = {"type": "image", "source": {}}
NAMELESS: dict[str, Any] = {"type": "tool_use", "name": "a"}
EXTRA: dict[str, Any] = {"canonical_id": "fc_1", "extra_content": {"google": {}}}
A1, RA = call("a", '{"x": 1}'), result("a", "1")
B2, RB = call("b"), result("b", "2")
ROUNDS = [says(use("a", {"x": 1})), RA, says(use("b")), RB]

# what is given, and its safe form; None: it is that already
HISTORIES: dict[str, tuple[list[Any], list[Any] | None]] = {
    "no tools": ([HI, {"role": "assistant", "content": "Hello"}], None),
    "safe already": ([HI, says(TEXT), *ROUNDS], None),
    "OpenAI's echo": (
        [HI, echo("Let me look.", A1, B2, refusal=None), RA, RB],
        [HI, {"role": "assistant", "content": "Let me look.", "refusal": None}, *ROUNDS],
    ),
    "results in another order": (
        [HI, echo(None, call("a", {"x": 1}), B2), RB, RA],
        [HI, *ROUNDS],
    ),
    "Anthropic's echo": (
        [
            HI,
            says(THOUGHT, TEXT, use("a", '{"x": 1}'), use("b", "")),
            user(block("a", "1"), block("b", [{"type": "text", "text": "2"}])),
        ],
        [HI, says(THOUGHT, TEXT), *ROUNDS],
    ),
    "more said beside a result": (
        [says(use("a")), user(block("a", None), AND)],
        [says(use("a")), result("a", ""), user(AND)],
    ),
    "the user spoke in between": (
        [says(use("a", {"x": 1})), says(use("b")), HI, RB, RA],
        [*ROUNDS, HI],
    ),
    "ids that repeat": (
        [says(use("a", {"n": 1}), use("a", {"n": 2})), RA, result("a"), says(use("a", 3)), RA],
        [
            *(says(use("a", {"n": 1})), RA),
            *(says(use("a", {"n": 2})), result("a")),
            *(says(use("a", {"_unreadable": 3})), RA),
        ],
    ),
    "no ids": (
        [says(NAMELESS, NAMELESS), {"role": "tool", "content": "1"}],
        [
            *(says({**NAMELESS, "input": {}}), {"role": "tool", "content": "1"}),
            says({**NAMELESS, "input": {}}),
        ],
    ),
    "a result without a call, a call without a result": ([RA, says(use("b")), HI], None),
    "both styles in one message": (
        [echo([TEXT, use("a")], B2)],
        [says(TEXT), says(use("a")), says(use("b"))],
    ),
    "call and result in one message": ([user(use("a"), block("b"))], [result("b"), says(use("a"))]),
    "what vendors want back, and what cannot be read": (
        [echo("", call("a", "{", **EXTRA, index=0))],
        [says(use("a", {"_unreadable": "{"}, **EXTRA))],
    ),
    "a picture as a result": (
        [says(use("a")), user(block("a", [TEXT, PICTURE]))],
        [says(use("a")), result("a", [TEXT, PICTURE])],
    ),
    "a result in pieces": (
        [says(use("a")), user(block("a", ["x", TEXT]))],
        [says(use("a")), result("a", "x\nLet me look.")],
    ),
    "other parts": ([says("Hm", {"type": "x"}), result("a", {"t": 1})], None),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_the_safe_form(name: str) -> None:
    given_, safe = HISTORIES[name]
    before = copy.deepcopy(given_)
    assert normalize_tool_messages(given_) == (given_ if safe is None else safe)
    assert given_ == before


# ------------------------------------------------------------ what reaches the vendors


def content_of(messages: list[Any]) -> list[Any]:
    """What a conversation says, whatever vendor's form it has."""
    said: list[Any] = []
    for one in messages:
        if one.get("type") == "function_call":
            arguments = json.loads(one["arguments"])
            said.append(("call", one["call_id"], one["name"], arguments))
        elif one.get("type") == "function_call_output":
            said.append(("result", one["call_id"], one["output"]))
        elif one["role"] == "tool":
            said.append(("result", one["tool_call_id"], one["content"]))
        else:
            parts = one["content"] or []
            said += map(part_of, [{"text": parts}] if isinstance(parts, str) else parts)
            for each in one.get("tool_calls") or []:
                arguments = each["function"]["arguments"]
                arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
                said.append(("call", each["id"], each["function"]["name"], arguments))
    return [one for one in said if one != ("text", "")]


def part_of(part: dict[str, Any]) -> Any:
    match part.get("type"):
        case "tool_use":
            given_ = part["input"]
            arguments = json.loads(given_) if isinstance(given_, str) else given_
            return "call", part["id"], part["name"], arguments
        case "tool_result":
            return "result", part["tool_use_id"], part["content"]
        case _:
            return "text", part["text"]


def in_pairs(said: list[Any]) -> list[Any]:
    """Each result directly after its call."""
    results = {one[1]: one for one in said if one[0] == "result"}
    calls = [one for one in said if one[0] == "call"]
    first = said.index(calls[0])
    last = max(place for place, one in enumerate(said) if one[0] != "text")
    paired = [two for one in calls for two in (one, results[one[1]])]
    texts = [one for one in said[first:last] if one[0] == "text"]
    return [*said[:first], *texts, *paired, *said[last + 1 :]]


@pytest.mark.parametrize("name", CAPTURED)
def test_every_captured_history_reaches_its_vendor_intact(name: str) -> None:
    captured = CAPTURED[name]
    route: Any = ROUTES.get(name.partition("_")[0], ("openai-completion", "openai"))
    provider, family = route
    sent = route_of(provider, "m", {}, {}).dialect.encode(captured["messages"], {})["messages"]
    reached = for_vendor(family, normalize(sent), newer=False)
    assert content_of(reached) == in_pairs(content_of(captured["messages"]))
    for one in reached:  # no call shares a message, so none can be reversed or lost
        assert len(one.get("tool_calls") or []) <= 1
    names = {"canonical": "fc_1", "canon": "fc_1"} if family == "responses" else {}
    wanted = names.get(name.rpartition("_")[2])
    assert [one.get("id") for one in reached if one.get("type") == "function_call"][:1] == (
        [wanted] if family == "responses" else []
    )


@pytest.mark.parametrize(
    ("model", "kept"),
    [("gpt-5-pro", ("canonical_id", "extra_content")), ("claude-haiku-4-5", ())],
)
async def test_users_own_histories_go_out_in_the_safe_form(
    door: Door, model: str, kept: tuple[str, ...]
) -> None:
    history = [
        HI,
        {"role": "assistant", "content": None, "tool_calls": [call("a", '{"x": 1}', **EXTRA)]},
        result("a", "1"),
    ]
    await door(door.client(), "chat", messages=history, model=model)
    block_ = use("a", {"x": 1}, **{name: EXTRA[name] for name in kept})
    assert door.sent[0].args["messages"] == [HI, says(block_), result("a", "1")]


# ------------------------------------------------------------ any history

texts = st.text(min_size=1, max_size=5)
values = st.dictionaries(texts, st.integers() | texts, max_size=2)
ids = st.sampled_from(["1", "2", "3", "", None])
names = st.sampled_from(["f", "g"])


@st.composite
def assistant(draw: st.DrawFn) -> dict[str, Any]:
    said = draw(st.none() | texts)
    made = draw(st.lists(st.tuples(ids, names, values), max_size=3))
    encode: Any = draw(st.sampled_from([json.dumps, dict]))
    match draw(st.sampled_from(["openai", "anthropic"])):
        case "openai":
            calls = [
                {"id": i, "type": "function", "function": {"name": n, "arguments": encode(a)}}
                for i, n, a in made
            ]
            return (
                {"role": "assistant", "content": said or "x", "tool_calls": calls} if calls else HI
            )
        case _:
            uses = [
                {"type": "tool_use", "id": i, "name": n, "input": encode(a)} for i, n, a in made
            ]
            return says(*([{"type": "text", "text": said}] if said else []), *uses) if uses else HI


@st.composite
def answered(draw: st.DrawFn) -> dict[str, Any]:
    results = draw(st.lists(st.tuples(ids, texts), min_size=1, max_size=3))
    if draw(st.booleans()):
        one, content = results[0]
        return {"role": "tool", "tool_call_id": one, "content": content}
    blocks = [{"type": "tool_result", "tool_use_id": i, "content": c} for i, c in results]
    more = [{"type": "text", "text": draw(texts)}] if draw(st.booleans()) else []
    return {"role": "user", "content": [*blocks, *more]}


histories = st.lists(assistant() | answered() | st.just(HI), max_size=8)


def only(kind: str, messages: list[Any]) -> list[Any]:
    return [one for one in content_of(messages) if one[0] == kind]


@given(histories)
def test_nothing_is_lost_and_doing_it_twice_changes_nothing(history: list[Any]) -> None:
    before = copy.deepcopy(history)
    safe = normalize_tool_messages(history)
    assert history == before
    assert normalize_tool_messages(safe) == safe
    for kind in ("text", "call"):
        assert only(kind, safe) == only(kind, history)
    assert sorted(map(repr, only("result", safe))) == sorted(map(repr, only("result", history)))
    for one in safe:
        assert "tool_calls" not in one
        uses = [
            part
            for part in one["content"]
            if isinstance(part, dict) and part.get("type") == "tool_use"
        ]
        assert not uses or (len(one["content"]) == 1 and isinstance(uses[0]["input"], dict))
    normalize(safe)  # the server takes it


@given(st.data())
def test_each_call_is_directly_followed_by_its_result(data: st.DataObject) -> None:
    numbers = itertools.count()
    history: list[Any] = []
    for _ in range(data.draw(st.integers(1, 4))):
        one = data.draw(assistant())
        history.append(one)
        places = [one_["id"] for one_ in _calls(one)]
        fresh = [f"{next(numbers)}" if data.draw(st.booleans()) else given_ for given_ in places]
        for call_, identity in zip(_calls(one), fresh, strict=True):
            call_["id"] = identity
        history += [
            {"role": "tool", "tool_call_id": identity, "content": "r"}
            for identity in data.draw(st.permutations(fresh))
        ]
    safe = content_of(normalize_tool_messages(history))
    for one, after in itertools.pairwise([*safe, ("end",)]):
        if one[0] == "call":
            assert after[:2] == ("result", one[1])


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    parts = content if isinstance(content, list) else []
    return [*(one for one in parts if one["type"] == "tool_use"), *message.get("tool_calls", [])]
