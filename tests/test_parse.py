"""Typed answers: reading them strictly, asking again, and what is remembered."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import json
import re
import sys
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import puter
from puter import ChatReply, PuterInputError, PuterParseError
from puter.schema import adapter
from puter.wire.typed import correction, instructions, output_format, read_typed
from tests.door import Door, chat_body, error_body, tool_call


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
        ('{"name": "P",, "people": 2}', City, "its JSON is broken: "),
        ('{"name": "P", "name": "Q"}', City, "its JSON is broken: the key 'name' has two values"),
        ('{"name": "P", // ... and the rest\n "people": 2}', City, "its JSON is broken: "),
        ("[1, 2, ...]", list[int], "its JSON is broken: "),
        ("[1, 2, # and so on\n 3]", list[int], "its JSON is broken: "),
        ('[1] has {"nam": "P"}', City, "nam: no such field; there are name, people"),
        ('{"name": "P", "people": ', City, "its JSON is broken: Expecting value"),
        ('{"name": "P", "people": NaN}', City, "its JSON is broken: NaN is not a number"),
        ("good enough", Mood, 'the value: expected one of "good", "bad", got "good enough"'),
        # An inner value is not the answer when the outer one breaks off.
        ('{"a": {"name": "P"}, "b": {"na', City, "its JSON is broken: "),
        ('[{"name": "P"}, {"na', City, "its JSON is broken: "),
        ('[["a"], ["b"', list[str], "its JSON is broken: "),
        ("[" * 100_000, list[int], "its JSON is broken: nested too deeply"),
        ("[" * 100_000 + "]" * 100_000, list[int], "its JSON is broken: nested too deeply"),
        ("[[" * 40 + "]]" * 40, list[list[int]], "[0][0]: expected a whole number"),
        ('{"a":' * 100_000, City, "its JSON is broken: "),
    ],
    ids=lambda one: str(one)[:40],
)
def test_what_is_wrong_is_said_precisely(text: str, of: Any, fault: str | None) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read(text, of)
    if fault is None:
        fault = 'name: string should have at least 2 characters, got "A"'
    assert str(caught.value).startswith(fault)


@given(st.lists(st.builds(City, st.text(), st.integers())), st.text(), st.booleans())
def test_whatever_the_answer_holds_it_is_found(
    cities: list[City], prose: str, fenced: bool
) -> None:
    prose = "".join(one for one in prose if one not in '`[{"<\u25c1')
    told = json.dumps([dataclasses.asdict(one) for one in cities])
    text = f"{prose}\n```json\n{told}\n```\n{prose}" if fenced else f"{prose} {told} {prose}"
    assert read(text, list[City]) == cities


DUNE = '{"name": "Dune"}'
TWO_FIT = "several different values in it fit, and one is asked for"
ONE_OR_TWO = Literal["one", "two"]


@pytest.mark.parametrize(
    ("text", "of", "value"),
    [
        (f'<think>maybe {{"name": "DRAFT"}}</think>{DUNE}', City, City("Dune")),
        (f'<thinking>\n```json\n{{"name": "DRAFT"}}\n```\n</thinking>\n{DUNE}', City, City("Dune")),
        (f'<Reasoning effort="high">[1, 2</Reasoning> {DUNE}', City, City("Dune")),
        (f'<seed:think>{{"name": "DRAFT"}}</seed:think>{DUNE}', City, City("Dune")),
        ("[THINK] [9] [/THINK] [1]", list[int], [1]),
        ("\u25c1think\u25b7 [9] \u25c1/think\u25b7 [1]", list[int], [1]),
        (f'<think>a <think>b</think> {{"name": "DRAFT"}}</think> {DUNE}', City, City("Dune")),
        (f"<thinking>the <think> tag</thinking> {DUNE}", City, City("Dune")),
        (f"<thinking>the wrong end</think> {DUNE}", City, City("Dune")),
        (f"{DUNE}<think>That is right.</think>", City, City("Dune")),
        # The opening tag is often in the prompt.
        (f'maybe {{"name": "DRAFT"}}</think>{DUNE}', City, City("Dune")),
        (f'it looks like {{"name": ...</think>{DUNE}', City, City("Dune")),
        (f'it begins with {{"name": "</think>{DUNE}', City, City("Dune")),
        ("```\n[9]\n</think>\n```\n[1]\n```", list[int], [1]),
        ("Hm.</think>Paris", str, "Paris"),
        ("<think>Hm.</think>\n\nParis", str, "Paris"),
        ("<think>Hm.</think>42", int, 42),
        # In a string a tag is text.
        ('{"name": "<think>a</think> b"}', City, City("<think>a</think> b")),
        ('So: {"name": "<think>a</think> b"}.', City, City("<think>a</think> b")),
        ('{"name": "</think>"} is it.', City, City("</think>")),
        ('"<think>a</think>"', str, "<think>a</think>"),
    ],
)
def test_thoughts_are_left_out(text: str, of: Any, value: Any) -> None:
    assert read(text, of) == value


@pytest.mark.parametrize(
    ("text", "of", "value"),
    [
        (f'Not {{"name": "A", "size": 1}} but {DUNE}', City, City("Dune")),
        (f'The form is {{"name": ..., "people": n}}: {DUNE}', City, City("Dune")),
        (f'The form is {{"name": \n```json\n{DUNE}\n```', City, City("Dune")),
        (f"{{{{template}}}} [see {DUNE}]", City, City("Dune")),
        (f'{{"name": "DRAFT"}}, or rather\n```json\n{DUNE}\n```', City, City("Dune")),
        (f"```json\n{DUNE}\n```\n~~~\n{DUNE}\n~~~", City, City("Dune")),
        ('```json\n{"name": "```py\\n1\\n```"}\n```', City, City("```py\n1\n```")),
        ("````md\n```json\n[1]\n```\n````", list[int], [1]),
        ("- [ ] primes\n- [x] done\n1. [] more\n\n[2, 3]", list[int], [2, 3]),
        ("[ ]", list[int], []),
        ("It is [] then.", list[int], []),
        ("Half open, [0, 1) has [0]", list[int], [0]),
        ("As told [1](https://example.com), it is [2, 3].", list[int], [2, 3]),
        ("[2, 3] and again [2,3]", list[int], [2, 3]),
    ],
)
def test_the_only_value_that_fits_is_the_answer(text: str, of: Any, value: Any) -> None:
    assert read(text, of) == value


@pytest.mark.parametrize(
    ("text", "of", "fault"),
    [
        ("Both are prime [1], so the answer is [2, 3].", list[int], TWO_FIT),
        ("[1, 4]. No: [2, 3].", list[int], TWO_FIT),
        ("```\n[1]\n```\n```\n[2]\n```", list[int], TWO_FIT),
        ("```\none\n```\n```\ntwo\n```", ONE_OR_TWO, TWO_FIT),
        (f"{DUNE}\n{PARIS}", City, TWO_FIT),
        ("- [ ] buy milk", list[str], "there is no JSON in it"),
        ("1. [ ] buy milk", list[str], "there is no JSON in it"),
        ("See [1](https://example.com).", list[int], "there is no JSON in it"),
        (f"<think>I would say {DUNE}", City, "it breaks off in a thought"),
        (f"{DUNE} <think>or", City, "it breaks off in a thought"),
        (f'First {DUNE}, then {{"name": "Par', City, "its JSON is broken: "),
        ('{"error": 404}', int, 'the value: expected a whole number, got {"error": 404}'),
        ('"Par', str, "its text breaks off"),
        ("one or two", ONE_OR_TWO, "the value: expected one of"),
        ("Not one.", ONE_OR_TWO, "the value: expected one of"),
        ("Us", Literal["US", "us"], "there is no JSON in it"),
        ("It is not true.", bool, "there is no JSON in it"),
        ("3 million", int, "there is no JSON in it"),
        ("1,234", int, "there is no JSON in it"),
        ("The answer is minus 5.", int, "there is no JSON in it"),
        ("In 2024 the answer is 5.", int, "there is no JSON in it"),
        ("I can only count to 10.", int, "there is no JSON in it"),
    ],
)
def test_nothing_is_guessed(text: str, of: Any, fault: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read(text, of)
    assert str(caught.value).startswith(fault)


@pytest.mark.parametrize(
    ("text", "of", "value"),
    [
        ('{"name": "a\nb\tc"}', City, City("a\nb\tc")),
        ('{"name": "Dune",\n}', City, City("Dune")),
        ("[1, 2, ]", list[int], [1, 2]),
        ('{"a": True, "b": False, "c": None}', dict[str, Any], {"a": True, "b": False, "c": None}),
        ("""{'name': 'L\\'Aquila "x"', 'people': 2}""", City, City('L\'Aquila "x"', 2)),
        ('{"name": "It\\\'s", "people": 2}', City, City("It's", 2)),
        ('{"name": "True, None,]",}', City, City("True, None,]")),
        ('{\u201cname\u201d: \u201ca "b"\u201d}', City, City('a "b"')),
        ('\ufeff{"name":\xa0"Dune"}\u200b', City, City("Dune")),
        ('"{\\"name\\": \\"Dune\\"}"', City, City("Dune")),
        ('{"name": "Dune", "name": "Dune"}', City, City("Dune")),
        ('{"answer": 42}', int, 42),
        (f'{{"Result": {DUNE}}}', City, City("Dune")),
        ('{"value": 42}', dict[str, int], {"value": 42}),
        ("One", ONE_OR_TWO, "one"),
        ("**One.**", ONE_OR_TWO, "one"),
        ('"One."', ONE_OR_TWO, "one"),
        ("`one`", ONE_OR_TWO, "one"),
        ("So:\n```\none\n```", ONE_OR_TWO, "one"),
        ("us", Literal["US", "us"], "us"),
        ("_x_", Literal["_x_", "x"], "_x_"),
        ("2.", Literal[1, 2], 2),
        ("GOOD!", Mood, Mood.GOOD),
        ("None", Mood | None, None),
        ("True", bool, True),
        ("**TRUE**.", bool, True),
        ("No.", bool, False),
        ("42.", int, 42),
        ("**4.5**", float, 4.5),
        ("The answer is **42**.", int, 42),
        ("Answer: -5", int, -5),
        ("So we get $\\boxed{42}$.", int, 42),
        ("null", str, "null"),
        ("1.50", str, "1.50"),
        ("1.50", str | None, "1.50"),
        ("null", str | None, None),
        ("1", str | int, 1),
        ("1", Literal["a", 1], 1),
        ("A.", Literal["a", 1], "a"),
        ("None", int | None, None),
        ('{"answer": "Paris"}', str, "Paris"),
        ('Use x[0] = {"a": 1} here.', str, 'Use x[0] = {"a": 1} here.'),
        ("```python\nprint(1)\n```", str, "print(1)"),
        ('Here:\n```json\n"Paris"\n```', str, "Paris"),
        ("2025-12-31.", dt.date, dt.date(2025, 12, 31)),
        ('{"name": "half \\ud83d"}', City, City("half ?")),
    ],
)
def test_slips_with_one_meaning_are_not_paid_for_again(text: str, of: Any, value: Any) -> None:
    assert read(text, of) == value
    assert type(read(text, of)) is type(value)


