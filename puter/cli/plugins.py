"""Commands of installed packages: click commands that entry points of one group name."""

from __future__ import annotations

from importlib.metadata import entry_points

import click

from puter.exceptions import PuterConfigError
from puter.extensions.plugins import entry_of, loaded, named

GROUP = "puter.commands"
"""The group of entry points."""


def names() -> set[str]:
    """Names of the commands that packages offer, which are not loaded for it."""
    return {one.name for one in entry_points(group=GROUP)}


def load(name: str) -> click.Command:
    """A command of a package.

    One that cannot be had is a command as well: it tells why when it is run, and the others work.
    """
    try:
        entry = entry_of(GROUP, name)
        command = loaded(entry)
        if not isinstance(command, click.Command):
            raise PuterConfigError(
                f"{named(entry)} is no click command but a {type(command).__name__}",
                hint="Its entry point has to name a function decorated with @click.command().",
            )
    except PuterConfigError as error:
        return _broken(name, error)
    return command


def _broken(name: str, error: PuterConfigError) -> click.Command:
    def fail() -> None:
        raise error

    return click.Command(
        name,
        callback=fail,
        help=f"Cannot be used: {error.message}",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
