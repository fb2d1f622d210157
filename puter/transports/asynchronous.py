"""The asynchronous driver: carries out flows with ``aiohttp``."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import math
import os
import ssl
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from puter import events, flow
from puter.exceptions import PuterError
from puter.transports import failures
from puter.transports.route import Routes, ca_bundle, on_loopback
from puter.wire.http import Reply, Request, stays_open

if TYPE_CHECKING:
    from puter.throttle import Slot

T = TypeVar("T")

IDLE_LIMIT = 4.0
"""Seconds a kept connection may idle (Puter backend: closed after 5, Keep-Alive: timeout=5)."""

HEADER = 2**16
"""Bytes of a header line at most, as http.client has it."""

LARGE = 2**20
"""Bytes from which on aiohttp wants a body in pieces."""
PIECE = 2**16
"""Bytes of such a piece."""


class Asynchronous:
    """Runs flows on the running event loop, with one session per loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[asyncio.AbstractEventLoop, _LoopSession] = {}
        self._pid = os.getpid()
        self._routes = Routes()
        self._open_bodies: weakref.WeakSet[_Body] = weakref.WeakSet()
        # At interpreter exit, and when the client is garbage: nothing is left to complain.
        self._farewell = weakref.finalize(self, _abandon_all, self._sessions, self._pid)

    async def run(self, steps: flow.Flow[T]) -> T:
        """Carry the flow out and return its result."""
        try:
            while not isinstance(end := await self.advance(steps), flow.Done):
                pass
            return end.value
        finally:
            steps.close()

    async def advance(self, steps: flow.Flow[T]) -> flow.Opened | flow.Emit | flow.Done[T]:
        """Carry the flow out up to the next thing meant for the user."""
        resume: Callable[[Any], flow.Effect] = steps.send
        value: Any = None
        try:
            while True:
                effect = resume(value)
                if isinstance(effect, (flow.Emit, flow.Opened)):
                    return effect
                try:
                    value, resume = await self._perform(effect), steps.send
                except BaseException as error:
                    value, resume = error, steps.throw
        except StopIteration as done:
            return flow.Done(done.value)
        finally:
            value = None  # an error kept here would be a reference cycle

    async def _perform(self, effect: flow.Effect) -> Any:
        match effect:
            case flow.Send(request):
                return await self._send(request)
            case flow.Read(body, patience):
                return await body.read(patience)
            case flow.Admit(gate, ticket, timeout):
                try:
                    return await gate.enter_async(ticket, timeout)
                except TimeoutError:
                    raise failures.queued_too_long() from None
                except RuntimeError as error:
                    raise failures.standstill(error) from None
            case flow.Pause(seconds):
                await asyncio.sleep(seconds)
            case flow.Tell(event):
                events.log(event)
            case flow.Opened() | flow.Emit():
                pass  # for the user: advance() hands them over
            case flow.Ask():
                return await _ask(effect)
            case flow.AskAll(asks, _):
                return await _ask_all(asks)
        return None

    async def _send(self, request: Request) -> Reply:
        response = None
        try:
            with _Translated(request):
                session = await self._current()
                await asyncio.sleep(
                    0
                )  # lets the loop notice connections that were closed meanwhile
                response = await session.request(**self._arguments(request))
            status, headers = response.status, response.headers
            if stays_open(request, status, headers.get("Content-Type", "")):
                body, response = _Body(response, request), None
                self._open_bodies.add(body)
                return Reply(status, headers, url=request.url, stream=body)
            with _Translated(request, status):
                return Reply(status, headers, await response.read(), url=request.url)
        finally:
            if response is not None:
                response.release()

    def _arguments(self, request: Request) -> dict[str, Any]:
        headers = dict(request.headers)
        if request.token is not None:
            headers["Authorization"] = f"Bearer {request.token}"
        data: bytes | AsyncIterator[memoryview] | None = request.body
        if request.body is not None and len(request.body) > LARGE:
            headers["Content-Length"] = str(len(request.body))
            data = _in_pieces(request.body)
        route = self._routes.of(request)
        return {
            "method": request.method,
            "url": URL(request.url, encoded=True),
            "data": data,
            "headers": headers,
            "allow_redirects": False,
            "proxy": route.proxy,
            "ssl": _tls(ca_bundle(route.bundle)) if request.url.startswith("https:") else True,
            "timeout": _limits(request),
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
        for body in list(self._open_bodies):
            body.hang_up()
        with self._lock:
            sessions = dict(self._sessions)
            self._sessions.clear()
        if self._pid == os.getpid():
            for loop, one in sessions.items():
                one.close_from_outside(loop)

    def _take(self, loop: asyncio.AbstractEventLoop) -> _LoopSession | None:
        with self._lock:
            return self._sessions.pop(loop, None)


class _Body:
    """The open body of a streamed reply."""

    asynchronous = True

    def __init__(self, response: aiohttp.ClientResponse, request: Request) -> None:
        self.slot: Slot | None = None
        self._response = response
        self._request = request
        self._loop = asyncio.get_running_loop()

    async def read(self, patience: float | None = None) -> bytes:
        """Bytes as soon as there are any; ``b""`` at the end."""
        timer = None
        if patience is not None:
            timer = self._loop.call_later(patience, self._response.close)
        try:
            with _Translated(self._request, self._response.status):
                return await self._response.content.readany()
        finally:
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        try:
            mine = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            mine = False
        if mine or self._loop.is_closed():
            self._close_response()
        else:  # a finalizer in another thread: sockets belong to their loop
            with contextlib.suppress(RuntimeError):  # it closed just now
                self._loop.call_soon_threadsafe(self._close_response)
        if self.slot is not None:
            self.slot.release()

    hang_up = close

    def _close_response(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop is closed: the socket went with it
            self._response.close()


class _Translated:
    """Errors of aiohttp become ours."""

    def __init__(self, request: Request, status: int | None = None) -> None:
        self._request = request
        self._status = status

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, PuterError):
            return
        translated = translate(error, self._request, self._status)
        if translated is None:
            return
        _strip(error)
        raise translated from error


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
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=IDLE_LIMIT, resolver=_Resolver()
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=HEADER,
            max_field_size=HEADER,
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
        with contextlib.suppress(RuntimeError):  # its loop is closed
            connector._close()  # close() leaves a task to a loop that may never run
        with contextlib.suppress(StopIteration, RuntimeError):
            self._life.aclose().send(None)  # nothing left to await: no hook need finish it later


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


def _limits(request: Request) -> aiohttp.ClientTimeout:
    connect, left = request.connect_timeout, request.time_left
    if left is not None:  # a little less: the error must know that it was connecting
        connect = min(left * 0.99, math.inf if connect is None else connect)
    return aiohttp.ClientTimeout(
        total=left,
        connect=connect,  # resolving the name and the handshake included
        sock_read=request.timeout,
        ceil_threshold=math.inf,  # no rounding up to whole seconds
    )


async def _in_pieces(body: bytes) -> AsyncIterator[memoryview]:
    """A large body: aiohttp warns about one as a whole, and would copy an ``io.BytesIO``."""
    view = memoryview(body)
    for start in range(0, len(view), PIECE):
        yield view[start : start + PIECE]


@lru_cache(maxsize=16)
def _tls(bundle: str) -> ssl.SSLContext:
    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


async def _ask(question: flow.Ask) -> Any:
    if question.cheap or inspect.iscoroutinefunction(question.function):
        answer = question.function(*question.args)
    else:
        answer = await _in_thread(question)
    return await answer if inspect.isawaitable(answer) else answer


async def _in_thread(question: flow.Ask) -> Any:
    """Run it in a thread, and do not leave that alone when this task is cancelled."""
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    # A future, not a task: a loop that shuts down would cancel a task and leave the thread alone.
    running = loop.run_in_executor(None, lambda: context.run(_call, question))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await _end_of([running])
        raise


def _call(question: flow.Ask) -> Any:
    try:
        return question.function(*question.args)
    except StopIteration as error:  # a future that is given one never ends
        raise RuntimeError(repr(error)) from error


async def _ask_all(asks: tuple[flow.Ask, ...]) -> list[Any]:
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(_outcome(one)) for one in asks]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await _end_of(tasks)


async def _end_of(tasks: list[asyncio.Future[Any]]) -> None:
    """Wait for them, however often this task is cancelled meanwhile."""
    while left := [task for task in tasks if not task.done()]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(left)


async def _outcome(question: flow.Ask) -> Any:
    try:
        return await _ask(question)
    except Exception as error:
        return error


def _strip(error: BaseException) -> None:
    """A response error of aiohttp holds the request's headers and URL, and with them secrets."""
    if isinstance(error, aiohttp.ClientResponseError):
        where = error.request_info.real_url.origin()
        bare = aiohttp.RequestInfo(where, "", CIMultiDictProxy(CIMultiDict()), where)
        error.request_info, error.history, error.headers = bare, (), None
        error.args = (bare, ())


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
    if isinstance(error, (aiohttp.ClientResponseError, HttpProcessingError)) or (
        isinstance(error, aiohttp.ClientPayloadError)
        and isinstance(error.__cause__, ContentEncodingError)
    ):
        return failures.unreadable(request, status, error)
    if isinstance(error, (aiohttp.ClientError, OSError)):
        return failures.cut_off(request, error)
    return None
