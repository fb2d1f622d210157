"""``puter-ai video``: a video from words."""

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
    source_of,
    telling_cost,
    text_of,
)
from puter.cli.session import Session, pass_session


@click.command()
@click.argument("prompt", nargs=-1)
@model_option("Which model, such as sora-2. Default: the server's.")
@click.option("--seconds", type=float, metavar="NUMBER", help="How long. Default: the model's.")
@click.option("--size", metavar="SIZE", help="Such as 1280x720. Default: the model's.")
@click.option("-i", "--image", metavar="FILE|URL", help="The image that it begins with.")
@output_options
@more_options
@cost_option
@pass_session
def video(
    session: Session,
    prompt: tuple[str, ...],
    model: str | None,
    seconds: float | None,
    size: str | None,
    image: str | None,
    output: str | None,
    overwrite: bool,
    options: dict[str, Any],
    cost: bool,
) -> None:
    """Make a video from words, and print the name of its file. It takes some minutes."""
    check_names(options, PuterAI.txt2vid)
    text = text_of(prompt, [image] if image else [])
    place = Output(output, text, overwrite=overwrite)
    source = source_of(image) if image else None
    options = {"seconds": seconds, "size": size, "input_reference": source, **options}
    with session.client() as ai, telling_cost(cost, session, ai):
        place.save(ai.txt2vid(text, model, **options), session)
