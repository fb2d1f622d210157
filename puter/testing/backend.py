"""Everything one LocalPuter remembers, and the question every route asks first: who is calling?"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from puter.testing.accounts import Accounts, TokenKind, User
from puter.testing.files import CAPACITY, Files
from puter.testing.http import ApiError, Exchange
from puter.testing.journal import Journal
from puter.testing.kvstore import KeyValues
from puter.testing.limits import Limits, Tier
from puter.testing.media import VENDORS
from puter.testing.metering import Metering
from puter.testing.samples import Samples
from puter.testing.script import Script

if TYPE_CHECKING:
    from collections.abc import Generator

    from aiohttp import web

COOKIE = "puter_auth_token"

_USER_TOKENS: tuple[TokenKind, ...] = ("session", "api", "app", "worker")

_OWED = {
    "email": ("Please confirm your email to continue", "email_confirmation_required"),
    "phone": ("Please verify your phone number to continue", "phone_verification_required"),
    "card": ("Please verify your card to continue", "card_verification_required"),
}


@dataclass
class Backend:
    """The state of one server, shared by its thread and its user's."""

    tier: Tier | None
    legacy: bool = False
    captcha: bool = False
    latency: float = 0.0
    default_model: str | None = None
    allowance: float | None = None
    vendors: tuple[str, ...] = VENDORS
    capacity: int = CAPACITY
    accounts: Accounts = field(default_factory=Accounts)
    limits: Limits = field(default_factory=Limits)
    journal: Journal = field(default_factory=Journal)
    script: Script = field(default_factory=Script)
    metering: Metering = field(default_factory=Metering)
    kv: KeyValues = field(default_factory=KeyValues)
    samples: Samples = field(default_factory=Samples)
    files: Files = field(init=False)
    running_now: int = 0
    peak_running: int = 0
    _count_lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.files = Files(self.accounts, self.capacity)

    def authorise(
        self,
        exchange: Exchange,
        kinds: tuple[TokenKind, ...] = _USER_TOKENS,
        *,
        verified: bool = True,
    ) -> User:
        """The calling user. Raises ApiError 401 or 403.

        Args:
            exchange: the request.
            kinds: the kinds of token that may come here.
            verified: refuse accounts that still owe a verification.
        """
        token = self.accounts.authenticate(find_token(exchange))
        user = token.user
        exchange.user, exchange.token = user, token
        exchange.record.token_user = user.username
        if verified and user.requires is not None:
            raise ApiError(403, *_OWED[user.requires])
        if user.suspended:
            raise ApiError(403, "Account suspended", "forbidden")
        if token.kind not in kinds:
            raise ApiError(
                403, "Access tokens are not allowed to access this resource", "forbidden"
            )
        return user

    @contextmanager
    def running(self) -> Generator[None]:
        """Count an AI call while it runs."""
        with self._count_lock:
            self.running_now += 1
            self.peak_running = max(self.peak_running, self.running_now)
        try:
            yield
        finally:
            with self._count_lock:
                self.running_now -= 1


def find_token(exchange: Exchange) -> str | None:
    """The first token present, in the server's order, valid or not."""
    request = exchange.request
    in_body = exchange.fields.get("auth_token")
    candidates = (
        str(in_body) if in_body else None,
        _bearer(request),
        request.headers.get("x-api-key"),
        request.cookies.get(COOKIE),
        request.query.get("auth_token"),
    )
    return next((token for token in candidates if token), None)


def _bearer(request: web.BaseRequest) -> str | None:
    value = request.headers.get("Authorization", "").strip()
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "bearer":
        value = rest.strip()
    elif rest:  # Basic and the like count as no token at all
        return None
    return None if value in ("", "undefined") else value
