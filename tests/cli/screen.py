"""A terminal that obeys what rich writes, and shows what a person would see."""

from __future__ import annotations

import io
import re
import unicodedata

from rich.console import Console

from puter.cli.session import Session

OBEYED = re.compile(r"\x1b\[(\??)(\d*(?:;\d+)*)([A-Za-z])")


class Screen(io.StringIO):
    """Lines of ``width`` columns, ``height`` of them on the screen; those above cannot be changed.

    Raises:
        AssertionError: Something is written that the programs have no business to write.
    """

    def __init__(self, width: int = 40, height: int = 12) -> None:
        super().__init__()
        self.width, self.height = width, height
        self.lines: list[list[str]] = [[]]
        self.row = self.column = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        place = 0
        while place < len(text):
            if text[place] == "\x1b":
                order = OBEYED.match(text, place)
                assert order, repr(text[place : place + 20])
                self._obey(*order.groups())
                place = order.end()
            else:
                self._put(text[place])
                place += 1
        return super().write(text)

    def _obey(self, private: str, number: str, order: str) -> None:
        if order == "A":
            self.row -= int(number or 1)
            top = max(len(self.lines) - self.height, 0)
            assert self.row >= top, "the cursor would leave the screen"
        elif order == "K":
            assert number == "2"
            self.lines[self.row] = []
        else:
            assert order == "m" or (private and number == "25" and order in "hl"), order

    def _put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._feed()
        else:
            assert character.isprintable() or character in "\t\xa0", repr(character)
            if self.column >= self.width:
                self._feed()
            line = self.lines[self.row]
            line += [" "] * (self.column - len(line))
            line[self.column : self.column + 1] = [character]
            self.column += 2 if unicodedata.east_asian_width(character) in "FW" else 1

    def _feed(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append([])

    @property
    def text(self) -> str:
        """All that was ever shown and not erased, without spaces at the ends of lines."""
        lines = ["".join(line).rstrip() for line in self.lines]
        return "\n".join(lines).rstrip("\n") + "\n"


def session_on(screen: Screen) -> Session:
    """A session whose standard output is this screen."""
    session = Session()
    session.output = Console(
        file=screen,
        force_terminal=True,
        color_system="truecolor",
        width=screen.width,
        height=screen.height,
        markup=False,
        highlight=False,
        emoji=False,
        _environ={},
    )
    return session
