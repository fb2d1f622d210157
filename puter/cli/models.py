"""``puter-ai models``: the server's models with their prices."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from puter.cli.refresh import refresh
from puter.cli.session import Session, pass_session
from puter.cli.text import one_line, write_json

if TYPE_CHECKING:
    from puter.types.model import Model

KINDS = ("chat", "image", "video")

NARROW = 70
"""Columns below which a table has the most important columns only."""


@click.group(invoke_without_command=True)
@click.option("--search", metavar="TEXT", help="Part of the name, in upper or lower case.")
@click.option("--provider", metavar="NAME", help="Only those of one provider, such as claude.")
@click.option(
    "--kind", type=click.Choice(KINDS), default="chat", show_default=True, help="What they make."
)
@click.option("--vision", is_flag=True, help="Only those that read images.")
@click.option("--tools", is_flag=True, help="Only those that call tools.")
@click.option("--free", is_flag=True, help="Only those that cost nothing.")
@click.option(
    "--max-price", type=float, metavar="USD", help="Dollars per million tokens received at most."
)
@click.option("--min-context", type=int, metavar="TOKENS", help="Tokens of context at least.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
@click.pass_context
def models(
    ctx: click.Context,
    session: Session,
    search: str | None,
    provider: str | None,
    kind: str,
    vision: bool,
    tools: bool,
    free: bool,
    max_price: float | None,
    min_context: int | None,
    as_json: bool,
) -> None:
    """List models with their prices, the cheapest first."""
    if ctx.invoked_subcommand is not None:
        return
    with session.client() as ai:
        found = ai.list_models(provider, kind=kind).find(  # type: ignore[arg-type]  # click checked
            search,
            vision=vision or None,
            tools=tools or None,
            free=free or None,
            min_context=min_context,
            max_output_price=max_price,
        )
    if as_json:
        write_json(session.output.file, [_data(one) for one in found])
        return
    narrow = session.output.width < NARROW
    session.output.print(_of_chat(found, narrow) if kind == "chat" else _of_media(found, narrow))


models.add_command(refresh)


def _data(model: Model) -> dict[str, Any]:
    """A model as plain data; prices are strings, which are exact."""
    data = dataclasses.asdict(model)
    del data["raw"]
    return data


def _of_chat(found: Sequence[Model], narrow: bool) -> Table:
    table = _table("US dollars per million tokens")
    for name in ("in", "out") if narrow else ("in", "out", "context"):
        table.add_column(name, justify="right", no_wrap=True)
    if not narrow:
        table.add_column("provider")
        table.add_column("reads and does")
    for one in found:
        cells = [one.id, _number(one.input_price), _number(one.output_price)]
        if not narrow:
            able = [*one.inputs, *(["tools"] if one.tools else [])]
            cells += [_number(one.context), one.provider, ", ".join(able)]
        table.add_row(*map(one_line, cells))
    return table


def _of_media(found: Sequence[Model], narrow: bool) -> Table:
    table = _table("US dollars per unit")
    table.add_column("price", justify="right", no_wrap=True)
    table.add_column("unit")
    if not narrow:
        table.add_column("provider")
    for one in found:
        cells = [one.id, _number(one.unit_price), one.unit, one.provider]
        table.add_row(*map(one_line, cells[: len(table.columns)]))
    return table


def _table(caption: str) -> Table:
    table = Table(box=None, caption=caption, caption_justify="left", pad_edge=False)
    table.add_column("model", overflow="fold")
    return table


def _number(number: Decimal | float | None) -> str:
    """A price or a count as people write it; "?" when it is not known."""
    return "?" if number is None else f"{Decimal(number):,f}"
