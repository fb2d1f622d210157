"""What happened during a call, as frozen values; the drivers log them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TypeAlias

logging.getLogger("puter").addHandler(logging.NullHandler())
_http = logging.getLogger("puter.http")
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


Event: TypeAlias = "Answered | Retrying"


def log(event: Event) -> None:
    """Write the event to the ``puter.http`` (debug) or ``puter.retry`` (info) logger."""
    if isinstance(event, Retrying):
        _retry.info(
            "%s %s: attempt %d failed (%s), next one in %.2f s",
            event.method, event.url, event.attempt, event.reason, event.delay,
        )  # fmt: skip
    else:
        _http.debug("%s %s -> %d in %.3f s", event.method, event.url, event.status, event.seconds)
