"""Pictures and files in a chat: every form a source may have, and the form each family reads."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import PIL.ImageOps
import pytest

import puter
import puter.api.sources
from puter import Image, PuterFile
from puter.types.mime import canonical, extension_of, mime_of
from puter.wire.dialects.base import BASE
from puter.wire.dialects.claude import CLAUDE as CLAUDE_DIALECT
from puter.wire.dialects.responses import RESPONSES as RESPONSES_DIALECT
from tests.door import Door, chat_body
from tests.test_saving import special

CLAUDE, RESPONSES, OPENAI = "claude-sonnet-4-5", "gpt-5-pro", "gpt-4.1"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
GIF, JPEG, WAV = b"GIF89a....", b"\xff\xd8\xff\xe0....", b"RIFF\x00\x00\x00\x00WAVEfmt "
PDF, FILM = b"%PDF-1.4 ...", b"\x00\x00\x00\x18ftypisom...."


def uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def picture(data: bytes = PNG, kind: str = "image/png") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": uri(data, kind)}}


async def parts_of(door: Door, model: str | None = None, **arguments: Any) -> list[Any]:
    """The parts that go out beside the prompt."""
    door.sent.clear()
    await door(door.client(), "chat", "Look!", model, **arguments)
    content = door.sent[0].args["messages"][-1]["content"]
    assert content[0] == {"type": "text", "text": "Look!"}
    return list(content[1:])


def pil(data: bytes = PNG) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(data))


# ------------------------------------------------------------ where a picture may come from

HERE: dict[str, Callable[[Path], Any]] = {
    "path": str,
    "pathlike": lambda path: path,
    "bytes": lambda _: PNG,
    "bytearray": lambda _: bytearray(PNG),
    "memoryview": lambda _: memoryview(PNG),
    "file": lambda path: path.open("rb"),
    "in memory": lambda _: io.BytesIO(PNG),
    "unnamed file": lambda _: _unnamed(),
    "pair": lambda _: (PNG, "image/png"),
    "pair of a path": lambda path: (str(path), "image/png"),
    "pair with parameters": lambda path: (path, "IMAGE/X-PNG; q=1"),
    "data uri": lambda _: uri(PNG, "image/png"),
    "data uri with parameters": lambda _: uri(PNG, "image/png;name=a.png;charset=x"),
    "data uri in capitals": lambda _: "DATA" + uri(PNG, "image/PNG")[4:],
    "data uri without base64": lambda _: "data:image/png," + "".join(f"%{b:02x}" for b in PNG),
    "data uri without a type": lambda _: uri(PNG, ""),
    "pair of a data uri": lambda _: (uri(PNG, "application/octet-stream"), "image/png"),
    "image": lambda _: Image(PNG),
    "pil": lambda _: _read_pil(),
    "pil, made": lambda _: pil().copy(),
}


def _unnamed() -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the test closes it
    file.write(PNG)
    file.seek(0)
    return file


def _read_pil() -> PIL.Image.Image:
    image = pil()
    image.load()
    return image


@pytest.mark.parametrize("form", HERE)
async def test_an_image_here(door: Door, tmp_path: Path, form: str) -> None:
    path = tmp_path / "dot.png"
    path.write_bytes(PNG)
    source = HERE[form](path)
    (part,) = await parts_of(door, images=source)
    if form == "pil, made":  # written anew
        assert part["image_url"]["url"].startswith("data:image/png;base64,")
        data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
        assert pil(data).tobytes() == pil().tobytes()
    elif form == "pil":
        assert part["image_url"]["url"].startswith("data:image/png;base64,")
    else:
        assert part == picture()
    if isinstance(source, io.IOBase):
        source.close()


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("https://example.org/a.png", "https://example.org/a.png"),
        ("HTTP://example.org/no-extension", "HTTP://example.org/no-extension"),
        (("https://example.org/x", "image/webp"), "https://example.org/x"),
        (Image(url="https://example.org/y"), "https://example.org/y"),
    ],
)
async def test_an_image_on_the_web_is_left_there(door: Door, source: Any, url: str) -> None:
    assert await parts_of(door, images=source) == [{"type": "image_url", "image_url": {"url": url}}]


@pytest.mark.parametrize(
    "source", [PuterFile("/alice/dot.png"), PuterFile("~/dot.png"), "~/dot.png"]
)
async def test_an_image_in_the_users_puter_is_named(door: Door, source: Any) -> None:
    path = source if isinstance(source, str) else source.path
    for model in (OPENAI, CLAUDE, RESPONSES):
        assert await parts_of(door, model, images=source) == [{"type": "file", "puter_path": path}]


async def test_a_ready_part_is_left_as_it_is(door: Door) -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}}
    assert await parts_of(door, images=part) == [part]
    assert await parts_of(door, files=[part, {"type": "novel"}]) == [part, {"type": "novel"}]


async def test_an_image_of_a_reply_goes_into_the_next_question(door: Door) -> None:
    ai = door.client()
    door.answers(chat_body("Here", message={"images": [picture()]}), chat_body())
    reply = await door(ai, "chat", "Draw!")
    await door(ai, "chat", "What is it?", images=reply.images)
    assert door.sent[1].args["messages"][-1]["content"][1] == picture()


async def test_one_or_several_in_order(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(GIF)
    gif = picture(GIF, "image/gif")
    assert await parts_of(door, images=[PNG, path], files=[GIF]) == [picture(), gif, gif]
    assert await parts_of(door, images=(PNG, path, PNG)) == [picture(), gif, picture()]
    assert await parts_of(door, images=(PNG, path)) == [picture(), gif]  # no MIME type: two of them
    assert await parts_of(door, images=(str(path), str(path))) == [gif, gif]
    assert await parts_of(door, images=[(PNG, "image/png")]) == [picture()]
    assert await parts_of(door, images=None, files=[PNG]) == [picture()]


async def test_an_image_alone_is_a_question(door: Door) -> None:
    await door(door.client(), "chat", images=PNG)
    assert door.sent[0].args["messages"] == [{"role": "user", "content": [picture()]}]


async def test_attachments_go_with_messages_too(door: Door) -> None:
    await door(door.client(), "chat", messages=["one", {"role": "assistant", "content": "two"}],
               images=PNG)  # fmt: skip
    assert door.sent[0].args["messages"][-1] == {"role": "user", "content": [picture()]}


# ------------------------------------------------------------ what a file may be


def sound(data: bytes, form: str) -> dict[str, Any]:
    data_and_format = {"data": base64.b64encode(data).decode(), "format": form}
    return {"type": "input_audio", "input_audio": data_and_format}


def other(data: bytes, name: str, kind: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": uri(data, kind)}}


def text(body: str, name: str) -> dict[str, Any]:
    return {"type": "text", "text": f'<file name="{name}">\n{body}\n</file>'}


@pytest.mark.parametrize(
    ("name", "data", "part"),
    [
        ("a.png", PNG, picture()),
        ("wrong.txt", JPEG, picture(JPEG, "image/jpeg")),  # the bytes tell
        ("a.mp4", FILM, {"type": "video_url", "video_url": {"url": uri(FILM, "video/mp4")}}),
        ("a.wav", WAV, sound(WAV, "wav")),
        ("a.mp3", b"ID3...", sound(b"ID3...", "mp3")),
        ("a.pdf", PDF, other(PDF, "a.pdf", "application/pdf")),
        ("a.zip", b"PK\x03\x04", other(b"PK\x03\x04", "a.zip", "application/zip")),
        ("latin", b"\xe9t\xe9", text("\xe9t\xe9", "latin")),
        ("unknown", b"\xe9\x01\xe9", other(b"\xe9\x01\xe9", "unknown", "application/octet-stream")),
        ("a.md", "Gr\u00fc\u00dfe".encode(), text("Gr\u00fc\u00dfe", "a.md")),
        ("a.json", b"{}", text("{}", "a.json")),
        ("a.py", b"\xef\xbb\xbfx = 1", text("x = 1", "a.py")),
        ("Makefile", b"all:", text("all:", "Makefile")),
    ],
)
async def test_a_file_of_any_kind(
    door: Door, tmp_path: Path, name: str, data: bytes, part: dict[str, Any]
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert await parts_of(door, files=path) == [part]
    with path.open("rb") as file:
        assert await parts_of(door, files=file) == [part]


async def test_text_needs_no_name(door: Door) -> None:
    inlined = {"type": "text", "text": "<file>\nhello\n</file>"}
    for source in (b"hello", "data:,hello", "data:text/plain;charset=utf-8;base64,aGVsbG8=",
                   (b"hello", "text/html"), ("data:,hello", "text/plain")):  # fmt: skip
        assert await parts_of(door, files=[source]) == [inlined]


async def test_a_file_on_the_web(door: Door) -> None:
    url = "https://example.org/a/report.pdf?x=1"
    assert await parts_of(door, files=url) == [
        {"type": "file", "file": {"filename": "report.pdf", "file_data": url}}
    ]
    film = "https://example.org/film.mp4"
    for place in ("files", "images"):
        assert await parts_of(door, **{place: film}) == [
            {"type": "video_url", "video_url": {"url": film}}
        ]
    url = "https://example.org/a.jpg"
    assert await parts_of(door, files=url) == [{"type": "image_url", "image_url": {"url": url}}]


# ------------------------------------------------------------ what is refused

REFUSED: dict[str, tuple[Any, str]] = {
    "missing": ("no-such-file.png", "'no-such-file.png' cannot be read: No such file"),
    "folder": (os.path.dirname(__file__), "cannot be read: Is a directory"),
    "nameless": ("", "cannot be read"),
    "prose": ("What is this?", "cannot be read: No such file"),
    "nul": ("a\0b", "cannot be read: embedded null"),
    "endless name": ("x" * 100_000, "cannot be read: File name too long"),
    "like a url": ("https_notes.txt", "'https_notes.txt' cannot be read"),
    "bad url": ("http://[", "is no URL"),
    "empty": (b"", "The data is empty"),
    "empty data uri": ("data:image/png;base64,", "The data is empty"),
    "no data uri": ("data:image/png;base64,A", "does not hold valid base64"),
    "no comma": ("data:image/png", "The data is empty"),
    "text file": (io.StringIO("x"), "open for text"),
    "None inside": ([None], "images holds None"),
    "dict": ({"a": 1}, "A dict must be a ready part of a message"),
    "number": (5, "A value of type int is neither an image nor a file"),
    "object": ([object()], "A value of type object is neither an image nor a file"),
    "set": ({1}, "A value of type set is neither"),
    "tuple of one": ([(PNG,)], "A tuple must be"),
    "tuple of three": ([(PNG, "image/png", 1)], "A tuple must be"),
    "tuple of two": ([(PNG, 5)], "A tuple must be"),
    "no mime type": ([(PNG, "png")], "A tuple must be"),
    "pdf": (PDF, "The data is not an image but application/pdf|file is not an image but"),
    "unknown": (b"\x01\x02", "is not an image of a known kind"),
    "text": ((b"x", "text/plain"), "is not an image but text/plain"),
    "puter path": (("relative.png", "image/png"), "'relative.png' cannot be read"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_image_is_refused_before_any_traffic(door: Door, name: str) -> None:
    source, told = REFUSED[name]
    ai = door.client()
    with pytest.raises(puter.PuterInputError, match=told) as caught:
        await door(ai, "chat", "Look!", images=source)
    assert len(str(caught.value)) < 500
    assert (door.sent, ai.chat_history) == ([], [])


async def test_a_closed_file_is_refused(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with path.open("rb") as file:
        pass
    with pytest.raises(puter.PuterInputError, match="cannot be read: read of closed file"):
        await parts_of(door, images=file)


async def test_an_empty_file_is_refused_by_name(door: Door, tmp_path: Path) -> None:
    (tmp_path / "nothing.txt").touch()
    with pytest.raises(puter.PuterInputError, match=r"nothing\.txt is empty"):
        await parts_of(door, files=tmp_path / "nothing.txt")


async def test_an_image_that_pil_cannot_write_is_refused(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match=r"cannot be written as PNG.*convert"):
        await parts_of(door, images=PIL.Image.new("HSV", (1, 1)))


async def test_what_is_too_large_is_refused_without_reading_it_all(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(puter.api.sources, "MAX_FILE", 1000)
    path = tmp_path / "large.png"
    for size, fits in ((1000, True), (1001, False)):
        path.write_bytes(PNG.ljust(size, b"\0"))
        for source in (path, path.read_bytes(), uri(path.read_bytes(), "image/png")):
            if fits:
                assert len(await parts_of(door, images=source)) == 1
            else:
                with pytest.raises(puter.PuterInputError, match=r"larger than the .* MiB"):
                    await parts_of(door, images=source)


@pytest.mark.skipif(os.name != "posix", reason="pipes, sockets and devices")
@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
async def test_only_ordinary_files_are_opened(door: Door, tmp_path: Path, kind: str) -> None:
    path = special(tmp_path, kind)
    link = tmp_path / "link"
    link.symlink_to(path)
    for source in (str(path), path, link, (path, "image/png")):
        said = rf"is a {kind}, not an ordinary file.*pass the bytes"
        for call, options in (
            ("chat", {"images": source}),
            ("chat", {"files": [source]}),
            ("img2txt", {"source": source}),
            ("speech2txt", {"audio": source}),
            ("txt2img", {"prompt": "x", "input_images": [source]}),
            ("upload", {"source": source}),
        ):
            given = {"prompt": "x", **options} if call == "chat" else options
            with pytest.raises(puter.PuterInputError, match=said):
                await door(door.client(), call, **given)
    with pytest.raises(puter.PuterInputError, match=f"is a {kind}.*save"):
        door.client().load_conversation(path)
    assert door.sent == []


@pytest.mark.parametrize("path", ["dot.png", "", "./dot.png", 5, None])
def test_a_puter_file_is_absolute_or_at_home(path: Any) -> None:
    with pytest.raises(puter.PuterInputError, match="is no Puter path"):
        PuterFile(path)


# ------------------------------------------------------------ the form that each family reads

SOURCE = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
NATIVE = {"type": "image", "source": SOURCE}
PDF_DATA = base64.b64encode(PDF).decode()
PDF_FILE = {"filename": "a.pdf", "file_data": uri(PDF, "application/pdf")}
PDF_PART = {"type": "file", "file": PDF_FILE}
PDF_BLOCK = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_DATA},
    "title": "a.pdf",
}
ON_THE_WEB = "https://example.org/a.png"
REMOTE = {"type": "image_url", "image_url": {"url": ON_THE_WEB}}
REMOTE_BLOCK = {"type": "image", "source": {"type": "url", "url": ON_THE_WEB}}


@pytest.mark.parametrize(
    ("part", "claude", "responses"),
    [
        (picture(), NATIVE, {"type": "input_image", "image_url": uri(PNG, "image/png")}),
        (REMOTE, REMOTE_BLOCK, {"type": "input_image", "image_url": ON_THE_WEB}),
        (PDF_PART, PDF_BLOCK, {"type": "input_file", **PDF_FILE}),
        (
            {"type": "image_url", "image_url": {"url": ON_THE_WEB, "detail": "low"}},
            REMOTE_BLOCK,
            {"type": "input_image", "image_url": ON_THE_WEB, "detail": "low"},
        ),
        ({"image_url": {"url": ON_THE_WEB}}, REMOTE_BLOCK,
         {"type": "input_image", "image_url": ON_THE_WEB}),
        ({"type": "image_url", "image_url": ON_THE_WEB}, REMOTE_BLOCK,
         {"type": "input_image", "image_url": ON_THE_WEB}),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "HTTPS://e.org/a.pdf"}},
            {"type": "document", "title": "a.pdf",
             "source": {"type": "url", "url": "HTTPS://e.org/a.pdf"}},
            {"type": "input_file", "filename": "a.pdf", "file_url": "HTTPS://e.org/a.pdf"},
        ),
        ({"type": "text", "text": "x"},) * 3,
        ({"type": "file", "puter_path": "~/x"},) * 3,
        ({"type": "image_url"},) * 3,
        ({"type": "file", "file": {"file_id": "f"}}, {"type": "file", "file": {"file_id": "f"}},
         {"type": "input_file", "file_id": "f"}),
    ],
)  # fmt: skip
async def test_parts_in_the_words_of_the_family(
    door: Door, part: dict[str, Any], claude: dict[str, Any], responses: dict[str, Any]
) -> None:
    for model, expected in ((OPENAI, part), (CLAUDE, claude), (RESPONSES, responses)):
        assert await parts_of(door, model, content_parts=[part]) == [expected]


@pytest.mark.parametrize(
    ("block", "openai"),
    [
        (NATIVE, picture()),
        (REMOTE_BLOCK, REMOTE),
        (PDF_BLOCK, PDF_PART),
        (
            {"type": "document", "source": {"type": "text", "data": "x"}},
            {"type": "text", "text": "x"},
        ),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}},) * 2,
        ({"type": "image", "source": "x"},) * 2,
    ],
)  # fmt: skip
async def test_claudes_own_blocks_elsewhere_and_at_claude(
    door: Door, block: dict[str, Any], openai: dict[str, Any]
) -> None:
    block = {**block, "cache_control": {"type": "ephemeral"}} if block == NATIVE else block
    assert await parts_of(door, OPENAI, content_parts=[block]) == [openai]
    assert await parts_of(door, CLAUDE, content_parts=[block]) == [block]


async def test_a_history_is_said_anew_when_the_model_changes(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "one", OPENAI, images=PNG)
    await door(ai, "chat", "two", CLAUDE)
    await door(ai, "chat", "three", RESPONSES)
    await door(ai, "chat", "four", OPENAI)
    forms = [sent.args["messages"][0]["content"][1] for sent in door.sent]
    responses = {"type": "input_image", "image_url": uri(PNG, "image/png")}
    assert forms == [picture(), NATIVE, responses, picture()]
    assert ai.chat_history[0]["content"][1] == picture()


async def test_a_tool_call_of_another_vendor_is_fit_for_claude(door: Door) -> None:
    block = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    history = [
        "go",
        {"role": "assistant", "content": [{**block, "canonical_id": "fc_1", "extra_content": {}}]},
        {"role": "tool", "tool_call_id": "c", "content": "done"},
        "and?",
    ]
    await door(door.client(), "chat", messages=history, model=CLAUDE)
    await door(door.client(), "chat", messages=history, model=RESPONSES)
    claude, responses = (sent.args["messages"][1]["content"][0] for sent in door.sent)
    assert claude == block
    assert responses == {**block, "canonical_id": "fc_1", "extra_content": {}}


def test_encoding_leaves_the_given_messages_alone() -> None:
    message: dict[str, Any] = {"role": "user", "content": [picture(), "text", NATIVE]}
    given: list[dict[str, Any]] = [
        message,
        {"role": "tool", "content": {"a": 1}},
    ]
    for dialect in (BASE, RESPONSES_DIALECT, CLAUDE_DIALECT):
        encoded = dialect.encode(given, {})["messages"]
        assert encoded[1:] == given[1:]
        assert encoded[0]["content"][1] == "text"
    assert message == {"role": "user", "content": [picture(), "text", NATIVE]}


# ------------------------------------------------------------ MIME types


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("audio/x-wav", "audio/wav"),
        ("audio/mp3", "audio/mpeg"),
        ("AUDIO/X-M4A; codecs=1", "audio/mp4"),
        ("image/jpg", "image/jpeg"),
        (" image/png ", "image/png"),
        ("novel/type", "novel/type"),
        ("", ""),
    ],
)
def test_one_spelling_of_each_type(given: str, expected: str) -> None:
    assert canonical(given) == expected


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (PNG, "", "image/png"),
        (JPEG, "a.png", "image/jpeg"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "", "image/webp"),
        (WAV, "", "audio/wav"),
        (b"\x00\x00\x00\x20ftypM4A ", "", "audio/mp4"),
        (b"\x00\x00\x00\x20ftypavif", "", "image/avif"),
        (FILM, "", "video/mp4"),
        (b"BM\x00\x00", "", "image/bmp"),
        (b"BMW is a car", "", ""),
        (b"BMW is a car", "a.txt", "text/plain"),
        (b"?", "a.WEBP", "image/webp"),
        (b"?", ".webp", ""),
        (None, "a.wav", "audio/wav"),
        (None, "", ""),
        (b"", "a.m4a", "audio/mp4"),
    ],
)
def test_the_bytes_tell_the_type_and_then_the_name(
    data: bytes | None, name: str, kind: str
) -> None:
    assert mime_of(data, name) == kind


def test_extensions() -> None:
    kinds = [
        "image/jpeg",
        "image/png",
        "audio/x-wav",
        "audio/mpeg",
        "video/mp4",
        "text/plain",
        "",
        "x/y",
    ]
    assert [extension_of(one) for one in kinds] == [
        ".jpg",
        ".png",
        ".wav",
        ".mp3",
        ".mp4",
        ".txt",
        "",
        "",
    ]


# ------------------------------------------------------------ the event loop


async def test_async_methods_read_files_beside_the_event_loop() -> None:
    ready = threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert ready.wait(60)
            return super().read(size)

    call = asyncio.create_task(parts_of(Door("async"), images=Slow(PNG)))
    for _ in range(20):
        await asyncio.sleep(0.001)  # the loop runs on
    assert not call.done()
    ready.set()
    assert await call == [picture()]


# ------------------------------------------------------------ images of Pillow

SIDEWAYS = 6  # EXIF: to be turned by 90 degrees


def photo(orientation: int = SIDEWAYS, form: str = "JPEG") -> bytes:
    """A picture, 16 wide and 8 high, that is to be shown upright."""
    image = PIL.Image.new("RGB", (16, 8), "red")
    image.paste((0, 0, 255), (0, 0, 8, 8))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, form, exif=exif)
    return buffer.getvalue()


async def bytes_of(door: Door, image: PIL.Image.Image) -> tuple[str, bytes]:
    (part,) = await parts_of(door, images=image)
    head, _, data = part["image_url"]["url"].partition(",")
    return head, base64.b64decode(data)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("loaded", [False, True])
async def test_an_unchanged_image_keeps_its_bytes(
    door: Door, tmp_path: Path, form: str, loaded: bool
) -> None:
    data = photo(form=form)
    path = tmp_path / "photo"
    path.write_bytes(data)
    for source in (path, str(path), path.open("rb"), io.BytesIO(data)):
        with PIL.Image.open(source) as image:
            if loaded:
                image.load()
            head, sent = await bytes_of(door, image)
            again = await bytes_of(door, image)
        assert head == f"data:image/{form.lower()};base64"
        assert again[0] == head
        assert upright(sent) == upright(again[1]) == upright(data)
        if isinstance(source, io.IOBase):
            source.close()
        if not (loaded and isinstance(source, io.IOBase)):  # Pillow lets go of what it was lent
            assert sent == data


def upright(data: bytes) -> tuple[tuple[int, int], Any]:
    """Size, and the colour at the top left (rounded), as a viewer shows the image."""
    with PIL.Image.open(io.BytesIO(data)) as image:
        turned: Any = PIL.ImageOps.exif_transpose(image).convert("RGB")
        return turned.size, tuple(round(one / 255) for one in turned.getpixel((1, 1)))


async def test_an_animation_keeps_all_its_frames(door: Door) -> None:
    frames = [PIL.Image.new("P", (4, 4), one) for one in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    image = PIL.Image.open(buffer)
    assert (await bytes_of(door, image))[1] == buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
async def test_a_changed_image_is_upright(door: Door, form: str, orientation: int) -> None:
    data = photo(orientation, form)
    shown = upright(data)
    with PIL.Image.open(io.BytesIO(data)) as image:
        image.putpixel((7, 4), (9, 9, 9))
        head, sent = await bytes_of(door, image)
        assert sent != data
        assert head == f"data:image/{'png' if form == 'TIFF' else form.lower()};base64"
        assert upright(sent) == shown
        copied = image.copy()
    assert upright((await bytes_of(door, copied))[1]) == shown


async def test_a_file_that_was_replaced_is_not_sent(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with PIL.Image.open(path) as image:
        image.load()
        for now in (photo(form="PNG"), b"nonsense", b""):
            path.write_bytes(now)
            assert pil((await bytes_of(door, image))[1]).tobytes() == pil().tobytes()
        path.unlink()
        assert pil((await bytes_of(door, image))[1]).tobytes() == pil().tobytes()


async def test_changes_in_place_are_sent(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo())
    with PIL.Image.open(path) as image:
        image.draft("RGB", (8, 4))
        assert upright((await bytes_of(door, image))[1])[0] == (image.height, image.width)
    with PIL.Image.open(path) as image:
        image.putalpha(128)
        head, sent = await bytes_of(door, image)
        assert (head, pil(sent).mode) == ("data:image/png;base64", "RGBA")
    with PIL.Image.open(path) as image:
        image.getexif()[0x0112] = 1
        assert upright((await bytes_of(door, image))[1])[0] == (16, 8)
    with PIL.Image.open(path) as image:
        image.thumbnail((4, 4))
        assert upright((await bytes_of(door, image))[1])[0] == (2, 4)


async def test_what_printers_use_goes_as_a_photo(door: Door) -> None:
    for mode in ("CMYK", "YCbCr"):
        head, _ = await bytes_of(door, PIL.Image.new(mode, (4, 4)))
        assert head == "data:image/jpeg;base64"
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        head, _ = await bytes_of(door, PIL.Image.new(mode, (4, 4)))
        assert head == "data:image/png;base64"
