"""What comes before an answer, in place of its end, and after it."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import puter
from tests.door import chat_body
from tests.sockets.raw import CHAT, Asked, RawServer, answer, says

if TYPE_CHECKING:
    from tests.sockets.live import Live


def chat_answer(text: str, *headers: str) -> bytes:
    return answer(json.dumps(chat_body(text)).encode(), *headers)


def informational(status: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Wait", *headers, "", ""]).encode()


HINTS = informational(103, "Link: </style.css>; rel=preload")


# ------------------------------------------------------------ informational answers


BEFORE = {
    "100": informational(100),
    "102": informational(102),
    "103 with headers": HINTS,
    "three": informational(100) + HINTS + informational(102),
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("size", [1, 7, 9999])
async def test_informational_answers_are_passed_over(live: Live, before: bytes, size: int) -> None:
    numbers = iter(range(9))

    def handler(sock: socket.socket, _asked: Asked) -> bool:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reply = before + chat_answer(f"answer {next(numbers)}")
        if size > len(reply):
            sock.sendall(reply)
        for start in range(0, len(before), size):
            if size <= len(reply):
                sock.sendall(before[start : start + size])
        if size <= len(reply):
            sock.sendall(reply[len(before) :])
        return True

    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        assert [await live(ai, "chat", "Hi") for _ in range(3)] == [f"answer {n}" for n in range(3)]
        await live.close()
    assert server.connections == 1


@pytest.mark.parametrize("status", [100, 102, 103])
@pytest.mark.parametrize("settings", [{"timeout": 0.3}, {"timeout": 20, "deadline": 0.4}], ids=str)
@pytest.mark.parametrize("stream", [False, True])
async def test_silence_after_an_informational_answer_ends(
    live: Live, status: int, settings: Any, stream: bool
) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(informational(status))
        server.stopping.wait(30)

    with RawServer(handler) as server:
        ai = live.client_at(server.url, **settings)
        began = time.monotonic()
        with pytest.raises(puter.PuterTimeoutError) as caught:
            await live(ai, "chat", "Hi", stream=stream)
        assert time.monotonic() - began < 10
    assert (caught.value.sent, caught.value.attempts) == (True, 1)
    assert ("deadline" in str(caught.value)) is ("deadline" in settings)


async def test_informational_answers_without_end_are_an_error(live: Live) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        while not server.stopping.is_set():
            sock.sendall(informational(100) * 50)

    with RawServer(handler) as server:
        with pytest.raises(puter.PuterResponseError, match="announced, again and again"):
            await live(live.client_at(server.url), "chat", "Hi")
        assert len(server.requests) == 1


async def test_informational_answers_do_not_put_the_deadline_off(live: Live) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        while not server.stopping.wait(0.05):
            sock.sendall(informational(102))

    with RawServer(handler) as server, pytest.raises(puter.PuterTimeoutError, match="deadline"):
        await live(live.client_at(server.url, deadline=0.5), "chat", "Hi")


async def test_another_protocol_is_no_answer_and_its_connection_is_gone(live: Live) -> None:
    switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"

    def handler(sock: socket.socket, _asked: Asked) -> bool:
        sock.sendall(switched + chat_answer("smuggled") if not later else chat_answer("mine"))
        return True

    later: list[bool] = []
    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        with pytest.raises(puter.PuterResponseError, match="it leaves HTTP"):
            await live(ai, "chat", "Hi")
        later.append(True)
        assert await live(ai, "chat", "Hi") == "mine"
        await live.close()
    assert server.connections == 2


# ------------------------------------------------------------ dripping


def drips(head: bytes, drop: bytes) -> Callable[[socket.socket, Asked], None]:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(head)
        for _ in range(600):
            time.sleep(0.05)
            sock.sendall(drop)

    return handler


LONG = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: 999999\r\n\r\n"
DRIPS = {
    "status": drips(b"HTTP/1.1 200 O", b"K"),
    "headers": drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "one header": drips(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "body": drips(LONG % b"application/json", b" "),
}


@pytest.mark.parametrize("handler", DRIPS.values(), ids=DRIPS)
@pytest.mark.parametrize("operation", ["chat", "stream", "upload", "read_file"])
async def test_what_drips_ends_with_the_deadline(live: Live, handler: Any, operation: str) -> None:
    calls: dict[str, tuple[Any, ...]] = {
        "chat": ("chat", "Hi"),
        "stream": ("chat", "Hi"),
        "upload": ("upload", b"content", "~/x.txt"),
        "read_file": ("read_file", "~/x.txt"),
    }
    with RawServer(handler) as server:
        ai = live.client_at(server.url, deadline=0.6, timeout=20, max_retries=0)
        began = time.monotonic()
        method, *arguments = calls[operation]
        more = {"stream": True} if operation == "stream" else {}
        with pytest.raises(puter.PuterTimeoutError, match="deadline"):
            await live(ai, method, *arguments, **more)
        assert time.monotonic() - began < 15


# ------------------------------------------------------------ bounds of a head


@pytest.mark.parametrize("drop", [b"X: y\r\n" * 100, b"x" * 600], ids=["many", "long"])
async def test_a_head_without_end_is_an_error(live: Live, drop: bytes) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nY: ")
        while not server.stopping.is_set():
            sock.sendall(drop)

    with RawServer(handler) as server:
        with pytest.raises(puter.PuterResponseError):
            await live(live.client_at(server.url), "chat", "Hi")
        assert len(server.requests) == 1


# ------------------------------------------------------------ what is left over


LEFT = {
    "an answer": chat_answer("smuggled"),
    "an informational answer": informational(100),
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a status line": b"HTT",
    "anything": b"garbage",
    "many answers": chat_answer("smuggled") * 50,
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
@pytest.mark.parametrize("cut", [0, 1, 40])
@pytest.mark.parametrize("chunked", [False, True])
async def test_what_is_left_over_is_nobodys_answer(
    live: Live, left: bytes, cut: int, chunked: bool
) -> None:
    """It comes together with the end of an answer, of which the last bytes come by themselves."""
    numbers = iter(range(9))

    def handler(sock: socket.socket, _asked: Asked) -> bool:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reply = chat_answer(f"answer {next(numbers)}")
        if chunked:
            body = reply.partition(b"\r\n\r\n")[2]
            reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            reply += b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        if cut:
            sock.sendall(reply[: len(reply) - cut])
            time.sleep(0.05)
        sock.sendall(reply[len(reply) - cut if cut else 0 :] + left)
        return True

    with RawServer(handler) as server:
        ai = live.client_at(server.url, max_retries=0)
        for number in range(3):
            try:
                assert await live(ai, "chat", "Hi") == f"answer {number}"
            except puter.PuterResponseError:  # damaged in its own last bytes
                assert live.kind == "async"
        await live.close()
    assert server.connections == 3


async def test_an_answer_before_the_request_is_not_waited_for(live: Live) -> None:
    """A connection that a server writes to while it idles is not used again."""

    def handler(sock: socket.socket, _asked: Asked) -> bool:
        sock.sendall(chat_answer("mine"))
        time.sleep(0.1)
        sock.sendall(chat_answer("smuggled"))
        return True

    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        for _ in range(3):
            assert await live(ai, "chat", "Hi") == "mine"
            time.sleep(0.3)  # noqa: ASYNC251 - in an async client nobody may look meanwhile
        await live.close()
    assert server.connections == 3


# ------------------------------------------------------------ half answers


def reset(sock: socket.socket) -> None:
    """Close so that the other side gets a reset."""
    time.sleep(0.05)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PACKED = gzip.compress(CHAT)
CHUNK = b"%x\r\n%s\r\n" % (len(CHAT), CHAT)
HALF = {
    "half a status line": (b"HTTP/1.1 2", False),
    "half a head": (HEAD, False),
    "half a header": (HEAD + b"Content-Len", False),
    "half gzip": (
        HEAD
        + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % (len(PACKED) - 9)
        + PACKED[:-9],
        False,
    ),
    "half gzip without length": (HEAD + b"Content-Encoding: gzip\r\n\r\n" + PACKED[:-9], False),
    "no length, reset": (HEAD + b"\r\n" + CHAT, True),
}


@pytest.mark.parametrize(("reply", "resets"), HALF.values(), ids=HALF)
async def test_half_an_answer_is_none(live: Live, reply: bytes, resets: bool) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(reply)
        if resets:
            reset(sock)

    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        with pytest.raises(puter.PuterResponseError) as caught:
            await live(ai, "chat", "Hi")
        assert len(server.requests) == 1
    assert ai.chat_history == []
    assert ai.usage.unpriced == 1
    if resets:
        assert "Hello!" in (caught.value.body or "")


SHORT = {
    "length": answer(CHAT, length=len(CHAT) + 5),
    "no last chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK,
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK[:-9],
}


@pytest.mark.parametrize("resets", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("reply", SHORT.values(), ids=SHORT)
async def test_an_answer_that_ends_early_tells_what_came(
    live: Live, reply: bytes, resets: bool
) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(reply)
        if resets:
            reset(sock)

    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        with pytest.raises(puter.PuterAPIError, match="complete") as caught:
            await live(ai, "chat", "Hi")
        assert len(server.requests) == 1
    assert "Hello!" in (caught.value.body or "")
    assert ai.usage.unpriced == 1


@pytest.mark.parametrize("chunk", [b"-5\r\nhello\r\n", b"zz\r\n", b"5\r\nhello, there"])
async def test_a_bad_chunk_later_on_is_an_error_at_once(live: Live, chunk: bytes) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n")
        time.sleep(0.1)
        sock.sendall(chunk)
        server.stopping.wait(30)

    with RawServer(handler) as server:
        began = time.monotonic()
        with pytest.raises(puter.PuterAPIError):
            await live(live.client_at(server.url, timeout=25), "chat", "Hi")
        assert time.monotonic() - began < 15


# ------------------------------------------------------------ answers during an upload


@pytest.mark.parametrize(("secure", "later"), [(False, 0.0), (False, 0.3), (True, 0.3)])
@pytest.mark.parametrize("kilobytes", [500, 8_000, 30_000])
async def test_an_answer_during_an_upload_is_seen(
    live: Live,
    secure: bool,
    server_tls: ssl.SSLContext,
    bundle: str,
    kilobytes: int,
    later: float,
) -> None:
    tls = server_tls if secure else None
    refusal = answer(b'{"message":"Too large","code":"x"}', status="413 Content Too Large")
    with UnreadServer(refusal, tls, later) as server:
        ai = live.client_at(server.url, verify=bundle, max_retries=0)
        with pytest.raises(puter.PuterBadRequestError) as caught:
            await live(ai, "chat", "x" * kilobytes * 1000)
    assert caught.value.status == 413


class UnreadServer(RawServer):
    """Reads heads of requests, answers, and closes the connection with the body unread."""

    def __init__(self, reply: bytes, tls: ssl.SSLContext | None, later: float) -> None:
        self._reply, self._later = reply, later
        super().__init__(says(reply), tls=tls)

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with sock:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += sock.recv(1000)
                time.sleep(self._later)
                sock.sendall(self._reply)
        except OSError:
            pass
