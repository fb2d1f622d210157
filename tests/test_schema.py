"""Python types as JSON Schema, and JSON values as Python values."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import functools
import inspect
import ipaddress
import itertools
import json
import operator
import string
import sys
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar, Union

import pydantic
import pytest
import typing_extensions
from annotated_types import Ge, MinLen
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from puter import PuterInputError, Tool
from puter.jsonable import to_json
from puter.schema import Mismatch, adapter, convert
from tests.door import label

UTC = dt.timezone.utc
T = TypeVar("T")
UserId = NewType("UserId", int)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"
    CRIMSON = "red"  # noqa: PIE796 - an alias


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Unit(str, enum.Enum):
    KM = "km"


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass
class Tree:
    name: str
    twigs: list[Tree] = dataclasses.field(default_factory=list)
    parent: Tree | None = None


@dataclasses.dataclass
class Husband:
    wife: Wife | None = None


@dataclasses.dataclass
class Wife:
    husband: Husband | None = None


@dataclasses.dataclass
class Order:
    at: dt.date = dataclasses.field(metadata={"description": "When."})
    lines: dict[str, list[Point]] = dataclasses.field(default_factory=dict)
    total: int = dataclasses.field(init=False, default=0)


class Movie(TypedDict):
    title: str
    year: typing_extensions.NotRequired[int]  # unseen under the annotations of the future


class Hint(TypedDict, total=False):
    text: typing_extensions.Required[str]
    weight: float


class OldMovie(typing_extensions.TypedDict):
    title: str


class Pair(NamedTuple):
    left: int
    right: str = "?"


Loose = collections.namedtuple("Loose", "a b")  # noqa: PYI024 - what people have


class Odd:
    """It has no form in JSON."""


def schema_of(of: Any) -> Any:
    schema = adapter(of).schema
    Draft202012Validator.check_schema(schema)
    json.dumps(schema, allow_nan=False)
    return schema


def read(of: Any, value: Any) -> Any:
    return convert(adapter(of), value)


def fault(of: Any, value: Any) -> str:
    with pytest.raises(Mismatch) as caught:
        read(of, value)
    return str(caught.value)


def record(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    kind = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**kind, "required": list(required)} if required else kind


@pytest.fixture
def no_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were not installed."""
    monkeypatch.setitem(sys.modules, "pydantic", None)


@pytest.fixture(params=["pydantic", "plain"])
def either(request: pytest.FixtureRequest) -> None:
    """Run the test with pydantic, and as if it were not installed."""
    if request.param == "plain":
        request.getfixturevalue("no_pydantic")


INTEGER, TEXT = {"type": "integer"}, {"type": "string"}
POINT = record({"x": INTEGER, "y": {**INTEGER, "default": 0}}, "x")


# ------------------------------------------------------------ schema

ALIASES: list[Any] = []
if sys.version_info >= (3, 12):
    exec("type Number = int\ntype Nest = list[Nest] | int")  # no syntax before
    ALIASES = [
        (locals()["Number"], INTEGER),
        (
            locals()["Nest"],
            {
                "$ref": "#/$defs/Nest",
                "$defs": {
                    "Nest": {
                        "anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Nest"}}, INTEGER]
                    }
                },
            },
        ),
    ]


