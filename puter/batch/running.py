"""What does as a ``Scheduler`` says: this thread, which is interrupted, or a task."""

from __future__ import annotations

import contextvars
import inspect
import queue
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from puter.batch import workers
from puter.batch.answers import LOGGER
from puter.batch.prompts import BatchRequest
from puter.batch.scheduler import Scheduler
from puter.threads import awaited_by, begun, in_thread
from puter.threads import workers as waiting

if TYPE_CHECKING:
    from concurrent.futures import Executor

_LOOKS = 1.0
"""Seconds after which a wait looks for Ctrl-C, where that does not end it (Windows)."""


class Blocking:
    """Runs a batch in this thread; calls have threads of their own, or an executor's.

    The first Ctrl-C lets calls under way come to their end, as they are paid. The second ends
    everything at once.
    """

    def __init__(self) -> None:
        self._changes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._interrupts = 0
        self._in_items = self._told = False
        self._before: Any = None

    def changed(self) -> None:
        self._changes.put(None)

    def run(self, scheduler: Scheduler, items: Iterable[Any]) -> None:
        """Ask all items.

        Raises:
            BaseException: What the items raise; or an interrupt.
        """
        self._scheduler = scheduler
        with self:
            try:
                source = iter(items)
                while want := scheduler.wants():
                    if want == "item":
                        self._pull(source)
                    else:
                        self._wait()
            except BaseException as error:  # noqa: BLE001 - it is raised when all is done
                scheduler.stop(error)
                while scheduler.running and self._interrupts < 2:
                    self._wait()
                raise scheduler.ended_by(error) from None

    def _pull(self, source: Iterator[Any]) -> None:
        self._in_items = True
        try:
            item = next(source)
        except StopIteration:
            self._scheduler.end()
            return
        finally:
            self._in_items = False
        self._scheduler.take(item)

    def _wait(self) -> None:
        if isinstance(self._scheduler.stopped, KeyboardInterrupt) and not self._told:
            self._told = True
            _tell(self._scheduler)
        with suppress(queue.Empty):
            self._changes.get(timeout=_LOOKS)

    def _interrupt(self, *_: object) -> None:
        self._interrupts += 1
        if self._interrupts > 1 or self._in_items:
            raise KeyboardInterrupt
        self._scheduler.stop(KeyboardInterrupt())
        self.changed()

    def __enter__(self) -> None:
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self._before = signal.signal(signal.SIGINT, self._interrupt)

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


def _tell(scheduler: Scheduler) -> None:
    """Say what an interrupt waits for, and how to go on after it."""
    file = scheduler.file
    LOGGER.warning(
        "Interrupted: calls under way are waited for, as they are paid. Ctrl-C again gives "
        "them up. %s",
        f"The same batch goes on where {file.path} ends."
        if file is not None
        else "With output= the next batch would go on where this one stopped.",
    )


async def async_run(scheduler: Scheduler, items: Any, changed: Any) -> None:
    """Ask all items, in this task.

    A cancellation, such as that of Ctrl-C, lets calls under way come to their end; the second
    cancels them.

    Raises:
        BaseException: What the items raise; or the cancellation.
    """
    import asyncio

    async def wait() -> None:
        await changed.wait()
        changed.clear()

    feeding = asyncio.ensure_future(_feed(scheduler, items, wait))
    feeding.add_done_callback(lambda _: changed.set())
    try:
        while not feeding.done() and scheduler.stopped is None:
            await wait()
        while scheduler.running:
            await wait()
        if scheduler.stopped is not None:
            feeding.cancel()  # its source may wait for ever
        await asyncio.gather(feeding, return_exceptions=True)
        if scheduler.stopped is None or not feeding.cancelled():
            feeding.result()
    except GeneratorExit:  # the event loop is gone
        raise
    except BaseException as error:  # noqa: BLE001 - likewise
        scheduler.stop(error)
        feeding.cancel()
        if isinstance(error, asyncio.CancelledError) and scheduler.running:
            _tell(scheduler)
        try:
            while scheduler.running:
                await wait()
            await asyncio.gather(feeding, return_exceptions=True)
        except asyncio.CancelledError:
            calls = [feeding, *(one for one in scheduler.running.values() if one is not None)]
            for one in calls:
                one.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            raise
        raise scheduler.ended_by(error) from None


async def _feed(scheduler: Scheduler, items: Any, wait: Callable[[], Awaitable[None]]) -> None:
    """Hand in the items; one task does, as a source may hold a timeout or a task group open."""
    import asyncio

    source = aiter(items) if hasattr(items, "__aiter__") else _each(items)
    try:
        while want := scheduler.wants():
            if want == "answer":
                await wait()
                continue
            try:
                item = await anext(source)
            except StopAsyncIteration:
                scheduler.end()
            else:
                scheduler.take(item)
                await asyncio.sleep(0)  # answers of the file are many, and nothing waits for them
    finally:
        if (close := getattr(source, "aclose", None)) is not None:
            await close()


async def _each(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


def beginner(
    client: Any, function: Callable[..., Any] | None, executor: Executor | None
) -> Callable[[BatchRequest], Any]:
    """A function that begins the call of an item, in a thread or wherever an executor has it run.

    Raises:
        PuterConfigError: What other processes need cannot be sent to them.
    """
    from concurrent.futures import ThreadPoolExecutor

    if executor is not None and not isinstance(executor, ThreadPoolExecutor):
        sent = workers.payload(client, function, executor)
        return lambda request: workers.submit(executor, sent, request.arguments, request.item)
    line = waiting()

    def here(request: BatchRequest) -> Any:
        awaited_by(line)
        if function is not None:
            return workers.call(function, client, request.item)
        return client.chat(**(request.arguments or {}))

    if executor is not None:
        return lambda request: executor.submit(contextvars.copy_context().run, here, request)
    return lambda request: begun(here, request, daemon=True)


def async_beginner(
    client: Any, function: Callable[..., Any] | None, executor: Executor | None
) -> Callable[[BatchRequest], Any]:
    """The same for tasks."""
    import asyncio

    if executor is not None:
        begin = beginner(client, function, executor)
        return lambda request: asyncio.wrap_future(begin(request))

    async def here(request: BatchRequest) -> Any:
        if function is None:
            return await client.async_chat(**(request.arguments or {}))
        if inspect.iscoroutinefunction(function):
            return await function(client, request.item)
        value = await in_thread(function, client, request.item)
        return await value if inspect.isawaitable(value) else value

    return lambda request: asyncio.ensure_future(here(request))
