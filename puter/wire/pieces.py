"""Request bodies with large pictures and files in them, which are made while they are sent.

A payload holds ``Text`` and ``Base64`` where such a one goes; ``json_body()`` writes the JSON
around them.
"""

from __future__ import annotations

import base64
import io
import json
import operator
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, final

from puter.process import late
from puter.wire.json import MAX_BODY, half_a_character, json_text, too_large

if TYPE_CHECKING:
    from puter.wire import serializing
    from puter.wire.serializing import Serializer
else:
    serializing = late("puter.wire.serializing")

PIECE = 2**16
"""Bytes of a piece of a body at most."""
LARGE = 2**18
"""Bytes from which on a body goes out in pieces, and characters of a text that is no part of it."""


class Part(Protocol):
    """What stands for a text in a payload, and needs no escapes in JSON."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...


@final
class Text:
    """A text in printable ASCII, from a place on."""

    __slots__ = ("_start", "_text")

    def __init__(self, text: str, start: int = 0) -> None:
        self._text = text
        self._start = start

    def __len__(self) -> int:
        return len(self._text) - self._start

    def __iter__(self) -> Iterator[bytes]:
        for start in range(self._start, len(self._text), PIECE):
            yield self._text[start : start + PIECE].encode("ascii")

    def __repr__(self) -> str:
        return f"<Text of {len(self):,} characters>"


@final
class Base64:
    """A prefix and bytes in base64."""

    __slots__ = ("_data", "_prefix")

    def __init__(self, prefix: str, data: bytes) -> None:
        self._prefix = json.dumps(prefix)[1:-1].encode()
        self._data = data

    def __len__(self) -> int:
        return len(self._prefix) + (len(self._data) + 2) // 3 * 4

    def __iter__(self) -> Iterator[bytes]:
        yield self._prefix
        view, step = memoryview(self._data), PIECE // 4 * 3
        for start in range(0, len(view), step):
            yield base64.b64encode(view[start : start + step])

    def __repr__(self) -> str:
        return f"<Base64 of {len(self._data):,} bytes>"


@final
class Pieces:
    """A body in pieces, which are made anew each time it is sent; ``bytes()`` has all of it."""

    __slots__ = ("_parts", "_size")

    def __init__(self, parts: Iterable[bytes | Part]) -> None:
        self._parts = tuple(parts)
        self._size = sum(map(len, self._parts))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            yield from pieces_of(part)

    def __bytes__(self) -> bytes:
        return b"".join(self)

    def __repr__(self) -> str:
        return f"<Pieces of {self._size:,} bytes>"


Content: TypeAlias = bytes | Pieces
"""The body of a request."""


def pieces_of(body: bytes | Iterable[bytes]) -> Iterator[bytes]:
    """A body, or a part of it, in pieces that are written at once."""
    if not isinstance(body, bytes):
        return iter(body)
    return (body[start : start + PIECE] for start in range(0, len(body), PIECE))


def json_body(
    payload: Any, *, is_tree: bool = False, serializer: Serializer | None = None
) -> Content:
    """Encode a request body: in pieces when it is large and the payload holds ``Text`` or so.

    Args:
        payload: What to encode.
        is_tree: See ``json_text()``.
        serializer: Writes what it writes as the standard library does. Default: nothing.

    Raises:
        PuterInputError: The payload cannot be written as JSON in UTF-8, or is over 50 MB.
    """
    first, *more = json_parts(payload, is_tree=is_tree, serializer=serializer)
    if more or not isinstance(first, bytes):
        return body_of((first, *more))
    if len(first) > MAX_BODY:
        raise too_large(len(first))
    return first  # as it is: a copy of a large one takes its size once more


def json_parts(
    value: Any,
    start: int = 0,
    end: int | None = None,
    *,
    is_tree: bool = False,
    serializer: Serializer | None,
) -> list[bytes | Part]:
    """The JSON of a value, or ``[start:end]`` of it, around ``Text`` and the like.

    Args:
        value: What to encode.
        start: The first character.
        end: The one after the last.
        is_tree: See ``json_text()``.
        serializer: See ``json_body()``.

    Raises:
        PuterInputError: It cannot be written as JSON in UTF-8.
    """
    if serializer is not None:
        written = serializing.written_by(serializer, value)
        if written is not None:
            return [written[start:end]]
    held: list[Part] = []

    def hold(one: Any) -> str:
        if not isinstance(one, (Text, Base64)):
            raise TypeError(f"Object of type {type(one).__name__} is not JSON serializable")
        held.append(one)
        return _MARK

    text = json_text(value, hold, is_tree=is_tree)[start:end]
    try:
        if not held:
            return [text.encode()]
        between = text.split(_MARK)
        if len(between) != len(held) + 1:
            text.encode()  # fails
        parts: list[bytes | Part] = [between[0].encode()]
        for one, after in zip(held, between[1:], strict=True):
            parts += one, after.encode()
        return parts
    except UnicodeEncodeError as error:
        raise half_a_character(error) from None


def body_of(parts: Iterable[bytes | Part]) -> Content:
    """The body that consists of these; they are written to it one by one.

    Raises:
        PuterInputError: It is over 50 MB.
    """
    written: list[bytes | Part] = []
    data = io.BytesIO()  # gives its bytes away without a copy
    for part in parts:
        if isinstance(part, bytes):
            data.write(part)
        else:
            written += data.getvalue(), part
            data = io.BytesIO()
    body: Content = data.getvalue()
    if written:
        body = Pieces((*written, body))
    if len(body) > MAX_BODY:
        raise too_large(len(body))
    return body if len(body) >= LARGE else bytes(body)


_MARK = "\udfff"
"""Half a character, which no text that can be sent holds."""


def text_from(text: str, start: int = 0) -> str | Text:
    """The text from that place on, without a copy of it when it is large."""
    is_large = len(text) - start >= LARGE and _is_literal(text)
    return Text(text, start) if is_large else text[start:]


def with_large_texts_apart(value: Any) -> Any:
    """The value with ``Text`` for the data of large pictures, files and recordings in it.

    Args:
        value: A message, and what it holds. It is not changed, and returned as it is when it holds
            no such data.
    """
    if isinstance(value, str):
        return text_from(value) if len(value) >= LARGE else value
    if isinstance(value, dict):
        inner: Any = {name: with_large_texts_apart(one) for name, one in value.items()}
        return value if all(inner[name] is value[name] for name in inner) else inner
    if isinstance(value, list):
        inner = [with_large_texts_apart(one) for one in value]
        return value if all(map(operator.is_, inner, value)) else inner
    return value


def _is_literal(text: str) -> bool:
    """Whether JSON writes it as it is."""
    return text.isascii() and '"' not in text and "\\" not in text and text.isprintable()
