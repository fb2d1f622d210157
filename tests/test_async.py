"""Many calls at once, through both doors: tasks of a loop, threads, and several loops."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from puter import PuterError
from puter.engine import throttle as throttle_module
from puter.transports.mock import MockRequest, MockTransport
from tests.door import (
    Door,
    chat_body,
    chunks,
    each,
    shut,
    step,
    stream_answer,
    tool_call,
    until_done,
)

TEXT = {"type": "text", "text": "Hello"}
USAGE = {"type": "usage", "usage": {"prompt_tokens": 11, "completion_tokens": 7, "usd_cents": 0.5}}
PATIENCE = 20
"""Seconds after which a test that stands still fails."""


def hello() -> Any:
    return stream_answer(TEXT, USAGE)


def echo(request: MockRequest) -> str:
    """The model repeats what was said last."""
    return str(request.json["args"]["messages"][-1]["content"])


async def at_once(door: Door, talk: Any, method: str, *calls: dict[str, Any]) -> list[Any]:
    """The calls in a task each, or in a thread each: results and errors, in order."""
    if door.kind == "async":
        tasks = [getattr(talk, f"async_{method}")(**one) for one in calls]
        every = asyncio.gather(*tasks, return_exceptions=True)
        return await asyncio.wait_for(every, PATIENCE)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(len(calls)) as pool:
        blocking = [functools.partial(getattr(talk, method), **one) for one in calls]
        threads = [loop.run_in_executor(pool, one) for one in blocking]
        every = asyncio.gather(*threads, return_exceptions=True)
        return await asyncio.wait_for(every, PATIENCE)


async def other(door: Door, make: Callable[[], Awaitable[Any]]) -> Any:
    """What ``make`` returns, run by another task or by another thread, a new one."""
    if door.kind == "async":
        return await asyncio.create_task(make())  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as pool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, lambda: asyncio.run(make()))  # type: ignore[arg-type]


def free(ai: Any) -> None:
    """No permit is out and nobody waits for one."""
    assert (ai._throttle.running, ai._throttle.waiting) == (0, 0)


class Meeting:
    """Lets requests pass in groups: each waits until its group is complete."""

    def __init__(self, door: Door, size: int) -> None:
        self.most = 0
        self._door = door
        self._size = size
        self._running = 0
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(size, timeout=PATIENCE)
        self._arrived = 0
        self._complete: asyncio.Event | None = None

    def handler(self, request: MockRequest) -> Any:
        return self._async_meet(request) if self._door.kind == "async" else self._meet(request)

    def _meet(self, request: MockRequest) -> str:
        self._count(1)
        self._barrier.wait()
        self._count(-1)
        return echo(request)

    async def _async_meet(self, request: MockRequest) -> str:
        self._count(1)
        complete = self._complete = self._complete or asyncio.Event()
        self._arrived += 1
        if self._arrived == self._size:
            self._arrived, self._complete = 0, None
            complete.set()
        await complete.wait()
        self._count(-1)
        return echo(request)

    def _count(self, change: int) -> None:
        with self._lock:
            self._running += change
            self.most = max(self.most, self._running)


# ------------------------------------------------------------ within the limits


async def test_many_calls_share_the_limits_of_one_client(door: Door) -> None:
    """Three at a time, neither fewer nor more: each needs two others to be running."""
    meeting = Meeting(door, 3)
    transport = MockTransport(meeting.handler)
    ai = door.client(transport=transport, rate_limit_requests=None, max_concurrency=3)
    prompts = [f"number {n}" for n in range(30)]
    replies = await at_once(door, ai, "chat", *({"prompt": one} for one in prompts))
    assert replies == prompts
    assert (meeting.most, len(transport.requests), ai.usage.requests) == (3, 30, 30)
    free(ai)


async def test_clients_of_one_account_share_nothing_but_copies_do(door: Door) -> None:
    meeting = Meeting(door, 2)
    ai = door.client(transport=MockTransport(meeting.handler), max_concurrency=1)
    twin = door.client(transport=MockTransport(meeting.handler), max_concurrency=1)
    one, two = await asyncio.gather(
        at_once(door, ai, "chat", *[{"prompt": "one"}] * 3),
        at_once(door, twin, "chat", *[{"prompt": "two"}] * 3),
    )
    assert (one, two) == (["one"] * 3, ["two"] * 3)
    assert meeting.most == 2
    free(ai)
    free(twin)


async def test_an_error_of_one_is_no_error_of_the_others(door: Door) -> None:
    def answer(request: MockRequest) -> Any:
        said = echo(request)
        return ZeroDivisionError(said) if said == "number 3" else said

    ai = door.client(transport=MockTransport(answer), rate_limit_requests=None)
    prompts = [f"number {n}" for n in range(8)]
    replies = await at_once(door, ai, "chat", *({"prompt": one} for one in prompts))
    assert [type(one).__name__ for one in replies].count("ZeroDivisionError") == 1
    assert [one for one in replies if not isinstance(one, Exception)] == [
        one for one in prompts if one != "number 3"
    ]
    free(ai)


# ------------------------------------------------------------ streams


@pytest.mark.parametrize("limit", ["_OWN_STREAMS", "NO_PROGRESS"])
async def test_a_call_that_waits_for_streams_left_open_is_told_so(
    door: Door, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own streams, or those of another task or thread that nobody reads."""
    monkeypatch.setattr(throttle_module, limit, 0.1)
    ai = door.client()
    door.answers(*(hello() for _ in range(3)), chat_body())

    async def opened() -> list[Any]:
        return [await door(ai, "chat", "Hi", stream=True) for _ in range(3)]

    streams = await (opened() if limit == "_OWN_STREAMS" else other(door, opened))
    assert ai._throttle.running == 3
    with pytest.raises(PuterError, match=r"wait for streams that .* left open"):
        await door(ai, "chat", "Hi")
    assert (len(door.sent), ai._throttle.running, ai._throttle.waiting) == (3, 3, 0)
    await shut(streams.pop())
    assert await door(ai, "chat", "Hi") == "Hello!"
    for one in streams:
        assert await until_done(one) == "Hello"
    free(ai)