@pytest.mark.parametrize(
    ("of", "schema"),
    [
        (str, TEXT),
        (int, INTEGER),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (None, {"type": "null"}),
        (type(None), {"type": "null"}),
        (Any, {}),
        (object, {}),
        (UserId, INTEGER),
        (T, {}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal[1, "a", None], {"enum": [1, "a", None]}),  # noqa: PYI061 - what people write
        (Literal[Color.RED], {"type": "string", "enum": ["red"]}),
        (Color, {"type": "string", "enum": ["red", "blue"]}),
        (Level, {"type": "integer", "enum": [1, 2]}),
        (Unit, {"type": "string", "enum": ["km"]}),
        (int | None, {"anyOf": [INTEGER, {"type": "null"}]}),
        (Union[int, str], {"anyOf": [INTEGER, TEXT]}),  # noqa: UP007 - the older spelling
        (list, {"type": "array", "items": {}}),
        (list[int], {"type": "array", "items": INTEGER}),
        (typing.List[int], {"type": "array", "items": INTEGER}),  # noqa: UP006
        (Sequence[int], {"type": "array", "items": INTEGER}),
        (set[int], {"type": "array", "items": INTEGER, "uniqueItems": True}),
        (frozenset[int], {"type": "array", "items": INTEGER, "uniqueItems": True}),
        (tuple[int, ...], {"type": "array", "items": INTEGER}),
        (
            tuple[int, str],
            {"type": "array", "prefixItems": [INTEGER, TEXT], "minItems": 2, "maxItems": 2},
        ),
        (dict, {"type": "object", "additionalProperties": {}}),
        (Mapping[str, int], {"type": "object", "additionalProperties": INTEGER}),
        (
            dict[str, list[Point]],
            {"type": "object", "additionalProperties": {"type": "array", "items": POINT}},
        ),
        (Point, POINT),
        (Pair, record({"left": INTEGER, "right": {**TEXT, "default": "?"}}, "left")),
        (Loose, record({"a": {}, "b": {}}, "a", "b")),
        (Movie, record({"title": TEXT, "year": INTEGER}, "title")),
        (Hint, record({"text": TEXT, "weight": {"type": "number"}}, "text")),
        (OldMovie, record({"title": TEXT}, "title")),
        (Annotated[int, "How many."], {**INTEGER, "description": "How many."}),
        (Annotated[int, typing_extensions.Doc("N.")], {**INTEGER, "description": "N."}),
        (Annotated[int, pydantic.Field(description="N.")], {**INTEGER, "description": "N."}),
        (dt.datetime, {**TEXT, "format": "date-time"}),
        (dt.date, {**TEXT, "format": "date"}),
        (dt.time, {**TEXT, "format": "time"}),
        (dt.timedelta, {"type": "number", "description": "seconds"}),
        (Decimal, {"type": ["string", "number"]}),
        (uuid.UUID, {**TEXT, "format": "uuid"}),
        (Path, TEXT),
        (bytes, {**TEXT, "contentEncoding": "base64"}),
        *ALIASES,
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.usefixtures("either")
def test_the_schema_of_a_type(of: Any, schema: Any) -> None:
    assert schema_of(of) == schema


def test_a_field_may_be_described_and_one_that_init_does_not_take_is_left_out() -> None:
    schema = schema_of(Order)
    assert schema["properties"]["at"] == {**TEXT, "format": "date", "description": "When."}
    assert schema["properties"].keys() == {"at", "lines"}
    assert schema["required"] == ["at"]


@pytest.mark.parametrize(
    ("default", "told"),
    [
        (5, {"default": 5}),
        (None, {"default": None}),
        (Color.RED, {"default": "red"}),
        (dt.date(2025, 1, 2), {"default": "2025-01-02"}),
        (Point(1), {"default": {"x": 1, "y": 0}}),
        ((1, 2), {"default": [1, 2]}),
        (object(), {}),
        ([object()], {}),
        (print, {}),
    ],
    ids=label,
)
def test_a_default_is_told_if_json_has_it(default: Any, told: dict[str, Any]) -> None:
    made = dataclasses.make_dataclass(
        "Made", [("a", Any, dataclasses.field(default_factory=lambda: default))]
    )
    assert schema_of(made)["properties"]["a"] == {}  # made anew each time: nothing to tell

    def function(a: Any = default) -> None: ...

    del function.__annotations__["a"]
    assert Tool(function).parameters["properties"]["a"] == told


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (Odd, "'Odd' has no form in JSON"),
        (Callable[[int], str], "has no form in JSON"),
        (list[Odd], "'Odd' has no form"),
        (Generic, "has no form"),
        ([int], r"\[<class 'int'>\] is a value, not a type\. Did you mean list\[int\]\?"),
        ((int, str), r"Did you mean tuple\[int, str\]\?"),
        ([], r"Did you mean list\[\.\.\.\]\?"),
        ({"a": int}, "Write a TypedDict or a dataclass"),
        (5, "5 is a value, not a type. Pass the type itself: int"),
        (Odd, r"core schema for <class '.*Odd'>\. Make it a dataclass"),
        (type("Plain", (), {}), "'Plain' has no form"),
        (dict[tuple[int, int], int], "keys of a dict cannot be"),
        (enum.Enum("Odd", {"A": [1]}), "must be str, numbers"),
        (enum.Enum("Odder", {"A": object()}), "must be str, numbers"),
        (dataclasses.make_dataclass("Holder", [("a", list[Odd])]), "Holder.a: The type"),
    ],
    ids=str,
)
def test_what_json_cannot_hold_is_refused(of: Any, message: str) -> None:
    with pytest.raises(PuterInputError, match=message):
        adapter(of)


