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
from puter.money import amount

if TYPE_CHECKING:
    from puter.api.model_lists import ModelKind
    from puter.types.model import Model

KINDS = ("chat", "image", "video")

NARROW, NARROWEST = 70, 40
"""Columns below which a table has the most important columns only, and names alone."""


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
@click.option("-n", "--count", type=click.IntRange(1), help="How many at most; the cheapest.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
@click.pass_context
def models(
    ctx: click.Context,
    session: Session,
    search: str | None,
    provider: str | None,
    kind: ModelKind,
    vision: bool,
    tools: bool,
    free: bool,
    max_price: float | None,
    min_context: int | None,
    count: int | None,
    as_json: bool,
) -> None:
    """List models with their prices, the cheapest first."""
    if ctx.invoked_subcommand is not None:
        return
    with session.client() as ai:
        found = ai.list_models(provider, kind=kind).find(
            search,
            vision=vision or None,
            tools=tools or None,
            free=free or None,
            min_context=min_context,
            max_output_price=max_price,
        )[:count]
    if as_json:
        write_json(session.output.file, [_data(one) for one in found])
    elif found:
        table = _of_chat if kind == "chat" else _of_media
        session.show(table(found, session.output.width))
    else:
        session.tell("No model matches.")


models.add_command(refresh)


def _data(model: Model) -> dict[str, Any]:
    """A model as plain data; prices are strings, which are exact."""
    data = dataclasses.asdict(model)
    del data["raw"]
    return data


def _of_chat(found: Sequence[Model], width: int) -> Table:
    table = _table("US dollars per million tokens", width)
    if width >= NARROWEST:
        table.add_column("in", justify="right", no_wrap=True)
        table.add_column("out", justify="right", no_wrap=True)
    if width >= NARROW:
        table.add_column("context", justify="right", no_wrap=True)
        table.add_column("provider")
        table.add_column("reads and does")
    for one in found:
        able = [*one.inputs, *(["tools"] if one.tools else [])]
        prices = _price(one.input_price), _price(one.output_price)
        cells = [
            one.id,
            *prices,
            "?" if one.context is None else f"{one.context:,}",
            one.provider,
            ", ".join(able),
        ]
        table.add_row(*map(one_line, cells[: len(table.columns)]))
    return table


def _of_media(found: Sequence[Model], width: int) -> Table:
    table = _table("US dollars per unit", width)
    if width >= NARROWEST:
        table.add_column("price", justify="right", no_wrap=True)
        table.add_column("unit")
    if width >= NARROW:
        table.add_column("provider")
    for one in found:
        cells = [one.id, _price(one.unit_price), one.unit, one.provider]
        table.add_row(*map(one_line, cells[: len(table.columns)]))
    return table


def _table(unit: str, width: int) -> Table:
    caption = unit if width >= NARROWEST else None
    table = Table(box=None, caption=caption, caption_justify="left", pad_edge=False)
    table.add_column("model", overflow="fold")
    return table


def _price(price: Decimal | None) -> str:
    """As people read it: servers tell 0.28 as 0.28000000000000004. Not known is "?"."""
    return "?" if price is None else amount(price)
