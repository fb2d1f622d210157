"""Python types as JSON Schema, and JSON values as Python values: for tools and for typed answers.

Supported: str, int, float, bool, None, Any, Literal, Enum, Optional and Union, list, set,
frozenset, tuple, dict and their abstract forms, dataclass, TypedDict, NamedTuple, Annotated (a str
in it is the description), datetime, date, time, timedelta, Decimal, UUID, Path, bytes, NewType, and
pydantic models.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import datetime as dt
import enum
import inspect
import json
import math
import os
import re
import types
import typing
import uuid
from collections import abc
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path, PurePath
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

from puter.exceptions import PuterInputError

Schema = dict[str, Any]
Load = Callable[[Any, str, bool], Any]


class Mismatch(ValueError):
    """A JSON value does not fit: where, and what is wrong there."""

    def __init__(self, path: str, wanted: str, found: Any) -> None:
        shown = json.dumps(found, default=str)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        super().__init__(f"{path or 'the value'}: expected {wanted}, got {shown}")

    @classmethod
    def at(cls, path: str, told: str) -> Mismatch:
        error = cls.__new__(cls)
        error.args = (f"{path}: {told}",)
        return error


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """How a type is written as JSON Schema, and read from JSON.

    Attributes:
        schema: The JSON Schema.
        load: ``load(value, path, lax)``; lax takes ``"5"`` for 5 and the like.
    """

    schema: Schema
    load: Load


def codec(of: Any) -> Codec:
    """The codec of a type, with the schema complete in itself.

    Raises:
        PuterInputError: The type, or one inside it, is not supported.

    Examples:
        >>> codec(list[int]).schema
        {'type': 'array', 'items': {'type': 'integer'}}
    """
    compiler = _Compiler()
    made = compiler.make(of)
    schema = {**made.schema, "$defs": compiler.defs} if compiler.defs else made.schema
    return Codec(schema, made.load)


def convert(made: Codec, value: Any) -> Any:
    """The Python value of a JSON value: taken strictly if that works, else laxly.

    Raises:
        Mismatch: It does not fit.
    """
    try:
        try:
            return made.load(value, "", False)
        except Mismatch:
            return made.load(value, "", True)
    except RecursionError:
        raise Mismatch.at("the value", "it is nested too deeply") from None


class Parameter(NamedTuple):
    """A named part of an object: a field or a function's parameter."""

    name: str
    type: Any
    description: str = ""
    default: Any = dataclasses.MISSING
    required: bool = True


def object_codec(
    parameters: list[Parameter], build: Callable[[dict[str, Any]], Any], *, of: str
) -> Codec:
    """The codec of an object with named parts, complete in itself."""
    compiler = _Compiler()
    made = compiler.named(parameters, build, of)
    schema = {**made.schema, "$defs": compiler.defs} if compiler.defs else made.schema
    return Codec(schema, made.load)


