"""An answer that was cut is never taken as whole, and its error shows what came."""

from __future__ import annotations

import gzip
import socket
import time
from typing import TYPE_CHECKING

import pytest

import puter
from tests.door import chunks, lines
from tests.sockets.raw import CHAT, Asked, Handler, RawServer, answer, resets, says

if TYPE_CHECKING:
    from tests.sockets.live import Live

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = OK + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
PACKED = gzip.compress(CHAT)
REST = CHAT[:-20]


BROKEN: dict[str, tuple[Handler, int | None, bytes]] = {
    "status line": (says(OK[:12]), None, OK[:12]),
    "headers": (says(OK + JSON), None, OK + JSON),
    "header": (says(OK + JSON[:-9]), None, OK),
    "headers, reset": (resets(OK + JSON), None, b""),
    "gzip": (says(answer(PACKED[:-9], "Content-Encoding: gzip")), 200, CHAT[:40]),
    "gzip without its check": (says(answer(PACKED[:-8], "Content-Encoding: gzip")), 200, CHAT[:40]),
    "damaged gzip": (
        says(answer(PACKED[:40] + b"xyz" + PACKED[43:], "Content-Encoding: gzip")),
        200,
        b"",
    ),
    "gzip until closed": (
        says(OK + JSON + b"Content-Encoding: gzip\r\n\r\n" + PACKED[:-9]),
        200,
        CHAT[:40],
    ),
    "reset without length": (resets(OK + JSON + b"\r\n" + CHAT), 200, CHAT[:40]),
    "reset in HTTP/1.0": (resets(b"HTTP/1.0 200 OK\r\n" + JSON + b"\r\n" + CHAT), 200, CHAT[:40]),
}
CUT: dict[str, Handler] = {
    "length": says(answer(REST, length=len(CHAT))),
    "length, reset": resets(answer(REST, length=len(CHAT))),
    "chunk": says(CHUNKED + b"%x\r\n%s" % (len(CHAT), REST)),
    "chunk, reset": resets(CHUNKED + b"%x\r\n%s" % (len(CHAT), REST)),
    "chunk size": says(CHUNKED + b"%x\r\n%s\r\n" % (len(REST), REST)),
    "chunk size, reset": resets(CHUNKED + b"%x\r\n%s\r\n" % (len(REST), REST)),
    "last chunk": says(CHUNKED + b"%x\r\n%s\r\n1" % (len(CHAT), CHAT)),
    "packed": says(answer(PACKED[:-9], "Content-Encoding: gzip", length=len(PACKED))),
}


@pytest.mark.parametrize(("handler", "status", "came"), BROKEN.values(), ids=BROKEN)
async def test_an_answer_that_nobody_can_read(
    live: Live, handler: Handler, status: int | None, came: bytes
) -> None:
    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        with pytest.raises(puter.PuterResponseError) as caught:
            await live(ai, "chat", "Hi")
    error = caught.value
    assert "Error" not in str(error)  # words, and no names of classes
    assert (error.status, error.attempts, error.retryable) == (status, 1, False)
    assert (error.body or "").encode().startswith(came)
    assert "billed" in error.hint
    assert len(server.requests) == ai.usage.unpriced == 1
    assert ai.chat_history == []


@pytest.mark.parametrize("handler", CUT.values(), ids=CUT)
async def test_an_answer_that_lost_its_connection(live: Live, handler: Handler) -> None:
    with RawServer(handler) as server:
        ai = live.client_at(server.url)
        told = "closed the connection before the answer was complete"
        with pytest.raises(puter.PuterConnectionError, match=told) as caught:
            await live(ai, "chat", "Hi")
    assert (caught.value.sent, caught.value.attempts, caught.value.status) == (True, 1, 200)
    assert caught.value.body.encode().startswith(CHAT[:40])
    assert len(server.requests) == ai.usage.unpriced == 1
    assert ai.chat_history == []


