"""Downloads over real sockets: hosts that drip, fall silent or break off."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import puter
from tests.sockets.raw import Asked, Handler, RawServer, answer, resets, says
from tests.sockets.test_deadlines import within
from tests.test_media import pieces_of as _pieces_of

if TYPE_CHECKING:
    from tests.sockets.live import Live

PNG = b"\x89PNG\r\n\x1a\n....IHDR"
BIG = PNG + os.urandom(200_000)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
METHODS = pytest.mark.parametrize("method", ["read", "save", "iter_bytes"])


async def use(live: Live, image: Any, method: str, path: Path) -> Any:
    """Read the value, save it there, or iterate over its bytes."""
    if method == "iter_bytes":
        return b"".join(await _pieces_of(live, image))  # type: ignore[arg-type] # it has a .kind
    args = [path] if method == "save" else []
    if live.kind == "sync":
        return getattr(image, method)(*args)
    return await getattr(image, f"async_{method}")(*args)


async def painted(live: Live, host: RawServer, **settings: Any) -> Any:
    """An image at a URL of that host, which is another than the client's own.

    The settings are for its download.
    """
    url = f"{host.url}/a.png?signature=topsecret"
    with RawServer(says(answer(b'{"success":true,"result":"%b"}' % url.encode()))) as api:
        ai = live.client_at(api.url)
        image = await live(ai, "txt2img", "x")
    wanted: dict[str, Any] = {"max_retries": 0, **settings}
    ai.config.update(**wanted)
    return image


def drips(head: bytes, piece: bytes, pause: float) -> Handler:
    """A handler that sends the piece again and again until the client leaves."""

    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(head)
        while not host_stops(sock, pause):
            sock.sendall(piece)

    return handler


def host_stops(sock: socket.socket, pause: float) -> bool:
    """Wait; whether the client, or the server at its end, has closed the connection."""
    sock.settimeout(pause)
    try:
        return not sock.recv(1)
    except TimeoutError:
        return False


WHOLE = HEAD + b"Content-Length: 1000000\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@METHODS
@pytest.mark.parametrize(
    ("head", "piece"),
    [(WHOLE, b"x"), (CHUNKED, b"1\r\nx\r\n"), (CHUNKED + b"1;", b"x"), (HEAD, b"X")],
    ids=["body", "chunks", "size of a chunk", "headers"],
)
async def test_the_deadline_ends_a_download_that_drips(
    live: Live, tmp_path: Path, method: str, head: bytes, piece: bytes
) -> None:
    with RawServer(drips(head, piece, 0.05)) as host:
        image = await painted(live, host, deadline=0.5)
        with (
            within(20, at_least=0.3),
            pytest.raises(puter.PuterTimeoutError, match="deadline") as told,
        ):
            await use(live, image, method, tmp_path / "a")
        await live.close()
    assert "topsecret" not in str(told.value)
    assert os.listdir(tmp_path) == []


@METHODS
@pytest.mark.parametrize("head", [WHOLE + PNG, WHOLE, HEAD], ids=["body", "no body", "headers"])
async def test_silence_ends_a_download(
    live: Live, tmp_path: Path, method: str, head: bytes
) -> None:
    with RawServer(drips(head, b"", 0.05)) as host:
        image = await painted(live, host, timeout=0.4)
        with (
            within(20, at_least=0.3),
            pytest.raises(puter.PuterTimeoutError, match="silent") as told,
        ):
            await use(live, image, method, tmp_path / "a")
        await live.close()
    assert "topsecret" not in str(told.value)
    assert os.listdir(tmp_path) == []


async def test_the_deadline_counts_between_the_pieces_too(live: Live) -> None:
    """As it says: it is for the whole iteration, the time of whoever iterates included."""
    with RawServer(drips(WHOLE + PNG, b"x", 0.05)) as host:
        image = await painted(live, host, deadline=0.5)
        with within(20, at_least=0.3), pytest.raises(puter.PuterTimeoutError, match="deadline"):
            await _iterate(live, image)
        await live.close()


async def _iterate(live: Live, image: Any) -> None:
    if live.kind == "sync":
        for _ in image.iter_bytes():
            time.sleep(0.2)  # noqa: ASYNC251 - as a sync program does
    else:
        async for _ in image.async_iter_bytes():
            await asyncio.sleep(0.2)


PACKED = gzip.compress(BIG, mtime=0)
CUT: dict[str, Handler] = {
    "length": says(answer(BIG, kind="image/png", length=len(BIG) + 1)),
    "chunks": says(CHUNKED + b"%x\r\n%b\r\n" % (len(BIG), BIG)),
    "within a chunk": says(CHUNKED + b"%x\r\n%b" % (len(BIG) + 9, BIG)),
    "gzip": says(answer(PACKED[:-20], "Content-Encoding: gzip", kind="image/png")),
    "reset": resets(HEAD + b"Connection: close\r\n\r\n" + BIG),
    "empty": says(answer(b"", kind="image/png")),
    "no content": says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "page": says(answer(b"<p>Sign in", kind="text/html")),
}


@METHODS
@pytest.mark.parametrize(
    "cut",
    list(CUT),
)
async def test_a_download_that_is_not_whole_is_an_error_and_can_be_made_again(
    live: Live, tmp_path: Path, method: str, cut: str
) -> None:
    first_answers: list[Handler] = [CUT[cut]]

    def handler(sock: socket.socket, asked: Asked) -> None:
        (first_answers.pop() if first_answers else says(answer(BIG, kind="image/png")))(sock, asked)

    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with RawServer(handler) as host:
        image = await painted(live, host, max_retries=2)
        with pytest.raises(puter.PuterAPIError) as told:
            await use(live, image, method, path)
        assert "topsecret" not in str(told.value)
        assert (os.listdir(tmp_path), path.read_bytes()) == (["a.png"], b"old")
        again = await use(live, image, method, path)
        await live.close()
    assert (again if method != "save" else path.read_bytes()) == BIG


LIMIT = 50_000


@METHODS
@pytest.mark.parametrize(
    "reply",
    [
        answer(BIG, kind="image/png"),
        CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BIG), BIG),
        answer(gzip.compress(PNG + bytes(10**7)), "Content-Encoding: gzip", kind="image/png"),
    ],
    ids=["length", "chunks", "bomb"],
)
async def test_a_download_above_the_limit_is_an_error(
    live: Live, tmp_path: Path, method: str, reply: bytes
) -> None:
    with RawServer(says(reply)) as host:
        image = await painted(live, host, max_response_bytes=LIMIT)
        with pytest.raises(puter.PuterResponseError) as told:
            await use(live, image, method, tmp_path / "a")
        await live.close()
    assert "topsecret" not in str(told.value)
    assert (os.listdir(tmp_path), len(host.requests)) == ([], 1)


@METHODS
async def test_no_log_has_the_query_of_a_signed_url(
    live: Live, tmp_path: Path, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with RawServer(says(answer(BIG, kind="image/png"))) as host:
        image = await painted(live, host)
        await use(live, image, method, tmp_path / "a.png")
        await live.close()
    assert any("/a.png" in one.getMessage() for one in caplog.records)
    assert "topsecret" not in caplog.text
