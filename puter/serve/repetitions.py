"""Billed requests whose answers their callers may not have got: they are not asked again unawares.

OpenAI's and Anthropic's clients repeat a request whose connection broke, or whose answer took
longer than their own timeout, and say so in a header. Puter has no way to know it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from aiohttp import web

from puter.engine.effects import Flow
from puter.engine.middleware import CallNext, Request
from puter.exceptions import PuterError
from puter.serve.problems import ONCE, Paid, Refused, may_come_again
from puter.serve.shared import CLIENT

if TYPE_CHECKING:
    from puter.ai import PuterAI
    from puter.engine.context import CallContext

_TRIES = "x-stainless-retry-count"
_MOST = 1000
"""Requests remembered."""
_LONGEST = 900.0
"""Seconds for which they are: the vendors' clients wait 600 for an answer that was lost."""


@dataclass(slots=True)
class _Ended:
    """What became of equal requests."""

    at: float = 0.0
    billed: bool = False
    free: int = 0
    """Errors after which callers may ask again, and have not yet."""


class Repetitions:
    """Knows the requests under way, and those that ended lately, by their bodies."""

    def __init__(self) -> None:
        self._running: dict[bytes, list[web.Request]] = {}
        self._ended: dict[bytes, _Ended] = {}  # the latest last

    @contextmanager
    def once(self, request: web.Request, body: bytes) -> Generator[PuterAI]:
        """While the request is carried out, by the client that this gives.

        Whether an answer reached its caller is not known: it may be lost on its way. An error after
        which callers may ask again lets one of them: whose repetition then comes cannot be told.

        The repetition of one that may have been billed raises Refused where the client would ask
        Puter: what it has the answer to without, as a cache does, is answered.
        """
        name = hashlib.sha256(request.path.encode() + b"\n" + body).digest()
        running = self._running.get(name, [])
        calls: list[CallContext] = []
        watched = request.app[CLIENT]._twin()
        watched.on("call.start", lambda event: calls.append(event.call))
        if request.headers.get(_TRIES, "0") != "0" and self._may_be_billed(name, running):
            watched.use(_ask_no_more)  # innermost
        self._running[name] = [*running, request]
        free = False
        try:
            yield watched
        except PuterError as error:
            if any(call.spent for call in calls):
                raise Paid(error) from None
            free = may_come_again(error)
            raise
        finally:
            self._end(name, request, free=free, billed=any(call.spent for call in calls))

    def _may_be_billed(self, name: bytes, running: list[web.Request]) -> bool:
        """Whether a repetition is of such a request; else one less is waited for."""
        self._forget(monotonic() - _LONGEST)
        ended = self._ended.get(name, _Ended())
        if ended.free:
            ended.free -= 1
            return False
        return ended.billed or any(map(_has_left, running))

    def _end(self, name: bytes, request: web.Request, *, free: bool, billed: bool) -> None:
        self._running[name] = [one for one in self._running[name] if one is not request]
        if not self._running[name]:
            del self._running[name]
        if free or billed:
            ended = self._ended.pop(name, _Ended())
            ended.at = monotonic()
            if billed:
                ended.billed = True
            else:
                ended.free += 1
            self._ended[name] = ended
            self._forget(ended.at - _LONGEST)

    def _forget(self, before: float) -> None:
        """Forget what ended before that, and what is too many."""
        while self._ended:
            oldest = next(iter(self._ended))
            if len(self._ended) <= _MOST and self._ended[oldest].at >= before:
                break
            del self._ended[oldest]


REPETITIONS: web.AppKey[Repetitions] = web.AppKey("repetitions", Repetitions)
"""Of requests to an application."""


def _ask_no_more(_request: Request, _call_next: CallNext) -> Flow[Any]:
    """Middleware for repetitions that Puter is not to be asked."""
    yield from ()
    raise Refused(
        409,
        "This request was sent before, and its answer was lost, or its caller left before it: it "
        "may be billed, so it was not asked again. Raise the timeout of your client, or send it "
        "anew.",
        "answer_lost",
        ONCE,
    )


def _has_left(request: web.Request) -> bool:
    """Whether nobody is there to hear the answer."""
    return request.transport is None or request.transport.is_closing()
