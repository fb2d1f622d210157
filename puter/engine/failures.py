"""What a failed call shows: its attempts and the user's own lines, and nothing secret.

Every exception that leaves a call passes ``report()``: the *door* of the client.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType
from typing import Any, TypeVar

from puter.engine.context import CallContext
from puter.exceptions import PuterBlockingWarning, PuterError, words_of
from puter.frames import chain, is_inner, leave_users_frames, places, users_part
from puter.options import validate_options
from puter.secret import Secret
from puter.threads import running_loop
from puter.wire.redact import LONGEST, Redactor, one_line, printable

E = TypeVar("E", bound=BaseException)

_LOGGER = logging.getLogger("puter.errors")
_NOTEBOOKS = {"IPython", "ipykernel", "marimo"}
"""They run cells, and so sync methods, on an event loop of their own."""


def report(call: CallContext, error: BaseException) -> None:
    """Make what ends a call fit to be seen, before it is raised again; DEBUG logs its places."""
    if isinstance(error, GeneratorExit):
        return  # nobody waits for the call any more, at the end of the interpreter perhaps
    conceal(error, (*call.shared.credentials.secrets(call.config), *call.secrets))
    if _LOGGER.isEnabledFor(logging.DEBUG):
        _LOGGER.debug("%s failed: %s", call.operation, _story(error))
    if isinstance(error, PuterError):
        error.attempts = error.attempts or call.attempts
    short(error)


def short(error: E) -> E:
    """The error without frames of ours and of what we called: their locals hold what is secret."""
    hides = isinstance(error, PuterError) or _of_options(error)
    where = None if hides else _last_place(error)
    leave_users_frames(error)
    if hides:
        _hide_causes(error)
    elif where is not None and error.__traceback__ is None and isinstance(error, Exception):
        add_note: Callable[[str], Any] = getattr(error, "add_note", str)  # from Python 3.11 on
        add_note(f"Raised at {where}; the logger puter.errors has the rest, at DEBUG.")
    return error


def conceal(error: BaseException, secrets: Iterable[Secret]) -> None:
    """Take the secrets out of an error and all behind it, and then cut its texts.

    This is the one place where that is done, for what the server and the libraries said alike. The
    user's own exceptions stay as they are, and so do the answers and messages in ours.
    """
    redactor = Redactor(secrets)
    for one in chain(error):
        if isinstance(one, PuterError):
            if one.args:
                one.args = (printable(redactor(one.message, _LONGEST["message"])), *one.args[1:])
            for name, value in vars(one).items():
                if name not in _USERS:
                    setattr(one, name, _concealed(redactor, name, value))
        elif users_part(one.__traceback__) is None:
            _conceal_library(redactor, one)


_USERS = frozenset(("partial", "reply", "results", "messages", "suggestions"))
_LONGEST = {"message": 1000, "hint": 1000, "body": 500, "code": 200, "reason": 200}
"""Characters of the texts of an error at most; ``Redactor`` bounds a decoded body."""


def _concealed(redactor: Redactor, name: str, value: Any) -> Any:
    try:
        value = redactor(value, _LONGEST.get(name, LONGEST))
    except RecursionError:
        return None  # nobody reads what is nested that deeply
    if not isinstance(value, str) or name == "body":
        return value
    return printable(value) if name == "hint" else one_line(value)


def _conceal_library(redactor: Redactor, error: BaseException) -> None:
    """Text stays text, and what prints a secret becomes text."""

    def safe(value: Any) -> Any:
        if isinstance(value, BaseException):
            return value
        if isinstance(value, (str, bytes)):
            return redactor(value)
        told = repr(value)
        return value if (clean := redactor(told)) == told else clean

    with suppress(Exception):  # a class that does not let itself be changed, or printed
        error.args = tuple(map(safe, error.args))
        for name, value in getattr(error, "__dict__", {}).items():
            if isinstance(value, (str, bytes)):
                setattr(error, name, redactor(value))


def _story(error: BaseException) -> str:
    """All exceptions and the places they ran through, without values; each in a line."""
    lines: list[str] = []
    for one in chain(error):
        kind = type(one)
        lines.append(one_line(f"{kind.__module__}.{kind.__qualname__}: {words_of(one)}"))
        lines += [f"  {one_line(place)}" for place in places(one)]
    return "\n  ".join(lines)


def _last_place(error: BaseException) -> str | None:
    return next(reversed([*places(error)]), None)


def _of_options(error: BaseException) -> bool:
    """Whether the check of the options raised it."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and place.tb_frame.f_code is validate_options.__code__


def _hide_causes(error: BaseException) -> None:
    """Hide exceptions behind it that are not the user's."""
    first = shown = _shown_before(error)
    while shown is not None and not isinstance(shown, PuterError) and shown.__traceback__ is None:
        shown = _shown_before(shown)
    if isinstance(shown, PuterError):
        _hide_causes(shown)
    if shown is not first:
        error.__cause__, error.__context__ = None, shown or first
        error.__suppress_context__ = shown is None


def _shown_before(error: BaseException) -> BaseException | None:
    """What Python prints before it."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def warn_of_blocking(call: CallContext) -> None:
    """Warn once where an event loop runs in this thread: a sync method holds it up."""
    key = (call.operation, "blocks")
    if running_loop() is None or key in call.shared.warned or _in_a_cell():
        return
    call.shared.warned.add(key)
    twin = f"async_{call.operation}"
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and is_inner(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"A synchronous method ({call.operation}) blocks the event loop that runs in this thread: "
        f"await {twin if hasattr(call.runner, twin) else 'the async_ method'}() instead",
        PuterBlockingWarning,
        stacklevel=level,
    )


def _in_a_cell() -> bool:
    """Whether a notebook has the event loop run this: a cell, or what a widget calls.

    A task that a cell began, such as one of ``asyncio.gather()``, holds up others and is none.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module == "asyncio.events":  # what runs each callback and step of a task
            return False
        if module.partition(".")[0] in _NOTEBOOKS:
            return True
        frame = frame.f_back
    return False
