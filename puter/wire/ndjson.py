"""Bytes to lines to JSON, without I/O: any cut of the bytes gives the same lines."""

from __future__ import annotations

from typing import Any

from puter.wire.json import read_json


class LineError(ValueError):
    """A line that is not a JSON object."""

    def __init__(self, message: str, before: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.before = before
        """The lines of the same read that came before it."""


class NDJSONDecoder:
    r"""Splits bytes at ``\n`` only, so U+2028 in a text is harmless; lines may be of any length.

    Examples:
        >>> decoder = NDJSONDecoder()
        >>> decoder.feed(b'{"type":"text","te'), decoder.feed(b'xt":"Hi"}\n')
        ([], [{'type': 'text', 'text': 'Hi'}])
        >>> decoder.flush()
        []
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of the line that is not complete yet

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The lines that ``data`` completes.

        Raises:
            LineError: One is not a JSON object; ``before`` has those before it.
        """
        *whole, rest = data.split(b"\n")
        if whole and self._pieces:
            whole[0] = b"".join([*self._pieces, whole[0]])
            self._pieces.clear()
        if rest:
            self._pieces.append(rest)
        lines: list[dict[str, Any]] = []
        for line in whole:
            if not line.strip():
                continue
            try:
                value = read_json(line)
            except ValueError as error:
                raise LineError(
                    f"a line of the stream is not JSON: {line[:80]!r}", lines
                ) from error
            if not isinstance(value, dict):
                raise LineError(f"a line of the stream is not a JSON object: {line[:80]!r}", lines)
            lines.append(value)
        return lines

    def flush(self) -> list[dict[str, Any]]:
        """The last line, if the bytes ended in the middle of one."""
        return self.feed(b"\n")
