"""The throttle: its limits, its order, its deadlocks, and that no permit is ever lost."""

from __future__ import annotations

import asyncio
import gc
import inspect
import math
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from asyncio_throttle.throttler import Throttler
from hypothesis import given, settings
from hypothesis import strategies as st

from puter.config import PuterConfig
from puter.engine import throttle as throttle_module
from puter.engine.client import limits_of
from puter.engine.throttle import Permit, Throttle, WouldDeadlock
from puter.testing.limits import TIERS, Limits
from puter.testing.refusals import ApiError
from tests.virtual import VirtualLoop, VirtualThrottle, virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NO_WINDOW = math.inf


class Clock:
    """Time that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Running(set[Permit]):
    """Stands in for the throttle's own set: notes who was admitted when, and the crowd."""

    def __init__(self, throttle: Throttle) -> None:
        super().__init__()
        self.throttle = throttle
        self.order: list[int] = []
        self.overtaken: list[int] = []
        self.most = 0

    def add(self, permit: Permit) -> None:
        super().add(permit)
        self.order.append(permit.position)
        self.most = max(self.most, len(self))
        waiting = [other.position for other in list(self.throttle._waiting)]
        self.overtaken += [position for position in waiting if position < permit.position]


class Stamps(deque[float]):
    """Stands in for the window's log: remembers what the throttle has flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[float] = []

    def append(self, stamp: float) -> None:
        super().append(stamp)
        self.all.append(stamp)

    def closest(self, count: int) -> float:
        """The shortest time in which ``count`` + 1 were admitted."""
        return min(
            (b - a for a, b in zip(self.all, self.all[count:], strict=False)), default=math.inf
        )


def watched(throttle: Throttle) -> tuple[Running, Stamps]:
    running, stamps = Running(throttle), Stamps()
    throttle._running, throttle._window._task_logs = running, stamps
    return running, stamps


def until(reached: Callable[[], bool]) -> None:
    """Let other threads run until they have come so far."""
    limit = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < limit, "the other threads never came so far"
        time.sleep(0.001)


async def settled(throttle: Throttle, waiting: int) -> None:
    while throttle.waiting != waiting:  # noqa: ASYNC110 - the throttle has no event for this
        await asyncio.sleep(0)


@contextmanager
def loop_elsewhere() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    if not loop.is_closed():
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


def start(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def without_timer(throttle: Throttle) -> Throttle:
    """Whoever misses a hand-over waits for ever, and no tick makes good for it."""
    throttle._set_timer = lambda due: None  # type: ignore[method-assign]  # a double
    return throttle


@pytest.fixture(params=["a thread", "no thread"])
def timer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the timer runs in; a process may be able to start no more threads."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    if request.param == "no thread":
        monkeypatch.setattr(throttle_module, "start_new_thread", refuse)


def error_of(function: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Run it in a thread of its own; the list gets what it raises."""
    errors: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    return start(call), errors


def timers() -> int:
    loop: Any = asyncio.get_running_loop()
    return sum(not timer.cancelled() for timer in loop._scheduled)


def at(permit: Permit, position: int | None) -> Permit:
    if position is not None:
        permit.position = position
    return permit


def acquire(
    throttle: Throttle, position: int | None = None, timeout: float | None = None
) -> Permit:
    """A permit, admitted; nothing is left of one that was not."""
    permit = at(Permit(throttle), position)
    try:
        return permit.acquire(timeout)
    except BaseException:
        permit.release()
        raise


async def async_acquire(
    throttle: Throttle, position: int | None = None, timeout: float | None = None
) -> Permit:
    permit = at(Permit(throttle), position)
    try:
        return await permit.async_acquire(timeout)
    except BaseException:
        permit.release()
        raise


def full(throttle: Throttle) -> bool:
    try:
        acquire(throttle, timeout=0).release()
    except TimeoutError:
        return True
    return False


# The library


def test_the_library_still_has_what_the_throttle_builds_on() -> None:
    library: Any = Throttler(2, 1.0)
    assert type(library._task_logs) is deque
    asyncio.run(library.acquire())
    assert len(library._task_logs) == 1
    assert list(inspect.signature(Throttler).parameters)[:2] == ["rate_limit", "period"]
    assert isinstance(Throttle()._window, Throttler)


def test_each_admission_is_logged_in_the_window_of_the_library() -> None:
    throttle = Throttle(5, 10, 1)
    for _ in range(3):
        acquire(throttle).release()
    assert len(throttle._window._task_logs) == 3
    assert throttle.running == 0


async def test_with_holds_a_permit_until_the_end() -> None:
    throttle = Throttle(max_concurrency=1)
    with await async_acquire(throttle):
        assert throttle.running == 1
        assert full(throttle)
    assert throttle.running == 0


async def test_with_gives_the_permit_back_when_its_body_fails() -> None:
    throttle = Throttle()
    with pytest.raises(KeyError), await async_acquire(throttle):
        raise KeyError
    assert throttle.running == 0


# Limits


def test_defaults_are_those_of_a_free_account() -> None:
    throttle = Throttle()
    assert (throttle.rate_limit, throttle.period, throttle.max_concurrency) == (30, 10.0, 3)


@pytest.mark.parametrize(
    "limits",
    [(0, 1, 1), (0.5, 1, 1), (math.nan, 1, 1), (1, 0, 1), (1, math.inf, 1), (1, 1, 0), (1, -1, 1)],
)
def test_impossible_limits_are_refused_and_change_nothing(
    limits: tuple[float, float, float],
) -> None:
    with pytest.raises(ValueError, match="rate_limit >= 1"):
        Throttle(*limits)
    throttle = Throttle(7, 8, 9)
    with pytest.raises(ValueError, match="rate_limit >= 1"):
        throttle.resize(*limits)
    assert (throttle.rate_limit, throttle.period, throttle.max_concurrency) == (7, 8, 9)


def test_the_window_rolls() -> None:
    clock = Clock()
    throttle = Throttle(2, 10, math.inf, clock=clock)
    acquire(throttle)
    clock.now = 4
    acquire(throttle)
    clock.now = 9.999
    assert full(throttle)
    clock.now = 10
    acquire(throttle, timeout=0)
    assert full(throttle)
    clock.now = 14
    acquire(throttle, timeout=0)
    assert full(throttle)
    assert len(throttle._window._task_logs) == 2


def test_no_more_than_max_concurrency_at_once() -> None:
    throttle = Throttle(NO_WINDOW, 1, 2)
    first, _second = acquire(throttle), acquire(throttle)
    assert full(throttle)
    assert throttle.running == 2
    first.release()
    assert not full(throttle)


def test_infinite_limits_admit_everyone() -> None:
    throttle = Throttle(math.inf, 1, math.inf)
    permits = [acquire(throttle, timeout=0) for _ in range(1000)]
    assert throttle.running == len(permits)


def test_a_fraction_of_an_admission_is_none() -> None:
    clock = Clock()
    throttle = Throttle(2.5, 10, 1.5, clock=clock)
    acquire(throttle, timeout=0).release()
    permit = acquire(throttle, timeout=0)
    assert full(throttle)
    permit.release()
    assert full(throttle)
    clock.now = 10
    assert not full(throttle)


