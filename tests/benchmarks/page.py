"""The figures in docs/performance.md, between two markers, and the plot beside it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from tests.benchmarks import report
from tests.benchmarks.growth import Growth
from tests.benchmarks.processes import ROOT
from tests.benchmarks.rows import Result

PAGE = ROOT / "docs" / "performance.md"
PLOT = PAGE.with_suffix(".svg")
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->"
RATIOS = """\
Ratios are taken within a round, and their median is shown: it need not be the quotient of the two
medians of times beside it.
"""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def results_table(results: list[Result]) -> str:
    """All rows of the benchmarks."""
    rows = (
        (
            f"`{one.row.name}`",
            one.row.title,
            one.row.over,
            report.goal(one.row),
            f"{report.ratio(one.reached, one.row)}{'' if one.met else ' (missed)'}",
            report.figures(one),
        )
        for one in results
    )
    return table(("row", "what", "over", "goal", "reached", "medians"), rows)


def growth_table(growth: Growth) -> str:
    """One row for each number."""
    names = list(next(iter(growth.points.values())))
    rows = (
        (f"{number:,}", *(report.figure(point[name], growth.unit) for name in names))
        for number, point in growth.points.items()
    )
    return f"**{growth.title}**\n\n{table((growth.number, *names), rows)}"


def growth_tables(growths: Iterable[Growth]) -> str:
    """All of them."""
    return "\n".join(map(growth_table, growths))


def profile_table(profiles: Mapping[str, Mapping[str, float]]) -> str:
    """The share of each library."""
    owners = list(dict.fromkeys(owner for one in profiles.values() for owner in one))
    rows = ((owner, *(f"{one.get(owner, 0):.0%}" for one in profiles.values())) for owner in owners)
    return table(("CPU in", *profiles), rows)


def write(
    results: list[Result],
    counts: str,
    profiles: Mapping[str, Mapping[str, float]],
    growths: list[Growth],
    rounds: int,
) -> None:
    """Put the figures into the page, and draw the plot."""
    figures = "\n".join((
        f"Measured with {report.machine()}; {report.rounds(rounds)}.\n",
        RATIOS,
        results_table(results),
        f"The hot path: {counts}.\n",
        "### Where the time goes\n",
        "The kernel's part counts for whoever calls it.\n",
        profile_table(profiles),
        "### How cost grows\n",
        f"![Cost by number, on logarithmic axes]({PLOT.name})\n",
        growth_tables(growths),
    ))  # fmt: skip
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} lacks one of its markers: {BEGIN.strip()} {END}")
    PAGE.write_text(f"{before}{begin}\n{figures}\n{end}{after}", encoding="utf-8")
    draw(growths)


def draw(growths: list[Growth]) -> None:
    """One panel for each growth, as SVG."""
    matplotlib: Any = importlib.import_module("matplotlib")
    # The same figures make the same file; letters are letters, in the reader's font.
    matplotlib.rcParams.update({"svg.hashsalt": "puter", "svg.fonttype": "none"})
    figure = importlib.import_module("matplotlib.figure").Figure((10, 7), layout="constrained")
    for axes, growth in zip(figure.subplots(2, 2).flat, growths, strict=True):
        for name in next(iter(growth.points.values())):
            costs = [point[name] / report.UNITS[growth.unit] for point in growth.points.values()]
            axes.plot(list(growth.points), costs, marker="o", label=name)
        axes.set(title=growth.title, xlabel=growth.number, ylabel=growth.unit)
        axes.set(xscale="log", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(PLOT, format="svg", metadata={"Date": None})
