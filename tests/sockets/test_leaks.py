"""Thousands of calls leave nothing behind: files, threads, tasks, objects."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter import PuterAI
from tests.sockets.raw import CHAT, Asked, RawServer, answer, closed_port

if TYPE_CHECKING:
    from tests.sockets.live import Live

FDS = Path("/proc/self/fd")
ROUND = 50

ERROR = b'{"error":"Bad","message":"Bad","code":"bad_request"}'


def counted() -> dict[str, int]:
    gc.collect()
    return {
        "files": len(os.listdir(FDS)) if FDS.exists() else 0,
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
        "objects": len(gc.get_objects()),
    }


async def grown(live: Live, ai: PuterAI, calls: int, **arguments: Any) -> dict[str, int]:
    """What so many calls added, after a first round that filled the caches."""

    async def some(count: int) -> None:
        for _ in range(count):
            try:
                await live(ai, "chat", "Hi", remember=False, **arguments)
            except puter.PuterError:
                failures.append(1)

    failures: list[int] = []
    await some(ROUND)
    before = counted()
    await some(calls)
    after = counted()
    assert len(failures) in (0, ROUND + calls)
    return {name: after[name] - before[name] for name in after}


def always(reply: bytes, *, keep: bool = True) -> RawServer:
    """A server that says the same again and again, and remembers nothing."""

    def handler(sock: socket.socket, _asked: Asked) -> bool:
        sock.sendall(reply)
        return keep

    return RawServer(handler, remembers=False)


def assert_nothing(growth: dict[str, int]) -> None:
    assert growth["files"] <= 0
    assert growth["threads"] <= 0
    assert growth["tasks"] <= 0
    assert growth["objects"] < 300  # an object per call would be five hundred and more


FREE = {"rate_limit_requests": None, "max_concurrency": None}


async def test_two_thousand_calls(live: Live) -> None:
    with always(answer()) as server:
        ai = live.client_at(server.url, **FREE)
        assert_nothing(await grown(live, ai, 2000))
        await live.close()


async def test_five_hundred_calls_that_the_server_refuses(live: Live) -> None:
    with always(answer(ERROR, status="400 Bad Request")) as server:
        ai = live.client_at(server.url, **FREE)
        assert_nothing(await grown(live, ai, 500))
        await live.close()


async def test_five_hundred_calls_that_reach_nobody(live: Live) -> None:
    ai = live.client_at(f"http://127.0.0.1:{closed_port()}", max_retries=0, **FREE)
    assert_nothing(await grown(live, ai, 500))


async def test_five_hundred_calls_that_are_refused_before_they_are_sent(live: Live) -> None:
    ai = live.client(**FREE)
    assert_nothing(await grown(live, ai, 500, max_tokens=0))


async def test_a_hundred_calls_whose_connection_is_cut(live: Live) -> None:
    with always(answer()[:60], keep=False) as server:
        ai = live.client_at(server.url, max_retries=0, **FREE)
        growth = await grown(live, ai, 100)
        # the server's own threads and sockets for each connection come and go with these
        assert growth["tasks"] <= 0
        assert growth["objects"] < 100


async def test_a_hundred_clients(live: Live) -> None:
    async def some(count: int) -> None:
        for _ in range(count):
            async with live.puter.client() as ai:
                await live(ai, "chat", "Hi")

    await some(10)
    live.puter.clear_requests()
    before = counted()
    await some(100)
    live.puter.clear_requests()
    after = counted()
    assert after["files"] <= before["files"] + 2  # the server closes its side a moment later
    assert after["threads"] <= before["threads"]
    assert after["tasks"] <= before["tasks"]
    assert after["objects"] < before["objects"] + 300


@pytest.mark.parametrize("hang_up", [True, False], ids=["closed by the server", "kept"])
async def test_connections_of_one_client_do_not_pile_up(live: Live, hang_up: bool) -> None:
    headers = ["Connection: close"] if hang_up else []
    with always(answer(CHAT, *headers), keep=not hang_up) as server:
        ai = live.client_at(server.url, **FREE)
        await live.at_once(20, ai, "chat", "Hi")
        before = counted()["files"]
        for _ in range(5):
            await live.at_once(20, ai, "chat", "Hi")
        assert counted()["files"] <= before + 20
        await live.close()
