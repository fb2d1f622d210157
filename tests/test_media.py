"""Images as values, and their bytes: in memory, or downloaded once from another host."""

from __future__ import annotations

import asyncio
import copy
import errno
import os
import pickle
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import puter
from puter import Image
from puter.api.downloads import KEPT, REDIRECTS
from puter.atomic import AtomicFile, write_whole
from puter.exceptions import PuterError
from tests.door import CUT, REFUSED, Answer, Door, Sent, stream_answer, text_answer

PNG = b"\x89PNG\r\n\x1a\n....IHDR"
URI = "data:image/png;base64,iVBORw0KGgouLi4uSUhEUg=="
URL = "https://media.example.org/a.png?signature=topsecret"
GONE = text_answer("<Error/>", "application/xml", 404)


def png(*pieces: Any, kind: str = "image/png") -> Any:
    """An answer with an image, in pieces."""
    return lambda _: stream_answer(*(pieces or (PNG,)), **{"Content-Type": kind})


def redirect(where: str, status: int = 302) -> Answer:
    return text_answer(b"moved", "text/html", status, Location=where)


async def generate(door: Door, *downloads: Any, url: str = URL, **settings: Any) -> Image:
    """What ``txt2img()`` makes of an answer with that URL; the downloads are answered in order."""
    script = list(downloads)

    def respond(sent: Sent) -> Any:
        if sent.url.endswith("/drivers/call"):
            return {"success": True, "result": url}
        one = script.pop(0) if len(script) > 1 else script[0]
        return one(sent) if callable(one) else one

    door.answers(respond)
    image = await door(door.client(**settings), "txt2img", "a cat")
    assert (image, door.sent.pop().args) == (Image(url=url), {"prompt": "a cat"})
    return image  # type: ignore[no-any-return]


async def call(door: Door, image: Image, method: str, *args: Any) -> Any:
    if door.kind == "sync":
        return getattr(image, method)(*args)
    return await getattr(image, f"async_{method}")(*args)


async def pieces_of(door: Door, image: Image) -> list[bytes]:
    if door.kind == "sync":
        return list(image.iter_bytes())
    return [piece async for piece in image.async_iter_bytes()]


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
    door: Door, address: str, data: bytes, mime_type: str
) -> None:
    image = Image.of(address)
    assert (image.bytes, image.mime_type, image.url) == (data, mime_type, None)
    assert await call(door, image, "read") == data


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
    with pytest.raises(puter.PuterInputError) as caught:
        Image.of(address)
    assert "newer" not in str(caught.value)


@pytest.mark.parametrize("what", [b"GIF89a", Path("cat.png"), None])
def test_what_of_takes_is_told(what: Any) -> None:
    with pytest.raises(puter.PuterInputError, match="takes a data URI or a URL") as caught:
        Image.of(what)
    assert "Image(data)" in caught.value.hint


@pytest.mark.parametrize(
    "payload",
    [
        *("xx!!", "A", "R0lG=ODlh", "R0lGODl-", "R0lG\ud83d", "R0lG\u00e9"),
        "A" * (2**16 - 2) + "==" + "AAAA",
        "A" * (2**16 - 1) + "=" + "=" * 2**17 + "A",
    ],
)
def test_no_garbage_is_read_out_of_broken_base64(payload: str) -> None:
    with pytest.raises(puter.PuterInputError, match="does not hold valid base64"):
        Image.of(f"data:image/png;base64,{payload}")


@pytest.mark.parametrize("payload", ["R0lGODk=", "R0lGODk", "R0lG ODk%3D", "R0lGODk=="])
def test_base64_may_be_padded_or_not(payload: str) -> None:
    assert Image.of(f"data:image/gif;base64,{payload}").bytes == b"GIF89"


ODD_URIS = {
    "base64": (";base64", "QUFB", b"AAA"),
    "with blanks": (";base64", "QU F\nB", b"AAA"),
    "with escapes": (";base64", "%51U%46B", b"AAA"),
    "escapes": ("", "%41", b"A"),
    "half of them escapes": ("", "A%42C", b"ABC"),
}


@pytest.mark.parametrize("name", ODD_URIS)
def test_a_large_data_uri_costs_little_more_than_what_it_holds(name: str) -> None:
    coding, unit, holds = ODD_URIS[name]
    many = 2**20 // len(unit)
    address = f"data:image/x-odd{coding}," + unit * many
    tracemalloc.start()
    try:
        data = Image.of(address).bytes
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert data == holds * many
    assert peak < 1.3 * len(data) + 4 * 2**20


