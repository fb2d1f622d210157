"""``puter-ai completion``: the script with which a shell completes commands and models."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
_ZSH_COMPLETES = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }"
"""Turns completion on where no start-up file did, without what others may have written (``-i``)."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a completion script for a shell.

    For bash, add to ~/.bashrc: eval "$(puter-ai completion bash)"
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - for type checkers
    script = kind(ctx.find_root().command, {}, "puter-ai", "_PUTER_AI_COMPLETE").source()
    if shell == "zsh":  # its first line is for zsh
        script = script.replace("\n", f"\n{_ZSH_COMPLETES}\n", 1)
    click.echo(script)
