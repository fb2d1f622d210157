"""``puter-ai whoami``: whose account the other commands use."""

from __future__ import annotations

import click

from puter.cli.session import Session, pass_session
from puter.cli.text import one_line, write_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: all that Puter tells.")
@pass_session
def whoami(session: Session, as_json: bool) -> None:
    """Show who is signed in."""
    with session.client() as ai:
        account = ai.whoami()
    if as_json:
        write_json(session.output.file, account.raw)
    else:
        click.echo(one_line(account.username))
