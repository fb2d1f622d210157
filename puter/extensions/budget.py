"""``Budget``: an amount of money that calls may not exceed, for a client or several together."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from puter.engine.effects import Flow, Invoke, do
from puter.exceptions import PuterBudgetError, PuterInputError, repr_of
from puter.extensions.single import Single
from puter.history import estimate_tokens
from puter.models import registry
from puter.process import in_short_step, short_lock
from puter.types.model import Model
from puter.wire.catalogue import read_model
from puter.wire.json import as_int_or_none
from puter.wire.messages import CANNED

if TYPE_CHECKING:
    from puter.engine.client import Client
    from puter.engine.context import CallContext
    from puter.engine.middleware import Request

Dollars: TypeAlias = Decimal | str | int
Estimate: TypeAlias = Callable[["Request"], Dollars | Awaitable[Dollars | None] | None]

TYPICAL_OUTPUT = 1_000
"""Tokens of an answer for which ``max_tokens`` is not given."""


class Budget(Single):
    """An amount that calls may not exceed: what each may cost is reserved before it is sent.

    Give one to ``use()`` of a client, of a conversation, or of several: they share it then, as
    ``with_options()`` copies do. Every request that is billed counts, so each attempt that may have
    run, each round of tools, each correction of ``parse()``, and pictures, speech and video. Safe
    to share between threads and tasks: together they never exceed it, as far as estimates hold.

    Args:
        amount: US dollars: a str such as ``"0.50"``, a Decimal, or an int; no float.
        unpriced: What a reply counts that tells no price, as those with pictures, speech and video
            are. ``"refuse"``: it is returned, and the next call raises. ``"ignore"``: nothing. An
            amount: that much. Default ``"refuse"``.
        estimate: What a request may cost: an amount for each, or a function of the ``Request`` that
            returns one, or None where it cannot tell; behind async methods it may be a coroutine
            function. Default: by list prices, a quarter of a token a character, and as many tokens
            of answer as ``max_tokens`` says, else 1,000. A request of which that tells nothing
            counts as ``unpriced`` says; with ``"refuse"`` it takes all that is left for itself,
            until its cost is known.

    Raises:
        PuterInputError: An argument is no amount.

    Examples:
        >>> budget = Budget("0.50")
        >>> print(ai.with_options().use(budget).chat("What is the capital of France?"))
        Paris
        >>> budget.spent + budget.remaining == budget.amount
        True
    """

    def __init__(
        self,
        amount: Dollars,
        *,
        unpriced: Literal["refuse", "ignore"] | Dollars = "refuse",
        estimate: Dollars | Estimate | None = None,
    ) -> None:
        self._amount = _dollars("amount", amount)
        self._refuses = unpriced == "refuse"
        self._unpriced = (
            Decimal(0)
            if unpriced in ("refuse", "ignore")
            else _dollars('unpriced (other than "refuse" and "ignore")', unpriced)
        )
        self._estimate: Any = estimate
        if estimate is not None and not callable(estimate):
            self._estimate = _dollars("estimate (other than a function)", estimate)
        self._held: dict[Reservation, Decimal] = {}  # changed with the lock alone
        # A stream that is dropped settles in the midst of anything, so that only appends.
        self._settled: deque[tuple[Reservation, Decimal, bool]] = deque()
        self._spent = Decimal(0)
        self._unknown: Reservation | None = None
        """What was answered without a price, so that nobody knows what is spent."""

    def setup(self, client: Client) -> None:
        """Count the calls of a client from now on; ``use()`` calls it."""
        client._extensions.budgets += (self,)

    @property
    def amount(self) -> Decimal:
        """US dollars that may be spent."""
        return self._amount

    @property
    def spent(self) -> Decimal:
        """US dollars of what is over: the server's figures, else what was reserved for it."""
        self._add_up()
        with short_lock():
            return self._spent

    @property
    def reserved(self) -> Decimal:
        """US dollars that requests under way may cost."""
        self._add_up()
        with short_lock():
            return self._sum_held()

    @property
    def remaining(self) -> Decimal:
        """US dollars that are left, 0 or more; what is reserved is not."""
        self._add_up()
        with short_lock():
            return max(self._left(), Decimal(0))

    def reset(self) -> None:
        """Start anew: nothing is spent. Requests under way stay reserved, and count."""
        self._add_up()
        with short_lock():
            self._spent, self._unknown = Decimal(0), None

    def check(self, call: CallContext, request: Request) -> None:
        """Refuse a request for which there is nothing left, whatever those under way cost.

        Raises:
            PuterBudgetError: There is not, and it is not free.
        """
        self._add_up()
        with short_lock():
            over = self._unknown is not None or self._spent >= self._amount
        if over:
            estimate = self._known_estimate(call, request)
            if not self._is_free(estimate):
                raise self._refusal(request, estimate)

    def reserve(self, call: CallContext, request: Request) -> Flow[None]:
        """Reserve what a request may cost.

        Args:
            call: The call, which keeps the reservation.
            request: What is going to be sent.

        Raises:
            PuterBudgetError: That is more than there is left.
        """
        estimate = self._known_estimate(call, request)
        if callable(self._estimate):
            told = yield from do(Invoke(self._estimate, (request,), inline=True))
            estimate = None if told is None else _dollars("The result of estimate()", told)
        free = self._is_free(estimate)
        if estimate is None and not self._refuses:
            estimate = self._unpriced
        reservation = Reservation(self, request.operation, free=free)
        call.reservations += (reservation,)  # noted before: an interrupt loses nothing
        self._add_up()
        with short_lock():
            left = self._left()
            amount = left if estimate is None else estimate
            if free or (self._unknown is None and left > 0 and amount <= left):
                reservation.amount = estimate
                self._held[reservation] = amount
                return
        raise self._refusal(request, estimate)

    def _known_estimate(self, call: CallContext, request: Request) -> Decimal | None:
        """What is known of it without asking the user."""
        if self._estimate is None:
            return list_price(call, request)
        return self._estimate if isinstance(self._estimate, Decimal) else None

    def _is_free(self, estimate: Decimal | None) -> bool:
        """Whether the list says that it costs nothing."""
        return self._estimate is None and estimate == 0

    def _refusal(self, request: Request, estimate: Decimal | None) -> PuterBudgetError:
        with short_lock():
            left, unknown = max(self._left(), Decimal(0)), self._unknown
            spent, held = self._spent, self._sum_held()
        if unknown is not None:
            return PuterBudgetError(
                f"What is spent of the budget of {self._amount:f} USD is not known: {unknown} "
                "told no price. Nothing was sent",
                hint='Pass unpriced="ignore", or what such a call is to count, such as '
                'unpriced="0.05"; reset() starts anew.',
            )
        what = f"{request.operation} with {request.model or 'a model of the server'}"
        if estimate is None:
            needs, hint = f"what {what} may cost is not known", "Pass estimate=, raise the amount"
        else:
            needs = f"{what} may cost {estimate:f} USD"
            hint = "Raise the amount, lower max_tokens, ask a cheaper model"
        return PuterBudgetError(
            f"The budget of {self._amount:f} USD has {left:f} left, and {needs}: "
            f"{spent:f} are spent, {held:f} reserved by calls that still run. Nothing was sent",
            hint=f"{hint}, or make fewer calls at a time; reset() starts anew.",
        )

    def _left(self) -> Decimal:
        return self._amount - self._spent - self._sum_held()

    def _sum_held(self) -> Decimal:
        return sum(self._held.values(), Decimal(0))

    def _add_up(self) -> None:
        """Take over what was settled; an interrupt may come before each call of a function."""
        if in_short_step():
            return  # the sums stay as the step that this interrupts knows them
        with short_lock():
            while self._settled:
                reservation, cost, unknown = self._settled[0]
                if reservation in self._held:  # else it was settled before
                    del self._held[reservation]
                    self._spent += cost
                    if unknown:
                        self._unknown = reservation
                self._settled.popleft()

    def __repr__(self) -> str:
        self._add_up()
        with short_lock():
            spent, held = self._spent, self._sum_held()
        return f"<Budget {self._amount:f} USD: {spent:f} spent, {held:f} reserved>"


