"""Bodies in pieces: what is sent is the JSON, byte for byte, each time it is sent."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import puter
from puter.api.sources import MAX_FILE
from puter.engine.transport import Transport
from puter.types.media import in_base64
from puter.wire.json import MAX_BODY
from puter.wire.pieces import LARGE, PIECE, Base64, Pieces, Text, json_body, pieces_of
from tests.door import Door, chat_body, error_body

PNG = b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(LARGE)
HALF, MARK = "\ud83d", "\udfff"
URI = "data:image/png;base64," + base64.b64encode(PNG).decode()


def same(payload: Any, plain: Any) -> Pieces:
    body = json_body(payload)
    assert isinstance(body, Pieces)
    wanted = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
    for _ in range(2):
        pieces = list(pieces_of(body))
        assert b"".join(pieces) == bytes(body) == wanted
        assert max(map(len, pieces)) <= PIECE
    assert len(body) == len(wanted)
    return body


def test_what_needs_no_copy_stands_where_its_text_would() -> None:
    text, data = "a" * LARGE, PNG[:-1]
    uri = "data:a/b;base64," + base64.b64encode(data).decode()
    payload = {"a": Text(text), "b": [1, "ä", Base64("data:a/b;base64,", data)], "c": Text(text, 9)}
    body = same(payload, {"a": text, "b": [1, "ä", uri], "c": text[9:]})
    shown = f"{body!r} {Text(text, 9)!r} {Base64('', data)!r}"
    assert shown == (
        f"<Pieces of {len(body):,} bytes> <Text of {LARGE - 9:,} characters> "
        f"<Base64 of {len(data):,} bytes>"
    )


def test_a_prefix_is_escaped() -> None:
    prefix = 'data:image/"ä";base64,'
    body = json_body([Base64(prefix, b"abc")])
    assert isinstance(body, bytes)  # it is small
    assert json.loads(body) == [prefix + "YWJj"]


@pytest.mark.parametrize("text", [HALF, MARK, MARK + MARK])
@pytest.mark.parametrize("beside", [[], [Text("a" * LARGE)], [Base64("", b"a")] * 2])
def test_half_a_character_is_refused(text: str, beside: list[Any]) -> None:
    with pytest.raises(puter.PuterInputError, match="half a character"):
        json_body([text, *beside])


def test_what_is_no_json_is_told_by_its_name() -> None:
    with pytest.raises(puter.PuterInputError, match="Object of type set is not JSON serializable"):
        json_body([Text("a"), {1}])


def test_a_body_in_pieces_is_bounded_before_it_is_made() -> None:
    with pytest.raises(puter.PuterInputError, match="50 MiB of JSON"):
        json_body([Base64("", bytes(MAX_BODY * 3 // 4))])


MODELS = ("gpt-5-nano", "claude-haiku-4-5", "o3-pro", "mistral-small-2506", "grok-3")


@pytest.mark.parametrize("model", MODELS)
async def test_a_large_picture_arrives_as_a_small_one_does(door: Door, model: str) -> None:
    ai = door.client()
    for picture in (PNG, PNG[:900]):
        await door(ai, "chat", "What is it?", model, images=picture, remember=False)
    large, small = (one.args["messages"][0]["content"] for one in door.sent)
    uri = "data:image/png;base64," + base64.b64encode(PNG[:900]).decode()
    told = json.dumps(small)
    whole = uri if uri in told else uri[22:]  # Claude's form names the type apart
    assert json.dumps(large) == told.replace(whole, URI[len(uri) - len(whole) :])


async def test_it_is_sent_again_whole_and_remembered_as_text(door: Door) -> None:
    ai = door.client(max_retries=1)
    busy = (429, error_body("slow down", "too_many_requests"))
    door.answers(busy, chat_body())
    await door(ai, "chat", "What is it?", images=PNG)
    first, second = door.sent
    assert first.json == second.json
    assert ai.chat_history[0]["content"][1]["image_url"]["url"] == URI
    json.dumps(ai.chat_history)


async def test_a_long_conversation_with_a_picture(door: Door) -> None:
    ai = door.client()
    ai.chat_history.extend({"role": "user", "content": f"number {n}"} for n in range(1200))
    await door(ai, "chat", "What is it?", images=PNG)
    messages = door.sent[0].args["messages"]
    assert [one["content"] for one in messages[:1200]] == [f"number {n}" for n in range(1200)]
    assert messages[1200]["content"][1]["image_url"]["url"] == URI


def test_base64_of_any_pieces_is_that_of_the_whole() -> None:
    data = PNG[:1000]
    for size in (1, 2, 3, 4, 7, 999, 1000):
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        assert in_base64("p", pieces) == "p" + base64.b64encode(data).decode()
    assert in_base64("p", []) == "p"


@pytest.mark.parametrize("kind", ["path", "file", "bytes", "memoryview", "uri", "image"])
async def test_a_source_is_in_memory_once_as_text(door: Door, kind: str, tmp_path: Path) -> None:
    data = PNG * 16
    path = tmp_path / "a.png"
    path.write_bytes(data)
    file = path.open("rb")
    sources: dict[str, Any] = {
        "path": path,
        "file": file,
        "bytes": data,
        "memoryview": memoryview(data),
        "uri": in_base64("data:image/png;base64,", [data]),
        "image": puter.Image(data),
    }
    ai = door.client(transport=Unread())
    tracemalloc.start()
    try:
        with pytest.raises(puter.PuterError, match="not sent"):
            await door(ai, "chat", "What is it?", images=sources[kind])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        file.close()
    copied = len(data) if kind == "memoryview" else 0  # it may change before it is sent again
    assert peak - copied < 1.6 * len(data)


class Unread(Transport):
    """Sends nothing."""

    def send(self, effect: Any) -> Any:
        raise puter.PuterError(f"not sent: {effect.request}")

    async def async_send(self, effect: Any) -> Any:
        return self.send(effect)


@pytest.mark.parametrize("images", [True, False])
async def test_a_file_that_does_not_end_is_read_up_to_the_limit(door: Door, images: bool) -> None:
    endless = io.BufferedReader(Endless())
    name = "images" if images else "files"
    with pytest.raises(puter.PuterInputError, match=r"larger than the 37\.5 MiB"):
        await door(door.client(), "chat", "What is it?", **{name: endless})
    assert MAX_FILE < endless.tell() < MAX_FILE + 2**20


class Endless(io.RawIOBase):
    _place = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        raise OSError("no")

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b"\x89PNG\r\n\x1a\n".ljust(len(buffer), b"\0")
        self._place += len(buffer)
        return len(buffer)


async def test_a_data_uri_that_is_broken_far_behind_is_refused(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match="does not hold valid base64"):
        await door(door.client(), "chat", "What is it?", images=URI[:-9] + "*" + URI[-8:])
    assert door.sent == []
