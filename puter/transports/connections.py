"""Connections of the blocking driver: under watch while in use, dropped before they go stale."""

from __future__ import annotations

import contextlib
import http.client
import io
import math
import socket
import time
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import requests.adapters
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from puter.transports import failures
from puter.transports.route import on_loopback

if TYPE_CHECKING:
    from puter.wire.http import Request

IDLE_LIMIT = 4.0
"""Seconds a kept connection may idle (Puter backend: closed after 5, Keep-Alive: timeout=5)."""

CHUNK = 65536


class Watch:
    """How long the next bytes of a request or its answer may take.

    The libraries below limit each read alone, whatever the deadline, and sending as a whole, by
    the time allowed for connecting.
    """

    def __init__(self, request: Request) -> None:
        self.patience: float | None = None
        self._sock: socket.socket | None = None
        self._request = request
        left = request.time_left
        self._until = math.inf if left is None else time.monotonic() + left

    @property
    def is_over(self) -> bool:
        """The deadline has passed."""
        return time.monotonic() >= self._until

    def limit(self, sock: socket.socket) -> None:
        """Let the socket wait for so long and no longer. Raises PuterTimeoutError when over."""
        if self.is_over:
            raise failures.out_of_time(self._request, sent=True)
        silence = self._request.timeout if self.patience is None else self.patience
        self._sock = sock
        seconds = min(silence or math.inf, self._until - time.monotonic())
        sock.settimeout(None if seconds == math.inf else max(seconds, 0.001))

    def hang_up(self) -> None:
        """Wake the thread that waits for bytes, from another one."""
        with contextlib.suppress(OSError):
            if self._sock is not None:
                self._sock.shutdown(socket.SHUT_RDWR)


watch: ContextVar[Watch] = ContextVar("watch")
"""Of the request that this thread is about to send."""


class _Incoming(io.RawIOBase):
    """The bytes of an answer."""

    def __init__(self, raw: Any, sock: socket.socket, under: Watch) -> None:
        self._raw = raw
        self._sock = sock
        self._under = under

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._under.limit(self._sock)
        read: int | None = self._raw.readinto(buffer)
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, under: Watch, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: Any = io.BufferedReader(_Incoming(self.fp.detach(), sock, under))


class _Connection(HTTPConnection):
    _under: Watch | None = None

    def _new_conn(self) -> socket.socket:
        name = self._dns_host  # also what the Host header says
        self._dns_host = on_loopback(name)
        try:
            return super()._new_conn()
        finally:
            self._dns_host = name

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        self._under = watch.get()
        self.response_class: Any = partial(_Answer, under=self._under)
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self._under is None:  # still connecting: a word to the proxy
            super().send(data)
            return
        view = memoryview(data)
        for start in range(0, len(view), CHUNK):
            self._under.limit(self.sock)
            super().send(view[start : start + CHUNK])

    def close(self) -> None:
        self._under = None
        self.response_class = http.client.HTTPResponse
        super().close()


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    """Drops connections idle for so long that the server is about to close them."""

    ConnectionCls: Any = _Connection

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["enforce_content_length"] = True  # urllib3 1 lets a body pass that was cut short
        return super().urlopen(*args, **kwargs)

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)

    def _get_conn(self, timeout: float | None = None) -> Any:
        conn = super()._get_conn(timeout)
        if time.monotonic() - getattr(conn, "idle_since", math.inf) > IDLE_LIMIT:
            conn.close()
        return conn


class _TlsPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS: dict[str, Any] = {"http": _Pool, "https": _TlsPool}


class Adapter(requests.adapters.HTTPAdapter):
    """``requests`` over these connections, through a proxy or not."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
