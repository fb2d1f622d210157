"""Types as adapters: what is plain is read here, anything else is pydantic's."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import inspect
import json
import re
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping
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

from puter.exceptions import PuterInputError, words_of
from puter.jsonable import refuse, to_json
from puter.schema.adapters import Mismatch, Schema, TypeAdapter, mismatch, type_name, under
from puter.schema.pydantic_types import BRINGS_CHECKS, is_field_info, pydantic_adapter
from puter.schema.scalars import SCALARS

_MOST_FAULTS = 10
"""Faults of one object that are told; the model reads them, and they are billed."""


def adapter(of: Any) -> TypeAdapter:
    """The adapter of a type, with the schema complete in itself.

    Raises:
        PuterInputError: The type, or one inside it, is not supported.

    Examples:
        >>> adapter(list[int]).schema
        {'type': 'array', 'items': {'type': 'integer'}}
    """
    compiler = _Compiler()
    return compiler.with_definitions(compiler.compile(of))


class Parameter(NamedTuple):
    """A named part of an object: a field or a function's parameter."""

    name: str
    type: Any
    description: str = ""
    default: Any = dataclasses.MISSING
    required: bool = True


def object_adapter(
    parameters: list[Parameter], build: Callable[[dict[str, Any]], Any], *, of: str
) -> TypeAdapter:
    """The adapter of an object with named parts, complete in itself.

    Laxly, null for a part that has a default and does not take null leaves it out.
    """
    compiler = _Compiler()
    return compiler.with_definitions(compiler.record(parameters, build, of, null_is_default=True))


