"""What calls cost: units and micro-cents by user and app, as the Puter backend keeps its books."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from puter.testing import catalogue
from puter.testing.http import ApiError, Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from puter.testing.accounts import Token, User
    from puter.testing.backend import Backend
    from puter.testing.catalogue import Model

# Puter backend: its unit of money is the micro-cent, a millionth of a US cent.
MICROCENTS_PER_CENT = 1_000_000
MICROCENTS_PER_DOLLAR = 100 * MICROCENTS_PER_CENT
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


@dataclass
class _Line:
    units: float = 0
    cost: float = 0
    count: int = 0

    def shown(self) -> dict[str, float]:
        return {"units": _plain(self.units), "cost": _plain(self.cost), "count": self.count}


class Metering:
    """The books of one server; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._books: dict[str, dict[str, dict[str, _Line]]] = {}

    def charge(self, token: Token, *bills: Bill) -> None:
        """Write down what a call cost."""
        with self._lock:
            apps = self._books.setdefault(token.user.uuid, {})
            book = apps.setdefault(token.app or USER_ITSELF, {})
            for bill in bills:
                line = book.setdefault(bill.key.replace(".", "_dot_"), _Line())
                line.units += bill.units
                line.cost += bill.cost
                line.count += 1

    def charge_chat(self, token: Token, model: Model, usage: Mapping[str, Any]) -> None:
        """Write down a chat, from the ``usage`` in its answer; models without a price are free."""
        prices = _prices(model)
        name = f"{_book_name(model)}:{model['id']}"
        self.charge(
            token,
            *(
                Bill(f"{name}:{key}", units, units * prices[key])
                for key, units in usage.items()
                if key in prices and units
            ),
        )

    def sent(self, token: Token, response: web.StreamResponse) -> None:
        """Write down the bytes of an answer."""
        whole = isinstance(response, web.Response) and isinstance(response.body, bytes)
        size = len(response.body) if whole else response.body_length  # type: ignore[attr-defined]
        if size:
            self.charge(token, Bill("egress:bytes", size, size * MICROCENTS_PER_BYTE))

    def spent(self, user: User) -> float:
        """Micro-cents so far."""
        with self._lock:
            apps = self._books.get(user.uuid, {})
            return _plain(sum(line.cost for book in apps.values() for line in book.values()))

    def remaining(self, user: User) -> float:
        """Micro-cents left of this month's allowance."""
        return _plain(max(0, allowance_of(user) - self.spent(user)))

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
        summed: dict[str, _Line] = {}
        with self._lock:
            apps = self._books.get(user.uuid, {})
            for name, book in apps.items():
                if app in (None, name):
                    for key, line in book.items():
                        into = summed.setdefault(key, _Line())
                        into.units += line.units
                        into.cost += line.cost
                        into.count += line.count
        lines = {key: line.shown() for key, line in summed.items()}
        return {**lines, "total": _plain(sum(line.cost for line in summed.values()))}

    def app_totals(self, user: User) -> dict[str, dict[str, float]]:
        """Cost and number of entries of each app."""
        with self._lock:
            return {
                app: {
                    "total": _plain(sum(line.cost for line in book.values())),
                    "count": sum(line.count for line in book.values()),
                }
                for app, book in self._books.get(user.uuid, {}).items()
            }


def allowance_of(user: User) -> float:
    """Micro-cents a month."""
    dollars = user.allowance
    if dollars is None:
        dollars = user.tier.allowance if user.tier else None
    return NO_LIMIT if dollars is None else _plain(dollars * MICROCENTS_PER_DOLLAR)


def _plain(number: float) -> float:
    """``number`` as JavaScript writes it: no ``.0`` on whole ones."""
    return int(number) if number == int(number) else number


def _book_name(model: Model) -> str:
    provider = str(model["provider"])
    return _BOOK_NAMES.get(provider, provider)


def _prices(model: Model) -> dict[str, float]:
    """Micro-cents per unit of each kind; none for models that do not say what a kind costs."""
    if "input_cost_key" not in model:
        return {}
    costs = model["costs"]
    per = MICROCENTS_PER_CENT / float(costs["tokens"])
    # Cached tokens without a price of their own cost as much as others.
    costs = {"cached_tokens": costs.get(model["input_cost_key"], 0), **costs}
    return {key: cost * per for key, cost in costs.items() if key != "tokens"}


async def usage(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /metering/usage``."""
    user, app = backend.authorise(exchange), exchange.token.app
    metering = backend.metering
    book = metering.book(user)
    total = book.pop("total")
    used = {"total": total, "allowanceUsed": total, **book} if book else {"total": 0}
    totals = metering.app_totals(user)
    if app is not None:  # an app sees the others as one
        others = [value for name, value in totals.items() if name != app]
        totals = {name: value for name, value in totals.items() if name == app}
        if others:
            totals["others"] = {
                key: sum(other[key] for other in others) for key in ("total", "count")
            }
    info = {
        "remaining": metering.remaining(user),
        "monthUsageAllowance": allowance_of(user),
        "addons": {},
    }
    return exchange.json({"usage": used, "appTotals": totals, "allowanceInfo": info})


async def app_usage(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /metering/usage/<app>``. Raises ApiError 404, without a code, for no app."""
    user = backend.authorise(exchange)
    app = exchange.record.path.rpartition("/")[2]
    if app != USER_ITSELF and not app.startswith("app-"):
        raise ApiError(404, "App not found", None)
    return exchange.json(backend.metering.book(user, app))


async def all_costs(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /metering/allCosts``."""
    backend.authorise(exchange)
    costs: list[dict[str, Any]] = []
    for model in catalogue.load("chat").listed:
        costs += (
            {
                "usageType": f"{_book_name(model)}:{model['id']}:{key}",
                "ucentsPerUnit": cost,
                "unit": "token",
                "source": f"driver:aiChat/{model['provider']}",
                "costs_currency": "usd-cents",
                "registry": "driver",
                "registryKey": "aiChat",
            }
            for key, cost in _prices(model).items()
        )
    for kind, registry in (("image", "aiImage"), ("video", "aiVideo")):
        for model in catalogue.load(kind).listed:
            costs += (
                {
                    "usageType": f"{model['provider']}:{model['id']}:{key}",
                    "costValue": cost,
                    "source": f"driver:{registry}/{model['provider']}",
                    "registry": "driver",
                    "registryKey": registry,
                }
                for key, cost in model["costs"].items()
            )
    return exchange.json({"costs": costs})


async def global_usage(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /metering/globalUsage``: not for ordinary users. Raises ApiError 403."""
    backend.authorise(exchange)
    raise ApiError(403, "Forbidden", "forbidden")