def test_a_stamp_is_no_older_than_what_was_forgotten_for_it() -> None:
    clock = Clock()

    def creeping() -> float:  # each look at the clock takes a while
        clock.now += 1
        return clock.now

    throttle = Throttle(3, 20, math.inf, clock=creeping)
    _, stamps = watched(throttle)
    admitted = 0
    while admitted < 20:
        admitted += not full(throttle)
    assert stamps.closest(3) >= 20


def test_the_log_is_no_longer_than_the_window() -> None:
    clock = Clock()
    throttle = Throttle(math.inf, 10, clock=clock)
    for second in range(100):
        clock.now = second
        acquire(throttle).release()
    assert len(throttle._window._task_logs) == 10
    clock.now = 1000
    acquire(throttle).release()
    assert len(throttle._window._task_logs) == 1


@pytest.mark.parametrize("door", ["sync", "async"])
def test_an_idle_throttle_has_no_future_and_no_timer(door: str) -> None:
    throttle = Throttle()
    permit = acquire(throttle) if door == "sync" else asyncio.run(async_acquire(throttle))
    assert not hasattr(permit, "_future")
    assert not throttle._timer


@pytest.mark.usefixtures("timer")
def test_threads_and_tasks_queue_together() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    running, _ = watched(throttle)
    blocker = acquire(throttle)
    threads = [start(lambda: acquire(throttle).release()) for _ in range(3)]

    async def crowd() -> None:
        async def one() -> None:
            (await async_acquire(throttle)).release()

        tasks = [asyncio.create_task(one()) for _ in range(3)]
        await settled(throttle, 6)
        blocker.release()
        await asyncio.gather(*tasks)

    asyncio.run(crowd())
    for thread in threads:
        thread.join(20)
    assert (len(running.order), throttle.running, throttle.waiting) == (7, 0, 0)


def test_the_timer_ends_when_nobody_waits() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    for _ in range(3):
        blocker = acquire(throttle)
        thread = start(lambda: acquire(throttle).release())
        until(lambda: throttle.waiting == 1)
        assert throttle._timer
        blocker.release()
        thread.join(20)
        until(lambda: not throttle._timer)


@pytest.mark.usefixtures("timer")
@pytest.mark.parametrize("door", ["sync", "async"])
def test_the_timer_opens_the_window_time_after_time(door: str) -> None:
    throttle = Throttle(1, 0.05, 1)
    _, stamps = watched(throttle)
    for _ in range(6):
        if door == "sync":
            acquire(throttle, timeout=20).release()
        else:
            asyncio.run(async_acquire(throttle, timeout=20)).release()
    assert len(stamps.all) == 6
    assert stamps.closest(1) >= 0.05


# Permits


def test_release_twice_frees_one_permit() -> None:
    throttle = Throttle(NO_WINDOW, 1, 2)
    first, _second = acquire(throttle), acquire(throttle)
    for _ in range(3):
        first.release()
    assert throttle.running == 1


def test_a_permit_is_a_context_manager_and_may_be_released_elsewhere() -> None:
    throttle = Throttle()
    with acquire(throttle) as permit:
        assert throttle.running == 1
        thread = start(permit.release)
        thread.join(20)
        assert throttle.running == 0
    assert throttle.running == 0


def test_a_finalizer_may_release_in_the_middle_of_a_hand_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    throttle = without_timer(Throttle(NO_WINDOW, 1, 2))
    held = [acquire(throttle), acquire(throttle)]
    threads = [start(lambda: acquire(throttle).release()) for _ in range(3)]
    until(lambda: throttle.waiting == 3)
    note = throttle._note

    def struck(now: float) -> None:
        if held:
            held.pop().release()
        note(now)

    monkeypatch.setattr(throttle, "_note", struck)
    held.pop().release()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert not held
    assert (throttle.running, throttle.waiting) == (0, 0)


async def test_who_gives_up_in_the_middle_of_a_hand_over_keeps_no_permit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    throttle = without_timer(Throttle(NO_WINDOW, 1, 1))
    blocker = acquire(throttle)
    tasks = [asyncio.create_task(async_acquire(throttle)) for _ in range(2)]
    await settled(throttle, 2)
    first = min(throttle._waiting, key=lambda permit: permit.position)
    note = throttle._note

    def struck(now: float) -> None:
        if first in throttle._waiting:
            first.release()
        note(now)

    monkeypatch.setattr(throttle, "_note", struck)
    blocker.release()
    (await tasks[1]).release()
    assert throttle.running == 0
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (throttle.running, throttle.waiting) == (0, 0)


def test_a_finalizer_may_release_where_its_own_thread_has_the_lock() -> None:
    throttle = without_timer(Throttle(NO_WINDOW, 1, 1))
    blocker = acquire(throttle)
    waiter = start(lambda: acquire(throttle).release())
    until(lambda: throttle.waiting == 1)

    def strike() -> None:
        with throttle._lock:
            blocker.release()

    thread = start(strike)
    thread.join(20)
    waiter.join(20)
    assert (thread.is_alive(), waiter.is_alive(), throttle.running) == (False, False, 0)


def test_garbage_gives_its_permits_back() -> None:
    throttle = Throttle(NO_WINDOW, 1, 10_000)

    class Forgotten:
        def __init__(self) -> None:
            self.permit, self.me = acquire(throttle), self

        def __del__(self) -> None:
            self.permit.release()

    def forget() -> None:
        for _ in range(500):
            Forgotten()

    before = gc.get_threshold()
    gc.set_threshold(5)
    try:
        threads = [start(forget) for _ in range(4)]
        for thread in threads:
            thread.join(20)
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert (throttle.running, throttle.waiting) == (0, 0)


def test_an_interrupted_release_is_finished() -> None:
    throttle = without_timer(Throttle(NO_WINDOW, 1, 1))
    permit = acquire(throttle)
    waiter = start(lambda: acquire(throttle).release())
    until(lambda: throttle.waiting == 1)
    serve = throttle._serve

    def interrupted(_: float) -> None:
        throttle._serve = serve  # type: ignore[method-assign]  # a double, once
        raise KeyboardInterrupt

    throttle._serve = interrupted  # type: ignore[assignment, method-assign]  # a double, once
    with pytest.raises(KeyboardInterrupt):
        permit.release()
    waiter.join(20)
    assert (waiter.is_alive(), throttle.running, throttle.waiting) == (False, 0, 0)


