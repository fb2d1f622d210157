"""``MockTransport``: answers in memory, for tests; no sockets."""

from __future__ import annotations

import contextlib
import errno
import inspect
import json
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from puter.engine.effects import Send
from puter.engine.throttle import Permit
from puter.engine.transport import Transport
from puter.exceptions import PuterError, repr_of
from puter.secret import with_token
from puter.transports.connection_errors import Exchange
from puter.wire.encoding import ContentError
from puter.wire.http import HttpReply, stays_open

NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class MockRequest:
    """A request as the server would see it; its ``repr`` shows method and address alone."""

    method: str
    """Such as ``"POST"``."""
    url: str
    headers: Mapping[str, str]
    """As they go out, ``Authorization`` with the token included."""
    body: bytes
    """Empty when there is none."""
    timeout: float | None = None
    """Seconds of silence that the call allows."""

    @property
    def json(self) -> Any:
        """The decoded body; None when it is empty."""
        return json.loads(self.body) if self.body else None

    def __repr__(self) -> str:
        return f"<MockRequest {self.method} {self.url.partition('?')[0]}>"


@dataclass(frozen=True)
class MockReply:
    """An answer with its status and headers; give one of ``json``, ``body`` and ``lines``."""

    status: int = 200
    json: Any = None
    """Sent as JSON, as it is."""
    body: bytes | None = None
    """Sent as it is; ``application/octet-stream`` unless a header says otherwise."""
    lines: Iterable[Any] | None = None
    """Lines of a stream: dicts, or bytes as they are, one read each; an exception is raised, and a
    function is called (and awaited) when its turn comes."""
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[MockRequest], Any]


class Faults(Protocol):
    """A ``puter.testing.faults.Plan``."""

    def pick(self, path: str, body: Any) -> Any:
        """The fault that a request to ``path`` meets, if any."""


class MockTransport(Transport):
    """Answers the sync and the async methods of a client in memory.

    Args:
        handler: Called with each ``MockRequest``; it returns

            - a dict, list or str: the *result* of a driver call, put into the server's envelope on
              ``/drivers/call``, and JSON as it is elsewhere;
            - bytes, as ``application/octet-stream``;
            - a ``MockReply``, for a status and headers of its own;
            - an iterator of stream lines (dicts, or bytes as they are);
            - an exception, which is raised;
            - a fault, such as ``faults.status(503)``.

            For the async methods it may be a coroutine function.
        faults: What goes wrong, a ``puter.testing.faults.Plan``. Faults of the connection become
            the errors that the real transports make of them.

    Raises:
        TypeError: The handler is no function.

    Examples:
        >>> from puter import PuterAI
        >>> from puter.testing import MockTransport
        >>> mock = MockTransport(lambda request: {"message": {"content": "Hello!"}})
        >>> PuterAI(token="t", transport=mock).chat("Hi")
        ChatReply('Hello!', model='')
        >>> mock.requests[0].json["args"]["messages"]
        [{'role': 'user', 'content': 'Hi'}]
    """

    def __init__(self, handler: Handler, faults: Faults | None = None) -> None:
        if not callable(handler):
            raise TypeError(
                f"MockTransport() takes a function of a MockRequest, not {type(handler).__name__}: "
                "write MockTransport(lambda request: ...)"
            )
        self.requests: list[MockRequest] = []
        """What was sent so far."""
        self._handler, self._faults = handler, faults

    def send(self, effect: Send) -> HttpReply:
        request = self._seen(effect)
        fault = self._fault_for(request)
        answer = fault if fault and not fault.ran else self._handler(request)
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            raise PuterError("An async handler answers async methods only")
        return _reply(effect, request, answer, fault)

    async def async_send(self, effect: Send) -> HttpReply:
        request = self._seen(effect)
        fault = self._fault_for(request)
        answer = fault if fault and not fault.ran else self._handler(request)
        answer = await answer if inspect.isawaitable(answer) else answer
        return _reply(effect, request, answer, fault)

    def _fault_for(self, request: MockRequest) -> Any:
        if self._faults is None:
            return None
        return self._faults.pick(urlsplit(request.url).path, request.json)

    def _seen(self, effect: Send) -> MockRequest:
        request = effect.request
        headers = with_token(request.headers, effect.token)
        body = bytes(request.body or b"")
        seen = MockRequest(request.method, request.url, headers, body, request.timeout)
        self.requests.append(seen)
        return seen


