"""Long answers kept in a temporary file: audio, which is streamed."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import threading
import weakref
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, TypeVar

from puter.api.downloads import PIECE, copy_rest, read_all
from puter.atomic import AtomicFile
from puter.engine.effects import Body, Flow
from puter.exceptions import PuterEmptyResponseError, PuterError
from puter.threads import in_thread
from puter.types.media import Media
from puter.types.mime import canonical, extension_of, mime_of
from puter.wire.http import HttpReply
from puter.wire.media import MAY_BE_BILLED

M = TypeVar("M", bound=Media)

SPOOLED = 2**20
"""Bytes of an answer that stay in memory; a longer one goes to a temporary file."""


def spool(kind: type[M], reply: HttpReply) -> Flow[M]:
    """The value of a streamed reply, read to its end: short in memory, long in a temporary file."""
    body: Body = reply.stream
    head = yield from read_all(body, SPOOLED)
    mime_type = mime_of(head, "") or canonical(reply.content_type)
    if not head:
        raise PuterEmptyResponseError(
            f"The answer holds no {kind.__name__.lower()}", status=reply.status, hint=MAY_BE_BILLED
        )
    if len(head) < SPOOLED:
        return kind(head, mime_type=mime_type)
    with closing(body), ExitStack() as on_error:
        content = on_error.enter_context(closing(TemporaryContent(mime_type)))
        yield from copy_rest(head, body, content.write)
        on_error.pop_all()
    return kind._of_content(content, content.digest.digest())


class TemporaryContent:
    """Bytes in a temporary file, which goes with this object: a ``puter.types.media.Content``.

    They are paid for, so where the disk is full they stay in memory.
    """

    def __init__(self, mime_type: str) -> None:
        self.mime_type = mime_type
        self.data: bytes | None = None
        self.digest: hashlib._Hash = hashlib.sha256()
        self._size = 0
        self._lock = threading.Lock()  # several readers share the file's position
        try:
            self._keep_in(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 - the finalizer closes it
        except OSError:  # no folder for temporary files
            self._keep_in(io.BytesIO())

    def _keep_in(self, file: Any) -> None:
        self._file = file
        self._close = weakref.finalize(self, file.close)

    def write(self, data: bytes) -> None:
        """Append; before anybody reads."""
        self.digest.update(data)
        try:
            written = 0
            while written < len(data):
                written += self._file.write(memoryview(data)[written:])
        except OSError:
            self._file.seek(0)
            rescued = io.BytesIO(self._file.read())
            self._close()
            self._keep_in(rescued)
            rescued.seek(self._size)
            rescued.write(data)
        self._size += len(data)

    def _read_at(self, start: int, size: int = PIECE) -> bytes:
        with self._lock:
            if self._file.closed:
                raise PuterError(
                    "This answer was closed before it was read", hint="Read or save it first."
                )
            self._file.seek(start)
            data: bytes = self._file.read(size)
            return data

    def read(self) -> bytes:
        if self.data is None:
            self.data = self._read_at(0, -1)
        return self.data

    async def async_read(self) -> bytes:
        return await in_thread(self.read)

    def save(self, path: str | os.PathLike[str]) -> Path:
        with AtomicFile(path, extension_of(self.mime_type)) as file:
            for piece in self.iter_bytes():
                file.write(piece)
            return file.done()

    async def async_save(self, path: str | os.PathLike[str]) -> Path:
        return await in_thread(self.save, path)

    def iter_bytes(self) -> Iterator[bytes]:
        start = 0
        while piece := self._read_at(start):
            yield piece
            start += len(piece)

    async def async_iter_bytes(self) -> AsyncGenerator[bytes, None]:
        start = 0
        while piece := await in_thread(self._read_at, start):
            yield piece
            start += len(piece)

    def close(self) -> None:
        """Remove the file. Safe to repeat."""
        with self._lock:
            self._close()
