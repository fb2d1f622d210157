"""What every answer of the Puter backend has in common: flat errors, body parsing, headers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from puter.testing.accounts import Token, User
    from puter.testing.journal import RecordedRequest

# Puter backend: bodies up to 50 MB as JSON, 100 kB as a form.
MAX_JSON_BODY = 50 * 1024 * 1024
MAX_FORM_BODY = 100 * 1024
# Puter backend: JSON answers over about 1 kB are compressed when the client accepts it.
COMPRESS_FROM = 1024
NEEDS_UPGRADE = frozenset({402, 413})
# Closing a socket that lingers for 0 seconds sends RST.
LINGER_ZERO = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class ApiError(Exception):
    """A refusal in Puter's flat form: ``{"error": text, "message": text, "code": slug, ...}``."""

    def __init__(self, status: int, message: str, code: str | None, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body: dict[str, Any] = {"error": message, "message": message}
        if code:
            self.body["code"] = code
        self.body.update(extra)


def not_found() -> ApiError:
    """No such route on this host."""
    return ApiError(404, "Not Found", "not_found")


def internal_error() -> ApiError:
    """What the server says when it trips over its input."""
    return ApiError(500, "Internal Server Error", "internal_error")


def bad_request(message: str, **extra: Any) -> ApiError:
    """A fault in the arguments."""
    return ApiError(400, message, "bad_request", **extra)


def dumps(value: object) -> bytes:
    """Compact JSON, as ``JSON.stringify`` writes it."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a lone surrogate travels as an escape
        return json.dumps(value, separators=(",", ":")).encode()


async def hang() -> NoReturn:
    """Wait until the request is cancelled: the client left, or the server stops."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")


@dataclass
class Exchange:
    """One request on its way to an answer.

    ``body`` is the parsed body, an object or an array, or ``None`` when nothing was parsed.
    """

    request: web.BaseRequest
    record: RecordedRequest
    gui_origin: str
    body: Any = None
    user: User | None = None
    _token: Token | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The body as an object; anything else has no fields."""
        return self.body if isinstance(self.body, dict) else {}

    @property
    def token(self) -> Token:
        """The token the caller was authorised by."""
        if self._token is None:
            raise ApiError(401, "Missing authentication token", "token_missing")
        return self._token

    @token.setter
    def token(self, token: Token) -> None:
        self._token = token

    def json(
        self, value: object, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """A JSON answer with the headers, ETag and compression of the Puter backend."""
        data = dumps(value)
        response: web.StreamResponse
        if status == 200 and self.request.method in ("GET", "HEAD"):
            etag = _etag(data)
            if self.request.headers.get("If-None-Match") == etag:
                return self.finish(web.Response(status=304, headers={"ETag": etag}))
            response = web.Response(body=data, headers={"ETag": etag})
        else:
            response = web.Response(status=status, body=data)
        response.headers["Content-Type"] = "application/json; charset=utf-8"
        response.headers.update(headers or {})
        if len(data) > COMPRESS_FROM:
            self._compress(response)
        return self.finish(response)

    def error(self, error: ApiError) -> web.StreamResponse:
        """The refusal as an answer."""
        return self.json(error.body, error.status)

    def text(
        self, text: str, status: int = 200, content_type: str = "text/html"
    ) -> web.StreamResponse:
        """An answer that is no JSON."""
        return self.finish(
            web.Response(status=status, text=text, content_type=content_type, charset="utf-8")
        )

    def finish(self, response: web.StreamResponse) -> web.StreamResponse:
        """`start`, `done`, and the header of what may be compressed; call it before sending."""
        response.headers.setdefault("Vary", "Accept-Encoding")
        self.done()
        return self.start(response)

    def start(self, response: web.StreamResponse) -> web.StreamResponse:
        """Put on the headers all answers carry and note the status."""
        headers = response.headers
        headers["Server"] = "LocalPuter"
        if origin := self.request.headers.get("Origin"):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Vary"] = ", ".join(filter(None, ("Origin", headers.get("Vary"))))
        if response.status in NEEDS_UPGRADE:
            headers["X-Needs-Upgrade"] = "true"
        if self.request.keep_alive:
            headers["Connection"] = "keep-alive"
            headers["Keep-Alive"] = f"timeout={self.request.protocol.keepalive_timeout:g}"
        self.record.status = response.status
        return response

    def done(self) -> None:
        """Note that the answer is complete."""
        self.record.finished = time.monotonic()

    def _compress(self, response: web.StreamResponse) -> None:
        accepted = self.request.headers.get("Accept-Encoding", "").lower()
        for coding in (web.ContentCoding.gzip, web.ContentCoding.deflate):
            if coding.value in accepted:
                response.enable_compression(coding)
                return

    async def cut(self, *, reset: bool = False) -> NoReturn:
        """Close the connection without (further) answer; ``reset`` sends RST instead of FIN."""
        transport = self.request.transport
        if transport is not None:
            if reset:
                transport.get_extra_info("socket").setsockopt(*LINGER_ZERO)
                transport.abort()
            else:
                transport.close()
        await hang()  # the lost connection cancels this request

    async def read(self) -> None:
        """Read the body and parse it as the Puter backend would (or not).

        Raises:
            ApiError: 413 for a body over its limit, 400 for malformed JSON.
        """
        if self.request.headers.get("Expect", "").lower() == "100-continue":
            await self.request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.request.writer.output_size = 0
        kind = self.request.headers.get("Content-Type", "")
        parse = _parser_of(kind)
        limit = MAX_FORM_BODY if parse is _parse_form else MAX_JSON_BODY
        data = bytearray()
        if (self.request.content_length or 0) <= limit:
            try:
                async for chunk in self.request.content.iter_any():
                    data += chunk
                    if len(data) > limit:
                        break
            except web.RequestPayloadError as error:
                raise ApiError(400, "Malformed request body", "client_bad_request") from error
        self.record.body = bytes(data[:limit])
        if len(data) > limit or (self.request.content_length or 0) > limit:
            raise ApiError(413, "request entity too large", "client_bad_request")
        if parse is not None:
            self.body = self.record.json = parse(self.record.body)


def _parser_of(content_type: str) -> Any:
    # The second type is compared byte for byte: a space or a charset and the body is ignored.
    if content_type == "text/plain;actually=json":
        return _parse_json
    essence = content_type.partition(";")[0].strip().lower()
    return {
        "application/json": _parse_json,
        "application/x-www-form-urlencoded": _parse_form,
    }.get(essence)


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


def _etag(data: bytes) -> str:
    digest = base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest())
    return f'W/"{len(data):x}-{digest[:27].decode()}"'
