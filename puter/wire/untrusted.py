"""Messages that others wrote: what they show is on the web or in them, no file of the user's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from puter.checks import is_url
from puter.exceptions import PuterInputError, repr_of
from puter.wire.messages import Message

_OF_TOOLS = ("input", "arguments")
"""Keys of what a model says to a tool, where words have no meaning for Puter."""


def web_address(url: Any) -> str:
    """The URL, which whoever gets it does not take for a path.

    Raises:
        PuterInputError: It is neither of http(s) nor a data URI.
    """
    if isinstance(url, str) and is_url(url, "data:"):
        return url
    raise PuterInputError(
        f"{repr_of(url, 80)} is no http(s) URL and no data URI",
        hint="A message opens no files: send what the file holds.",
    )


def check_untrusted(messages: Iterable[Message]) -> list[Message]:
    """The messages, when no part of them has a file opened.

    Raises:
        PuterInputError: A part names a file in the account's Puter, or a URL that is none.
    """
    checked = list(messages)
    left: list[Any] = [*checked]
    seen: set[int] = set()  # what holds itself is refused later
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Mapping):
            if "puter_path" in one:
                raise PuterInputError(
                    "Files in the account's Puter cannot be opened here",
                    hint="Send what the file holds.",
                )
            for name, inner in one.items():
                if isinstance(inner, str) and str(name).lower().endswith("url"):
                    web_address(inner)
                elif name not in _OF_TOOLS:
                    left.append(inner)
        elif isinstance(one, (list, tuple)):
            left += one
    return checked
