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
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from puter.events import Event
    from puter.throttle import Slot, Throttle
    from puter.wire.http import Reply, Request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request once; the result is the server's :class:`~puter.wire.http.Reply`."""

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
    """Call the user's function, which may be a coroutine function behind the async door."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()


Effect: TypeAlias = "Send | Pause | Admit | Tell | Ask"
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


def ask(function: Callable[..., T | Awaitable[T]], *args: Any) -> Flow[T]:
    answer: T = yield Ask(function, args)
    return answer