def test_a_hint_that_leads_nowhere_is_refused() -> None:
    @dataclasses.dataclass
    class Local: ...

    def by_local(a: Local) -> None: ...

    def by_attribute(a: "typing.Nonsense") -> None: ...  # type: ignore[name-defined]  # noqa: UP037

    def by_grammar(a: int) -> None: ...

    by_grammar.__annotations__["a"] = "not python"
    for function in (by_local, by_attribute, by_grammar):
        with pytest.raises(PuterInputError, match=r"type hints of by_.* cannot be read"):
            Tool(function)


# ------------------------------------------------------------ types that hold themselves


def test_a_type_that_holds_itself_becomes_a_definition() -> None:
    ref = {"$ref": "#/$defs/Tree"}
    tree = record(
        {
            "name": TEXT,
            "twigs": {"type": "array", "items": ref},
            "parent": {"anyOf": [ref, {"type": "null"}], "default": None},
        },
        "name",
    )
    assert schema_of(Tree) == {**ref, "$defs": {"Tree": tree}}
    assert schema_of(list[Tree]) == {"type": "array", "items": ref, "$defs": {"Tree": tree}}
    value = Tree("a", [Tree("b", [Tree("c")])], Tree("d"))
    assert read(Tree, to_json(value)) == value
    assert (
        fault(Tree, {"name": "a", "twigs": [{"name": "b"}, {}]}) == "twigs[1].name: it is missing"
    )


def test_types_that_hold_each_other() -> None:
    value = Husband(Wife(Husband(None)))
    for of in (Husband, tuple[Wife, Husband]):
        Draft202012Validator.check_schema(schema_of(of))
    assert read(Husband, to_json(value)) == value
    assert read(tuple[Wife, Husband], to_json((value.wife, value))) == (value.wife, value)


def test_namesakes_get_a_definition_each() -> None:
    def node(kind: type) -> type:
        made = dataclasses.make_dataclass("Node", [("value", kind), ("next", "Node | None", None)])
        made.__module__ = __name__
        made.__annotations__["next"] = made | None
        return made

    numbers, words = node(int), node(str)
    both = tuple[numbers, words]  # type: ignore[valid-type]
    schema = schema_of(both)
    assert schema["prefixItems"] == [{"$ref": "#/$defs/Node"}, {"$ref": "#/$defs/Node2"}]
    value = [{"value": 1, "next": {"value": 2}}, {"value": "a", "next": {"value": "b"}}]
    Draft202012Validator(schema).validate(value)
    assert to_json(read(both, value))[1]["next"]["value"] == "b"


def test_what_is_nested_too_deeply_does_not_fit() -> None:
    deep: dict[str, Any] = {"name": "a"}
    for _ in range(5000):
        deep = {"name": "a", "parent": deep}
    assert fault(Tree, deep) == "the value: it is nested too deeply"


