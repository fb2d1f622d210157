"""Whose account it is: user name, password and token, kept out of every log, repr and pickle."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from puter import checks
from puter.config import MEANT, PuterConfig
from puter.engine.throttle import Throttle
from puter.exceptions import PuterAuthError, PuterConfigError, PuterError, PuterInputError
from puter.process import late
from puter.secret import Secret
from puter.settings import origin_of, secret_headers

if TYPE_CHECKING:
    from puter import profiles
    from puter.wire import redact
else:
    profiles = late("puter.profiles")
    redact = late("puter.wire.redact")

TOKEN_VARIABLES = ("PUTER_AUTH_TOKEN", "PUTER_TOKEN", "PUTER_API_TOKEN")
"""Environment variables that may hold the token; the first that does counts."""
HOW_TO_SIGN_IN = (
    "Pass token=... or set PUTER_AUTH_TOKEN, or call login_with_browser(), or pass username=... "
    "and password=... (PUTER_USERNAME, PUTER_PASSWORD) and call login(). "
    "No account? `python -m puter.testing` serves a Puter on this machine."
)

_JWT = r"(?a:eyJ[\w-]*\.[\w-]+\.[\w-]*)"


class Credentials:
    """User name, password and token of one client and its copies.

    A token is bound to the hosts it was first used with, and is never shown to others.
    """

    def __init__(self, username: str | None, password: str | None, token: str | None) -> None:
        self.username: str | None = _text("username", username)
        if self.username and re.fullmatch(_JWT, self.username.strip()):
            raise PuterConfigError(
                "The user name looks like a token", hint="Did you mean PuterAI(token=...)?"
            )
        self.password = None if password is None else Secret(str(_text("password", password)))
        self.token = None if token is None else check_token(token)
        self.bound_to: tuple[str, str] | None = None
        """``api_base`` and ``login_url`` that the token was last given for."""
        self._hosts: tuple[str, str] | None = None
        self.closed: bool = False
        self.at_closing: list[Callable[[], None]] = []
        """Ends what waits for the user, from any thread."""
        self.signed_out: bool = False
        """``logout()`` was called: only ``login()`` signs in again."""
        self.profile_read: bool = False
        """Config files were read for them."""
        self.sign_in_queue: Throttle = Throttle(rate_limit=float("inf"), max_concurrency=1)
        """One sign-in at a time: callers that waited share its outcome, good or bad."""
        self.refusals = 0
        self.refusal: PuterError | None = None

    def sign_in(self, token: str, config: PuterConfig) -> None:
        self.token, self._hosts, self.bound_to = check_token(token), _hosts(config), None
        self.signed_out = False

    def sign_out(self) -> None:
        self.token = self._hosts = self.bound_to = None
        self.signed_out = True

    def forget(self) -> None:
        """The client is closed: no token for anyone who still waits."""
        self.password = None
        self.sign_out()
        self.closed = True
        for end in list(self.at_closing):
            end()

    @property
    def can_auto_login(self) -> bool:
        """Whether a call may sign in unasked."""
        return bool(self.username and self.password) and not self.signed_out

    def secrets(self, config: PuterConfig) -> tuple[Secret, ...]:
        """What no error may show: token, passwords, and headers named like one."""
        proxy = urlsplit(config.proxy or "")
        logins = (self.username, self.password), (proxy.username, _secret(proxy.password))
        given = [(name, word) for name, word in logins if word is not None]
        found = [word for _, word in given]
        found += [redact.login_form(name or "", word) for name, word in given]
        found += [Secret(value) for value in secret_headers(config.headers)]
        return (*found, *([self.token] if self.token is not None else ()))

    def token_for(self, config: PuterConfig) -> Secret:
        """The token, for the hosts of ``config``.

        Raises:
            PuterAuthError: There is none, or it belongs to other hosts.
        """
        if self.closed:
            raise client_closed()
        if self.token is None:
            if self.signed_out:
                raise PuterAuthError("Not signed in since logout()", hint="Call login().")
            raise self.not_signed_in()
        if self._hosts is None:
            self._hosts = _hosts(config)
        if self._hosts != _hosts(config):
            raise PuterAuthError(
                f"The token belongs to {self._hosts[0]} "
                f"and is not shown to {origin_of(config.api_base)}",
                hint="Call login() for the new host, or make a new PuterAI for it.",
            )
        self.bound_to = (config.api_base, config.login_url)
        return self.token

    def not_signed_in(self) -> PuterAuthError:
        """The error of a call that needs a token, or user name and password, and has neither."""
        missing = ""
        if (self.username is None) is not (self.password is None):
            missing = f": the {'user name' if self.username is None else 'password'} is missing"
        saved = "" if missing or self.profile_read else _saved()
        return PuterAuthError(f"Not signed in{missing}", hint=_misspelt() + saved + HOW_TO_SIGN_IN)

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, signed_in={self.token is not None})"

    def __reduce__(self) -> Any:
        return type(self), (self.username, None, None)


def _saved() -> str:
    """Where to find what ``puter-ai login --save`` saved, if it did."""
    try:
        saved = os.path.exists(profiles.users_file(profiles.SAVED))
    except PuterConfigError:  # without platformdirs it saves nothing
        return ""
    return (
        'PuterAI(profile="") takes the token that `puter-ai login --save` saved (or name its '
        "profile). "
        if saved
        else ""
    )


def _misspelt() -> str:
    """What may be meant by a variable of the environment that is not read."""
    names = {"token": TOKEN_VARIABLES[0], "username": "PUTER_USERNAME"}
    read = [*TOKEN_VARIABLES, "PUTER_USERNAME", "PUTER_PASSWORD"]
    known = {_bare(f"PUTER{word}"): names[is_] for word, is_ in MEANT.items() if is_ in names}
    known |= {_bare(name): name for name in read}
    for name, value in os.environ.items():
        if value and name not in read and (bare := _bare(name)).startswith("PUT"):
            for near in checks.near_misses(bare, known, 1):
                return f"{name} is not read: did you mean {known[near]}? "
    return ""


def _bare(variable: str) -> str:
    return variable.upper().replace("_", "")


def client_closed() -> PuterError:
    """The error of a call whose client was closed before anything of it was sent."""
    return PuterError("This PuterAI is closed", hint="Make a new one.")


def _hosts(config: PuterConfig) -> tuple[str, str]:
    return origin_of(config.api_base), origin_of(config.login_url)


def _secret(quoted: str | None) -> Secret | None:
    return None if quoted is None else Secret(unquote(quoted))


def _text(name: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise PuterInputError(f"{name} must be a non-empty str")
    return value


def check_token(token: Any) -> Secret:
    """The token without surrounding white space and the word ``Bearer``.

    Raises:
        PuterInputError: It cannot be one; the message does not show it.
    """
    bare = token.strip() if isinstance(token, str) else ""
    # Without patterns: to compile them at import takes longer than to check some tokens.
    if bare[:6].lower() == "bearer" and not bare[6:7].strip():
        bare = bare[6:].strip()
    if not (bare and bare.isascii() and bare.isprintable() and " " not in bare):
        raise PuterInputError(
            "The token must be a non-empty str of printable ASCII without spaces",
            hint="Copy it again from the Puter dashboard, or call login() instead.",
        )
    return Secret(bare)
