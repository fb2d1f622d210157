"""Where the time of a call goes: which library runs when a timer of CPU time strikes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from types import FrameType

import puter
from tests.benchmarks.contenders import async_chats, sync_chats
from tests.benchmarks.rows import Bench
from tests.benchmarks.stub import MANY

PACKAGE = str(Path(puter.__file__).parent)
OWNERS: Mapping[str, str] = {
    "requests": "requests, urllib3",
    "urllib3": "requests, urllib3",
    "aiohttp": "aiohttp",
    "yarl": "aiohttp",
    "multidict": "aiohttp",
    "json": "json",
    "asyncio": "asyncio",
    "http": "http.client",
    "email": "http.client",
}
SECONDS, EVERY = 2.0, 0.001


def _owner(frame: FrameType | None) -> str:
    """Who called the function; small modules of the standard library work for their callers."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(PACKAGE):
            return "puter"
        for part in reversed(PurePath(file).parts):
            if part in OWNERS:
                return OWNERS[part]
        frame = frame.f_back
    return "others"


@contextmanager
def _sampled(shares: dict[str, float]) -> Generator[None]:
    """Fill ``shares`` with the part of each owner, largest first."""
    seen: Counter[str] = Counter()
    signal.signal(signal.SIGPROF, lambda _, frame: seen.update([_owner(frame)]))
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    shares.update((owner, count / seen.total()) for owner, count in seen.most_common())


def profiles(bench: Bench) -> dict[str, dict[str, float]]:
    """The shares, by what was done."""
    base, seconds = f"{bench.stub}/{MANY}", SECONDS / (50 if bench.short else 1)
    found: dict[str, dict[str, float]] = {}
    with sync_chats(base) as chats:
        for title, contenders in zip(("a sync call", "a sync stream"), chats, strict=True):
            contenders["puter"]()
            until = time.process_time() + seconds
            with _sampled(found.setdefault(title, {})):
                while time.process_time() < until:
                    contenders["puter"]()

    async def measure() -> None:
        async with async_chats(base) as chats:
            for title, contenders in zip(("an async call", "an async stream"), chats, strict=True):
                await contenders["puter"]()
                until = time.process_time() + seconds
                with _sampled(found.setdefault(title, {})):
                    while time.process_time() < until:
                        await contenders["puter"]()

    asyncio.run(measure())
    return found
