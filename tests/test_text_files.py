"""Text files: told by their bytes, in whatever encoding, on any machine."""

from __future__ import annotations

import io
import mimetypes
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import puter
from puter.api.sources import resolve
from puter.api.text_files import encoding_of
from puter.types.mime import extension_of, mime_of
from tests.door import Door

CODE = "fn main() {}\n"
mimetypes.init()  # now, so that the tests below change the machine's table

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from("\t\r\n"))


@given(TEXT, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_unicode_comes_back_as_it_was(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    found = encoding_of(data)
    assert found is not None
    assert data.decode(found) == text.removeprefix("\ufeff" if encoding == "utf-8" else "")


@given(st.text(st.sampled_from("abc, \n\u20ac\u00e9"), min_size=20), st.booleans())
def test_utf_16_without_a_mark_is_told_by_its_zeros(text: str, little: bool) -> None:
    text += "plain letters, mostly" * (1 + len(text) // 20)
    data = text.encode("utf-16-le" if little else "utf-16-be")
    found = encoding_of(data)
    assert found is not None
    assert data.decode(found) == text


@given(st.binary(max_size=300))
def test_any_bytes_are_a_text_or_none(data: bytes) -> None:
    found = encoding_of(data)
    if found is not None:
        data.decode(found)


OLDER = {
    "cp1252": "Grüße aus München, schöne Straße, 5 € … “Übung”",
    "latin-1": "été à l'école, façon, garçon, où",
    "cp1250": "Zażółć gęślą jaźń, źdźbło trawy rośnie na łące",
    "cp1251": "Привет, как дела? Это простой текст на русском языке.",
    "koi8-r": "Привет, как дела? Это простой текст на русском языке.",
    "cp1253": "Καλημέρα κόσμε, αυτό είναι ένα κείμενο",
    "shift-jis": "こんにちは、世界。これは日本語のテキストです。",
    "euc-jp": "こんにちは、世界。これは日本語のテキストです。",
    "iso2022-jp": "こんにちは、世界。これは日本語のテキストです。",
    "gb18030": "你好。世界。这是一个简单的中文文本。",
    "big5": "你好。世界。這是一個簡單的中文文本。",
    "euc-kr": "안녕하세요 세계. 이것은 한국어 텍스트입니다.",
}


@pytest.mark.parametrize("encoding", OLDER)
def test_an_older_encoding_is_recognised(encoding: str) -> None:
    words = OLDER[encoding]
    late = "id;name\n" * 20_000 + words + "\n"  # few lines tell, and they come last
    for text in (words, late, f"a\n{words}\nb\n{words}", f"{words}\n" * 5000, words * 5000):
        data = text.encode(encoding)
        found = encoding_of(data)
        assert found is not None
        assert data.decode(found) == text


WESTERN = [
    "été", "Müller", "naïve café, Crème brûlée", "nom;prénom\nDupré;René\n", "Blåbærgrød på øen",
    "Perché è così? Città, virtù, più.", "São João, coração", "El niño: ¿qué?", "plain é " * 50_000,
]  # fmt: skip


@pytest.mark.parametrize("words", WESTERN, ids=lambda one: one[:10])
def test_of_what_fits_as_well_the_western_encoding_is_taken(words: str) -> None:
    found = encoding_of(words.encode("cp1252"))
    assert found is not None
    assert words.encode("cp1252").decode(found) == words


BINARY = {
    "elf": b"\x7fELF\x02\x01\x01" + bytes(9),
    "zip": b"PK\x03\x04\x14\x00",
    "controls": bytes(range(1, 32)) * 10,
    "noise": bytes(range(128, 256)) + b"\x01",
    "half of utf-16": b"\xff\xfea",
    "a nul far behind": b"text " * 20_000 + b"\x00",
    "numbers": b"\x01\x00\x02\x00\x03\x00",
}


@pytest.mark.parametrize("name", BINARY)
def test_what_is_no_text(name: str) -> None:
    assert encoding_of(BINARY[name]) is None


@pytest.mark.parametrize(
    "name",
    "a.rs a.rb a.eml a.geojson a.csv a.toml a.ts a.tsx a.m a.pl a.doc a.pdf a.unheard .env "
    "Dockerfile a.svg a.sh a.tex a.ipynb".split(),
)
async def test_a_text_is_a_text_whatever_the_machine_calls_it(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for table in mimetypes.types_map, mimetypes.common_types:
        monkeypatch.setitem(table, ".ts", "video/mp2t")
        monkeypatch.setitem(table, os.path.splitext(name)[1] or ".x", "application/x-machine")
    (tmp_path / name).write_text(CODE)
    await door(door.client(), "chat", "Look!", files=tmp_path / name)
    (_, part) = door.sent[0].args["messages"][-1]["content"]
    assert part == {"type": "text", "text": f'<file name="{name}">\n{CODE}\n</file>'}


def test_types_are_those_of_no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mimetypes.types_map, ".csv", "application/x-machine")
    monkeypatch.setitem(mimetypes.types_map, ".aaa", "application/pdf")
    assert (mime_of(None, "a.csv"), mime_of(None, "a.aaa")) == ("text/csv", "")
    assert (extension_of("application/pdf"), mime_of(None, "a.tar.gz")) == (
        ".pdf",
        "application/gzip",
    )


@pytest.mark.parametrize(
    "prose",
    ["GIF89a is a format of images", "ID3 tags are in MP3 files", "OggS begins a page",
     "BMW makes cars, not pictures", "the ftyp box comes first", "12345678WAVE, 12345678WEBP",
     "fLaC is four letters long"],
)  # fmt: skip
def test_a_text_about_a_format_is_a_text(prose: str) -> None:
    found = resolve(prose.encode())
    assert (found.mime_type, found.encoding) == ("text/plain", "utf-8")


async def test_a_text_in_no_known_encoding_is_refused(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match="text/csv, but in no known encoding"):
        await door(door.client(), "chat", "Look!", files=(b"\x00\x01\xff", "text/csv"))
    assert door.sent == []


async def test_without_charset_normalizer_the_hint_names_it(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    (tmp_path / "a.txt").write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(puter.PuterInputError, match=r"a\.txt is text/plain.*charset-normalizer"):
        await door(door.client(), "chat", "Look!", files=tmp_path / "a.txt")
    assert encoding_of("Grüße".encode()) == "utf-8"
    monkeypatch.undo()
    await door(door.client(), "chat", "Look!", files=tmp_path / "a.txt")
    assert "Grüße" in door.sent[0].args["messages"][-1]["content"][1]["text"]


def _written(path: Path) -> tuple[Path, Any]:
    path.write_bytes(b"black")
    return path, path.open("rb")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="their names are Unicode")
async def test_a_file_name_that_is_not_utf8(door: Door, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    path, file = _written(Path(os.fsdecode(name)))
    sources: list[Any] = [str(path), path, file]
    for source in sources:
        await door(door.client(), "chat", "Look!", files=[source])
        (_, part) = door.sent[-1].args["messages"][-1]["content"]
        assert part["text"] == '<file name="caf?.txt">\nblack\n</file>'
    file.close()
    with pytest.raises(puter.PuterInputError, match=r"'.*x\?' cannot be read"):
        await door(door.client(), "chat", "Look!", files=f"{path}x\udce9")


async def test_half_a_character_is_told_before_any_traffic(door: Door) -> None:
    ai = door.client()
    for arguments in (
        {"prompt": "a\ud83d"},
        {"messages": [{"role": "user", "content": "a\ud83d"}]},
        {"prompt": "Hi", "system": "a\ud83d"},
        {"prompt": "Hi", "content_parts": [{"type": "text", "text": "\udc00"}]},
    ):
        with pytest.raises(puter.PuterInputError, match="half a character") as caught:
            await door(ai, "chat", **arguments)
        assert str(caught.value).encode()  # it can be printed
    with pytest.raises(puter.PuterInputError, match="half a character"):
        await door(ai, "txt2speech", "a\ud83d")
    assert (door.sent, ai.chat_history) == ([], [])


async def test_an_open_file_at_its_end_is_told(door: Door, tmp_path: Path) -> None:
    written = io.BytesIO()
    written.write(b"\x89PNG\r\n\x1a\n")
    with (tmp_path / "a.png").open("w+b") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for source in (written, file):
            for place in ("images", "files"):
                with pytest.raises(puter.PuterInputError, match=r"at its end.*seek\(0\)"):
                    await door(door.client(), "chat", "Look!", **{place: source})
            source.seek(0)
            await door(door.client(), "chat", "Look!", images=source)
    with pytest.raises(puter.PuterInputError, match="is empty"):
        await door(door.client(), "chat", "Look!", images=io.BytesIO())
    assert len(door.sent) == 2


async def test_bare_base64_is_told(door: Door) -> None:
    bare = (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E="
    )
    for text in (bare, bare[:-1] * 1000, bare.replace("g", "/"), f"{bare[:40]}\n{bare[40:]}\n"):
        for place in ("images", "files"):
            with pytest.raises(puter.PuterInputError, match=r"bare base64.*data URI") as caught:
                await door(door.client(), "chat", "Look!", **{place: text})
            assert len(str(caught.value)) < 250
    assert door.sent == []
