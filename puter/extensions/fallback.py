"""``Fallback``: other models for calls whose model is down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from puter.checks import Range
from puter.checks import text as text_kind
from puter.engine.clock import monotonic
from puter.engine.effects import Flow
from puter.engine.middleware import CallNext, Request, notify
from puter.exceptions import (
    PuterConnectionError,
    PuterError,
    PuterInputError,
    PuterModelNotFoundError,
    PuterRateLimitError,
    PuterServerError,
    PuterStreamError,
)
from puter.extensions.single import Single
from puter.models import registry
from puter.types.replies import ChatReply
from puter.wire.json import as_bool_or_none

_KINDS = {"chat": "chat", "parse": "chat", "txt2img": "image", "txt2vid": "video"}
"""Of which kind the models of an operation are."""
_VENDOR_FAILED = frozenset(
    (
        "upstream_provider_unavailable",
        "upstream_failed",
        "upstream_auth_failed",
        "upstream_credits_exhausted",
        "upstream_rate_limited",
    )
)
"""The server's codes for a vendor that did not answer: nothing is billed as far as is known."""


class Fallback(Single):
    """Other models to ask, in order, when the one asked for is down.

    A call goes on to the next model only after a failure for which nothing is billed as far as is
    known: the vendor is down or overloaded (429), Puter answered 503, or there is no such model;
    and, if the next one is at another server (``OpenAICompatible``), when this one was not reached
    or allows no more calls. Anything else is raised: what was refused for its arguments,
    credentials or funds, what timed out, and a stream that broke off. ``reply.model`` is the model
    that answered, and each call that another one takes over is an event ``fallback``.

    In a turn with tools the next model goes on after the rounds that are done: none runs twice.
    Models that do not call tools are passed over then. Pictures and videos fall back to models that
    the offline catalogue lists for them, chats and ``parse()`` to chat models; names that it does
    not have are tried for all.

    Give it to ``use()`` of a client or several; it is safe to share between threads and tasks.

    Args:
        *models: Names of models, the first to ask first.
        sticky: Seconds for which a model that failed is asked after the others; 0 for none. Default
            60.
        clock: Monotonic seconds. Default: the machine's.

    Raises:
        PuterInputError: A name is no str, there is none, or ``sticky`` is no number of seconds.

    Examples:
        >>> careful = ai.with_options().use(Fallback("gpt-5-nano"))
        >>> print(careful.chat("Say hello", "no-such-model"))
        Hello!
    """

    def __init__(
        self, *models: str, sticky: float = 60.0, clock: Callable[[], float] = monotonic
    ) -> None:
        if not models:
            raise PuterInputError("Fallback() needs at least one model to fall back to")
        for model in models:
            text_kind("model", model)
        self._models = models
        self._sticky = Range(0, wanted="a number of seconds, 0 or more").kind(whole=False)(
            "sticky", sticky
        )
        self._clock = clock
        self._down: dict[tuple[str, str | None], float] = {}
        """Models that failed, by kind, and until when they are asked last."""

    def middleware(self, request: Request, call_next: CallNext) -> Flow[Any]:
        """Ask the models in turn until one answers; ``use()`` takes it."""
        kind = _KINDS.get(request.operation)
        if kind is None:
            return (yield from call_next(request))
        server_of = request.call.extensions.server_of
        names = [_name_for(request, kind, one) for one in self._models]
        asked = list(dict.fromkeys((request.model, *filter(None, names))))
        failed: dict[str | None, PuterError] = {}  # the last one last
        done: ChatReply | None = None  # rounds of tools before a model failed
        has_tools = bool(getattr(request.args.get("tools"), "schemas", ()))
        left = sorted(asked, key=lambda model: self._down.get((kind, model), 0.0) > self._clock())
        try:
            while left:
                model = left.pop(0)
                if has_tools and model != request.model and not _calls_tools(model):
                    continue
                last = next(reversed(failed.values()), None)
                if last is not None or model != asked[0]:
                    yield from notify(request, "fallback", model=model, error=last)
                paid = len(request.call.spent)
                try:
                    reply = yield from call_next(_changed(request, model, done))
                except PuterError as error:
                    lost = error.partial is None and len(request.call.spent) > paid
                    if lost:  # what failed is middleware, after an answer
                        raise
                    if not bills_nothing(error):
                        here = server_of(model)
                        left = [one for one in left if server_of(one) is not here]
                        if not (is_of_server(error) and (left or failed)):
                            _tell_all(error, failed)
                            raise
                    self._note((kind, model))
                    failed[model] = error
                    if isinstance(error.partial, ChatReply):
                        done = error.partial
                else:
                    self._down.pop((kind, model), None)
                    return reply
            first = next(failed[model] for model in asked if model in failed)
            others = {model: error for model, error in failed.items() if error is not first}
            _tell_all(first, others)
            first.partial = done
            raise first
        finally:
            failed.clear()  # the traceback of each holds this frame

    def _note(self, model: tuple[str, str | None]) -> None:
        """Remember that a model failed, and forget what is long over."""
        now = self._clock()
        for name, until in tuple(self._down.items()):
            if until <= now:
                self._down.pop(name, None)
        if self._sticky:
            self._down[model] = now + self._sticky


