"""An answer shown while it comes: Markdown that grows in a notebook, text as it comes elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

_SECONDS = 0.1
"""Between two pictures of an answer: each is all of it, and goes to a browser."""
_NOTHING_YET = "…"


class Partial(Protocol):
    """A reply, whole or not."""

    def _repr_markdown_(self) -> str | None: ...


class Live:
    """Where an answer is shown: ``add()`` each chunk as it comes, then ``end()``.

    Args:
        partial: Gives what came so far.
        read: The part of it that was read before.
    """

    def __init__(self, partial: Callable[[], Partial], read: str) -> None:
        self._partial = partial
        self._handle: Any = None
        if _shows_markdown():
            from IPython.display import display

            show: Any = display
            self._handle = show(_shown(partial(), _NOTHING_YET), raw=True, display_id=True)
            self._due = time.monotonic() + _SECONDS
        else:
            _print(read)

    def add(self, chunk: str) -> None:
        if self._handle is None:
            _print(chunk)
        elif time.monotonic() >= self._due:
            self._draw(_NOTHING_YET)
            self._due = time.monotonic() + _SECONDS

    def end(self) -> None:
        if self._handle is None:
            _print("\n")
        else:
            self._draw(None)

    def _draw(self, otherwise: str | None) -> None:
        self._handle.update(_shown(self._partial(), otherwise), raw=True)


def _shows_markdown() -> bool:
    """Whether this is IPython with something that shows more than text."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "text/markdown" in shell.display_formatter.active_types


def _print(text: str) -> None:
    sys.stdout.write(str(text))
    sys.stdout.flush()


def _shown(reply: Partial, otherwise: str | None) -> dict[str, str]:
    """A reply as Markdown and text; ``otherwise`` stands for one without text."""
    markdown = reply._repr_markdown_() or otherwise
    plain = {"text/plain": repr(reply)}
    return plain if markdown is None else {"text/markdown": markdown, **plain}