class _Compiler:
    def __init__(self) -> None:
        self.defs: dict[str, Schema] = {}
        self._names: dict[Any, str] = {}  # of types in `defs`; namesakes get a number
        self._open: set[Any] = set()  # types being made, to find those that hold themselves
        self._recursive: dict[Any, Codec | None] = {}

    def make(self, of: Any) -> Codec:
        origin, args = get_origin(of), get_args(of)
        if origin is Annotated:
            return self._annotated(args)
        if isinstance(of, TypeVar):
            return self.make(of.__bound__ or Any)
        if type(of).__name__ == "TypeAliasType":
            return self._once(of, lambda: self.make(of.__value__))
        if hasattr(of, "__supertype__"):
            return self.make(of.__supertype__)
        if getattr(origin, "_name", "") in ("Required", "NotRequired", "ReadOnly"):
            return self.make(args[0])
        if origin in (Union, types.UnionType):
            return self._union(args)
        if origin is Literal:
            return _one_of(args, {})
        hashable = isinstance(of, abc.Hashable)
        if hashable and of in _SCALARS:
            return _SCALARS[of]
        if isinstance(of, type) and origin is None:  # list[int] is a type, too, in Python 3.10
            made = self._class(of)
            if made is not None:
                return made
        container = self._container(origin or of, args) if hashable else None
        if container is not None:
            return container
        raise PuterInputError(
            f"The type {getattr(of, '__name__', of)!r} has no form in JSON",
            hint="Use str, int, float, bool, list, dict, Literal, Enum, dataclass, TypedDict, "
            "datetime and the like.",
        )

    def _annotated(self, args: tuple[Any, ...]) -> Codec:
        made = self.make(args[0])
        for note in args[1:]:
            text = note if isinstance(note, str) else getattr(note, "description", None)
            if isinstance(text, str) and text:
                return Codec({**made.schema, "description": text}, made.load)
        return made

    def _union(self, args: tuple[Any, ...]) -> Codec:
        members = [self.make(one) for one in args]

        def load(value: Any, path: str, lax: bool) -> Any:
            for member in members:
                try:
                    return member.load(value, path, False)
                except Mismatch:
                    continue
            for member in members if lax else ():
                try:
                    return member.load(value, path, True)
                except Mismatch:
                    continue
            if len(members) == 2 and type(None) in args:
                return members[args.index(type(None)) - 1].load(value, path, lax)
            raise Mismatch(path, " or ".join(map(_name, args)), value)

        return Codec({"anyOf": [member.schema for member in members]}, load)

    def _class(self, of: type) -> Codec | None:
        if issubclass(of, enum.Enum):
            return _one_of(tuple(of), of.__members__)
        if hasattr(of, "model_json_schema") and hasattr(of, "model_validate_json"):
            return self._pydantic(of)
        if (
            dataclasses.is_dataclass(of)
            or _is_typed_dict(of)
            or (issubclass(of, tuple) and hasattr(of, "_fields"))
        ):
            return self._once(
                of, lambda: self.named(_fields(of), lambda values: of(**values), of.__name__)
            )
        return None

    def _once(self, of: Any, make: Callable[[], Codec]) -> Codec:
        """What ``make`` makes; a type that holds itself becomes a definition to refer to."""
        if of in self._open:
            self._recursive.setdefault(of, None)
        elif of not in self._recursive:
            self._open.add(of)
            try:
                made = make()
            finally:
                self._open.discard(of)
            if of not in self._recursive:
                return made
            self.defs[self._definition(of)] = made.schema
            self._recursive[of] = made
        return Codec(
            {"$ref": f"#/$defs/{self._definition(of)}"},
            lambda value, path, lax: self._known(of).load(value, path, lax),
        )

    def _known(self, of: Any) -> Codec:
        return cast("Codec", self._recursive[of])  # complete before any value is loaded

    def _definition(self, of: Any) -> str:
        """The type's name among the definitions."""
        if of not in self._names:
            same = sum(one.__name__ == of.__name__ for one in self._names)
            self._names[of] = re.sub(r"\W", "_", of.__name__) + (str(same + 1) if same else "")
        return self._names[of]

    def named(
        self, parameters: list[Parameter], build: Callable[[dict[str, Any]], Any], of: str
    ) -> Codec:
        """An object with named parts."""
        parts: dict[str, Codec] = {}
        properties: dict[str, Schema] = {}
        for one in parameters:
            try:
                part = parts[one.name] = self.make(one.type)
            except PuterInputError as error:
                raise PuterInputError(
                    f"{of}.{one.name}: {error.message}", hint=error.hint
                ) from None
            told = dict(part.schema)
            if one.description:
                told.setdefault("description", one.description)
            if one.default is not dataclasses.MISSING:
                with contextlib.suppress(TypeError):  # some defaults have no form in JSON
                    told["default"] = to_json(one.default, _refuse)
            properties[one.name] = told
        required = [one.name for one in parameters if one.required]
        schema: Schema = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
        if required:
            schema["required"] = required

        def load(value: Any, path: str, lax: bool) -> Any:
            if not isinstance(value, Mapping):
                raise Mismatch(path, f"an object ({of})", value)
            unknown = [name for name in value if name not in parts]
            if unknown:
                known = f"there are {', '.join(parts)}" if parts else "there are none"
                raise Mismatch.at(_under(path, str(unknown[0])), f"no such field; {known}")
            for name in required:
                if name not in value:
                    raise Mismatch.at(_under(path, name), "it is missing")
            loaded = {
                name: parts[name].load(one, _under(path, name), lax) for name, one in value.items()
            }
            try:
                return build(loaded)
            except Exception as error:  # whatever the type's own checks raise
                raise Mismatch(path, f"a valid {of} ({error})", value) from error

        return Codec(schema, load)

    def _pydantic(self, of: Any) -> Codec:
        name = self._definition(of)
        schema: Schema = of.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        for inner, one in schema.pop("$defs", {}).items():
            self.defs[f"{name}.{inner}"] = one

        def load(value: Any, path: str, lax: bool) -> Any:
            try:
                return of.model_validate_json(json.dumps(value), strict=None if lax else True)
            except ValueError as error:  # pydantic's ValidationError is one
                faults: list[dict[str, Any]] = getattr(error, "errors", list)()
                if not faults:
                    raise Mismatch(path, f"a valid {of.__name__}", value) from error
                first = faults[0]
                where = ".".join(str(one) for one in (path, *first.get("loc", ())) if one != "")
                raise Mismatch(where, str(first.get("msg")), first.get("input")) from error

        return Codec(schema, load)

    def _container(self, origin: Any, args: tuple[Any, ...]) -> Codec | None:
        if origin is tuple and args and args[-1] is not ...:
            return self._fixed_tuple(() if args == ((),) else args)
        if origin in _LISTS:
            item = self.make(args[0] if args else Any)
            return _array(item, _LISTS[origin], unique=False)
        if origin in _SETS:
            item = self.make(args[0] if args else Any)
            return _array(item, _SETS[origin], unique=True)
        if origin in _DICTS:
            return self._mapping(*(args or (str, Any)))
        return None

    def _fixed_tuple(self, args: tuple[Any, ...]) -> Codec:
        items = [self.make(one) for one in args]

        def load(value: Any, path: str, lax: bool) -> Any:
            if not isinstance(value, (list, tuple)) or len(value) != len(items):
                raise Mismatch(path, f"an array of {len(items)}", value)
            pairs = enumerate(zip(items, value, strict=True))
            return tuple(item.load(one, f"{path}[{i}]", lax) for i, (item, one) in pairs)

        size = {"minItems": len(items), "maxItems": len(items)}
        return Codec({"type": "array", "prefixItems": [i.schema for i in items], **size}, load)

    def _mapping(self, key: Any, value: Any) -> Codec:
        keys, values = self.make(key), self.make(value)
        if keys.schema.get("type") in ("array", "object"):
            raise PuterInputError(f"The keys of a dict cannot be {_name(key)} in JSON")

        def load(given: Any, path: str, lax: bool) -> Any:
            if not isinstance(given, Mapping):
                raise Mismatch(path, "an object", given)
            return {
                keys.load(name, f"{path} (key)", True): values.load(one, _under(path, name), lax)
                for name, one in given.items()
            }

        return Codec({"type": "object", "additionalProperties": values.schema}, load)


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _array(item: Codec, build: Callable[[Any], Any], *, unique: bool) -> Codec:
    def load(value: Any, path: str, lax: bool) -> Any:
        if not isinstance(value, (list, tuple)):
            raise Mismatch(path, "an array", value)
        items = [item.load(one, f"{path}[{i}]", lax) for i, one in enumerate(value)]
        try:
            return build(items)
        except TypeError as error:
            raise Mismatch(path, f"an array for a set ({error})", value) from error

    schema: Schema = {"type": "array", "items": item.schema}
    return Codec({**schema, "uniqueItems": True} if unique else schema, load)


