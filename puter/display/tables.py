"""HTML for notebooks: tables with bars, in the page's own colours, and every text escaped.

Styles stand at the elements: frontends take style sheets out of what they do not trust.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from puter.money import amount

MOST_ROWS = 40
"""Rows shown at most; a line says how many there are more."""
FORMULAS = (
    r"(?i:(?<=\\)(?=(?:href|url|style|class|cssid|data|html[a-z]*|includegraphics|bbox|mmltoken"
    r"|require)(?![a-z])))"
)
"""Before commands by which formulas link, load or style; frontends find formulas in HTML, too."""
_RULE = "1px solid rgba(128,128,128,.35)"
_CELL = "text-align:{};padding:.2em .8em;vertical-align:top;border:0;background:none"


class Bar:
    """A number with a bar of its share of the largest."""

    __slots__ = ("most", "value")

    def __init__(self, value: Decimal | None, most: Decimal) -> None:
        self.value: Decimal | None = value
        self.most: Decimal = most

    def html(self) -> str:
        if self.value is None:
            return _NOTHING
        share = min(max(self.value / self.most, Decimal(0)), Decimal(1)) if self.most > 0 else 0
        bar = (
            f'<div style="width:{share * 100:.0f}%;height:.3em;border-radius:.15em;'
            'background:#4c8dd6"></div>'
        )
        return f'<div style="min-width:7em">{escaped(amount(self.value))}{bar}</div>'


_NOTHING = '<span style="opacity:.5">&ndash;</span>'


def escaped(text: object) -> str:
    """The text of anything, as HTML shows it, without such commands."""
    return re.sub(FORMULAS, "\u2060", html.escape(str(text)))


def table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, caption: str = "", more: str = ""
) -> str:
    """An HTML table; numbers stand on the right, None is a dash.

    Args:
        columns: Their headings; none is shown where all are empty.
        rows: Their cells: str, int, Decimal, ``Bar`` or None.
        caption: What stands above.
        more: What stands after "... and 12 more", where there are too many rows.
    """
    names = "".join(
        f'<th style="{_CELL.format(_side(rows, place))}">{escaped(name)}</th>'
        for place, name in enumerate(columns)
    )
    line = f'<tr style="background:none;border-bottom:{_RULE}">{names}</tr>'
    head = f"<thead>{line}</thead>" if any(columns) else ""
    body = "".join(
        f'<tr style="background:none">{"".join(map(_cell, row))}</tr>' for row in rows[:MOST_ROWS]
    )
    left = len(rows) - MOST_ROWS
    cut = note(f"… and {left:,} more{more}") if left > 0 else ""
    title = f'<div style="padding:.2em 0"><b>{escaped(caption)}</b></div>' if caption else ""
    return (
        f'<div>{title}<table style="border-collapse:collapse;border:0">'
        f"{head}<tbody>{body}</tbody></table>{cut}</div>"
    )


def note(text: str) -> str:
    """A line in small print."""
    return f'<div style="opacity:.7;font-size:90%;padding:.2em 0">{escaped(text)}</div>'


def passage(text: str) -> str:
    """Text as it was written, its line ends kept."""
    return f'<div style="white-space:pre-wrap;text-align:left">{escaped(text)}</div>'


def largest(values: Iterable[Decimal | None]) -> Decimal:
    """What bars of these are measured by."""
    return max((value for value in values if value is not None), default=Decimal(0))


def _side(rows: Sequence[Sequence[Any]], place: int) -> str:
    return "right" if any(isinstance(row[place], (int, Decimal)) for row in rows) else "left"


def _cell(value: Any) -> str:
    if isinstance(value, Bar):
        return f'<td style="{_CELL.format("left")}">{value.html()}</td>'
    if value is None:
        return f'<td style="{_CELL.format("left")}">{_NOTHING}</td>'
    if isinstance(value, str):
        return f'<td style="{_CELL.format("left")}">{passage(value)}</td>'
    text = amount(value) if isinstance(value, Decimal) else f"{value:,}"
    return f'<td style="{_CELL.format("right")}">{text}</td>'
