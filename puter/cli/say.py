"""``puter-ai say``: speech from text."""

from __future__ import annotations

from typing import Any

import click

from puter.ai import PuterAI
from puter.cli.files import Output, output_options
from puter.cli.parameters import (
    check_names,
    cost_option,
    model_option,
    more_options,
    telling_cost,
    text_of,
)
from puter.cli.session import Session, pass_session


@click.command()
@click.argument("text", nargs=-1)
@click.option("--provider", metavar="NAME", help="Who speaks, such as openai or elevenlabs.")
@model_option("Which model of the provider. Default: the provider's.")
@click.option("--voice", metavar="NAME", help="Whose voice, such as Joanna or alloy.")
@click.option("--language", metavar="CODE", help="Such as en-US.")
@output_options
@more_options
@cost_option
@pass_session
def say(
    session: Session,
    text: tuple[str, ...],
    provider: str | None,
    model: str | None,
    voice: str | None,
    language: str | None,
    output: str | None,
    overwrite: bool,
    options: dict[str, Any],
    cost: bool,
) -> None:
    """Speak a text, and print the name of the file with the speech."""
    check_names(options, PuterAI.txt2speech)
    words = text_of(text)
    place = Output(output, words, overwrite=overwrite)
    given = {"provider": provider, "model": model, "voice": voice, "language": language}
    options = {**given, **options}
    with session.client() as ai, telling_cost(cost, session, ai):
        place.save(ai.txt2speech(words, **options), session)
