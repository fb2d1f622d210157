"""Tools: functions that a model calls, through both doors."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import dataclasses
import datetime as dt
import enum
import functools
import inspect
import itertools
import json
import logging
import math
import pickle
import threading
import types
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
import pytest
from annotated_types import Ge, MaxLen

import puter
from puter import (
    ChatReply,
    PuterInputError,
    PuterToolError,
    StopChat,
    Tool,
    ToolCall,
    tool_result,
)
from puter.api.tool_calls import NOT_RUN, run_calls
from puter.engine.effects import InvokeAll, Notify
from puter.engine.events import Event, subscribe
from puter.engine.extensions import Extensions
from puter.jsonable import to_json
from puter.tools import Toolbox
from tests.door import (
    USAGE,
    Door,
    calls_body,
    chat_body,
    chunks,
    each,
    label,
    lines,
    shut,
    stream_answer,
    tool_call,
    until_done,
)


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: The one.
        b: The other.
    """
    return a + b


async def after_calls(door: Door, *calls: tuple[str, Any], **arguments: Any) -> list[str]:
    """What the model reads after it called the tools."""
    door.answers(calls_body(*calls), chat_body("Done."))
    before = len(door.sent)
    assert await door(door.client(), "chat", "Go", **arguments) == "Done."
    messages = door.sent[before + 1].args["messages"]
    return [one["content"] for one in messages if one["role"] == "tool"]


def awaited(door: Door, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, as an ``async def`` behind the async door."""
    if door.kind == "sync":
        return function

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


# ------------------------------------------------------------ what a tool is


class Shop:
    """A shop."""

    def __init__(self, name: str = "shop") -> None:
        self.name = name

    def price(self, item: str) -> str:
        """What an item costs."""
        return f"{item} at {self.name}"

    @classmethod
    def opened(cls, item: str) -> str:
        return f"{item} {cls.__name__}"

    @staticmethod
    def closed(item: str) -> str:
        return f"{item} closed"

    def __call__(self, item: str) -> str:
        return f"{item} called"


class Bare:
    def __call__(self, item: str) -> str:
        """Call it."""
        return f"{item} bare"


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@logged
def wrapped(item: str) -> str:
    """It is wrapped."""
    return f"{item} wrapped"


@functools.lru_cache
def cached(item: str) -> str:
    return f"{item} cached"


def of_three(item: str, shop: str, /, *, key: str) -> str:
    return f"{item} {shop} {key}"


CALLABLES: list[tuple[Any, str, str, str]] = [
    (Shop("s").price, "price", "What an item costs.", "x at s"),
    (Shop.opened, "opened", "", "x Shop"),
    (Shop.closed, "closed", "", "x closed"),
    (Shop(), "Shop", "A shop.", "x called"),
    (Bare(), "Bare", "Call it.", "x bare"),
    (wrapped, "wrapped", "It is wrapped.", "x wrapped"),
    (cached, "cached", "", "x cached"),
    (functools.partial(of_three, "x", key="k"), "of_three", "", "x x k"),
    (Tool(lambda item: item * 2, name="twice", description="Doubles."), "twice", "Doubles.", "xx"),
]


@pytest.mark.parametrize(("function", "name", "description", "result"), CALLABLES, ids=label)
async def test_anything_callable_is_a_tool(
    door: Door, function: Any, name: str, description: str, result: str
) -> None:
    tool = function if isinstance(function, Tool) else Tool(function)
    assert (tool.name, tool.description) == (name, description)
    (parameter,) = tool.parameters["properties"]
    assert await after_calls(door, (name, {parameter: "x"}), tools=[function]) == [result]


async def test_builtins_are_tools_as_well(door: Door) -> None:
    assert await after_calls(door, ("sqrt", {"x": 9}), tools=[math.sqrt]) == ["3.0"]


class Silent:
    def __call__(self, item: str) -> str:
        return item


def test_what_others_wrote_is_no_description() -> None:
    assert Tool(Silent()).description == ""  # Python's "Call self as a function."
    assert Tool(functools.partial(of_three, key="k")).description == ""

    class Model(pydantic.BaseModel):
        name: str

        def greet(self, times: int) -> str:
            return self.name * times

    assert Tool(Model(name="x").greet).description == ""

    def save(model: Model) -> None: ...

    save.__annotations__["model"] = Model
    assert "description" not in Tool(save).schema["function"]
    assert "BaseModel" not in json.dumps(Tool(save).schema)


# ------------------------------------------------------------ a decorated function


@Tool
def tripled(n: int) -> int:
    """Triple it."""
    return 3 * n


@Tool
async def tripled_later(n: int) -> int:
    return 3 * n


class Till:
    def __init__(self, name: str) -> None:
        self.name = name

    @Tool
    def pay(self, amount: int) -> str:
        """Pay."""
        return f"{amount} into {self.name}"

    later = Tool(add)


async def test_a_decorated_function_is_still_one(door: Door) -> None:
    assert (tripled(2), tripled(n=3), await tripled_later(2)) == (6, 9, 6)
    assert (tripled.__name__, tripled.__doc__) == ("tripled", "Triple it.")
    assert tripled.__wrapped__(2) == 6
    assert str(inspect.signature(tripled)).startswith("(n:")
    assert await after_calls(door, ("tripled", {"n": 4}), tools=[tripled]) == ["12"]
    again = Tool(tripled, name="again")
    assert (again.name, again.description, again.function) == (
        "again", "Triple it.", tripled.function,
    )  # fmt: skip


async def test_a_decorated_method_is_one_of_its_object(door: Door) -> None:
    first, second = Till("first"), Till("second")
    assert (first.pay(1), Till.pay(second, 2)) == ("1 into first", "2 into second")
    assert first.pay.parameters["properties"].keys() == {"amount"}
    assert first.later(1) == 2
    tools = [first.pay, Tool(second.pay, name="other")]
    got = await after_calls(door, ("pay", {"amount": 3}), ("other", {"amount": 4}), tools=tools)
    assert got == ["3 into first", "4 into second"]
    with pytest.raises(PuterInputError, match="pay is a method that has no object"):
        await door(door.client(), "chat", "Go", tools=[Till.pay])


# ------------------------------------------------------------ a ready schema


async def test_a_given_schema_is_taken_as_it_is(door: Door) -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string", "minLength": 2}}}

    def proxy(**given: Any) -> Any:
        return given

    tool = Tool(proxy, name="search", description="Search.", parameters=schema)
    assert tool.schema["function"] == {
        "name": "search", "description": "Search.", "parameters": schema,
    }  # fmt: skip
    got = await after_calls(door, ("search", {"q": "5", "n": None}), ("search", "["), tools=[tool])
    assert got == [
        '{"q": "5", "n": null}',
        "Error: wrong arguments: the arguments: they are no JSON object",
    ]
    with pytest.raises(PuterInputError, match="parameters must be a JSON Schema, not str"):
        Tool(proxy, parameters="object")  # type: ignore[arg-type]


async def test_tools_of_an_mcp_server_are_raw_schemas(door: Door) -> None:
    listed = {
        "name": "look", "title": "Look", "description": "Look around.",
        "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True},
    }  # fmt: skip
    door.answers(calls_body(("look", {"at": 1})))
    reply = await door(door.client(), "chat", "Go", tools=[listed])
    assert reply.tool_calls[0].name == "look"
    assert door.sent[0].args["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "look", "description": "Look around.", "parameters": {"type": "object"},
            },
        }
    ]  # fmt: skip


# ------------------------------------------------------------ what wrappers fill in


class Database:
    """It has no form in JSON."""


def with_database(function: Callable[..., Any]) -> Callable[..., Any]:
    """It hides what it fills in by a signature of its own."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(Database(), *args, **kwargs)

    signature = inspect.signature(function)
    rest = [one for name, one in signature.parameters.items() if name != "database"]
    wrapper.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
    return wrapper


@with_database
def stored(database: Database, key: str, limit: int = 5) -> str:
    """Look it up."""
    return f"{type(database).__name__} {key} {limit}"


def named_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(key: str) -> Any:
        return function(Database(), key)

    return wrapper


def looked_up(database: Database, key: str) -> str:
    return f"{type(database).__name__} {key}"


@pytest.mark.parametrize(
    ("tool", "asked", "given", "result"),
    [
        (stored, {"key", "limit"}, {"key": "k"}, "Database k 5"),
        (named_wrapper(looked_up), {"key"}, {"key": "k"}, "Database k"),
        (functools.partial(looked_up, Database()), {"key"}, {"key": "k"}, "Database k"),
        (functools.partial(looked_up, database=Database()), {"key"}, {"key": "k"}, "Database k"),
        (
            Tool(logged(functools.partial(looked_up, database=Database())), name="found"),
            {"key"}, {"key": "k"}, "Database k",
        ),
        (functools.partial(Shop.price, self=Shop("s")), {"item"}, {"item": "x"}, "x at s"),
        (Tool(functools.partial(Shop.price, Shop("s")), name="price"), {"item"}, {"item": "x"},
         "x at s"),
    ],
)  # fmt: skip
async def test_what_is_filled_in_is_not_asked_of_the_model(
    door: Door, tool: Any, asked: set[str], given: Any, result: str
) -> None:
    made = tool if isinstance(tool, Tool) else Tool(tool)
    assert made.parameters["properties"].keys() == asked
    assert await after_calls(door, (made.name, given), tools=[tool]) == [result]


if TYPE_CHECKING:
    from nowhere import Result, Where  # type: ignore[import-not-found]


def returns_unknown(key: str) -> Result:
    return key


def takes_unknown(at: Where) -> None: ...


async def test_hints_for_type_checkers_alone(door: Door) -> None:
    assert await after_calls(door, ("returns_unknown", {"key": "k"}), tools=[returns_unknown]) == [
        "k"
    ]
    with pytest.raises(PuterInputError, match=r"of takes_unknown cannot be read: .*'Where'"):
        await door(door.client(), "chat", "Go", tools=[takes_unknown])


async def test_what_goes_out(door: Door) -> None:
    def look(
        at: Annotated[str, "Where."],
        when: dt.date,
        unit: Unit = Unit.C,
        kind: Literal["now", "then"] = "now",
        corners: dict[str, list[Point]] | None = None,
    ) -> None:
        """Look at the weather.

        It may rain.

        Parameters
        ----------
        when : date
            Which day.
        """

    raw = {"type": "function", "function": {"name": "raw", "parameters": {"type": "object"}}}
    bare = {"name": "bare", "parameters": {"type": "object"}}
    anthropic = {"name": "claudes", "input_schema": {"type": "object"}}
    built_in = {"type": "code_interpreter"}
    await door(door.client(), "chat", "Go", tools=(look, Tool(add), raw, bare, anthropic, built_in))
    sent = door.sent[0].args["tools"]
    assert sent[2:] == [raw, bare, anthropic, built_in]
    assert sent[1] == {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Add two numbers.",
            "parameters": {
                "type": "object",
                "properties": {
                    "a": {"type": "integer", "description": "The one."},
                    "b": {"type": "integer", "description": "The other.", "default": 1},
                },
                "required": ["a"],
                "additionalProperties": False,
            },
        },
    }
    told = sent[0]["function"]
    assert told["description"] == "Look at the weather.\n\nIt may rain."
    point = told["parameters"]["properties"].pop("corners")["anyOf"][0]
    assert point["additionalProperties"]["items"]["properties"].keys() == {"x", "y"}
    assert told["parameters"]["properties"] == {
        "at": {"type": "string", "description": "Where."},
        "when": {"type": "string", "format": "date", "description": "Which day."},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "kind": {"type": "string", "enum": ["now", "then"], "default": "now"},
    }
    assert told["parameters"]["required"] == ["at", "when"]


