"""Clients of ``login`` and ``logout``, which trust the user's own files alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from puter.cli.saved import OURS
from puter.config import PuterConfig, profile_of, settings_in
from puter.profiles import chosen, users_file

if TYPE_CHECKING:
    from puter.ai import PuterAI
    from puter.cli.session import Session
    from puter.secret import Secret

_HOSTS = tuple(name for name in OURS if name != "token")


def profile_of_user(session: Session) -> str:
    """The profile that is signed in or out; ``""`` is the top level."""
    return chosen() if session.profile is None else session.profile


def own_client(session: Session, **settings: Any) -> PuterAI:
    """A client of that profile, to which ``./puter.toml`` does not say where secrets go.

    A profile that is not there is begun with this sign-in.
    """
    if session.finds_files:
        settings["profile"] = profile_of(
            None, profile_of_user(session), project=False, may_be_new=True
        )
    return session.client(**settings)


def token_of(ai: PuterAI) -> Secret:
    """The token of a client that is signed in."""
    return ai._shared.credentials.token_for(ai.config)


def hosts_to_save(config: PuterConfig, profile: str) -> dict[str, Any]:
    """Where the token of a profile belongs, as far as ``config.toml`` does not say so."""
    path = users_file()
    said = settings_in(profile_of(path, profile, may_be_new=True)) if os.path.exists(path) else {}
    usual = PuterConfig(**said)
    return {
        name: value for name in _HOSTS if (value := getattr(config, name)) != getattr(usual, name)
    }