# ------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("of", "value", "read_as"),
    [
        (int, 5.0, 5),
        (int, " 5 ", 5),
        (float, 5, 5.0),
        (float, "1.5", 1.5),
        (str, 5, "5"),
        (bool, "True", True),
        (None, "null", None),
        (Literal[1, True], True, True),
        (Literal[1, True], 1, 1),
        (Literal[1.0], 1, 1.0),
        (Literal["a", 1], "A", "a"),
        (Color, "red", Color.RED),
        (Color, "BLUE", Color.BLUE),
        (Color, "crimson", Color.RED),
        (Literal[Color.RED], "red", Color.RED),
        (Level, 2, Level.HIGH),
        (Level, "low", Level.LOW),
        (Unit, "km", Unit.KM),
        (int | str, "5", "5"),
        (int | str, 5, 5),
        (int | float, 5.5, 5.5),
        (Decimal | int, 5, 5),
        (Color | str, "RED", "RED"),  # a str as it stands, a Color only by its name
        (int | list[int], "5", 5),
        (list[int], ["1", 2.0], [1, 2]),
        (set[int], [1, 1], {1}),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (dict[Color, int], {"red": 1}, {Color.RED: 1}),
        (Point, {"x": "1"}, Point(1)),
        (Pair, {"left": 1}, Pair(1)),
        (Loose, {"a": 1, "b": "x"}, Loose(1, "x")),
        (Movie, {"title": "M"}, {"title": "M"}),
        (Order, {"at": "2025-01-02"}, Order(dt.date(2025, 1, 2))),
        (dt.datetime, "2025-01-02T03:04:05Z", dt.datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (dt.time, "03:04:05Z", dt.time(3, 4, 5, tzinfo=UTC)),
        (dt.timedelta, 1.5, dt.timedelta(seconds=1.5)),
        (Decimal, 1.1, Decimal("1.1")),
        (Path, " a ", Path(" a ")),
        (bytes, "aGk=", b"hi"),
        (Any, {"a": [1]}, {"a": [1]}),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.usefixtures("either")
def test_a_value_is_taken_strictly_and_else_laxly(of: Any, value: Any, read_as: Any) -> None:
    got = read(of, value)
    assert got == read_as
    assert type(got) is type(read_as)


@pytest.mark.parametrize(
    ("of", "value", "told"),
    [
        (int, "x", 'the value: expected a whole number, got "x"'),
        (int, 5.5, "the value: expected a whole number, got 5.5"),
        (int, True, "the value: expected a whole number, got true"),
        (float, True, "the value: expected a number, got true"),
        (float, float("nan"), "the value: expected a number, got NaN"),
        (float, "inf", 'the value: expected a number, got "inf"'),
        (float, 10**400, "the value: expected a number, got 1000"),
        (bool, 1, "the value: expected true or false, got 1"),
        (str, None, "the value: expected text, got null"),
        (Color, "green", 'the value: expected one of "red", "blue", got "green"'),
        (Literal[0], False, "the value: expected one of 0, got false"),
        (Literal["a"], ["a"], 'the value: expected one of "a", got ["a"]'),
        (int | None, "x", 'the value: expected a whole number, got "x"'),
        (int | Point, "x", 'the value: expected int or Point, got "x"'),
        (list[int], {"a": 1}, 'the value: expected an array, got {"a": 1}'),
        (list[Point], [{"x": 1}, {"x": "?"}], '[1].x: expected a whole number, got "?"'),
        (set[Any], [[1]], "the value: expected an array for a set (unhashable type: 'list')"),
        (tuple[int, int], [1], "the value: expected an array of 2, got [1]"),
        (dict[str, int], {"a": "x"}, 'a: expected a whole number, got "x"'),
        (dict[int, int], {"a": 1}, ' (key): expected a whole number, got "a"'),
        (Point, {}, "x: it is missing"),
        (Point, {"x": 1, "z": 1}, "z: no such field; there are x, y"),
        (dataclasses.make_dataclass("Empty", []), {"z": 1}, "z: no such field; there are none"),
        (Point, [1], "the value: expected an object (Point), got [1]"),
        (Point, {"x": "long" * 50}, 'x: expected a whole number, got "' + "long" * 19 + "..."),
        (dict[str, Point], {"a": {"x": None}}, "a.x: expected a whole number, got null"),
        (dt.date, "tomorrow", 'the value: expected a date such as 2025-12-31, got "tomorrow"'),
        (dt.datetime, 5, "the value: expected a date and time (ISO 8601), got 5"),
        (dt.timedelta, 1e300, "the value: expected a number of seconds, got 1e+300"),
        (Decimal, "many", 'the value: expected a decimal number, got "many"'),
        (Decimal, "NaN", 'the value: expected a decimal number, got "NaN"'),
        (uuid.UUID, "x", 'the value: expected a UUID, got "x"'),
        (bytes, "?", 'the value: expected base64, got "?"'),
        (bytes, "ä", 'the value: expected base64, got "\\u00e4"'),
    ],
    ids=str,
)
@pytest.mark.usefixtures("either")
def test_what_does_not_fit_says_where_and_why(of: Any, value: Any, told: str) -> None:
    assert fault(of, value).startswith(told)


@pytest.mark.parametrize("error", [ValueError("low"), AssertionError("low"), KeyError("low")])
def test_what_a_type_itself_refuses_does_not_fit(error: Exception) -> None:
    @dataclasses.dataclass
    class Picky:
        a: int

        def __post_init__(self) -> None:
            raise error

    Picky.__annotations__["a"] = int
    assert "low" in fault(Picky, {"a": 1})
    assert fault(Picky, {"a": 1}).startswith("the value: expected a valid Picky")


# ------------------------------------------------------------ back to JSON


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Color.RED, "red"),
        (Level.LOW, 1),
        (enum.Enum("Real", {"A": 1.5}).A, 1.5),  # type: ignore[attr-defined]
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (dt.datetime(2025, 1, 2, tzinfo=UTC), "2025-01-02T00:00:00+00:00"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (dt.timedelta(minutes=1), 60.0),
        (Decimal("1.10"), "1.10"),
        (b"hi", "aGk="),
        (bytearray(b"hi"), "aGk="),
        (PurePosixPath("/a"), "/a"),
        ({"a": {1}, 2: (3,)}, {"a": [1], "2": [3]}),
        ({Color.RED: None}, {"red": None}),
        (Order(dt.date(2025, 1, 2)), {"at": "2025-01-02", "lines": {}, "total": 0}),
        (Pair(1), {"left": 1, "right": "?"}),
        ({None: 1, (1, "a"): 2, True: 3}, {"null": 1, '[1, "a"]': 2, "true": 3}),
        (memoryview(b"hi"), "aGk="),
        (collections.deque([1]), [1]),
        (range(3), [0, 1, 2]),
        ({1: "a"}.keys(), [1]),
        ({1: "a"}.values(), ["a"]),
        ({1: "a"}.items(), [[1, "a"]]),
        ((n * n for n in range(3)), [0, 1, 4]),
        (map(str, [1]), ["1"]),
        (list(range(20_000)), list(range(20_000))),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
    ],
    ids=label,
)
def test_values_are_written_as_json(value: Any, written: Any) -> None:
    got = to_json(value)
    assert got == written
    json.dumps(got, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Point, "type has no form in JSON"),
        ([Color], "EnumType has no form in JSON"),
        (ValueError("x"), "ValueError has no form in JSON"),
        ({"a": [Odd()]}, "Odd has no form in JSON"),
        (print, "builtin_function_or_method has no form in JSON"),
        (itertools.count(), "it goes on after 10,000 items"),
    ],
    ids=label,
)
def test_values_without_a_form_are_refused(value: Any, told: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        to_json(value)
    assert str(caught.value).replace("EnumMeta", "EnumType") == told


def test_numpy_is_written_whole() -> None:
    np = pytest.importorskip("numpy")
    assert to_json(np.arange(2000).reshape(2, 1000)) == [
        list(range(1000)), list(range(1000, 2000)),
    ]  # fmt: skip
    assert to_json([np.int64(5), np.float32(0.5), np.bool_(True), np.array(3)]) == [5, 0.5, True, 3]
    assert to_json({"at": np.datetime64("2025-01-02")}) == {"at": "2025-01-02"}
    assert to_json(np.array(["2025-01-02T03"], dtype="datetime64[ns]")) == [
        "2025-01-02T03:00:00.000000000"
    ]


# ------------------------------------------------------------ pydantic


class Address(pydantic.BaseModel):
    town: str
    since: dt.date | None = None


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(description="Full name.", min_length=1)
    homes: list[Address] = []
    friend: Person | None = None


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    n: int
    at: dt.date


def test_pydantic_models_bring_their_own_schema_and_checks() -> None:
    schema = schema_of(list[Person])
    value = [{"name": "Ada", "homes": [{"town": "London", "since": "1815-12-10"}]}]
    Draft202012Validator(schema).validate(value)
    (ada,) = read(list[Person], value)
    assert ada == Person(name="Ada", homes=[Address(town="London", since=dt.date(1815, 12, 10))])
    assert to_json(ada)["homes"] == [{"town": "London", "since": "1815-12-10"}]
    assert schema["$defs"]["Person.Person"]["properties"]["name"]["description"] == "Full name."
    bad = [{"name": "Ada", "homes": [{"town": 5}]}]
    assert fault(list[Person], bad) == ("[0].homes[0].town: expected a valid string, got 5")


def test_a_pydantic_model_may_insist() -> None:
    assert read(Strict, {"n": 1, "at": "2025-01-02"}) == Strict(n=1, at=dt.date(2025, 1, 2))
    assert fault(Strict, {"n": "1", "at": "2025-01-02"}).startswith(
        "n: expected a valid integer, got"
    )
    assert read(Person, {"name": "A", "friend": {"name": "B"}}).friend == Person(name="B")


def test_pydantic_models_with_inner_namesakes() -> None:
    def holding(kind: Any) -> Any:
        inner = pydantic.create_model("Item", value=(kind, ...))
        return pydantic.create_model("Box", item=(inner, ...))

    def pack(numbers: Any, words: Any) -> None: ...

    pack.__annotations__.update(numbers=holding(int), words=holding(str))
    schema = Tool(pack).parameters
    good = {"numbers": {"item": {"value": 1}}, "words": {"item": {"value": "a"}}}
    Draft202012Validator(schema).validate(good)
    swapped = {"numbers": good["words"], "words": good["numbers"]}
    assert not Draft202012Validator(schema).is_valid(swapped)


class Box(pydantic.BaseModel, Generic[T]):
    item: T


def test_generic_pydantic_models() -> None:
    assert read(Box[list[int]], {"item": [1]}).item == [1]
    Draft202012Validator(schema_of(list[Box[int]])).validate([{"item": 1}])


# ------------------------------------------------------------ what only pydantic knows


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Ge(1)]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str


