"""Files in the user's Puter through both doors: what goes out, what comes back."""

from __future__ import annotations

import base64
import io
import json
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import puter
from puter import Image, PuterFile
from puter.api.sources import MAX_FILE
from puter.testing import LocalPuter
from tests.door import CUT, Door, error_body, label, stream_answer, text_answer

PNG = b"\x89PNG\r\n\x1a\n....IHDR"
NEW: dict[str, Any] = {
    "uuid": "1d54",
    "uid": "1d54",
    "path": "/alice/Documents/dot.png",
    "name": "dot.png",
    "isDir": False,
    "size": 16,
}
OLD: dict[str, Any] = {
    "uid": "1d54",
    "path": "/alice/Documents/dot.png",
    "name": "dot.png",
    "is_dir": False,
    "type": "image/png",
    "size": 16,
    "writable": True,
}
FOLDER = {"uid": "f", "path": "/alice/Documents", "name": "Documents", "is_dir": True}


def written(entry: Any) -> dict[str, Any]:
    return {"fsEntry": entry, "wasOverwrite": False, "contentHashSha256": "6b7f"}


def octets(*pieces: Any) -> Any:
    return stream_answer(*pieces, **{"Content-Type": "application/octet-stream"})


# ------------------------------------------------------------ upload


@pytest.mark.parametrize(
    ("source", "path", "where", "kind"),
    [
        (PNG, "~/a/dot.png", "~/a/dot.png", "image/png"),
        (PNG, "/alice/dot", "/alice/dot", "image/png"),
        (PNG, PuterFile("/alice/dot.png"), "/alice/dot.png", "image/png"),
        (b"\x01?", "~/x", "~/x", "application/octet-stream"),
        (b"??", "~/x", "~/x", "text/plain"),
        (b"a,b", "~/x.csv", "~/x.csv", "text/csv"),
        ((b"a,b", "text/plain"), "~/x.csv", "~/x.csv", "text/plain"),
        (b"fn main() {}", "~/main.rs", "~/main.rs", "text/plain"),
        (b"\x01?", "~/a.flac", "~/a.flac", "audio/flac"),
        (PNG, "~/x.bin", "~/x.bin", "image/png"),
        ((b"??", "text/plain"), "~/x", "~/x", "text/plain"),
        ("FILE", None, "~/Documents/notes.txt", "text/plain"),
        ("FILE", "~/a/", "~/a/notes.txt", "text/plain"),
        ("OPEN", None, "~/Documents/notes.txt", "text/plain"),
        (Image(PNG), "~/dot.png", "~/dot.png", "image/png"),
        ("data:image/png;base64,iVBORw0KGgo=", "~/dot.png", "~/dot.png", "image/png"),
    ],
)
async def test_an_upload_goes_where_it_is_told(
    door: Door, tmp_path: Path, source: Any, path: Any, where: str, kind: str
) -> None:
    note = tmp_path / "notes.txt"
    note.write_text("Bread")
    with note.open("rb") as opened:
        source = (
            {"FILE": note, "OPEN": opened}.get(source, source)
            if isinstance(source, str)
            else source
        )
        door.answers(written(NEW))
        await door(door.client(), "upload", source, path)
    (sent,) = door.sent
    assert sent.url == "https://api.puter.com/fs/write"
    meta = sent.json["fileMetadata"]
    data = base64.b64decode(sent.json["fileContent"])
    assert (meta["path"], meta["contentType"], meta["size"]) == (where, kind, len(data))
    assert (meta["overwrite"], meta["createMissingParents"]) == (False, True)
    assert sent.json["encoding"] == "base64"
    assert data == (b"Bread" if where.endswith("notes.txt") else data)
    assert data


