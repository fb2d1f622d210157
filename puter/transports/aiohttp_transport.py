"""``AiohttpTransport``: sends over aiohttp, with one session per event loop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import ssl
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from puter.engine.effects import Send
from puter.engine.throttle import Permit
from puter.engine.transport import Transport
from puter.exceptions import PuterError
from puter.secret import with_token
from puter.transports.connection_errors import Exchange
from puter.transports.proxies import ca_bundle, on_loopback, proxy_settings
from puter.wire.http import HttpReply, HttpRequest, stays_open

IDLE_LIMIT = 4.0
"""Seconds a kept connection may idle (Puter backend: closed after 5, Keep-Alive: timeout=5)."""

HEADER = 2**16
"""Bytes of a header line at most, as http.client has it."""

LARGE = 2**20
"""Bytes from which on aiohttp wants a body in pieces."""
PIECE = 2**16
"""Bytes of such a piece."""


class AiohttpTransport(Transport):
    """Sends on the running event loop. Loops and threads may share one; it survives fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[asyncio.AbstractEventLoop, _LoopSession] = {}
        self._pid = os.getpid()
        self._proxy_settings = lru_cache(maxsize=256)(proxy_settings)
        self._open_bodies: weakref.WeakSet[_Body] = weakref.WeakSet()
        # At interpreter exit, and when the client is garbage: nothing is left to complain.
        self._finalizer = weakref.finalize(self, _abandon_all, self._sessions, self._pid)

    async def async_send(self, effect: Send) -> HttpReply:
        request = effect.request
        exchange = _Exchange(request, effect.time_left)
        response = None
        try:
            session = await self._current()
            await asyncio.sleep(0)  # lets the loop notice connections closed meanwhile
            arguments = self._arguments(request, effect, exchange)
            _sending.set(weakref.ref(exchange))
            exchange.attached = False
            try:
                response = await session.request(**arguments)
            finally:
                _sending.set(None)  # not reset(): a task left behind ends in another context
            exchange.status, headers = response.status, response.headers
            kind = headers.get("Content-Type", "")
            if request.stream and stays_open(request, response.status, kind):
                body, response = _Body(response, exchange), None
                self._open_bodies.add(body)
                return HttpReply(exchange.status, headers, url=request.url, stream=body)
            return HttpReply(response.status, headers, await response.read(), url=request.url)
        except BaseException as error:
            exchange.give_up(error, effect.on_unsent)
            raise
        finally:
            if response is not None:
                response.release()
                if response.status == 101:  # it is no HTTP connection any more
                    exchange.abort()

    def _arguments(self, request: HttpRequest, effect: Send, exchange: _Exchange) -> dict[str, Any]:
        headers = with_token(request.headers, effect.token)
        data: bytes | AsyncIterator[memoryview] | None = request.body
        if request.body is not None and len(request.body) > LARGE:
            headers["Content-Length"] = str(len(request.body))
            data = _in_pieces(request.body, exchange)
        where = request.url.partition("?")[0]  # what is remembered is no signature
        proxy = self._proxy_settings(where, request.proxy, request.verify)
        exchange.proxy = proxy.url
        return {
            "method": request.method,
            "url": URL(request.url, encoded=True),
            "data": data,
            "headers": headers,
            "allow_redirects": False,
            "proxy": proxy.url,
            "ssl": _tls(ca_bundle(proxy.bundle)) if request.url.startswith("https:") else True,
            "timeout": aiohttp.ClientTimeout(
                total=effect.time_left,
                connect=request.connect_timeout,  # resolving the name and the handshake included
                sock_read=request.timeout,
                ceil_threshold=math.inf,  # no rounding up to whole seconds
            ),
        }

    async def _current(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._pid != os.getpid():
                # A forked child must not talk on its parent's sockets, nor close them.
                self._sessions.clear()
                self._open_bodies.clear()
                self._pid = os.getpid()
            current = self._sessions.get(loop)
            if current is None or current.session.closed:
                for other in [one for one in self._sessions if one.is_closed()]:
                    self._sessions.pop(other).abandon()
                current = self._sessions[loop] = _LoopSession()
                await current.start()  # does not suspend: nothing else runs under the lock
            return current.session

    async def async_close(self) -> None:
        """Close the session of the running loop and, as well as can be, those of other loops."""
        with self._lock:
            current = self._sessions.pop(asyncio.get_running_loop(), None)
        self.close()
        if current is not None:
            await current.close()

    def close(self) -> None:
        """Close all sessions from outside their loops."""
        if self._pid == os.getpid():
            for body in list(self._open_bodies):
                body.abort()
        with self._lock:
            sessions = dict(self._sessions)
            self._sessions.clear()
        if self._pid == os.getpid():
            for loop, one in sessions.items():
                one.close_from_outside(loop)


class _Exchange(Exchange):
    socket: asyncio.Transport | None = None
    stalled = False

    def stall(self) -> None:
        """The server takes nothing more of the body: aiohttp has no limit for writing."""
        self.stalled = True
        self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        if self.socket is not None:
            self.socket.abort()

    def strip(self, error: Exception) -> None:
        if isinstance(error, aiohttp.ClientResponseError):  # with the request's headers and URL
            where = error.request_info.real_url.origin()
            bare = aiohttp.RequestInfo(where, "", CIMultiDictProxy(CIMultiDict()), where)
            error.request_info, error.history, error.headers = bare, (), None
            error.args = (bare, ())

    def translate(self, error: Exception) -> PuterError | None:
        if isinstance(
            error, (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)
        ):
            return self.bad_certificate(error)
        if self.stalled:
            return self.silence()
        late = isinstance(error, aiohttp.ServerTimeoutError)
        if late and (self.unsent or isinstance(error, aiohttp.ConnectionTimeoutError)):
            return self.connect_timeout()
        if late:
            return self.silence()
        if isinstance(error, TimeoutError | asyncio.TimeoutError):
            return self.out_of_time(sent=not self.unsent)
        if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError)):
            return self.not_connected(error)
        if isinstance(error, (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)):
            return self.bad_address(error)
        ours = isinstance(error, (aiohttp.ClientError, OSError))
        if ours and self.unsent:
            return self.not_connected(error)
        if isinstance(error, (aiohttp.ClientResponseError, HttpProcessingError)) or (
            isinstance(error, aiohttp.ClientPayloadError)
            and isinstance(error.__cause__, ContentEncodingError)
        ):
            return self.unreadable(error)
        return self.cut_off(error) if ours else None