def json_values(keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    scalars = st.none() | st.booleans() | numbers | keys
    return st.recursive(
        scalars,
        lambda of: st.lists(of, max_size=3) | st.dictionaries(keys, of, max_size=3),
        max_leaves=5,
    ).map(lambda value: {"value": value})


TRICKY = st.sampled_from(
    ['"', "\\", "'", "</think>", "<think>", "```", "\n```\n", "{", "}", "[", "]", "[ ]", "//", "\n"]
)
TEXTS = st.lists(TRICKY | st.characters(exclude_categories=["Cs"]), max_size=9).map("".join)


@given(json_values(TEXTS), st.text(), st.text(), st.booleans(), st.sampled_from([None, 2]))
def test_any_value_comes_back_from_any_prose(
    value: Any, before: str, after: str, ensure_ascii: bool, indent: int | None
) -> None:
    before, after = (re.sub(r"[\[{<\u25c1]|[`~]{3}", "", one) for one in (before, after))
    told = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)
    assert read(f"{before}\n{told}\n{after}", dict[str, Any]) == value
    assert read(f"{before}\n```json\n{told}\n```\n{after}", dict[str, Any]) == value
    thought = told[:-1].replace("<", "")
    assert read(f"<think>{before}{thought}</think>{told}", dict[str, Any]) == value
    with pytest.raises(ValueError, match=re.escape(TWO_FIT)):
        read(f'{before}\n{told}\n{{"other": 1}}\n{after}', dict[str, Any])


