"""``AiohttpTransport``: sends over aiohttp, with one session per event loop."""

from __future__ import annotations

import asyncio
import contextlib
import encodings.idna
import importlib
import io
import itertools
import math
import os
import ssl
import sys
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextvars import Context, ContextVar
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from puter.engine.credentials import client_closed
from puter.engine.effects import Send
from puter.engine.throttle import Permit
from puter.engine.transport import Transport
from puter.exceptions import PuterError
from puter.process import check_is_ours
from puter.records import replace
from puter.secret import Secret, with_token
from puter.threads import no_thread
from puter.transports.connection_errors import IDLE_LIMIT, Exchange
from puter.transports.proxies import ca_bundle, on_loopback, proxy_settings
from puter.transports.strict_protocol import StrictProtocol
from puter.wire.encoding import ACCEPTED
from puter.wire.http import HEAD, HttpReply, stays_open
from puter.wire.pieces import Content, pieces_of

WHOLE = 2**20
"""Bytes of a body at most that goes to aiohttp as it is: it wants larger ones in pieces."""

LOADED = [encodings.idna]
"""What looking up a name imports: failing once, for want of descriptors, it would fail always."""
with contextlib.suppress(RuntimeError):  # the main thread has ended: addresses need no look-up
    LOADED.append(importlib.import_module("concurrent.futures.thread"))


class AiohttpTransport(Transport):
    """Sends on the running event loop. Loops and threads may share one; it survives fork."""

    def __init__(self) -> None:
        # By process: a forked child must not talk on its parent's sockets, nor close them.
        self._sessions: dict[tuple[int, asyncio.AbstractEventLoop], _LoopSession] = {}
        self._route = lru_cache(maxsize=256)(_route)
        self._closed = False
        # At interpreter exit, and when the client is garbage: nothing is left to complain.
        self._finalizer = weakref.finalize(self, _abandon_all, self._sessions)

    async def async_send(self, effect: Send) -> HttpReply:
        request = effect.request
        exchange = _Exchange(request, effect.time_left)
        session = response = None
        try:
            session = self._sessions.get((os.getpid(), asyncio.get_running_loop()))
            if session is None or session.session.closed or self._closed:
                session = await self._open()
            exchange.session = session
            session.under_way[exchange] = None
            # `where`: what is remembered is no signature.
            exchange.proxy, tls = self._route(request.where, request.proxy, request.verify)
            outgoing, data = _sent(exchange, effect.token)
            _sending.set(weakref.ref(exchange))
            exchange.attached = False
            try:
                response = await session.session.request(
                    request.method,
                    URL(request.url, encoded=True),
                    data=data,
                    headers=outgoing,
                    allow_redirects=False,
                    proxy=exchange.proxy,
                    ssl=tls,
                    timeout=_limits(effect.time_left, request.connect_timeout),
                )
            finally:
                _sending.set(None)  # not reset(): a task left behind ends in another context
                exchange.rest()
            status, headers = response.status, response.headers
            reply = HttpReply(status, headers, url=request.url)
            if len(reply.headers) < len(headers):  # some came more than once
                joined = {name: ", ".join(headers.getall(name)) for name in headers}
                reply = HttpReply(status, joined, url=request.url)
            exchange.answered(status, reply.headers)
            body = _Body(response, exchange)
            if request.stream and stays_open(request, status, reply.content_type):
                effect.on_open(body)
                session.under_way[exchange] = reply.stream = body
                session = response = None  # the body's
                body.forget_heads()
                return reply
            reply.body = await body.read_all()
            if response.connection is None:  # given back
                response = None
            return reply
        except BaseException as error:
            exchange.give_up(error, effect.on_unsent)
            raise
        finally:
            if response is not None:
                response.release()
            if session is not None:
                session.ended(exchange)

    async def _open(self) -> _LoopSession:
        key = os.getpid(), asyncio.get_running_loop()
        current = self._sessions.get(key)
        if current is None or current.session.closed:
            for other in list(self._sessions):
                if other[0] == key[0] and other[1].is_closed():
                    self._sessions.pop(other).close()
            current = self._sessions[key] = _LoopSession()
            await current.start()  # does not suspend
        if self._closed:
            current.close_when_idle()  # close() may have missed it
            raise client_closed()
        return current

    async def async_close(self) -> None:
        """Close as ``close()`` does, and let the running loop close the sockets."""
        self.close()
        await asyncio.sleep(0)

    def close(self) -> None:
        """End open streams now, and each session with the last of its requests."""
        self._closed = True
        for (pid, _), one in list(self._sessions.items()):
            if pid == os.getpid():
                for body in list(one.under_way.values()):
                    if body is not None:
                        body.abort("client")
                one.close_from_outside()


