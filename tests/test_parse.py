"""Typed answers: reading them strictly, asking again, and what is remembered."""

from __future__ import annotations

import dataclasses
import enum
import json
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypedDict

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import puter
from puter import ChatReply, PuterInputError, PuterParseError
from puter.schema import adapter
from puter.wire.typed import correction, instructions, read_typed
from tests.door import Door, chat_body


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


@dataclasses.dataclass
class City:
    name: str
    people: int = 0


class Place(TypedDict):
    name: str


class Spot(NamedTuple):
    x: int
    y: int


class Model(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=2)


PARIS = '{"name": "Paris", "people": 2}'


def read(text: str, of: Any) -> Any:
    return read_typed(text, adapter(of))


# ------------------------------------------------------------ reading


@pytest.mark.parametrize(
    "text",
    [
        PARIS,
        f"\n  {PARIS}  \n",
        f"```json\n{PARIS}\n```",
        f"```\n{PARIS}\n```",
        f"Here you are:\n\n```json\n{PARIS}\n```\nAnything else?",
        f"Sure! {PARIS} is the answer [1].",
        f"As said in [1], with {{braces}} and [brackets]: {PARIS}",
        f"```python\nprint('no')\n```\n```json\n{PARIS}\n```",
        f"[1, 2] no, rather {PARIS}",
        '{"name": "Paris", "people": "2"}',  # laxly
        f"```json {PARIS}```",
        f"{PARIS}\n{PARIS}",
    ],
)
def test_code_fences_and_prose_do_not_matter(text: str) -> None:
    assert read(text, City) == City("Paris", 2)


@pytest.mark.parametrize(
    ("text", "of", "value"),
    [
        ("42", int, 42),
        ("```\n42\n```", int, 42),
        ("[2, 3, 5]", list[int], [2, 3, 5]),
        ("The primes are [2, 3, 5].", list[int], [2, 3, 5]),
        ("good", Mood, Mood.GOOD),
        ('"good"', Mood, Mood.GOOD),
        (" Good\n", Mood, Mood.GOOD),
        ("yes", Literal["yes", "no"], "yes"),
        ("Paris", str, "Paris"),
        ('"Paris"', str, "Paris"),
        ("null", City | None, None),
        ("true", bool, True),
        ('{"name": "P"}', Place, {"name": "P"}),
        ('{"x": 1, "y": 2}', Spot, Spot(1, 2)),
        ('{"name": "Ada"}', Model, Model(name="Ada")),
        ('{"a": {"name": "P"}}', dict[str, City], {"a": City("P")}),
    ],
    ids=str,
)
def test_any_type_may_be_asked_for(text: str, of: Any, value: Any) -> None:
    assert read(text, of) == value


@pytest.mark.parametrize(
    ("text", "of", "fault"),
    [
        ("I cannot say.", City, "there is no JSON in it"),
        ("", City, "there is no JSON in it"),
        ("", str, "there is no JSON in it"),
        ("{}", City, "name: it is missing"),
        ('{"name": "P", "people": "many"}', City, 'people: expected a whole number, got "many"'),
        ('{"name": "P", "size": 1}', City, "size: no such field; there are name, people"),
        ("[1]", City, "the value: expected an object (City), got [1]"),
        (
            '```json\n{"nam": "P"}\n``` or {"x": 1}',
            City,
            "nam: no such field; there are name, people",
        ),
        ('{"name": "A"}', list[City], 'the value: expected an array, got {"name": "A"}'),
        ('{"name": "A"}', Model, None),
        ('{"name": "P",}', City, "its JSON is broken: "),
        ('{"name": "P", "people": ', City, "its JSON is broken: Expecting value"),
        ('{"name": "P", "people": NaN}', City, "its JSON is broken: NaN is not a number"),
        ("good enough", Mood, 'the value: expected one of "good", "bad", got "good enough"'),
        # An inner value is not the answer when the outer one breaks off.
        ('{"a": {"name": "P"}, "b": {"na', City, "its JSON is broken: "),
        ('[{"name": "P"}, {"na', City, "its JSON is broken: "),
        ('[["a"], ["b"', list[str], "its JSON is broken: "),
        ("[" * 100_000, list[int], "its JSON is broken: "),
        ('{"a":' * 100_000, City, "its JSON is broken: "),
    ],
    ids=lambda one: str(one)[:40],
)
def test_what_is_wrong_is_said_precisely(text: str, of: Any, fault: str | None) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read(text, of)
    if fault is None:
        fault = "name: expected String should have at least 2 characters"
    assert str(caught.value).startswith(fault)


@settings(deadline=None)
@given(st.lists(st.builds(City, st.text(), st.integers())), st.text(), st.booleans())
def test_whatever_the_answer_holds_it_is_found(
    cities: list[City], prose: str, fenced: bool
) -> None:
    prose = "".join(one for one in prose if one not in '`[{"')
    told = json.dumps([dataclasses.asdict(one) for one in cities])
    text = f"{prose}\n```json\n{told}\n```\n{prose}" if fenced else f"{prose} {told} {prose}"
    assert read(text, list[City]) == cities


@settings(deadline=None)
@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        value = read(text, dict[str, int])
    except ValueError:
        return
    assert isinstance(value, dict)


def test_the_instructions_hold_the_schema() -> None:
    told = instructions(adapter(City))
    schema = told.partition("```json schema\n")[2].partition("\n```")[0]
    assert json.loads(schema) == adapter(City).schema


# ------------------------------------------------------------ asking


