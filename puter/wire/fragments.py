"""What a model's text holds: its words without the thoughts, code blocks, and JSON values.

One pass, in time linear in the text: no place is looked at again from another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from puter.wire.json import BLANKS, STRING, read_model_json

_NAME = r"(?:\w+:)?(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad|antthinking)"
_THOUGHT_END = re.compile(rf"[<\u25c1]/{_NAME}\s*[>\u25b7]|\[/THINK\]", re.IGNORECASE)
_SCALAR = r"(?:-?\d[\d.eE+-]*|[tT]rue|[fF]alse|null|None|NaN|-?Infinity)"
_MARK = re.compile(
    rf"""
    (?P<thought>[<\u25c1](?P<name>{_NAME})(?:\s[^<>]*)?[>\u25b7]|(?-i:\[THINK\]))
    |(?P<thought_end>{_THOUGHT_END.pattern})
    |(?P<fence>`{{3,}}|~{{3,}})
    |(?P<check_box>\[[ ]\]|^[ \t]*(?:[-*+]|\d+[.)])[ \t]+\[x?\](?=\s|\Z))
    |(?P<value>
        \{{(?=\s*["'\u201c}}])
        |\[(?=\s*(?:["'\u201c{{\[\]]  # or numbers and the like, but not the interval [0, 1)
            |{_SCALAR}(?:\s*,\s*{_SCALAR})*\s*(?:,\s*)?(?:["'\u201c{{\[\]\#\u2026]|//|/\*|\.{{3}}|\Z))))
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_LANGUAGE = re.compile(r"[^`~\n{\[\"']*\n|[^\S\n]*json\b", re.IGNORECASE)
_TOKEN = re.compile(
    rf"""
    (?P<opening>[\[{{])
    |(?P<closing>[\]}}])
    |(?P<fence>^[ \t]*(?:`{{3}}|~{{3}}))
    |{STRING}
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


class Fragment(NamedTuple):
    """A JSON value in the text, or what is wrong with it, and how many characters it takes."""

    value: Any
    size: int


@dataclass(slots=True)
class Fragments:
    """What a text holds.

    Attributes:
        words: The text without thoughts.
        blocks: What stands between code fences.
        values: The complete objects and arrays that are in no other.
        broken: The errors of what begins like one and is none.
        breaks_off: The error when the text ends within one.
    """

    words: str = ""
    blocks: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    broken: list[Fragment] = field(default_factory=list)
    breaks_off: ValueError | None = None


def fragments(text: str) -> Fragments:
    """Take the text of an answer apart; raises ``ValueError`` when it ends within a thought."""
    return _Reader(text).read()


class _Reader:
    """Reads from mark to mark; each step returns where to go on."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._begin(0)

    def read(self) -> Fragments:
        place = 0
        while mark := _MARK.search(self._text, place):
            match mark.lastgroup:
                case "thought":
                    place = self._thought(mark)
                case "thought_end":
                    place = self._begin(mark.end())
                case "fence":
                    place = self._fence(mark)
                case "value":
                    place = self._value(mark.start())
                case _:
                    place = mark.end()
        self._words.append(self._text[self._kept :])
        self._found.words = "".join(self._words).strip(BLANKS)
        return self._found

    def _begin(self, place: int) -> int:
        """Read as if the text began here: what came before was a thought."""
        self._found = Fragments()
        self._words: list[str] = []
        self._kept = place
        self._block: int | None = None
        return place

    def _thought(self, mark: re.Match[str]) -> int:
        self._words.append(self._text[self._kept : mark.start()])
        end = rf"[<\u25c1]/{mark['name']}\s*[>\u25b7]" if mark["name"] else r"\[/THINK\]"
        closing = re.compile(end, re.IGNORECASE).search(self._text, mark.end())
        if closing is None:
            place = self._past_thoughts(mark.end())
            if place is None:
                raise ValueError("it breaks off in a thought")
            return place
        self._kept = closing.end()
        return self._kept

    def _fence(self, mark: re.Match[str]) -> int:
        if self._block is not None:
            self._found.blocks.append(self._text[self._block : mark.start()].strip(BLANKS))
            self._block = None
            return mark.end()
        language = _LANGUAGE.match(self._text, mark.end())
        self._block = language.end() if language else mark.end()
        return self._block

    def _value(self, start: int) -> int:
        end = _end_of_value(self._text, start)
        piece = self._text[start:end]
        try:
            value = read_model_json(piece, exact=True)
        except ValueError as error:
            fault = ValueError(f"its JSON is broken: {error}")
            if end is not None:
                self._found.broken.append(Fragment(fault, len(piece)))
            elif (place := self._past_thoughts(start)) is not None:
                return place
            else:
                self._found.breaks_off = fault
        else:
            if not self._text.startswith("](", start + len(piece) - 1):  # a link of Markdown
                self._found.values.append(value)
        return start + len(piece)

    def _past_thoughts(self, start: int) -> int | None:
        """Begin after the last end of a thought, if there is one; what has no end was in it."""
        ends = [end.end() for end in _THOUGHT_END.finditer(self._text, start)]
        return self._begin(ends[-1]) if ends else None


def _end_of_value(text: str, start: int) -> int | None:
    """Where the object or array that begins here ends; None when the text ends before it."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        match token.lastgroup:
            case "opening":
                depth += 1
            case "closing":
                depth -= 1
                if depth == 0:
                    return token.end()
            case "fence":  # within JSON there is none
                return token.start()
            case _:
                pass
    return None
