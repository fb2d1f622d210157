"""How cost grows: with messages of history, chunks of a stream, open streams, and waiting calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from puter import PuterAI
from puter.testing import MockTransport
from tests.benchmarks.contenders import async_chats, sync_chats
from tests.benchmarks.loads import open_streams, turns
from tests.benchmarks.processes import alone
from tests.benchmarks.rows import Bench, Round, medians
from tests.benchmarks.stub import MESSAGE


@dataclass(frozen=True)
class Growth:
    """Figures by a growing number.

    Attributes:
        title: what is measured.
        number: what grows.
        unit: of the figures.
        points: medians by number.
    """

    title: str
    number: str
    unit: str
    points: dict[int, Round]


def _history(bench: Bench, number: int) -> Round:
    found = medians(turns(bench, number))
    return {"puter": found["puter"], "json.dumps": found["json.dumps"]}


def _chunks(bench: Bench, number: int) -> Round:
    times, base = max(1, 1000 // number), f"{bench.stub}/{number}"
    with sync_chats(base) as (_, streamed):
        ours = {who: streamed[who] for who in ("puter", "requests")}
        sync = medians(bench.sync_cpu(ours, times))

    async def measured() -> Round:
        async with async_chats(base) as (_, streamed):
            ours = {who: streamed[who] for who in ("puter", "aiohttp")}
            return medians(await bench.async_cpu(ours, times))

    door = asyncio.run(measured())
    return {"puter": sync.pop("puter"), **sync, "puter, async": door.pop("puter"), **door}


def _streams(bench: Bench, number: int) -> Round:
    def memory(*, sdk: bool) -> float:
        return float(alone(open_streams, f"{bench.stub}/open", number, sdk))

    return {"puter": memory(sdk=True), "aiohttp": memory(sdk=False)}


def waiting_calls(number: int) -> float:
    """Seconds of CPU of so many calls begun at once, of which one at a time may run."""

    async def measured() -> float:
        mock = MockTransport(lambda _: {"message": MESSAGE})
        options: dict[str, Any] = {"rate_limit_requests": None, "max_concurrency": 1}
        async with PuterAI(token="t", transport=mock, **options) as ai:
            await ai.async_chat("hello", remember=False)
            begun = time.process_time()
            chats = (ai.async_chat("hello", remember=False) for _ in range(number))
            await asyncio.gather(*chats)
            return time.process_time() - begun

    return asyncio.run(measured())


def _waiters(_: Bench, number: int) -> Round:
    return {"puter": float(alone(waiting_calls, number))}


GROWTHS: tuple[tuple[str, str, str, tuple[int, ...], Callable[[Bench, int], Round]], ...] = (
    ("CPU of a turn", "messages of history", "ms", (10, 100, 1_000, 5_000, 20_000), _history),
    ("CPU of a stream", "chunks", "ms", (1, 10, 100, 1_000, 10_000), _chunks),
    ("memory of open streams", "streams", "MiB", (1, 10, 100, 1_000), _streams),
    ("CPU of calls begun at once", "calls", "ms", (10, 100, 1_000, 10_000), _waiters),
)


def growths(bench: Bench) -> list[Growth]:
    """Measure all of them, in fewer rounds: the table has what needs many."""
    bench = replace(bench, rounds=min(3, bench.rounds))
    return [
        Growth(title, number, unit, {n: measure(bench, bench.times(n)) for n in numbers})
        for title, number, unit, numbers, measure in GROWTHS
    ]