async def test_no_tools_are_not_sent(door: Door) -> None:
    await door(door.client(), "chat", "Go", tools=[])
    assert "tools" not in door.sent[0].args


async def test_web_search_goes_beside_them(door: Door) -> None:
    await door(door.client(), "chat", "Go", "gpt-5-nano", tools=[add], web_search=True)
    assert door.sent[0].args["tools"] == [Tool(add).schema, {"type": "web_search"}]


def takes_args(*words: str) -> None: ...
def takes_kwargs(**words: str) -> None: ...
def takes_odd(a: Database) -> None: ...


class Movie(pydantic.BaseModel):
    title: str


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        (add, "tools must be a list"),
        ("add", "tools must be a list"),
        ({"name": "x"}, "tools must be a list"),
        ([5], "A tool must be callable, not int"),
        ([add, add], "Two tools are named 'add'"),
        ([add, {"name": "add"}], "Two tools are named 'add'"),
        ([{"name": "add"}, {"function": {"name": "add"}}], "Two tools are named 'add'"),
        ([{"type": "function"}], "has no name"),
        ([{}], "has no name"),
        ([lambda: None], "'<lambda>' cannot name a tool"),
        ([takes_args], r"takes_args takes \*words, and a model can only fill named parameters"),
        ([takes_kwargs], r"takes_kwargs takes \*\*words"),
        ([takes_odd], "takes_odd.a: The type 'Database' has no form in JSON"),
        ([Movie], r"Movie is a class, and a tool is a function. .* call parse\(..., Movie\)"),
        ([Point], "Point is a class"),
        ([Shop], "Shop is a class"),
        ([Shop.price], r"price is a method that has no object .* thing\.price"),
        ([logged(Shop.price)], "price is a method that has no object"),
        ([max], "The signature of max cannot be read"),
    ],
    ids=label,
)
async def test_what_cannot_be_a_tool_is_refused_before_anything_is_sent(
    door: Door, tools: Any, message: str
) -> None:
    with pytest.raises(PuterInputError, match=message):
        await door(door.client(), "chat", "Go", tools=tools)
    assert door.sent == []


@pytest.mark.parametrize("name", ["", "a b", "a\n", "x" * 65, "ü"])
def test_a_name_must_be_one_that_vendors_take(name: str) -> None:
    with pytest.raises(PuterInputError, match="cannot name a tool"):
        Tool(add, name=name)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_rounds", 0),
        ("max_rounds", True),
        ("max_rounds", "8"),
        ("before_tool", "yes"),
        ("raise_tool_errors", "ValueError"),
        ("raise_tool_errors", int),
        ("raise_tool_errors", [ValueError()]),
        ("raise_tool_errors", True),
    ],
)
async def test_options_are_checked(door: Door, option: str, value: Any) -> None:
    with pytest.raises(PuterInputError, match=option):
        await door(door.client(), "chat", "Go", tools=[add], **{option: value})
    assert door.sent == []


# ------------------------------------------------------------ arguments


async def test_arguments_are_converted(door: Door) -> None:
    seen: list[Any] = []

    def look(
        when: dt.date, unit: Unit, at: tuple[Point, ...], what: set[str] | None = None
    ) -> None:
        seen.append((when, unit, at, what))

    given = {"when": "2025-01-02", "unit": "CELSIUS", "at": [{"x": "1"}], "what": ["sun"]}
    assert await after_calls(door, ("look", given), tools=[look]) == ["null"]
    assert seen == [(dt.date(2025, 1, 2), Unit.C, (Point(1),), {"sun"})]


async def test_what_a_partial_fills_in_is_not_the_models(door: Door) -> None:
    def search(query: str, limit: int = 5, api_key: str = "") -> str:
        return f"{query} {limit} {api_key}"

    tool = functools.partial(functools.partial(search, api_key="secret"), limit=9)
    got = await after_calls(
        door,
        ("search", {"query": "x"}),
        ("search", {"query": "x", "api_key": "mine"}),
        tools=[tool],
    )
    assert got[0] == "x 9 secret"
    assert got[1].startswith("Error: wrong arguments: api_key: no such field; there are query")
    assert b"secret" not in door.sent[0].body


async def test_positional_parameters_keep_their_places(door: Door) -> None:
    def three(a: int = 1, b: int = 2, /, c: int = 3) -> str:
        return f"{a} {b} {c}"

    got = await after_calls(door, ("three", {"b": 5}), ("three", {"c": 6, "a": 4}), tools=[three])
    assert got == ["1 5 3", "4 2 6"]


