"""Flows and effects: what to do, apart from how it is done.

An operation is a plain generator, a *flow*. It yields small frozen *effects* and is sent their
results; a driver (``puter.transports``) carries the effects out, blocking or on an event loop:

    def greet(request):                  # no socket, no clock, no event loop in sight
        reply = yield from send(request)
        return reply.body

House rules: no I/O, clock or randomness except through what is passed in; never ``yield`` in
``finally``; never catch ``BaseException``; hold no lock over a ``yield``; one generator per call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from puter.events import Event
    from puter.replies import ChatChunk
    from puter.throttle import Slot, Throttle
    from puter.wire.http import Reply, Request

T = TypeVar("T")


class Body(Protocol):
    """The open body of a streamed reply.

    Attributes:
        slot: Its place behind the gate, given back when it is closed.
        asynchronous: Whether ``read`` is awaited.
    """

    slot: Slot | None

    @property
    def asynchronous(self) -> bool: ...

    def read(self, patience: float | None = None) -> Any:
        """The next bytes, or an awaitable of them behind the async door."""

    def close(self) -> None:
        """Free the connection and the place. Safe to repeat, and from any finalizer."""

    def hang_up(self) -> None:
        """Let a read that waits, in another thread or task, fail at once."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request once; the result is the server's ``Reply``."""

    request: Request


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait that many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Admit:
    """Wait for a place behind the gate; the result is the slot to release."""

    gate: Throttle
    ticket: int | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Tell:
    """Report an event to whoever listens."""

    event: Event


@dataclass(frozen=True, slots=True)
class Ask:
    """Call the user's function, which may be a coroutine function behind the async door.

    There a plain one runs in a thread, unless it is ``cheap``.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    cheap: bool = False


@dataclass(frozen=True, slots=True)
class AskAll:
    """Make several calls: in order behind the sync door, at once behind the async one.

    The result is a list of what they returned, or of the ``Exception`` they raised. Behind the
    sync door it ends with the first that is one of ``until``.
    """

    asks: tuple[Ask, ...]
    until: type[Exception]


@dataclass(frozen=True, slots=True)
class Read:
    """Wait for more bytes of an open reply; the result is ``b""`` at its end.

    ``patience`` limits the wait in seconds; when it runs out that is the end, too.
    """

    body: Body
    patience: float | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A streamed reply is open; hanging up its body from outside ends the flow."""

    body: Body | None


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand a chunk of a stream to the user; with the ``last`` one the flow is as good as done."""

    chunk: ChatChunk
    last: bool = False


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """No effect, but how a driver says that the flow has ended."""

    value: T


Effect: TypeAlias = "Send | Pause | Admit | Tell | Ask | AskAll | Read | Opened | Emit"
Flow: TypeAlias = Generator[Effect, Any, T]
Exchange: TypeAlias = "Callable[[Request], Flow[Reply]]"


def send(request: Request) -> Flow[Reply]:
    reply: Reply = yield Send(request)
    return reply


def pause(seconds: float) -> Flow[None]:
    yield Pause(seconds)


def admit(gate: Throttle, ticket: int | None = None, timeout: float | None = None) -> Flow[Slot]:
    slot: Slot = yield Admit(gate, ticket, timeout)
    return slot


def tell(event: Event) -> Flow[None]:
    yield Tell(event)


def read(body: Body, patience: float | None = None) -> Flow[bytes]:
    data: bytes = yield Read(body, patience)
    return data


def ask_all(asks: tuple[Ask, ...], until: type[Exception]) -> Flow[list[Any]]:
    outcomes: list[Any] = yield AskAll(asks, until)
    return outcomes


def ask(function: Callable[..., T | Awaitable[T]], *args: Any) -> Flow[T]:
    answer: T = yield Ask(function, args)
    return answer
