"""What a docstring says of a function, in the three styles that people write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from puter.docstrings import describe


def google() -> None:
    """Look for hotels.

    In any town,
    at any price.

    Args:
        town: Where, as in "Paris: the city".
        stars (int, optional): At least that many,
            counted by hand.

            Five is the most.
        price (tuple(int, int)): From and to.
        *more: The rest.
        note: A note
            Example: none.
        example:
            One that begins on its own line.

    This is prose after the section.

        so: This is no parameter, either.

    Returns:
        town: not a parameter here.

    Raises:
        ValueError: stars: is negative.
    """


def numpy() -> None:
    """Look for hotels.

    Parameters
    ----------
    town : str
        Where: the city : here.
    stars, price : int, optional
        At least that many,
        counted by hand.
    order : {'up', 'down'}
        Which first.
    plain
        Without a type.

    Other Parameters
    ----------------
    rare : bool
        Seldom needed.

    Returns
    -------
    town : list
        Not a parameter here.
    """


def rest() -> None:
    """Look for hotels, see
    :func:`elsewhere`.

    :param town: Where: the city,
        or the village.
    :param int stars: At least that many.
    :type stars: int
    :param dict[str, int] price: From and to.
    :arg order:
        Which first.
    :returns: town: not a parameter here.
    :raises ValueError: stars: is negative.
    """


@pytest.mark.parametrize(
    ("function", "intro", "parameters"),
    [
        (
            google,
            "Look for hotels.\n\nIn any town,\nat any price.",
            {
                "town": 'Where, as in "Paris: the city".',
                "stars": "At least that many, counted by hand. Five is the most.",
                "price": "From and to.",
                "more": "The rest.",
                "note": "A note Example: none.",
                "example": "One that begins on its own line.",
            },
        ),
        (
            numpy,
            "Look for hotels.",
            {
                "town": "Where: the city : here.",
                "stars": "At least that many, counted by hand.",
                "price": "At least that many, counted by hand.",
                "order": "Which first.",
                "plain": "Without a type.",
                "rare": "Seldom needed.",
            },
        ),
        (
            rest,
            "Look for hotels, see\n:func:`elsewhere`.",
            {
                "town": "Where: the city, or the village.",
                "stars": "At least that many.",
                "price": "From and to.",
                "order": "Which first.",
            },
        ),
    ],
    ids=["google", "numpy", "rest"],
)
def test_each_style_is_read(
    function: Callable[[], None], intro: str, parameters: dict[str, str]
) -> None:
    assert describe(function) == (intro, parameters)


@pytest.mark.parametrize("header", ["Args", "Arguments", "Parameters", "Params", "Keyword Args"])
def test_the_names_of_the_section(header: str) -> None:
    def documented() -> None: ...

    documented.__doc__ = f"Do it.\n\n{header}:\n    a: One.\n"
    assert describe(documented) == ("Do it.", {"a": "One."})


@pytest.mark.parametrize(
    ("doc", "said"),
    [
        (None, ("", {})),
        ("", ("", {})),
        ("One line.", ("One line.", {})),
        ("Args:\n    a: One.", ("", {"a": "One."})),
        ("Args:\n    not an entry\n    a: One.", ("", {"a": "One."})),
        ("See.\n\nArgs: none of them\n", ("See.\n\nArgs: none of them", {})),
        ("Notes\n", ("Notes", {})),  # a word, not a section
        ("Do it.\n\n----\nMore.", ("Do it.\n\n----\nMore.", {})),
    ],
)
def test_odd_ones(doc: Any, said: tuple[str, dict[str, str]]) -> None:
    def documented() -> None: ...

    documented.__doc__ = doc
    assert describe(documented) == said
