"""Calls that are made within others of the same client, which has few at a time: none hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from puter import PuterAI, PuterError, PuterInputError
from puter.engine import throttle
from puter.extensions import Flow, Request, invoke, map_chunks
from puter.testing import MockReply, MockRequest, MockTransport
from puter.types.replies import ChatChunk
from tests.door import Door


def answer(request: MockRequest) -> Any:
    if not request.json["args"].get("stream"):
        return "ok"
    return MockReply(lines=[{"type": "text", "text": "ok"}, {"type": "usage", "usage": {}}])


class Within:
    """A client with two calls at a time, each of which asks once more before it is done."""

    def __init__(self) -> None:
        ai = PuterAI(token="t", max_concurrency=2, transport=MockTransport(answer))
        self.plain = ai.with_options()  # the same limits, and no extensions
        self.ai = ai
        self.refused: list[str] = []
        self._both = threading.Barrier(2)

    def ask(self, *_: Any) -> None:
        self._both.wait(10)
        try:
            self.plain.chat("Is it polite?", remember=False)
        except PuterError as error:
            self.refused.append(str(error))

    async def async_ask(self, *_: Any) -> Any:
        while self.plain._throttle.running < 2 and not self.refused:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0)
        try:
            await self.plain.async_chat("Is it polite?", remember=False)
        except PuterError as error:
            self.refused.append(str(error))

    def in_map_chunks(self, request: Request, call_next: Any) -> Flow[Any]:
        def change(chunk: ChatChunk) -> ChatChunk:
            if chunk:
                self.ask()
            return chunk

        return (yield from map_chunks(call_next(request), change))

    def directly(self, request: Any, call_next: Any) -> Flow[Any]:
        self.ask()
        return (yield from call_next(request))

    def invoked(self, request: Any, call_next: Any) -> Flow[Any]:
        yield from invoke(self.ask)
        return (yield from call_next(request))

    def awaited(self, request: Any, call_next: Any) -> Flow[Any]:
        yield from invoke(self.async_ask)
        return (yield from call_next(request))


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch) -> Within:
    monkeypatch.setattr(throttle, "_OWN_STREAMS", 0.5)
    return Within()


def check(within: Within) -> None:
    """One gave up at least, so that all went on, and nothing is held."""
    assert within.refused
    assert all("calls that wait for it" in one for one in within.refused)
    assert (within.ai._throttle.running, within.ai._throttle.waiting) == (0, 0)


@pytest.mark.parametrize("way", ["map_chunks", "attempt", "invoke", "callback"])
def test_threads_that_all_wait_for_each_other_are_told(within: Within, way: str) -> None:
    ai = within.ai
    if way == "callback":
        ai.on("response", within.ask)
    elif way == "map_chunks":
        ai.use(within.in_map_chunks)
    else:
        ai.use(within.directly if way == "attempt" else within.invoked, per_attempt=True)

    def call(_: int) -> None:
        ai.chat("Hi", stream=True, remember=False).until_done()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(call, range(2), timeout=10))
    check(within)


@pytest.mark.parametrize("way", ["coroutine", "function", "callback"])
async def test_tasks_that_all_wait_for_each_other_are_told(within: Within, way: str) -> None:
    ai = within.ai
    if way == "callback":
        ai.on("response", within.async_ask)
    else:
        ai.use(within.awaited if way == "coroutine" else within.invoked, per_attempt=True)
    calls = [asyncio.create_task(ai.async_chat("Hi", remember=False)) for _ in range(2)]
    done, _ = await asyncio.wait(calls, timeout=10)
    assert [str(one.result()) for one in done] == ["ok", "ok"]
    check(within)


@pytest.mark.parametrize("way", ["directly", "invoke", "coroutine"])
async def test_middleware_of_a_conversation_cannot_chat_in_it(door: Door, way: str) -> None:
    """It is told at once."""
    talk: Any = door.client().conversation()

    def titled(request: Request, call_next: Any) -> Flow[Any]:
        reply = yield from call_next(request)
        if way == "coroutine":
            yield from invoke(talk.async_chat, "Give this a title")
        elif way == "invoke":
            yield from invoke(talk.chat, "Give this a title")
        else:
            talk.chat("Give this a title")
        return reply

    talk.use(titled)
    if (door.kind, way) == ("sync", "coroutine"):
        pytest.skip("a sync method takes no coroutine function")
    began = time.monotonic()
    with pytest.raises(PuterInputError, match="each would wait for the other"):
        await door(talk, "chat", "Hi")
    assert time.monotonic() - began < throttle._OWN_STREAMS / 2
    assert not talk.messages
    assert len(door.sent) == 1
