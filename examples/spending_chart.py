"""Where this month's money went: a chart with matplotlib, bars of text without.

pip install -e '.[charts]'     (in a clone of the repository)
python examples/spending_chart.py spending.png
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from where import open_client

if TYPE_CHECKING:
    from decimal import Decimal

    from puter import PuterAI


def spend(ai: PuterAI) -> None:
    """The account of a LocalPuter is a fresh one."""
    for model in ("gpt-5-nano", "gpt-4.1", "claude-haiku-4-5"):
        ai.chat("What is 6 times 7?", model)
    ai.txt2speech("Forty-two.", provider="openai", model="tts-1")


def as_text(spent: list[tuple[str, Decimal]]) -> None:
    most = max(cost for _, cost in spent)
    for model, cost in spent:
        print(f"{model[:30]:30} {cost:12.6f}  {'#' * round(40 * cost / most)}")


def as_chart(spent: list[tuple[str, Decimal]], unit: str, path: str) -> None:
    figure = importlib.import_module("matplotlib.figure").Figure((9, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.barh([model for model, _ in spent], [float(cost) for _, cost in spent])
    axes.invert_yaxis()
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel(f"{unit} this month")
    figure.savefig(path, format=Path(path).suffix[1:] or "png")
    print(f"saved as {path}")


def main() -> None:
    with open_client() as ai:
        if ai.config.api_base.startswith("http://127.0.0.1"):
            spend(ai)
        usage = ai.account_usage()
        print(f"{usage}\n")
        spent = sorted(usage.by_model.items(), key=lambda one: one[1], reverse=True)[:15]
        if not spent:
            print("Nothing was spent on models yet.")
            return
        try:
            as_chart(spent, usage.unit, sys.argv[1] if sys.argv[1:] else "spending.png")
        except ImportError:
            as_text(spent)


if __name__ == "__main__":
    main()
