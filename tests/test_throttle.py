"""The gate: its limits, its order, and that nobody who dies on the way takes a place along."""

from __future__ import annotations

import asyncio
import gc
import inspect
import math
import selectors
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

from puter.throttle import Slot, Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

NO_WINDOW = math.inf


class Clock:
    """Time that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


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


class Running(set[Slot]):
    """Stands in for the gate's own set: notes the order of admission and the greatest crowd."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[int] = []
        self.most = 0

    def add(self, slot: Slot) -> None:
        super().add(slot)
        self.order.append(slot.ticket)
        self.most = max(self.most, len(self))


class Stamps(deque[float]):
    """Stands in for the window's log: remembers what the gate has flushed."""

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


def watched(gate: Throttle) -> tuple[Running, Stamps]:
    gate._running, gate._task_logs = running, stamps = Running(), Stamps()
    return running, stamps


def virtually(body: Callable[[VirtualLoop], Coroutine[Any, Any, None]]) -> None:
    """Run ``body(loop)`` in virtual time."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(body(loop))
    finally:
        loop.close()


def until(reached: Callable[[], bool]) -> None:
    """Let other threads run until they have come so far."""
    limit = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < limit, "the other threads never came so far"
        time.sleep(0.001)


async def settled(gate: Throttle, waiting: int) -> None:
    while gate.waiting != waiting:  # noqa: ASYNC110 - the gate has no event for this
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


def timers() -> int:
    loop: Any = asyncio.get_running_loop()
    return sum(not timer.cancelled() for timer in loop._scheduled)


def full(gate: Throttle) -> bool:
    try:
        gate.enter(timeout=0).release()
    except TimeoutError:
        return True
    return False


# The library


def test_the_library_still_has_what_the_gate_builds_on() -> None:
    library: Any = Throttler(2, 1.0)
    assert type(library._task_logs) is deque
    asyncio.run(library.acquire())
    assert len(library._task_logs) == 1
    assert list(inspect.signature(Throttler).parameters)[:2] == ["rate_limit", "period"]
    assert isinstance(Throttle(), Throttler)


async def test_async_with_holds_a_slot_until_the_end() -> None:
    gate = Throttle(max_concurrency=1)
    async with gate:
        assert gate.running == 1
        assert full(gate)
    assert gate.running == 0
    assert len(gate._task_logs) == 1


async def test_async_with_gives_the_slot_back_when_its_body_fails() -> None:
    gate = Throttle()
    with pytest.raises(KeyError):
        async with gate:
            raise KeyError
    assert gate.running == 0


async def test_acquire_counts_in_the_window_and_holds_nothing() -> None:
    gate = Throttle(rate_limit=5, max_concurrency=1)
    for _ in range(5):
        await gate.acquire()
    assert gate.running == 0
    assert full(gate)


# Limits


def test_defaults_are_those_of_a_free_account() -> None:
    gate = Throttle()
    assert (gate.rate_limit, gate.period, gate.max_concurrency) == (30, 10.0, 3)


@pytest.mark.parametrize(
    "limits",
    [(0, 1, 1), (0.5, 1, 1), (math.nan, 1, 1), (1, 0, 1), (1, math.inf, 1), (1, 1, 0), (1, -1, 1)],
)
def test_impossible_limits_are_refused_and_change_nothing(
    limits: tuple[float, float, float],
) -> None:
    with pytest.raises(ValueError, match="rate_limit >= 1"):
        Throttle(*limits)
    gate = Throttle(7, 8, 9)
    with pytest.raises(ValueError, match="rate_limit >= 1"):
        gate.resize(*limits)
    assert (gate.rate_limit, gate.period, gate.max_concurrency) == (7, 8, 9)


def test_the_window_rolls() -> None:
    clock = Clock()
    gate = Throttle(2, 10, math.inf, clock=clock)
    gate.enter()
    clock.now = 4
    gate.enter()
    clock.now = 9.999
    assert full(gate)
    clock.now = 10
    gate.enter(timeout=0)
    assert full(gate)
    clock.now = 14
    gate.enter(timeout=0)
    assert full(gate)
    assert len(gate._task_logs) == 2


def test_no_more_than_max_concurrency_at_once() -> None:
    gate = Throttle(NO_WINDOW, 1, 2)
    first, _second = gate.enter(), gate.enter()
    assert full(gate)
    assert gate.running == 2
    first.release()
    assert not full(gate)


def test_infinite_limits_admit_everyone() -> None:
    gate = Throttle(math.inf, 1, math.inf)
    slots = [gate.enter(timeout=0) for _ in range(1000)]
    assert gate.running == len(slots)


def test_a_fraction_of_an_admission_is_none() -> None:
    clock = Clock()
    gate = Throttle(2.5, 10, 1.5, clock=clock)
    gate.enter(timeout=0).release()
    slot = gate.enter(timeout=0)
    assert full(gate)
    slot.release()
    assert full(gate)
    clock.now = 10
    assert not full(gate)


def test_the_log_is_no_longer_than_the_window() -> None:
    clock = Clock()
    gate = Throttle(math.inf, 10, clock=clock)
    for second in range(100):
        clock.now = second
        gate.enter().release()
    assert len(gate._task_logs) == 10
    clock.now = 1000
    gate.flush()
    assert not gate._task_logs


def test_an_idle_gate_wakes_nobody_and_builds_no_bell() -> None:
    slot = Throttle().enter()
    assert slot._bell is None
    assert slot._sleep is None


# Slots


def test_release_twice_frees_one_slot() -> None:
    gate = Throttle(NO_WINDOW, 1, 2)
    first, _second = gate.enter(), gate.enter()
    for _ in range(3):
        first.release()
    assert gate.running == 1


def test_a_slot_is_a_context_manager_and_may_be_released_elsewhere() -> None:
    gate = Throttle()
    with gate.enter() as slot:
        assert gate.running == 1
        thread = start(slot.release)
        thread.join(20)
        assert gate.running == 0
    assert gate.running == 0


def test_a_finalizer_may_release_in_the_middle_of_an_admission() -> None:
    running: list[int] = []

    def clock() -> float:
        while held and gate._busy:  # where a finalizer may strike as well
            held.pop().release()
            running.append(gate.running)
        return 0.0

    held: list[Slot] = []
    gate = Throttle(NO_WINDOW, 1, 2, clock=clock)
    held += [gate.enter(), gate.enter()]
    thread = start(lambda: gate.enter().release())
    thread.join(20)
    assert not thread.is_alive()
    assert running == [2, 2], "the books changed under the one who reads them"
    assert (gate.running, gate.waiting, len(gate._gone)) == (0, 0, 0)


def test_garbage_gives_its_slots_back() -> None:
    gate = Throttle(NO_WINDOW, 1, 10_000)

    class Forgotten:
        def __init__(self) -> None:
            self.slot, self.me = gate.enter(), self

        def __del__(self) -> None:
            self.slot.release()

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
    assert (gate.running, gate.waiting) == (0, 0)


def test_an_interrupted_release_is_finished() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    slot = gate.enter()
    waiter = start(lambda: gate.enter().release())
    until(lambda: gate.waiting == 1)
    settle = gate._settle

    def interrupted() -> None:
        gate._settle = settle  # type: ignore[method-assign]  # a double, once
        raise KeyboardInterrupt

    gate._settle = interrupted  # type: ignore[method-assign]  # a double, once
    with pytest.raises(KeyboardInterrupt):
        slot.release()
    waiter.join(20)
    assert (waiter.is_alive(), gate.running, gate.waiting) == (False, 0, 0)


# Order


async def test_tasks_go_by_ticket_whenever_they_came() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    running, _ = watched(gate)
    blocker = gate.enter()
    tickets = [gate.ticket() for _ in range(50)]

    async def call(ticket: int) -> None:
        with await gate.enter_async(ticket):
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(call(ticket)) for ticket in tickets[::2] + tickets[1::2][::-1]]
    await settled(gate, 50)
    blocker.release()
    await asyncio.gather(*tasks)
    assert running.order == [blocker.ticket, *tickets]


def test_threads_go_by_ticket_whenever_they_came() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    running, _ = watched(gate)
    blocker = gate.enter()
    tickets = [gate.ticket() for _ in range(20)]

    def call(ticket: int) -> None:
        gate.enter(ticket).release()

    threads = [start(partial(call, ticket)) for ticket in reversed(tickets)]
    until(lambda: gate.waiting == 20)
    blocker.release()
    for thread in threads:
        thread.join(20)
    assert running.order == [blocker.ticket, *tickets]


async def test_a_call_that_enters_again_keeps_its_place() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    running, _ = watched(gate)
    ticket = gate.ticket()
    slot = await gate.enter_async(ticket)
    others = [asyncio.create_task(gate.enter_async()) for _ in range(3)]
    await settled(gate, 3)
    again = asyncio.create_task(gate.enter_async(ticket))
    await settled(gate, 4)
    slot.release()
    for task in [again, *others]:
        (await task).release()
    assert running.order[:2] == [ticket, ticket]
    assert running.order[2:] == sorted(running.order[2:])


async def test_newcomers_do_not_overtake_those_who_wait() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    blocker = gate.enter()
    waiter = asyncio.create_task(gate.enter_async())
    await settled(gate, 1)
    blocker.release()  # free now, but the waiter has not run yet
    assert full(gate)
    (await waiter).release()
    assert not full(gate)


def test_fifty_threads_and_fifty_tasks_share_one_gate() -> None:
    rate, period = 30, 0.3
    gate = Throttle(rate, period, 3)
    running, stamps = watched(gate)
    blockers = [gate.enter() for _ in range(3)]
    done: list[str] = []

    tickets = [gate.ticket() for _ in range(100)]

    def call(ticket: int) -> None:
        with gate.enter(ticket):
            time.sleep(0.001)
        done.append("thread")

    async def async_call(ticket: int) -> None:
        with await gate.enter_async(ticket):
            await asyncio.sleep(0.001)
        done.append("task")

    async def tasks(tickets: list[int]) -> None:
        await asyncio.gather(*map(async_call, tickets))

    threads = [start(partial(call, ticket)) for ticket in tickets[::2]]
    threads += [start(lambda: asyncio.run(tasks(tickets[1::4])))]
    threads += [start(lambda: asyncio.run(tasks(tickets[3::4])))]
    until(lambda: gate.waiting == 100)
    for blocker in blockers:
        blocker.release()
    for thread in threads:
        thread.join(20)

    assert sorted(done) == ["task"] * 50 + ["thread"] * 50
    assert running.order == sorted(running.order)
    assert running.most == 3
    assert len(stamps.all) == 103
    assert stamps.closest(rate) >= period
    assert (gate.running, gate.waiting, gate._lines) == (0, 0, {})


# Crowds


@pytest.mark.parametrize("why", ["no slot", "window full", "held off"])
async def test_ten_thousand_tasks_wait_for_nothing(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 10_000
    gate = Throttle(1, 3600, 1 if why == "no slot" else math.inf)
    if why == "held off":
        gate.hold_off(3600)
    else:
        gate.enter()
    looks = 0
    look = Throttle._look

    def counted(self: Throttle, slot: Slot) -> float | None:
        nonlocal looks
        looks += 1
        return look(self, slot)

    monkeypatch.setattr(Throttle, "_look", counted)
    tasks = [asyncio.create_task(gate.enter_async()) for _ in range(count)]
    await settled(gate, count)
    assert looks == count
    assert timers() == (0 if why == "no slot" else 1)

    cpu = time.process_time()
    await asyncio.sleep(0.3)
    assert looks == count
    assert time.process_time() - cpu < 0.15

    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (gate.waiting, gate._lines, timers()) == (0, {}, 0)


async def test_each_task_of_a_crowd_is_woken_once_when_slots_come_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 5_000
    gate = Throttle(NO_WINDOW, 1, 3)
    blockers = [gate.enter() for _ in range(3)]
    rings = 0
    ring = Slot._ring

    def counted(self: Slot) -> None:
        nonlocal rings
        rings += 1
        ring(self)

    monkeypatch.setattr(Slot, "_ring", counted)

    async def call() -> None:
        (await gate.enter_async()).release()

    tasks = [asyncio.create_task(call()) for _ in range(count)]
    await settled(gate, count)
    for blocker in blockers:
        blocker.release()
    await asyncio.gather(*tasks)
    assert rings == count


def test_two_hundred_threads_wait_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 200
    gate = Throttle(NO_WINDOW, 1, 1)
    blocker = gate.enter()
    looks: list[int] = []
    look = Throttle._look

    def counted(self: Throttle, slot: Slot) -> float | None:
        looks.append(slot.ticket)
        return look(self, slot)

    monkeypatch.setattr(Throttle, "_look", counted)
    threads = [start(lambda: gate.enter().release()) for _ in range(count)]
    until(lambda: gate.waiting == count)
    cpu = time.process_time()
    time.sleep(0.3)
    assert len(looks) == count
    assert time.process_time() - cpu < 0.15
    blocker.release()
    for thread in threads:
        thread.join(20)
    assert len(looks) == 2 * count
    assert (gate.running, gate.waiting) == (0, 0)


async def test_those_who_gave_up_leave_no_trace_behind_a_long_call() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    gate.enter()
    first = asyncio.create_task(gate.enter_async())
    await settled(gate, 1)
    for _ in range(1000):
        with pytest.raises(TimeoutError):
            await gate.enter_async(timeout=0)
    assert sum(map(len, gate._lines.values())) < 10
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


def test_a_thread_rung_twice_looks_and_sleeps_on() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    blocker = gate.enter()
    thread = start(lambda: gate.enter().release())
    until(lambda: gate.waiting == 1)
    with gate._lock:
        (waiter,) = gate._waiting
        waiter._ring()
        waiter._ring()
    assert gate.waiting == 1
    blocker.release()
    thread.join(20)
    assert not thread.is_alive()


# Giving up


def test_a_thread_that_runs_out_of_time_gives_up_its_place() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    blocker = gate.enter()
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match="1 running"):
        gate.enter(timeout=0.05)
    assert 0.05 <= time.monotonic() - begun < 5
    assert (gate.running, gate.waiting) == (1, 0)
    blocker.release()
    assert not full(gate)


def test_a_task_that_runs_out_of_time_gives_up_its_place() -> None:
    async def body(loop: VirtualLoop) -> None:
        gate = Throttle(NO_WINDOW, 1, 1, clock=loop.time)
        blocker = gate.enter()
        with pytest.raises(TimeoutError, match="1 running"):
            await gate.enter_async(timeout=5)
        assert loop.time() == 5
        assert (gate.running, gate.waiting) == (1, 0)
        blocker.release()
        (await gate.enter_async(timeout=0)).release()

    virtually(body)


async def test_a_timeout_longer_than_the_wait_changes_nothing() -> None:
    gate = Throttle(1, 0.05, 1)
    gate.enter().release()
    (await gate.enter_async(timeout=math.inf)).release()
    gate.enter(timeout=math.inf).release()
    gate.enter(timeout=20).release()


async def test_a_cancelled_task_gives_up_its_place() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    blocker = gate.enter()
    first, second = (asyncio.create_task(gate.enter_async()) for _ in range(2))
    await settled(gate, 2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert gate.waiting == 1
    blocker.release()
    (await second).release()
    assert first.cancelled()
    assert not full(gate)


@pytest.mark.parametrize("rounds", range(6))
async def test_a_task_cancelled_around_its_admission_loses_no_slot(rounds: int) -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    blocker = gate.enter()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))

    async def call() -> None:
        with await gate.enter_async():
            await asyncio.sleep(0)

    first, second = (asyncio.create_task(call()) for _ in range(2))
    await settled(gate, 2)
    blocker.release()
    for _ in range(rounds):  # from "not yet woken" to "already inside"
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.wait([second], timeout=20)
    assert second.done()
    assert (gate.running, gate.waiting, complaints) == (0, 0, [])


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads here")
def test_an_interrupted_thread_gives_up_its_place() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    blocker = gate.enter()
    main = threading.main_thread().ident
    assert main == threading.get_ident()

    def interrupt() -> None:
        until(lambda: gate.waiting == 1)
        signal.pthread_kill(main, signal.SIGINT)

    thread = start(interrupt)
    with pytest.raises(KeyboardInterrupt):
        gate.enter()
    thread.join(20)
    assert (gate.running, gate.waiting) == (1, 0)
    blocker.release()
    assert not full(gate)


# Event loops that end


def test_a_loop_that_ended_leaves_no_waiters() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    blocker = gate.enter()
    waiter = None

    async def abandon() -> None:
        nonlocal waiter
        waiter = asyncio.create_task(gate.enter_async())
        await settled(gate, 1)

    asyncio.run(abandon())
    assert waiter is not None
    assert gate.waiting == 0
    thread = start(lambda: gate.enter().release())
    until(lambda: gate.waiting == 1)
    blocker.release()
    thread.join(20)
    assert (gate.running, gate.waiting) == (0, 0)


def leave_waiting(gate: Throttle, loop: asyncio.AbstractEventLoop) -> asyncio.Task[Slot]:
    """A task that waits on a loop nobody runs any more."""
    task = loop.create_task(gate.enter_async())
    loop.run_until_complete(settled(gate, 1))
    return task


@contextmanager
def dropped(task: asyncio.Task[Slot]) -> Iterator[None]:
    """Silence asyncio's own complaint about a task that its loop left pending."""
    yield
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own switch