async def test_the_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    image, path = Image(PNG), tmp_path / "nodir" / "x.png"
    told = "no such folder.*nodir/x.png"
    with pytest.raises(FileNotFoundError, match=told):
        image.save(path)
    with pytest.raises(FileNotFoundError, match=told):
        await image.async_save(path)


def test_a_folder_is_no_file_to_write_and_nothing_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    with pytest.raises(OSError, match=r"x\.png'$"):
        Image(PNG).save(tmp_path / "x.png")
    assert [one.name for one in tmp_path.iterdir()] == ["x.png"]


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


# ------------------------------------------------------------ downloading


async def test_a_url_is_downloaded_once_and_without_secrets(door: Door) -> None:
    image = await generate(door, png(kind="application/x"), headers={"X-Key": "secret-key"})
    before = hash(image)
    with pytest.raises(PuterError, match="not in memory"):
        _ = image.bytes
    for _ in range(3):
        assert await call(door, image, "read") == PNG
    assert image.bytes == image.read() == await image.async_read() == PNG
    assert (image.mime_type, hash(image)) == ("image/png", before)
    for twin in (pickle.loads(pickle.dumps(image)), copy.deepcopy(image)):
        assert (twin, twin.bytes) == (image, PNG)
    (sent,) = door.sent
    assert (sent.method, sent.url, sent.body) == ("GET", URL, b"")
    assert sent.headers.keys() == {"User-Agent", "Accept"}


async def test_a_url_that_no_client_made_is_a_sentence(door: Door, tmp_path: Path) -> None:
    image = Image(url=URL)
    for method, args in (("read", ()), ("save", (tmp_path / "a",))):
        with pytest.raises(PuterError, match=r"did not come from a client.*requests") as caught:
            await call(door, image, method, *args)
        assert "topsecret" not in str(caught.value)
    with pytest.raises(PuterError, match="did not come from a client"):
        await pieces_of(door, image)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(door: Door, status: int) -> None:
    image = await generate(
        door,
        redirect("https://store.example.org/x/y", status),
        redirect("../b%20c.png", status),
        png(),
        headers={"X-Key": "secret-key"},
    )
    assert await call(door, image, "read") == PNG
    assert [one.url for one in door.sent] == [
        URL, "https://store.example.org/x/y", "https://store.example.org/b%20c.png",
    ]  # fmt: skip
    assert all(one.headers.keys() == {"User-Agent", "Accept"} for one in door.sent)


async def test_redirects_in_circles_end(door: Door) -> None:
    image = await generate(door, redirect("/again"))
    with pytest.raises(puter.PuterAPIError, match="redirects in circles"):
        await call(door, image, "read")
    assert len(door.sent) == REDIRECTS + 1


ODD = [
    "http://[",
    "http://[::1",
    "http://[zz]/",
    "http://[1.2.3.4]/",
    "https://",
    "http:///a.png",
    "http://?a",
    "https://h:99999/",
    "https://h:0/",
    "https://h:-1/",
    "https://h:x/",
    "https://user:hunter22@h/a",
    "https://a..b/",
    "https://.a/",
    f"https://{'a' * 64}.org/",
    f"https://{'a.' * 200}org/",
    "https://" + "\u00fc" * 2000 + ".org/",
    "https://a b/",
    "https://a\x00b/",
    "https://a\x7fb/",
    "https://a%00b/",
    "https://a<b/",
    "https://a\\b/",
    "https://\u2100.org/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f.0.0.1/",
    "https://0x7F000001/",
    "https://127.1./",
    "https://300.1.1.1/",
]
"""URLs to nowhere, of the web as they may seem."""


