"""What a test can make LocalPuter answer: replies, failures, and broken connections.

Fault                     anything that is not a proper chat answer
  Failure                 an HTTP error: Puter's flat body, or any bytes
  UpstreamFailure         the vendor behind Puter failed
  Redirect                a 3xx
  Hang                    no answer, ever
  Disconnect              the request is read, then the connection closes without an answer
  Reset                   the same with a TCP reset
  Truncate                fewer bytes than Content-Length promises
  InvalidUtf8             a JSON answer that is not UTF-8
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web

from puter.testing.http import ApiError, Exchange, hang

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from puter.testing.chat import ChatCall


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A chat answer, put into the form of whatever family of models was asked.

    Args:
        text: the answer; ``None`` sends ``null`` where the family can.
        reasoning: what the model thought.
        tool_calls: mappings with ``name`` and ``arguments`` (a dict or a JSON string) and
            optionally ``id``; OpenAI's ``{"function": {...}}`` form works as well.
        refusal: why the model declines.
        usage: token counts under the route's own key names; the rest is computed.
        finish_reason: ``stop``, ``length``, ``tool_calls`` or ``content_filter``; translated
            for Claude. Chosen by content when ``None``.
        images: URLs or data URIs.
        annotations: citations, passed on as given.
        compaction: the summary that replaces the conversation so far.
        extra: further keys of the message, such as Gemini's ``extra_content``.
        blocked: lorem ipsum from ``fake-chat`` instead, as for prompts Puter blocks.
        raw: the whole ``result`` object; everything else is ignored.
        delay: seconds to wait before the answer.

    Example:
        >>> Reply(tool_calls=[{"name": "get_weather", "arguments": {"city": "Paris"}}]).text
        ''
    """

    text: str | None = ""
    reasoning: str | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    refusal: str | None = None
    usage: Mapping[str, Any] | None = None
    finish_reason: str | None = None
    images: Sequence[str] = ()
    annotations: Sequence[Mapping[str, Any]] = ()
    compaction: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    blocked: bool = False
    raw: Mapping[str, Any] | None = None
    delay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Base of every answer that is no proper chat answer. ``delay`` is in seconds."""

    delay: float = 0.0

    async def carry_out(self, exchange: Exchange) -> web.StreamResponse:
        """Answer the request, or fail to."""
        raise NotImplementedError


# Puter backend: the text and code that usually come with a status.
_USUAL = {
    400: ("Bad Request", "bad_request"),
    401: ("Authentication failed.", "token_auth_failed"),
    402: ("No usage left for request.", "insufficient_funds"),
    403: ("Forbidden", "forbidden"),
    404: ("Not Found", "not_found"),
    413: ("request entity too large", "client_bad_request"),
    429: ("Too many requests.", "too_many_requests"),
    503: ("Database unavailable", "db_unavailable"),
}


@dataclass(frozen=True)
class Failure(Fault):
    """An HTTP error.

    Args:
        status: HTTP status.
        code: Puter's slug; chosen by status when ``None``, left out when ``""``.
        message: text; chosen by status when ``None``.
        extra: further fields of the body.
        headers: further headers, for example ``{"Retry-After": "5"}``.
        body: sent as it is instead of Puter's JSON: HTML of a proxy, garbage, or ``""``.
        content_type: of ``body``.
    """

    status: int = 500
    code: str | None = None
    message: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | None = None
    content_type: str = "text/html; charset=utf-8"

    def error(self) -> ApiError:
        """The failure in Puter's flat form."""
        message, code = _USUAL.get(self.status, ("Internal Server Error", "internal_error"))
        return ApiError(
            self.status,
            message if self.message is None else self.message,
            code if self.code is None else self.code,
            **self.extra,
        )

    async def carry_out(self, exchange: Exchange) -> web.StreamResponse:
        """Answer with the status and body."""
        if self.body is None:
            return exchange.json(self.error().body, self.status, self.headers)
        body = self.body.encode() if isinstance(self.body, str) else self.body
        headers = {"Content-Type": self.content_type, **self.headers}
        return exchange.finish(web.Response(status=self.status, body=body, headers=headers))


