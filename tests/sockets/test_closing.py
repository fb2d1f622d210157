"""Closing a client while it is in use, and calls that would wait for themselves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.engine import throttle
from puter.testing import Gate, LocalPuter, Reply
from tests.sockets.raw import CHAT, Asked, RawServer, answer, says
from tests.sockets.test_downloads import METHODS, PNG, painted, use

if TYPE_CHECKING:
    from puter import PuterAI
    from tests.sockets.live import Live


async def opened(live: Live, owner: Any, **options: Any) -> Any:
    """A stream of which the first chunk was read, and the second held back."""
    live.puter.reply_with(Reply(chunks=["Hel", "lo"], gate=Gate()))
    stream = await live(owner, "chat", "Hi", stream=True, **options)
    if live.kind == "sync":
        next(stream)
    else:
        await anext(stream)
    return stream


async def read_on(live: Live, stream: Any) -> Any:
    return stream.until_done() if live.kind == "sync" else await stream.until_done()


async def test_a_stream_ends_with_one_of_our_errors_when_its_client_is_closed(live: Live) -> None:
    ai = live.client()
    stream = await opened(live, ai)
    await live(ai, "close")
    with pytest.raises(puter.PuterStreamError) as caught:
        await read_on(live, stream)
    assert caught.value.partial == "Hel"
    assert ai.chat_history == []
    assert ai._throttle.running == 0


class Closing(RawServer):
    """Sends half of a body that ends with its connection; closes the client until that is done."""

    ai: PuterAI

    def __init__(self, kind: str, half: bytes) -> None:
        self._half = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + half
        self.done = threading.Event()
        super().__init__(self._close)

    def _close(self, sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(self._half)
        while not self.done.wait(0.05):
            self.ai.close()


@contextlib.contextmanager
def told_that_it_was_closed(host: Closing) -> Iterator[None]:
    try:
        with pytest.raises(
            puter.PuterConnectionError, match="The client was closed while"
        ) as caught:
            yield
    finally:
        host.done.set()
    assert (caught.value.sent, caught.value.retryable) == (True, False)
    assert caught.value.hint == "Close it when its calls have ended."


@METHODS
async def test_half_a_download_passes_for_no_whole_one_when_its_client_is_closed(
    live: Live, method: str, tmp_path: Path
) -> None:
    with Closing("image/png", PNG + b"x" * 20_000) as host:
        image = await painted(live, host)
        host.ai = live.clients[0]
        with told_that_it_was_closed(host):
            await use(live, image, method, tmp_path / "a.png")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("method", "form"), [("read_file", "text/plain"), ("txt2speech", "audio/mpeg")]
)
async def test_nor_does_half_a_file(live: Live, method: str, form: str) -> None:
    with Closing(form, b"ID3\x03" + b"line\n" * 400) as host:
        host.ai = live.client_at(host.url)
        with told_that_it_was_closed(host):
            await live(host.ai, method, "~/a.txt")


@pytest.mark.parametrize("owner", ["stream", "client"])
def test_a_stream_says_what_was_closed(owner: str) -> None:
    with LocalPuter(tier=None) as local, local.client() as ai:
        local.reply_with(Reply(chunks=["Hel", "lo"], gate=Gate()))
        stream = ai.chat("Hi", stream=True)
        next(stream)
        closer = threading.Timer(0.2, (stream if owner == "stream" else ai).close)
        closer.start()
        with pytest.raises(
            puter.PuterStreamError, match=rf"The {owner} was closed while"
        ) as caught:
            stream.until_done()
        closer.join()
        assert "network" not in str(caught.value)


async def test_calls_that_wait_when_the_client_is_closed_say_so(live: Live) -> None:
    ai = live.client(max_concurrency=1)
    stream = await opened(live, ai)
    outcomes: list[Any] = []

    def wait_in_line() -> None:
        try:
            ai.chat("Hi")
        except puter.PuterError as error:
            outcomes.append(error)

    thread = threading.Thread(target=wait_in_line)
    thread.start()
    while not ai._throttle.waiting:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.001)
    await live(ai, "close")
    if live.kind == "sync":
        stream.close()
    else:
        await stream.aclose()
    await asyncio.to_thread(thread.join)
    (error,) = outcomes
    assert "closed" in str(error)
    assert len(live.puter.chats) == 1


@pytest.mark.parametrize("owner", ["conversation", "client"])
async def test_a_call_that_waits_for_its_own_stream_says_so(
    live: Live, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "_OWN_STREAMS", 0.1)
    ai = live.client(max_concurrency=1)
    talk = ai.conversation() if owner == "conversation" else ai
    stream = await opened(live, talk)
    with pytest.raises(puter.PuterError, match="streams that its own code left open"):
        await live(talk, "chat", "again")  # type: ignore[arg-type]  # it has a chat like a client
    if live.kind == "sync":
        stream.close()
    else:
        await stream.aclose()
    assert await live(talk, "chat", "again")  # type: ignore[arg-type]


async def test_a_stream_read_by_another_thread_is_waited_for(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "_OWN_STREAMS", 0.2)
    ai = live.client(max_concurrency=1)
    gate = Gate()
    live.puter.reply_with(Reply(chunks=["Hel", "lo"], gate=gate), "next")
    stream = ai.chat("Hi", stream=True)
    reader = threading.Thread(target=stream.until_done)
    reader.start()
    opener = threading.Timer(0.5, gate.open)
    opener.start()
    begun = time.monotonic()
    assert await asyncio.to_thread(ai.chat, "Hi again") == "next"
    assert time.monotonic() - begun > 0.3
    reader.join()
    opener.join()


async def test_hosts_below_localhost_need_no_resolver(live: Live) -> None:
    with LocalPuter(tier=None, one_port=False) as puter_:
        ai = live.client(puter_)
        assert await live(ai, "chat", "Hi")
        ai = live.client(puter_, username=puter_.username, password=puter_.password)
        assert await live(ai, "login")


async def test_a_url_is_fetched_as_its_client_would(live: Live) -> None:
    def silent(_sock: Any, _asked: Any) -> bool:
        time.sleep(4)
        return True

    with RawServer(silent) as host:
        live.puter.media_with(f"{host.url}/cat.png")
        ai = live.client(timeout=1.2, max_retries=0)
        picture = await live(ai, "txt2img", "cat", "gpt-image-1-mini")
        with pytest.raises(puter.PuterTimeoutError, match=r"silent for 1\.2 s"):
            await live(picture, "read")


async def test_two_content_lengths_are_the_answers_fault(live: Live) -> None:
    with RawServer(says(answer(b"{}", "Content-Length: 7"))) as host:
        with pytest.raises(puter.PuterResponseError):
            await live(live.client_at(host.url), "chat", "Hi")
        assert len(host.requests) == 1


async def test_long_header_lines_are_read(live: Live) -> None:
    with RawServer(says(answer(CHAT, f"X-Long: {'x' * 20_000}"))) as host:
        assert await live(live.client_at(host.url), "chat", "Hi") == "Hello!"