def _one_of(members: tuple[Any, ...], names: Mapping[str, Any]) -> Codec:
    """One of these values or Enum members; laxly also by name."""
    try:
        shown = [to_json(one, _refuse) for one in members]
    except TypeError:
        shown = [()]
    if any(not isinstance(one, (str, int, float, bool, type(None))) for one in shown):
        raise PuterInputError("Literal and Enum values must be str, numbers, bool or None")
    kinds = {_json_type(one) for one in shown}
    schema: Schema = {"enum": shown}
    if len(kinds) == 1:
        schema = {"type": kinds.pop(), "enum": shown}
    pairs = list(zip(shown, members, strict=True))

    def load(value: Any, path: str, lax: bool) -> Any:
        for one, member in pairs:  # True equals 1, but does not mean it
            if one == value and isinstance(one, bool) == isinstance(value, bool):
                return member
        for one, member in (*pairs, *names.items()) if lax else ():
            if str(one).lower() == str(value).lower():
                return member
        raise Mismatch(path, "one of " + ", ".join(json.dumps(one) for one in shown), value)

    return Codec(schema, load)


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "string")


def _refuse(value: Any) -> Any:
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def _is_typed_dict(of: type) -> bool:
    """Whether of ``typing`` or ``typing_extensions``, which are two before Python 3.13."""
    return issubclass(of, dict) and hasattr(of, "__required_keys__")


