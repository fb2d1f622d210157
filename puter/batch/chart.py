"""The chart of a batch: answers and cost over time."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from decimal import Decimal
from importlib import import_module
from pathlib import Path

from puter.atomic import check_writable
from puter.batch.answers import check_holds_no_answers
from puter.exceptions import PuterInputError, words_of
from puter.process import library


def chart_path(path: str | os.PathLike[str]) -> Path:
    """The file of a chart, which is a PNG when its name does not say what it is."""
    place = Path(path)
    if not place.name:
        raise PuterInputError("A chart needs a name", hint="Name a file: 'batch.png'.")
    return place if place.suffix else place.with_name(f"{place.name}.png")


def check_chart(path: str | os.PathLike[str]) -> None:
    """See that ``BatchResults.save_chart()`` can do its work, and write nothing.

    Raises:
        PuterError: As there.
        OSError: Likewise.
    """
    place = chart_path(path)
    render_chart(place, "", ())
    check_writable(place)


def render_chart(place: Path, title: str, finished: Sequence[tuple[float, Decimal]]) -> bytes:
    """The chart as the bytes of a file.

    Args:
        place: A file, whose ending names the format.
        title: What stands above it.
        finished: For each answer, seconds since the beginning and US dollars paid so far.

    Raises:
        PuterConfigError: matplotlib is not installed.
        PuterInputError: Its ending names no format, or the answers of a batch are there.
    """
    check_holds_no_answers(place)
    with library("matplotlib", "charts", "A chart"):
        figure = import_module("matplotlib.figure").Figure((9, 5), layout="constrained")
    answers, costs = figure.subplots(2, sharex=True)
    seconds = [0.0, *(at for at, _ in finished)]
    answers.step(seconds, range(len(seconds)), where="post", color="tab:blue")
    paid = [0.0, *(float(cost) for _, cost in finished)]
    costs.step(seconds, paid, where="post", color="tab:orange")
    answers.set_title(title, fontsize=10)
    answers.set_ylabel("answers")
    costs.set_ylabel("US dollars")
    costs.set_xlabel("seconds")
    image = io.BytesIO()
    try:
        figure.savefig(image, format=place.suffix[1:])
    except ValueError as error:  # of its ending
        raise PuterInputError(f"{place}: {words_of(error)}") from None
    return image.getvalue()
