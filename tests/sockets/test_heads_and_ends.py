"""Each call gets its own answer, whatever a server says before, between and after, or drips."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.wire.http import USUAL_HEAD, plain_head
from tests.door import chat_body, chunks, lines
from tests.sockets.proxy import Proxy
from tests.sockets.raw import Asked, Handler, RawServer, answer, keeps, says

if TYPE_CHECKING:
    from tests.sockets.live import Live

WAIT = b"HTTP/1.1 %d Wait\r\nLink: </style.css>; rel=preload\r\n\r\n"
ANNOUNCED = {
    "nothing": b"",
    "empty lines": b"\r\n\n\r\n",
    "an empty line, 103": b"\r\n" + WAIT % 103,
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


def numbered(before: bytes = b"", *, piece: int = 0, keeps: bool = True) -> Handler:
    """A handler that numbers its answers and sends that before them."""
    numbers = itertools.count(1)

    def handler(sock: socket.socket, asked: Asked) -> bool:
        form = streamed if b'"stream":true' in asked.body else whole
        said = before + form(f"answer {next(numbers)}")
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


@pytest.mark.parametrize("pieces", ["one", "apart", "bytes"])
@pytest.mark.parametrize("before", ANNOUNCED.values(), ids=ANNOUNCED)
async def test_what_announces_an_answer_is_passed_over(
    live: Live, before: bytes, pieces: str
) -> None:
    piece = {"one": 0, "apart": len(before), "bytes": 1}[pieces]
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
        with pytest.raises(puter.PuterResponseError, match="announced, again") as caught:
            await live(ai, "chat", "Hi")
        assert caught.value.hint
        assert await live(ai, "chat", "Hi") == "mine"
        await live.close()
    assert server.connections == 2


@pytest.mark.parametrize("status", [100, 102, 103])
@pytest.mark.parametrize("settings", [{"timeout": 0.5}, {"timeout": 20, "deadline": 0.4}], ids=str)
@pytest.mark.parametrize("stream", [False, True])
async def test_silence_after_an_announcement_ends(
    live: Live, status: int, settings: Any, stream: bool
) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(WAIT % status)
        server.stopping.wait(30)

    with RawServer(handler) as server:
        ai = live.client_at(server.url, **settings)
        began = time.monotonic()
        with pytest.raises(puter.PuterTimeoutError) as caught:
            await live(ai, "chat", "Hi", stream=stream)
        assert time.monotonic() - began < 15
    assert (caught.value.sent, caught.value.attempts) == (True, 1)
    assert ("deadline" in str(caught.value)) is ("deadline" in settings)


@pytest.mark.parametrize("more", [b"", whole("smuggled")], ids=len)
async def test_another_protocol_is_no_answer_and_its_connection_is_gone(
    live: Live, more: bytes
) -> None:
    switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"

    def handler(sock: socket.socket, _asked: Asked) -> bool:
        sock.sendall(whole("mine") if server.requests[1:] else switched + more)
        return True

    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        with pytest.raises(puter.PuterResponseError, match="it leaves HTTP"):
            await live(ai, "chat", "Hi")
        assert await live(ai, "chat", "Hi") == "mine"
        await live.close()
    assert server.connections == 2


# ------------------------------------------------------------ dripping


def drips(begin: bytes, drop: bytes) -> Handler:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(begin)
        for _ in range(600):
            time.sleep(0.05)
            sock.sendall(drop)

    return handler


OK = b"HTTP/1.1 200 OK\r\n"
JSON = OK + b"Content-Type: application/json\r\n"
HEADS = {
    "100": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "103": drips(b"", WAIT % 103),
    "status": drips(b"HTTP/1.1 200 O", b"K"),
    "headers": drips(OK, b"X: y\r\n"),
    "one header": drips(OK + b"X: ", b"x"),
}
BODIES = {
    "length": drips(JSON + b"Content-Length: 999999\r\n\r\n", b" "),
    "chunks": drips(JSON + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "until closed": drips(JSON + b"\r\n", b" "),
}


@pytest.mark.parametrize("name", [*HEADS, *BODIES])
@pytest.mark.parametrize("operation", ["chat", "stream", "upload", "read_file"])
async def test_what_drips_ends_with_the_deadline(live: Live, name: str, operation: str) -> None:
    calls: dict[str, tuple[Any, ...]] = {
        "chat": ("chat", "Hi"),
        "stream": ("chat", "Hi"),
        "upload": ("upload", b"content", "~/x.txt"),
        "read_file": ("read_file", "~/x.txt"),
    }
    with RawServer({**HEADS, **BODIES}[name]) as server:
        ai = live.client_at(server.url, deadline=0.6, timeout=20, max_retries=0)
        began = time.monotonic()
        method, *arguments = calls[operation]
        more = {"stream": True} if operation == "stream" else {}
        with pytest.raises(puter.PuterTimeoutError, match="deadline") as caught:
            await live(ai, method, *arguments, **more)
        assert time.monotonic() - began < 15
        await live.close()
    assert (caught.value.sent, caught.value.attempts, len(server.requests)) == (True, 1, 1)


@pytest.mark.parametrize("name", ["100", "103", "headers", "one header"])
async def test_a_head_that_drips_is_silence(live: Live, name: str) -> None:
    with RawServer(HEADS[name]) as server:
        ai = live.client_at(server.url, timeout=0.5)
        began = time.monotonic()
        with pytest.raises(puter.PuterTimeoutError, match="silent") as caught:
            await live(ai, "chat", "Hi")
        assert time.monotonic() - began < 15  # of the 30 s that it drips
    assert (caught.value.sent, caught.value.attempts) == (True, 1)


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
    "an answer": whole("smuggled"),
    "an informational answer": WAIT % 100,
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a status line": b"HTT",
    "anything": b"garbage",
    "a letter": b"x",
    "empty lines": b"\r\n" * 9000,
    "many answers": whole("smuggled") * 50,
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
@pytest.mark.parametrize(
    ("cut", "chunked", "secure"),
    [(0, False, False), (1, False, False), (0, True, False), (40, True, False), (0, True, True)],
)
async def test_what_is_left_over_is_nobodys_answer(
    live: Live,
    server_tls: ssl.SSLContext,
    bundle: str,
    left: bytes,
    cut: int,
    chunked: bool,
    secure: bool,
) -> None:
    """It comes together with the end of an answer, of which the last bytes come by themselves."""
    numbers = iter(range(9))

    def handler(sock: socket.socket, _asked: Asked) -> bool:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reply = whole(f"answer {next(numbers)}")
        if chunked:
            body = reply.partition(b"\r\n\r\n")[2]
            reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            reply += b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        if cut:
            sock.sendall(reply[: len(reply) - cut])
            time.sleep(0.05)
        sock.sendall(reply[len(reply) - cut if cut else 0 :] + left)
        return True

    with RawServer(handler, tls=server_tls if secure else None) as server:
        ai = live.client_at(server.url, max_retries=0, verify=bundle)
        for number in range(3):
            assert await live(ai, "chat", "Hi") == f"answer {number}"
        await live.close()
    passed_over = live.kind == "async" and not left.strip()  # empty lines answer nothing
    assert server.connections == 3 or passed_over


async def test_an_answer_before_the_request_is_not_waited_for(live: Live) -> None:
    """A connection that a server writes to while it idles is not used again."""

    def handler(sock: socket.socket, _asked: Asked) -> bool:
        sock.sendall(whole("mine"))
        written.wait(10)
        sock.sendall(whole("smuggled"))
        smuggled.set()
        return True

    written, smuggled = threading.Event(), threading.Event()

    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        for _ in range(3):
            assert await live(ai, "chat", "Hi") == "mine"
            written.set()
            assert smuggled.wait(10)  # in an async client nobody looks meanwhile
            written.clear()
            smuggled.clear()
        await live.close()
    assert server.connections == 3


# ------------------------------------------------------------ answers during an upload


@pytest.mark.parametrize(
    ("secure", "later", "stays", "kilobytes"),
    [
        # Of what fits into the buffers of the sockets the reset may come before the answer.
        *((False, 0.0, False, size) for size in (8_000, 30_000)),
        *((False, 0.3, False, size) for size in (8_000, 30_000)),
        *((True, 0.3, False, size) for size in (8_000, 30_000)),
        (False, 0.0, True, 30_000),  # less than that is all written, and its connection kept
    ],
)
async def test_an_answer_during_an_upload_is_seen(
    live: Live,
    secure: bool,
    server_tls: ssl.SSLContext,
    bundle: str,
    kilobytes: int,
    later: float,
    stays: bool,
) -> None:
    tls = server_tls if secure else None
    with UnreadServer(tls, later, stays) as server:
        ai = live.client_at(server.url, verify=bundle, max_retries=0, timeout=3)
        with pytest.raises(puter.PuterBadRequestError, match="Too large") as caught:
            await live(ai, "chat", "x" * kilobytes * 1000)
        assert (caught.value.status, caught.value.attempts) == (413, 1)
        assert await live(ai, "chat", "Hi") == "Hello!"
        await live.close()
    assert (server.connections, len(server.requests)) == (2, 1)


class UnreadServer(RawServer):
    """Refuses the first request when it has read its head, with the body unread."""

    def __init__(self, tls: ssl.SSLContext | None, later: float, stays: bool) -> None:
        self._later, self._stays = later, stays
        super().__init__(keeps(), tls=tls)

    def _serve(self, sock: socket.socket) -> None:
        if self.connections > 1:
            return super()._serve(sock)
        with contextlib.suppress(OSError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with sock:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += sock.recv(1000)
                time.sleep(self._later)
                refusal = b'{"message":"Too large","code":"x"}'
                sock.sendall(answer(refusal, status="413 Content Too Large"))
                if self._stays:
                    self.stopping.wait(10)
        return None


@pytest.mark.parametrize("keep", [b"", b"Connection: keep-alive\r\n"], ids=["", "keep-alive"])
async def test_chunks_go_before_a_length_and_end_their_connection(live: Live, keep: bytes) -> None:
    def handler(sock: socket.socket, asked: Asked) -> bool:
        sock.sendall(streamed("Hi").replace(b"\r\n", b"\r\nContent-Length: 9\r\n" + keep, 1))
        return True

    with RawServer(handler) as server:
        ai = live.client_at(server.url, max_retries=0)
        for _ in range(2):
            stream = await live(ai, "chat", "Hi", stream=True)
            assert "".join(await chunks(stream)) == "Hi"
        await live.close()
    assert server.connections == 2


async def test_a_content_type_that_was_repeated_is_one(live: Live) -> None:
    said = whole("Hi").replace(b"\r\n", b"\r\nContent-Type: application/json\r\n", 1)
    with RawServer(says(said)) as server:
        assert await live(live.client_at(server.url), "chat", "Hi") == "Hi"


async def test_there_is_no_status_below_100(live: Live) -> None:
    with (
        RawServer(says(whole("Hi").replace(b" 200 ", b" 000 "))) as server,
        pytest.raises(puter.PuterResponseError, match="its head is damaged"),
    ):
        await live(live.client_at(server.url), "chat", "Hi")


FIELDS = (
    b"Content-Length: 2",
    b"content-length:\t02 ",
    b"Content-Length: 2, 2",
    b"Content-Length: +2",
    b"Content-Length : 2",
    b" Content-Length: 2",
    b"Transfer-Encoding: Chunked",
    b"transfer-encoding: gzip, chunked",
    b"X-Content-Length: 3",
    b"Content-Length-X: 3",
    b"X: \0",
    b"X: \n",
    b"no field",
)


def test_the_usual_head_is_plain_and_tells_the_length() -> None:
    usual = 0
    first = b"HTTP/1.1 200 OK\r\n", b"http/1.1 200 OK\r\n", b"HTTP/1.1 204 None\r\n"
    for line, end in itertools.product(first, (b"\r\n", b"\n")):
        for fields in itertools.product((b"", *FIELDS), repeat=3):
            head = line + b"".join(one + end for one in fields if one) + end
            if found := USUAL_HEAD.match(head + b"{}"):
                read = plain_head(found[0])
                assert read.content == found[0] == head
                told = read.fields.get("content-length")
                assert (found[1] is None) is (told is None)
                assert told is None or int(found[1]) == int(told)
                usual += 1
    assert usual > 50


def test_a_usual_head_has_as_few_fields_as_any() -> None:
    for count in (48, 49, 50, 98, 99, 100):
        for place in (0, count // 2, count - 1):
            fields = [b"X: y\r\n"] * count
            fields[place] = b"Content-Length: 2\r\n"
            if found := USUAL_HEAD.match(b"HTTP/1.1 200 OK\r\n" + b"".join(fields) + b"\r\n"):
                assert plain_head(found[0]).content == found[0]


async def test_a_header_with_the_end_of_a_line_is_not_sent(live: Live) -> None:
    with RawServer(says(answer(b"{}"))) as server:
        ai = live.client_at(server.url, max_retries=0)
        past_the_checks = vars(ai.config.headers)["data"]
        past_the_checks["X-Team"] = "red\r\nX-Role: admin"
        with pytest.raises(puter.PuterError, match=r"(?i)header|newline"):
            await live(ai, "chat", "Hi")
        assert server.requests == []
