"""Each call gets its own answer, whatever else a server says before, between and after."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest

import puter
from tests.door import chat_body, chunks, lines
from tests.sockets.proxy import Proxy
from tests.sockets.raw import Asked, Handler, RawServer, answer, keeps

if TYPE_CHECKING:
    from tests.sockets.live import Live

WAIT = b"HTTP/1.1 %d Wait\r\nLink: </style.css>; rel=preload\r\n\r\n"
ANNOUNCED = {
    "nothing": b"",
    "100": WAIT % 100,
    "102": WAIT % 102,
    "103": WAIT % 103,
    "all": b"".join(WAIT % code for code in (100, 102, 103, 103)),
    "103, 100": WAIT % 103 + WAIT % 100,
    "bare": b"HTTP/1.1 100\r\n\r\n",
    "199": WAIT % 199,
    "20 times": WAIT % 103 * 20,
}


def whole(text: str) -> bytes:
    return answer(json.dumps(chat_body(text)).encode())


def streamed(text: str) -> bytes:
    body = lines({"type": "text", "text": text}, {"type": "usage", "usage": {"prompt_tokens": 1}})
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked"
    return b"%s\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (head, len(body), body)


def numbered(
    before: bytes = b"", after: bytes = b"", *, piece: int = 0, keeps: bool = True
) -> Handler:
    """A handler that numbers its answers and sends that around them."""
    numbers = itertools.count(1)

    def handler(sock: socket.socket, asked: Asked) -> bool:
        form = streamed if b'"stream":true' in asked.body else whole
        said = before + form(f"answer {next(numbers)}") + after
        if not keeps:
            said = said.replace(b" 200 OK\r\n", b" 200 OK\r\nConnection: close\r\n")
        size = piece or len(said)
        for start in range(0, len(said), size):
            sock.sendall(said[start : start + size])
            if piece:
                time.sleep(0.0005)
        return keeps

    return handler


async def ask(live: Live, ai: puter.PuterAI) -> list[str]:
    """What a chat, a stream and a chat again were answered."""
    first = str(await live(ai, "chat", "Hi", remember=False))
    stream = await live(ai, "chat", "Hi", stream=True, remember=False)
    second = "".join(str(one) for one in await chunks(stream))
    return [first, second, str(await live(ai, "chat", "Hi", remember=False))]


IN_ORDER = ["answer 1", "answer 2", "answer 3"]


@pytest.mark.parametrize("piece", [0, 1], ids=["in one piece", "in bytes"])
@pytest.mark.parametrize("before", ANNOUNCED.values(), ids=ANNOUNCED)
async def test_what_announces_an_answer_is_passed_over(
    live: Live, before: bytes, piece: int
) -> None:
    with RawServer(numbered(before, piece=piece)) as server:
        assert await ask(live, live.client_at(server.url)) == IN_ORDER
        await live.close()
    assert server.connections == 1


@pytest.mark.parametrize("tunnel", [False, True])
async def test_it_is_passed_over_in_tls(
    live: Live, server_tls: ssl.SSLContext, bundle: str, tunnel: bool
) -> None:
    with RawServer(numbered(ANNOUNCED["all"]), tls=server_tls) as server, Proxy() as proxy:
        ai = live.client_at(server.url, verify=bundle, proxy=proxy.url if tunnel else "")
        assert await ask(live, ai) == IN_ORDER
        await live.close()
    assert (server.connections, len(proxy.lines)) == (1, tunnel)


async def test_it_is_passed_over_behind_a_proxy(live: Live) -> None:
    with RawServer(numbered(ANNOUNCED["all"], keeps=False)) as server, Proxy() as proxy:
        assert await ask(live, live.client_at(server.url, proxy=proxy.url)) == IN_ORDER


async def test_it_is_passed_over_after_an_upload(live: Live) -> None:
    with RawServer(numbered(ANNOUNCED["all"])) as server:
        ai = live.client_at(server.url)
        assert await live(ai, "chat", "x" * 3_000_000) == "answer 1"
        assert await live(ai, "chat", "Hi") == "answer 2"


@pytest.mark.parametrize("code", [100, 102, 103])
async def test_an_answer_that_is_announced_for_ever(live: Live, code: int) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> bool:
        if len(server.requests) == 1:
            while True:  # until the client leaves
                sock.sendall(WAIT % code * 50)
        sock.sendall(whole("mine"))
        return True

    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        with pytest.raises(puter.PuterResponseError) as caught:
            await live(ai, "chat", "Hi")
        assert caught.value.hint
        assert await live(ai, "chat", "Hi") == "mine"
        await live.close()
    assert server.connections == 2


@pytest.mark.parametrize("limits", [{"timeout": 0.5}, {"deadline": 0.5}], ids=str)
@pytest.mark.parametrize(
    "said", [WAIT % 103, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: y"], ids=len
)
async def test_announcing_or_dripping_is_no_answer_in_time(
    live: Live, said: bytes, limits: dict[str, float]
) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(said)
        while not server.stopping.wait(0.1):
            sock.sendall(b"y" if said.endswith(b"y") else said)

    with RawServer(handler) as server:
        ai = live.client_at(server.url, **limits)
        begun = time.monotonic()
        with pytest.raises(puter.PuterTimeoutError) as caught:
            await live(ai, "chat", "Hi")
        assert time.monotonic() - begun < 8  # of the 10 s that 100 announcements take
        assert (caught.value.sent, caught.value.attempts) == (True, 1)


async def test_a_connection_that_leaves_http_is_not_used_again(live: Live) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> bool:
        if len(server.requests) == 1:
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        else:
            sock.sendall(whole("mine"))
        return True

    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        with pytest.raises(puter.PuterAPIError):
            await live(ai, "chat", "Hi")
        assert await live(ai, "chat", "Hi") == "mine"
        await live.close()
    assert server.connections == 2


@pytest.mark.parametrize(
    "more", [b"x", whole("wrong"), WAIT % 103, b"\r\n" * 9000], ids=["x", "answer", "103", "long"]
)
@pytest.mark.parametrize("secure", [False, True])
async def test_what_is_left_over_answers_nobody(
    live: Live, server_tls: ssl.SSLContext, bundle: str, more: bytes, secure: bool
) -> None:
    tls = server_tls if secure else None
    with RawServer(numbered(after=more), tls=tls) as server:
        assert await ask(live, live.client_at(server.url, verify=bundle)) == IN_ORDER
        await live.close()
    passed_over = live.kind == "async" and not more.strip()  # empty lines answer nothing
    assert server.connections == 3 or passed_over


@pytest.mark.parametrize("stays", [False, True], ids=["closes", "stays"])
async def test_an_answer_before_the_request_was_sent(live: Live, stays: bool) -> None:
    refusal = b'{"error":"Too large","message":"Too large","code":"too_large"}'
    refused = threading.Event()

    class Refusing(RawServer):
        def _serve(self, sock: socket.socket) -> None:
            if refused.is_set():
                return super()._serve(sock)
            with sock:
                sock.recv(2000)
                refused.set()
                sock.sendall(answer(refusal, status="413 Payload Too Large"))
                self.stopping.wait(10 if stays else 0.2)
            return None

    with Refusing(keeps()) as server:
        ai = live.client_at(server.url, timeout=1)
        with pytest.raises(puter.PuterAPIError, match="Too large") as caught:
            await live(ai, "chat", "x" * 30_000_000)
        assert (caught.value.status, caught.value.attempts) == (413, 1)
        assert await live(ai, "chat", "Hi") == "Hello!"
        await live.close()
    assert (server.connections, len(server.requests)) == (2, 1)
