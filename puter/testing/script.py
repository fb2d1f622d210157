"""Who answers a chat: queued replies first, then the test's responder, then the built-in one."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from puter.testing.http import internal_error
from puter.testing.media import AudioBody, MediaResult
from puter.testing.replies import Answer, Fault, Reply, Responder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from puter.testing.chat import ChatCall
    from puter.testing.media import MediaCall, MediaResponder

log: logging.Logger = logging.getLogger("puter.testing")

_C = TypeVar("_C")
_R = TypeVar("_R")
Blocker: TypeAlias = "str | Callable[[str], object]"


@dataclass
class _Planned:
    fault: Fault
    times: int
    path: str | None


class Script:
    """What the test laid down; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Answer | Responder] = deque()
        self._media: deque[MediaResult | MediaResponder] = deque()
        self._planned: list[_Planned] = []
        self.responder: Responder | None = None
        self.blockers: tuple[Blocker, ...] = ()

    def queue(self, replies: tuple[Answer | Responder, ...]) -> None:
        """Lay down answers for the next chats. Raises TypeError for anything that is none."""
        for reply in replies:
            if not isinstance(reply, str | Reply | Fault) and not callable(reply):
                raise TypeError(
                    f"a reply is a str, a Reply, a fault or a callable, not {type(reply).__name__}."
                )
        with self._lock:
            self._queue.extend(replies)

    def queue_media(self, results: tuple[MediaResult | MediaResponder, ...]) -> None:
        """Lay down results for the next media calls. Raises TypeError for anything that is none."""
        for result in results:
            kinds = (bytes, str, Mapping, AudioBody, Fault)
            if not isinstance(result, kinds) and not callable(result):
                raise TypeError(
                    "a media result is bytes, a str, a mapping, an AudioBody, a fault or a "
                    f"callable, not {type(result).__name__}."
                )
        with self._lock:
            self._media.extend(results)

    def plan(self, fault: Fault, times: int, path: str | None) -> None:
        """Lay down a failure for the next requests."""
        with self._lock:
            self._planned.append(_Planned(fault, times, path))

    def planned_for(self, path: str) -> Fault | None:
        """The failure laid down for a request to ``path``, used up by this call."""
        with self._lock:
            for plan in self._planned:
                if plan.path in (None, path):
                    plan.times -= 1
                    if plan.times <= 0:
                        self._planned.remove(plan)
                    return plan.fault
        return None

    def blocks(self, text: str) -> bool:
        """True when one of the blockers is in, or objects to, ``text``."""
        return any(
            blocker in text if isinstance(blocker, str) else blocker(text)
            for blocker in self.blockers
        )

    async def answer(self, call: ChatCall) -> Reply | Fault | None:
        """The scripted answer to ``call``, or ``None`` when nothing was laid down."""
        with self._lock:
            entry = self._queue.popleft() if self._queue else self.responder
        if entry is None:
            return None
        if callable(entry):
            answer: Answer = await _ask(entry, call)
        else:
            answer = entry
        return Reply(text=answer) if isinstance(answer, str) else answer

    async def media_answer(self, call: MediaCall) -> MediaResult | None:
        """The scripted result of ``call``, or ``None`` when nothing was laid down."""
        with self._lock:
            entry = self._media.popleft() if self._media else None
        return await _ask(entry, call) if callable(entry) else entry


async def _ask(responder: Callable[[_C], _R | Awaitable[_R]], call: _C) -> _R:
    try:
        if inspect.iscoroutinefunction(responder):
            result: Any = await responder(call)
        else:
            result = await _in_thread(responder, call)
        given: _R = await result if inspect.isawaitable(result) else result
        return given
    except Exception as error:
        log.exception("the responder %r raised", responder)
        raise internal_error() from error


async def _in_thread(responder: Callable[[_C], _R | Awaitable[_R]], call: _C) -> _R | Awaitable[_R]:
    """Run a plain function in a thread of its own: it may block without stopping the server.

    A daemon thread rather than an executor, whose threads would keep the interpreter alive.
    """
    outcome: Future[_R | Awaitable[_R]] = Future()

    def run() -> None:
        try:
            outcome.set_result(responder(call))
        except Exception as error:  # noqa: BLE001 - handed to the waiting request
            outcome.set_exception(error)

    outcome.set_running_or_notify_cancel()
    threading.Thread(target=run, name="LocalPuter responder", daemon=True).start()
    return await asyncio.wrap_future(outcome)
