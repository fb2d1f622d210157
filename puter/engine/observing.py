"""Telling of events from within flows."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from puter.engine.effects import Flow, Notify
from puter.engine.events import Event, tell
from puter.engine.failures import conceal
from puter.engine.log import CALLS, listeners_of
from puter.exceptions import PuterError
from puter.types.replies import total_of

if TYPE_CHECKING:
    from puter.engine.context import CallContext

T = TypeVar("T")


def notify(call: CallContext, name: str, **about: Any) -> Flow[None]:
    """Tell of an event of a call, if anybody listens.

    Args:
        call: The call.
        name: Name of the event.
        **about: Attributes of the ``Event``.
    """
    if listeners := listeners_of(call.extensions, name):
        yield Notify(event_of(call, name, **about), listeners)


def event_of(call: CallContext, name: str, **about: Any) -> Event:
    """An event of a call."""
    known: dict[str, Any] = {"model": call.model or None, "attempt": call.attempts, "call": call}
    return Event(name, call.operation, **{**known, **about})


def observed(call: CallContext, flow: Flow[T]) -> Flow[T]:
    """The flow of a call, with the events of its beginning and its end if anybody listens."""
    listeners = call.extensions.listeners
    if (listeners and not _ENDS.isdisjoint(listeners)) or CALLS.isEnabledFor(logging.DEBUG):
        return _observed(call, flow)
    return flow


_ENDS = frozenset(("call.start", "call.end", "call.error"))


def _observed(call: CallContext, flow: Flow[T]) -> Flow[T]:
    ended = False
    yield from notify(call, "call.start")
    try:
        result = yield from flow
        ended = True
    except Exception as error:
        ended = True
        yield from notify(call, "call.error", **_about(call, error))
        raise
    finally:
        if not ended:  # closed, cancelled or interrupted: nothing more can be waited for
            listeners = listeners_of(call.extensions, "call.error")
            event = event_of(call, "call.error", **_about(call, sys.exc_info()[1]))
            tell(event, listeners, ending=True)
    known = getattr(result, "usage", None) is not None  # of a reply: that of all its rounds
    usage, cost = (result.usage, result.cost) if known else total_of(call.spent)  # type: ignore[attr-defined]
    yield from notify(
        call,
        "call.end",
        seconds=call.elapsed,
        attempt=getattr(result, "attempts", call.attempts),
        usage=usage,
        cost=cost,
        model=getattr(result, "model", "") or call.model or None,
        reply=result,
    )
    return result


def _about(call: CallContext, error: BaseException | None) -> dict[str, Any]:
    if error is not None:
        conceal(error, call.shared.credentials.secrets(call.config))
    status = error.status if isinstance(error, PuterError) else None
    return {"error": error, "status": status, "seconds": call.elapsed}
