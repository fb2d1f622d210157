"""``Scheduler``: what is asked next, and what becomes of an answer; alike for both doors."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any, Literal

from puter.batch.answers import LOGGER, AnswerFile
from puter.batch.progress import advance
from puter.batch.prompts import BatchRequest, Prompts
from puter.batch.queued import NotAsked
from puter.batch.records import paid_of, record_of
from puter.batch.results import BatchResults
from puter.engine.clock import monotonic
from puter.exceptions import (
    PuterAuthError,
    PuterBudgetError,
    PuterConfigError,
    PuterInputError,
    PuterModelNotFoundError,
    PuterPermissionError,
    PuterQuotaError,
    words_of,
)
from puter.jsonable import to_json
from puter.records import dataclass
from puter.types.replies import ChatReply
from puter.wire.redact import Redactor

STOPS = (
    PuterAuthError,
    PuterBudgetError,
    PuterConfigError,
    PuterPermissionError,
    PuterQuotaError,
    BrokenExecutor,
)
"""Errors that every other item would meet as well."""
_LONGEST_ERROR = 1000
"""Characters of an error in the file at most."""


@dataclass(slots=True, eq=False)
class Job:
    """An item that is asked."""

    index: int
    """Where its answer goes."""
    request: BatchRequest
    limit: int = 0
    """How many could run when it was begun."""


class Scheduler:
    """Decides. It is told of items by ``take()``, and begins a call by ``begin(request)``.

    Whoever runs it does what ``wants()`` says: hands in an item, or waits until ``changed`` was
    called. Answers are written down where they arrive, so neither a slow source of items nor an
    interrupt keeps one from the file.

    Args:
        prompts: What is asked of an item.
        file: Where the answers go, if anywhere.
        concurrency: Calls at a time.
        raises: The first failure ends the batch.
        begin: Begins a call: a future, of a thread or of asyncio.
        changed: Called after each answer, in any thread.
        give_up: Called when it stops: what was begun and only queues is not sent.
        redact: Takes secrets out of what an error says.
        bar: Shows how far it is; None for none.
    """

    def __init__(
        self,
        prompts: Prompts,
        file: AnswerFile | None,
        concurrency: int,
        *,
        raises: bool,
        begin: Callable[[BatchRequest], Any],
        changed: Callable[[], object],
        give_up: Callable[[], object],
        redact: Redactor,
        bar: Any,
    ) -> None:
        self._prompts, self._most, self._bar = prompts, concurrency, bar
        self._raises, self._begin, self._changed, self._redact = raises, begin, changed, redact
        self._give_up = give_up
        self.file: AnswerFile | None = file
        self.results: BatchResults = BatchResults()
        self.running: dict[Job, Any] = {}
        self._limit = concurrency
        self._again: deque[Job] = deque()
        self._open: set[int] = set()
        """Places of the results that are still empty; a function may return None."""
        self._exhausted = False
        self._failed = 0
        self._lock = threading.RLock()
        self._started = monotonic()

    @property
    def stopped(self) -> BaseException | None:
        """Why nothing more is begun."""
        return self.results.stopped

    def stop(self, reason: BaseException) -> None:
        """Begin nothing more; what runs comes to its end."""
        if self.results.stopped is None:
            self.results.stopped = reason
            self._give_up()

    def wants(self) -> Literal["item", "answer"] | None:
        """What it needs to go on; None when it is over."""
        while True:
            with self._lock:
                running, full = len(self.running), len(self.running) >= self._limit
                job = None
                if self.stopped is None and not full and self._again:
                    job = self._again.popleft()
                elif self.stopped is not None or full or self._exhausted:
                    return "answer" if running else None
            if job is None:
                return "item"
            self._start(job)

    def end(self) -> None:
        """There are no more items."""
        self._exhausted = True

    def take(self, item: Any) -> None:
        """Ask an item, unless its answer is in the file.

        Raises:
            Exception: The first item cannot be asked: nothing was sent.
        """
        with self._lock:
            index = len(self.results)
            self.results.append(None)
            self._open.add(index)
        try:
            request = self._prompts(item)
            if self.file is not None:
                self._prompts.name(request)
        except Exception as error:
            if index == 0:
                raise
            with self._lock:
                self._settle(index, error)
            return
        if self.stopped is not None:  # while the item or its prompt was made
            return
        if self.file is None or request.key not in self.file:
            self._start(Job(index, request))
            return
        with self._lock:
            try:
                self.results[index] = self.file[request.key]
            except OSError as error:
                self.stop(error)
                return
            self._open.discard(index)
            self.results.reused += 1
            advance(self._bar, self.results.cost, self._failed, reused=True)

    def _start(self, job: Job) -> None:
        with self._lock:
            job.limit = self._limit
            self.running[job] = None
        try:
            future = self._begin(job.request)
        except BaseException as error:  # an executor that is shut down or broken, or no thread
            with self._lock:
                self.running.pop(job, None)
            self.stop(error)
            if not isinstance(error, Exception):
                raise
            return
        with self._lock:
            if job in self.running:
                self.running[job] = future
        future.add_done_callback(partial(self._finish, job))

    def _finish(self, job: Job, future: Any) -> None:
        """Take the answer, in whatever thread it came."""
        try:
            with self._lock:
                self.running.pop(job, None)
                if future.cancelled():  # by whoever shuts an executor down
                    self._settle(job.index, CancelledError())
                    return
                error = future.exception()
                if isinstance(error, NotAsked):
                    return
                outcome = future.result() if error is None else error
                if _is_refused(job, outcome):
                    self._refused(job, outcome)
                    return
                if not isinstance(outcome, BaseException):
                    self._limit = min(self._most, self._limit + 1)
                self._settle(job.index, outcome, job.request)
        except BaseException as error:  # noqa: BLE001 - a future would swallow it
            self.stop(error)
        finally:
            self._changed()

    def _refused(self, job: Job, error: PuterBudgetError) -> None:
        """Ask it again where others ran, whose cost the budget did not know yet; else stop."""
        if job.limit == 1 or self.stopped is not None:
            self.stop(error)
            return
        self._limit = max(1, min(self._limit, len(self.running)))
        self._again.append(job)

    def _settle(self, index: int, outcome: Any, request: BatchRequest | None = None) -> None:
        """Keep and write down what became of an item; without ``request`` it was not asked."""
        results = self.results
        results[index] = outcome
        self._open.discard(index)
        if (paid := paid_of(outcome)) is not None:
            results.cost += paid.cost or Decimal(0)
            results.unpriced += paid.cost is None
        error = outcome if isinstance(outcome, BaseException) else None
        self._failed += error is not None
        results.finished.append((monotonic() - self._started, results.cost))
        if error is not None and (self._raises or self._hits_all(request, error)):
            self.stop(error)
        if request is not None and self.file is not None:
            self._write(request, outcome)
        advance(self._bar, results.cost, self._failed, reused=False)

    def _hits_all(self, request: BatchRequest | None, error: BaseException) -> bool:
        """Whether every other item would meet it as well."""
        if request is None:
            return False
        if isinstance(error, PuterModelNotFoundError):
            return (
                request.arguments is not None and request.arguments["model"] == self._prompts.model
            )
        return isinstance(error, STOPS)

    def _write(self, request: BatchRequest, outcome: Any) -> None:
        file: Any = self.file
        try:
            plain = isinstance(outcome, (ChatReply, BaseException))
            written = outcome if plain else to_json(outcome)
            record = record_of(request.key, request.shown, written)
            if record["error"] is not None:  # it may be a function's own, or a library's
                record["error"] = self._redact(record["error"], _LONGEST_ERROR)
            try:
                file.write(record)
            except OSError as error:
                self.results.unwritten.append(record)
                self.stop(error)
        except Exception as error:  # noqa: BLE001 - of a class of the user's
            raise PuterInputError(
                f"A result cannot be written to the file: {words_of(error)}",
                hint="Let the function return a str, a reply, or what JSON can say.",
            ) from None

    def _check_file(self) -> None:
        """Rescue what the file lacks, if it was removed, replaced or cut off."""
        if self.file is not None:
            try:
                self.file.check_there()
            except OSError as error:
                self.results.unwritten[:0] = self.file.lost()
                self.stop(error)

    def conclude(self, total: int | None) -> BatchResults:
        """The results.

        Args:
            total: How many items there are, where that is known.

        Raises:
            BaseException: What ended it, where that is raised.
        """
        self._check_file()
        results, reason = self.results, self.stopped
        results.elapsed = monotonic() - self._started
        if reason is None:
            return results
        self._fill(reason, total or 0)
        kept = (*STOPS, PuterModelNotFoundError, OSError)
        if self._raises or not isinstance(reason, kept) or isinstance(reason, PuterConfigError):
            raise with_results(reason, results)
        LOGGER.warning("The batch stopped: %s", words_of(reason))
        return results

    def ended_by(self, error: BaseException) -> BaseException:
        """The error, with what was done before it as its ``results``."""
        self._check_file()
        self._fill(error, 0)
        return with_results(error, self.results)

    def _fill(self, reason: BaseException, total: int) -> None:
        """Let those that were not asked have why not."""
        results = self.results
        with self._lock:
            for index in self._open:
                results[index] = reason
            untaken = max(0, total - len(results))
            results.extend([reason] * untaken)
            results.not_asked = len(self._open) + untaken


def _is_refused(job: Job, outcome: Any) -> bool:
    """Whether a budget refused a chat of which nothing was answered.

    One of which a round was answered would be paid twice, and its tools would run twice; what a
    function did before nobody knows.
    """
    chat = job.request.arguments is not None
    return chat and isinstance(outcome, PuterBudgetError) and paid_of(outcome) is None


def with_results(error: BaseException, results: BatchResults) -> BaseException:
    """The error, with what was done before it as its ``results``."""
    with suppress(AttributeError, TypeError):
        error.results = results  # type: ignore[attr-defined]
    return error