class _Compiler:
    """Adapters of types that share one set of definitions."""

    def __init__(self) -> None:
        self._definitions: dict[str, Schema] = {}
        self._names: dict[Any, str] = {}  # of types in the definitions
        self._taken: list[str] = []  # names of definitions; namesakes get a number
        self._open: set[Any] = set()  # types under way, to find those that hold themselves
        self._recursive: dict[Any, TypeAdapter | None] = {}
        self._foreign: dict[int, tuple[Any, TypeAdapter]] = {}  # by id: not all can be hashed

    def with_definitions(self, adapter: TypeAdapter) -> TypeAdapter:
        if not self._definitions:
            return adapter
        return TypeAdapter({**adapter.schema, "$defs": self._definitions}, adapter.validate)

    def compile(self, of: Any) -> TypeAdapter:
        return self._plain(of) or self._pydantic(of)

    def _plain(self, of: Any) -> TypeAdapter | None:
        """The adapter of a type that is read here; None for one that only pydantic may know."""
        origin, args = get_origin(of), get_args(of)
        if origin is Annotated:
            return self._annotated(args)
        if isinstance(of, TypeVar):
            return self.compile(Union[of.__constraints__ or (of.__bound__ or Any,)])  # noqa: UP007
        if type(of).__name__ == "TypeAliasType":
            return self._alias(of)
        if hasattr(of, "__supertype__"):
            return self.compile(of.__supertype__)
        if getattr(origin, "_name", "") in ("Required", "NotRequired", "ReadOnly"):
            return self.compile(args[0])
        if origin in (Union, types.UnionType):
            return self._union(args)
        if origin is Literal:
            return _one_of(args, {})
        if not isinstance(of, abc.Hashable):
            return None
        found = SCALARS.get(of)
        if found is None and isinstance(of, type) and origin is None:
            found = self._class(of)  # list[int] is a type, too, in Python 3.10
        return self._container(origin or of, args) if found is None else found

    def _alias(self, of: Any) -> TypeAdapter | None:
        try:
            return self._once(of, lambda: self.compile(of.__value__))
        except PuterInputError:  # it names itself in a str, which pydantic can follow
            return None

    def _annotated(self, args: tuple[Any, ...]) -> TypeAdapter:
        told = [_description(note) for note in args[1:]]
        rest = [note for note, text in zip(args[1:], told, strict=True) if text is None]
        noted = functools.reduce(lambda of, note: Annotated[of, note], rest, args[0])
        inner = self._pydantic(noted) if rest else self.compile(noted)
        text = next(filter(None, told), "")
        return TypeAdapter({**inner.schema, "description": text}, inner.validate) if text else inner

    def _union(self, args: tuple[Any, ...]) -> TypeAdapter:
        members = [self.compile(arg) for arg in args]

        def validate(value: Any, path: str, lax: bool) -> Any:
            for laxly in (False, True) if lax else (False,):
                for member in members:
                    with contextlib.suppress(Mismatch):
                        return member.validate(value, path, laxly)
            if len(members) == 2 and type(None) in args:
                return members[args.index(type(None)) - 1].validate(value, path, lax)
            raise mismatch(path, " or ".join(map(type_name, args)), value)

        return TypeAdapter({"anyOf": [member.schema for member in members]}, validate)

    def _class(self, of: type) -> TypeAdapter | None:
        if any(hasattr(of, name) for name in BRINGS_CHECKS):
            return None
        if issubclass(of, enum.Enum):
            return _one_of(tuple(of), of.__members__)
        if (
            (dataclasses.is_dataclass(of) and _takes_its_fields(of))
            or _is_typed_dict(of)
            or (issubclass(of, tuple) and hasattr(of, "_fields"))
        ):
            cls: Any = of
            return self._once(
                of, lambda: self.record(_fields(of), lambda values: cls(**values), of.__name__)
            )
        return None

    def _once(self, of: Any, compile_it: Callable[[], TypeAdapter]) -> TypeAdapter:
        """The adapter of a type; one that holds itself becomes a definition to refer to."""
        if of in self._open:
            self._recursive.setdefault(of, None)
        elif of not in self._recursive:
            self._open.add(of)
            try:
                adapter = compile_it()
            finally:
                self._open.discard(of)
            if of not in self._recursive:
                return adapter
            self._definitions[self._definition(of)] = adapter.schema
            self._recursive[of] = adapter

        def validate(value: Any, path: str, lax: bool) -> Any:
            adapter = cast("TypeAdapter", self._recursive[of])  # complete before any is used
            return adapter.validate(value, path, lax)

        return TypeAdapter({"$ref": f"#/$defs/{self._definition(of)}"}, validate)

    def _definition(self, of: Any) -> str:
        """The type's name among the definitions."""
        if of not in self._names:
            self._names[of] = self._free_name(of.__name__)
        return self._names[of]

    def _free_name(self, name: str) -> str:
        name = re.sub(r"\W", "_", name)
        self._taken.append(name)
        same = self._taken.count(name)
        return name if same == 1 else f"{name}{same}"

    def record(
        self,
        parameters: list[Parameter],
        build: Callable[[dict[str, Any]], Any],
        of: str,
        *,
        null_is_default: bool = False,
    ) -> TypeAdapter:
        """The adapter of an object with named parts."""
        parts: dict[str, TypeAdapter] = {}
        properties: dict[str, Schema] = {}
        for name, kind, description, default, _ in parameters:
            try:
                parts[name] = self.compile(kind)
            except PuterInputError as error:
                raise PuterInputError(f"{of}.{name}: {error.message}", hint=error.hint) from None
            properties[name] = dict(parts[name].schema)
            if description:
                properties[name].setdefault("description", description)
            if default is not dataclasses.MISSING:
                with contextlib.suppress(TypeError):  # some defaults have no form in JSON
                    properties[name]["default"] = to_json(default, refuse)
        required = [parameter.name for parameter in parameters if parameter.required]

        def left_out(name: str, part: Any) -> bool:
            if part is not None or name in required:
                return False
            try:
                parts[name].validate(None, "", False)
            except Mismatch:
                return True
            return False

        def validate(value: Any, path: str, lax: bool) -> Any:
            value = _unpacked(value, lax)
            if not isinstance(value, Mapping):
                raise mismatch(path, f"an object ({of})", value)
            known = f"there are {', '.join(parts)}" if parts else "there are none"
            values: dict[str, Any] = {}
            faults: list[str] = []
            for name, part in value.items():
                if len(faults) == _MOST_FAULTS:
                    break
                if name not in parts:
                    faults.append(f"{under(path, str(name))}: no such field; {known}")
                elif not (lax and null_is_default and left_out(name, part)):
                    try:
                        values[name] = parts[name].validate(part, under(path, name), lax)
                    except Mismatch as error:
                        faults.append(str(error))
            absent = (under(path, name) for name in required if name not in value)
            faults += [f"{name}: it is missing" for name in absent]
            if faults:
                raise Mismatch("; ".join(faults))
            try:
                return build(values)
            except Exception as error:  # whatever the type's own checks raise
                raise mismatch(path, f"a valid {of} ({words_of(error)})", value) from error

        schema = {"type": "object", "properties": properties, "additionalProperties": False}
        return TypeAdapter({**schema, "required": required} if required else schema, validate)

    def _pydantic(self, of: Any) -> TypeAdapter:
        if isinstance(of, (str, typing.ForwardRef)):
            raise PuterInputError(
                f"The name {getattr(of, '__forward_arg__', of)!r} in a type cannot be resolved",
                hint="Write an alias that holds itself as `type Json = ...`, or as "
                "typing_extensions.TypeAliasType('Json', ...).",
            )
        if id(of) not in self._foreign:
            self._foreign[id(of)] = of, self._pydantic_once(of)
        return self._foreign[id(of)][1]

    def _pydantic_once(self, of: Any) -> TypeAdapter:
        name = self._free_name(getattr(of, "__name__", "Type"))
        made = pydantic_adapter(of, f"#/$defs/{name}.{{model}}")
        for inner, definition in made.schema.pop("$defs", {}).items():
            self._definitions[f"{name}.{inner}"] = definition
        return made

    def _container(self, origin: Any, args: tuple[Any, ...]) -> TypeAdapter | None:
        if origin is tuple and args and args[-1] is not ...:
            return self._fixed_tuple(() if args == ((),) else args)
        if origin in _ARRAYS:
            return self._array(args[0] if args else Any, _ARRAYS[origin])
        if origin in (dict, abc.Mapping, abc.MutableMapping):
            return self._mapping(*(args or (str, Any)))
        return None

    def _array(self, of: Any, build: Callable[[Any], Any]) -> TypeAdapter:
        item = self.compile(of)

        def validate(value: Any, path: str, lax: bool) -> Any:
            value = _unpacked(value, lax)
            if not isinstance(value, (list, tuple)):
                raise mismatch(path, "an array", value)
            items = [item.validate(each, f"{path}[{i}]", lax) for i, each in enumerate(value)]
            try:
                return build(items)
            except TypeError as error:
                raise mismatch(path, f"an array for a set ({error})", value) from error

        schema: Schema = {"type": "array", "items": item.schema}
        unique = build in (set, frozenset)
        return TypeAdapter({**schema, "uniqueItems": True} if unique else schema, validate)

    def _fixed_tuple(self, args: tuple[Any, ...]) -> TypeAdapter:
        items = [self.compile(arg) for arg in args]

        def validate(value: Any, path: str, lax: bool) -> Any:
            value = _unpacked(value, lax)
            if not isinstance(value, (list, tuple)) or len(value) != len(items):
                raise mismatch(path, f"an array of {len(items)}", value)
            return tuple(
                item.validate(value[i], f"{path}[{i}]", lax) for i, item in enumerate(items)
            )

        schema: Schema = {"type": "array", "prefixItems": [item.schema for item in items]}
        return TypeAdapter({**schema, "minItems": len(items), "maxItems": len(items)}, validate)

    def _mapping(self, key: Any, value: Any) -> TypeAdapter:
        keys, values = self.compile(key), self.compile(value)
        if keys.schema.get("type") in ("array", "object"):
            raise PuterInputError(f"The keys of a dict cannot be {type_name(key)} in JSON")

        def validate(value: Any, path: str, lax: bool) -> Any:
            value = _unpacked(value, lax)
            if not isinstance(value, Mapping):
                raise mismatch(path, "an object", value)
            return {
                keys.validate(name, f"{path} (key)", True): values.validate(
                    each, under(path, name), lax
                )
                for name, each in value.items()
            }

        return TypeAdapter({"type": "object", "additionalProperties": values.schema}, validate)


