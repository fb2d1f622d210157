"""``Connection``: a client in an event loop of its own, for threads and tasks to call through."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from mcp import Client

_LOGGER = logging.getLogger("puter.mcp")
_MOST_PAGES = 100
"""Pages of a list of tools: one that never ends shall not be read for ever."""
_ENDING = 15.0
"""Seconds in which a server is ended: asked, told, and killed."""


class Ended(Exception):
    """There is no connection any more."""


class _Discreet(logging.Filter):
    """Lets the libraries log no secret, and tell once of what is no message, without a traceback.

    Made in the thread of a connection, it leaves alone what is logged in others.

    Args:
        label: Of the server.
        redact: Takes what is secret out of a text.
    """

    _LOGGERS = (  # as mcp and its HTTP library name them
        "client",
        "mcp.client.stdio",
        "mcp.client.streamable_http",
        "httpx2",
        "httpcore2.http11",
    )

    def __init__(self, label: str, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._label, self._redact = label, redact
        self._thread, self._told = threading.get_ident(), False

    def filter(self, record: logging.LogRecord) -> bool:
        if threading.get_ident() != self._thread:
            return True
        if not record.exc_info:
            record.msg, record.args = self._redact(record.getMessage()), ()
            return True
        if isinstance(record.exc_info[1], ValueError) and not self._told:
            self._told = True
            _LOGGER.warning("%s says what is no message of MCP: it is not read", self._label)
        return False

    def __enter__(self) -> None:
        for name in self._LOGGERS:
            logging.getLogger(name).addFilter(self)

    def __exit__(self, *_: object) -> None:
        for name in self._LOGGERS:
            logging.getLogger(name).removeFilter(self)


class Connection:
    """Outlives no ``with``, and blocks nobody's event loop.

    Args:
        label: Of the server.
        connect: Opens the client, on a stack that is left in the same task.
        redact: Takes what is secret out of a text.
    """

    client: Client
    _longest: float
    """Seconds after which nobody waits for a call: its loop ended before it began."""
    _loop: asyncio.AbstractEventLoop | None = None
    _task: asyncio.Task[None]
    _ending = False

    def __init__(
        self,
        label: str,
        connect: Callable[[AsyncExitStack], Coroutine[Any, Any, Client]],
        redact: Callable[[str], str],
    ) -> None:
        self._label, self._connect, self._redact = label, connect, redact
        self._pid = os.getpid()
        self._listed: concurrent.futures.Future[list[Any]] = concurrent.futures.Future()
        self._lock = threading.Lock()
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name="McpTools", daemon=True)

    def start(self, timeout: float) -> list[Any]:
        """Connect, and list the tools. Raises whatever goes wrong, TimeoutError among it."""
        self._longest = timeout + _ENDING
        self._thread.start()
        return self._listed.result(timeout)

    def _run(self) -> None:
        import asyncio

        try:
            with _Discreet(self._label, self._redact):
                asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - whoever waits has it
            if not self._listed.done():
                self._listed.set_exception(error)

    async def _serve(self) -> None:
        """All of the client's life in one task, as its library wants it."""
        import asyncio

        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is one
        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), task
            if self._given_up:  # before there was anything to cancel
                raise Ended
        async with AsyncExitStack() as stack:
            self.client = await self._connect(stack)
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
    async def watched(
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
            return outcome.result(self._longest)
        except (concurrent.futures.CancelledError, concurrent.futures.TimeoutError):
            raise Ended from None
        finally:
            outcome.cancel()  # whoever is interrupted does not want it any more

    async def async_call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The same for a task; when that is cancelled, so is the work."""
        import asyncio

        waiting = asyncio.wrap_future(self._submit(work))
        try:
            await asyncio.wait([waiting], timeout=self._longest)
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
        if not self._ending:
            self._ending = True
            self._task.cancel()
