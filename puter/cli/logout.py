"""``puter-ai logout``: revoke the token where that can be, and remove what was saved."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from puter.cli import saved
from puter.cli.accounts import own_client, profile_of_user
from puter.cli.session import Session, pass_session
from puter.engine.credentials import TOKEN_VARIABLES
from puter.exceptions import PuterAuthError, PuterError

if TYPE_CHECKING:
    from puter.ai import PuterAI


@click.command()
@pass_session
def logout(session: Session) -> None:
    """Sign out, and remove the token that login saved.

    A session is revoked. An API token, as the browser brings, cannot revoke itself: that is done in
    Puter's dashboard.
    """
    profile = profile_of_user(session)
    keeps = not session.local and find_spec("platformdirs") is not None
    token = saved.token(profile) if keeps else None
    settings = {} if token is None else {"token": token.reveal()}
    removed = False
    try:
        with own_client(session, **settings) as ai, own_client(session, **settings) as after:
            signed_in = ai._shared.credentials.token is not None
            try:
                ai.logout()
            except PuterError:
                session.tell(
                    "The session may still be open: it can be ended in Puter's settings.",
                    style="yellow",
                )
                raise
            revoked = _is_revoked(after) if signed_in else None
    finally:
        if keeps:
            removed = saved.remove(profile)
        if removed:
            session.tell("The saved token is removed.")
    if revoked:
        session.tell("Signed out: the token is revoked.", style="green")
    elif signed_in:
        session.tell(
            "The token may still be used: an API token is revoked in Puter's dashboard.",
            style="yellow",
        )
    elif not removed:
        session.tell("Nobody is signed in.")
    for name in TOKEN_VARIABLES:
        if os.environ.get(name) and not session.local:
            session.tell(f"{name} is still set here: unset {name}", style="yellow")


def _is_revoked(ai: PuterAI) -> bool:
    """Whether the server takes the token no more."""
    try:
        ai.whoami()
    except PuterAuthError:
        return True
    except PuterError:
        return False
    return False
