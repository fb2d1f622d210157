"""Bytes of media, fetched from the URL in an answer.

A URL is another host's business: it is fetched through the client's pipeline, but without the Puter
token and without the user's own headers.
"""

from __future__ import annotations

import io
import ipaddress
import math
import os
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from puter.atomic import AtomicFile, check_writable, write_whole
from puter.engine.context import CallContext, Runner
from puter.engine.effects import Acquire, Body, Flow, Invoke, Read, do
from puter.engine.failures import report
from puter.engine.pipeline import exchange
from puter.engine.throttle import Permit, Throttle
from puter.exceptions import (
    PuterAPIError,
    PuterBadRequestError,
    PuterEmptyResponseError,
    PuterError,
    PuterNotFoundError,
    PuterPermissionError,
    PuterRateLimitError,
    PuterResponseError,
    PuterServerError,
)
from puter.types.media import Media, shown_url
from puter.types.mime import canonical, extension_of, mime_of
from puter.wire.http import HttpReply, build_request

M = TypeVar("M", bound=Media)

REDIRECTS = 5
"""Redirects followed at most; storage hosts use one or two."""
KEPT = 8 * 2**20
"""Bytes that ``save()`` keeps, so that the URL need not be fetched again."""
PIECE = 2**20
"""Bytes that are read or written at a time: each costs an async method one thread."""
_HEAD = 16  # bytes by which a file is recognised


def attach_download(media: M, call: CallContext) -> M:
    """Let the client of the call fetch the URL of a value that nobody has yet, and return it."""
    if media.url is not None:
        media._attach(Download(media.url, call.runner))
    return media


