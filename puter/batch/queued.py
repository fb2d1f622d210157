"""``Queued``: the chats of a batch of which nothing was sent when it stops are given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from puter.engine.context import CallContext
    from puter.engine.effects import Flow


class NotAsked(Exception):
    """The batch stopped before the chat was sent."""


class Queued:
    """Middleware that knows which calls run. One that may have been paid comes to its end."""

    def __init__(self) -> None:
        self._calls: dict[int, CallContext] = {}
        self._stopped = False

    def middleware(self, request: Any, call_next: Any) -> Flow[Any]:
        call = request.call
        self._calls[id(call)] = call
        try:
            if self._stopped:
                raise NotAsked
            return (yield from call_next(request))
        finally:
            self._calls.pop(id(call), None)

    def attempt(self, request: Any, call_next: Any) -> Flow[Any]:
        """The same for what was let through, or is to be repeated, just when it stopped."""
        if self._stopped and request.http.billed is not None and not request.call.spent:
            raise NotAsked
        return (yield from call_next(request))

    def give_up(self) -> None:
        """Let none of them wait any longer for its turn. Safe in a handler of a signal."""
        self._stopped = True
        for call in list(self._calls.values()):
            if not call.spent:
                for permit in list(call.permits):
                    permit.give_up(NotAsked)
