"""Users and the tokens they hold."""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from puter.testing.refusals import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from puter.testing.limits import Tier

TokenKind = Literal["session", "api", "app", "scoped", "worker", "otp", "reauth"]
Requirement = Literal["email", "phone", "card"]

# Puter backend: a one-time-password step is valid for 5 minutes, a re-login hint for 10.
_LIFETIMES = {"otp": 300.0, "reauth": 600.0}


@dataclass(eq=False)
class User:
    """An account; change its attributes at any time, the server looks at each request.

    Args:
        username: login name, case-sensitive.
        password: ``None`` for an account without one (social login).
        email: address, or ``None``.
        otp: accepted one-time passwords; not empty turns two-factor sign-in on.
        recovery_codes: each is accepted once instead of a one-time password.
        suspended: logins answer 401 and calls 403.
        requires: verification still owed; AI calls answer 403 until it is ``None``.
        is_temp: a guest without name and password of its own.
        tier: limits of the account, ``None`` = unlimited.
        allowance: US dollars a month, ``None`` = that of the tier.
    """

    username: str
    password: str | None = field(repr=False)
    email: str | None = None
    otp: Sequence[str] = field(default=(), repr=False)
    recovery_codes: set[str] = field(default_factory=set, repr=False)
    suspended: bool = False
    requires: Requirement | None = None
    is_temp: bool = False
    tier: Tier | None = None
    allowance: float | None = None
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def summary(self) -> dict[str, Any]:
        """What login and whoami tell about the user."""
        return {
            "username": self.username,
            "uuid": self.uuid,
            "email": self.email,
            "email_confirmed": self.email is not None and self.requires != "email",
            "requires_email_confirmation": self.requires == "email",
            "requires_phone_verification": self.requires == "phone",
            "requires_card_verification": self.requires == "card",
            "is_temp": self.is_temp,
            "taskbar_items": [],
        }


@dataclass(eq=False)
class Token:
    """What the server knows of a token it issued.

    ``expires`` is a ``time.time()``; ``app`` the uid of the app that acts for the user.
    """

    user: User
    kind: TokenKind
    uid: str
    expires: float | None = None
    revoked: bool = False
    app: str | None = None


class Accounts:
    """All users and tokens of one server; each change is one step, so any thread may make it."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._tokens: dict[str, Token] = {}
        self._anti_csrf: dict[str, User] = {}

    def add(self, user: User) -> User:
        """Take in a user. Raises ValueError when the name is taken."""
        if self._users.setdefault(user.username, user) is not user:
            raise ValueError(f"there is a user {user.username!r} already; choose another name.")
        return user

    def find(self, *, username: str | None = None, email: str | None = None) -> User | None:
        """The user of that name, or of that address: each is looked up in its own field only."""
        if username is not None:
            return self._users.get(username)
        return next((user for user in list(self._users.values()) if user.email == email), None)

    def issue(
        self, user: User, kind: TokenKind, lifetime: float | None = None, app: str | None = None
    ) -> str:
        """A new token in the form of a JWT.

        ``lifetime`` is in seconds, ``None`` = that of its kind; ``app`` is the uid of the app that
        an ``app`` token is for, ``None`` = that of some web page.
        """
        if kind == "app" and app is None:
            app = app_uid("https://app.example")
        uid, now = str(uuid.uuid4()), time.time()
        lifetime = _LIFETIMES.get(kind) if lifetime is None else lifetime
        claims = {"type": kind, "version": "2", "uuid": uid, "user_uid": user.uuid, "iat": int(now)}
        parts = (json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        # Tokens are known by heart, so nobody checks this signature.
        signed = (*parts, secrets.token_bytes(32))
        jwt = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in signed)
        expires = None if lifetime is None else now + lifetime
        self._tokens[jwt] = Token(user, kind, uid, expires, app=app)
        return jwt

    def known(self, jwt: str) -> Token:
        """The token ``jwt``, by its text or its uuid. Raises LookupError for any other."""
        found = self._tokens.get(jwt)
        found = found or next((t for t in list(self._tokens.values()) if t.uid == jwt), None)
        if found is None:
            raise LookupError("this server did not issue that token.")
        return found

    def authenticate(self, jwt: str | None) -> Token:
        """The live token behind ``jwt``. Raises ApiError 401 as the Puter backend words it."""
        if jwt is None:
            raise ApiError(401, "Missing authentication token", "token_missing")
        token = self._tokens.get(jwt)
        if token is None or token.kind in _LIFETIMES:
            if _is_jwt(jwt):
                raise ApiError(401, "Authentication failed.", "token_auth_failed")
            extra = {"reason": "token_v1"}
        elif token.revoked or (token.expires is not None and token.expires <= time.time()):
            reason = "session_revoked" if token.revoked else "session_expired"
            again = self.issue(token.user, "reauth")
            extra = {"reason": reason, "auth_id": token.user.uuid, "reauth_token": again}
        else:
            return token
        raise ApiError(401, "Re-authentication required", "reauth_required", **extra)

    def pending_login(self, jwt: object) -> User:
        """The user behind a one-time-password step. Raises ApiError 400 for any other token."""
        token = self._tokens.get(jwt) if isinstance(jwt, str) else None
        if token is None or token.kind != "otp" or (token.expires or 0) <= time.time():
            raise ApiError(400, "Invalid token.", "bad_request")
        return token.user

    def new_anti_csrf(self, user: User) -> str:
        """A code that allows ``user`` one logout or revocation."""
        code = secrets.token_hex(32)
        self._anti_csrf[code] = user
        return code

    def use_anti_csrf(self, user: User, code: object) -> None:
        """Accept an anti-CSRF code once. Raises ApiError 400 for any other."""
        owner = self._anti_csrf.pop(code, None) if isinstance(code, str) else None
        if owner is not user:
            raise ApiError(400, "Incorrect anti-CSRF token.", "bad_request")


def app_uid(origin: str) -> str:
    """The uid of the app that a web page is."""
    return f"app-{uuid.uuid5(uuid.NAMESPACE_URL, origin)}"


def _is_jwt(text: str) -> bool:
    """True for three dotted parts whose first two hold JSON objects."""
    parts = text.split(".")
    try:
        claims = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in parts[:2]]
    except ValueError:
        return False
    return len(parts) == 3 and all(isinstance(claim, dict) for claim in claims)
