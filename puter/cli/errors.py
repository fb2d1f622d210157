"""Errors as the command line tells them, and the exit codes that they make."""

from __future__ import annotations

import os

import click

from puter.engine.credentials import HOW_TO_SIGN_IN, TOKEN_VARIABLES
from puter.exceptions import PuterInputError
from puter.wire.errors import SIGN_IN_AGAIN
from puter.wire.redact import Redactor

_IN_A_SHELL = {
    "See get_available_models() for names.": "Run: puter-ai models",
    "list_models(kind='image') has": "puter-ai models --kind image has",
    "list_models(kind='video') has": "puter-ai models --kind video has",
    "Say what it is, as (data, 'image/png'), or pass it in files=.": "Was -f meant?",
    " For a file in your Puter pass PuterFile('/you/...') or '~/...'.": "",
}
"""Hints for programs, and what they are here."""


def sentence(error: Exception) -> str:
    """What went wrong, and what to do, without a token that was typed in the wrong place.

    Examples:
        >>> sentence(FileNotFoundError(2, "No such file", "cat.png"))
        'cat.png: No such file'
    """
    return without_secrets(_told(error))


def without_secrets(text: str) -> str:
    """The text without what looks like a token."""
    shown: str = Redactor().whole(text)
    return shown


def _told(error: Exception) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        told = error.format_message()
        end = "" if told.endswith((".", "?")) else "."
        return f"{told}{end} See: {error.ctx.command_path} --help"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    told = str(error)
    told = told.replace(HOW_TO_SIGN_IN, f"{SIGN_IN_AGAIN} (without an account: puter-ai --local)")
    told = told.replace(SIGN_IN_AGAIN, _how_to_sign_in())
    for hint, here in _IN_A_SHELL.items():
        told = told.replace(hint, here)
    return told


def exit_code(error: Exception) -> int:
    """2 for wrong use, which was found before anything was paid; else 1."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    if not isinstance(error, PuterInputError):
        return 1
    return 1 if error.results or error.partial is not None else 2


def _how_to_sign_in() -> str:
    named = next((one for one in TOKEN_VARIABLES if os.environ.get(one)), None)
    login = "puter-ai login"
    return (
        f"Put another token into {named}, or unset it and run: {login}"
        if named
        else f"Run: {login}"
    )
