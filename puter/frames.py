"""Whose code an exception ran through: the user's, or ours and the libraries'."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, TracebackType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_HTTP = frozenset("requests urllib3 aiohttp aiohappyeyeballs multidict yarl idna".split())
_INNER = frozenset({"puter", "PIL", "pydantic", *_HTTP, *sys.stdlib_module_names})


def is_inner(frame: FrameType) -> bool:
    """Whether it is ours, a library's or Python's own."""
    return _package(frame) in _INNER


def raised_by_library(error: BaseException) -> bool:
    """Whether a library or Python raised it where only they and we ran: no code of the user's."""
    frames = [frame for frame, _ in _walk(error.__traceback__)]
    return all(map(is_inner, frames)) and bool(frames) and _package(frames[-1]) != "puter"


def _walk(place: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    from traceback import walk_tb  # with what it imports 5 ms, and only errors need it

    return walk_tb(place)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def users_part(place: TracebackType | None) -> TracebackType | None:
    """The traceback without our frames and those of what we called, None when nothing is left.

    What stays are the user's functions and what these called, wherever they stand in it. Whatever
    an HTTP library of ours called goes with it (it saw the headers), but for a signal handler.
    """
    shown: list[tuple[FrameType, int, int]] = []
    is_users = in_http = False
    handlers: set[CodeType | None] | None = None
    while place is not None:
        frame, package = place.tb_frame, _package(place.tb_frame)
        if package not in _INNER:
            if in_http and handlers is None:
                handlers = _handlers()
            is_users = not in_http or (handlers is not None and frame.f_code in handlers)
            in_http = in_http and not is_users
        elif package == "puter":
            is_users = in_http = False
        elif package in _HTTP and not is_users:
            in_http = True
        if is_users:
            shown.append((frame, place.tb_lasti, place.tb_lineno))
        place = place.tb_next
    kept: TracebackType | None = None
    for one in reversed(shown):
        kept = TracebackType(kept, *one)
    return kept


def without_arguments(function: F) -> F:
    """The function; what it raises has no frames of ours, whose locals show what it was given."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if error.__suppress_context__:
                error.__context__ = None  # its text may quote what was given
            leave_users_frames(error)
            raise error  # noqa: TRY201 - a bare raise brings the frames back on 3.10
        finally:
            args, kwargs = (), {}

    return cast("F", guarded)


def leave_users_frames(error: BaseException) -> None:
    """Take our frames, and those of what we called, out of an exception and all behind it."""
    for one in chain(error):
        one.__traceback__ = users_part(one.__traceback__)


def places(error: BaseException) -> Iterator[str]:
    """Where it ran through, as text: file, line and function, without any values."""
    for frame, line in _walk(error.__traceback__):
        yield f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"


def chain(error: BaseException) -> list[BaseException]:
    """The exception and all behind it, however the libraries hang them together."""
    found, seen = [error], {id(error)}
    for one in found:  # which grows
        held = (*one.args, *getattr(one, "exceptions", ()), *getattr(one, "__dict__", {}).values())
        for deeper in (*held, one.__cause__, one.__context__):
            if isinstance(deeper, BaseException) and id(deeper) not in seen:
                seen.add(id(deeper))
                found.append(deeper)
    return found


def from_signal_handler(error: BaseException) -> bool:
    """Whether a signal handler of the user's raised it, as an alarm does: it is no timeout of ours.

    Libraries take its ``TimeoutError`` for one of the socket.
    """
    handlers = _handlers()
    return any(frame.f_code in handlers for frame, _ in _walk(error.__traceback__))


def _handlers() -> set[CodeType | None]:
    signal = sys.modules.get("signal")  # nobody sets a handler without it
    if signal is None:
        return set()
    return {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}


def _code_of(handler: object) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    code = getattr(handler, "__code__", None)  # a method hands out its function's
    if code is None and callable(handler):
        code = getattr(type(handler).__call__, "__code__", None)
    return code if isinstance(code, CodeType) else None
