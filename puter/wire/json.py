"""JSON as it goes over the wire, in both directions."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

from puter.exceptions import PuterInputError

MAX_BODY = 50 * 1024 * 1024
"""Bytes of JSON the server accepts (Puter backend: 50 MB body limit)."""


def read_json(data: bytes, **hooks: Any) -> Any:
    """Decode JSON of the server; raises ``ValueError`` when it is none."""
    try:
        value = json.loads(data, **hooks)
        if rb"\u" in data:  # half an emoji, cut off by max_tokens, fits no request
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def finite(number: str) -> float:
    """The number, unless it is NaN or infinite, which JSON does not know."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not a number in JSON")
    return value


def read_model_json(text: str) -> Any:
    """Decode JSON that a model wrote, into what can be sent again; raises ``ValueError``."""
    return read_json(text.encode(errors="replace"), parse_float=finite, parse_constant=finite)


def json_bytes(value: Any) -> bytes:
    """Encode a request body.

    Raises:
        PuterInputError: The value cannot be written as JSON in UTF-8, or is over 50 MB.
    """
    try:
        body = json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise PuterInputError(
            f"The request cannot be written as JSON: {reason}",
            hint="Pass only str, numbers, bool, None, lists and dicts with str keys.",
        ) from error
    if len(body) > MAX_BODY:
        check_size(len(body))
    return body


def check_size(size: int) -> None:
    """Raise PuterInputError for a body the server would not read."""
    if size > MAX_BODY:
        raise PuterInputError(
            f"The request is {size / 2**20:.0f} MiB of JSON and Puter accepts 50 MiB",
            hint="Send less, or upload the file and refer to it by its Puter path.",
        )


# What the fields of decoded JSON hold, whatever the server put there.


def as_str(value: Any) -> str:
    """The str, ``""`` for anything else."""
    return value if isinstance(value, str) else ""


def as_str_or_none(value: Any) -> str | None:
    """The str, None for anything else."""
    return value if isinstance(value, str) else None


def as_bool_or_none(value: Any) -> bool | None:
    """The bool, None for anything else."""
    return value if isinstance(value, bool) else None


def as_int_or_none(value: Any) -> int | None:
    """The whole number from 0 on, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 0 <= value < 2**63 else None


def dollars(cents: Any) -> Decimal | None:
    """US dollars of an amount in cents, a number or a str of one; None for anything else."""
    if isinstance(cents, bool) or not isinstance(cents, (int, float, str)):
        return None
    try:
        amount = Decimal(str(cents)) / 100
    except ArithmeticError:
        return None
    return amount if amount.is_finite() else None


def as_dict(value: Any) -> dict[str, Any]:
    """The dict, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The list, an empty one for anything else."""
    return value if isinstance(value, list) else []


def as_dicts(value: Any) -> tuple[dict[str, Any], ...]:
    """The dicts in a list; ``()`` for anything else."""
    return tuple(one for one in as_list(value) if isinstance(one, dict))
