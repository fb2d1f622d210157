"""The account: who is signed in, and what was spent and is left, in US dollars."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Account:
    """Who is signed in (``GET /whoami``). What the server left out is None."""

    username: str
    """Name of the account."""
    uuid: str
    """Its id."""
    email: str | None = None
    """E-mail address, if any."""
    email_confirmed: bool | None = None
    """Whether the address was confirmed."""
    is_temp: bool | None = None
    """Whether this is a temporary account."""
    two_factor: bool | None = None
    """Whether signing in needs a second factor."""
    app_name: str | None = None
    """The app that a token of kind *app* belongs to."""
    must_verify: tuple[str, ...] = ()
    """What must be verified before AI can be used: ``email``, ``phone``, ``card``."""
    unconfirmed_email: str | None = None
    """A new address that was not confirmed yet."""
    feature_flags: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)
    """Switches of the deployment."""
    raw: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)
    """The server's own answer."""


@dataclass(frozen=True, slots=True)
class AccountUsage:
    """Spending of the month in US dollars, settled by the server within a few seconds."""

    allowance: Decimal
    """What the month allows."""
    remaining: Decimal
    """What is left of the allowance."""
    spent: Decimal
    """What was spent."""
    by_model: dict[str, Decimal] = field(default_factory=dict, hash=False)
    """Spent per model."""
    by_operation: dict[str, Decimal] = field(default_factory=dict, hash=False)
    """Spent per operation: ``provider:model:what-was-counted``."""
    by_app: dict[str, Decimal] = field(default_factory=dict, hash=False)
    """Spent per app; ``os-global`` are calls by the user's own tokens."""
    raw: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)
    """The server's own answer, in micro-cents."""