@dataclasses.dataclass
class Seeded:
    seed: dataclasses.InitVar[int]
    size: int = 1

    def __post_init__(self, seed: int) -> None:
        self.size += seed


@dataclasses.dataclass
class Priced:
    price: int = pydantic.Field(..., gt=0)


@pydantic.dataclasses.dataclass
class Checked:
    n: int

    @pydantic.field_validator("n")
    @classmethod
    def check(cls, n: int) -> int:
        if n == 13:
            raise RuntimeError("unlucky")
        if n > 9:
            raise ValueError("too many")
        return n


class Ticket(TypedDict):
    seats: Annotated[int, Ge(1), "How many."]


@dataclasses.dataclass
class Held(Generic[T]):
    item: T


NEWER: list[Any] = []  # what the oldest pydantic that we support does not know yet
if tuple(map(int, pydantic.VERSION.split(".")[:2])) >= (2, 10):
    NEWER = [(Held[int], {"item": "1"}, Held(1)), (complex, "1+2j", 1 + 2j)]
Json = typing_extensions.TypeAliasType(
    "Json", "dict[str, Json] | list[Json] | str | float | bool | None"
)
Pet = Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]


@pytest.mark.parametrize(
    ("of", "value", "read_as"),
    [
        (Annotated[int, pydantic.Field(ge=1)], "5", 5),
        (Annotated[str, MinLen(1)], 5, "5"),
        (Annotated[list[int], MinLen(1)], "[1, 2]", [1, 2]),
        (list[Annotated[int, Ge(1)]], [1], [1]),
        (Ticket, {"seats": "2"}, {"seats": 2}),
        (Pet, {"kind": "cat", "lives": 9}, Cat(kind="cat", lives=9)),
        (list[Pet], [{"kind": "dog", "name": "Rex"}], [Dog(kind="dog", name="Rex")]),
        (Box[int], {"item": "1"}, Box[int](item=1)),
        (Priced, {"price": 1}, Priced(1)),
        (Checked, {"n": "5"}, Checked(5)),
        (Json, {"a": [1.5, {"b": None}]}, {"a": [1.5, {"b": None}]}),
        (ipaddress.IPv4Address, "127.0.0.1", ipaddress.IPv4Address("127.0.0.1")),
        (collections.deque[int], [1], collections.deque([1])),
        *NEWER,
    ],
    ids=str,
)
def test_any_type_that_pydantic_knows_is_read(of: Any, value: Any, read_as: Any) -> None:
    schema_of(of)
    assert read(of, value) == read_as


