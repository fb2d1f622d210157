"""Each example runs alone, and tells what is wrong in one line; Ctrl-C and closed pipes end it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from puter.testing import Gate, LocalPuter, Reply, faults
from tests.docs.test_docs import ROOT, run
from tests.terminal import CTRL_C, CTRL_D, UP, Terminal

EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
ASKING = sorted({*EXAMPLES} - {"chatbot.py"})
"""Those that ask a server by themselves."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where examples run, as users without an account."""
    (tmp_path / "bad.json").write_text("{bad")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x80")
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    return tmp_path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalPuter]:
    """What examples talk to."""
    with LocalPuter() as server:
        monkeypatch.setenv("PUTER_API_BASE", server.api_base)
        monkeypatch.setenv("PUTER_AUTH_TOKEN", server.token)
        yield server


def start(words: str, folder: Path, **streams: Any) -> subprocess.Popen[str]:
    """An example with its arguments; its streams are pipes, and nothing is typed."""
    name, *arguments = shlex.split(words)
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **streams}
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, **streams)


@pytest.mark.parametrize("name", EXAMPLES)
def test_runs_without_arguments_and_account(name: str, tmp_path: Path) -> None:
    run(name, [sys.executable, str(ROOT / "examples" / name)], tmp_path)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("batch.py bad.json", "bad.json is no record"),
        ("batch.py missing/answers.jsonl", "No such file"),
        ("batch.py folder", "Is a directory"),
        ("chatbot.py bad.json", "is not JSON"),
        ("chatbot.py missing/talk.json", "no such folder"),
        ("chatbot.py folder", "Is a directory"),
        ("extract.py missing.txt", "No such file"),
        ("extract.py binary", "can't decode"),
        ("image_to_file.py cat missing/cat", "No such file"),
        ("image_to_file.py cat folder", "folder is there, and is no file"),
        ("image_to_file.py cat ''", "is there, and is no file"),
        ("image_to_file.py cat /dev/null", "/dev/null is there, and is no file"),
        ("price_table.py no-such-model", "'no-such-model'"),
        ("show_image.py missing.png", "cannot be read"),
        ("show_image.py bad.json", "not an image"),
        ("transcript.py missing.mp3", "cannot be read"),
    ],
)
def test_bad_input_is_told_in_one_line(
    words: str, told: str, server: LocalPuter, folder: Path
) -> None:
    with start(words, folder) as program:
        _, err = program.communicate(timeout=150)
    assert program.returncode == 1
    assert told in err
    assert err.count("\n") == 1
    assert not any(request.billed for request in server.requests)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing/chart.png", "No such file"),
        ("folder", "Is a directory"),
        ("''", "No such file"),
    ],
)
def test_a_chart_that_cannot_be_written_is_one_line(
    name: str, told: str, server: LocalPuter, folder: Path
) -> None:
    pytest.importorskip("matplotlib", reason="without it the chart is bars of text")
    del server
    with start(f"spending_chart.py {name}", folder) as program:
        _, err = program.communicate(timeout=150)
    assert program.returncode == 1
    assert told in err
    assert err.count("\n") == 1


def test_the_chart_is_the_file_that_was_named(server: LocalPuter, folder: Path) -> None:
    pytest.importorskip("matplotlib", reason="without it the chart is bars of text")
    del server
    with start("spending_chart.py chart", folder) as program:
        out, _ = program.communicate(timeout=150)
    assert out.endswith("saved as chart\n")
    assert (folder / "chart").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["agent.py", "chatbot.py"])
def test_nobody_types_where_the_input_is_closed(
    name: str, server: LocalPuter, folder: Path
) -> None:
    del server
    closing = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, str(ROOT / "examples" / name)]
    done = subprocess.run(
        closing, cwd=folder, capture_output=True, text=True, timeout=150, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("USD\n")


def test_a_refused_token_is_told_in_one_line(server: LocalPuter, folder: Path) -> None:
    server.revoke(server.token)
    with start("quickstart.py", folder) as program:
        _, err = program.communicate(timeout=150)
    assert (program.returncode, err.count("\n")) == (1, 1)


@pytest.mark.parametrize("name", ASKING)
def test_ctrl_c_ends_it(name: str, server: LocalPuter, folder: Path) -> None:
    server.inject(faults.silence())
    with start(name, folder) as program:
        assert program.stderr is not None
        server.wait_for(1, timeout=150)
        program.send_signal(signal.SIGINT)
        if name == "batch.py":  # waits for what is paid, until the second
            assert "Ctrl-C again" in program.stderr.readline()
            program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=150)
    assert program.returncode == 130
    assert "Traceback" not in err


@pytest.mark.parametrize("name", EXAMPLES)
def test_ctrl_c_ends_it_while_modules_load(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading = "import time; print('loading', flush=True); time.sleep(150)"
    (folder / "puter.py").write_text(loading)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    with start(name, folder) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "loading\n"
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=150)
    assert (program.returncode, err) == (-signal.SIGINT, "")  # 130 in a shell


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_closed_pipe_ends_it(name: str, server: LocalPuter, folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    del server  # it spares each of them a server of its own
    with start(name, folder, stdout=writer) as program:
        os.close(writer)
        _, err = program.communicate(timeout=150)
    assert (program.returncode, err) == (1, "")


def test_the_chatbot_outlives_ctrl_c(server: LocalPuter, folder: Path) -> None:
    server.reply_with("Fine.", Reply(chunks=["Once upon ", "a time"], gate=Gate()), "Yes.")
    command = [sys.executable, str(ROOT / "examples" / "chatbot.py"), "talk.json"]
    with Terminal(command, folder=folder) as terminal:
        terminal.at_prompt()
        terminal.type("How are you?")
        terminal.child.send("A story\r")
        terminal.child.expect("Once upon")
        terminal.child.send(CTRL_C)
        terminal.child.expect(r"\[stopped\]")
        terminal.at_prompt()
        assert "no command /hlep" in " ".join(terminal.type("/hlep"))
        assert "/undo takes" in " ".join(terminal.type("/help"))
        terminal.child.send(f"never sent{CTRL_C}")
        terminal.at_prompt()
        terminal.type(f"{UP}{UP}{UP}{UP}")  # readline: the first question again
        sent = [one.json["args"]["messages"] for one in server.chats]
        assert [one["content"] for one in sent[-1][1:]] == ["How are you?", "Fine.", "How are you?"]
        assert len(sent) == 3
        assert terminal.leave(CTRL_D) == 0
        assert "USD" in terminal.log.getvalue().splitlines()[-1]
    with Terminal(command, folder=folder) as terminal:
        terminal.at_prompt()
        assert "[2 messages taken back]" in " ".join(terminal.type("/undo"))
        assert terminal.leave(CTRL_D) == 0


def test_the_table_lists_them_all() -> None:
    table = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[`(\S+)`\]", table, re.MULTILINE)
    there = {path.name for path in (ROOT / "examples").iterdir()}
    assert {*listed} == there - {"README.md", "where.py", "__pycache__"}
