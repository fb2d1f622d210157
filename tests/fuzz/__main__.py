"""``python -m tests.fuzz --cases N [--seed S] [--target NAME] [--jobs J]``, or ``--case NUMBER``.

``--cases`` is their number over all targets. The exit code is 1 when anything but a value, or an
error that the target may raise, came out; each such case is told with the command that repeats it.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.fuzz.runs import Run, case_of, run
from tests.fuzz.targets import TARGETS

_SHARE = 20_000
"""Cases that one process tries at a time."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--case", type=int, help="try this one alone, and show it")
    given = parser.parse_args()
    names = given.target or [*TARGETS]
    if given.case is not None:
        return _show([_replay(name, given.seed, given.case) for name in names])
    each = -(-given.cases // len(names))
    shares = [
        (name, range(start, min(start + _SHARE, each)))
        for name in names
        for start in range(0, each, _SHARE)
    ]
    with ProcessPoolExecutor(given.jobs) as pool:
        done = pool.map(partial(_try, given.seed), shares)
        return _show(list(done))


def _try(seed: int, share: tuple[str, range]) -> Run:
    return run(share[0], seed, share[1])


def _replay(name: str, seed: int, number: int) -> Run:
    print(repr(case_of(name, seed, number)))
    return run(name, seed, [number])


def _show(runs: list[Run]) -> int:
    failures = {kind: told for one in runs for kind, told in one.failures.items()}
    print(f"{'target':14} {'cases':>9} {'refused':>9} {'a second':>9}   slowest")
    for name in dict.fromkeys(one.target for one in runs):
        mine = [one for one in runs if one.target == name]
        cases = sum(one.cases for one in mine)
        slowest, number = max(one.slowest for one in mine)
        print(
            f"{name:14} {cases:9,} {sum(one.refused for one in mine):9,} "
            f"{cases / sum(one.seconds for one in mine):9,.0f}   "
            f"{slowest * 1000:.1f} ms, case {number}"
        )
    for told in failures.values():
        print("\n" + told)
    total = sum(one.cases for one in runs)
    print(f"\n{total:,} cases, {len(failures)} different failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
