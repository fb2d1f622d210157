"""One door of the client, and the server behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from puter import PuterAI
    from puter.testing import LocalPuter

Outcomes = list[Any]


@dataclass
class Live:
    """``await live(ai, "chat", "hi")`` calls ``chat`` or ``async_chat`` against ``live.puter``."""

    kind: str
    puter: LocalPuter
    clients: list[PuterAI] = field(default_factory=list)

    def client(self, server: LocalPuter | None = None, **settings: Any) -> PuterAI:
        """A client of ``server`` (``self.puter``) that retries without waiting."""
        ai = (server or self.puter).client(**{"retry_delay": 0.0, "max_retries": 2, **settings})
        self.clients.append(ai)
        return ai

    def client_at(self, url: str, **settings: Any) -> PuterAI:
        """A client of any server on the loopback interface."""
        defaults = {"api_base": url, "login_url": f"{url}/login"}
        return self.client(**{"token": "test-token-secret", **defaults, **settings})

    async def __call__(self, ai: PuterAI, method: str, *args: Any, **kwargs: Any) -> Any:
        return await call(self.kind, ai, method, *args, **kwargs)

    async def at_once(self, count: int, ai: PuterAI, method: str, *args: Any) -> Outcomes:
        """That many calls at the same time, by threads or by tasks; errors are results."""
        if self.kind == "sync":
            return await crowd(ai, method, *args, threads=count)
        return await crowd(ai, method, *args, tasks=count)

    async def close(self) -> None:
        for ai in self.clients:
            await ai.async_close()


async def call(kind: str, ai: PuterAI, method: str, /, *args: Any, **kwargs: Any) -> Any:
    if kind == "sync":
        return getattr(ai, method)(*args, **kwargs)
    return await getattr(ai, f"async_{method}")(*args, **kwargs)


async def crowd(ai: PuterAI, method: str, *args: Any, threads: int = 0, tasks: int = 0) -> Outcomes:
    """The same call by threads and tasks together; ``{}`` in a str argument becomes its number."""
    loop = asyncio.get_running_loop()

    def numbered(number: int) -> list[Any]:
        return [one.format(number) if isinstance(one, str) else one for one in args]

    def blocking(number: int) -> Any:
        return getattr(ai, method)(*numbered(number))

    with ThreadPoolExecutor(max(threads, 1)) as pool:
        calls: list[Awaitable[Any]] = [
            loop.run_in_executor(pool, blocking, number) for number in range(threads)
        ]
        calls += [
            getattr(ai, f"async_{method}")(*numbered(n)) for n in range(threads, threads + tasks)
        ]
        return await asyncio.gather(*calls, return_exceptions=True)


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Let the event loop run until the condition holds."""

    async def watch() -> None:
        while not condition():  # noqa: ASYNC110 - it comes true in other threads
            await asyncio.sleep(0.005)

    await asyncio.wait_for(watch(), seconds)
