"""Errors as the command line tells them."""

from __future__ import annotations

import click

from puter.engine.credentials import HOW_TO_SIGN_IN


def sentence(error: Exception) -> str:
    """What went wrong, and what to do.

    Examples:
        >>> sentence(FileNotFoundError(2, "No such file", "cat.png"))
        'cat.png: No such file'
    """
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{error.format_message()} See: {error.ctx.command_path} --help"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error).replace(HOW_TO_SIGN_IN, "Run: puter-ai login")
