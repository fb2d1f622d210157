"""Streamed answers: formatted on a terminal, byte for byte elsewhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from puter import ChatStream, PuterAI, PuterError
from puter.cli import printing
from puter.cli.printing import show
from puter.cli.session import Session
from puter.testing import MockTransport
from tests.screen import Screen


@pytest.fixture(autouse=True)
def draw_each_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "INTERVAL", 0.0)
    monkeypatch.setattr(printing, "monotonic", lambda: 0.0)


class Terminal(io.StringIO):
    """What rich writes to, and the screen that shows it.

    Raises:
        ValueError: Something is written that a terminal does not know, or we have no business with.
    """

    def __init__(self, columns: int = 40, rows: int = 12) -> None:
        super().__init__()
        self.screen = Screen(columns, rows)

    def isatty(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if "\x1b]" in text or "\x07" in text:
            raise ValueError(f"a title or a bell: {text!r}")
        self.screen.feed(text.replace("\n", "\r\n"))  # as the system's driver of terminals does
        return super().write(text)

    def session(self, **environment: str) -> Session:
        """A session whose streams are this terminal."""
        session = Session()
        session.output = session.errors = Console(
            file=self,
            force_terminal=True,
            color_system="truecolor",
            width=self.screen.columns,
            height=self.screen.rows,
            markup=False,
            highlight=False,
            emoji=False,
            _environ=environment,
        )
        return session


def stream_of(pieces: Sequence[Any]) -> ChatStream:
    """A stream of these texts; an exception ends it."""

    def lines(_request: Any) -> Iterator[Any]:
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield {"type": "text", "text": piece}
        yield {"type": "usage", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}

    ai = PuterAI(token="t", transport=MockTransport(lines), max_retries=0)
    return ai.chat("Hi", stream=True)


def shown(text: str, *, width: int = 40, height: int = 12, step: int = 3) -> str:
    terminal = Terminal(width, height)
    pieces = [text[n : n + step] for n in range(0, len(text), step)]
    reply = show(stream_of(pieces), terminal.session())
    assert reply == text
    return terminal.screen.plain


ANSWER = """# Capitals