@pytest.mark.parametrize("wait_on", ["slot", "window"])
@pytest.mark.parametrize("end", ["stopped", "closed"])
def test_waiters_of_a_dead_loop_delay_nobody(end: str, wait_on: str) -> None:
    gate = Throttle(NO_WINDOW, 1, 1) if wait_on == "slot" else Throttle(1, 0.05, math.inf)
    blocker = gate.enter()
    loop = asyncio.new_event_loop()
    task = leave_waiting(gate, loop)
    with dropped(task):
        if end == "closed":
            loop.close()
        thread = start(lambda: gate.enter().release())
        if wait_on == "slot":
            until(lambda: len(gate._lines) == (2 if end == "stopped" else 1))
        blocker.release()
        thread.join(20)
        assert not thread.is_alive()
        assert gate.running == 0
        loop.close()
        gate.enter(timeout=20).release()
        assert (gate.waiting, gate._lines) == (0, {})


def test_a_stopped_loop_finds_its_place_again() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)
    blocker = gate.enter()
    loop = asyncio.new_event_loop()
    task = leave_waiting(gate, loop)
    blocker.release()
    slot = gate.enter(timeout=0)  # passes the waiter whose loop stands still
    slot.release()
    loop.run_until_complete(task)
    assert gate.running == 1
    task.result().release()
    loop.close()


