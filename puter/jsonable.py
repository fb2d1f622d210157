"""Python values as JSON has them: the way back from ``puter.schema.convert()``."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import json
import math
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import Any

MOST_ITEMS = 10_000
"""How much is taken out of what does not say how long it is."""


def refuse(value: Any) -> Any:
    """Raise TypeError for a value that has no form in JSON."""
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def to_json(
    value: Any,
    unknown: Callable[[Any], Any] = refuse,
    of_bytes: Callable[[bytes], Any] = lambda data: base64.b64encode(data).decode(),
) -> Any:
    """The JSON form of a Python value.

    Args:
        value: Of any type.
        unknown: Writes what has no form of its own. Default: it raises ``TypeError``.
        of_bytes: Writes bytes. Default: as base64.
    """

    def write(value: Any) -> Any:
        match value:
            case enum.Enum():
                return write(value.value)
            case None | bool() | str() | int():
                return value
            case float():
                return value if math.isfinite(value) else str(float(value))
            case dt.date() | dt.time():
                return value.isoformat()
            case dt.timedelta():
                return value.total_seconds()
            case Decimal() | uuid.UUID():
                return str(value)
            case bytes() | bytearray() | memoryview():
                return of_bytes(bytes(value))
            case PurePath():
                return os.fspath(value)
            case type():
                return unknown(value)
            case Mapping():
                return {_key(write(name)): write(item) for name, item in value.items()}
            case _:
                pass
        opened = _opened(value)
        if opened is not value:
            return write(opened)
        if isinstance(value, Iterable):
            return [write(item) for item in _bounded(value)]
        return unknown(value)

    return write(value)


def _opened(value: Any) -> Any:
    """What a composite value holds, as plainer values; others as they are."""
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if (names := getattr(value, "_fields", None)) is not None and isinstance(value, tuple):
        return dict(zip(names, value, strict=True))
    if getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M"):
        return value.astype(str)  # as a list, numpy's dates would be mere numbers
    for name in ("model_dump", "to_dict", "tolist"):  # pydantic; pandas; numpy
        if callable(method := getattr(value, name, None)):
            return method()
    return value


def _key(name: Any) -> str:
    return name if isinstance(name, str) else json.dumps(name, ensure_ascii=False)


def _bounded(values: Iterable[Any]) -> Iterator[Any]:
    endless = not hasattr(values, "__len__")
    for place, value in enumerate(values):
        if endless and place == MOST_ITEMS:
            raise ValueError(f"it goes on after {MOST_ITEMS:,} items")
        yield value
