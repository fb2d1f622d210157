"""Threads beside an event loop: which loop runs here, who works, and for whom it is waited."""

from __future__ import annotations

import contextvars
import sys
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from puter.exceptions import PuterError

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures

T = TypeVar("T")
Worker: TypeAlias = tuple[object, object]
"""A thread and a task in it, if any; the task weakly, for what notes it may be its result."""


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread; there is none where nobody has loaded asyncio.

    So sync code goes without its import, and async code imports it where it stands, for nothing.
    """
    events = sys.modules.get("asyncio.events")
    find = getattr(events, "_get_running_loop", None)  # not there yet while a thread loads it
    return None if find is None else find()


class _Current(threading.local):
    def __init__(self) -> None:
        self.thread = object()  # unlike a thread's ident, never used again


_current = _Current()
_line: contextvars.ContextVar[tuple[Worker, ...]] = contextvars.ContextVar("puter_line", default=())
"""A worker, and those who wait until it is done; others inherit it with the context."""


def worker() -> Worker:
    """This thread and task."""
    if (loop := running_loop()) is None:
        return _current.thread, None
    import asyncio

    task = asyncio.current_task(loop)
    if task is None:
        return _current.thread, None
    weak = weakref.ref(task)
    hash(weak)  # which keeps it for when the task is gone
    return _current.thread, weak


def workers() -> tuple[Worker, ...]:
    """This thread and task, and those who certainly wait until what it does now is done."""
    line, this = _line.get(), worker()
    return line if line[:1] == (this,) else (this,)


def awaited_by(others: tuple[Worker, ...]) -> None:
    """Note that they wait until this thread or task, which has a context of its own, is done."""
    _line.set((worker(), *others))


def in_thread(function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
    """Begin a call, in the context of this task; the interpreter exits when it has ended.

    The event loop has a pool of threads, but calls that wait for this one may hold them all.

    Raises:
        PuterError: No thread can be started.
    """
    import asyncio

    return asyncio.wrap_future(begun(function, *args))


def begun(
    function: Callable[..., T], *args: Any, daemon: bool = False
) -> concurrent.futures.Future[T]:
    """Begin a call in a thread of its own, in this context.

    Args:
        function: What to call.
        *args: With what.
        daemon: The interpreter does not wait for it when it exits.

    Raises:
        PuterError: No thread can be started.
    """
    import concurrent.futures

    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    run = contextvars.copy_context().run
    try:
        threading.Thread(target=_work, args=(outcome, run, function, *args), daemon=daemon).start()
    except RuntimeError as error:
        raise no_thread(error) from None
    return outcome


def _work(outcome: concurrent.futures.Future[T], run: Callable[..., T], *call: Any) -> None:
    outcome.set_running_or_notify_cancel()  # from now on it cannot be cancelled
    try:
        outcome.set_result(run(*call))
    except StopIteration as error:  # a future of asyncio that is given one never ends
        instead = RuntimeError(repr(error))
        instead.__cause__ = error
        outcome.set_exception(instead)
    except BaseException as error:  # noqa: BLE001 - whoever waits has it
        outcome.set_exception(error)
    finally:
        del outcome, call  # this frame is in the error: a reference cycle


def no_thread(error: Exception) -> PuterError:
    """Python's error for a thread that cannot be started, as one of ours."""
    return PuterError(
        f"This process can start no more threads: {error}",
        hint="End threads that are no longer used, or raise the limit (ulimit -u). Once the main "
        "thread has ended, Python may start none.",
    )
