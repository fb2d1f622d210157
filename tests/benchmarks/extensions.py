"""Rows of extensions that do nothing: a call, or a chunk, with one over the same without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from puter import PuterAI
from puter.extensions import OpenAICompatible, map_chunks
from tests.benchmarks.contenders import client
from tests.benchmarks.rows import Bench, Round, row
from tests.benchmarks.stub import MANY

CALLS, STREAMS, GOAL = 20, 1, 1.05
FINER = 15
"""Times as many rounds as elsewhere, each so much shorter: the difference is small."""


def whole_call(ai: PuterAI) -> None:
    """Middleware around the call."""

    def middleware(request: Any, call_next: Any) -> Any:
        return (yield from call_next(request))

    ai.use(middleware)


def each_attempt(ai: PuterAI) -> None:
    """Middleware around each attempt."""

    def middleware(request: Any, call_next: Any) -> Any:
        return (yield from call_next(request))

    ai.use(middleware, per_attempt=True)


def listener(ai: PuterAI) -> None:
    """Somebody who is told of the end of each call."""
    ai.on("call.end", lambda _: None)


def chunk_listener(ai: PuterAI) -> None:
    """Somebody who is told of each chunk."""
    ai.on("stream.chunk", lambda _: None)


def driver(ai: PuterAI) -> None:
    """A driver of a model that is not asked."""
    ai.use(OpenAICompatible("http://127.0.0.1:9/v1", models=["another"]))


def mapped(ai: PuterAI) -> None:
    """Middleware that looks at each chunk and leaves it as it is."""

    def middleware(request: Any, call_next: Any) -> Any:
        return (yield from map_chunks(call_next(request), lambda chunk: chunk))

    ai.use(middleware)


def _sync(bench: Bench, give: Callable[[PuterAI], None], *, stream: bool = False) -> list[Round]:
    base = f"{bench.stub}/{MANY}"
    with client(base) as plain, client(base) as extended:
        give(extended)

        def calling(ai: PuterAI) -> Callable[[], None]:
            def whole() -> None:
                ai.chat("hello", remember=False)

            def streamed() -> None:
                for _ in ai.chat("hello", stream=True, remember=False):
                    pass

            return streamed if stream else whole

        contenders = {"without": calling(plain), "puter": calling(extended)}
        return _finer(bench).sync_cpu(contenders, *_amount(stream))


def _async(bench: Bench, give: Callable[[PuterAI], None], *, stream: bool = False) -> list[Round]:
    base = f"{bench.stub}/{MANY}"

    async def measured() -> list[Round]:
        async with client(base) as plain, client(base) as extended:
            give(extended)

            def calling(ai: PuterAI) -> Callable[[], Any]:
                async def whole() -> None:
                    await ai.async_chat("hello", remember=False)

                async def streamed() -> None:
                    async for _ in await ai.async_chat("hello", stream=True, remember=False):
                        pass

                return streamed if stream else whole

            contenders = {"without": calling(plain), "puter": calling(extended)}
            return await _finer(bench).async_cpu(contenders, *_amount(stream))

    return asyncio.run(measured())


def _finer(bench: Bench) -> Bench:
    return bench if bench.short else replace(bench, rounds=bench.rounds * FINER)


def _amount(stream: bool) -> tuple[int, int]:
    return (STREAMS, MANY) if stream else (CALLS, 1)


for name, title, measure, give, stream in (
    ("use-call", "a sync call with a middleware", _sync, whole_call, False),
    ("use-async-call", "an async call with a middleware", _async, whole_call, False),
    ("use-attempt", "a sync call with one around the attempt", _sync, each_attempt, False),
    ("use-async-attempt", "an async call with one", _async, each_attempt, False),
    ("use-driver", "a sync call beside a driver", _sync, driver, False),
    ("on-call", "a sync call whose end a callback is told of", _sync, listener, False),
    ("on-async-call", "an async call whose end one is told of", _async, listener, False),
    ("use-chunk", "a sync chunk with a middleware", _sync, whole_call, True),
    ("use-async-chunk", "an async chunk with a middleware", _async, whole_call, True),
    ("map-chunk", "a sync chunk through map_chunks", _sync, mapped, True),
    ("map-async-chunk", "an async chunk through map_chunks", _async, mapped, True),
    ("on-chunk", "a sync chunk that a callback is told of", _sync, chunk_listener, True),
):
    row(name, title, over="without", goal=GOAL)(partial(measure, give=give, stream=stream))
