"""Commands of installed packages: click commands that entry points of one group name."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import click

from puter.exceptions import PuterConfigError
from puter.extensions.plugins import package_of

GROUP = "puter.commands"
"""The group of entry points."""


def names() -> set[str]:
    """Names of the commands that packages offer, which are not loaded for it."""
    return {one.name for one in entry_points(group=GROUP)}


def load(name: str) -> click.Command:
    """A command of a package.

    One that cannot be had is a command as well: it tells why when it is run, and the others work.
    """
    found = list(entry_points(group=GROUP, name=name))
    try:
        if len(found) > 1:
            packages = ", ".join(sorted(map(package_of, found)))
            raise PuterConfigError(
                f"Several packages have a command {name!r}: {packages}",
                hint="Uninstall all but one.",
            )
        return _load(found[0])
    except PuterConfigError as error:
        return _broken(name, error)


def _load(entry: EntryPoint) -> click.Command:
    told = f"The command {entry.name!r} of {package_of(entry)}"
    try:
        command = entry.load()
    except Exception as error:
        raise PuterConfigError(
            f"{told} cannot be loaded: {type(error).__name__}: {error}",
            hint=f"Update or uninstall {package_of(entry)}.",
        ) from error
    if not isinstance(command, click.Command):
        raise PuterConfigError(
            f"{told} is no click command but a {type(command).__name__}",
            hint="Its entry point has to name a function decorated with @click.command().",
        )
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
