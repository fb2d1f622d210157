"""Bytes to lines to JSON, without I/O: any cut of the bytes gives the same lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from puter.wire.http import read_json


class LineError(ValueError):
    """A line that is not a JSON object."""


class Lines:
    r"""Splits bytes at ``\n`` only, so U+2028 in a text is harmless; lines may be of any length.

    Examples:
        >>> lines = Lines()
        >>> list(lines.feed(b'{"type":"text","te')), list(lines.feed(b'xt":"Hi"}\n'))
        ([], [{'type': 'text', 'text': 'Hi'}])
        >>> list(lines.flush())
        []
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of the line that is not complete yet

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The lines that ``data`` completes, one after the other.

        Raises:
            LineError: The next line is not a JSON object; those before it came out first.
        """
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = b"".join([*self._pieces, whole[0]])
            self._pieces.clear()
        if rest:
            self._pieces.append(rest)
        return map(_decoded, filter(bytes.strip, whole))

    def flush(self) -> Iterator[dict[str, Any]]:
        """The last line, if the bytes ended in the middle of one."""
        return self.feed(b"\n")


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        value = read_json(line)
    except ValueError as error:
        raise LineError(f"a line of the stream is not JSON: {line[:80]!r}") from error
    if not isinstance(value, dict):
        raise LineError(f"a line of the stream is not a JSON object: {line[:80]!r}")
    return value