def test_a_loop_that_dies_in_silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puter.throttle._WATCH", 0.05)
    gate = Throttle(1, 0.3, math.inf)
    with loop_elsewhere() as loop:
        gate.enter().release()
        waiting = asyncio.run_coroutine_threadsafe(gate.enter_async(), loop)
        until(lambda: gate.waiting == 1)
        thread = start(lambda: gate.enter().release())
        until(lambda: gate.waiting == 2)
        loop.call_soon_threadsafe(loop.stop)  # its timer will never fire, and no call comes or goes
        thread.join(20)
        assert not thread.is_alive()
        assert gate.waiting == 1
        waiting.cancel()
        until(lambda: not loop.is_running())
        loop.run_until_complete(settled(gate, 0))


def test_a_loop_that_closes_while_it_is_rung_is_passed_over() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)

    class Closing(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *_: object, **__: object) -> asyncio.Handle:
            raise RuntimeError("Event loop is closed")

    loop = Closing()
    blocker = gate.enter()
    task = leave_waiting(gate, loop)
    with dropped(task):
        loop.is_running = lambda: True  # type: ignore[method-assign]  # as it seemed a moment ago
        blocker.release()
        del loop.is_running
        loop.close()
        gate.enter(timeout=0).release()
        assert (gate.running, gate.waiting) == (0, 0)


