"""``deadline`` bounds a whole call, ``timeout`` the silence between bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.testing import Failure, Hang, LocalPuter
from puter.transports import requests_transport
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


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where to find ``many.invalid``."""
    look_up, found = socket.getaddrinfo, list[str]()

    def getaddrinfo(name: str, *args: Any, **kwargs: Any) -> list[Any]:
        names = found if name == "many.invalid" else [name]
        return [one for name in names for one in look_up(name, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return found


@linux
@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"connect_timeout": 0.5}, "No connection to many.invalid:.* within 0.5 s"),
        ({"deadline": 0.5}, "deadline"),
    ],
)
async def test_all_addresses_of_a_name_share_the_time_for_connecting(
    live: Live, addresses: list[str], limits: dict[str, float], words: str
) -> None:
    addresses += ["127.0.0.1"] * 40
    with unreachable() as url:
        named = url.replace("127.0.0.1", "many.invalid")
        ai = live.client_at(named, max_retries=0, allow_http=True, **limits)
        with (
            within(10, at_least=0.4),
            pytest.raises(puter.PuterTimeoutError, match=words) as caught,
        ):
            await live(ai, "chat", "Hi")
    assert not caught.value.sent


@linux
async def test_an_address_that_drops_packets_leaves_time_for_the_next(
    live: Live, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests_transport, "SHARE", 0.1)
    addresses += ["127.0.0.1", "127.0.0.2"]
    with unreachable() as url:
        port = int(url.rpartition(":")[2])
        ai = live.client_at(
            f"http://many.invalid:{port}", allow_http=True, connect_timeout=3, timeout=0.5
        )
        with (
            socket.create_server(("127.0.0.2", port)),  # nobody reads what it accepts
            pytest.raises(puter.PuterTimeoutError, match=r"silent for 0\.5 s") as caught,
        ):
            await live(ai, "chat", "Hi")
    assert caught.value.sent


async def test_an_address_that_refuses_leaves_the_next(live: Live, addresses: list[str]) -> None:
    addresses += ["127.0.0.2", "127.0.0.1"]
    url = f"http://many.invalid:{live.puter.port}"
    ai = live.client_at(url, allow_http=True, token=live.puter.token, max_retries=0)
    assert await live(ai, "chat", "2 + 2") == "2 + 2 = 4"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"connect_timeout": 0.5}, "No connection to slow.invalid:1 within 0.5 s"),
        ({"deadline": 0.5}, "deadline"),
    ],
)
async def test_looking_up_a_name_is_bounded_too(
    live: Live, monkeypatch: pytest.MonkeyPatch, limits: dict[str, float], words: str
) -> None:
    def getaddrinfo(*_: object, **__: object) -> Any:
        goes_on.wait(20)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    goes_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    ai = live.client_at("http://slow.invalid:1", max_retries=0, allow_http=True, **limits)
    with within(10, at_least=0.4), pytest.raises(puter.PuterTimeoutError, match=words) as caught:
        await live(ai, "chat", "Hi")
    goes_on.set()
    assert not caught.value.sent


def test_a_name_is_looked_up_even_when_no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with LocalPuter(tier=None) as local:  # it has its own already
        url = f"http://localhost:{local.port}"
        with (
            puter.PuterAI(token=local.token, api_base=url) as ai,
            monkeypatch.context() as patched,
        ):
            patched.setattr(threading.Thread, "start", refuse)
            assert ai.chat("2 + 2") == "2 + 2 = 4"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"connect_timeout": 3}, "No TLS handshake with puter.invalid within 3 s"),
        ({"deadline": 3}, "deadline"),
    ],
)
async def test_a_proxy_and_the_host_behind_it_share_the_time_for_connecting(
    live: Live, limits: dict[str, float], words: str
) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        time.sleep(2.5)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        proxy.stopping.wait(20)

    with RawServer(handler) as proxy:
        ai = live.client_at("https://puter.invalid", proxy=proxy.url, max_retries=0, **limits)
        with (
            within(5, at_least=2.9),
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