async def test_none_as_default_means_optional(door: Door) -> None:
    def look(at: str = None, n: int = 0) -> str:  # type: ignore[assignment]  # noqa: RUF013
        return f"{at} {n}"

    got = await after_calls(door, ("look", {"at": None}), ("look", {"n": None}), tools=[look])
    assert got == ["None 0", "None 0"]


async def test_null_for_what_has_a_default_means_that(door: Door) -> None:
    def look(
        at: str,
        n: int = 3,
        points: list[Point] | None = None,
        unit: Unit = Unit.C,
        far: Annotated[int, Ge(1)] = 9,
        either: int | None = 4,
    ) -> str:
        return f"{at} {n} {points} {unit.value} {far} {either}"

    empty = dict.fromkeys(("n", "points", "unit", "far", "either"))
    got = await after_calls(
        door, ("look", {"at": "x", **empty}), ("look", {"at": None}), tools=[look]
    )
    assert got == ["x 3 None celsius 9 None", "Error: wrong arguments: at: expected text, got null"]


async def test_lists_and_objects_may_come_as_json_text(door: Door) -> None:
    def look(
        points: list[Point],
        first: Point,
        names: dict[str, int],
        pair: tuple[int, int] | None = None,
        few: Annotated[list[int], MaxLen(2)] = [],  # noqa: B006 - never changed
        text: str = "",
    ) -> str:
        return f"{points == [first]} {names} {pair} {few} {text}"

    given = {
        "points": '[{"x": "1"}]', "first": '{"x": 1, "y": 0}', "names": '{"a": 1}',
        "pair": "[1, 2]", "few": "[1]", "text": "[1]",
    }  # fmt: skip
    got = await after_calls(
        door, ("look", given), ("look", {**given, "points": "[1,"}), tools=[look]
    )
    assert got[0] == "True {'a': 1} (1, 2) [1] [1]"
    assert got[1] == 'Error: wrong arguments: points: expected an array, got "[1,"'


async def test_constraints_of_parameters_are_told_and_checked(door: Door) -> None:
    def order(
        count: Annotated[int, pydantic.Field(ge=1)],
        size: int = pydantic.Field(7, gt=5, description="How large."),
        name: str = pydantic.Field(..., min_length=2),
        tags: list[str] = pydantic.Field(default_factory=lambda: ["new"]),  # noqa: B008
    ) -> str:
        return f"{count} {size} {name} {tags}"

    schema = Tool(order).parameters
    assert schema["required"] == ["count", "name"]
    assert schema["properties"]["count"] == {"type": "integer", "minimum": 1}
    assert schema["properties"]["size"] == {
        "type": "integer", "exclusiveMinimum": 5, "default": 7, "description": "How large.",
    }  # fmt: skip
    got = await after_calls(
        door,
        ("order", {"count": "1", "name": "ab"}),
        ("order", {"count": 1, "name": "ab", "size": 6, "tags": []}),
        ("order", {"count": 0, "name": "ab"}),
        ("order", {"count": 1, "name": "a"}),
        ("order", {"count": 1}),
        tools=[order],
    )
    assert got == [
        "1 7 ab ['new']",
        "1 6 ab []",
        "Error: wrong arguments: count: must be greater than or equal to 1, got 0",
        'Error: wrong arguments: name: string should have at least 2 characters, got "a"',
        "Error: wrong arguments: name: it is missing",
    ]


async def test_a_validator_that_raises_anything_is_told_to_the_model(door: Door) -> None:
    class Picky(pydantic.BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def check(cls, n: int) -> int:
            raise RuntimeError("not today")

    def take(picky: Picky) -> None:
        pytest.fail("not to be called")

    take.__annotations__["picky"] = Picky
    got = await after_calls(door, ("take", {"picky": {"n": 1}}), tools=[take])
    assert got == ["Error: wrong arguments: picky: not today"]


async def test_what_does_not_fit_is_told_to_the_model(door: Door) -> None:
    def look(at: list[Point]) -> None:
        pytest.fail("not to be called")

    got = await after_calls(
        door,
        ("look", {"at": [{"x": 1}, {"x": "here"}]}),
        ("look", {}),
        ("look", '{"at": ['),
        ("look", "[1]"),
        ("look", '{"at": NaN}'),
        ("lok", {}),
        tools=[look, add],
    )
    assert got == [
        'Error: wrong arguments: at[1].x: expected a whole number, got "here"',
        "Error: wrong arguments: at: it is missing",
        *["Error: wrong arguments: the arguments: they are no JSON object"] * 3,
        "Error: there is no tool named 'lok'; there are: look, add",
    ]
    uses = [
        one["content"][0] for one in door.sent[1].args["messages"] if one["role"] == "assistant"
    ]
    assert [one["input"] for one in uses] == [
        {"at": [{"x": 1}, {"x": "here"}]}, {}, {"_unreadable": '{"at": ['}, {"_unreadable": "[1]"},
        {"_unreadable": '{"at": NaN}'}, {},
    ]  # fmt: skip


async def test_arguments_encoded_twice_are_read(door: Door) -> None:
    assert await after_calls(door, ("add", json.dumps('{"a": 2}')), tools=[add]) == ["3"]


# ------------------------------------------------------------ results


def looped() -> list[Any]:
    held: list[Any] = []
    held.append(held)
    return held


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("text", "text"),
        ("", ""),
        (None, "null"),
        (5, "5"),
        ({"ä": Point(1)}, '{"ä": {"x": 1, "y": 0}}'),
        (b"hi", "hi"),
        (b"%PDF-\xff", "<application/pdf, 6 bytes>"),
        ([bytearray(b"\xff\x00")], '["<binary data, 2 bytes>"]'),
        (Movie(title="Dune"), '{"title": "Dune"}'),
        (puter.Audio(b"ID3", mime_type="audio/mpeg"), "<audio/mpeg, 3 bytes>"),
        (puter.Video(url="https://x.invalid/a.mp4"), "<video/mp4, https://x.invalid/a.mp4>"),
        (b"BM" + bytes(30) + b"\xff", "<image/bmp, 33 bytes>"),
        (itertools.count(), "Error: the result cannot be written as JSON: it goes on after 10,000"),
        (Database(), "Error: the result cannot be written as JSON: Database has no form in JSON"),
        ([print], "Error: the result cannot be written as JSON: builtin_function_or_method has"),
        (Unit.C, '"celsius"'),
        (ChatReply("Hi", raw={"large": 1}), "Hi"),
        ("half \ud83d", "half ?"),
        (["half \ud83d"], '["half ?"]'),
        (looped(), None),
        ("x" * 500_000, "x" * 500_000),
    ],
    ids=lambda one: label(one)[:20],
)
async def test_what_a_tool_returns_is_told(door: Door, value: Any, told: str | None) -> None:
    ai = door.client()

    def tool() -> Any:
        return value

    door.answers(calls_body(("tool", {})), chat_body("Done."))
    await door(ai, "chat", "Go", tools=[tool])
    content = ai.chat_history[2]["content"]
    assert type(content) is str
    assert door.sent[1].args["messages"][2]["content"] == content
    if told is None or told.startswith("Error"):
        assert content.startswith(told or "Error: the result cannot be written as JSON")
    else:
        assert content == told


class Loud:
    """Whatever one asks of it, it raises."""

    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __str__

    def __iter__(self) -> Any:
        raise RuntimeError("no items")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


