"""JSON by a serializer of the user's choice, as far as it does what the standard library does."""

from __future__ import annotations

import math
from typing import Any, Protocol

from puter.exceptions import PuterConfigError


class Serializer(Protocol):
    """Writes and reads the JSON of requests and answers, in place of the standard library."""

    def dumps(self, obj: Any, /) -> bytes:
        """The JSON of dicts, lists, str, numbers, bool and None, in UTF-8.

        What it raises is no error: the standard library writes that body.
        """
        ...

    def loads(self, data: bytes, /) -> Any:
        """What ``dumps()`` takes.

        What it raises is no error: the standard library reads that answer, or says what is wrong.
        """
        ...


def check_serializer(serializer: Any) -> Any:
    """The serializer, if it does what it is for.

    Raises:
        PuterConfigError: It does not.
    """
    sample: dict[str, Any] = {"text": 'Hi \U0001f44b "there"\n', "list": [1, -2.5, True, None, {}]}
    name = getattr(serializer, "__name__", type(serializer).__name__)
    try:
        written = serializer.dumps(sample)
        wrong = "" if isinstance(written, bytes) else f"dumps() returned {type(written).__name__}"
        if not wrong and serializer.loads(written) != sample:
            wrong = "loads() does not return what dumps() was given"
    except Exception as error:
        raise PuterConfigError(f"The serializer {name} failed: {error!r}", hint=_HINT) from error
    if wrong:
        raise PuterConfigError(f"The serializer {name}: {wrong}", hint=_HINT)
    return serializer


_HINT = "A serializer has dumps(obj) -> bytes and loads(bytes) -> obj."


def written_by(serializer: Serializer, value: Any) -> bytes | None:
    """The JSON of a value; None where the standard library has to write it, or to refuse it."""
    try:
        written = serializer.dumps(value)
    except Exception:  # noqa: BLE001 - whatever it says, the standard library has the last word
        return None
    if not isinstance(written, bytes) or _has_half(written) or _has_part(written):
        return None
    written = written.strip()  # a part of it may be cut out
    suspect = _has_no_number(written) or b"null" in written
    return None if suspect and not _is_finite(value) else written


# One byte is found in no time, so it is looked for first.


def _has_half(data: bytes | bytearray) -> bool:
    """Whether there may be half a character."""
    return 0x5C in data and (rb"\ud" in data or rb"\uD" in data)


def _has_part(data: bytes) -> bool:
    """Whether there may be the ``repr`` of a part that is sent in pieces."""
    return 0x3C in data and (b"<Text of " in data or b"<Base64 of " in data)


def _has_no_number(data: bytes | bytearray) -> bool:
    """Whether there may be what some libraries write for numbers that JSON does not have."""
    return (0x4E in data and b"NaN" in data) or (0x49 in data and b"Infinity" in data)


def _is_finite(value: Any) -> bool:
    """Whether no number in it is NaN or infinite, which some libraries write as null."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, (list, tuple)) or all(map(_is_finite, value))


def read_by(serializer: Serializer, data: bytes | bytearray, otherwise: Any) -> Any:
    """What the serializer reads; ``otherwise`` where the standard library has to."""
    if not reads_alike(data):
        return otherwise
    try:
        return serializer.loads(bytes(data))
    except Exception:  # noqa: BLE001 - as above
        return otherwise


def reads_alike(data: bytes | bytearray) -> bool:
    """Whether all libraries read it alike: it has no huge numbers and no halves of emoji."""
    if _has_half(data) or _has_no_number(data):
        return False
    if 0xED in data and not _is_utf8(data):  # a half that is not escaped
        return False
    shapes = data.translate(_SHAPES, b"+-")
    return not (_LONG in shapes or b"e000" in shapes or data[:1] == b"\xef")


def _is_utf8(data: bytes | bytearray) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


_SHAPES = bytes(
    ord("0") if chr(one).isdigit() and one < 128 else ord("e") if chr(one) in "eE" else ord(" ")
    for one in range(256)
)
"""Digits to 0, marks of exponents to e, all else to a blank."""
_LONG = b"0" * 19
"""Digits of a number that 64 bits may not hold."""
