"""No answer takes more memory than ``max_response_bytes``, however it comes."""

from __future__ import annotations

import contextlib
import gzip
import socket
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

import puter
from puter.testing import LocalPuter
from tests.door import chunks, lines
from tests.sockets.raw import Asked, Handler, RawServer, answer, keeps, says
from tests.sockets.test_memory import measure

if TYPE_CHECKING:
    from tests.sockets.live import Live

MIB = 2**20
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n"
JSON, NDJSON = b"application/json", b"application/x-ndjson"
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
LINE = lines({"type": "text", "text": "x" * 1000})


def zeros(wbits: int) -> bytes:
    packer = zlib.compressobj(wbits=wbits)
    packed = [packer.compress(bytes(MIB)) for _ in range(200)]
    return b"".join([*packed, packer.flush()])


def endless(head: bytes, piece: bytes) -> Handler:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(head)
        with contextlib.suppress(OSError):  # the client has had enough
            while True:
                sock.sendall(piece)

    return handler


GZIP = "Content-Encoding: gzip"
BOMB = zeros(31)
ENDLESS: dict[str, Handler] = {
    "chunks": endless(CHUNKED % JSON, b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "tiny chunks": endless(CHUNKED % JSON, b"1\r\n \r\n" * 10_000),
    "until closed": endless(UNTIL_CLOSED % JSON, b" " * 65536),
    "with a length": says(answer(bytes(40 * MIB))),
    "gzip": says(answer(BOMB, GZIP)),
    "deflate": says(answer(zeros(15), "Content-Encoding: deflate")),
    "raw deflate": says(answer(zeros(-15), "Content-Encoding: deflate")),
    "gzip of nothing": says(answer(gzip.compress(b"") * 400_000, GZIP)),
}
OTHERS: dict[str, Handler] = {
    "an error": says(answer(BOMB, GZIP, status="502 Bad Gateway")),
    "headers": endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10_000),
    "announcements": endless(b"", b"HTTP/1.1 100 Go on\r\n\r\n" * 1000),
}


@pytest.mark.parametrize("handler", ENDLESS.values(), ids=ENDLESS)
async def test_an_answer_over_the_limit_is_refused(live: Live, handler: Handler) -> None:
    with RawServer(handler) as server:
        ai = live.client_at(server.url, max_response_bytes=300_000)
        with pytest.raises(puter.PuterResponseError, match="more than 300,000 bytes") as caught:
            await live(ai, "chat", "Hi")
        assert f"127.0.0.1:{server.port}" in str(caught.value)
        assert "max_response_bytes" in caught.value.hint
        assert "billed" in caught.value.hint
        assert (caught.value.status, caught.value.attempts) == (200, 1)
        assert len(server.requests) == ai.usage.unpriced == 1
        assert ai.chat_history == []


@pytest.mark.parametrize("length", [300_001, 10**30, int("9" * 4000)], ids=[1, 2, 3])
async def test_a_length_over_the_limit_is_refused_before_anything_comes(
    live: Live, length: int
) -> None:
    with RawServer(keeps(answer(b"", length=length))) as server:
        ai = live.client_at(server.url, max_response_bytes=300_000, timeout=20)
        with pytest.raises(puter.PuterResponseError):
            await live(ai, "chat", "Hi")


async def test_a_stream_over_the_limit_is_refused(live: Live) -> None:
    chunk = b"%x\r\n%s\r\n" % (len(LINE), LINE)
    with RawServer(endless(CHUNKED % NDJSON, chunk)) as server:
        ai = live.client_at(server.url, max_response_bytes=300_000)
        stream = await live(ai, "chat", "Hi", stream=True)
        with pytest.raises(puter.PuterStreamError, match="more than 300,000 bytes") as caught:
            await chunks(stream)
    assert caught.value.partial is not None
    assert len(caught.value.partial.text) < 300_000


async def test_a_packed_stream_over_the_limit_is_refused(live: Live) -> None:
    packed = gzip.compress(LINE * 10_000)
    with RawServer(says(answer(packed, "Content-Encoding: gzip", kind=NDJSON.decode()))) as server:
        ai = live.client_at(server.url, max_response_bytes=300_000)
        with pytest.raises(puter.PuterStreamError, match="more than 300,000 bytes"):
            await chunks(await live(ai, "chat", "Hi", stream=True))


