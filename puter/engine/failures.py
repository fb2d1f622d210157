"""What a failed call shows: its attempts and the user's own lines; the rest is for the log."""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from typing import TypeVar

from puter.engine.context import CallContext
from puter.engine.frames import from_signal_handler, from_users_frame, is_inner
from puter.exceptions import PuterBlockingWarning, PuterError
from puter.options import validate_options

E = TypeVar("E", bound=PuterError | TypeError)

_LOGGER = logging.getLogger("puter.errors")
_NOTEBOOKS = {"ipykernel", "marimo"}
"""They run cells, and so sync methods, on an event loop of their own."""


def report(call: CallContext, error: Exception) -> None:
    """Log the error of a call as it is, with DEBUG, and make it short before it is raised again."""
    _LOGGER.debug("%s failed", call.operation, exc_info=error)
    if isinstance(error, PuterError):
        error.attempts = error.attempts or call.attempts
    if isinstance(error, PuterError) or _of_options(error):
        _shorten(error)
    elif not from_signal_handler(error):  # of a user's function, or it stays as it is
        error.__traceback__ = from_users_frame(error.__traceback__) or error.__traceback__


def short(error: E) -> E:
    """The error of an argument, without our frames; a TypeError of our own making keeps them."""
    if isinstance(error, PuterError) or _of_options(error):
        _shorten(error)
    return error


def _of_options(error: Exception) -> bool:
    """Whether the check of the options raised it."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and place.tb_frame.f_code is validate_options.__code__


def _shorten(error: BaseException) -> None:
    """Begin the traceback with the user's first frame; hide exceptions that are not theirs."""
    error.__traceback__ = from_users_frame(error.__traceback__)
    first = shown = _shown_before(error)
    while shown is not None and not isinstance(shown, PuterError):
        if from_users_frame(shown.__traceback__):
            break
        shown = _shown_before(shown)
    if isinstance(shown, PuterError):
        _shorten(shown)
    if shown is not first:
        error.__cause__, error.__context__ = None, shown or first
        error.__suppress_context__ = shown is None


def _shown_before(error: BaseException) -> BaseException | None:
    """What Python prints before it."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def warn_of_blocking(call: CallContext) -> None:
    """Warn once where an event loop runs in this thread: a sync method holds it up."""
    key = (call.operation, "blocks")
    if (
        asyncio._get_running_loop() is None
        or key in call.shared.warned
        or not _NOTEBOOKS.isdisjoint(sys.modules)
    ):
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
