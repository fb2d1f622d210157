"""When to send again, and after how long. Decides only; it never waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
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

if TYPE_CHECKING:
    from puter.config import PuterConfig
    from puter.wire.http import Request


class RetryBudget:
    """A retry costs one token, an answer returns a tenth: a dead server is not stormed.

    Waiting out a 429 is free: the throttle already slows it down, and nothing ran.
    """

    def __init__(self, size: int = 50) -> None:
        self._size = self._left = size * 10  # in tenths: ten answers make exactly one
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            if self._left < 10:
                return False
            self._left -= 10
            return True

    def answered(self) -> None:
        if self._left < self._size:
            with self._lock:
                self._left = min(self._size, self._left + 1)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The retry settings of a client, as a decision."""

    max_retries: int
    retry_delay: float
    backoff_factor: float
    max_retry_delay: float
    retry_on_timeout: bool

    @classmethod
    def of(cls, config: PuterConfig) -> RetryPolicy:
        return cls(
            config.max_retries,
            config.retry_delay,
            config.backoff_factor,
            config.max_retry_delay,
            config.retry_on_timeout,
        )

    def may_repeat(self, error: PuterError, request: Request) -> bool:
        """Whether sending again can help and cannot bill twice."""
        if isinstance(error, PuterRateLimitError):
            return request.waits
        if isinstance(error, PuterConnectionError):
            if not error.sent:
                return error.retryable
            after_silence = isinstance(error, PuterTimeoutError) and self.retry_on_timeout
            return request.repeatable or after_silence
        return request.repeatable and isinstance(error, (PuterServerError, PuterUpstreamError))

    def delay(
        self, error: PuterError, request: Request, attempt: int, random: Callable[[], float]
    ) -> float | None:
        """Seconds before the next attempt, ``None`` to give up.

        Args:
            error: What the last attempt ended in.
            request: What was sent.
            attempt: How many attempts there were, from 1.
            random: A source of numbers in [0, 1).
        """
        if attempt > self.max_retries or not self.may_repeat(error, request):
            return None
        try:
            nominal = self.retry_delay * self.backoff_factor ** (attempt - 1)
        except OverflowError:
            nominal = self.max_retry_delay
        # Never below three quarters, so that the defaults (15.5 s in all) always cross Puter's 10
        # s window.
        step = min(nominal, self.max_retry_delay) * (0.75 + 0.25 * random())
        stated = error.retry_after if isinstance(error, PuterAPIError) else None
        if stated is None:
            return step
        return None if stated > self.max_retry_delay else stated + step / 4
