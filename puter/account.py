"""What the account has spent and has left, in US dollars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from puter.exceptions import PuterResponseError

MICRO_CENTS = 100_000_000
"""Micro-cents in a US dollar (Puter backend: 1 cent = 1,000,000)."""


@dataclass(frozen=True, slots=True)
class AccountUsage:
    """Spending of the month, US dollars. Settled with a few seconds' delay.

    Attributes:
        allowance: What the month allows.
        remaining: What is left of it.
        spent: What was spent.
        by_model: Spent per model.
        by_operation: Spent per operation: provider, model and what was counted.
        by_app: Spent per app; ``os-global`` are calls by the user's own tokens.
        raw: The server's own answer, in micro-cents.
    """

    allowance: Decimal
    remaining: Decimal
    spent: Decimal
    by_model: dict[str, Decimal] = field(default_factory=dict)
    by_operation: dict[str, Decimal] = field(default_factory=dict)
    by_app: dict[str, Decimal] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


def read_account_usage(data: Any, models: AbstractSet[str] = frozenset()) -> AccountUsage:
    """The answer of ``GET /metering/usage``.

    Args:
        data: The decoded answer.
        models: Known ids, to tell where the model ends in ``provider:model:what:was:counted``.

    Raises:
        PuterResponseError: It has an unknown shape.
    """
    usage = data.get("usage") if isinstance(data, Mapping) else None
    allowance = data.get("allowanceInfo") if isinstance(data, Mapping) else None
    if not isinstance(usage, Mapping) or not isinstance(allowance, Mapping):
        raise PuterResponseError(
            "The account's usage has an unknown shape",
            body=data,
            hint="The server may be newer or older than this SDK understands.",
        )
    by_model: dict[str, Decimal] = {}
    by_operation: dict[str, Decimal] = {}
    for key, entry in usage.items():
        if not isinstance(entry, Mapping):
            continue  # totals stand among the entries as bare numbers
        name = str(key).replace("_dot_", ".")
        cost = _dollars(entry.get("cost"))
        by_operation[name] = cost
        model = _model_in(name, models)
        if model:
            by_model[model] = by_model.get(model, Decimal(0)) + cost
    totals = data.get("appTotals")
    return AccountUsage(
        allowance=_dollars(allowance.get("monthUsageAllowance")),
        remaining=_dollars(allowance.get("remaining")),
        spent=_dollars(usage.get("total")),
        by_model=by_model,
        by_operation=by_operation,
        by_app={
            str(app): _dollars(entry.get("total"))
            for app, entry in (totals.items() if isinstance(totals, Mapping) else ())
            if isinstance(entry, Mapping)
        },
        raw=dict(data),
    )


def _model_in(operation: str, models: AbstractSet[str]) -> str:
    """The longest known model in ``provider:model:counted``; else all but the ends."""
    parts = operation.split(":")[1:]
    for end in range(len(parts), 0, -1):
        if ":".join(parts[:end]) in models:
            return ":".join(parts[:end])
    return ":".join(parts[:-1])


def _dollars(micro_cents: Any) -> Decimal:
    if isinstance(micro_cents, bool) or not isinstance(micro_cents, (int, float)):
        return Decimal(0)
    if not math.isfinite(micro_cents):
        return Decimal(0)
    return Decimal(str(micro_cents)) / MICRO_CENTS
