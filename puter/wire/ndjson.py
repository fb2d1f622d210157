"""Bytes to lines to JSON, without I/O: any cut of the bytes gives the same lines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from puter.process import late
from puter.wire.json import (
    DECODER,
    MAX_DEPTH,
    MOST_A_BYTE,
    TOO_LARGE,
    memory_for,
    memory_of,
    read_json,
    replace_lone_surrogates,
)
from puter.wire.redact import LONGEST

if TYPE_CHECKING:
    from puter.wire import serializing
    from puter.wire.serializing import Serializer
else:
    serializing = late("puter.wire.serializing")

L = TypeVar("L")

MAX_LINE = 64 * 1024 * 1024
"""Bytes of a line at most."""
READ = 512 * 1024
"""Bytes that are decoded as one text at most: more than comes in one read."""
_scan: Any = vars(DECODER)["scan_once"]
"""``raw_decode()`` itself, without the wrapper, which takes a fifth of the time for a line."""


class LineError(ValueError):
    """A line that is not a JSON object, or more than an answer may have."""

    def __init__(self, message: str, before: list[Any]) -> None:
        super().__init__(message)
        self.before = before
        """The lines of the same read that came before it."""


def _seen(line: bytes | bytearray) -> str:
    """What people may see of it, once secrets are taken out and it is cut to a line or two."""
    return repr(bytes(line[:LONGEST]))


class LineDecoder(Generic[L]):
    r"""Splits bytes at ``\n`` and bounds the lines; a subclass says what becomes of one.

    Args:
        limit: ``max_response_bytes``: bounds a line, and the memory that all lines take together.
            Default: none but ``MAX_LINE``.
    """

    __slots__ = ("_left", "_light", "_longest", "_rest")

    def __init__(self, limit: int | None = None) -> None:
        memory = math.inf if limit is None else memory_of(limit)
        self._longest = MAX_LINE if limit is None else min(MAX_LINE, limit)
        self._light = memory / 2 / MOST_A_BYTE  # bytes that may come before lines are weighed
        self._left = memory * 2 / 5  # bytes of memory for the lines after that; errors copy text
        self._rest: bytes | bytearray = b""  # of the line that is not complete yet

    def feed(self, data: bytes) -> list[L]:
        """The lines that ``data`` completes.

        Raises:
            LineError: One cannot be read, or is too long; ``before`` has those before it.
        """
        self._light -= len(data)
        return self._one_by_one(data)

    def flush(self) -> list[L]:
        """The last line, if the bytes ended in the middle of one."""
        return self.feed(b"\n") if self._rest else []

    def _decoded(self, line: bytes | bytearray, _before: list[L]) -> list[L]:
        """The lines of one line of bytes, in the form that a subclass reads."""
        raise NotImplementedError

    def _one_by_one(self, data: bytes) -> list[L]:
        whole: list[Any] = data.split(b"\n")
        rest = whole.pop()
        if whole and self._rest:
            whole[0], self._rest = self._rest + whole[0], b""
        if rest:
            if not isinstance(self._rest, bytearray):  # which grows in place
                self._rest = bytearray(self._rest)
            self._rest += rest
        weigh = self._light < 0
        lines: list[L] = []
        for line in whole:
            if weigh:
                self._weigh(line, lines)
            lines += self._decoded(line, lines)
        if len(self._rest) > self._longest:
            raise LineError(f"a line is longer than {self._longest} bytes", lines)
        return lines

    def _weigh(self, line: bytes | bytearray, before: list[L]) -> None:
        """Raise LineError when the line is one too many."""
        self._left -= memory_for(line)
        if len(line) > self._longest or self._left < 0:
            raise LineError(TOO_LARGE, before)


class NDJSONDecoder(LineDecoder[dict[str, Any]]):
    r"""Splits bytes at ``\n`` only, so U+2028 in a text is harmless.

    An emoji of which two lines have half each (``\ud83d``, ``\ude00``) is whole in the second.

    Args:
        limit: ``max_response_bytes``: bounds a line, and the memory that all lines take together.
            Default: none but ``MAX_LINE``.
        serializer: What reads the lines. Default: the standard library.

    Examples:
        >>> decoder = NDJSONDecoder()
        >>> decoder.feed(b'{"type":"text","te'), decoder.feed(b'xt":"Hi"}\n')
        ([], [{'type': 'text', 'text': 'Hi'}])
        >>> decoder.flush()
        []
    """

    __slots__ = ("_halves", "_read", "_serializer")

    def __init__(self, limit: int | None = None, serializer: Serializer | None = None) -> None:
        super().__init__(limit)
        self._serializer = serializer
        self._read = min(READ, self._longest)
        self._halves: dict[str, str] | None = None  # first half of an emoji, by type of line

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The lines that ``data`` completes.

        Raises:
            LineError: One is not a JSON object, or too long; ``before`` has those before it.
        """
        self._light -= len(data)
        if b"\n" in data and not self._halves and len(self._rest) + len(data) <= self._read:
            block, _, rest = (self._rest + data).rpartition(b"\n")
            if (lines := self._plain(block)) is not None:
                self._rest = rest
                return lines
        return self._one_by_one(data)

    def _plain(self, block: bytes | bytearray) -> list[dict[str, Any]] | None:
        """Its lines, if all are as expected; decoding one text takes half the time of many."""
        if rb"\ud" in block or rb"\uD" in block:
            return None
        memory = memory_for(block) if self._light < 0 else 0
        if memory and (memory > self._left or rb"\u" in block or not block.isascii()):
            return None  # some lines take more memory for each byte than others
        lines = _scanned(block) if self._serializer is None else self._read_by_it(block)
        if lines is not None:
            self._left -= memory
        return lines

    def _read_by_it(self, block: bytes | bytearray) -> list[dict[str, Any]] | None:
        """The same by the serializer."""
        if self._serializer is None or not serializing.reads_alike(block):
            return None
        lines: list[dict[str, Any]] = []
        loads = self._serializer.loads
        try:
            for line in bytes(block).split(b"\n"):
                if not line:
                    continue
                value = loads(line)
                if not isinstance(value, dict) or (
                    len(line) > 2 * MAX_DEPTH and line.count(b"{") + line.count(b"[") > MAX_DEPTH
                ):
                    return None
                lines.append(value)
        except Exception:  # noqa: BLE001 - the standard library says what is wrong
            return None
        return lines

    def _decoded(
        self, line: bytes | bytearray, _before: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        if not line.strip():
            return []
        try:
            value = read_json(line, keep_halves=True, serializer=self._serializer)
        except ValueError as error:
            message = f"a line of the stream is not JSON ({error}): {_seen(line)}"
            raise LineError(message, _before) from None  # it would hold the whole line
        if not isinstance(value, dict):
            message = f"a line of the stream is not a JSON object: {_seen(line)}"
            raise LineError(message, _before)
        return self._joined(value) if rb"\u" in line or self._halves else [value]

    def _joined(self, line: dict[str, Any]) -> list[dict[str, Any]]:
        """The line, with halves of emoji joined, and held back at its end."""
        kind = line.get("type")
        text = line.get(kind) if isinstance(kind, str) else None
        if not isinstance(kind, str) or not isinstance(text, str):
            return [*(self._unjoined() if kind == "usage" else ()), replace_lone_surrogates(line)]
        halves = self._halves = self._halves or {}
        half = halves.pop(kind, "")
        if half and "\udc00" <= text[:1] <= "\udfff":
            pair = (half + text[0]).encode("utf-16", "surrogatepass")
            half, text = pair.decode("utf-16"), text[1:]
        text = half + text
        if "\ud800" <= text[-1:] <= "\udbff":
            halves[kind], text = text[-1], text[:-1]
        return [replace_lone_surrogates({**line, kind: text})]

    def _unjoined(self) -> list[dict[str, Any]]:
        """Lines for the halves whose other half never came."""
        halves, self._halves = self._halves or {}, None
        return [
            replace_lone_surrogates({"type": kind, kind: half}) for kind, half in halves.items()
        ]

    def flush(self) -> list[dict[str, Any]]:
        """The last line, if the bytes ended in the middle of one."""
        return [*self.feed(b"\n"), *self._unjoined()]


def _scanned(block: bytes | bytearray) -> list[dict[str, Any]] | None:
    """The lines of a block, None unless all are short and plain."""
    lines: list[dict[str, Any]] = []
    try:
        for line in block.decode().split("\n"):
            if not line:
                continue
            value, end = _scan(line, 0)
            if (
                end != len(line)
                or not isinstance(value, dict)
                or (end > 2 * MAX_DEPTH and line.count("{") + line.count("[") > MAX_DEPTH)
            ):
                return None
            lines.append(value)
    except (StopIteration, ValueError, RecursionError):
        return None
    return lines
