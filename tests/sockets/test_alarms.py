"""Timeouts that are not ours: an alarm's, and those of asyncio, come out as they were raised."""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import puter
from puter.engine.throttle import Permit
from tests.door import chunks
from tests.sockets.live import Live
from tests.sockets.raw import RawServer, answer

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarms here")


class TimeIsUp(TimeoutError):
    pass


class Gone(ConnectionResetError):
    pass


def ring(kind: type[Exception], *_: object) -> None:
    raise kind("the alarm")


class Bell:
    def __init__(self, kind: type[Exception]) -> None:
        self.kind = kind

    def __call__(self, *_: object) -> None:
        ring(self.kind)

    def ring(self, *_: object) -> None:
        ring(self.kind)


HANDLERS: dict[str, Callable[[type[Exception]], Any]] = {
    "function": lambda kind: lambda *_: ring(kind),
    "partial": lambda kind: functools.partial(ring, kind),
    "object": Bell,
    "method": lambda kind: Bell(kind).ring,
}


@pytest.fixture
def alarm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """``alarm(handler)``: it rings while the server is silent."""
    before = signal.getsignal(signal.SIGUSR1)

    def set_(handler: Any) -> None:
        signal.signal(signal.SIGUSR1, handler)

    yield set_
    signal.signal(signal.SIGUSR1, before)


def rings(main: int, ended: threading.Event) -> Callable[..., bool]:
    """A server's handler that wakes the client's thread by a signal instead of answering."""

    def handler(*_: object) -> bool:
        signal.pthread_kill(main, signal.SIGUSR1)
        ended.wait(20)
        return False

    return handler


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("kind", [TimeoutError, TimeIsUp, Gone])
@pytest.mark.parametrize("stream", [False, True])
def test_an_alarm_in_a_sync_call_stays_itself(
    alarm: Any, handler: str, kind: type[Exception], stream: bool
) -> None:
    alarm(HANDLERS[handler](kind))
    ended = threading.Event()
    with RawServer(rings(threading.get_ident(), ended)) as server:
        ai = puter.PuterAI(token="t", api_base=server.url, retry_on_timeout=True, retry_delay=0)
        with pytest.raises(kind, match="the alarm") as caught:
            ai.chat("hi", stream=stream)
        ended.set()
        assert type(caught.value) is kind
        assert len(server.requests) == 1
        assert ai._throttle.running == 0
        ai.close()
    assert ai.chat_history == []


def test_an_alarm_in_a_call_in_the_queue_stays_itself(alarm: Any) -> None:
    alarm(HANDLERS["function"](TimeoutError))
    main = threading.get_ident()
    ai = puter.PuterAI(token="t", api_base="http://127.0.0.1:9", max_concurrency=1, deadline=30)
    with Permit(ai._throttle).acquire():

        def ring_when_it_waits() -> None:
            while not ai._throttle.waiting:
                pass
            signal.pthread_kill(main, signal.SIGUSR1)

        threading.Thread(target=ring_when_it_waits).start()
        with pytest.raises(TimeoutError, match="the alarm"):
            ai.chat("hi")
        assert ai._throttle.waiting == 0


def test_an_alarm_in_an_async_program_stays_itself(alarm: Any) -> None:
    alarm(HANDLERS["function"](TimeoutError))
    ended = threading.Event()
    with RawServer(rings(threading.get_ident(), ended)) as server:
        ai = puter.PuterAI(token="t", api_base=server.url)

        async def main() -> None:
            async with ai:
                await ai.async_chat("hi")

        with pytest.raises(TimeoutError, match="the alarm"):
            asyncio.run(main())
        ended.set()
        assert len(server.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_timeout_of_asyncio_stays_itself(live: Live, stream: bool) -> None:
    if live.kind == "sync":
        pytest.skip("asyncio cannot time a blocking call out")
    silent = threading.Event()
    head = answer(b"", kind="application/x-ndjson", length=100) if stream else b""

    def handler(sock: Any, _: object) -> None:
        sock.sendall(head)
        silent.wait(20)

    with RawServer(handler) as server:
        ai = live.client_at(server.url, retry_on_timeout=True)

        async def ask() -> None:
            result = await ai.async_chat("hi", stream=stream)
            if stream:
                await chunks(result)

        with pytest.raises(asyncio.TimeoutError) as caught:
            await asyncio.wait_for(ask(), 0.3)
        assert not isinstance(caught.value, puter.PuterError)
        if sys.version_info >= (3, 11):
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.3):
                    await ask()
            assert not isinstance(caught.value, puter.PuterError)
        silent.set()


def test_a_timeout_that_is_no_exception_comes_through(alarm: Any) -> None:
    """As gevent's and eventlet's: a BaseException."""

    class Timeout(BaseException):
        pass

    def handler(*_: object) -> None:
        raise Timeout

    alarm(handler)
    ended = threading.Event()
    with RawServer(rings(threading.get_ident(), ended)) as server:
        ai = puter.PuterAI(token="t", api_base=server.url)
        with pytest.raises(Timeout):
            ai.chat("hi")
        ended.set()
        assert (len(server.requests), ai._throttle.running) == (1, 0)
        ai.close()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, TimeoutError])
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_is_interrupted_counts_when_it_was_sent(
    alarm: Any, monkeypatch: pytest.MonkeyPatch, kind: type[Exception], stream: bool
) -> None:
    def interrupt(*_: object) -> Any:
        signal.raise_signal(signal.SIGUSR1)

    alarm(HANDLERS["function"](kind))
    ended = threading.Event()
    with RawServer(rings(threading.get_ident(), ended)) as server:
        ai = puter.PuterAI(token="t", api_base=server.url)
        with monkeypatch.context() as patched:
            patched.setattr("socket.getaddrinfo", interrupt)
            with pytest.raises(kind):
                ai.chat("hi", stream=stream)
        assert (len(server.requests), ai.usage.requests) == (0, 0)
        with pytest.raises(kind):
            ai.chat("hi", stream=stream)
        ended.set()
        assert (len(server.requests), ai.usage.requests, ai.usage.unpriced) == (1, 1, 1)
        ai.close()
