"""``RequestsTransport``: sends over requests, one adapter for all threads."""

from __future__ import annotations

import http.client
import io
import ipaddress
import itertools
import math
import os
import socket
import ssl
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import requests
import requests.adapters
import urllib3
from requests.structures import CaseInsensitiveDict
from urllib3._version import __version__
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.util.connection import allowed_gai_family
from urllib3.util.ssl_match_hostname import CertificateError
from urllib3.util.wait import wait_for_read

from puter.engine.clock import monotonic
from puter.engine.credentials import client_closed
from puter.engine.effects import Send
from puter.engine.throttle import Permit
from puter.engine.transport import Transport
from puter.exceptions import PuterConfigError, PuterConnectionError, PuterError
from puter.frames import chain, raised_by_library
from puter.process import check_is_ours
from puter.secret import with_token
from puter.transports.connection_errors import IDLE_LIMIT, Exchange
from puter.transports.proxies import ca_bundle, on_loopback, proxy_settings
from puter.transports.strict_response import StrictResponse, shut_down
from puter.wire.encoding import ACCEPTED, ContentError
from puter.wire.http import HttpReply, stays_open
from puter.wire.pieces import PIECE, Pieces, pieces_of

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection, HTTPSConnection
else:  # the same; in a cassette of vcrpy the names above are its own
    from urllib3.connectionpool import HTTPConnection, HTTPSConnection

if tuple(map(int, __version__.split(".")[:2])) < (2, 1):
    raise PuterConfigError(
        f"urllib3 {__version__} is too old for the sync methods",
        hint="Upgrade it: pip install -U 'urllib3>=2.1'.",
    )

SHARE = 2.0
"""Seconds that connecting to one of several addresses may take at least."""


class RequestsTransport(Transport):
    """Sends in the calling thread. Threads may share one; it survives fork."""

    def __init__(self) -> None:
        # By process: a forked child must not talk on its parent's sockets, nor close them.
        self._adapters: dict[int, _Adapter] = {}
        self._route = lru_cache(maxsize=256)(_Route)
        self._open_bodies: weakref.WeakSet[_Body] = weakref.WeakSet()
        self._closed = False

    def send(self, effect: Send) -> HttpReply:
        request = effect.request
        exchange = _Exchange(request, effect.time_left)
        body: _Body | None = None
        try:
            if effect.time_left is not None:
                exchange.watch(effect.time_left)
            response = self._open(effect, exchange)
            body = _Body(response, exchange)
            status, headers = response.status_code, response.headers
            exchange.answered(status, headers)
            if request.stream and stays_open(request, status, headers.get("content-type", "")):
                effect.on_open(body)
                self._open_bodies.add(body)
                stream, body = body, None
                return HttpReply(status, headers, url=request.url, stream=stream)
            content = io.BytesIO()  # hands out what was written without a copy
            while piece := body.next():
                content.write(piece)
            return HttpReply(status, headers, content.getvalue(), url=request.url)
        except BaseException as error:
            exchange.end()
            exchange.give_up(error, effect.on_unsent)
            raise
        finally:
            if body is not None:
                body.close()

    def _open(self, effect: Send, exchange: _Exchange) -> requests.Response:
        request = effect.request
        # What is remembered is no signature.
        url = request.url if "?" not in request.url else request.where
        route = self._route(url, request.proxy, request.verify)
        exchange.route, exchange.proxy = route, route.proxy
        limit = request.connect_timeout
        if effect.time_left is not None:
            limit = min(limit or math.inf, effect.time_left)
        exchange.connect_limit = limit
        # Any: two versions of the stubs disagree.
        headers: Any = CaseInsensitiveDict(with_token(request.headers, effect.token))
        headers["Accept-Encoding"] = ACCEPTED
        if request.method != "GET":
            headers["Content-Length"] = str(len(request.body or b""))
        prepared = _Prepared(exchange, headers)
        if isinstance(request.body, Pieces) and _SEND is not requests.adapters.HTTPAdapter.send:
            prepared.body = bytes(request.body)  # a library of doubles compares it
        adapter = self._adapters.get(os.getpid()) or self._connect()
        exchange.attached = False
        limits: Any = limit, request.timeout  # the stubs want floats
        return adapter.send(
            prepared, stream=True, timeout=limits, proxies=route.proxies, verify=route.bundle
        )

    def _connect(self) -> _Adapter:
        if self._closed:
            raise client_closed()
        return self._adapters.setdefault(os.getpid(), _Adapter(pool_connections=8, pool_maxsize=64))

    def close(self) -> None:
        self._closed = True
        for body in list(self._open_bodies):
            body.abort("client")
        adapter = self._adapters.pop(os.getpid(), None)
        if adapter is not None:
            adapter.close()


