"""A terminal's screen in memory: what a program that writes escape sequences leaves on it.

It obeys what readline and rich send: colours, erasing, moving the cursor. What it does not know it
refuses, so that no test looks at a screen that a terminal would not show.
"""

from __future__ import annotations

import re
import unicodedata

from rich.cells import cell_len
from rich.text import Text

_TOKENS = re.compile(
    r"\x1b\[(?P<mode>[?>=<]?)(?P<numbers>[\d;]*)(?P<final>[@-~])|\x1b\](?P<title>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|(?P<control>[\x00-\x1f\x7f])|(?P<character>.)",
    re.DOTALL,
)
Cell = tuple[str, str]
"""A character, and the numbers of its colours."""


class Screen:
    """Lines of cells, as many as were written; those that scrolled away can no more be changed.

    Args:
        columns: How wide it is; longer lines are broken.
        rows: How high it is.
    """

    def __init__(self, columns: int = 80, rows: int = 50) -> None:
        self.columns, self.rows = columns, rows
        self.cells: list[list[Cell]] = [[]]
        self.row = self.column = 0
        self._colours = ""

    def feed(self, written: str) -> Screen:
        """Write to it what a program wrote."""
        for token in _TOKENS.finditer(written):
            if token["character"]:
                self._put(token["character"])
            elif token["control"]:
                self._control(token["control"])
            elif token["final"] and not token["mode"]:
                self._sequence(token["numbers"], token["final"])
        return self

    @property
    def lines(self) -> list[str]:
        """The text of each line, without space at its end."""
        return ["".join(character for character, _ in line).rstrip() for line in self.cells]

    @property
    def plain(self) -> str:
        """All of it without colours; one line feed at the end."""
        return "\n".join(self.lines).rstrip("\n") + "\n"

    def text(self) -> Text:
        """All of it with its colours, for rich to print."""
        found = Text(end="", no_wrap=True)
        for number, line in enumerate(self.cells):
            found.append("\n" if number else "")
            for character, colours in line:
                found.append_text(Text.from_ansi(f"\x1b[{colours}m{character}\x1b[0m"))
        found.rstrip()
        return found

    def _put(self, character: str) -> None:
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
            raise ValueError(f"a terminal was sent {character!r}")
        width = cell_len(character)
        if self.column + width > self.columns:
            self._down()
            self.column = 0
        line = self.cells[self.row]
        line += [(" ", "")] * (self.column + width - len(line))
        more = [("", "")] * (width - 1)  # of a character that takes two cells
        line[self.column : self.column + width] = [(character, self._colours), *more]
        self.column += width

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.cells):
            self.cells.append([])

    def _control(self, control: str) -> None:
        match control:
            case "\n":
                self._down()
            case "\r":
                self.column = 0
            case "\b":
                self.column = max(0, self.column - 1)
            case "\x07":
                pass
            case _:
                raise ValueError(f"a terminal was sent {control!r}")

    def _sequence(self, numbers: str, final: str) -> None:
        count = int(numbers or 0) if final != "m" else 0
        match final:
            case "m":
                reset = numbers in ("", "0")
                self._colours = "" if reset else f"{self._colours};{numbers}".lstrip(";")
            case "A":
                self.row -= max(1, count)
                if self.row < max(0, len(self.cells) - self.rows):
                    raise ValueError("the cursor was sent off the screen")
            case "C":
                self.column = min(self.columns - 1, self.column + max(1, count))
            case "D":
                self.column = max(0, self.column - max(1, count))
            case "G":
                self.column = max(1, count) - 1
            case "K" if count == 0:
                del self.cells[self.row][self.column :]
            case "K" if count == 2:
                self.cells[self.row].clear()
            case "J" if count == 0:
                del self.cells[self.row][self.column :], self.cells[self.row + 1 :]
            case _:
                raise ValueError(f"a terminal was sent {numbers}{final}")