async def test_an_empty_file_is_uploaded(door: Door, tmp_path: Path) -> None:
    (tmp_path / "none.txt").touch()
    door.answers(written(NEW))
    for source, path in ((b"", "~/x.bin"), (tmp_path / "none.txt", None), (io.BytesIO(), "~/y")):
        await door(door.client(), "upload", source, path)
    assert [sent.json["fileMetadata"]["size"] for sent in door.sent] == [0, 0, 0]
    assert [sent.json["fileContent"] for sent in door.sent] == ["", "", ""]
    kinds = [sent.json["fileMetadata"]["contentType"] for sent in door.sent]
    assert kinds == ["application/octet-stream", "text/plain", "application/octet-stream"]
    written_to = io.BytesIO()
    written_to.write(PNG)
    with pytest.raises(puter.PuterInputError, match=r"at its end.*seek\(0\)"):
        await door(door.client(), "upload", written_to, "~/z")


def test_an_empty_file_at_a_server(local_puter: LocalPuter) -> None:
    with local_puter.client() as ai:
        file = ai.upload(b"", "~/Documents/none.txt")
        assert (file.size, ai.read_file(file)) == (0, b"")


async def test_an_upload_is_a_file_of_puters(door: Door) -> None:
    door.answers(written(NEW))
    file = await door(door.client(), "upload", PNG, "~/dot.png", overwrite=True)
    assert door.sent[0].json["fileMetadata"]["overwrite"] is True
    assert base64.b64decode(door.sent[0].json["fileContent"]) == PNG
    assert (file.path, file.name, file.uid, file.size, file.is_folder) == (
        "/alice/Documents/dot.png",
        "dot.png",
        "1d54",
        16,
        False,
    )
    assert file.raw == NEW


@pytest.mark.parametrize(
    ("source", "path", "match"),
    [
        (PNG, None, "needs path="),
        (PNG, "~/folder/", "is a folder"),
        (PNG, "", "non-empty str"),
        (PNG, 5, "non-empty str"),
        ("no-such-file", None, "cannot be read"),
        ("https://example.org/a.png", None, "the file itself"),
        (PuterFile("~/a.png"), None, "the file itself"),
        (io.StringIO("x"), "~/x", "mode 'rb'"),
        (5, "~/x", "neither an image nor a file"),
        (bytes(MAX_FILE + 1), "~/x", "larger than the 37.5 MiB"),
    ],
)
async def test_what_cannot_be_uploaded_is_told_before_any_traffic(
    door: Door, source: Any, path: Any, match: str
) -> None:
    with pytest.raises(puter.PuterInputError, match=match):
        await door(door.client(), "upload", source, path)
    assert door.sent == []


async def test_an_upload_is_not_repeated(door: Door) -> None:
    door.answers(CUT)
    with pytest.raises(puter.PuterConnectionError):
        await door(door.client(), "upload", PNG, "~/dot.png")
    assert len(door.sent) == 1


async def test_a_file_that_is_there_already(door: Door) -> None:
    door.answers((409, error_body("exists", "item_with_same_name_exists", entry_name="dot.png")))
    with pytest.raises(puter.PuterBadRequestError, match="overwrite=True") as caught:
        await door(door.client(), "upload", PNG, "~/dot.png")
    assert caught.value.body["entry_name"] == "dot.png"


# ------------------------------------------------------------ read, stat, list, delete


@pytest.mark.parametrize(
    "data",
    [b"", PNG, b'{"success": false, "error": "mine"}', b"null", b"\xff" * 100_000],
    ids=["empty", "png", "json", "null", "long"],
)
async def test_a_file_is_read_as_it_is(door: Door, data: bytes) -> None:
    door.answers(lambda _: octets(*[data[i : i + 30_000] for i in range(0, len(data), 30_000)]))
    ai = door.client()
    for path in ("~/a b/ü&c.png", PuterFile("~/a b/ü&c.png")):
        assert await door(ai, "read_file", path) == data
        asked = urlsplit(door.sent[-1].url)
        assert (asked.netloc, asked.path) == ("api.puter.com", "/read")
        assert parse_qs(asked.query) == {"file": ["~/a b/ü&c.png"]}
        assert door.answered.closed


