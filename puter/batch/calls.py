"""``batch`` and ``async_batch``, as methods of a client."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterable, Callable, Generator, Iterable
from concurrent import futures
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

from puter import checks
from puter.api.chat import ChatArguments
from puter.api.turn import ChatRequest
from puter.batch.answers import AnswerFile, check_apart
from puter.batch.progress import close_bar, open_bar
from puter.batch.prompts import EACH, BatchRequest, Prompts
from puter.batch.queued import Queued
from puter.batch.results import BatchResults
from puter.batch.running import Blocking, async_beginner, async_run, beginner
from puter.batch.scheduler import Scheduler
from puter.engine.client import Client, Prepared, limits_of
from puter.engine.failures import warn_of_blocking
from puter.exceptions import PuterInputError, repr_of
from puter.keywords import unexpected
from puter.options import CHAT_HINTS, ChatOptions
from puter.threads import running_loop
from puter.wire.redact import Redactor

if TYPE_CHECKING:
    from typing_extensions import Unpack

Template = str | Callable[[Any], Any]
_UNLIMITED = 32
"""Calls at a time where the client sets no limit."""


def batch(
    self: Client,
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    template: Template = EACH,
    function: Callable[[Any, Any], Any] | None = None,
    model: str | None = None,
    output: str | os.PathLike[str] | None = None,
    concurrency: int | None = None,
    on_error: Literal["keep", "raise"] = "keep",
    progress: bool | None = None,
    executor: Executor | None = None,
    **arguments: Unpack[ChatArguments],
) -> Prepared[BatchResults]:
    """Ask about many items, several at a time, and give the answers in their order.

    Each item is a chat of its own: no history is sent, and none remembered. Items are taken as they
    are needed, so a generator may bring millions. With ``output`` each answer is a line of JSON in
    a file as soon as it comes; the same call made again, after a crash or ``kill -9``, reads what
    is there and asks the rest and what failed.

    A spent budget, a refused sign-in or token, a quota, a model that is not known and a full disk
    stop the batch: nothing more is asked, as all would fail alike. Ctrl-C lets calls under way come
    to their end, as they are paid, and is raised then; the second ends at once.

    Args:
        items: What to ask about: any iterable; for ``async_batch()`` also an async one.
        template: What to say of an item: a text in which ``{field}`` is that of a mapping and
            ``{item}`` any other item (a brace itself is ``{{`` or ``}}``); or a function of the
            item that returns the prompt, a list of messages, or a dict of arguments of ``chat()``
            such as ``{"prompt": "What is this?", "images": item}``. Default: the item as it is.
        function: Called with a client and the item, in place of a chat; what it returns, a reply or
            what JSON can say, is the answer. Coroutine functions are for ``async_batch()``.
        model: Which model. Default: ``current_model`` when the batch begins.
        output: A file of JSON lines, with the keys key, item, text, model, usage, cost, error.
            Default: the answers are returned alone.
        concurrency: Calls at a time at most, 1 or more. Chats among them that the client's own
            limits let not be sent yet wait for their turn, and are given up when the batch stops.
            Default: as many as these ever allow; as many as an executor has workers.
        on_error: ``"keep"``: a failed item has its exception in the results. ``"raise"``: nothing
            more is begun, and the first failure is raised with what is done as ``.results``.
        progress: Show a bar with cost and remaining time (needs tqdm). Default: where stderr is a
            terminal and tqdm is installed.
        executor: Where calls run: any ``concurrent.futures.Executor``, such as a
            ``ProcessPoolExecutor`` or Dask's ``client.get_executor()``. Workers take the token from
            their environment. Default: threads, or tasks, of this process.
        **arguments: Of the chats: ``system``, ``temperature``, ``tools`` and more; see ``chat()``.

    Returns:
        A list of ``ChatReply`` or exceptions, with ``.cost``, ``.errors``, ``.summary()`` and more.

    Raises:
        TypeError: An argument is unknown.
        PuterInputError: An argument is wrong, or the first item does not fit the template, or the
            file is none of a batch or in use by one; nothing was sent.
        PuterConfigError: The function, or an extension of the client, cannot be sent to workers.
        OSError: The file cannot be opened.
        PuterError: The first failure, with ``on_error="raise"``.

    Examples:
        >>> rows = [{"country": "France"}]
        >>> asked = "What is the capital of {country}?"
        >>> ai.batch(rows, template=asked, output="answers.jsonl")
        [ChatReply('Paris', model='gpt-5-nano', cost=0.0000...)]
    """
    return BatchRun(
        self, items, template=template, function=function, model=model, output=output,
        concurrency=concurrency, on_error=on_error, progress=progress, executor=executor,
        arguments=dict(arguments),
    )  # fmt: skip


vars(batch)["defaults"] = ChatRequest  # of its options, as ``help()`` shows them


class BatchRun:
    """One batch, its arguments checked."""

    def __init__(
        self,
        client: Client,
        items: Any,
        *,
        template: Template,
        function: Callable[..., Any] | None,
        model: str | None,
        output: str | os.PathLike[str] | None,
        concurrency: int | None,
        on_error: str,
        progress: bool | None,
        executor: Executor | None,
        arguments: dict[str, Any],
    ) -> None:
        for name in arguments:
            if name not in _KNOWN:
                raise unexpected(batch, name, _KNOWN, CHAT_HINTS)
        iterable = hasattr(items, "__iter__") or hasattr(items, "__aiter__")
        if isinstance(items, (str, bytes)) or not iterable:
            raise PuterInputError(
                f"items must be a list or another iterable, not {repr_of(items)}",
                hint="One question is chat(prompt); lines of a file are open(path).",
            )
        if type(items).__name__ == "DataFrame":  # which iterates over names of columns
            raise PuterInputError(
                "items is a DataFrame", hint='Pass its rows: frame.to_dict("records").'
            )
        client._shared.transports.check_open()
        checks.one_of(("keep", "raise"))("on_error", on_error)
        checks.one_of((None, True, False))("progress", progress)
        if executor is not None and not isinstance(executor, futures.Executor):
            raise PuterInputError(
                f"executor must be a concurrent.futures.Executor, not {repr_of(executor)}",
                hint="That of a client of Dask is client.get_executor().",
            )
        if concurrency is not None:
            checks.whole_number("concurrency", concurrency, least=1)
        if model is not None and function is not None:
            arguments["model"] = model
        self._begun = client
        # Settings as they are now, no history; the same throttle, ledger and extensions.
        self._client: Any = cast("Any", client).with_options()
        self._items, self._function, self._executor = items, function, executor
        self._queued = Queued()
        if function is None and isinstance(executor, (futures.ThreadPoolExecutor, type(None))):
            self._client.use(self._queued).use(self._queued.attempt, per_attempt=True)
        self._template, self._model, self._arguments = template, model, arguments
        self._output, self._progress = output, progress
        self._raises = on_error == "raise"
        self._concurrency = concurrency or _usual(client, executor)
        self._total: int | None = len(items) if hasattr(items, "__len__") else None

    def blocking(self) -> BatchResults:
        """Run it in this thread."""
        if not hasattr(self._items, "__iter__"):
            raise PuterInputError(
                "batch() takes no asynchronous items", hint="Await async_batch() instead."
            )
        if inspect.iscoroutinefunction(self._function):
            raise PuterInputError(
                "batch() takes no coroutine function", hint="Await async_batch() instead."
            )
        if running_loop() is not None:
            warn_of_blocking(self._begun._begin("batch"))
        door = Blocking()
        prompts = self._prompts("chat")
        begin = beginner(self._client, self._function, self._executor)
        with self._opened(prompts, begin, door.changed) as scheduler:
            door.run(scheduler, self._items)
            return scheduler.conclude(self._total)

    async def asynchronous(self) -> BatchResults:
        """Run it in this task."""
        import asyncio

        changed = asyncio.Event()
        prompts = self._prompts("async_chat" if self._executor is None else "chat")
        begin = async_beginner(self._client, self._function, self._executor)
        with self._opened(prompts, begin, changed.set) as scheduler:
            await async_run(scheduler, self._items, changed)
            return scheduler.conclude(self._total)

    def _prompts(self, method: str) -> Prompts:
        model = self._model or self._client.current_model
        asked = self._template, self._function, model, method, self._arguments
        prompts = Prompts(*asked, keyed=self._output is not None)
        prompts.check(self._items)
        return prompts

    @contextmanager
    def _opened(
        self, prompts: Prompts, begin: Callable[[BatchRequest], Any], changed: Callable[[], object]
    ) -> Generator[Scheduler, None, None]:
        bar = open_bar(self._progress, self._total)
        try:
            file = self._file()
            try:
                yield Scheduler(
                    prompts,
                    file,
                    self._concurrency,
                    raises=self._raises,
                    begin=begin,
                    changed=changed,
                    give_up=self._queued.give_up,
                    redact=Redactor(self._client._shared.credentials.secrets(self._client.config)),
                    bar=bar,
                )
            finally:
                if file is not None:
                    file.close()
        finally:
            close_bar(bar)

    def _file(self) -> AnswerFile | None:
        if self._output is None:
            return None
        if hasattr(self._items, "fileno"):
            check_apart(self._items, self._output)
        return AnswerFile(self._output)


_KNOWN = frozenset([*ChatArguments.__annotations__, *ChatOptions.__annotations__, "stream"])


def _usual(client: Client, executor: Executor | None) -> int:
    """Calls at a time: as many as an executor has workers, or the client ever lets run."""
    found = getattr(executor, "_max_workers", None)
    if isinstance(found, int):
        return found
    return int(min(limits_of(client.config)[2], _UNLIMITED))
