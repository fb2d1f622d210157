"""The ledger of one client: what its calls used and cost, by the server's own figures."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from puter.types.replies import Usage


@dataclass(slots=True)
class Spent:
    """Sums over answered calls."""

    requests: int = 0
    """Answered calls."""
    input_tokens: int = 0
    """Tokens sent."""
    output_tokens: int = 0
    """Tokens received."""
    cost: Decimal = Decimal(0)
    """US dollars; calls without a known price count as 0."""

    def _add(self, usage: Usage, cost: Decimal | None) -> None:
        self.requests += 1
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cost += cost or 0


class Ledger(Spent):
    """``Spent`` in all, and ``by_model``; safe to share between threads and tasks."""

    __slots__ = ("_by_model", "_lock")

    def __init__(self) -> None:
        super().__init__()
        self._by_model: dict[str, Spent] = {}
        self._lock = threading.Lock()

    @property
    def by_model(self) -> dict[str, Spent]:
        """Sums per model, a fresh dict each time."""
        with self._lock:
            return {
                model: Spent(one.requests, one.input_tokens, one.output_tokens, one.cost)
                for model, one in self._by_model.items()
            }

    def record(self, model: str, usage: Usage, cost: Decimal | None) -> None:
        """Count an answered call."""
        with self._lock:
            self._add(usage, cost)
            self._by_model.setdefault(model, Spent())._add(usage, cost)

    def __reduce__(self) -> Any:
        total = (self.requests, self.input_tokens, self.output_tokens, self.cost)
        return _ledger, (total, self.by_model)


def _ledger(total: tuple[int, int, int, Decimal], by_model: dict[str, Spent]) -> Ledger:
    ledger = Ledger()
    ledger.requests, ledger.input_tokens, ledger.output_tokens, ledger.cost = total
    ledger._by_model = by_model
    return ledger
