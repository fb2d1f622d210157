"""The load: calls of every kind by threads and tasks of one client, until the time is up."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from puter import PuterAI, PuterError
from tests.soak.meters import Latencies

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
MP3 = (b"ID3" + bytes(2000), "audio/mpeg")
SMALL = 20
"""Messages that the conversation keeps."""

Operation = Callable[["Worker"], Awaitable[Any]]


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


class Tally:
    """What became of the calls; shared by all workers."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.cancelled: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.strange: list[str] = []
        """What no caller should see."""
        self.latencies: defaultdict[str, Latencies] = defaultdict(Latencies)
        self.resting = False
        """Nobody begins a call."""
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def mark(self) -> str:
        """The beginning of a prompt like no other."""
        return f"soak-{next(self._numbers)}- "

    def begin(self, name: str) -> None:
        with self._lock:
            self.begun[name] += 1

    def end(self, name: str, seconds: float, error: BaseException | None) -> None:
        with self._lock:
            if isinstance(error, asyncio.CancelledError):
                self.cancelled[name] += 1
                return
            self.latencies[name].add(seconds)
            (self.failed if error else self.answered)[name] += 1
            if error is None:
                return
            self.errors[type(error).__name__] += 1
            if not isinstance(error, PuterError) and len(self.strange) < 5:
                self.strange.append("".join(traceback.format_exception(error))[-3000:])

    def rest(self, patience: float) -> None:
        """Let nobody begin a call, until all have ended or ``patience`` seconds are over."""
        self.resting, until = True, time.monotonic() + patience
        while self.lost and time.monotonic() < until:
            time.sleep(0.01)

    @property
    def lost(self) -> int:
        """Calls that neither answered nor raised, so far."""
        ended = self.answered.total() + self.failed.total() + self.cancelled.total()
        return self.begun.total() - ended


class Worker:
    """Calls one after the other: through the sync methods in a thread, or the async ones in a task.

    Args:
        kind: ``"sync"`` or ``"async"``.
        ai: The client.
        talk: A conversation that all workers share.
        tally: Where the outcomes go.
        seed: Of what it does.
    """

    def __init__(self, kind: str, ai: PuterAI, talk: Any, tally: Tally, seed: int) -> None:
        self.kind, self.ai, self.talk, self.tally = kind, ai, talk, tally
        self.random = random.Random(seed)

    async def call(self, method: str, *args: Any, of: Any = None, **options: Any) -> Any:
        target = self.ai if of is None else of
        if self.kind == "sync":
            return getattr(target, method)(*args, **options)
        return await getattr(target, f"async_{method}")(*args, **options)

    async def work(self, until: float, pause: float) -> None:
        """Call until ``until``, with pauses of ``pause`` seconds on average."""
        names, weights = zip(
            *((name, weight) for name, (_, weight) in OPERATIONS.items()), strict=True
        )
        while time.monotonic() < until:
            (name,) = self.random.choices(names, weights)
            await self._one(name, OPERATIONS[name][0])
            await self._sleep(self.random.uniform(0, 2 * pause))
            while self.tally.resting:
                await self._sleep(0.02)

    async def _sleep(self, seconds: float) -> None:
        if self.kind == "async":
            await asyncio.sleep(seconds)
        else:
            time.sleep(seconds)  # noqa: ASYNC251 - this is a thread of its own

    async def _one(self, name: str, operation: Operation) -> None:
        self.tally.begin(name)
        began, failure = time.monotonic(), None
        try:
            await operation(self)
        except BaseException as error:
            failure = error
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
        finally:
            self.tally.end(name, time.monotonic() - began, failure)

    async def chunks(self, stream: Any, most: int = 10**6) -> None:
        if self.kind == "sync":
            for _ in itertools.islice(stream, most):
                pass
            return
        async for _ in stream:
            most -= 1
            if not most:
                return


async def chat(me: Worker) -> None:
    reply = await me.call("chat", me.tally.mark() + "Hi", remember=False)
    assert reply.text


async def talk(me: Worker) -> None:
    await me.call("chat", me.tally.mark() + "Hi", of=me.talk)
    me.talk.trim(max_messages=SMALL)


async def stream(me: Worker) -> None:
    opened = await me.call("chat", me.tally.mark() + "Hi", stream=True, remember=False)
    await me.chunks(opened)
    assert opened.reply.text


async def stream_closed(me: Worker) -> None:
    opened = await me.call("chat", me.tally.mark() + "Hi", stream=True, remember=False)
    await me.chunks(opened, 2)
    await (opened.aclose() if me.kind == "async" else _at_once(opened.close))


async def stream_dropped(me: Worker) -> None:
    """Left to the garbage collector."""
    opened = await me.call("chat", me.tally.mark() + "Hi", stream=True, remember=False)
    await me.chunks(opened, 1 + me.random.randrange(3))


async def tools(me: Worker) -> None:
    prompt = me.tally.mark() + "double 21"
    await me.call("chat", prompt, tools=[double], remember=False)


async def parse(me: Worker) -> None:
    await me.call("parse", me.tally.mark() + "7", int, remember=False)


async def cancelled(me: Worker) -> None:
    """A task that is cancelled anywhere; a thread has a short deadline instead."""
    prompt = me.tally.mark() + "Hi"
    if me.kind == "sync":
        hasty = me.ai.with_options(deadline=me.random.uniform(0.001, 0.05))
        hasty.chat(prompt, remember=False)
        return
    task = asyncio.ensure_future(me.ai.async_chat(prompt, remember=False))
    await asyncio.sleep(me.random.uniform(0, 0.05))
    task.cancel()
    await task


async def image(me: Worker) -> None:
    made = await me.call("txt2img", me.tally.mark() + "a cat")
    await me.call("read", of=made)


async def speech(me: Worker) -> None:
    await me.call("read", of=await me.call("txt2speech", me.tally.mark() + "Hello"))


async def transcript(me: Worker) -> None:
    await me.call("speech2txt", MP3)


async def ocr(me: Worker) -> None:
    await me.call("img2txt", PNG)


async def files(me: Worker) -> None:
    path = f"~/soak-{me.random.randrange(20)}.bin"
    data = me.random.randbytes(me.random.randrange(1, 200_000))
    await me.call("upload", data, path, overwrite=True)
    await me.call("read_file", path)


async def models(me: Worker) -> None:
    await me.call("list_models", refresh=True)


async def account(me: Worker) -> None:
    await me.call("account_usage")


async def who(me: Worker) -> None:
    await me.call("whoami")


async def _at_once(function: Callable[[], object]) -> None:
    function()


OPERATIONS: dict[str, tuple[Operation, float]] = {
    "chat": (chat, 20),
    "conversation": (talk, 6),
    "stream": (stream, 12),
    "stream closed": (stream_closed, 5),
    "stream dropped": (stream_dropped, 6),
    "tools": (tools, 10),
    "parse": (parse, 4),
    "cancelled": (cancelled, 8),
    "image": (image, 3),
    "speech": (speech, 3),
    "transcript": (transcript, 3),
    "ocr": (ocr, 3),
    "files": (files, 4),
    "models": (models, 2),
    "account": (account, 2),
    "whoami": (who, 2),
}
"""What is called, and how often."""
