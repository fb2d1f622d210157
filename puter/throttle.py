"""One gate for threads and asyncio tasks: a rolling window, a cap on calls in flight, one queue.

A ``Slot`` is a place: in the queue while it waits, among the running once admitted; releasing it
gives back either. A waiter is never handed its admission: it is woken when its turn may have come
and admits itself, so one that dies on the way loses nothing. The waiters of each event loop stand
in a line of their own, all threads in another; only the first of a line ever keeps a timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import math
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, cast, final

from asyncio_throttle.throttler import Throttler

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds after which the first of another line looks whether the leader's event loop still runs.
_WATCH = 1.0


# Seconds to wait before code that would wait for its own open streams is told so: another thread
# may yet take one over.
_DOUBT = 5.0

# Good answers after which a narrowed gate is tried one wider.
_ENOUGH = 50


def _running_loop() -> asyncio.AbstractEventLoop | None:
    return asyncio._get_running_loop()


def _me() -> tuple[int, object]:
    """This thread and task."""
    loop = asyncio._get_running_loop()
    return threading.get_ident(), None if loop is None else asyncio.current_task(loop)


@final
class Slot:
    """Leave to make one call, from `Throttle.enter`; also a context manager.

    Attributes:
        ticket: The place in the queue it was admitted with; enter with it again to keep that place.
    """

    __slots__ = ("_alarm", "_bell", "_gate", "_loop", "_owner", "_sleep", "ticket")

    def __init__(self, gate: Throttle, ticket: int, loop: asyncio.AbstractEventLoop | None) -> None:
        self.ticket: int = ticket
        self._gate = gate
        self._loop = loop
        self._owner = _me()
        self._alarm = -math.inf  # when it looks again unasked; -inf while it is awake
        self._bell: threading.Lock | None = None  # a sleeping thread waits to lock it
        self._sleep: asyncio.Future[None] | None = None  # a sleeping task awaits it

    def claim(self) -> None:
        """From now on it is this thread or task that must give the slot back."""
        self._owner = _me()

    def release(self) -> None:
        """Give the slot back. Safe to repeat, and to call from any thread or finalizer."""
        try:
            self._gate._give_back(self)
        except BaseException:  # interrupted half way: once more, or those who wait sleep on
            self._gate._give_back(self)
            raise

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __lt__(self, other: Slot) -> bool:
        return self.ticket < other.ticket

    def _ring(self) -> None:
        """Wake the waiter; the gate's lock is held, so nobody else unlocks the bell."""
        self._alarm = -math.inf
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # just closed: `_firsts` drops its line next
                self._loop.call_soon_threadsafe(self._wake)
        elif self._bell is not None and self._bell.locked():
            self._bell.release()

    def _wake(self) -> None:
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)


