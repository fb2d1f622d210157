"""The account: who is signed in, and what was spent and is left."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from puter.money import amount


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What was spent this month, settled by the server within a few seconds."""

    spent: Decimal
    """What was spent, in ``unit``."""
    unit: str = "USD"
    """What all amounts are in: ``USD``, or ``credits`` where the deployment counts in its own; what
    a credit is worth is not told."""
    by_model: dict[str, Decimal] = field(default_factory=dict, hash=False)
    """Spent per model."""
    by_operation: dict[str, Decimal] = field(default_factory=dict, hash=False)
    """Spent per operation: ``provider:model:what-was-counted``."""
    raw: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)
    """The server's own answer; dollars are micro-cents there."""

    def __str__(self) -> str:
        return f"{amount(self.spent)} {self.unit} spent"

    def _repr_html_(self) -> str:
        return self._by_model(str(self))

    def _by_model(self, caption: str = "") -> str:
        from puter.display import tables

        spent = sorted(self.by_model.items(), key=lambda one: one[1], reverse=True)
        most = tables.largest(self.by_model.values())
        rows: list[list[Any]] = [[name, tables.Bar(cost, most)] for name, cost in spent]
        return tables.table(["model", self.unit], rows, caption=caption)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUsage(Spending):
    """Spending of the month, and what is left.

    Examples:
        >>> usage = AccountUsage(
        ...     spent=Decimal("120.5"), remaining=Decimal("879.5"), allowance=Decimal(1000),
        ...     unit="credits",
        ... )
        >>> print(usage)
        120.5 credits spent, 879.5 of 1,000 left
    """

    allowance: Decimal
    """What the month allows, in ``unit``."""
    remaining: Decimal
    """What is left of the allowance, in ``unit``."""
    by_app: dict[str, Decimal] = field(default_factory=dict, hash=False)
    """Spent per app; ``os-global`` are calls by the user's own tokens."""

    def _repr_html_(self) -> str:
        from puter.display import tables

        heading = f"of {amount(self.allowance)} {self.unit}"
        used = [[tables.Bar(self.spent, self.allowance)]]
        return tables.table([heading], used, caption=str(self)) + self._by_model()

    def __str__(self) -> str:
        left = f"{amount(self.remaining)} of {amount(self.allowance)} left"
        return f"{amount(self.spent)} {self.unit} spent, {left}"
