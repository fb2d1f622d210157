"""Limits of an account: a rolling window and a concurrency limit, one queue for threads and tasks.

A `Permit` waits in the queue until it is handed out, and is running until it is released; releasing
it at any moment undoes either. Handing out happens under the lock, by whoever changed something.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import os
import threading
import time
import weakref
from _thread import start_new_thread  # threading.Thread takes a lock that a finalizer may not want
from concurrent import futures
from typing import TYPE_CHECKING, Any, final

from asyncio_throttle.throttler import Throttler

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

# A call that waits for streams of its own thread or task is told so within so many seconds: until
# then another thread or task may take one over.
_OWN_STREAMS = 5.0
# Seconds that a call waits while all permits belong to open streams that nobody reads.
_NO_PROGRESS = 60.0
# So often is that looked at while somebody waits, within the shorter of the two: once a second.
_LOOKS = 5
# Good answers after which a narrowed throttle is tried one wider.
_ENOUGH = 50

# What a waiter is told instead of "", which means that its turn has come.
_LATE = "late"
_OWN = "this call would wait for streams that its own code left open"
_UNREAD = "this call would wait for streams that were left open and not read for {:g} s"


class _Here(threading.local):
    def __init__(self) -> None:
        self.thread = object()  # unlike a thread's ident, never used again


_here = _Here()


def _me() -> tuple[object, object]:
    """This thread and task; the task weakly, for the permit may be part of its result."""
    loop = asyncio._get_running_loop()
    task = None if loop is None else asyncio.current_task(loop)
    return _here.thread, None if task is None else weakref.ref(task)


def _finish(future: asyncio.Future[str] | futures.Future[str], said: str) -> None:
    if not future.done():
        future.set_result(said)


@final
class Permit:
    """Leave to make one call, from `Throttle.acquire`; also a context manager."""

    __slots__ = (
        "_future",
        "_loop",
        "_over",
        "_owner",
        "_parked",
        "_since",
        "_throttle",
        "position",
    )

    _future: Any  # of asyncio for a task, of concurrent.futures for a thread; set when it must wait
    _since: float  # when it came to the queue

    def __init__(
        self, throttle: Throttle, position: int, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self.position: int = position
        """Its place in the queue; acquire with it again to keep that place."""
        self._throttle = throttle
        self._loop = loop  # of the task that acquired it
        self._owner = _me()  # who used it last
        self._parked = False
        self._over = False

    def release(self) -> None:
        """Give it back. Safe to repeat, and to call from any thread or finalizer."""
        self._over = True  # first, see `_serve`
        try:
            self._throttle._give_back(self)
        except BaseException:  # interrupted half way: once more, or those who wait sleep on
            self._throttle._give_back(self)
            raise

    def claim(self) -> None:
        """From now on this thread or task uses the stream that holds it."""
        self._parked = False
        self._owner = _me()

    def park(self) -> None:
        """From now on it is held by an open stream that nobody is reading."""
        self._parked = True
        self._throttle._moved = self._throttle._clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _tell(self, said: str) -> bool:
        """Wake the waiter; False if its event loop does not run."""
        if self._loop is None:
            _finish(self._future, said)
            return True
        try:
            if self._loop.is_running():
                self._loop.call_soon_threadsafe(_finish, self._future, said)
                return True
        except RuntimeError:  # closed just now
            pass
        return False


class _Window(Throttler):
    """The library's rolling window: its log, its limits; entered when it is open only.

    The library's own ``acquire`` polls every 10 ms, and whoever looks first gets in.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(1)
        self.rate_limit: Any  # the library says int; it only compares it with a length
        self._clock = clock

    def opens(self) -> float:
        """When the next admission fits; -inf for now."""
        log, limit = self._task_logs, self.rate_limit
        return log[-int(limit)] + self.period if len(log) + 1 > limit else -math.inf

    def flush(self) -> None:
        """Forget what has left the window; on our clock, and at the period's very end."""
        log, now = self._task_logs, self._clock()
        while log and log[0] + self.period <= now:
            log.popleft()

    def admit(self) -> None:
        if self._task_logs:
            self.flush()
        self._task_logs.append(self._clock())  # no earlier than what was flushed


