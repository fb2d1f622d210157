"""A budget over real sockets: what a server bills many threads, or many tasks, at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from puter import PuterBudgetError
from puter.extensions import Budget
from puter.testing import Reply
from tests.door import until_done

if TYPE_CHECKING:
    from puter import PuterAI
    from tests.sockets.live import Live

CALLS = 50
KINDS = ("chat", "stream", "tools", "parse")
PROMPT = "Tell me a number. " * 20


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


async def test_fifty_at_once_spend_what_the_server_bills_and_no_more_than_the_budget(
    live: Live,
) -> None:
    """The server's own sum, with tool rounds and corrections; estimates are of list prices."""

    def answer(call: Any) -> Any:
        said = str(call.messages)
        if "tools" in said and "tool_result" not in said and "'tool'" not in said:
            return Reply(tool_calls=[{"name": "double", "arguments": {"number": 4}}])
        return "no number" if "parse" in said and "does not fit" not in said else "8"

    live.puter.reply_with(answer)
    budget = Budget("0.0010")  # all together would cost half as much again
    options = {"max_concurrency": None, "rate_limit_requests": None}
    ai = live.client(**options).use(budget)
    outcomes: Counter[str] = Counter()

    async def ask(number: int) -> None:
        kind = KINDS[number % len(KINDS)]
        try:
            await _ask(live, ai, kind)
            outcomes[kind] += 1
        except PuterBudgetError as error:
            outcomes["refused" if error.partial is None else f"{kind} stopped"] += 1

    if live.kind == "async":
        await asyncio.gather(*(ask(number) for number in range(CALLS)))
    else:
        with ThreadPoolExecutor(CALLS) as pool:
            list(pool.map(lambda number: asyncio.run(ask(number)), range(CALLS)))
    books = await live(ai, "account_usage")
    billed = round(books.spent - books.by_operation["egress:bytes"], 12)
    assert budget.reserved == 0
    assert budget.spent == billed, outcomes
    assert 0 < billed <= budget.amount
    assert sum(outcomes.values()) == CALLS
    assert outcomes["refused"] > 0, (outcomes, budget)
    assert sum(outcomes[kind] for kind in KINDS) > 0
    assert billed == ai.usage.cost


async def _ask(live: Live, ai: PuterAI, kind: str) -> None:
    prompt = f"{kind}: {PROMPT}"
    if kind == "parse":
        await live(ai, "parse", prompt, int, remember=False)
    elif kind == "stream":
        await until_done(await live(ai, "chat", prompt, stream=True, remember=False))
    else:
        tools = [double] if kind == "tools" else None
        await live(ai, "chat", prompt, tools=tools, remember=False)


async def test_a_picture_tells_no_price_so_the_next_call_is_refused(live: Live) -> None:
    budget = Budget(1)
    ai = live.client().use(budget)
    await live(ai, "txt2img", "A red square")
    sent = len(live.puter.requests)
    for method in ("txt2img", "chat"):
        with pytest.raises(PuterBudgetError, match="txt2img told no price"):
            await live(ai, method, "A red square")
    assert len(live.puter.requests) == sent
    budget.reset()
    assert await live(ai, "chat", "Hi")
    assert Decimal(0) < budget.spent < Decimal("0.01")
