"""The asynchronous driver: carries out flows with ``aiohttp``."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import ssl
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache
from typing import Any, TypeVar

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from puter import events, flow
from puter.exceptions import PuterError
from puter.transports import failures
from puter.transports.route import Routes, ca_bundle
from puter.wire.http import Reply, Request

T = TypeVar("T")

IDLE_LIMIT = 4.0
"""Seconds a kept connection may idle (Puter backend: closed after 5, Keep-Alive: timeout=5)."""


class Asynchronous:
    """Runs flows on the running event loop, with one session per loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[asyncio.AbstractEventLoop, _LoopSession] = {}
        self._pid = os.getpid()
        self._routes = Routes()
        # At interpreter exit, and when the client is garbage: nothing is left to complain.
        self._farewell = weakref.finalize(self, _abandon_all, self._sessions, self._pid)

    async def run(self, steps: flow.Flow[T]) -> T:
        """Carry the flow out and return its result."""
        resume: Callable[[Any], flow.Effect] = steps.send
        value: Any = None
        try:
            while True:
                effect = resume(value)
                try:
                    value, resume = await self._perform(effect), steps.send
                except BaseException as error:
                    value, resume = error, steps.throw
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            value = None  # an error kept here would be a reference cycle
            steps.close()

    async def _perform(self, effect: flow.Effect) -> Any:
        match effect:
            case flow.Send(request):
                return await self._send(request)
            case flow.Admit(gate, ticket, timeout):
                try:
                    return await gate.enter_async(ticket, timeout)
                except TimeoutError:
                    raise failures.queued_too_long() from None
            case flow.Pause(seconds):
                await asyncio.sleep(seconds)
            case flow.Tell(event):
                events.log(event)
            case flow.Ask(function, args):
                return await _ask(function, args)
        return None

    async def _send(self, request: Request) -> Reply:
        status = None
        try:
            session = await self._current()
            async with session.request(**self._arguments(request)) as response:
                status = response.status
                body = await response.read()
                return Reply(status, response.headers, body, url=request.url)
        except (PuterError, asyncio.CancelledError):
            raise
        except Exception as error:
            translated = translate(error, request, status)
            if translated is None:
                raise
            # aiohttp's response errors hold the request's headers, and with them the token.
            raise translated from (
                None if isinstance(error, aiohttp.ClientResponseError) else error
            )

    def _arguments(self, request: Request) -> dict[str, Any]:
        headers = dict(request.headers)
        if request.token is not None:
            headers["Authorization"] = f"Bearer {request.token}"
        route = self._routes.of(request)
        return {
            "method": request.method,
            "url": URL(request.url, encoded=True),
            "data": request.body,
            "headers": headers,
            "allow_redirects": False,
            "proxy": route.proxy,
            "ssl": _tls(ca_bundle(route.bundle)) if request.url.startswith("https:") else True,
            "timeout": aiohttp.ClientTimeout(
                total=request.time_left,
                sock_connect=request.connect_timeout,
                sock_read=request.timeout,
            ),
        }

    async def _current(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._pid != os.getpid():
                # A forked child must not talk on its parent's sockets, nor close them.
                self._sessions.clear()
                self._pid = os.getpid()
            mine = self._sessions.get(loop)
            if mine is None or mine.session.closed:
                for other in [one for one in self._sessions if one.is_closed()]:
                    self._sessions.pop(other).abandon()
                mine = self._sessions[loop] = _LoopSession()
                await mine.start()  # does not suspend: nothing else runs under the lock
            return mine.session

    async def aclose(self) -> None:
        """Close the session of the running loop and, as well as can be, those of other loops."""
        mine = self._take(asyncio.get_running_loop())
        self.close()
        if mine is not None:
            await mine.close()

    def close(self) -> None:
        """Close all sessions from outside their loops."""
        with self._lock:
            sessions = dict(self._sessions)
            self._sessions.clear()
        if self._pid == os.getpid():
            for loop, one in sessions.items():
                one.close_from_outside(loop)

    def _take(self, loop: asyncio.AbstractEventLoop) -> _LoopSession | None:
        with self._lock:
            return self._sessions.pop(loop, None)


class _LoopSession:
    """A session and the async generator that closes it when its loop shuts down.

    ``asyncio.run`` finishes every started async generator before it closes the loop, and an event
    loop finishes those that become garbage: either way the session is closed on its own loop.
    """

    def __init__(self) -> None:
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_LIMIT),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,  # no .netrc; proxies and CA bundle come with each request
        )
        self._life = _closing(self.session)

    async def start(self) -> None:
        await self._life.__anext__()

    async def close(self) -> None:
        await self._life.aclose()

    def close_from_outside(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop.is_closed():
            self.abandon()
        elif loop.is_running():
            loop.call_soon_threadsafe(_spawn, loop, self.close)
        else:
            self.abandon()

    def abandon(self) -> None:
        """Close what can be closed without the loop, silently."""
        connector = self.session.connector
        if connector is None or self.session.closed:
            return
        self.session.detach()
        closing = connector.close().__await__()
        with contextlib.suppress(StopIteration, RuntimeError):  # done, or its loop is closed
            next(closing)


async def _closing(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await session.close()


_closers: set[asyncio.Task[None]] = set()


def _spawn(loop: asyncio.AbstractEventLoop, close: Callable[[], Any]) -> None:
    task = loop.create_task(close())
    _closers.add(task)  # a task nobody holds may vanish before it runs
    task.add_done_callback(_closers.discard)


def _abandon_all(sessions: dict[asyncio.AbstractEventLoop, _LoopSession], pid: int) -> None:
    if pid == os.getpid():
        for loop, one in list(sessions.items()):
            if not loop.is_running():
                one.abandon()
    sessions.clear()


@lru_cache(maxsize=16)
def _tls(bundle: str) -> ssl.SSLContext:
    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


async def _ask(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(*args)
    answer = await asyncio.to_thread(function, *args)
    return await answer if inspect.isawaitable(answer) else answer


def translate(error: Exception, request: Request, status: int | None = None) -> PuterError | None:
    """Our error for one of aiohttp or the socket; None when it is none of theirs."""
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)):
        return failures.bad_certificate(request, error)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return failures.connect_timeout(request)
    if isinstance(error, aiohttp.ServerTimeoutError):
        return failures.silence(request)
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return failures.out_of_time(request, sent=True)
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError)):
        return failures.not_connected(request, error)
    if isinstance(error, (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)):
        return failures.bad_address(request, error)
    if isinstance(error, aiohttp.ContentTypeError | aiohttp.ClientResponseError) or (
        isinstance(error, aiohttp.ClientPayloadError)
        and isinstance(error.__cause__, ContentEncodingError)
    ):
        return failures.unreadable(request, status, error)
    if isinstance(error, (aiohttp.ClientError, OSError)):
        return failures.cut_off(request, error)
    return None