@dataclass(frozen=True)
class UpstreamFailure(Fault):
    """The vendor behind Puter answered ``status``; Puter reports it in its own words.

    Args:
        status: the vendor's HTTP status. Puter answers 429 for 429, 500 for 401 and 403, and
            400 for all others, vendor outages (5xx) included.
        message: the vendor's text.
        code: the vendor's code.
    """

    status: int = 500
    message: str = "the vendor failed"
    code: str | None = None

    def error(self, routes: Sequence[Mapping[str, Any]] = ()) -> ApiError:
        """The failure, with the ``routes`` that were tried."""
        attempt: dict[str, Any] = {"status": self.status}
        if self.code:
            attempt["code"] = self.code
        attempt["error"] = f"{self.status} {self.message}"
        attempts = [
            {"model": route["id"], "provider": route["provider"], **attempt}
            for route in routes[:3]  # Puter backend: three routes at most
        ]
        status, message, code = upstream_error(self.status, attempt["error"])
        return ApiError(status, message, code, attempts=attempts)

    async def carry_out(self, exchange: Exchange) -> web.StreamResponse:
        """Answer with no route tried."""
        return exchange.error(self.error())


def upstream_error(status: int, text: str) -> tuple[int, str, str]:
    """Puter's status, text and code for a vendor's status."""
    if status == 429:
        return 429, "AI provider rate limit exceeded", "upstream_rate_limited"
    if status in (401, 403):
        return 500, "AI provider authentication failed", "upstream_auth_failed"
    if status >= 500:
        return 400, "AI provider unavailable", "upstream_provider_unavailable"
    return 400, text, "upstream_bad_request"


@dataclass(frozen=True)
class Redirect(Fault):
    """A redirect, as the GUI host gives for API paths."""

    location: str = "/"
    status: int = 302

    async def carry_out(self, exchange: Exchange) -> web.StreamResponse:
        """Answer with the location."""
        headers = {"Location": self.location, "Vary": "Accept, Accept-Encoding"}
        text = f"Found. Redirecting to {self.location}"
        return exchange.finish(web.Response(status=self.status, text=text, headers=headers))


@dataclass(frozen=True)
class Hang(Fault):
    """Read the request and never answer; the connection stays open until somebody leaves."""

    async def carry_out(self, exchange: Exchange) -> web.StreamResponse:
        """Wait."""
        del exchange  # nothing will be sent
        await hang()


@dataclass(frozen=True)
class Disconnect(Fault):
    """Read the request, then close the connection without an answer."""

    async def carry_out(self, exchange: Exchange) -> web.StreamResponse:
        """Close."""
        await exchange.cut()


@dataclass(frozen=True)
class Reset(Fault):
    """Read the request, then reset the connection."""

    async def carry_out(self, exchange: Exchange) -> web.StreamResponse:
        """Reset."""
        await exchange.cut(reset=True)


@dataclass(frozen=True)
class Truncate(Fault):
    """Send ``body`` under a Content-Length that is ``missing`` bytes larger, then close."""

    body: bytes = b'{"success":true,"result":{"mess'
    missing: int = 100

    async def carry_out(self, exchange: Exchange) -> web.StreamResponse:
        """Send a part."""
        response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
        response.content_length = len(self.body) + self.missing
        exchange.finish(response)
        await response.prepare(exchange.request)
        await response.write(self.body)
        await exchange.cut()


@dataclass(frozen=True)
class InvalidUtf8(Fault):
    """A 200 that says JSON and holds bytes no UTF-8 decoder takes."""

    body: bytes = b'{"success":true,"result":{"message":{"content":"\xff\xfe\x80"}}}'

    async def carry_out(self, exchange: Exchange) -> web.StreamResponse:
        """Send the bytes."""
        headers = {"Content-Type": "application/json; charset=utf-8"}
        return exchange.finish(web.Response(body=self.body, headers=headers))


Answer: TypeAlias = "str | Reply | Fault"
Responder: TypeAlias = "Callable[[ChatCall], Answer | Awaitable[Answer]]"


async def pause(seconds: float) -> None:
    """Sleep, but only when there is something to sleep for."""
    if seconds > 0:
        await asyncio.sleep(seconds)
