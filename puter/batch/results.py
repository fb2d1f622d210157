"""``BatchResults``: the answers of a batch in the order of its items, and what they came to."""

from __future__ import annotations

import io
import os
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

from puter.atomic import check_writable, write_whole
from puter.batch.answers import check_holds_no_answers
from puter.exceptions import PuterInputError, words_of
from puter.money import usd
from puter.process import library


class BatchResults(list[Any]):
    """A list with a ``ChatReply`` for each item, or the exception that it met; in their order.

    Examples:
        >>> results = ai.batch(["Say hello", "What is the capital of France?"])
        >>> [str(one) for one in results]
        ['Hello!', 'Paris']
        >>> print(results.summary())
        2 answered, 0 failed, 0.0000... USD in ... s
    """

    def __init__(self) -> None:
        super().__init__()
        self.cost: Decimal = Decimal(0)
        """US dollars that this run paid, as far as replies tell."""
        self.unpriced: int = 0
        """Answers of this run that tell no cost."""
        self.reused: int = 0
        """Items whose answer was in the file."""
        self.not_asked: int = 0
        """Items that were not asked, as it was stopped; the reason is in their place."""
        self.elapsed: float = 0.0
        """Seconds that this run took."""
        self.stopped: BaseException | None = None
        """Why not all items were asked: a budget that is spent, a sign-in that is refused, a full
        disk. None when all were."""
        self.unwritten: list[dict[str, Any]] = []
        """Records that the file lacks: the disk is full, or it was removed, replaced or cut off."""
        self.finished: list[tuple[float, Decimal]] = []
        """For each answer of this run, seconds since its beginning and US dollars paid so far."""

    @property
    def errors(self) -> list[BaseException]:
        """The exceptions among them; the reason for each item that was not asked is one."""
        return [one for one in self if isinstance(one, BaseException)]

    def summary(self) -> str:
        """What it came to, in a line."""
        errors = len(self.errors)
        unasked = f"{self.not_asked} not asked, " if self.not_asked else ""
        before = f" ({self.reused} of them before)" if self.reused else ""
        return (
            f"{len(self) - errors} answered{before}, {errors - self.not_asked} failed, {unasked}"
            f"{usd(self.cost, self.unpriced)} in {self.elapsed:.1f} s"
        )

    def save_chart(self, path: str | os.PathLike[str]) -> Path:
        """Draw answers and cost of this run over time. Needs matplotlib.

        Args:
            path: Where to; its ending says in which format, such as ``.svg`` or ``.png``.

        Raises:
            PuterConfigError: matplotlib is not installed.
            PuterInputError: Its ending names no format, or the answers of a batch are there.
            OSError: It cannot be written.
        """
        place = chart_place(path)
        return write_whole(place, self._chart(place))

    def _chart(self, place: Path) -> bytes:
        """What is to be written there."""
        check_holds_no_answers(place)
        with library("matplotlib", "charts", "A chart"):
            figure = import_module("matplotlib.figure").Figure((9, 5), layout="constrained")
        answers, costs = figure.subplots(2, sharex=True)
        seconds = [0.0, *(at for at, _ in self.finished)]
        answers.step(seconds, range(len(seconds)), where="post", color="tab:blue")
        paid = [0.0, *(float(cost) for _, cost in self.finished)]
        costs.step(seconds, paid, where="post", color="tab:orange")
        rate = len(self.finished) / self.elapsed if self.elapsed else 0.0
        answers.set_title(f"{self.summary()}: {rate:.3g} a second", fontsize=10)
        answers.set_ylabel("answers")
        costs.set_ylabel("US dollars")
        costs.set_xlabel("seconds")
        drawn = io.BytesIO()
        try:
            figure.savefig(drawn, format=place.suffix[1:])
        except ValueError as error:  # of its ending
            raise PuterInputError(f"{place}: {words_of(error)}") from None
        return drawn.getvalue()


def chart_place(path: str | os.PathLike[str]) -> Path:
    """The file of a chart, which is a PNG when its name does not say what it is."""
    place = Path(path)
    return place if place.suffix else place.with_name(f"{place.name}.png")


def check_chart(path: str | os.PathLike[str]) -> None:
    """See that ``save_chart()`` can do its work, and write nothing.

    Raises:
        PuterError: As there.
        OSError: Likewise.
    """
    place = chart_place(path)
    BatchResults()._chart(place)
    check_writable(place)
