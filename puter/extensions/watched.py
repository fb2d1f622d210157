"""``Watched``: a call on its way through an extension, and what became of it."""

from __future__ import annotations

import functools
import logging
import operator
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from puter.engine.clock import monotonic
from puter.engine.effects import Effect, Flow, Notify, YieldChunks
from puter.exceptions import words_of
from puter.wire.redact import one_line

if TYPE_CHECKING:
    from decimal import Decimal

    from puter.engine.client import Client
    from puter.engine.middleware import Request
    from puter.types.replies import Usage

T = TypeVar("T")
_LOGGER = logging.getLogger("puter.extensions")


class Watched(Generator[Effect[Any], Any, T], Generic[T]):
    """The flow of a call, which notes what passes.

    Write ``reply = yield from watched``; what it noted is there when that has ended, in whatever
    way. Retries are noted where ``let_retries_pass()`` was called for the client.
    """

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self.began: float = monotonic()
        self.reply: T | None = None
        self.error: BaseException | None = None
        """What ended it; ``forget()`` it, since its traceback refers to this object."""
        self.outcome: Literal["ok", "error", "cancelled"] = "cancelled"
        """``cancelled``: by its task, an interrupt, or the end of a stream that was not read on."""
        self.retries: int = 0
        self.first_chunk: float | None = None
        """Seconds from the beginning to the first chunk of a stream."""

    def send(self, value: Any, /) -> Effect[Any]:
        return self._step(self._flow.send, value)

    def throw(self, *error: Any) -> Effect[Any]:
        return self._step(self._flow.throw, *error)

    def _step(self, resume: Callable[..., Effect[Any]], *args: Any) -> Effect[Any]:
        try:
            effect = resume(*args)
        except StopIteration as end:
            self.outcome, self.reply = "ok", end.value
            raise
        except Exception as error:
            self.outcome, self.error = "error", error
            raise
        except BaseException as error:
            self.error = error
            raise
        if isinstance(effect, YieldChunks):
            if self.first_chunk is None and effect.chunks:
                self.first_chunk = monotonic() - self.began
        elif isinstance(effect, Notify) and effect.event.name == "retry":
            self.retries += 1
        return effect

    def forget(self) -> None:
        """Let go of the error and the reply, when they have been looked at."""
        self.error = self.reply = None


@contextmanager
def harmless(request: Request) -> Generator[None]:
    """What fails in here is logged, and no call fails by it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - of exporters and collectors of the user's
        told = one_line(f"{type(error).__name__}: {words_of(error)}")
        _LOGGER.warning("%s could not be recorded: %s", request.operation, told)


def let_retries_pass(client: Client) -> None:
    """Have each retry told of: an event that nobody listens to is not made."""
    client.on("retry", _nothing)  # type: ignore[attr-defined]


def _nothing(_event: object) -> None:
    """Listen."""


def spent_in(request: Request) -> tuple[Usage | None, Decimal | None]:
    """Tokens and US dollars of all answers of a call, also of one that failed later.

    Each is None where the server told nothing.
    """
    usages = [usage for usage, _ in request.call.spent if usage is not None and usage.raw]
    costs: list[Decimal] = [cost for _, cost in request.call.spent if cost is not None]
    return _total(usages), functools.reduce(operator.add, costs) if costs else None


def _total(usages: list[Usage]) -> Usage | None:
    if len(usages) < 2:
        return usages[0] if usages else None
    counts = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
    sums = {name: sum(getattr(one, name) for one in usages) for name in counts}
    return type(usages[0])(**sums)