@pytest.mark.parametrize("stage", ["told", "logged", "running", "not waiting"])
def test_a_hand_over_interrupted_at_any_stage_loses_nobody(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttle = without_timer(Throttle(NO_WINDOW, 1, 1))
    permit = acquire(throttle)
    waiters = [start(lambda: acquire(throttle).release()) for _ in range(3)]
    until(lambda: throttle.waiting == 3)
    interrupts = [KeyboardInterrupt]

    def then_interrupted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            result = function(*args)
            if interrupts:
                raise interrupts.pop()
            return result

        return call

    class Interrupting(set[Permit]):
        add = then_interrupted(set.add) if stage == "running" else set.add
        discard = then_interrupted(set.discard) if stage == "not waiting" else set.discard

    with throttle._lock:
        if stage == "told":
            monkeypatch.setattr(Permit, "_tell", then_interrupted(Permit._tell))
        elif stage == "logged":
            monkeypatch.setattr(throttle, "_note", then_interrupted(throttle._note))
        elif stage == "running":
            throttle._running = Interrupting(throttle._running)
        else:
            throttle._waiting = Interrupting(throttle._waiting)
    with pytest.raises(KeyboardInterrupt):
        permit.release()
    for waiter in waiters:
        waiter.join(20)
        assert not waiter.is_alive()
    assert (throttle.running, throttle.waiting) == (0, 0)


# Order


async def test_tasks_go_by_ticket_whenever_they_came() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    running, _ = watched(throttle)
    blocker = acquire(throttle)
    positions = [next(throttle._positions) for _ in range(50)]

    async def call(position: int) -> None:
        with await async_acquire(throttle, position):
            await asyncio.sleep(0)

    tasks = [
        asyncio.create_task(call(position)) for position in positions[::2] + positions[1::2][::-1]
    ]
    await settled(throttle, 50)
    blocker.release()
    await asyncio.gather(*tasks)
    assert running.order == [blocker.position, *positions]
    assert not running.overtaken


def test_threads_go_by_ticket_whenever_they_came() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    running, _ = watched(throttle)
    blocker = acquire(throttle)
    positions = [next(throttle._positions) for _ in range(20)]

    def call(position: int) -> None:
        acquire(throttle, position).release()

    threads = [start(partial(call, position)) for position in reversed(positions)]
    until(lambda: throttle.waiting == 20)
    blocker.release()
    for thread in threads:
        thread.join(20)
    assert running.order == [blocker.position, *positions]


async def test_a_call_that_enters_again_keeps_its_place() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    running, _ = watched(throttle)
    position = next(throttle._positions)
    permit = await async_acquire(throttle, position)
    others = [asyncio.create_task(async_acquire(throttle)) for _ in range(3)]
    await settled(throttle, 3)
    again = asyncio.create_task(async_acquire(throttle, position))
    await settled(throttle, 4)
    permit.release()
    for task in [again, *others]:
        (await task).release()
    assert running.order[:2] == [position, position]
    assert running.order[2:] == sorted(running.order[2:])


async def test_newcomers_do_not_overtake_those_who_wait() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    blocker = acquire(throttle)
    waiter = asyncio.create_task(async_acquire(throttle))
    await settled(throttle, 1)
    blocker.release()  # free now, but the waiter has not run yet
    assert full(throttle)
    (await waiter).release()
    assert not full(throttle)


def test_newcomers_do_not_overtake_when_the_window_opens() -> None:
    clock = Clock()
    throttle = without_timer(Throttle(1, 10, 5, clock=clock))
    acquire(throttle)
    thread = start(partial(acquire, throttle))
    until(lambda: throttle.waiting == 1)
    clock.now = 10  # and no tick yet
    assert full(throttle)
    thread.join(20)
    assert throttle.running == 2


def test_wider_limits_admit_at_once() -> None:
    throttle = without_timer(Throttle(NO_WINDOW, 1, 1))
    acquire(throttle)
    thread = start(partial(acquire, throttle))
    until(lambda: throttle.waiting == 1)
    throttle.resize(NO_WINDOW, 1, 2)
    thread.join(20)
    assert throttle.running == 2


def test_fifty_threads_and_fifty_tasks_share_one_throttle() -> None:
    rate, period = 30, 0.3
    throttle = Throttle(rate, period, 3)
    running, stamps = watched(throttle)
    blockers = [acquire(throttle) for _ in range(3)]
    done: list[str] = []

    positions = [next(throttle._positions) for _ in range(100)]

    def call(position: int) -> None:
        with acquire(throttle, position):
            time.sleep(0.001)
        done.append("thread")

    async def async_call(position: int) -> None:
        with await async_acquire(throttle, position):
            await asyncio.sleep(0.001)
        done.append("task")

    async def tasks(positions: list[int]) -> None:
        await asyncio.gather(*map(async_call, positions))

    threads = [start(partial(call, position)) for position in positions[::2]]
    threads += [start(lambda: asyncio.run(tasks(positions[1::4])))]
    threads += [start(lambda: asyncio.run(tasks(positions[3::4])))]
    until(lambda: throttle.waiting == 100)
    for blocker in blockers:
        blocker.release()
    for thread in threads:
        thread.join(20)

    assert sorted(done) == ["task"] * 50 + ["thread"] * 50
    assert running.order == sorted(running.order)
    assert running.most == 3
    assert len(stamps.all) == 103
    assert stamps.closest(rate) >= period
    assert (throttle.running, throttle.waiting, throttle._queue) == (0, 0, [])


# Crowds


class Counts:
    """How often this throttle woke a waiter, and how often its timer ticked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, counted: Throttle) -> None:
        self.tells = self.ticks = 0
        tell, tick = Permit._tell, Throttle._tick

        def counted_tell(permit: Permit, failure: Callable[[], Exception] | None) -> bool:
            self.tells += permit.throttle is counted
            return tell(permit, failure)

        def counted_tick(throttle: Throttle) -> None:
            self.ticks += throttle is counted
            tick(throttle)

        monkeypatch.setattr(Permit, "_tell", counted_tell)
        monkeypatch.setattr(Throttle, "_tick", counted_tick)


@pytest.mark.parametrize("why", ["no permit", "window full", "held"])
async def test_ten_thousand_tasks_wait_for_nothing(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 10_000
    throttle = Throttle(1, 3600, 1 if why == "no permit" else math.inf)
    if why == "held":
        throttle.hold(3600)
    else:
        acquire(throttle)
    counts = Counts(monkeypatch, throttle)
    tasks = [asyncio.create_task(async_acquire(throttle)) for _ in range(count)]
    await settled(throttle, count)
    assert timers() == 0

    counts.ticks, begun, cpu = 0, time.monotonic(), time.process_time()
    await asyncio.sleep(1.5)
    cpu, elapsed = time.process_time() - cpu, time.monotonic() - begun
    assert counts.tells == 0
    assert counts.ticks <= elapsed + 1
    assert cpu < 0.2 * elapsed

    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert throttle.waiting == 0


async def test_each_task_of_a_crowd_is_woken_once_when_permits_come_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 5_000
    throttle = Throttle(NO_WINDOW, 1, 3)
    blockers = [acquire(throttle) for _ in range(3)]
    counts = Counts(monkeypatch, throttle)

    async def call() -> None:
        (await async_acquire(throttle)).release()

    tasks = [asyncio.create_task(call()) for _ in range(count)]
    await settled(throttle, count)
    for blocker in blockers:
        blocker.release()
    await asyncio.gather(*tasks)
    assert counts.tells == count


def test_two_hundred_threads_wait_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 200
    throttle = Throttle(NO_WINDOW, 1, 1)
    blocker = acquire(throttle)
    counts = Counts(monkeypatch, throttle)
    threads = [start(lambda: acquire(throttle).release()) for _ in range(count)]
    until(lambda: throttle.waiting == count)
    begun, cpu = time.monotonic(), time.process_time()
    time.sleep(1)
    assert counts.tells == 0
    assert time.process_time() - cpu < 0.2 * (time.monotonic() - begun)
    blocker.release()
    for thread in threads:
        thread.join(20)
    assert counts.tells == count
    assert (throttle.running, throttle.waiting) == (0, 0)


def test_no_permit_is_lost_in_a_crowd_that_gives_up_at_random() -> None:
    throttle = Throttle(NO_WINDOW, 1, 3)
    running, _ = watched(throttle)
    chance = random.Random(1)
    over = time.monotonic() + 2
    admitted: list[str] = []

    def call() -> None:
        while time.monotonic() < over:
            with suppress(TimeoutError), acquire(throttle, timeout=chance.random() / 500):
                admitted.append("thread")

    async def async_call() -> None:
        with suppress(TimeoutError), await async_acquire(throttle, timeout=chance.random() / 100):
            admitted.append("task")
            await asyncio.sleep(0)

    async def calls() -> None:
        tasks: list[asyncio.Task[None]] = []
        while time.monotonic() < over:
            tasks = [task for task in tasks if not task.done()]
            tasks += [asyncio.create_task(async_call()) for _ in range(20)]
            await asyncio.sleep(chance.random() / 500)
            for task in chance.sample(tasks, len(tasks) // 3):
                task.cancel()
        # asyncio.run cancels the rest

    threads = [start(call) for _ in range(4)]
    threads += [start(lambda: asyncio.run(calls())) for _ in range(2)]
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert {"thread", "task"} <= set(admitted)
    assert running.most <= 3
    assert (throttle.running, throttle.waiting) == (0, 0)
    assert [acquire(throttle, timeout=0) for _ in range(3)]


async def test_those_who_gave_up_leave_no_trace_behind_a_long_call() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    acquire(throttle)
    first = asyncio.create_task(async_acquire(throttle))
    await settled(throttle, 1)
    for _ in range(1000):
        with pytest.raises(TimeoutError):
            await async_acquire(throttle, timeout=0)
    assert len(throttle._queue) < 20
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_the_order_stays_when_many_have_given_up() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    running, _ = watched(throttle)
    blocker = acquire(throttle)
    positions = [next(throttle._positions) for _ in range(200)]
    random.Random(1).shuffle(positions)

    async def call(position: int) -> None:
        with await async_acquire(throttle, position):
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(call(position)) for position in positions]
    await settled(throttle, 200)
    for task in tasks[:150]:
        task.cancel()
    await settled(throttle, 50)
    blocker.release()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert running.order == [blocker.position, *sorted(positions[150:])]


# Giving up


@pytest.mark.usefixtures("timer")
def test_a_thread_that_runs_out_of_time_gives_up_its_place() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    blocker = acquire(throttle)
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match="1 running"):
        acquire(throttle, timeout=0.05)
    assert 0.05 <= time.monotonic() - begun < 5
    assert (throttle.running, throttle.waiting) == (1, 0)
    blocker.release()
    assert not full(throttle)


@pytest.mark.usefixtures("timer")
def test_a_task_that_runs_out_of_time_gives_up_its_place() -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(NO_WINDOW, 1, 1, loop=loop)
        blocker = acquire(throttle)
        with pytest.raises(TimeoutError, match="1 running"):
            await async_acquire(throttle, timeout=2)
        assert loop.time() == 2
        assert (throttle.running, throttle.waiting) == (1, 0)
        blocker.release()
        (await async_acquire(throttle, timeout=0)).release()

    virtually(body)


async def test_a_timeout_longer_than_the_wait_changes_nothing() -> None:
    throttle = Throttle(1, 0.05, 1)
    acquire(throttle).release()
    (await async_acquire(throttle, timeout=math.inf)).release()
    acquire(throttle, timeout=math.inf).release()
    acquire(throttle, timeout=20).release()


async def test_a_cancelled_task_gives_up_its_place() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    blocker = acquire(throttle)
    first, second = (asyncio.create_task(async_acquire(throttle)) for _ in range(2))
    await settled(throttle, 2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert throttle.waiting == 1
    blocker.release()
    (await second).release()
    assert first.cancelled()
    assert not full(throttle)


@pytest.mark.parametrize("rounds", range(6))
async def test_a_task_cancelled_around_its_admission_loses_no_permit(rounds: int) -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    blocker = acquire(throttle)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))

    async def call() -> None:
        with await async_acquire(throttle):
            await asyncio.sleep(0)

    first, second = (asyncio.create_task(call()) for _ in range(2))
    await settled(throttle, 2)
    blocker.release()
    for _ in range(rounds):  # from "not yet woken" to "already inside"
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.wait([second], timeout=20)
    assert second.done()
    assert (throttle.running, throttle.waiting, complaints) == (0, 0, [])


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads here")
def test_an_interrupted_thread_gives_up_its_place() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    blocker = acquire(throttle)
    main = threading.main_thread().ident
    assert main == threading.get_ident()

    def interrupt() -> None:
        until(lambda: throttle.waiting == 1)
        signal.pthread_kill(main, signal.SIGINT)

    thread = start(interrupt)
    with pytest.raises(KeyboardInterrupt):
        acquire(throttle)
    thread.join(20)
    assert (throttle.running, throttle.waiting) == (1, 0)
    blocker.release()
    assert not full(throttle)


# Event loops that end


def test_a_loop_that_ended_leaves_no_waiters() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    blocker = acquire(throttle)
    waiter = None

    async def abandon() -> None:
        nonlocal waiter
        waiter = asyncio.create_task(async_acquire(throttle))
        await settled(throttle, 1)

    asyncio.run(abandon())
    assert waiter is not None
    assert throttle.waiting == 0
    thread = start(lambda: acquire(throttle).release())
    until(lambda: throttle.waiting == 1)
    blocker.release()
    thread.join(20)
    assert (throttle.running, throttle.waiting) == (0, 0)


def leave_waiting(throttle: Throttle, loop: asyncio.AbstractEventLoop) -> asyncio.Task[Permit]:
    """A task that waits on a loop nobody runs any more."""
    task = loop.create_task(async_acquire(throttle))
    loop.run_until_complete(settled(throttle, 1))
    return task


@contextmanager
def dropped(task: asyncio.Task[Permit]) -> Iterator[None]:
    """Silence asyncio's own complaint about a task that its loop left pending."""
    yield
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own switch


@pytest.mark.parametrize("wait_on", ["permit", "window"])
@pytest.mark.parametrize("end", ["stopped", "closed"])
def test_waiters_of_a_dead_loop_delay_nobody(end: str, wait_on: str) -> None:
    throttle = Throttle(NO_WINDOW, 1, 1) if wait_on == "permit" else Throttle(1, 0.05, math.inf)
    blocker = acquire(throttle)
    loop = asyncio.new_event_loop()
    task = leave_waiting(throttle, loop)
    with dropped(task):
        if end == "closed":
            loop.close()
        thread = start(lambda: acquire(throttle).release())
        if wait_on == "permit":
            until(lambda: throttle.waiting == 2)
        blocker.release()
        thread.join(20)
        assert not thread.is_alive()
        assert throttle.running == 0
        loop.close()
        acquire(throttle, timeout=20).release()
        assert not throttle._queue


def test_a_stopped_loop_finds_its_place_again() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    blocker = acquire(throttle)
    loop = asyncio.new_event_loop()
    task = leave_waiting(throttle, loop)
    blocker.release()
    permit = acquire(throttle, timeout=0)  # passes the waiter whose loop stands still
    permit.release()
    loop.run_until_complete(task)
    until(lambda: throttle.running == 1)
    task.result().release()
    loop.close()


def test_the_timer_rests_while_only_loops_that_stand_still_could_go() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1, clock=Clock())
    throttle._timer = True  # nobody comes
    blocker = acquire(throttle)
    loop = asyncio.new_event_loop()
    with dropped(leave_waiting(throttle, loop)):
        blocker.release()
        assert (throttle.running, throttle.waiting) == (0, 1)
        throttle._tick()
        assert throttle._due > 0.1
        loop.close()


