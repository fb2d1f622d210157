"""JSON as it goes over the wire, in both directions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from puter.exceptions import PuterInputError
from puter.process import late

if TYPE_CHECKING:
    from puter import schema
    from puter.wire import serializing
    from puter.wire.serializing import Serializer
else:
    schema, serializing = late("puter.schema"), late("puter.wire.serializing")

BLANKS = " \t\n\r\f\v\xa0\u200b\u2060\ufeff"
"""What may stand around a model's answer and means nothing."""
MAX_BODY = 50 * 1024 * 1024
"""Bytes of JSON the server accepts (Puter backend: 50 MB body limit)."""


STRING = r"""
    "[^"\\]*(?:\\.[^"\\]*)*"?
    |'[^'\\]*(?:\\.[^'\\]*)*'?
    |\u201c[^\u201d\\]*(?:\\.[^\u201d\\]*)*\u201d?
"""
"""A string as models write it, or its unclosed rest; a match never backtracks."""
_FIXABLE = (  # a text: re compiles it when a model slips
    rf"(?xs)(?P<string>{STRING})"
    r"|(?P<word>\b(?:True|False|None)\b)"
    r"|(?P<comma>(?<![\s,\[{]),(?=\s*[\]}]))"
    r"|(?P<blank>[^\S \t\n\r])"
)
_HALVES = r"\\u[dD][89a-fA-F]"
_WORDS = {"True": "true", "False": "false", "None": "null"}
_QUOTED = ('""', "''", "\u201c\u201d")
_QUOTE = r"""(?s)\\.|\""""
_QUOTES = {"\\'": "'", '"': r"\""}


MAX_DEPTH = 100
"""Lists and objects inside each other at most: more than any answer has, and few enough for what
takes several frames for each, such as ``copy.deepcopy()``."""
MESSAGE_DEPTH = MAX_DEPTH + 10
"""The same for messages, in which parts of answers are kept."""
TOO_LARGE = "it takes more memory than max_response_bytes allows"
"""What the ValueError of ``read_json()`` says then."""
MOST_A_BYTE = 100
"""Memory in bytes that a byte of JSON becomes at most: ``{},{},...``."""


def read_json(
    data: bytes | bytearray,
    limit: float | None = None,
    *,
    depth: int = MAX_DEPTH,
    keep_halves: bool = False,
    finite: bool = False,
    serializer: Serializer | None = None,
) -> Any:
    """Decode JSON of the server into what can be shown, compared, copied and sent again.

    A number that no float holds (``1e999``, NaN) is None, as JavaScript writes it, and half an
    emoji, such as max_tokens cuts off, is ``?``.

    Args:
        data: UTF-8, with or without a byte order mark.
        limit: ``max_response_bytes``; see ``memory_of()``. Default: none.
        depth: Lists and objects inside each other at most.
        keep_halves: Leave halves of emoji as they are.
        finite: A number that no float holds is an error.
        serializer: Reads what it reads as the standard library does. Default: nothing.

    Raises:
        ValueError: It is no JSON, or nested too deeply, or too large.
    """
    if (
        limit is not None
        and len(data) * MOST_A_BYTE > limit
        and memory_for(data) > memory_of(limit)
    ):
        raise ValueError(TOO_LARGE)
    try:  # Python refuses whole numbers of more than 4,300 digits (from 3.10.7 on)
        value = _UNREAD if serializer is None else serializing.read_by(serializer, data, _UNREAD)
        if value is _UNREAD:
            value = (_FINITE if finite else DECODER).decode(data.decode().removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if data.count(b"[") + data.count(b"{") > depth:
        check_depth(value, depth)
    if not keep_halves and (rb"\ud" in data or rb"\uD" in data):
        value = replace_lone_surrogates(value)
    return value


def memory_of(limit: float) -> float:
    """Bytes of memory that an answer may take while ``max_response_bytes`` is ``limit``."""
    return max(limit + limit * 3 // 10, 16 * 2**20)


def memory_for(data: bytes | bytearray) -> int:
    """Bytes that ``data`` and what it becomes take at most while it is decoded (CPython)."""
    is_ascii = data.isascii()
    characters = 1 if is_ascii else 4
    texts = 1 if is_ascii and rb"\u" not in data else 10  # four bytes each, and a copy mended
    for_values = sum(size * data.count(mark) for mark, size in _SIZES.items())
    return len(data) * (1 + characters + texts) + for_values


_SIZES = {b",": 96, b"[": 128, b"{": 144, b":": 112}
"""Bytes for the value or key at a mark; the most that was measured, on CPython 3.10 to 3.13."""


def check_depth(value: Any, most: int = MAX_DEPTH) -> None:
    """Raise ``ValueError`` for lists and dicts that are nested deeper than ``most``."""
    level = {0: value}  # by identity: what holds the same thing twice is not followed twice
    for _ in range(most):
        level = {
            id(inner): inner
            for one in level.values()
            if isinstance(one, (dict, list, tuple))
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, (dict, list, tuple))
        }
        if not level:
            return
    raise ValueError(_TOO_DEEP)


_TOO_DEEP = "nested too deeply"
_UNREAD: Any = object()


def clean_text(text: str) -> str:
    """The text with ``?`` for half an emoji, such as max_tokens cuts off: it fits no request."""
    return str.encode(text, errors="replace").decode()


def replace_lone_surrogates(value: Any) -> Any:
    """The value with each text in it clean."""
    if isinstance(value, str):
        return value if value.isascii() else clean_text(value)
    if isinstance(value, list):
        return [replace_lone_surrogates(one) for one in value]
    if isinstance(value, dict):
        return {
            replace_lone_surrogates(key): replace_lone_surrogates(one) for key, one in value.items()
        }
    return value


def _float(written: str) -> float | None:
    value = float(written)
    return value if math.isfinite(value) else None


def _no_number(_name: str) -> None:
    return None


DECODER = json.JSONDecoder(parse_float=_float, parse_constant=_no_number)
"""Of ``read_json()``, for JSON that is too short to be nested too deeply."""


def _finite(number: str) -> float:
    """The number, unless it is NaN or infinite, which JSON does not know."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not a number in JSON")
    return value


_FINITE = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object, unless a key has two values."""
    value = dict(pairs)
    if len(value) < len(pairs):
        for name, one in pairs:
            if value[name] != one:
                raise ValueError(f"the key {name!r} has two values")
    return value


def _exact(number: str) -> float:
    _finite(number)
    return schema.Exact(number)


def read_model_json(text: str, *, exact: bool = False) -> Any:
    """Decode JSON that a model wrote, into what can be sent again.

    Slips with one meaning are read: line breaks and tabs in strings, Python's ``True`` and quotes,
    curly quotes, a trailing comma, a byte order mark.

    Args:
        text: What it wrote.
        exact: Numbers with a fraction know how they are written.

    Raises:
        ValueError: It is none, or has a comment, NaN, or a key with two values.
    """
    text = clean_text(text).strip(BLANKS)
    hooks = {
        "strict": False,
        "parse_float": _exact if exact else _finite,
        "parse_constant": _finite,
        "object_pairs_hook": _unique,
    }
    escapes = re.search(_HALVES, text) is not None
    try:
        return _decode_text(text, escapes, **hooks)
    except ValueError as error:
        mended = re.sub(_FIXABLE, _fixed, text)
        if mended == text or text[0] in "'\u201c":  # that is a quotation, not a string
            raise
        try:
            return _decode_text(mended, escapes, **hooks)
        except ValueError:
            raise error from None


def _decode_text(text: str, escapes: bool, **hooks: Any) -> Any:
    try:
        value = json.loads(text, **hooks)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        check_depth(value)
    return replace_lone_surrogates(value) if escapes else value


def _fixed(slip: re.Match[str]) -> str:
    """The JSON for a string, a word or a character that Python or a keyboard writes otherwise."""
    found = slip[0]
    match slip.lastgroup:
        case "string" if len(found) > 1 and found[0] + found[-1] in _QUOTED:
            quoted = re.sub(_QUOTE, lambda one: _QUOTES.get(one[0], one[0]), found[1:-1])
            return f'"{quoted}"'
        case "word":
            return _WORDS[found]
        case "comma":
            return ""
        case "blank":
            return " "
        case _:
            return found


_TREES = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
)
"""Of lists and dicts that do not hold themselves, and of nothing that needs a default."""


