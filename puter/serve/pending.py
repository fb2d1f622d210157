"""Billed requests whose answers their callers did not get: they are not asked again unawares.

OpenAI's and Anthropic's clients repeat a request whose connection broke, or whose answer took
longer than their own timeout, and say so in a header. Puter has no way to know it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from puter.exceptions import PuterError
from puter.serve.problems import ONCE, Refused, may_come_again

if TYPE_CHECKING:
    from puter.ai import PuterAI
    from puter.engine.context import CallContext

CLIENT: web.AppKey[PuterAI] = web.AppKey("client")
"""Who asks Puter."""

_TRIES = "x-stainless-retry-count"
_MOST = 1000
"""Requests remembered."""


class PendingRequests:
    """The requests under way, and those given up, by their bodies."""

    def __init__(self) -> None:
        self._running: dict[bytes, list[web.Request]] = {}
        self._lost: dict[bytes, None] = {}

    @contextmanager
    def once(self, request: web.Request, body: bytes) -> Generator[PuterAI]:
        """While the request is carried out, by the client that this gives.

        It is lost when its caller has left before the answer, or the error, and something may have
        been billed. An error after which callers may ask again lets them: whose repetition then
        comes cannot be told.

        Raises:
            Refused: It is the repetition of one that may have been billed.
        """
        name = hashlib.sha256(request.path.encode() + b"\n" + body).digest()
        running = self._running.get(name, [])
        if request.headers.get(_TRIES, "0") != "0" and (
            name in self._lost or any(map(_has_left, running))
        ):
            raise Refused(
                409,
                "This request was sent before, and its caller left before the answer: it may be "
                "billed, so it was not asked again. Raise the timeout of your client, or send it "
                "anew.",
                "answer_lost",
                ONCE,
            )
        self._running[name] = [*running, request]
        calls: list[CallContext] = []
        watched = request.app[CLIENT]._twin()
        watched.on("call.start", lambda event: calls.append(event.call))
        lost = True  # when it is cancelled: the caller has left
        try:
            yield watched
            lost = _has_left(request)
        except Exception as error:
            lost = _has_left(request)
            if isinstance(error, PuterError) and may_come_again(error):
                lost = False
                self._lost.pop(name, None)
            raise
        finally:
            self._end(name, request, lost=lost and any(call.spent for call in calls))

    def _end(self, name: bytes, request: web.Request, *, lost: bool) -> None:
        self._running[name] = [one for one in self._running[name] if one is not request]
        if not self._running[name]:
            del self._running[name]
        if lost:
            self._lost.pop(name, None)
            self._lost[name] = None  # the latest last
            if len(self._lost) > _MOST:
                del self._lost[next(iter(self._lost))]


PENDING: web.AppKey[PendingRequests] = web.AppKey("pending", PendingRequests)
"""What may have been billed without that its caller knows the answer."""


def _has_left(request: web.Request) -> bool:
    """Whether nobody is there to hear the answer."""
    return request.transport is None or request.transport.is_closing()
