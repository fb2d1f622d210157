"""A gate in a stream: the test decides when the next line may be sent."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from concurrent.futures import Future


class Gate:
    """Holds the lines of a stream back until the test lets them pass.

    No method waits or needs an event loop, so plain and ``async`` tests use it alike, from any
    thread.

    Args:
        lines: how many pass unasked; ``0`` holds back even the first, after the headers.

    Examples:
        >>> from puter.testing import Gate, Reply
        >>> gate = Gate()
        >>> reply = Reply(chunks=["one ", "two"], gate=gate)  # sends "one " and waits
        >>> gate.let()  # now it may send "two"
        >>> gate.open()  # and now all the rest
    """

    def __init__(self, lines: int = 1) -> None:
        self._lock = threading.Lock()
        self._free: float = lines
        self._waiting: deque[Future[None]] = deque()

    def let(self, lines: float = 1) -> None:
        """Let so many more lines pass."""
        with self._lock:
            self._free += lines
            while self._free and self._waiting:
                waiter = self._waiting.popleft()
                if waiter.set_running_or_notify_cancel():  # else its client left
                    self._free -= 1
                    waiter.set_result(None)

    def open(self) -> None:
        """Let everything pass from now on."""
        self.let(math.inf)

    async def passage(self) -> None:
        """Wait for the turn of one line; what the server does before it sends it."""
        waiter: Future[None] = Future()
        with self._lock:
            if self._free:
                self._free -= 1
                return
            self._waiting.append(waiter)
        await asyncio.wrap_future(waiter)