@pytest.mark.parametrize("queued", ["before", "after"])
def test_what_was_handed_to_a_loop_that_closes_goes_on(queued: str) -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    blocker = acquire(throttle)
    loop = asyncio.SelectorEventLoop()
    task = leave_waiting(throttle, loop)
    threads: list[threading.Thread] = []
    if queued == "before":
        threads.append(start(lambda: acquire(throttle).release()))
        until(lambda: throttle.waiting == 2)
    with dropped(task):
        loop.is_running = lambda: True  # type: ignore[method-assign]  # as it seemed a moment ago
        blocker.release()
        assert throttle.running == 1
        del loop.is_running
        loop.close()
        if queued == "after":
            threads.append(start(lambda: acquire(throttle).release()))
        threads[0].join(20)
        assert not threads[0].is_alive()
    assert (throttle.running, throttle.waiting) == (0, 0)


def test_a_permit_in_use_stays_with_its_task_while_the_loop_stands_still() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    blocker = acquire(throttle)
    loop = asyncio.new_event_loop()
    task = leave_waiting(throttle, loop)
    loop.call_soon(blocker.release)
    permit = loop.run_until_complete(task)
    thread = start(lambda: acquire(throttle).release())
    until(lambda: throttle.waiting == 1)
    throttle._tick()
    assert throttle._running == {permit}
    permit.release()
    thread.join(20)
    loop.close()
    assert (throttle.running, throttle.waiting) == (0, 0)