class Throttle(Throttler):
    """Admits calls first come first served, within a rolling window and a cap on calls in flight.

    Threads and the tasks of any number of event loops may share one gate; it survives fork.
    ``async with throttle:`` works as in the library it extends, and gives the slot back at the end.

    Args:
        rate_limit: Admissions per window, at least 1; ``math.inf`` for no limit.
            Puter backend: 30 requests per 10 s on a free account.
        period: Length of the window in seconds, finite and above 0.
        max_concurrency: Slots out at the same time, at least 1; ``math.inf`` for no limit.
            Puter backend: 3 on a free account.
        clock: Monotonic seconds; replaced in tests.

    Raises:
        ValueError: A limit is out of range.

    Examples:
        >>> gate = Throttle()
        >>> with gate.enter():
        ...     gate.running
        1
    """

    rate_limit: Any  # the library says int; it only compares it with a length
    period: float
    max_concurrency: float

    def __init__(
        self,
        rate_limit: float = 30,
        period: float = 10.0,
        max_concurrency: float = 3,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(1, period)
        self._clock = clock
        self._tickets = itertools.count()
        self._held_until = -math.inf
        self._most: float = max_concurrency  # as set; `narrow` goes below it
        self._good = 0
        self._entered: list[Slot] = []  # of `async with`; slots are alike, any one will do
        self._reset()
        self.resize(rate_limit, period, max_concurrency)
        _gates.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._busy = False  # the holder of the lock is changing what is below
        self._gone: deque[Slot] = deque()  # released or given up, not yet struck out
        self._running: set[Slot] = set()
        self._waiting: set[Slot] = set()
        self._lines: dict[asyncio.AbstractEventLoop | None, list[Slot]] = {}  # heaps by ticket
        self._stale = 0  # upper bound of the slots in `_lines` that wait no more

    @property
    def running(self) -> int:
        """Slots out at this moment."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Threads and tasks in the queue."""
        return len(self._waiting)

    def ticket(self) -> int:
        """Draw the next place in the queue; a call that enters with it again keeps that place."""
        return next(self._tickets)

    def enter(self, ticket: int | None = None, timeout: float | None = None) -> Slot:
        """Block this thread until it is admitted.

        Args:
            ticket: A place drawn earlier with `ticket`; by default the end of the queue.
            timeout: Seconds to wait at most; by default no limit.

        Returns:
            The slot; release it when the call has ended.

        Raises:
            TimeoutError: ``timeout`` passed first; the place is given up.
            RuntimeError: Without ``timeout``, it would wait for itself: for tasks of the event loop
                that its thread is running, or for streams that its own code holds.
        """
        slot = Slot(self, self.ticket() if ticket is None else ticket, None)
        since = self._clock()
        deadline = math.inf if timeout is None else since + timeout
        try:
            while (alarm := self._look(slot)) is not None:
                if timeout is None:
                    self._refuse_standstill(slot, since)
                nap = min(self._nap(alarm, deadline), self._doubt(slot, timeout))
                bell = cast("threading.Lock", slot._bell)
                bell.acquire(timeout=-1 if nap == math.inf else min(nap, threading.TIMEOUT_MAX))
        except BaseException:
            slot.release()
            raise
        return slot

    def _refuse_standstill(self, slot: Slot, since: float) -> None:
        """Nobody must wait for what only its own thread, task or event loop can give back."""
        with self._lock:
            if slot._loop is None and any(
                one._loop is not None and one._loop is _running_loop()
                for one in (*self._running, *self._waiting)
            ):
                raise RuntimeError("this thread would wait for tasks of its own event loop")
            if self._all_of(slot) and self._clock() - since >= _DOUBT:
                raise RuntimeError("this call would wait for streams that its own code left open")

    def _doubt(self, slot: Slot, timeout: float | None) -> float:
        """Seconds after which to look whether this waits for itself."""
        return _DOUBT if timeout is None and self._all_of(slot) else math.inf

    def _all_of(self, slot: Slot) -> bool:
        """Every slot that is out was last used by the code that now waits."""
        running = tuple(self._running)
        return len(running) >= self.max_concurrency and all(
            one._owner == slot._owner for one in running
        )

    async def enter_async(self, ticket: int | None = None, timeout: float | None = None) -> Slot:
        """Wait in this task until it is admitted; otherwise as `enter`."""
        loop = asyncio.get_running_loop()
        slot = Slot(self, self.ticket() if ticket is None else ticket, loop)
        since = self._clock()
        deadline = math.inf if timeout is None else since + timeout
        try:
            while (alarm := self._look(slot)) is not None:
                if timeout is None:
                    self._refuse_standstill(slot, since)
                nap = min(self._nap(alarm, deadline), self._doubt(slot, timeout))
                slot._sleep = loop.create_future()
                timer = None if nap == math.inf else loop.call_later(nap, slot._wake)
                try:
                    await slot._sleep
                finally:
                    if timer is not None:
                        timer.cancel()
        except BaseException:
            slot.release()
            raise
        return slot

    async def acquire(self) -> None:
        """Wait for a turn in the window, as the library does; holds no slot afterwards."""
        (await self.enter_async()).release()

    async def __aenter__(self) -> None:
        self._entered.append(await self.enter_async())

    async def __aexit__(self, *_: object) -> None:
        self._entered.pop().release()

    def flush(self) -> None:
        """Forget the admissions that have left the window; the gate does so itself."""
        log, now = self._task_logs, self._clock()
        while log and log[0] + self.period <= now:
            log.popleft()

    def hold_off(self, seconds: float) -> None:
        """Admit nobody for so many seconds: the server said slow down. Never shortens a hold."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)

    def resize(self, rate_limit: float, period: float, max_concurrency: float) -> None:
        """Change the limits, as in the constructor; those who may go now are woken.

        Raises:
            ValueError: A limit is out of range; nothing has changed.
        """
        if not (rate_limit >= 1 and 0 < period < math.inf and max_concurrency >= 1):
            raise ValueError(
                "a throttle needs rate_limit >= 1, a finite period > 0 and max_concurrency >= 1, "
                f"not {rate_limit!r}, {period!r} and {max_concurrency!r}"
            )
        with self._lock:
            self.rate_limit = rate_limit
            self.period = period
            self.max_concurrency = self._most = max_concurrency
        self._give_back(Slot(self, -1, None))  # nobody's: to wake those who may go now

    def narrow(self) -> None:
        """The server says that too many run at once: one fewer from now on."""
        with self._lock:
            if self.max_concurrency < math.inf:
                self.max_concurrency = max(1, self.max_concurrency - 1)
            self._good = 0

    def answered(self) -> None:
        """A call went well; enough of them, and a narrowed gate is tried one wider again."""
        if self.max_concurrency >= self._most:
            return
        with self._lock:
            self._good += 1
            if self._good < _ENOUGH:
                return
            self._good = 0
            self.max_concurrency = min(self._most, self.max_concurrency + 1)
        self._give_back(Slot(self, -1, None))

    def _nap(self, alarm: float, deadline: float) -> float:
        now = self._clock()
        if deadline <= now:
            raise TimeoutError(
                f"not admitted in time: {self.running} running (at most {self.max_concurrency}), "
                f"{self.waiting} waiting, {self.rate_limit} admissions per {self.period} s"
            )
        return max(min(alarm, deadline) - now, 0.0)

    def _give_back(self, slot: Slot) -> None:
        """Strike ``slot`` out wherever it stands, and wake whose turn that makes it.

        A finalizer may come here while its own thread is changing the books: then it leaves a note,
        and the change under way ends by reading it.
        """
        self._gone.append(slot)
        with self._lock:
            self._settle()

    def _look(self, slot: Slot) -> float | None:
        """Admit ``slot`` if its turn has come (None), or queue it and say when to look again."""
        with self._lock:
            self._busy = True
            try:
                now = self._clock()
                turn = self._opens() <= now
                if self._waiting or not turn:
                    self._line_up(slot)
                    turn = turn and self._firsts()[0] is slot
                if turn:
                    self.flush()
                    self._task_logs.append(now)
                    self._running.add(slot)
                    self._waiting.discard(slot)
                else:
                    slot._alarm = math.inf
                if self._waiting:
                    self._wake(now, awake=None if turn else slot)
            finally:
                self._busy = False
            self._settle()
            return None if turn else slot._alarm

    # The rest runs under the lock.

    def _settle(self) -> None:
        while self._gone and not self._busy:
            self._busy = True
            try:
                self._strike_out()
                if self._lines:
                    self._wake(self._clock())
            finally:
                self._busy = False

    def _strike_out(self) -> None:
        while self._gone:
            slot = self._gone[0]
            self._running.discard(slot)
            if slot in self._waiting:
                self._waiting.discard(slot)
                self._stale += 1
            self._gone.popleft()  # last: an interrupt before it loses nothing
        if self._stale > len(self._waiting):
            for line in self._lines.values():
                line[:] = [slot for slot in line if slot in self._waiting]
                heapq.heapify(line)
            self._stale = 0

    def _opens(self) -> float:
        """When the next may enter as things stand; inf if a release must come first."""
        log, limit, period = self._task_logs, self.rate_limit, float(self.period)
        if len(self._running) + 1 > self.max_concurrency:
            return math.inf
        if len(log) + 1 <= limit:
            return self._held_until
        return max(self._held_until, log[-int(limit)] + period)

    def _line_up(self, slot: Slot) -> None:
        if slot in self._waiting:
            return
        if slot._loop is None:
            slot._bell = threading.Lock()
            slot._bell.acquire()
        heapq.heappush(self._lines.setdefault(slot._loop, []), slot)
        self._waiting.add(slot)

    def _firsts(self) -> list[Slot]:
        """The first of every line that moves, the leader of all at the front."""
        firsts: list[Slot] = []
        for loop, line in list(self._lines.items()):
            while line and line[0] not in self._waiting:
                heapq.heappop(line)
            if not line or (loop is not None and loop.is_closed()):
                self._waiting.difference_update(line)
                del self._lines[loop]
            elif loop is None or loop.is_running():
                firsts.append(line[0])
            elif line[0]._alarm > -math.inf:
                line[0]._ring()  # the loop is stopped: passed over, it looks should it run again
        return sorted(firsts)

    def _wake(self, now: float, awake: Slot | None = None) -> None:
        """Ring for the first of each line, if it would sleep past the moment it ought to look."""
        opens = self._opens()
        for place, first in enumerate(self._firsts()):
            alarm = opens if place == 0 else max(opens, now) + _WATCH
            if first is awake:
                first._alarm = alarm
            elif first._alarm > alarm:
                first._ring()


_gates: weakref.WeakSet[Throttle] = weakref.WeakSet()


def _after_fork() -> None:
    """Waiters and running calls are the parent's; the window is the account's and stays."""
    for gate in list(_gates):
        gate._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
