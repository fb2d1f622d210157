"""Every error the SDK raises, in one tree.

    PuterError                              .partial: what was billed before it
      PuterConfigError (also ValueError)    a bad setting
      PuterInputError (also ValueError)     a bad argument, before any traffic
      PuterAuthError                        not signed in, or refused; .reason
        PuterTwoFactorRequired              the account has 2FA: give a code
      PuterBudgetError                      the budget you set is spent
      PuterToolError                        tools called without end; .messages
      PuterAPIError                         refused or unanswered; .retry_after
        PuterConnectionError                no answer; .sent: it may have run
          PuterTimeoutError                 connecting, silence, deadline
        PuterResponseError                  not Puter's answer: HTML, redirect
          PuterEmptyResponseError           an answer with nothing in it; .reply
        PuterBadRequestError                refused as it stands
          PuterModelNotFoundError           .suggestions
        PuterPermissionError                the token may not do this
        PuterNotFoundError                  no such driver, method, file or path
        PuterRateLimitError                 waiting did not help
        PuterQuotaError                     the account may not spend more
          PuterInsufficientFundsError       the allowance is used up
          PuterSubscriptionRequiredError    needs a paid plan
        PuterUpstreamError                  the vendor behind Puter failed
        PuterServerError                    Puter itself failed
        PuterStreamError                    a stream failed or ended early
        PuterBlockedError                   a stand-in answered; .reply
        PuterParseError                     not of the type asked for; .reply
    PuterOptionWarning (a UserWarning)      the model's provider ignores it
    PuterBlockingWarning (a RuntimeWarning) a sync method in an event loop

Every error has ``message``, ``hint`` (what to do next), ``status``, ``code``, ``body``,
``attempts``, ``elapsed``, ``retryable`` and ``partial``; those that did not come from the server
keep the defaults. All of them can be pickled and copied; ``copy.copy(error)`` shares no traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

__all__ = [
    "PuterAPIError",
    "PuterAuthError",
    "PuterBadRequestError",
    "PuterBlockedError",
    "PuterBlockingWarning",
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


class Tokens(Protocol):
    """Tokens of a call: a ``puter.Usage``."""

    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def raw(self) -> Any: ...


class Reply(Protocol):
    """What an error holds of an answer: a ``puter.ChatReply``."""

    @property
    def text(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def usage(self) -> Tokens: ...
    @property
    def cost(self) -> Decimal | None: ...
    @property
    def finish_reason(self) -> str: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def tool_calls(self) -> Sequence[Any]: ...
    @property
    def messages(self) -> Sequence[dict[str, Any]]: ...
    @property
    def raw(self) -> Any: ...
    def __eq__(self, other: object, /) -> bool: ...  # it is a str, so it may be compared with one
    def __hash__(self) -> int: ...


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

    Examples:
        >>> try:
        ...     raise PuterError("nothing there", hint="Look elsewhere.")
        ... except PuterError as error:
        ...     print(error)
        nothing there. Look elsewhere.
    """

    hint: str = ""
    """What to do next."""
    status: int | None = None
    """HTTP status of the answer, None when there was none."""
    code: str | None = None
    """The server's code, such as ``"insufficient_funds"``."""
    body: Any = None
    """The decoded answer with secrets removed."""
    attempts: int = 0
    """How often the request was sent."""
    elapsed: float | None = None
    """Seconds from the first attempt to the failure of the last, None when nothing was sent."""
    retryable: bool = False
    """Whether the same call may succeed when made again later."""
    partial: Reply | None = None
    """The turn so far, a ``ChatReply``, when answers were billed or tools ran before the error: its
    text, messages with the tools' results, usage and cost. None otherwise."""
    results: Sequence[Any] | None = None
    """Of a ``batch()`` that raised it: the answers that there were, a ``BatchResults``."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        for name, value in details.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no attribute {name!r}")
            setattr(self, name, value)

    @property
    def message(self) -> str:
        """What went wrong, in the server's words where it answered."""
        return str(self.args[0])

    def __str__(self) -> str:
        text = self.message.rstrip()
        facts = [f"HTTP {self.status}"] if self.status else []
        facts += [self.code] if self.code else []
        if facts:
            text = f"{text.rstrip('.')} ({', '.join(facts)})"
        if self.attempts > 1 and self.elapsed is not None:
            seconds = f"{self.elapsed:.{0 if self.elapsed >= 10 else 1}f}"
            text = f"{text.rstrip('.')} after {self.attempts} attempts in {seconds} s"
        if self.hint:
            text += ("" if text.endswith((".", "!", "?")) else ".") + " " + self.hint
        return text

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.args, self.__dict__)