async def test_a_result_whose_own_code_fails_is_told_and_logged(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    def numbers() -> Any:
        yield 1
        raise OSError("the well is dry")

    def loud() -> Any:
        return [Loud()]

    def unspeakable() -> Any:
        raise Unspeakable

    def sees_none() -> Any:
        return (n for n in "ab")

    tools = [numbers, loud, unspeakable, sees_none]
    got = await after_calls(door, *((one.__name__, {}) for one in tools), tools=tools)
    assert got == [
        "Error: the result cannot be written as JSON: the well is dry",
        "Error: the result cannot be written as JSON: no items",
        "Error: Unspeakable",
        '["a", "b"]',
    ]
    told = [one for one in caplog.records if one.name == "puter.tools"]
    assert [one.getMessage() for one in told if one.levelname == "WARNING"] == [
        "numbers failed (call_1): OSError: the well is dry",
        "loud failed (call_2): RuntimeError: no items",
        "unspeakable failed (call_3): Unspeakable: Unspeakable",
    ]


async def test_a_result_that_no_request_holds_is_told(door: Door) -> None:
    def book() -> str:
        return "x" * 26 * 2**20

    def film() -> Any:
        return [PNG + bytes(20 * 2**20)]

    got = await after_calls(door, ("book", {}), ("film", {}), tools=[book, film])
    assert got == [
        f"Error: the result cannot be written as JSON: it is too large, {size} MiB"
        for size in (26, 27)
    ]


async def test_an_asynchronous_generator_is_collected() -> None:
    door = Door("async")

    async def numbers(n: int) -> Any:
        for one in range(n):
            yield one

    got = await after_calls(
        door, ("numbers", {"n": 2}), ("numbers", {"n": 20_000}), tools=[numbers]
    )
    assert got[0] == "[0, 1]"
    assert "goes on after 10,000 items" in got[1]
    with pytest.raises(PuterInputError, match="numbers: asynchronous"):
        Door("sync").client().chat("Go", tools=[numbers])


# ------------------------------------------------------------ pictures

PNG = b"\x89PNG\r\n\x1a\nrest"
PNG_URI = "data:image/png;base64," + base64.b64encode(PNG).decode()
FAR = "https://x.invalid/a.png"


def image_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def pil_picture(mode: str = "RGB") -> Any:
    return pytest.importorskip("PIL.Image").new(mode, (2, 1))


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (PNG, [image_part(PNG_URI)]),
        (puter.Image(PNG), [image_part(PNG_URI)]),
        (puter.Image.of(PNG_URI), [image_part(PNG_URI)]),
        (puter.Image(url=FAR), [image_part(FAR)]),
        (
            {"what": "a cat", "image": puter.Image(PNG), "far": [puter.Image(url=FAR)]},
            [
                {
                    "type": "text",
                    "text": '{"what": "a cat", "image": "<picture 1>", "far": ["<picture 2>"]}',
                },
                image_part(PNG_URI),
                image_part(FAR),
            ],
        ),
        (puter.Image(b"<svg/>", mime_type="image/svg+xml"), "<image/svg+xml, 6 bytes>"),
    ],
    ids=lambda one: label(one)[:30],
)
async def test_a_picture_is_kept_as_a_part(door: Door, value: Any, content: Any) -> None:
    ai = door.client()
    door.answers(calls_body(("draw", {})), chat_body("Done."))

    def draw() -> Any:
        return value

    await door(ai, "chat", "Go", tools=[draw])
    assert ai.chat_history[2] == {"role": "tool", "tool_call_id": "call_1", "content": content}
    assert tool_result("call_1", value) == ai.chat_history[2]
    json.dumps(ai.chat_history)


@pytest.mark.parametrize(("mode", "kind"), [("RGB", "png"), ("P", "png"), ("CMYK", "jpeg")])
async def test_pictures_of_pil_are_seen(mode: str, kind: str) -> None:
    (part,) = tool_result("1", pil_picture(mode))["content"]
    image = puter.Image.of(part["image_url"]["url"])
    assert (image.mime_type, image.to_pil().size) == (f"image/{kind}", (2, 1))


async def test_pictures_of_pil_keep_their_orientation() -> None:
    picture = pil_picture()
    picture.getexif()[0x0112] = 6  # turned by 90 degrees
    (part,) = tool_result("1", picture)["content"]
    assert puter.Image.of(part["image_url"]["url"]).to_pil().size == (1, 2)


async def test_claude_sees_a_picture_in_the_result_itself(door: Door) -> None:
    def draw(n: int) -> Any:
        return {"n": n, "image": puter.Image(PNG)}

    door.answers(
        claude("", [ToolCall("c1", "draw", {"n": 1}), ToolCall("c2", "draw", {"n": 2})]),
        chat_body("Nice."),
    )
    await door(door.client(), "chat", "Go", "claude-haiku-4-5", tools=[draw])
    results = [one for one in door.sent[1].args["messages"] if one["role"] == "tool"]
    source = {"type": "base64", "media_type": "image/png", "data": PNG_URI.partition(",")[2]}
    assert [one["content"] for one in results] == [
        [
            {"type": "text", "text": json.dumps({"n": n, "image": "<picture 1>"})},
            {"type": "image", "source": source},
        ]
        for n in (1, 2)
    ]
    assert door.sent[1].args["messages"][-1]["role"] == "tool"


@pytest.mark.parametrize(
    ("family", "part"),
    [
        ("openai", image_part(PNG_URI)),
        ("responses", {"type": "input_image", "image_url": PNG_URI}),
    ],
)
async def test_other_families_see_it_after_the_results_of_the_round(
    door: Door, family: str, part: Any
) -> None:
    def draw(n: int) -> Any:
        return puter.Image(PNG) if n == 1 else "no picture"

    model, body = FAMILIES[family]
    calls = [ToolCall(f"c{n}", "draw", {"n": n}) for n in (1, 2)]
    door.answers(body("", calls), body("And.", calls), chat_body("Nice."))
    ai = door.client()
    await door(ai, "chat", "Go", model, tools=[draw])
    sent = door.sent[2].args["messages"]
    roles = ["assistant", "tool", "assistant", "tool", "user"]
    assert [one["role"] for one in sent] == ["user", *roles, "assistant", *roles]
    assert [one["content"] for one in sent if one["role"] == "tool"] == [
        "(1 shown in the next message of the user)", "no picture",
    ] * 2  # fmt: skip
    shown = [{"type": "text", "text": "Returned by tool call c1:"}, part]
    assert sent[5]["content"] == sent[-1]["content"] == shown
    assert "user" not in [one["role"] for one in ai.chat_history[1:]]  # told so on the wire alone


# ------------------------------------------------------------ errors for the caller


class PaymentError(Exception):
    pass


class Declined(puter.PuterError):
    pass


class SoftTimeLimitExceeded(Exception):
    pass