_sending: ContextVar[weakref.ref[_Exchange] | None] = ContextVar("puter_sending", default=None)
"""What this task is about to send: aiohttp hands nothing through to the connector. Weakly, because
timers of the event loop keep the context of a call that ended."""


class _Connector(aiohttp.TCPConnector):
    """Tells the exchange that its connection stands: until then nothing was written."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        reference = _sending.get()
        exchange = reference() if reference is not None else None
        if exchange is None:
            return await super().connect(*args, **kwargs)
        exchange.attached = True
        connection = await super().connect(*args, **kwargs)
        exchange.written, exchange.socket = True, connection.transport
        return connection


class _Body:
    """The open body of a streamed reply."""

    def __init__(self, response: aiohttp.ClientResponse, exchange: _Exchange) -> None:
        self.permit: Permit | None = None
        self._response = response
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()

    def read(self, timeout: float | None = None) -> bytes:
        raise PuterError("This reply is read by the async_ methods")

    async def async_read(self, timeout: float | None = None) -> bytes:
        """Bytes as soon as there are any; ``b""`` at the end."""
        timer, self._exchange.patience = None, timeout
        if timeout is not None:
            timer = self._loop.call_later(timeout, self._exchange.stall)
        try:
            return await self._response.content.readany()
        except Exception as error:
            self._exchange.raise_for(error)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        try:
            is_own_loop = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_own_loop = False
        if is_own_loop or self._loop.is_closed():
            self._close_response()
        else:  # a finalizer in another thread: sockets belong to their loop
            with contextlib.suppress(RuntimeError):  # it closed just now
                self._loop.call_soon_threadsafe(self._close_response)
        if self.permit is not None:
            self.permit.release()

    abort = close

    def _close_response(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop is closed: the socket went with it
            self._response.close()


class _Resolver(aiohttp.ThreadedResolver):
    """``*.localhost`` is this machine (RFC 6761), whatever the system's resolver knows."""

    async def resolve(self, host: str, *args: Any, **kwargs: Any) -> Any:
        return await super().resolve(on_loopback(host), *args, **kwargs)


class _LoopSession:
    """A session and the async generator that closes it when its loop shuts down.

    ``asyncio.run`` finishes every started async generator before it closes the loop, and an event
    loop finishes those that become garbage: either way the session is closed on its own loop.
    """

    def __init__(self) -> None:
        self.session = aiohttp.ClientSession(
            connector=_Connector(limit=0, keepalive_timeout=IDLE_LIMIT, resolver=_Resolver()),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=HEADER,
            max_field_size=HEADER,
            trust_env=False,  # no .netrc; proxies and CA bundle come with each request
        )
        self._generator = _closing(self.session)

    async def start(self) -> None:
        await self._generator.__anext__()

    async def close(self) -> None:
        await self._generator.aclose()

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
        with contextlib.suppress(RuntimeError):  # its loop is closed
            connector._close()  # close() leaves a task to a loop that may never run
        with contextlib.suppress(StopIteration, RuntimeError):
            self._generator.aclose().send(
                None
            )  # nothing left to await: no hook need finish it later


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


async def _in_pieces(body: bytes, exchange: _Exchange) -> AsyncIterator[memoryview]:
    """A large body: aiohttp warns about one as a whole, and would copy an ``io.BytesIO``."""
    view, limit, timer = memoryview(body), exchange.request.timeout, None
    for start in range(0, len(view), PIECE):
        if limit is not None:
            timer = asyncio.get_running_loop().call_later(limit, exchange.stall)
        try:
            yield view[start : start + PIECE]
        finally:
            if timer is not None:
                timer.cancel()


@lru_cache(maxsize=16)
def _tls(bundle: str) -> ssl.SSLContext:
    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
