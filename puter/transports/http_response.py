"""``StrictResponse``: the answer that http.client reads off a socket, believed when it is whole."""

from __future__ import annotations

import http.client
import io
import re
import socket
from contextlib import suppress
from typing import Any

from puter.engine.clock import monotonic
from puter.transports.connection_errors import (
    HEAD,
    INFORMATIONAL,
    cut_head,
    damaged_chunk,
    damaged_head,
    no_answer,
)
from puter.wire.encoding import ContentError

TRAILERS = 100
"""Lines after the body at most."""

_HEAD = re.compile(
    rb"HTTP/1\.\d (\d{3})(?: [^\r\n\0]*)?\r?\n"
    rb"(?:[!#$%&'*+\-.^_`|~\w]+:[^\r\n\0]*\r?\n)*\r?\n"
)
_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


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

    def begin(self) -> None:
        """Read the head of the answer, past informational ones (1xx)."""
        incoming: Any = self.fp
        incoming.raw.__class__ = _Incoming  # http.client has made it, as a SocketIO
        self._socket: socket.socket = incoming.raw._sock
        self._patience = self._socket.gettimeout()
        self.hurry(self._patience)
        for _ in range(INFORMATIONAL):
            head = self._read_head()
            found = _HEAD.fullmatch(head)
            if found is None:
                raise damaged_head(head)
            status = int(found[1])
            if status == 101:
                raise no_answer(status)
            if not 100 <= status < 200:
                break
        else:
            raise no_answer(INFORMATIONAL)
        self.hurry(None)
        self.fp = io.BufferedReader(io.BytesIO(head))
        try:
            super().begin()
        finally:
            self.fp = incoming
        lengths = self.headers.get_all("Content-Length", [])
        codings = self.headers.get_all("Transfer-Encoding", [])
        if (
            len(lengths) > 1
            or not all(map(_LENGTH.fullmatch, lengths))
            or len(codings) > self.chunked
        ):
            raise ContentError("nobody can tell where its body ends")

    def hurry(self, timeout: float | None) -> None:
        """Let reading fail after that time as a whole; with None, after the silence allowed."""
        if self.fp is not None:
            self.fp.raw.until = None if timeout is None else monotonic() + timeout
            self._socket.settimeout(self._patience)

    def _read_head(self) -> bytes:
        """The next head, up to the empty line that ends it."""
        head = bytearray()
        try:
            while waiting := self.fp.peek(1):
                before = head[-2:]  # the end may come in two pieces
                end = _HEAD_END.search(before + waiting)
                head += self.fp.read(end.end() - len(before) if end else len(waiting))
                if end:
                    return bytes(head)
                if len(head) > HEAD or not head.startswith(b"HTTP/"[: len(head)]):
                    raise damaged_head(bytes(head))
        except ConnectionError:
            if not head:
                raise
        if not head:
            raise http.client.RemoteDisconnected("nothing came")
        raise cut_head(bytes(head))

    def _get_chunk_left(self) -> int | None:
        """Bytes of the chunk that are still to come, of the next one when it has ended."""
        if not self.chunk_left:
            line = self._read_line() if self.chunk_left is None else self._read_line(2)
            if self.chunk_left is not None:
                if line != b"\r\n":
                    raise damaged_chunk()
                line = self._read_line()
            size = _CHUNK.fullmatch(line)
            if size is None:
                raise damaged_chunk()
            self.chunk_left = int(size[1], 16) or None
            if self.chunk_left is None:
                self._read_and_discard_trailer()
                self._close_conn()
        return self.chunk_left

    def _read_line(self, limit: int = HEAD) -> bytes:
        line: bytes = self.fp.readline(limit)
        if len(line) < limit and not line.endswith(b"\n"):
            raise http.client.IncompleteRead(b"")
        return line

    def _read_and_discard_trailer(self) -> None:
        for _ in range(TRAILERS):
            if not self.fp.readline(HEAD).strip():
                return
        raise ContentError("its trailer does not end")

    def _close_conn(self) -> None:
        if self.headers is not None and not self.will_close:
            self.fp.raw.is_held = True
            with suppress(OSError, ValueError):  # it is closed already
                if self.fp.peek(1) or getattr(self._socket, "pending", int)():
                    shut_down(self._socket)  # nobody asked for that, so nobody shall get it
        super()._close_conn()  # type: ignore[misc]

    def read1(self, n: int = -1) -> bytes:
        data = super().read1(n)
        if not self.chunked or not data:
            return data
        pieces, size = [data], len(data)
        while size < n and self._has_more() and (data := super().read1(n - size)):
            pieces.append(data)
            size += len(data)
        return b"".join(pieces)

    def _has_more(self) -> bool:
        """Whether bytes of the body wait in memory, so that reading on waits for nothing."""
        if self.fp is None:
            return False
        self.fp.raw.is_held = True
        waiting: bytes = self.fp.peek(1)
        self.fp.raw.is_held = False
        if self.chunk_left:
            return bool(waiting)
        # The end of the last HTTP chunk, the size of the next in a line, and something of that.
        return 0 < waiting.find(b"\n", 2) < len(waiting) - 1


def shut_down(sock: Any) -> None:
    """Let every read end, in whatever thread; TLS within TLS keeps the socket inside."""
    socket.socket.shutdown(getattr(sock, "socket", sock), socket.SHUT_RDWR)
