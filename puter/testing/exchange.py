"""One request to LocalPuter: its body, its caller, and the form of every answer."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from puter.testing.accounts import Token, TokenKind, User
from puter.testing.faults.fault import End, Fault, HttpAnswer
from puter.testing.gate import Gate
from puter.testing.journal import RecordedRequest
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, dumps

if TYPE_CHECKING:
    from puter.testing.backend import Backend


# Puter backend: JSON answers over about 1 kB are compressed when the client accepts it.
COMPRESS_FROM = 1024
# Closing a socket that lingers for 0 seconds sends RST.
_LINGER_ZERO = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

_USER_TOKENS: tuple[TokenKind, ...] = ("session", "api", "app", "worker")


class _Written(web.StreamResponse):
    """An answer that is on the wire already; its connection is kept."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        del request
        self._keep_alive = True
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


async def hang() -> NoReturn:
    """Wait until the request is cancelled: the client left, or the server stops."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")


async def pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


class Exchange:
    """One request on its way to an answer; ``fields`` are those of its body, when it is JSON."""

    token: Token  # what authorise() found

    def __init__(self, request: web.BaseRequest, backend: Backend) -> None:
        self.request = request
        self.backend = backend
        self.fields: dict[str, Any] = {}
        self.user: User | None = None
        self.fault: Fault | None = None
        self._lines: list[bytes] | None = None  # of a stream that meets a fault
        path = unquote(request.path_qs.partition("?")[0])
        about = (request.method, path, request.host, request.headers, request.query)
        self.record: RecordedRequest = RecordedRequest(*about)

    def authorise(
        self, kinds: tuple[TokenKind, ...] = _USER_TOKENS, *, verified: bool = True
    ) -> User:
        """The calling user, by a token of one of ``kinds``. Raises ApiError 401 or 403.

        ``verified`` refuses accounts that still owe a verification.
        """
        token = self.token = self.backend.accounts.authenticate(self._find_token())
        user = self.user = token.user
        self.record.token_user = user.username
        if verified and user.requires is not None:
            raise ApiError(403, *recorded("owed_verifications")[user.requires])
        if user.suspended:
            raise ApiError(403, "Account suspended", "forbidden")
        if token.kind not in kinds:
            text = "Access tokens are not allowed to access this resource"
            raise ApiError(403, text, "forbidden")
        return user

    def _find_token(self) -> str | None:
        """The token in the body, where puter.js puts it, else that of the header."""
        if in_body := self.fields.get("auth_token"):
            return str(in_body)
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        return token if token and scheme.lower() == "bearer" else None

    def json(
        self, value: object, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """A JSON answer, compressed when it is long."""
        data = dumps(value)
        shown = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        response = web.Response(status=status, body=data, headers=shown)
        if len(data) > COMPRESS_FROM and "gzip" in self.request.headers.get("Accept-Encoding", ""):
            response.enable_compression(web.ContentCoding.gzip)
        return self.finish(response)

    def finish(self, response: web.StreamResponse) -> web.StreamResponse:
        """Prepare an answer that is sent as a whole."""
        response.headers.setdefault("Vary", "Accept-Encoding")
        self.record.finished = time.monotonic()
        return self.start(response)

    def start(self, response: web.StreamResponse) -> web.StreamResponse:
        """Set the headers that all answers carry, and record the status."""
        headers = response.headers
        headers["Server"] = "LocalPuter"
        if origin := self.request.headers.get("Origin"):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Vary"] = ", ".join(filter(None, ("Origin", headers.get("Vary"))))
        if response.status in (402, 413):
            headers["X-Needs-Upgrade"] = "true"
        if self.request.keep_alive:
            headers["Connection"] = "keep-alive"
            headers["Keep-Alive"] = f"timeout={self.request.protocol.keepalive_timeout:g}"
        self.record.status = response.status
        return response

    async def stream(
        self,
        content_type: str,
        pieces: Iterable[bytes | memoryview] | AsyncGenerator[bytes],
        *,
        pace: float = 0.0,
        gate: Gate | None = None,
        end: End | None = None,
    ) -> web.StreamResponse:
        """Answer with ``pieces``, ``pace`` seconds apart, and ``end`` instead of a clean end."""
        if self.fault is not None:
            self._lines = [bytes(piece) async for piece in _each(pieces)]
            return web.Response(headers={"Content-Type": content_type})
        response = web.StreamResponse(headers={"Content-Type": content_type})
        response.enable_chunked_encoding()
        self.start(response)
        try:
            await response.prepare(self.request)
            wait = 0.0
            async with aclosing(_each(pieces)) as each:
                async for piece in each:
                    await pause(wait)
                    wait = pace
                    if gate is not None:
                        await gate.passage()
                    await response.write(piece)
            if end is not None:
                await self.end(end)
            await response.write_eof()
        except ConnectionResetError:
            await hang()  # the client left, which cancels this request
        self.record.finished = time.monotonic()
        return response

    async def spoil(self, response: web.StreamResponse | None) -> web.StreamResponse:
        """What the client gets instead of ``response``, when the request meets a fault."""
        fault, self.fault = self.fault, None
        if fault is None:
            assert response is not None  # noqa: S101 - only a fault leaves a request without one
            return response
        self.record.fault = fault
        self.backend.journal.notify()
        await pause(fault.delay)
        told = self.request.headers.get("Authorization", "").removeprefix("Bearer ")
        echo = f"{told} {self.record.body.decode(errors='replace')}".strip()
        answer = HttpAnswer(echo=echo, newer=self.backend.newer)
        if isinstance(response, web.Response):
            body = response.body if isinstance(response.body, bytes) else b""
            lines, kind = self._lines, response.headers["Content-Type"]
            about = (response.status, {"Content-Type": kind}, lines or [body], lines is not None)
            answer = HttpAnswer(*about, echo=echo, newer=self.backend.newer)
        changed = fault.change(answer)
        if isinstance(changed, HttpAnswer) and changed.is_plain:
            status, headers = changed.status, changed.headers
            return self.finish(web.Response(body=changed.body, status=status, headers=headers))
        for step in changed.wire() if isinstance(changed, HttpAnswer) else changed:
            if isinstance(step, bytes):
                await self._write(step)
            elif isinstance(step, str):
                await self.end(step)
            else:
                await pause(step)
        self.record.finished = time.monotonic()
        return _Written()

    async def _write(self, data: bytes) -> None:
        transport = self.request.transport
        if transport is None or transport.is_closing():
            await hang()  # the client left, which cancels this request
        if data.startswith(b"HTTP/1.1 ") and data[9:12].isdigit():
            self.record.status = int(data[9:12])
        transport.write(data)
        await self.request.writer.drain()

    async def end(self, how: End) -> NoReturn:
        """Say no more; a lost connection cancels this request."""
        transport = self.request.transport
        if transport is not None and how == "closed":
            transport.close()
        elif transport is not None and how == "reset":
            transport.get_extra_info("socket").setsockopt(*_LINGER_ZERO)
            transport.abort()
        await hang()

    async def read(self) -> None:
        """Read the body, and parse it where the Puter backend would. Raises ApiError."""
        try:
            if self.request.headers.get("Expect", "").lower() == "100-continue":
                await self.request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.record.body = await self.request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise ApiError(413, "request entity too large", "client_bad_request") from error
        except web.RequestPayloadError as error:
            raise ApiError(400, "Malformed request body", "client_bad_request") from error
        kind = self.request.headers.get("Content-Type", "")
        # puter.js's type is compared byte for byte: a space or a charset and the body is ignored.
        if kind == "text/plain;actually=json" or self.request.content_type == "application/json":
            self.record.json = body = _parse_json(self.record.body, self.request.charset or "utf-8")
            self.fields = body if isinstance(body, dict) else {}


async def _each(
    pieces: Iterable[bytes | memoryview] | AsyncGenerator[bytes],
) -> AsyncGenerator[bytes | memoryview]:
    if isinstance(pieces, AsyncGenerator):
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
    else:
        for one in pieces:
            yield one


def _parse_json(data: bytes, charset: str) -> Any:
    if not charset.lower().startswith("utf-"):
        text = f'unsupported charset "{charset.upper()}"'
        raise ApiError(415, text, "client_bad_request")
    if not data:
        return {}
    try:
        value = json.loads(data.removeprefix(BOM_UTF8).decode(errors="replace"))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict | list):  # a bare scalar is malformed too
        raise ApiError(400, "Malformed JSON in request body", "client_bad_json")
    return value


@dataclass(frozen=True)
class DriverCall:
    """One call of one method, past all checks; ``asked`` is the driver's name as sent."""

    exchange: Exchange
    user: User
    interface: str
    method: str
    args: Mapping[str, Any]
    asked: str | None

    @property
    def backend(self) -> Backend:
        return self.exchange.backend

    def recorded(self, name: str) -> Any:
        """The entry ``name`` of the data of the generation that is played."""
        return recorded(name, newer=self.backend.newer)

    def result(self, value: object, *, metadata: object = None) -> web.StreamResponse:
        """The success envelope."""
        service = {"name": recorded("interfaces")[self.interface][0]}
        body = {"success": True, "result": value, "service": service}
        if metadata is not None:
            body["metadata"] = metadata
        return self.exchange.json(body)
