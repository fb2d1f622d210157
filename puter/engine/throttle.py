"""Limits of an account: a rolling window and a concurrency limit, one queue for threads and tasks.

A ``Permit`` is made first, then acquired, and released in ``finally``. It waits in the queue until
it is handed out, and is running until it is released, which undoes either at any moment: so no
interrupt loses one on its way. Whoever changes something hands out, under the lock.
"""

from __future__ import annotations

import itertools
import math
import os
import sys
import threading
import weakref
from _thread import allocate_lock, start_new_thread  # threading's are not for finalizers
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from puter.engine.clock import monotonic
from puter.process import late
from puter.threads import Worker, running_loop, worker, workers

if TYPE_CHECKING:
    import asyncio

    from asyncio_throttle import throttler
    from typing_extensions import Self
else:
    throttler = late("asyncio_throttle.throttler")

# Seconds until a wait for streams of the same thread or task fails: another may take one over.
_OWN_STREAMS = 5.0
NO_PROGRESS = 60.0
"""Seconds until a wait for streams that nobody reads fails."""
# Deadlocks are looked for so often within the shorter of the two: once a second.
_LOOKS = 5
# Answers, while calls wait, before one more is tried after one was refused: first and at most.
_PATIENCE, _MOST_PATIENCE = 16, 64
_READ = "Read the open streams to their end, or close them, before the next call."
_APART = "Call before or after, not in middleware, callbacks or map_chunks; or by another client."


class Late(TimeoutError):
    """The time that a call had for waiting is over."""


