"""Pictures as values, and their bytes: in memory, or fetched once from another host."""

from __future__ import annotations

import asyncio
import copy
import errno
import os
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import puter
from puter import Image
from puter.exceptions import PuterError
from puter.files import Incomplete, write_whole
from tests.sockets.raw import Asked, Handler, RawServer, answer, closed_port

PNG = b"\x89PNG\r\n\x1a\n....IHDR"
URI = "data:image/png;base64,iVBORw0KGgouLi4uSUhEUg=="


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def call(kind: str, image: Image, method: str, *args: Any) -> Any:
    if kind == "sync":
        return await asyncio.to_thread(getattr(image, method), *args)
    return await getattr(image, f"async_{method}")(*args)


def serves(
    *replies: bytes | Callable[[Asked], bytes],
) -> Handler:
    """One reply after the other; the last is repeated."""
    script = list(replies)

    def handler(sock: socket.socket, asked: Asked) -> bool:
        one = script.pop(0) if len(script) > 1 else script[0]
        sock.sendall(one(asked) if callable(one) else one)
        return True

    return handler


def png(*headers: str) -> bytes:
    return answer(PNG, *headers, kind="image/png")


@contextmanager
def hosting(*replies: Any) -> Iterator[RawServer]:
    with RawServer(serves(*replies)) as server:
        yield server


# ------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("address", "data", "mime_type"),
    [
        (URI, PNG, "image/png"),
        ("DATA:image/PNG;BASE64," + URI.partition(",")[2], PNG, "image/png"),
        (URI.rstrip("="), PNG, "image/png"),
        (URI.replace("=", "%3D"), PNG, "image/png"),
        (URI[:40] + "\n " + URI[40:], PNG, "image/png"),
        ("data:image/png;name=a.png;base64," + URI.partition(",")[2], PNG, "image/png"),
        ("data:image/jpeg;base64," + URI.partition(",")[2], PNG, "image/png"),  # the bytes tell
        ("data:;base64," + URI.partition(",")[2], PNG, "image/png"),
        ("data:image/svg+xml,%3Csvg/%3E", b"<svg/>", "image/svg+xml"),
        ("data:image/svg+xml;charset=utf-8,<svg/>", b"<svg/>", "image/svg+xml"),
        ("data:application/x,%ff%00", b"\xff\x00", "application/x"),
    ],
)
async def test_a_data_uri_is_in_memory(
    kind: str, address: str, data: bytes, mime_type: str
) -> None:
    image = Image.of(address)
    assert (image.bytes, image.mime_type, image.url) == (data, mime_type, None)
    assert await call(kind, image, "read") == data


def test_bytes_become_a_data_uri_and_back() -> None:
    assert Image(PNG).data_uri() == URI
    assert Image.of(Image(PNG).data_uri()) == Image(PNG)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "image.png",
        "/tmp/x.png",
        "ftp://example.org/x.png",
        "httpx://a",
        "data:image/png;base64,A",
    ],
)
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(puter.PuterResponseError):
        Image.of(address)


def test_either_bytes_or_a_url() -> None:
    for data, url in ((None, None), (PNG, "https://example.org")):
        with pytest.raises(puter.PuterInputError, match="either the bytes or the URL"):
            Image(data, url=url)


def test_images_compare_by_what_they_hold() -> None:
    here, there = Image(PNG), Image(url="https://example.org/a.png")
    assert here == Image.of(URI)
    assert hash(here) == hash(Image.of(URI))
    assert there == Image.of("https://example.org/a.png")
    assert len({here, Image(PNG), there, Image(url="https://example.org/a.png")}) == 2
    assert here != there
    assert here != Image(PNG + b".")
    assert here != Image(PNG, mime_type="image/x")
    assert here != PNG
    assert here != puter.Video(PNG)


def test_images_copy_and_pickle_but_do_not_change() -> None:
    for image in (Image(PNG), Image(url="https://example.org/a.png", mime_type="image/x")):
        for twin in (pickle.loads(pickle.dumps(image)), copy.copy(image), copy.deepcopy(image)):
            assert twin == image
            assert (twin.mime_type, twin.url) == (image.mime_type, image.url)
        with pytest.raises(AttributeError, match="cannot be changed"):
            image.url = "x"
        with pytest.raises(AttributeError, match="cannot be changed"):
            del image.url


