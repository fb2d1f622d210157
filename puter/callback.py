"""``Callback``: an address of this machine to which a browser brings a token, once."""

from __future__ import annotations

import errno
import secrets
import selectors
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from puter.callback_page import NOT_FOUND, PAGE
from puter.engine.clock import monotonic
from puter.engine.credentials import check_token
from puter.exceptions import PuterError, PuterInputError
from puter.secret import Secret

if TYPE_CHECKING:
    from typing_extensions import Self

MOST_BYTES = 32 * 1024
"""Bytes of a request's head at most."""

MOST_CONNECTIONS = 64
"""Connections at a time; one more closes the oldest."""

PATIENCE = 10.0
"""Seconds that a connection may take."""

_TRIES = 20
_SECOND = 1.0
"""Windows sees a Ctrl-C between two waits alone."""


class Callback:
    """Waits on the loopback interface for the one right request, and answers all others 404.

    One thread does it all, that which calls ``wait()``. The right request is a GET of a path that
    nobody can guess, at a name of this machine (another ``Host`` is a page's that had its own name
    lead here), with one ``token`` that can be one.

    Examples:
        >>> with Callback() as callback:
        ...     address = callback.open()
        >>> address.startswith("http://localhost:"), callback
        (True, Callback(port=None))
    """

    def __init__(self) -> None:
        self.port: int | None = None
        """Where it listens; None before and after."""
        self._path: Final = f"/{secrets.token_urlsafe(32)}"
        self._stopped = False
        self._sockets: list[socket.socket] = []  # the pair by which stop() wakes wait(), listeners
        self._connections: list[_Connection] = []  # the oldest first

    def open(self) -> str:
        """Listen, and return the address.

        Raises:
            PuterError: This machine does not let it.
        """
        try:
            self._sockets += socket.socketpair()
            self._sockets += _listeners()
        except OSError as error:
            self.close()
            raise PuterError(
                f"Nothing can listen on this machine for the browser: {error.strerror or error}",
                hint="Sign in with a token, or with user name and password.",
            ) from None
        for one in self._sockets:
            one.setblocking(False)
        self.port = int(self._sockets[2].getsockname()[1])
        return f"http://localhost:{self.port}{self._path}"

    def wait(self, seconds: float) -> Secret | None:
        """The token, or None when it did not come in time or ``stop()`` was called."""
        until = monotonic() + seconds
        wakes = self._sockets[0]
        with selectors.DefaultSelector() as selector:
            for one in (wakes, *self._sockets[2:]):
                selector.register(one, selectors.EVENT_READ)
            while not self._stopped and (left := until - monotonic()) > 0:
                for key, _ in selector.select(min(left, _SECOND)):
                    if isinstance(connection := key.data, _Connection):
                        if token := self._read(connection, selector):
                            return token
                    elif key.fileobj is not wakes:
                        self._accept(key.fileobj, selector)
                for late in [one for one in self._connections if one.until <= monotonic()]:
                    self._drop(late, selector)
        return None

    def stop(self) -> None:
        """End a ``wait()`` in another thread."""
        self._stopped = True
        for waker in self._sockets[1:2]:
            with suppress(OSError):
                waker.send(b"\0")

    def close(self) -> None:
        """Free the port and end all connections. Safe to repeat."""
        self.port = None
        connections, self._connections = self._connections, []
        sockets, self._sockets = self._sockets, []
        for one in [*sockets, *(connection.socket for connection in connections)]:
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Callback(port={self.port})"  # whoever knows the path may answer in Puter's place

    def _accept(self, listener: Any, selector: selectors.BaseSelector) -> None:
        try:
            accepted, _ = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                if self._connections:
                    self._drop(self._connections[0], selector)
                time.sleep(0.05)  # it would be told at once again
            return
        accepted.setblocking(False)
        connection = _Connection(accepted)
        self._connections.append(connection)
        selector.register(accepted, selectors.EVENT_READ, connection)
        if len(self._connections) > MOST_CONNECTIONS:
            self._drop(self._connections[0], selector)

    def _drop(self, connection: _Connection, selector: selectors.BaseSelector) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            selector.unregister(connection.socket)
            connection.socket.close()

    def _read(self, connection: _Connection, selector: selectors.BaseSelector) -> Secret | None:
        """Read on; the token when this completes the right request, which is answered."""
        try:
            data = connection.socket.recv(MOST_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self._drop(connection, selector)
            return None
        if connection.answered:  # reset at once, the client might not see what it was told
            return None
        connection.head += data
        token = None
        if len(connection.head) <= MOST_BYTES:
            if b"\r\n\r\n" not in connection.head:
                return None
            token = self._token_in(connection.head)
        connection.head.clear()
        connection.answer(PAGE if token else NOT_FOUND)
        return token

    def _token_in(self, head: bytearray) -> Secret | None:
        """The token that a request brings, None when it is not the right one."""
        first, *fields = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        method, _, rest = first.partition(" ")
        path, _, query = rest.partition(" ")[0].partition("?")
        pairs = (field.partition(":") for field in fields)
        named = [value for name, _, value in pairs if name.lower() == "host"]
        hosts = [f"{name}:{self.port}" for name in ("localhost", "127.0.0.1", "[::1]")]
        if method != "GET" or len(named) != 1 or named[0].strip().lower() not in hosts:
            return None
        if not secrets.compare_digest(path.encode(), self._path.encode()):
            return None
        try:
            tokens = [v for name, v in parse_qsl(query, max_num_fields=100) if name == "token"]
            return check_token(tokens[0]) if len(tokens) == 1 else None
        except (ValueError, PuterInputError):
            return None


class _Connection:
    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.until = monotonic() + PATIENCE
        self.head = bytearray()
        self.answered = False

    def answer(self, data: bytes) -> None:
        """Say it and no more; it is shorter than what the system takes at once."""
        self.answered = True
        with suppress(OSError):
            self.socket.send(data)
            self.socket.shutdown(socket.SHUT_WR)


def _listeners() -> list[socket.socket]:
    """Sockets that listen at one port of this machine, on each of its loopback addresses.

    Raises:
        OSError: There is no port.
    """
    for _ in range(_TRIES):
        first = _listener(socket.AF_INET, "127.0.0.1", 0)
        try:
            return [first, _listener(socket.AF_INET6, "::1", first.getsockname()[1])]
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                return [first]  # this machine has no ::1
            first.close()  # somebody else has it, to whom browsers might go
    raise OSError(errno.EADDRINUSE, "every port that was tried is in use")


def _listener(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if exclusive := getattr(socket, "SO_EXCLUSIVEADDRUSE", None):  # Windows shares ports
            listener.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        listener.bind((host, port))
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener
