"""``Cassette``: what a server answered once is answered again, without a server."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from puter.atomic import check_writable, open_ordinary, write_whole
from puter.engine.effects import Body, Flow
from puter.engine.middleware import AttemptRequest, invoke
from puter.exceptions import PuterConfigError, repr_of
from puter.extensions.single import Single
from puter.secret import Secret
from puter.testing.tape import Cleaner, Form, Tape, pieces_of
from puter.threads import in_thread
from puter.transports.mock import MockBody
from puter.wire.http import HttpReply

if TYPE_CHECKING:
    from typing_extensions import Self

    from puter.engine.throttle import Permit

_LOGGER = logging.getLogger("puter.testing")


class Cassette(Single):
    """Records what a server answers when its file is missing, and answers from it when it is there.

    ``client.use(Cassette("file.json"))`` stands between the client and the network: the first run
    of a test talks to Puter, all others to the file. A request is recognised by its method, its
    address and its body; the same one is answered in the order of the recording. One that was not
    recorded raises and sends nothing. A client that is answered from the file needs no token.

    The file holds no token, password or signature of a URL. It is written after each exchange,
    whole, so a crash loses none; a disk that fills up costs no answer, but a warning. Delete it to
    record it anew.

    Args:
        path: The file, JSON; its folders are made when it is recorded.
        record: Whether it may be recorded. False: a file that is missing, or misspelt, is refused.
            Default True.

    Raises:
        PuterConfigError: The file is no cassette, or ``path`` names none; or it is missing and may
            not be recorded.

    Examples:
        >>> with Cassette("hello.json") as cassette:
        ...     print(cassette.replaying, ai.with_options().use(cassette).chat("Say hello"))
        False Hello!
        >>> with Cassette("hello.json") as cassette:
        ...     print(cassette.replaying, PuterAI().use(cassette).chat("Say hello"))
        True Hello!
    """

    def __init__(self, path: str | os.PathLike[str], *, record: bool = True) -> None:
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise PuterConfigError(
                f"path must be the path of a file, not {repr_of(path)}",
                hint='Write Cassette("tests/hello.json").',
            )
        self._path = Path(os.path.abspath(path))
        content = _content(self._path)
        self.replaying: bool = content is not None
        """Whether requests are answered from the file."""
        if not (self.replaying or record):
            raise PuterConfigError(
                f"There is no cassette {str(path)!r}",
                hint="Check its name, or record it once with record=True.",
            )
        try:
            self._tape = Tape(content)
        except ValueError as error:
            raise PuterConfigError(
                f"{str(path)!r} is no cassette: {error}",
                hint="Give another name, or delete it to record it anew.",
            ) from None
        self._writing = threading.Lock()
        self._changed = self._ready = self._warned = False

    per_attempt = True
    sees_private = True

    def middleware(
        self, request: AttemptRequest, call_next: Callable[[AttemptRequest], Flow[HttpReply]]
    ) -> Flow[HttpReply]:
        """Answer an attempt from the file, or record what the server answers."""
        cleaner = Cleaner(_secrets_of(request))
        body = bytes(request.body or b"")
        form = cleaner.request(request.method, request.url, request.headers, body)
        if self.replaying:
            return _replayed(self._tape.answer_to(form), request.url)
        if not self._ready:
            yield from invoke(self._make_ready)  # before anything is paid
        exchange = self._tape.begin(form)
        reply = yield from call_next(request)
        if reply.stream is not None:
            reply.stream = _RecordedBody(self, exchange, cleaner, reply)
        else:
            yield from invoke(self._record, exchange, cleaner.reply(reply, reply.body))
        return reply

    def close(self) -> None:
        """Write what is not written yet. Safe to repeat.

        Raises:
            OSError: It still cannot be written.
        """
        self._save()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Cassette {self._path.name!r} {'replaying' if self.replaying else 'recording'}>"

    def _make_ready(self) -> None:
        """Raise OSError unless the file can be written."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        check_writable(self._path)
        self._ready = True

    def _record(self, exchange: Form, reply: Form) -> None:
        exchange["reply"] = reply
        self._changed = True
        try:
            self._save()
        except OSError as error:  # what was paid for is worth more; close() tries once more
            level = logging.DEBUG if self._warned else logging.WARNING
            self._warned = True
            _LOGGER.log(level, "A cassette cannot be written, and calls go on: %s", error)

    def _save(self) -> None:
        """Write the file, unless another thread does: that one looks again when it is done.

        So nobody waits here, and a finalizer may come in the midst of it.
        """
        while self._changed and self._writing.acquire(blocking=False):
            try:
                self._changed = False
                write_whole(self._path, self._tape.content())
            except BaseException:
                self._changed = True
                raise
            finally:
                self._writing.release()


def _content(path: Path) -> bytes | None:
    try:
        with open_ordinary(path, "Give the path of a JSON file.") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _secrets_of(request: AttemptRequest) -> list[Secret]:
    call, http = request.call, request.http
    found = [*call.shared.credentials.secrets(call.config)]
    if http is not None:
        found += http.secrets if http.token is None else (*http.secrets, http.token)
    return found


def _replayed(form: Form, url: str) -> HttpReply:
    pieces = pieces_of(form)
    if form.get("stream"):
        return HttpReply(form["status"], form["headers"], url=url, stream=MockBody(pieces))
    return HttpReply(form["status"], form["headers"], b"".join(pieces), url=url)


class _RecordedBody:
    """The body of a stream that is kept as it is read."""

    def __init__(
        self, cassette: Cassette, exchange: Form, cleaner: Cleaner, reply: HttpReply
    ) -> None:
        self._inner: Body = reply.stream
        self._came: list[bytes] = []

        def keep(body: bytes) -> None:
            cassette._record(exchange, cleaner.reply(reply, body))

        self._keep: Callable[[bytes], None] | None = keep

    @property
    def permit(self) -> Permit | None:
        return self._inner.permit

    @permit.setter
    def permit(self, permit: Permit | None) -> None:
        self._inner.permit = permit

    def read(self, timeout: float | None = None) -> bytes:
        data = self._inner.read(timeout)
        self._came.append(data)
        if not data:
            self._end()
        return data

    async def async_read(self, timeout: float | None = None) -> bytes:
        data = await self._inner.async_read(timeout)
        self._came.append(data)
        if not data:
            await in_thread(self._end)
        return data

    def close(self) -> None:
        self._inner.close()
        self._end()  # what came of a stream that was left

    def abort(self) -> None:
        self._inner.abort()

    def _end(self) -> None:
        keep, self._keep = self._keep, None
        if keep is not None:
            keep(b"".join(self._came))
            self._came.clear()