@pytest.mark.parametrize("url", ODD, ids=ascii)
async def test_an_odd_url_is_one_of_our_errors(door: Door, url: str, tmp_path: Path) -> None:
    url += "?signature=topsecret"
    named = await generate(door, png(), url=url)
    actions = [call(door, named, "read"), call(door, named, "save", tmp_path / "a")]
    for action in (*actions, pieces_of(door, named)):
        with pytest.raises(puter.PuterResponseError, match="no URL") as caught:
            await action
        assert "topsecret" not in str(caught.value) + repr(named)
        assert "hunter22" not in str(caught.value) + repr(named)
    assert (door.sent, os.listdir(tmp_path)) == ([], [])
    if url.isascii() and url.isprintable() and "//?" not in url:  # what a header may hold
        moved = await generate(door, redirect(url))
        with pytest.raises(puter.PuterResponseError, match="no URL"):
            await call(door, moved, "read")
        assert len(door.sent) == 1


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("B\u00dcCHER.example", "xn--bcher-kva.example"),
        ("a_b.example.", "a_b.example."),
        ("40x.example.0xample", "40x.example.0xample"),
        ("[::1]:8", "[::1]:8"),
        ("127.0.0.1:65535", "127.0.0.1:65535"),
    ],
)
async def test_hosts_as_they_may_be(door: Door, host: str, asked: str) -> None:
    image = await generate(door, png(), url=f"https://{host}/a")
    assert await call(door, image, "read") == PNG
    assert door.sent[0].url == f"https://{asked}/a"


NEAR = [
    "127.0.0.1",
    "localhost",
    "a.localhost.",
    "10.1.2.3",
    "169.254.169.254",
    "[::1]",
    "[fe80::1]",
]


@pytest.mark.parametrize("host", NEAR)
async def test_the_web_does_not_redirect_to_this_network(door: Door, host: str) -> None:
    image = await generate(door, redirect(f"http://{host}:80/x?signature=topsecret"), png())
    with pytest.raises(puter.PuterResponseError, match="into a private network") as caught:
        await call(door, image, "read")
    assert "topsecret" not in str(caught.value)
    assert len(door.sent) == 1
    inside = await generate(door, redirect(f"http://{host}/b"), png(), url="http://localhost:1/a")
    assert await call(door, inside, "read") == PNG


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
async def test_a_page_in_place_of_the_file_is_no_file(
    door: Door, tmp_path: Path, kind: str
) -> None:
    image = await generate(door, text_answer('{"a": 1}', kind), png())
    with pytest.raises(puter.PuterResponseError, match=f"sent {kind}") as caught:
        await call(door, image, "save", tmp_path / "a")
    assert (caught.value.status, caught.value.body) == (200, None)
    assert os.listdir(tmp_path) == []
    assert await call(door, image, "save", tmp_path / "a") == tmp_path / "a.png"


async def test_nothing_is_no_file(door: Door, tmp_path: Path) -> None:
    empty = png(b"", kind="image/gif")
    image = await generate(door, empty, empty, empty, png())
    actions = [call(door, image, "read"), call(door, image, "save", tmp_path / "a")]
    for action in (*actions, pieces_of(door, image)):
        with pytest.raises(puter.PuterEmptyResponseError, match=r"a\.png\?\.\.\. is empty") as told:
            await action
        assert (told.value.status, told.value.body) == (200, None)
        assert door.answered.closed
    assert os.listdir(tmp_path) == []
    assert await call(door, image, "save", tmp_path / "a") == tmp_path / "a.png"


def test_signed_urls_are_not_shown() -> None:
    image = Image(url="https://me:hunter22@example.org/a.png?X-Amz-Signature=topsecret\n#topsecret")
    told = [repr(image), repr(puter.ChatReply("Hi", images=(image,)))]
    for use in (lambda: image.bytes, image.read, image.data_uri):
        with pytest.raises(PuterError) as caught:
            use()
        told.append(str(caught.value))
    with pytest.raises(puter.PuterInputError) as wrong:
        Image.of("ftp://example.org/a?topsecret")
    told.append(str(wrong.value))
    assert "https://example.org/a.png?..." in told[0]
    assert not any(secret in one for one in told for secret in ("topsecret", "hunter22", "\n"))


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[", ""])
async def test_a_redirect_out_of_the_web_is_not_followed(door: Door, where: str) -> None:
    image = await generate(door, redirect(where), url="https://media.example.org")
    with pytest.raises((puter.PuterResponseError, puter.PuterAPIError)):
        await call(door, image, "read")
    assert {one.url for one in door.sent} == {"https://media.example.org"}


async def test_a_url_as_people_write_it(door: Door) -> None:
    image = await generate(door, png(), url="https://example.org/ein Bild \u00fc.png?a=b c#d")
    assert await call(door, image, "read") == PNG
    assert door.sent[0].url == "https://example.org/ein%20Bild%20%C3%BC.png?a=b%20c"


@pytest.mark.parametrize("method", ["read", "save", "iter_bytes"])
@pytest.mark.parametrize(
    ("status", "error", "attempts"),
    [
        (400, puter.PuterBadRequestError, 1),
        (401, puter.PuterPermissionError, 1),
        (403, puter.PuterPermissionError, 1),
        (404, puter.PuterNotFoundError, 1),
        (410, puter.PuterNotFoundError, 1),
        (408, puter.PuterServerError, 3),
        (429, puter.PuterRateLimitError, 3),
        (500, puter.PuterServerError, 3),
        (503, puter.PuterServerError, 3),
    ],
)
async def test_a_host_that_refuses_is_a_typed_error(
    door: Door,
    tmp_path: Path,
    method: str,
    status: int,
    error: type[puter.PuterAPIError],
    attempts: int,
) -> None:
    image = await generate(door, text_answer("<Error>page</Error>", "application/xml", status))
    args = [tmp_path / "a"] if method == "save" else []
    action = pieces_of(door, image) if method == "iter_bytes" else call(door, image, method, *args)
    with pytest.raises(error, match="could not be fetched") as caught:
        await action
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.attempts) == (status, attempts)
    assert len(door.sent) == attempts
    told = str(caught.value)
    assert "topsecret" not in told
    assert "page" not in told
    assert "puter" not in told.lower()  # the host knows nothing of accounts and allowances
    assert ("addresses expire" in told) == (attempts == 1)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "fault", [text_answer("", "text/html", 503), text_answer("", "", 429), CUT, REFUSED]
)
async def test_a_host_that_fails_or_is_busy_is_asked_again(door: Door, fault: Any) -> None:
    image = await generate(door, fault, fault, png())
    assert await call(door, image, "read") == PNG
    assert len(door.sent) == 3