def test_one_gate_serves_one_loop_after_another() -> None:
    gate = Throttle(NO_WINDOW, 1, 1)

    async def calls() -> None:
        async def call() -> None:
            async with gate:
                await asyncio.sleep(0)

        await asyncio.gather(*(call() for _ in range(5)))

    for _ in range(3):
        asyncio.run(calls())
    assert (gate.running, gate.waiting, gate._lines) == (0, 0, {})


# Holding off and resizing


def test_nobody_is_admitted_while_the_gate_is_held() -> None:
    async def body(loop: VirtualLoop) -> None:
        gate = Throttle(clock=loop.time)
        gate.hold_off(8)
        gate.hold_off(3)  # does not shorten it
        gate.hold_off(-1)
        (await gate.enter_async()).release()
        assert loop.time() == 8
        waiter = asyncio.create_task(gate.enter_async())
        gate.hold_off(1)
        await settled(gate, 1)
        gate.hold_off(4)  # lengthens it under the waiter
        await asyncio.sleep(3)  # who has looked meanwhile
        assert [len(line) for line in gate._lines.values()] == [1]
        (await waiter).release()
        assert loop.time() == 12

    virtually(body)


def test_wider_limits_wake_those_who_may_now_go() -> None:
    async def body(loop: VirtualLoop) -> None:
        gate = Throttle(1, 1000, 1, clock=loop.time)
        gate.enter()
        tasks = [asyncio.create_task(gate.enter_async()) for _ in range(10)]
        await settled(gate, 10)
        gate.resize(1, 1000, 100)
        await asyncio.sleep(0.5)
        assert gate.waiting == 10
        gate.resize(6, 1000, 100)
        await asyncio.sleep(0.5)
        assert gate.waiting == 5
        gate.resize(6, 10, 100)
        await asyncio.gather(*tasks)
        assert loop.time() == 10.5
        assert (gate.running, gate.waiting) == (11, 0)

    virtually(body)


