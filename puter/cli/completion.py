"""``puter-ai completion``: the script with which a shell completes commands and models."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a completion script for a shell.

    For bash, add to ~/.bashrc: eval "$(puter-ai completion bash)"
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - for type checkers
    click.echo(kind(ctx.find_root().command, {}, "puter-ai", "_PUTER_AI_COMPLETE").source())