_ARRAYS: dict[Any, Callable[[Any], Any]] = {
    **dict.fromkeys((list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection), list),
    **dict.fromkeys((set, abc.Set, abc.MutableSet), set),
    tuple: tuple,
    frozenset: frozenset,
}


def _unpacked(value: Any, lax: bool) -> Any:
    """A list or object that came as JSON text."""
    if lax and isinstance(value, str):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def _one_of(members: tuple[Any, ...], names: Mapping[str, Any]) -> TypeAdapter:
    """One of these values or Enum members; laxly also by name."""
    try:
        shown = [to_json(member, refuse) for member in members]
    except TypeError:
        shown = [()]
    if any(not isinstance(value, (str, int, float, bool, type(None))) for value in shown):
        raise PuterInputError("Literal and Enum values must be str, numbers, bool or None")
    kinds = {_json_type(value) for value in shown}
    schema: Schema = {"enum": shown}
    if len(kinds) == 1:
        schema = {"type": kinds.pop(), "enum": shown}
    pairs = list(zip(shown, members, strict=True))

    def validate(value: Any, path: str, lax: bool) -> Any:
        for known, member in pairs:  # True equals 1, but does not mean it
            if known == value and isinstance(known, bool) == isinstance(value, bool):
                return member
        for known, member in (*pairs, *names.items()) if lax else ():
            if str(known).lower() == str(value).lower():
                return member
        raise mismatch(path, "one of " + ", ".join(map(json.dumps, shown)), value)

    return TypeAdapter(schema, validate)


