"""One request to LocalPuter: its body, its caller, and the form of every answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from puter.testing.journal import RecordedRequest
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, dumps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from puter.testing.accounts import Token, TokenKind, User
    from puter.testing.backend import Backend
    from puter.testing.gate import Gate

COOKIE = "puter_auth_token"
# Puter backend: bodies up to 50 MB as JSON, 100 kB as a form.
MAX_JSON_BODY = 50 * 1024 * 1024
MAX_FORM_BODY = 100 * 1024
# Puter backend: JSON answers over about 1 kB are compressed when the client accepts it.
COMPRESS_FROM = 1024
# Closing a socket that lingers for 0 seconds sends RST.
_LINGER_ZERO = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

_USER_TOKENS: tuple[TokenKind, ...] = ("session", "api", "app", "worker")


async def hang() -> NoReturn:
    """Wait until the request is cancelled: the client left, or the server stops."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")


async def pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


class Exchange:
    """One request on its way to an answer.

    Attributes:
        body: the parsed body, an object or an array; ``None`` when nothing was parsed.
        fields: the body as an object; any other body has no fields.
        user: the caller, once authorised.
    """

    def __init__(self, request: web.Request, backend: Backend, gui_origin: str) -> None:
        self.request = request
        self.backend = backend
        self.gui_origin = gui_origin
        self.body: Any = None
        self.fields: dict[str, Any] = {}
        self.user: User | None = None
        self._token: Token | None = None
        path = unquote(request.path_qs.partition("?")[0])
        about = (request.method, path, request.host, request.headers, request.query)
        self.record = RecordedRequest(*about)

    @property
    def token(self) -> Token:
        """The token the caller was authorised by."""
        if self._token is None:
            raise ApiError(401, "Missing authentication token", "token_missing")
        return self._token

    def authorise(
        self, kinds: tuple[TokenKind, ...] = _USER_TOKENS, *, verified: bool = True
    ) -> User:
        """The calling user, by a token of one of ``kinds``. Raises ApiError 401 or 403.

        ``verified`` refuses accounts that still owe a verification.
        """
        token = self._token = self.backend.accounts.authenticate(self._find_token())
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
        """The first token present, in the server's order, valid or not."""
        request, in_body = self.request, self.fields.get("auth_token")
        value = request.headers.get("Authorization", "").strip()
        scheme, _, rest = value.partition(" ")
        if rest or scheme.lower() == "bearer":  # Basic and the like count as no token at all
            value = rest.strip() if scheme.lower() == "bearer" else ""
        places = (
            str(in_body) if in_body else None,
            None if value == "undefined" else value,
            request.headers.get("x-api-key"),
            request.cookies.get(COOKIE),
            request.query.get("auth_token"),
        )
        return next(filter(None, places), None)

    def json(
        self, value: object, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """A JSON answer with ETag and compression; ``bytes`` are JSON already."""
        data = value if isinstance(value, bytes) else dumps(value)
        shown = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        if status == 200 and self.request.method in ("GET", "HEAD"):
            digest = base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest())
            etag = shown["ETag"] = f'W/"{len(data):x}-{digest[:27].decode()}"'
            if self.request.headers.get("If-None-Match") == etag:
                return self.finish(web.Response(status=304, headers={"ETag": etag}))
        response = web.Response(status=status, body=data, headers=shown)
        if len(data) > COMPRESS_FROM:
            accepted = self.request.headers.get("Accept-Encoding", "").lower()
            for coding in (web.ContentCoding.gzip, web.ContentCoding.deflate):
                if coding.value in accepted:
                    response.enable_compression(coding)
                    break
        return self.finish(response)

    def text(self, text: str, content_type: str = "text/html") -> web.StreamResponse:
        return self.finish(web.Response(text=text, content_type=content_type, charset="utf-8"))

    def finish(self, response: web.StreamResponse) -> web.StreamResponse:
        """Prepare an answer that is sent as a whole."""
        response.headers.setdefault("Vary", "Accept-Encoding")
        self.done()
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

    def done(self) -> None:
        self.record.finished = time.monotonic()

    async def stream(
        self,
        content_type: str,
        pieces: Iterable[bytes | memoryview],
        *,
        pace: float = 0.0,
        gate: Gate | None = None,
        end: Callable[[Exchange], Awaitable[None]] | None = None,
    ) -> web.StreamResponse:
        """Answer with ``pieces``, each flushed before the next waits for its turn.

        ``pace`` is in seconds between pieces; ``end`` runs before the clean end, or instead of it.
        """
        response = web.StreamResponse(headers={"Content-Type": content_type})
        response.enable_chunked_encoding()
        self.start(response)
        try:
            await response.prepare(self.request)
            for number, piece in enumerate(pieces):
                await pause(pace if number else 0)
                if gate is not None:
                    await gate.passage()
                await response.write(piece)
            if end is not None:
                await end(self)
            await response.write_eof()
        except ConnectionResetError:
            await hang()  # the client left, which cancels this request
        self.done()
        return response

    async def cut(self, *, reset: bool = False) -> NoReturn:
        """Close the connection without (further) answer; ``reset`` sends RST instead of FIN."""
        transport = self.request.transport
        if transport is not None and reset:
            transport.get_extra_info("socket").setsockopt(*_LINGER_ZERO)
            transport.abort()
        elif transport is not None:
            transport.close()
        await hang()  # the lost connection cancels this request

    async def read(self) -> None:
        """Read the body and parse it where the Puter backend would.

        Raises:
            ApiError: 413 for a body over its limit, 400 for malformed JSON.
        """
        parse = _parser_of(self.request.headers.get("Content-Type", ""))
        limit = MAX_FORM_BODY if parse is _parse_form else MAX_JSON_BODY
        length = self.request.content_length or 0
        data = bytearray()
        if length <= limit and self.request.can_read_body:
            try:
                async for chunk in self.request.content.iter_any():
                    data += chunk
                    if len(data) > limit:
                        break
            except web.RequestPayloadError as error:
                raise ApiError(400, "Malformed request body", "client_bad_request") from error
        self.record.body = bytes(data[:limit])
        if max(length, len(data)) > limit:
            raise ApiError(413, "request entity too large", "client_bad_request")
        if parse is not None:
            self.body = self.record.json = parse(self.record.body)
            self.fields = self.body if isinstance(self.body, dict) else {}


def _parser_of(content_type: str) -> Callable[[bytes], Any] | None:
    # The second type is compared byte for byte: a space or a charset and the body is ignored.
    if content_type in ("application/json", "text/plain;actually=json"):
        return _parse_json
    parsers = {"application/json": _parse_json, "application/x-www-form-urlencoded": _parse_form}
    return parsers.get(content_type.partition(";")[0].strip().lower())


def _parse_json(data: bytes) -> Any:
    if not data:
        return {}
    try:
        value = json.loads(data.decode("utf-8-sig", errors="replace"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict | list):  # a bare scalar is malformed too
        raise ApiError(400, "Malformed JSON in request body", "client_bad_json")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity are Python's, not JSON's


def _parse_form(data: bytes) -> Any:
    return dict(parse_qsl(data.decode("utf-8", errors="replace"), keep_blank_values=True))