async def test_a_download_over_the_limit_is_refused(live: Live) -> None:
    with LocalPuter(tier=None) as local:
        ai = live.client(local, max_response_bytes=300_000)
        data = bytes(400_000)
        saved = await live(ai, "upload", data, "~/large.bin")
        with pytest.raises(puter.PuterResponseError, match="more than 300,000 bytes"):
            await live(ai, "read_file", saved.path)


async def test_a_url_over_the_limit_is_refused(live: Live) -> None:
    with RawServer(keeps(answer(b"", kind="image/png", length=300_001))) as host:
        live.puter.media_with(host.url)
        ai = live.client(max_response_bytes=300_000)
        image = await live(ai, "txt2img", "a cat")
        with pytest.raises(puter.PuterResponseError, match="more than 300,000 bytes") as caught:
            image.read()
        assert "max_response_bytes" in caught.value.hint


async def test_an_answer_at_the_limit_is_read(live: Live) -> None:
    said = answer()
    body = said.partition(b"\r\n\r\n")[2]
    with RawServer(keeps(said)) as server:
        ai = live.client_at(server.url, max_response_bytes=len(body))
        assert await live(ai, "chat", "Hi") == "Hello!"
        ai.config.update(max_response_bytes=len(body) - 1)
        with pytest.raises(puter.PuterResponseError):
            await live(ai, "chat", "Hi")


SLOW = ("tiny chunks", "gzip of nothing")
"""They take long to come to a limit of MiB."""


@linux
@pytest.mark.parametrize("name", [one for one in {**ENDLESS, **OTHERS} if one not in SLOW])
def test_memory_grows_by_the_limit_at_most(kind: str, name: str) -> None:
    handler = {**ENDLESS, **OTHERS}[name]
    with LocalPuter(tier=None) as local, RawServer(handler, remembers=False) as server:
        grown = measure(
            local,
            kind,
            f"""
import puter
chat = measured("chat", "Hi", remember=False)
chat()  # everything is imported
ai = PuterAI(proxy="", api_base={server.url!r}, max_response_bytes=8 * 2**20, max_retries=0)
forget()
before = most()
try:
    chat()
except (puter.PuterResponseError, puter.PuterServerError) as error:
    assert {name in OTHERS} or "max_response_bytes" in error.hint, error
else:
    raise AssertionError
print(most() - before)
""",
        )
    assert grown < 1.3 * 8


@linux
def test_an_answer_below_the_limit_is_kept_once(kind: str) -> None:
    """Its bytes, in the reply of the transport; the rest of a call is not the transport's."""
    size = 64 * MIB
    reply = answer(gzip.compress(bytes(size), 1), GZIP)
    with LocalPuter(tier=None) as local, RawServer(says(reply)) as server:
        grown = measure(
            local,
            kind,
            f"""
from puter.engine.effects import Send
from puter.wire.http import HttpRequest
measured("chat", "warm")()
effect = Send(HttpRequest("GET", {server.url!r}, proxy=""))
transport = ai._shared.transports[DOOR]
forget()
before = most()
reply = transport.send(effect) if DOOR == "sync" else run(transport.async_send(effect))
assert len(reply.body) == {size}
print(most() - before)
""",
        )
    assert grown < 1.3 * size / MIB


@linux
@pytest.mark.parametrize("size", [300, 3000, 300_000])
def test_a_stream_that_is_refused_takes_no_more_with_its_error(kind: str, size: int) -> None:
    text = lines({"type": "text", "text": "x" * size})
    chunk = b"%x\r\n%s\r\n" % (len(text), text)
    handler = endless(CHUNKED % NDJSON, chunk * (65536 // len(chunk) + 1))
    with LocalPuter(tier=None) as local, RawServer(handler, remembers=False) as server:
        grown = measure(
            local,
            kind,
            f"""
import puter

async def listen():
    async for _ in await ai.async_chat("Hi", stream=True, remember=False):
        pass

def stream():
    if DOOR == "async":
        run(listen())
    else:
        ai.chat("Hi", stream=True, remember=False).until_done()

stream()  # everything is imported
ai = PuterAI(proxy="", api_base={server.url!r}, max_response_bytes=32 * 2**20)
forget()
before = most()
try:
    stream()
except puter.PuterStreamError as error:
    assert len(error.partial) > 2**21
else:
    raise AssertionError
print(most() - before)
""",
        )
    assert grown < 1.3 * 32