async def test_four_streams_opened_at_once_and_not_read_are_one_too_many(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle_module, "NO_PROGRESS", 0.1)
    ai = door.client()
    door.answers(*(hello() for _ in range(4)))
    opened = await at_once(door, ai, "chat", *[{"prompt": "Hi", "stream": True}] * 4)
    (refused,) = (one for one in opened if isinstance(one, Exception))
    assert isinstance(refused, PuterError)
    assert "streams" in str(refused)
    for one in opened:
        if one is not refused:
            assert await until_done(one) == "Hello"
    assert len(door.sent) == 3
    free(ai)


async def test_four_streams_that_are_read_as_they_come_all_end(door: Door) -> None:
    ai = door.client()
    door.answers(*(hello() for _ in range(4)))

    async def read() -> Any:
        return await until_done(await door(ai, "chat", "Hi", stream=True))

    every = asyncio.gather(*(other(door, read) for _ in range(4)))
    assert await asyncio.wait_for(every, PATIENCE) == ["Hello"] * 4
    assert len(ai.chat_history) == 8
    free(ai)


async def test_streams_read_in_turns_keep_their_chunks_apart(door: Door) -> None:
    ai = door.client()
    names = "abc"
    door.answers(
        *(
            stream_answer(*({"type": "text", "text": f"{name}{n}"} for n in range(5)), USAGE)
            for name in names
        )
    )
    streams = [await door(ai, "chat", "Hi", stream=True) for _ in names]
    for n in range(5):
        assert [await step(one) for one in streams] == [f"{name}{n}" for name in names]
    assert [await until_done(one) for one in streams] == [
        "".join(f"{name}{n}" for n in range(5)) for name in names
    ]
    free(ai)


