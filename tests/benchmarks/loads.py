"""Rows of much at once: a long history, waiters, open streams and a large picture.

Memory is what Python objects take (tracemalloc), measured in processes of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

import aiohttp
import requests

from puter import PuterAI
from puter.testing import MockTransport
from tests.benchmarks.contenders import HEADERS, STREAMED, client, payload
from tests.benchmarks.processes import alone, memory_now, more_descriptors, peak_of
from tests.benchmarks.rows import Bench, Round, row
from tests.benchmarks.stub import MANY, MESSAGE

HISTORY, WAITERS, STREAMS = 20_000, 10_000, 1_000
MIB = 2**20


def _history(length: int) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": f"message number {n} " * 5} for n in range(length)]


def _body(history: list[dict[str, str]]) -> dict[str, Any]:
    return payload([*history, {"role": "user", "content": "hello"}])


def turns(bench: Bench, length: int, times: int = 3) -> list[Round]:
    """Seconds of CPU of a turn after so many messages."""
    base, history = f"{bench.stub}/{MANY}", _history(length)
    body, headers = _body(history), {**HEADERS, "Content-Type": "application/json"}
    with requests.Session() as session, client(base) as ai:
        ai.chat_history.extend(history)

        def by_hand() -> None:
            session.post(f"{base}/drivers/call", data=json.dumps(body).encode(), headers=headers)

        return bench.sync_cpu(
            {
                "json.dumps": lambda: json.dumps(body).encode(),
                "puter": lambda: ai.chat("hello", remember=False),
                "requests": by_hand,
            },
            times,
        )


@row(
    "history",
    "a turn after 20,000 messages",
    over="one json.dumps of what is sent",
    goal=1.1,
    unit="ms",
)
def history(bench: Bench) -> list[Round]:
    return turns(bench, bench.times(HISTORY))


def peak_of_turn(base: str, length: int) -> Round:
    """Bytes of the body, and at most on top of the history."""
    history = _history(length)
    with client(base) as ai:
        ai.chat("hello")
        ai.chat_history.clear()
        ai.chat_history.extend(history)
        peak = peak_of(lambda: ai.chat("hello", remember=False))
    return {"body": len(json.dumps(_body(history)).encode()), "puter": peak}


@row("history-memory", "its peak of memory", over="what is sent", goal=2.2, unit="MiB")
def history_memory(bench: Bench) -> list[Round]:
    return [alone(peak_of_turn, f"{bench.stub}/{MANY}", bench.times(HISTORY))]


def idle_waiters(number: int, seconds: float) -> Round:
    """Seconds of wall clock and CPU while so many calls wait for their turn, which they keep."""

    async def measured() -> Round:
        mock = MockTransport(lambda _: {"message": MESSAGE})
        options: dict[str, Any] = {
            "rate_limit_requests": 1,
            "rate_limit_period": 3600,
            "max_concurrency": None,
        }
        async with PuterAI(token="t", transport=mock, **options) as ai:
            calls = [
                asyncio.create_task(ai.async_chat(str(n), remember=False)) for n in range(number)
            ]
            await calls[0]  # the only one that may go
            await asyncio.sleep(0.1)
            assert ai._throttle.waiting == number - 1
            wall, cpu = time.perf_counter(), time.process_time()
            await asyncio.sleep(seconds)
            spent = {"wall": time.perf_counter() - wall, "puter": time.process_time() - cpu}
            ai.config.update(rate_limit_requests=None)
            await ai.async_chat("-1", remember=False)  # lifts the limit, for itself at once
            await asyncio.gather(*calls)
            served = [int(one.json["args"]["messages"][-1]["content"]) for one in mock.requests]
            served.remove(-1)
            assert served == list(range(number)), "not first come, first served"
            return spent

    return asyncio.run(measured())


@row("waiters", "10,000 calls that wait for their turn", over="a core", goal=0.001, unit="%")
def waiters(bench: Bench) -> list[Round]:
    return [alone(idle_waiters, bench.times(WAITERS), 0.1 if bench.short else 3)]


def open_streams(base: str, number: int, sdk: bool) -> float:
    """Bytes of so many streams, each at its first chunk."""
    more_descriptors()

    async def measured() -> float:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, client(base) as ai:

            async def open_stream() -> object:
                if sdk:
                    stream = await ai.async_chat("hello", stream=True, remember=False)
                    await anext(stream)
                    return stream
                response = await session.post(
                    f"{base}/drivers/call", json=STREAMED, headers=HEADERS
                )
                await response.content.readline()
                return response

            first = [await open_stream() for _ in range(10)]
            before = memory_now()
            streams = [await open_stream() for _ in range(number)]
            spent = memory_now() - before
            del first, streams
            return spent

    return asyncio.run(measured())


@row("streams", "1,000 open streams, memory", over="the same with aiohttp", goal=1.3, unit="MiB")
def streams(bench: Bench) -> list[Round]:
    base, number = f"{bench.stub}/open", bench.times(STREAMS)
    return [
        {
            who: alone(open_streams, base, number, sdk)
            for who, sdk in (("aiohttp", False), ("puter", True))
        }
    ]


def peak_of_picture(base: str, size: int) -> Round:
    """Bytes of a picture in a chat, and at most on top of it."""
    picture = b"\x89PNG\r\n\x1a\n" + os.urandom(size)
    with client(base) as ai:
        ai.chat("What is this?", images=picture[:1000], remember=False)
        peak = peak_of(lambda: ai.chat("What is this?", images=picture, remember=False))
    return {"picture": len(picture), "puter": peak}


@row(
    "picture",
    "a picture of 20 MB in a chat, peak of memory",
    over="the picture, on top of it",
    goal=2.2,
    unit="MiB",
)
def picture(bench: Bench) -> list[Round]:
    return [alone(peak_of_picture, f"{bench.stub}/{MANY}", bench.times(20_000_000))]
