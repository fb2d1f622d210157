"""Cases, made and tried; each is told by target, seed and number, and can be made again."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import process_time
from typing import Any

from tests.fuzz.mutations import Damage
from tests.fuzz.targets import TARGETS, Target

MOST_FAILURES = 5
"""Different ones of a target that are told."""


@dataclass
class Run:
    """What came of the cases of one target."""

    target: str
    cases: int = 0
    seconds: float = 0.0
    """Of the processor: others may use the machine."""
    slowest: tuple[float, int] = (0.0, 0)
    """Seconds of a case, and its number."""
    refused: int = 0
    failures: dict[Any, str] = field(default_factory=dict)
    """How to replay each that is different, and what it was."""


def case_of(name: str, seed: int, number: int) -> Any:
    """The case, made anew."""
    damage = Damage()
    damage.random.seed(_seed_of(seed, number))
    return TARGETS[name].make(damage)


def _seed_of(seed: int, number: int) -> int:
    return (seed << 40) + number


def run(name: str, seed: int, numbers: Iterable[int]) -> Run:
    """Try the cases of these numbers."""
    done, target, damage = Run(name), TARGETS[name], Damage()
    began = before = process_time()
    for number in numbers:
        damage.random.seed(_seed_of(seed, number))
        try:
            case = target.make(damage)
            before = process_time()
            target.check(case)
        except target.allowed:
            done.refused += 1
        except Exception as error:  # noqa: BLE001 - what is being looked for
            _note(done, target, seed, number, error)
        took = process_time() - before
        if took > done.slowest[0]:
            done.slowest = took, number
        done.cases += 1
    done.seconds = process_time() - began
    return done


def _note(done: Run, target: Target, seed: int, number: int, error: Exception) -> None:
    """Keep a failure, unless one from the same line is there already."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    kind = type(error), last.filename, last.lineno
    if kind in done.failures or len(done.failures) == MOST_FAILURES:
        return
    case = repr(case_of(done.target, seed, number))
    told = "".join(traceback.format_exception(error, limit=-6))
    done.failures[kind] = (
        f"python -m tests.fuzz --target {done.target} --seed {seed} --case {number}\n"
        f"case: {case[:2000]}\n{told[-3000:]}"
    )
