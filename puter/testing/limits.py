"""Rate windows and concurrency slots, with the numbers of the Puter backend."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass

from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError


@dataclass(frozen=True)
class Tier:
    """What an account may do: AI calls per user and per interface and method.

    Args:
        name: how the server calls the tier.
        requests: calls per rolling ``period``.
        period: length of the window in seconds.
        concurrency: calls at a time; a stream counts until it is closed.
        allowance: US dollars per month.
    """

    name: str
    requests: int = 30
    period: float = 10.0
    concurrency: int = 3
    allowance: float = 0.5


# Puter backend: calls per 10 s, calls at a time, monthly allowance. The allowance of paid plans
# differs by plan; 10 dollars stands for all of them.
TIERS = {name: Tier(name, **numbers) for name, numbers in recorded("tiers").items()}


class Limits:
    """Sliding windows and slots by any key; any thread may reset them, one event loop counts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[Hashable, deque[float]] = {}
        self._running: Counter[Hashable] = Counter()

    def hit(self, key: Hashable, requests: int, period: float) -> None:
        """Count one request. Raises ApiError 429 when ``period`` seconds already saw that many."""
        now, window = self._clock(), self._windows.setdefault(key, deque())
        while window and window[0] <= now - period:
            window.popleft()
        if len(window) >= requests:
            raise ApiError(429, "Too many requests.", "too_many_requests")
        window.append(now)

    @contextmanager
    def slot(self, key: Hashable, slots: int) -> Generator[None]:
        """Hold one of ``slots`` places. Raises ApiError 429 when all are taken."""
        if self._running[key] >= slots:
            raise ApiError(429, "Too many concurrent requests.", "too_many_requests")
        self._running[key] += 1
        try:
            yield
        finally:
            self._running[key] -= 1

    def reset(self) -> None:
        """Forget every window. Running calls keep their slots."""
        self._windows.clear()
