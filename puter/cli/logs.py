"""``puter-ai logs``: the log of prompts, answers and costs, which is off until it is turned on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from puter.cli.log import VARIABLE, Log, kept, log_if_any, place, turn_off, turn_on
from puter.cli.session import Session, pass_session
from puter.cli.text import one_line, printable, write_json
from puter.engine.ledger import Spent
from puter.money import amount, usd


@click.group(invoke_without_command=True)
@click.option("--search", metavar="TEXT", help="Part of prompt, answer or model.")
@click.option(
    *("-n", "--count"),
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many calls at most; the last ones.",
)
@click.option("--full", is_flag=True, help="Print prompts and answers as a whole.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
@click.pass_context
def logs(
    ctx: click.Context,
    session: Session,
    search: str | None,
    count: int,
    full: bool,
    as_json: bool,
) -> None:
    """Show the log of prompts, answers and costs.

    Without a command it lists the last calls.
    """
    if ctx.invoked_subcommand is not None:
        return
    with log_if_any() as log:
        calls = log.find(search, count) if log else []
    if as_json:
        write_json(session.output.file, calls)
        return
    for call in calls:
        _print(session, call, full=full)
    if not calls:
        _tell_empty(session)


def _day(name: str, *, default: date, told: str) -> Callable[..., Any]:
    kind = click.DateTime(["%Y-%m-%d"])
    return click.option(name, type=kind, default=str(default), metavar="YYYY-MM-DD", help=told)


@logs.command()
@click.option(
    "--by",
    type=click.Choice(["day", "model"]),
    default="day",
    show_default=True,
    help="What costs are summed up by.",
)
@_day("--since", default=date.min, told="The first day. Default: that of the first call.")
@_day("--until", default=date.max, told="The last day. Default: that of the last call.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def costs(session: Session, by: str, since: datetime, until: datetime, as_json: bool) -> None:
    """Sum up what calls cost, by day or by model."""
    with log_if_any() as log:
        sums = log.spent(by, since.date(), until.date()) if log else {}
    if as_json:
        write_json(session.output.file, [{by: key, **asdict(one)} for key, one in sums.items()])
    elif sums:
        session.show(_table(by, sums))
    else:
        _tell_empty(session)


def _table(by: str, sums: dict[str, Spent]) -> Table:
    total = Spent()
    for one in sums.values():
        total._add(one)
    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column(by, "all", overflow="fold")
    columns = zip(("calls", "tokens in", "tokens out", "USD"), _cells(total), strict=True)
    for name, footer in columns:
        table.add_column(name, footer, justify="right")
    for key, one in sums.items():
        table.add_row(one_line(key), *_cells(one))
    if total.unpriced:
        table.caption = f"?: {total.unpriced:,} of unknown cost. See: puter-ai usage"
        table.caption_justify = "left"
    return table


def _cells(spent: Spent) -> tuple[str, ...]:
    counts = (spent.requests, spent.input_tokens, spent.output_tokens)
    known = [amount(spent.cost)] if spent.cost or not spent.unpriced else []
    unknown = ["?"] if spent.unpriced else []
    return (*(f"{one:,}" for one in counts), " + ".join([*known, *unknown]))


@logs.command()
@pass_session
def on(session: Session) -> None:
    """Keep a log from now on."""
    with Log(place()):
        turn_on()
    session.tell(f"Prompts, answers and costs are logged in {place()}.")


@logs.command()
@pass_session
def off(session: Session) -> None:
    """Keep no log any more; what is in it stays."""
    turn_off()
    named = os.environ.get(VARIABLE)
    session.tell(f"{VARIABLE} is set, which turns it on." if named else "No log is kept.")


@logs.command()
def path() -> None:
    """Print the name of the log's file."""
    click.echo(place())


def _tell_empty(session: Session) -> None:
    session.tell("Nothing is in the log." if kept() else "No log is kept: puter-ai logs on.")


def _print(session: Session, call: dict[str, Any], *, full: bool) -> None:
    cost = usd(Decimal(call["cost"]) if call["cost"] else None)
    head = f"{call['at']} {call['operation']} {call['model'] or ''} {cost}"
    session.output.print(Text(one_line(head), "bold"), soft_wrap=True)
    for mark, text in (("> ", call["prompt"]), ("", call["answer"]), ("! ", call["error"])):
        if text and full:
            session.output.print(Text(mark + printable(text)), soft_wrap=True)
        elif text:
            short = Text(mark + one_line(text))
            session.output.print(short, no_wrap=True, overflow="ellipsis")
    session.output.print()
