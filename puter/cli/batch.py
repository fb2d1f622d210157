"""``puter-ai batch``: a file of questions asked at once."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

import click

from puter.batch.answers import check_apart, is_same
from puter.batch.chart import chart_path, check_chart
from puter.batch.prompts import EACH, Prompts
from puter.batch.results import BatchResults
from puter.cli.parameters import (
    STDIN,
    answer_options,
    checked,
    given,
    model_option,
    system_option,
    told_as_wrong_use,
)
from puter.cli.rescue import keep, save_or_keep, saving
from puter.cli.session import Session, pass_session
from puter.exceptions import PuterInputError
from puter.extensions.budget import Budget
from puter.wire.json import MAX_BODY

FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
"""What endings of names mean; any other file has an item in each line."""


@click.command()
@click.argument(
    "source", metavar="INPUT", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option(
    "-t",
    "--template",
    default=EACH,
    show_default=True,
    metavar="TEXT",
    help="What to say: {item} is a line, {field} one of a row. A brace itself is {{ or }}.",
)
@click.option(
    "-o",
    "--output",
    default="answers.jsonl",
    metavar="FILE",
    help="Where the answers go; what is there is not asked again. Default: answers.jsonl",
)
@model_option()
@system_option
@answer_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["lines", "jsonl", "csv"]),
    help="What INPUT is. Default: as its name ends.",
)
@click.option("--concurrency", type=click.IntRange(1), metavar="N", help="Calls at a time at most.")
@click.option(
    "--budget", callback=checked(Budget), metavar="USD", help="Stop before this run costs more."
)
@click.option(
    "--on-error",
    type=click.Choice(["keep", "raise"]),
    default="keep",
    show_default=True,
    help="Go on after a failure, or end there.",
)
@click.option("--progress/--no-progress", default=None, help="Show a bar. Default: on a terminal.")
@click.option("--chart", metavar="FILE", help="Draw answers and cost over time (.svg, .png).")
@pass_session
def batch(
    session: Session,
    source: str,
    template: str,
    output: str,
    model: str | None,
    system: str | None,
    temperature: float | None,
    max_tokens: int | None,
    options: dict[str, Any],
    form: str | None,
    concurrency: int | None,
    budget: Budget | None,
    on_error: Literal["keep", "raise"],
    progress: bool | None,
    chart: str | None,
) -> int:
    """Ask about each item of a file, several at a time.

    INPUT has an item in each line; a .jsonl file has JSON there, a .csv file rows with the names of
    their fields in the first line. "-" is standard input.

    Each answer is a line of JSON in the output. The same command goes on where it was stopped, and
    asks again what failed. The exit code is 1 when something did.
    """
    if output == STDIN:
        raise click.UsageError("A batch goes on from what its output says: name a file as -o.")
    if source == STDIN and sys.stdin is None:
        raise click.UsageError("Standard input is closed.")
    questions: Any = sys.stdin if source == STDIN else source
    arguments = given(options, system=system, temperature=temperature, max_tokens=max_tokens)
    with told_as_wrong_use():
        check_apart(questions, output)
        prompts = Prompts(template, None, "any", "chat", arguments)
        if chart is not None:  # what cannot be drawn is told before anything is paid
            if is_same(questions, place := chart_path(chart)) or is_same(output, place):
                raise PuterInputError(
                    f"The chart would take the place of {place}", hint="Name another file."
                )
            check_chart(chart)
    items: Iterable[Any] = read(source, form or FORMATS.get(Path(source).suffix.lower(), "lines"))
    if source != STDIN and Path(source).is_file():
        items = list(items)  # all are looked at before any is paid, and the bar knows how many
    with told_as_wrong_use():
        prompts.check(items)
    with session.client() as ai:
        if budget is not None:
            ai.use(budget)
        try:
            results = ai.batch(
                items,
                template=template,
                model=model,
                output=output,
                concurrency=concurrency,
                on_error=on_error,
                progress=progress,
                **arguments,
            )
        except BaseException as error:
            if isinstance(done := getattr(error, "results", None), BatchResults):
                _keep_unwritten(session, done, output)
            raise
    _tell(session, results, output)
    if chart is not None:
        save_or_keep(results.save_chart, chart)
    return int(bool(results.errors) or results.stopped is not None)


def _tell(session: Session, results: BatchResults, output: str) -> None:
    session.tell(f"{results.summary()}: {output}")
    if results.stopped is not None:
        session.tell("It was stopped. The same command asks what is left.")
    elif failed := results.errors:
        session.tell(f"{len(failed)} of {len(results)} failed. The same command asks them again.")
        first: dict[str, int] = {}
        for error in failed[:_SHOWN]:
            first.setdefault(str(error), results.index(error) + 1)
        for told, number in first.items():
            session.tell(f"Item {number}: {told}")
    _keep_unwritten(session, results, output)


def _keep_unwritten(session: Session, results: BatchResults, output: str) -> None:
    """Keep answers elsewhere that were paid for and found no room."""
    if records := results.unwritten:
        text = "".join(f"{json.dumps(one)}\n" for one in records)
        path = keep(saving(text), os.path.basename(output))
        session.tell(f"{output} lacks {len(records)} of them: append {path} to it.")


_SHOWN = 20
"""Failures of which the different ones are told, each with the first item that met it."""


def read(source: str, form: str) -> Generator[Any, None, None]:
    """The items of a file, read as they are needed.

    Args:
        source: Its path; ``-`` for standard input.
        form: ``lines``, ``jsonl`` or ``csv``.

    Raises:
        PuterInputError: It is not what it is said to be.
    """
    with _opened(source) as file:
        try:
            if form == "csv":
                yield from _rows(source, file)
                return
            for number, line in enumerate(_lines(source, file), 1):
                if line.strip():
                    yield line.rstrip("\r\n") if form == "lines" else _json(source, number, line)
        except (UnicodeDecodeError, csv.Error) as error:
            raise PuterInputError(f"{source} cannot be read: {error}") from None


def _lines(source: str, file: TextIO) -> Generator[str, None, None]:
    """Lines, each of which has an end."""
    while line := file.readline(MAX_BODY + 1):
        if len(line) > MAX_BODY:
            raise PuterInputError(f"A line of {source} is longer than {MAX_BODY >> 20} MiB")
        yield line


def _rows(source: str, file: TextIO) -> Generator[dict[str, str], None, None]:
    csv.field_size_limit(MAX_BODY)
    reader = csv.DictReader(_lines(source, file), strict=True)
    names = [name for name in reader.fieldnames or () if name]
    for name in names:
        if names.count(name) > 1:
            raise PuterInputError(
                f"{source} has several columns {name!r}: all but one would be lost"
            )
    for row in reader:
        if None in row or None in row.values():
            raise PuterInputError(
                f"{source}, line {reader.line_num} has not as many cells as the first line"
            )
        yield row


def _json(source: str, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise PuterInputError(f"{source}, line {number} is no JSON: {error}") from None
    except (ValueError, RecursionError):
        told = f"{source}, line {number} is nested too deeply, or has a number too long to be read"
        raise PuterInputError(told) from None


@contextmanager
def _opened(source: str) -> Generator[TextIO, None, None]:
    if source == STDIN:
        yield sys.stdin
        return
    with open(source, encoding="utf-8-sig", newline="") as file:
        yield file
