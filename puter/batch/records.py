"""A record of a batch: a line of JSON that says what became of an item."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from puter.exceptions import words_of
from puter.types.replies import ChatReply

_BEGINS = b'{"key": "' + b"0" * 32 + b'"'
"""What each line begins with, if with other digits."""
BEGINNING = len(_BEGINS)
"""Bytes that ``begins_record()`` looks at."""
_RECORD = re.compile(rb'{"key": "[0-9a-f]{32}"')
_KEYS = ("key", "item", "text", "model", "usage", "cost", "error")
_MORE = ("finish_reason", "refusal", "reasoning", "images", "tool_calls")
"""Attributes of a reply that are written where they say something."""
_USUAL = ChatReply("").to_dict()


def record_of(key: str, item: Any, outcome: Any) -> dict[str, Any]:
    """A line of the file.

    Args:
        key: Of the item.
        item: As JSON.
        outcome: A reply, any JSON that a function returned, or an exception.
    """
    record: dict[str, Any] = dict.fromkeys(_KEYS)
    record.update(key=key, item=item)
    if isinstance(outcome, BaseException):
        record["error"] = f"{type(outcome).__name__}: {words_of(outcome)}"
    else:
        record["text"] = str(outcome) if isinstance(outcome, ChatReply) else outcome
    if (paid := paid_of(outcome)) is not None:
        said = paid.to_dict()
        said["usage"].pop("raw")
        record.update({name: said[name] for name in ("model", "usage", "cost")})
        if paid is outcome:
            record |= {name: said[name] for name in _MORE if said[name] != _USUAL[name]}
    return record


def paid_of(outcome: Any) -> ChatReply | None:
    """The reply that was paid: the outcome itself, or what came before an error."""
    if isinstance(outcome, BaseException):
        partial = getattr(outcome, "partial", None)  # one without text is falsy
        outcome = getattr(outcome, "reply", None) if partial is None else partial
    return outcome if isinstance(outcome, ChatReply) else None


def outcome_of(record: dict[str, Any]) -> Any:
    """What a good line of the file says: the reply, or what the function returned."""
    if record["model"] is None:
        return record["text"]
    return ChatReply.from_dict({name: one for name, one in record.items() if one is not None})


def begins_record(data: bytes) -> bool:
    """Whether it begins as each record does."""
    return _RECORD.match(data) is not None


def is_torn(line: bytes) -> bool:
    """Whether a kill, or a loss of power that left NUL bytes, may have left that of a record."""
    begins = line.rstrip(b"\0")
    if not begins_record(begins + _BEGINS[len(begins) :]):
        return False
    try:
        json.loads(line)
    except ValueError:
        return True
    return False  # another's, and whole


def record_in(line: bytes) -> Any:
    """The record in a line, None when it is none."""
    try:
        record = json.loads(line)
        bytes.fromhex(record["key"])
        if not record.keys() >= {*_KEYS}:
            return None
        if record["cost"] is not None:
            Decimal(record["cost"])
        if record["error"] is None:
            outcome_of(record)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        return None
    return record