PIECES = st.sampled_from(
    [*"[]{}\"'\\,:-.1e \n`<>/x", "```", "</think>", "<think>", '{"a":', "[1,", "[ ]", "True", "NaN",
     "\u201c", "\u201d", "is 1", "[THINK]", "\ufeff", "\ud800", "\x00"]
)  # fmt: skip
TYPES: list[Any] = [dict[str, int], list[int], int, bool, str, float | None, Mood, City, Any]


@given(st.lists(PIECES).map("".join) | st.text(), st.sampled_from(TYPES))
def test_no_text_breaks_the_reader(text: str, of: Any) -> None:
    with contextlib.suppress(ValueError):
        read(text, of)


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


async def test_several_answers_are_asked_about_and_in_the_end_refused(door: Door) -> None:
    ai = door.client()
    door.answers(chat_body("Both are prime [1], so it is [2, 3]."), chat_body("[2, 3] or [5]"))
    with pytest.raises(PuterParseError, match=f"The answer does not fit: {TWO_FIT}"):
        await door(ai, "parse", "Which are prime?", list[int])
    assert door.sent[1].args["messages"][-1]["content"] == correction(TWO_FIT)
    assert ai.chat_history == []


async def test_what_max_tokens_cut_off_is_no_answer(door: Door) -> None:
    ai = door.client()
    door.answers(chat_body("4", finish_reason="length"), chat_body("42"))
    assert await door(ai, "parse", "Count", int) == 42
    door.answers(chat_body("It is Par", finish_reason="length"))
    with pytest.raises(PuterParseError, match="breaks off") as caught:
        await door(ai, "parse", "Which city?", str, retries=0)
    assert "max_tokens" in str(caught.value.hint)
    door.answers(chat_body(f"{PARIS} ", finish_reason="length"))
    assert await door(ai, "parse", "Which city?", City) == City("Paris", 2)


