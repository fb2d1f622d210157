"""The file of a batch: a line of JSON for each answer, appended when it comes."""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
import weakref
from contextlib import suppress
from typing import Any

from puter.batch.records import BEGINNING, begins_record, is_torn, outcome_of, record_in
from puter.exceptions import PuterInputError, words_of
from puter.locks import lock
from puter.process import short_lock

LOGGER = logging.getLogger("puter.batch")


class AnswerFile:
    """Records of answers, by key; another process cannot have it open at the same time.

    Each record is on its way to the disk when ``write()`` returns: a process that is killed loses
    none. ``close()`` waits for the disk, so that a loss of power costs what came after the last.

    Args:
        path: The file; it is made if it is not there.

    Raises:
        PuterInputError: It is no file of a batch, or another batch writes to it.
        OSError: It cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: str = os.fspath(path)
        self._place = os.path.abspath(self.path)  # wherever the program goes
        self._places: dict[bytes, int] = {}
        self._used: list[bytes] = []
        """Lines that were read or written: another program may cut the file off."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        self._descriptor = os.open(self.path, flags, 0o666)
        _opened.add(self)
        try:
            self._check_kind()
            self._lock()
            self._reader = open(self.path, "rb")  # noqa: SIM115 - closed with it
            self._read()
            self._size = os.fstat(self._descriptor).st_size
        except BaseException:
            self.close()
            raise

    def __contains__(self, key: str) -> bool:
        """Whether there is a good answer of that key."""
        return bytes.fromhex(key) in self._places

    def __getitem__(self, key: str) -> Any:
        """The answer of that key; one that a function returned may be None.

        Raises:
            OSError: It is not there any more.
        """
        self._reader.seek(self._places[bytes.fromhex(key)])
        line = self._reader.readline()
        with suppress(ValueError, TypeError, KeyError):  # no JSON, or no record
            record = json.loads(line)
            if record["key"] == key:
                self._used.append(line)
                return outcome_of(record)
        raise OSError(errno.EIO, "It was changed while answers came", self.path)

    def write(self, record: dict[str, Any]) -> None:
        """Append a record, wholly or not at all.

        Raises:
            OSError: The disk is full, or fails, or ``check_there()`` does.
            TypeError: Something in it is no JSON.
        """
        ends = self.check_there()
        try:
            line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        except UnicodeEncodeError:  # half of a surrogate pair
            line = json.dumps(record).encode() + b"\n"
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError:
            os.ftruncate(self._descriptor, ends)
            raise
        self._size = ends + len(line)
        self._used.append(line)

    def check_there(self) -> int:
        """Its size.

        Raises:
            OSError: Its name is not that of this file any more, whose answers would be paid for
                again, or it is shorter than it was.
        """
        found = os.fstat(self._descriptor)
        if not self._is_named(found):
            raise OSError(errno.ENOENT, "It was removed or replaced while answers came", self.path)
        if found.st_size < self._size:
            raise OSError(errno.EIO, "It was cut off while answers came", self.path)
        return found.st_size

    def lost(self) -> list[dict[str, Any]]:
        """The records that its name does not lead to, of those that were there or came."""
        self._reader.seek(0, os.SEEK_END)  # forgets what it has read
        self._reader.seek(0)
        with suppress(PuterInputError):
            self._read()  # mends the end, as more is to be appended
        self._reader.seek(0)
        lines = list(self._reader)
        kept = {*lines} if self._is_named(os.fstat(self._descriptor)) else ()
        gone = [one for one in dict.fromkeys((*lines, *self._used)) if one not in kept]
        return [record for record in map(record_in, gone) if record is not None]

    def _is_named(self, found: os.stat_result) -> bool:
        try:
            return os.path.samestat(found, os.stat(self._place))
        except OSError:
            return False

    def close(self) -> None:
        """Close it, which unlocks it. Safe to repeat."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        _opened.discard(self)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a device, which was refused
                LOGGER.warning("%s: %s", self.path, words_of(error))
        finally:
            os.close(descriptor)
            if hasattr(self, "_reader"):
                self._reader.close()

    def _check_kind(self) -> None:
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise PuterInputError(
                f"{self.path} is no ordinary file, and a batch goes on from what its output says",
                hint="Name a file that ends in .jsonl.",
            )

    def _lock(self) -> None:
        try:
            if lock(self._descriptor):
                return
        except OSError as error:
            LOGGER.warning("%s cannot be locked: %s", self.path, words_of(error))
            return
        raise PuterInputError(
            f"Another batch writes to {self.path}",
            hint="Wait for it to end, or name another file.",
        )

    def _read(self) -> None:
        place = 0
        for number, line in enumerate(self._reader, 1):
            record = record_in(line)
            if record is None:
                if not line.endswith(b"\n") and is_torn(line):
                    os.ftruncate(self._descriptor, place)
                    return
                raise PuterInputError(
                    f"Line {number} of {self.path} is no record of a batch",
                    hint="Name another file, or take the line out if the file is one.",
                )
            if record["error"] is None:
                self._places[bytes.fromhex(record["key"])] = place
            place += len(line)
            if not line.endswith(b"\n"):  # cut off just there
                os.write(self._descriptor, b"\n")
                return  # before it is read as a line


def check_apart(source: Any, output: str | os.PathLike[str]) -> None:
    """See that items are not read from where answers go, as each would be one more item.

    Args:
        source: What they are read from: a path, or what has ``fileno()``; anything else passes.
        output: Where the answers go.

    Raises:
        PuterInputError: It is the same file.
    """
    if is_same(source, output):
        raise PuterInputError(
            f"The items are read from {os.fspath(output)}, and the answers would go there as well: "
            "each would be one more item, without end",
            hint="Name another file as the output.",
        )


def is_same(one: Any, other: str | os.PathLike[str]) -> bool:
    """Whether both are one file, or would be.

    Args:
        one: A path, or what has ``fileno()``; anything else is no file.
        other: A path.
    """
    try:
        found = os.stat(one.fileno() if hasattr(one, "fileno") else one)
        return os.path.samestat(found, os.stat(other))
    except (OSError, ValueError, TypeError):  # not there yet, or no file of the system's
        is_path = isinstance(one, (str, os.PathLike))
        return is_path and os.path.realpath(one) == os.path.realpath(other)


def check_holds_no_answers(path: str | os.PathLike[str]) -> None:
    """See that what is written over are no answers, which were paid for.

    Raises:
        PuterInputError: They are.
    """
    if os.path.isfile(path):
        with open(path, "rb") as file:
            if begins_record(file.read(BEGINNING)):
                raise PuterInputError(
                    f"{os.fspath(path)} holds the answers of a batch", hint="Name another file."
                )


_opened: weakref.WeakSet[AnswerFile] = weakref.WeakSet()


def _after_fork() -> None:
    """A child, such as a worker of a pool, would keep the lock of a parent that is killed."""
    with short_lock():
        for file in list(_opened):
            os.close(file._descriptor)
            file._descriptor = -1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