def test_a_loop_that_dies_in_silence_is_noticed() -> None:
    throttle = Throttle(1, 0.3, math.inf)
    with loop_elsewhere() as loop:
        acquire(throttle).release()
        waiting = asyncio.run_coroutine_threadsafe(async_acquire(throttle), loop)
        until(lambda: throttle.waiting == 1)
        thread = start(lambda: acquire(throttle).release())
        until(lambda: throttle.waiting == 2)
        loop.call_soon_threadsafe(loop.stop)  # its timer will never fire, and no call comes or goes
        thread.join(20)
        assert not thread.is_alive()
        assert throttle.waiting == 1
        waiting.cancel()
        until(lambda: not loop.is_running())
        loop.run_until_complete(settled(throttle, 0))


def test_a_loop_that_closes_while_it_is_rung_is_passed_over() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)

    class Closing(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *_: object, **__: object) -> asyncio.Handle:
            raise RuntimeError("Event loop is closed")

    loop = Closing()
    blocker = acquire(throttle)
    task = leave_waiting(throttle, loop)
    with dropped(task):
        loop.is_running = lambda: True  # type: ignore[method-assign]  # as it seemed a moment ago
        blocker.release()
        del loop.is_running
        loop.close()
        acquire(throttle, timeout=0).release()
        assert (throttle.running, throttle.waiting) == (0, 0)


def test_one_throttle_serves_one_loop_after_another() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)

    async def calls() -> None:
        async def call() -> None:
            with await async_acquire(throttle):
                await asyncio.sleep(0)

        await asyncio.gather(*(call() for _ in range(5)))

    for _ in range(3):
        asyncio.run(calls())
    assert (throttle.running, throttle.waiting) == (0, 0)


# Holding off and resizing


def test_nobody_is_admitted_while_the_throttle_is_held() -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(loop=loop)
        throttle.hold(8)
        throttle.hold(3)  # does not shorten it
        throttle.hold(-1)
        (await async_acquire(throttle)).release()
        assert loop.time() == 8
        waiter = asyncio.create_task(async_acquire(throttle))
        throttle.hold(1)
        await settled(throttle, 1)
        throttle.hold(4)  # lengthens it under the waiter
        await asyncio.sleep(3)  # who has looked meanwhile
        assert throttle.waiting == 1
        (await waiter).release()
        assert loop.time() == 12

    virtually(body)


def test_wider_limits_wake_those_who_may_now_go() -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(1, 1000, 1, loop=loop)
        acquire(throttle)
        tasks = [asyncio.create_task(async_acquire(throttle)) for _ in range(10)]
        await settled(throttle, 10)
        throttle.resize(1, 1000, 100)
        await asyncio.sleep(0.5)
        assert throttle.waiting == 10
        throttle.resize(6, 1000, 100)
        await asyncio.sleep(0.5)
        assert throttle.waiting == 5
        throttle.resize(6, 10, 100)
        await asyncio.gather(*tasks)
        assert loop.time() == 10.5
        assert (throttle.running, throttle.waiting) == (11, 0)

    virtually(body)


def test_narrower_limits_hold_from_the_next_admission_on() -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(10, 8, math.inf, loop=loop)
        for _ in range(8):
            (await async_acquire(throttle)).release()
            await asyncio.sleep(0.5)
        throttle.resize(2, 8, math.inf)
        (
            await async_acquire(throttle)
        ).release()  # six of the eight must leave the window first, the seventh too
        assert loop.time() == 6 * 0.5 + 8
        throttle.resize(math.inf, 8, 1)
        permit = acquire(throttle)
        assert full(throttle)
        permit.release()
        assert not full(throttle)

    virtually(body)


# Fork