async def test_the_reasoning_is_no_answer(door: Door) -> None:
    ai = door.client()
    door.answers(chat_body("[2]", message={"reasoning": "maybe [1]"}))
    assert await door(ai, "parse", "Which?", list[int]) == [2]


async def test_the_reply_may_come_along_with_the_cost_of_all_rounds(door: Door) -> None:
    ai = door.client()
    door.answers(chat_body("No idea."), chat_body(f"So: {PARIS}"))
    city, reply = await door(ai, "parse", "The capital?", City, with_reply=True)
    assert city == City("Paris", 2)
    assert isinstance(reply, ChatReply)
    assert reply == f"So: {PARIS}"
    assert (reply.attempts, reply.cost, reply.usage.output_tokens) == (2, Decimal("0.000156"), 14)
    assert list(reply.messages) == ai.chat_history
    assert [one["content"] for one in reply.messages] == ["The capital?", f"So: {PARIS}"]
    assert ChatReply.from_dict(reply.to_dict()) == reply
    door.answers(chat_body("1"))
    talk: Any = ai.conversation()
    number, reply = await door(talk, "parse", "Count", int, with_reply=True)
    assert (number, reply.attempts) == (1, 1)
    assert await door(ai, "parse", "Count", int, with_reply=False) == 1


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
    calls = [tool_call("c1", "look")]
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
    with pytest.raises(PuterInputError, match="with_reply"):
        await door(ai, "parse", "Count", int, with_reply="yes")
    with pytest.raises(PuterInputError, match=r"has no form in JSON.*Make it a dataclass"):
        await door(ai, "parse", "Count", type("Odd", (), {}))
    with pytest.raises(PuterInputError, match="Pass the type itself, not its name"):
        await door(ai, "parse", "Count", "int")
    with pytest.raises(PuterInputError, match=r"Did you mean list\[int\]\?"):
        await door(ai, "parse", "Count", [int])
    with pytest.raises(PuterInputError, match=r"Pass the type itself: City\."):
        await door(ai, "parse", "Count", City("Paris"))
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


# ------------------------------------------------------------ the form that vendors enforce


@dataclasses.dataclass
class Closed:
    title: str


@dataclasses.dataclass
class Open:
    title: str
    year: int = 0


