"""Connections: kept while the server keeps them, and no longer."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from typing import Any

import pytest

import puter
from puter.testing import LocalPuter
from puter.transports import requests_transport
from tests.sockets.live import Live, call
from tests.sockets.raw import CHAT, Asked, RawServer, answer, keeps, says


async def test_calls_in_a_row_use_one_connection(live: Live) -> None:
    with RawServer(keeps()) as server:
        ai = live.client_at(server.url)
        for _ in range(20):
            await live(ai, "chat", "Hi")
        await live.close()
    assert (len(server.requests), server.connections) == (20, 1)


async def test_errors_do_not_cost_the_connection(live: Live) -> None:
    body = b'{"error":"Bad","message":"Bad","code":"bad_request"}'
    refusal = answer(body, status="400 Bad Request")
    with RawServer(keeps(refusal)) as server:
        ai = live.client_at(server.url)
        for _ in range(5):
            with pytest.raises(puter.PuterBadRequestError):
                await live(ai, "chat", "Hi")
        await live.close()
    assert (len(server.requests), server.connections) == (5, 1)


async def test_threads_and_tasks_need_no_more_connections_than_calls_at_a_time(live: Live) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> bool:
        time.sleep(0.01)
        sock.sendall(answer())
        return True

    with RawServer(handler) as server:
        ai = live.client_at(server.url, max_concurrency=4, rate_limit_requests=None)
        await live.at_once(40, ai, "chat", "Hi")
        await live.close()
    assert len(server.requests) == 40
    assert server.connections <= 4


async def test_a_pause_of_six_seconds_goes_unnoticed() -> None:
    """Slow (6 s): the server closes idle connections after 5 s, as the Puter backend does."""
    with LocalPuter(tier=None) as local:
        ai = local.client(max_retries=0)
        for kind in ("sync", "async"):
            await call(kind, ai, "chat", "one")
        await asyncio.sleep(6)
        for kind in ("sync", "async"):
            assert "two" in await call(kind, ai, "chat", "two")
        await ai.async_close()
    assert len(local.chats) == 4


async def test_a_connection_is_dropped_before_the_server_closes_it(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("requests_transport", "aiohttp_transport"):
        monkeypatch.setattr(f"puter.transports.{module}.IDLE_LIMIT", 0.1)
    with LocalPuter(tier=None, keep_alive=0.2) as local:
        ai = live.client(local, max_retries=0)
        for pause in (0.16, 0.19, 0.2, 0.21, 0.25):  # around the moment the server hangs up
            await live(ai, "chat", "Hi")
            await asyncio.sleep(pause)
        await live(ai, "chat", "Hi")
    assert len(local.chats) == 6


async def test_a_server_that_says_close_is_believed(live: Live) -> None:
    with RawServer(says(answer(CHAT, "Connection: close"))) as server:
        ai = live.client_at(server.url)
        for _ in range(3):
            await live(ai, "chat", "Hi")
    assert (len(server.requests), server.connections) == (3, 3)


async def test_a_restarted_server_is_found_again(live: Live) -> None:
    local = LocalPuter(tier=None).start()
    ai = live.client(local, max_retries=0)
    await live(ai, "chat", "Hi")
    local.stop()
    await asyncio.sleep(0.05)
    with local:
        assert "Hi" not in await live(ai, "chat", "Hello")
    assert len(local.chats) == 2


async def test_a_large_request_reaches_a_server_that_reads_slowly(live: Live) -> None:
    begun, got = time.monotonic(), threading.Event()

    def handler(sock: socket.socket, _asked: Asked) -> None:
        got.set()
        sock.sendall(answer())

    with RawServer(handler, slowly=0.8) as server:
        ai = live.client_at(server.url, connect_timeout=0.4, timeout=5)
        prompt = "x" * 12_000_000  # more than the sockets buffer
        assert await live(ai, "chat", prompt) == "Hello!"
    assert got.is_set()
    assert time.monotonic() - begun > 0.7
    assert len(server.requests[0].body) > 12_000_000


def test_a_request_that_was_begun_is_not_finished_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with LocalPuter(tier=None) as local, local.client() as ai:
        ai.chat("one")
        with monkeypatch.context() as patched:
            patched.setattr(requests_transport._Connection, "_send_output", interrupted)
            with pytest.raises(KeyboardInterrupt):
                ai.chat("two", remember=False)
        ai.chat("three", remember=False)
    assert len(local.requests) == 2


def test_what_a_tracer_adds_to_requests_of_http_client_goes_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = http.client.HTTPConnection.putrequest

    def traced(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.putheader("traceparent", "00-1-1-01")

    monkeypatch.setattr(http.client.HTTPConnection, "putrequest", traced)
    with LocalPuter(tier=None) as local, local.client() as ai:
        ai.chat("Hi")
    assert local.requests[-1].headers["traceparent"] == "00-1-1-01"
