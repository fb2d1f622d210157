"""The blocking driver: carries out flows with ``requests``."""

from __future__ import annotations

import inspect
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import requests
import requests.adapters
import urllib3
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from puter import events, flow
from puter.exceptions import PuterError, PuterInputError
from puter.transports import failures
from puter.transports.route import Routes, ca_bundle
from puter.wire.http import Reply, Request

T = TypeVar("T")

IDLE_LIMIT = 4.0
"""Seconds a kept connection may idle (Puter backend: closed after 5, Keep-Alive: timeout=5)."""

CHUNK = 65536


class Blocking:
    """Runs flows in the calling thread. Threads may share one; it survives fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: requests.Session | None = None
        self._pid = 0
        self._routes = Routes()

    def run(self, steps: flow.Flow[T]) -> T:
        """Carry the flow out and return its result."""
        resume: Callable[[Any], flow.Effect] = steps.send
        value: Any = None
        try:
            while True:
                effect = resume(value)
                try:
                    value, resume = self._perform(effect), steps.send
                except BaseException as error:
                    value, resume = error, steps.throw
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            value = None  # an error kept here would be a reference cycle
            steps.close()

    def _perform(self, effect: flow.Effect) -> Any:
        match effect:
            case flow.Send(request):
                return self._send(request)
            case flow.Admit(gate, ticket, timeout):
                try:
                    return gate.enter(ticket, timeout)
                except TimeoutError:
                    raise failures.queued_too_long() from None
            case flow.Pause(seconds):
                time.sleep(seconds)
            case flow.Tell(event):
                events.log(event)
            case flow.Ask(function, args):
                return _ask(function, args)
        return None

    def _send(self, request: Request) -> Reply:
        response = None
        try:
            response = self._open(request)
            body = _body(response, request)
            return Reply(response.status_code, response.headers, body, url=request.url)
        except PuterError:
            raise
        except Exception as error:
            status = response.status_code if response is not None else None
            translated = translate(error, request, status)
            if translated is None:
                raise
            _strip(error)
            raise translated from error
        finally:
            if response is not None:
                response.close()

    def _open(self, request: Request) -> requests.Response:
        prepared = requests.PreparedRequest()
        headers = dict(request.headers)
        headers["Accept-Encoding"] = _ACCEPT_ENCODING
        if request.token is not None:
            headers["Authorization"] = f"Bearer {request.token}"
        prepared.prepare(method=request.method, url=request.url, headers=headers, data=request.body)
        route = self._routes.of(request)
        return self._current().send(
            prepared,
            stream=True,
            allow_redirects=False,
            timeout=(
                _shorter(request.connect_timeout, request.time_left),
                _shorter(request.timeout, request.time_left),
            ),
            proxies={"http": route.proxy, "https": route.proxy} if route.proxy else {},
            verify=ca_bundle(route.bundle),
            cert=None,
        )

    def _current(self) -> requests.Session:
        with self._lock:
            if self._session is None or self._pid != os.getpid():
                # A forked child must not talk on its parent's sockets, nor close them.
                self._session, self._pid = _new_session(), os.getpid()
            return self._session

    def close(self) -> None:
        with self._lock:
            if self._session is not None and self._pid == os.getpid():
                self._session.close()
            self._session = None


_ACCEPT_ENCODING = requests.utils.default_headers()["Accept-Encoding"]


def _new_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no .netrc; proxies and CA bundle come with each request
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(pool_connections=8, pool_maxsize=64)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class _FreshPool(HTTPConnectionPool):
    """A pool that drops connections idle for so long that the server is about to close them."""

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)

    def _get_conn(self, timeout: float | None = None) -> Any:
        conn = super()._get_conn(timeout)
        if time.monotonic() - getattr(conn, "idle_since", float("inf")) > IDLE_LIMIT:
            conn.close()
        return conn


class _FreshTlsPool(_FreshPool, HTTPSConnectionPool):
    pass


_POOLS: dict[str, Any] = {"http": _FreshPool, "https": _FreshTlsPool}


class _Adapter(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def _body(response: requests.Response, request: Request) -> bytes:
    if request.time_left is None:
        return response.content
    until = time.monotonic() + request.time_left - response.elapsed.total_seconds()
    return b"".join(_within(response, request, until))


def _within(response: requests.Response, request: Request, until: float) -> Iterator[bytes]:
    sock = getattr(getattr(response.raw, "connection", None), "sock", None)
    for chunk in response.iter_content(CHUNK):
        yield chunk
        left = until - time.monotonic()
        if left <= 0:
            raise failures.out_of_time(request, sent=True)
        if sock is not None:
            sock.settimeout(_shorter(request.timeout, left))


def _shorter(limit: float | None, left: float | None) -> float | None:
    if limit is None or left is None:
        return limit if left is None else left
    return min(limit, left)


def _ask(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    answer = function(*args)
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise PuterInputError(
            f"{getattr(function, '__name__', 'the function')} is asynchronous, "
            "and this is the sync door",
            hint="Pass a plain function, or call the async_ method.",
        )
    return answer


def _strip(error: BaseException) -> None:
    """A requests error holds the request, and with it the token."""
    if isinstance(error, requests.RequestException):
        error.request = error.response = None


def translate(error: Exception, request: Request, status: int | None = None) -> PuterError | None:
    """Our error for one of requests, urllib3 or the socket; None when it is none of theirs."""
    inner = [error, *_causes(error)]

    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(one, kinds) for one in inner)

    u3 = urllib3.exceptions
    if has(ssl.SSLCertVerificationError):
        return failures.bad_certificate(request, error)
    if has(requests.ConnectTimeout, u3.ConnectTimeoutError) and not has(u3.NewConnectionError):
        return failures.connect_timeout(request)
    if has(u3.NewConnectionError, requests.exceptions.ProxyError, u3.ProxyError):
        return failures.not_connected(request, error)
    if has(requests.Timeout, u3.ReadTimeoutError, TimeoutError):
        return failures.silence(request)
    if has(u3.DecodeError, requests.exceptions.ContentDecodingError):
        return failures.unreadable(request, status, error)
    if has(
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidHeader,
        requests.exceptions.InvalidProxyURL,
        u3.LocationValueError,
    ):
        return failures.bad_address(request, error)
    if isinstance(error, (requests.RequestException, u3.HTTPError, OSError)):
        return failures.cut_off(request, error)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    todo = [error]
    while todo:
        one = todo.pop()
        for deeper in (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__):
            if isinstance(deeper, BaseException) and id(deeper) not in seen:
                seen.add(id(deeper))
                todo.append(deeper)
                yield deeper