async def test_a_second_stream_of_a_conversation_waits_for_the_first(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same task or thread it would wait for ever, and is told so."""
    monkeypatch.setattr(throttle_module, "_OWN_STREAMS", 0.1)
    ai = door.client()
    talk: Any = ai.conversation()
    door.answers(hello(), hello())
    first = await door(talk, "chat", "one", stream=True)
    with pytest.raises(PuterError, match="streams that its own code left open"):
        await door(talk, "chat", "two", stream=True)
    assert (len(door.sent), talk._history.queue.waiting) == (1, 0)

    async def second() -> Any:
        return await until_done(await door(talk, "chat", "two", stream=True))

    waiting = asyncio.create_task(other(door, second))
    while talk._history.queue.waiting == 0:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)
    assert await until_done(first) == "Hello"
    assert await asyncio.wait_for(waiting, PATIENCE) == "Hello"
    sent = [[m["content"] for m in one.args["messages"]] for one in door.sent]
    assert sent == [["one"], ["one", "Hello", "two"]]
    assert (len(talk.messages), talk._history.queue.running) == (4, 0)
    free(ai)


async def test_a_turn_does_not_wait_for_ever_for_a_stream_that_nobody_reads(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle_module, "NO_PROGRESS", 0.1)
    talk: Any = door.client().conversation()
    door.answers(hello(), chat_body())
    stream = await other(door, lambda: door(talk, "chat", "one", stream=True))
    waiting = other(door, lambda: door(talk, "chat", "two"))
    with pytest.raises(PuterError, match="left open and not read"):
        await asyncio.wait_for(waiting, PATIENCE)
    assert await until_done(stream) == "Hello"
    assert await door(talk, "chat", "three") == "Hello!"
    assert [one["content"] for one in talk.messages] == ["one", "Hello", "three", "Hello!"]


async def test_a_stream_is_read_on_by_another_task_or_thread(door: Door) -> None:
    ai = door.client(max_concurrency=1)
    door.answers(stream_answer(TEXT, TEXT, USAGE), chat_body())
    stream = await door(ai, "chat", "Hi", stream=True)
    assert await step(stream) == "Hello"
    rest = await other(door, lambda: chunks(stream))
    assert ("".join(rest), stream.reply) == ("Hello", "HelloHello")
    assert await door(ai, "chat", "Hi") == "Hello!"
    free(ai)


# ------------------------------------------------------------ long audio


async def test_long_audio_is_made_at_once(door: Door) -> None:
    """Each holds a permit while it is read, and gives it back by itself."""
    piece = b"ID3" + bytes(2**19 - 3)

    def pause() -> Any:
        return asyncio.sleep(0) if door.kind == "async" else None

    def audio() -> Any:
        return stream_answer(piece, pause, piece, pause, piece, **{"Content-Type": "audio/mpeg"})

    answers = [audio() for _ in range(4)]
    door.answers(*answers)
    ai = door.client()
    made = await at_once(door, ai, "txt2speech", *({"text": f"{n}"} for n in range(4)))
    for one in made:
        assert await asyncio.to_thread(one.read) == piece * 3
        one.close()
    assert [one.closed for one in answers] == [True] * 4
    free(ai)


# ------------------------------------------------------------ cancellation


class Gate:
    """Holds the requests back until it is opened."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.opened = asyncio.Event()

    async def handler(self, request: MockRequest) -> str:
        self.begun.append(echo(request))
        await self.opened.wait()
        return echo(request)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5], ids=lambda n: "runs" if n < 3 else "waits")
async def test_cancelling_one_of_many_leaves_no_permit(number: int) -> None:
    gate = Gate()
    ai = Door("async").client(
        transport=MockTransport(gate.handler), rate_limit_requests=None, max_concurrency=3
    )
    tasks = [asyncio.create_task(ai.async_chat(str(n))) for n in range(6)]
    while len(gate.begun) + ai._throttle.waiting < 6:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)
    tasks[number].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[number]
    if number < 3:  # its place goes to the next
        while len(gate.begun) < 4:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
    assert (ai._throttle.running, ai._throttle.waiting) == (3, 2)
    gate.opened.set()
    others = [task for task in tasks if task is not tasks[number]]
    got = await asyncio.wait_for(asyncio.gather(*others), PATIENCE)
    assert got == [str(n) for n in range(6) if n != number]
    assert len(ai.chat_history) == 10
    free(ai)