def bills_nothing(error: PuterError) -> bool:
    """Whether a call failed for its model alone, and nothing is billed as far as is known.

    What was answered before it, in rounds of tools, is billed: it is in ``error.partial``.
    """
    unavailable = isinstance(error, PuterServerError) and error.status == 503
    unknown = isinstance(error, PuterModelNotFoundError)
    failed = unavailable or unknown or error.code in _VENDOR_FAILED
    return failed and not _is_begun(error)


def is_of_server(error: PuterError) -> bool:
    """Whether a server was not reached, or lets nobody in for a while: nothing was billed."""
    unreached = isinstance(error, PuterConnectionError) and not error.sent
    return (unreached or isinstance(error, PuterRateLimitError)) and not _is_begun(error)


def _is_begun(error: PuterError) -> bool:
    """Whether it is of a stream that broke off, or was raised by a tool, which would run again."""
    so_far = error.partial
    return isinstance(error, PuterStreamError) or (so_far is not None and bool(so_far.tool_calls))


def _name_for(request: Request, kind: str, name: str) -> str | None:
    """What a model is called in requests; None when it is of another kind."""
    server = request.call.extensions.server_of(name)
    if server is not None:
        return server.name_of(name) if kind == "chat" else None
    if not _may_be(name, kind):
        return None
    return registry().lookup(name).id if kind == "chat" else name


def _changed(request: Request, model: str | None, done: ChatReply | None) -> Request:
    """The request for another model, which goes on after the rounds that are done."""
    if model is not None and model != request.model:
        request = request.replace(model=model)
    if done is not None:
        request = request.replace(args={**request.args, "resume": done, "tool_results": None})
    return request


def _may_be(model: str, kind: str) -> bool:
    """Whether a name may be of that kind: unless the catalogue has it as another alone."""
    return kind in (kinds := _kinds_of(model.strip().lower())) or not kinds


@lru_cache(maxsize=256)
def _kinds_of(name: str) -> frozenset[str]:
    """The kinds of models that have the name, in lower case, as id or alias."""
    return frozenset(
        kind
        for kind in ("chat", "image", "video")
        for entry in registry().catalogue.get(kind, ())
        if name in map(str.lower, (entry["id"], *entry.get("aliases", ())))
    )


def _calls_tools(model: str | None) -> bool:
    """Whether it may: what the catalogue does not know is asked."""
    return as_bool_or_none(registry().lookup(model or "").entry.get("tool_call")) is not False


def _tell_all(error: PuterError, others: Mapping[str | None, PuterError]) -> None:
    """Add to the hint of an error what the other models said."""
    told = "; ".join(f"{model or 'the default'}: {one.message}" for model, one in others.items())
    if told:
        error.hint = f"{error.hint} Other models failed too: {told}.".strip()