def _sent(
    exchange: _Exchange, token: Secret | None
) -> tuple[dict[str, str], bytes | AsyncIterator[bytes | memoryview] | None]:
    """The headers and the body as they go out."""
    headers, body = with_token(exchange.request.headers, token), exchange.request.body
    headers["Accept-Encoding"] = ACCEPTED
    if body is None or (isinstance(body, bytes) and len(body) <= WHOLE):
        return headers, body
    headers["Content-Length"] = str(len(body))
    return headers, _in_pieces(body, exchange)


def _route(
    where: str, proxy: str | None, verify: bool | str | None
) -> tuple[str | None, ssl.SSLContext | bool]:
    """Proxy and TLS of a URL: looked up once for each client."""
    found = proxy_settings(where, proxy, verify)
    has_tls = any(url.startswith("https:") for url in (where, found.url or ""))
    return found.url, _tls(ca_bundle(found.bundle)) if has_tls else True


@lru_cache(maxsize=16)
def _limits(total: float | None, connect: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=total,
        connect=connect,  # resolving the name and the handshake included
        sock_read=None,  # it stops at informational answers: see _Exchange.wait()
        ceil_threshold=math.inf,  # no rounding up to whole seconds
    )


class _Exchange(Exchange):
    session: _LoopSession
    connection: aiohttp.connector.Connection | None = None
    reader: aiohttp.StreamReader | None = None
    """Of the body, once the head has come."""
    due: float = math.inf
    """When the server has been silent for too long, by the clock of the event loop."""

    def wait(self, timeout: float | None = None) -> None:
        """Give the server so many seconds from now to take or send something."""
        self.patience = timeout
        limit = self.request.timeout if timeout is None else timeout
        self.due = math.inf if limit is None else self.session.look_in(limit)

    def rest(self) -> None:
        """It did, or nobody waits any more."""
        self.due = math.inf

    def abort(self, by: str) -> None:
        """Wake the task that waits for bytes; it raises ``ended()``."""
        self.rest()
        self.ended_by = self.ended_by or by
        transport = self.connection and self.connection.transport  # None once it was given back
        if transport is not None:
            transport.abort()
        elif self.reader is not None and not self.reader.is_eof():
            self.reader.set_exception(aiohttp.ClientConnectionError())

    def handshake_with(self, host: str | None) -> None:
        proxy = urlsplit(self.proxy or "")
        by_proxy = proxy.scheme == "https" and proxy.hostname == host
        self.securing = self.next_host if by_proxy else self.host

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
        if self.ended_by:
            return self.ended()
        if isinstance(error, aiohttp.ClientHttpProxyError) and error.status == 407:
            return self.proxy_refused()
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
        ours = isinstance(error, (aiohttp.ClientError, HttpProcessingError, OSError))
        if ours and self.unsent:
            return self.not_connected(error)
        if isinstance(error, (aiohttp.ClientResponseError, HttpProcessingError)):
            return self.unreadable(error)
        return self.cut_off(error) if ours else None


_sending: ContextVar[weakref.ref[_Exchange] | None] = ContextVar("puter_sending", default=None)
"""What this task is about to send: aiohttp hands nothing through to the connector. Weakly, because
timers of the event loop keep the context of a call that ended."""


def _being_sent() -> _Exchange | None:
    reference = _sending.get()
    return reference() if reference is not None else None


class _Connector(aiohttp.TCPConnector):
    """Tells the exchange that its connection stands: until then nothing was written."""

    def __init__(self) -> None:
        super().__init__(limit=0, keepalive_timeout=IDLE_LIMIT, resolver=_Resolver())
        self._factory: Any = partial(StrictProtocol, loop=self._loop)

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        exchange = _being_sent()
        if exchange is None:
            return await super().connect(*args, **kwargs)
        exchange.attached = True
        if exchange.ended_by:  # aiohttp before 3.11 tries a GET again by itself
            raise exchange.ended()
        while True:
            connection: Any = await super().connect(*args, **kwargs)
            if connection.protocol.begin():
                break
            connection.close()
        exchange.written, exchange.connection, exchange.securing = True, connection, ""
        exchange.wait()
        return connection


