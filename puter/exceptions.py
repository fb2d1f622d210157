"""Every error the SDK raises, in one tree.

    PuterError
      PuterConfigError (also ValueError)      a bad setting
      PuterInputError (also ValueError)       a bad argument, found before any traffic
      PuterAuthError                          not signed in, refused, account not verified; .reason
        PuterTwoFactorRequired
      PuterBudgetError                        the budget that the user set is spent
      PuterToolError                          a tool loop that did not come to an end; .messages
      PuterAPIError                           the server's word, or its silence; .retry_after
        PuterConnectionError                  no answer; .sent says whether the request may have run
          PuterTimeoutError                   connecting, silence, or the deadline
        PuterResponseError                    an answer that is not Puter's: HTML, redirect
          PuterEmptyResponseError             an answer with nothing in it; .reply
        PuterBadRequestError
          PuterModelNotFoundError             .suggestions
        PuterPermissionError
        PuterNotFoundError
        PuterRateLimitError                   waiting did not help
        PuterQuotaError
          PuterInsufficientFundsError
          PuterSubscriptionRequiredError
        PuterUpstreamError                    the vendor behind Puter failed
        PuterServerError
        PuterStreamError                      .partial
        PuterBlockedError                     the stand-in answered instead of the model; .reply
        PuterParseError                       .reply

Every error has ``message``, ``hint`` (what to do next), ``status``, ``code``, ``body``,
``attempts`` and ``retryable``; those that did not come from the server keep the defaults. All of
them pickle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

    from puter.replies import ChatReply

__all__ = [
    "PuterAPIError",
    "PuterAuthError",
    "PuterBadRequestError",
    "PuterBlockedError",
    "PuterBudgetError",
    "PuterConfigError",
    "PuterConnectionError",
    "PuterEmptyResponseError",
    "PuterError",
    "PuterInputError",
    "PuterInsufficientFundsError",
    "PuterModelNotFoundError",
    "PuterNotFoundError",
    "PuterOptionWarning",
    "PuterParseError",
    "PuterPermissionError",
    "PuterQuotaError",
    "PuterRateLimitError",
    "PuterResponseError",
    "PuterServerError",
    "PuterStreamError",
    "PuterSubscriptionRequiredError",
    "PuterTimeoutError",
    "PuterToolError",
    "PuterTwoFactorRequired",
    "PuterUpstreamError",
]


def _rebuild(cls: type[PuterError], args: tuple[Any, ...], state: dict[str, Any]) -> PuterError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class PuterError(Exception):
    """Root of the tree.

    Args:
        message: What went wrong.
        **details: Values for the attributes below (and those that a subclass adds).

    Attributes:
        message: What went wrong, in the server's words where it spoke.
        hint: What to do next.
        status: HTTP status of the answer, ``None`` when there was none.
        code: The server's slug, such as ``"insufficient_funds"``.
        body: The decoded answer with secrets removed.
        attempts: How often the request was sent.
        retryable: Whether the same call may succeed when made again later.

    Examples:
        >>> try:
        ...     raise PuterError("nothing there", hint="Look elsewhere.")
        ... except PuterError as error:
        ...     print(error)
        nothing there. Look elsewhere.
    """

    hint: str = ""
    status: int | None = None
    code: str | None = None
    body: Any = None
    attempts: int = 0
    retryable: bool = False

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        for name, value in details.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no attribute {name!r}")
            setattr(self, name, value)

    @property
    def message(self) -> str:
        return str(self.args[0])

    def __str__(self) -> str:
        told = self.message.rstrip()
        facts = [f"HTTP {self.status}"] if self.status else []
        facts += [self.code] if self.code else []
        if facts:
            told = f"{told.rstrip('.')} ({', '.join(facts)})"
        if self.hint:
            told += ("" if told.endswith((".", "!", "?")) else ".") + " " + self.hint
        return told

    def again(self) -> Self:
        """A fresh copy to raise elsewhere, so that no traceback is shared."""
        return _rebuild(type(self), self.args, self.__dict__)  # type: ignore[return-value]

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.args, self.__dict__)


class PuterConfigError(PuterError, ValueError):
    """A setting is missing, unknown or out of range."""


class PuterInputError(PuterError, ValueError):
    """An argument is wrong; nothing was sent."""


class PuterAuthError(PuterError):
    """Not signed in, sign-in refused, token no longer good, or the account must be verified first.

    Attributes:
        reason: The server's finer word, such as ``"session_expired"`` or ``"session_revoked"``.
    """

    reason: str | None = None


class PuterTwoFactorRequired(PuterAuthError):
    """The account has two-factor sign-in and no code was given."""


class PuterOptionWarning(UserWarning):
    """An option was set that the model's provider does not read; the call is made without it."""


