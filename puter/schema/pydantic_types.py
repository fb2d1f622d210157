"""Types that only pydantic knows: constraints, models, generic classes and so on."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import re
import sys
from typing import Any, get_origin

from puter.exceptions import PuterInputError, repr_of, words_of
from puter.schema.adapters import Mismatch, Schema, TypeAdapter, fault, shown, type_name, under

BRINGS_CHECKS = (
    "__get_pydantic_core_schema__", "__pydantic_validator__", "__pydantic_config__",
)  # fmt: skip
"""What classes have that bring checks for pydantic."""


def is_field_info(value: Any) -> bool:
    """Whether it is what pydantic's ``Field()`` makes."""
    pydantic = sys.modules.get("pydantic.fields")
    return pydantic is not None and isinstance(value, pydantic.FieldInfo)


def pydantic_adapter(of: Any, ref_template: str) -> TypeAdapter:
    """The adapter that pydantic makes of a type; definitions are in its schema.

    Raises:
        PuterInputError: It is no type, has no form in JSON, or pydantic is not installed.
    """
    reader, schema = _reader_and_schema(of, ref_template)

    def validate(value: Any, path: str, lax: bool) -> Any:
        strict = None if lax else True  # None: as the type itself says
        try:
            return reader.validate_json(json.dumps(value), strict=strict)
        except Exception as error:  # the type's own checks may raise anything
            if lax and isinstance(value, str):
                with contextlib.suppress(Exception):
                    return reader.validate_json(value)
            raise Mismatch(_faults(error, path)) from error

    return TypeAdapter(schema, validate)


def _reader_and_schema(of: Any, ref_template: str) -> tuple[Any, Schema]:
    if hint := _no_type(of):
        raise PuterInputError(f"{repr_of(of, 80)} is a value, not a type", hint=hint)
    try:
        import pydantic
    except ImportError:
        raise PuterInputError(
            f"The type {type_name(of)!r} cannot be read without pydantic",
            hint="pip install pydantic (the extra puter-python-sdk[pydantic]), or use str, int, "
            "float, bool, list, dict, Literal, Enum, dataclass, TypedDict, datetime and the like.",
        ) from None
    config = pydantic.ConfigDict(coerce_numbers_to_str=True, allow_inf_nan=False)
    try:
        try:
            reader: Any = pydantic.TypeAdapter(of, config=config)
        except pydantic.PydanticUserError as error:
            if error.code != "type-adapter-config-unused":
                raise
            reader = pydantic.TypeAdapter(of)  # it has a configuration of its own
        return reader, reader.json_schema(ref_template=ref_template)
    except Exception as error:  # noqa: BLE001 - the type's own code may raise anything
        reason = re.split(r":?\n|\. Set ", words_of(error))[0]
        own = isinstance(error, pydantic.errors.PydanticErrorMixin)  # its frames say no more
        is_class = own and isinstance(of, type) and get_origin(of) is None
        raise PuterInputError(
            f"The type {type_name(of)!r} has no form in JSON: {reason}",
            hint=f"{'Make it a dataclass, or use' if is_class else 'Use'} str, int, float, bool, "
            "list, dict, Literal, Enum, dataclass, TypedDict, datetime, pydantic models and the "
            "like.",
        ) from (None if own else error)


def _no_type(of: Any) -> str:
    """What was meant by a value in the place of a type; "" for what may be a type."""
    if isinstance(of, (list, tuple, set)):
        inner = ", ".join(map(type_name, of))
        return f"Did you mean {type(of).__name__}[{inner or '...'}]?"
    if isinstance(of, dict):
        return "Write a TypedDict or a dataclass."
    if isinstance(of, (bool, int, float, bytes, enum.Enum)) or dataclasses.is_dataclass(of):
        return "" if isinstance(of, type) else f"Pass the type itself: {type(of).__name__}."
    return ""


def _faults(error: Exception, path: str) -> str:
    """The first faults that pydantic found, in short sentences."""
    import pydantic

    if not isinstance(error, pydantic.ValidationError):
        return str(fault(path, words_of(error)))
    told = (_sentence({**detail}, path) for detail in error.errors())
    return "; ".join(list(dict.fromkeys(told))[:3])


def _sentence(detail: dict[str, Any], path: str) -> str:
    for step in detail["loc"]:
        path = f"{path}[{step}]" if isinstance(step, int) else under(path, str(step))
    if detail["type"] == "missing":
        return str(fault(path, "it is missing"))
    if detail["type"] == "extra_forbidden":
        return str(fault(path, "no such field"))
    told = re.sub(r"^(Value error|Assertion failed), ", "", detail["msg"])
    told = re.sub(r"^Input should be (?=less|greater)", "must be ", told)
    told = re.sub(r"^(?:URL |JSON )?[Ii]nput should be ", "expected ", told)
    told = told if told[1:2].isupper() else told[:1].lower() + told[1:]  # not "JSON ..."
    return str(fault(path, f"{told}, got {shown(detail['input'])}"))