class Download:
    """The content behind a URL, fetched on demand and once: a ``puter.types.media.Content``."""

    def __init__(self, url: str, runner: Runner) -> None:
        self.url = url
        self.data: bytes | None = None
        self.mime_type = ""
        # Whoever comes second finds the bytes.
        self.turn: Throttle = Throttle(math.inf, max_concurrency=1)
        self._runner = runner

    def read(self) -> bytes:
        return self._runner._run(download, self)

    async def async_read(self) -> bytes:
        return await self._runner._async_run(download, self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        return self._runner._run(download_to_file, self, path)

    async def async_save(self, path: str | os.PathLike[str]) -> Path:
        return await self._runner._async_run(download_to_file, self, path)

    def iter_bytes(self) -> Iterator[bytes]:
        piece, body, call = self._runner._run(open_pieces, self)
        try:
            with closing(body):
                while piece:
                    yield piece
                    piece = body.read()
        except BaseException as error:
            report(call, error)
            raise error

    async def async_iter_bytes(self) -> AsyncGenerator[bytes, None]:
        piece, body, call = await self._runner._async_run(open_pieces, self)
        try:
            with closing(body):
                while piece:
                    yield piece
                    piece = await body.async_read()
        except BaseException as error:
            report(call, error)
            raise error

    def close(self) -> None:
        """Nothing is open between the calls."""


def download(call: CallContext, content: Download) -> Flow[bytes]:
    """All bytes of a URL, kept from then on."""
    permit = call.permit(content.turn)
    try:
        yield Acquire(permit, call.time_left())
        if content.data is None:
            head, body = yield from open_download(call, content)
            content.data = yield from read_all(body, head=head)
        return content.data
    finally:
        permit.release()


def download_to_file(
    call: CallContext, content: Download, path: str | os.PathLike[str]
) -> Flow[Path]:
    """Write the bytes of a URL to a file as they come, and keep them if they are few."""
    permit = call.permit(content.turn)
    try:
        yield Acquire(permit, call.time_left())
        if content.data is not None:
            extension = extension_of(content.mime_type)
            return (yield from do(Invoke(write_whole, (path, content.data, extension))))
        yield from do(Invoke(check_writable, (path,)))  # before anything is fetched
        head, body = yield from open_download(call, content)
        with closing(body):
            extension = extension_of(content.mime_type)
            with (yield from do(Invoke(AtomicFile, (path, extension)))) as file:
                kept: list[bytes] = []

                def write(data: bytes) -> None:
                    file.write(data)
                    if file.size <= KEPT:
                        kept.append(data)
                    else:
                        kept.clear()

                yield from copy_rest(head, body, write)
                target = yield from do(Invoke(file.done))
        if file.size <= KEPT:
            content.data = b"".join(kept)
        return target
    finally:
        permit.release()


def open_download(call: CallContext, content: Download) -> Flow[tuple[bytes, Body]]:
    """The first bytes of a URL, and the body that brings the others."""
    if content.data is not None:
        return content.data, _Ended()
    reply = yield from fetch(call, content.url)
    body: Body = reply.stream
    head = yield from read_all(body, _HEAD)
    if not head:
        raise PuterEmptyResponseError(
            f"The file at {shown_url(content.url)} is empty",
            status=reply.status,
            hint="Fetch it again, or ask again.",
        )
    if len(head) < _HEAD:
        body = _Ended()
    content.mime_type = mime_of(head, "") or canonical(reply.content_type) or content.mime_type
    return head, body


def open_pieces(call: CallContext, content: Download) -> Flow[tuple[bytes, Body, CallContext]]:
    """What ``open_download()`` returns, and the call that reads on."""
    head, body = yield from open_download(call, content)
    call.bodies.clear()  # whoever iterates closes it
    return head, body, call


class _Ended:
    """A body that was read to its end."""

    permit: Permit | None = None

    def read(self, timeout: float | None = None) -> bytes:  # noqa: ARG002 - as a body has it
        return b""

    async def async_read(self, timeout: float | None = None) -> bytes:  # noqa: ARG002 - likewise
        return b""

    def close(self) -> None: ...
    def abort(self) -> None: ...


# ---------------------------------------------------------------- fetching a URL


def fetch(call: CallContext, url: str) -> Flow[HttpReply]:
    """The reply behind a URL of another host, open for reading.

    Redirects are followed to the web alone: not from there to this machine or a private network,
    as far as the URL itself tells.
    """
    config = call.config.replace(headers={})  # those may hold the user's own keys
    url = _target("", url)
    for _ in range(REDIRECTS + 1):
        request = build_request(
            config, "GET", url, idempotent=True, authenticated=False, expect="any", stream=True
        )
        try:
            reply = yield from exchange(call, request)
        except PuterError as error:
            if error.status is None or error.status < 300:
                raise
            raise _error_of_host(error, error.status, url) from None
        if reply.stream is not None:
            return reply
        host = urlsplit(url).netloc
        if reply.status < 300:
            raise PuterResponseError(
                f"{host} sent {reply.content_type} in place of the file",
                status=reply.status,
                hint="A proxy or a sign-in page of the network may stand between: try again.",
            )
        came_from, url = url, _target(url, reply.headers.get("location", ""))
        if _is_near(url) and not _is_near(came_from):
            raise PuterResponseError(
                f"{host} redirects into a private network", hint="Ask for the file anew."
            )
    raise PuterAPIError(f"{urlsplit(url).netloc} redirects in circles", hint="Try again later.")


def _target(base: str, url: str) -> str:
    """Where a URL points, as it may stand in a request: in ASCII, and escaped."""
    try:
        parts = urlsplit(urljoin(base, url))
        name, port = parts.hostname or "", parts.port
        host = f"[{ipaddress.IPv6Address(name)}]" if "[" in parts.netloc else _in_ascii(name)
        if parts.scheme not in ("http", "https") or "@" in parts.netloc or port == 0:
            raise ValueError("not of the web")
        path, query = (quote(one, safe="!$%&'()*+,/:;=?@[]~") for one in (parts.path, parts.query))
    except ValueError:  # its words may hold the query
        raise PuterResponseError(
            f"It is no URL that can be fetched: {shown_url(url)!r}", hint="Ask again."
        ) from None
    netloc = host if port is None else f"{host}:{port}"
    return urlunsplit((parts.scheme, netloc, path, query, ""))


def _in_ascii(name: str) -> str:
    """The name or IPv4 address of a host in ASCII; ValueError when it is neither."""
    host = name.encode("idna").decode() if len(name) < _LONGEST_NAME else ""
    if not _HOST_NAME.fullmatch(host):
        raise ValueError("no name of a host")
    if _NUMBER.search(host):  # resolvers read "127.1" and "0x7f000001" as addresses
        ipaddress.IPv4Address(host)
    return host


_HOST_NAME = re.compile(r"[\w.-]+", re.ASCII)
_NUMBER = re.compile(r"(^|\.)([0-9]+|0x[0-9a-f]*)\.?$")
_LONGEST_NAME = 255


def _is_near(url: str) -> bool:
    """Whether a URL says that it is on this machine or in a private network."""
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host.rstrip(".").rpartition(".")[2] == "localhost"


def _error_of_host(error: PuterError, status: int, url: str) -> PuterAPIError:
    """The error of another host, without hints that are about Puter and without its page."""
    hint = "Such addresses expire: fetch them soon, or ask again."
    kind: type[PuterAPIError] = PuterBadRequestError
    if status >= 500 or status == 408:
        kind, hint = PuterServerError, "The host of the file failed: try again later."
    elif status == 429:
        kind, hint = PuterRateLimitError, "The host of the file is busy: try again later."
    elif status in (401, 403):
        kind = PuterPermissionError
    elif status in (404, 410):
        kind = PuterNotFoundError
    return kind(
        f"The file at {shown_url(url)} could not be fetched",
        status=status,
        hint=hint,
        attempts=error.attempts,
        retry_after=getattr(error, "retry_after", None),
    )


# ---------------------------------------------------------------- reading bodies


def read_all(body: Body, limit: int | None = None, *, head: bytes = b"") -> Flow[bytes]:
    """The bytes of an open body, up to ``limit`` and a little more; closed when they were all.

    Args:
        body: The body.
        limit: Where to stop. Default: at the end.
        head: What was read of it before.
    """
    whole = io.BytesIO()  # gives its bytes away without a copy
    size, more_to_come = whole.write(head), False
    try:
        while not more_to_come and (data := (yield from do(Read(body)))):
            size += whole.write(data)
            more_to_come = limit is not None and size >= limit
    finally:
        if not more_to_come:
            body.close()
    return whole.getvalue()


def copy_rest(head: bytes, body: Body, write: Callable[[bytes], None]) -> Flow[None]:
    """Write the rest of a body, too: a MiB at a time, away from the event loop."""
    with closing(body):
        pieces, size = [head], len(head)
        while data := (yield from do(Read(body))):
            pieces.append(data)
            size += len(data)
            if size >= PIECE:
                yield from do(Invoke(write, (b"".join(pieces),)))
                pieces, size = [], 0
        if size:
            yield from do(Invoke(write, (b"".join(pieces),)))
