"""``puter-ai batch``."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import puter
from puter.cli import main
from puter.testing import Failure, LocalPuter, Reply
from tests.cli.conftest import Cli

ROOT = Path(puter.__file__).parents[1]


@pytest.fixture
def echo(signed_in: LocalPuter) -> LocalPuter:
    signed_in.respond(lambda call: f"<{call.last_text}>")
    return signed_in


def answers(name: str = "answers.jsonl") -> list[tuple[str, str]]:
    lines = Path(name).read_text(encoding="utf-8").splitlines()
    return sorted((str(one["item"]), one["text"] or "") for one in map(json.loads, lines))


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("in.txt", "a\n\nb c\r\n", ()),
        ("in.jsonl", '"a"\n"b c"\n', ()),
        ("in.jsonl", '{"q": "a"}\n{"q": "b c"}\n', ("-t", "{q}")),
        ("in.csv", "id,q\n1,a\n2,b c\n", ("--template", "{q}")),
        ("in.csv", "\ufeffq\na\nb c\n", ("-t", "{q}")),
        ("rows", "q\na\nb c\n", ("-t", "{q}", "--format", "csv")),
        ("in.csv", f"{'x' * 140_000},q\n1,a\n2,b c\n", ("-t", "{q}")),
        ("-", "a\nb c\n", ()),
    ],
)
def test_what_a_file_holds(
    name: str, content: str, options: tuple[str, ...], echo: LocalPuter, cli: Cli
) -> None:
    if name != "-":
        Path(name).write_text(content, encoding="utf-8", newline="")
    done = cli("batch", name, *options, stdin=content)
    assert done.code == 0, done.err
    assert [text for _, text in answers()] == ["<a>", "<b c>"]
    assert done.out == ""
    assert "2 answered, 0 failed, " in done.err
    assert "answers.jsonl" in done.err
    again = cli("batch", name, *options, stdin=content)
    assert "2 answered (2 of them before), 0 failed, 0 USD" in again.err


def test_what_failed_is_told_and_asked_again(echo: LocalPuter, cli: Cli) -> None:
    Path("in.txt").write_text("a\nb\n")
    echo.inject(Failure(400, "Not today"))
    done = cli("batch", "in.txt", "-o", "out.jsonl", "-s", "Be brief.", "--concurrency", "1")
    assert done.code == 1
    assert "1 of 2 failed. The same command asks them again." in done.err
    assert re.search(r"Item 1: .*Not today", done.err)
    assert echo.chats[-1].json["args"]["messages"][0]["content"] == "Be brief."
    done = cli("batch", "in.txt", "-o", "out.jsonl", "-s", "Be brief.", "--progress")
    assert done.code == 0
    assert "2/2" in done.err
    assert len(answers("out.jsonl")) == 3
    echo.inject(Failure(400, "Not today"))
    done = cli("batch", "in.txt", "-m", "gpt-4.1", "--on-error", "raise", "--concurrency", "1")
    assert (done.code, done.err.count("Not today")) == (1, 1)
    assert len(answers()) == 1


def test_options_shape_the_answers(echo: LocalPuter, cli: Cli) -> None:
    Path("in.txt").write_text("a\n")
    words = ("--max-tokens", "9", "--temperature", "0.5", "--option", "top_p=0.5")
    assert cli("batch", "in.txt", *words).code == 0
    sent = echo.chats[-1].json["args"]
    assert (sent["max_tokens"], sent["temperature"], sent["top_p"]) == (9, 0.5, 0.5)


@pytest.mark.parametrize(
    "words",
    [
        ("--option", "temprature=1"),
        ("--option", "temperature=hot"),
        ("--option", "max_tokens=1e400"),
        ("--option", "stream=true"),
        ("-t", "{item:{item}}"),
        ("-t", "{item.nope}"),
        ("-t", "{item[0]}{item[1]}"),
        ("-o", "-"),
    ],
)
def test_what_is_not_right_is_wrong_use(echo: LocalPuter, cli: Cli, words: tuple[str, ...]) -> None:
    Path("in.txt").write_text("a\n")
    done = cli("batch", "in.txt", *words)
    assert (done.code, echo.chats, list(Path().iterdir())) == (2, [], [Path("in.txt")])


def test_a_budget_stops_it(echo: LocalPuter, cli: Cli) -> None:
    Path("in.txt").write_text("a\nb\n")
    done = cli("batch", "in.txt", "--budget", "0.00000001")
    assert done.code == 1
    assert "It was stopped. The same command asks what is left." in done.err
    assert "0 answered, 0 failed, 2 not asked, 0 USD" in done.err
    assert echo.chats == []
    done = cli("batch", "in.txt", "--budget", "much")
    assert (done.code, "US dollars" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.txt", None, "File 'none.txt' does not exist"),
        ("in.jsonl", b'"a"\n{\n', "in.jsonl, line 2 is no JSON"),
        ("in.txt", b"\xff\xfe\x00", "in.txt cannot be read"),
        ("in.csv", b'a\n"x', "in.csv cannot be read"),
        ("in.csv", b"a\nx\n", "The template has the field {item}"),
        ("in.csv", b"item,b\nx,y\nx\n", "in.csv, line 3 has not as many cells"),
        ("in.csv", b"item\nx,y\n", "in.csv, line 2 has not as many cells"),
        ("in.jsonl", b'{"item": "a"}\n{"b": 1}\n', "The template has the field {item}"),
        ("in.csv", b"item,b,b\nx,y,z\n", "in.csv has several columns 'b'"),
        ("in.jsonl", b"[" * 100_000 + b"]" * 100_000, "line 1 is nested too deeply"),
        ("in.jsonl", b"9" * 5_000, "line 1 is nested too deeply, or has a number too long"),
    ],
)
def test_what_cannot_be_read_is_told(
    name: str, content: bytes | None, told: str, echo: LocalPuter, cli: Cli
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    done = cli("batch", name)
    assert done.code == 2
    assert told in done.err
    assert done.err.count("\n") == 1
    assert cli("batch", name, "-t", "{").code == 2
    assert echo.chats == []


@pytest.mark.usefixtures("echo")
def test_what_is_found_after_something_was_asked_is_no_wrong_use(cli: Cli) -> None:
    assert cli("batch", "-", "--format", "jsonl", stdin="{").code == 2
    assert cli("batch", "-", "--format", "jsonl", stdin='"a"\n{').code == 1


def test_it_writes_over_no_file_of_another_kind(echo: LocalPuter, cli: Cli) -> None:
    Path("in.txt").write_text("a\n")
    Path("notes.txt").write_text("mine\n")
    done = cli("batch", "in.txt", "-o", "notes.txt")
    assert (done.code, Path("notes.txt").read_text()) == (2, "mine\n")
    assert "Line 1 of notes.txt is no record of a batch" in done.err


def test_it_writes_to_no_device(echo: LocalPuter, cli: Cli) -> None:
    Path("in.txt").write_text("a\n")
    done = cli("batch", "in.txt", "-o", os.devnull)
    assert (done.code, done.err.count("\n"), echo.chats) == (2, 1, [])
    assert "no ordinary file" in done.err


def test_it_does_not_read_its_own_answers(
    echo: LocalPuter, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would be one more item, and paid, without end."""
    Path("in.txt").write_text("a\n")
    assert cli("batch", "in.txt").code == 0
    Path("link.jsonl").symlink_to("answers.jsonl")
    os.link("answers.jsonl", "hard.jsonl")
    for name in ("answers.jsonl", "./answers.jsonl", "link.jsonl", "hard.jsonl"):
        done = cli("batch", name, "-t", "Translate: {text}")
        assert (done.code, "one more item" in done.err) == (2, True)
    with open("answers.jsonl", encoding="utf-8") as opened:
        monkeypatch.setattr(sys, "stdin", opened)
        assert main(["batch", "-", "-t", "{text}", "--format", "jsonl"]) == 2
    assert len(echo.chats) == len(answers()) == 1
    assert cli("batch", "answers.jsonl", "-t", "{text}", "-o", "next.jsonl").code == 0