class PuterBudgetError(PuterError):
    """The budget that the user set is spent; the call was not made."""


class PuterToolError(PuterError):
    """Tools were called in more rounds than allowed.

    Attributes:
        messages: The conversation so far.
    """

    messages: tuple[dict[str, Any], ...] = ()


class PuterAPIError(PuterError):
    """The server answered with an error, or did not answer.

    Attributes:
        retry_after: Seconds the server asked to wait, ``None`` when it did not say.
    """

    retry_after: float | None = None

    @property
    def upstream_attempts(self) -> list[dict[str, Any]]:
        """Routes the server tried: model, provider, status and error of each."""
        tried = self.body.get("attempts") if isinstance(self.body, dict) else None
        return [one for one in tried if isinstance(one, dict)] if isinstance(tried, list) else []


class PuterConnectionError(PuterAPIError):
    """No answer came.

    Attributes:
        sent: True when the request may have reached the server, and so may have been billed.
    """

    sent: bool = False


class PuterTimeoutError(PuterConnectionError):
    """Connecting took too long, the server was silent for too long, or the deadline passed."""


class PuterResponseError(PuterAPIError):
    """The answer is not one of Puter's: HTML, a redirect, broken JSON, an unknown shape."""


class PuterEmptyResponseError(PuterResponseError):
    """The answer has nothing in it.

    Attributes:
        reply: The empty chat reply with its usage and cost, when it was a chat.
    """

    reply: ChatReply | None = None


class PuterBadRequestError(PuterAPIError):
    """The server or the model's vendor refused the request as it stands."""


class PuterModelNotFoundError(PuterBadRequestError):
    """The server does not know the model.

    Attributes:
        suggestions: Known names close to the one asked for.
    """

    suggestions: tuple[str, ...] = ()


class PuterPermissionError(PuterAPIError):
    """The token may not do this."""


class PuterNotFoundError(PuterAPIError):
    """The driver, method, file or path does not exist."""


class PuterRateLimitError(PuterAPIError):
    """Too many requests, and waiting did not help."""

    retryable = True


class PuterQuotaError(PuterAPIError):
    """The account may not spend more."""


class PuterInsufficientFundsError(PuterQuotaError):
    """The allowance is used up, or the call may cost more than is left."""


class PuterSubscriptionRequiredError(PuterQuotaError):
    """The feature needs a paid plan."""


class PuterUpstreamError(PuterAPIError):
    """The vendor behind Puter failed; see ``upstream_attempts``."""

    retryable = True


class PuterServerError(PuterAPIError):
    """Puter itself failed, or a proxy in front of it."""

    retryable = True


class PuterStreamError(PuterAPIError):
    """A stream failed or ended early.

    Attributes:
        partial: The reply as far as it came.
    """

    partial: ChatReply | None = None


class PuterBlockedError(PuterAPIError):
    """Puter's stand-in model answered with filler instead of the model asked for.

    Attributes:
        reply: The filler.
    """

    reply: ChatReply | None = None


class PuterParseError(PuterAPIError):
    """The answer could not be read as the type asked for.

    Attributes:
        reply: The answer as it came.
    """

    reply: ChatReply | None = None