class OwnLimit(SoftTimeLimitExceeded):
    pass


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("error", "chosen"),
    [
        (PaymentError("declined"), PaymentError),
        (PaymentError("declined"), (ValueError, PaymentError)),
        (PaymentError("declined"), [Exception]),
        (SoftTimeLimitExceeded(), ()),
        (OwnLimit("stop"), ()),
    ],
    ids=label,
)
async def test_chosen_errors_and_stop_signals_are_for_the_caller(
    door: Door, error: Exception, chosen: Any, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []

    def pay(n: int) -> None:
        ran.append("pay")
        raise error

    ai = door.client()
    calls = [ToolCall("c1", "pay", {"n": 1})]
    door.answers((streamed if stream else openai)("", calls))
    given = {"tools": [awaited(door, pay)], "raise_tool_errors": chosen, "stream": stream}

    async def go() -> None:
        await chunks(await door(ai, "chat", "Go", **given))

    with pytest.raises(type(error)) as caught:
        await go()
    assert caught.value is error
    assert (ran, len(door.sent), ai.chat_history, ai._throttle.running) == (["pay"], 1, [], 0)


async def test_others_still_go_to_the_model(door: Door) -> None:
    def fails() -> None:
        raise KeyError("x")

    got = await after_calls(
        door, ("fails", {}), tools=[fails], raise_tool_errors=(PaymentError, ValueError)
    )
    assert got == ["Error: KeyError: 'x'"]


async def test_a_raised_error_of_the_sdks_kind_can_be_resumed(door: Door) -> None:
    ran: list[int] = []

    def pay(n: int) -> str:
        ran.append(n)
        if n == 2 and ran.count(2) == 1:
            raise Declined("no funds")
        return f"paid {n}"

    ai = door.client()
    door.answers(calls_body(*(("pay", {"n": n}) for n in (1, 2, 3))), chat_body("Paid."))
    with pytest.raises(Declined) as caught:
        await door(ai, "chat", "Go", tools=[pay], raise_tool_errors=Declined)
    partial = caught.value.partial
    assert isinstance(partial, ChatReply)
    left = [call.arguments["n"] for call in partial.tool_calls]
    assert left == ([2, 3] if door.kind == "sync" else [2])  # the others have their results
    assert await door(ai, "chat", resume=partial, tools=[pay]) == "Paid."
    assert sorted(ran) == [1, 2, 2, 3]
    told = {one["content"] for one in ai.chat_history if one["role"] == "tool"}
    assert told == {"paid 1", "paid 2", "paid 3"}


async def test_parse_lets_them_through_as_well(door: Door) -> None:
    def pay() -> None:
        raise PaymentError("declined")

    door.answers(calls_body(("pay", {})))
    with pytest.raises(PaymentError):
        await door(door.client(), "parse", "Go", int, tools=[pay], raise_tool_errors=PaymentError)


async def test_a_wish_to_stop_gives_way_to_an_error_for_the_caller() -> None:
    async def stop() -> None:
        raise StopChat("enough")

    async def pay() -> None:
        raise PaymentError("declined")

    door = Door("async")
    door.answers(calls_body(("stop", {}), ("pay", {})))
    with pytest.raises(PaymentError):
        await door.client().async_chat("Go", tools=[stop, pay], raise_tool_errors=PaymentError)


def test_the_message_of_a_result() -> None:
    call = ToolCall("call_1", "look", {})
    wanted = {"role": "tool", "tool_call_id": "call_1", "content": '{"t": 20}'}
    assert tool_result(call, {"t": 20}) == tool_result("call_1", {"t": 20}) == wanted
    with pytest.raises(PuterInputError, match="wants a ToolCall or its id"):
        tool_result(5, "x")  # type: ignore[arg-type]


class Grave(BaseException):
    pass


async def test_what_a_tool_raises_is_told_to_the_model_and_to_listeners(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(how: str) -> None:
        if how == "stop":
            next(iter(()))
        raise {"value": ValueError("no"), "bare": KeyError(), "own": puter.PuterError("p")}[how]

    hows = ["value", "bare", "own", "stop"]
    with caplog.at_level(logging.DEBUG, "puter.tools"):
        got = await after_calls(door, *(("fails", {"how": how}) for how in hows), tools=[fails])
    stop = "StopIteration" if door.kind == "sync" else "RuntimeError: StopIteration()"
    assert got == [
        "Error: ValueError: no", "Error: KeyError", "Error: PuterError: p", f"Error: {stop}",
    ]  # fmt: skip
    told = [
        (one.levelname, one.getMessage()) for one in caplog.records if one.name == "puter.tools"
    ]
    assert told[0] == ("WARNING", "fails failed (call_1): ValueError: no")
    assert len(told) == 4
    assert 'raise {"value"' in caplog.text  # where it was
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "puter.tools"):
        await after_calls(door, ("add", {"a": 1}), tools=[add])
    (record,) = (one for one in caplog.records if one.name == "puter.tools")
    assert (record.levelname, record.getMessage()) == ("DEBUG", "add ran (call_1)")


async def test_what_is_no_exception_goes_through(door: Door) -> None:
    def dies() -> None:
        raise Grave

    ai = door.client()
    talk: Any = ai.conversation()
    door.answers(calls_body(("dies", {})))
    with pytest.raises(Grave):
        await door(talk, "chat", "Go", tools=[dies])
    assert (talk.messages, ai._throttle.running) == ([], 0)
    door.answers(chat_body("Hi"))
    assert await door(talk, "chat", "Go") == "Hi"  # its turn is over


async def test_a_plain_function_may_return_a_coroutine(door: Door) -> None:
    async def later() -> str:
        return "later"

    def tool() -> Any:
        return later()

    (got,) = await after_calls(door, ("tool", {}), tools=[tool])
    if door.kind == "async":
        assert got == "later"
    else:
        assert got.startswith("Error: PuterInputError: ")
        assert "is asynchronous, and this is a synchronous method" in got


# ------------------------------------------------------------ the round trip


def openai(text: str, calls: list[ToolCall]) -> dict[str, Any]:
    made = [tool_call(one.id, one.name, one.arguments) for one in calls]
    return chat_body(text or None, message={"tool_calls": made}, finish_reason="tool_calls")


def responses(text: str, calls: list[ToolCall]) -> dict[str, Any]:
    body = openai(text, calls)
    message = body["result"]["message"]
    message["content"] = text
    for one, call in zip(message["tool_calls"], calls, strict=True):
        one.update(call.extra)
    body["result"].update(finish_reason="stop", role="assistant")
    return body


def claude(text: str, calls: list[ToolCall]) -> dict[str, Any]:
    uses = [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments} for c in calls]
    texts = [{"type": "text", "text": text}] if text else []
    message = {
        "type": "message",
        "role": "assistant",
        "content": [*texts, *uses],
        "stop_reason": "tool_use",
    }
    usage = {"input_tokens": 11, "output_tokens": 7, "usd_cents": 0.0078}
    result = {
        "message": message,
        "usage": usage,
        "finish_reason": "stop",
        "via_ai_chat_service": True,
    }
    return {"success": True, "result": result, "metadata": {"service_used": "claude"}}


def streamed(text: str, calls: list[ToolCall]) -> Any:
    uses = [
        {
            "type": "tool_use",
            "id": c.id,
            "name": c.name,
            "input": c.arguments,
            "text": "",
            **c.extra,
        }
        for c in calls
    ]
    texts = [{"type": "text", "text": one} for one in text]
    return stream_answer(*texts, *uses, USAGE)


