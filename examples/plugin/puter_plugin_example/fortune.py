"""A command of ``puter-ai``."""

from __future__ import annotations

import click

from puter.cli.session import Session, pass_session
from puter_plugin_example.dice import roll_dice


@click.command()
@click.option("--count", default=2, show_default=True, help="How many dice.")
@pass_session
def fortune(session: Session, count: int) -> None:
    """Roll dice, and have a model read your fortune in them."""
    dice = ", ".join(map(str, roll_dice(count)))
    with session.client() as ai:
        session.output.print(f"{dice}:", ai.chat(f"Read my fortune in the dice {dice}"))
