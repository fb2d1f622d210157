"""``TypeAdapter``: how a type is written and read, and what is said of values that do not fit."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, get_origin

from puter.exceptions import repr_of, words_of

if TYPE_CHECKING:
    from typing_extensions import Self

Schema = dict[str, Any]
Validate = Callable[[Any, str, bool], Any]


class Exact(float):
    """A number in JSON that knows how it was written: ``1.10`` is more than 1.1 to a Decimal."""

    _text: str

    def __new__(cls, text: str) -> Self:
        self = super().__new__(cls, text)
        self._text = text
        return self

    def __str__(self) -> str:
        return self._text


def plain(value: Any) -> Any:
    """The JSON value with mere floats in it."""
    match value:
        case Exact():
            return float(value)
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case list():
            return [plain(each) for each in value]
        case _:
            return value


class Mismatch(ValueError):
    """A JSON value does not fit: where, and what is wrong there, in 1,000 characters at most."""

    def __init__(self, told: str) -> None:
        super().__init__(told if len(told) <= 1000 else told[:997] + "...")


def mismatch(path: str, wanted: str, found: Any) -> Mismatch:
    return fault(path, f"expected {wanted}, got {shown(found)}")


def fault(path: str, told: str) -> Mismatch:
    return Mismatch(f"{path or 'the value'}: {told}")


def shown(found: Any) -> str:
    text = json.dumps(found, default=lambda value: type(value).__name__)
    return text if len(text) <= 80 else text[:77] + "..."


@dataclasses.dataclass(frozen=True, slots=True)
class TypeAdapter:
    """How a type is written as JSON Schema, and read from JSON."""

    schema: Schema
    """The JSON Schema."""
    validate: Validate
    """``validate(value, path, lax)`` gives the Python value, or raises ``Mismatch``; lax takes
    ``"5"`` for 5 and the like."""


def convert(adapter: TypeAdapter, value: Any, *, lax: bool = True) -> Any:
    """The Python value of a JSON value: taken strictly if that works, else laxly if it may be.

    Raises:
        Mismatch: It does not fit, or a check of the type's own raised something.
    """
    try:
        try:
            return adapter.validate(value, "", False)
        except Mismatch:
            if not lax:
                raise
            return adapter.validate(value, "", True)
    except Mismatch:
        raise
    except RecursionError:
        raise fault("", "it is nested too deeply") from None
    except Exception as error:
        raise fault("", words_of(error)) from error


def under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def type_name(of: Any) -> str:
    """What errors call a type."""
    if of is type(None):
        return "null"
    if get_origin(of) is Annotated:
        return re.sub(r"\btyping\.", "", repr_of(of))
    name = getattr(of, "__name__", of)
    return name if isinstance(name, str) else repr_of(name)
