"""``BatchResults``: the answers of a batch in the order of its items, and what they came to."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

from puter.atomic import write_whole
from puter.batch.chart import chart_path, render_chart
from puter.money import usd


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
        place = chart_path(path)
        rate = len(self.finished) / self.elapsed if self.elapsed else 0.0
        title = f"{self.summary()}: {rate:.3g} a second"
        return write_whole(place, render_chart(place, title, self.finished))