def _reply(effect: Send, request: MockRequest, answer: Any, fault: Any) -> HttpReply:
    if isinstance(answer, BaseException):
        raise answer
    if hasattr(answer, "in_memory"):
        answer, fault = MockReply(json={"success": True, "result": None}), answer
    mock = _mock_reply(request, answer)
    kind = "application/json"
    if mock.lines is not None:
        kind, body = NDJSON, MockBody(mock.lines)
    elif mock.body is not None:
        kind, body = "application/octet-stream", MockBody([bytes(mock.body)])
    else:
        body = MockBody([json.dumps(mock.json, separators=(",", ":")).encode()])
    headers = {"content-type": kind, **mock.headers}
    reply = HttpReply(mock.status, headers, url=request.url)
    if fault is not None:
        reply, body = _spoilt(effect, request, fault, reply, body, streamed=mock.lines is not None)
    if stays_open(effect.request, reply.status, reply.content_type):
        effect.on_open(body)
        reply.stream = body
    else:
        reply.body = b"".join(iter(body.read, b""))
    return reply


def _spoilt(
    effect: Send, request: MockRequest, fault: Any, reply: HttpReply, body: MockBody, **about: Any
) -> tuple[HttpReply, MockBody]:
    """What ``fault`` leaves of an answer. Raises the error that a transport makes of it."""
    exchange = Exchange(effect.request, time_left=effect.time_left)
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    secrets = f"{token} {request.body.decode(errors='replace')}".strip()
    about |= {"status": reply.status, "headers": {"Content-Type": reply.headers["content-type"]}}
    pieces = list(iter(body._next, b""))
    changed = fault.in_memory(**about, pieces=pieces, echo=secrets)
    match changed if isinstance(changed, str) else changed.end:
        case "silence":
            error: PuterError | None = exchange.silence()
        case None:
            error = None
        case "closed":
            error = exchange.cut_off(EOFError())
        case "reset" | "reset before its unknown end" as how:
            exchange._open_ended = how != "reset"
            error = exchange.cut_off(ConnectionResetError(errno.ECONNRESET, "reset"))
        case "too large":
            error = exchange.too_large()
        case told:
            error = exchange.unreadable(ContentError(told))
    if isinstance(changed, str):
        assert error is not None  # noqa: S101 - for the type checker
        raise error
    lines = [one for one in changed.pieces if one and not isinstance(one, float)]
    spoilt = MockBody(lines if error is None else [*lines, error])
    return HttpReply(changed.status, changed.headers, url=request.url), spoilt


def _mock_reply(request: MockRequest, answer: Any) -> MockReply:
    if isinstance(answer, MockReply):
        return answer
    if isinstance(answer, (bytes, bytearray)):
        return MockReply(body=bytes(answer))
    if isinstance(answer, Iterator):
        return MockReply(lines=answer)
    if isinstance(answer, AsyncIterator):
        raise PuterError("Lines come from a plain iterator; a line may be an async function")
    if answer is None or (isinstance(answer, (int, float)) and not isinstance(answer, bool)):
        raise PuterError(
            f"The handler of MockTransport returned {repr_of(answer)}",
            hint="Return a dict, list, str, bytes, iterator of lines or exception; for other JSON "
            "a MockReply(json=...), or on /drivers/call MockReply(json={'result': ...}).",
        )
    if request.url.endswith("/drivers/call"):
        return MockReply(json={"success": True, "result": _result(request, answer)})
    return MockReply(json=answer)


def _result(request: MockRequest, answer: Any) -> Any:
    """A bare str answers a chat as the model's text."""
    if isinstance(answer, str) and request.json.get("interface") == "puter-chat-completion":
        return {"message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
    return answer


class MockBody:
    """The open body of a streamed answer; each line is one read."""

    def __init__(self, lines: Iterable[Any]) -> None:
        self.permit: Permit | None = None
        self.closed: bool = False
        """Whether the client let go of it."""
        self._lines = iter(lines)

    def read(self, timeout: float | None = None) -> bytes:
        while not isinstance(line := self._next(), bytes):
            if inspect.iscoroutine(found := line()):
                found.close()
                raise PuterError("An async line is for async methods only")
        return line

    async def async_read(self, timeout: float | None = None) -> bytes:
        while not isinstance(line := self._next(), bytes):
            if inspect.isawaitable(found := line()):
                await found
        return line

    def _next(self) -> Any:
        line = b"" if self.closed else next(self._lines, b"")
        if isinstance(line, BaseException):
            raise line
        if isinstance(line, Mapping):
            return json.dumps(line, separators=(",", ":")).encode() + b"\n"
        if not isinstance(line, bytes) and not callable(line):
            raise PuterError(
                f"A line of MockTransport is a dict or bytes, not {type(line).__name__}",
                hint="A piece of text is {'type': 'text', 'text': '...'}.",
            )
        return line

    def close(self) -> None:
        self.closed = True
        if isinstance(self._lines, Generator):
            with contextlib.suppress(ValueError):  # it runs, in another thread
                self._lines.close()
        if self.permit is not None:
            self.permit.release()

    abort = close
