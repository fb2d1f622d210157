"""From a reply that is no success to the typed error: by ``code`` first, by status second."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from puter import exceptions as e
from puter.wire.http import HttpReply, HttpRequest
from puter.wire.json import mapping, text_or_none
from puter.wire.redact import redact

WRONG_HOST = (
    "This is not the API host of a Puter: check api_base (hosted: https://api.puter.com) "
    "and login_url (hosted: https://puter.com/login), and any proxy in between."
)
SIGN_IN_AGAIN = "Call login() again, or get a new token from the Puter dashboard."

# code -> class, hint
_BY_CODE: dict[str, tuple[type[e.PuterError], str]] = {
    "token_missing": (e.PuterAuthError, SIGN_IN_AGAIN),
    "token_auth_failed": (
        e.PuterAuthError,
        "The token was not issued by this Puter; check api_base, or call login().",
    ),
    "reauth_required": (e.PuterAuthError, SIGN_IN_AGAIN),
    "password_mismatch": (
        e.PuterAuthError,
        "Check the password; 10 attempts are allowed in 15 minutes.",
    ),
    "password_required": (e.PuterAuthError, "Give the password, or a token instead."),
    "account_suspended": (e.PuterAuthError, "Ask the operator of this Puter."),
    "account_is_not_verified": (e.PuterAuthError, "Verify the account in the browser first."),
    "email_confirmation_required": (
        e.PuterAuthError,
        "The account must be verified: confirm the e-mail address in the browser first.",
    ),
    "email_must_be_confirmed": (
        e.PuterAuthError,
        "The account must be verified: confirm the e-mail address in the browser first.",
    ),
    "phone_verification_required": (
        e.PuterAuthError,
        "The account must be verified: confirm the phone number in the browser first.",
    ),
    "card_verification_required": (
        e.PuterAuthError,
        "The account must be verified: confirm the card in the browser first.",
    ),
    "too_many_requests": (
        e.PuterRateLimitError,
        "Lower max_concurrency or rate_limit_requests; another program may use the account too.",
    ),
    "upstream_rate_limited": (
        e.PuterRateLimitError,
        "The model's vendor is busy: try again later or choose another model.",
    ),
    "insufficient_funds": (
        e.PuterInsufficientFundsError,
        "Look at what is left in the Puter dashboard, ask a cheaper model, or lower max_tokens.",
    ),
    "subscription_required": (e.PuterSubscriptionRequiredError, "This needs a paid Puter plan."),
    "storage_limit_reached": (
        e.PuterBadRequestError,
        "The input is over the server's limit; send less.",
    ),
    "item_with_same_name_exists": (
        e.PuterBadRequestError,
        "Pass overwrite=True, or choose another name.",
    ),
    "moderation_flagged": (e.PuterBadRequestError, "The text was flagged; change it."),
    "upstream_bad_request": (
        e.PuterBadRequestError,
        "The model's vendor refused the request; its own words are above.",
    ),
    "upstream_provider_unavailable": (
        e.PuterUpstreamError,
        "The model's vendor is down: try again later or choose another model.",
    ),
    "upstream_failed": (
        e.PuterUpstreamError,
        "Every route failed (see .upstream_attempts): try again later or choose another model.",
    ),
    "upstream_auth_failed": (
        e.PuterUpstreamError,
        "The vendor refused Puter's own key, which is not your fault: choose another model.",
    ),
    "error_400_from_delegate": (e.PuterUpstreamError, "The model's vendor refused the request."),
    "bad_response": (e.PuterUpstreamError, "The model's vendor returned nothing: try again."),
    "permission_denied": (e.PuterPermissionError, "Use a token that may do this."),
    "access_denied": (e.PuterPermissionError, "Choose a path in your own folders."),
    "forbidden": (
        e.PuterPermissionError,
        "Use a token that may do this, such as the one login() gets.",
    ),
    "app_or_api_token_required": (e.PuterPermissionError, "This needs a full API token."),
    "app_blocked": (e.PuterPermissionError, "Ask the operator of this Puter."),
    "not_found": (e.PuterNotFoundError, "Check the name, and that api_base is the API host."),
    "subject_does_not_exist": (
        e.PuterNotFoundError,
        "Check the path: absolute, or starting with ~/ ; an app token sees its own folders only.",
    ),
    "client_bad_request": (e.PuterBadRequestError, "The request is too large or malformed."),
    "internal_error": (
        e.PuterServerError,
        "Puter failed. It says so for some wrong arguments too: check those in extra=.",
    ),
    "db_unavailable": (e.PuterServerError, "Puter's database is down: try again later."),
}
_BY_STATUS: dict[int, tuple[type[e.PuterError], str]] = {
    401: (e.PuterAuthError, SIGN_IN_AGAIN),
    402: (e.PuterQuotaError, "See what is left in the Puter dashboard."),
    403: (e.PuterPermissionError, "Use a token that may do this."),
    404: (e.PuterNotFoundError, "Check the name, and that api_base is the API host."),
    408: (e.PuterServerError, "Try again."),
    413: (e.PuterBadRequestError, "The request is too large for this server; send less."),
    429: _BY_CODE["too_many_requests"],
}
_ANY_400 = (e.PuterBadRequestError, "Check the arguments.")
_ANY_500 = (e.PuterServerError, "Puter, or a proxy in front of it, failed: try again later.")


def raise_for_error(request: HttpRequest, reply: HttpReply, secrets: tuple[str, ...]) -> None:
    """Return if the reply is the success that the request expects.

    Args:
        request: What was sent.
        reply: What came back.
        secrets: Texts that no error may show.

    Raises:
        PuterError: The typed error for anything else.
    """
    if not reply.is_success(request.expect):
        raise _error_of(request, reply, reply.decoded(), secrets)


def _error_of(
    request: HttpRequest, reply: HttpReply, data: Any, secrets: tuple[str, ...]
) -> e.PuterError:
    place = f"{request.method} {request.url}"
    what = _kind_of(reply)
    # Redacted before it is cut: half a secret would not be recognised.
    excerpt = str(redact(reply.body[:5000].decode("utf-8", "replace"), secrets))[:500]
    details: dict[str, Any] = {"status": reply.status, "body": excerpt or None, "hint": WRONG_HOST}
    if 300 <= reply.status < 400:
        target = redact(re.sub(r"[?#].*", "", reply.headers.get("location", "")), secrets)
        what = "a redirect" + (f" to {target!r}" if target else "")
    elif isinstance(data, dict):
        return _error_in(data, reply, secrets)
    elif reply.status >= 500 or (reply.status in _BY_STATUS and reply.status != 404):
        kind, hint = _choose(reply.status, None)
        details["hint"] = f"{hint} The answer is not Puter's own; a proxy may have made it."
        if issubclass(kind, e.PuterAPIError):
            details["retry_after"] = retry_after(reply.headers)
        return kind(f"{place} answered {what}", **details)
    elif reply.status < 300 and reply.content_type != "text/html" and not reply.body.strip():
        details.update(body=None, hint="A proxy may have cut it. " + WRONG_HOST)
        return e.PuterEmptyResponseError(f"{place} answered with {what}", **details)
    return e.PuterResponseError(f"{place} answered with {what}", **details)


def _kind_of(reply: HttpReply) -> str:
    if not reply.body.strip():
        return "an empty body"
    if reply.content_type == "text/html" or reply.body.lstrip()[:1] == b"<":
        return "an HTML page"
    if reply.content_type == "application/json":
        return "broken JSON"
    return f"something that is not JSON ({reply.content_type or 'no content type'})"


def _error_in(data: dict[str, Any], reply: HttpReply, secrets: tuple[str, ...]) -> e.PuterError:
    """The typed error for a flat error body, or an older ``{"success": false, ...}``."""
    fault = data.get("error")
    inner: dict[str, Any] = fault if isinstance(fault, dict) else data
    code = text_or_none(inner.get("errorCode") or inner.get("code") or data.get("code"))
    texts = (inner.get("message"), fault, code)
    text = next((one for one in texts if isinstance(one, str) and one.strip()), None)
    status = inner.get("status")
    if reply.status >= 300 or not isinstance(status, int) or not 400 <= status < 600:
        status = reply.status
    return make_error(
        text or "The server said no, without a reason",
        status=status,
        code=code,
        body=data,
        headers=reply.headers,
        secrets=secrets,
    )


def make_error(
    text: str,
    *,
    status: int | None,
    code: str | None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    secrets: tuple[str, ...] = (),
) -> e.PuterError:
    """The typed error for a code, status and message, with secrets removed."""
    kind, hint = _choose(status, code)
    text = redact(text, secrets)
    try:
        body = redact(body, secrets)
    except RecursionError:
        body = None  # nobody reads what is nested that deeply
    details: dict[str, Any] = {"status": status, "code": code, "body": body, "hint": hint}
    if issubclass(kind, e.PuterAuthError):
        fields = mapping(body)
        fault = fields.get("error")
        inner: dict[str, Any] = fault if isinstance(fault, dict) else fields
        details["reason"] = text_or_none(inner.get("reason"))
    if issubclass(kind, e.PuterAPIError):
        details["retry_after"] = retry_after(headers or {})
    if kind is e.PuterBadRequestError and text.startswith("Model not found"):
        kind = e.PuterModelNotFoundError
        details["hint"] = "See get_available_models() for names."
    return kind(text, **details)


def _choose(status: int | None, code: str | None) -> tuple[type[e.PuterError], str]:
    if status == 401:  # any 401 is about who you are, whatever its code
        kind, hint = _BY_CODE.get(code or "", _BY_STATUS[401])
        return (kind, hint) if issubclass(kind, e.PuterAuthError) else _BY_STATUS[401]
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return _ANY_500 if status is not None and status >= 500 else _ANY_400


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a ``Retry-After`` header: a number, or a date counted from the ``Date`` header."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        from email.utils import parsedate_to_datetime  # brings socket and random with it

        try:
            then, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("date", ""))
            seconds = (then - now).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