@pytest.mark.parametrize("words", [(), ("--on-error", "raise")])
def test_answers_that_find_no_room_are_kept_elsewhere(
    echo: LocalPuter,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: tuple[str, ...],
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        if b'"item": "b"' in data:
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    write = os.write
    Path("in.txt").write_text("a\nb\nc\n")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        done = cli("batch", "in.txt", "--concurrency", "1", *words)
    (kept,) = tmp_path.glob("puter-ai-*/answers.jsonl")
    assert done.code == 1
    assert f"answers.jsonl lacks 1 of them: append {kept} to it." in done.err
    assert (answers(), answers(str(kept))) == ([("a", "<a>")], [("b", "<b>")])
    with open("answers.jsonl", "ab") as file:
        file.write(kept.read_bytes())
    assert "3 answered (2 of them before)" in cli("batch", "in.txt").err


def test_a_chart(echo: LocalPuter, cli: Cli) -> None:
    pytest.importorskip("matplotlib")
    Path("in.txt").write_text("a\n")
    assert cli("batch", "in.txt", "--chart", "batch.svg").code == 0
    assert "<svg" in (drawn := Path("batch.svg").read_text(encoding="utf-8"))
    assert cli("batch", "in.txt", "-t", "{none}", "--chart", "batch.svg").code == 2
    assert Path("batch.svg").read_text(encoding="utf-8") == drawn
    assert cli("batch", "in.txt", "--chart", "gone/batch.svg").code == 1
    done = cli("batch", "in.txt", "--chart", "")
    assert (done.code, "A chart needs a name" in done.err) == (2, True)
    assert len(echo.chats) == 1


def test_a_chart_is_drawn_over_no_items_and_no_answers(echo: LocalPuter, cli: Cli) -> None:
    pytest.importorskip("matplotlib")
    Path("in.png").write_text("a\n")
    Path("link.svg").symlink_to("in.png")
    for chart in ("in", "./in.png", "link.svg", "new.svg"):
        done = cli("batch", "in.png", "-o", "new.svg", "--chart", chart)
        assert (done.code, "The chart would take the place of" in done.err) == (2, True)
    assert echo.chats == []
    assert cli("batch", "in.png", "-o", "old.svg").code == 0
    done = cli("batch", "in.png", "-o", "new.jsonl", "--chart", "old.svg")
    assert (done.code, "old.svg holds the answers of a batch" in done.err) == (2, True)
    assert (Path("in.png").read_text(), answers("old.svg")) == ("a\n", [("a", "<a>")])
    assert len(echo.chats) == 1


def test_ctrl_c_waits_for_what_is_paid(signed_in: LocalPuter) -> None:
    """As a process of its own, with the signal of a terminal."""
    Path("in.txt").write_text("\n".join(map(str, range(50))))
    signed_in.reply_with(*[Reply(text="ok", delay=0.5) for _ in range(50)])
    command = [sys.executable, "-m", "puter", "batch", "in.txt", "--concurrency", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as program:
        signed_in.wait_for(2, timeout=40)
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=40)
    assert program.returncode == 130
    assert err.startswith("Interrupted: calls under way are waited for, as they are paid.")
    assert "The same batch goes on where answers.jsonl ends." in err
    assert "Traceback" not in err
    assert len(answers()) == len(signed_in.chats) == 2