def _name(of: Any) -> str:
    return "null" if of is type(None) else getattr(of, "__name__", str(of))


def _fields(of: type) -> list[Parameter]:
    hints = hints_of(of)
    if _is_typed_dict(of):
        needed: frozenset[str] = of.__required_keys__  # type: ignore[attr-defined]
        return [
            Parameter(name, hint, required=_marked(hint, default=name in needed))
            for name, hint in hints.items()
        ]
    if dataclasses.is_dataclass(of):
        return [
            Parameter(
                one.name,
                hints[one.name],
                str(one.metadata.get("description", "")),
                one.default,
                one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING,
            )
            for one in dataclasses.fields(of)
            if one.init
        ]
    defaults: dict[str, Any] = of._field_defaults  # type: ignore[attr-defined]
    names: tuple[str, ...] = of._fields  # type: ignore[attr-defined]
    return [
        Parameter(
            name,
            hints.get(name, Any),
            "",
            defaults.get(name, dataclasses.MISSING),
            name not in defaults,
        )
        for name in names
    ]


def _marked(hint: Any, *, default: bool) -> bool:
    """Under ``from __future__ import annotations`` a TypedDict itself sees no NotRequired."""
    mark = getattr(get_origin(hint), "_name", "")
    return default if mark not in ("Required", "NotRequired") else mark == "Required"


