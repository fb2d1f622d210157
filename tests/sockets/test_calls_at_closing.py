"""What becomes of the calls that are under way when their client is closed."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.testing import LocalPuter
from tests.sockets.live import until
from tests.sockets.raw import CHAT, CHAT_ANSWER, Asked, RawServer, answer

if TYPE_CHECKING:
    from tests.sockets.live import Live

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WHOLE = {
    "length": CHAT_ANSWER,
    "chunks": _HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(CHAT), CHAT),
    "end": _HEAD + b"\r\n" + CHAT,
}


class Halting:
    """A handler that sends a part of its answer, and the rest when it is let."""

    def __init__(self, whole: bytes, cut: int) -> None:
        self.halted, self.go_on = threading.Event(), threading.Event()
        self._parts = whole[:cut], whole[cut:]
        self._stays = b"Length:" in whole or b"chunked" in whole

    def __call__(self, sock: socket.socket, _asked: Asked) -> bool:
        sock.sendall(self._parts[0])
        self.halted.set()
        self.go_on.wait(10)
        sock.sendall(self._parts[1])
        return self._stays


async def begun(live: Live, ai: puter.PuterAI) -> asyncio.Task[Any]:
    """A chat in another thread or task."""
    if live.kind == "sync":
        return asyncio.create_task(asyncio.to_thread(ai.chat, "Hi"))
    return asyncio.create_task(ai.async_chat("Hi"))


async def _closed_here(ai: puter.PuterAI) -> None:
    ai.close()


CLOSINGS: dict[str, Callable[[puter.PuterAI], Awaitable[None]]] = {
    "async_close": lambda ai: ai.async_close(),
    "close": _closed_here,
    "close elsewhere": lambda ai: asyncio.to_thread(ai.close),
}


@pytest.fixture(params=CLOSINGS)
def shut(request: pytest.FixtureRequest) -> Callable[[puter.PuterAI], Awaitable[None]]:
    """A way to close a client."""
    return CLOSINGS[request.param]


@pytest.mark.parametrize("framing", WHOLE)
@pytest.mark.parametrize("phase", ["before the head", "in the head", "in the body"])
async def test_they_get_their_answers_and_then_the_connections_end(
    live: Live, shut: Callable[[puter.PuterAI], Awaitable[None]], framing: str, phase: str
) -> None:
    cut = {"before the head": 0, "in the head": 20, "in the body": -50}[phase]
    handler, ended = Halting(WHOLE[framing], cut), threading.Event()
    with RawServer(handler, ended=ended) as server:
        ai = live.client_at(server.url)
        call = await begun(live, ai)
        await until(handler.halted.is_set)
        await shut(ai)
        handler.go_on.set()
        assert await asyncio.wait_for(call, 10) == "Hello!"
        assert ai._throttle.running == 0
        if framing != "end":
            await until(ended.is_set)
    assert (ai.usage.requests, ai.usage.unpriced) == (1, 0)


async def test_they_still_end_within_timeout(
    live: Live, shut: Callable[[puter.PuterAI], Awaitable[None]]
) -> None:
    handler = Halting(CHAT_ANSWER, -50)
    with RawServer(handler) as server:
        ai = live.client_at(server.url, timeout=1, max_retries=0)
        call = await begun(live, ai)
        await until(handler.halted.is_set)
        await shut(ai)
        with pytest.raises(puter.PuterTimeoutError, match="silent for 1 s"):
            await asyncio.wait_for(call, 10)
        handler.go_on.set()
    assert ai._throttle.running == 0


@pytest.fixture
def lookup(monkeypatch: pytest.MonkeyPatch) -> Iterator[Halting]:
    """The resolver halts at ``slow.test``, which is this machine."""
    halting, resolve = Halting(b"", 0), socket.getaddrinfo

    def slow(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "slow.test":
            halting.halted.set()
            halting.go_on.wait(10)
            host = "127.0.0.1"
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield halting
    halting.go_on.set()


async def test_they_get_their_answers_when_they_were_looking_up_a_name(
    live: Live, shut: Callable[[puter.PuterAI], Awaitable[None]], lookup: Halting
) -> None:
    with RawServer(Halting(CHAT_ANSWER, len(CHAT_ANSWER))) as server:
        ai = live.client_at(f"http://slow.test:{server.port}", allow_http=True)
        call = await begun(live, ai)
        await until(lookup.halted.is_set)
        await shut(ai)
        lookup.go_on.set()
        server._handler.go_on.set()  # type: ignore[attr-defined]
        assert await asyncio.wait_for(call, 10) == "Hello!"


@pytest.mark.parametrize("phase", ["looking up", "head", "body"])
def test_those_of_a_loop_that_stands_still_say_why_when_it_goes_on(
    phase: str, lookup: Halting
) -> None:
    handler = Halting(CHAT_ANSWER, 0 if phase == "head" else -50)
    host = "slow.test" if phase == "looking up" else "127.0.0.1"
    with RawServer(handler) as server:
        url = f"http://{host}:{server.port}"
        ai = puter.PuterAI(token="t", api_base=url, allow_http=True, max_retries=0, proxy="")
        loop = asyncio.new_event_loop()
        loop.slow_callback_duration = 10
        call = loop.create_task(ai.async_chat("Hi"))
        halted = lookup.halted if phase == "looking up" else handler.halted
        loop.run_until_complete(until(halted.is_set))
        loop.run_until_complete(asyncio.sleep(0.1))  # what was sent is read
        ai.close()
        lookup.go_on.set()
        with pytest.raises(puter.PuterError, match="closed") as caught:
            loop.run_until_complete(asyncio.wait_for(call, 10))
        assert getattr(caught.value, "sent", False) == (phase != "looking up")
        assert "network" not in str(caught.value)
        assert ai._throttle.running == 0
        handler.go_on.set()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def test_a_stream_ends_and_says_why(
    shut: Callable[[puter.PuterAI], Awaitable[None]],
) -> None:
    line, ended = b'{"type":"text","text":"Hel"}\n', threading.Event()

    def half(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(answer(line, kind="application/x-ndjson", length=2 * len(line)))
        sock.recv(1)
        ended.set()

    with RawServer(half) as server:
        ai = puter.PuterAI(token="t", api_base=server.url, proxy="")
        stream = await ai.async_chat("Hi", stream=True)
        assert await anext(stream) == "Hel"
        await shut(ai)
        with pytest.raises(puter.PuterStreamError, match="The client was closed") as caught:
            await stream.until_done()
        assert caught.value.partial == "Hel"
        assert ai._throttle.running == 0
        await until(ended.is_set)


async def test_nothing_is_tried_again(live: Live) -> None:
    """Also what needs no token, such as a download."""

    def busy(sock: socket.socket, _asked: Asked) -> bool:
        ai.close()
        sock.sendall(answer(b"", status="503 Busy"))
        return True

    ended = threading.Event()
    with LocalPuter(tier=None) as api, RawServer(busy, ended=ended) as host:
        api.media_with(f"{host.url}/cat.png")
        ai = live.client(api, retry_delay=0.0)
        picture = await live(ai, "txt2img", "cat", "gpt-image-1-mini")
        with pytest.raises(puter.PuterError, match="This PuterAI is closed"):
            await live(picture, "read")
        assert host.connections == 1
        await until(ended.is_set)
