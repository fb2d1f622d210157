"""The SDK's own log: a callback of the same events as everybody's."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from puter.engine.events import LOGGER, Event, Listener, Listeners, log_failure
from puter.engine.extensions import Extensions
from puter.exceptions import PuterConfigError, PuterConnectionError, PuterError, repr_of, words_of
from puter.wire.redact import Redactor, one_line

_DEBUG = logging.DEBUG


def listeners_of(extensions: Extensions, name: str) -> Listeners:
    """Who is to be told of an event of that name: nobody, most of the time."""
    found = extensions.listeners.get(name, ())
    logged = _LOGGED.get(name)
    if logged is not None and logged[0].isEnabledFor(logged[1]):
        return (_LOG, *found)
    return found


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
        text = one_line(_WORDS[event.name](event))
        if failed is None:
            logger.log(level, "%s", text)
        else:
            log_failure(logger, text, event, failed)
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

_LONGEST = 4000
"""Characters of a content that is logged at most."""


def _content(event: Event) -> list[tuple[str, str]]:
    """What was said, with the secrets of the call taken out."""
    found: dict[str, Any] = {}
    if event.name == "response" and event.request is not None and event.reply is not None:
        found = {"sent": event.request.body, "received": event.reply.body}
    elif event.name == "call.end" and isinstance(event.reply, str):
        found = {"answer": event.reply}
    shown: list[tuple[str, str]] = []
    for way, content in found.items():
        text = content
        if isinstance(content, bytes):
            text = content[: 4 * _LONGEST].decode(errors="replace")
        if text and isinstance(text, str):
            shown.append((way, Redactor(event._secrets)(str(text), _LONGEST)))
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