The capital of **France** is *Paris*.
It lies on the `Seine`, see [here](https://example.com).

1. one
2. two
   - nested, and long enough to be broken in forty columns

| city | people |
|------|-------:|
| Paris | 2 |

> quoted

```python
def f():
    return "<b>[red]not markup[/red]</b>"
```

The end
"""


LOOKS = """\
                Capitals

The capital of France is Paris.
It lies on the Seine, see here
(https://example.com).

 1 one
 2 two
    • nested, and long enough to be
      broken in forty columns

 city   people
 ─────────────
 Paris       2

▌ quoted

def f():
    return "<b>[red]not
markup[/red]</b>"

The end
"""


@pytest.mark.parametrize(("height", "step"), [(3, 11), (5, 19), (12, 37), (100, 1000)])
def test_markdown_is_formatted_however_it_comes(height: int, step: int) -> None:
    assert shown(ANSWER, height=height, step=step) == LOOKS


@pytest.mark.parametrize("fence", ["", "```\n"])
def test_what_is_taller_than_the_screen_is_shown_once(fence: str) -> None:
    text = fence + "\n".join(f"line {n}" for n in range(40)) + ("\n```" if fence else "")
    lines = [line.strip() for line in shown(text, height=8, step=13).split("\n") if line.strip()]
    assert lines == [f"line {n}" for n in range(40)]


def test_a_block_that_is_too_long_to_be_formatted_is_text_as_it_is() -> None:
    text = "**a** " + "word " * 4_000
    lines = shown(f"{text}\n\n**b**", step=9_000).split("\n")
    assert lines[0].startswith("**a** word")
    assert lines[-2:] == ["b", ""]


def test_no_tag_and_no_markup_is_lost() -> None:
    answer = "<think>\nhm [bold]x[/bold] :smile:\n</think>\n\n<html>"
    assert shown(answer) == answer.replace("\n\n", "\n\n") + "\n"


HOSTILE = [
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "\x1b]52;c;aGk=\x1b\\",
    "\x9b2J",
    "\x1bc",
    "\x1b",
    "\x07\x08\r\x7f",
    "&#27;[2J&#x9b;2J&#13;&#8;",
    "[x](<\x1b[2J>)",
    "\u202eevil\u2066",
    "&#x202e;evil",
    "```\x1b[2J\nx\x1b[2J\n```",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("step", [1, 1000])
def test_a_terminal_obeys_nothing_that_a_model_says(text: str, step: int) -> None:
    assert "before" in shown(f"before {text} after", step=step)  # Screen refuses the rest


MARKS = "# > - 1. ``` ` | [ ] ( ) * _ ! <b> &amp; a".split()


@given(st.lists(st.sampled_from([*HOSTILE, *MARKS, "\n", "\n\n", " "]), max_size=30))
@settings(max_examples=25)
def test_anything_can_be_shown(pieces: list[str]) -> None:
    text = "x" + "".join(pieces)
    show(stream_of([text[:7], text[7:]]), Terminal(20, 5).session())


# ------------------------------------------------------------ errors and interrupts


@pytest.mark.parametrize("error", [PuterError("gone"), KeyboardInterrupt()])
@pytest.mark.parametrize("on_terminal", [True, False])
def test_what_came_before_an_error_stays(
    error: BaseException, on_terminal: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    session = terminal.session() if on_terminal else Session()
    stream = stream_of(["Once upon ", "a **time", PuterError("gone")])
    if isinstance(error, KeyboardInterrupt):
        stream = interrupted(stream)
    with pytest.raises((PuterError, KeyboardInterrupt)):
        show(stream, session)
    text = terminal.screen.plain if on_terminal else capsys.readouterr().out
    assert text == "Once upon a **time\n"


def interrupted(stream: ChatStream) -> Any:
    class Stream:
        def __iter__(self) -> Iterator[Any]:
            yield next(stream)
            yield next(stream)
            raise KeyboardInterrupt

        def close(self) -> None:
            stream.close()

    return Stream()


# ------------------------------------------------------------ pipes, files, simple terminals

BYTES = "a\r\n**b** \x1b[31m\u202e é 日\n\n"


def test_a_pipe_gets_the_bytes_of_the_text(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    show(stream_of([BYTES[:4], BYTES[4:]]), Session())
    assert capfdbinary.readouterr().out == BYTES.encode()
    show(stream_of(["no line feed"]), Session())
    assert capfdbinary.readouterr().out == b"no line feed\n"


def test_a_pipe_gets_each_chunk_when_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    file, seen = io.StringIO(), []
    monkeypatch.setattr(sys, "stdout", file)

    class Watched:
        def __iter__(self) -> Iterator[str]:
            for piece in ("a", "b", "c"):
                yield piece
                seen.append(file.getvalue())

        def close(self) -> None:
            pass

        reply = "abc"

    show(Watched(), Session())  # type: ignore[arg-type]
    assert seen == ["a", "ab", "abc"]


def test_what_the_encoding_lacks_is_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, "ascii"))
    show(stream_of(["é日!"]), Session())
    assert data.getvalue() == b"??!\n"


def test_a_terminal_without_a_cursor_gets_plain_text() -> None:
    terminal = Terminal()
    show(stream_of(["**bold**\x1b[2J", " text"]), terminal.session(TERM="dumb"))
    assert terminal.getvalue() == "**bold** text\n"


def test_colours_that_are_forced_into_a_file_change_no_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    show(stream_of(["**bold**\x1b[2J"]), Session())
    assert capsys.readouterr().out == "**bold**\x1b[2J\n"


def test_without_colours_there_are_none() -> None:
    terminal = Terminal()
    show(stream_of([ANSWER]), terminal.session(NO_COLOR="1"))
    assert "\x1b[3" not in terminal.getvalue().replace("\x1b[3m", "")
    assert "38;" not in terminal.getvalue()


def test_a_long_error_is_broken_between_words() -> None:
    terminal = Terminal(20)
    terminal.session().tell("Model not found: gpt-5-nan. Did you mean 'gpt-5-nano'?")
    assert terminal.screen.lines == [
        "puter-ai: Model not", "found: gpt-5-nan.", "Did you mean", "'gpt-5-nano'?", "",
    ]  # fmt: skip
