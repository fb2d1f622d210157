"""Whatever stands in a conversation, a file or a reply to go on from, it works or is refused.

Right ones are damaged in one place. Refusals are PuterInputErrors, before anything is sent.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import puter
from puter import ChatReply, PuterAI, ToolCall
from puter.testing import MockTransport
from puter.transports.mock import MockReply
from puter.wire.json import MAX_DEPTH
from tests.door import Door, chat_body, tool_call
from tests.test_any_answer import places

DATA = "data:image/png;base64,iVBORw0KGgo="
USE = {"type": "tool_use", "id": "t", "name": "double", "input": {"number": 1}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {
        "role": "assistant",
        "content": "Wait",
        "reasoning_details": [{"type": "thinking", "thinking": "x", "signature": "s"}],
        "made_by": {"family": "claude", "model": "claude-haiku-4-5", "native": True},
    },
    {"role": "assistant", "content": [{**USE, "canonical_id": "c"}]},
    {"role": "tool", "tool_call_id": "t", "content": "2"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [tool_call("c", "double")],
    },
    {
        "role": "tool",
        "tool_call_id": "c",
        "content": [
            {"type": "text", "text": "2"},
            {"type": "image_url", "image_url": {"url": DATA}},
        ],
    },
    {
        "type": "compaction",
        "id": "x",
        "encrypted_content": "e",
        "made_by": {"family": "openai-responses"},
    },
    {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "i"}},
            {"type": "file", "file": {"filename": "a", "file_data": DATA}},
            {"type": "document", "source": {"type": "url", "url": "https://x.example/d"}},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [USE]}]},
    {"role": "user", "content": "Go"},
]
FILE = {"puter_conversation": 1, "system": "s", "model": "gpt-5-nano", "messages": MESSAGES}
REPLY = json.loads(
    json.dumps(
        {
            **ChatReply(
                "Hi",
                model="gpt-5-nano",
                requested_model="gpt-5-nano",
                finish_reason="tool_calls",
                tool_calls=(ToolCall("t", "double", {"number": 1}, {"canonical_id": "c"}),),
                messages=(*MESSAGES[1:3], {"role": "assistant", "content": [USE]}),
                reasoning_details=({"type": "thinking"},),
                headers={"a": "b"},
                raw={"a": 1},
            ).to_dict(),
            "cost": "0.1",
            "images": [DATA],
        }
    )
)
MODELS = ["gpt-5-nano", "claude-haiku-4-5", "mistral-small-2506", "gpt-5-pro"]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


WRONG = [
    *(None, True, -1, 1.5, float("nan"), 10**400, "", "x", "NaN", "\ud800"),
    *([], [1], ["x"], [[1]], [None], {}, {"a": 1}, {"type": 5}, {"type": "tool_use"}),
    *({"type": "text", "text": {}}, {"function": {}}, [{"type": "tool_use", "id": {}}]),
    *(nested(MAX_DEPTH), nested(520), nested(3000)),
]


def damaged(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    if not path:
        return wrong
    value = copy.deepcopy(value)
    at = value
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = wrong
    return value


def double(number: int) -> int:
    """Double it."""
    return 2 * number


def client() -> PuterAI:
    body = json.dumps(chat_body()).encode()
    reply = MockReply(body=body, headers={"content-type": "application/json"})
    return PuterAI(token="t", transport=MockTransport(lambda _: reply), max_retries=0)


def as_messages(ai: PuterAI, value: Any, model: str, _folder: Path) -> None:
    ai.chat(messages=value, model=model).to_dict()


def as_conversation(ai: PuterAI, value: Any, model: str, _folder: Path) -> None:
    talk = ai.conversation(messages=value, model=model)
    talk.fork().chat("Hi")
    talk.chat("Hi")
    talk.trim(max_tokens=5)
    talk.undo()


def as_live_list(ai: PuterAI, value: Any, model: str, folder: Path) -> None:
    talk = ai.conversation(model=model)
    talk.messages.extend(value if isinstance(value, list) else [value])
    steps: list[Callable[[], Any]] = [
        talk.fork,
        lambda: talk.save(folder / "live.json"),
        lambda: talk.chat("Hi"),
        lambda: talk.trim(max_tokens=5),
        talk.undo,
    ]
    for step in steps:
        with contextlib.suppress(puter.PuterInputError):
            step()


def as_file(ai: PuterAI, value: Any, _model: str, folder: Path) -> None:
    path = folder / "talk.json"
    with contextlib.suppress(RecursionError):  # json.dumps() cannot write it
        path.write_text(json.dumps(value), "utf-8")
    talk = ai.load_conversation(path)
    ai.load_conversation(talk.save(path))
    talk.fork().chat("Hi")


def as_resume(ai: PuterAI, value: Any, _model: str, _folder: Path) -> None:
    ai.chat(resume=value, tools=[double])


def as_answered(ai: PuterAI, value: Any, _model: str, _folder: Path) -> None:
    ai.chat(resume=value, tool_results={"t": "2"})


def as_results(ai: PuterAI, value: Any, _model: str, _folder: Path) -> None:
    ai.chat(resume=REPLY, tool_results=value)


RIGHT: dict[Callable[[PuterAI, Any, str, Path], None], Any] = {
    as_messages: MESSAGES,
    as_conversation: MESSAGES,
    as_live_list: MESSAGES,
    as_file: FILE,
    as_resume: REPLY,
    as_answered: REPLY,
    as_results: {"t": {"a": [1, {"b": "c"}]}},
}


@pytest.mark.parametrize("used", RIGHT, ids=lambda used: used.__name__)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_one_wrong_value(used: Any, tmp_path: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(places(RIGHT[used]))), "where")
    wrong = data.draw(st.sampled_from(range(len(WRONG))), "what")
    model = data.draw(st.sampled_from(MODELS), "model")
    with contextlib.suppress(puter.PuterInputError):
        used(client(), damaged(RIGHT[used], path, WRONG[wrong]), model, tmp_path)


@pytest.mark.parametrize("used", RIGHT, ids=lambda used: used.__name__)
@pytest.mark.parametrize("model", MODELS)
def test_the_right_ones(used: Any, model: str, tmp_path: Path) -> None:
    used(client(), RIGHT[used], model, tmp_path)


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ({"role": "tool", "tool_call_id": {"a": 1}, "content": "2"}, "[0]: tool_call_id"),
        ({"role": "assistant", "content": [{**USE, "id": {}}]}, ".content[0]: id"),
        (
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": []}]},
            ".content[0]: tool_use_id",
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": [1], "function": {"name": "f"}}]},
            ".tool_calls[0]: id",
        ),
        ({"role": "user", "content": nested(520)}, "[0] is nested too deeply"),
    ],
)
def test_the_error_names_the_place(message: dict[str, Any], place: str, tmp_path: Path) -> None:
    ai = client()
    with pytest.raises(puter.PuterInputError) as caught:
        ai.conversation(messages=[message])
    assert place in str(caught.value)
    path = tmp_path / "talk.json"
    path.write_text(json.dumps({**FILE, "messages": [message]}))
    with pytest.raises(puter.PuterInputError):
        ai.load_conversation(path)


def test_a_fork_of_what_cannot_be_copied_is_refused() -> None:
    talk = client().conversation()
    for part in (nested(3000), {"lock": __import__("threading").Lock()}):
        talk.messages[:] = [{"role": "user", "content": [part]}]
        with pytest.raises(puter.PuterInputError, match="cannot be copied"):
            talk.fork()


async def test_the_deepest_tool_input_can_be_kept_copied_and_loaded(
    door: Door, tmp_path: Path
) -> None:
    deep = nested(MAX_DEPTH)
    called = {"tool_calls": [tool_call("t", "double", deep)]}
    door.answers(chat_body(None, message=called), chat_body("Odd"), chat_body("Bye"))
    ai = door.client()
    talk: Any = ai.conversation()
    await door(talk, "chat", "Hi", tools=[double])
    path = talk.fork().save(tmp_path / "talk.json")
    loaded: Any = ai.load_conversation(path)
    assert loaded.messages == talk.messages
    assert str(deep) in str(loaded.messages)
    assert await door(loaded, "chat", "Bye") == "Bye"


async def test_odd_reasoning_does_not_break_the_next_call(door: Door) -> None:
    odd = {"reasoning_details": [{"type": {"a": 1}}, {"type": []}, 5]}
    door.answers(chat_body(message=odd))
    ai = door.client()
    await door(ai, "chat", "Hi")
    ai.chat_history[-1].pop("made_by", None)
    for model in MODELS:
        assert await door(ai, "chat", "Hi", model=model) == "Hello!"