_NO_HEADERS: dict[str, str] = {}
_NO_PIECES: Iterator[bytes] = iter(())


class _Body:
    """The body of a reply, read as it comes."""

    __slots__ = ("_exchange", "_pieces", "_response", "permit")

    def __init__(self, response: aiohttp.ClientResponse, exchange: _Exchange) -> None:
        self.permit: Permit | None = None
        self._response = response
        self._exchange = exchange
        exchange.reader = response.content
        self._pieces = _NO_PIECES

    def read(self, timeout: float | None = None) -> bytes:
        raise PuterError("This reply is read by the async_ methods")

    async def async_read(self, timeout: float | None = None) -> bytes:
        """Bytes as soon as there are any; ``b""`` at the end."""
        exchange = self._exchange
        check_is_ours(exchange.session.pid)
        try:
            while (piece := next(self._pieces, None)) is None:
                exchange.wait(timeout)
                data = await self._response.content.readany()
                if exchange.ended_by:
                    raise exchange.ended()
                if not data:
                    if exchange.decoder is not None:
                        exchange.decoder.end()
                    return b""
                if exchange.decoder is None:
                    return next(exchange.content(data))  # there is one, and nothing to keep
                self._pieces = exchange.content(data)
            return piece
        except Exception as error:
            exchange.raise_for(error)
            raise
        finally:
            exchange.rest()

    async def read_all(self) -> bytes:
        """The whole body; never in two copies, but for what came with its head."""
        exchange, content = self._exchange, self._response.content
        if content.is_eof() and exchange.decoder is None and not exchange.ended_by:
            return b"".join(exchange.content(content.read_nowait()))
        whole = io.BytesIO()
        while piece := await self.async_read():
            whole.write(piece)
        return whole.getvalue()

    def forget_heads(self) -> None:
        """Free what nobody asks for any more: 3 of the 15 KB of an open stream, and all it sent."""
        self._exchange.request = replace(self._exchange.request, headers=_NO_HEADERS, body=None)
        response: Any = self._response
        response._request_info = response._headers = None
        response._raw_headers = ()
        response._cache.clear()  # of its properties

    def close(self) -> None:
        session = self._exchange.session
        if session.pid == os.getpid():
            session.on_its_loop(self._close_response)
        if self.permit is not None:
            self.permit.release()

    def abort(self, by: str = "stream") -> None:
        self._exchange.ended_by = by
        self.close()

    def _close_response(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop is closed: the socket went with it
            self._response.close()
        self._exchange.session.ended(self._exchange)


class _Resolver(aiohttp.ThreadedResolver):
    """``*.localhost`` is this machine (RFC 6761), whatever the system's resolver knows."""

    async def resolve(self, host: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().resolve(on_loopback(host), *args, **kwargs)
        except (RuntimeError, ImportError) as error:  # of asyncio, which looks it up in a thread
            raise no_thread(error) from None


class _LoopSession:
    """A session and the async generator that closes it when its loop shuts down.

    ``asyncio.run`` finishes every started async generator before it closes the loop, and an event
    loop finishes those that become garbage: either way the session is closed on its own loop.
    """

    def __init__(self) -> None:
        self.session = aiohttp.ClientSession(
            connector=_Connector(),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=HEAD,
            max_field_size=HEAD,
            trust_env=False,  # no .netrc; proxies and CA bundle come with each request
        )
        if hasattr(self.session, "_retry_connection"):  # from some release on
            self.session._retry_connection = False  # what may be sent again is sent again by us
        self.under_way: dict[_Exchange, _Body | None] = {}
        """The requests, and the bodies that are open."""
        self.pid = os.getpid()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._looks = math.inf
        self._is_closing = False
        self._generator: AsyncGenerator[None, None] | None = _closing(self.session)

    async def start(self) -> None:
        if self._generator is not None:
            await self._generator.__anext__()

    def ended(self, exchange: _Exchange) -> None:
        """The request or its body is over."""
        self.under_way.pop(exchange, None)
        if self._is_closing:
            self.close_when_idle()

    def look_in(self, seconds: float) -> float:
        """When it is in so many seconds: by then `_look` is called, by one timer for all."""
        due = self._loop.time() + seconds
        if due < self._looks:
            self._look_at(due)
        return due

    def _look_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks = due
        if "ipykernel" in sys.modules:  # its cells are interrupted when the loop wakes next
            due = min(due, self._loop.time() + _WAKING)
        # The loop keeps neither the session, nor the context of a call that ended.
        reference: weakref.ref[_LoopSession] = weakref.ref(self)
        self._timer = self._loop.call_at(due, _look, reference, context=Context())

    def look(self) -> None:
        """Wake those whose server has been silent for too long."""
        self._looks, now = math.inf, self._loop.time()
        for exchange in list(self.under_way):
            if exchange.due <= now:
                exchange.abort("silence")
        if (due := min((one.due for one in self.under_way), default=math.inf)) < math.inf:
            self._look_at(due)

    def on_its_loop(self, step: Callable[[], None]) -> None:
        """Sockets belong to their loop: a finalizer may run in another thread."""
        if self._loop.is_closed() or asyncio._get_running_loop() is self._loop:
            step()
        else:
            with contextlib.suppress(RuntimeError):  # it closed just now
                self._loop.call_soon_threadsafe(step)

    def close_when_idle(self) -> None:
        """Close now, or with the last request under way: its answer is paid for."""
        self._is_closing = True
        if self.under_way or self._generator is None:
            return
        self.close()

    def close_from_outside(self) -> None:
        if self._loop.is_running():
            self.on_its_loop(self.close_when_idle)
            return
        self.close()
        if not self._loop.is_closed():  # it may go on
            for exchange in self.under_way:
                exchange.abort("client")

    def close(self) -> None:
        """Close what can be closed without the loop, silently."""
        if self._timer is not None:
            self._timer.cancel()
        generator, self._generator = self._generator, None
        if generator is not None:
            with contextlib.suppress(StopIteration, RuntimeError):
                generator.aclose().send(None)  # it awaits nothing: no hook need finish it later


async def _closing(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        _close(session)


def _close(session: aiohttp.ClientSession) -> None:
    """What aiohttp's own does, without the task that waits: its loop may end before it."""
    connector: Any = session.connector
    session.detach()
    idle = itertools.chain.from_iterable(connector._conns.values())
    transports = [protocol.transport for protocol, *_ in idle]
    with contextlib.suppress(RuntimeError):  # its loop is closed
        aiohttp.BaseConnector._close(connector)  # TCPConnector's cancels lookups
        for transport in filter(None, transports):
            transport.abort()  # TLS would wait for the other side


def _look(reference: weakref.ref[_LoopSession]) -> None:
    session = reference()
    if session is not None:
        session.look()


_WAKING = 0.3
"""Seconds that the loop of a notebook sleeps at most, while a request is under way."""


def _abandon_all(sessions: dict[tuple[int, asyncio.AbstractEventLoop], _LoopSession]) -> None:
    for (pid, loop), one in list(sessions.items()):
        if pid == os.getpid() and not loop.is_running():
            one.close()
    sessions.clear()


async def _in_pieces(body: Content, exchange: _Exchange) -> AsyncIterator[bytes]:
    """A large body: aiohttp warns about one as a whole, and would copy an ``io.BytesIO``."""
    for piece in pieces_of(body):
        yield piece
        if exchange.status is None:
            exchange.wait()
        for _ in range(2):  # what the server says meanwhile is read before more is written to it
            await asyncio.sleep(0)


@lru_cache(maxsize=16)
def _tls(bundle: str) -> ssl.SSLContext:
    folder = bundle if os.path.isdir(bundle) else None
    context = ssl.create_default_context(capath=folder, cafile=None if folder else bundle)
    context.sslobject_class = _TlsObject
    return context


class _TlsObject(ssl.SSLObject):
    """Tells the exchange with whom a handshake is under way."""

    def do_handshake(self) -> None:
        exchange = _being_sent()
        if exchange is not None:
            exchange.handshake_with(self.server_hostname)
        super().do_handshake()