@pytest.mark.parametrize(
    ("of", "schema", "strict"),
    [
        (Closed, adapter(Closed).schema, True),
        (Open, adapter(Open).schema, False),
        (dict[str, int], adapter(dict[str, int]).schema, False),
        *(
            (
                of,
                {
                    "type": "object",
                    "properties": {"value": adapter(of).schema},
                    "required": ["value"],
                    "additionalProperties": False,
                },
                True,
            )
            for of in (list[int], str, Literal["a", "b"], int | None)
        ),
    ],
)
async def test_the_schema_goes_along_as_an_object(
    door: Door, of: Any, schema: Any, strict: bool
) -> None:
    door.answers(chat_body("nothing that fits: [[["))
    with contextlib.suppress(PuterParseError):
        await door(door.client(), "parse", "Hi", of, retries=0)
    sent = door.sent[0].args["outputFormat"]
    assert sent == {"type": "json_schema", "name": "answer", "schema": schema, "strict": strict}


def test_definitions_stay_at_the_root() -> None:
    class Node(pydantic.BaseModel):
        nodes: list[Node]

    sent = output_format(adapter(list[Node]))
    assert sent is not None
    (name,) = sent["schema"]["$defs"]
    items = {"$ref": f"#/$defs/{name}"}
    assert sent["schema"]["properties"]["value"] == {"type": "array", "items": items}


async def test_anything_has_no_form(door: Door) -> None:
    door.answers(chat_body("5"))
    assert await door(door.client(), "parse", "Hi", Any) == 5
    assert "outputFormat" not in door.sent[0].args


@pytest.mark.parametrize(
    ("of", "value"), [(list[int], [2, 3]), (str, "a b"), (int | None, None), (Literal["a"], "a")]
)
async def test_the_value_of_the_object_is_taken_out(door: Door, of: Any, value: Any) -> None:
    door.answers(chat_body(json.dumps({"value": value})))
    assert await door(door.client(), "parse", "Hi", of) == value


async def test_ones_own_form_is_sent_instead(door: Door) -> None:
    door.answers(chat_body("[1]"))
    await door(door.client(), "parse", "Hi", list[int], output_format={"type": "json_object"})
    assert door.sent[0].args["outputFormat"] == {"type": "json_object"}


async def test_a_vendor_that_refuses_the_schema_is_asked_without_it(door: Door) -> None:
    refusal = error_body("Invalid schema for response_format 'answer'", "upstream_bad_request")
    door.answers((400, refusal), chat_body("[1]"))
    ai = door.client()
    assert await door(ai, "parse", "Hi", list[int], retries=0) == [1]
    assert ["outputFormat" in one.args for one in door.sent] == [True, False]
    assert len(ai.chat_history) == 2


@pytest.mark.parametrize(
    ("message", "code", "sent"),
    [
        ("Your credit balance is too low", "upstream_bad_request", 1),
        ("Bad format", "bad_request", 1),
        ("Invalid schema", "upstream_bad_request", 2),
    ],
)
async def test_other_refusals_are_final(door: Door, message: str, code: str, sent: int) -> None:
    door.answers((400, error_body(message, code)))
    with pytest.raises(puter.PuterBadRequestError):
        await door(door.client(), "parse", "Hi", list[int])
    assert len(door.sent) == sent


async def test_reasoning_of_a_typed_answer_is_remembered_with_it(door: Door) -> None:
    details = [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]
    answer = chat_body(
        "[1]", message={"reasoning_details": details}, metadata={"service_used": "claude"}
    )
    door.answers(chat_body("none"), answer, chat_body())
    ai = door.client()
    await door(ai, "parse", "Hi", list[int], "claude-opus-4-6")
    await door(ai, "chat", "And?", "claude-opus-4-6")
    assert door.sent[2].args["messages"][1]["reasoning_details"] == details


