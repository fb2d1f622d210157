"""``StrictResponse``: answers as ``http.client`` reads them, but none that is damaged."""

from __future__ import annotations

import http.client
import io
import re
import socket
from contextlib import suppress
from typing import Any

from puter.engine.clock import monotonic
from puter.wire.encoding import ContentError
from puter.wire.http import (
    HEAD,
    HEAD_END,
    INFORMATIONAL,
    Head,
    cut_head,
    damaged_chunk,
    damaged_head,
    only_announced,
    plain_head,
)


class _Incoming(socket.SocketIO):
    """What comes from a socket; in time, however slowly it drips, or not at all."""

    _sock: socket.socket
    until: float | None = None
    """After it, reading times out."""
    is_held = False
    """Nothing is read: what was read before is to be looked at."""

    def readinto(self, b: Any) -> int | None:
        if self.is_held:
            return None
        if self.until is not None:
            self._sock.settimeout(max(self.until - monotonic(), 0.001))
        return super().readinto(b)


class StrictResponse(http.client.HTTPResponse):
    """Believes a head only when it is whole and plain; hands out all that came in one read."""

    fp: Any  # it is None once the body has ended
    status: int
    code: int
    version: int
    reason: str
    headers: http.client.HTTPMessage
    msg: http.client.HTTPMessage
    chunked: bool
    will_close: bool
    length: int | None
    fields: dict[str, str]
    """Of its head, by lower-case names."""
    _left: int | None = 0  # bytes of the chunk that are still to come; None after the last
    _line = b"\r\n"  # what has come of the line between two chunks, which ends the first of them

    def begin(self) -> None:
        """Read the head of the answer."""
        head = self._answer()
        self.status = self.code = head.status
        self.version, self.reason, self.fields = 10 + head.version, head.reason, head.fields
        self.headers = self.msg = http.client.HTTPMessage()
        for field in head.fields.items():
            self.headers.set_raw(*field)
        is_empty = head.status in (204, 304)
        self.chunked = "transfer-encoding" in head.fields and not is_empty
        length = head.fields.get("content-length")
        self.length = 0 if is_empty else int(length) if length is not None else None
        connection = head.fields.get("connection", "").lower()
        self.will_close = "close" in connection or (head.version == 0 and "keep" not in connection)
        if self.length is None and not self.chunked:
            self.will_close = True

    def _answer(self) -> Head:
        """The head of the answer, past informational ones (1xx); in time, as a whole."""
        incoming: Any = self.fp.raw
        incoming.__class__ = _Incoming  # http.client has made it, as a SocketIO
        self._socket: socket.socket = incoming._sock
        self._patience = self._socket.gettimeout()
        until = None if self._patience is None else monotonic() + self._patience
        for _ in range(INFORMATIONAL):
            head = plain_head(self._read_head(until))
            if not 100 <= head.status < 200:
                break
            incoming.until = until
        else:
            raise only_announced()
        if incoming.until is not None:
            self.hurry(None)
        return head

    def _read_status(self) -> tuple[str, int, str]:
        """Read the head that a proxy answers when it opens a tunnel."""
        self.fp = io.BufferedReader(io.BytesIO(self._answer().content))
        return super()._read_status()  # type: ignore[misc, no-any-return]

    def _read_head(self, until: float | None) -> bytes:
        """The next head, up to the empty line that ends it."""
        head = bytearray()
        try:
            while waiting := self.fp.peek(1):
                if not head and waiting[0] in b"\r\n":  # empty lines before it are no fault
                    self.fp.raw.until = until
                    self.fp.read(len(waiting) - len(waiting.lstrip(b"\r\n")))
                    continue
                before = head[-2:]  # the end may come in two pieces
                end = HEAD_END.search(before + waiting)
                head += self.fp.read(end.end() - len(before) if end else len(waiting))
                if end:
                    return bytes(head)
                self.fp.raw.until = until  # what comes in one read was in time
                if len(head) > HEAD or not head.startswith(b"HTTP/"[: len(head)]):
                    raise damaged_head(bytes(head))
        except ConnectionError:
            if not head:
                raise
        if not head:
            raise http.client.RemoteDisconnected("nothing came")
        raise cut_head(bytes(head))

    def hurry(self, timeout: float | None) -> None:
        """Let reading fail after that time as a whole; with None, after the silence allowed."""
        if self.fp is not None:
            self.fp.raw.until = None if timeout is None else monotonic() + timeout
            self._socket.settimeout(self._patience)

    def read1(self, n: int = -1) -> bytes:
        """The next bytes of the body as soon as there are any, at most ``n``; ``b""`` at its end.

        Raises:
            http.client.IncompleteRead: It was cut off.
            ContentError: A chunk is damaged.
        """
        if self.fp is None:
            return b""
        if self.chunked:
            return self._read_chunks(n)
        content: bytes = self.fp.read1(n if self.length is None else min(n, self.length))
        if self.length is None:
            left = len(content)
        elif content or not self.length:
            left = self.length = self.length - len(content)
        else:
            raise http.client.IncompleteRead(b"", self.length)
        if not left:
            self._close_conn()
        return content

    def _read_chunks(self, n: int) -> bytes:
        content = b""
        while not content and self.fp is not None:
            data = self.fp.read1(n)
            if not data:
                raise http.client.IncompleteRead(b"")
            content = self._content_of(data)
        return content

    def _content_of(self, data: bytes) -> bytes:
        """What the next bytes hold of HTTP chunks, in one piece."""
        data, at, pieces = self._line + data, 0, []
        while self._left is not None:
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            line = None if self._left else _CHUNK.match(data, at)
            if line is None:
                break
            at, self._left = line.end(), int(line[1], 16) or None
        self._line = data[at:]
        if self._left is None:
            self._end()
        elif len(self._line) > LINE or not _IN_LINE.fullmatch(self._line):
            raise damaged_chunk()
        return b"".join(pieces)

    def _end(self) -> None:
        """Pass over what may follow the last chunk."""
        end = _TRAILER.match(self._line)
        if (len(self._line) if end is None else end.end()) > LINE:
            raise ContentError("its trailer does not end")
        if end is not None:
            if end.end() < len(self._line):
                shut_down(self._socket)  # nobody asked for that, so nobody shall get it
            self._close_conn()

    def _close_conn(self) -> None:
        if self.headers is not None and not self.will_close:
            self.fp.raw.is_held = True
            with suppress(OSError, ValueError):  # it is closed already
                if self.fp.peek(1) or getattr(self._socket, "pending", int)():
                    shut_down(self._socket)
        super()._close_conn()  # type: ignore[misc]


LINE = 8192
"""Bytes of the line between two chunks at most, and of all lines after the last one."""

_CHUNK = re.compile(rb"\r\n([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_IN_LINE = re.compile(rb"\r?|\r\n[^\n]*")  # of which more may come
_TRAILER = re.compile(rb"(?:[^\r\n]+\r?\n)*\r?\n")


def shut_down(sock: Any) -> None:
    """Let every read end, in whatever thread; TLS within TLS keeps the socket inside."""
    socket.socket.shutdown(getattr(sock, "socket", sock), socket.SHUT_RDWR)