def test_images_show_what_they_are_and_not_their_bytes() -> None:
    assert repr(Image(PNG * 1000)) == "<Image image/png 16000 bytes>".replace("png ", "png, ")
    assert repr(Image(url="https://example.org/a.webp")) == (
        "<Image image/webp, https://example.org/a.webp>"
    )
    assert repr(Image(b"?")) == "<Image of unknown type, 1 bytes>"
    assert repr(Image(url="https://[")) == "<Image of unknown type, https://[>"


def test_bytes_that_are_not_here_are_a_sentence() -> None:
    image = Image(url="https://example.org/a.png")
    for use in (lambda: image.bytes, image.data_uri):
        with pytest.raises(PuterError, match=r"not in memory.*read\(\).*async_read\(\)"):
            use()


# ------------------------------------------------------------ fetching


async def test_a_url_is_fetched_once_and_without_the_token(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUTER_AUTH_TOKEN", "secret-token")
    monkeypatch.setenv("PUTER_HEADERS", '{"X-Key": "secret-key"}')
    with hosting(png()) as host:
        image = Image(url=f"{host.url}/a?signature=1")
        before = hash(image)
        assert image.mime_type == ""
        for _ in range(3):
            assert await call(kind, image, "read") == PNG
        assert image.bytes == image.read() == await image.async_read() == PNG
        assert (image.mime_type, hash(image)) == ("image/png", before)
        assert pickle.loads(pickle.dumps(image)).bytes == PNG
    (asked,) = host.requests
    assert asked.line == "GET /a?signature=1 HTTP/1.1"
    assert asked.headers.keys() <= {"host", "user-agent", "accept", "accept-encoding", "connection"}
    assert asked.headers["user-agent"].startswith("puter-python-sdk/")
    assert "secret" not in str(asked)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 T", "308 P"])
async def test_a_redirect_is_followed(kind: str, status: str) -> None:
    with hosting(png()) as storage:
        moved = [
            answer(b"", f"Location: {storage.url}/b%20c.png", status=status),
            answer(b"moved", "Location: ../a", status=status, kind="text/html"),
        ]
        with hosting(*reversed(moved)) as host:
            assert await call(kind, Image(url=f"{host.url}/x/y"), "read") == PNG
        assert [one.line for one in host.requests] == ["GET /x/y HTTP/1.1", "GET /a HTTP/1.1"]
    assert [one.line for one in storage.requests] == ["GET /b%20c.png HTTP/1.1"]


async def test_redirects_in_circles_end(kind: str) -> None:
    circle = answer(b"", "Location: /again", status="302 Found")
    told = pytest.raises(puter.PuterAPIError, match="redirects in circles")
    with hosting(circle) as host, told:
        await call(kind, Image(url=host.url), "read")
    assert len(host.requests) == 6


@pytest.mark.parametrize(
    "where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x", "http://["]
)
async def test_a_redirect_out_of_the_web_is_not_followed(kind: str, where: str) -> None:
    away = answer(b"", f"Location: {where}", status="302 Found")
    with hosting(away) as host, pytest.raises(PuterError):
        await call(kind, Image(url=host.url), "read")


async def test_an_address_as_people_write_it(kind: str) -> None:
    with hosting(png()) as host:
        assert await call(kind, Image(url=f"{host.url}/ein Bild \u00fc.png"), "read") == PNG
    assert [one.line for one in host.requests] == ["GET /ein%20Bild%20%C3%BC.png HTTP/1.1"]


@pytest.mark.parametrize(
    ("status", "error"), [("404 N", puter.PuterNotFoundError), ("403 F", puter.PuterNotFoundError)]
)
async def test_what_is_gone_is_told(kind: str, status: str, error: type[PuterError]) -> None:
    with hosting(answer(b"<Error/>", status=status)) as host:
        image = Image(url=f"{host.url}/a?signature=secret")
        with pytest.raises(error, match=r"could not be fetched.*addresses expire") as caught:
            await call(kind, image, "read")
        assert "secret" not in str(caught.value)
    assert len(host.requests) == 1


