"""``puter-ai whoami``: whose account the other commands use."""

from __future__ import annotations

import json

import click

from puter.cli.session import Session, pass_session
from puter.cli.text import one_line


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: all that Puter tells.")
@pass_session
def whoami(session: Session, as_json: bool) -> None:
    """Show who is signed in."""
    with session.client() as ai:
        account = ai.whoami()
    if as_json:
        click.echo(json.dumps(dict(account.raw), indent=2, default=dict))
    else:
        click.echo(one_line(account.username))
