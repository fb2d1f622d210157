"""``puter-ai config``: the settings, and where each comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from puter.cli.session import Session, pass_session
from puter.cli.text import one_line, write_json
from puter.config import public_values
from puter.engine.credentials import TOKEN_VARIABLES

if TYPE_CHECKING:
    from puter.config import PuterConfig

HIDDEN = "***"
"""Stands for a secret."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def config(session: Session, as_json: bool) -> None:
    """Show the settings and where each comes from, but no secret."""
    with session.client() as ai:
        rows = [*_credentials(session), *_settings(session, ai.config)]
    if as_json:
        data = {name: {"value": value, "from": source} for name, value, source in rows}
        write_json(session.output.file, data)
        return
    table = Table(box=None, pad_edge=False)
    for name in ("setting", "value", "from"):
        table.add_column(name, overflow="fold")
    for name, value, source in rows:
        table.add_row(*map(one_line, (name, "" if value is None else str(value), source)))
    session.show(table)


Row = tuple[str, Any, str]
"""A setting, its value, and where it comes from."""


def _credentials(session: Session) -> Iterator[Row]:
    found = session.found
    variables = {
        "token": TOKEN_VARIABLES,
        "username": ("PUTER_USERNAME",),
        "password": ("PUTER_PASSWORD",),
    }
    for name, names in variables.items():
        if session.local and name == "token":
            yield name, HIDDEN, "--local"
        elif session.local:
            yield name, None, "not set"
        elif variable := next((one for one in names if os.environ.get(one)), None):
            value = os.environ[variable] if name == "username" else HIDDEN
            yield name, value, variable
        elif found is not None and (said := found.find(name)):
            value = said[1] if name == "username" else HIDDEN
            yield name, value, found.place_of(name) or ""
        else:
            yield name, None, "not set"


def _settings(session: Session, settings: PuterConfig) -> Iterator[Row]:
    shown = {**settings.to_dict(), "login_url": settings.login_url}
    shown.update(public_values(settings, HIDDEN))
    for name, value in shown.items():
        variable = f"PUTER_{name.upper()}"
        if session.local and name in ("api_base", "login_url", "proxy"):
            source = "--local"
        elif os.environ.get(variable) or (variable == "PUTER_PROXY" and variable in os.environ):
            source = variable
        else:
            source = (session.found and session.found.place_of(name)) or "default"
        yield name, value, source
