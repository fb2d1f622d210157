"""``Cache``: an answer that was paid for once is given again."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from puter import checks
from puter.engine.clock import monotonic
from puter.engine.effects import Acquire, Flow, Invoke, do
from puter.engine.middleware import CallNext, Request
from puter.engine.throttle import Throttle
from puter.exceptions import PuterError, PuterInputError, PuterTimeoutError, repr_of
from puter.extensions.cache_entries import entry_of, is_kept, key_of, reply_of
from puter.extensions.flights import Flights
from puter.extensions.single import Single
from puter.extensions.stores import MemoryStore, RedisStore, SqliteStore, Store
from puter.process import short_lock
from puter.types.replies import ChatReply
from puter.wire.redact import Redactor

if TYPE_CHECKING:
    from typing_extensions import Self

_LOGGER = logging.getLogger("puter.cache")
_PAUSE = 30.0
"""Seconds that a store which failed is left alone."""
_MAX_ENTRIES = 10_000
_FAILED: Any = object()


class Cache(Single):
    """Gives an answer that was paid for once again, without asking.

    ``client.use(Cache())`` keeps the answers of ``chat`` and ``parse``. The key is all that
    determines an answer: host or driver, model, messages with their pictures and files, options,
    tools. A stream is answered by what a whole answer left, and the other way round. Calls that
    want the same at the same time wait for the first of them.

    Only whole answers of the model are kept: none that ended early (``length``,
    ``content_filter``), that calls or ran tools, or that came with pictures by URL; never an error.

    A hit is a ``ChatReply`` with ``cached=True``, cost 0 and the ``usage`` of the answer that was
    paid. Nothing of it is in ``client.usage``.

    A store that fails does not fail a call: it goes on without, and the logger ``puter.cache``
    warns once.

    Args:
        path: A SQLite file, which several processes may share, or the URL of a Redis server
            (``redis://``, ``rediss://``, ``unix://``; needs ``pip install redis``).
            It is opened when it is first used; a new file is for its user alone. Default: memory.
        ttl: Seconds that an answer is given again, above 0. Default: for ever.
        max_entries: Answers that it keeps, 1 or more: those that were used last. Default 10,000.
        store: A store of your own, in place of ``path``: see ``Store``.

    Raises:
        PuterInputError: An argument is not valid.
        PuterConfigError: The URL is not one that it knows, or ``redis`` is not installed.

    Examples:
        >>> cache = Cache()
        >>> ai = PuterAI().use(cache)
        >>> [ai.chat("Say hello", remember=False).cached for _ in range(2)]
        [False, True]
        >>> cache.hits, cache.misses
        (1, 1)
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        ttl: float | None = None,
        max_entries: int = _MAX_ENTRIES,
        store: Store | None = None,
    ) -> None:
        if ttl is not None:
            checks.SECONDS.kind(whole=False)("ttl", ttl)
        checks.whole_number("max_entries", max_entries, least=1)
        self._ttl = math.inf if ttl is None else ttl
        self._store = _store_of(path, store, ttl, max_entries)
        self._flights = Flights()
        self._paused_until = {"get": -math.inf, "set": -math.inf}
        self._warned = False
        self.hits: int = 0
        """Calls that were answered from it."""
        self.misses: int = 0
        """Calls that it had no answer to; those that it has none to ever do not count."""

    def middleware(self, request: Request, call_next: CallNext) -> Flow[Any]:
        """Answer a call from the store, or keep its answer."""
        key = None
        if request.operation in ("chat", "parse") and request.args.get("resume") is None:
            key = key_of(request, _who_answers(request))
        if key is None:
            return (yield from call_next(request))
        if request.args.get("tools") is not None and request.args.get("run_tools"):
            return (yield from self._answer(key, request, call_next))  # what tools do is not shared
        call, queue = request.call, self._flights.queue(key)
        permit = call.permit(queue)
        try:
            try:
                yield Acquire(permit, call.time_left())
            except PuterTimeoutError:
                raise
            except PuterError:
                pass  # the flight is an open stream that nobody reads: not worth waiting for
            return (yield from self._answer(key, request, call_next, queue))
        finally:
            permit.release()
            call.permits.remove(permit)  # its queue goes with the last who holds it

    def _answer(
        self, key: str, request: Request, call_next: CallNext, queue: Throttle | None = None
    ) -> Flow[Any]:
        """The answer that is kept, else the model's."""
        entry = yield from self._try("get", key)
        hit = None if entry is None else reply_of(entry, request, time.time() - self._ttl)
        if hit is not None and not request.fits(hit):
            hit = None  # the type takes less than it did, or the entry is damaged
        with short_lock():
            self.hits += hit is not None
            self.misses += hit is None
        if hit is not None:
            return hit
        reply = yield from call_next(request)
        whole = isinstance(reply, ChatReply) and is_kept(reply, request)
        kept = entry_of(reply, request, time.time()) if whole else None
        done = _FAILED if kept is None else (yield from self._try("set", key, kept))
        if done is _FAILED and queue is not None:
            self._flights.land(key, queue)
        return reply

    def _try(self, action: str, *args: str) -> Flow[Any]:
        """What the store returns; ``_FAILED`` where it does not work, which the log tells."""
        if monotonic() < self._paused_until[action]:
            return _FAILED
        try:
            method = getattr(self._store, action)
            return (
                yield from do(Invoke(method, args, inline=isinstance(self._store, MemoryStore)))
            )
        except Exception as error:  # noqa: BLE001 - an answer that is paid for is worth more
            # Where nothing can be read nothing can be written; not the other way round.
            for one in ("get", "set") if action == "get" else ("set",):
                self._paused_until[one] = monotonic() + _PAUSE
            level = logging.DEBUG if self._warned else logging.WARNING
            self._warned = True
            told = Redactor()(f"{type(error).__name__}: {error}", 500)
            _LOGGER.log(level, "The cache fails, and calls go on without it: %s", told)
            return _FAILED

    def clear(self) -> None:
        """Forget all answers.

        Raises:
            PuterError: A store of your own has no ``clear()``.
            Exception: That of the store.
        """
        clear = getattr(self._store, "clear", None)
        if clear is None:
            raise PuterError(f"{type(self._store).__name__} has no clear()")
        clear()

    def close(self) -> None:
        """Close the file or the connections; they are opened again when they are needed."""
        close = getattr(self._store, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Cache in {self._store!r}: {self.hits} hits, {self.misses} misses>"


def _who_answers(request: Request) -> str:
    """The host; or the driver, its address, and what it calls the model."""
    call, name = request.call, str(request.model)
    server = call.extensions.server_of(name)
    if server is None:
        return str(call.config.api_base)
    driver = server.driver
    known = driver.models.get(name) if isinstance(driver.models, Mapping) else name
    return f"{server.name} {server.address} {known}"


def _store_of(path: Any, store: Any, ttl: float | None, max_entries: int) -> Any:
    if store is not None:
        if path is not None:
            raise PuterInputError("Give the cache a path or a store, not both")
        if not isinstance(store, Store):
            raise PuterInputError(
                f"store must have the methods get and set, not be {repr_of(store)}"
            )
        return store
    if path is None:
        return MemoryStore(max_entries)
    if isinstance(path, str):
        checks.text("path", path)
        scheme, found, _ = path.partition("://")
        if found and scheme in ("redis", "rediss", "unix"):
            return RedisStore(path, max_entries, ttl)
        if found or path == ":memory:":
            raise PuterInputError(
                f"There is no cache in {scheme!r}",
                hint="Give a file, a redis:// URL, or nothing for memory.",
            )
    elif not isinstance(path, os.PathLike):
        raise PuterInputError(
            f"path must be a file or a redis:// URL, not {repr_of(path)}",
            hint="A store of your own is store=...",
        )
    return SqliteStore(path, max_entries)
