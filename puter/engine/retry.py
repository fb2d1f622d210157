"""When to send again, and after how long. Decides only; it never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puter.exceptions import (
    PuterAPIError,
    PuterConnectionError,
    PuterError,
    PuterRateLimitError,
    PuterServerError,
    PuterTimeoutError,
    PuterUpstreamError,
)
from puter.process import short_lock

if TYPE_CHECKING:
    from puter.config import PuterConfig
    from puter.wire.http import HttpRequest


class RetryBudget:
    """A retry costs one token, an answer returns a tenth: a dead server is not stormed.

    Waiting out a 429 is free: the throttle already slows it down, and nothing ran.
    """

    def __init__(self, size: int = 50) -> None:
        self.spent: int = 0
        """In tenths of a token: ten answers make exactly one."""
        self._size = size * 10

    def spend(self) -> bool:
        """Spend a token, if there is one."""
        with short_lock():
            if self.spent + 10 > self._size:
                return False
            self.spent += 10
            return True

    def earn(self) -> None:
        """A request was answered well."""
        with short_lock():
            self.spent = max(0, self.spent - 1)


def may_repeat(config: PuterConfig, error: PuterError, request: HttpRequest) -> bool:
    """Whether sending again can help and cannot bill twice."""
    if isinstance(error, PuterRateLimitError):
        return request.retry_on_429
    if isinstance(error, PuterConnectionError):
        if not error.sent:
            return error.retryable
        after_silence = isinstance(error, PuterTimeoutError) and config.retry_on_timeout
        return request.idempotent or after_silence
    return request.idempotent and isinstance(error, (PuterServerError, PuterUpstreamError))


RESERVED_MAX_WAIT = 60.0
"""Seconds to wait for running calls to give back the money that they hold."""


def attempts_left(config: PuterConfig, error: PuterError, attempts: int, waited: float) -> bool:
    """Whether another attempt is allowed.

    Args:
        config: The settings of the call.
        error: What the last attempt ended in.
        attempts: How many attempts there were; those for ``credits_reserved`` count apart.
        waited: Seconds since the first, until the next one.
    """
    if error.code == "credits_reserved" and config.max_retries > 0:
        return waited <= RESERVED_MAX_WAIT
    return attempts <= config.max_retries


def retry_delay(
    config: PuterConfig, error: PuterError, attempt: int, jitter: float
) -> float | None:
    """Seconds before the next attempt, None when the server asks for too many.

    Args:
        config: The settings of the call.
        error: What the last attempt ended in.
        attempt: How many attempts there were, from 1, counted likewise.
        jitter: A random number in [0, 1).
    """
    try:
        nominal = config.retry_delay * config.backoff_factor ** (attempt - 1)
    except OverflowError:
        nominal = config.max_retry_delay
    # Never below three quarters, so that the defaults (15.5 s in all) cross Puter's 10 s window.
    step = min(nominal, config.max_retry_delay) * (0.75 + 0.25 * jitter)
    stated = error.retry_after if isinstance(error, PuterAPIError) else None
    if stated is None:
        # Running calls end one by one: ask often enough to take their place.
        return min(step, 5.0) if error.code == "credits_reserved" else step
    return None if stated > config.max_retry_delay else stated + step / 4
