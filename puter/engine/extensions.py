"""``Extensions``: what ``use()`` and ``on()`` gave a client."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from decimal import Decimal


class Reservation(Protocol):
    """What one request may cost, until that is known; only what it is told first counts."""

    def settle(self, cost: Decimal | None, *, answered: bool) -> None:
        """It cost that, None when nobody knows; without an answer it may have run all the same.

        It never waits, as a stream that is dropped comes here in the midst of anything.
        """
        ...

    def release(self) -> None:
        """It certainly did not run."""
        ...


_NONE: Mapping[str, Any] = MappingProxyType({})


def key_of(model: object) -> str:
    """A name of a model as those of drivers are looked up."""
    return str(model or "").strip().lower()


class Extensions:
    """What a client was given to work with beside its settings; its copies have one of their own.

    Each attribute is replaced, never changed in place, so calls under way may read it.
    """

    __slots__ = (
        "attempts", "budgets", "drivers", "installed", "listeners", "middleware",
        "serializer",
    )  # fmt: skip

    def __init__(self) -> None:
        self.middleware: tuple[Any, ...] = ()
        """``middleware.Middleware`` around whole calls; the first is outermost."""
        self.attempts: tuple[Any, ...] = ()
        """``middleware.AttemptMiddleware`` around each HTTP attempt; the first is outermost."""
        self.budgets: tuple[Any, ...] = ()
        """``extensions.budget.Budget``: where what a billed request may cost is reserved."""
        self.listeners: dict[str, tuple[Any, ...]] = {}
        """``events.Listener`` by the name of the event."""
        self.drivers: Mapping[str, Any] = _NONE
        """``servers.Server`` by the name of a model, in lower case."""
        self.serializer: Any = None
        """``wire.serializing.Serializer``; None: the standard library."""
        self.installed: tuple[object, ...] = ()
        """What ``use()`` was given."""

    def server_of(self, model: object) -> Any:
        """The ``servers.Server`` whose driver takes the chats of a model; None for Puter."""
        return self.drivers.get(key_of(model))

    def copy(self) -> Extensions:
        twin = Extensions()
        twin.become(self)
        return twin

    def become(self, other: Extensions) -> None:
        """Have what the other has; who holds this one sees it."""
        for name in Extensions.__slots__:
            setattr(self, name, getattr(other, name))
