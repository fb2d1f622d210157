"""``puter-ai transcribe``: text from speech."""

from __future__ import annotations

from typing import Any

import click

from puter.ai import PuterAI
from puter.cli.parameters import (
    check_names,
    cost_option,
    model_option,
    more_options,
    need_output,
    source_of,
    telling_cost,
)
from puter.cli.printing import write_text
from puter.cli.session import Session, pass_session


@click.command()
@click.argument("audio", metavar="FILE|URL")
@click.option("--provider", metavar="NAME", help="Who listens: openai or xai.")
@model_option("Which model of the provider. Default: the server's choice.")
@click.option("--language", metavar="CODE", help="The language spoken, such as en.")
@click.option("--translate", is_flag=True, help="Translate into English.")
@more_options
@cost_option
@pass_session
def transcribe(
    session: Session,
    audio: str,
    provider: str | None,
    model: str | None,
    language: str | None,
    translate: bool,
    options: dict[str, Any],
    cost: bool,
) -> None:
    """Write down what is said in a recording, - for one piped in."""
    need_output()
    check_names(options, PuterAI.speech2txt)
    given = {"provider": provider, "model": model, "language": language, "translate": translate}
    options = {**given, **options}
    with session.client() as ai, telling_cost(cost, session, ai):
        write_text(ai.speech2txt(source_of(audio), **options), session)
