"""Docstrings: what one says of a function (Google, NumPy and reST), and one for two functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from puter.process import late

if TYPE_CHECKING:
    import inspect
else:
    inspect = late("inspect")

P = ParamSpec("P")
T = TypeVar("T")

# Texts: re compiles them when a docstring is read, which few programs do.
_SECTION = (  # the sections that Google, NumPy and reST know, "Todo" among them
    r"(?i)^(args|arguments|keyword arg(?:ument)?s|(?:other )?param(?:eter)?s|returns?|yields?|"
    r"raises|examples?|notes?|attributes|see also|warnings?|references|todo)\s*(:?)\s*$"
)
_PARAMETERS = r"(keyword )?arg|(other )?param"
_FIELD = r"^:[^:`]+:(?!`)"
_REST = r"^:(?:param|parameter|arg|argument)\s+(?:[^:]*\s)?(\*{0,2}\w+)\s*:\s*(.*)$"
_GOOGLE = r"^(\*{0,2}\w+)\s*(?:\(.*?\))?\s*:\s*(.*)$"
_NUMPY = r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$"


def describe(function: Any) -> tuple[str, dict[str, str]]:
    """The text before the first section, and the description of each parameter.

    Examples:
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
    current: list[list[str]] = []  # the descriptions being read; NumPy may name several at once
    entry: str | None = None  # how a parameter is written here
    section = False
    depth = 0
    for i, line in enumerate(lines):
        bare, indent = line.strip(), len(line) - len(line.lstrip())
        under = lines[i + 1].strip() if i + 1 < len(lines) else ""
        header = re.match(_SECTION, line)
        if header is not None and (header[2] or _is_rule(under)):
            section, current, depth = True, [], -1
            entry = _NUMPY if _is_rule(under) else _GOOGLE
            entry = entry if re.match(_PARAMETERS, header[1].lower()) else None
        elif re.match(_FIELD, bare):
            section, entry = True, None
            rest = re.match(_REST, bare)
            current = [found.setdefault(rest[1].lstrip("*"), [rest[2]])] if rest else []
        elif not section:
            intro.append(bare)
        elif not bare or _is_rule(bare):
            continue
        elif entry is None or indent > depth >= 0:
            for one in current:
                one.append(bare)
        elif depth in (-1, indent):
            depth, named = indent, re.match(entry, bare)
            text = [named[2]] if named and entry is _GOOGLE else []
            names = named[1].split(",") if named else []
            current = [found.setdefault(name.strip().lstrip("*"), list(text)) for name in names]
        else:
            entry, current = None, []  # prose after the section
    return "\n".join(intro).strip(), {
        name: " ".join(part for part in parts if part) for name, parts in found.items()
    }


def _is_rule(line: str) -> bool:
    return set(line) == {"-"}


def documented_by(described: Callable[P, Any]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Give a method the docstring of another, in ``help()`` and in editors.

    Args:
        described: A function of the same parameters.
    """

    def decorate(method: Callable[P, T]) -> Callable[P, T]:
        method.__doc__ = described.__doc__
        return method

    return decorate
