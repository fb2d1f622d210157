"""What calls cost: units and micro-cents by user and app, as the Puter backend keeps its books."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from puter.testing import catalogue
from puter.testing.refusals import ApiError

if TYPE_CHECKING:
    from puter.testing.accounts import Token, User
    from puter.testing.catalogue import Model
    from puter.testing.exchange import Exchange

# Puter backend: its unit of money is the micro-cent, a millionth of a US cent.
MICROCENTS_PER_CENT = 1_000_000
# Puter backend: 12 US cents per GiB sent.
MICROCENTS_PER_BYTE = 12 * MICROCENTS_PER_CENT / 2**30
# Accounts without limits show the largest whole number of JavaScript.
NO_LIMIT = 2**53 - 1

USER_ITSELF = "os-global"  # calls made with a user's own token rather than by an app

# Puter backend: the vendor's name in the books, where it is not the provider's.
_BOOK_NAMES = {
    "openai-completion": "openai",
    "openai-responses": "openai",
    "azure-openai-responses": "azure-openai",
}


@dataclass(frozen=True)
class Bill:
    """What a call is going to cost.

    Args:
        key: name in the books, for example ``openai:tts-1:character``.
        units: characters, seconds, pages, ...
        cost: micro-cents for all of them.
    """

    key: str
    units: float
    cost: float


class Metering:
    """The books of one server; only its event loop uses them."""

    def __init__(self) -> None:
        # user and app -> key -> units, cost, count
        self._books: defaultdict[tuple[str, str], dict[str, list[float]]] = defaultdict(dict)
        self._spent: defaultdict[str, float] = defaultdict(float)  # micro-cents by user

    def charge(self, token: Token, *bills: Bill) -> None:
        book = self._books[token.user.uuid, token.app or USER_ITSELF]
        for bill in bills:
            line = book.setdefault(bill.key.replace(".", "_dot_"), [0, 0, 0])
            line[:] = line[0] + bill.units, line[1] + bill.cost, line[2] + 1
            self._spent[token.user.uuid] += bill.cost

    def charge_chat(self, token: Token, model: Model, usage: Mapping[str, Any]) -> None:
        """Write down a chat, from the ``usage`` in its answer; models without a price are free."""
        if "input_cost_key" not in model:
            return
        costs, provider = model["costs"], str(model["provider"])
        # Cached tokens without a price of their own cost as much as others.
        costs = {"cached_tokens": costs.get(model["input_cost_key"], 0), **costs}
        each, name = (
            MICROCENTS_PER_CENT / float(costs["tokens"]),
            _BOOK_NAMES.get(provider, provider),
        )
        used = ((key, units) for key, units in usage.items() if key in costs and units)
        lines = (Bill(f"{name}:{model['id']}:{key}", n, n * costs[key] * each) for key, n in used)
        self.charge(token, *lines)

    def sent(self, token: Token, response: web.StreamResponse) -> None:
        whole = isinstance(response, web.Response) and isinstance(response.body, bytes)
        size = len(response.body) if whole else response.body_length  # type: ignore[attr-defined]
        if size:
            self.charge(token, Bill("egress:bytes", size, size * MICROCENTS_PER_BYTE))

    def remaining(self, user: User) -> float:
        """Micro-cents left of this month's allowance."""
        return _plain(max(0, allowance_of(user) - self._spent[user.uuid]))

    def require(self, user: User, cost: float, refusal: str) -> None:
        """Raises ApiError 402 with the text ``refusal`` when ``user`` cannot pay ``cost``."""
        if cost > 0 and cost > self.remaining(user):
            raise ApiError(402, refusal, "insufficient_funds")

    def affordable_tokens(self, user: User, model: Model) -> float:
        """How many tokens of output the user can still pay."""
        each = catalogue.price(model, "output") * MICROCENTS_PER_CENT
        return self.remaining(user) / each if each else float("inf")

    def book(self, user: User, app: str | None = None) -> dict[str, Any]:
        """Every line of ``app``, or of all apps together, and their ``total``."""
        summed: dict[str, list[float]] = {}
        for (owner, name), book in self._books.items():
            for key, line in book.items() if owner == user.uuid and app in (None, name) else ():
                before = summed.get(key, (0, 0, 0))
                summed[key] = [a + b for a, b in zip(before, line, strict=True)]
        names = ("units", "cost", "count")
        lines = {
            key: dict(zip(names, map(_plain, line), strict=True)) for key, line in summed.items()
        }
        return {**lines, "total": _plain(sum(line[1] for line in summed.values()))}

    def app_totals(self, user: User) -> dict[str, dict[str, float]]:
        """Cost and number of entries of each app."""
        return {
            app: {
                "total": _plain(sum(line[1] for line in book.values())),
                "count": int(sum(line[2] for line in book.values())),
            }
            for (owner, app), book in self._books.items()
            if owner == user.uuid
        }


def allowance_of(user: User) -> float:
    """Micro-cents a month."""
    dollars = user.allowance
    if dollars is None:
        dollars = user.tier.allowance if user.tier else None
    return NO_LIMIT if dollars is None else _plain(dollars * 100 * MICROCENTS_PER_CENT)


def _plain(number: float) -> float:
    """``number`` as JavaScript writes it: no ``.0`` on whole ones."""
    return int(number) if number == int(number) else number


async def usage(exchange: Exchange) -> web.StreamResponse:
    user, app, metering = exchange.authorise(), exchange.token.app, exchange.backend.metering
    book, totals = metering.book(user), metering.app_totals(user)
    total = book.pop("total")
    used = {"total": total, "allowanceUsed": total, **book} if book else {"total": 0}
    if app is not None:  # an app sees the others as one
        others = [value for name, value in totals.items() if name != app]
        totals = {name: value for name, value in totals.items() if name == app}
        if others:
            totals["others"] = {key: sum(one[key] for one in others) for key in ("total", "count")}
    left = metering.remaining(user)
    info = {"remaining": left, "monthUsageAllowance": allowance_of(user), "addons": {}}
    return exchange.json({"usage": used, "appTotals": totals, "allowanceInfo": info})


async def app_usage(exchange: Exchange) -> web.StreamResponse:
    """Raises ApiError 404, without a code, for no app."""
    user, app = exchange.authorise(), exchange.request.match_info["app"]
    if app != USER_ITSELF and not app.startswith("app-"):
        raise ApiError(404, "App not found", None)
    return exchange.json(exchange.backend.metering.book(user, app))
