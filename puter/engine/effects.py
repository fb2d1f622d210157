"""Flows and effects: what to do, apart from how it is done.

An operation is a plain generator, a *flow*. It yields small frozen *effects* and is sent their
results; a transport (``puter.engine.transport``) carries the effects out, blocking or on an event
loop:

    def greet(request):                  # no socket, no clock, no event loop in sight
        reply = yield from do(Send(request))
        return reply.body

House rules: no I/O, clock or randomness except through what is passed in; never ``yield`` in
``finally``; never catch ``BaseException``; hold no lock over a ``yield``; one generator per call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from puter.engine.events import Event, Listeners
from puter.engine.throttle import Permit
from puter.records import dataclass, field
from puter.secret import Secret
from puter.types.replies import ChatChunk
from puter.wire.http import HttpReply, HttpRequest

T = TypeVar("T")
R = TypeVar("R")


class Body(Protocol):
    """The open body of a streamed reply."""

    permit: Permit | None
    """The permit that is released when the body is closed."""

    def read(self, timeout: float | None = None) -> bytes:
        """Return the next bytes, ``b""`` at the end."""
        ...

    async def async_read(self, timeout: float | None = None) -> bytes: ...

    def close(self) -> None:
        """Free the connection and the permit. Safe to repeat, and from any finalizer."""

    def abort(self) -> None:
        """Let a read that waits, in another thread or task, fail at once."""


class Effect(Generic[R]):
    """Something to be carried out; its result is an ``R``."""

    __slots__ = ()


Flow: TypeAlias = Generator[Effect[Any], Any, T]
"""A generator that yields effects, is sent their results and returns a ``T``."""


def do(effect: Effect[R]) -> Flow[R]:
    """Yield the effect and return its result, with its type."""
    result: R = yield effect
    return result


@dataclass(frozen=True, slots=True)
class Send(Effect[HttpReply]):
    """Send the request once.

    ``with_token(request.headers, token)`` are the headers as they go out; ``time_left`` bounds the
    exchange, in seconds. ``on_unsent`` is called when it ends without a reply, in whatever way, and
    certainly nothing was written; ``on_open`` with the body of a streamed reply, before anybody
    else has it.
    """

    request: HttpRequest
    token: Secret | None = None
    time_left: float | None = None
    on_unsent: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)
    on_open: Callable[[Body], None] = field(default=lambda _: None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Sleep(Effect[None]):
    """Wait that many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Acquire(Effect[None]):
    """Wait until the permit is admitted, at most ``timeout`` seconds; the flow releases it."""

    permit: Permit
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Notify(Effect[None]):
    """Tell of an event. Behind an async method callbacks may be coroutine functions."""

    event: Event
    listeners: Listeners


@dataclass(frozen=True, slots=True)
class Invoke(Effect[T]):
    """Call a function of the user's, or one that does blocking I/O.

    Behind an async method it may be a coroutine function, and a plain one runs in a thread unless
    it is ``inline``. A task that is cancelled waits for that thread, so what may take long has a
    function ``stop`` that ends it.
    """

    function: Callable[..., T | Awaitable[T]]
    args: tuple[Any, ...] = ()
    inline: bool = False
    stop: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class InvokeAll(Effect[list[Any]]):
    """Make several calls: in order behind a sync method, at once behind an async one.

    The result is a list of what they returned, or of the ``Exception`` they raised. Behind a sync
    method it ends with the first for which ``until`` is true, and no call is begun once ``timeout``
    seconds have passed.
    """

    calls: tuple[Invoke[Any], ...]
    until: Callable[[Exception], bool]
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Read(Effect[bytes]):
    """Wait for more bytes of an open reply; the result is ``b""`` at its end.

    ``timeout`` bounds the wait in seconds, in place of the request's; when it has passed, that is a
    ``PuterTimeoutError``.
    """

    body: Body
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class StreamOpened(Effect[None]):
    """A streamed reply is open; aborting its body from outside ends the flow."""

    body: Body | None


@dataclass(frozen=True, slots=True)
class YieldChunks(Effect[None]):
    """Hand chunks of a stream to the user; with the ``last`` ones the flow is as good as done.

    Whoever takes the effect owns the list. ``seen`` are the texts that came so far, these included,
    where they are not those that the server sent.
    """

    chunks: list[ChatChunk]
    last: bool = False
    seen: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """No effect, but how a transport says that the flow has ended."""

    value: T