async def test_the_schema_goes_into_the_instructions_and_only_the_exchange_is_kept(
    door: Door,
) -> None:
    ai = door.client()
    door.answers(chat_body("Hi!"), chat_body(f"```json\n{PARIS}\n```"))
    await door(ai, "chat", "Hello")
    city = await door(ai, "parse", "The capital of France?", City, system="Be brief.")
    assert city == City("Paris", 2)
    system, *rest = door.sent[1].args["messages"]
    assert system == {"role": "system", "content": f"Be brief.\n\n{instructions(adapter(City))}"}
    assert [one["content"] for one in rest] == ["Hello", "Hi!", "The capital of France?"]
    assert [one["content"] for one in ai.chat_history[2:]] == [
        "The capital of France?", f"```json\n{PARIS}\n```",
    ]  # fmt: skip


async def test_an_answer_that_does_not_fit_is_asked_for_again_with_the_fault_shown(
    door: Door,
) -> None:
    ai = door.client()
    talk: Any = ai.conversation(
        system="Be brief.", messages=["Hello", {"role": "assistant", "content": "Hi"}]
    )
    door.answers(chat_body("Paris, I think."), chat_body("{}"), chat_body(PARIS))
    assert await door(talk, "parse", "The capital of France?", City, retries=2) == City("Paris", 2)
    third = [one["content"] for one in door.sent[2].args["messages"]]
    assert third[1:] == [
        "Hello", "Hi", "The capital of France?",
        "Paris, I think.", correction("there is no JSON in it"),
        "{}", correction("name: it is missing"),
    ]  # fmt: skip
    assert {one.args["messages"][0]["content"] for one in door.sent} == {third[0]}
    assert [one["content"] for one in talk.messages] == [
        "Hello", "Hi", "The capital of France?", PARIS,
    ]  # fmt: skip
    assert (ai.usage.requests, ai.usage.output_tokens) == (3, 21)


@pytest.mark.parametrize("retries", [0, 1])
async def test_in_the_end_it_gives_up_with_the_last_answer_and_the_cost_of_all(
    door: Door, retries: int
) -> None:
    ai = door.client()
    door.answers(*[chat_body("No idea.")] * retries, chat_body('{"name": 5}'))
    with pytest.raises(PuterParseError, match="The answer does not fit: ") as caught:
        await door(ai, "parse", "Where?", list[City], retries=retries)
    reply = caught.value.reply
    assert isinstance(reply, ChatReply)
    assert reply == '{"name": 5}'
    assert (reply.attempts, reply.cost) == (retries + 1, (retries + 1) * Decimal("0.000078"))
    assert ai.chat_history == []


async def test_what_one_is_shown_goes_along_once(door: Door) -> None:
    ai = door.client()
    door.answers(chat_body("No."), chat_body("1"))
    shown: dict[str, Any] = {
        "images": (b"\x89PNG\r\n\x1a\n", "image/png"),
        "files": (b"x", "text/plain"),
        "content_parts": [{"type": "text", "text": "part"}],
    }
    await door(ai, "parse", "Count", int, **shown)
    first, second = (one.args["messages"] for one in door.sent)
    assert second[: len(first)] == first
    assert second[-1]["content"] == correction(_NOTHING)
    assert len(first[-1]["content"]) == 4


_NOTHING = "there is no JSON in it"


async def test_a_picture_instead_of_an_answer_keeps_the_question(door: Door) -> None:
    ai = door.client()
    picture = {
        "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]
    }
    door.answers(chat_body("", message=picture), chat_body("1"))
    assert await door(ai, "parse", "Count", int) == 1
    assert [one["content"] for one in ai.chat_history] == ["Count", "1"]


async def test_a_history_of_ones_own_is_left_alone(door: Door) -> None:
    ai = door.client()
    door.answers(chat_body("1"))
    assert await door(ai, "parse", None, int, messages=["Count"]) == 1
    assert await door(ai, "parse", "Count", int, remember=False) == 1
    assert ai.chat_history == []


async def test_tools_may_help_and_are_remembered(door: Door) -> None:
    def look() -> str:
        return "two"

    ai = door.client()
    calls = [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    door.answers(chat_body(None, message={"tool_calls": calls}), chat_body("2"))
    assert await door(ai, "parse", "Count", int, tools=[look]) == 2
    assert [one["role"] for one in ai.chat_history] == ["user", "assistant", "tool", "assistant"]
    door.answers(chat_body(None, message={"tool_calls": calls}))
    with pytest.raises(PuterParseError, match="called tools instead") as caught:
        await door(ai, "parse", "Count", int, tools=[look], run_tools=False)
    assert caught.value.reply is not None
    assert caught.value.reply.tool_calls[0].name == "look"
    assert (len(ai.chat_history), len(door.sent)) == (4, 3)


async def test_bad_arguments_are_refused_before_anything_is_sent(door: Door) -> None:
    ai = door.client()
    for retries in (-1, True, 1.5, "1"):
        with pytest.raises(PuterInputError, match="retries"):
            await door(ai, "parse", "Count", int, retries=retries)
    with pytest.raises(PuterInputError, match="has no form in JSON"):
        await door(ai, "parse", "Count", complex)
    with pytest.raises(TypeError, match=r"parse\(\) cannot stream"):
        await door(ai, "parse", "Count", int, stream=True)
    with pytest.raises(TypeError, match="temprature"):
        await door(ai, "parse", "Count", int, temprature=1)
    with pytest.raises(PuterInputError, match="empty"):
        await door(ai, "parse", "", int)
    assert door.sent == []


async def test_an_error_of_the_server_is_what_it_is(door: Door) -> None:
    ai = door.client()
    door.answers(chat_body(""))
    with pytest.raises(puter.PuterEmptyResponseError):
        await door(ai, "parse", "Count", int)
    assert ai.chat_history == []
