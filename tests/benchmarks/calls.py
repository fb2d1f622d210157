"""Rows of calls and chunks: CPU in this process, against the stub."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import requests

from tests.benchmarks.contenders import HEADERS, STREAMED, async_chats, client, sync_chats
from tests.benchmarks.rows import Bench, Round, row
from tests.benchmarks.stub import MANY

CALLS, STREAMS = 300, 3


@row("sync-call", "a sync call", over="requests: post(json=), json()", goal=0.6)
def sync_call(bench: Bench) -> list[Round]:
    with sync_chats(f"{bench.stub}/{MANY}") as (whole, _):
        return bench.sync_cpu(whole, CALLS)


@row("sync-chunk", "a chunk of a sync stream", over="requests: iter_lines(), json.loads", goal=0.85)
def sync_chunk(bench: Bench) -> list[Round]:
    with sync_chats(f"{bench.stub}/{MANY}") as (_, streamed):
        return bench.sync_cpu(streamed, STREAMS, MANY)


async def _async_calls(bench: Bench, times: int, at_once: int) -> list[Round]:
    async with async_chats(f"{bench.stub}/{MANY}") as (whole, _):
        return await bench.async_cpu(whole, times, at_once=at_once)


@row("async-call", "an async call", over="aiohttp: post(json=), json()", goal=1.0)
def async_call(bench: Bench) -> list[Round]:
    return asyncio.run(_async_calls(bench, CALLS, 1))


@row("async-call-x100", "an async call, 100 at once", over="the same with aiohttp", goal=1.0)
def async_calls(bench: Bench) -> list[Round]:
    return asyncio.run(_async_calls(bench, 2 * CALLS, 100))


@row("async-chunk", "a chunk of an async stream", over="aiohttp: its lines, json.loads", goal=0.7)
def async_chunk(bench: Bench) -> list[Round]:
    async def measured() -> list[Round]:
        async with async_chats(f"{bench.stub}/{MANY}") as (_, streamed):
            return await bench.async_cpu(streamed, STREAMS, MANY)

    return asyncio.run(measured())


FIRST = 40
"""Streams of which the first chunk is awaited in a round."""


@row("first-chunk", "time to the first chunk, sync", over="the same with requests", goal=1.1)
def first_chunk(bench: Bench) -> list[Round]:
    base = f"{bench.stub}/3"
    with requests.Session() as session, client(base) as ai:

        def by_hand() -> Iterator[Any]:
            url = f"{base}/drivers/call"
            with session.post(url, json=STREAMED, headers=HEADERS, stream=True) as response:
                yield from map(json.loads, response.iter_lines())

        def sdk() -> Iterator[Any]:
            yield from ai.chat("hello", stream=True, remember=False)

        def seconds(open_stream: Callable[[], Iterator[Any]]) -> float:
            begun = time.perf_counter()
            stream = open_stream()
            next(stream)
            spent = time.perf_counter() - begun
            for _ in stream:
                pass
            return spent

        seconds(by_hand)
        seconds(sdk)
        return [
            {"requests": seconds(by_hand), "puter": seconds(sdk)}
            for _ in range(bench.times(FIRST * bench.rounds))
        ]


@row("async-first-chunk", "time to the first chunk, async", over="the same with aiohttp", goal=1.1)
def async_first_chunk(bench: Bench) -> list[Round]:
    base = f"{bench.stub}/3"

    async def seconds(open_stream: Callable[[], Awaitable[AsyncIterator[Any]]]) -> float:
        begun = time.perf_counter()
        stream = await open_stream()
        await anext(stream)
        spent = time.perf_counter() - begun
        async for _ in stream:
            pass
        return spent

    async def measured() -> list[Round]:
        async with aiohttp.ClientSession() as session, client(base) as ai:

            async def by_hand() -> AsyncIterator[Any]:
                url = f"{base}/drivers/call"
                response = await session.post(url, json=STREAMED, headers=HEADERS)
                return aiter(response.content)

            async def sdk() -> AsyncIterator[Any]:
                return await ai.async_chat("hello", stream=True, remember=False)

            await seconds(by_hand)
            await seconds(sdk)
            return [
                {"aiohttp": await seconds(by_hand), "puter": await seconds(sdk)}
                for _ in range(bench.times(FIRST * bench.rounds))
            ]

    return asyncio.run(measured())
