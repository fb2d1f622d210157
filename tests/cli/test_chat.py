"""``puter-ai chat``: its options, its input from a pipe, and on a real terminal."""

from __future__ import annotations

import errno
import io
import json
import re
import shlex
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from puter.cli import main
from puter.cli.talk import STOPPED
from puter.testing import Gate, LocalPuter, Reply, faults, samples
from tests.cli.conftest import Cli, Done
from tests.terminal import CTRL_C, CTRL_D, MORE, UP, Terminal

CHAT = (sys.executable, "-m", "puter", "chat")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(signed_in: LocalPuter, monkeypatch: pytest.MonkeyPatch) -> LocalPuter:
    """The server of processes, too."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    return signed_in


def asked(server: LocalPuter) -> list[str]:
    return [one.json["args"]["messages"][-1]["content"] for one in server.chats]


# ------------------------------------------------------------ a pipe


def test_each_line_of_a_pipe_is_a_message(server: LocalPuter, cli: Cli) -> None:
    typed = 'My name is Ada.\n"""What is\nmy name?"""\n/undo\nWhat is my name?'
    done = cli("chat", "-m", "gpt-4.1", stdin=typed)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "Hello, Ada! I am LocalPuter, playing gpt-4.1.",
        "LocalPuter, playing gpt-4.1, read: What is",
        "my name?",
        "Took back the last question and its answer.",
        "Your name is Ada.",
    ]


def test_a_turn_that_fails_in_a_pipe_fails_the_command_at_its_end(
    server: LocalPuter, cli: Cli
) -> None:
    server.inject(faults.insufficient_funds(), operation="chat", times=1)
    done = cli("chat", stdin="One\n2 + 2\n")
    assert (done.code, done.out) == (1, "2 + 2 = 4\n")
    assert done.err.startswith("puter-ai: ")
    assert done.err.count("\n") == 1


def test_no_input_is_no_talk(server: LocalPuter, cli: Cli) -> None:
    assert cli("chat") == Done(0, "", "")
    assert server.requests == []


def test_what_is_no_text_is_not_sent(server: LocalPuter, cli: Cli) -> None:
    done = cli("chat", stdin=b"2 + 2\n\xff\xfe\n")
    assert done.code == 1
    assert done.err.startswith("puter-ai: ")
    assert "UTF-8" in done.err


@pytest.mark.parametrize("output", ["closed", "full"])
def test_nothing_is_asked_when_nobody_can_read_the_answers(
    server: LocalPuter, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    class Broken(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space") if output == "full" else BrokenPipeError()

    monkeypatch.setattr(sys, "stdin", io.StringIO("1 + 1\n2 + 2\n3 + 3\n"))
    monkeypatch.setattr(sys, "stdout", Broken())
    assert main(["chat"]) == 1
    assert asked(server) == ["1 + 1"]


def test_a_standard_input_that_is_closed_is_empty(
    server: LocalPuter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["chat"]) == 0
    assert capsys.readouterr() == ("", "")


def test_options_begin_a_talk_or_go_on_with_one(server: LocalPuter, cli: Cli) -> None:
    begun = "My name is Ada.\n/save talk.json\n"
    assert cli("chat", "-m", "gpt-4.1", "-s", "Be brief.", stdin=begun).code == 0
    assert cli("chat", "--load", "talk.json", stdin="What is my name?").out == "Your name is Ada.\n"
    other = ("-m", "o3", "-s", "Be long.")
    assert cli("chat", "--load", "talk.json", *other, stdin="And now?").code == 0
    sent = [one.json["args"] for one in server.chats]
    assert [one["model"] for one in sent] == ["gpt-4.1", "gpt-4.1", "o3"]
    assert [one["messages"][0]["content"] for one in sent] == ["Be brief.", "Be brief.", "Be long."]
    assert [len(one["messages"]) for one in sent] == [2, 4, 4]


def test_options_of_a_chat_go_with_every_message_and_files_with_the_first(
    server: LocalPuter, cli: Cli
) -> None:
    Path("cat.png").write_bytes(samples.PNG)
    Path("list.txt").write_text("Bread, milk")
    options = ("--temperature", "0.5", "--option", "max_tokens=9")
    done = cli("chat", *options, "-i", "cat.png", "-f", "list.txt", stdin="One\nTwo\n")
    assert (done.code, done.err) == (0, "")
    sent = [one.json["args"] for one in server.chats]
    assert [(one["temperature"], one["max_tokens"]) for one in sent] == [(0.5, 9)] * 2
    said = [json.dumps(one["messages"][-1]) for one in sent]
    assert ["image" in one and "Bread, milk" in one for one in said] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["-i", "-"], 2, "Standard input is what is said"),
        (["--option", "temprature=1"], 2, "Did you mean 'temperature'?"),
        (["--load", "nowhere.json"], 2, "File 'nowhere.json' does not exist"),
        (["--load", __file__], 2, "not JSON"),
        (["hello"], 2, "puter-ai chat --help"),
        (["--modle", "x"], 2, "--model"),
    ],
)
def test_a_talk_that_cannot_begin_sends_nothing(
    server: LocalPuter, cli: Cli, arguments: list[str], code: int, told: str
) -> None:
    done = cli("chat", *arguments, stdin="One\n")
    assert done.code == code
    assert told in done.err
    assert done.err.count("\n") == 1
    assert server.requests == []


@pytest.mark.parametrize(
    ("terminal", "arguments", "kept"),
    [(False, [], False), (True, [], True), (True, ["--no-history"], False)],
)
def test_a_history_is_kept_of_what_somebody_typed(
    server: LocalPuter, cli: Cli, tmp_path: Path, terminal: bool, arguments: list[str], kept: bool
) -> None:
    done = cli("chat", *arguments, stdin="2 + 2\n", terminal=terminal)
    assert (done.code, done.out) == (0, "2 + 2 = 4\n")
    assert (tmp_path / "home" / "puter" / "chat_history").exists() == kept
    assert ("/help lists commands" in done.err) == (" tokens in, " in done.err) == terminal


def test_a_history_that_cannot_be_kept_is_told(
    server: LocalPuter, cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("no folder")
    done = cli("chat", stdin="2 + 2\n", terminal=True)
    assert (done.code, done.out) == (0, "2 + 2 = 4\n")
    assert "puter-ai: No history is kept: " in done.err


# ------------------------------------------------------------ a terminal


@pytest.fixture
def open_terminal() -> Iterator[Callable[..., Terminal]]:
    """Opens a chat at a terminal, and waits for its first prompt."""
    with ExitStack() as stack:

        def open_one(*arguments: str, command: Sequence[str] = CHAT, **options: Any) -> Terminal:
            one = stack.enter_context(Terminal([*command, *arguments], **options))
            one.at_prompt()
            return one

        yield open_one


@pytest.mark.parametrize(("term", "columns"), [("xterm-256color", 80), ("dumb", 40)])
def test_a_talk_at_a_terminal(
    server: LocalPuter, open_terminal: Callable[..., Terminal], term: str, columns: int
) -> None:
    terminal = open_terminal("-m", "gpt-4.1", term=term, columns=columns)
    assert " ".join(terminal.lines).startswith("gpt-4.1 answers. /help lists commands")
    terminal.type("My name is Ada.")
    assert "> My name is Ada." in terminal.lines
    assert "Hello, Ada!" in " ".join(terminal.lines)
    terminal.type("Another \\", prompt=MORE)
    terminal.type("line")
    terminal.type('"""A', prompt=MORE)
    terminal.type("/block", prompt=MORE)
    terminal.type('"""')
    terminal.type("\x1b[200~Pasted\n  at once\x1b[201~")
    assert "No command '/nope'" in " ".join(terminal.type("/nope"))
    assert "UTF-8" in " ".join(terminal.type("\udcff"))  # a byte that is no text
    terminal.child.send(f"never sent{CTRL_C}")
    terminal.at_prompt()
    terminal.type("/und\t")
    assert "Took back the last question" in " ".join(terminal.lines)
    assert asked(server) == ["My name is Ada.", "Another \nline", "A\n/block", "Pasted\n  at once"]
    assert all(cell_len(line) <= columns for line in terminal.lines)
    assert terminal.leave(CTRL_D) == 0
    assert re.search(r" 0\.00\d+ USD, \d+ tokens in, \d+ out *$", " ".join(terminal.lines))
    if term == "dumb":
        assert "\x1b" not in terminal.log.getvalue()


