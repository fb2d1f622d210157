"""Leases of one process: one thread asks Redis for them, renews them and gives them back.

Threads and tasks only put messages into its inbox and wait for a future, so neither an event loop
nor a finalizer ever waits for Redis, and whatever interrupts them leaves no half-made exchange.
"""

from __future__ import annotations

import json
import os
import random
import secrets
from _thread import allocate_lock, get_ident, start_new_thread
from collections.abc import Callable
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from puter.engine.clock import monotonic
from puter.engine.events import LOGGER
from puter.engine.throttle import NO_PROGRESS, ThreadFuture, WouldDeadlock, wake
from puter.exceptions import PuterConnectionError, words_of
from puter.extensions.limiter_script import SCRIPT

if TYPE_CHECKING:
    import asyncio

    from puter.engine.throttle import Permit

# Seconds between two looks of the first in the queue while others call; the second looks half as
# often, and so on: all together they ask a few hundred times a second, however many they are.
_POLL = 0.02
# Seconds between two looks of anybody who waits, at most.
_LONGEST = 1.0
# Seconds after which a waiter who did not look is passed over, until it looks again.
_SILENCE = 3.0
# Seconds between two renewals, at most: they tell that somebody is at work.
_RENEWAL = 10.0
# Seconds until Redis is asked again after it failed, where calls go on without it.
_PAUSE = 5.0
# Seconds without anything to do after which the thread ends.
_IDLE = 2.0
# Seconds that the end of the process waits for Redis.
_FAREWELL = 2.0
# JSON of Lua knows no infinity.
_NO_LIMIT = 10**9

OnUnavailable: TypeAlias = Literal["raise", "local"]
Limits: TypeAlias = tuple[float, float, float]
"""``rate_limit``, ``period`` and ``max_concurrency`` of a throttle."""


class Lease:
    """One admission of a permit, from asking for it until it is given back."""

    __slots__ = ("future", "id", "limits", "loop", "permit", "since", "ticket")

    def __init__(
        self, permit: Permit, ticket: int, since: float, limits: Limits, future: Any
    ) -> None:
        self.id: str = ""
        self.permit: Permit = permit
        self.ticket: int = ticket  # its place in the queue, 0 before it has one
        self.since: float = since  # when its call began to wait
        self.limits: Limits = limits
        self.future: Any = future
        self.loop: asyncio.AbstractEventLoop | None = permit.loop

    def tell(self, failure: Callable[[], Exception] | None = None) -> bool:
        """Wake the waiter; False if its event loop does not run."""
        return wake(self.loop, self.future, failure)


