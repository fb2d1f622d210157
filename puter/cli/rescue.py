"""What was paid for is kept elsewhere, where it cannot be written to the place that was named."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import click

from puter.atomic import write_whole
from puter.cli.errors import sentence
from puter.exceptions import PuterError


def keep(save: Callable[[str], Path], name: str) -> Path:
    """Write a file of that name in a new folder of the one for temporary files.

    Raises:
        OSError: There is no room either.
    """
    folder = tempfile.mkdtemp(prefix="puter-ai-")
    try:
        return save(os.path.join(folder, name))
    except BaseException:
        with suppress(OSError):  # it may hold something by now
            os.rmdir(folder)
        raise


def save_or_keep(save: Callable[[str], Path], path: str) -> Path:
    """A file, saved at a path, or else kept under its name; raises as ``kept_elsewhere``."""
    with kept_elsewhere(save, os.path.basename(path)):
        return save(path)


@contextmanager
def kept_elsewhere(
    save: Callable[[str], Path], name: str, *, unless: type[OSError] | tuple[()] = ()
) -> Generator[None, None, None]:
    """Keep it when the block cannot write it.

    Args:
        save: Writes it to a path, which it returns.
        name: Of the file.
        unless: An error after which nobody wants it.

    Raises:
        click.ClickException: It could not be written; where it is.
        OSError: It could not, and is nowhere.
    """
    try:
        yield
    except unless:
        raise
    except OSError as error:
        try:
            path = keep(save, name)
        except (OSError, PuterError):
            raise error from None
        told = f"{sentence(error)}. It is paid for, and kept in {path}"
        raise click.ClickException(told) from error


def saving(text: str) -> Callable[[str], Path]:
    """A function that writes this text to a path."""
    return partial(write_whole, data=text.encode(errors="replace"))
