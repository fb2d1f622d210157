"""What calls cost: units and micro-cents by user, as the Puter backend keeps its books."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from puter.testing.accounts import User
from puter.testing.catalogue import Model
from puter.testing.exchange import Exchange
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError

if TYPE_CHECKING:
    from typing_extensions import Self

    from puter.testing.backend import Backend

# Puter backend: its unit of money is the micro-cent, a millionth of a US cent.
MICROCENTS_PER_CENT = 1_000_000
# Puter backend: 12 US cents per GiB sent.
MICROCENTS_PER_BYTE = 12 * MICROCENTS_PER_CENT / 2**30
# Accounts without limits show the largest whole number of JavaScript.
NO_LIMIT = 2**53 - 1
_NO_APP = "os-global"
_MONEY = {"costs_currency": "usd-cents"}

_RESERVED = "Usage is reserved by requests still running. Try again once they have ended."


@dataclass(frozen=True)
class Bill:
    """A line of the books, such as 20 units of ``openai:tts-1:character``, and its micro-cents."""

    key: str
    units: float
    cost: float


@dataclass(eq=False)
class Hold:
    """What a running chat may still cost; nothing else can be bought with it while it is open."""

    among: list[Hold]
    amount: float = 0
    limit: float | None = None  # of output tokens, as the vendor is told
    poor: bool = False  # whether the balance set the limit

    def __enter__(self) -> Self:
        self.among.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.among.remove(self)


class Metering:
    """The books of one server; only its event loop uses them."""

    def __init__(self) -> None:
        # user -> key -> units, cost, count
        self._books: defaultdict[str, dict[str, tuple[float, float, int]]] = defaultdict(dict)
        self._holds: defaultdict[str, list[Hold]] = defaultdict(list)

    def hold(
        self, user: User, model: Model, prompt: int, asked: float | None, *, newer: bool
    ) -> Hold:
        """Hold the highest cost of a chat while it runs. Raises ApiError 402 or 429.

        ``prompt`` is an estimate of its tokens, ``asked`` the ``max_tokens`` of the call.
        """
        per_prompt = model.price("input") * MICROCENTS_PER_CENT
        per_output = model.price("output") * MICROCENTS_PER_CENT
        if per_output == 0:
            return Hold([], limit=asked)
        most = min(math.inf if asked is None else asked, model.get("max_tokens", math.inf) - prompt)
        left, holds = self.remaining(user), self._holds[user.uuid]
        owned = math.floor((left - prompt * per_prompt) / per_output)
        # Lists, not generators: half the time for the few there are.
        held = sum([hold.amount for hold in holds])
        free = math.floor((left - held - prompt * per_prompt) / per_output) if held else owned
        if min(most, owned) < 1 or (free < 1 and not newer):
            raise ApiError(402, "No usage left for request.", "insufficient_funds")
        if free < 1:
            raise ApiError(429, _RESERVED, "too_many_requests", errorCode="credits_reserved")
        limit = math.floor(min(most, free))
        return Hold(holds, prompt * per_prompt + limit * per_output, limit, poor=free < most)

    def charge(self, user: User, bill: Bill) -> None:
        book, key = self._books[user.uuid], bill.key.replace(".", "_dot_")
        units, cost, count = book.get(key, (0, 0, 0))
        book[key] = units + bill.units, cost + bill.cost, count + 1

    def charge_chat(self, user: User, model: Model, usage: Mapping[str, Any]) -> None:
        """Write down a chat, from the ``usage`` in its answer; models without a price are free."""
        if "input_cost_key" not in model:
            return
        prices, provider = model.prices, str(model["provider"])
        name = recorded("book_names").get(provider, provider)
        for key, units in usage.items():
            if key in prices and units:
                cost = round(units * prices[key] * MICROCENTS_PER_CENT, 6)
                self.charge(user, Bill(f"{name}:{model['id']}:{key}", units, cost))

    def sent(self, user: User, response: web.StreamResponse) -> None:
        whole = isinstance(response, web.Response) and isinstance(response.body, bytes)
        size = len(response.body) if whole else response.body_length  # type: ignore[attr-defined]
        if size:
            self.charge(user, Bill("egress:bytes", size, size * MICROCENTS_PER_BYTE))

    def total(self, user: User) -> float:
        """Micro-cents spent."""
        return sum([cost for _, cost, _ in self._books[user.uuid].values()])

    def remaining(self, user: User) -> float:
        """Micro-cents left of this month's allowance."""
        return max(0, allowance_of(user) - self.total(user))

    def book(self, user: User, rate: float) -> dict[str, dict[str, float]]:
        """Units, cost (at ``rate`` for a micro-cent) and count by key."""
        lines = self._books[user.uuid].items()
        return {
            key: {"units": units, "cost": cost * rate, "count": count}
            for key, (units, cost, count) in lines
        }


def allowance_of(user: User) -> float:
    """Micro-cents a month."""
    dollars = user.allowance
    if dollars is None:
        dollars = user.tier.allowance if user.tier else None
    return NO_LIMIT if dollars is None else round(dollars * 100 * MICROCENTS_PER_CENT)


async def usage(exchange: Exchange) -> web.StreamResponse:
    user, metering = exchange.authorise(), exchange.backend.metering
    rate, unit = _unit(exchange.backend)
    book, total = metering.book(user, rate), metering.total(user) * rate
    used = {"total": total, "allowanceUsed": total, **book} if book else {"total": 0}
    # What no app did is under this name; LocalPuter has no apps.
    apps = {_NO_APP: {"total": total, "count": len(book)}} if book else {}
    left, allowance = metering.remaining(user) * rate, allowance_of(user) * rate
    info = {"remaining": left, "monthUsageAllowance": allowance, "addons": {}, **unit}
    return exchange.json({"usage": used, "appTotals": apps, "allowanceInfo": info})


async def app_usage(exchange: Exchange) -> web.StreamResponse:
    user, metering = exchange.authorise(), exchange.backend.metering
    app, (rate, unit) = exchange.record.path.rpartition("/")[2], _unit(exchange.backend)
    if app == _NO_APP:
        book = metering.book(user, rate)
        return exchange.json({"total": metering.total(user) * rate, **book, **unit})
    if not app.startswith("app-"):
        raise ApiError(404, "App not found", None)
    return exchange.json({"total": 0, **unit})


async def all_costs(exchange: Exchange) -> web.StreamResponse:
    """The prices of the chat models."""
    exchange.authorise()
    rate, unit = _unit(exchange.backend)
    name, money = ("creditsPerUnit", {}) if unit else ("ucentsPerUnit", _MONEY)
    costs = [
        {
            "usageType": f"{model['provider']}:{model['id']}:{key}",
            name: cents * MICROCENTS_PER_CENT * rate,
            "unit": "request" if key.endswith("_requests") else "token",
            "source": f"driver:aiChat/{model['provider']}",
            "registry": "driver",
            "registryKey": "aiChat",
            **money,
        }
        for model in exchange.backend.catalogue("chat").listed
        for key, cents in model.prices.items()
        if key != "tokens"
    ]
    return exchange.json({"costs": costs})


def _unit(backend: Backend) -> tuple[float, dict[str, str]]:
    """What a micro-cent is told as, and how the unit is named."""
    if backend.credits_per_dollar is None:
        return 1, {}
    return backend.credits_per_dollar / (100 * MICROCENTS_PER_CENT), {"unit": "credits"}