async def test_the_wait_that_a_busy_host_asks_for_is_kept(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    image = await generate(door, text_answer("", "", 429, **{"Retry-After": "7"}), png())
    monkeypatch.setattr("time.sleep", waits.append)
    monkeypatch.setattr("asyncio.sleep", sleep)
    assert await call(door, image, "read") == PNG
    assert waits == [7]


async def test_a_host_that_is_not_there_is_told(door: Door) -> None:
    image = await generate(door, REFUSED, max_retries=1)
    with pytest.raises(puter.PuterConnectionError, match="No connection") as caught:
        await call(door, image, "read")
    assert (caught.value.sent, caught.value.attempts) == (False, 2)


async def test_a_failed_download_can_be_tried_again(door: Door) -> None:
    image = await generate(door, png(PNG[:8], CUT), GONE, png())
    with pytest.raises(puter.PuterConnectionError) as caught:
        await call(door, image, "read")
    assert (caught.value.sent, caught.value.attempts) == (True, 1)
    with pytest.raises(puter.PuterNotFoundError):
        await call(door, image, "read")
    assert await call(door, image, "read") == PNG


@pytest.mark.parametrize(
    ("answer", "data", "mime_type"),
    [
        (png(kind="application/octet-stream"), PNG, "image/png"),
        (png(PNG[:3], PNG[3:5], PNG[5:], kind="application/x"), PNG, "image/png"),
        (png(b"<svg/>", kind="image/svg+xml"), b"<svg/>", "image/svg+xml"),
        (png(b"?", kind=""), b"?", "image/webp"),
    ],
    ids=["bytes", "drops", "header", "url"],
)
async def test_the_bytes_tell_the_type_then_the_host_then_the_url(
    door: Door, answer: Any, data: bytes, mime_type: str
) -> None:
    image = await generate(door, answer, url="https://media.example.org/a.webp")
    assert await call(door, image, "read") == data
    assert image.mime_type == mime_type


async def test_a_download_takes_no_permit(door: Door) -> None:
    """Puter's limits are not the other host's."""
    image = await generate(door, png(), max_concurrency=1, rate_limit_requests=1)
    assert await call(door, image, "read") == PNG


async def test_many_readers_make_one_download(door: Door, tmp_path: Path) -> None:
    begun = threading.Event()
    image = await generate(door, png(begun.set, PNG, lambda: begun.wait(10), b"."))
    if door.kind == "sync":
        readers = [asyncio.to_thread(image.read) for _ in range(3)]
        others = [asyncio.to_thread(image.save, tmp_path / str(n)) for n in range(3)]
    else:
        readers = [image.async_read() for _ in range(3)]
        others = [image.async_save(tmp_path / str(n)) for n in range(3)]
    found = await asyncio.gather(*readers, *others)
    assert found == [PNG + b"."] * 3 + [tmp_path / f"{n}.png" for n in range(3)]
    for n in range(3):
        assert (tmp_path / f"{n}.png").read_bytes() == PNG + b"."
    assert len(door.sent) == 1


@pytest.mark.parametrize("method", ["read", "save"])
async def test_a_cancelled_download_leaves_the_turn_to_the_next(
    method: str, tmp_path: Path
) -> None:
    door = Door("async")
    begun = asyncio.Event()

    async def forever() -> None:
        begun.set()
        await asyncio.Event().wait()

    image = await generate(door, png(PNG, forever), png())
    args = [tmp_path / "a"] if method == "save" else []
    first = asyncio.create_task(call(door, image, method, *args))
    await begun.wait()
    stream, second = door.answered, asyncio.create_task(image.async_read())
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert stream.closed
    assert await second == PNG
    assert os.listdir(tmp_path) == []


async def test_pieces_are_passed_on_as_they_come_and_not_kept(door: Door) -> None:
    image = await generate(door, png(*[PNG] * 5))
    assert await pieces_of(door, image) == [PNG] * 5
    first: bytes
    if door.kind == "sync":
        pieces = image.iter_bytes()
        first = next(pieces)
        pieces.close()  # type: ignore[attr-defined] # a generator
    else:
        later = image.async_iter_bytes()
        first = await anext(later)
        await later.aclose()  # type: ignore[attr-defined] # a generator
    assert first == PNG
    assert door.answered.closed
    assert door.answered.read == 1
    await call(door, image, "read")
    assert await pieces_of(door, image) == [PNG * 5]
    assert len(door.sent) == 3


async def test_pieces_that_stop_half_way_are_an_error(door: Door) -> None:
    image = await generate(door, text_answer("", "", 500), png(PNG, b".", CUT))
    got: list[bytes] = []

    async def read_on() -> None:
        if door.kind == "sync":
            for piece in image.iter_bytes():
                got.append(piece)  # noqa: PERF402 - extend() would lose what came before the error
        else:
            async for piece in image.async_iter_bytes():
                got.append(piece)  # noqa: PERF401 - likewise

    with pytest.raises(puter.PuterConnectionError, match="before the answer was complete") as told:
        await read_on()
    assert (got, told.value.attempts) == ([PNG, b"."], 2)
    assert door.answered.closed


# ------------------------------------------------------------ saving


@pytest.mark.parametrize(
    ("name", "saved"),
    [("a", "a.png"), ("a.png", "a.png"), ("a.dat", "a.dat"), (".hidden", ".hidden.png")],
)
async def test_saving_adds_the_extension_that_is_missing(
    door: Door, tmp_path: Path, name: str, saved: str
) -> None:
    downloaded = await generate(door, png(kind="application/octet-stream"))
    for image in (Image(PNG), downloaded):
        for path in (tmp_path / name, str(tmp_path / name)):
            assert await call(door, image, "save", path) == tmp_path / saved
            assert (tmp_path / saved).read_bytes() == PNG
    assert len(door.sent) == 1  # small: kept the first time
    assert downloaded.bytes == PNG
    assert os.listdir(tmp_path) == [saved]


async def test_a_large_file_is_saved_without_being_kept(door: Door, tmp_path: Path) -> None:
    image = await generate(door, png(PNG, *[bytes(2**20)] * (KEPT // 2**20)))
    for name in ("a", "b"):
        path = await call(door, image, "save", tmp_path / name)
        assert path.stat().st_size == KEPT + len(PNG)
        with pytest.raises(PuterError, match="not in memory"):
            _ = image.bytes
    assert len(door.sent) == 2


@pytest.mark.parametrize("fault", [CUT, GONE])
async def test_a_download_that_fails_leaves_the_old_file(
    door: Door, tmp_path: Path, fault: Any
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    image = await generate(door, png(PNG * 10_000, CUT) if fault is CUT else fault)
    with pytest.raises(puter.PuterAPIError):
        await call(door, image, "save", path)
    with pytest.raises(PuterError, match="not in memory"):
        _ = image.bytes
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


async def test_a_file_that_cannot_be_written_is_an_os_error(door: Door, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for image in (Image(PNG), await generate(door, png())):
        with pytest.raises(FileNotFoundError):
            await call(door, image, "save", tmp_path / "no" / "folder")
        with pytest.raises(IsADirectoryError, match="folder"):
            await call(door, image, "save", tmp_path / "folder.png")
        assert os.listdir(tmp_path) == ["folder.png"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    class Full:
        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    def write() -> None:
        with AtomicFile(tmp_path / "a.png") as file:
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
