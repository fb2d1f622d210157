"""``puter-ai logs``: the log of prompts, answers and costs, which is off until it is turned on."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import click
from rich.text import Text

from puter.cli.log import VARIABLE, Log, kept, place
from puter.cli.session import Session, pass_session
from puter.cli.text import one_line, printable, write_json
from puter.money import usd

F = TypeVar("F", bound=Callable[..., Any])


def _options_of_list(command: F) -> F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--full", is_flag=True, help="Print prompts and answers as a whole."),
        click.option(
            *("-n", "--count"),
            type=click.IntRange(1),
            default=20,
            show_default=True,
            help="How many calls at most; the last ones.",
        ),
        click.option("--search", metavar="TEXT", help="Part of prompt, answer or model."),
    ):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@_options_of_list
@pass_session
@click.pass_context
def logs(ctx: click.Context, session: Session, /, **options: Any) -> None:
    """Show the log of prompts, answers and costs.

    Without a command it lists the last calls.
    """
    if ctx.invoked_subcommand is None:
        _list(session, **options)


@logs.command("list")
@_options_of_list
@pass_session
def listing(session: Session, /, **options: Any) -> None:
    """List the last calls."""
    _list(session, **options)


@logs.command()
@pass_session
def on(session: Session) -> None:
    """Keep a log from now on."""
    with Log(place()) as log:
        log.on = True
    session.tell(f"Prompts, answers and costs are logged in {place()}.")


@logs.command()
@pass_session
def off(session: Session) -> None:
    """Keep no log any more; what is in it stays."""
    if kept():
        with Log(place()) as log:
            log.on = False
    session.tell(f"{VARIABLE} is set, which turns it on." if kept() else "No log is kept.")


@logs.command()
def path() -> None:
    """Print the name of the log's file."""
    click.echo(place())


def _list(session: Session, search: str | None, count: int, full: bool, as_json: bool) -> None:
    calls: list[dict[str, Any]] = []
    if os.path.exists(place()):
        with Log(place()) as log:
            calls = log.find(search, count)
    if as_json:
        write_json(session.output.file, calls)
        return
    for call in calls:
        _print(session, call, full=full)
    if not calls:
        told = "Nothing is in the log." if kept() else "No log is kept: puter-ai logs on."
        session.tell(told)


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
