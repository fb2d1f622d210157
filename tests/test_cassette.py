"""`Cassette`: what was recorded is answered again, through both doors, and holds no secret."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from puter import PuterAI, PuterConfigError, PuterError, PuterStreamError
from puter.testing import (
    Cassette,
    LocalPuter,
    MockReply,
    MockRequest,
    MockTransport,
    UnrecordedRequest,
)
from tests.door import CUT, Door, chat_body, chunks, json_answer, shut, step, stream_answer

TOKEN = "test-token-secret"
STREAM = (
    {"type": "text", "text": "Hel"},
    {"type": "text", "text": "lo!"},
    {"type": "usage", "usage": {"prompt_tokens": 11, "completion_tokens": 7, "usd_cents": 0.0078}},
)
ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "tape.json"


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def refused(_: MockRequest) -> Any:
    raise AssertionError("something was sent")


def replaying(path: Path, **settings: Any) -> PuterAI:
    """A client without credentials that can send nothing."""
    settings = {"retry_delay": 0.0, **settings}
    return PuterAI(transport=MockTransport(refused), **settings).use(Cassette(path))


async def ask(door: Door, ai: PuterAI, stream: bool, prompt: str = "Hi") -> Any:
    found = await door(ai, "chat", prompt, stream=stream)
    if stream:
        await chunks(found)
        return found.reply
    return found


@ways
async def test_what_was_recorded_is_answered_again(door: Door, path: Path, stream: bool) -> None:
    answer = stream_answer(*STREAM) if stream else json_answer(chat_body())
    door.answers(answer)
    with Cassette(path) as cassette:
        assert not cassette.replaying
        recorded = await ask(door, door.client().use(cassette), stream)
    assert json.loads(text_of(path))["exchanges"][0]["request"]["json"]["args"]["messages"]
    ai = replaying(path)
    again = await ask(door, ai, stream)
    assert (again, again.usage, again.cost) == (recorded, recorded.usage, recorded.cost)
    assert again.raw == recorded.raw
    assert TOKEN not in text_of(path)
    assert ("lines" in json.loads(text_of(path))["exchanges"][0]["reply"]) is stream


@ways
async def test_an_unknown_request_raises_and_sends_nothing(
    door: Door, path: Path, stream: bool
) -> None:
    await ask(door, door.client().use(Cassette(path)), stream=False)
    ai = replaying(path)
    with pytest.raises(UnrecordedRequest) as caught:
        await ask(door, ai, stream, "Ho")
    assert "messages[0].content: 'Hi' was recorded, now 'Ho'" in caught.value.message
    assert isinstance(caught.value, PuterError)
    assert ai.chat_history == []
    assert ai.usage.requests == 0
    assert await ask(door, ai, stream=False) == "Hello!"


async def test_the_same_request_is_answered_in_order(door: Door, path: Path) -> None:
    door.answers(chat_body("one"), chat_body("two"))
    ai = door.client().use(Cassette(path))
    for _ in range(2):
        await door(ai, "chat", "Hi", remember=False)
    ai = replaying(path)
    assert [await door(ai, "chat", "Hi", remember=False) for _ in range(2)] == ["one", "two"]
    with pytest.raises(UnrecordedRequest, match="more often"):
        await door(ai, "chat", "Hi", remember=False)


async def test_errors_and_retries_are_those_of_the_recording(door: Door, path: Path) -> None:
    limited = json_answer({"message": "Too many requests.", "code": "too_many_requests"}, 429)
    door.answers(limited, chat_body("after a while"))
    recorded = await door(door.client().use(Cassette(path)), "chat", "Hi")
    again = await door(replaying(path), "chat", "Hi")
    assert (again, again.attempts) == (recorded, recorded.attempts) == ("after a while", 2)


async def test_a_recording_that_broke_off_breaks_off_again(door: Door, path: Path) -> None:
    door.answers(stream_answer(STREAM[0], CUT))
    for ai in (door.client().use(Cassette(path)), None):
        stream = await door(ai or replaying(path), "chat", "Hi", stream=True)
        with pytest.raises(PuterStreamError) as caught:
            await chunks(stream)
        assert caught.value.partial == "Hel"


async def test_of_a_stream_that_is_closed_what_came_is_kept(door: Door, path: Path) -> None:
    door.answers(stream_answer(*STREAM))
    for ai in (door.client().use(Cassette(path)), None):
        stream = await door(ai or replaying(path), "chat", "Hi", stream=True)
        assert await step(stream) == "Hel"
        await shut(stream)
    assert "Hel" in text_of(path)


async def test_sound_is_kept_as_it_is(door: Door, path: Path) -> None:
    sound = b"ID3\xff\xfb\x90" + bytes(range(256))
    mock = MockTransport(lambda _: MockReply(body=sound, headers={"content-type": "audio/mpeg"}))
    for ai in (PuterAI(token=TOKEN, transport=mock).use(Cassette(path)), None):
        audio = await door(ai or replaying(path), "txt2speech", "Hello")
        assert (audio.mime_type, audio.read()) == ("audio/mpeg", sound)
    assert "base64" in text_of(path)


async def test_signed_downloads_are_recorded_without_what_signs_them(
    door: Door, path: Path
) -> None:
    url = "https://files.example.org/a.gif?uid=7&X-Amz-Signature=s1gnature"

    def answer(request: MockRequest) -> Any:
        if request.url.startswith("https://files"):
            return MockReply(body=b"GIF89a", headers={"content-type": "image/gif"})
        return url

    mock = MockTransport(answer)
    for ai in (PuterAI(token=TOKEN, transport=mock).use(Cassette(path)), None):
        image = await door(ai or replaying(path), "txt2img", "A cat")
        assert "uid=7" in image.url
        assert image.read() == b"GIF89a"
    assert "s1gnature" not in text_of(path)


@pytest.fixture
def puter() -> Iterator[LocalPuter]:
    with LocalPuter(tier=None) as server:
        yield server


async def test_signing_in_is_recorded_without_password_and_token(
    door: Door, path: Path, puter: LocalPuter
) -> None:
    user = puter.add_user("carol", "correct horse battery")
    where: dict[str, Any] = {"api_base": puter.api_base, "login_url": puter.login_url}
    async with PuterAI(user.username, "correct horse battery", **where) as ai:
        ai.use(Cassette(path))
        asked = await door(ai, "chat", "2 + 2")
        assert (await door(ai, "whoami")).username == "carol"
        token = ai._shared.credentials.token
    assert token is not None
    content = text_of(path)
    for secret in (token.reveal(), "correct horse battery"):
        assert secret not in content
    ai = replaying(path, **where)
    assert await door(ai, "chat", "2 + 2") == asked
    assert (await door(ai, "whoami")).username == "carol"
    again = PuterAI("carol", "another", **where).use(Cassette(path))
    assert await door(again, "chat", "2 + 2") == asked


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_a_whole_program_is_replayed_without_its_server(door: Door, path: Path) -> None:
    async def program(ai: PuterAI) -> list[Any]:
        said = [
            await door(ai, "chat", "What is 2 + 2?"),
            await door(ai, "chat", "add 1 and 2", tools=[add]),
            await door(ai, "parse", "Three numbers: 1, 2, 3", list[int]),
            (await door(ai, "txt2img", "A cat", "gpt-image-2")).read(),
            (await door(ai, "list_models"))[0].id,
            (await door(ai, "txt2speech", "Hello")).read(),
            (await door(ai, "upload", b"Bread, milk", "~/list.txt")).name,
            (await door(ai, "read_file", "~/list.txt")),
            str(await door(ai, "account_usage")),
        ]
        async_stream = await door(ai, "chat", "And 3 + 3?", stream=True)
        return [*said, [str(one) for one in await chunks(async_stream)], ai.chat_history]

    async with LocalPuter(tier=None) as server, server.client() as ai:
        recorded = await program(ai.use(Cassette(path)))
    assert await program(replaying(path, api_base="http://127.0.0.1:9")) == recorded


async def test_a_token_that_was_made_is_not_in_the_file(
    door: Door, path: Path, puter: LocalPuter
) -> None:
    async with puter.client() as ai:
        made = await door(ai.use(Cassette(path)), "create_api_token", "mine")
    assert made not in text_of(path)
    ai = replaying(path, api_base=puter.api_base, login_url=puter.login_url)
    assert await door(ai, "create_api_token", "mine") == "<redacted>"


def test_threads_may_record_into_one_cassette(path: Path) -> None:
    together = threading.Barrier(4, timeout=30)

    def answer(request: MockRequest) -> Any:
        together.wait()
        return request.json["args"]["messages"][0]["content"]

    ai = PuterAI(token=TOKEN, transport=MockTransport(answer), max_concurrency=None)
    with Cassette(path) as cassette, ThreadPoolExecutor(4) as pool:
        ai.use(cassette)
        prompts = [f"{number}" for number in range(40)]
        assert list(pool.map(lambda one: ai.chat(one, remember=False), prompts)) == prompts
    again = replaying(path)
    assert [again.chat(one, remember=False) for one in reversed(prompts)] == prompts[::-1]


CRASH = """
import os, sys
from puter import PuterAI
from puter.testing import Cassette, MockTransport
ai = PuterAI(token="t", transport=MockTransport(lambda _: "Hello!")).use(Cassette(sys.argv[1]))
ai.chat("Hi")
os._exit(3)
"""


def test_a_crash_loses_no_exchange(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CRASH, str(path)], timeout=150, check=False)
    assert done.returncode == 3
    assert replaying(path).chat("Hi") == "Hello!"
    assert [one.name for one in path.parent.iterdir()] == ["tape.json"]


async def test_where_nothing_can_be_written_nothing_is_sent(door: Door, path: Path) -> None:
    cassette = Cassette(path)
    path.parent.touch()  # no folder
    with pytest.raises(OSError):
        await door(door.client().use(cassette), "chat", "Hi")
    assert door.sent == []


@ways
async def test_a_disk_that_fills_up_costs_no_answer(
    door: Door,
    path: Path,
    stream: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "the disk is full")

    door.answers(*[stream_answer(*STREAM) if stream else chat_body("Hello!") for _ in range(3)])
    with Cassette(path) as cassette:
        ai = door.client().use(cassette)
        monkeypatch.setattr("puter.testing.cassette.write_whole", full)
        for _ in range(2):
            assert await ask(door, ai, stream) == "Hello!"
        if stream:
            left = await door(ai, "chat", "Hi", stream=True)
            assert await step(left) == "Hel"
            await shut(left)
        with pytest.raises(OSError, match="full"):
            cassette.close()
        monkeypatch.undo()
    told = [one.levelname for one in caplog.records if "the disk is full" in one.getMessage()]
    assert told == ["WARNING"]
    assert len(json.loads(text_of(path))["exchanges"]) == 2 + stream


def test_nothing_is_written_where_nothing_was_said(path: Path) -> None:
    with Cassette(path) as cassette:
        PuterAI(token=TOKEN).use(cassette)
    assert not path.parent.exists()


def test_a_cassette_that_may_not_be_recorded_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(PuterConfigError, match=r"There is no cassette .*misspelt\.json"):
        Cassette(tmp_path / "misspelt.json", record=False)


@pytest.mark.parametrize("path", [None, 5, b"a.json", ""])
def test_what_is_no_path_is_told(path: Any) -> None:
    with pytest.raises(PuterConfigError, match="path must be the path of a file, not"):
        Cassette(path)


@pytest.mark.parametrize("content", ["", "{}", '{"version": 9, "exchanges": []}', "- a: yaml"])
def test_what_is_no_cassette_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(PuterConfigError, match="is no cassette"):
        Cassette(path)
    with pytest.raises(IsADirectoryError):
        Cassette(tmp_path)
