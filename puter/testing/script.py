"""Who answers a chat: queued replies first, then the test's responder, then the built-in one."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from puter.testing.chat_call import ChatCall
from puter.testing.faults.plan import Plan
from puter.testing.media_call import AudioBody, MediaCall, MediaResponder, MediaResult
from puter.testing.refusals import internal_error
from puter.testing.replies import Answer, Fault, Reply, Responder

log: logging.Logger = logging.getLogger("puter.testing")


class Script:
    """What the test laid down: any thread may add to it, one event loop takes from it."""

    def __init__(self) -> None:
        self._queue: deque[Answer | Responder] = deque()
        self._media: deque[MediaResult | MediaResponder] = deque()
        self.plan: Plan = Plan()
        self.responder: Responder | None = None

    def queue(self, replies: tuple[Answer | Responder, ...]) -> None:
        """Lay down answers for the next chats. Raises TypeError for anything that is none."""
        _check(replies, (str, Reply, Fault), "a reply is a str, a Reply, a fault or a callable")
        self._queue.extend(replies)

    def queue_media(self, results: tuple[MediaResult | MediaResponder, ...]) -> None:
        """Lay down results for the next media calls. Raises TypeError for anything that is none."""
        kinds = (bytes, str, Mapping, AudioBody, Fault)
        text = "a media result is bytes, a str, a mapping, an AudioBody, a fault or a callable"
        _check(results, kinds, text)
        self._media.extend(results)

    async def answer(self, call: ChatCall) -> Reply | Fault | None:
        """The scripted answer to ``call``, or ``None`` when nothing was laid down."""
        entry = self._queue.popleft() if self._queue else self.responder
        answer = await _ask(entry, call) if callable(entry) else entry
        return Reply(text=answer) if isinstance(answer, str) else answer

    async def media_answer(self, call: MediaCall) -> MediaResult | None:
        """The scripted result of ``call``, or ``None`` when nothing was laid down."""
        entry = self._media.popleft() if self._media else None
        return await _ask(entry, call) if callable(entry) else entry


def _check(given: tuple[object, ...], kinds: tuple[type, ...], rule: str) -> None:
    for one in given:
        if not isinstance(one, kinds) and not callable(one):
            raise TypeError(f"{rule}, not {type(one).__name__}.")


async def _ask(responder: Callable[[Any], Any], call: object) -> Any:
    """What ``responder`` returns. A plain function may block without stopping the server."""
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(responder(call))
        except Exception as error:  # noqa: BLE001 - handed to the waiting request
            outcome.set_exception(error)

    try:
        if inspect.iscoroutinefunction(responder):
            return await responder(call)
        # A daemon thread rather than an executor, whose threads would keep the interpreter alive.
        outcome.set_running_or_notify_cancel()
        threading.Thread(target=run, name="LocalPuter responder", daemon=True).start()
        result = await asyncio.wrap_future(outcome)
        return await result if inspect.isawaitable(result) else result
    except Exception as error:
        log.exception("the responder %r raised", responder)
        raise internal_error() from error