class _Route:
    """How to reach a URL without its query; worked out once."""

    def __init__(self, url: str, proxy: str | None, verify: bool | str | None) -> None:
        settings = proxy_settings(url, proxy, verify)
        self.proxy: str | None = settings.url
        self.proxies: dict[str, str] = {}
        if settings.url is not None:
            self.proxies = {"http": settings.url, "https": settings.url}
        self.bundle: str = ca_bundle(settings.bundle)
        self.url: str = _prepared_url(url)
        self.target: str | None = None
        """What the request line names, once it is known."""


def _prepared_url(url: str) -> str:
    """The URL as requests sends it: with an IDNA host, and checked."""
    prepared = requests.PreparedRequest()
    prepared.prepare_url(url, None)
    return str(prepared.url)


class _Prepared(requests.PreparedRequest):
    """A request as requests hands it to its adapters."""

    def __init__(self, exchange: _Exchange, headers: Any) -> None:
        super().__init__()
        request = exchange.request
        self.exchange = exchange
        body: Any = request.body
        self.method, self.headers, self.body = request.method, headers, body
        self.url = exchange.route.url if "?" not in request.url else _prepared_url(request.url)


class _Exchange(Exchange):
    """One request over a connection of urllib3's, and the answer to it.

    With a watchdog that shuts the socket at the deadline: requests has no total timeout.
    """

    route: _Route
    pool: Any
    """Of the connections to its host, or to the proxy."""
    answer: StrictResponse | None = None
    connect_limit: float | None = None
    """Seconds that connecting may take."""
    is_whole = False
    """It was sent to its end."""
    socket: socket.socket | None = None
    """What it is written to."""
    _connection: _Connection | None = None
    _watchdog: threading.Timer | None = None
    _pid = 0  # of the process that sends it

    def watch(self, time_left: float) -> None:
        """Shut the socket when the deadline has passed."""
        self._watchdog = threading.Timer(time_left, _expire, [weakref.ref(self)])
        self._watchdog.daemon = True
        try:
            self._watchdog.start()
        except RuntimeError as error:
            raise PuterConnectionError(
                "No thread could be started to watch the deadline",
                sent=False,
                hint="Leave deadline out, or use the async method.",
            ) from error

    def urlopen(self, method: str, url: str, *, body: Any, headers: Any, **options: Any) -> Any:
        """Send the request and read the head of its answer, once.

        ``HTTPAdapter.send()`` takes this for the pool's, which also copies, retries and redirects.
        """
        pool = self.pool
        if not issubclass(pool.ConnectionCls, _Connection):  # a test library's, such as vcrpy's
            return pool.urlopen(method, url, body=body, headers=headers, **options)
        self.attached = True
        connection: _Connection = pool._get_conn()
        self._connection, self._pid = connection, os.getpid()
        with connection.lock:
            connection.exchange = self
        if connection.is_closed:
            self._connect(connection)
        sock: Any = connection.sock
        if sock.gettimeout() != self.request.timeout:
            sock.settimeout(self.request.timeout)
        self.socket = sock
        fields = dict(headers)
        if pool.scheme == "http":
            fields.update(pool.proxy_headers)
        lines = "\r\n".join([f"{name}: {value}" for name, value in fields.items()])
        if not lines.count("\r") == lines.count("\n") == len(fields) - 1:
            raise PuterConfigError("A header holds the end of a line", hint="Check config.headers.")
        connection.putrequest(method, url, skip_accept_encoding=True)
        connection._buffer.append(lines.encode("latin-1"))  # which putheader() takes one by one
        connection.endheaders(body)
        # urllib3's own would wrap it and copy its fields.
        self.answer = http.client.HTTPConnection.getresponse(connection)  # type: ignore[assignment]
        return self.answer

    def _connect(self, connection: _Connection) -> None:
        connection.timeout = self.connect_limit
        try:
            if self.pool.proxy is not None:
                self.pool._prepare_proxy(connection)  # which connects when it is a tunnel
            if connection.is_closed:
                connection.connect()
        except urllib3.exceptions.HTTPError as error:  # as requests expects it, to make it its own
            raise MaxRetryError(self.pool, self.route.url, error) from error

    def abort(self, by: str) -> None:
        """Wake the thread that waits for bytes, from another one; it raises ``ended()``."""
        self.ended_by = self.ended_by or by
        connection = self._connection
        if connection is None or self._pid != os.getpid():  # a child's parent goes on reading
            return
        with connection.lock, suppress(OSError):
            sock = connection.sock or self.socket  # which it lets go of when no other will follow
            if connection.exchange is self and sock is not None:
                shut_down(sock)

    def end(self) -> None:
        """All is read, or nothing more will be: the connection goes back to where it came from."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        connection = self._connection
        if connection is None or self._pid != os.getpid():
            return
        with connection.lock:
            if connection.exchange is not self:
                return
            connection.exchange, connection.idle_since = None, monotonic()
        self._connection, answer = None, self.answer
        if self.is_whole and answer is not None and answer.isclosed():
            self.pool._put_conn(connection)
            return
        connection.close()
        if answer is not None:
            answer.close()
        self.pool._put_conn(None)

    def strip(self, error: Exception) -> None:
        if isinstance(error, requests.RequestException):
            error.request = error.response = None  # with the token

    def translate(self, error: Exception) -> PuterError | None:
        inner = chain(error)

        def has(*kinds: type[BaseException]) -> bool:
            return any(isinstance(one, kinds) for one in inner)

        u3 = urllib3.exceptions
        ours = isinstance(error, _OURS) or raised_by_library(error)
        if ours and self.ended_by:
            return self.ended()
        if has(ssl.SSLCertVerificationError, CertificateError):
            return self.bad_certificate(error)
        if has(requests.ConnectTimeout, u3.ConnectTimeoutError) and not has(u3.NewConnectionError):
            return self.connect_timeout()
        if not self.written and has(
            u3.NewConnectionError, requests.exceptions.ProxyError, u3.ProxyError
        ):  # urllib3 also blames a proxy that hangs up after it has read the request
            return self.not_connected(error)
        if has(requests.Timeout, u3.ReadTimeoutError, TimeoutError):
            return self.connect_timeout() if self.unsent else self.silence()
        if has(*_BAD_ADDRESS):
            return self.bad_address(error)
        if ours and self.unsent:
            return self.not_connected(error)
        if has(http.client.IncompleteRead, http.client.RemoteDisconnected):
            return self.cut_off(error)
        if has(*_UNREADABLE):
            return self.unreadable(error)
        return self.cut_off(error) if has(u3.HTTPError, OSError) else None


def _expire(exchange_of: weakref.ref[_Exchange]) -> None:
    """The deadline has passed. Weakly: a timer must not keep the body of a call that ended."""
    exchange = exchange_of()
    if exchange is not None:
        exchange.abort("deadline")


class _Body:
    """The body of a reply, read as it comes."""

    permit: Permit | None = None
    _pieces: Iterator[bytes] = iter(())  # of what was read
    _hurries = False  # the last read had a timeout of its own

    def __init__(self, response: requests.Response, exchange: _Exchange) -> None:
        self._response = response
        self._exchange = exchange
        self._pid = os.getpid()

    def read(self, timeout: float | None = None) -> bytes:
        """Bytes as soon as there are any; ``b""`` at the end."""
        check_is_ours(self._pid)
        self._exchange.patience = timeout
        return self.next(timeout)

    def next(self, timeout: float | None = None) -> bytes:
        """The same, in the process that sent the request."""
        exchange, raw = self._exchange, self._response.raw
        try:
            if (timeout is not None or self._hurries) and isinstance(raw, StrictResponse):
                self._hurries = timeout is not None
                raw.hurry(timeout)
            while (piece := next(self._pieces, None)) is None:
                is_ours = isinstance(raw, StrictResponse)
                data = raw.read1(PIECE) if is_ours else _read_double(raw)
                if exchange.ended_by:
                    raise exchange.ended()
                if not data:
                    if exchange.decoder is not None:
                        exchange.decoder.end()
                    return b""
                self._pieces = exchange.content(data)
            return piece
        except Exception as error:
            exchange.raise_for(error)
            raise

    async def async_read(self, timeout: float | None = None) -> bytes:
        raise PuterError("This reply is read by the sync methods")

    def close(self) -> None:
        self._exchange.end()
        self._response.close()
        if self.permit is not None:
            self.permit.release()

    def abort(self, by: str = "stream") -> None:
        self._exchange.abort(by)  # closing would wait for the read
        if self.permit is not None:
            self.permit.release()


def _read_double(raw: Any) -> bytes:
    """Read of an answer that a test library made."""
    if isinstance(raw, urllib3.HTTPResponse):
        return raw.read(PIECE, decode_content=False)
    return bytes(raw.read(PIECE))


# ---------------------------------------------------------------- connections


class _Connection(HTTPConnection):
    """Tells its exchange what it writes, and is dropped before the server closes it."""

    response_class = StrictResponse
    exchange: _Exchange | None = None
    idle_since = math.inf
    _buffer: list[bytes]
    _until = math.inf
    """When it must be connected."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.lock = threading.Lock()
        super().__init__(*args, **kwargs)

    @property
    def is_connected(self) -> bool:
        fresh = monotonic() - self.idle_since <= IDLE_LIMIT
        return fresh and super().is_connected

    def _new_conn(self) -> socket.socket:
        name, limit = self._dns_host, self.timeout  # the name is also what the Host header says
        self._until = math.inf if limit is None else monotonic() + limit
        try:
            addresses = self._addresses(on_loopback(name), limit)
            while True:
                self._dns_host = addresses.pop(0)
                if limit is not None:  # which every address has its share of
                    left = self._until - monotonic()
                    share = max(left / (len(addresses) + 1), min(left, SHARE))
                    self.timeout = max(share, 0.001)
                try:
                    sock = super()._new_conn()
                except (NewConnectionError, ConnectTimeoutError):
                    if not addresses or monotonic() >= self._until:
                        raise
                else:
                    self._limit(sock)
                    return sock
        finally:
            self._dns_host, self.timeout = name, limit

    def _addresses(self, name: str, limit: float | None) -> list[str]:
        """Where to find a name; looked up in a thread, since nothing else can end that in time."""
        if limit is None or _is_address(name):
            return [name]
        family = allowed_gai_family()
        asked = name, self.port, family, socket.SOCK_STREAM
        outcome: list[Any] = []

        def look_up() -> None:
            try:
                outcome.append(socket.getaddrinfo(*asked))
            except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
                outcome.append(error)

        thread = threading.Thread(target=look_up, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there is none to be had
            look_up()
        else:
            thread.join(limit)
        if not outcome:
            raise ConnectTimeoutError(self, f"Looking up {name} took more than {limit:g} s")
        found = outcome.pop()
        if isinstance(found, socket.gaierror):
            raise NameResolutionError(self.host, self, found) from found
        if isinstance(found, UnicodeError):
            return [name]  # urllib3 says what is wrong with it
        if isinstance(found, BaseException):
            raise found
        numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        return [socket.getnameinfo(one[4], numeric)[0] for one in found] or [name]

    def _limit(self, sock: Any) -> None:
        """Give what follows in connecting the time that is left."""
        if self._until < math.inf:
            sock.settimeout(max(self._until - monotonic(), 0.001))

    def _send_output(self, message_body: Any = None, encode_chunked: bool = False) -> None:
        """Write the head with the beginning of the body: http.client writes them apart."""
        exchange: Any = self.exchange
        head = b"\r\n".join((*self._buffer, b"", b""))
        self._buffer.clear()
        pieces = pieces_of(message_body or b"")
        for piece in itertools.chain((head + next(pieces, b""),), pieces):
            if exchange.ended_by:
                raise exchange.ended()
            exchange.written = True
            try:
                self.send(piece)
            except OSError:
                if not wait_for_read(exchange.socket, 0):
                    raise
                return  # why nothing more is taken: the answer says it
        exchange.is_whole = True


class _TlsConnection(_Connection, HTTPSConnection):
    """Says with whom it shakes hands, until that is done."""

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        if self.exchange is not None and self._tunnel_scheme in (None, "https"):
            self.exchange.securing = self.exchange.next_host
        return sock

    def _tunnel(self) -> None:
        if self.exchange is not None:
            self.exchange.securing = ""
        self._limit(self.sock)
        super()._tunnel()
        self._limit(self.sock)
        if self.exchange is not None:
            self.exchange.securing = self.exchange.host

    def connect(self) -> None:
        super().connect()
        if self.exchange is not None:
            self.exchange.securing = ""


class _Pool(HTTPConnectionPool):
    """Ours, but where a test library such as vcrpy gave urllib3's pools its connections."""

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802 - urllib3's name
        theirs = HTTPConnectionPool.ConnectionCls
        return _Connection if theirs is HTTPConnection else theirs


class _TlsPool(HTTPSConnectionPool):
    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802 - urllib3's name
        theirs = HTTPSConnectionPool.ConnectionCls
        return _TlsConnection if theirs is HTTPSConnection else theirs


_SEND = requests.adapters.HTTPAdapter.send


class _Adapter(requests.adapters.HTTPAdapter):
    """The adapter of requests over these connections, through a proxy or not."""

    _last: tuple[_Route | None, Any] = None, None  # the pool of the last request

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def get_connection_with_tls_context(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """What ``send()`` takes for the pool: the exchange, which uses it."""
        exchange: _Exchange = request.exchange
        route, exchange.pool = self._last
        if route is not exchange.route:
            exchange.pool = super().get_connection_with_tls_context(request, *args, **kwargs)
            self._last = exchange.route, exchange.pool
        return exchange

    def request_url(self, request: Any, proxies: Any) -> str:
        route: _Route = request.exchange.route
        if request.url != route.url:
            return str(super().request_url(request, proxies))
        if route.target is None:
            route.target = str(super().request_url(request, proxies))
        return route.target

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """The pool knows the bundle, as a part of its key."""

    def build_response(self, req: Any, resp: Any) -> Any:
        if not isinstance(resp, StrictResponse):
            return super().build_response(req, resp)
        response: Any = _Response()
        response.raw, response.status_code, response.headers = resp, resp.status, resp.fields
        return response


class _Response(requests.Response):
    """Without what nobody here reads: cookies, history, and the fields once more."""

    _content_consumed = False
    __init__ = object.__init__  # which would set all of them


_POOLS: dict[str, Any] = {"http": _Pool, "https": _TlsPool}


def _is_address(host: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(host.strip("[]"))
        return True
    return False


# ---------------------------------------------------------------- errors


_BAD_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidProxyURL,
    urllib3.exceptions.LocationValueError,
    urllib3.exceptions.ProxySchemeUnsupported,
)
_UNREADABLE = (
    ContentError,
    http.client.HTTPException,
    urllib3.exceptions.DecodeError,
    urllib3.exceptions.InvalidHeader,
    requests.exceptions.ContentDecodingError,
    requests.exceptions.InvalidHeader,  # of the answer: ours are checked before
)
_OURS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, *_UNREADABLE)
