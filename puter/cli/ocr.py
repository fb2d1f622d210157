"""``puter-ai ocr``: text from images and documents."""

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
@click.argument("document", metavar="FILE|URL")
@click.option("--provider", metavar="NAME", help="Who reads: aws-textract or mistral.")
@model_option("Which model of the provider. Default: the provider's.")
@more_options
@cost_option
@pass_session
def ocr(
    session: Session,
    document: str,
    provider: str | None,
    model: str | None,
    options: dict[str, Any],
    cost: bool,
) -> None:
    """Read the text in an image or a document, - for one piped in."""
    need_output()
    check_names(options, PuterAI.img2txt)
    options = {"provider": provider, "model": model, **options}
    with session.client() as ai, telling_cost(cost, session, ai):
        write_text(ai.img2txt(source_of(document), **options), session)
