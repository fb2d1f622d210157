"""``puter-ai logout``: revoke the token where that can be, and remove what was saved."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from puter.cli import saved
from puter.cli.accounts import own_client, profile_of_user
from puter.cli.session import Session, pass_session
from puter.config import profile_of
from puter.engine.credentials import TOKEN_VARIABLES
from puter.exceptions import PuterAuthError, PuterConfigError, PuterError

if TYPE_CHECKING:
    from puter.ai import PuterAI
    from puter.secret import Secret


@click.command()
@click.option("--force", is_flag=True, help="Let go of the saved token whatever goes wrong.")
@pass_session
def logout(session: Session, force: bool) -> None:
    """Sign out, and remove the token that login saved.

    A session is revoked; when Puter does not answer, the token is kept, so that it can be revoked
    later. An API token, as the browser brings, cannot revoke itself: that is done in Puter's
    dashboard.
    """
    profile = profile_of_user(session)
    is_saved = session.finds_files and saved.is_saved(profile)
    if session.finds_files and not is_saved:
        profile_of(None, profile, project=False)  # refuses one that is not there
        if not any(map(os.environ.get, TOKEN_VARIABLES)):
            session.tell(f"No token is saved{f' for the profile {profile}' if profile else ''}.")
            return
    token = None
    try:
        token = saved.token(profile) if is_saved else None
        if token or not is_saved:  # else the keyring has lost it, and nothing can be revoked
            _revoke(session, token)
    except PuterError as error:
        if is_saved and not force:
            session.tell("The saved token is kept. Try again, or: logout --force", style="yellow")
        if not (is_saved and force):
            raise
        session.tell(error.message, style="yellow")
        session.tell("The token may still be used: end it in Puter's settings.", style="yellow")
    if is_saved:
        _remove(session, profile, token, force=force)
    for name in TOKEN_VARIABLES:
        if os.environ.get(name) and not session.local:
            session.tell(f"{name} is still set here: unset {name}", style="yellow")


def _revoke(session: Session, token: Secret | None) -> None:
    """Revoke the saved token, or that of the environment, and tell what came of it.

    Raises:
        PuterError: It may still be used, and could be revoked another time.
    """
    settings = {} if token is None else {"token": token.reveal()}
    with own_client(session, **settings) as ai, own_client(session, **settings) as after:
        signed_in = ai._shared.credentials.token is not None
        ai.logout()
        revoked = signed_in and _is_revoked(after)
    if revoked:
        session.tell("Signed out: the token is revoked.", style="green")
    elif signed_in:
        session.tell(
            "The token may still be used: an API token is revoked in Puter's dashboard.",
            style="yellow",
        )
    else:
        session.tell("Nobody is signed in.")


def _remove(session: Session, profile: str, token: Secret | None, *, force: bool) -> None:
    try:
        removed = saved.remove(profile, token)
    except PuterConfigError as error:
        if not force:
            raise
        saved.forget(profile)
        session.tell(f"{error.message}: this program forgets it all the same.", style="yellow")
    else:
        told = "The saved token is removed." if removed else "A newer token is saved, and stays."
        session.tell(told)


def _is_revoked(ai: PuterAI) -> bool:
    """Whether the server takes the token no more."""
    try:
        ai.whoami()
    except PuterAuthError:
        return True
    except PuterError:
        return False
    return False
