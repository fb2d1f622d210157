"""Errors of servers that are no Puter, as OpenAI words them: by status, with what they said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from puter.exceptions import (
    PuterAPIError,
    PuterAuthError,
    PuterBadRequestError,
    PuterError,
    PuterInsufficientFundsError,
    PuterModelNotFoundError,
    PuterNotFoundError,
    PuterPermissionError,
    PuterRateLimitError,
    PuterResponseError,
    PuterServerError,
)
from puter.wire.errors import RAISE_LIMIT, retry_after
from puter.wire.http import NO_JSON, HttpReply
from puter.wire.json import TOO_LARGE, as_int_or_none, as_str_or_none
from puter.wire.redact import LONGEST

_BUSY = "It is busy: try again later, or make fewer calls at a time."
_BY_STATUS: dict[int, tuple[type[PuterError], str]] = {
    400: (PuterBadRequestError, "Check the arguments: not every server knows every option."),
    401: (PuterAuthError, "Check the api_key of its driver."),
    402: (PuterInsufficientFundsError, "The account at that server is empty."),
    403: (PuterPermissionError, "Check the api_key of its driver, and what it may do."),
    404: (PuterNotFoundError, "Check the address of its driver: it usually ends in /v1."),
    408: (PuterServerError, "Try again."),
    413: (PuterBadRequestError, "The request is too large for this server: send less."),
    429: (PuterRateLimitError, _BUSY),
}
_BY_TYPE = {  # of an error within a stream, which has no status
    "authentication_error": 401,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "unavailable_error": 503,
}
_FAILED = (PuterServerError, "It failed; its own log may tell why. Try again later.")
_NO_MODEL = "model_not_found"
_NO_QUOTA = "insufficient_quota"


def server_error(server: str, reply: HttpReply) -> PuterError:
    """The typed error of a reply that is no success.

    Args:
        server: Name of the server's driver.
        reply: What it answered.
    """
    data = reply.decoded()
    if isinstance(data, (dict, list)) and data and reply.status >= 400:
        return told_error(server, data, reply.status, reply.headers)
    page = reply.body[:LONGEST].decode("utf-8", "replace")
    if reply.fault == TOO_LARGE:
        return PuterResponseError(
            f"{server} answered with more JSON than max_response_bytes allows to decode",
            status=reply.status,
            body=page,
            hint=RAISE_LIMIT,
        )
    if reply.status >= 400:
        kind, hint = _kind_of(reply.status, None, "")
        details: dict[str, Any] = {"status": reply.status, "body": page or None, "hint": hint}
        if issubclass(kind, PuterAPIError):
            details["retry_after"] = retry_after(reply.headers)
        return kind(f"{server} answered with status {reply.status}", **details)
    what = "something that is not JSON" if data is NO_JSON else "JSON of an unknown shape"
    return PuterResponseError(
        f"{server} answered {reply.status} with {what} ({reply.content_type or 'no content type'})",
        status=reply.status,
        body=page or None,
        hint="Check the address of its driver, and any proxy in between.",
    )


def told_error(
    server: str,
    told: Any,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> PuterError:
    """The typed error for ``{"error": {"message": ..., "type": ..., "code": ...}}`` and the like.

    Args:
        server: Name of the server's driver.
        told: What it said, decoded.
        status: That of the reply; None within a stream, where the error itself tells.
        headers: Those of the reply.
    """
    body: Any = told[0] if isinstance(told, list) and told else told  # Gemini wraps it in a list
    fields: dict[str, Any] = body if isinstance(body, dict) else {"message": body}
    fault = fields.get("error")
    inner: dict[str, Any] = fault if isinstance(fault, dict) else fields
    texts = (inner.get("message"), fault, fields.get("detail"), inner.get("type"))
    text = next((one for one in texts if isinstance(one, str) and one.strip()), None)
    if text is None:
        text = f"it failed without a reason: {str(body)[:200]}"
    word = as_str_or_none(inner.get("type"))
    code = as_str_or_none(inner.get("code")) or word
    if status is None:
        number = as_int_or_none(inner.get("status")) or as_int_or_none(inner.get("code"))
        known = number is not None and 400 <= number < 600
        status = number if known else _BY_TYPE.get(code or "", _BY_TYPE.get(word or ""))
    kind, hint = _kind_of(status, code, text)
    details: dict[str, Any] = {"status": status, "code": code, "body": told, "hint": hint}
    if issubclass(kind, PuterAPIError):
        details["retry_after"] = retry_after(headers or {})
    return kind(f"{server}: {text}", **details)


def _kind_of(status: int | None, code: str | None, text: str) -> tuple[type[PuterError], str]:
    if code == _NO_QUOTA:  # a 429 that no waiting helps
        return _BY_STATUS[402]
    if code == _NO_MODEL or (status == 404 and "model" in text.lower()):
        return PuterModelNotFoundError, "Check the names in models= of its driver."
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return _BY_STATUS[400] if status is not None and 400 < status < 500 else _FAILED
