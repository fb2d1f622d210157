"""Time that jumps: an event loop that does not sleep, and a throttle on it."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

from puter.engine.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that jumps to its next timer instead of sleeping; it fails if there is none."""

    def __init__(self) -> None:
        super().__init__(_JumpingSelector(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready:
            assert timeout is not None, "everyone sleeps and nobody has a timer"
            self.loop.now += timeout
        return ready


class VirtualThrottle(Throttle):
    """A throttle whose timer is the virtual loop's."""

    def __init__(self, *limits: float, loop: VirtualLoop) -> None:
        self.loop = loop
        super().__init__(*limits, clock=loop.time)

    def _set_timer(self, due: float) -> None:
        self.loop.call_at(due, self._tick)
        self._timer, self._due = True, due


def virtually(body: Callable[[VirtualLoop], Coroutine[Any, Any, None]]) -> None:
    """Run ``body(loop)`` in virtual time."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(body(loop))
    finally:
        loop.close()
