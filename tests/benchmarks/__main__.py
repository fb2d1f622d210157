"""The goals of the SDK's speed, and what it reaches: ``python -m tests.benchmarks [row ...]``.

Everybody asks the same cheap server on the loopback interface, in rounds, one after the other, so
that a busy machine slows all of them. Figures are medians, of CPU time unless they say otherwise;
ratios are taken within a round. Nothing fails by being slow.
"""

from __future__ import annotations

import argparse
import importlib.util
import time

from tests.benchmarks import calls, loads, page, programs, report, servers
from tests.benchmarks.growth import growths
from tests.benchmarks.hot_path import hot_path
from tests.benchmarks.processes import server
from tests.benchmarks.profiles import profiles
from tests.benchmarks.rows import ROWS, Bench, Result

MODULES = (calls, loads, programs, servers)  # importing them has entered their rows, in order
NAMES = list(ROWS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "rows", nargs="*", metavar="row", help=f"of {', '.join(NAMES)}; all of them"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--short", action="store_true", help="do little, to see that it runs")
    parser.add_argument("--write", action="store_true", help=f"all of it into {page.PAGE.name}")
    given = parser.parse_args()
    if given.write and (given.rows or not importlib.util.find_spec("matplotlib")):
        parser.error("--write takes all rows, and matplotlib: pip install -e '.[benchmarks]'")
    if unknown := set(given.rows) - ROWS.keys():
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    begun = time.monotonic()
    with server("tests.benchmarks.stub") as (port, _):
        bench = Bench(f"http://127.0.0.1:{port}", 1 if given.short else given.rounds, given.short)
        print(f"{report.machine()}\n{bench.rounds} rounds, medians\n", flush=True)
        results = []
        for name in given.rows or NAMES:
            found = ROWS[name]
            results.append(Result(found, found.measure(bench)))
            print(report.line(results[-1]), flush=True)
        counts = str(hot_path(bench.stub))
        print(f"\n{counts}", flush=True)
        if given.write:
            page.write(results, counts, profiles(bench), growths(bench), bench.rounds)
    print(f"\n{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