def hints_of(of: Any) -> dict[str, Any]:
    """The type hints of a class or function, resolved.

    Raises:
        PuterInputError: A hint names something that cannot be found.
    """
    try:
        return typing.get_type_hints(of, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise PuterInputError(
            f"The type hints of {getattr(of, '__name__', of)} cannot be read: {error}",
            hint="Types named in them must exist at module level.",
        ) from error


# ---------------------------------------------------------------- scalars


def _text(value: Any, path: str, lax: bool) -> str:
    if isinstance(value, str):
        return value
    if lax and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise Mismatch(path, "text", value)


def _whole(value: Any, path: str, lax: bool) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and lax and value.is_integer():
        return int(value)
    if lax and isinstance(value, str):
        try:
            return int(value.strip())
        except ValueError:
            pass
    raise Mismatch(path, "a whole number", value)


def _real(value: Any, path: str, lax: bool) -> float:
    number = math.nan
    kinds = (int, float, str) if lax else (int, float)
    if isinstance(value, kinds) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            number = float(value)
    if not math.isfinite(number):
        raise Mismatch(path, "a number", value)
    return number


def _truth(value: Any, path: str, lax: bool) -> bool:
    if isinstance(value, bool):
        return value
    if lax and isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise Mismatch(path, "true or false", value)


def _nothing(value: Any, path: str, lax: bool) -> None:
    if value is not None and not (lax and value in ("", "null", "None")):
        raise Mismatch(path, "null", value)


def _anything(value: Any, path: str, lax: bool) -> Any:
    return value


def _parsed(parse: Callable[[str], Any], wanted: str) -> Load:
    def load(value: Any, path: str, lax: bool) -> Any:
        if not isinstance(value, str):
            raise Mismatch(path, wanted, value)
        try:
            return parse(value.strip())
        except (ValueError, InvalidOperation, binascii.Error) as error:
            raise Mismatch(path, wanted, value) from error

    return load


def _zulu(text: str) -> str:
    return text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text  # Python 3.10 knows no Z


def _decimal(value: Any, path: str, lax: bool) -> Decimal:
    try:
        number = Decimal(str(value)) if isinstance(value, (str, int, float)) else None
    except InvalidOperation:
        number = None
    if number is None or isinstance(value, bool) or not number.is_finite():
        raise Mismatch(path, "a decimal number", value)
    return number


def _span(value: Any, path: str, lax: bool) -> dt.timedelta:
    try:
        return dt.timedelta(seconds=_real(value, path, lax))
    except OverflowError:
        raise Mismatch(path, "a number of seconds", value) from None


def _path(value: Any, path: str, lax: bool) -> Path:
    return Path(_text(value, path, lax))


def _text_schema(kind: str) -> Schema:
    return {"type": "string", "format": kind}


_SCALARS: dict[Any, Codec] = {
    str: Codec({"type": "string"}, _text),
    int: Codec({"type": "integer"}, _whole),
    float: Codec({"type": "number"}, _real),
    bool: Codec({"type": "boolean"}, _truth),
    None: Codec({"type": "null"}, _nothing),
    type(None): Codec({"type": "null"}, _nothing),
    Any: Codec({}, _anything),
    object: Codec({}, _anything),
    inspect.Parameter.empty: Codec({}, _anything),
    dt.datetime: Codec(
        _text_schema("date-time"),
        _parsed(lambda text: dt.datetime.fromisoformat(_zulu(text)), "a date and time (ISO 8601)"),
    ),
    dt.date: Codec(
        _text_schema("date"), _parsed(dt.date.fromisoformat, "a date such as 2025-12-31")
    ),
    dt.time: Codec(
        _text_schema("time"),
        _parsed(lambda text: dt.time.fromisoformat(_zulu(text)), "a time such as 23:59:00"),
    ),
    dt.timedelta: Codec({"type": "number", "description": "seconds"}, _span),
    Decimal: Codec({"type": ["string", "number"]}, _decimal),
    uuid.UUID: Codec(_text_schema("uuid"), _parsed(uuid.UUID, "a UUID")),
    Path: Codec({"type": "string"}, _path),
    bytes: Codec(
        {"type": "string", "contentEncoding": "base64"},
        _parsed(lambda text: base64.b64decode(text, validate=True), "base64"),
    ),
}
_LISTS: dict[Any, Callable[[Any], Any]] = {
    **dict.fromkeys((list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection), list),
    tuple: tuple,
}
_SETS: dict[Any, Callable[[Any], Any]] = {
    **dict.fromkeys((set, abc.Set, abc.MutableSet), set),
    frozenset: frozenset,
}
_DICTS = (dict, abc.Mapping, abc.MutableMapping)


def to_json(value: Any, unknown: Callable[[Any], Any] = str) -> Any:
    """The JSON form of a Python value, the way back from ``convert()``.

    Args:
        value: Of any type.
        unknown: Writes what has no form of its own. Default: as text.
    """
    match value:
        case None | bool() | str() | int() if not isinstance(value, enum.Enum):
            return value
        case float() if not isinstance(value, enum.Enum):
            return value if math.isfinite(value) else str(value)
        case enum.Enum():
            return to_json(value.value, unknown)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case Decimal() | uuid.UUID():
            return str(value)
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
        case PurePath():
            return os.fspath(value)
        case _:
            return _composite_json(value, unknown)


def _composite_json(value: Any, unknown: Callable[[Any], Any]) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            one.name: to_json(getattr(value, one.name), unknown)
            for one in dataclasses.fields(value)
        }
    if hasattr(value, "model_dump") and not isinstance(value, type):
        return value.model_dump(mode="json")
    names: tuple[str, ...] | None = getattr(value, "_fields", None)
    if isinstance(value, tuple) and names is not None:
        return {name: to_json(one, unknown) for name, one in zip(names, value, strict=True)}
    if isinstance(value, Mapping):
        return {
            name if isinstance(name, str) else str(to_json(name, unknown)): to_json(one, unknown)
            for name, one in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(one, unknown) for one in value]
    return unknown(value)