async def test_cancelling_all_of_a_gather_leaves_nothing() -> None:
    gate = Gate()
    ai = Door("async").client(transport=MockTransport(gate.handler), rate_limit_requests=None)
    talk = ai.conversation()
    calls = [talk.async_chat("talk"), *(ai.async_chat(str(n)) for n in range(6))]
    every = asyncio.gather(*calls)
    while len(gate.begun) < 3:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)
    every.cancel()
    with pytest.raises(asyncio.CancelledError):
        await every
    while ai._throttle.running or ai._throttle.waiting:  # noqa: ASYNC110 - they end in turn
        await asyncio.sleep(0)
    assert (ai.chat_history, talk.messages) == ([], [])
    gate.opened.set()
    assert await talk.async_chat("again") == "again"
    assert await ai.async_chat("again") == "again"
    assert (len(ai.chat_history), len(talk.messages)) == (2, 2)
    free(ai)


async def test_cancelling_one_reader_of_many_frees_its_stream_alone() -> None:
    door = Door("async")
    reading = asyncio.Event()

    async def forever() -> None:
        reading.set()
        await asyncio.Event().wait()

    stuck = stream_answer(TEXT, forever)
    door.answers(stuck, hello(), hello())
    ai = door.client()
    streams = [await ai.async_chat("Hi", stream=True) for _ in range(3)]
    task = asyncio.create_task(until_done(streams[0]))
    await asyncio.wait_for(reading.wait(), PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (stuck.closed, ai._throttle.running) == (True, 2)
    assert [await until_done(one) for one in streams[1:]] == ["Hello", "Hello"]
    assert len(ai.chat_history) == 4
    free(ai)


# ------------------------------------------------------------ several event loops


def test_event_loops_one_after_the_other_share_a_client() -> None:
    ai = Door("async").client(transport=MockTransport(echo), max_concurrency=1)
    talk = ai.conversation()

    async def both(number: int) -> list[str]:
        asked = (ai.async_chat(f"one {number}"), talk.async_chat(f"two {number}"))
        return list(await asyncio.gather(*asked))

    for number in range(3):
        assert asyncio.run(both(number)) == [f"one {number}", f"two {number}"]
        assert ai.chat(f"between {number}") == f"between {number}"
    assert (len(ai.chat_history), len(talk.messages)) == (12, 6)
    free(ai)


def test_event_loops_at_once_share_the_limits() -> None:
    together = threading.Barrier(3, timeout=PATIENCE)
    running: list[int] = []

    def meet(request: MockRequest) -> str:
        together.wait()  # blocks its own loop alone
        running.append(ai._throttle.running)
        together.wait()
        return echo(request)

    ai = Door("async").client(
        transport=MockTransport(meet), rate_limit_requests=None, max_concurrency=3
    )

    async def chat_on(number: int) -> list[str]:
        return [await ai.async_chat(f"{number} {turn}") for turn in range(4)]

    with ThreadPoolExecutor(3) as pool:
        got = list(pool.map(lambda n: asyncio.run(chat_on(n)), range(3)))
    assert got == [[f"{n} {turn}" for turn in range(4)] for n in range(3)]
    assert running == [3] * 12
    assert len(ai.chat_history) == 24
    free(ai)


def test_a_conversation_has_its_turns_one_by_one_from_any_loop() -> None:
    transport = MockTransport(echo)
    ai = Door("async").client(transport=transport, rate_limit_requests=None, max_concurrency=None)
    talk = ai.conversation()

    async def several(number: int) -> list[str]:
        return await asyncio.gather(*(talk.async_chat(f"{number} {n}") for n in range(5)))

    def work(number: int) -> list[str]:
        if number % 2:
            return [talk.chat(f"{number} {n}") for n in range(5)]
        return asyncio.run(several(number))

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(work, range(4)))
    assert got == [[f"{number} {n}" for n in range(5)] for number in range(4)]
    sizes = [len(one.json["args"]["messages"]) for one in transport.requests]
    assert sizes == list(range(1, 41, 2))
    assert [one["content"] for one in talk.messages[::2]] == [
        one["content"] for one in talk.messages[1::2]
    ]
    assert talk._history.queue is not None
    assert talk._history.queue.running == 0
    free(ai)


# ------------------------------------------------------------ whole turns


