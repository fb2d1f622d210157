"""``Extensions``: what ``use()`` and ``on()`` gave a client."""

from __future__ import annotations

from typing import Any


class Extensions:
    """What a client was given to work with beside its settings; its copies have one of their own.

    Each attribute is replaced, never changed in place, so calls under way may read it.
    """

    __slots__ = ("attempts", "installed", "listeners", "middleware")

    def __init__(self) -> None:
        self.middleware: tuple[Any, ...] = ()
        """``middleware.Middleware`` around whole calls; the first is outermost."""
        self.attempts: tuple[Any, ...] = ()
        """``middleware.AttemptMiddleware`` around each HTTP attempt; the first is outermost."""
        self.listeners: dict[str, tuple[Any, ...]] = {}
        """``events.Listener`` by the name of the event."""
        self.installed: tuple[object, ...] = ()
        """What ``use()`` was given."""

    def copy(self) -> Extensions:
        twin = Extensions()
        for name in Extensions.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin
