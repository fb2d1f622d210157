"""Plugins: extensions that installed packages offer by name, as entry points of one group."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from puter.checks import did_you_mean, near_misses
from puter.exceptions import PuterConfigError, repr_of, with_article

GROUP = "puter.plugins"
"""The group of entry points."""


def load(name: str) -> Any:
    """The extension that an installed package offers under a name.

    Its entry point names a middleware or another extension, which is returned as it is, or a class
    or function, which is called without arguments.

    Raises:
        PuterConfigError: No package has the plugin, or several have; or it cannot be loaded or
            made, with the reason as its cause.
    """
    entry = entry_of(GROUP, name)
    plugin, found = named(entry), loaded(entry)
    if not inspect.isclass(found) and (
        not inspect.isroutine(found) or inspect.isgeneratorfunction(inspect.unwrap(found))
    ):
        return found
    if not _takes_nothing(found):
        raise PuterConfigError(
            f"{plugin}: {found.__name__} is no middleware and cannot be called without arguments",
            hint="An entry point names a middleware, which is a generator function; another "
            "extension; or a class or function that makes one and needs no arguments.",
        )
    try:
        return found()
    except Exception as error:
        raise _failed(f"{plugin} cannot be made", error) from error


def not_usable(name: str, error: Exception) -> PuterConfigError:
    """The error of a plugin that was loaded, and that ``use()`` cannot put in its place."""
    plugin = named(entry_of(GROUP, name))
    if isinstance(error, PuterConfigError):
        return PuterConfigError(f"{plugin}: {error.message}", hint=error.hint)
    return _failed(f"{plugin} cannot be set up", error)


def entry_of(group: str, name: str) -> EntryPoint:
    """What an installed package offers under a name.

    Raises:
        PuterConfigError: No package does, or several do.
    """
    installed = entry_points(group=group)
    found = installed.select(name=name)
    if not found:
        names = sorted(installed.names)
        known = f"Installed are {', '.join(map(repr, names))}." if names else "None is installed."
        near = did_you_mean(near_misses(name, names))
        raise PuterConfigError(
            f"There is no {_noun(group)} {repr_of(name)}", hint=f"{near} {known}".strip()
        )
    return the_only(found)


def the_only(found: Collection[EntryPoint]) -> EntryPoint:
    """What installed packages offer under one name.

    Raises:
        PuterConfigError: Several do.
    """
    first, *others = found
    if others:
        packages = ", ".join(sorted(map(package_of, found)))
        raise PuterConfigError(
            f"Several packages have {with_article(_noun(first.group))} {first.name!r}: {packages}",
            hint="Uninstall all but one.",
        )
    return first


def loaded(entry: EntryPoint) -> Any:
    """What an entry point names.

    Raises:
        PuterConfigError: It cannot be loaded, with the reason as its cause.
    """
    try:
        return entry.load()
    except Exception as error:
        hint = f"Update or uninstall {package_of(entry)}."
        raise _failed(f"{named(entry)} cannot be loaded", error, hint) from error


def named(entry: EntryPoint) -> str:
    """What it is, as errors begin."""
    return f"The {_noun(entry.group)} {entry.name!r} of {package_of(entry)}"


def _noun(group: str) -> str:
    return group.removeprefix("puter.").removesuffix("s")


def package_of(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value.partition(":")[0]


def _takes_nothing(function: Callable[..., Any]) -> bool:
    if inspect.iscoroutinefunction(function):
        return False
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    except ValueError:  # some classes in C do not tell
        return True
    return True


def _failed(what: str, error: Exception, hint: str | None = None) -> PuterConfigError:
    return PuterConfigError(f"{what}: {type(error).__name__}: {error}", hint=hint)
