"""Checks of arguments: what they must be, and how an error says so."""

from __future__ import annotations

import functools
import math
import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeAlias, TypeVar

from puter.exceptions import PuterInputError, repr_of
from puter.process import late
from puter.records import dataclass

if TYPE_CHECKING:
    import difflib
    import ipaddress
else:
    difflib, ipaddress = late("difflib"), late("ipaddress")

T = TypeVar("T")

MOST = 10**9
"""Bound of numbers that have no other: 30 years in seconds, and no timer or socket overflows."""

Check: TypeAlias = Callable[[str, Any], Any]
"""``check(name, value)`` returns the value or raises ``PuterInputError``."""


class Kind(Generic[T]):
    """What a value must be. Calling it checks: ``text("prompt", prompt)`` returns the prompt.

    Args:
        wanted: Follows "must be" in the error.
        accepts: Whether a value is good.
        hint: What else the error says.

    Examples:
        >>> text("prompt", "Hi")
        'Hi'
        >>> text("prompt", "")
        Traceback (most recent call last):
        puter.exceptions.PuterInputError: prompt must be a non-empty str, not ''
    """

    __slots__ = ("accepts", "hint", "wanted")

    def __init__(self, wanted: str, accepts: Callable[[Any], bool], hint: str = "") -> None:
        self.wanted: str = wanted
        self.accepts: Callable[[Any], bool] = accepts
        self.hint: str = hint

    def __call__(self, name: str, value: Any) -> T:
        """The value.

        Raises:
            PuterInputError: It is of another kind.
        """
        if not self.accepts(value):
            raise PuterInputError(
                f"{name} must be {self.wanted}, not {repr_of(value)}", hint=self.hint
            )
        return value  # type: ignore[no-any-return]

    def __or__(self, other: Kind[Any]) -> Kind[Any]:
        first, second = self.accepts, other.accepts
        return Kind(
            f"{self.wanted}, or {other.wanted}",
            lambda value: first(value) or second(value),
            self.hint or other.hint,
        )


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from ``least`` to ``most``: ``Annotated[float | None, Range(0, 1)]``.

    Examples:
        >>> Range(0, 1).kind(whole=False)("top_p", 2)
        Traceback (most recent call last):
        puter.exceptions.PuterInputError: top_p must be a number from 0 to 1, not 2
    """

    least: float | None = None
    """The smallest good number, None for no bound."""
    most: float | None = None
    """The largest good number, None for no bound."""
    above: bool = False
    """``least`` itself is too small."""
    wanted: str = ""
    """Follows "must be" in the error. Default: made of the bounds."""
    hint: str = ""
    """What else the error says."""

    def kind(self, *, whole: bool) -> Kind[Any]:
        """Whole numbers, or all finite ones, within the bounds."""
        noun = "a whole number" if whole else "a number"
        is_kind = _is_whole_number if whole else _is_number
        return Kind(
            self.wanted or noun + self._bounds(),
            lambda value: is_kind(value) and self._holds(value),
            self.hint,
        )

    def _holds(self, value: float) -> bool:
        least, most = self.least, self.most
        if least is not None and (value <= least if self.above else value < least):
            return False
        return most is None or value <= most

    def _bounds(self) -> str:
        least, most = self.least, self.most
        if least is None:
            return "" if most is None else f" up to {most}"
        if self.above:
            return f" above {least}" + ("" if most is None else f", up to {most}")
        return f", {least} or more" if most is None else f" from {least} to {most}"


def _is_number(value: Any) -> bool:
    return _is_whole_number(value) or (isinstance(value, float) and math.isfinite(value))


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


text: Kind[str] = Kind(
    "a non-empty str", lambda value: isinstance(value, str) and bool(value.strip())
)
"""A str with more than white space in it."""

text_or_none: Kind[str | None] = Kind(
    "a non-empty str or None", lambda value: value is None or text.accepts(value)
)
"""The same, or None."""

flag: Kind[bool] = Kind("True or False", lambda value: isinstance(value, bool))
"""True or False; 0 and 1 are not."""

mapping_with_str_keys: Kind[Mapping[str, Any]] = Kind(
    "a dict with str keys",
    lambda value: isinstance(value, Mapping) and all(isinstance(key, str) for key in value),
)
"""A dict, or another mapping, of names."""

list_of_text: Kind[Sequence[str]] = Kind(
    "a list of str",
    lambda value: isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value),
)
"""A list or tuple of str; one str is none."""

function: Kind[Callable[..., Any]] = Kind("a function", callable)
"""Anything that can be called."""

SECONDS = Range(0, MOST, above=True, wanted="a number of seconds above 0")
"""How long to wait."""


def whole_number(name: str, value: Any, least: int) -> int:
    """The int, ``least`` or more; True, False and 1.0 are none.

    Raises:
        PuterInputError: It is something else.
    """
    found: int = Range(least).kind(whole=True)(name, value)
    return found


def one_of(choices: Sequence[Any]) -> Kind[Any]:
    """One of these values, of the same type."""
    return Kind(
        f"one of {', '.join(map(repr, choices))}" if len(choices) > 1 else repr(choices[0]),
        lambda value: any(value == one and type(value) is type(one) for one in choices),
    )


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1, localhost and its subdomains."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_url(text: str, *others: str) -> bool:
    """Whether it begins as an http(s) URL does, or as one of the others, such as ``data:``.

    Examples:
        >>> is_url("HTTPS://example.org"), is_url("data:,x"), is_url("data:,x", "data:")
        (True, False, True)
    """
    return text[:8].lower().startswith(("http://", "https://", *others))


def near_misses(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Known names that differ from this one by a slip of the finger or two, the nearest first.

    Examples:
        >>> near_misses("hgih", ["low", "medium", "high"]), near_misses("other", ["together"])
        (['high'], [])
    """
    near = difflib.get_close_matches(name, list(known), n=count, cutoff=0.75)
    return [one for one in near if _slips(name, one) <= max(2, len(one) // 5)]


def _slips(one: str, other: str) -> int:
    """Characters put in, left out or exchanged."""
    changes = difflib.SequenceMatcher(None, one, other).get_opcodes()
    return sum(max(b - a, d - c) for kind, a, b, c, d in changes if kind != "equal")


def did_you_mean(names: Sequence[str]) -> str:
    """The question, ``""`` without names."""
    return f"Did you mean {' or '.join(map(repr, names))}?" if names else ""


def usual(*values: str) -> Check:
    """A check for text that is usually one of these: near misses are refused, new words are not.

    Examples:
        >>> check = usual("low", "high")
        >>> check("verbosity", "extreme")
        'extreme'
        >>> check("verbosity", "hgih")
        Traceback (most recent call last):
        puter.exceptions.PuterInputError: verbosity='hgih' is not valid. Did you mean 'high'?
    """

    def check(name: str, value: Any) -> str:
        text(name, value)
        if value not in values and (near := near_misses(value.strip().lower(), values, 1)):
            raise PuterInputError(f"{name}={repr_of(value)} is not valid", hint=did_you_mean(near))
        return value  # type: ignore[no-any-return]

    return check


def kind_of(annotation: Any, within: Range | None = None) -> Kind[Any] | None:
    """What a type annotation asks for; None when it takes what is not checked here.

    None in a union says nothing: whether an argument was given is for the caller to see.

    Args:
        annotation: str, int, float, bool, a Literal, a mapping, a list or sequence of str,
            ``Annotated`` with a ``Range``, and unions of these.
        within: Bounds of its numbers.
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        within = next((one for one in args[1:] if isinstance(one, Range)), within)
        return kind_of(args[0], within)
    if origin is typing.Union or origin is types.UnionType:
        kinds: list[Any] = [kind_of(one, within) for one in args if one is not types.NoneType]
        return None if None in kinds else functools.reduce(operator.or_, kinds)
    if origin is Literal:
        return one_of([one for one in args if one is not None])
    if annotation in (int, float):
        return (within or Range()).kind(whole=annotation is int)
    if origin in (dict, Mapping):
        return mapping_with_str_keys
    if origin in (list, Sequence) and args == (str,):
        return list_of_text
    plain: dict[Any, Kind[Any]] = {str: text, bool: flag}
    return plain.get(annotation)


def checker_of(annotation: Any) -> Check:
    """The check that a type annotation asks for; see ``kind_of()``.

    A function in ``Annotated[...]`` is called as ``check(name, value)`` instead.

    Examples:
        >>> check = checker_of(Annotated[float | None, Range(0, 2)])
        >>> check("temperature", "hot")
        Traceback (most recent call last):
        puter.exceptions.PuterInputError: temperature must be a number from 0 to 2, not 'hot'
    """
    for one in getattr(annotation, "__metadata__", ()):
        if callable(one):
            return one  # type: ignore[no-any-return]
    return kind_of(annotation) or (lambda _name, value: value)


@functools.cache
def checks_of(options: type, checker: Callable[[Any], Check] = checker_of) -> Mapping[str, Check]:
    """The check of each field of a TypedDict, by name.

    Args:
        options: The TypedDict.
        checker: Makes the check of an annotation.
    """
    hints = typing.get_type_hints(options, include_extras=True)
    return {name: checker(annotation) for name, annotation in hints.items()}
