"""``Watched``: a call on its way through an extension, and what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from puter.engine.clock import monotonic
from puter.engine.effects import Effect, Flow, YieldChunks
from puter.exceptions import words_of
from puter.types.replies import total_of
from puter.wire.redact import one_line

if TYPE_CHECKING:
    from decimal import Decimal

    from puter.engine.middleware import Request
    from puter.types.replies import Usage

T = TypeVar("T")
_LOGGER = logging.getLogger("puter.extensions")


class Watched(Generator[Effect[Any], Any, T], Generic[T]):
    """The flow of a call, which notes what passes.

    Write ``reply = yield from watched``; what it noted is there when that has ended, in whatever
    way.
    """

    def __init__(self, request: Request, flow: Flow[T]) -> None:
        self.request: Request = request
        self._flow = flow
        self._began = monotonic()
        self._before = len(request.call.spent), request.call.retries  # what is not of this flow
        self.outcome: Literal["ok", "error", "cancelled"] = "cancelled"
        """``cancelled``: by its task, an interrupt, or the end of a stream that was not read on."""
        self.result: Any = None
        """What the method returns, or the part of it that an error has."""
        self.error: BaseException | None = None
        """What ended it; ``forget()`` it, since its traceback refers to this object."""
        self.first_chunk: float | None = None
        """Seconds from the beginning to the first chunk of a stream."""
        self.seconds: float = 0.0
        """How long it took."""
        self.retries: int = 0
        """How many of its requests were sent again."""
        self.usage: Usage | None = None
        """Tokens of all its answers."""
        self.cost: Decimal | None = None
        """US dollars of all its answers."""

    @property
    def model(self) -> str | None:
        """The model that was asked in the end."""
        return getattr(self.result, "requested_model", "") or self.request.model

    def send(self, value: Any, /) -> Effect[Any]:
        return self._step(self._flow.send, value)

    def throw(self, *error: Any) -> Effect[Any]:
        return self._step(self._flow.throw, *error)

    def _step(self, resume: Callable[..., Effect[Any]], *args: Any) -> Effect[Any]:
        try:
            effect = resume(*args)
        except StopIteration as end:
            self.outcome, self.result = "ok", end.value
            self._add_up()
            raise
        except BaseException as error:
            self.outcome = "error" if isinstance(error, Exception) else "cancelled"
            self.error, self.result = error, getattr(error, "partial", None)
            self._add_up()
            raise
        if isinstance(effect, YieldChunks) and self.first_chunk is None and effect.chunks:
            self.first_chunk = monotonic() - self._began
        return effect

    def _add_up(self) -> None:
        call, (spent, retries) = self.request.call, self._before
        self.seconds = monotonic() - self._began
        self.retries = call.retries - retries
        self.usage, self.cost = total_of(call.spent[spent:])

    def forget(self) -> None:
        """Let go of the error and the result, when they have been looked at."""
        self.error = self.result = None


@contextmanager
def harmless(request: Request) -> Generator[None]:
    """What fails in here is logged, and no call fails by it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - of exporters and collectors of the user's
        told = one_line(f"{type(error).__name__}: {words_of(error)}")
        _LOGGER.warning("%s could not be recorded: %s", request.operation, told)