async def test_a_failing_host_is_asked_again(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUTER_RETRY_DELAY", "0")
    with hosting(answer(b"", status="503 Unavailable"), png()) as host:
        assert await call(kind, Image(url=host.url), "read") == PNG
    assert len(host.requests) == 2


async def test_a_host_that_is_not_there_is_told(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUTER_MAX_RETRIES", "0")
    with pytest.raises(puter.PuterConnectionError, match="No connection") as caught:
        await call(kind, Image(url=f"http://127.0.0.1:{closed_port()}/a.png"), "read")
    assert caught.value.sent is False


@pytest.mark.parametrize("url", ["http://[", "https://", "nonsense", "ftp://127.0.0.1/a.png"])
async def test_a_url_that_is_none_is_one_of_our_errors(kind: str, url: str) -> None:
    with pytest.raises(PuterError):
        await call(kind, Image(url=url), "read")


async def test_the_bytes_tell_the_type_before_the_host_does(kind: str) -> None:
    with hosting(
        answer(PNG, kind="application/octet-stream"), answer(b"<svg/>", kind="image/svg+xml")
    ) as host:
        pictures = [Image(url=f"{host.url}/{n}") for n in range(2)]
        for one in pictures:
            await call(kind, one, "read")
    assert [one.mime_type for one in pictures] == ["image/png", "image/svg+xml"]


async def test_few_bytes_at_first_do_not_hide_the_type(kind: str) -> None:
    head, _, _ = answer(PNG, kind="application/octet-stream").partition(PNG)

    def drips(sock: socket.socket, _asked: Asked) -> None:
        for piece in (head, PNG[:3], PNG[3:5], PNG[5:]):
            sock.sendall(piece)
            time.sleep(0.02)

    with RawServer(drips) as host:
        image = Image(url=host.url)
        assert await call(kind, image, "read") == PNG
    assert image.mime_type == "image/png"


# ------------------------------------------------------------ saving


@pytest.mark.parametrize(
    ("name", "saved"),
    [("a", "a.png"), ("a.png", "a.png"), ("a.dat", "a.dat"), (".hidden", ".hidden.png")],
)
async def test_saving_adds_the_extension_that_is_missing(
    kind: str, tmp_path: Path, name: str, saved: str
) -> None:
    with hosting(png()) as host:
        for image in (Image(PNG), Image(url=host.url)):
            for path in (tmp_path / name, str(tmp_path / name)):
                assert await call(kind, image, "save", path) == tmp_path / saved
                assert (tmp_path / saved).read_bytes() == PNG
    assert len(host.requests) == 1  # small: kept the first time
    assert os.listdir(tmp_path) == [saved]


async def test_a_download_that_breaks_off_leaves_the_old_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def cut(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(answer(PNG * 10_000, kind="image/png", length=10**6))

    with RawServer(cut) as host:
        image = Image(url=host.url)
        with pytest.raises(puter.PuterConnectionError, match="before the answer was complete"):
            await call(kind, image, "save", path)
        with pytest.raises(PuterError, match="not in memory"):
            _ = image.bytes
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


async def test_a_file_that_cannot_be_written_is_an_os_error(kind: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await call(kind, Image(PNG), "save", tmp_path / "no" / "folder")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OSError, match="directory"):
        await call(kind, Image(PNG), "save", tmp_path / "folder.png")
    assert os.listdir(tmp_path) == ["folder.png"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    class Full:
        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    def write() -> None:
        with Incomplete(tmp_path / "a.png") as file:
            file._file.close()
            file._file = Full()  # type: ignore[assignment] # stands in for a file on it
            file.write(PNG)

    with pytest.raises(OSError, match="No space left"):
        write()
    assert os.listdir(tmp_path) == []


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a"]


async def test_the_doors_share_their_words(kind: str) -> None:
    for name in ("read", "save", "iter_bytes"):
        assert getattr(Image, f"async_{name}").__doc__ == getattr(Image, name).__doc__
        assert getattr(Image, name).__doc__
