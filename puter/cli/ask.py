"""``puter-ai "prompt"``: one question, one answer."""

from __future__ import annotations

import sys

import click

from puter.cli.live import show
from puter.cli.session import Session, pass_session


@click.command()
@click.argument("prompt", nargs=-1)
@click.option("-m", "--model", metavar="NAME", help="Which model. Default: the configured one.")
@pass_session
def ask(session: Session, prompt: tuple[str, ...], model: str | None) -> None:
    """Ask a model. The prompt comes first, then what is piped in."""
    text = "\n\n".join(part for part in (" ".join(prompt), _piped()) if part.strip())
    if not text:
        raise click.UsageError("There is no prompt, neither as words nor on standard input.")
    with session.client() as ai:
        show(ai.chat(text, model, stream=True), session)


def _piped() -> str:
    """What comes on standard input, unless that is a terminal."""
    if sys.stdin is None or sys.stdin.isatty():  # None: it was closed
        return ""
    return sys.stdin.read()