class Reservation:
    """What one request may cost, until that is known."""

    __slots__ = ("_budget", "_free", "_name", "amount")

    def __init__(self, budget: Budget, name: str, *, free: bool) -> None:
        self._budget = budget
        self._name = name
        self._free = free
        self.amount: Decimal | None = None
        """US dollars, None where nothing could be said."""

    def settle(self, cost: Decimal | None, *, answered: bool) -> None:
        """Count what it did cost, in place of what is reserved; only the first time does.

        Args:
            cost: US dollars, None when nobody told.
            answered: There was a reply. Else it may have run: what is reserved counts.
        """
        budget, unknown = self._budget, False
        if cost is None and self._free:
            cost = Decimal(0)
        elif cost is None:
            unknown = budget._refuses and (answered or self.amount is None)
            kept = answered and not budget._refuses
            cost = budget._unpriced if kept or self.amount is None else self.amount
        budget._settled.append((self, cost, unknown))

    def release(self) -> None:
        """Give it back: the request certainly did not run."""
        self.settle(Decimal(0), answered=True)

    def __str__(self) -> str:
        return self._name


def list_price(call: CallContext, request: Request) -> Decimal | None:
    """US dollars that a chat may cost by list prices, None where there are none.

    They are those of the server's own list once ``list_models()`` has fetched it.
    """
    if request.operation not in ("chat", "parse"):
        return None
    name, model = _catalogued(request.model or "")
    if name in CANNED:
        return Decimal(0)
    model = next((one for one in call.catalogues.get("chat", ()) if one.id == name), model)
    if model is None:
        return None
    tools = {"content": list(getattr(request.args.get("tools"), "schemas", ()))}
    asked = sum(map(estimate_tokens, (*request.messages, tools)))
    extra = request.options.get("extra") or {}
    answer = as_int_or_none(extra.get("max_tokens", request.options.get("max_tokens")))
    if answer is None:
        answer = min(TYPICAL_OUTPUT, model.max_output or TYPICAL_OUTPUT)
    return model.cost(asked, answer)


@lru_cache(maxsize=256)
def _catalogued(name: str) -> tuple[str, Model | None]:
    """The id of a model, and what the offline catalogue says of it."""
    known = registry().lookup(name)
    return known.id, read_model(known.entry, "chat") if known.entry else None


def _dollars(name: str, value: Any) -> Decimal:
    if isinstance(value, float):
        raise PuterInputError(
            f"{name} must be exact, and the float {value!r} is not", hint=f'Write "{value}".'
        )
    try:
        amount = Decimal(value) if type(value) in (str, int, Decimal) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or amount < 0:
        raise PuterInputError(
            f"{name} must be US dollars, 0 or more, not {repr_of(value)}",
            hint='Write a str such as "0.50", a Decimal or an int.',
        )
    return amount
