"""``puter-ai usage``: what the account spent this month."""

from __future__ import annotations

import click
from rich.table import Table

from puter.cli.session import Session, pass_session
from puter.cli.text import one_line, write_json
from puter.money import amount
from puter.types.account import AccountUsage


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def usage(session: Session, as_json: bool) -> None:
    """Show what the account spent this month, by model, and what is left."""
    with session.client() as ai:
        found = ai.account_usage()
    if as_json:
        names = ("unit", "spent", "allowance", "remaining", "by_model", "by_operation", "by_app")
        write_json(session.output.file, {name: getattr(found, name) for name in names})
        return
    session.show(_table(found))


def _table(found: AccountUsage) -> Table:
    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column("this month", overflow="fold", footer="spent\nleft\nallowance")
    totals = (found.spent, found.remaining, found.allowance)
    table.add_column(found.unit, justify="right", footer="\n".join(map(amount, totals)))
    for name, spent in sorted(found.by_model.items(), key=lambda one: -one[1]):
        table.add_row(one_line(name), amount(spent))
    if other := found.spent - sum(found.by_model.values()):
        table.add_row("other", amount(other))  # such as what was transferred
    return table