@pytest.mark.parametrize(
    ("of", "value", "told"),
    [
        (Annotated[int, pydantic.Field(ge=1)], 0,
         "the value: must be greater than or equal to 1, got 0"),
        (Ticket, {"seats": 0}, "seats: must be greater than or equal to 1, got 0"),
        (list[Annotated[str, MinLen(2)]], ["a"],
         '[0]: string should have at least 2 characters, got "a"'),
        (Pet, {"kind": "cow"}, "the value: input tag 'cow' found using 'kind' does not match"),
        (Priced, {"price": 0}, "price: must be greater than 0, got 0"),
        (pydantic.HttpUrl, 5, "the value: expected a string or URL, got 5"),
        (pydantic.Json, 5, "the value: expected string, bytes or bytearray, got 5"),
        (Checked, {"n": 10}, "n: too many, got 10"),
        (Checked, {"n": 13}, "the value: unlucky"),
        (Checked, {}, "n: it is missing"),
        (Person, {"homes": [{}], "name": ""},
         'name: string should have at least 1 character, got ""; homes[0].town: it is missing'),
        (Annotated[float, Ge(0)], "inf", 'the value: expected a finite number, got "inf"'),
    ],
    ids=str,
)  # fmt: skip
def test_what_pydantic_refuses_says_where_and_why(of: Any, value: Any, told: str) -> None:
    assert fault(of, value).startswith(told)
    assert "Input should" not in fault(of, value)