async def test_reading_is_free_so_it_is_repeated(door: Door) -> None:
    door.answers(CUT, octets(PNG))
    assert await door(door.client(), "read_file", "~/a.png") == PNG
    door.answers(octets(PNG, CUT))
    with pytest.raises(puter.PuterConnectionError, match="before the answer was complete"):
        await door(door.client(), "read_file", "~/a.png")


@pytest.mark.parametrize("entry", [OLD, {**OLD, "type": None}])
async def test_what_puter_says_of_a_file(door: Door, entry: dict[str, Any]) -> None:
    door.answers(entry)
    file = await door(door.client(), "stat_file", "~/Documents/dot.png")
    assert (door.sent[0].url, door.sent[0].json) == (
        "https://api.puter.com/stat",
        {"path": "~/Documents/dot.png"},
    )
    assert file == PuterFile(
        "/alice/Documents/dot.png",
        name="dot.png",
        uid="1d54",
        size=16,
        mime_type=entry["type"] or "",
    )
    assert file.raw == entry


async def test_the_content_of_a_folder(door: Door) -> None:
    door.answers([FOLDER, OLD, "nonsense"])
    ai = door.client()
    folder, file = await door(ai, "list_files", "~/x")
    assert (folder.name, folder.is_folder, folder.mime_type) == ("Documents", True, "")
    assert (file.name, file.is_folder) == ("dot.png", False)
    await door(ai, "list_files")
    await door(ai, "list_files", folder)
    assert [sent.json["path"] for sent in door.sent] == ["~/x", "~/", "/alice/Documents"]
    assert door.sent[0].url == "https://api.puter.com/readdir"


async def test_a_file_is_deleted(door: Door) -> None:
    door.answers([OLD])
    ai = door.client()
    assert await door(ai, "delete_file", "~/dot.png") is None
    await door(ai, "delete_file", PuterFile("~/folder"), recursive=True)
    assert [sent.json for sent in door.sent] == [
        {"paths": ["~/dot.png"], "recursive": False},
        {"paths": ["~/folder"], "recursive": True},
    ]
    assert door.sent[0].url == "https://api.puter.com/delete"


HOMES = [
    "~/", "~//", "~/.", "~/./", "~/x/..", "~/x/../", "~/..", "~/../alice", "~/../..", "~/ ", "/",
    "//", "/.", "/alice", "/alice/", "//alice", "//alice//", "/alice/.", "/alice/x/..", "/./alice",
    "/alice/../bob", "/alice/../..", "~/a/b/../..", "~/x/../../alice/.", PuterFile("/alice"),
    PuterFile("/alice", is_folder=True),
]  # fmt: skip


@pytest.mark.parametrize("path", HOMES, ids=label)
@pytest.mark.parametrize("recursive", [True, False])
async def test_the_home_folder_is_never_deleted(door: Door, path: Any, recursive: bool) -> None:
    with pytest.raises(puter.PuterInputError, match="the whole home folder"):
        await door(door.client(), "delete_file", path, recursive=recursive)
    with pytest.raises(puter.PuterInputError, match="no Puter path"):
        await door(door.client(), "delete_file", "~", recursive=recursive)
    assert door.sent == []


@pytest.mark.parametrize("path", ["~/x", "/alice/x", "~/.x", "~/...", "~/x/../y", "/alice/x/../y/"])
async def test_what_is_in_it_may_be(door: Door, path: str) -> None:
    door.answers([OLD])
    await door(door.client(), "delete_file", path)
    assert door.sent[0].json["paths"] == [path]


async def test_a_name_that_is_not_utf8_is_told(door: Door) -> None:
    for method in [*PATHS, "upload"]:
        arguments = ((PNG,) if method == "upload" else ()) + ("~/caf\udce9",)
        with pytest.raises(puter.PuterInputError, match="half a character"):
            await door(door.client(), method, *arguments)
    assert door.sent == []


PATHS = ["read_file", "stat_file", "list_files", "delete_file"]