class Throttle:
    """Admits calls first come first served, within a rolling window and a concurrency limit.

    Threads and the tasks of any number of event loops may share one; it survives fork.
    Defaults: Puter backend, free account: 30 requests per 10 s, 3 at a time.

    Args:
        rate_limit: Admissions per window, at least 1; ``math.inf`` for no limit.
        period: Length of the window in seconds, finite and above 0.
        max_concurrency: Permits out at the same time, at least 1; ``math.inf`` for no limit.
        clock: Monotonic seconds; replaced in tests.

    Raises:
        ValueError: A limit is out of range.

    Examples:
        >>> throttle = Throttle()
        >>> with throttle.acquire():
        ...     throttle.running
        1
    """

    def __init__(
        self,
        rate_limit: float = 30,
        period: float = 10.0,
        max_concurrency: float = 3,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._window = _Window(clock)
        self._positions = itertools.count()
        self._held_until = -math.inf
        self._good = 0  # answers since the last change of a narrowed limit
        self._reset()
        self.resize(rate_limit, period, max_concurrency)
        _throttles.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._busy = self._again = False  # somebody hands out; and is to do so once more
        self._running: set[Permit] = set()
        self._waiting: set[Permit] = set()
        self._queue: list[tuple[int, float, int, Permit]] = []  # a heap; who gave up leaves later
        self._moved = -math.inf  # when a stream was last read, or a permit came back
        self._due = math.inf  # when `_tick` runs
        self._timer = False  # its thread runs
        self._changed = threading.Condition(self._lock)  # tells that thread of an earlier time

    @property
    def running(self) -> int:
        """Permits out at this moment."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Threads and tasks in the queue."""
        return len(self._waiting)

    def position(self) -> int:
        """Draw the next place in the queue; a retry acquires with its old one and goes first."""
        return next(self._positions)

    def acquire(self, position: int | None = None, timeout: float | None = None) -> Permit:
        """Block this thread until it is admitted.

        Args:
            position: A place drawn earlier with `position`; by default the end of the queue.
            timeout: Seconds to wait at most; by default no limit.

        Returns:
            The permit; release it when the call has ended.

        Raises:
            TimeoutError: ``timeout`` passed first; the place is given up.
            RuntimeError: Only the code that waits could end the wait: at once for tasks of the
                event loop that this thread runs, within 5 s for streams that this thread left open,
                after 60 s without progress when all permits belong to streams that nobody reads.
        """
        permit = Permit(self, self.position() if position is None else position, None)
        if self._admit(permit, futures.Future):
            return permit
        try:
            if timeout is None or timeout > 0:
                self._refuse_own_loop()
            most = None if timeout is None else min(timeout, threading.TIMEOUT_MAX)
            self._raise_if_refused(permit._future.result(most))
        except futures.TimeoutError:
            permit.release()
            self._raise_if_refused(_LATE)
        except BaseException:
            permit.release()
            raise
        return permit

    async def async_acquire(
        self, position: int | None = None, timeout: float | None = None
    ) -> Permit:
        """Wait in this task until it is admitted; otherwise as `acquire`."""
        loop = asyncio.get_running_loop()
        permit = Permit(self, self.position() if position is None else position, loop)
        if self._admit(permit, loop.create_future):
            return permit
        future, timer = permit._future, None
        try:
            if timeout is not None and timeout < math.inf:
                timer = loop.call_later(timeout, _finish, future, _LATE)
            self._raise_if_refused(await future)
        except BaseException:
            permit.release()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return permit

    def hold(self, seconds: float) -> None:
        """Admit nobody for so many seconds: the server said slow down. Never shortens a hold."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)

    def resize(self, rate_limit: float, period: float, max_concurrency: float) -> None:
        """Change the limits, as in the constructor; those who may go now are admitted.

        Raises:
            ValueError: A limit is out of range; nothing has changed.
        """
        if not (rate_limit >= 1 and 0 < period < math.inf and max_concurrency >= 1):
            raise ValueError(
                "a throttle needs rate_limit >= 1, a finite period > 0 and max_concurrency >= 1, "
                f"not {rate_limit!r}, {period!r} and {max_concurrency!r}"
            )
        with self._lock:
            self.rate_limit = self._window.rate_limit = rate_limit
            self.period = self._window.period = period
            self.max_concurrency = self._most = max_concurrency  # `narrow` goes below `_most`
            self._hand_out()

    def narrow(self) -> None:
        """The server says that too many run at once: one fewer from now on."""
        with self._lock:
            if self.max_concurrency < math.inf:
                self.max_concurrency = max(1, self.max_concurrency - 1)
            self._good = 0

    def widen(self) -> None:
        """A call went well; after 50 of them a narrowed throttle is tried one wider again."""
        if self.max_concurrency >= self._most:
            return
        with self._lock:
            self._good += 1
            if self._good >= _ENOUGH:
                self._good = 0
                self.max_concurrency = min(self._most, self.max_concurrency + 1)
                self._hand_out()

    def _raise_if_refused(self, said: str) -> None:
        if said == _LATE:
            raise TimeoutError(
                f"not admitted in time: {self.running} running (at most {self.max_concurrency}), "
                f"{self.waiting} waiting, {self.rate_limit} admissions per {self.period} s"
            )
        if said:
            raise RuntimeError(said)

    def _refuse_own_loop(self) -> None:
        loop = asyncio._get_running_loop()
        if loop is not None:
            with self._lock:
                if any(one._loop is loop for one in [*self._running, *self._waiting]):
                    raise RuntimeError("this thread would wait for tasks of its own event loop")

    def _admit(self, permit: Permit, new_future: Callable[[], Any]) -> bool:
        """Whether it may go at once; if not it is in the queue, with a future to wait for."""
        with self._lock:
            now = self._clock()
            if not self._queue and self._opens() <= now:
                self._window.admit()
                self._running.add(permit)
                return True
            permit._future, permit._since = new_future(), now
            self._waiting.add(permit)
            heapq.heappush(self._queue, (permit.position, now, id(permit), permit))
            self._hand_out()
            return permit in self._running

    def _give_back(self, permit: Permit) -> None:
        """Strike it out wherever it stands; the lock is needed only while somebody waits."""
        if self._queue and permit in self._running:
            self._moved = self._clock()
        self._running.discard(permit)
        self._waiting.discard(permit)
        if self._queue:
            self._hand_out()

    def _opens(self) -> float:
        """When the next may go as things stand; inf if a release must come first."""
        if len(self._running) + 1 > self.max_concurrency:
            return math.inf
        return max(self._held_until, self._window.opens())

    def _hand_out(self) -> None:
        """Admit the first in the queue while there is room.

        A finalizer may come here in the middle of this: then it is done once more.
        """
        self._again = True
        with self._lock:
            while self._again and not self._busy:
                self._busy, self._again = True, False
                try:
                    self._serve(self._clock())
                finally:
                    self._busy = False

    def _serve(self, now: float) -> None:
        queue, waiting = self._queue, self._waiting
        if len(queue) > 2 * len(waiting) + 8:
            queue[:] = [entry for entry in queue if entry[-1] in waiting]
            heapq.heapify(queue)
        aside = []  # their event loops stand still: others pass them
        while queue and (queue[0][-1] not in waiting or self._opens() <= now):
            permit = queue[0][-1]
            if permit in waiting:
                if permit._tell(""):
                    self._window.admit()
                    self._running.add(permit)
                    waiting.discard(permit)
                    if permit._over:  # it gave up meanwhile, and may not have found itself here
                        self._running.discard(permit)
                elif permit._loop is not None and permit._loop.is_closed():
                    waiting.discard(permit)
                else:
                    aside.append(queue[0])
            heapq.heappop(queue)  # last: an interrupt before it loses nobody
        for entry in aside:
            heapq.heappush(queue, entry)
        if queue:
            due = min(self._opens(), now + min(_OWN_STREAMS, _NO_PROGRESS) / _LOOKS)
            if due < self._due:
                self._due = due
                self._set_timer()

    def _tick(self) -> None:
        """What time alone changes: the window opens, loops run again, patience ends."""
        with self._lock:
            self._due = math.inf
            for permit in list(self._running):
                if permit._loop is not None and permit._loop.is_closed():
                    self._running.discard(permit)  # nobody is left to give it back
            self._refuse_standstill(list(self._running), self._clock())
            self._hand_out()

    def _refuse_standstill(self, running: list[Permit], now: float) -> None:
        """Nobody waits for ever for streams that only the code that waits could close."""
        if not running or self._opens() < math.inf:
            return
        unread = all(one._parked for one in running)
        for permit in list(self._waiting):
            thread, task = permit._owner
            if all(
                one._owner[0] is thread and (permit._loop is None or one._owner[1] == task)
                for one in running
            ):
                why, over = _OWN, now - permit._since >= _OWN_STREAMS * (1 - 1 / _LOOKS)
            else:
                why, over = _UNREAD, now - max(self._moved, permit._since) >= _NO_PROGRESS
                over = over and unread
            if over and permit._tell(why.format(_NO_PROGRESS)):
                self._waiting.discard(permit)

    def _set_timer(self) -> None:
        """See to it that `_tick` runs at `_due`."""
        if self._timer:
            self._changed.notify()
        else:
            start_new_thread(self._run_timer, ())
            self._timer = True

    def _run_timer(self) -> None:
        """A thread that is there while somebody waits."""
        with self._lock:
            try:
                while self._queue:
                    nap = self._due - self._clock()
                    if nap > 0:
                        self._changed.wait(nap)
                    else:
                        self._tick()
            finally:
                self._timer, self._due = False, math.inf


_throttles: weakref.WeakSet[Throttle] = weakref.WeakSet()


def _after_fork() -> None:
    """Waiters and running calls are the parent's; the window is the account's and stays."""
    for throttle in list(_throttles):
        throttle._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
