"""What the account spent: reading the answer of the server's metering."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any

from puter.types.account import AccountUsage
from puter.wire.errors import unknown_shape
from puter.wire.json import as_dict, dollars


def read_account_usage(data: Any, models: AbstractSet[str] = frozenset()) -> AccountUsage:
    """The answer of ``GET /metering/usage``.

    Args:
        data: The decoded answer.
        models: Known ids, to tell where the model ends in ``provider:model:what:was:counted``.

    Raises:
        PuterResponseError: It has an unknown shape.
    """
    usage, allowance = as_dict(data).get("usage"), as_dict(data).get("allowanceInfo")
    if not isinstance(usage, Mapping) or not isinstance(allowance, Mapping):
        raise unknown_shape("The account's usage", data)
    by_model: dict[str, Decimal] = {}
    by_operation: dict[str, Decimal] = {}
    for key, entry in usage.items():
        if not isinstance(entry, Mapping):
            continue  # totals stand among the entries as bare numbers
        name = str(key).replace("_dot_", ".")
        by_operation[name] = cost = _amount(entry.get("cost"))
        if model := _model_in(name, models):
            by_model[model] = by_model.get(model, Decimal(0)) + cost
    return AccountUsage(
        allowance=_amount(allowance.get("monthUsageAllowance")),
        remaining=_amount(allowance.get("remaining")),
        spent=_amount(usage.get("total")),
        by_model=by_model,
        by_operation=by_operation,
        by_app={
            app: _amount(entry.get("total"))
            for app, entry in as_dict(data.get("appTotals")).items()
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


def _amount(micro_cents: Any) -> Decimal:
    """US dollars of the server's unit (Puter backend: 1 cent = 1,000,000 micro-cents)."""
    return (dollars(micro_cents) or Decimal(0)) / 1_000_000
