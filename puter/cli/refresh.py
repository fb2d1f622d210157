"""``puter-ai models refresh``: rewrite the offline registry of models from a live server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import click

from puter.api.model_lists import fetch_catalogue
from puter.atomic import write_whole
from puter.cli.parameters import checked
from puter.cli.session import Session, pass_session
from puter.models import __file__ as _registry
from puter.models import providers_of
from puter.settings import check_url

PACKAGE = Path(_registry).parent


@click.command()
@click.option(
    "--api-base",
    callback=checked(partial(check_url, "api_base")),
    metavar="URL",
    help="The server to ask. Default: the configured one.",
)
@click.option(
    *("-o", "--output"),
    type=click.Path(path_type=Path),
    default=PACKAGE,
    help="Folder to write to. Default: the package's own.",
)
@pass_session
def refresh(session: Session, api_base: str | None, output: Path) -> None:
    """Rewrite the offline registry of models from a live server."""
    with session.client(**({} if api_base is None else {"api_base": api_base})) as ai:
        lists = ai._run(fetch_catalogue)
        source = ai.config.api_base
    today = datetime.now(timezone.utc).date().isoformat()
    write({"captured": today, "source": source, **lists}, output)
    count = len(providers_of(lists))
    click.echo(f"{count} chat models written to {output}")


def write(catalogue: Mapping[str, Any], folder: Path) -> None:
    """Write both files of the registry, each of them whole or not at all."""
    for name, data in (
        ("catalogue.json", catalogue),
        ("available_models.json", providers_of(catalogue)),
    ):
        write_whole(folder / name, f"{_pretty(data)}\n".encode())


def _pretty(data: Mapping[str, Any]) -> str:
    """JSON with one model a line, so that a refresh reads well as a diff."""
    lines: list[str] = []
    for key, value in data.items():
        if isinstance(value, list):
            inner = ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in value)
            lines.append(f"{json.dumps(key)}: [\n{inner}\n]" if value else f"{json.dumps(key)}: []")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}"
