"""The blocking driver: carries out flows with ``requests``."""

from __future__ import annotations

import http.client
import inspect
import os
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, TypeVar

import requests
import urllib3
from urllib3.util.ssl_match_hostname import CertificateError

from puter import events, flow
from puter.exceptions import PuterError, PuterInputError, PuterTimeoutError
from puter.transports import failures
from puter.transports.connections import CHUNK, Adapter, Watch, watch
from puter.transports.route import Routes, ca_bundle
from puter.wire.http import Reply, Request, stays_open

if TYPE_CHECKING:
    from puter.throttle import Slot

T = TypeVar("T")


class Blocking:
    """Runs flows in the calling thread. Threads may share one; it survives fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: requests.Session | None = None
        self._pid = 0
        self._routes = Routes()
        self._open_bodies: weakref.WeakSet[_Body] = weakref.WeakSet()

    def run(self, steps: flow.Flow[T]) -> T:
        """Carry the flow out and return its result."""
        try:
            while not isinstance(end := self.advance(steps), flow.Done):
                pass
            return end.value
        finally:
            steps.close()

    def advance(self, steps: flow.Flow[T]) -> flow.Opened | flow.Emit | flow.Done[T]:
        """Carry the flow out up to the next thing meant for the user."""
        resume: Callable[[Any], flow.Effect] = steps.send
        value: Any = None
        try:
            while True:
                effect = resume(value)
                if isinstance(effect, (flow.Emit, flow.Opened)):
                    return effect
                try:
                    value, resume = self._perform(effect), steps.send
                except BaseException as error:
                    value, resume = error, steps.throw
        except StopIteration as done:
            return flow.Done(done.value)
        finally:
            value = None  # an error kept here would be a reference cycle

    def _perform(self, effect: flow.Effect) -> Any:
        match effect:
            case flow.Send(request):
                return self._send(request)
            case flow.Read(body, patience):
                return body.read(patience)
            case flow.Admit(gate, ticket, timeout):
                try:
                    return gate.enter(ticket, timeout)
                except TimeoutError:
                    raise failures.queued_too_long() from None
                except RuntimeError as error:
                    raise failures.standstill(error) from None
            case flow.Pause(seconds):
                time.sleep(seconds)
            case flow.Tell(event):
                events.log(event)
            case flow.Opened() | flow.Emit():
                pass  # for the user: advance() hands them over
            case flow.Ask():
                return _ask(effect)
            case flow.AskAll(asks, until):
                return _ask_all(asks, until)
        return None

    def _send(self, request: Request) -> Reply:
        response = None
        under = Watch(request)
        watch.set(under)
        try:
            with _translated(request, under):
                response = self._open(request)
            status, headers = response.status_code, response.headers
            if stays_open(request, status, headers.get("Content-Type", "")):
                body, response = _Body(response, request, under), None
                self._open_bodies.add(body)
                return Reply(status, headers, url=request.url, stream=body)
            with _translated(request, under, status):
                return Reply(status, headers, response.content, url=request.url)
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
        for body in list(self._open_bodies):
            body.hang_up()
        with self._lock:
            if self._session is not None and self._pid == os.getpid():
                self._session.close()
            self._session = None


class _Body:
    """The open body of a streamed reply."""

    asynchronous = False

    def __init__(self, response: requests.Response, request: Request, under: Watch) -> None:
        self.slot: Slot | None = None
        self._pieces: Iterator[bytes] | None = None
        self._response = response
        self._request = request
        self._under = under
        self._read1 = getattr(response.raw, "read1", None) or self._read_little

    def read(self, patience: float | None = None) -> bytes:
        """Bytes as soon as there are any; ``b""`` at the end."""
        self._under.patience = patience
        with _translated(self._request, self._under, self._response.status_code):
            data: bytes | None = self._read1(CHUNK, decode_content=True)
            return data or b""

    def _read_little(self, *_: Any, **__: Any) -> bytes:
        """For urllib3 before 2.1, which has no ``read1``: a chunk, or else a byte."""
        raw = self._response.raw
        most = CHUNK if raw.chunked or raw.length_remaining is not None else 1
        pieces = self._pieces or raw.stream(most, decode_content=True)
        self._pieces = pieces
        return next(pieces, b"")

    def close(self) -> None:
        self._response.close()
        if self.slot is not None:
            self.slot.release()

    def hang_up(self) -> None:
        self._under.hang_up()  # closing would wait for the read
        if self.slot is not None:
            self.slot.release()


@contextmanager
def _translated(
    request: Request, under: Watch, status: int | None = None
) -> Generator[None, None, None]:
    """Errors of the libraries below become ours."""
    try:
        yield
    except PuterError:
        raise
    except Exception as error:
        translated = translate(error, request, status)
        if translated is None:
            raise
        if isinstance(translated, PuterTimeoutError) and under.is_over:
            translated = failures.out_of_time(request, sent=translated.sent)
        _strip(error)
        raise translated from error


_ACCEPT_ENCODING = requests.utils.default_headers()["Accept-Encoding"]


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: nothing is followed here, and requests trips over a broken ``Location``."""


def _new_session() -> requests.Session:
    session = _Session()
    session.trust_env = False  # no .netrc; proxies and CA bundle come with each request
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = Adapter(pool_connections=8, pool_maxsize=64)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _shorter(limit: float | None, left: float | None) -> float | None:
    if limit is None or left is None:
        return limit if left is None else left
    return min(limit, left)


def _ask_all(asks: tuple[flow.Ask, ...], until: type[Exception]) -> list[Any]:
    outcomes: list[Any] = []
    for one in asks:
        try:
            outcomes.append(_ask(one))
        except Exception as error:
            outcomes.append(error)
            if isinstance(error, until):
                break
    return outcomes


def _ask(question: flow.Ask) -> Any:
    function = question.function
    answer = function(*question.args)
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
    if has(ssl.SSLCertVerificationError, CertificateError):
        return failures.bad_certificate(request, error)
    if has(requests.ConnectTimeout, u3.ConnectTimeoutError) and not has(u3.NewConnectionError):
        return failures.connect_timeout(request)
    if has(u3.NewConnectionError, requests.exceptions.ProxyError, u3.ProxyError):
        return failures.not_connected(request, error)
    if has(requests.Timeout, u3.ReadTimeoutError, TimeoutError):
        return failures.silence(request)
    if has(*_UNREADABLE) and not has(http.client.RemoteDisconnected):
        return failures.unreadable(request, status, error)
    if has(
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidProxyURL,
        u3.LocationValueError,
        u3.ProxySchemeUnsupported,
    ):
        return failures.bad_address(request, error)
    if isinstance(error, (requests.RequestException, u3.HTTPError, OSError)):
        return failures.cut_off(request, error)
    return None


_UNREADABLE = (
    urllib3.exceptions.DecodeError,
    urllib3.exceptions.InvalidHeader,
    requests.exceptions.ContentDecodingError,
    requests.exceptions.InvalidHeader,  # of the answer: ours are checked before
    http.client.BadStatusLine,
    http.client.LineTooLong,
    http.client.UnknownProtocol,
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    pending = [error]
    while pending:
        one = pending.pop()
        for deeper in (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__):
            if isinstance(deeper, BaseException) and id(deeper) not in seen:
                seen.add(id(deeper))
                pending.append(deeper)
                yield deeper
