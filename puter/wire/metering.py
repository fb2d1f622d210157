"""What the account spent: reading the answers of the server's metering."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any

from puter.types.account import AccountUsage, Spending
from puter.wire.errors import unknown_shape
from puter.wire.json import as_dict, as_str, number


def read_account_usage(data: Any, models: AbstractSet[str]) -> AccountUsage:
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
    unit = as_str(allowance.get("unit"))
    return AccountUsage(
        allowance=_amount(allowance.get("monthUsageAllowance"), unit),
        remaining=_amount(allowance.get("remaining"), unit),
        by_app={
            app: _amount(entry.get("total"), unit)
            for app, entry in as_dict(data.get("appTotals")).items()
            if isinstance(entry, Mapping)
        },
        raw=dict(data),
        **_spending(usage, unit, models),
    )


def read_app_usage(data: Any, models: AbstractSet[str]) -> Spending:
    """The answer of ``GET /metering/usage/<app>``; see ``read_account_usage()``.

    Raises:
        PuterResponseError: It has an unknown shape.
    """
    if not isinstance(data, dict) or "total" not in data:
        raise unknown_shape("The app's usage", data)
    return Spending(raw=data, **_spending(data, as_str(data.get("unit")), models))


def _spending(usage: Mapping[str, Any], unit: str, models: AbstractSet[str]) -> dict[str, Any]:
    by_model: dict[str, Decimal] = {}
    by_operation: dict[str, Decimal] = {}
    for key, entry in usage.items():
        if not isinstance(entry, Mapping):
            continue  # totals stand among the entries as bare numbers
        name = str(key).replace("_dot_", ".")
        by_operation[name] = cost = _amount(entry.get("cost"), unit)
        if model := _model_in(name, models):
            by_model[model] = by_model.get(model, Decimal(0)) + cost
    return {
        "spent": _amount(usage.get("total"), unit),
        "unit": unit or "USD",
        "by_model": by_model,
        "by_operation": by_operation,
    }


def _model_in(operation: str, models: AbstractSet[str]) -> str:
    """The longest known model in ``provider:model:counted``; else all but the ends."""
    parts = operation.split(":")[1:]
    for end in range(len(parts), 0, -1):
        if ":".join(parts[:end]) in models:
            return ":".join(parts[:end])
    return ":".join(parts[:-1])


def _amount(value: Any, unit: str) -> Decimal:
    """An amount in the unit that the server names, which is not money; without one, US dollars.

    Puter backend: 1 cent = 1,000,000 micro-cents; what a credit is worth is not told.
    """
    if unit:
        return number(value) or Decimal(0)
    return (number(value) or Decimal(0)) / 100_000_000
