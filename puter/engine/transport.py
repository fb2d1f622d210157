"""``Transport``: carries flows out, blocking or on the running event loop.

The two halves differ in ``await`` alone. What knows HTTP, sockets and their libraries is in
``puter.transports``, which says how to ``send``. asyncio is imported where a loop runs already.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, TypeVar

from puter.engine.clock import monotonic
from puter.engine.effects import (
    Acquire,
    Done,
    Effect,
    Flow,
    Invoke,
    InvokeAll,
    Notify,
    Read,
    Send,
    Sleep,
    StreamOpened,
    YieldChunks,
)
from puter.engine.events import async_tell, tell
from puter.engine.throttle import Late, WouldDeadlock
from puter.exceptions import (
    PuterConfigError,
    PuterError,
    PuterInputError,
    PuterTimeoutError,
    with_article,
)
from puter.process import late
from puter.threads import Worker, awaited_by, in_thread, workers
from puter.wire.http import HttpReply

if TYPE_CHECKING:
    import asyncio
    import inspect
else:
    inspect = late("inspect")

T = TypeVar("T")


class Transport:
    """Carries effects out. A subclass says how to send, in the form or forms that it has."""

    # ------------------------------------------------------------ blocking

    def run(self, flow: Flow[T]) -> T:
        """Carry the flow out in this thread and return its result."""
        try:
            while not isinstance(end := self.advance(flow), Done):
                pass
            return end.value
        finally:
            flow.close()

    def advance(self, flow: Flow[T]) -> StreamOpened | YieldChunks | Done[T]:
        """Carry the flow out up to the next thing meant for the user."""
        resume: Any = flow.send
        value: Any = None
        try:
            while True:
                effect = resume(value)
                if isinstance(effect, (YieldChunks, StreamOpened)):
                    return effect
                try:
                    value, resume = self._perform(effect), flow.send
                except BaseException as error:  # noqa: BLE001 - the flow's to catch or to leave
                    value, resume = error, flow.throw
        except StopIteration as done:
            return Done(done.value)
        finally:
            value = None  # an error kept here would be a reference cycle

    def _perform(self, effect: Effect[Any]) -> Any:
        match effect:
            case Send():
                return self.send(effect)
            case Read(body, timeout):
                return body.read(timeout)
            case Acquire(permit, timeout):
                try:
                    return permit.acquire(timeout)
                except (Late, WouldDeadlock) as error:
                    raise _not_acquired(error) from None
            case Notify(event, listeners):
                return tell(event, listeners)
            case Sleep(seconds):
                return time.sleep(seconds)
            case Invoke():
                return _invoke(effect)
            case InvokeAll():
                return _invoke_all(effect)
            case _:
                raise _unknown(effect)

    def send(self, effect: Send) -> HttpReply:
        """Send the request once, blocking.

        Raises:
            PuterConnectionError: No answer; ``sent`` says whether the request may have run.
            PuterResponseError: The answer cannot be read.
        """
        raise PuterError(f"{type(self).__name__} has no synchronous side", hint="Use async_...")

    def close(self) -> None:
        """Close all connections, from any thread. Safe to repeat."""

    # ------------------------------------------------------------ on the running event loop

    async def async_run(self, flow: Flow[T]) -> T:
        try:
            while not isinstance(end := await self.async_advance(flow), Done):
                pass
            return end.value
        finally:
            flow.close()

    async def async_advance(self, flow: Flow[T]) -> StreamOpened | YieldChunks | Done[T]:
        resume: Any = flow.send
        value: Any = None
        try:
            while True:
                effect = resume(value)
                if isinstance(effect, (YieldChunks, StreamOpened)):
                    return effect
                try:
                    value, resume = await self._async_perform(effect), flow.send
                except BaseException as error:  # noqa: BLE001 - the flow's to catch or to leave
                    value, resume = error, flow.throw
        except StopIteration as done:
            return Done(done.value)
        finally:
            value = None  # an error kept here would be a reference cycle

    async def _async_perform(self, effect: Effect[Any]) -> Any:
        match effect:
            case Send():
                return await self.async_send(effect)
            case Read(body, timeout):
                return await body.async_read(timeout)
            case Acquire(permit, timeout):
                try:
                    return await permit.async_acquire(timeout)
                except (Late, WouldDeadlock) as error:
                    raise _not_acquired(error) from None
            case Notify(event, listeners):
                return await async_tell(event, listeners)
            case Sleep(seconds):
                import asyncio

                return await asyncio.sleep(seconds)
            case Invoke():
                return await _async_invoke(effect)
            case InvokeAll():
                return await _async_invoke_all(effect)
            case _:
                raise _unknown(effect)

    async def async_send(self, effect: Send) -> HttpReply:
        raise PuterError(f"{type(self).__name__} has no asynchronous side", hint="Use sync methods")

    async def async_close(self) -> None:
        self.close()


def _unknown(effect: Any) -> Exception:
    if isinstance(effect, Effect):
        return TypeError(f"no transport knows the effect {effect!r}")
    kind = "flow" if inspect.isgenerator(effect) else type(effect).__name__
    return PuterConfigError(
        f"A middleware yielded {with_article(kind)}",
        hint="Write `reply = yield from call_next(request)`, and `return reply` at its end.",
    )


def _not_acquired(error: Late | WouldDeadlock) -> PuterError:
    if isinstance(error, WouldDeadlock):
        message = str(error)
        return PuterError(message[0].upper() + message[1:], hint=error.hint)
    return PuterTimeoutError(
        "The deadline passed in the queue before the request was sent",
        hint="Raise deadline, or make fewer calls at a time.",
    )


# ---------------------------------------------------------------- calling functions


def _invoke(call: Invoke[Any]) -> Any:
    answer = call.function(*call.args)
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise PuterInputError(
            f"{getattr(call.function, '__name__', 'the function')} is asynchronous, "
            "and this is a synchronous method",
            hint="Pass a plain function, or call the async_ method.",
        )
    return answer


def _invoke_all(effect: InvokeAll) -> list[Any]:
    outcomes: list[Any] = []
    began = monotonic()
    for call in effect.calls:
        if effect.timeout is not None and monotonic() - began >= effect.timeout:
            break
        try:
            outcomes.append(_invoke(call))
        except Exception as error:  # noqa: BLE001 - every exception is handed back to the flow
            outcomes.append(error)
            if effect.until(error):
                break
    return outcomes


async def _async_invoke(call: Invoke[Any]) -> Any:
    if call.inline or inspect.iscoroutinefunction(call.function):
        answer = call.function(*call.args)
    else:
        answer = await _in_thread(call)
    return await answer if inspect.isawaitable(answer) else answer


async def _in_thread(call: Invoke[Any]) -> Any:
    """Run it in a thread, and do not leave that alone when this task is cancelled."""
    import asyncio

    # A future, not a task: a loop that shuts down would cancel a task and leave the thread alone.
    running = in_thread(_awaited, workers(), call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if call.stop is not None:
            call.stop()
        await _end_of([running])
        raise


def _awaited(others: tuple[Worker, ...], call: Invoke[Any]) -> Any:
    awaited_by(others)
    return call.function(*call.args)


async def _async_invoke_all(effect: InvokeAll) -> list[Any]:
    import asyncio

    line = workers()
    tasks: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(_outcome(c, line)) for c in effect.calls
    ]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await _end_of(tasks)


async def _end_of(tasks: list[asyncio.Future[Any]]) -> None:
    """Wait for them, however often this task is cancelled meanwhile."""
    import asyncio

    while left := [task for task in tasks if not task.done()]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(left)


async def _outcome(call: Invoke[Any], others: tuple[Worker, ...]) -> Any:
    awaited_by(others)
    try:
        return await _async_invoke(call)
    except Exception as error:  # noqa: BLE001 - every exception is handed back to the flow
        return error
