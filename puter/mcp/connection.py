"""``Connection``: a client in an event loop of its own, for threads and tasks to call through."""

from __future__ import annotations

import atexit
import concurrent.futures
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from typing import TYPE_CHECKING, Any

from puter.mcp.log_filter import LogFilter

if TYPE_CHECKING:
    import asyncio

    from mcp import Client

_MOST_PAGES = 100
"""Pages of a list of tools: one that never ends shall not be read for ever."""
_ENDING = 15.0
"""Seconds in which a server is ended: asked, told, and killed."""


class Ended(Exception):
    """There is no connection any more."""


class Connection:
    """Outlives no ``with``, and blocks nobody's event loop.

    Args:
        label: Of the server.
        transport: Makes the way to the server; what that needs is left with the stack.
        redact: Takes what is secret out of a text.
        timeout: Seconds that starting may take, and each call.
    """

    client: Client

    def __init__(
        self,
        label: str,
        transport: Callable[[AsyncExitStack], Awaitable[AbstractAsyncContextManager[Any]]],
        redact: Callable[[str], str],
        timeout: float,
    ) -> None:
        self._label, self._transport, self._redact = label, transport, redact
        self._timeout = timeout
        self._pid = os.getpid()
        self._listed: concurrent.futures.Future[list[Any]] = concurrent.futures.Future()
        self._lock = threading.Lock()
        self._given_up = False  # by whoever opened it
        self._ending = False  # in its loop, where it is cancelled once
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="McpTools", daemon=True)

    def start(self) -> list[Any]:
        """Connect, and list the tools. Raises whatever goes wrong, TimeoutError among it."""
        # Which waits: a program that ends takes the thread with it, but not the server.
        atexit.register(self.end)
        self._thread.start()
        return self._listed.result(self._timeout)

    def _run(self) -> None:
        import asyncio

        try:
            with LogFilter(self._label, self._redact):
                asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - whoever waits has it
            if not self._listed.done():
                self._listed.set_exception(error)
        finally:
            atexit.unregister(self.end)

    async def _serve(self) -> None:
        """All of the client's life in one task, as its library wants it."""
        import asyncio

        from mcp import Client

        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            if self._given_up:  # before there was anything to cancel
                raise Ended
        async with AsyncExitStack() as stack:
            transport = self._watched(await self._transport(stack))
            self.client = await stack.enter_async_context(Client(transport))
            listed: list[Any] = []
            cursor: str | None = None
            for _ in range(_MOST_PAGES):
                page = await self.client.list_tools(cursor=cursor)
                listed += page.tools
                if (cursor := page.next_cursor) is None:
                    break
            self._listed.set_result(listed)
            await asyncio.get_running_loop().create_future()  # until it is cancelled

    @asynccontextmanager
    async def _watched(
        self, transport: AbstractAsyncContextManager[Any]
    ) -> AsyncGenerator[Any, None]:
        """A transport that is not cancelled once it has begun to end its server."""
        async with transport as streams:
            try:
                yield streams
            finally:
                self._ending = True

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something in the loop, and block until it is done.

        Raises:
            Ended: The loop is closed, or was before it was done.
        """
        outcome = self._submit(work)
        try:
            return outcome.result(self._timeout + _ENDING)
        except (concurrent.futures.CancelledError, concurrent.futures.TimeoutError):
            raise Ended from None
        finally:
            outcome.cancel()  # whoever is interrupted does not want it any more

    async def async_call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The same for a task; when that is cancelled, so is the work."""
        import asyncio

        waiting = asyncio.wrap_future(self._submit(work))
        try:
            await asyncio.wait([waiting], timeout=self._timeout + _ENDING)
            if waiting.cancelled() or not waiting.done():
                raise Ended
            return waiting.result()
        finally:
            waiting.cancel()

    def _submit(self, work: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        import asyncio

        try:
            if self._loop is None or self._pid != os.getpid():
                raise Ended  # a fork has no such thread
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except (Ended, RuntimeError):
            work.close()
            raise Ended from None

    def end(self, *, wait: bool = True) -> None:
        """Cancel everything, which ends the server."""
        if self._pid != os.getpid():
            return
        with self._lock:
            self._given_up = True
        if self._loop is not None:
            with suppress(RuntimeError):  # its loop has ended by itself
                self._loop.call_soon_threadsafe(self._cancel)
        if wait and self._thread.ident:
            self._thread.join(_ENDING)

    def _cancel(self) -> None:
        """Once: a second one would cut the ending short, and leave the server running."""
        if self._task is not None and not self._ending:
            self._ending = True
            self._task.cancel()
