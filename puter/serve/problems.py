"""Errors of the endpoint: which status, and the body as OpenAI and Anthropic write it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from puter.exceptions import (
    PuterAPIError,
    PuterAuthError,
    PuterBadRequestError,
    PuterBlockedError,
    PuterBudgetError,
    PuterConfigError,
    PuterError,
    PuterInputError,
    PuterModelNotFoundError,
    PuterNotFoundError,
    PuterPermissionError,
    PuterQuotaError,
    PuterRateLimitError,
    PuterTimeoutError,
)
from puter.extensions.fallback import bills_nothing, is_of_server

_STATUS: Mapping[type[BaseException], int] = {
    PuterInputError: 400,
    PuterBadRequestError: 400,
    PuterBlockedError: 400,
    PuterQuotaError: 402,
    PuterBudgetError: 402,
    PuterPermissionError: 403,
    PuterModelNotFoundError: 404,
    PuterNotFoundError: 404,
    PuterRateLimitError: 429,
    PuterConfigError: 500,
    PuterError: 500,
    PuterAuthError: 502,  # 401 is for who calls here: this is the account behind
    PuterAPIError: 502,
    PuterTimeoutError: 504,
}
_KEPT = (413, 422)
"""Statuses of Puter's that say more than 400."""
_WAIT = 10.0
"""Seconds of Puter's rate window, where an error does not say how long to wait."""

ONCE: Mapping[str, str] = {"x-should-retry": "false"}
"""Headers that keep the vendors' clients from asking again."""

_OPENAI = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ANTHROPIC = {
    **_OPENAI,
    402: "billing_error",
    413: "request_too_large",
    504: "timeout_error",
}


class Refused(Exception):
    """A request that goes no further.

    Args:
        status: HTTP's.
        message: Why, and what to do.
        code: A word for programs.
        headers: More headers of the answer.
    """

    def __init__(
        self, status: int, message: str, code: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status: int = status
        self.code: str = code
        self.headers: Mapping[str, str] = headers or {}


class Paid(Exception):
    """An error after something was paid for its request, which must not come again."""

    def __init__(self, error: PuterError) -> None:
        super().__init__(str(error))
        self.error: PuterError = error


@dataclass(frozen=True, slots=True)
class Problem:
    """What an answer says of an error."""

    status: int
    message: str
    code: str | None
    source: str
    """Name of the SDK's class of errors, ``""`` for errors of the endpoint itself."""
    headers: Mapping[str, str]

    def openai(self) -> dict[str, Any]:
        """The body as OpenAI writes it."""
        others = "invalid_request_error" if self.status < 500 else "server_error"
        kind = _OPENAI.get(self.status, others)
        error = {"message": self.message, "type": kind, "param": None, "code": self.code}
        return {"error": {**error, "puter_error": self.source} if self.source else error}

    def anthropic(self) -> dict[str, Any]:
        """The body as Anthropic writes it."""
        others = "invalid_request_error" if self.status < 500 else "api_error"
        error = {"type": _ANTHROPIC.get(self.status, others), "message": self.message}
        beside = {"code": self.code, "puter_error": self.source or None}
        known = {name: value for name, value in beside.items() if value is not None}
        return {"type": "error", "error": {**error, **known}}


def problem_of(error: BaseException) -> Problem:
    """What to say of an error.

    ``x-should-retry: false`` keeps the vendors' clients from asking again, as they do after a 5xx,
    where the call may have been billed or would fail alike.
    """
    if isinstance(error, Paid):
        problem = problem_of(error.error)
        return replace(problem, headers={**problem.headers, **ONCE})
    if isinstance(error, Refused):
        return Problem(error.status, str(error), error.code, "", error.headers)
    if not isinstance(error, PuterError):
        message = "The endpoint failed; its log tells more."
        return Problem(500, message, "internal_error", "", ONCE)
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    if status == 400 and error.status in _KEPT:
        status = error.status
    message, code = str(error), error.code
    if isinstance(error, PuterAuthError):
        message = f"The Puter account behind this endpoint: {message}"
    elif isinstance(error, PuterModelNotFoundError):
        code = "model_not_found"
    headers: dict[str, str] = {} if may_come_again(error) else dict(ONCE)
    if status == 429:
        waits = error.retry_after if isinstance(error, PuterRateLimitError) else None
        seconds = _WAIT if waits is None else waits
        headers["Retry-After"] = str(math.ceil(seconds))
        headers["retry-after-ms"] = str(math.ceil(seconds * 1000))  # for the vendors' clients
    return Problem(status, message, code, type(error).__name__, headers)


def may_come_again(error: PuterError) -> bool:
    """Whether nothing was billed, as far as is known, and the next try may do better."""
    return not isinstance(error, PuterAuthError) and (bills_nothing(error) or is_of_server(error))