FAMILIES: dict[str, tuple[str, Any]] = {
    "openai": ("gpt-4.1", openai),
    "responses": ("gpt-5-pro", responses),
    "claude": ("claude-haiku-4-5", claude),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("text", ["", "Let me look."], ids=["silent", "text"])
@pytest.mark.parametrize("family", FAMILIES)
async def test_the_second_request_has_the_one_form_that_every_route_keeps(
    door: Door, family: str, text: str, count: int, stream: bool
) -> None:
    model, body = FAMILIES[family]
    extra = {"canonical_id": "fc_1"} if family == "responses" else {}
    calls = [ToolCall(f"c{n}", "add", {"a": n}, extra) for n in range(count)]
    if stream:
        door.answers(streamed(text, calls), stream_answer({"type": "text", "text": "Done."}, USAGE))
    else:
        door.answers(body(text, calls), chat_body("Done."))
    ai = door.client()
    ai.chat_history.append({"role": "user", "content": "Before"})
    got = await door(ai, "chat", "Go", model, tools=[add], system="Be kind.", stream=stream)
    reply = await until_done(got) if stream else got
    rounds = []
    for n in range(count):
        block = {"type": "tool_use", "id": f"c{n}", "name": "add", "input": {"a": n}, **extra}
        rounds.append({"role": "assistant", "content": [block]})
        rounds.append({"role": "tool", "tool_call_id": f"c{n}", "content": str(n + 1)})
    said = [{"role": "assistant", "content": text}] if text else []
    turn = [{"role": "user", "content": "Go"}, *said, *rounds]
    first, second = (one.args for one in door.sent)
    before = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Before"}]
    assert second.pop("messages") == [*before, *turn]
    assert first.pop("messages") == [*before, turn[0]]
    assert second == first
    whole = [*turn, {"role": "assistant", "content": "Done."}]
    assert ai.chat_history == [before[1], *whole]
    assert (reply, list(reply.messages)) == ("Done.", whole)
    assert pickle.loads(pickle.dumps(reply)).messages == reply.messages


async def test_claudes_signed_thoughts_go_back_before_its_calls(door: Door) -> None:
    body = claude("Hm, look.", [ToolCall("c1", "add", {"a": 1})])
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    body["result"]["message"]["content"].insert(0, thought)
    door.answers(body, chat_body("Done."))
    await door(door.client(), "chat", "Go", "claude-haiku-4-5", tools=[add])
    text = {"type": "text", "text": "Hm, look."}
    assert door.sent[1].args["messages"][1] == {"role": "assistant", "content": [thought, text]}


async def test_rounds_may_repeat_ids_and_so_may_calls(door: Door) -> None:
    def alike(*numbers: int) -> dict[str, Any]:
        return openai("", [ToolCall("same", "add", {"a": n}) for n in numbers])

    door.answers(alike(1, 2), alike(3), chat_body("Done."))
    ai = door.client()
    await door(ai, "chat", "Go", tools=[add])
    await door(ai, "chat", "And?", tools=[add])
    for sent in (door.sent[2].args["messages"], door.sent[3].args["messages"]):
        uses = [one["content"][0]["input"] for one in sent if isinstance(one["content"], list)]
        assert uses == [{"a": 1}, {"a": 2}, {"a": 3}]
        assert [one["content"] for one in sent if one["role"] == "tool"] == ["2", "3", "4"]
        kinds = ["user", "assistant", "tool", "assistant", "tool", "assistant", "tool"]
        assert [one["role"] for one in sent][:7] == kinds


async def test_the_reply_sums_up_all_rounds(door: Door) -> None:
    door.answers(calls_body(("add", {"a": 1})), calls_body(("add", {"a": 2})), chat_body("Done."))
    ai = door.client()
    reply = await door(ai, "chat", "Go", tools=[add])
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (33, 21)
    assert (reply.cost, reply.attempts, len(reply.usage.raw)) == (3 * Decimal("0.000078"), 3, 3)
    assert (ai.usage.requests, ai.usage.cost) == (3, reply.cost)
    door.answers(calls_body(("add", {"a": 1}), usage={"usd_cents": None}), chat_body("Done."))
    assert (await door(ai, "chat", "Go", tools=[add])).cost is None


async def test_an_empty_answer_after_tools_is_an_error_and_leaves_the_history_alone(
    door: Door,
) -> None:
    ai = door.client()
    door.answers(calls_body(("add", {"a": 1})), chat_body(""))
    with pytest.raises(puter.PuterEmptyResponseError):
        await door(ai, "chat", "Go", tools=[add])
    assert (ai.chat_history, ai.usage.requests) == ([], 2)


async def test_too_many_rounds_raise_with_the_conversation_so_far(door: Door) -> None:
    ai = door.client()
    door.answers(calls_body(("add", {"a": 1}), text="Again."))
    with pytest.raises(PuterToolError, match="still called tools after 2 rounds") as caught:
        await door(ai, "chat", "Go", tools=[add], max_rounds=2)
    assert (len(door.sent), ai.chat_history, ai.usage.requests) == (3, [], 3)
    roles = [one["role"] for one in caught.value.messages]
    assert roles == ["user", *["assistant", "assistant", "tool"] * 2, "assistant", "assistant"]
    copied = pickle.loads(pickle.dumps(caught.value))
    assert copied.messages == caught.value.messages


async def test_the_rounds_of_a_conversation_are_turns_of_it(door: Door) -> None:
    talk: Any = door.client().conversation()
    door.answers(
        calls_body(("add", {"a": 1})),
        chat_body("Two."),
        calls_body(("add", {"a": 2})),
        chat_body("3."),
    )
    await door(talk, "chat", "One and one?", tools=[add])
    await door(talk, "chat", "And one?", tools=[add])
    sent = [one.args["messages"] for one in door.sent]
    assert sent[3][:4] == sent[2][:4] == talk.messages[:4]
    assert [len(one) for one in sent] == [1, 3, 5, 7]
    assert [one["content"] for one in talk.undo()][::3] == ["And one?", "3."]
    assert len(talk.messages) == 4


# ------------------------------------------------------------ how they run


async def test_calls_run_in_order_or_at_once(door: Door) -> None:
    both = threading.Barrier(2)
    order: list[str] = []

    def work(name: str) -> str:
        if door.kind == "async":
            both.wait(5)  # each needs the other to be running
        order.append(name)
        return name

    got = await after_calls(door, ("work", {"name": "a"}), ("work", {"name": "b"}), tools=[work])
    assert got == ["a", "b"]
    if door.kind == "sync":
        assert order == ["a", "b"]


async def test_coroutine_functions_run_at_once() -> None:
    begun: list[str] = []
    both = asyncio.Event()

    async def work(name: str) -> str:
        begun.append(name)
        if len(begun) == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 5)
        return name

    door = Door("async")
    calls = (("work", {"name": "a"}), ("work", {"name": "b"}))
    assert await after_calls(door, *calls, tools=[work]) == ["a", "b"]


async def test_plain_functions_run_in_threads_unless_cheap(door: Door) -> None:
    ran: list[bool] = []

    def where() -> None:
        ran.append(threading.current_thread() is threading.main_thread())

    await after_calls(door, ("where", {}), tools=[where])
    await after_calls(door, ("where", {}), tools=[Tool(where, cheap=True)])
    assert ran == [door.kind == "sync", True]


class NoThread(threading.Thread):
    def start(self) -> None:
        raise RuntimeError("can't start new thread")


async def test_without_a_thread_the_model_is_told_and_the_caller_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[str] = []

    def work() -> None:
        ran.append("tool")

    def approve(_: ToolCall) -> None:
        ran.append("approval")

    door = Door("async")
    monkeypatch.setattr("puter.threads.threading", types.SimpleNamespace(Thread=NoThread))
    (told,) = await after_calls(door, ("work", {}), tools=[work])
    assert "can start no more threads: can't start new thread" in told
    with pytest.raises(puter.PuterError, match="can start no more threads") as caught:
        await after_calls(door, ("work", {}), tools=[work], before_tool=approve)
    assert "ulimit" in str(caught.value.hint)
    assert ran == []


async def test_context_variables_are_seen(door: Door) -> None:
    who = contextvars.ContextVar("who", default="nobody")

    def ask() -> str:
        return who.get()

    who.set("me")
    tools = [ask, Tool(ask, name="cheap", cheap=True), Tool(awaited(door, ask), name="awaited")]
    calls: list[Any] = [("ask", {}), ("cheap", {}), ("awaited", {})]
    assert await after_calls(door, *calls, tools=tools) == ["me"] * 3


async def test_coroutine_functions_need_the_async_method(door: Door) -> None:
    async def later() -> str:
        return "later"

    class Later:
        async def __call__(self) -> str:
            return "called"

    partial = Tool(functools.partial(later), name="partial")

    async def allow(call: ToolCall) -> bool:
        return True

    tools = [later, Later(), partial]
    if door.kind == "async":
        calls: list[Any] = [("later", {}), ("Later", {}), ("partial", {})]
        got = await after_calls(door, *calls, tools=tools, before_tool=allow)
        assert got == ["later", "called", "later"]
        return
    ai = door.client()
    message = "later, Later, partial, before_tool: asynchronous, and this is a synchronous method"
    for method, more in (("chat", ()), ("parse", (int,))):
        with pytest.raises(PuterInputError, match=message):
            await door(ai, method, "Go", *more, tools=tools, before_tool=allow)
    assert door.sent == []
    door.answers(calls_body(("later", {})))
    reply = await door(ai, "chat", "Go", tools=[later], run_tools=False)  # run by the caller
    assert reply.tool_calls[0].name == "later"


async def test_a_tool_may_use_the_client(door: Door) -> None:
    ai = door.client(max_concurrency=1)
    door.answers(calls_body(("ask", {})), chat_body("inner"), chat_body("outer"))
    if door.kind == "sync":

        def ask() -> str:
            return ai.chat("Inner?", remember=False)
    else:

        async def ask() -> str:  # type: ignore[misc]
            return await ai.async_chat("Inner?", remember=False)

    assert await door(ai, "chat", "Outer?", tools=[ask]) == "outer"
    assert ai.chat_history[2]["content"] == "inner"