def test_narrower_limits_hold_from_the_next_admission_on() -> None:
    async def body(loop: VirtualLoop) -> None:
        gate = Throttle(10, 8, math.inf, clock=loop.time)
        for _ in range(8):
            await gate.acquire()
            await asyncio.sleep(0.5)
        gate.resize(2, 8, math.inf)
        await gate.acquire()  # six of the eight must leave the window first, the seventh too
        assert loop.time() == 6 * 0.5 + 8
        gate.resize(math.inf, 8, 1)
        slot = gate.enter()
        assert full(gate)
        slot.release()
        assert not full(gate)

    virtually(body)


# Fork


@pytest.mark.skipif(not hasattr(sys.modules["os"], "fork"), reason="no fork here")
def test_a_forked_child_starts_with_free_slots_and_the_same_window() -> None:
    script = """
        import os, threading, warnings
        from puter.throttle import Throttle

        warnings.simplefilter("ignore")
        gate = Throttle(3, 3600, 2)
        slots = [gate.enter(), gate.enter()]
        threading.Thread(target=gate.enter, daemon=True).start()
        while not gate.waiting:
            pass
        locked, over = threading.Event(), threading.Event()

        def keep_locked():
            with gate._lock:
                locked.set()
                over.wait()

        keeper = threading.Thread(target=keep_locked)
        keeper.start()
        locked.wait()
        child = os.fork()
        if not child:
            assert (gate.running, gate.waiting) == (0, 0)
            slots[0].release()          # the parent's: means nothing here
            slot = gate.enter(timeout=0)
            assert gate.running == 1
            slot.release()
            try:
                gate.enter(timeout=0)   # three in this window
            except TimeoutError:
                os._exit(0)
            os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        over.set()
        keeper.join()
        assert (gate.running, gate.waiting) == (2, 1), "the parent is as it was"
        raise SystemExit(status)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=50,
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
            "patience": st.none() | EIGHTHS,
            "cancelled_at": st.none() | EIGHTHS,
            "holds_off": st.none() | EIGHTHS,
            "again": st.booleans(),
        }
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(calls=CALLS, rate=st.integers(1, 5), period=EIGHTHS.filter(bool), most=st.integers(1, 4))
def test_any_mix_of_calls_keeps_the_limits_and_ends(
    calls: list[dict[str, Any]], rate: int, period: float, most: int
) -> None:
    async def body(loop: VirtualLoop) -> None:
        gate = Throttle(rate, period, most, clock=loop.time)
        running, stamps = watched(gate)

        async def call(plan: dict[str, Any]) -> None:
            await asyncio.sleep(plan["arrives"])
            ticket = gate.ticket()
            for _ in range(1 + plan["again"]):
                with await gate.enter_async(ticket, plan["patience"]):
                    assert not any(slot.ticket < ticket for slot in list(gate._waiting))
                    if plan["holds_off"] is not None:
                        gate.hold_off(plan["holds_off"])
                        until = loop.time() + plan["holds_off"]
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
        assert stamps.closest(rate) >= period
        assert not any(begun < stamp < end for stamp in stamps.all for begun, end in held)
        assert (gate.running, gate.waiting, gate._lines) == (0, 0, {})

    virtually(body)


async def test_a_thread_does_not_wait_for_tasks_of_the_loop_it_is_running() -> None:
    gate = Throttle(max_concurrency=1)
    slot = await gate.enter_async()
    with pytest.raises(RuntimeError, match="its own event loop"):
        gate.enter()
    slot.release()
    gate.enter().release()
    assert (gate.running, gate.waiting) == (0, 0)


def test_a_narrowed_gate_widens_again_after_enough_good_answers() -> None:
    gate = Throttle(max_concurrency=3)
    gate.narrow()
    assert gate.max_concurrency == 2
    for _ in range(50):
        gate.answered()
    assert gate.max_concurrency == 3
    for _ in range(60):
        gate.answered()
    assert gate.max_concurrency == 3
    for _ in range(5):
        gate.narrow()
    assert gate.max_concurrency == 1
    gate.resize(30, 10, 4)
    assert gate.max_concurrency == 4
