"""The endpoint on real sockets, in a thread, in front of a LocalPuter: sync clients can wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from aiohttp import web
from typing_extensions import Self

from puter import PuterAI
from puter.serve import create_app
from puter.testing import LocalPuter

KEY = "only-for-this-test"
T = TypeVar("T")


class Endpoint:
    """A LocalPuter, a client of it, and the endpoint in front, until `stop`."""

    def __init__(self, *, settings: dict[str, Any] | None = None, **options: Any) -> None:
        self.puter = LocalPuter(tier=None, allowance=1e6).start()
        wanted = {"max_retries": 0, "retry_delay": 0.0, **(settings or {})}
        self.ai: PuterAI = self.puter.client(**wanted)
        self.app = create_app(self.ai, **{"key": KEY, **options})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self.run(self._start())

    async def _start(self) -> int:
        self.runner = web.AppRunner(
            self.app, handler_cancellation=True, access_log=None, shutdown_timeout=2.0
        )
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return int(self.runner.addresses[0][1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry something out where the endpoint runs."""
        done: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(30)

    def stop(self) -> None:
        self.run(self.runner.cleanup())
        self.run(self.ai.async_close())
        self.run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.puter.stop()

    def reset(self) -> None:
        """As new, for the next test."""
        self.puter.clear_faults()
        self.puter.clear_requests()
        self.puter._backend.script._queue.clear()
        self.puter._backend.script._media.clear()
        self.puter.respond(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for what another thread does. Raises AssertionError when it never happens."""
    waits = threading.Event()
    for _ in range(1000):
        if condition():
            return
        waits.wait(0.01)
    raise AssertionError(what)
