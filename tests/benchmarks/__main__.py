"""The goals of the SDK's speed, and what it reaches: ``python -m tests.benchmarks [row ...]``.

Everybody asks the same cheap server on the loopback interface, in rounds, one after the other, so
that a busy machine slows all of them. Figures are medians, of CPU time unless they say otherwise;
ratios are taken within a round. Nothing fails by being slow; what fails by an error is told in a
line, the rest goes on, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks import calls, extensions, loads, page, programs, report, servers
from tests.benchmarks.growth import growths
from tests.benchmarks.hot_path import hot_path
from tests.benchmarks.processes import server
from tests.benchmarks.profiles import profiles
from tests.benchmarks.rows import ROWS, Bench

MODULES = (
    calls,
    extensions,
    loads,
    programs,
    servers,
)  # importing them has entered their rows, in order
MEASURES: dict[str, tuple[Callable[[Bench], Any], Callable[[Any], str]]] = {
    **{name: (row.result, report.line) for name, row in ROWS.items()},
    "hot-path": (lambda bench: hot_path(bench.stub), str),
    "profile": (profiles, lambda found: f"\n{page.profile_table(found)}"),
    "growth": (growths, page.growth_tables),
}
"""What can be measured by name, and how its figures are shown."""


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = ", ".join(MEASURES)
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {names}; all of them")
    parser.add_argument(
        "--rounds",
        type=int,
        default=7,
        help="how often everybody is measured in turn, 1 or more; %(default)s",
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help="a trial of the programs: each does a little once, and no figures are shown",
    )
    parser.add_argument("--write", action="store_true", help=f"all of it into {page.PAGE.name}")
    given = parser.parse_args(arguments)
    if given.rounds < 1:
        parser.error("--rounds takes 1 or more")
    if given.write and (given.rows or given.short or not importlib.util.find_spec("matplotlib")):
        parser.error(
            "--write takes all rows, not --short, and matplotlib: pip install -e '.[benchmarks]'"
        )
    if unknown := set(given.rows) - MEASURES.keys():
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {names}")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if anything failed."""
    given = _arguments(arguments)
    names = dict.fromkeys(given.rows or MEASURES)
    begun = time.monotonic()
    found: dict[str, Any] = {}
    with server("tests.benchmarks.stub") as (port, _):
        bench = Bench(f"http://127.0.0.1:{port}", 1 if given.short else given.rounds, given.short)
        trial = "a trial of the programs: they do little, and their figures mean nothing"
        how = trial if given.short else f"{report.rounds(bench.rounds)}, medians"
        print(f"{report.machine()}\n{how}\n", flush=True)
        for name in names:
            measure, show = MEASURES[name]
            try:
                measured = measure(bench)
                shown = show(measured)
            except Exception as error:  # noqa: BLE001  # whatever it is, the others are measured
                print(f"{name} FAILED: {report.failure(error)}", flush=True)
            else:
                found[name] = measured
                print(f"{name} runs" if given.short else shown, flush=True)
    failed = len(found) < len(names)
    if given.write and failed:
        print(f"\n{page.PAGE.name} is not written: it takes all figures")
    elif given.write:
        results = [found[name] for name in ROWS]
        counts = str(found["hot-path"])
        page.write(results, counts, found["profile"], found["growth"], bench.rounds)
    print(f"\n{time.monotonic() - begun:.0f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
