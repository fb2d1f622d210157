"""Server-sent events, a line at a time: what servers of the OpenAI form stream in."""

from __future__ import annotations

from puter.wire.ndjson import LineDecoder


class RawLines(LineDecoder[bytes]):
    r"""Lines as they came, without ``\n`` or ``\r\n``; empty ones, which end an event, as well.

    Examples:
        >>> lines = RawLines()
        >>> lines.feed(b"data: 1\r\n\r\nda"), lines.feed(b"ta: 2"), lines.flush()
        ([b'data: 1', b''], [], [b'data: 2'])
    """

    __slots__ = ()

    def _decoded(self, line: bytes | bytearray, _before: list[bytes]) -> list[bytes]:
        return [bytes(line).removesuffix(b"\r")]


class EventDecoder:
    """Fields to events, without I/O.

    An event is handed out with the line that makes its data whole, not with the empty line after
    it, which some servers leave out. The data is whole when it is the end of the stream or JSON
    that is complete, which the caller finds out: ``keep()`` takes back what is not.

    Examples:
        >>> events = EventDecoder()
        >>> [events.feed(line) for line in (b": keep-alive", b"data: [DONE]", b"event: error")]
        [None, ('', b'[DONE]'), None]
        >>> events.feed(b'data: {"message": "Busy"}')
        ('error', b'{"message": "Busy"}')
    """

    __slots__ = ("_begun", "_kept", "_kind")

    def __init__(self) -> None:
        self._begun = False  # a byte order mark may stand before the first line
        self._kind = ""
        self._kept = b""

    @property
    def kept(self) -> bytes:
        """Data of an event that is not whole yet."""
        return self._kept

    def feed(self, line: bytes) -> tuple[str, bytes] | None:
        """The event's name and its data so far, when ``line`` has data; else None."""
        if not self._begun:
            self._begun, line = True, line.removeprefix(b"\xef\xbb\xbf")
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            self._kind = ""
        elif name == b"event":
            self._kind = value.decode(errors="replace")
        elif name in (b"data", b"error"):  # llama.cpp called the field of an error so
            data, self._kept = self._kept + value, b""
            return ("error" if name == b"error" else self._kind), data
        return None

    def keep(self, data: bytes) -> None:
        """The data goes on in the next line."""
        self._kept = data + b"\n"
