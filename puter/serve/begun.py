"""Billed requests whose answers their callers did not get: they are not asked again unawares.

OpenAI's and Anthropic's clients repeat a request whose connection broke, or whose answer took
longer than their own timeout, and say so in a header. Puter has no way to know it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager

from aiohttp import web

from puter.serve.errors import Refused

_TRIES = "x-stainless-retry-count"
_MOST = 1000
"""Requests remembered."""


class Begun:
    """The requests under way, and those given up, by their bodies."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}

    @contextmanager
    def once(self, request: web.Request, body: bytes) -> Generator[None]:
        """While the request is carried out.

        It is forgotten when its answer, or its error, has reached the caller.

        Raises:
            Refused: It is the repetition of one that may have been billed.
        """
        name = hashlib.sha256(request.path.encode() + b"\n" + body).digest()
        if request.headers.get(_TRIES, "0") != "0" and name in self._seen:
            raise Refused(
                409,
                "This request was sent before, and its caller left before the answer: it may be "
                "billed, so it was not asked again. Raise the timeout of your client, or send it "
                "anew.",
                "answer_lost",
                {"x-should-retry": "false"},
            )
        self._seen[name] = self._seen.pop(name, 0) + 1  # the latest last
        if len(self._seen) > _MOST:
            del self._seen[next(iter(self._seen))]
        try:
            yield
        except Exception:  # but no cancellation: the caller has left
            self._done(request, name)
            raise
        else:
            self._done(request, name)

    def _done(self, request: web.Request, name: bytes) -> None:
        if request.transport is None or request.transport.is_closing():
            return  # nobody is there to hear it
        left = self._seen.pop(name, 1) - 1
        if left > 0:
            self._seen[name] = left