async def test_a_validator_that_raises_anything_means_that_the_answer_does_not_fit(
    door: Door,
) -> None:
    class Picky(pydantic.BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def check(cls, n: int) -> int:
            raise RuntimeError("not today")

    door.answers(chat_body('{"n": 1}'))
    with pytest.raises(PuterParseError, match="does not fit: the value: not today"):
        await door(door.client(), "parse", "Count", Picky)
    assert len(door.sent) == 2


async def test_constraints_are_told_and_checked(door: Door) -> None:
    stars = Annotated[int, pydantic.Field(ge=1, le=5)]
    door.answers(chat_body("9"), chat_body("5"))
    assert await door(door.client(), "parse", "How many?", stars) == 5
    first, second = (one.args["messages"] for one in door.sent)
    assert '"maximum": 5' in first[0]["content"]
    assert "must be less than or equal to 5, got 9" in second[-1]["content"]


# ------------------------------------------------------------ the wrapper


class Plan(pydantic.BaseModel):
    city: str = ""
    days: int = 0


class Loose(pydantic.BaseModel, extra="allow"):
    city: str = ""


class Box(pydantic.BaseModel):
    value: str | None = ""


ROME: dict[str, Any] = {"city": "Rome", "days": 3}


@pytest.mark.parametrize(
    ("told", "of", "value"),
    [
        ({"value": ROME}, Plan | None, Plan(**ROME)),
        ({"value": {"city": "Rome", "days": "3"}}, Plan | None, Plan(**ROME)),
        ({"value": None}, Plan | None, None),
        ({"value": ROME}, Plan | str, Plan(**ROME)),
        ({"value": "Rome"}, Plan | str, "Rome"),
        ({"value": {"city": "Rome"}}, Loose | None, Loose(city="Rome")),
        ({"value": {"a": 1}}, dict[str, Any] | None, {"a": 1}),
        ({"value": None}, dict[str, Any] | None, None),
        ({"value": 5}, dict[str, int] | int, 5),
        ({"value": {"a": "1"}}, dict[str, int] | None, {"a": 1}),
        ({"value": {"value": None}}, Box | None, Box(value=None)),
        # What does not fit inside may be the whole, where the type takes such a key.
        ({"value": 5}, dict[str, Any] | None, {"value": 5}),
        ({"value": ""}, dict[str, str] | None, {"value": ""}),
        ({"value": ""}, Box | None, Box(value="")),
        ({"value": "x"}, Loose | None, Loose.model_validate({"value": "x"})),
        # Another name, or no wrapper that was asked for.
        ({"result": ROME}, Plan, Plan(**ROME)),
        ({"result": ROME}, Plan | None, Plan(**ROME)),
        ({"result": {"city": "Rome"}}, Loose, Loose(city="Rome")),
        ({"result": "x"}, Loose, Loose.model_validate({"result": "x"})),
        ({"result": {"a": 1}}, dict[str, Any], {"result": {"a": 1}}),
        ({"value": "x"}, Box, Box(value="x")),
        ({"city": "Rome"}, Plan, Plan(city="Rome")),
    ],
    ids=str,
)
def test_a_wrapper_is_taken_off_before_a_type_takes_it_for_its_own(
    told: Any, of: Any, value: Any
) -> None:
    assert read(json.dumps(told), of) == value


@pytest.mark.parametrize(
    ("told", "of", "fault"),
    [
        ({"value": {"city": []}}, Plan | None, "city: expected a valid string, got []"),
        ({"result": {"days": "many"}}, Plan, "days: expected a valid integer"),
        ({"value": 5}, Plan | Box, "the value: expected Plan or Box, got 5"),
    ],
)
def test_defaults_do_not_stand_in_for_what_a_wrapper_holds(told: Any, of: Any, fault: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read(json.dumps(told), of)
    assert str(caught.value).startswith(fault)


# ------------------------------------------------------------ what several rounds leave behind

LOOK = [tool_call("c1", "look")]
CALL = chat_body(None, message={"tool_calls": LOOK})
NO_FORMAT = (400, error_body("Invalid schema for response_format", "upstream_bad_request"))


def look() -> str:
    """Look it up."""
    return "two"


async def test_a_resumed_parse_remembers_the_question_and_the_answer_that_fitted(
    door: Door,
) -> None:
    ai = door.client()
    door.answers(chat_body("No idea."), (400, error_body("Too low", "bad_request")))
    with pytest.raises(puter.PuterBadRequestError) as caught:
        await door(ai, "parse", "Count", int)
    partial = caught.value.partial
    assert isinstance(partial, ChatReply)
    assert [one["content"] for one in partial.messages] == [
        "Count", "No idea.", correction(_NOTHING),
    ]  # fmt: skip
    door.answers(chat_body("2"))
    stored = ChatReply.from_dict(json.loads(json.dumps(partial.to_dict())))
    assert await door(ai, "parse", None, int, resume=stored) == 2
    assert [one["content"] for one in door.sent[-1].args["messages"][1:]] == [
        "Count", "No idea.", correction(_NOTHING),
    ]  # fmt: skip
    assert [one["content"] for one in ai.chat_history] == ["Count", "2"]


async def test_tools_that_ran_in_any_round_are_remembered(door: Door) -> None:
    ai = door.client()
    door.answers(CALL, chat_body("No idea."), CALL, chat_body("2"))
    number, reply = await door(ai, "parse", "Count", int, tools=[look], with_reply=True)
    assert (number, reply.attempts) == (2, 4)
    once = ["assistant", "tool"]
    assert [one["role"] for one in ai.chat_history] == ["user", *once, *once, "assistant"]
    assert list(reply.messages) == ai.chat_history
    assert "No idea." not in str(ai.chat_history)


async def test_the_history_shares_nothing_with_the_reply(door: Door) -> None:
    ai = door.client()
    door.answers(chat_body("2"))
    part = {"type": "text", "text": "Count"}
    _, reply = await door(ai, "parse", None, int, content_parts=[part], with_reply=True)
    assert list(reply.messages) == ai.chat_history
    reply.messages[0]["content"][0]["text"] = "Sing"
    reply.messages[1]["content"] = "La"
    assert [one["content"] for one in ai.chat_history] == [[part], "2"]


@pytest.mark.parametrize("choice", ["required", "look"])
async def test_a_tool_is_forced_in_the_first_round_of_all(door: Door, choice: str) -> None:
    ai = door.client()
    door.answers(CALL, chat_body("No idea."), chat_body("2"))
    assert await door(ai, "parse", "Count", int, tools=[look], tool_choice=choice) == 2
    first, *others = (one.args["tool_choice"] for one in door.sent)
    assert first != "auto"
    assert others == ["auto", "auto"]


async def test_the_model_stays_the_same_in_all_rounds(door: Door) -> None:
    ai = door.client()
    other = {"providerUsed": "gpt-4o"}
    door.answers(chat_body("No idea.", metadata=other), chat_body("2"))
    assert await door(ai, "parse", "Count", int) == 2
    first, second = (one.args["model"] for one in door.sent)
    assert first == second


# ------------------------------------------------------------ the form refused later on


async def test_a_resumed_parse_does_without_a_refused_form(door: Door) -> None:
    ai = door.client()
    door.answers(CALL)
    reply = await door(ai, "chat", "Count", tools=[look], run_tools=False)
    door.answers(NO_FORMAT, chat_body("2"))
    results = {"c1": "two"}
    assert await door(ai, "parse", None, int, resume=reply, tool_results=results) == 2
    assert ["outputFormat" in one.args for one in door.sent] == [False, True, False]
    assert door.sent[1].args["messages"] == door.sent[2].args["messages"]
    assert [one["role"] for one in ai.chat_history] == ["user", "assistant", "tool", "assistant"]


async def test_no_tool_runs_again_when_the_form_is_refused_after_it(door: Door) -> None:
    ran: list[int] = []

    def look() -> str:
        ran.append(1)
        return "two"

    ai = door.client()
    door.answers(CALL, NO_FORMAT, chat_body("2"))
    assert await door(ai, "parse", "Count", int, tools=[look]) == 2
    assert ["outputFormat" in one.args for one in door.sent] == [True, True, False]
    assert len(ran) == 1
    assert [one["role"] for one in ai.chat_history] == ["user", "assistant", "tool", "assistant"]


async def test_a_refusal_that_a_tool_raises_is_not_of_the_form(door: Door) -> None:
    ran: list[int] = []

    def look() -> str:
        ran.append(1)
        raise puter.PuterBadRequestError("Invalid schema", code="upstream_bad_request")

    door.answers(CALL)
    refused: Any = (puter.PuterBadRequestError,)
    with pytest.raises(puter.PuterBadRequestError):
        await door(door.client(), "parse", "Count", int, tools=[look], raise_tool_errors=refused)
    assert (len(ran), len(door.sent)) == (1, 1)


@pytest.mark.parametrize(
    ("of", "options"),
    [
        (int, {"output_format": {"type": "json_object"}}),
        (int, {"extra": {"outputFormat": {"type": "json_object"}}}),
        (Any, {}),
    ],
)
async def test_nothing_is_sent_twice_where_the_form_is_not_ours(
    door: Door, of: Any, options: Any
) -> None:
    door.answers(NO_FORMAT)
    with pytest.raises(puter.PuterBadRequestError):
        await door(door.client(), "parse", "Count", of, **options)
    assert len(door.sent) == 1


# ------------------------------------------------------------ raw JSON Schemas

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
}


@pytest.fixture(params=["with jsonschema", "without"])
def judge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without":
        monkeypatch.setitem(sys.modules, "jsonschema", None)


@pytest.mark.usefixtures("judge")
async def test_a_json_schema_gives_plain_data(door: Door) -> None:
    door.answers(chat_body("Here it is: " + PARIS))
    found = await door(door.client(), "parse", "Which city?", SCHEMA)
    assert found == {"name": "Paris", "people": 2}
    assert json.dumps(SCHEMA) in door.sent[0].json["args"]["messages"][0]["content"]
    assert door.sent[0].json["args"]["outputFormat"]["schema"] == SCHEMA


@pytest.mark.usefixtures("judge")
@pytest.mark.parametrize("answer", ["[1]", '{"name": "Paris"}', "Paris", "true"])
async def test_an_answer_that_does_not_fit_a_json_schema_is_asked_for_again(
    door: Door, answer: str
) -> None:
    door.answers(chat_body(answer), chat_body(PARIS))
    assert await door(door.client(), "parse", "Which?", SCHEMA) == json.loads(PARIS)
    door.answers(chat_body(answer))
    with pytest.raises(PuterParseError):
        await door(door.client(), "parse", "Which?", SCHEMA, retries=0)


@pytest.mark.usefixtures("judge")
@pytest.mark.parametrize(
    ("schema", "answer", "value"),
    [
        ({"type": "array", "items": {"type": "number"}}, "[1, 2.5]", [1, 2.5]),
        ({"type": ["integer", "null"]}, "5", 5),
        ({"enum": ["good", "bad"]}, "**Good.**", "good"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "Paris", "Paris"),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, "5", 5),
    ],
)
async def test_json_schemas_of_any_kind(door: Door, schema: Any, answer: str, value: Any) -> None:
    door.answers(chat_body(answer))
    assert await door(door.client(), "parse", "What?", schema) == value


