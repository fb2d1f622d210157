"""Ctrl-C at every place of a call where CPython may deliver it, and cancellation at every await.

CPython runs signal handlers when a Python function is entered or a generator goes on, and when a
function of C has returned: exactly where ``sys.setprofile`` calls back. ``Aim`` raises
KeyboardInterrupt at the n-th such place in the frames of ``puter/`` and of what it calls.

    python -m tests.interrupts --count 40000 --cancel 10000

goes round all scenarios until so many interrupts and cancellations have struck; every fourth is a
real signal at a random time. ``tests/test_interrupts.py`` is the suite's own, small part of it.
"""

from __future__ import annotations

import argparse
import asyncio
import dis
import gc
import inspect
import json
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import puter
from puter import PuterAI
from puter.api.turn import _running
from puter.engine.throttle import Permit, Throttle
from puter.extensions import Budget
from puter.secret import Secret
from puter.testing import MockReply, MockTransport
from puter.transports import mock as mock_module
from puter.transports.mock import MockBody, MockRequest

if TYPE_CHECKING:
    from typing_extensions import Self

OURS = str(Path(puter.__file__).parent) + os.sep
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
CENT = Decimal("0.01")  # what each answer counts: the server tells no price
SOUND = b"ID3" + bytes(2**20 + 2**19)  # so long that it is spooled


class Aim:
    """Raises KeyboardInterrupt at one place of what runs in ``with``, which is counted from 1.

    Args:
        place: Which one; 0 for none, to count them.
        everywhere: Also in the frames of the standard library that ours call.
    """

    def __init__(self, place: int, *, everywhere: bool = False) -> None:
        self.place = place
        self.seen = 0
        self.struck = ""
        self._prefix = "" if everywhere else OURS

    def _profile(self, frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event not in ("call", "c_return") or not code.co_filename.startswith(self._prefix):
            return
        if code.co_filename == __file__ or _is_never_struck(frame):
            return
        self.seen += 1
        if self.seen == self.place:
            if _finalizes(frame):
                self.place += 1
                return
            sys.setprofile(None)
            self.struck = f"{_place(frame)} {event}"
            if event == "call" and code.co_flags & _SUSPENDS and sys.version_info < (3, 12):
                # Raised from here it would leave the frame without its `finally`.
                frame.f_trace, frame.f_trace_opcodes = self._at_next, True
                sys.settrace(lambda *_: None)
                return
            raise KeyboardInterrupt

    def _at_next(self, *_: object) -> None:
        sys.settrace(None)
        raise KeyboardInterrupt

    def __enter__(self) -> Self:
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        sys.settrace(None)


def _place(frame: Any) -> str:
    code = frame.f_code
    return f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}"


_SUSPENDS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def _is_never_struck(frame: Any) -> bool:
    """CPython does not look for signals when ``yield from`` or ``await`` goes on.

    The generator of an ``any()`` would swallow the interrupt.
    """
    code, at = frame.f_code.co_code, frame.f_lasti
    if frame.f_code.co_name == "<genexpr>":
        return True
    if not frame.f_code.co_flags & _SUSPENDS or at < 0:
        return False
    if sys.version_info < (3, 11):
        return bool(dis.opname[code[at + 2]] == "YIELD_FROM")
    return bool(dis.opname[code[at]] == "RESUME" and code[at + 1] & 3 >= 2)


def _finalizes(frame: Any) -> bool:
    """CPython swallows what a finalizer raises."""
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


