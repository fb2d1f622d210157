"""What a forked child, or a process without file descriptors, must not find half done."""

from __future__ import annotations

import os
import sys
from _thread import RLock
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from importlib import import_module
from itertools import repeat
from typing import Any, cast

from puter.exceptions import PuterConfigError, PuterError

FORK_WAITS = 10.0
"""Seconds that a fork waits at most until what another thread loads is loaded."""

SPARE = 16
"""File descriptors that must be free before something is loaded."""

_short = RLock()
_loading = RLock()


def short_lock() -> AbstractContextManager[Any]:
    """The one lock for steps that neither wait, nor run users' code, nor take another lock.

    A forked child finds it free. A signal handler may come here in the midst of such a step of its
    own thread, and does not wait for it: see ``in_short_step``.
    """
    return _short


def in_short_step() -> bool:
    """Whether this is a signal handler, or a finalizer, in the midst of a step of its thread."""
    held: bool = cast("Any", _short)._is_owned()  # as ``threading.Condition`` asks
    return held


@contextmanager
def loading() -> Generator[None, None, None]:
    """Import a module or read a file of ours where it is first needed, whole or not at all.

    A child forked meanwhile would wait for ever for the rest of an import, so a fork waits for it.
    A library imported without descriptors goes on without what it could not open.

    Raises:
        PuterError: There are no file descriptors left.
    """
    _hold_forks()
    with _loading:
        check_descriptors()
        yield


@contextmanager
def library(package: str, extra: str, what: str = "This") -> Generator[None, None, None]:
    """Import an optional library, or say how to get it.

    Raises:
        PuterConfigError: It is not installed.
    """
    try:
        with loading():
            yield
    except ImportError:
        raise PuterConfigError(
            f"{what} needs the package {package}",
            hint=f"pip install {package} (the extra puter-python-sdk[{extra}])",
        ) from None


@cache
def _hold_forks() -> None:
    """Let a fork wait for what is being loaded, from the first time on.

    The last hook of a fork to be registered is the first to run. That of ``logging`` takes a lock
    that imports need, so it has to be registered before.
    """
    import_module("logging")
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child
        )


class _Late:
    """A module before it is loaded, and after."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: Any = None

    def __getattr__(self, attribute: str) -> Any:
        if self._module is None:
            module = sys.modules.get(self._name)
            if module is None or getattr(module.__spec__, "_initializing", False):
                with loading():
                    module = import_module(self._name)
            self._module = module
        return getattr(self._module, attribute)


def late(name: str) -> Any:
    """The module of that name, loaded when something of it is first looked up.

    For what neither the making of a client nor a plain chat needs. Type checkers, and tools that
    follow imports, are shown the import itself:

        if TYPE_CHECKING:
            import decimal
        else:
            decimal = late("decimal")
    """
    return _Late(name)


def check_is_ours(pid: int) -> None:
    """Raise PuterError when a stream of this process is another one's: a forked child has a copy.

    What the child read, its parent would miss.
    """
    if pid != os.getpid():
        raise PuterError(
            "This stream belongs to the process that this one was forked from",
            hint="Read it there, or open another one here.",
        )


def check_descriptors() -> None:
    """Raise PuterError when there are too few file descriptors left to load something."""
    opened: list[int] = []
    try:
        opened.extend(map(os.open, repeat(os.devnull, SPARE), repeat(os.O_RDONLY)))
    except OSError as error:
        raise PuterError(
            f"This process can open no more files: {error.strerror}",
            hint="Close files, streams and clients that are no longer used, or raise the limit "
            "(ulimit -n).",
        ) from None
    finally:
        list(map(os.close, opened))  # in C: an interrupt in a loop would leave the rest open


def _before_fork() -> None:
    _loading.acquire(timeout=FORK_WAITS)


def _in_parent() -> None:
    with suppress(RuntimeError):  # not acquired in time
        _loading.release()


def _in_child() -> None:
    global _short, _loading
    _short, _loading = RLock(), RLock()
