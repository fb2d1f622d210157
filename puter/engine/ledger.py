"""The ledger of one client: what its calls used and cost, by the server's own figures."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from puter.money import usd
from puter.process import in_short_step, late, short_lock
from puter.records import dataclass, field

if TYPE_CHECKING:
    import decimal
    from decimal import Decimal

    from puter.types.replies import Usage
else:
    decimal = late("decimal")

UNKNOWN_MODEL = "unknown"
"""What ``by_model`` calls the model of a call that named none, where the answer does not either."""


@dataclass(slots=True)
class Spent:
    """Sums over calls."""

    requests: int = 0
    """Calls that ran, or may have run: answered, given up, or cut off after they were sent."""
    input_tokens: int = 0
    """Tokens sent, as far as the server said."""
    output_tokens: int = 0
    """Tokens received, as far as the server said."""
    cost: Decimal = field(default_factory=lambda: decimal.Decimal(0))
    """US dollars of the calls whose cost is known: all but ``unpriced`` of them."""
    unpriced: int = 0
    """Calls of unknown cost: pictures, speech and video, whose price the server does not tell,
    streams that ended before they told their cost, and calls that were sent and failed, or were
    given up, where they may have run all the same."""

    def _add(self, other: Spent) -> None:
        self.requests += other.requests
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost += other.cost
        self.unpriced += other.unpriced

    def __str__(self) -> str:
        noun = "call" if self.requests == 1 else "calls"
        return f"{self.requests} {noun}, {usd(self.cost, self.unpriced)}"


class Ledger:
    """Sums over all calls of a client, ``by_model`` and ``by_operation``.

    Safe to share between threads and tasks.

    Examples:
        >>> from decimal import Decimal
        >>> from puter import Usage
        >>> ledger = Ledger()
        >>> ledger.record("chat", "gpt-5-nano", Usage(11, 7), Decimal("0.001"))
        >>> ledger.record("txt2img", "gpt-image-2")
        >>> print(ledger)
        2 calls, 0.001 USD and 1 of unknown cost
    """

    def __init__(self) -> None:
        self._new: deque[tuple[str, str, int, int, Decimal | None]] = deque()
        self._sums: dict[tuple[str, str], Spent] = {}

    def record(
        self, operation: str, model: str, usage: Usage | None = None, cost: Decimal | None = None
    ) -> None:
        """Count a call.

        It never waits for long: a stream that is dropped is counted in the midst of whatever runs
        then.

        Args:
            operation: Name of the method, such as ``chat``.
            model: The model that answered, or was asked; ``""`` when not known.
            usage: Its tokens. Default: not known.
            cost: US dollars. Default: not known.
        """
        sent, received = (usage.input_tokens, usage.output_tokens) if usage else (0, 0)
        self._new.append((operation, model or UNKNOWN_MODEL, sent, received, cost))
        if len(self._new) > _MANY:
            self._add_up()

    def _add_up(self) -> None:
        if in_short_step():
            return  # the sums stay as the step that this interrupts knows them
        with short_lock():
            while self._new:
                operation, model, sent, received, cost = self._new.popleft()
                one = Spent(1, sent, received, cost or decimal.Decimal(0), int(cost is None))
                self._sums.setdefault((operation, model), Spent())._add(one)

    def _summed(self, part: int | None) -> dict[str, Spent]:
        """Fresh sums by operation (0), by model (1), or in all (None)."""
        found: dict[str, Spent] = {} if part is not None else {"": Spent()}
        self._add_up()
        with short_lock():
            for key, spent in self._sums.items():
                found.setdefault("" if part is None else key[part], Spent())._add(spent)
        return found

    @property
    def total(self) -> Spent:
        """The sums over all calls, as they are now."""
        return self._summed(None)[""]

    @property
    def by_model(self) -> dict[str, Spent]:
        """Sums per model, a fresh dict each time; ``unknown`` where the server chose."""
        return self._summed(1)

    @property
    def by_operation(self) -> dict[str, Spent]:
        """Sums per method, such as ``chat``, ``parse`` or ``txt2img``; a fresh dict each time."""
        return self._summed(0)

    @property
    def requests(self) -> int:
        """Calls that ran, or may have run; each answer of a turn with tools counts."""
        return self.total.requests

    @property
    def input_tokens(self) -> int:
        """Tokens sent, as far as the server said."""
        return self.total.input_tokens

    @property
    def output_tokens(self) -> int:
        """Tokens received, as far as the server said."""
        return self.total.output_tokens

    @property
    def cost(self) -> Decimal:
        """US dollars of the calls whose cost is known: all but ``unpriced`` of them."""
        return self.total.cost

    @property
    def unpriced(self) -> int:
        """Calls of unknown cost; see ``Spent.unpriced``."""
        return self.total.unpriced

    def __str__(self) -> str:
        return str(self.total)

    def __repr__(self) -> str:
        return f"<Ledger {self.total}>"

    def _repr_html_(self) -> str:
        from puter.display import tables

        spent = sorted(self.by_model.items(), key=lambda one: one[1].cost, reverse=True)
        most = tables.largest(one.cost for _, one in spent)
        columns = ["model", "calls", "of unknown cost", "tokens in", "tokens out", "USD"]
        rows: list[tuple[Any, ...]] = []
        for name, one in spent:
            tokens = one.input_tokens, one.output_tokens
            rows.append((name, one.requests, one.unpriced, *tokens, tables.Bar(one.cost, most)))
        return tables.table(columns, rows, caption=str(self))

    def __reduce__(self) -> Any:
        self.total  # noqa: B018 - adds up what is new
        return _ledger, (dict(self._sums),)


_MANY = 256
"""Calls that are kept one by one, until somebody looks or there are more."""


def _ledger(sums: dict[tuple[str, str], Spent]) -> Ledger:
    ledger = Ledger()
    ledger._sums = sums
    return ledger
