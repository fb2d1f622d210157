"""What a call through the SDK costs over the bare libraries, against one LocalPuter.

Run by hand: ``python tests/benchmarks/bench_calls.py``; it takes about 15 seconds.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from typing import TYPE_CHECKING

import aiohttp
import requests

from puter.testing import LocalPuter

if TYPE_CHECKING:
    from puter import PuterAI

SECONDS = 0.6  # of each measurement
ROUNDS = 3  # of which the median counts
WORKERS = 50

BODY = json.dumps(
    {
        "interface": "puter-chat-completion",
        "driver": "ai-chat",
        "method": "complete",
        "args": {"messages": [{"role": "user", "content": "2 + 2"}], "model": "gpt-5-nano"},
    }
).encode()


class Bench:
    """The same chat, bare and through the SDK."""

    def __init__(self, puter: LocalPuter) -> None:
        self.url = f"{puter.url}/drivers/call"
        self.headers = {
            "Authorization": f"Bearer {puter.token}",
            "Content-Type": "application/json",
        }
        self.ai: PuterAI = puter.client(rate_limit_requests=None, max_concurrency=None)
        self.session = requests.Session()
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=WORKERS)
        self.session.mount("http://", adapter)
        self.session.trust_env = False
        self.forget = puter.clear_requests

    def bare(self) -> None:
        self.session.post(self.url, data=BODY, headers=self.headers).json()

    def sdk(self) -> None:
        self.ai.chat("2 + 2", remember=False)

    async def async_sdk(self) -> None:
        await self.ai.async_chat("2 + 2", remember=False)

    def threads(self, call: Callable[[], None], workers: int) -> float:
        """Calls per second."""
        until = time.perf_counter() + SECONDS

        def work(_: int) -> int:
            count = 0
            while time.perf_counter() < until:
                call()
                count += 1
            return count

        with ThreadPoolExecutor(workers) as pool:
            return sum(pool.map(work, range(workers))) / SECONDS

    async def tasks(self, call: Callable[[], Awaitable[None]], workers: int) -> float:
        """Calls per second."""
        until = time.perf_counter() + SECONDS

        async def work() -> int:
            count = 0
            while time.perf_counter() < until:
                await call()
                count += 1
            return count

        return sum(await asyncio.gather(*(work() for _ in range(workers)))) / SECONDS

    async def async_pair(self, workers: int) -> tuple[float, float]:
        """Bare and SDK."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def bare() -> None:
                async with session.post(self.url, data=BODY, headers=self.headers) as response:
                    await response.json()

            await bare()
            await self.async_sdk()
            return await self.tasks(bare, workers), await self.tasks(self.async_sdk, workers)

    def pair(self, door: str, workers: int) -> tuple[float, float]:
        """Bare and SDK calls per second."""
        self.forget()
        if door == "aiohttp":
            return asyncio.run(self.async_pair(workers))
        self.bare()
        self.sdk()
        return self.threads(self.bare, workers), self.threads(self.sdk, workers)


def main() -> None:
    """Measure and print."""
    print(f"{'':10}{'at once':>8}{'bare/s':>10}{'SDK/s':>10}{'SDK/bare':>10}{'cost':>12}")
    with LocalPuter(tier=None) as puter:
        bench = Bench(puter)
        for door in ("requests", "aiohttp"):
            for workers in (1, WORKERS):
                rounds = [bench.pair(door, workers) for _ in range(ROUNDS)]
                bare, sdk = (statistics.median(column) for column in zip(*rounds, strict=True))
                cost = (1 / sdk - 1 / bare) * 1e6
                print(
                    f"{door:10}{workers:8}{bare:10.0f}{sdk:10.0f}{sdk / bare:10.2f}{cost:9.0f} us"
                )
        bench.session.close()
        bench.ai.close()


if __name__ == "__main__":
    main()