@pytest.mark.skipif(not hasattr(sys.modules["os"], "fork"), reason="no fork here")
def test_a_forked_child_starts_with_free_permits_and_the_same_window() -> None:
    script = """
        import os, threading, warnings
        from puter.engine.throttle import Permit, Throttle

        warnings.simplefilter("ignore")
        throttle = Throttle(3, 3600, 2)
        permits = [Permit(throttle).acquire(), Permit(throttle).acquire()]
        threading.Thread(target=Permit(throttle).acquire, daemon=True).start()
        while not throttle.waiting:
            pass
        locked, over = threading.Event(), threading.Event()

        def keep_locked():
            with throttle._lock:
                locked.set()
                over.wait()

        keeper = threading.Thread(target=keep_locked)
        keeper.start()
        locked.wait()
        child = os.fork()
        if not child:
            assert (throttle.running, throttle.waiting) == (0, 0)
            permits[0].release()          # the parent's: means nothing here
            permit = Permit(throttle).acquire(timeout=0)
            assert throttle.running == 1
            permit.release()
            try:
                Permit(throttle).acquire(timeout=0)   # three in this window
            except TimeoutError:
                os._exit(0)
            os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        over.set()
        keeper.join()
        assert (throttle.running, throttle.waiting) == (2, 1), "the parent is as it was"
        raise SystemExit(status)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# Any mix of calls

EIGHTHS = st.integers(0, 64).map(lambda eighths: eighths / 8)  # exact in binary
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "arrives": EIGHTHS,
            "lasts": EIGHTHS,
            "timeout": st.none() | EIGHTHS,
            "cancelled_at": st.none() | EIGHTHS,
            "holds": st.none() | EIGHTHS,
            "again": st.booleans(),
        }
    ),
    max_size=30,
)


@settings(max_examples=150)
@given(calls=CALLS, rate=st.integers(1, 5), period=EIGHTHS.filter(bool), most=st.integers(1, 4))
def test_any_mix_of_calls_keeps_the_limits_and_ends(
    calls: list[dict[str, Any]], rate: int, period: float, most: int
) -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(rate, period, most, loop=loop)
        running, stamps = watched(throttle)

        async def call(plan: dict[str, Any]) -> None:
            await asyncio.sleep(plan["arrives"])
            position = next(throttle._positions)
            for _ in range(1 + plan["again"]):
                with await async_acquire(throttle, position, plan["timeout"]):
                    if plan["holds"] is not None:
                        throttle.hold(plan["holds"])
                        until = loop.time() + plan["holds"]
                        held.append((loop.time(), until))
                    await asyncio.sleep(plan["lasts"])

        held: list[tuple[float, float]] = []
        tasks = []
        for plan in calls:
            tasks.append(asyncio.create_task(call(plan)))
            if plan["cancelled_at"] is not None:
                loop.call_later(plan["cancelled_at"], tasks[-1].cancel)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, (TimeoutError, asyncio.CancelledError))
        assert running.most <= most
        assert not running.overtaken
        assert stamps.closest(rate) >= period
        assert not any(begun < stamp < end for stamp in stamps.all for begun, end in held)
        assert (throttle.running, throttle.waiting) == (0, 0)

    virtually(body)


# Waits without end


@pytest.fixture(params=[None, 1000.0], ids=["no timeout", "a timeout"])
def timeout(request: pytest.FixtureRequest) -> float | None:
    """The rules are the same with a timeout as without one."""
    timeout: float | None = request.param
    return timeout


async def test_a_thread_does_not_wait_for_a_task_of_its_own_loop_that_holds(
    timeout: float | None,
) -> None:
    throttle = Throttle(max_concurrency=1)
    holder = await async_acquire(throttle)
    with pytest.raises(WouldDeadlock, match="its own event loop"):
        acquire(throttle, timeout=timeout)
    with pytest.raises(TimeoutError):
        acquire(throttle, timeout=0)
    holder.release()
    acquire(throttle).release()
    assert (throttle.running, throttle.waiting) == (0, 0)


async def test_a_thread_does_not_wait_behind_a_task_of_its_own_loop(
    timeout: float | None,
) -> None:
    throttle = Throttle(max_concurrency=1)
    blocker = await asyncio.to_thread(acquire, throttle)
    task = asyncio.create_task(async_acquire(throttle))
    await settled(throttle, 1)
    with pytest.raises(WouldDeadlock, match="its own event loop"):
        acquire(throttle, timeout=timeout)
    assert throttle.waiting == 1
    blocker.release()
    (await task).release()
    assert (throttle.running, throttle.waiting) == (0, 0)


async def test_a_thread_may_wait_for_other_threads_while_it_runs_a_loop() -> None:
    throttle = Throttle(NO_WINDOW, 1, 1)
    blocker = await asyncio.to_thread(acquire, throttle)

    def release() -> None:
        until(lambda: throttle.waiting == 1)
        blocker.release()

    start(release)
    acquire(throttle, timeout=20).release()


@pytest.mark.parametrize("parked", [False, True])
def test_a_task_is_told_within_5_s_that_it_waits_for_itself(
    parked: bool, timeout: float | None
) -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(NO_WINDOW, 1, 3, loop=loop)
        permits = [await async_acquire(throttle) for _ in range(3)]
        for permit in permits * parked:
            permit.park()
        others = [asyncio.create_task(async_acquire(throttle)) for _ in range(2)]
        await settled(throttle, 2)
        await asyncio.sleep(3.3)
        begun = loop.time()
        told = "its own code left open" if parked else "calls that wait for it"
        with pytest.raises(WouldDeadlock, match=told):
            await async_acquire(throttle, timeout=timeout)
        assert 3 < loop.time() - begun <= 5
        for permit in permits:
            permit.release()
        for other in others:
            (await other).release()
        assert (throttle.running, throttle.waiting) == (0, 0)

    virtually(body)


def test_a_thread_is_told_within_5_s_that_it_waits_for_itself(timeout: float | None) -> None:
    clock = Clock()
    throttle = Throttle(NO_WINDOW, 1, 2, clock=clock)

    def call() -> None:
        with acquire(throttle) as one, acquire(throttle):
            one.park()
            acquire(throttle, timeout=timeout)

    thread, errors = error_of(call)
    until(lambda: throttle.waiting == 1)
    clock.now = 3
    throttle._tick()
    assert throttle.waiting == 1
    clock.now = 5
    throttle._tick()
    thread.join(20)
    assert [str(error) for error in errors if isinstance(error, WouldDeadlock)] == [
        "this call would wait for streams that its own code left open"
    ]
    assert (throttle.running, throttle.waiting) == (0, 0)


def test_a_thread_waits_for_itself_if_its_tasks_of_earlier_hold_the_permits() -> None:
    clock = Clock()
    throttle = Throttle(NO_WINDOW, 1, 2, clock=clock)

    async def opened() -> Permit:
        return await async_acquire(throttle)

    loop = asyncio.new_event_loop()  # stays open

    def call() -> None:
        loop.run_until_complete(opened())
        loop.run_until_complete(opened())
        acquire(throttle)

    thread, errors = error_of(call)
    until(lambda: throttle.waiting == 1)
    clock.now = 5
    throttle._tick()
    thread.join(20)
    loop.close()
    assert [type(error) for error in errors] == [WouldDeadlock]


async def again(throttle: Throttle) -> None:
    """Make a call within a call."""
    with await async_acquire(throttle):
        await asyncio.sleep(1)
        (await async_acquire(throttle)).release()


def test_tasks_that_all_wait_within_calls_are_told_within_5_s_and_nobody_else() -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(NO_WINDOW, 1, 3, loop=loop)
        outcomes = asyncio.gather(*(again(throttle) for _ in range(3)), return_exceptions=True)
        await asyncio.sleep(1.5)
        (await async_acquire(throttle)).release()
        assert [type(one) for one in await outcomes] == [WouldDeadlock] * 3
        assert "wait for calls that wait for it" in str(outcomes.result()[0])
        assert 4 < loop.time() <= 6
        assert (throttle.running, throttle.waiting) == (0, 0)

    virtually(body)


def test_calls_within_calls_wait_for_one_that_is_under_way() -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(NO_WINDOW, 1, 3, loop=loop)

        async def takes_long() -> None:
            with await async_acquire(throttle):
                await asyncio.sleep(600)

        calls = (again(throttle), again(throttle), takes_long())
        await asyncio.gather(*calls)
        assert loop.time() == 600

    virtually(body)


def test_a_task_that_works_on_while_others_wait_for_it_is_not_waited_for_in_vain() -> None:
    """What a task begins in the background waits, and the task itself does not."""

    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(NO_WINDOW, 1, 2, loop=loop)

        async def with_background() -> None:
            with await async_acquire(throttle):
                background = asyncio.create_task(async_acquire(throttle))
                await asyncio.sleep(600)
            (await background).release()

        await asyncio.gather(with_background(), with_background())
        assert loop.time() == 600

    virtually(body)


@pytest.mark.parametrize("streams", [0, 1])
def test_threads_that_all_wait_within_calls_are_told(streams: int) -> None:
    clock = Clock()
    throttle = Throttle(NO_WINDOW, 1, 2 + streams, clock=clock)
    for _ in range(streams):
        acquire(throttle).park()

    def call() -> None:
        with acquire(throttle):
            until(lambda: throttle.running == 2 + streams)
            acquire(throttle)

    threads = [error_of(call) for _ in range(2)]
    until(lambda: throttle.waiting == 2)
    for clock.now in (3, 59) if streams else (3,):
        throttle._tick()
        assert throttle.waiting == 2
    clock.now = 60 if streams else 5
    throttle._tick()
    for thread, errors in threads:
        thread.join(20)
        assert [type(error) for error in errors] == [WouldDeadlock]
    assert (throttle.running, throttle.waiting) == (streams, 0)


@pytest.mark.parametrize("who", ["a thread", "a task"])
def test_who_claims_a_stream_is_who_is_waited_for(who: str) -> None:
    clock = Clock()
    throttle = Throttle(NO_WINDOW, 1, 2, clock=clock)
    permits: list[Permit] = []
    errors: list[BaseException]

    async def async_call() -> None:
        permits.extend([await async_acquire(throttle), await async_acquire(throttle)])
        if who == "a task":
            await asyncio.create_task(claim())
        (await async_acquire(throttle)).release()

    async def claim() -> None:
        permits[1].claim()

    def call() -> None:
        permits.extend([acquire(throttle), acquire(throttle)])
        start(permits[1].claim).join(20)
        acquire(throttle).release()

    thread, errors = error_of(call if who == "a thread" else lambda: asyncio.run(async_call()))
    until(lambda: throttle.waiting == 1)
    clock.now = 500
    throttle._tick()
    assert throttle.waiting == 1
    permits[0].release()
    thread.join(20)
    assert not thread.is_alive()
    assert not errors


async def opened_and_parked(throttle: Throttle) -> Permit:
    permit = await async_acquire(throttle)
    permit.park()
    return permit


def test_gathered_streams_that_nobody_reads_end_the_wait_after_60_s(
    timeout: float | None,
) -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(NO_WINDOW, 1, 3, loop=loop)
        begun = loop.time()
        *permits, error = await asyncio.gather(
            *(opened_and_parked(throttle) for _ in range(3)),
            async_acquire(throttle, timeout=timeout),
            return_exceptions=True,
        )
        assert isinstance(error, WouldDeadlock)
        assert "left open and not read for 60 s" in str(error)
        assert 60 <= loop.time() - begun <= 62
        for permit in permits:
            assert isinstance(permit, Permit)
            permit.release()
        assert (throttle.running, throttle.waiting) == (0, 0)

    virtually(body)


def test_a_timeout_below_the_limits_comes_first() -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(NO_WINDOW, 1, 1, loop=loop)
        acquire(throttle).park()
        with pytest.raises(TimeoutError):
            await async_acquire(throttle, timeout=2)
        assert loop.time() == 2

    virtually(body)


def test_everyone_who_waits_is_told_after_60_s_of_their_own() -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(NO_WINDOW, 1, 1, loop=loop)
        await asyncio.create_task(opened_and_parked(throttle))

        async def waited() -> float:
            begun = loop.time()
            with pytest.raises(WouldDeadlock):
                await async_acquire(throttle)
            return loop.time() - begun

        first = asyncio.create_task(waited())
        await asyncio.sleep(50)
        second = asyncio.create_task(waited())
        assert 60 <= await first <= 62
        assert 60 <= await second <= 62
        assert (throttle.running, throttle.waiting) == (1, 0)

    virtually(body)


def test_threads_are_told_after_60_s_without_progress() -> None:
    clock = Clock()
    throttle = Throttle(NO_WINDOW, 1, 2, clock=clock)
    for _ in range(2):
        acquire(throttle).park()
    waiters = [error_of(partial(acquire, throttle)) for _ in range(3)]
    until(lambda: throttle.waiting == 3)
    clock.now = 59
    throttle._tick()
    assert throttle.waiting == 3
    clock.now = 60
    throttle._tick()
    for thread, errors in waiters:
        thread.join(20)
        assert [type(error) for error in errors] == [WouldDeadlock]
    assert (throttle.running, throttle.waiting) == (2, 0)


@pytest.mark.parametrize("reads", ["between", "at each look"])
def test_a_slow_reader_is_waited_for(reads: str) -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(NO_WINDOW, 1, 2, loop=loop)
        permits = [await asyncio.create_task(opened_and_parked(throttle)) for _ in range(2)]
        waiter = asyncio.create_task(async_acquire(throttle))
        for _ in range(20):
            await asyncio.sleep(50)
            permits[0].claim()
            if reads == "at each look":
                await asyncio.sleep(2.5)
            permits[0].park()
        assert not waiter.done()
        permits[1].release()
        (await waiter).release()

    virtually(body)


@pytest.mark.parametrize("door", ["sync", "async"])
def test_a_stream_that_is_being_read_is_waited_for_without_end(door: str) -> None:
    clock = Clock()
    throttle = Throttle(NO_WINDOW, 1, 1, clock=clock)
    stream = acquire(throttle)
    stream.park()
    thread, errors = error_of(
        partial(acquire, throttle)
        if door == "sync"
        else lambda: asyncio.run(async_acquire(throttle))
    )
    until(lambda: throttle.waiting == 1)
    stream.claim()
    clock.now = 1000
    throttle._tick()
    assert throttle.waiting == 1
    stream.release()
    thread.join(20)
    assert not errors


def test_a_task_whose_loop_stands_still_is_told_when_it_runs_again() -> None:
    clock = Clock()
    throttle = Throttle(NO_WINDOW, 1, 1, clock=clock)
    start(lambda: acquire(throttle).park()).join(20)
    loop = asyncio.new_event_loop()
    task = leave_waiting(throttle, loop)
    clock.now = 100
    throttle._tick()

    async def told() -> None:
        throttle._tick()
        with pytest.raises(WouldDeadlock, match="not read"):
            await task

    loop.run_until_complete(told())
    loop.close()


def test_a_permit_of_a_loop_that_stands_still_does_not_hold_the_queue_for_ever() -> None:
    clock = Clock()
    throttle = Throttle(NO_WINDOW, 1, 1, clock=clock)
    loop = asyncio.new_event_loop()  # is never closed, and never runs again
    loop.run_until_complete(async_acquire(throttle))
    thread, errors = error_of(partial(acquire, throttle))
    until(lambda: throttle.waiting == 1)
    clock.now = 59
    throttle._tick()
    assert throttle.waiting == 1
    clock.now = 60
    throttle._tick()
    thread.join(20)
    assert [type(error) for error in errors] == [WouldDeadlock]
    loop.close()
    throttle._tick()
    assert throttle.running == 0


def test_a_thread_waits_for_a_slow_reader() -> None:
    clock = Clock()
    throttle = Throttle(NO_WINDOW, 1, 1, clock=clock)
    permit = acquire(throttle)
    permit.park()
    thread, errors = error_of(lambda: acquire(throttle).release())
    until(lambda: throttle.waiting == 1)
    for _ in range(20):
        clock.now += 50
        throttle._tick()
        permit.claim()
        permit.park()
    permit.release()
    thread.join(20)
    assert not errors


def test_a_release_is_progress_though_it_admits_nobody() -> None:
    clock = Clock()
    throttle = Throttle(NO_WINDOW, 1, 3, clock=clock)
    permits = [acquire(throttle) for _ in range(3)]
    for permit in permits:
        permit.park()
    thread, errors = error_of(partial(acquire, throttle))
    until(lambda: throttle.waiting == 1)
    throttle.refused()
    clock.now = 50
    permits[0].release()
    clock.now = 109
    throttle._tick()
    assert throttle.waiting == 1
    clock.now = 110
    throttle._tick()
    thread.join(20)
    assert [type(error) for error in errors] == [WouldDeadlock]


@pytest.mark.parametrize("door", ["sync", "async"])
def test_a_request_under_way_is_waited_for_without_end(door: str) -> None:
    clock = Clock()
    throttle = Throttle(NO_WINDOW, 1, 2, clock=clock)
    under_way, stream = acquire(throttle), acquire(throttle)
    stream.park()
    thread, errors = error_of(
        partial(acquire, throttle)
        if door == "sync"
        else lambda: asyncio.run(async_acquire(throttle))
    )
    until(lambda: throttle.waiting == 1)
    for _ in range(100):
        clock.now += 100
        throttle._tick()
    assert throttle.waiting == 1
    under_way.release()
    thread.join(20)
    assert not errors


@pytest.mark.parametrize("why", ["window", "hold"])
def test_waiting_for_the_window_or_a_hold_is_never_refused(why: str) -> None:
    async def body(loop: VirtualLoop) -> None:
        throttle = VirtualThrottle(1, 1000, 2, loop=loop)
        if why == "hold":
            throttle.hold(1000)
        else:
            acquire(throttle).park()
        await async_acquire(throttle)
        assert loop.time() == 1000

    virtually(body)


@pytest.mark.usefixtures("timer")
@pytest.mark.parametrize("limit", ["_OWN_STREAMS", "NO_PROGRESS"])
@pytest.mark.parametrize("door", ["sync", "async"])
def test_the_timer_itself_ends_waits_without_end(
    door: str, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle_module, limit, 0.1)
    throttle = Throttle(NO_WINDOW, 1, 1)

    async def own() -> None:
        await async_acquire(throttle)
        await async_acquire(throttle)

    def call() -> None:
        if limit == "NO_PROGRESS":
            start(lambda: acquire(throttle).park()).join(20)
        elif door == "sync":
            acquire(throttle)
        else:
            asyncio.run(own())
        if door == "sync":
            acquire(throttle)
        else:
            asyncio.run(async_acquire(throttle))

    thread, errors = error_of(call)
    thread.join(20)
    assert [type(error) for error in errors] == [WouldDeadlock]
    assert throttle.waiting == 0
    until(lambda: not throttle._timer)


# How many at a time


def answer(throttle: Throttle, count: int = 1) -> None:
    """So many calls went well, while all permits are out and somebody waits."""
    for _ in range(count):
        held = [acquire(throttle) for _ in range(int(throttle.max_concurrency))]
        waits = Permit(throttle)
        with suppress(TimeoutError):
            waits.acquire(timeout=0)
        throttle.answered()
        for permit in [*held, waits]:
            permit.release()


def limits_after(throttle: Throttle, count: int) -> list[float]:
    limits = []
    for _ in range(count):
        answer(throttle)
        limits.append(throttle.max_concurrency)
    return limits


def test_as_long_as_nothing_is_refused_each_answer_lets_one_more_run() -> None:
    throttle = Throttle(NO_WINDOW, 1, 20, 3)
    assert limits_after(throttle, 20) == [*range(4, 21), 20, 20, 20]


def test_answers_count_only_while_calls_wait_for_a_permit() -> None:
    throttle = Throttle(NO_WINDOW, 1, 20, 3)
    with acquire(throttle), acquire(throttle), acquire(throttle):
        throttle.answered()  # nobody waits
    throttle.hold(1000)
    waits = Permit(throttle)
    with waits, suppress(TimeoutError):
        waits.acquire(timeout=0)
        throttle.answered()  # it waits for something else
    assert throttle.max_concurrency == 3


def test_each_step_that_was_one_too_many_is_tried_again_later() -> None:
    throttle = Throttle(NO_WINDOW, 1, 20, 3)
    steps = []
    for _ in range(5):
        count = 0
        while throttle.max_concurrency == 3:
            answer(throttle)
            count += 1
        steps.append(count)
        throttle.refused()
    assert steps == [1, 16, 32, 64, 64]


def test_refusals_at_once_are_one_lesson() -> None:
    throttle = Throttle(NO_WINDOW, 1, 20, 3)
    answer(throttle, 3)
    for _ in range(3):
        throttle.refused()
    assert throttle.max_concurrency == 3
    assert limits_after(throttle, 16) == [*[3] * 15, 4]


def test_good_steps_make_it_bold_again() -> None:
    throttle = Throttle(NO_WINDOW, 1, 20)
    for _ in range(19):
        throttle.refused()  # another program came
    assert throttle.max_concurrency == 1
    limits = limits_after(throttle, 60)  # and left
    assert [limits.index(limit) + 1 for limit in (2, 3, 4, 5, 6, 7)] == [16, 32, 40, 44, 46, 47]
    assert limits[-1] == 20


def test_it_narrows_down_to_one_and_resize_starts_anew() -> None:
    throttle = Throttle(max_concurrency=3)
    for _ in range(5):
        throttle.refused()
    assert throttle.max_concurrency == 1
    assert not full(throttle)
    throttle.resize(30, 10, 4)
    assert throttle.max_concurrency == 4
    throttle.resize(30, 10, 20, 3)
    assert throttle.max_concurrency == 3
    unlimited = Throttle(max_concurrency=math.inf)
    unlimited.refused()
    assert unlimited.max_concurrency == math.inf


def test_a_refusal_limits_and_an_answer_admits_who_waits() -> None:
    throttle = without_timer(Throttle(NO_WINDOW, 1, 2))
    throttle.refused()
    blocker = acquire(throttle)
    assert full(throttle)
    thread = start(partial(acquire, throttle))
    until(lambda: throttle.waiting == 1)
    for _ in range(16):
        throttle.answered()
    thread.join(20)
    assert (throttle.running, throttle.waiting) == (2, 0)
    blocker.release()


# ------------------------------------------------------------ the server's window


@pytest.mark.parametrize("tier", ["user_free", "temp_free", "paid"])
@pytest.mark.parametrize("seed", range(4))
def test_calls_that_take_different_times_to_arrive_stay_within_the_servers_window(
    tier: str, seed: int
) -> None:
    """The server counts arrivals: the first on a connection comes late, those after it do not."""
    limit, dice = TIERS[tier], random.Random(seed)
    refused: list[ApiError] = []

    async def body(loop: VirtualLoop) -> None:
        config = PuterConfig(rate_limit_requests=limit.requests, max_concurrency=limit.concurrency)
        throttle = VirtualThrottle(*limits_of(config), loop=loop)
        server = Limits(loop.time)

        async def call(number: int) -> None:
            with await async_acquire(throttle):
                connecting = 0.7 if number % limit.requests < limit.concurrency else 0.0
                await asyncio.sleep(connecting + dice.uniform(0.01, 0.25))
                try:
                    server.hit("chat", limit.requests, limit.period)
                except ApiError as error:
                    refused.append(error)
                await asyncio.sleep(dice.uniform(0, 0.05))

        await asyncio.gather(*map(call, range(80 + 2 * limit.requests)))

    virtually(body)
    assert len(refused) <= 1