async def test_a_tool_cannot_chat_in_its_own_conversation(door: Door) -> None:
    ai = door.client(max_concurrency=1)
    talk: Any = ai.conversation()
    later: list[asyncio.Task[Any]] = []
    if door.kind == "sync":

        def ask(fork: bool) -> Any:
            return (talk.fork() if fork else talk).chat("Inner?")
    else:

        async def ask(fork: bool) -> Any:  # type: ignore[misc]
            later.append(asyncio.create_task(_when_over()))
            return await (talk.fork() if fork else talk).async_chat("Inner?")

    over = asyncio.Event()

    async def _when_over() -> Any:
        await over.wait()
        return await talk.async_chat("Later?")

    calls = ({"fork": False}, {"fork": True})
    for given, got in zip(
        calls, ("Error: PuterInputError: A tool cannot chat in the", "inner"), strict=True
    ):
        answers = [chat_body("inner")] if given["fork"] else []
        door.answers(calls_body(("ask", given)), *answers, chat_body("outer"))
        assert await door(talk, "chat", "Outer?", tools=[ask]) == "outer"
        assert talk.messages[-2]["content"].startswith(got)
    over.set()  # what a tool left behind may talk once the turn is over
    assert await asyncio.gather(*later) == ["outer"] * len(later)


# ------------------------------------------------------------ before a tool runs


async def test_a_call_may_be_vetoed_or_changed(door: Door) -> None:
    asked: list[ToolCall] = []

    def judge(call: ToolCall) -> Any:
        asked.append(call)
        return {
            1: None,
            2: True,
            3: False,
            4: "Not on Sundays.",
            5: dataclasses.replace(call, id="other", arguments={"a": 50, "b": Decimal(2)}),
            6: dataclasses.replace(call, name="double", arguments={"n": 6}),
        }[call.arguments["a"]]

    def double(n: int) -> int:
        return 2 * n

    got = await after_calls(
        door,
        *(("add", {"a": n}) for n in range(1, 7)),
        tools=[add, double],
        before_tool=awaited(door, judge),
    )
    assert got == ["2", "3", "The user did not allow this call.", "Not on Sundays.", "52", "12"]
    assert [(one.id, one.name, one.arguments) for one in asked] == [
        (f"call_{n}", "add", {"a": n}) for n in range(1, 7)
    ]
    blocks = [
        one["content"][0] for one in door.sent[1].args["messages"] if one["role"] == "assistant"
    ]
    assert [(one["id"], one["name"], one["input"]) for one in blocks[3:]] == [
        ("call_4", "add", {"a": 4}),
        ("call_5", "add", {"a": 50, "b": "2"}),
        ("call_6", "double", {"n": 6}),
    ]


@pytest.mark.parametrize(
    ("verdict", "error"), [(5, PuterInputError), (ZeroDivisionError("x"), ZeroDivisionError)]
)
async def test_a_judge_that_fails_ends_the_chat(
    door: Door, verdict: Any, error: type[Exception]
) -> None:
    def judge(call: ToolCall) -> Any:
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    ai = door.client()
    door.answers(calls_body(("add", {"a": 1})))
    with pytest.raises(error):
        await door(ai, "chat", "Go", tools=[add], before_tool=awaited(door, judge))
    assert ai.chat_history == []


# ------------------------------------------------------------ stopping


async def test_a_tool_may_stop_the_chat(door: Door) -> None:
    def hang_up(reason: str) -> None:
        raise StopChat(f"Goodbye: {reason} \ud83d")

    ai = door.client()
    door.answers(calls_body(("add", {"a": 1}), ("hang_up", {"reason": "late"}), ("add", {"a": 2})))
    reply = await door(ai, "chat", "Go", tools=[add, hang_up])
    assert (reply, reply.finish_reason, reply.tool_calls) == ("Goodbye: late ?", "stop", ())
    assert (len(door.sent), ai.usage.requests, reply.usage.output_tokens) == (1, 1, 7)
    assert list(reply.messages) == ai.chat_history
    results = [one["content"] for one in ai.chat_history if one["role"] == "tool"]
    last = NOT_RUN if door.kind == "sync" else "3"  # behind the async door it had begun
    assert results == ["2", "Goodbye: late ?", last]
    assert ai.chat_history[-1] == {"role": "assistant", "content": "Goodbye: late ?"}
    door.answers(chat_body("Welcome back"))
    assert await door(ai, "chat", "Hi") == "Welcome back"


async def test_the_first_wish_to_stop_counts(door: Door) -> None:
    def stop(word: str) -> None:
        raise StopChat(word)

    door.answers(calls_body(("stop", {"word": "one"}), ("stop", {"word": "two"})))
    assert await door(door.client(), "chat", "Go", tools=[stop]) == "one"


async def test_it_may_stop_before_a_tool_runs_and_without_a_word(door: Door) -> None:
    ran: list[int] = []

    def work(n: int) -> None:
        ran.append(n)

    def judge(call: ToolCall) -> None:
        if call.arguments["n"] == 2:
            raise StopChat

    ai = door.client()
    door.answers(calls_body(*(("work", {"n": n}) for n in (1, 2, 3)), text="Let me work."))
    reply = await door(ai, "chat", "Go", tools=[work], before_tool=awaited(door, judge))
    assert (ran, reply) == ([], "Let me work.")
    assert [one["role"] for one in ai.chat_history] == ["user", "assistant"] + [
        "assistant",
        "tool",
    ] * 3
    assert {one["content"] for one in ai.chat_history if one["role"] == "tool"} == {NOT_RUN}


async def test_stopping_ends_a_stream(door: Door) -> None:
    def stop() -> None:
        raise StopChat("Enough.")

    ai = door.client()
    door.answers(streamed("Hm. ", [ToolCall("c1", "stop", {})]))
    stream = await door(ai, "chat", "Go", tools=[stop], stream=True)
    assert "".join(await chunks(stream)) == "Hm. "
    assert stream.reply == "Enough."
    assert (ai.chat_history[-1]["content"], ai._throttle.running) == ("Enough.", 0)


# ------------------------------------------------------------ left to the caller


async def test_calls_may_be_left_to_the_caller(door: Door) -> None:
    ai = door.client()
    door.answers(
        calls_body(("add", {"a": 1}), ("add", {"a": 2}), text="Hm."), chat_body("5 in all.")
    )
    reply = await door(ai, "chat", "Go", tools=[add], run_tools=False)
    assert (reply, reply.finish_reason) == ("Hm.", "tool_calls")
    assert reply.tool_calls == (
        ToolCall("call_1", "add", {"a": 1}),
        ToolCall("call_2", "add", {"a": 2}),
    )
    assert ai.chat_history == []  # a turn whose calls nobody answered would be refused
    results = [tool_result(one, add(**one.arguments)) for one in reply.tool_calls]
    final = await door(
        ai, "chat", messages=[*reply.messages, *results], tools=[add], run_tools=False
    )
    assert final == "5 in all."
    sent = door.sent[1].args["messages"]
    assert [one["role"] for one in sent] == ["user", "assistant", *["assistant", "tool"] * 2]
    assert [one["content"] for one in sent if one["role"] == "tool"] == ["2", "3"]
    assert ai.chat_history == []
    assert [one["role"] for one in final.messages][-2:] == ["tool", "assistant"]


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}},
        {"name": "look", "input_schema": {"type": "object"}},
    ],
)
async def test_calls_of_a_raw_schema_are_left_to_the_caller(door: Door, raw: Any) -> None:
    ran: list[int] = []

    def work() -> None:
        ran.append(1)

    ai = door.client()
    door.answers(calls_body(("work", {}), ("look", {"at": 1})))
    for tools in ([raw], [work, raw]):
        reply = await door(ai, "chat", "Go", tools=tools)
        assert [one.name for one in reply.tool_calls] == ["work", "look"]
    assert (ran, ai.chat_history) == ([], [])
    door.answers(calls_body(("work", {})), chat_body("Done."))
    assert await door(ai, "chat", "Go", tools=[work, raw]) == "Done."
    assert ran == [1]


async def test_calls_nobody_offered_are_left_to_the_caller(door: Door) -> None:
    door.answers(calls_body(("add", {"a": 1})))
    assert (await door(door.client(), "chat", "Go")).tool_calls[0].name == "add"


