"""The goals of the SDK's speed, and what it reaches: ``python -m tests.benchmarks [row ...]``.

Everybody asks the same cheap server on the loopback interface, in rounds, one after the other, so
that a busy machine slows all of them. Figures are medians, of CPU time unless they say otherwise;
ratios are taken within a round. Nothing fails by being slow.
"""

from __future__ import annotations

import argparse
import importlib
import time

from tests.benchmarks import report
from tests.benchmarks.hot_path import hot_path
from tests.benchmarks.processes import server
from tests.benchmarks.rows import ROWS, Bench, Result

for _module in ("calls", "loads", "programs", "servers"):
    importlib.import_module(f"tests.benchmarks.{_module}")  # they enter their rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; all of them")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--short", action="store_true", help="do little, to see that it runs")
    given = parser.parse_args()
    if unknown := set(given.rows) - ROWS.keys():
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    begun = time.monotonic()
    with server("tests.benchmarks.stub") as (port, _):
        bench = Bench(f"http://127.0.0.1:{port}", 1 if given.short else given.rounds, given.short)
        print(f"{report.machine()}\n{bench.rounds} rounds, medians\n", flush=True)
        for name in given.rows or ROWS:
            found = ROWS[name]
            print(report.line(Result(found, found.measure(bench))), flush=True)
        if not given.rows:
            print(f"\n{hot_path(bench.stub)}")
    print(f"\n{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
