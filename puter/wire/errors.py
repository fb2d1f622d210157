"""From a reply that is no success to the typed error: by ``code`` first, by status second.

What the server said is in these errors as it came. ``puter.engine.failures.conceal`` takes out the
secrets and cuts it before anybody sees it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from puter.checks import MOST
from puter.exceptions import (
    NEWER_SERVER,
    PuterAPIError,
    PuterAuthError,
    PuterBadRequestError,
    PuterEmptyResponseError,
    PuterError,
    PuterInsufficientFundsError,
    PuterModelNotFoundError,
    PuterNotFoundError,
    PuterPermissionError,
    PuterQuotaError,
    PuterRateLimitError,
    PuterResponseError,
    PuterServerError,
    PuterSubscriptionRequiredError,
    PuterUpstreamError,
)
from puter.wire.http import HttpReply, HttpRequest
from puter.wire.json import TOO_LARGE, as_dict, as_dicts, as_str, as_str_or_none
from puter.wire.redact import LONGEST

WRONG_HOST = (
    "This is not the API host of a Puter: check api_base (hosted: https://api.puter.com) "
    "and login_url (hosted: https://puter.com/login), and any proxy in between."
)
SIGN_IN_AGAIN = "Call login() again, or get a new token from the Puter dashboard."
RAISE_LIMIT = "Raise max_response_bytes, or ask for less."
_ASK_OPERATOR = "Ask the operator of this Puter."
_SUSPENDED = (
    "This Puter has suspended the account, so no token of it works: sign in in the browser to see "
    "why, or ask the operator."
)
_CHECK_ARGUMENTS = "Check the arguments."
_CHECK_NAME = "Check the name, and that api_base is the API host."
_CONFIRM = "The account must be verified: confirm the {} in the browser first."
_OTHER_TOKEN = "Use a token that may do this."  # noqa: S105 - a sentence
_SLOW_DOWN = (
    "Lower max_concurrency or rate_limit_requests; another program may use the account too."
)

# class -> code -> hint
_HINTS: dict[type[PuterError], dict[str, str]] = {
    PuterAuthError: {
        "token_missing": SIGN_IN_AGAIN,
        "token_auth_failed": "The token was not issued by this Puter; check api_base, or call "
        "login().",
        "reauth_required": SIGN_IN_AGAIN,
        "password_mismatch": "Check the password; 10 attempts are allowed in 15 minutes.",
        "password_required": "Give the password, or a token instead.",
        "account_suspended": _SUSPENDED,
        "account_is_not_verified": "Verify the account in the browser first.",
        "email_confirmation_required": _CONFIRM.format("e-mail address"),
        "email_must_be_confirmed": _CONFIRM.format("e-mail address"),
        "phone_verification_required": _CONFIRM.format("phone number"),
        "card_verification_required": _CONFIRM.format("card"),
    },
    PuterRateLimitError: {
        "too_many_requests": _SLOW_DOWN,
        "credits_reserved": "Calls that still run hold their greatest possible cost: let them end, "
        "or lower max_tokens.",
        "upstream_rate_limited": "The model's vendor is busy: try again later or choose another "
        "model.",
    },
    PuterInsufficientFundsError: {
        "insufficient_funds": "Look at what is left in the Puter dashboard, or ask a cheaper "
        "model. Calls that still run hold their greatest possible cost: let them end, or lower "
        "max_tokens.",
    },
    PuterSubscriptionRequiredError: {"subscription_required": "This needs a paid Puter plan."},
    PuterBadRequestError: {
        "bad_request": _CHECK_ARGUMENTS,
        "storage_limit_reached": "The input is over the server's limit; send less.",
        "item_with_same_name_exists": "Pass overwrite=True, or choose another name.",
        "moderation_flagged": "The text was flagged; change it.",
        "upstream_bad_request": "The model's vendor refused the request; its own words are above.",
        "client_bad_request": "The request is too large or malformed.",
    },
    PuterUpstreamError: {
        "upstream_provider_unavailable": "The model's vendor is down: try again later or choose "
        "another model.",
        "upstream_failed": "Every route failed (see .upstream_attempts): try again later or choose "
        "another model.",
        "upstream_auth_failed": "The vendor refused Puter's own key, which is not your fault: "
        "choose another model.",
        "upstream_credits_exhausted": "Puter's own account at the vendor is empty, which is not "
        "your fault: choose another model.",
        "upstream_timeout": "The model's vendor took too long, and may have worked all the same: "
        "ask for less, or choose another model.",
        "error_400_from_delegate": "The model's vendor refused the request.",
        "bad_response": "The model's vendor returned nothing: try again.",
    },
    PuterPermissionError: {
        "permission_denied": _OTHER_TOKEN,
        "access_denied": "Choose a path in your own folders.",
        "forbidden": "Use a token that may do this, such as the one login() gets.",
        "app_or_api_token_required": "This needs a full API token.",
        "app_blocked": _ASK_OPERATOR,
        "reputation_required": "This Puter does not trust the account enough yet: verify it in the "
        "browser, or ask the operator of this Puter.",
        "two_factor_required": "The account's team asks for two-factor sign-in: set it up in the "
        "browser.",
        "password_change_required": "Change the account's password in the browser first.",
    },
    PuterNotFoundError: {
        "not_found": _CHECK_NAME,
        "subject_does_not_exist": "Check the path: absolute, or starting with ~/ ; an app token "
        "sees its own folders only.",
    },
    PuterServerError: {
        "internal_error": "Puter failed. It says so for some wrong arguments too: check those in "
        "extra=.",
        "db_unavailable": "Puter's database is down: try again later.",
    },
}
_BY_CODE = {code: (kind, hint) for kind, hints in _HINTS.items() for code, hint in hints.items()}
_BY_STATUS: dict[int, tuple[type[PuterError], str]] = {
    401: (PuterAuthError, SIGN_IN_AGAIN),
    402: (PuterQuotaError, "See what is left in the Puter dashboard."),
    403: (PuterPermissionError, _OTHER_TOKEN),
    404: (PuterNotFoundError, _CHECK_NAME),
    408: (PuterServerError, "Try again."),
    413: (PuterBadRequestError, "The request is too large for this server; send less."),
    429: (PuterRateLimitError, _SLOW_DOWN),
}
_ALL_FAILED = ("All providers failed", "All AI providers failed")
_ANY_400 = (PuterBadRequestError, _CHECK_ARGUMENTS)
_ANY_500 = (PuterServerError, "Puter, or a proxy in front of it, failed: try again later.")


def unknown_shape(what: str, body: Any = None, hint: str = NEWER_SERVER) -> PuterResponseError:
    """The error of an answer that does not have the form that the protocol says.

    Args:
        what: What has it, for the message.
        body: The decoded answer, unless it may hold secrets.
        hint: What to do next.
    """
    return PuterResponseError(f"{what} has an unknown shape", body=body, hint=hint)


def error_of(request: HttpRequest, reply: HttpReply) -> PuterError:
    """The typed error of a reply that is not the success that its request expects."""
    data = reply.decoded()
    place = f"{request.method} {request.where}"
    what = _kind_of(reply)
    page = reply.body[:LONGEST].decode("utf-8", "replace")
    hint = RAISE_LIMIT if reply.fault == TOO_LARGE else WRONG_HOST
    if reply.status < 300 and what.startswith("broken JSON"):
        hint = f"A proxy may have damaged it. Perhaps {WRONG_HOST[0].lower()}{WRONG_HOST[1:]}"
    details: dict[str, Any] = {"status": reply.status, "body": page or None, "hint": hint}
    if 300 <= reply.status < 400:
        target = re.sub(r"[?#].*", "", reply.headers.get("location", ""))
        what = "a redirect" + (f" to {target!r}" if target else "")
    elif isinstance(data, dict):
        return _error_in(data, reply)
    elif reply.status >= 500 or (reply.status in _BY_STATUS and reply.status != 404):
        kind, hint = _choose(reply.status, None)
        details["hint"] = f"{hint} The answer is not Puter's own; a proxy may have made it."
        if issubclass(kind, PuterAPIError):
            details["retry_after"] = retry_after(reply.headers)
        return kind(f"{place} answered {what}", **details)
    elif reply.status < 300 and reply.content_type != "text/html" and not reply.body.strip():
        details.update(body=None, hint="A proxy may have cut it. " + WRONG_HOST)
        return PuterEmptyResponseError(f"{place} answered with {what}", **details)
    return PuterResponseError(f"{place} answered with {what}", **details)


def _kind_of(reply: HttpReply) -> str:
    if not reply.body.strip():
        return "an empty body"
    if reply.content_type == "text/html" or reply.body.lstrip()[:1] == b"<":
        return "an HTML page"
    if reply.fault == TOO_LARGE:
        return "more JSON than max_response_bytes allows to decode"
    if reply.content_type == "application/json":
        return f"broken JSON ({reply.fault})" if reply.fault else "broken JSON"
    return f"something that is not JSON ({reply.content_type or 'no content type'})"


def _error_in(data: dict[str, Any], reply: HttpReply) -> PuterError:
    """The typed error for a flat error body, or an older ``{"success": false, ...}``."""
    fault = data.get("error")
    inner: dict[str, Any] = fault if isinstance(fault, dict) else data
    code = as_str_or_none(inner.get("code") or data.get("code"))
    finer = as_str_or_none(inner.get("errorCode"))  # a vendor's own word, or one of Puter's
    if code is None or finer in _BY_CODE:
        code = finer or code
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
    )


def make_error(
    text: str,
    *,
    status: int | None,
    code: str | None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> PuterError:
    """The typed error for a code, status and message."""
    kind, hint = _choose(status, code)
    if text in _ALL_FAILED:
        tried = as_dicts(as_dict(body).get("attempts"))
        reason = as_str(tried[0].get("error")) if tried else ""
        text = f"{text}: {reason}" if reason else text
    details: dict[str, Any] = {"status": status, "code": code, "body": body, "hint": hint}
    if issubclass(kind, PuterAuthError):
        fields = as_dict(body)
        fault = fields.get("error")
        inner: dict[str, Any] = fault if isinstance(fault, dict) else fields
        details["reason"] = as_str_or_none(inner.get("reason"))
    if issubclass(kind, PuterAPIError):
        details["retry_after"] = retry_after(headers or {}) or _seconds(as_dict(body))
    if kind is PuterBadRequestError and text.startswith("Model not found"):
        kind = PuterModelNotFoundError
        details["hint"] = "See get_available_models() for names."
    if kind is PuterPermissionError and text.startswith("Account suspended"):
        details["hint"] = _SUSPENDED
    return kind(text, **details)


def _choose(status: int | None, code: str | None) -> tuple[type[PuterError], str]:
    if status == 401:  # any 401 is about the credentials, whatever its code
        kind, hint = _BY_CODE.get(code or "", _BY_STATUS[401])
        return (kind, hint) if issubclass(kind, PuterAuthError) else _BY_STATUS[401]
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return _ANY_500 if status is not None and status >= 500 else _ANY_400


def _seconds(body: dict[str, Any]) -> float | None:
    """The wait that a body asks for."""
    seconds = body.get("retryAfter")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    return float(seconds) if 0 < seconds < MOST else None


def vendor_error(vendor: int, text: str, *, body: Any = None) -> PuterError:
    """What the Puter backend answers to a vendor's failure where it is no line of a stream.

    Args:
        vendor: The vendor's HTTP status.
        text: What it said.
        body: The line that told it.
    """
    if vendor == 429:
        status, code = 429, "upstream_rate_limited"
    elif vendor in (401, 403):
        status, code = 500, "upstream_auth_failed"
    elif vendor == 504:
        status, code = 504, "upstream_timeout"
    elif vendor >= 500:
        status, code = 400, "upstream_provider_unavailable"
    else:
        status, code = 400, "upstream_bad_request"
    return make_error(text, status=status, code=code, body=body)


def is_known(code: str | None) -> bool:
    """Whether the code is one of Puter's."""
    return code in _BY_CODE


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
