"""Where files are written, and where they are not: whole, under the user's name, or not at all."""

from __future__ import annotations

import errno
import gc
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import puter
from puter import Image
from puter.api.spooled import SPOOLED
from puter.atomic import AtomicFile, check_writable, write_whole
from tests.door import Door, stream_answer
from tests.test_media import PNG, call, generate, png

ROOT = Path(__file__).parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="modes and devices of POSIX")


async def spoken(door: Door, *pieces: bytes, kind: str = "audio/mpeg") -> Any:
    """What ``txt2speech()`` makes of an answer in those pieces."""
    door.answers(stream_answer(*pieces, **{"Content-Type": kind}))
    return await door(door.client(), "txt2speech", "Hi")


async def in_memory(_door: Door) -> Image:
    return Image(PNG)


async def at_a_url(door: Door) -> Any:
    return await generate(door, png())


async def in_a_temporary_file(door: Door) -> Any:
    return await spoken(door, bytes(SPOOLED), b"end")


VALUES = pytest.mark.parametrize("value", [in_memory, at_a_url, in_a_temporary_file])


def special(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "special"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    elif kind == "folder":
        path.mkdir()
    else:
        return Path(os.devnull)
    return path


@posix
@VALUES
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device"])
@pytest.mark.parametrize("link", [False, True], ids=["itself", "link"])
async def test_only_ordinary_files_are_replaced(
    door: Door, tmp_path: Path, value: Any, kind: str, link: bool
) -> None:
    target = special(tmp_path, kind)
    before = os.stat(target)
    path = target
    if link:
        path = tmp_path / "link"
        path.symlink_to(target)
    there = sorted(os.listdir(tmp_path))
    media = await value(door)
    door.sent.clear()
    with pytest.raises(OSError, match="folder" if kind == "folder" else "no ordinary") as told:
        await call(door, media, "save", path)
    assert told.value.filename == str(path)
    assert isinstance(told.value, IsADirectoryError) == (kind == "folder")
    assert os.path.samestat(before, os.stat(target))
    assert sorted(os.listdir(tmp_path)) == there
    assert door.sent == []  # found before anything was fetched


@posix
@VALUES
async def test_what_the_extension_leads_to_is_looked_at_too(
    door: Door, tmp_path: Path, value: Any
) -> None:
    media = await value(door)
    for name in ("a.png", "a.mp3"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match="no ordinary") as told:
        await call(door, media, "save", tmp_path / "a")
    assert told.value.filename in (str(tmp_path / "a.png"), str(tmp_path / "a.mp3"))
    assert sorted(os.listdir(tmp_path)) == ["a.mp3", "a.png"]


@VALUES
@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("no/such/x", FileNotFoundError),
        ("file/x", NotADirectoryError),
        ("new/", IsADirectoryError),
        ("", IsADirectoryError),
        (".", IsADirectoryError),
        ("x" * 300, OSError),
        ("a\0b", OSError),
        ("\ud800", OSError),
    ],
    ids=["missing", "in a file", "slash", "empty", "dot", "long", "NUL", "surrogate"],
)
async def test_a_path_that_cannot_be_is_told_before_the_download(
    door: Door,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    value: Any,
    where: str,
    error: type[OSError],
) -> None:
    monkeypatch.chdir(tmp_path)
    open("file", "w").close()  # noqa: ASYNC230
    media = await value(door)
    door.sent.clear()
    with pytest.raises(error) as told:
        await call(door, media, "save", where)
    assert told.value.filename == where
    assert (os.listdir(), door.sent) == (["file"], [])


@posix
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_that_may_not_be_written_is_told_before_the_download(
    door: Door, tmp_path: Path
) -> None:
    os.chmod(tmp_path, 0o500)
    media = await at_a_url(door)
    with pytest.raises(PermissionError) as told:
        await call(door, media, "save", tmp_path / "a")
    assert (told.value.filename, door.sent) == (str(tmp_path / "a"), [])


async def test_the_extension_that_is_asked_for_stays(door: Door, tmp_path: Path) -> None:
    assert await call(door, Image(PNG), "save", tmp_path / "out.jpg") == tmp_path / "out.jpg"
    assert (tmp_path / "out.jpg").read_bytes() == PNG


# ------------------------------------------------------------ modes


