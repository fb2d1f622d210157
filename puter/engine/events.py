"""What happens in calls, as frozen values: for callbacks, of which the SDK's own log is one."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from puter.checks import did_you_mean, near_misses
from puter.engine.extensions import Extensions
from puter.exceptions import PuterConfigError, PuterConnectionError, PuterError, repr_of, words_of
from puter.process import late, short_lock
from puter.records import dataclass, field
from puter.wire.redact import Redactor, one_line

if TYPE_CHECKING:
    import inspect
    from decimal import Decimal

    from puter.types.replies import ChatChunk, ToolCall, Usage
    from puter.wire.http import HttpRequest
else:
    inspect = late("inspect")

LOGGER = logging.getLogger("puter")
_DEBUG = logging.DEBUG


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    """Something that happened in a call; ``PuterAI.on()`` lists the names.

    Attributes that say nothing of this event are None.
    """

    name: str
    """Such as ``"call.end"``."""
    operation: str
    """Name of the method, without ``async_``."""
    model: str | None = None
    """The model that is asked, or that answered."""
    attempt: int = 0
    """How often the present request was sent so far; at ``call.end``, all requests of the call."""
    status: int | None = None
    """HTTP status of the answer, for ``response``; that of the error where there is one."""
    seconds: float | None = None
    """How long it took: the call, the attempt, the wait."""
    delay: float | None = None
    """Seconds until the request is sent again, for ``retry``."""
    usage: Usage | None = None
    """Tokens of the whole call, for ``call.end``."""
    cost: Decimal | None = None
    """US dollars of the whole call, for ``call.end``; None when the server did not tell."""
    error: BaseException | None = None
    """What failed, for ``call.error``, ``retry``, ``tool.end`` and ``fallback``."""
    tool: ToolCall | None = None
    """The call of a tool, for ``tool.start`` and ``tool.end``."""
    chunk: ChatChunk | None = None
    """As the server sent it, for ``stream.chunk``."""
    messages: int = 0
    """How many messages were added, for ``history.commit``."""
    request: HttpRequest | None = None
    """What was sent, without the token, for ``response`` and ``retry``."""
    reply: Any = None
    """The answer to the request, for ``response``; what the method returns, for ``call.end``."""
    call: Any = field(default=None, repr=False, compare=False)
    """The ``CallContext``: all events of a call have the same."""

    @property
    def call_id(self) -> int:
        """The same for all events of one call, and for no other that runs meanwhile."""
        return id(self.call)

    @property
    def subject(self) -> str:
        """Operation and model, as log lines begin."""
        return f"{self.operation} {self.model}" if self.model else self.operation

    def __repr__(self) -> str:
        return f"<Event {self.name} of {self.subject}>"


class Listener:
    """A callback, and whether it has failed before: that is logged once."""

    __slots__ = ("callback", "failed")

    def __init__(self, callback: Callable[[Event], Any]) -> None:
        self.callback = callback
        self.failed = False

    def note_failure(self, event: Event, error: Exception) -> None:
        if not self.failed:
            self.failed = True
            name = getattr(self.callback, "__qualname__", type(self.callback).__name__)
            LOGGER.warning(
                "the callback %s failed at %s, and further failures of it are not logged: %s",
                one_line(name), event.name, one_line(f"{type(error).__name__}: {words_of(error)}"),
                exc_info=error,
            )  # fmt: skip


Listeners: TypeAlias = Sequence[Listener]


def listeners_of(extensions: Extensions, name: str) -> Listeners:
    """Who is to be told of an event of that name: nobody, most of the time."""
    found = extensions.listeners.get(name, ())
    logged = _LOGGED.get(name)
    if logged is not None and logged[0].isEnabledFor(logged[1]):
        return (_LOG, *found)
    return found


def tell(event: Event, listeners: Listeners) -> None:
    """Call the callbacks, which cannot break the call."""
    for one in listeners:
        try:
            answer = one.callback(event)
            if answer is not None and inspect.isawaitable(answer):
                getattr(answer, "close", str)()
                raise TypeError("it is asynchronous, and this is a synchronous method")
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises
            one.note_failure(event, error)


async def async_tell(event: Event, listeners: Listeners) -> None:
    """Call the callbacks, or await them."""
    for one in listeners:
        try:
            answer: Any = one.callback(event)
            if answer is not None and inspect.isawaitable(answer):
                await answer
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises
            one.note_failure(event, error)


def subscribe(
    extensions: Extensions, name: str, callback: Callable[[Event], Any]
) -> Callable[[], None]:
    """Let ``callback`` be told of each event of that name; what is returned ends that.

    Raises:
        PuterConfigError: There is no such event, or the callback is no function.
    """
    if name not in NAMES:
        near = did_you_mean(near_misses(name, NAMES, 1)) if isinstance(name, str) else ""
        raise PuterConfigError(
            f"There is no event {repr_of(name, 40)}", hint=near or f"There are {', '.join(NAMES)}."
        )
    if not callable(callback):
        raise PuterConfigError(
            f"on({name!r}): the callback is {type(callback).__name__}, no function",
            hint="Pass a function that takes the event.",
        )
    listener = Listener(callback)
    with short_lock():
        others = extensions.listeners.get(name, ())
        extensions.listeners = {**extensions.listeners, name: (*others, listener)}

    def unsubscribe() -> None:
        with short_lock():
            left = tuple(one for one in extensions.listeners.get(name, ()) if one is not listener)
            extensions.listeners = {**extensions.listeners, name: left}
            if not left:
                del extensions.listeners[name]

    return unsubscribe


# ---------------------------------------------------------------- the log


def _log(event: Event) -> None:
    """Log an event in one line, and with PUTER_LOG_CONTENT=1 what was said."""
    logger, most = _LOGGED[event.name]
    failed = event.error if event.name == "tool.end" else None
    level = most
    if event.name == "retry" and (event.attempt == 1 or not _unreachable(event.error)):
        level = logging.INFO  # a server that stays unreachable makes for a long silence
    elif event.name == "tool.end" and failed is None:
        level = _DEBUG
    if logger.isEnabledFor(level):
        logger.log(level, "%s", one_line(_WORDS[event.name](event)), exc_info=failed)
    if os.environ.get("PUTER_LOG_CONTENT") == "1" and logger.isEnabledFor(_DEBUG):
        for way, content in _content(event):
            logger.debug("%s %s: %s", event.subject, way, one_line(content))


def _unreachable(error: BaseException | None) -> bool:
    """No connection could be made."""
    return isinstance(error, PuterConnectionError) and not error.sent


def _where(event: Event) -> str:
    request = event.request
    return "" if request is None else f"{request.method} {request.where}"


def _response(event: Event) -> str:
    told = f"{event.subject}: attempt {event.attempt}, {_where(event)} -> {event.status}"
    return f"{told} in {event.seconds:.3f} s"


def _retry(event: Event) -> str:
    error = event.error
    detail = ""
    if isinstance(error, PuterError):
        detail = error.message if _unreachable(error) else error.code or ""
    reason = f"{type(error).__name__} {detail}".strip()
    told = f"{event.subject}: {_where(event)}: attempt {event.attempt} failed ({reason})"
    return f"{told}, next one in {event.delay:.2f} s"


def _end(event: Event) -> str:
    usage, cost = event.usage, event.cost
    tokens = f", {usage.input_tokens} + {usage.output_tokens} tokens" if usage else ""
    price = f", {cost:f} USD" if cost is not None else ""
    attempts = f", {event.attempt} attempts" if event.attempt != 1 else ""
    return f"{event.subject}: done in {event.seconds:.3f} s{attempts}{tokens}{price}"


def _tool(event: Event) -> str:
    name, number = (event.tool.name, event.tool.id) if event.tool else ("", "")
    if (error := event.error) is None:
        return f"{name} ran ({number})"
    return f"{name} failed ({number}): {type(error).__name__}: {words_of(error)}"


def _fallback(event: Event) -> str:
    error = event.error
    reason = f" after {type(error).__name__}: {words_of(error)}" if error is not None else ""
    return f"{event.operation}: {event.model} is asked instead{reason}"


_WORDS: dict[str, Callable[[Event], str]] = {
    "call.start": lambda event: f"{event.subject}: started",
    "call.end": _end,
    "response": _response,
    "retry": _retry,
    "throttle.wait": lambda event: f"{event.subject}: waited {event.seconds:.3f} s for its turn",
    "tool.end": _tool,
    "fallback": _fallback,
}
CALLS, _HTTP = logging.getLogger("puter.calls"), logging.getLogger("puter.http")
_LOGGED: dict[str, tuple[logging.Logger, int]] = {
    "call.start": (CALLS, _DEBUG),
    "call.end": (CALLS, _DEBUG),
    "response": (_HTTP, _DEBUG),
    "retry": (logging.getLogger("puter.retry"), logging.WARNING),
    "throttle.wait": (logging.getLogger("puter.throttle"), _DEBUG),
    "tool.end": (logging.getLogger("puter.tools"), logging.WARNING),
    "fallback": (CALLS, logging.INFO),
}
"""Where events are logged, and at which level at most. Errors have a story: ``puter.errors``."""
_LOG = Listener(_log)

NAMES = tuple(
    "call.start call.end call.error response retry throttle.wait stream.chunk tool.start tool.end "
    "history.commit fallback".split()
)  # fmt: skip
"""Of all events."""

_LONGEST = 4000
"""Characters of a content that is logged at most."""


def _content(event: Event) -> list[tuple[str, str]]:
    """What was said, with the secrets of the call taken out."""
    found: dict[str, Any] = {}
    secrets = event.call.shared.credentials.secrets(event.call.config)
    if event.name == "response" and event.request is not None:
        found = {"sent": event.request.body, "received": event.reply.body}
        secrets = (*secrets, *event.request.secrets)
    elif event.name == "call.end" and isinstance(event.reply, str):
        found = {"answer": event.reply}
    shown: list[tuple[str, str]] = []
    for way, content in found.items():
        text = content
        if isinstance(content, bytes):
            text = content[: 4 * _LONGEST].decode(errors="replace")
        if text and isinstance(text, str):
            shown.append((way, Redactor(secrets)(str(text), _LONGEST)))
    return shown


def log_to_stderr(level: str) -> None:
    """Show the log on stderr from a level on, as ``PUTER_LOG=debug`` asks for.

    Raises:
        PuterConfigError: There is no such level.
    """
    name = level.strip().upper()
    if name not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise PuterConfigError(
            f"PUTER_LOG={repr_of(level, 40)} is no level",
            hint="Use debug, info, warning or error.",
        )
    LOGGER.setLevel(name)
    if not any(getattr(one, "_of_puter", False) for one in LOGGER.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        handler._of_puter = True  # type: ignore[attr-defined]
        LOGGER.addHandler(handler)


Callback: TypeAlias = Callable[[Event], Awaitable[None] | None]
"""What ``on()`` takes."""
