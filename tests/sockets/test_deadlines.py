"""``deadline`` bounds a whole call, ``timeout`` the silence between bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import puter
from puter.testing import Failure, Hang, LocalPuter
from tests.sockets.raw import Asked, Handler, RawServer, answer

if TYPE_CHECKING:
    from tests.sockets.live import Live


def dripping(reply: bytes, *, pause: float, pieces: int) -> Handler:
    """A handler that sends a reply in so many pieces with pauses between them."""
    size = -(-len(reply) // pieces)

    def handler(sock: socket.socket, _asked: Asked) -> None:
        for start in range(0, len(reply), size):
            sock.sendall(reply[start : start + size])
            if server_stopping.wait(pause):
                return

    server_stopping = threading.Event()
    return handler


@contextlib.contextmanager
def within(seconds: float, *, at_least: float = 0) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert at_least <= time.monotonic() - begun < seconds


async def test_a_slow_drip_is_no_silence(live: Live) -> None:
    with RawServer(dripping(answer(), pause=0.1, pieces=8)) as server, within(20, at_least=0.7):
        ai = live.client_at(server.url, timeout=5)
        assert await live(ai, "chat", "Hi") == "Hello!"


async def test_the_deadline_is_named_even_when_the_last_wait_was_silence(live: Live) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        time.sleep(0.5)
        sock.sendall(answer()[:100])  # the head, and something of the body
        time.sleep(5)

    with RawServer(handler) as server:
        ai = live.client_at(server.url, deadline=1.5, timeout=1.2)
        with within(20), pytest.raises(puter.PuterTimeoutError, match="deadline"):
            await live(ai, "chat", "Hi")


async def test_the_deadline_bounds_waiting_for_an_answer(live: Live) -> None:
    ai = live.client(deadline=0.3)
    live.puter.reply_with(Hang())
    with (
        within(20, at_least=0.3),
        pytest.raises(puter.PuterTimeoutError, match="deadline") as caught,
    ):
        await live(ai, "chat", "Hi")
    assert caught.value.sent
    assert len(live.puter.requests) == 1


async def test_the_deadline_bounds_the_queue(live: Live) -> None:
    ai = live.client(max_concurrency=1)
    live.puter.reply_with(Hang())
    hasty = asyncio.ensure_future(
        asyncio.to_thread(ai.chat, "first", timeout=3)
        if live.kind == "sync"
        else ai.async_chat("first", timeout=3)
    )
    await live.puter.async_wait_for(1)
    ai.config.update(deadline=0.2)
    with within(20, at_least=0.2), pytest.raises(puter.PuterTimeoutError) as caught:
        await live(ai, "chat", "second")
    assert "queue" in str(caught.value) or "deadline" in str(caught.value)
    assert not caught.value.sent
    with pytest.raises(puter.PuterTimeoutError):
        await hasty
    assert len(live.puter.requests) == 1


async def test_a_retry_that_would_pass_the_deadline_is_not_waited_for(live: Live) -> None:
    ai = live.client(deadline=8, retry_delay=0.5, max_retries=9, backoff_factor=100)
    live.puter.respond(lambda _call: Failure(429))
    with within(20), pytest.raises(puter.PuterRateLimitError) as caught:
        await live(ai, "chat", "Hi")
    assert (
        caught.value.attempts == len(live.puter.requests) == 2
    )  # 0.5 s on, and 50 s more is too much


linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems accept more than asked")


@contextlib.contextmanager
def unreachable() -> Iterator[str]:
    """A port whose backlog is full, so that the kernel leaves further connections waiting."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@linux
@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"connect_timeout": 0.3}, "No connection to 127.0.0.1:.* within 0.3 s"),
        ({"deadline": 0.3}, "deadline"),
        ({"deadline": 0.3, "connect_timeout": None}, "deadline"),
    ],
)
async def test_connecting_is_bounded_too_and_says_that_nothing_was_sent(
    live: Live, limits: dict[str, float], words: str
) -> None:
    with unreachable() as url:
        ai = live.client_at(url, max_retries=0, **limits)
        with (
            within(20, at_least=0.2),
            pytest.raises(puter.PuterTimeoutError, match=words) as caught,
        ):
            await live(ai, "chat", "Hi")
    assert not caught.value.sent


async def test_a_server_that_takes_no_more_of_an_upload_is_silent(live: Live) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # nobody reads what it accepts
        ai = live.client_at(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.5)
        with (
            within(30, at_least=0.4),
            pytest.raises(puter.PuterTimeoutError, match=r"silent for 0\.5 s") as caught,
        ):
            await live(ai, "chat", "x" * 10_000_000)
    assert (caught.value.sent, caught.value.attempts) == (True, 1)


def test_a_deadline_that_no_thread_can_watch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    with LocalPuter(tier=None) as local, local.client(deadline=20) as ai:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(puter.PuterConnectionError, match="No thread could") as caught:
                ai.chat("Hi")
        assert (caught.value.sent, caught.value.retryable) == (False, False)
        assert caught.value.hint == "Leave deadline out, or use the async method."
        assert (len(local.requests), ai._throttle.running, ai.usage.requests) == (0, 0, 0)
        assert ai.chat("2 + 2") == "2 + 2 = 4"