def double(n: int) -> int:
    return 2 * n


def with_a_tool(request: MockRequest) -> Any:
    """The model has the number that it was asked about doubled."""
    last = request.json["args"]["messages"][-1]
    if last["role"] == "tool":
        return f"{last['tool_call_id']} {last['content']}"
    number = last["content"]
    calls = [tool_call(f"call_{number}", "double", {"n": int(number)})]
    return {"message": {"role": "assistant", "content": None, "tool_calls": calls}}


@pytest.mark.parametrize("own", [False, True], ids=["client", "conversation"])
async def test_a_history_holds_whole_turns_however_many_are_under_way(
    door: Door, own: bool
) -> None:
    ai = door.client(transport=MockTransport(with_a_tool), rate_limit_requests=None)
    talk: Any = ai.conversation() if own else ai
    history = talk.messages if own else ai.chat_history
    calls = [{"prompt": str(n), "tools": [double]} for n in range(12)]
    replies = await at_once(door, talk, "chat", *calls)
    assert replies == [f"call_{n} {2 * n}" for n in range(12)]
    turns = [history[place : place + 4] for place in range(0, 48, 4)]
    numbers = [int(turn[0]["content"]) for turn in turns]
    assert sorted(numbers) == list(range(12))
    for number, turn in zip(numbers, turns, strict=True):
        assert [one["role"] for one in turn] == ["user", "assistant", "tool", "assistant"]
        assert turn[1]["content"][0]["input"] == {"n": number}
        assert turn[2] == {
            "role": "tool",
            "tool_call_id": f"call_{number}",
            "content": str(2 * number),
        }
        assert turn[3]["content"] == f"call_{number} {2 * number}"
    assert ai.usage.requests == 24
    free(ai)


async def test_streams_under_way_commit_whole_turns_too(door: Door) -> None:
    ai = door.client()
    door.answers(*(hello() for _ in range(3)))
    streams = [await door(ai, "chat", f"{n}", stream=True) for n in range(3)]
    sizes = []
    for one in reversed(streams):
        async for _ in each(one):
            sizes.append(len(ai.chat_history))  # noqa: PERF401 - at each chunk
    assert sizes == [0, 2, 2, 4, 4, 6]  # with the last chunk of each
    assert [one["content"] for one in ai.chat_history[::2]] == ["2", "1", "0"]
    free(ai)


async def test_conversations_whose_tools_ask_each_other_are_told_that_each_would_wait(
    door: Door,
) -> None:
    def answers(request: MockRequest) -> Any:
        messages = request.json["args"]["messages"]
        if any(one["role"] == "tool" for one in messages) or "go" not in str(messages[-1]):
            return "done"
        call = tool_call("c", "ask")
        return {"message": {"role": "assistant", "content": None, "tool_calls": [call]}}

    ai = door.client(transport=MockTransport(answers))
    one, two = ai.conversation(), ai.conversation()
    both, asked = threading.Barrier(2), 0

    def asking(talk: Any) -> Callable[[], Any]:
        def ask() -> str:
            both.wait(PATIENCE)
            return str(talk.chat("hello"))

        async def async_ask() -> str:
            nonlocal asked
            asked += 1
            while asked < 2:  # noqa: ASYNC110 - both are in their tools now
                await asyncio.sleep(0.005)
            return str(await talk.async_chat("hello"))

        async_ask.__name__ = "ask"
        return ask if door.kind == "sync" else async_ask

    async def go(talk: Any, other: Any) -> Any:
        if door.kind == "sync":
            return await asyncio.to_thread(talk.chat, "go", tools=[asking(other)])
        return await talk.async_chat("go", tools=[asking(other)])

    replies = await asyncio.wait_for(asyncio.gather(go(one, two), go(two, one)), PATIENCE)
    assert list(replies) == ["done", "done"]
    results = [
        message["content"]
        for talk in (one, two)
        for message in talk.messages
        if message["role"] == "tool"
    ]
    refused = [text for text in results if "would wait for the other" in text]
    assert len(refused) >= 1
    queues = [talk._history.queue for talk in (one, two)]
    assert [queue.running for queue in queues if queue is not None] == [0, 0]
