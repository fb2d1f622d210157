"""Whose code an exception ran through: the user's, or ours and the libraries'."""

from __future__ import annotations

import functools
import inspect
import signal
import sys
import traceback
from types import CodeType, FrameType, TracebackType

_LIBRARIES = "puter requests urllib3 aiohttp aiohappyeyeballs yarl PIL pydantic"
_INNER = {*_LIBRARIES.split(), *sys.stdlib_module_names}


def is_inner(frame: FrameType) -> bool:
    """Whether it is ours, a library's or Python's own."""
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _INNER


def from_users_frame(place: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins with the user's first frame, None without one."""
    while place is not None and is_inner(place.tb_frame):
        place = place.tb_next
    return place


def from_signal_handler(error: BaseException) -> bool:
    """Whether a signal handler of the user's raised it, as an alarm does: it is no timeout of ours.

    Libraries take its ``TimeoutError`` for one of the socket.
    """
    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code in handlers for frame, _ in frames)


def _code_of(handler: object) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    if callable(handler) and not inspect.isroutine(handler):
        handler = type(handler).__call__
    code = getattr(handler, "__code__", None)  # a method hands out its function's
    return code if isinstance(code, CodeType) else None
