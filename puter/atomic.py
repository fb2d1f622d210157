"""Writing files whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class AtomicFile:
    """A file that gets its name only when it is done, so a crash never leaves half of it.

    A file that is replaced keeps its mode; a link to one stays a link. Left without
    ``done()``, nothing is left behind.

    Args:
        beside: A path in the folder that the file goes to.

    Raises:
        OSError: It could not be written.
    """

    def __init__(self, beside: str | os.PathLike[str]) -> None:
        target = Path(os.path.realpath(beside))
        self._temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")  # a name may be full length
        try:
            self._file = self._temporary.open("xb")
        except OSError as error:
            raise _of_path(error, beside) from None
        self.size: int = 0
        """Bytes written so far."""

    def write(self, data: bytes | bytearray) -> None:
        self.size += len(data)
        self._file.write(data)

    def done(self, path: Path) -> Path:
        """Give it its name; it is on disk before that."""
        target = Path(os.path.realpath(path))
        if target.exists():
            os.chmod(self._temporary, target.stat().st_mode & 0o777)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        try:
            self._temporary.replace(target)
        except OSError as error:
            raise _of_path(error, path) from None
        return path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()  # a full disk is told here once more
        finally:
            self._temporary.unlink(missing_ok=True)


def _of_path(error: OSError, path: str | os.PathLike[str]) -> OSError:
    """The error as one of the path that was asked for, not of the temporary file."""
    missing = isinstance(error, FileNotFoundError)
    told = "There is no such folder to write to" if missing else error.strerror
    return OSError(error.errno, told, os.fspath(path))


def write_whole(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file so that a crash leaves the old one or the new one, never half of one."""
    with AtomicFile(path) as file:
        file.write(data)
        return file.done(Path(path))


async def async_write_whole(path: str | os.PathLike[str], data: bytes) -> Path:
    """``write_whole()`` in a thread, for the event loop's sake."""
    import asyncio

    return await asyncio.to_thread(write_whole, path, data)
