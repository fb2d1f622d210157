"""The command line as a process: on a terminal, in pipes, interrupted."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from puter.testing import Gate, LocalPuter, Reply

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-W", "error", "-m", "puter")
PIPE, NOTHING = subprocess.PIPE, subprocess.DEVNULL


@pytest.fixture
def start(signed_in: LocalPuter) -> Callable[..., subprocess.Popen[bytes]]:
    """Start ``puter-ai``; streams that are not named are pipes."""

    def start(*words: str, **streams: Any) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "40"}
        streams = {"stdin": NOTHING, "stdout": PIPE, "stderr": PIPE, **streams}
        return subprocess.Popen([*PROGRAM, *words], env=environment, **streams)

    return start


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: what a person has, and what a program has."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def read_until(descriptor: int, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data:
        data += os.read(descriptor, 4096)
    return data


@pytest.mark.parametrize("on_terminal", [True, False])
def test_ctrl_c_in_a_stream_keeps_what_came(
    start: Any, signed_in: LocalPuter, terminal: tuple[int, int], on_terminal: bool
) -> None:
    signed_in.reply_with(Reply(chunks=["Once **upon** ", "a time"], gate=Gate(1)))
    person, screen = terminal
    program = start("A story", **({"stdout": screen} if on_terminal else {}))
    seen = read_until(person if on_terminal else program.stdout.fileno(), b"upon")
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=30)
    assert program.returncode == 130
    assert err.strip() == b""
    if on_terminal:
        erased = b"\x1b[?25h\r\x1b[1A\x1b[2K"  # the text that grew
        assert read_until(person, erased + b"Once \x1b[1mupon\x1b[0m")
    else:
        assert seen + out == b"Once **upon** \n"


def test_a_pipe_that_is_closed_early_is_no_error(start: Any, signed_in: LocalPuter) -> None:
    signed_in.reply_with(Reply(chunks=[f"line {n}\n" * 500 for n in range(100)]))
    program = start("Count")
    assert program.stdout.readline() == b"line 0\n"
    program.stdout.close()
    with program.stderr:
        assert program.stderr.read() == b""
    assert program.wait(timeout=30) == 1


def test_a_table_into_a_closed_pipe_is_no_error(start: Any) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = start("models", stdout=writer)
    os.close(writer)
    with program.stderr:
        assert program.stderr.read() == b""
    assert program.wait(timeout=30) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
def test_what_came_for_a_disk_that_is_full_is_kept(
    start: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with open("/dev/full", "w") as full:
        program = start("2 + 2", stdout=full)
    told = program.communicate(timeout=30)[1].decode()
    (kept,) = tmp_path.glob("puter-ai-*/answer.txt")
    assert told == f"puter-ai: No space left on device. It is paid for, and kept in {kept}\n"
    assert kept.read_text() == "2 + 2 = 4"
    assert program.returncode == 1


def test_a_terminal_gets_formatted_text_and_keeps_what_is_typed_for_the_shell(
    start: Any, signed_in: LocalPuter, terminal: tuple[int, int]
) -> None:
    signed_in.reply_with("It is **Paris**.")
    person, screen = terminal
    program = start("Capital?", stdin=screen, stdout=screen)
    assert program.wait(timeout=30) == 0
    program.stderr.close()
    assert b"It is \x1b[1mParis\x1b[0m." in read_until(person, b"\x1b[?25h")
    assert len(signed_in.requests) == 1