class Keeper:
    """Keeps the leases of this process.

    Args:
        connect: Makes a ``redis.Redis``.
        key: What the names of all keys begin with.
        lease: Seconds that a lease lasts.
        on_unavailable: Without Redis calls fail, or go on under the limits of this process.
    """

    def __init__(
        self, connect: Callable[[], Any], key: str, lease: float, on_unavailable: OnUnavailable
    ) -> None:
        self.pid: int = os.getpid()
        self._connect = connect
        names = ("running", "ended", "waiting", "alive", "state")
        self._keys = [f"{{{key}}}:{name}" for name in names]  # one slot of a cluster
        self._lease, self._local = lease, on_unavailable == "local"
        self._name, self._numbers = f"{self.pid}-{secrets.token_hex(6)}", count(1)
        self._inbox: SimpleQueue[tuple[Callable[..., None], Any]] = SimpleQueue()
        self._lock = allocate_lock()  # the thread begins and ends under it
        self._thread: int | None = None
        self._down = False  # calls go on without Redis
        self._warned = False
        # The rest is the thread's alone.
        self._client: Any = None
        self._script: Any = None
        self._waiting: dict[str, Lease] = {}
        self._held: dict[str, Lease] = {}
        self._done: dict[str, tuple[float, float]] = {}  # id -> period, when
        self._hold = self._period = 0.0
        self._renewal = self._look = 0.0

    # ------------------------------------------------------------ anybody

    def ask(self, lease: Lease) -> None:
        """Get it a place in the queue; its future tells when it may go."""
        lease.id = f"{self._name}-{next(self._numbers):012}"  # in order, within a millisecond
        message = self._take if self._down else self._enqueue
        with self._lock:
            self._inbox.put((message, lease))
            if self._thread is None:
                try:
                    start_new_thread(self._run, ())
                except RuntimeError as error:
                    lease.tell(None if self._local else partial(_unavailable, str(error)))
        if message == self._take:
            lease.tell()

    def give_back(self, lease: Lease) -> None:
        """Give it back, wherever it stands. Safe to repeat, from any thread or finalizer."""
        self._inbox.put((self._drop, lease))

    def serves(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether a task of the loop waits for a lease, or has one."""
        leases = [*list(self._waiting.values()), *list(self._held.values())]
        return any(lease.loop is loop for lease in leases)

    def hold(self, seconds: float) -> None:
        """Let nobody of the whole fleet go for so many seconds."""
        self._inbox.put((self._note_hold, seconds))

    def finish(self) -> None:
        """Give everything back: this process ends."""
        if self.pid != os.getpid():
            return
        done = ThreadFuture()
        with self._lock:
            if self._thread is None:
                return
            self._inbox.put((self._end, done))
        done.wait(_FAREWELL)

    # ------------------------------------------------------------ its thread

    def _run(self) -> None:
        with self._lock:
            if self._thread is not None:  # somebody else has started one, too
                return
            self._thread = get_ident()
        while self._work():
            try:
                self._exchange()
            except Exception as error:  # noqa: BLE001 - nobody may wait for what never comes
                self._fail(error)

    def _work(self) -> bool:
        """Wait until there is something to do; False when there is nothing more."""
        due = min(self._look, self._renewal) if self._busy() else monotonic() + _IDLE
        try:
            message, subject = self._inbox.get(timeout=max(0.0, due - monotonic()))
            while True:
                message(subject)
                message, subject = self._inbox.get_nowait()
        except Empty:
            pass
        if self._busy():
            return True
        with self._lock:
            if self._inbox.empty():
                self._thread, self._down = None, False
                self._disconnect()
                return False
        return True

    def _busy(self) -> bool:
        return bool(self._waiting or self._held or self._done or self._hold)

    def _enqueue(self, lease: Lease) -> None:
        self._waiting[lease.id] = lease
        self._period = lease.limits[1]

    def _take(self, lease: Lease) -> None:
        self._held[lease.id] = lease
        self._period = lease.limits[1]

    def _drop(self, lease: Lease) -> None:
        known = self._held.pop(lease.id, None) or self._waiting.pop(lease.id, None)
        if known is not None:
            self._done[lease.id] = lease.limits[1], monotonic()

    def _note_hold(self, seconds: float) -> None:
        self._hold = max(self._hold, seconds)

    def _end(self, done: ThreadFuture) -> None:
        for lease in [*self._waiting.values(), *self._held.values()]:
            self._drop(lease)
        try:
            self._exchange()
        except Exception:  # noqa: BLE001 - the leases end by themselves
            self._done.clear()
        self._disconnect()
        done.set_result(None)

    def _exchange(self) -> None:
        """Tell Redis what happened, and ask it who may go."""
        now = monotonic()
        for lease in [*self._held.values(), *self._waiting.values()]:
            if lease.loop is not None and lease.loop.is_closed():
                self._drop(lease)  # nobody is left to give it back
        held, done = list(self._held.values()), dict(self._done)
        if renews := now >= self._renewal:
            self._renewal = now + min(self._lease / 3, _RENEWAL)
        wait = sorted(
            # an event loop that stands still cannot take what it is given
            (one for one in self._waiting.values() if one.loop is None or one.loop.is_running()),
            key=lambda one: one.ticket or float("inf"),
        )
        hold, self._hold = self._hold, 0.0
        ask = {
            "done": [[name, _milliseconds(period)] for name, (period, _) in done.items()],
            "held": [one.id for one in held] if renews else [],
            "busy": renews and any(not one.permit.idle for one in held),
            "hold": _milliseconds(hold),
            "wait": [_as_asked(one, now) for one in wait],
            "lease": _milliseconds(self._lease),
            "period": _milliseconds(self._period),
            "poll": _milliseconds(_POLL),
            "longest": _milliseconds(_LONGEST),
            "silence": _milliseconds(_SILENCE),
            "patience": _milliseconds(NO_PROGRESS),
        }
        delay, answers = self._call(json.dumps(ask))
        for name in done:
            self._done.pop(name, None)
        for lease, answer in zip(wait, answers, strict=True):
            self._act(lease, answer)
        self._look = float("inf")
        if self._waiting:
            self._look = monotonic() + delay / 1000 * random.uniform(0.8, 1.2)
        if self._down or self._warned:
            LOGGER.info("RedisLimiter: Redis answers again")
            self._down = self._warned = False

    def _call(self, ask: str) -> Any:
        if self._client is None:
            client = self._connect()
            self._script = client.register_script(SCRIPT)
            self._client = client
        return self._script(keys=self._keys, args=[ask])

    def _act(self, lease: Lease, answer: int) -> None:
        lease.ticket = abs(answer)
        if answer < 0:
            del self._waiting[lease.id]
            self._held[lease.id] = lease
            if not lease.tell():  # its event loop has just stopped
                self._drop(lease)
        elif not answer:
            del self._waiting[lease.id]
            lease.tell(_stuck)

    def _fail(self, error: Exception) -> None:
        """Redis does not answer: those who wait are told, or go on without it."""
        now, text = monotonic(), f"{type(error).__name__}: {words_of(error)}"
        self._disconnect()
        if self._local and not self._warned:
            self._warned = True
            LOGGER.warning(
                "RedisLimiter: Redis does not answer, so this process keeps its own limits alone "
                "until it does (%s)",
                text,
            )
        self._down = self._local
        for lease in list(self._waiting.values()):
            del self._waiting[lease.id]
            if self._local:
                self._held[lease.id] = lease  # counted when Redis is back
                lease.tell()
            else:
                self._done[lease.id] = lease.limits[1], now  # Redis may have let it go
                lease.tell(partial(_unavailable, text))
        for name, (_, since) in list(self._done.items()):
            if now - since >= self._lease:  # it has ended by itself
                del self._done[name]
        self._renewal = now
        self._look = self._renewal = now + min(_PAUSE, self._lease / 3)

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _as_asked(lease: Lease, now: float) -> tuple[str, int, int, int, int]:
    rate, _, most = (int(min(_NO_LIMIT, number)) for number in lease.limits)
    return lease.id, lease.ticket, _milliseconds(now - lease.since), most, rate


def _stuck() -> Exception:
    return WouldDeadlock(
        "this call would wait for streams that some process of the fleet left open and did not "
        f"read for {NO_PROGRESS:g} s",
        "Read the open streams to their end, or close them.",
    )


def _unavailable(text: str) -> Exception:
    return PuterConnectionError(
        f"The Redis of RedisLimiter does not answer, so nothing was sent: {text}",
        retryable=True,
        hint='Start it, or use RedisLimiter(url, on_unavailable="local").',
    )
