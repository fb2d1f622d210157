"""Writing files whole or not at all, and reading ordinary ones alone."""

from __future__ import annotations

import errno
import os
import stat
import uuid
import weakref
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from puter.exceptions import PuterInputError, with_article

if TYPE_CHECKING:
    from typing_extensions import Self


class AtomicFile:
    """A file that gets its name only when it is done, so a crash never leaves half of it.

    A file that is replaced keeps its mode, and the new one has it from its first byte; a link to
    one stays a link. Left without ``done()``, nothing is left behind.

    Args:
        path: The file to write.
        extension: Added, with its dot, to a path that has none. Default: nothing is added.
        private: Nobody but the user may read it (mode 0600), whatever mode it had.

    Raises:
        OSError: It cannot be written, or is a folder, a device, a pipe or a socket.
    """

    def __init__(
        self, path: str | os.PathLike[str], extension: str = "", *, private: bool = False
    ) -> None:
        with _told_of(path):
            target, mode = _target(path)
        self.path: Path = Path(path)
        """Where it goes, as the user knows it."""
        if extension and not self.path.suffix:
            self.path = self.path.with_name(self.path.name + extension)
            with _told_of(self.path):
                target, mode = _target(self.path)
        mode = 0o600 if private else mode
        self._target = target
        self._temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")  # may be full length
        opened: list[IO[bytes]] = []
        # Before there is anything to discard: an interrupt may come between any two steps.
        self._discard = partial(_discard, opened, self._temporary, os.getpid())
        self._finalizer = weakref.finalize(self, self._discard)
        with _told_of(path):
            opener = partial(os.open, mode=0o666 if mode is None else mode)
            self._file: IO[bytes] = open(self._temporary, "xb", opener=opener)  # noqa: SIM115
            opened.append(self._file)
            if mode is not None:
                os.chmod(self._temporary, mode)  # what the umask took
        self.size: int = 0
        """Bytes written so far."""

    def write(self, data: bytes | bytearray) -> None:
        with _told_of(self.path):
            self._file.write(data)
        self.size += len(data)

    def done(self) -> Path:
        """Give it its name, which is returned; it is on disk before that."""
        with _told_of(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._temporary.replace(self._target)
        return self.path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._discard()  # not through the finalizer: interrupted, that would not do it again
        self._finalizer.detach()


def _target(path: str | os.PathLike[str]) -> tuple[Path, int | None]:
    """The file that a path leads to, and the mode it has if it is there."""
    target = Path(os.path.realpath(path))
    try:
        mode = os.stat(path or ".").st_mode  # not the target's: a link in /proc to a pipe has none
    except (FileNotFoundError, NotADirectoryError):
        mode = None
    if not os.path.basename(path) or (mode is not None and stat.S_ISDIR(mode)):
        raise OSError(errno.EISDIR, "This is a folder: name a file in it")
    if mode is not None and not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "This is no ordinary file, and is not replaced by one")
    return target, None if mode is None else stat.S_IMODE(mode) & 0o777


def _discard(opened: list[IO[bytes]], temporary: Path, process: int) -> None:
    if os.getpid() != process:  # in a forked child it is its parent's
        return
    for file in opened:
        with suppress(OSError):  # a full disk is told here once more
            file.close()
    with suppress(FileNotFoundError, NotADirectoryError):  # it was not made, or has its name
        temporary.unlink()


@contextmanager
def _told_of(path: str | os.PathLike[str]) -> Generator[None, None, None]:
    """Errors are those of the path that was asked for, not of the temporary file."""
    try:
        yield
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        told = "There is no such folder to write to" if missing else error.strerror
        raise OSError(error.errno, told, os.fspath(path)) from None
    except ValueError as error:  # NUL, or what is no text of the file system
        raise OSError(errno.EINVAL, str(error), os.fspath(path)) from None


def open_ordinary(path: str | os.PathLike[str], hint: str) -> IO[bytes]:
    """Open a file for reading; a pipe is never waited for.

    Raises:
        PuterInputError: It is a pipe, a device or a socket; with this hint.
        OSError: It cannot be read.
        ValueError: It is no path of the file system.
    """

    def check(mode: int) -> None:
        kind = next((noun for is_kind, noun in _SPECIAL if is_kind(mode)), None)
        if kind is not None:
            shown = os.fsencode(path).decode(errors="replace")[:200]
            raise PuterInputError(
                f"{shown!r} is {with_article(kind)}, not an ordinary file", hint=hint
            )

    def opener(name: str, flags: int) -> int:
        check(os.stat(name).st_mode)  # opening a device may do something to it
        descriptor = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
        try:
            check(os.fstat(descriptor).st_mode)  # it may be another by now
        except PuterInputError:
            os.close(descriptor)
            raise
        return descriptor

    return open(path, "rb", opener=opener)


_SPECIAL = (
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError unless a file can be written there."""
    with AtomicFile(path):
        pass


def write_whole(
    path: str | os.PathLike[str], data: bytes, extension: str = "", *, private: bool = False
) -> Path:
    """Write a file so that a crash leaves the old one or the new one, never half of one."""
    with AtomicFile(path, extension, private=private) as file:
        file.write(data)
        return file.done()
