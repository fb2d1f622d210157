"""Bytes to lines to JSON, without I/O: any cut of the bytes gives the same lines."""

from __future__ import annotations

import json
from typing import Any

from puter.wire.json import replace_lone_surrogates


class LineError(ValueError):
    """A line that is not a JSON object."""

    def __init__(self, message: str, before: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.before = before
        """The lines of the same read that came before it."""


class NDJSONDecoder:
    r"""Splits bytes at ``\n`` only, so U+2028 in a text is harmless; lines may be of any length.

    An emoji of which two lines have half each (``\ud83d``, ``\ude00``) is whole in the second.

    Examples:
        >>> decoder = NDJSONDecoder()
        >>> decoder.feed(b'{"type":"text","te'), decoder.feed(b'xt":"Hi"}\n')
        ([], [{'type': 'text', 'text': 'Hi'}])
        >>> decoder.flush()
        []
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of the line that is not complete yet
        self._halves: dict[str, str] = {}  # first half of an emoji, by the type of its line

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
                value = json.loads(line)
                if (rb"\u" in line or self._halves) and isinstance(value, dict):
                    lines += self._joined(value)
                    continue
            except (ValueError, RecursionError) as error:
                raise LineError(
                    f"a line of the stream is not JSON: {line[:80]!r}", lines
                ) from error
            if not isinstance(value, dict):
                raise LineError(f"a line of the stream is not a JSON object: {line[:80]!r}", lines)
            lines.append(value)
        return lines

    def _joined(self, line: dict[str, Any]) -> list[dict[str, Any]]:
        """The line, with halves of emoji joined, and held back at its end."""
        kind = line.get("type")
        text = line.get(kind) if isinstance(kind, str) else None
        if not isinstance(kind, str) or not isinstance(text, str):
            return [*(self._unjoined() if kind == "usage" else ()), replace_lone_surrogates(line)]
        half = self._halves.pop(kind, "")
        if half and "\udc00" <= text[:1] <= "\udfff":
            pair = (half + text[0]).encode("utf-16", "surrogatepass")
            half, text = pair.decode("utf-16"), text[1:]
        text = half + text
        if "\ud800" <= text[-1:] <= "\udbff":
            self._halves[kind], text = text[-1], text[:-1]
        return [replace_lone_surrogates({**line, kind: text})]

    def _unjoined(self) -> list[dict[str, Any]]:
        """Lines for the halves whose other half never came."""
        halves, self._halves = self._halves, {}
        return [
            replace_lone_surrogates({"type": kind, kind: half}) for kind, half in halves.items()
        ]

    def flush(self) -> list[dict[str, Any]]:
        """The last line, if the bytes ended in the middle of one."""
        return [*self.feed(b"\n"), *self._unjoined()]
