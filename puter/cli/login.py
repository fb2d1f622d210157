"""``puter-ai login``: sign in, and keep the token where the user says."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from puter.checks import SECONDS
from puter.cli import saved
from puter.cli.accounts import hosts_to_save, own_client, profile_of_user, token_of
from puter.cli.errors import without_secrets
from puter.cli.parameters import checked
from puter.cli.session import Session, pass_session, stdin_is_interactive
from puter.config import PuterConfig
from puter.engine.credentials import TOKEN_VARIABLES
from puter.exceptions import PuterAuthError, PuterConfigError, PuterError

if TYPE_CHECKING:
    from puter.ai import PuterAI

WAYS = {
    "browser": "in the browser",
    "password": "with user name and password",
    "token": "with a token",
}
LONGEST = 64 * 1024
"""Characters of the line with a token, at most."""


def _way(name: str, *words: str, told: str) -> Callable[..., Any]:
    return click.option(*words, "way", flag_value=name, help=told)


@click.command(context_settings={"allow_extra_args": True})
@_way("browser", "--browser", told="Sign in on Puter's page in the browser.")
@_way("password", "--password", told="Sign in with user name and password, which are asked for.")
@_way("token", "--with-token", told="Read a token from standard input.")
@click.option("--save/--no-save", default=None, help="Save the token, in the keyring or a file.")
@click.option("--print-token", is_flag=True, help="Print a line for the shell that exports it.")
@click.option(
    "--open/--no-open", "open_browser", default=True, help="Open the browser, or print the address."
)
@click.option(
    "--timeout",
    type=float,
    default=300,
    show_default=True,
    metavar="SECONDS",
    callback=checked(partial(SECONDS.kind(whole=False), "timeout")),
    help="How long to wait for the browser.",
)
@pass_session
@click.pass_context
def login(
    ctx: click.Context,
    session: Session,
    way: str | None,
    save: bool | None,
    print_token: bool,
    open_browser: bool,
    timeout: float,
) -> None:
    """Sign in to Puter.

    It asks how, where there is a terminal. The token is saved only when you say so; then the other
    commands find it, and programs with PuterAI(profile="").

    \b
    puter-ai login --browser --save
    puter-ai login --with-token < file
    """  # noqa: D301 - click knows this character, not its escape
    if ctx.args:  # a token, most likely: click's own message would show it
        told = "login takes no words. A token comes on standard input: login --with-token < file."
        raise click.UsageError(told)
    profile = profile_of_user(session)
    if session.local and save:
        raise click.UsageError("--local ends with this command: there is nothing to save.")
    if not profile.isprintable() or without_secrets(profile) != profile:
        raise click.UsageError("This cannot be the name of a profile.")
    asking = stdin_is_interactive()
    way = way or (_ask_how() if asking else None)
    if way is None:
        raise click.UsageError("Say how: --browser, --password or --with-token.")
    if save:
        saved.check_place()
    signed_in = _signed_in(session, way, timeout=timeout, open_browser=open_browser)
    with signed_in as ai, ExitStack() as unless_kept:
        if way == "password":
            unless_kept.callback(_end, session, ai)
        try:
            account = ai.whoami()
        except PuterAuthError as error:
            told = error.message.rstrip(".")
            raise click.ClickException(f"{told}. Copy the token again.") from error
        where = "" if ai.config.api_base == PuterConfig().api_base else f" at {ai.config.api_base}"
        session.tell(f"Signed in as {account.username}{where}.", style="green")
        if save is None and asking and not print_token and not session.local:
            save = click.confirm("Save the token on this machine?", err=True)
        if save:
            _save(session, profile, ai)
            unless_kept.pop_all()
        elif not print_token and not session.local:
            session.tell("The token is not saved: --save does that, --print-token shows it.")
        if print_token:
            click.echo(f"export PUTER_AUTH_TOKEN={shlex.quote(token_of(ai).reveal())}")
            unless_kept.pop_all()


def _end(session: Session, ai: PuterAI) -> None:
    """End a session whose token nobody will have."""
    try:
        ai.logout()
    except PuterError:
        told = "The session may still be open: it can be ended in Puter's settings."
        session.tell(told, style="yellow")
    else:
        session.tell("The session is ended, as its token is not kept.")


def _ask_how() -> str:
    click.echo("How do you want to sign in?", err=True)
    ways = list(WAYS)
    for number, way in enumerate(ways, 1):
        click.echo(f"  {number}  {WAYS[way]}", err=True)
    numbers = [str(number) for number in range(1, len(ways) + 1)]
    either = click.Choice([*numbers, *ways])
    chosen: str = click.prompt("Which", default="1", type=either, show_choices=False, err=True)
    return ways[numbers.index(chosen)] if chosen in numbers else chosen


@contextmanager
def _signed_in(
    session: Session, way: str, *, timeout: float, open_browser: bool
) -> Generator[PuterAI, None, None]:
    """A client that has signed in."""
    if way == "token":
        with own_client(session, token=_token()) as ai:
            yield ai
    elif way == "browser":
        if open_browser:
            told = f"Waiting {timeout:g} s for you to sign in in the browser; Ctrl-C ends it."
            session.tell(told)
        # a token keeps it from looking for one, which may be in a keyring that is gone
        with own_client(session, token="none-yet") as ai:  # noqa: S106
            ai.login_with_browser(timeout=timeout, open_browser=open_browser)
            yield ai
    else:
        username, password = _username_and_password()
        with own_client(session, username=username, password=password) as ai:
            ai.login(otp=_code if stdin_is_interactive() else None)
            yield ai


def _token() -> str:
    if stdin_is_interactive():
        return _hidden("Token")
    try:
        token = "" if sys.stdin is None else sys.stdin.readline(LONGEST)
    except UnicodeDecodeError:
        token = ""
    if not token.strip():
        raise click.UsageError("There is no token on standard input.")
    return token


def _username_and_password() -> tuple[str, str]:
    username, password = os.environ.get("PUTER_USERNAME"), os.environ.get("PUTER_PASSWORD")
    if not stdin_is_interactive() and not (username and password):
        raise click.UsageError("Set PUTER_USERNAME and PUTER_PASSWORD, or sign in at a terminal.")
    username = username or str(click.prompt("User name or e-mail address", err=True))
    return username, password or _hidden(f"Password of {username}")


def _code() -> str:
    return _hidden("Code of the second factor")


def _hidden(question: str) -> str:
    return str(click.prompt(question, hide_input=True, err=True))


def _save(session: Session, profile: str, ai: PuterAI) -> None:
    before = None
    with suppress(PuterConfigError):  # save() tells what stands in its way
        before = saved.token(profile)
    where = saved.save(profile, token_of(ai), hosts_to_save(ai.config, profile))
    if before not in (None, token_of(ai)):
        session.tell("The token before may still be used: it can be ended in Puter's settings.")
    told = f"The token of the profile {profile}" if profile else "The token"
    session.tell(f"{told} is in {where}.")
    for name in TOKEN_VARIABLES:
        if os.environ.get(name):
            session.tell(f"{name} is set, and counts before it.", style="yellow")
