"""What happened during a call, as frozen values; the drivers log them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TypeAlias

logging.getLogger("puter").addHandler(logging.NullHandler())
_http = logging.getLogger("puter.http")
_tools = logging.getLogger("puter.tools")
_retry = logging.getLogger("puter.retry")


@dataclass(frozen=True, slots=True)
class Answered:
    """A request was answered."""

    method: str
    url: str
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Retrying:
    """A request will be sent again after ``delay`` seconds."""

    method: str
    url: str
    attempt: int
    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class ToolRan:
    """A tool was run; ``error`` is what it raised, if anything."""

    name: str
    call_id: str
    error: Exception | None = None


Event: TypeAlias = "Answered | Retrying | ToolRan"


def log(event: Event) -> None:
    """Write the event to the logger ``puter.http``, ``puter.retry`` or ``puter.tools``."""
    if isinstance(event, Retrying):
        _retry.info(
            "%s %s: attempt %d failed (%s), next one in %.2f s",
            event.method, event.url, event.attempt, event.reason, event.delay,
        )  # fmt: skip
    elif isinstance(event, ToolRan):
        if event.error is None:
            _tools.debug("%s ran (%s)", event.name, event.call_id)
        else:
            _tools.info("%s failed (%s): %r", event.name, event.call_id, event.error)
    else:
        _http.debug("%s %s -> %d in %.3f s", event.method, event.url, event.status, event.seconds)
