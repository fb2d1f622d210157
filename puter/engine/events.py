"""What happens in calls, as frozen values: for callbacks, of which the SDK's own log is one."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from puter.checks import did_you_mean, near_misses
from puter.engine.extensions import Extensions
from puter.exceptions import PuterConfigError, PuterError, repr_of, words_of
from puter.process import late, short_lock
from puter.records import dataclass, field
from puter.secret import Secret
from puter.threads import running_loop
from puter.wire.redact import Redactor, one_line

if TYPE_CHECKING:
    import inspect
    import traceback
    from decimal import Decimal

    from puter.types.replies import ChatChunk, ToolCall, Usage
    from puter.wire.http import HttpRequest
else:
    inspect, traceback = late("inspect"), late("traceback")

LOGGER = logging.getLogger("puter")


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
    def _secrets(self) -> tuple[Secret, ...]:
        """What must not be shown of what belongs to the event."""
        of_request = () if self.request is None else self.request.secrets
        return (*self.call.shared.credentials.secrets(self.call.config), *of_request)

    @property
    def subject(self) -> str:
        """Operation and model, as log lines begin."""
        return f"{self.operation} {self.model}" if self.model else self.operation

    def __repr__(self) -> str:
        told = [f"{self.name} of {self.subject}"]
        told += [f"attempt {self.attempt}"] if self.name in ("response", "retry") else []
        told += [f"{self.seconds:.3f} s"] if self.seconds is not None else []
        told += [f"{self.cost:f} USD"] if self.cost is not None else []
        told += [type(self.error).__name__] if self.error is not None else []
        return f"<Event {', '.join(told)}>"


NAMES = tuple(
    "call.start call.end call.error response retry throttle.wait stream.chunk tool.start tool.end "
    "history.commit fallback".split()
)  # fmt: skip
"""Of all events."""


class Listener:
    """A callback, and whether it has failed before: that is logged once."""

    __slots__ = ("callback", "failed")

    def __init__(self, callback: Callable[[Event], Any]) -> None:
        self.callback: Callable[[Event], Any] = callback
        self.failed: bool = False

    def note_failure(self, event: Event, error: Exception) -> None:
        if not self.failed:
            self.failed = True
            name = getattr(self.callback, "__qualname__", type(self.callback).__name__)
            told = f"the callback {name} failed at {event.name}, and further failures of it are not"
            told = f"{told} logged: {type(error).__name__}: {words_of(error)}"
            log_failure(LOGGER, one_line(told), event, error)


Listeners: TypeAlias = Sequence[Listener]


def log_failure(logger: logging.Logger, text: str, event: Event, error: BaseException) -> None:
    """Warn of what the user's own code raised, without secrets of the call.

    With its traceback, but for errors of the SDK, which say in words what to do.
    """
    redactor = Redactor(event._secrets)
    if isinstance(error, PuterError):
        logger.warning("%s", redactor(text))
        return
    story = "".join(traceback.format_exception(error))
    if (shown := redactor(story)) == story:
        logger.warning("%s", text, exc_info=error)
    else:
        logger.warning("%s\n%s", redactor(text), shown)


def tell(event: Event, listeners: Listeners, *, ending: bool = False) -> None:
    """Call the callbacks, which cannot break the call.

    Args:
        event: What happened.
        listeners: Whose callbacks.
        ending: The call is closed, and nothing of it can wait any more: coroutines are left to the
            loop that runs, if one does.
    """
    for one in listeners:
        try:
            answer = one.callback(event)
            if answer is None or not inspect.isawaitable(answer):
                continue
            if ending and (loop := running_loop()) is not None:
                task = loop.create_task(_guarded(one, event, answer))
                _ending.add(task)
                task.add_done_callback(_ending.discard)
                continue
            getattr(answer, "close", str)()
            raise TypeError("it is asynchronous, and nothing is awaited here")
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises
            one.note_failure(event, error)


_ending: set[Any] = set()
"""Tasks of callbacks of calls that are over: a loop keeps them weakly."""


async def _guarded(listener: Listener, event: Event, answer: Awaitable[Any]) -> None:
    try:
        await answer
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises
        listener.note_failure(event, error)


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
