"""What a ``Budget`` counts, without a client: reservations, settlements, and nothing else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puter import PuterBudgetError, PuterInputError, models
from puter.engine.effects import Invoke
from puter.engine.middleware import Request
from puter.extensions.budget import Budget, Reservation, list_price
from puter.process import short_lock
from puter.types.model import Model
from tests.interrupts import Aim

CENT = Decimal("0.01")


def asked(model: str = "no-list-price", **details: Any) -> Request:
    return Request("chat", model, **details)


def a_call(*listed: Model) -> Any:
    return SimpleNamespace(reservations=(), catalogues={"chat": listed} if listed else {})


def reserve(budget: Budget, request: Request | None = None, *listed: Model) -> Reservation:
    """What a call has then, and a client settles or releases."""
    call = a_call(*listed)
    flow = budget.reserve(call, request or asked())
    value: Any = None
    with suppress(StopIteration):
        while True:
            effect = flow.send(value)
            assert isinstance(effect, Invoke)
            assert effect.inline
            value = effect.function(*effect.args)
    (reservation,) = call.reservations
    return reservation  # type: ignore[no-any-return]


def state(budget: Budget) -> tuple[Any, ...]:
    return budget.spent, budget.reserved, budget.remaining


@pytest.mark.parametrize("amount", ["0.50", " 0.5 ", Decimal("0.5"), 1, 0, "1e-3"])
def test_an_amount_is_an_exact_number_of_dollars(amount: Any) -> None:
    budget = Budget(amount)
    assert budget.amount == Decimal(amount)
    assert state(budget) == (0, 0, budget.amount)


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        (0.5, 'Write "0.5"'),
        (-1, "0 or more, not -1"),
        ("-0.01", "0 or more, not '-0.01'"),
        (float("nan"), "exact"),
        ("NaN", "not 'NaN'"),
        ("Infinity", "not 'Infinity'"),
        ("half", "not 'half'"),
        ("", "not ''"),
        (True, "not True"),
        (None, "not None"),
        (b"1", "not b'1'"),
        ([1], "not [1]"),
    ],
)
@pytest.mark.parametrize("name", ["amount", "unpriced", "estimate"])
def test_anything_else_is_refused(name: str, amount: Any, told: str) -> None:
    if (name, amount) == ("estimate", None):
        return
    with pytest.raises(PuterInputError) as caught:
        Budget(**{"amount": 1, name: amount})
    assert str(caught.value).startswith(name)
    assert told in str(caught.value)


def test_what_is_reserved_is_settled_with_the_real_cost() -> None:
    budget = Budget("0.50", estimate="0.20")
    first, second = reserve(budget), reserve(budget)
    assert state(budget) == (0, Decimal("0.40"), Decimal("0.10"))
    first.settle(CENT, answered=True)
    assert state(budget) == (CENT, Decimal("0.20"), Decimal("0.29"))
    second.release()
    assert state(budget) == (CENT, 0, Decimal("0.49"))
    assert repr(budget) == "<Budget 0.50 USD: 0.01 spent, 0 reserved>"


def test_only_the_first_settlement_counts() -> None:
    budget = Budget(1, estimate=CENT)
    one = reserve(budget)
    one.settle(CENT, answered=True)
    one.settle(None, answered=True)
    one.release()
    assert state(budget) == (CENT, 0, Decimal("0.99"))
    reserve(budget)  # nor is anything unknown


def test_what_does_not_fit_is_refused_with_amounts_and_what_to_do() -> None:
    budget = Budget("0.50", estimate="0.20")
    reserve(budget).settle(Decimal("0.15"), answered=True)
    reserve(budget)
    with pytest.raises(PuterBudgetError) as caught:
        reserve(budget, asked("gpt-5-nano"))
    assert caught.value.message == (
        "The budget of 0.50 USD has 0.15 left, and chat with gpt-5-nano may cost 0.20 USD: "
        "0.15 are spent, 0.20 reserved by calls that still run. Nothing was sent"
    )
    assert "Raise the amount, lower max_tokens" in caught.value.hint
    assert state(budget) == (Decimal("0.15"), Decimal("0.20"), Decimal("0.15"))


def test_the_last_cent_can_be_spent_and_nothing_after_it() -> None:
    budget = Budget("0.20", estimate="0.20")
    reserve(budget).settle(Decimal("0.20"), answered=True)
    for estimate in (0, CENT):
        budget._estimate = Decimal(estimate)
        with pytest.raises(PuterBudgetError):
            reserve(budget)


def test_a_real_cost_above_the_estimate_counts_in_full() -> None:
    budget = Budget("0.20", estimate=CENT)
    reserve(budget).settle(Decimal("0.30"), answered=True)
    assert state(budget) == (Decimal("0.30"), 0, 0)
    with pytest.raises(PuterBudgetError, match=r"has 0 left"):
        reserve(budget)


def test_reset_starts_anew_and_keeps_what_is_under_way() -> None:
    budget = Budget("0.50", estimate="0.20")
    reserve(budget).settle(Decimal("0.20"), answered=True)
    running = reserve(budget)
    budget._estimate = None
    unknown = reserve(budget)
    unknown.settle(None, answered=True)
    budget.reset()
    assert state(budget) == (0, Decimal("0.20"), Decimal("0.30"))
    running.settle(Decimal("0.05"), answered=True)
    assert state(budget) == (Decimal("0.05"), 0, Decimal("0.45"))


# ---------------------------------------------------------------- no price


@pytest.mark.parametrize(
    ("unpriced", "estimate", "answered", "spent", "goes_on"),
    [
        ("refuse", None, True, "0", False),  # returned, and the next one raises
        ("refuse", "0.10", True, "0.10", False),
        ("refuse", "0.10", False, "0.10", True),  # an abandoned stream keeps what it reserved
        ("refuse", None, False, "0", False),  # and here nobody knows what that is
        ("ignore", None, True, "0", True),
        ("ignore", "0.10", True, "0", True),
        ("ignore", "0.10", False, "0.10", True),
        ("ignore", None, False, "0", True),
        ("0.04", None, True, "0.04", True),
        ("0.04", "0.10", True, "0.04", True),
        ("0.04", "0.10", False, "0.10", True),
        ("0.04", None, False, "0.04", True),
    ],
)
def test_what_tells_no_price_counts_as_unpriced_says(
    unpriced: Any, estimate: Any, answered: bool, spent: str, goes_on: bool
) -> None:
    budget = Budget(1, unpriced=unpriced, estimate=estimate)
    one = reserve(budget)
    one.settle(None, answered=answered)
    assert state(budget)[:2] == (Decimal(spent), 0)
    if goes_on:
        reserve(budget)
        return
    with pytest.raises(PuterBudgetError) as caught:
        reserve(budget)
    assert "chat told no price. Nothing was sent" in caught.value.message
    assert 'unpriced="ignore"' in caught.value.hint
    budget.reset()
    reserve(budget)


def test_a_request_of_unknown_price_takes_all_that_is_left_for_itself() -> None:
    budget = Budget(1)
    one = reserve(budget)
    assert state(budget) == (0, 1, 0)
    with pytest.raises(
        PuterBudgetError, match="what chat with no-list-price may cost is not known"
    ):
        reserve(budget)
    one.settle(CENT, answered=True)
    assert state(budget) == (CENT, 0, Decimal("0.99"))
    reserve(budget)


def test_a_model_that_is_free_by_the_list_need_not_tell_a_price() -> None:
    budget = Budget(0)
    free = Model("free-one", "x", input_price=Decimal(0), output_price=Decimal(0))
    for _ in range(2):
        reserve(budget, asked("free-one"), free).settle(None, answered=True)
    assert state(budget) == (0, 0, 0)


@pytest.mark.parametrize("unpriced", ["refuse", "ignore", "0.04"])
def test_what_costs_nothing_is_never_refused(unpriced: Any) -> None:
    budget = Budget(0, unpriced=unpriced)
    reserve(budget, asked("fake")).settle(Decimal(0), answered=True)
    with pytest.raises(PuterBudgetError):
        reserve(budget, asked("gpt-5-nano"))
    assert state(budget) == (0, 0, 0)


# ---------------------------------------------------------------- estimates


def test_list_prices_are_those_of_prompt_tools_and_answer() -> None:
    entry = models.registry().lookup("gpt-5-nano").entry["costs"]
    sent, received = Decimal(entry["prompt_tokens"]), Decimal(entry["completion_tokens"])

    def price(tokens: int, answer: int) -> Decimal:
        return (tokens * sent + answer * received) / 100 / 1_000_000

    question = {"role": "user", "content": "x" * 400}
    picture = {
        "role": "user",
        "content": [{"type": "image_url", "image_url": "data:" + "A" * 99999}],
    }
    bare = list_price(a_call(), asked("gpt-5-nano", messages=(question,)))
    assert bare == price(104 + 4, 1000)
    assert list_price(a_call(), asked("GPT-5-nano", messages=(picture,))) == price(1004 + 4, 1000)
    for options in ({"max_tokens": 10}, {"max_tokens": 99, "extra": {"max_tokens": 10}}):
        short = list_price(a_call(), asked("gpt-5-nano", messages=(question,), options=options))
        assert short == price(108, 10)
    tools = SimpleNamespace(schemas=[{"type": "function", "function": {"name": "n" * 400}}])
    with_tools = list_price(
        a_call(), asked("gpt-5-nano", messages=(question,), args={"tools": tools})
    )
    assert with_tools is not None
    assert price(208, 1000) < with_tools < price(240, 1000)


@pytest.mark.parametrize(
    ("operation", "model"),
    [("chat", "of-next-year"), ("txt2img", "gpt-image-2"), ("txt2img", None)],
)
def test_where_there_is_no_list_price_nothing_is_guessed(operation: str, model: str | None) -> None:
    assert list_price(a_call(), Request(operation, model)) is None


def test_the_servers_own_list_goes_before_the_catalogue() -> None:
    dear = Model("gpt-5-nano", "x", input_price=Decimal(0), output_price=Decimal(9))
    new = Model("of-next-year", "x", input_price=Decimal(0), output_price=Decimal(7), max_output=10)
    call = a_call(dear, new)
    assert list_price(call, asked("gpt-5-nano")) == Decimal("0.009")
    assert list_price(call, asked("of-next-year")) == Decimal("0.00007")


def test_an_estimate_of_the_users_own() -> None:
    seen: list[Request] = []

    def estimate(request: Request) -> str | None:
        seen.append(request)
        return "0.25" if request.operation == "txt2img" else None

    budget = Budget(1, estimate=estimate)
    request = Request("txt2img", "gpt-image-2")
    one = reserve(budget, request)
    assert (budget.reserved, seen) == (Decimal("0.25"), [request])
    reserve(budget, asked("gpt-5-nano"))  # None: not known
    assert budget.remaining == 0
    one.settle(None, answered=False)
    assert budget.spent == Decimal("0.25")


@pytest.mark.parametrize("told", [0.25, -1, "much", object()])
def test_an_estimate_that_is_no_amount_is_refused(told: Any) -> None:
    budget = Budget(1, estimate=lambda _: told)
    with pytest.raises(PuterInputError, match=r"The result of estimate\(\) must be"):
        reserve(budget)
    assert budget.reserved == 0


# ---------------------------------------------------------------- in any order, at once, struck

AMOUNTS = st.decimals("0", "0.5", places=4)


@given(
    amount=st.decimals("0", "2", places=4),
    steps=st.lists(st.tuples(st.integers(0, 9), AMOUNTS, AMOUNTS, st.booleans()), max_size=60),
)
def test_nothing_leaks_whatever_happens_in_whatever_order(
    amount: Decimal, steps: list[tuple[int, Decimal, Decimal, bool]]
) -> None:
    budget = Budget(amount, estimate=0, unpriced="ignore")
    running: list[tuple[Reservation, Decimal]] = []
    spent = Decimal(0)
    for kind, estimate, cost, again in steps:
        held = sum((one for _, one in running), Decimal(0))
        if kind < 5 or not running:
            budget._estimate = estimate
            fits = spent + held + estimate <= amount and spent + held < amount
            try:
                running.append((reserve(budget), estimate))
            except PuterBudgetError:
                assert not fits
            else:
                assert fits
                assert spent + held + estimate <= amount  # never above, as far as estimates hold
        else:
            reservation, held_for_it = running.pop(kind % len(running))
            if kind == 9:
                reservation.release()
            elif kind == 8:
                reservation.settle(None, answered=False)
                spent += held_for_it
            else:
                reservation.settle(cost, answered=True)
                spent += cost
            if again:
                reservation.settle(cost, answered=True)
                reservation.release()
        held = sum((one for _, one in running), Decimal(0))
        assert state(budget) == (spent, held, max(amount - spent - held, Decimal(0)))
    for reservation, _ in running:
        reservation.release()
    assert state(budget)[:2] == (spent, 0)
    assert not budget._held


def test_threads_never_spend_more_together() -> None:
    budget, price, most = Budget("1.00", estimate="0.03"), Decimal("0.03"), []
    start = threading.Barrier(50)

    def spend(_: int) -> int:
        start.wait(20)
        done = 0
        with suppress(PuterBudgetError):
            while True:
                one = reserve(budget)
                most.append(budget.spent + budget.reserved)
                one.settle(price, answered=True)
                done += 1
        return done

    with ThreadPoolExecutor(50) as pool:
        done = sum(pool.map(spend, range(50)))
    assert done <= 33
    while budget.remaining >= price:  # what was refused while others still ran
        reserve(budget).settle(price, answered=True)
        done += 1
    assert done == 33
    assert state(budget) == (Decimal("0.99"), 0, CENT)
    assert max(most) <= 1


def test_a_stream_that_is_dropped_in_the_midst_of_anything_settles_without_waiting() -> None:
    budget = Budget(1, estimate=CENT)
    one = reserve(budget)
    with short_lock():  # as when the garbage collector runs inside of a step
        one.settle(None, answered=False)
    assert state(budget) == (CENT, 0, Decimal("0.99"))


@pytest.mark.parametrize(
    "step",
    [
        lambda budget, _: budget.spent,
        lambda budget, one: (one.settle(CENT, answered=True), budget.spent),
        lambda budget, one: (one.settle(CENT, answered=True), reserve(budget)),
        lambda budget, _: budget.reset(),
    ],
    ids=["look", "settle", "go on", "reset"],
)
def test_ctrl_c_between_two_steps_loses_nothing(step: Callable[[Budget, Reservation], Any]) -> None:
    place, aim = 0, Aim(1)
    while not place or aim.struck:
        place += 1
        budget = Budget(1, estimate="0.10")
        earlier, one = reserve(budget), reserve(budget)
        earlier.settle(Decimal("0.20"), answered=True)
        try:
            with suppress(KeyboardInterrupt), (aim := Aim(place)):
                step(budget, one)
        finally:
            sys.setprofile(None)
        reset = budget.spent == 0
        one.settle(CENT, answered=True)  # as the end of the call does
        expected = CENT if reset else Decimal("0.21")
        assert (budget.spent, len(budget._held)) in ((expected, 0), (expected, 1)), aim.struck
        assert budget.reserved == Decimal("0.10") * len(budget._held)
    assert place > 5


def test_a_signal_handler_that_looks_at_a_budget_freezes_nothing_and_loses_nothing() -> None:
    """It runs in the thread that it interrupts, in the midst of a step of that perhaps."""
    budget, seen = Budget(1, estimate=CENT), []

    def handler(*_: Any) -> None:
        sys.setprofile(None)
        seen.append(state(budget))
        sys.setprofile(handler)

    def spend() -> None:
        sys.setprofile(handler)  # at each call of a function, and where it ends
        try:
            for _ in range(10):
                reserve(budget).settle(CENT, answered=True)
                repr(budget)
        finally:
            sys.setprofile(None)

    thread = threading.Thread(target=spend, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert len(seen) > 100
    assert [one[0] for one in seen] == sorted(one[0] for one in seen)
    assert state(budget) == (CENT * 10, 0, Decimal("0.9"))