def test_constraints_are_in_the_schema() -> None:
    assert schema_of(Annotated[int, pydantic.Field(ge=1, le=9)]) == {
        **INTEGER, "minimum": 1, "maximum": 9,
    }  # fmt: skip
    assert schema_of(Ticket) == record(
        {"seats": {**INTEGER, "minimum": 1, "description": "How many."}}, "seats"
    )
    assert schema_of(Priced)["properties"]["price"]["exclusiveMinimum"] == 0
    assert schema_of(Annotated[int, 5, {"x": 1}]) == INTEGER  # nothing pydantic knows


def test_a_model_that_comes_twice_has_one_definition() -> None:
    schema = schema_of(tuple[Person, Person])
    assert schema["$defs"].keys() == {"Person.Address", "Person.Person"}


def test_an_alias_that_names_itself_in_a_str_is_explained() -> None:
    with pytest.raises(PuterInputError, match=r"name 'Nested' .*cannot be resolved"):
        adapter(list["Nested"])  # type: ignore[name-defined]  # noqa: F821


def test_what_is_given_at_the_start_is_asked_for() -> None:
    assert schema_of(Seeded)["required"] == ["seed"]
    assert read(Seeded, {"seed": 2}).size == 3


@pytest.mark.usefixtures("no_pydantic")
@pytest.mark.parametrize(
    "of",
    [
        Annotated[int, Ge(1)], list[Annotated[int, 5]], Ticket, Annotated[Cat, {"x": 1}], Box[int],
        Person, Priced, Checked, Seeded, Json, complex, Odd,
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_checked_is_refused_with_the_name_of_the_extra(of: Any) -> None:
    with pytest.raises(PuterInputError, match="cannot be read without pydantic") as caught:
        adapter(of)
    assert "puter-python-sdk[pydantic]" in str(caught.value)


def test_a_type_variable_may_be_one_of_several() -> None:
    one_of = TypeVar("one_of", int, str)
    assert schema_of(one_of) == {"anyOf": [INTEGER, TEXT]}


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [RuntimeError("low"), Mute()], ids=["words", "none"])
def test_whatever_a_check_raises_does_not_fit(error: Exception) -> None:
    class Model(pydantic.BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def check(cls, n: int) -> int:
            raise error

    class Key(pydantic.BaseModel):
        n: int

        def __hash__(self) -> int:
            raise error

    for of, value in ((list[Model], [{"n": 1}]), (set[Key], [{"n": 1}])):
        assert ("low" if str(type(error)) == str(RuntimeError) else "Mute") in fault(of, value)


# ------------------------------------------------------------ any type, any value

Sample = tuple[Any, str, st.SearchStrategy[Any]]
"""A type, the JSON kind of its values, and its values."""

NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=6).map("f_{}".format)
ZONES = st.none() | st.integers(-1439, 1439).map(lambda m: dt.timezone(dt.timedelta(minutes=m)))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SPANS = st.timedeltas(dt.timedelta(days=-9999), dt.timedelta(days=9999))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
PLAIN: list[Sample] = [
    (str, "string", st.text()),
    (int, "number", st.integers()),
    (float, "number", FINITE),
    (bool, "boolean", st.booleans()),
    (type(None), "null", st.none()),
    (dt.datetime, "string", st.datetimes(timezones=ZONES)),
    (dt.date, "string", st.dates()),
    (dt.time, "string", st.times(timezones=ZONES)),
    (dt.timedelta, "number", SPANS),
    (Decimal, "string", DECIMALS),
    (uuid.UUID, "string", st.uuids()),
    (bytes, "string", st.binary()),
    (Path, "string", st.text(string.printable).map(Path)),
    (UserId, "number", st.integers()),
    (Color, "string", st.sampled_from(Color)),
    (Level, "number", st.sampled_from(Level)),
    (Literal[1, True, "x"], "any", st.sampled_from([1, True, "x"])),
]
plain = st.sampled_from(PLAIN)


@st.composite
def containers(draw: st.DrawFn, inner: st.SearchStrategy[Sample]) -> Sample:
    of, _, values = draw(inner)
    kinds: dict[str, Any] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
    match draw(st.sampled_from([*kinds, "fixed", "dict", "optional", "union"])):
        case "list":
            return list.__class_getitem__(of), "array", st.lists(values, max_size=3)
        case "tuple":
            made = tuple.__class_getitem__((of, ...))
            return made, "array", st.lists(values, max_size=3).map(tuple)
        case "fixed":
            other, _, others = draw(inner)
            return tuple.__class_getitem__((of, other)), "array", st.tuples(values, others)
        case "set" | "frozenset" as name:
            of, _, values = draw(plain)
            build = kinds[name]
            return build[of], "array", st.builds(build, st.lists(values, max_size=3))
        case "dict":
            key, _, keys = draw(plain)
            made = dict.__class_getitem__((key, of))
            return made, "object", st.dictionaries(keys, values, max_size=3)
        case "optional":
            return of | None, "any", st.none() | values
        case _:  # of members that JSON can tell apart
            members = {kind: (one, some) for one, kind, some in draw(st.lists(inner, min_size=1))}
            members.pop("any", None)
            types = [one for one, _ in members.values()]
            union = functools.reduce(operator.or_, types, type(None))
            return union, "any", st.one_of(st.none(), *(some for _, some in members.values()))


@st.composite
def classes(draw: st.DrawFn, inner: st.SearchStrategy[Sample]) -> Sample:
    fields = draw(st.dictionaries(NAMES, inner, max_size=3))
    types = {name: of for name, (of, _, _) in fields.items()}
    parts = {name: values for name, (_, _, values) in fields.items()}
    makers: dict[str, Any] = {"class": dataclasses.make_dataclass, "tuple": NamedTuple}
    makers["dict"] = TypedDict
    match draw(st.sampled_from([*makers, "partial dict"])):
        case "class" | "tuple" as kind:
            made = makers[kind]("Made", types.items())
        case "dict":
            made = makers["dict"]("Made", types)
        case _:
            made = makers["dict"]("Made", types, total=False)
            return made, "object", st.fixed_dictionaries({}, optional=parts)
    return made, "object", st.builds(made, **parts)


samples = st.recursive(plain, lambda inner: containers(inner) | classes(inner), max_leaves=6)


def same(a: Any, b: Any) -> bool:
    """Equal, and of equal types all the way down; TypedDicts are dicts."""
    if type(a) is not type(b) or a != b:
        return False
    if isinstance(a, dict):
        return all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return all(map(same, a, b))
    if dataclasses.is_dataclass(a):
        return same(vars(a), vars(b))
    return True


@given(st.data())
def test_what_is_written_validates_and_is_read_as_the_same(data: st.DataObject) -> None:
    of, _, values = data.draw(samples)
    value = data.draw(values)
    built = adapter(of)
    Draft202012Validator.check_schema(built.schema)
    written = json.loads(json.dumps(to_json(value), allow_nan=False))
    Draft202012Validator(built.schema).validate(written)
    assert same(convert(built, written), value)


@given(st.data())
def test_any_signature_takes_what_fits_its_schema(data: st.DataObject) -> None:
    parts = data.draw(st.dictionaries(NAMES, samples, max_size=4))
    kinds: list[Any] = [
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    ]
    chosen = sorted(data.draw(st.sampled_from(kinds)) for _ in parts)
    split = data.draw(st.integers(0, len(parts)))  # those from here on have defaults
    parameters, values, sent = [], {}, {}
    for place, ((name, (of, _, some)), kind) in enumerate(zip(parts.items(), chosen, strict=True)):
        default = inspect.Parameter.empty
        values[name] = data.draw(some)
        if place >= split:
            default = data.draw(some)
            if data.draw(st.booleans()):
                values[name] = default
        if default is inspect.Parameter.empty or values[name] is not default:
            sent[name] = to_json(values[name])
        parameters.append(inspect.Parameter(name, kind, default=default, annotation=of))
    signature = inspect.Signature(parameters)

    def function(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__annotations__ = {name: of for name, (of, _, _) in parts.items()}
    tool = Tool(function)
    Draft202012Validator(tool.parameters).validate(sent)
    assert same(tool.bind(json.loads(json.dumps(sent)))(), values)