async def test_jsonschema_judges_what_is_inside(door: Door) -> None:
    door.answers(chat_body('{"name": 5, "people": "many"}'))
    with pytest.raises(PuterParseError, match="name: 5 is not of type 'string'; people: "):
        await door(door.client(), "parse", "Which?", SCHEMA, retries=0)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"name": str}, "no JSON Schema"),
        ({"type": int}, "no JSON Schema"),
        ({"name": "str"}, "no JSON Schema"),
        ({}, "no JSON Schema"),
        ({"$ref": "https://example.org/x.json"}, "another document"),
        ({"type": "text"}, "no valid JSON Schema"),
    ],
)
async def test_a_dict_that_is_no_json_schema_is_refused(door: Door, schema: Any, told: str) -> None:
    with pytest.raises(PuterInputError, match=told):
        await door(door.client(), "parse", "What?", schema)
    assert door.sent == []


# ------------------------------------------------------------ numbers as they are written


@dataclasses.dataclass
class Price:
    total: Decimal


@pytest.mark.parametrize("number", ["12345678901234567.89", "1.10", "-0.30", "1E+2", "5"])
def test_a_decimal_has_all_digits_of_the_answer(number: str) -> None:
    assert str(read(number, Decimal)) == number
    for answer in (f'{{"total": {number}}}', f'So: {{"total": {number}}} caf\u00e9'):
        assert str(read(answer, Price).total) == number
    assert str(read(f'[{number}, "caf\\u00e9"]', tuple[Decimal, str])[0]) == number
    assert str(read(f"[{number}]", list[Decimal])[0]) == number


@pytest.mark.parametrize("of", [Any, float, list[Any], dict[str, float], float | None])
def test_other_numbers_are_mere_floats(of: Any) -> None:
    inside = {list[Any]: ("[1.10]", 0), dict[str, float]: ('{"a": 1.10}', "a")}
    text, key = inside.get(of, ("1.10", None))
    found = read(text, of)
    inner = found if key is None else found[key]
    assert type(inner) is float
    assert inner == 1.1


async def test_a_type_that_every_answer_fits_is_refused_before_anything_is_sent(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match=r"output_type is object.*Name what you want"):
        await door(door.client(), "parse", "Hi", object)
    assert door.sent == []
