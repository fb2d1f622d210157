"""Commands of installed packages: click commands that entry points of one group name."""

from __future__ import annotations

from importlib.metadata import EntryPoints, entry_points

import click

from puter.exceptions import PuterConfigError, with_article
from puter.extensions.plugins import loaded, named, the_only

GROUP = "puter.commands"
"""The group of entry points."""


def names() -> set[str]:
    """Names of the commands that packages offer, which are not loaded for it."""
    return entry_points(group=GROUP).names


def load(name: str) -> click.Command | None:
    """A command of a package, None where no package has it.

    One that cannot be had is a command as well: it tells why when it is run, and the others work.
    """
    found = entry_points(group=GROUP, name=name)
    return _loaded(found) if found else None


def load_all() -> dict[str, click.Command]:
    """All of them by name."""
    found = entry_points(group=GROUP)
    return {name: _loaded(found.select(name=name)) for name in found.names}


def _loaded(found: EntryPoints) -> click.Command:
    """The command of entry points of one name."""
    first = next(iter(found))
    try:
        entry = the_only(found)
        command = loaded(entry)
        if not isinstance(command, click.Command):
            raise PuterConfigError(
                f"{named(entry)} is no click command but {with_article(type(command).__name__)}",
                hint="Its entry point has to name a function decorated with @click.command().",
            )
    except PuterConfigError as error:
        return _broken(first.name, error)
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
