"""An answer, as it comes or whole: Markdown on a terminal, else the text as it is."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from puter.cli.rescue import kept_elsewhere, saving
from puter.cli.session import Session
from puter.cli.text import printable, write

if TYPE_CHECKING:
    from puter.streaming import ChatStream
    from puter.types.replies import ChatReply

INTERVAL = 0.08
"""Seconds between two pictures of a growing answer at least: drawing each chunk would flicker."""


def show(stream: ChatStream, session: Session) -> ChatReply:
    """Show an answer on standard output while it comes, and return it.

    What came before an error or an interrupt stays there; the stream is closed. What finds no room
    is kept, but for a pipe that is closed: whoever reads it has had enough.

    Args:
        stream: ``chat(..., stream=True)``.
        session: Where to. On a terminal it is formatted Markdown, without what the terminal would
            obey; in a pipe or a file it is the text byte for byte, with a line feed at its end.

    Raises:
        PuterError: The answer failed or was cut off.
        click.ClickException: It cannot be written; where it is kept.
    """

    def save(path: str) -> Path:
        return saving(stream.until_done().text)(path)

    with closing(stream), kept_elsewhere(save, "answer.txt", unless=BrokenPipeError):
        _show(stream, session)
    return stream.reply


def show_text(text: str, session: Session) -> None:
    """Show a whole answer as ``show`` does one that comes."""
    with kept_elsewhere(saving(text), "answer.txt"):
        _show([text], session)


def write_text(text: str, session: Session) -> None:
    """Print text that is no Markdown, such as a transcript."""
    with kept_elsewhere(saving(text), "text.txt"):
        _copy([text], session)


def _show(chunks: Iterable[str], session: Session) -> None:
    (_draw if session.on_terminal else _copy)(chunks, session)


def _copy(chunks: Iterable[str], session: Session) -> None:
    """Text as it comes; a terminal without a cursor to move gets no control characters."""
    file, end = session.output.file, "\n"
    try:
        for chunk in chunks:
            text = printable(chunk) if file.isatty() else str(chunk)
            if text:
                end = text[-1]  # before it is there: an interrupt may come in between
                write(file, text)
    finally:
        if end != "\n":
            write(file, "\n")


def _draw(chunks: Iterable[str], session: Session) -> None:
    from puter.cli.growing import Growing

    due = 0.0
    with Growing(session.output) as answer:
        for chunk in chunks:
            answer.add(printable(chunk))
            if (now := monotonic()) >= due:
                answer.draw()
                took = monotonic() - now
                due = now + max(INTERVAL, 5 * took)  # a long answer takes longer to draw
