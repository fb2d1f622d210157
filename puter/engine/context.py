"""``CallContext``: what one call works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

from puter.engine.credentials import Credentials, client_closed
from puter.engine.extensions import Extensions, Reservation
from puter.engine.ledger import Ledger
from puter.engine.retry import RetryBudget
from puter.engine.throttle import Permit, Throttle
from puter.exceptions import PuterError, PuterTimeoutError
from puter.records import dataclass, field
from puter.threads import in_thread

if TYPE_CHECKING:
    from decimal import Decimal

    from puter.config import PuterConfig
    from puter.engine.effects import Body, Flow
    from puter.engine.transport import Transport
    from puter.secret import Secret
    from puter.types.model import ModelList
    from puter.types.replies import ChatReply, Usage

T = TypeVar("T")
Kind: TypeAlias = Literal["sync", "async"]


class Transports(dict[Kind, "Transport"]):
    """What carries out the sync methods and what the async ones, opened when first looked up."""

    def __init__(self, openers: Mapping[Kind, Callable[[], Transport]]) -> None:
        super().__init__()
        self.closed: bool = False
        self._openers = openers

    def __missing__(self, kind: Kind) -> Transport:
        self.check_open()
        transport = self.setdefault(kind, self._openers[kind]())
        if self.closed:  # meanwhile, and shut() may have missed this one
            self.pop(kind, None)
            self.check_open()
        return transport

    async def open_async(self) -> Transport:
        """The one of the async methods, opened in a thread: its import would hold up the loop."""
        try:
            opening = in_thread(self.__getitem__, "async")
        except PuterError:  # no thread can be started
            return self["async"]
        return await opening

    def check_open(self) -> None:
        """Raise PuterError when the client is closed."""
        if self.closed:
            raise client_closed()

    def shut(self) -> Transport | None:
        """Close the one of the sync methods and return the other for the caller to close; once."""
        self.closed = True
        blocking, asynchronous = self.pop("sync", None), self.pop("async", None)
        if blocking is not None:
            blocking.close()
        return asynchronous


@dataclass(eq=False)
class SharedState:
    """What a client and its ``with_options`` copies share."""

    credentials: Credentials
    transports: Transports
    ledger: Ledger = field(default_factory=Ledger)
    retry_budget: RetryBudget = field(default_factory=RetryBudget)
    warned: set[tuple[str, str]] = field(default_factory=set)
    """Options and the models that drop them, warned of once."""


class Runner(Protocol):
    """Who runs operations, blocking or on the running event loop: a client."""

    def _run(self, operation: Callable[..., Flow[T]], *args: Any, **kwargs: Any) -> T:
        """Run ``operation(call, *args, **kwargs)`` in this thread, in a call of its own."""
        ...

    async def _async_run(
        self, operation: Callable[..., Flow[T]], *args: Any, **kwargs: Any
    ) -> T: ...

    def _sign_in(self, call: CallContext) -> Flow[None]:
        """Sign in where there is a password and no token."""
        ...


@dataclass(slots=True)
class CallContext:
    """What one call works with: settings as they were when it began, and the client's own parts."""

    operation: str
    """Name of the public method, without ``async_``."""
    config: PuterConfig
    """The client's settings when the call began."""
    throttle: Throttle
    shared: SharedState
    """Credentials, ledger and retry budget, of the client and its copies."""
    runner: Runner
    """The client: it signs in, and downloads the call's result later."""
    catalogues: dict[str, ModelList]
    """Model lists that the client has fetched, by kind."""
    clock: Callable[[], float]
    """Monotonic seconds."""
    random: Callable[[], float]
    """Numbers in [0, 1)."""
    started: float
    """When the call began, by ``clock``."""
    extensions: Extensions = field(default_factory=Extensions)
    """Of the client."""
    model: str = ""
    """The model that is asked, as far as it is known yet."""
    attempts: int = 0
    """How often the present request was sent so far."""
    retries: int = 0
    """How often requests of this call were to be sent again."""
    requested: float = 0.0
    """When the present request was to be sent first, by ``clock``."""
    unsent: bool = False
    """Certainly nothing of the present attempt was written."""
    uncounted: bool = False
    """Middleware around the present attempt has sent what may have run, and is not counted yet."""
    reserved: int = 0
    """How many of the attempts ended because running calls held the money."""
    permits: list[Permit] = field(default_factory=list)
    """What this call waits for or holds: of the throttle, of a conversation, of a queue."""
    bodies: list[Body] = field(default_factory=list)
    """The streamed replies that were opened for it."""
    secrets: tuple[Secret, ...] = ()
    """What its requests hold, beside the client's own, that no error may show."""
    closed: bool = False
    """The stream of this call was closed from outside: nothing more is sent."""
    partial: Callable[[], ChatReply] | None = None
    """What a chat came to until now."""
    reservations: tuple[Reservation, ...] = ()
    """What the present request may cost, in each budget."""
    spent: tuple[tuple[Usage | None, Decimal | None], ...] = ()
    """Tokens and US dollars of what was paid, each None where the server did not tell."""

    def __repr__(self) -> str:
        return f"<CallContext {self.operation}>"

    @property
    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self.clock() - self.started

    def permit(self, throttle: Throttle) -> Permit:
        """A permit to acquire, noted before anything can come between."""
        permit = throttle.permit()
        self.permits.append(permit)
        return permit

    def let_go(self) -> None:
        """Give back what the call still has; an interrupt may have kept its flow."""
        for permit in self.permits:
            permit.release()
        for body in self.bodies:
            body.close()
        self._settle(None, answered=False)

    def reserve(self, request: Any) -> Flow[None]:
        """Reserve in each budget what the next attempt may cost.

        Args:
            request: What it asks for, a ``middleware.Request``.

        Raises:
            PuterBudgetError: That is more than there is left.
        """
        whole = False
        try:
            for budget in self.extensions.budgets:
                yield from budget.reserve(self, request)
            whole = True
        finally:
            if not whole:
                self.release()

    def release(self) -> None:
        """Give back what is reserved: the request certainly did not run."""
        for one in self.reservations:
            one.release()
        self.reservations = ()

    def _settle(self, cost: Decimal | None, *, answered: bool) -> None:
        for one in self.reservations:
            one.settle(cost, answered=answered)
        self.reservations = ()

    def record(
        self,
        model: str,
        usage: Usage | None = None,
        cost: Decimal | None = None,
        *,
        answered: bool = True,
    ) -> None:
        """Count what was paid, or may have been: a request, in the client's ledger and budgets.

        Args:
            model: The model that answered, or was asked; ``""`` when not known.
            usage: Its tokens. Default: not known.
            cost: US dollars. Default: not known.
            answered: It was answered. Else nobody knows whether it ran, unless it told its cost.
        """
        self.shared.ledger.record(self.operation, model, usage, cost)
        self.spent += ((usage, cost),)
        if self.reservations:
            self._settle(cost, answered=answered)

    def note_unsent(self) -> None:
        """Remember that nothing of the present attempt was written."""
        self.unsent = True

    def stream_closed(self) -> PuterError:
        """The error of a call whose stream was closed while more was to be sent."""
        return PuterError(
            "The stream was closed, so the turn was not finished",
            hint="chat(resume=error.partial) finishes it.",
        )

    def time_left(self) -> float | None:
        """Seconds until the deadline, ``None`` without one.

        Raises:
            PuterTimeoutError: It has passed; the request was not sent.
        """
        deadline = self.config.deadline
        if deadline is None:
            return None
        left = deadline - self.elapsed
        if left <= 0:
            raise PuterTimeoutError(
                f"The deadline of {deadline:g} s passed before the request was sent",
                hint="Raise deadline, or make fewer calls at a time.",
            )
        return left
