"""What is typed into a chat: messages of several lines, completion, the file of earlier ones."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import pytest

from puter.cli import keyboard
from puter.cli.keyboard import History, completions, history_path, read_message, read_piped_line
from puter.cli.talk import COMMANDS, first_word, parse


def messages(*lines: str) -> list[str]:
    """All messages of these lines, as they are read until the input ends."""
    left = list(lines)

    def read_line(_: str) -> str:
        if not left:
            raise EOFError
        return left.pop(0)

    found: list[str] = []
    while True:
        try:
            found.append(read_message(read_line))
        except EOFError:
            return found


@pytest.mark.parametrize(
    ("lines", "read"),
    [
        (["one", "two"], ["one", "two"]),
        (["one \\", "two\\", "three", "four"], ["one \ntwo\nthree", "four"]),
        (["one \\"], ["one \\"]),
        (["one \\\\", ""], ["one \\\n"]),
        (['"""one', "/two \\", 'three"""', "four"], ['"""one\n/two \\\nthree"""', "four"]),
        (['"""', "one", '"""  '], ['"""\none\n"""  ']),
        (['"""one"""', "two"], ['"""one"""', "two"]),
        (['"""one', "two"], ['"""one\ntwo']),
        (['say """', "two"], ['say """', "two"]),
        (['/system """Be', 'brief."""', "two"], ['/system """Be\nbrief."""', "two"]),
        (['"""pasted\nblock', "two"], ['"""pasted\nblock', "two"]),
        (["pasted\nblock\\", "two"], ["pasted\nblock\\", "two"]),
        (["", "one"], ["", "one"]),
    ],
)
def test_lines_become_messages(lines: list[str], read: list[str]) -> None:
    assert messages(*lines) == read


def test_ctrl_c_drops_a_block_that_was_begun() -> None:
    def read_line(prompt: str) -> str:
        if prompt == keyboard.MORE:
            raise KeyboardInterrupt
        return '"""one'

    with pytest.raises(KeyboardInterrupt):
        read_message(read_line)


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ("hello", ("", "hello")),
        ("  hello  ", ("", "hello")),
        ("", ("", "")),
        ("   ", ("", "")),
        ("/model", ("/model", "")),
        ("/model   gpt-4.1 ", ("/model", "gpt-4.1")),
        ("/MODEL x", ("/MODEL", "x")),
        (" /model x", ("", "/model x")),
        ("/", ("/", "")),
        ("/usr/bin is a folder", ("/usr/bin", "is a folder")),
        ("/exit", ("/quit", "")),
        ("/bye", ("/quit", "")),
        ("/?", ("/help", "")),
        ("exit", ("/quit", "")),
        (" quit ", ("/quit", "")),
        ("quit now", ("", "quit now")),
        ('"""/model x"""', ("", "/model x")),
        ('"""\n  one\n two\n"""', ("", "  one\n two")),
        ('"""', ("", "")),
        ('"""open', ("", "open")),
        ("\n    def f():\n        pass\n", ("", "    def f():\n        pass")),
        ('/system """Be\nbrief."""', ("/system", "Be\nbrief.")),
        ("/system Be\nbrief.", ("/system", "Be\nbrief.")),
        ('/system ""', ("/system", '""')),
    ],
)
def test_a_message_is_a_command_or_a_text(message: str, meant: tuple[str, str]) -> None:
    assert parse(message) == meant


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("cat.png", ("cat.png", "")),
        ("cat.png What is it?", ("cat.png", "What is it?")),
        ("'my cat.png' What's it?", ("my cat.png", "What's it?")),
        ('"my cat.png"', ("my cat.png", "")),
        (r"my\ cat.png What?", ("my cat.png", "What?")),
        (r"C:\cats\one.png What?", (r"C:\cats\one.png", "What?")),
        ("cat's.png What?", ("cat's.png", "What?")),
        ("", ("", "")),
    ],
)
def test_paths_with_spaces_are_quoted_as_in_a_shell(text: str, parts: tuple[str, str]) -> None:
    assert first_word(text) == parts


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("/", [f"{one} " if COMMANDS[one][0] else one for one in COMMANDS]),
        ("/mo", ["/model "]),
        ("/qu", ["/quit"]),
        ("/x", []),
        ("hello /mo", []),
        ("", []),
        ("/model gpt-5-n", ["gpt-5-nano"]),
        ("/model ", ["gpt-5-nano", "o3"]),
        ("/model o3 gpt", []),
        ("/save ", ["talks/"]),
        ("/load ta", ["talks/"]),
        ("/image talks/", ["talks/one.json", "talks/two.json"]),
        ("/image talks/t", ["talks/two.json"]),
        ("/image .h", [".hidden"]),
        ("/image nowhere/", []),
        ("/load ~/ta", ["~/talks/"]),
        ("/system ta", []),
        ("/undo ta", []),
    ],
)
def test_tab_completes_commands_models_and_paths(
    line: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", os.getcwd())
    Path("talks").mkdir()
    for name in ("talks/one.json", "talks/two.json", ".hidden"):
        Path(name).touch()
    assert completions(line, ["gpt-5-nano", "o3"]) == found


def test_a_pipe_is_read_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\r\n\ntwo"))
    assert [read_piped_line("") for _ in range(3)] == ["one", "", "two"]
    with pytest.raises(EOFError):
        read_piped_line("")


# ------------------------------------------------------------ the history file


def kept(path: Path, *messages: str) -> list[str]:
    """What a history finds; it is given more then."""
    with History(str(path)) as history:
        for message in messages:
            history.add(message)
        return history.messages


def test_what_was_typed_is_kept_for_the_next_chat(tmp_path: Path) -> None:
    path = tmp_path / "state" / "puter" / "chat_history"
    assert kept(path, "one", "two\nlines", "drei \u2603 \ud800") == []
    assert kept(path) == ["one", "two\nlines", "drei \u2603 \ud800"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "puter" / "chat_history"
    kept(path, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    kept(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_chats_write_to_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "chat_history"
    with History(str(path)) as one, History(str(path)) as other:
        for message in ("a", "b"):
            one.add(message)
            other.add(message.upper())
    assert kept(path) == ["a", "A", "b", "B"]


def test_it_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyboard, "KEPT", 3)
    path = tmp_path / "chat_history"
    kept(path, *"abcdef")
    assert kept(path, "g", "x" * (keyboard.LONGEST + 1)) == ["d", "e", "f"]
    assert len(path.read_text().splitlines()) == 7
    assert kept(path) == ["e", "f", "g"]
    assert len(path.read_text().splitlines()) == 3


def test_a_spoiled_line_costs_that_line(tmp_path: Path) -> None:
    path = tmp_path / "chat_history"
    path.write_bytes(b'"one"\n\xff\xfe\n{"a": 1}\nplain\n"two"\n"thr')
    assert kept(path) == ["one", "two"]


def test_its_place_is_the_users_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert history_path() == "/var/state/puter/chat_history"
    monkeypatch.setenv("XDG_STATE_HOME", "")
    monkeypatch.setenv("HOME", "/home/ada")
    assert history_path() == "/home/ada/.local/state/puter/chat_history"
