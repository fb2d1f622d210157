"""What ``parse()`` takes as the type of the answer: types, and JSON Schemas as dicts."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from puter.exceptions import PuterInputError
from puter.schema import Mismatch, Schema, TypeAdapter, adapter, plain
from puter.wire.typed import instructions, output_format

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_SAYS_WHAT = {"$ref", "allOf", "anyOf", "const", "enum", "items", "oneOf", "properties", "type"}


def output_adapter(of: Any) -> TypeAdapter:
    """The adapter of an output type.

    Raises:
        PuterInputError: It is none.
    """
    if isinstance(of, Mapping):
        return _of_schema(of)
    if isinstance(of, str):
        raise PuterInputError(
            f"output_type is the str {of[:40]!r}", hint="Pass the type itself, not its name."
        )
    if of is object:
        raise PuterInputError(
            "output_type is object, which every answer fits",
            hint="Name what you want, such as dict[str, int] or a dataclass; for text use chat().",
        )
    return adapter(of)


def asking_for(wanted: TypeAdapter) -> dict[str, Any]:
    """The arguments of a chat that is to answer with a type."""
    return {"system": instructions(wanted), "output_format": output_format(wanted)}


def _of_schema(of: Mapping[str, Any]) -> TypeAdapter:
    """The adapter of a raw JSON Schema: plain data, checked by jsonschema where it is installed."""
    try:
        schema: Schema = json.loads(json.dumps(dict(of)))
    except (TypeError, ValueError, RecursionError):
        schema = {}
    if not _SAYS_WHAT & schema.keys():
        raise PuterInputError(
            "output_type is a dict, and no JSON Schema",
            hint="It looks like {'type': 'object', 'properties': {...}}; for named fields of "
            "Python types write a TypedDict or a dataclass.",
        )
    if '"$ref": "' in (told := json.dumps(schema)).replace('"$ref": "#', ""):
        raise PuterInputError(
            f"output_type refers to another document: {told[:80]}",
            hint="Put what it refers to into its '$defs'.",
        )
    faults_of = _judge(schema) or functools.partial(_top_level_faults, schema)

    def validate(value: Any, _path: str, _lax: bool) -> Any:
        value = plain(value)
        if found := [*faults_of(value)][:3]:
            raise Mismatch("; ".join(found))
        return value

    return TypeAdapter(schema, validate)


def _judge(schema: Schema) -> Callable[[Any], Iterable[str]] | None:
    """What finds the faults of a value; None without jsonschema."""
    try:
        from jsonschema import Draft202012Validator, SchemaError
        from jsonschema.validators import validator_for
    except ImportError:
        return None
    kind = validator_for(schema, Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise PuterInputError(f"output_type is no valid JSON Schema: {error.message}") from None
    judge = kind(schema)
    return lambda value: (
        f"{error.json_path.removeprefix('$').lstrip('.') or 'the value'}: {error.message}"
        for error in judge.iter_errors(value)
    )


def _top_level_faults(schema: Schema, value: Any) -> Iterable[str]:
    named = schema.get("type", [*_KINDS])
    wanted = [named] if isinstance(named, str) else named
    kinds = tuple(kind for name in wanted for kind in _KINDS.get(name, ()))
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        yield f"the value: expected {' or '.join(wanted)}"
    elif isinstance(value, dict):
        yield from (
            f"{name}: it is missing" for name in schema.get("required", ()) if name not in value
        )
