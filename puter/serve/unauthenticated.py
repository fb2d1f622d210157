"""Connections that have not shown the key: so many at a time, and each for so long.

Programs without it could otherwise hold all connections that this process may have.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from typing import cast

from aiohttp import web

_FILES = 1024


class ConnectionLimiter:
    """Ends connections that have not shown the key: the oldest of too many, and each in time.

    Args:
        most: How many at a time; one more ends the oldest. Default: half of the connections that
            this process may have, at most 512.
        grace: Seconds that each has to show the key.
    """

    def __init__(self, most: int | None = None, grace: float = 10.0) -> None:
        self._most = _files() // 2 if most is None else most
        self._grace = grace
        self._timers: dict[asyncio.Transport, asyncio.TimerHandle] = {}

    async def listen(self, runner: web.AppRunner, host: str, port: int) -> asyncio.Server:
        """Let connections come to a runner that is set up.

        Raises:
            OSError: The address cannot be had.
        """
        accepting = functools.partial(_Accepting, self, cast("web.Server", runner.server))
        backlog = max(1, self._most // 4)  # so many are accepted before the oldest are closed
        return await asyncio.get_running_loop().create_server(
            accepting, host, port, backlog=backlog
        )

    def add(self, transport: asyncio.Transport) -> None:
        """End the connection unless it shows the key in time."""
        if len(self._timers) >= self._most:
            ended = [one for one in self._timers if one.is_closing()]  # which nobody tells
            for one in ended or [next(iter(self._timers))]:
                self._end(one)
        loop = asyncio.get_running_loop()
        self._timers[transport] = loop.call_later(self._grace, self._end, transport)

    def authenticated(self, transport: asyncio.Transport | None) -> None:
        """It has shown the key."""
        if transport in self._timers:
            self._timers.pop(transport).cancel()

    def _end(self, transport: asyncio.Transport) -> None:
        self.authenticated(transport)
        transport.abort()  # close() would wait until all is read that was answered


UNAUTHENTICATED: web.AppKey[ConnectionLimiter] = web.AppKey("unauthenticated", ConnectionLimiter)
"""The connections to an application that have not shown its key."""


class _Accepting(asyncio.Protocol):
    """Tells of a connection, and leaves it to the server."""

    def __init__(self, limiter: ConnectionLimiter, server: web.Server) -> None:
        self._limiter, self._server = limiter, server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._limiter.add(connection := cast("asyncio.Transport", transport))
        protocol = self._server()
        connection.set_protocol(protocol)
        protocol.connection_made(connection)


def _files() -> int:
    """How many files and connections this process may open, counted up to 1024."""
    if sys.platform == "win32":
        return _FILES
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _FILES if allowed == resource.RLIM_INFINITY else min(_FILES, allowed)
