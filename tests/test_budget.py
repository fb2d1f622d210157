"""``Budget`` around real calls, through both doors, whole and streamed."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from puter import (
    ChatReply,
    PuterAI,
    PuterBudgetError,
    PuterError,
    PuterInsufficientFundsError,
    PuterRateLimitError,
    PuterStreamError,
    PuterTimeoutError,
    PuterUpstreamError,
)
from puter.engine.effects import Send
from puter.extensions import Budget
from puter.testing import LocalPuter, MockTransport
from tests.door import (
    CUT,
    REFUSED,
    SILENCE,
    Door,
    calls_body,
    chat_body,
    chunks,
    error_body,
    shut,
    step,
    stream_answer,
    until_done,
)
from tests.test_tools import add

CENT = Decimal("0.01")
PICTURE = {"success": True, "result": "data:image/png;base64,iVBORw0KGgo="}
DOWN = (400, error_body("All providers failed", "upstream_failed"))


def priced(text: str = "Hello!", cents: float | None = 1, **changes: Any) -> dict[str, Any]:
    """A chat answer that costs so much, None for no price."""
    return chat_body(text, usage=usage(cents), **changes)


def usage(cents: float | None = 1) -> dict[str, Any]:
    told = {"prompt_tokens": 11, "completion_tokens": 7}
    return told if cents is None else {**told, "usd_cents": cents}


def asks_tool(cents: float | None = 1) -> dict[str, Any]:
    body = calls_body(("add", {"a": 1}))
    body["result"]["usage"] = usage(cents)
    return body


def streamed(*texts: str, cents: float | None = 1, ends: bool = True) -> Any:
    texts_said = [{"type": "text", "text": one} for one in texts]
    return stream_answer(*texts_said, *([{"type": "usage", "usage": usage(cents)}] if ends else []))


def state(budget: Budget) -> tuple[Any, ...]:
    return budget.spent, budget.reserved


async def _ask(door: Door, ai: PuterAI, *args: Any, stream: bool, **kwargs: Any) -> Any:
    """The whole reply."""
    reply = await door(ai, "chat", *args, stream=stream, **kwargs)
    return await until_done(reply) if stream else reply


async def test_the_real_cost_counts_and_what_does_not_fit_is_not_sent(door: Door) -> None:
    budget = Budget("0.05", estimate="0.02")
    ai = door.client().use(budget)
    door.answers(priced(cents=2), priced(cents=2))
    assert await door(ai, "chat", "one") == "Hello!"
    await door(ai, "chat", "two")
    assert state(budget) == (Decimal("0.04"), 0)
    for method, *args in (("chat", "three"), ("txt2img", "a cat"), ("parse", "three", int)):
        with pytest.raises(PuterBudgetError, match=r"0\.05 USD has 0\.01 left") as caught:
            await door(ai, method, *args)
        assert (caught.value.partial, caught.value.attempts) == (None, 0)
    assert len(door.sent) == 2
    assert [one["role"] for one in ai.chat_history] == ["user", "assistant"] * 2
    assert (ai.usage.requests, state(budget)) == (2, (Decimal("0.04"), 0))


async def test_copies_and_clients_share_it_and_a_conversation_may_have_one_alone(
    door: Door,
) -> None:
    shared, own = Budget(1, estimate=CENT), Budget("0.015", estimate=CENT)
    ai = door.client().use(shared)
    other = door.client().use(shared)
    talk = ai.conversation().use(own)
    door.answers(priced())
    for one in (ai, ai.with_options(timeout=9), other, talk):
        await door(one, "chat", "hi")  # type: ignore[arg-type]
    assert (state(shared), state(own)) == ((Decimal("0.04"), 0), (CENT, 0))
    with pytest.raises(PuterBudgetError, match=r"budget of 0\.015 USD"):
        await door(talk, "chat", "hi")  # type: ignore[arg-type]
    assert (state(shared), state(own), len(door.sent)) == ((Decimal("0.04"), 0), (CENT, 0), 4)
    await door(ai, "chat", "hi")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("amount", "left"), [("0.03", "0.01"), ("0.02", "0.00")])
async def test_a_tool_loop_is_checked_before_each_round_and_goes_on_later(
    door: Door, amount: str, left: str, stream: bool
) -> None:
    budget = Budget(amount, estimate="0.02")
    ai = door.client().use(budget)
    ran: list[int] = []

    def counted(a: int) -> int:
        """Count."""
        ran.append(a)
        return a

    asks = calls_body(("counted", {"a": 1}))
    asks["result"]["usage"] = usage(2)
    door.answers(asks, priced("done", cents=2))
    asking = _ask(door, ai, "count", tools=[counted], stream=stream)
    with pytest.raises(PuterBudgetError, match=f"has {left} left") as caught:
        await asking
    assert caught.value.attempts == 0
    assert (len(door.sent), ran, state(budget)) == (1, [1], (Decimal("0.02"), 0))
    partial = caught.value.partial
    assert isinstance(partial, ChatReply)
    assert (partial.cost, partial.messages[-1]["role"]) == (Decimal("0.02"), "tool")
    assert ai.chat_history == []
    budget.reset()
    reply = await door(ai, "chat", resume=partial, tools=[counted])
    assert (reply, reply.cost, ran) == ("done", Decimal("0.04"), [1])
    assert (state(budget), len(ai.chat_history)) == ((Decimal("0.02"), 0), 4)


async def test_corrections_of_parse_count_each(door: Door) -> None:
    budget = Budget("0.05", estimate="0.02")
    ai = door.client().use(budget)
    door.answers(priced("no number", cents=2), priced("42", cents=2))
    assert await door(ai, "parse", "A number", int) == 42
    assert state(budget) == (Decimal("0.04"), 0)
    budget.reset()
    door.answers(priced("no number", cents=4), priced("42", cents=2))
    with pytest.raises(PuterBudgetError) as caught:
        await door(ai, "parse", "A number", int)
    assert caught.value.partial is not None
    assert (caught.value.partial.cost, state(budget)) == (Decimal("0.04"), (Decimal("0.04"), 0))


# ---------------------------------------------------------------- no price


@pytest.mark.parametrize("method", ["chat", "txt2img"])
@pytest.mark.parametrize(
    ("unpriced", "spent"), [("refuse", "0"), ("ignore", "0"), (Decimal("0.04"), "0.08")]
)
async def test_a_reply_without_a_price_is_returned_and_the_next_call_refused_unless_told(
    door: Door, method: str, unpriced: Any, spent: str
) -> None:
    budget = Budget(1, unpriced=unpriced)
    ai = door.client().use(budget)
    door.answers(PICTURE if method == "txt2img" else priced(cents=None))
    model = {"model": "of-next-year"}
    assert await door(ai, method, "a cat", **model)
    if unpriced == "refuse":
        with pytest.raises(PuterBudgetError, match=f"{method} told no price"):
            await door(ai, method, "a cat", **model)
    else:
        await door(ai, method, "a cat", **model)
        assert len(door.sent) == 2
    assert state(budget) == (Decimal(spent), 0)


# ---------------------------------------------------------------- streams


async def test_a_whole_stream_counts_what_it_cost(door: Door) -> None:
    budget = Budget(1, estimate="0.20")
    ai = door.client().use(budget)
    door.answers(streamed("Hel", "lo"))
    stream = await door(ai, "chat", "hi", stream=True)
    assert state(budget) == (0, Decimal("0.20"))
    assert "".join(await chunks(stream)) == "Hello"
    assert state(budget) == (CENT, 0)


@pytest.mark.parametrize("end", ["closed", "dropped", "cut", "unfinished"])
async def test_a_stream_that_is_abandoned_keeps_what_it_reserved_as_spent(
    door: Door, end: str
) -> None:
    budget = Budget(1, estimate="0.20")
    ai = door.client().use(budget)
    tail = {"cut": (CUT,), "unfinished": ()}.get(end, ({"type": "text", "text": "more"},))
    door.answers(stream_answer({"type": "text", "text": "Hel"}, *tail))
    stream = await door(ai, "chat", "hi", stream=True)
    assert await step(stream) == "Hel"
    if end == "closed":
        await shut(stream)
    elif end == "dropped":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del stream
            gc.collect()
    else:
        with pytest.raises(PuterStreamError):
            await until_done(stream)
    assert state(budget) == (Decimal("0.20"), 0)
    door.answers(priced())
    await door(ai, "chat", "hi")  # that is known, so it goes on


async def test_a_stream_that_was_never_read_is_counted_once(door: Door) -> None:
    budget = Budget(1, estimate="0.20")
    ai = door.client().use(budget)
    door.answers(streamed("Hel", "lo"))
    stream = await door(ai, "chat", "hi", stream=True)
    await shut(stream)
    await shut(stream)
    assert state(budget) == (Decimal("0.20"), 0)


@pytest.mark.parametrize(
    ("code", "spent"), [("upstream_failed", "0"), ("upstream_timeout", "0.20"), (None, "0.20")]
)
async def test_an_error_in_place_of_a_streams_answer(
    door: Door, code: str | None, spent: str
) -> None:
    budget = Budget(1, estimate="0.20")
    ai = door.client().use(budget)
    line = {"type": "error", "message": "no", **({"code": code} if code else {})}
    before = [] if code else [{"type": "text", "text": "Hel"}]
    door.answers(stream_answer(*before, line))
    with pytest.raises(PuterError):
        await until_done(await door(ai, "chat", "hi", stream=True))
    assert state(budget) == (Decimal(spent), 0)


# ---------------------------------------------------------------- attempts


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind", "spent"),
    [
        (REFUSED, PuterError, "0"),
        ((402, error_body("empty", "insufficient_funds")), PuterInsufficientFundsError, "0"),
        ((429, error_body("Too many requests.", "too_many_requests")), PuterRateLimitError, "0"),
        (DOWN, PuterUpstreamError, "0"),
        (SILENCE, PuterTimeoutError, "0.20"),
        (CUT, PuterError, "0.20"),
        ((502, {}), PuterError, "0.20"),
        ((504, error_body("slow", "upstream_timeout")), PuterError, "0.20"),
    ],
)
async def test_an_attempt_counts_unless_it_provably_never_ran(
    door: Door, fault: Any, kind: type[PuterError], spent: str, stream: bool
) -> None:
    budget = Budget(1, estimate="0.20")
    ai = door.client().use(budget)
    door.answers(fault)
    with pytest.raises(kind):
        await door(ai, "chat", "hi", stream=stream)
    assert state(budget) == (Decimal(spent), 0)


def _sends_again(request: Any, call_next: Any) -> Generator[Any, Any, Any]:
    try:
        return (yield from call_next(request))
    except PuterError:
        return (yield from call_next(request))


def _sends_again_what_was_refused(request: Any, call_next: Any) -> Generator[Any, Any, Any]:
    reply = yield from call_next(request)
    return reply if reply.status == 200 else (yield from call_next(request))


def _sends_twice(request: Any, call_next: Any) -> Generator[Any, Any, Any]:
    yield from call_next(request)
    return (yield from call_next(request))


def _finds_fault(request: Any, call_next: Any) -> Generator[Any, Any, Any]:
    yield from call_next(request)
    raise PuterError("not good enough")


@pytest.mark.parametrize(
    ("middleware", "first", "counted", "spent"),
    [
        (_sends_again, CUT, 2, "0.21"),
        (_sends_again, REFUSED, 1, "0.01"),
        (_sends_again_what_was_refused, DOWN, 1, "0.01"),
        (_sends_twice, priced(), 2, "0.21"),
        (_finds_fault, priced(), 1, "0.20"),
        (_finds_fault, DOWN, 0, "0"),
    ],
)
async def test_what_middleware_sends_again_within_an_attempt_counts_too(
    door: Door, middleware: Any, first: Any, counted: int, spent: str
) -> None:
    budget = Budget(1, estimate="0.20")
    ai = door.client(max_retries=0).use(budget).use(middleware, per_attempt=True)
    door.answers(first, priced())
    with suppress(PuterError):
        await door(ai, "chat", "hi")
    assert (ai.usage.requests, *state(budget)) == (counted, Decimal(spent), 0)
    tight = Budget("0.30", estimate="0.20")
    ai = door.client(max_retries=0).use(tight).use(middleware, per_attempt=True)
    door.answers(first, priced())
    with suppress(PuterError):
        await door(ai, "chat", "hi")
    assert tight.reserved == 0
    assert tight.spent == min(Decimal(spent), Decimal("0.20"))


class _Interrupted(MockTransport):
    """Ctrl-C, or the task is cancelled, before anything is written."""

    def send(self, effect: Send) -> Any:
        effect.on_unsent()
        raise KeyboardInterrupt

    async def async_send(self, effect: Send) -> Any:
        effect.on_unsent()
        raise asyncio.CancelledError


async def test_what_was_certainly_not_written_when_ctrl_c_came_is_given_back(door: Door) -> None:
    budget = Budget(1, estimate="0.20")
    ai = door.client(transport=_Interrupted(lambda _: "")).use(budget)
    with pytest.raises((KeyboardInterrupt, asyncio.CancelledError)):
        await door(ai, "chat", "hi")
    assert state(budget) == (0, 0)


async def test_retries_reserve_anew_and_count_what_may_have_run(door: Door) -> None:
    budget = Budget(1, estimate="0.20")
    ai = door.client(retry_on_timeout=True).use(budget)
    refused = (429, error_body("Too many requests.", "too_many_requests"))
    door.answers(refused, SILENCE, priced())
    await door(ai, "chat", "hi")
    assert (len(door.sent), state(budget)) == (3, (Decimal("0.21"), 0))
    tight = Budget("0.30", estimate="0.20")
    ai = door.client(retry_on_timeout=True).use(tight)
    door.answers(SILENCE, priced())
    with pytest.raises(PuterBudgetError, match=r"has 0\.10 left"):  # for a second attempt
        await door(ai, "chat", "hi")
    assert state(tight) == (Decimal("0.20"), 0)


@pytest.mark.parametrize(
    ("method", "args", "options"),
    [
        ("chat", ("hi", "fake"), {}),
        ("txt2img", ("a cat",), {"test_mode": True}),
        ("list_models", (), {}),
        ("list_voices", (), {}),
        ("read_file", ("~/a.txt",), {}),
    ],
)
async def test_what_costs_nothing_reserves_nothing_and_is_never_refused(
    door: Door, method: str, args: tuple[Any, ...], options: dict[str, Any]
) -> None:
    budget = Budget(0)
    ai = door.client().use(budget)
    answers = {
        "chat": priced("filler", cents=None, metadata={"providerUsed": "fake"}),
        "txt2img": PICTURE,
        "list_models": {"models": []},
        "list_voices": {"success": True, "result": []},
    }
    door.answers(answers.get(method, {"any": "thing"}))
    await door(ai, method, *args, **options)
    assert (len(door.sent), state(budget)) == (1, (0, 0))


async def test_an_answer_from_elsewhere_costs_nothing(door: Door) -> None:
    def cached(request: Any, call_next: Any) -> Generator[Any, Any, Any]:
        yield from ()
        return "from a cache"

    budget = Budget(0)
    ai = door.client().use(budget).use(cached)
    assert await door(ai, "chat", "hi") == "from a cache"
    assert (door.sent, state(budget)) == ([], (0, 0))


async def test_a_spent_budget_is_seen_before_a_sign_in_and_a_wait_in_the_queue(door: Door) -> None:
    budget = Budget(0)
    ai = door.client(token=None, username="a", password="b").use(budget)
    with pytest.raises(PuterBudgetError):
        await door(ai, "chat", "hi")
    assert (door.sent, ai._throttle._window._task_logs) == (
        [],
        type(ai._throttle._window._task_logs)(),
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_an_estimate_sees_what_is_sent_in_each_round(door: Door, stream: bool) -> None:
    seen: list[Any] = []

    def estimate(request: Any) -> Decimal:
        seen.append((request.operation, request.model, [one["role"] for one in request.messages]))
        assert request.stream is (stream and request.operation == "chat")
        assert request.call.operation == request.operation
        return CENT

    async def later(request: Any) -> Decimal:
        await asyncio.sleep(0)
        return estimate(request)

    budget = Budget(1, estimate=estimate if door.kind == "sync" else later, unpriced="ignore")
    ai = door.client().use(budget)
    door.answers(asks_tool(), priced("2"), PICTURE)
    assert await _ask(door, ai, "1 + 1?", "GPT-4o", tools=[add], system="S", stream=stream) == "2"
    await door(ai, "txt2img", "a cat", model="gpt-image-2")
    roles = ["system", "user"]
    assert seen[:2] == [
        ("chat", "gpt-4o", roles),
        ("chat", "gpt-4o", [*roles, "assistant", "tool"]),
    ]
    assert seen[2:] == [("txt2img", "gpt-image-2", [])]
    assert state(budget) == (Decimal("0.02"), 0)


async def test_an_estimate_that_fails_leaves_nothing_reserved(door: Door) -> None:
    first = Budget(1, estimate="0.20")
    ai = door.client().use(first).use(Budget(1, estimate=lambda _: Decimal(1) / 0))
    with pytest.raises(ZeroDivisionError):
        await door(ai, "chat", "hi")
    assert (door.sent, state(first), ai._throttle.running) == ([], (0, 0), 0)


# ---------------------------------------------------------------- at once


def test_fifty_threads_never_spend_more_than_the_budget() -> None:
    server = _Bills()
    budget = Budget("0.50", estimate="0.03")
    ai = _unlimited(MockTransport(server)).use(budget)

    def spend(number: int) -> int:
        try:
            ai.chat(f"{number}", remember=False)
        except PuterBudgetError:
            return 0
        return 1

    with ThreadPoolExecutor(50) as pool:
        done = sum(pool.map(spend, range(150)))
    while budget.remaining >= Decimal("0.03"):  # some were refused while others still ran
        done += spend(done)
    _check(server, budget, done)


async def test_fifty_tasks_never_spend_more_than_the_budget() -> None:
    server = _Bills()

    async def answer(request: Any) -> Any:
        await asyncio.sleep(0)
        return server(request)

    budget = Budget("0.50", estimate="0.03")
    ai = _unlimited(MockTransport(answer)).use(budget)
    calls = [ai.async_chat(f"{number}", remember=False) for number in range(150)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, (ChatReply, PuterBudgetError)) for one in answers)
    done = sum(isinstance(one, ChatReply) for one in answers)
    while budget.remaining >= Decimal("0.03"):
        done += bool(await ai.async_chat(f"{done}", remember=False))
    _check(server, budget, done)


def test_calls_that_are_refused_take_no_place_in_the_window() -> None:
    budget = Budget("0.03", estimate=CENT)
    limits: dict[str, Any] = {
        "rate_limit_requests": 5,
        "rate_limit_period": 600.0,
        "max_concurrency": 1,
    }
    transport = MockTransport(lambda _: priced()["result"])
    ai = PuterAI(token="t", transport=transport, deadline=30.0, **limits).use(budget)
    outcomes: list[str] = []

    def ask(number: int) -> None:
        try:
            outcomes.append(ai.chat(f"{number}", remember=False).text)
        except PuterError as error:
            outcomes.append(type(error).__name__)

    with ai._throttle.permit() as first, ThreadPoolExecutor(20) as pool:
        first.acquire()
        calls = [pool.submit(ask, number) for number in range(20)]
        while ai._throttle.waiting < 20:
            time.sleep(0.001)
        first.release()
        for one in calls:
            one.result()
    assert Counter(outcomes) == {"Hello!": 3, "PuterBudgetError": 17}


class _Bills:
    """Answers for one to three cents, and counts them."""

    def __init__(self) -> None:
        self.billed: list[Decimal] = []

    def __call__(self, request: Any) -> Any:
        cents = len(request.body) % 3 + 1
        self.billed.append(Decimal(cents) / 100)
        return priced(cents=cents)["result"]


def _unlimited(transport: MockTransport) -> PuterAI:
    return PuterAI(token="t", transport=transport, max_concurrency=None, rate_limit_requests=None)


def _check(server: _Bills, budget: Budget, done: int) -> None:
    assert state(budget) == (sum(server.billed), 0)
    assert Decimal("0.47") < budget.spent <= budget.amount
    assert len(server.billed) == done


def test_list_prices_are_above_what_a_server_bills_for_short_answers() -> None:
    with (
        LocalPuter() as server,
        PuterAI(server.username, server.password, api_base=server.url) as ai,
    ):
        budget = Budget("0.00041")
        ai.use(budget)

        def ask(times: int) -> None:
            for _ in range(times):
                ai.chat("What is the capital of France?", remember=False)

        ask(2)
        assert budget.spent > 0
        assert state(budget) == (ai.usage.cost, 0)
        with pytest.raises(PuterBudgetError, match=r"with gpt-5-nano may cost 0\.0004"):
            ask(20)
        assert state(budget) == (ai.usage.cost, 0)