def json_text(value: Any, default: Callable[[Any], Any], *, is_tree: bool) -> str:
    """The JSON of a value for a request.

    Args:
        value: What to encode.
        default: Says what stands for a value that JSON does not know.
        is_tree: It is a list or a dict whose depth was checked, so nothing in it holds itself.

    Raises:
        PuterInputError: It cannot be written as JSON.
    """
    if is_tree:
        try:
            return _TREES.encode(value)
        except (TypeError, ValueError, RecursionError):
            pass  # the default may know it, and what is wrong is told below
    encoder = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default
    )
    try:
        return encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise PuterInputError(
            f"The request cannot be written as JSON: {reason}",
            hint="Pass only str, numbers, bool, None, lists and dicts with str keys.",
        ) from error


def half_a_character(error: UnicodeEncodeError) -> PuterInputError:
    """What to raise for the text of a request that UTF-8 cannot hold."""
    return PuterInputError(
        f"A text holds {error.object[error.start]!r}, half a character (a lone surrogate), "
        "which cannot be sent",
        hint="It was cut in the middle of an emoji, or is a file name that is not UTF-8. "
        "text.encode('utf-8', 'replace').decode() puts '?' there.",
    )


def too_large(size: int) -> PuterInputError:
    """What to raise for a body of more than ``MAX_BODY``."""
    return PuterInputError(
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
    if type(value) is int:
        return value if 0 <= value < 2**63 else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 0 <= value < 2**63 else None


_RECKONED = Context(prec=28, Emin=-30, Emax=30, traps=[])
"""Of numbers that can be added, multiplied and written out, whatever the user's context is."""


def number(value: Any) -> Decimal | None:
    """A number that can be reckoned with, or a str of one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    amount = _RECKONED.create_decimal(str(value))
    return amount if amount.is_finite() else None


def dollars(cents: Any) -> Decimal | None:
    """US dollars of an amount in cents, a number from 0 on or a str of one; None otherwise."""
    amount = number(cents)
    return None if amount is None or amount < 0 else amount / 100


def as_dict(value: Any) -> dict[str, Any]:
    """The dict, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The list, an empty one for anything else."""
    return value if isinstance(value, list) else []


def as_dicts(value: Any) -> tuple[dict[str, Any], ...]:
    """The dicts in a list; ``()`` for anything else."""
    return tuple(one for one in as_list(value) if isinstance(one, dict))
