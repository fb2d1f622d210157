"""Checks of arguments, and those that type annotations ask for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest

from puter import checks
from puter.checks import Range, checker_of
from puter.exceptions import PuterInputError


@pytest.mark.parametrize(
    ("annotation", "good", "bad", "wanted"),
    [
        (str, ["x"], ["", " ", 5, None], "a non-empty str"),
        (bool, [True, False], [0, 1, "yes"], "True or False"),
        (int, [0, -5, 10**400], [True, 1.0, "1"], "a whole number"),
        (float, [0, 1.5, 10**400], [True, math.nan, math.inf, "1"], "a number"),
        (Literal["a", "b"], ["a"], ["c", 5, []], "one of 'a', 'b'"),
        (Mapping[str, Any], [{}, {"a": 1}], [[], {1: 2}], "a dict with str keys"),
        (dict[str, int], [{"a": 1}], ["x"], "a dict with str keys"),
        (list[str], [[], ["a"], ("a",)], ["a", [1], {"a"}], "a list of str"),
        (Sequence[str] | None, [["a"]], ["a"], "a list of str"),
        (str | Mapping[str, Any] | None, ["x", {}], [5], "a non-empty str, or a dict with"),
        (Annotated[float | None, Range(0, 1)], [0, 1], [-0.1, 1.1, True], "a number from 0 to 1"),
        (Annotated[int, Range(1)], [1, 10**9], [0, 1.0], "a whole number, 1 or more"),
        (Annotated[float, Range(0, above=True)], [0.1], [0], "a number above 0"),
        (Annotated[float, Range(0, 5, above=True)], [5], [0, 6], "a number above 0, up to 5"),
        (Annotated[float, Range(most=5)], [-9], [6], "a number up to 5"),
        (Annotated[float, checks.SECONDS], [0.1], [0, 10**400], "a number of seconds above 0"),
    ],
)
def test_a_type_is_a_check(annotation: Any, good: list[Any], bad: list[Any], wanted: str) -> None:
    check = checker_of(annotation)
    for value in good:
        assert check("x", value) is value
    for value in bad:
        with pytest.raises(PuterInputError, match=f"x must be {wanted}"):
            check("x", value)


@pytest.mark.parametrize(
    "annotation", [Any, bytes, tuple[int, int], list[int], str | bytes, Sequence[bytes] | None]
)
def test_other_types_are_not_checked(annotation: Any) -> None:
    assert checker_of(annotation)("x", 5) == 5


def test_a_function_is_the_check_instead() -> None:
    def shout(name: str, value: Any) -> str:
        return f"{name} {value}!"

    assert checker_of(Annotated[int, shout])("x", "y") == "x y!"


def test_what_is_told_of_numbers() -> None:
    assert checks.whole_number("n", 3, 1, 5) == 3
    with pytest.raises(PuterInputError, match="n must be a whole number from 1 to 5, not 6"):
        checks.whole_number("n", 6, 1, 5)
    with pytest.raises(PuterInputError, match="Ask for less"):
        Range(most=5, hint="Ask for less.").kind(whole=True)("n", 6)
    assert checks.text_or_none("model", None) is None
