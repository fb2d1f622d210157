"""Pages that show a terminal show that of today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs import transcript
from tests.screen import Screen

HOW = "python -m tests.docs.transcript --write"


@pytest.mark.parametrize("page", transcript.PAGES, ids=lambda page: page.name)
def test_a_page_and_its_pictures_are_what_a_terminal_shows(page: Path) -> None:
    text = page.read_text("utf-8")
    now, pictures = transcript.written(text)
    assert text == now, HOW
    assert pictures.keys() == set(re.findall(r"\(([\w/-]+\.svg)\)", text))
    for path, picture in pictures.items():
        assert (page.parent / path).read_text("utf-8") == picture, HOW
        assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
        lines = set(re.findall(r"<text[^>]* (clip-path=[^>]*)>[^\s<]", picture))
        played = set(re.findall(r"^\[(clip-path=.*)\] {", picture, re.MULTILINE))
        assert played >= lines if path.endswith("/chat.svg") else not played


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ("one\r\ntwo", ["one", "two"]),
        ("abcdef", ["abcd", "ef"]),
        ("abcd\r\nef", ["abcd", "ef"]),
        ("日本語", ["日本", "語"]),
        ("abc\rx", ["xbc"]),
        ("abc\bx", ["abx"]),
        ("ab\r\ncd\x1b[Ax", ["abx", "cd"]),
        ("ab\r\ncd\x1b[1A\r\x1b[2Kx", ["x", "cd"]),
        ("abcd\x1b[2D\x1b[Kx", ["abx"]),
        ("ab\r\ncd\x1b[A\x1b[G\x1b[J", [""]),
        ("\x1b[1;31mred\x1b[0m \x1b[?25l\x1b]0;title\x07x", ["red", "x"]),
    ],
)
def test_a_screen_shows_what_a_terminal_would(written: str, lines: list[str]) -> None:
    assert Screen(4).feed(written).lines == lines


@pytest.mark.parametrize(
    "written",
    ["\x1b[2J", "\x1b[1@", "\x00", "\x1bc", "\x9b2J", "\u202e", "\x1b[A", "\n\n\n\x1b[3A"],
)
def test_a_screen_refuses_what_it_does_not_know(written: str) -> None:
    with pytest.raises(ValueError, match="was sent"):
        Screen(rows=3).feed(written)


def test_a_screen_keeps_colours() -> None:
    text = Screen().feed("a\x1b[1;31mb\x1b[0mc").text()
    assert text.plain == "abc"
    assert [(one.start, one.end, str(one.style)) for one in text.spans] == [(1, 2, "bold color(1)")]
