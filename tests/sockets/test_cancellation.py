"""A cancelled call lets go at once of everything it held, in whatever it was waiting for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from puter.secret import Secret
from puter.testing import Failure, Hang, LocalPuter
from puter.transports.aiohttp_transport import AiohttpTransport
from tests.sockets.live import until
from tests.sockets.test_deadlines import linux, unreachable

if TYPE_CHECKING:
    from puter import PuterAI

FDS = Path("/proc/self/fd")


@contextlib.asynccontextmanager
async def nothing_left(ai: PuterAI) -> AsyncIterator[None]:
    """Tasks, slots and history are as before; sockets too, once the client is closed."""
    tasks, fds = asyncio.all_tasks(), _open_files()
    yield
    throttle = ai._throttle
    assert (throttle.running, throttle.waiting) == (0, 0)
    assert ai.chat_history == []
    await ai.async_close()
    await until(lambda: asyncio.all_tasks() - {asyncio.current_task()} <= tasks)
    await until(lambda: _open_files() <= fds)


def _open_files() -> int:
    return len(os.listdir(FDS)) if FDS.exists() else 0


async def cancelled_while(call: Any, condition: Callable[[], object]) -> None:
    task = asyncio.ensure_future(call)
    await until(condition)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 20)


async def warmed(puter: LocalPuter, **settings: Any) -> PuterAI:
    """A client past its first connection, so that only what a call itself opens counts."""
    ai = puter.client(**{"retry_delay": 0.0, **settings})
    await ai.async_whoami()
    return ai


async def test_while_waiting_for_the_answer() -> None:
    with LocalPuter(tier=None) as puter:
        ai = await warmed(puter)
        puter.reply_with(Hang())
        async with nothing_left(ai):
            await cancelled_while(ai.async_chat("Hi"), lambda: puter.running_now)
            assert "Hi" not in str(ai.chat_history)
            await until(lambda: not puter.running_now)  # the server saw it go
        assert (ai.usage.requests, ai.usage.unpriced) == (1, 1)


@pytest.mark.parametrize("method", ["chat", "txt2img"])
async def test_before_anything_was_written(method: str) -> None:
    with LocalPuter(tier=None) as puter:
        ai = await warmed(puter)
        transport = ai._shared.transports["async"]
        assert isinstance(transport, AiohttpTransport)
        for session in transport._sessions.values():
            session.close()  # so that it has to connect anew
        async with nothing_left(ai):
            task = asyncio.ensure_future(getattr(ai, f"async_{method}")("Hi"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await ai.async_whoami()  # by then the server has seen the connection that was given up
        assert puter.chats == []
        assert ai.usage.requests == 0


async def test_in_the_queue_for_a_slot() -> None:
    with LocalPuter(tier=None) as puter:
        ai = await warmed(puter, max_concurrency=1)
        puter.reply_with(Hang())
        async with nothing_left(ai):
            first = asyncio.ensure_future(ai.async_chat("first"))
            await until(lambda: puter.running_now)
            await cancelled_while(ai.async_chat("second"), lambda: ai._throttle.waiting)
            assert ai._throttle.running == 1
            first.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await first
        assert len(puter.chats) == 1


async def test_in_the_queue_for_the_window() -> None:
    with LocalPuter(tier=None) as puter:
        ai = await warmed(puter, rate_limit_requests=1, rate_limit_period=60)
        await ai.async_chat("Hi", remember=False)
        async with nothing_left(ai):
            await cancelled_while(ai.async_chat("Hi"), lambda: ai._throttle.waiting)
        assert len(puter.chats) == 1


async def test_in_a_pause_before_a_retry() -> None:
    with LocalPuter(tier=None) as puter:
        ai = await warmed(puter, retry_delay=60, max_retry_delay=60)
        puter.reply_with(Failure(429))
        async with nothing_left(ai):
            await cancelled_while(
                ai.async_chat("Hi"), lambda: puter.chats and puter.chats[0].status
            )
        assert len(puter.chats) == 1


@linux
async def test_while_connecting() -> None:
    with LocalPuter(tier=None) as puter, unreachable() as url:
        ai = await warmed(puter)
        stuck = ai.with_options()
        stuck._shared.credentials.sign_out()
        stuck.config.update(api_base=url)
        stuck._shared.credentials.token = Secret("test-token")
        async with nothing_left(stuck):
            running = asyncio.all_tasks()
            await cancelled_while(
                stuck.async_chat("Hi"),
                lambda: stuck._throttle.running and len(asyncio.all_tasks()) > len(running),
            )
        assert ai.usage.requests == stuck.usage.requests == 0


async def test_while_resolving_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def resolve(*_args: Any, **_kwargs: Any) -> Any:
        asked.set()
        await go_on.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))]

    with LocalPuter(tier=None) as puter:
        ai = await warmed(puter)
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        ai._shared.credentials.sign_out()
        ai.config.update(api_base="http://puter.localhost:9")
        ai._shared.credentials.token = Secret("test-token")
        async with nothing_left(ai):
            await cancelled_while(ai.async_chat("Hi"), asked.is_set)
            go_on.set()
        assert ai.usage.requests == 0


async def test_while_another_signs_in() -> None:
    with LocalPuter(tier=None) as puter:
        ai = puter.client(username="alice", password="correct horse")
        puter.fail_next(Failure(503, delay=0.4), path="/login")
        leader = asyncio.ensure_future(ai.async_chat("first", remember=False))
        await until(lambda: puter.requests)
        queue = ai._shared.credentials.sign_in_queue
        await cancelled_while(ai.async_chat("Hi"), lambda: queue.waiting)
        leader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leader
        assert queue.running == 0
        assert await ai.async_chat("2 + 2") == "2 + 2 = 4"  # the next one signs in itself
        await ai.async_close()


async def test_many_at_once() -> None:
    with LocalPuter(tier=None) as puter:
        ai = await warmed(puter, max_concurrency=10, rate_limit_requests=None)
        puter.respond(lambda _call: Hang())
        async with nothing_left(ai):
            tasks = [asyncio.ensure_future(ai.async_chat("Hi")) for _ in range(50)]
            await until(lambda: puter.running_now == 10)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await until(lambda: puter.running_now == 0)
        assert len(puter.chats) == 10


async def test_the_slot_is_free_at_once() -> None:
    with LocalPuter(tier=None) as puter:
        ai = await warmed(puter, max_concurrency=1)
        puter.reply_with(Hang())
        await cancelled_while(ai.async_chat("Hi"), lambda: puter.running_now)
        assert await asyncio.wait_for(ai.async_chat("2 + 2"), 2) == "2 + 2 = 4"
        await ai.async_close()