@pytest.mark.parametrize("path", ["~", "~bob/x", "./x", "a.txt", "folder/", " ~/x"])
async def test_an_upload_goes_to_no_path_that_cannot_be_read(door: Door, path: str) -> None:
    for method, arguments in (("upload", (PNG, path)), ("read_file", (path,))):
        with pytest.raises(puter.PuterInputError, match=r"no Puter path.*~/"):
            await door(door.client(), method, *arguments)
    assert door.sent == []


@pytest.mark.parametrize("path", ["", "notes.txt", "C:\\x", None, 5])
@pytest.mark.parametrize("method", PATHS)
async def test_a_path_begins_at_the_root_or_at_home(door: Door, method: str, path: Any) -> None:
    with pytest.raises(puter.PuterInputError, match=r"no Puter path.*~/"):
        await door(door.client(), method, path)
    assert door.sent == []


@pytest.mark.parametrize("method", PATHS)
async def test_what_is_not_there_is_told(door: Door, method: str) -> None:
    words = "Entry not found: path=/alice/x"
    door.answers((404, error_body(words, "subject_does_not_exist")))
    with pytest.raises(puter.PuterNotFoundError, match=words) as caught:
        await door(door.client(), method, "~/x")
    assert caught.value.code == "subject_does_not_exist"


@pytest.mark.parametrize("method", PATHS)
async def test_a_wrong_host_is_told(door: Door, method: str) -> None:
    door.answers(text_answer("<html>", "text/html"))
    with pytest.raises(puter.PuterResponseError, match="api_base"):
        await door(door.client(), method, "~/x")


@pytest.mark.parametrize(
    ("method", "arguments", "answer"),
    [
        ("upload", (PNG, "~/x"), {}),
        ("upload", (PNG, "~/x"), []),
        ("upload", (PNG, "~/x"), written(None)),
        ("upload", (PNG, "~/x"), written({"name": "x"})),
        ("stat_file", ("~/x",), []),
        ("stat_file", ("~/x",), {"name": "x"}),
        ("list_files", ("~/x",), {}),
        ("list_files", ("~/x",), [{"path": 5}]),
    ],
)
async def test_an_answer_of_unknown_shape_is_told(
    door: Door, method: str, arguments: Any, answer: Any
) -> None:
    door.answers(answer)
    with pytest.raises(puter.PuterResponseError, match=r"unknown shape|cannot be read"):
        await door(door.client(), method, *arguments)


# ------------------------------------------------------------ values


def test_puter_files_are_values() -> None:
    file = PuterFile("/alice/a.png", name="a.png", uid="u", size=3, raw=OLD)
    assert pickle.loads(pickle.dumps(file)) == file
    assert file == PuterFile("/alice/a.png", name="a.png", uid="u", size=3)
    assert len({file, PuterFile("/alice/a.png", name="a.png", uid="u", size=3)}) == 1
    assert file != PuterFile("/alice/a.png")
    assert repr(PuterFile("~/a")).startswith("PuterFile(path='~/a', name='', uid='', size=None")
    assert "writable" not in repr(file)
    assert json.dumps(file.raw)
    with pytest.raises(FrozenInstanceError):
        file.path = "/x"  # type: ignore[misc] # that is what is tested
    with pytest.raises(puter.PuterInputError, match="no Puter path"):
        PuterFile("a.png")


@pytest.mark.parametrize("path", [None, 1, "", "x.txt", "C:\\x.txt", "../x", ["/x"]])
@pytest.mark.parametrize("method", ["upload", "stat_file", "list_files"])
async def test_an_odd_path_in_an_answer_is_not_called_the_callers(
    door: Door, method: str, path: Any
) -> None:
    """A PuterInputError says that nothing was sent."""
    entry = {"path": path, "name": "x.txt"}
    door.answers({"upload": {"fsEntry": entry}, "list_files": [entry]}.get(method, entry))
    args = (b"x", "~/x.txt") if method == "upload" else ("~/x.txt",)
    with pytest.raises(puter.PuterResponseError, match="cannot be read") as caught:
        await door(door.client(), method, *args)
    assert caught.value.body == entry
    assert len(door.sent) == 1