def _json_type(value: Any) -> str:
    names = {type(None): "null", bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "string")


def _description(note: Any) -> str | None:
    """The words of a note in Annotated; None if it may ask for anything else."""
    if is_field_info(note) and not note.metadata:
        given = getattr(note, "_attributes_set", None)  # all that is not in its metadata
        return note.description if given is not None and [*given] == ["description"] else None
    text = note if isinstance(note, str) else getattr(note, "documentation", None)
    return text if isinstance(text, str) else None


def _takes_its_fields(of: Any) -> bool:
    """Whether a dataclass is made of its fields, and these are all that is said about them."""
    fields = [field for field in dataclasses.fields(of) if field.init]
    named = inspect.signature(of).parameters.keys() == {field.name for field in fields}
    return named and not any(is_field_info(field.default) for field in fields)


def _is_typed_dict(of: type) -> bool:
    """Whether of ``typing`` or ``typing_extensions``, which are two before Python 3.13."""
    return issubclass(of, dict) and hasattr(of, "__required_keys__")


def _fields(of: type) -> list[Parameter]:
    hints = hints_of(of)
    missing = dataclasses.MISSING
    if _is_typed_dict(of):
        needed: frozenset[str] = of.__required_keys__  # type: ignore[attr-defined]
        return [
            Parameter(name, hint, required=_marked(hint, default=name in needed))
            for name, hint in hints.items()
        ]
    if dataclasses.is_dataclass(of):
        return [
            Parameter(
                field.name,
                hints[field.name],
                str(field.metadata.get("description", "")),
                field.default,
                field.default is missing and field.default_factory is missing,
            )
            for field in dataclasses.fields(of)
            if field.init
        ]
    defaults: dict[str, Any] = of._field_defaults  # type: ignore[attr-defined]
    names: tuple[str, ...] = of._fields  # type: ignore[attr-defined]
    return [
        Parameter(name, hints.get(name, Any), "", defaults.get(name, missing), name not in defaults)
        for name in names
    ]


def _marked(hint: Any, *, default: bool) -> bool:
    """Under ``from __future__ import annotations`` a TypedDict itself sees no NotRequired."""
    mark = getattr(get_origin(hint), "_name", "")
    return default if mark not in ("Required", "NotRequired") else mark == "Required"


def hints_of(of: Any, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """The type hints of a class or function, resolved.

    Args:
        of: What has ``__annotations__``.
        names: Where names in them are looked up. Default: where it was defined.

    Raises:
        PuterInputError: A hint names something that cannot be found.
    """
    try:
        return typing.get_type_hints(of, names, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise PuterInputError(
            f"The type hints of {getattr(of, '__name__', of)} cannot be read: {error}",
            hint="Types named in them must exist at module level, not for type checkers alone.",
        ) from error
