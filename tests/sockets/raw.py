"""Servers below HTTP: each says exactly the bytes that a test wants."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from typing_extensions import Self

from tests.door import chat_body

CHAT = json.dumps(chat_body()).encode()


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes


Handler = Callable[[socket.socket, Asked], object]


def answer(
    body: bytes = CHAT,
    *headers: str,
    status: str = "200 OK",
    kind: str = "application/json",
    length: int | None = None,
) -> bytes:
    """A whole HTTP answer as bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"Content-Type: {kind}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


CHAT_ANSWER = answer()


def says(reply: bytes = CHAT_ANSWER) -> Handler:
    """A handler that sends those bytes and closes the connection."""
    return lambda sock, _asked: sock.sendall(reply)


def keeps(reply: bytes = CHAT_ANSWER) -> Handler:
    """A handler that sends those bytes and keeps the connection."""

    def handler(sock: socket.socket, _asked: Asked) -> bool:
        sock.sendall(reply)
        return True

    return handler


def resets(reply: bytes) -> Handler:
    """A handler that sends those bytes and, when they were read, resets the connection."""

    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(reply)
        latest = time.monotonic() + 10
        while _is_unread(sock) and time.monotonic() < latest:
            time.sleep(0.01)
        reset_when_closed(sock)

    return handler


def reset_when_closed(sock: socket.socket) -> None:
    """Have the close of this socket reset the connection, with whatever is under way."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _is_unread(sock: socket.socket) -> bool:
    """Whether bytes wait in the kernel: to arrive at the other socket, or to be read from it."""
    if not (table := Path("/proc/net/tcp")).exists():
        time.sleep(0.5)  # elsewhere than in Linux nobody tells
        return False
    ports = sock.getsockname()[1], sock.getpeername()[1]
    for row in table.read_text().splitlines()[1:]:
        local, remote, _, queues = row.split()[1:5]
        ends = int(local.partition(":")[2], 16), int(remote.partition(":")[2], 16)
        sent, received = (int(size, 16) for size in queues.split(":"))
        if (ends == ports and sent) or (ends == ports[::-1] and received):
            return True
    return False


class RawServer:
    """Reads requests, and lets ``handler`` do with the socket what it likes.

    The connection stays open for a next request when the handler returns True.

    Args:
        handler: Gets the socket and the request.
        tls: Speak https.
        slowly: Seconds to wait before reading a request at all.
        ended: Set when a client closes its connection.
        remembers: Whether ``requests`` is kept.

    Attributes:
        requests: What arrived so far.
        connections: How many connections were accepted so far.
    """

    def __init__(
        self,
        handler: Handler,
        tls: ssl.SSLContext | None = None,
        *,
        slowly: float = 0.0,
        ended: threading.Event | None = None,
        remembers: bool = True,
    ) -> None:
        self._remembers = remembers
        self._handler = handler
        self._ended = ended
        self._slowly = slowly
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.requests: list[Asked] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._threads: list[threading.Thread] = []
        self._accepter = threading.Thread(target=self._accept)
        self._accepter.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.set()
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in (self._accepter, *self._threads):
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        # A client that leaves, or refuses our certificate, ends the conversation.
        with contextlib.suppress(OSError, ValueError):
            if self._tls is not None:
                with sock:  # on failure; a success detaches it
                    sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.add(sock)
            with sock, sock.makefile("rb") as stream:
                self.stopping.wait(self._slowly)
                while (asked := _read(stream)) is not None:
                    if self._remembers:
                        self.requests.append(asked)
                    if self._handler(sock, asked) is not True:
                        return
                if self._ended is not None:
                    self._ended.set()


def _read(stream: BinaryIO) -> Asked | None:
    line = stream.readline().decode("latin-1").strip()
    if not line:
        return None
    headers: dict[str, str] = {}
    while text := stream.readline().decode("latin-1").strip():
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return Asked(line, headers, body)


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