class Server:
    """Answers in memory and keeps account of everything that a client may lose."""

    def __init__(self) -> None:
        self.billed: Counter[bytes] = Counter()
        self.media: int = 0
        self.bodies: list[MockBody] = []
        self.tools_run: Counter[str] = Counter()

    async def line(self) -> None:
        await asyncio.sleep(0)

    def lines(self, *texts: str) -> Iterator[Any]:
        for text in texts:
            yield {"type": "text", "text": text}
        yield {"type": "usage", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}

    def answer(self, request: MockRequest) -> Any:
        path = request.url.partition("/")[2]
        if request.method == "GET":
            return MockReply(body=PNG, headers={"content-type": "image/png"})
        asked = request.json
        if path.endswith("login"):
            return {"proceed": True, "next_step": "complete", "token": "fresh-token"}
        if asked["interface"] != "puter-chat-completion":
            self.media += 1
            if asked["interface"] == "puter-tts":
                return MockReply(body=SOUND, headers={"content-type": "audio/mpeg"})
            return MockReply(
                json={"success": True, "result": "https://files.puter.site/picture.png"}
            )
        self.billed[request.body] += 1
        messages = asked["args"]["messages"]
        if "TOOL" in json.dumps(messages[0]) and not any(
            "tool" in json.dumps(one.get("content")) or one["role"] == "tool"
            for one in messages[1:]
        ):
            call = {"id": "call_1", "type": "function"}
            call["function"] = {"name": "weigh", "arguments": '{"what": "tea"}'}  # type: ignore[assignment]
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            return {"message": message, "finish_reason": "tool_calls"}
        if asked["args"].get("stream"):
            return MockReply(lines=self.lines("one ", "two"))
        return {"message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}

    async def async_answer(self, request: MockRequest) -> Any:
        await asyncio.sleep(0)
        answer = self.answer(request)
        await asyncio.sleep(0)
        return answer


class _Transport(MockTransport):
    """A ``MockTransport`` whose server never sees a connection twice, behind both doors."""

    def __init__(self, server: Server, *, asynchronous: bool) -> None:
        super().__init__(server.async_answer if asynchronous else server.answer)


@dataclass
class World:
    """A client, its server, and where it writes."""

    asynchronous: bool
    folder: Path
    server: Server = field(default_factory=Server)
    ai: PuterAI = field(init=False)
    talk: Any = field(init=False)
    budget: Budget = field(init=False)
    value: Any = None
    throttles: list[Throttle] = field(default_factory=list)

    def __post_init__(self) -> None:
        transport = _Transport(self.server, asynchronous=self.asynchronous)
        self.ai = PuterAI(
            token="t",
            transport=transport,
            max_concurrency=1,
            rate_limit_requests=None,
            deadline=30,
            api_base="http://127.0.0.1:9",
        )
        self.budget = Budget(1, unpriced=CENT, estimate=CENT)
        self.talk = self.ai.use(self.budget).conversation()
        shared: Any = self.ai._shared
        self.throttles = [self.ai._throttle, shared.credentials.sign_in_queue]
        self.throttles += [self.talk._history.queue]

    def permits(self) -> list[tuple[int, int]]:
        """Running and waiting, of each throttle."""
        return [(one.running, one.waiting) for one in self.throttles]

    def weigh(self, what: str) -> int:
        """Weigh a thing.

        Args:
            what: Its name.
        """
        self.server.tools_run[what] += 1
        return 7


Scenario = tuple[Callable[[World], Any], Callable[[World], Awaitable[Any]]]


def chat(world: World) -> None:
    world.ai.chat("hello")


async def async_chat(world: World) -> None:
    await world.ai.async_chat("hello")


def in_conversation(world: World) -> None:
    world.talk.chat("hello")


async def async_in_conversation(world: World) -> None:
    await world.talk.async_chat("hello")


def streamed(world: World) -> None:
    with world.talk.chat("hello", stream=True) as stream:
        for _ in stream:
            pass


async def async_streamed(world: World) -> None:
    async with await world.talk.async_chat("hello", stream=True) as stream:
        async for _ in stream:
            pass


def closed_early(world: World) -> None:
    stream = world.talk.chat("hello", stream=True)
    try:
        next(stream)
    finally:
        stream.close()


async def async_closed_early(world: World) -> None:
    stream = await world.talk.async_chat("hello", stream=True)
    try:
        await anext(stream)
    finally:
        await stream.aclose()


def with_tools(world: World) -> None:
    world.talk.chat("TOOL", tools=[world.weigh])


async def async_with_tools(world: World) -> None:
    await world.talk.async_chat("TOOL", tools=[world.weigh])


def streamed_with_tools(world: World) -> None:
    with world.talk.chat("TOOL", tools=[world.weigh], stream=True) as stream:
        stream.until_done()


async def async_streamed_with_tools(world: World) -> None:
    async with await world.talk.async_chat("TOOL", tools=[world.weigh], stream=True) as stream:
        await stream.until_done()


def queued(world: World) -> None:
    holder, needed = Permit(world.ai._throttle), [True]

    def let_in() -> None:
        until = time.monotonic() + 20
        while not world.ai._throttle.waiting and needed and time.monotonic() < until:
            time.sleep(0.0005)
        holder.release()

    helper = threading.Thread(target=let_in)
    try:
        holder.acquire()
        helper.start()
        world.ai.chat("hello")
    finally:
        needed.clear()
        holder.release()
        if helper.ident is not None:
            helper.join()


async def async_queued(world: World) -> None:
    with Permit(world.ai._throttle) as holder:
        await holder.async_acquire()
        asyncio.get_running_loop().call_later(0.002, holder.release)
        await world.ai.async_chat("hello")


def download(world: World) -> None:
    image = world.ai.txt2img("a cat")
    content: Any = image._content
    world.throttles.append(content.turn)
    image.read()


async def async_download(world: World) -> None:
    image = await world.ai.async_txt2img("a cat")
    content: Any = image._content
    world.throttles.append(content.turn)
    await image.async_read()


def save(world: World) -> None:
    world.ai.txt2img("a cat").save(world.folder / "cat.png")


async def async_save(world: World) -> None:
    await (await world.ai.async_txt2img("a cat")).async_save(world.folder / "cat.png")


def in_pieces(world: World) -> None:
    for _ in world.ai.txt2img("a cat").iter_bytes():
        pass


async def async_in_pieces(world: World) -> None:
    async for _ in (await world.ai.async_txt2img("a cat")).async_iter_bytes():
        pass


def spooled(world: World) -> None:
    world.ai.txt2speech("hello").close()


async def async_spooled(world: World) -> None:
    (await world.ai.async_txt2speech("hello")).close()


def signed_out(world: World) -> None:
    credentials = world.ai._shared.credentials
    credentials.username, credentials.password = "alice", Secret("correct horse")
    credentials.token = None  # last: struck before it, there is still a client to go on with


def sign_in(world: World) -> None:
    signed_out(world)
    world.ai.chat("hello")


async def async_sign_in(world: World) -> None:
    signed_out(world)
    await world.ai.async_chat("hello")


SCENARIOS: dict[str, Scenario] = {
    "chat": (chat, async_chat),
    "conversation": (in_conversation, async_in_conversation),
    "stream": (streamed, async_streamed),
    "stream closed early": (closed_early, async_closed_early),
    "tools": (with_tools, async_with_tools),
    "streamed tools": (streamed_with_tools, async_streamed_with_tools),
    "full throttle": (queued, async_queued),
    "download": (download, async_download),
    "save": (save, async_save),
    "pieces": (in_pieces, async_in_pieces),
    "spooled": (spooled, async_spooled),
    "sign-in": (sign_in, async_sign_in),
}


class Bench:
    """Runs scenarios, each in a world of its own, and looks at what is left behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.collected: Counter[str] = Counter()
        """Where something was left to the garbage collector."""
        self.taken_back: Counter[str] = Counter()
        """Where asyncio forgot a task, and the next call took the permits of its closed loop."""
        self.broken: Counter[str] = Counter()
        """Where the interrupt became a RuntimeError of ``threading`` or ``asyncio``."""
        self._bodies: list[MockBody] = []

    def world(self, door: str) -> World:
        for file in self.folder.iterdir():
            file.unlink()
        self._bodies = bodies = []

        class Watched(MockBody):
            def __init__(self, lines: Any) -> None:
                super().__init__(lines)
                bodies.append(self)

        mock_module.MockBody = Watched  # type: ignore[misc]  # a double that is counted
        return World(door == "async", self.folder)

    def run(self, name: str, door: str, place: int, *, everywhere: bool = False) -> Aim:
        """One scenario, interrupted at one place."""
        world, aim = self.world(door), Aim(place, everywhere=everywhere)
        blocking, asynchronous = SCENARIOS[name]

        async def within_aim() -> None:
            with aim:
                await asynchronous(world)

        try:
            with self._interrupts(lambda: f"{name}, {door}: {aim.struck}"):
                if door == "async":
                    asyncio.run(within_aim())
                else:
                    with aim:
                        blocking(world)
        finally:
            sys.setprofile(None)
            sys.settrace(None)
        where = f"{name}, {door}, at {place}: {aim.struck}"
        assert _running.get() == (), f"a turn is noted as running tools: {where}"
        self.check(world, where)
        return aim

    @contextmanager
    def _interrupts(self, where: Callable[[], str]) -> Generator[None, None, None]:
        """What the interrupt may end in: itself, or an error of what it broke within Python."""
        try:
            yield
        except KeyboardInterrupt:
            pass
        except RuntimeError as error:
            raised = traceback.extract_tb(error.__traceback__)[-1]
            if not {"threading.py", "asyncio"} & set(Path(raised.filename).parts[-2:]):
                raise
            self.broken[f"{where()}; {raised.name}: {error}"] += 1
            print("broken:", where(), raised.name, error)

    def cancel(self, name: str, hops: int) -> bool:
        """One scenario, cancelled after so many turns of the event loop; whether that hit it."""
        world = self.world("async")

        async def main() -> bool:
            task = asyncio.ensure_future(SCENARIOS[name][1](world))
            for _ in range(hops):
                await asyncio.sleep(0)
            hit = task.cancel()
            await asyncio.wait([task])
            return hit and task.cancelled()

        hit = asyncio.run(main())
        self.check(world, f"{name}, cancelled after {hops}")
        return hit

    def signal(self, name: str, door: str, delay: float) -> str:
        """One scenario, struck by a real signal after so many seconds; where that hit it."""
        world, struck = self.world(door), ""
        blocking, asynchronous = SCENARIOS[name]

        def strike(_: int, frame: Any) -> None:
            nonlocal struck
            if armed:  # else it came after the end
                struck = struck or _place(frame)
                raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, strike)
        armed = True
        with self._interrupts(lambda: f"{name}, {door}: {struck}"):
            signal.setitimer(signal.ITIMER_REAL, delay, 5.0)  # and again, where asyncio hangs
            if door == "async":
                asyncio.run(asynchronous(world))  # type: ignore[arg-type]  # a coroutine
            else:
                blocking(world)
            armed = False
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.check(world, f"{name}, {door}, after {delay:g} s: {struck}")
        return struck

    def check(self, world: World, where: str) -> None:
        """Nothing is held, nothing was sent twice, nothing half is remembered, and it goes on."""
        if any(map(any, world.permits())) or self._strays():  # an open stream is garbage now
            self.collected[where] += 1
            print("left to gc:", where, world.permits(), self._strays())
            gc.collect()
        if any(map(any, world.permits())) and world.asynchronous:
            self.taken_back[where] += 1
            print("taken back:", where, world.permits())
            asyncio.run(self._goes_on(world, where))
        left = world.permits()
        assert set(left) == {(0, 0)}, f"{where}: permits {left}"
        open_bodies = [one for one in self._bodies if not one.closed and one.permit is not None]
        assert not open_bodies, f"{where}: {len(open_bodies)} bodies open"
        assert not any(count > 1 for count in world.server.billed.values()), f"{where}: paid twice"
        assert not any(n > 1 for n in world.server.tools_run.values()), f"{where}: a tool ran twice"
        spent, billed = world.budget.spent / CENT, world.server.billed.total() + world.server.media
        assert world.budget.reserved == 0, f"{where}: {world.budget}"
        assert billed <= spent <= billed + 1, f"{where}: {world.budget} for {billed} answers"
        assert not self._strays(), f"{where}: left {self._strays()}"
        for history in (world.ai.chat_history, world.talk.messages):
            if history:
                roles = [one["role"] for one in history]
                assert (roles[0], roles[-1]) == ("user", "assistant"), f"{where}: {roles}"
        if world.asynchronous:
            asyncio.run(self._goes_on(world, where))
        else:
            assert world.ai.chat("next") == "Hello.", where
            assert world.talk.chat("next") == "Hello.", where

    def _strays(self) -> list[str]:
        """Files left behind, other than those that a thread still writes."""
        until = time.monotonic() + 2
        while strays := [one.name for one in self.folder.iterdir() if one.name != "cat.png"]:
            if time.monotonic() > until:
                break
            time.sleep(0.01)
        return strays

    async def _goes_on(self, world: World, where: str) -> None:
        assert await world.ai.async_chat("next") == "Hello.", where
        assert await world.talk.async_chat("next") == "Hello.", where


class _Said(logging.Handler):
    """Counts what was logged, by its first line."""

    def __init__(self) -> None:
        super().__init__()
        self.said: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.said[record.getMessage().partition("\n")[0]] += 1


def main() -> int:
    """Strike until the counts are reached; print what was lost."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--count", type=int, default=40_000, help="interrupts")
    parser.add_argument("--cancel", type=int, default=10_000, help="cancellations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="1/1", help="of the places, for one of several processes")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    warnings.simplefilter("ignore", ResourceWarning)  # a stream dropped by the interrupt says so
    warnings.simplefilter("ignore", RuntimeWarning)  # so does a coroutine that was not begun
    asyncio_says = _Said()
    logging.getLogger("asyncio").addHandler(asyncio_says)
    logging.getLogger("asyncio").propagate = False
    sys.unraisablehook = lambda _: None  # nor do finalizers of event loops that never were whole
    lost: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    gc.disable()  # what only the collector would find counts as lost

    def strike(kind: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        broken = sum(bench.broken.values())
        try:
            outcome = function(*args, **kwargs)
            hit = bool(getattr(outcome, "struck", outcome))
        except Exception as error:  # noqa: BLE001 - whatever it is, something was lost
            told = f"{error}" if isinstance(error, AssertionError) else f"{args}: {error!r}"
            print("LOST", told, flush=True)
            lost[told] += 1
            hit = True
        if sum(bench.broken.values()) > broken:
            kind = "broken in Python"
        struck[kind] += hit
        if hit and sum(struck.values()) % 1000 == 0:
            tell()

    def tell() -> None:
        told = f"lost: {sum(lost.values())} left to gc: {sum(bench.collected.values())}"
        told += f" taken back: {sum(bench.taken_back.values())}"
        print(dict(struck), told, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        cases = [(name, door) for name in SCENARIOS for door in ("sync", "async")]
        places: list[tuple[str, str, int, bool]] = []  # in a random order
        length: dict[tuple[str, str], float] = {}
        for name, door in cases:
            bench.run(name, door, 0)
            begun = time.perf_counter()
            bench.run(name, door, 0)
            length[name, door] = time.perf_counter() - begun
            # Struck in its own frames, asyncio loses the result of an executor and waits for it.
            for everywhere in (False, True) if door == "sync" else (False,):
                count = bench.run(name, door, 0, everywhere=everywhere).seen
                places += [(name, door, place, everywhere) for place in range(1, count + 1)]
        dice.shuffle(places)
        part, parts = map(int, options.part.split("/"))
        places = places[part - 1 :: parts]
        dice.seed(f"{options.seed} {part}")
        print(f"{len(places)} places in {len(cases)} scenarios")
        while struck["aimed"] + struck["signals"] < options.count:
            for number, (name, door, place, everywhere) in enumerate(places):
                strike("aimed", bench.run, name, door, place, everywhere=everywhere)
                if number % 3 == 0:
                    case = dice.choice(cases)
                    strike("signals", bench.signal, *case, dice.uniform(1e-6, length[case]))
                if number % 500 == 0:
                    gc.collect()
                if struck["aimed"] + struck["signals"] >= options.count:
                    break
        while struck["cancelled"] < options.cancel:
            hops = int(dice.expovariate(1 / 12))
            strike("cancelled", bench.cancel, dice.choice(list(SCENARIOS)), hops)
            if struck["cancelled"] % 1000 == 0:
                gc.collect()
    tell()
    for title, counts in (
        ("lost", lost),
        ("left to gc", bench.collected),
        ("taken back from closed loops", bench.taken_back),
        ("broken in Python", bench.broken),
        ("said by asyncio", asyncio_says.said),
    ):
        for what, count in counts.most_common(40):
            print(f"{title}: {count:6} {what}")
    return min(1, sum(lost.values()))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # at the usual end Python waits for workers of executors that were broken
