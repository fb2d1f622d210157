"""What 10,000 streams, each left after its first chunk, leave behind. Run by hand:

python tests/benchmarks/abandoned_streams.py [number]
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))

from puter.testing import Gate, LocalPuter, Reply

if TYPE_CHECKING:
    from puter import PuterAI

FDS = Path("/proc/self/fd")
STATUS = Path("/proc/self/status")


def memory() -> float:
    """MiB resident, where the system tells."""
    lines = STATUS.read_text(encoding="ascii").splitlines() if STATUS.exists() else []
    return next((int(one.split()[1]) / 1024 for one in lines if one.startswith("VmRSS")), 0.0)


def counted() -> dict[str, float]:
    gc.collect()
    names = [os.readlink(one) for one in FDS.iterdir() if one.exists()] if FDS.exists() else []
    return {
        "sockets": sum(one.startswith("socket:") for one in names),
        "files": len(names),
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
        "objects": len(gc.get_objects()),
        "MiB": memory(),
    }


async def sync_door(ai: PuterAI) -> None:
    stream = ai.chat("Hi", stream=True, remember=False)
    next(stream)
    stream.close()


async def async_door(ai: PuterAI) -> None:
    stream = await ai.async_chat("Hi", stream=True, remember=False)
    await anext(stream)
    await stream.aclose()


async def measure(name: str, abandon: Callable[[PuterAI], Awaitable[None]], number: int) -> None:
    with LocalPuter(tier=None) as puter:
        puter.respond(lambda _call: Reply(chunks=["one ", "two "], gate=Gate(1)))
        async with puter.client(rate_limit_requests=None, max_concurrency=None) as ai:

            async def some(count: int) -> dict[str, float]:
                for done in range(count):
                    await abandon(ai)
                    if done % 200 == 0:
                        puter.clear_requests()
                await asyncio.sleep(0.5)  # the server closes its side a moment later
                puter.clear_requests()
                return counted()

            before = await some(500)
            begun = time.perf_counter()
            after = await some(number)
            spent = time.perf_counter() - begun
            print(
                f"{name}: {number:,} streams in {spent:.1f} s, {ai._throttle.running} places held"
            )
            for what, was in before.items():
                print(f"  {what:8} {was:10,.0f} before {after[what]:10,.0f} after")


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for door in (sync_door, async_door):
        asyncio.run(measure(door.__name__.replace("_", " "), door, number))
