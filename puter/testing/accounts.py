"""Users and the tokens they hold."""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from puter.testing.limits import Tier
from puter.testing.refusals import ApiError

TokenKind = Literal["session", "api", "app", "scoped", "worker", "otp"]
Requirement = Literal["email", "phone", "card"]


@dataclass(eq=False)
class User:
    """An account; change its attributes at any time, the server looks at each request.

    They are the arguments of `LocalPuter.add_user`, and ``is_temp``: a guest without name and
    password of its own. An ``allowance`` of ``None`` is that of the tier.
    """

    username: str
    password: str | None = field(repr=False)
    email: str | None = None
    otp: Sequence[str] = field(default=(), repr=False)
    recovery_codes: set[str] = field(default_factory=set, repr=False)
    suspended: bool = False
    requires: Requirement | None = None
    is_temp: bool = False
    trusted: bool = True
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
    """What the server knows of a token it issued; ``expires`` is a ``time.time()``."""

    user: User
    kind: TokenKind
    uid: str
    expires: float | None
    revoked: bool = False

    def may_use(self, path: str) -> bool:
        """True inside the user's home; an app is confined to its own folder in there."""
        home = f"/{self.user.username}" + ("/AppData/app" if self.kind == "app" else "")
        return f"{path}/".startswith(f"{home}/")


class Accounts:
    """All users and tokens of one server; each change is one step, so any thread may make it."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._tokens: dict[str, Token] = {}
        self._anti_csrf: dict[str, User] = {}

    def add(self, user: User) -> None:
        """Take in a user. Raises ValueError when the name is taken."""
        if self._users.setdefault(user.username, user) is not user:
            raise ValueError(f"there is a user {user.username!r} already; choose another name.")

    def first(self) -> User:
        """The user who was added first."""
        return next(iter(self._users.values()))

    def find(self, *, username: str | None = None, email: str | None = None) -> User | None:
        """The user of that name, or of that address: each is looked up in its own field only."""
        if username is not None:
            return self._users.get(username)
        return next((user for user in list(self._users.values()) if user.email == email), None)

    def issue(self, user: User, kind: TokenKind, lifetime: float | None = None) -> str:
        """A new token in the form of a JWT; ``lifetime`` in seconds, ``None`` = for ever."""
        uid = str(uuid.uuid4())
        # Tokens are known by heart, so nobody looks at the signature.
        parts = (
            json.dumps({"alg": "HS256", "typ": "JWT", "kid": "v2"}).encode(),
            json.dumps({"type": kind, "version": "2", "uuid": uid, "user_uid": user.uuid}).encode(),
            secrets.token_bytes(32),
        )
        jwt = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
        expires = None if lifetime is None else time.time() + lifetime
        self._tokens[jwt] = Token(user, kind, uid, expires)
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
        if token is None or token.kind == "otp":
            if _is_current(jwt):
                raise ApiError(401, "Authentication failed.", "token_auth_failed")
            extra = {"reason": "token_v1"}
        elif token.revoked or (token.expires is not None and token.expires <= time.time()):
            extra = {"reason": "session_revoked" if token.revoked else "session_expired"}
            extra |= {"auth_id": token.user.uuid, "reauth_token": secrets.token_hex(16)}
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
        if self._anti_csrf.pop(str(code), None) is not user:
            raise ApiError(400, "Incorrect anti-CSRF token.", "bad_request")


def _is_current(jwt: str) -> bool:
    """Whether ``jwt`` has the head of today's tokens; older ones want a new sign-in."""
    try:
        head = json.loads(base64.urlsafe_b64decode(jwt.partition(".")[0] + "=="))
    except ValueError:
        return False
    return isinstance(head, dict) and head.get("kid") == "v2"