# ------------------------------------------------------------ cut short


async def test_a_stream_closed_in_its_second_round_remembers_nothing(door: Door) -> None:
    ai = door.client(max_concurrency=1)
    last = stream_answer({"type": "text", "text": "Do"}, {"type": "text", "text": "ne."}, USAGE)
    door.answers(streamed("Hm.", [ToolCall("c1", "add", {"a": 1})]), last)
    stream = await door(ai, "chat", "Go", tools=[add], stream=True)
    async for chunk in each(stream):
        if chunk == "Do":
            break
    await shut(stream)
    assert (ai.chat_history, ai._throttle.running, last.closed, len(door.sent)) == ([], 0, True, 2)


async def test_a_stream_that_breaks_in_its_second_round_tells_all_that_came(door: Door) -> None:
    ai = door.client()
    door.answers(
        streamed("Hm.", [ToolCall("c1", "add", {"a": 1})]),
        stream_answer({"type": "text", "text": "Do"}),
    )
    stream = await door(ai, "chat", "Go", tools=[add], stream=True)
    with pytest.raises(puter.PuterStreamError) as caught:
        await chunks(stream)
    partial = caught.value.partial
    assert isinstance(partial, ChatReply)
    assert (partial, partial.usage.output_tokens) == ("Do", 7)
    assert [one["role"] for one in partial.messages] == [
        "user", "assistant", "assistant", "tool", "assistant",
    ]  # fmt: skip
    assert (ai.chat_history, ai._throttle.running) == ([], 0)


async def test_an_error_in_the_second_round_leaves_the_history_alone(door: Door) -> None:
    ai = door.client()
    door.answers(
        calls_body(("add", {"a": 1})), (402, {"error": "no", "code": "insufficient_funds"})
    )
    with pytest.raises(puter.PuterInsufficientFundsError):
        await door(ai, "chat", "Go", tools=[add])
    assert (ai.chat_history, ai.usage.requests) == ([], 1)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_interrupt_in_a_tool_ends_all(stream: bool) -> None:
    ran: list[str] = []

    def work(name: str) -> None:
        ran.append(name)
        raise KeyboardInterrupt

    door = Door("sync")
    talk: Any = door.client(max_concurrency=1).conversation()
    calls = [ToolCall(name, "work", {"name": name}) for name in "ab"]
    door.answers((streamed if stream else openai)("", calls))
    with pytest.raises(KeyboardInterrupt):
        for _ in talk.chat("Go", tools=[work], stream=stream):
            pass
    assert (ran, talk.messages, talk._client._throttle.running) == (["a"], [], 0)
    door.answers(chat_body("Hi"))
    assert talk.chat("Hi") == "Hi"  # its turn is over


@pytest.fixture
def async_door() -> Door:
    return Door("async")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_cancelled_chat_waits_for_its_tools(async_door: Door, stream: bool) -> None:
    loop = asyncio.get_running_loop()
    running = [asyncio.Event(), asyncio.Event()]
    release = threading.Event()
    ended: list[str] = []

    async def waits() -> None:
        running[0].set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # tidying up may take a while
            ended.append("waits")

    def blocks() -> None:
        loop.call_soon_threadsafe(running[1].set)
        release.wait(10)
        ended.append("blocks")

    talk: Any = async_door.client(max_concurrency=1).conversation()
    calls = [ToolCall("1", "waits", {}), ToolCall("2", "blocks", {})]
    async_door.answers((streamed if stream else openai)("", calls))

    async def go() -> None:
        if stream:
            got = await talk.async_chat("Go", tools=[waits, blocks], stream=True)
            await chunks(got)
        else:
            await talk.async_chat("Go", tools=[waits, blocks])

    chat = asyncio.create_task(go())
    for one in running:
        await asyncio.wait_for(one.wait(), 5)
    for _ in range(3):  # impatience does not help
        chat.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not chat.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await chat
    assert sorted(ended) == ["blocks", "waits"]
    assert (talk.messages, talk._client._throttle.running) == ([], 0)
    async_door.answers(chat_body("Hi"))
    assert await talk.async_chat("Hi") == "Hi"  # its turn is over


async def test_a_deadline_counts_the_tools(async_door: Door) -> None:
    """The next round is not sent; the clock is ours."""
    ai = async_door.client(deadline=10)
    now = [0.0]
    ai._clock = lambda: now[0]

    def slow() -> None:
        now[0] = 11

    async_door.answers(calls_body(("slow", {})))
    with pytest.raises(puter.PuterTimeoutError, match="deadline"):
        await ai.async_chat("Go", tools=[slow])
    assert (len(async_door.sent), ai.chat_history) == (1, [])


# ------------------------------------------------------------ the flow by hand


def by_hand(
    calls: tuple[ToolCall, ...], tools: list[Any], *answers: Any, before: Any = None
) -> Any:
    """Run the flow of a round, answering its effects in turn; what it asked, and its result."""
    listening = Extensions()
    subscribe(listening, "tool.end", print)
    context: Any = SimpleNamespace(
        operation="chat", model="m", attempts=1, extensions=listening, time_left=lambda: None
    )
    steps = run_calls(calls, Toolbox(tools), before, {}, context, ())
    seen: list[Any] = []
    script = iter(answers)
    value = None
    try:
        while True:
            effect = steps.send(value)
            seen.append(effect)
            value = None if isinstance(effect, Notify) else next(script)
    except StopIteration as done:
        return seen, *done.value


def test_a_round_is_one_effect_and_its_events() -> None:
    failed = ValueError("no")
    calls = (
        ToolCall("1", "add", {"a": 1}),
        ToolCall("2", "nope", {}),
        ToolCall("3", "add", {"a": 3}),
    )
    seen, messages, left, stop = by_hand(calls, [Tool(add, cheap=True)], [2, failed])
    together = seen[0]
    assert isinstance(together, InvokeAll)
    assert [one.inline for one in together.calls] == [True, True]
    assert [together.until(one) for one in (StopChat(), failed)] == [True, False]
    assert [one.function() for one in together.calls] == [2, 4]
    assert [one.event for one in seen[1:]] == [
        Event("tool.end", "chat", "m", 1, tool=calls[0]),
        Event("tool.end", "chat", "m", 1, tool=calls[2], error=failed),
    ]
    assert [one["content"] for one in messages if one["role"] == "tool"] == [
        "2", "Error: there is no tool named 'nope'; there are: add", "Error: ValueError: no",
    ]  # fmt: skip
    assert (left, stop) == ((), None)


def test_a_round_that_stops_early_tells_so() -> None:
    calls = tuple(ToolCall(str(n), "add", {"a": n}) for n in range(3))
    wish = StopChat("enough")
    seen, messages, left, stop = by_hand(calls, [add], [1, wish])  # the third was not begun
    assert stop is wish
    assert [one.event.error for one in seen[1:]] == [None, None]
    assert [one["content"] for one in messages if one["role"] == "tool"] == ["1", "enough", NOT_RUN]
    assert left == ()  # they were not wanted any more


def test_nothing_to_run_asks_nothing_of_the_tools() -> None:
    seen, messages, left, stop = by_hand((ToolCall("1", "nope", {}),), [add], [])
    assert [type(one) for one in seen] in ([], [InvokeAll])
    assert (len(messages), left, stop) == (2, (), None)


def test_a_tool_knows_itself() -> None:
    tool = Tool(add)
    assert repr(tool) == "Tool(add)"
    assert tool.bind({"a": "2"})() == 3
    with pytest.raises(ValueError, match="a: it is missing"):
        tool.bind({})
    assert not tool.is_async
    assert to_json(tool.schema)["function"]["name"] == "add"
    assert lines(tool.schema).endswith(b"\n")


async def test_all_wrong_arguments_are_told_at_once(door: Door) -> None:
    def book(seats: int, name: str, paid: bool) -> str:
        return "booked"

    with pytest.raises(ValueError, match=r"^seats: exp.*; paid: exp.*; x: no .*; name: it is"):
        Tool(book).bind({"seats": "two", "paid": "perhaps", "x": 1})