@posix
@VALUES
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755, 0o400])
async def test_a_replaced_file_keeps_its_mode(
    door: Door, tmp_path: Path, value: Any, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    path.touch()
    path.chmod(mode)
    during: list[int] = []
    write = AtomicFile.write

    def spy(file: AtomicFile, data: bytes) -> None:
        (temporary,) = tmp_path.glob(".*.tmp")
        during.append(stat.S_IMODE(temporary.stat().st_mode))
        write(file, data)

    monkeypatch.setattr(AtomicFile, "write", spy)
    media = await value(door)
    old = os.umask(0o077)  # the most that it can take
    try:
        await call(door, media, "save", path)
    finally:
        os.umask(old)
    assert set(during) == {mode}
    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
def test_a_private_file_is_private_before_its_mode_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.touch(0o600)
    seen: list[int] = []

    def chmod(temporary: Any, mode: int) -> None:
        seen.append(stat.S_IMODE(os.stat(temporary).st_mode))

    monkeypatch.setattr(os, "chmod", chmod)
    write_whole(path, b"secret")
    assert seen == [0o600]


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_a_new_file_gets_the_mode_that_open_gives(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        write_whole(tmp_path / "ours", b"x")
        (tmp_path / "theirs").write_bytes(b"x")
    finally:
        os.umask(old)
    ours, theirs = ((tmp_path / name).stat().st_mode for name in ("ours", "theirs"))
    assert ours == theirs


@posix
def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "a", tmp_path / "link"
    link.symlink_to(target)
    for data in (b"one", b"two"):  # dangling at first
        assert write_whole(link, data) == link
        assert link.is_symlink()
        assert target.read_bytes() == data
    assert [one.name for one in target.parent.iterdir()] == ["a"]


@posix
def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.symlink_to(two)
    two.symlink_to(one)
    with pytest.raises(OSError, match=r"one'") as told:
        write_whole(one, b"x")
    assert told.value.errno == errno.ELOOP


# ------------------------------------------------------------ full disks, interrupts


FULL = """
import asyncio, os, resource, signal, sys
from puter import Audio, Image, PuterAI
from puter.testing import MockReply, MockTransport

big = b"\\x89PNG\\r\\n\\x1a\\n" + bytes(3_000_000)

def handler(request):
    if request.url.endswith("/drivers/call"):
        if request.json["interface"] == "puter-tts":
            return MockReply(lines=[big, big], headers={"content-type": "image/png"})
        return "https://example.org/a.png"
    return MockReply(lines=[big[:2_000_000], big[2_000_000:]], headers={"content-type": "x/y"})

ai = PuterAI(token="t", transport=MockTransport(handler))
values = [Image(big), ai.txt2img("a cat"), ai.txt2speech("Hi")]
wanted = [big, big, big + big]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
values.append(ai.txt2speech("Hi"))  # what is paid for is not lost with the temporary file
wanted.append(big + big)
os.chdir(sys.argv[1])

def save(value):
    if sys.argv[2] == "sync":
        return value.save("out.png")
    return asyncio.run(value.async_save("out.png"))

for value, data in zip(values, wanted):
    try:
        save(value)
    except OSError as error:
        print(error.filename, error.errno == 27, os.listdir())
    assert value.read() == data  # not lost
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for value, data in zip(values, wanted):
    assert save(value).read_bytes() == data
print("saved", os.listdir())
"""


@posix
def test_a_full_disk_names_the_path_and_loses_nothing(door: Door, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL, str(tmp_path), door.kind],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "out.png True []\n" * 4 + "saved ['out.png']\n"


async def test_without_a_folder_for_temporary_files_long_audio_is_in_memory(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    audio = await spoken(door, bytes(SPOOLED), b"end")
    path = await call(door, audio, "save", tmp_path / "a")
    assert path.read_bytes() == bytes(SPOOLED) + b"end" == await call(door, audio, "read")


def test_what_is_given_up_without_a_word_goes_with_its_owner(tmp_path: Path) -> None:
    file = AtomicFile(tmp_path / "a")
    file.write(b"half")
    assert len(os.listdir(tmp_path)) == 1
    del file
    gc.collect()
    assert os.listdir(tmp_path) == []


# ------------------------------------------------------------ what is not a value


@posix
def test_a_conversation_is_not_saved_onto_a_device(tmp_path: Path) -> None:
    talk = puter.PuterAI(token="t").conversation(messages=["Hi"])
    os.mkfifo(tmp_path / "pipe")
    for path in (os.devnull, str(tmp_path), str(tmp_path / "pipe"), str(tmp_path / "no" / "x")):
        with pytest.raises(OSError, match=r"folder|ordinary") as told:
            talk.save(path)
        assert told.value.filename == path
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize("method", ["upload", "speech2txt", "img2txt"])
async def test_a_source_that_cannot_be_read_is_told_before_anything_is_sent(
    door: Door, tmp_path: Path, method: str
) -> None:
    for path in (tmp_path, tmp_path / "no", str(tmp_path / "no" / "x\0")):
        with pytest.raises(puter.PuterInputError, match="cannot be read"):
            await door(door.client(), method, path)
    with pytest.raises(puter.PuterInputError, match="cannot be read"):
        await door(door.client(), "chat", "What is it?", images=tmp_path)
    assert door.sent == []


@pytest.mark.parametrize("name", ["a", "a.png"])
def test_a_place_can_be_looked_at_beforehand(tmp_path: Path, name: str) -> None:
    check_writable(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="such links are Linux's")
def test_a_link_to_a_pipe_is_no_file() -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(OSError, match="no ordinary file"):
            AtomicFile(f"/proc/self/fd/{write}", ".png")
    finally:
        os.close(read)
        os.close(write)