class PuterConfigError(PuterError, ValueError):
    """A setting is missing, unknown or out of range."""


class PuterInputError(PuterError, ValueError):
    """An argument is wrong; nothing was sent."""


class PuterAuthError(PuterError):
    """Not signed in, sign-in refused, token no longer good, or the account must be verified."""

    reason: str | None = None
    """The server's finer word, such as ``"session_expired"`` or ``"session_revoked"``."""


class PuterTwoFactorRequired(PuterAuthError):
    """The account has two-factor sign-in and no code was given."""


class PuterOptionWarning(UserWarning):
    """An option was set that the model's provider does not read; the call is made without it."""


class PuterBlockingWarning(RuntimeWarning):
    """A sync method was called where an event loop runs: all its other tasks stand still."""


class PuterBudgetError(PuterError):
    """The budget that the user set is spent; the call was not made."""


class PuterToolError(PuterError):
    """Tools were called in more rounds than allowed."""

    messages: tuple[dict[str, Any], ...] = ()
    """The conversation so far."""


class PuterAPIError(PuterError):
    """The server answered with an error, or did not answer."""

    retry_after: float | None = None
    """Seconds that the server asked to wait, None when it did not say."""

    @property
    def upstream_attempts(self) -> list[dict[str, Any]]:
        """Routes the server tried: model, provider, status and error of each."""
        tried = self.body.get("attempts") if isinstance(self.body, dict) else None
        return [one for one in tried if isinstance(one, dict)] if isinstance(tried, list) else []


class PuterConnectionError(PuterAPIError):
    """No answer came."""

    sent: bool = False
    """True when the request may have reached the server, and so may have been billed."""


class PuterTimeoutError(PuterConnectionError):
    """Connecting took too long, the server was silent for too long, or the deadline passed."""


NEWER_SERVER = "The server may be newer or older than this SDK understands."
"""Hint of errors about the form of an answer."""


class PuterResponseError(PuterAPIError):
    """The answer is not one of Puter's: HTML, a redirect, broken JSON, an unknown shape."""


class PuterEmptyResponseError(PuterResponseError):
    """The answer has nothing in it."""

    reply: Reply | None = None
    """The empty ``ChatReply`` with its usage and cost, when it was a chat."""


class PuterBadRequestError(PuterAPIError):
    """The server or the model's vendor refused the request as it stands."""


class PuterModelNotFoundError(PuterBadRequestError):
    """The server does not know the model."""

    suggestions: tuple[str, ...] = ()
    """Known names close to the one asked for."""


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
    """A stream failed or ended early; ``partial`` is the reply as far as it came."""


class PuterBlockedError(PuterAPIError):
    """Puter's stand-in model answered with filler instead of the model asked for."""

    reply: Reply | None = None
    """The filler, a ``ChatReply``."""


class PuterParseError(PuterAPIError):
    """The answer could not be read as the type asked for."""

    reply: Reply | None = None
    """The answer as it came, a ``ChatReply``."""


def repr_of(value: Any, most: int = 200) -> str:
    """A value in a message: its repr, cut; its type where it has none.

    Examples:
        >>> repr_of("Hi"), repr_of([10**5000])
        ("'Hi'", 'a list')
    """
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - nested too deeply, too many digits, or its own code failed
        return with_article(type(value).__name__)
    return text if len(text) <= most else f"{text[:most]}..."


def with_article(noun: str) -> str:
    """The noun after "a" or "an", by how it sounds.

    Examples:
        >>> with_article("int"), with_article("UUID")
        ('an int', 'a UUID')
    """
    word = noun.lower().lstrip("_")
    vowel = word.startswith(tuple("aeiou")) and not word.startswith(_SOUND_LIKE_YOU)
    return f"{'an' if vowel else 'a'} {noun}"


_SOUND_LIKE_YOU = ("eu", "one", "uni", "url", "use", "uu")


def words_of(error: BaseException) -> str:
    """What an error says, whatever its ``__str__`` does; its type when it says nothing."""
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - it is of a class of the user's
        return type(error).__name__
