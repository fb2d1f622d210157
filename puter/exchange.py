"""How a request becomes a checked answer: retrying(throttled(signed(checked(send))))."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from puter.events import Answered, Retrying
from puter.exceptions import PuterError, PuterRateLimitError, PuterTimeoutError
from puter.flow import Exchange, Flow, admit, pause, send, tell
from puter.retry import RetryBudget, RetryPolicy
from puter.wire.errors import check

if TYPE_CHECKING:
    from puter.config import PuterConfig
    from puter.credentials import Credentials
    from puter.ledger import Ledger
    from puter.models import ModelRegistry
    from puter.throttle import Slot, Throttle
    from puter.wire.http import Reply, Request

T = TypeVar("T")


@dataclass(slots=True)
class Call:
    """What one call works with: settings as they were when it began, and the client's own parts.

    Attributes:
        attempts: How often the present request was sent so far.
        places: What an open stream of this call holds: behind the gate, and in a conversation.
    """

    config: PuterConfig
    credentials: Credentials
    throttle: Throttle
    budget: RetryBudget
    ledger: Ledger
    registry: ModelRegistry
    clock: Callable[[], float]
    random: Callable[[], float]
    attempts: int = 0
    places: list[Slot] = field(default_factory=list)
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def claim(self) -> None:
        """Whoever reads an open stream now is who holds its places."""
        for place in self.places:
            place.claim()

    @property
    def elapsed(self) -> float:
        return self.clock() - self.started

    def time_left(self) -> float | None:
        """Seconds until the deadline, ``None`` without one.

        Raises:
            PuterTimeoutError: It has passed; the request was not sent.
        """
        if self.config.deadline is None:
            return None
        left = self.config.deadline - self.elapsed
        if left <= 0:
            raise deadline_passed(self.config.deadline)
        return left


def deadline_passed(deadline: float) -> PuterTimeoutError:
    return PuterTimeoutError(
        f"The deadline of {deadline:g} s passed before the request was sent",
        hint="Raise deadline, or make fewer calls at a time.",
    )


def exchange(call: Call, request: Request) -> Flow[Reply]:
    """Send the request as its marks and the client's settings say, and check the answer.

    Raises:
        PuterError: The typed error of the last attempt, with ``attempts`` filled in.
    """
    call.attempts = 0  # a sign-in before it does not count
    steps = retrying(call, throttled(call, signed(call, checked(call))))
    return (yield from steps(request))


def counted(call: Call, steps: Flow[T]) -> Flow[T]:
    """Errors found in an answer, after the exchange, tell its attempts as well."""
    try:
        return (yield from steps)
    except PuterError as error:
        error.attempts = error.attempts or call.attempts
        raise


def checked(call: Call) -> Exchange:
    """One attempt: send, then turn anything but a success into its error."""

    def step(request: Request) -> Flow[Reply]:
        left = call.time_left()
        if left is not None:
            request = dataclasses.replace(request, time_left=left)
        call.attempts += 1
        begun = call.clock()
        reply = yield from send(request)
        yield from tell(Answered(request.method, request.url, reply.status, call.clock() - begun))
        return check(request, reply)

    return step


def signed(call: Call, inner: Exchange) -> Exchange:
    """Add the token, read anew for each attempt."""

    def step(request: Request) -> Flow[Reply]:
        token = call.credentials.token_for(call.config) if request.signed else None
        secrets = call.credentials.secrets() + request.secrets
        return (yield from inner(dataclasses.replace(request, token=token, secrets=secrets)))

    return step


def throttled(call: Call, inner: Exchange) -> Exchange:
    """Hold a place behind the gate while the request runs; a retry keeps its place in the queue."""
    ticket = call.throttle.ticket()

    def step(request: Request) -> Flow[Reply]:
        if not request.limited:
            return (yield from inner(request))
        slot: Slot | None = yield from admit(call.throttle, ticket, call.time_left())
        try:
            reply = yield from inner(request)
            if reply.stream is not None:
                reply.stream.slot, slot = slot, None  # a stream holds its place until closed
                call.places.append(reply.stream.slot)
            return reply
        finally:
            if slot is not None:
                slot.release()

    return step


def heed(throttle: Throttle, words: str, delay: float) -> None:
    """Puter's own gate said no: fewer run at a time from now on, or everyone waits a while.

    Puter backend: "Too many concurrent requests." when too many run, else "Too many requests.".
    """
    if "concurrent" in words:
        throttle.narrow()
    else:
        throttle.hold_off(delay)


def retrying(call: Call, inner: Exchange) -> Exchange:
    """Send again what may be sent again."""

    def step(request: Request) -> Flow[Reply]:
        policy = RetryPolicy.of(call.config)
        attempt = 0
        while True:
            attempt += 1
            try:
                reply = yield from inner(request)
            except PuterError as error:
                error.attempts = call.attempts
                delay = policy.delay(error, request, attempt, call.random)
                at_gate = isinstance(error, PuterRateLimitError)
                if delay is None or not (at_gate or call.budget.take()):
                    raise
                if (
                    call.config.deadline is not None
                    and call.elapsed + delay >= call.config.deadline
                ):
                    raise
                reason = f"{type(error).__name__} {error.code or ''}".strip()
                words = error.message
                at_gate = at_gate and error.code != "upstream_rate_limited"
            else:
                call.budget.answered()
                call.throttle.answered()
                return reply
            yield from tell(Retrying(request.method, request.url, attempt, delay, reason))
            if at_gate and request.limited:
                heed(call.throttle, words, delay)
            yield from pause(delay)

    return step
