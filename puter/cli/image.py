"""``puter-ai image``: an image from words."""

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
@model_option("Which model, such as gpt-image-2. Default: the provider's.")
@click.option("--provider", metavar="NAME", help="Who makes it, such as openai or gemini.")
@click.option("--ratio", metavar="RATIO", help="Such as 16:9, or a size such as 1024x1024.")
@click.option(
    *("-i", "--image", "images"),
    multiple=True,
    metavar="FILE|URL",
    help="An image to start from, - for one piped in. May be repeated.",
)
@output_options
@more_options
@cost_option
@pass_session
def image(
    session: Session,
    prompt: tuple[str, ...],
    model: str | None,
    provider: str | None,
    ratio: str | None,
    images: tuple[str, ...],
    output: str | None,
    overwrite: bool,
    options: dict[str, Any],
    cost: bool,
) -> None:
    """Make an image from words, and print the name of its file."""
    check_names(options, PuterAI.txt2img)
    text = text_of(prompt, images)
    place = Output(output, text, overwrite=overwrite)
    sources = [source_of(one) for one in images] or None
    options = {"provider": provider, "ratio": ratio, "input_images": sources, **options}
    with session.client() as ai, telling_cost(cost, session, ai):
        place.save(ai.txt2img(text, model, **options), session)
