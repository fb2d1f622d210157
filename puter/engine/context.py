"""``CallContext``: what one call works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from puter.config import PuterConfig
from puter.engine.credentials import Credentials
from puter.engine.effects import Flow
from puter.engine.ledger import Ledger
from puter.engine.retry import RetryBudget
from puter.engine.throttle import Permit, Throttle
from puter.exceptions import PuterTimeoutError
from puter.types.model import ModelList

T = TypeVar("T")


class Runner(Protocol):
    """Who runs operations, blocking or on the running event loop: a client."""

    def _run(self, operation: Callable[..., Flow[T]], *args: Any, **kwargs: Any) -> T:
        """Run ``operation(call, *args, **kwargs)`` in this thread, in a call of its own."""
        raise NotImplementedError

    async def _async_run(
        self, operation: Callable[..., Flow[T]], *args: Any, **kwargs: Any
    ) -> T: ...


@dataclass(slots=True)
class CallContext:
    """What one call works with: settings as they were when it began, and the client's own parts."""

    operation: str
    """Name of the public method, without ``async_``."""
    config: PuterConfig
    """The client's settings when the call began."""
    credentials: Credentials
    throttle: Throttle
    retry_budget: RetryBudget
    ledger: Ledger
    sign_in: Callable[[CallContext], Flow[None]]
    """Signs in where there is a password and no token; see ``puter.api.auth``."""
    runner: Runner
    """The client, for what comes after the call: downloads of its result."""
    catalogues: dict[str, ModelList]
    """Model lists that the client has fetched, by kind."""
    clock: Callable[[], float]
    """Monotonic seconds."""
    random: Callable[[], float]
    """Numbers in [0, 1)."""
    started: float
    """When the call began, by ``clock``."""
    attempts: int = 0
    """How often the present request was sent so far."""
    permits: list[Permit] = field(default_factory=list)
    """What an open stream of this call holds: of the throttle, and of a conversation."""
    closed: bool = False
    """The stream of this call was closed from outside: nothing more is sent."""

    @property
    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self.clock() - self.started

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