FINE = "Fine [bold]indeed[/bold]\x1b]0;title\x07\x1b[2J\x9b1m :smile:"
"""What a model says is no markup, and nothing that a terminal obeys."""


def test_ctrl_c_stops_an_answer_and_leaves_it_on_the_screen(
    server: LocalPuter, open_terminal: Callable[..., Terminal]
) -> None:
    server.reply_with(FINE, Reply(chunks=["Once upon ", "a time"], gate=Gate()), "Yes.")
    terminal = open_terminal()
    assert "Fine [bold]indeed[/bold] :smile:" in terminal.type("How are you?")
    assert not any(one in terminal.log.getvalue() for one in ("title", "\x1b[2J", "\x9b", "\x07"))
    terminal.child.send("A story\r")
    terminal.child.expect("Once upon")
    terminal.child.send(CTRL_C)
    terminal.child.expect(re.escape(STOPPED))
    terminal.at_prompt()
    *_, answer, remark, _ = [one for one in terminal.lines if one]
    assert answer.startswith("Once upon")
    assert remark == STOPPED
    terminal.type("Are you there?")
    sent = server.chats[-1].json["args"]["messages"]
    assert [one["content"] for one in sent] == ["How are you?", FINE, "Are you there?"]
    terminal.child.send("1 + 1\r2 + 2\r/quit\r")  # typed ahead: messages of their own
    assert terminal.leave() == 0
    assert asked(server)[-2:] == ["1 + 1", "2 + 2"]
    assert terminal.lines[-2].startswith("0.00")
    assert "and 1 of unknown cost" in terminal.lines[-2]


def test_what_was_typed_comes_back_in_the_next_chat(
    server: LocalPuter, open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    terminal = open_terminal()
    terminal.type("1 + 1")
    terminal.type("\x1b[200~2 + 2\nplease\x1b[201~")
    terminal.type(UP + UP)
    assert terminal.leave(CTRL_D) == 0
    terminal = open_terminal()
    terminal.type(UP + UP)
    assert asked(server) == ["1 + 1", "2 + 2\nplease", "1 + 1", "2 + 2\nplease"]
    file = tmp_path / "home" / "puter" / "chat_history"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert kept == ["1 + 1", "2 + 2\nplease", "1 + 1", "2 + 2\nplease"]


def test_answers_alone_go_into_a_file(
    server: LocalPuter, open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    file = tmp_path / "answers.txt"
    command = f"exec {shlex.quote(sys.executable)} -m puter chat > {shlex.quote(str(file))}"
    terminal = open_terminal(command=["/bin/sh", "-c", command])
    terminal.type("2 + 2")
    assert terminal.leave(CTRL_D) == 0
    assert file.read_text() == "2 + 2 = 4\n"
