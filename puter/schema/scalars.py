"""Plain types that JSON has as a text, a number, true, false or null."""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import inspect
import math
import uuid
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from puter.schema.adapters import TypeAdapter, mismatch, plain


def _str(value: Any, path: str, lax: bool) -> str:
    if isinstance(value, str):
        return value
    if lax and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise mismatch(path, "text", value)


def _int(value: Any, path: str, lax: bool) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and lax and value.is_integer():
        return int(value)
    if lax and isinstance(value, str):
        with contextlib.suppress(ValueError):
            return int(value.strip())
    raise mismatch(path, "a whole number", value)


def _float(value: Any, path: str, lax: bool) -> float:
    number = math.nan
    kinds = (int, float, str) if lax else (int, float)
    if isinstance(value, kinds) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            number = float(value)
    if not math.isfinite(number):
        raise mismatch(path, "a number", value)
    return number


def _bool(value: Any, path: str, lax: bool) -> bool:
    if isinstance(value, bool):
        return value
    if lax and isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise mismatch(path, "true or false", value)


def _null(value: Any, path: str, lax: bool) -> None:
    if value is not None and not (lax and value in ("", "null", "None")):
        raise mismatch(path, "null", value)


def _decimal(value: Any, path: str, lax: bool) -> Decimal:
    kinds = (str, int, float) if lax else str
    try:
        number = Decimal(str(value)) if isinstance(value, kinds) else None
    except InvalidOperation:
        number = None
    if number is None or isinstance(value, bool) or not number.is_finite():
        raise mismatch(path, "a decimal number", value)
    return number


def _timedelta(value: Any, path: str, lax: bool) -> dt.timedelta:
    try:
        return dt.timedelta(seconds=_float(value, path, lax))
    except OverflowError:
        raise mismatch(path, "a number of seconds", value) from None


def _parsed(parse: Callable[[str], Any], wanted: str, **schema: str) -> TypeAdapter:
    """The adapter of a type that JSON has as text."""

    def validate(value: Any, path: str, lax: bool) -> Any:
        if not isinstance(value, str):
            raise mismatch(path, wanted, value)
        try:
            return parse(value.strip())
        except (ValueError, InvalidOperation, binascii.Error) as error:
            raise mismatch(path, wanted, value) from error

    return TypeAdapter({"type": "string", **schema}, validate)


def _zulu(text: str) -> str:
    return text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text  # Python 3.10 knows no Z


def _anything(value: Any, path: str, lax: bool) -> Any:
    return plain(value)


def _path(value: Any, path: str, lax: bool) -> Path:
    return Path(_str(value, path, lax))


SCALARS: dict[Any, TypeAdapter] = {
    str: TypeAdapter({"type": "string"}, _str),
    int: TypeAdapter({"type": "integer"}, _int),
    float: TypeAdapter({"type": "number"}, _float),
    bool: TypeAdapter({"type": "boolean"}, _bool),
    **dict.fromkeys((None, type(None)), TypeAdapter({"type": "null"}, _null)),
    **dict.fromkeys((Any, object, inspect.Parameter.empty), TypeAdapter({}, _anything)),
    dt.datetime: _parsed(
        lambda text: dt.datetime.fromisoformat(_zulu(text)),
        "a date and time (ISO 8601)",
        format="date-time",
    ),
    dt.date: _parsed(dt.date.fromisoformat, "a date such as 2025-12-31", format="date"),
    dt.time: _parsed(
        lambda text: dt.time.fromisoformat(_zulu(text)), "a time such as 23:59:00", format="time"
    ),
    dt.timedelta: TypeAdapter({"type": "number", "description": "seconds"}, _timedelta),
    Decimal: TypeAdapter({"type": ["string", "number"]}, _decimal),
    uuid.UUID: _parsed(uuid.UUID, "a UUID", format="uuid"),
    Path: TypeAdapter({"type": "string"}, _path),
    bytes: _parsed(
        lambda text: base64.b64decode(text, validate=True), "base64", contentEncoding="base64"
    ),
}
