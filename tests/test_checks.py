"""Checks of arguments, and those that type annotations ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest

import puter
from puter import checks
from puter.checks import Range, checker_of
from puter.exceptions import PuterConfigError, PuterInputError
from puter.options import ChatOptions
from puter.settings import ConfigOptions
from puter.testing import MockTransport


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
    assert checks.whole_number("n", 3, least=1) == 3
    with pytest.raises(PuterInputError, match="n must be a whole number, 1 or more, not 0"):
        checks.whole_number("n", 0, least=1)
    with pytest.raises(PuterInputError, match="n must be a whole number from 1 to 5, not 6"):
        Range(1, 5).kind(whole=True)("n", 6)
    with pytest.raises(PuterInputError, match="Ask for less"):
        Range(most=5, hint="Ask for less.").kind(whole=True)("n", 6)
    assert checks.text_or_none("model", None) is None


def _nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


class _Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


UNPRINTABLE: dict[str, Any] = {
    "deep": _nested(100_000),
    "digits": [10**5000],
    "own": _Unprintable(),
}


@pytest.mark.parametrize("value", UNPRINTABLE.values(), ids=UNPRINTABLE)
def test_a_value_that_cannot_be_printed_is_refused_all_the_same(value: Any) -> None:
    def handler(_: object) -> str:
        raise AssertionError("nothing is sent")

    ai = puter.PuterAI(token="t", transport=MockTransport(handler))
    for name in ConfigOptions.__annotations__:
        with pytest.raises(PuterConfigError, match=name):
            puter.PuterConfig(**{name: value})
    unchecked = {"stop", "custom", "thinking", "context_management", "cache_control", "extra"}
    for name in ChatOptions.__annotations__.keys() - unchecked:
        options: Any = {name: value}
        with pytest.raises(PuterInputError):
            ai.chat("x", **options)
    calls: list[Callable[[], object]] = [
        lambda: ai.chat(value),
        lambda: ai.chat("x", value),
        lambda: ai.chat("x", stream=value),
        lambda: ai.parse("x", value),
        lambda: ai.txt2img("x", ratio=value),
        lambda: ai.list_models(value),
        lambda: ai.list_models(kind=value),
        lambda: ai.create_api_token("x", value),
        lambda: ai.read_file(value),
        lambda: ai.estimate_cost("x", value),
        lambda: puter.Image(url=value),
        lambda: puter.Image(b"x", mime_type=value),
    ]
    for call in calls:
        with pytest.raises(PuterInputError):
            call()
    assert ai.set_model(value) is False


@pytest.mark.parametrize("kind", [puter.Image, puter.Audio, puter.Video, puter.Media])
@pytest.mark.parametrize("url", [3, print, b"https://a/b", ["https://a/b"]])
def test_the_url_of_media_is_a_str(kind: type[puter.Media], url: Any) -> None:
    with pytest.raises(PuterInputError, match="url must be a str"):
        kind(url=url)


def test_a_ratio_may_not_be_larger_than_a_float() -> None:
    with pytest.raises(PuterInputError, match="ratio"):
        puter.PuterAI(token="t").txt2img("x", ratio=(10**400, 1))
