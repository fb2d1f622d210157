"""What a docstring says of a function and its parameters: Google, NumPy and reST."""

from __future__ import annotations

import inspect
import re
from typing import Any

_SECTIONS = re.compile(
    r"^(args|arguments|parameters|params|returns?|yields?|raises|examples?|notes?|attributes|"
    r"see also|warnings?|other parameters|references|todo)\s*:?\s*$",
    re.IGNORECASE,
)
_PARAMETERS = ("args", "arguments", "parameters", "params", "other parameters")
_REST = re.compile(r"^:(?:param|parameter|arg|argument)\s+(?:[^:]*\s)?(\*{0,2}\w+)\s*:\s*(.*)$")
_GOOGLE = re.compile(r"^(\*{0,2}\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")


def describe(function: Any) -> tuple[str, dict[str, str]]:
    """The text before the first section, and what is said of each parameter.

    Example:
        >>> def add(a, b):
        ...     '''Add two numbers.
        ...
        ...     Args:
        ...         a: The one.
        ...         b (int): The other,
        ...             on two lines.
        ...     '''
        >>> describe(add)
        ('Add two numbers.', {'a': 'The one.', 'b': 'The other, on two lines.'})
    """
    lines = (inspect.getdoc(function) or "").splitlines()
    intro: list[str] = []
    found: dict[str, list[str]] = {}
    section: str | None = None
    current: list[list[str]] = []  # the descriptions being read; NumPy may name several at once
    depth = 0
    for i, line in enumerate(lines):
        bare, indent = line.strip(), len(line) - len(line.lstrip())
        rest = _REST.match(bare)
        if rest is not None:
            current, section, depth = (
                [found.setdefault(rest[1].lstrip("*"), [rest[2]])],
                "rest",
                indent,
            )
        elif _is_section(lines, i):
            section, current, depth = bare.rstrip(":").strip().lower(), [], -1
        elif bare.startswith(":") or set(bare) == {"-"}:
            section = section if set(bare) == {"-"} else "rest"
            current = []
        elif section is None:
            intro.append(bare)
        elif section in _PARAMETERS and bare and (depth in (-1, indent)):
            depth = indent
            current = _entry(bare, found)
        elif bare:
            for one in current:
                one.append(bare)
    return " ".join("\n".join(intro).strip().split("\n")), {
        name: " ".join(part for part in parts if part) for name, parts in found.items()
    }


def _is_section(lines: list[str], i: int) -> bool:
    if _SECTIONS.match(lines[i].strip()) is None:
        return False
    underlined = i + 1 < len(lines) and set(lines[i + 1].strip()) == {"-"}
    return underlined or lines[i].strip().endswith(":")


def _entry(bare: str, found: dict[str, list[str]]) -> list[list[str]]:
    google = _GOOGLE.match(bare)
    if google is not None and " : " not in bare:
        return [found.setdefault(google[1].lstrip("*"), [google[2]])]
    numpy = _NUMPY.match(bare)
    if numpy is None:
        return []
    return [found.setdefault(name.strip().lstrip("*"), []) for name in numpy[1].split(",")]