@pytest.mark.parametrize("close", [says, resets])
async def test_a_stream_without_length_that_ends_early(live: Live, close: Handler) -> None:
    said = lines({"type": "text", "text": "Half"})
    head = OK + b"Content-Type: application/x-ndjson\r\n\r\n"
    with RawServer(close(head + said)) as server:  # type: ignore[arg-type,call-arg]
        ai = live.client_at(server.url)
        stream = await live(ai, "chat", "Hi", stream=True)
        with pytest.raises(puter.PuterStreamError) as caught:
            await chunks(stream)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Half"
    assert ai.chat_history == []


FRAMING = {
    "two lengths": OK + JSON + b"Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}",
    "list of lengths": OK + JSON + b"Content-Length: 2, 20\r\n\r\n{}",
    "negative length": OK + JSON + b"Content-Length: -2\r\n\r\n{}",
    "length with a sign": OK + JSON + b"Content-Length: +2\r\n\r\n{}",
    "gzip as transfer": OK + JSON + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "negative chunk": CHUNKED + b"-5\r\n{}\r\n0\r\n\r\n",
    "chunk of -1": CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n",
    "chunk without size": CHUNKED + b"\r\n{}\r\n0\r\n\r\n",
    "long chunk extension": CHUNKED + b"2;" + b"x" * 100_000 + b"\r\n{}\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 9999 + b"\r\n",
    "no colon": OK + b"Content-Length 2\r\n" + JSON + b"\r\n{}",
    "folded": OK + JSON + b" more\r\nContent-Length: 2\r\n\r\n{}",
    "many headers": OK + b"X: y\r\n" * 999 + b"\r\n{}",
    "large headers": OK + (b"X: " + b"y" * 60_000 + b"\r\n") * 20 + b"\r\n{}",
    "length of letters": OK + b"Content-Length: many\r\n\r\n{}",
    "status of six digits": b"HTTP/1.1 999999 What\r\n\r\n",
    "not HTTP": b"220 mail.example.org ESMTP\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n{}",
    "status of letters": b"HTTP/1.1 abc OK\r\n\r\n{}",
}


@pytest.mark.parametrize("said", FRAMING.values(), ids=FRAMING)
async def test_a_head_or_a_chunk_that_is_damaged(live: Live, said: bytes) -> None:
    """It is noticed at once: the server keeps the connection open."""
    await refused(live, said)


async def test_a_length_may_be_said_twice_and_codings_in_several_fields(live: Live) -> None:
    length = f"Content-Length: {len(CHAT)}"
    with RawServer(says(answer(CHAT, length, length))) as server:
        assert await live(live.client_at(server.url), "chat", "Hi") == "Hello!"
    listed = answer(CHAT).replace(length.encode(), b"%s , %d" % (length.encode(), len(CHAT)))
    with RawServer(says(listed)) as server:
        assert await live(live.client_at(server.url), "chat", "Hi") == "Hello!"
    codings = ["Content-Encoding: gzip", "Content-Encoding: br"]
    told = "Content-Encoding is 'gzip, br'"
    with (
        RawServer(says(answer(PACKED, *codings))) as server,
        pytest.raises(puter.PuterResponseError, match=told),
    ):
        await live(live.client_at(server.url), "chat", "Hi")


@pytest.mark.parametrize("chunk", [b"-5\r\nhello\r\n", b"zz\r\n", b"5\r\nhello, there"])
async def test_a_bad_chunk_later_on(live: Live, chunk: bytes) -> None:
    await refused(live, CHUNKED + b"1\r\n \r\n", chunk)


async def refused(live: Live, *said: bytes) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        for piece in said:
            sock.sendall(piece)
            time.sleep(0.1)
        server.stopping.wait(20)

    with RawServer(handler) as server:
        ai = live.client_at(server.url, timeout=10)
        with pytest.raises(puter.PuterAPIError) as caught:
            await live(ai, "chat", "Hi")
        assert not isinstance(caught.value, puter.PuterTimeoutError)
        assert len(server.requests) == caught.value.attempts == 1
    assert caught.value.hint
    assert ai.chat_history == []
