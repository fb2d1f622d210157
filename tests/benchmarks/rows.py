"""What a row of the table is, and how its figures are taken: in rounds, everybody in turn."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Round: TypeAlias = dict[str, float]
"""Seconds, bytes or a count by who took them; what the second is measured over comes first."""
Sync: TypeAlias = Mapping[str, Callable[[], object]]
Async: TypeAlias = Mapping[str, Callable[[], Awaitable[object]]]


def medians(rounds: list[Round]) -> Round:
    """The median of everybody's figures."""
    return {who: statistics.median(one[who] for one in rounds) for who in rounds[0]}


@dataclass(frozen=True)
class Bench:
    """What every row is given: the stub's address, how many rounds, and whether to be quick."""

    stub: str
    rounds: int = 7
    short: bool = False

    def times(self, number: int) -> int:
        """How often to do something that is done ``number`` times when there is time."""
        return max(2, number // 500) if self.short else number

    def sync_cpu(self, contenders: Sync, times: int, parts: int = 1) -> list[Round]:
        """Seconds of CPU a call, or a part of it, took in each round."""
        for call in contenders.values():
            call()  # connections and lazy modules
        number = self.times(times)

        def cpu(call: Callable[[], object]) -> float:
            begun = time.process_time()
            for _ in range(number):
                call()
            return (time.process_time() - begun) / number / parts

        return [{who: cpu(call) for who, call in contenders.items()} for _ in range(self.rounds)]

    async def async_cpu(
        self, contenders: Async, times: int, parts: int = 1, at_once: int = 1
    ) -> list[Round]:
        """`sync_cpu` on the event loop, ``at_once`` at a time."""
        for call in contenders.values():
            await call()
        number = self.times(times)

        async def cpu(call: Callable[[], Awaitable[object]]) -> float:
            numbers = iter(range(number))

            async def work() -> None:
                for _ in numbers:
                    await call()

            begun = time.process_time()
            await asyncio.gather(*(work() for _ in range(at_once)))
            return (time.process_time() - begun) / number / parts

        async def one_round() -> Round:
            return {who: await cpu(call) for who, call in contenders.items()}

        return [await one_round() for _ in range(self.rounds)]


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        name: for the command line.
        title: what is measured.
        over: what the second of the figures is divided by: the first.
        goal: what that ratio may be at most, or with ``at_least`` has to be.
        unit: of the figures; ``%`` tells the ratio in percent.
    """

    name: str
    title: str
    over: str
    goal: float
    unit: str
    measure: Callable[[Bench], list[Round]]
    at_least: bool = False

    def result(self, bench: Bench) -> Result:
        return Result(self, self.measure(bench))


@dataclass(frozen=True)
class Result:
    """The figures of a row: of each round a ratio, of all rounds the median."""

    row: Row
    rounds: list[Round]

    @property
    def figures(self) -> Round:
        return medians(self.rounds)

    @property
    def ratios(self) -> Round:
        """Of everybody over the first, within the same round."""
        first, *_ = self.rounds[0]
        return medians([{who: one[who] / one[first] for who in one} for one in self.rounds])

    @property
    def reached(self) -> float:
        return list(self.ratios.values())[1]

    @property
    def met(self) -> bool:
        goal = self.row.goal
        return self.reached >= goal if self.row.at_least else self.reached <= goal


ROWS: dict[str, Row] = {}


def row(
    name: str, title: str, *, over: str, goal: float, unit: str = "us", at_least: bool = False
) -> Callable[[Callable[[Bench], list[Round]]], Callable[[Bench], list[Round]]]:
    """Enter the function below it as a row."""

    def enter(measure: Callable[[Bench], list[Round]]) -> Callable[[Bench], list[Round]]:
        ROWS[name] = Row(name, title, over, goal, unit, measure, at_least)
        return measure

    return enter