class WouldDeadlock(RuntimeError):
    """Only the code that waits could end the wait."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class ThreadFuture:
    """What a thread waits for, in C alone: interrupted, ``threading.Condition`` breaks."""

    result: Callable[[], Exception] | None

    def __init__(self) -> None:
        self._pending = allocate_lock()
        self._pending.acquire()

    def done(self) -> bool:
        return not self._pending.locked()

    def set_result(self, result: Callable[[], Exception] | None) -> None:
        self.result = result
        self._pending.release()

    def wait(self, timeout: float) -> bool:
        return self._pending.acquire(timeout=max(0, min(timeout, threading.TIMEOUT_MAX)))


def finish(future: Any, failure: Callable[[], Exception] | None) -> None:
    """Wake whoever waits, with what makes the error, if any: the error itself would be a cycle."""
    if not future.done():
        future.set_result(failure)


def wake(
    loop: asyncio.AbstractEventLoop | None, future: Any, failure: Callable[[], Exception] | None
) -> bool:
    """Wake a task of the loop, or a thread; False if the loop does not run."""
    if loop is None:
        finish(future, failure)
        return True
    with suppress(RuntimeError):  # closed just now
        if loop.is_running():
            loop.call_soon_threadsafe(finish, future, failure)
            return True
    return False


class Permit:
    """Permission to make one call at a time, with a place in the queue that it keeps.

    ``with`` releases it, however far it came.
    """

    __slots__ = "_future _line _owner _parked _released _since loop position throttle".split()

    loop: asyncio.AbstractEventLoop | None
    """Of the task that acquired it."""
    _future: Any  # of asyncio for a task, ours for a thread; set when it must wait
    _line: tuple[Worker, ...]  # who waits for it in the queue, and who waits for them
    _owner: Worker  # who used it last
    _since: float  # when it came to the queue

    def __init__(self, throttle: Throttle) -> None:
        self.throttle = throttle
        self.position: int = next(throttle._positions)
        self._parked = self._released = False

    def acquire(self, timeout: float | None = None) -> Permit:
        """Block this thread until it is admitted; ``release`` in any case.

        Raises:
            Late: So many seconds passed first.
            WouldDeadlock: At once for tasks of the event loop that this thread runs, within 5 s for
                streams that this thread left open and for calls that wait for such as this one,
                after 60 s without progress when all permits belong to streams that nobody
                reads, or to event loops that stand still.
        """
        throttle, self.loop = self.throttle, None
        if throttle._admit(self, ThreadFuture):
            return self
        if timeout is None or timeout > 0:
            throttle._check_own_loop()
        ends = math.inf if timeout is None else monotonic() + timeout
        while not self._future.wait(min(ends - monotonic(), throttle._attend())):
            if monotonic() >= ends:
                raise throttle._late()
        if failure := self._future.result:
            raise failure()
        return self

    async def async_acquire(self, timeout: float | None = None) -> Permit:
        """Wait in this task until it is admitted; otherwise as ``acquire``."""
        import asyncio

        throttle, timer = self.throttle, None
        self.loop = loop = asyncio.get_running_loop()
        if throttle._admit(self, loop.create_future):
            return self
        if timeout is not None and timeout < math.inf:
            timer = loop.call_later(timeout, finish, self._future, throttle._late)
        self._attend(loop)
        try:
            if failure := await self._future:
                raise failure()
        finally:
            if timer is not None:
                timer.cancel()
        return self

    def _attend(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._future.done() and (rest := self.throttle._attend()) < math.inf:
            loop.call_later(rest, self._attend, loop)

    def release(self) -> None:
        """Give it back, or its place in the queue. Safe to repeat, from any thread or finalizer."""
        self._released = True  # first, see `_serve`
        try:
            self.throttle._give_back(self)
        except BaseException:  # interrupted half way: once more, or those who wait sleep on
            self.throttle._give_back(self)
            raise

    def give_up(self, failure: Callable[[], Exception]) -> None:
        """Wake whoever waits for it in the queue, if it was not admitted, with an error."""
        with self.throttle._lock:
            if self in self.throttle._waiting and self._tell(failure):
                self.throttle._waiting.discard(self)

    def claim(self) -> None:
        """From now on this thread or task uses the stream that holds it."""
        self._parked, self._owner = False, worker()

    def park(self) -> None:
        """From now on it is held by an open stream that nobody is reading."""
        self._parked, self.throttle._progress = True, self.throttle._clock()

    @property
    def idle(self) -> bool:
        """Nobody is at work on it: it is parked, or its event loop stands still."""
        return self._parked or (self.loop is not None and not self.loop.is_running())

    def _is_own(self, other: Permit) -> bool:
        """Whether what it waits for is held by who waits here, or who waits for them."""
        thread, _ = self._line[0]
        earlier = self.loop is None and other._owner[0] is thread  # a task of an earlier loop
        return earlier or other._owner in self._line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _tell(self, failure: Callable[[], Exception] | None) -> bool:
        """Wake the waiter; False if its event loop does not run."""
        return wake(self.loop, self._future, failure)


def _held_by(line: Iterable[Worker], permits: Iterable[Permit]) -> set[Permit]:
    """Those of the permits with which one of these is in the midst of something."""
    busy = set(line)
    return {one for one in permits if not one._parked and one._owner in busy}


def _rolling_window() -> Any:
    """The library's log of admissions and its limits; its own ``acquire`` polls, and is not fair.

    It brings asyncio along, which takes 25 ms: a process without has a log without it.
    """
    if "asyncio" in sys.modules:
        return throttler.Throttler(1)
    return SimpleNamespace(rate_limit=1, period=1.0, _task_logs=deque())


class Throttle:
    """Admits calls first come first served, within a rolling window and a concurrency limit.

    Threads and the tasks of any number of event loops may share one; it survives fork.

    Args:
        rate_limit: Admissions per window, at least 1 or ``math.inf``. Default: 30, Puter's limit of
            a free account, as are the others.
        period: Length of the window in seconds. Default: 10.
        max_concurrency: Permits out at the same time, at least 1 or ``math.inf``. Default: 3.
        start: Permits out at first; it finds out how many more the server lets run. Default: all.
        clock: Monotonic seconds; replaced in tests.
    """

    rate_limit: float
    period: float
    max_concurrency: float  # as things stand

    def __init__(
        self,
        rate_limit: float = 30,
        period: float = 10.0,
        max_concurrency: float = 3,
        start: float | None = None,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._clock = clock
        self._window = _rolling_window()
        self._positions = itertools.count()
        self._held_until = -math.inf
        self._reset()
        self.resize(rate_limit, period, max_concurrency, start)
        _throttles.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._busy = self._again = False  # somebody hands out; and is to do so once more
        self._running: set[Permit] = set()
        self._waiting: set[Permit] = set()
        self._queue: list[tuple[int, float, int, Permit]] = []  # sorted; who gave up leaves later
        self._progress = -math.inf  # when a stream was last read, or a permit came back
        self._due = math.inf  # when `_tick` runs
        self._timer = False  # its thread runs
        self._changed = threading.Condition(self._lock)  # tells that thread of an earlier time

    def permit(self) -> Permit:
        """A permit to acquire."""
        return Permit(self)

    def with_limits(self, *limits: float) -> Throttle:
        """Another one of its kind, for the copy of a client that gets limits of its own."""
        return Throttle(*limits)

    @property
    def running(self) -> int:
        """Permits out at this moment."""
        return len(self._running)

    @property
    def leads_back(self) -> bool:
        """Whether who asks is in the midst of a call that has a permit, or works for one."""
        return bool(self._running and _held_by(workers(), list(self._running)))

    @property
    def waiting(self) -> int:
        """Threads and tasks in the queue."""
        return len(self._waiting)

    def hold(self, seconds: float) -> None:
        """Admit nobody for so many seconds: the server said slow down. Never shortens a hold."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)

    def resize(
        self, rate_limit: float, period: float, max_concurrency: float, start: float | None = None
    ) -> None:
        """Change the limits, as in the constructor; those who may go now are admitted."""
        if not (rate_limit >= 1 and 0 < period < math.inf and max_concurrency >= 1):
            raise ValueError(
                "a throttle needs rate_limit >= 1, a finite period > 0 and max_concurrency >= 1, "
                f"not {rate_limit!r}, {period!r} and {max_concurrency!r}"
            )
        with self._lock:
            self.rate_limit = self._window.rate_limit = rate_limit
            self.period = self._window.period = period
            self._ceiling, self.max_concurrency = max_concurrency, start or max_concurrency
            self._patience, self._answers = 1, 0  # answers from one step up to the next; since then
            self._trying = False  # the last step was up
            self._hand_out()

    def unused(self) -> None:
        """One who was admitted just now sends nothing: the window does not count it."""
        with self._lock:
            if log := self._window._task_logs:
                log.pop()

    def refused(self) -> None:
        """The server says that too many run at once: one fewer, and more patience with the next."""
        with self._lock:
            if self._trying:
                self._patience = min(_MOST_PATIENCE, self._patience * 2)
            self._patience = max(_PATIENCE, self._patience)
            self._trying, self._answers = False, 0
            self.max_concurrency = max(1, self.max_concurrency - 1)

    def answered(self) -> None:
        """A call went well. After enough of them while others wait one more may run."""
        full = self._waiting and self.running >= self.max_concurrency  # else they wait for more
        if not full or self.max_concurrency >= self._ceiling:
            return
        with self._lock:
            self._answers += 1
            if self._answers >= self._patience:
                if self._trying:  # the last step was good
                    self._patience = max(1, self._patience // 2)
                self._trying, self._answers = True, 0
                self.max_concurrency = min(self._ceiling, self.max_concurrency + 1)
                self._hand_out()

    def _late(self) -> Late:
        return Late(
            f"not admitted in time: {self.running} running (at most {self.max_concurrency}), "
            f"{self.waiting} waiting, {self.rate_limit} admissions per {self.period} s"
        )

    def _check_own_loop(self) -> None:
        loop = running_loop()
        with self._lock:
            users = {one.loop for one in [*self._running, *self._waiting]}
        if loop is not None and loop in users:
            raise WouldDeadlock(
                "this thread would wait for tasks of its own event loop",
                "In async code await the async_ method.",
            )

    def _admit(self, permit: Permit, new_future: Callable[[], Any]) -> bool:
        """Whether it may go at once; if not it is in the queue, with a future to wait for."""
        permit._owner, permit._parked, permit._released = worker(), False, False
        with self._lock:
            now = self._clock()
            if not self._queue and self._opens() <= now:
                self._note(now)
                self._running.add(permit)
                return True
            permit._future, permit._since, permit._line = new_future(), now, workers()
            self._waiting.add(permit)
            insort(self._queue, (permit.position, now, id(permit), permit))
            self._hand_out()
            return permit in self._running

    def _give_back(self, permit: Permit) -> None:
        """Strike it out wherever it stands; the lock is needed only while somebody waits."""
        if self._queue and permit in self._running:
            self._progress = self._clock()
        self._running.discard(permit)
        self._waiting.discard(permit)
        if self._queue:
            self._hand_out()

    def _opens(self) -> float:
        """When the next may go as things stand; inf if a release must come first."""
        if len(self._running) + 1 > self.max_concurrency:
            return math.inf
        log: deque[float] = self._window._task_logs
        limit = self.rate_limit
        if len(log) + 1 > limit:
            return max(self._held_until, log[-int(limit)] + self.period)
        return self._held_until

    def _note(self, now: float) -> None:
        """Put an admission into the window."""
        log = self._window._task_logs
        while log and log[0] + self.period <= now:
            log.popleft()
        log.append(now)

    def _hand_out(self) -> None:
        """Admit while there is room; once more if a finalizer comes here in the middle of it."""
        self._again = True
        with self._lock:
            while self._again and not self._busy:
                self._busy, self._again = True, False
                try:
                    self._serve(self._clock())
                finally:
                    self._busy = False

    def _serve(self, now: float) -> None:
        queue, waiting, place = self._queue, self._waiting, 0
        if len(queue) > 2 * len(waiting) + 8:
            queue[:] = [entry for entry in queue if entry[-1] in waiting]
        while place < len(queue):
            permit = queue[place][-1]
            if permit in waiting:
                if self._opens() > now:
                    break
                if permit._tell(None):
                    self._note(now)
                    self._running.add(permit)
                    if permit._released:  # meanwhile, and may not have found itself here
                        self._running.discard(permit)
                elif permit.loop is None or not permit.loop.is_closed():
                    place += 1  # its event loop stands still: others pass it
                    continue
                waiting.discard(permit)
            del queue[place]  # last: an interrupt before it loses nobody
        if queue:
            due, opens = now + min(_OWN_STREAMS, NO_PROGRESS) / _LOOKS, self._opens()
            if now < opens < due:  # if it is open, those left are of loops that stand still
                due = opens
            if due < self._due:
                self._set_timer(due)

    def _tick(self) -> None:
        """What time alone changes: the window opens, loops run again, deadlocks last too long."""
        with self._lock:
            self._due = math.inf
            for permit in list(self._running):
                if permit.loop is not None and permit.loop.is_closed():
                    self._running.discard(permit)  # nobody is left to give it back
            self._refuse_deadlocked(list(self._running), self._clock())
            self._hand_out()

    def _refuse_deadlocked(self, running: list[Permit], now: float) -> None:
        """Wake those who wait for what only the code that waits could end."""
        if not running or self._opens() < math.inf:
            return
        waiting = list(self._waiting)
        stuck = _held_by([one for permit in waiting for one in permit._line], running)
        unread = all(one in stuck or one.idle for one in running)
        for permit in waiting:
            owns, reason, hint = permit._is_own, "", _READ
            if all(one in stuck or owns(one) for one in running) and any(map(owns, running)):
                if now - permit._since >= _OWN_STREAMS * (1 - 1 / _LOOKS):
                    reason = "streams that its own code left open"
                    if stuck.issuperset(running):
                        reason, hint = "calls that wait for it, or for others made in them", _APART
            elif unread and now - max(self._progress, permit._since) >= NO_PROGRESS:
                reason = f"streams that were left open and not read for {NO_PROGRESS:g} s"
            refused = partial(WouldDeadlock, f"this call would wait for {reason}", hint)
            if reason and permit._tell(refused):
                self._waiting.discard(permit)

    def _set_timer(self, due: float) -> None:
        """See to it that `_tick` runs then."""
        if self._timer:
            self._changed.notify()
        else:
            with suppress(RuntimeError):  # no thread can be started: see `_attend`
                start_new_thread(self._run_timer, ())
                self._timer = True
        self._due = due  # last: an interrupt before it has the timer set again

    def _attend(self) -> float:
        """Tick when it is time, where the timer has no thread; seconds until it is time again."""
        if self._timer:
            return math.inf
        with self._lock:
            if self._due <= self._clock():
                self._tick()
            return self._due - self._clock()

    def _run_timer(self) -> None:
        """A thread that is there while somebody waits."""
        with self._lock:
            try:
                while self._queue:
                    if not self._changed.wait(max(0.0, self._due - self._clock())):
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
