"""``batch`` and ``async_batch``: order, limits, failures, the file; in memory, by both doors."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import signal
import sys
import threading
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from puter import (
    ChatReply,
    Image,
    PuterAI,
    PuterAuthError,
    PuterBadRequestError,
    PuterBudgetError,
    PuterConfigError,
    PuterError,
    PuterInputError,
    PuterInsufficientFundsError,
    PuterModelNotFoundError,
)
from puter.batch import BatchResults
from puter.extensions import Budget, Cache, sleep
from puter.testing import MockReply, MockTransport
from tests.door import Door, calls_body, chat_body, error_body

PRICE = Decimal("0.000078")
"""Of an answer of ``chat_body()``."""


class Server:
    """Answers each question with its echo, unless it was told something else."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bodies: list[Any] = []
        self.replies: dict[str, Any] = {}
        self.each: Callable[[str], object] = str
        self._running = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, request: Any) -> Any:
        args = request.json["args"]
        said = args["messages"][-1]["content"]
        if not isinstance(said, str):
            said = next(part["text"] for part in reversed(said) if "text" in part)
        with self._lock:
            self.asked.append(said)
            self.bodies.append(args)
            self._running += 1
            self.most = max(self.most, self._running)
        try:
            self.each(said)
            reply = self.replies.get(said, f"<{said}>")
            if not isinstance(reply, str):
                return reply
            return MockReply(200, json=chat_body(reply))
        finally:
            with self._lock:
                self._running -= 1

    def client(self, **settings: Any) -> PuterAI:
        given: dict[str, Any] = {"max_retries": 0, "rate_limit_requests": None, **settings}
        return PuterAI(token="test-token-secret", transport=MockTransport(self), **given)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def ai(server: Server) -> PuterAI:
    return server.client()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def records(path: Path) -> list[Any]:
    assert "\\u00" not in path.read_text(encoding="utf-8")  # people read it
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def failure(status: int = 400, message: str = "No", code: str | None = None) -> MockReply:
    return MockReply(status, json=error_body(message, code))


# ------------------------------------------------------------ order, prompts


async def test_answers_come_in_the_order_of_the_items(door: Door, ai: PuterAI) -> None:
    items = [f"item {number}" for number in range(50)]
    results = await door(ai, "batch", items)
    assert isinstance(results, BatchResults)
    assert results == [f"<{item}>" for item in items]
    assert all(isinstance(one, ChatReply) for one in results)
    assert results.cost == 50 * PRICE == ai.usage.cost
    assert (results.reused, results.errors, results.unpriced) == (0, [], 0)
    assert results.summary().startswith("50 answered, 0 failed, 0.0039 USD in ")


async def test_items_are_asked_apart_from_the_history(
    door: Door, ai: PuterAI, server: Server
) -> None:
    ai.chat_history = ["Before"]
    await door(ai, "batch", ["a", "b"], system="Be brief.")
    assert [len(body["messages"]) for body in server.bodies] == [2, 2]
    assert ai.chat_history == [{"role": "user", "content": "Before"}]


async def test_no_items_are_no_answers(door: Door, ai: PuterAI, output: Path) -> None:
    results = await door(ai, "batch", [], output=output)
    assert (results, records(output)) == ([], [])


class Row(dict[str, str]):
    pass


def shown(item: Any) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"= {item}"}]


@dataclass
class City:
    name: str


@pytest.mark.parametrize(
    ("item", "template", "said"),
    [
        ("Rome", "Is {item} big?", "Is Rome big?"),
        (7, "{item:03d}", "007"),
        ({"name": "Rome", "of": "Italy"}, "{name} in {of}, {{braces}}", "Rome in Italy, {braces}"),
        (Row(item="Rome"), "{item}", "Rome"),
        (City("Rome"), "{item.name}", "Rome"),
        ("Rome", lambda item: f"{item}?", "Rome?"),
        ("Rome", shown, "= Rome"),
        ("Rome", lambda item: {"prompt": item, "max_tokens": 5}, "Rome"),
        ([{"role": "user", "content": "Hi"}], "{item}", "Hi"),
    ],
)
async def test_a_template_says_what_is_asked(
    door: Door, ai: PuterAI, server: Server, item: Any, template: Any, said: str
) -> None:
    assert await door(ai, "batch", [item], template=template) == [f"<{said}>"]
    assert server.asked == [said]


async def test_a_template_gives_arguments_of_the_item(
    door: Door, ai: PuterAI, server: Server
) -> None:
    def with_limit(item: int) -> dict[str, Any]:
        return {"prompt": "Go", "max_tokens": item, "model": "gpt-4.1"}

    await door(ai, "batch", [1, 2], template=with_limit, temperature=0.5, concurrency=1)
    assert [(one["max_tokens"], one["model"]) for one in server.bodies] == [
        (1, "gpt-4.1"),
        (2, "gpt-4.1"),
    ]
    assert [one["temperature"] for one in server.bodies] == [0.5, 0.5]


REFUSED: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ("one question", {}, PuterInputError, "must be a list or another iterable.*chat"),
    (7, {}, PuterInputError, "must be a list"),
    ([{"b": 1}], {"template": "{a}"}, PuterInputError, "the field {a}.*has: b.*{{ or }}"),
    ([{"a": 1}, {"b": 1}], {"template": "{a}"}, PuterInputError, "the field {a}.*has: b"),
    ([{"a": 1}], {}, PuterInputError, "the field {item}"),
    ([{"a": 1}, {"a": None, "b": 2}], {"template": "{a}"}, PuterInputError, "{a}.*has: b"),
    (["a"], {"template": "{item:>999999999999999}"}, PuterInputError, "does not fit 'a'"),
    (["a"], {"template": "{item"}, PuterInputError, "cannot be read.*{{ or }}"),
    (["a"], {"template": "{}"}, PuterInputError, "names no field"),
    (["a"], {"template": "Same for all"}, PuterInputError, "names no field"),
    (["a"], {"template": 7}, PuterInputError, "template must be"),
    (["a"], {"template": "{item.nothing}"}, PuterInputError, "does not fit 'a'"),
    (["a"], {"template": lambda _: {"stream": True}}, PuterInputError, "gives no stream"),
    (["a"], {"function": 7}, PuterInputError, "function must be"),
    (["a"], {"function": print, "system": "x"}, PuterInputError, "or system=, not both"),
    (["a"], {"function": print, "model": "x"}, PuterInputError, "or model=, not both"),
    (["a"], {"function": print, "template": "{item}!"}, PuterInputError, "or template=, not"),
    (["a"], {"stream": True}, PuterInputError, "no stream="),
    (["a"], {"remember": True}, PuterInputError, "no remember="),
    (["a"], {"resume": None}, PuterInputError, "no resume="),
    (["a"], {"concurency": 3}, TypeError, "batch.. got an.*Did you mean 'concurrency'"),
    (["a"], {"maxTokens": 3}, TypeError, "max_tokens"),
    (["a"], {"temperature": "hot"}, PuterInputError, "temperature"),
    (["a"], {"concurrency": 0}, PuterInputError, "concurrency must be"),
    (["a"], {"on_error": "ignore"}, PuterInputError, "on_error must be"),
    (["a"], {"progress": 1}, PuterInputError, "progress must be"),
    (["a"], {"executor": object()}, PuterInputError, "get_executor"),
    (type("DataFrame", (list,), {})(), {}, PuterInputError, r"to_dict..records"),
    ([object()], {"output": "x.jsonl", "template": str}, PuterInputError, "cannot be written"),
    (["a"], {"output": "no/such/folder/x.jsonl"}, OSError, "folder"),
]


@pytest.mark.parametrize(("items", "arguments", "kind", "told"), REFUSED)
async def test_what_is_wrong_is_told_before_anything_is_sent(
    door: Door,
    ai: PuterAI,
    server: Server,
    items: Any,
    arguments: dict[str, Any],
    kind: type[Exception],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=told):
        await door(ai, "batch", items, **arguments)
    assert server.asked == []


async def test_a_later_item_that_does_not_fit_fails_alone(
    door: Door, ai: PuterAI, server: Server
) -> None:
    rows = iter([{"a": 1}, {"b": 2}, {"a": 3}])
    results = await door(ai, "batch", rows, template="{a}")
    assert isinstance(results[1], PuterInputError)
    assert [str(results[0]), str(results[2])] == ["<1>", "<3>"]
    assert sorted(server.asked) == ["1", "3"]


# ------------------------------------------------------------ functions


def measure(client: PuterAI, item: str) -> Any:
    return {"item": item, "letters": len(client.chat(item, remember=False))}


async def async_measure(client: PuterAI, item: str) -> Any:
    return {"item": item, "letters": len(await client.async_chat(item, remember=False))}


async def test_a_function_is_called_in_place_of_a_chat(
    door: Door, ai: PuterAI, output: Path
) -> None:
    function = measure if door.kind == "sync" else async_measure
    wanted = [{"item": "a", "letters": 3}, {"item": "bb", "letters": 4}]
    for reused in (0, 2):
        results = await door(ai, "batch", ["a", "bb"], function=function, output=output)
        assert (results, results.reused) == (wanted, reused)
    assert records(output)[0]["model"] is None


def at_top(function: Any) -> Any:
    """The function as if it stood at the top of this module, so that it may hold anything."""
    function.__qualname__ = "Top.held"
    Top.held = staticmethod(function)
    return function


class Top:
    held: Any


async def test_a_function_that_returns_nothing_is_called_once(
    door: Door, ai: PuterAI, output: Path
) -> None:
    async def keep(_client: PuterAI, item: str) -> None:
        kept.append(item)
        if item == "b":
            raise PuterBudgetError("spent")

    def blocking(client: PuterAI, item: str) -> None:
        asyncio.run(keep(client, item))

    kept: list[str] = []
    function = at_top(keep if door.kind == "async" else blocking)
    for reused in (0, 1):
        results = await door(
            ai, "batch", list("abc"), function=function, output=output, concurrency=1
        )
        assert (results[0], results.reused) == (None, reused)
        assert results[1] is results[2] is results.stopped
    assert kept == ["a", "b", "b"]


async def test_a_plain_function_behind_async_batch_has_a_thread(ai: PuterAI) -> None:
    def where(_client: PuterAI, item: str) -> bool:
        return threading.current_thread() is threading.main_thread()

    assert await ai.async_batch(["a"], function=where) == [False]
    called = await ai.async_batch(["a"], function=lambda client, item: client.async_chat(item))
    assert called == ["<a>"]


def test_a_coroutine_function_is_for_the_other_door(ai: PuterAI, server: Server) -> None:
    with pytest.raises(PuterInputError, match="async_batch"):
        ai.batch(["a"], function=async_measure)
    results = ai.batch(["a"], function=lambda client, item: client.async_chat(item))
    assert isinstance(results[0], PuterInputError)
    with pytest.raises(PuterInputError, match="async_batch"):
        ai.batch(one_by_one("ab"))
    assert server.asked == []


async def test_a_result_that_is_no_json_ends_the_batch_and_is_not_lost(
    door: Door, ai: PuterAI, output: Path
) -> None:
    thing = object()
    function = at_top(lambda *_: thing)
    with pytest.raises(PuterInputError, match="cannot be written") as caught:
        await door(ai, "batch", ["a"], function=function, output=output)
    assert caught.value.results == [thing]


# ------------------------------------------------------------ streams of items, limits


async def one_by_one(items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


async def test_async_items(ai: PuterAI) -> None:
    assert await ai.async_batch(one_by_one("abc")) == ["<a>", "<b>", "<c>"]


async def test_async_items_are_not_waited_for_when_it_stops(ai: PuterAI, server: Server) -> None:
    """Such as those of a queue, into which nobody puts anything more."""
    server.replies["a"] = failure()
    tasks: set[Any] = set()

    async def items() -> AsyncIterator[str]:
        try:
            for item in ["a"] if raised else ["b", "a"]:
                tasks.add(asyncio.current_task())
                yield item
            await asyncio.Event().wait()
        finally:
            tasks.add(asyncio.current_task())
            closed.append(True)

    closed: list[bool] = []
    for raised in (True, False):
        tasks.clear()
        with pytest.raises(PuterBadRequestError):
            await ai.async_batch(items(), on_error="raise", concurrency=1 + raised)
        assert (closed, len(tasks)) == ([True], 1)
        closed.clear()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_answers_of_the_file_leave_others_their_turn(ai: PuterAI, output: Path) -> None:
    items, turns = list(range(9)), list[int]()

    async def answer(_client: PuterAI, item: int) -> int:
        return item

    async def count() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    await ai.async_batch(items, function=answer, output=output)
    other = asyncio.create_task(count())
    assert (await ai.async_batch(items, function=answer, output=output)).reused == 9
    other.cancel()
    assert len(turns) >= 9


async def test_a_function_that_cancels_itself_has_failed(ai: PuterAI, output: Path) -> None:
    async def ask(_client: PuterAI, _item: str) -> None:
        raise asyncio.CancelledError

    results = await ai.async_batch(["a", "b"], function=ask, output=output)
    assert [type(one) for one in results.errors] == [CancelledError, CancelledError]


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_items_are_taken_as_they_are_needed(
    door: Door, ai: PuterAI, server: Server, concurrency: int
) -> None:
    ahead: list[int] = []

    def items() -> Iterator[str]:
        for number in range(40):
            ahead.append(number + 1 - len(server.asked))
            yield str(number)

    await door(ai, "batch", items(), concurrency=concurrency)
    assert max(ahead) <= concurrency + 1
    assert server.most <= concurrency


class Item(str):
    """One that tells whether somebody has it."""

    __slots__ = ("__weakref__",)


async def test_a_million_items_are_not_held(door: Door, ai: PuterAI, output: Path) -> None:
    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    def items() -> Iterator[str]:
        nonlocal most
        for number in range(150):
            item = Item(number)
            alive.add(item)
            if number == 140:
                gc.collect()
                most = len(alive)
            yield item
            del item

    await door(ai, "batch", items(), template=lambda item: f"{item}?", output=output, concurrency=2)
    assert 1 <= most <= 100  # a thread that has answered may still be on its way out


async def test_as_many_at_a_time_as_the_client_lets_run(door: Door, server: Server) -> None:
    ai = server.client(max_concurrency=2)
    await door(ai, "batch", map(str, range(20)))
    assert server.most <= 2


def test_calls_of_threads_run_side_by_side(server: Server, ai: PuterAI) -> None:
    together = threading.Barrier(3, timeout=20)
    server.each = lambda _: together.wait()
    assert len(ai.batch(list("abc"))) == 3
    with ThreadPoolExecutor(3) as pool:
        assert ai.batch(list("abc"), executor=pool) == ["<a>", "<b>", "<c>"]


async def test_an_executor_of_threads_serves_both_doors(door: Door, ai: PuterAI) -> None:
    with ThreadPoolExecutor(2) as pool:
        results = await door(ai, "batch", ["a", "b"], executor=pool)
    assert results == ["<a>", "<b>"]
    with pytest.raises(RuntimeError, match="shutdown"):
        await door(ai, "batch", ["a", "b"], executor=pool)


# ------------------------------------------------------------ failures


async def test_a_failure_is_kept_in_its_place(
    door: Door, ai: PuterAI, server: Server, output: Path
) -> None:
    server.replies["b"] = failure(400, "Nothing for b")
    results = await door(ai, "batch", ["a", "b", "c"], output=output)
    assert [str(results[0]), str(results[2])] == ["<a>", "<c>"]
    assert isinstance(results[1], PuterBadRequestError)
    assert results.errors == [results[1]]
    failed = next(one for one in records(output) if one["item"] == "b")
    assert failed["error"].startswith("PuterBadRequestError: Nothing for b")
    assert (failed["text"], failed["cost"]) == (None, None)


async def test_no_secret_is_written(door: Door, ai: PuterAI, output: Path) -> None:
    def leak(_client: PuterAI, item: str) -> None:
        raise ValueError(f"GET https://example.org/?token={item} with test-token-secret failed")

    (error,) = await door(ai, "batch", ["a"], function=leak, output=output)
    assert "test-token-secret" in str(error)  # the user's own exception stays as it is
    (record,) = records(output)
    assert "test-token-secret" not in str(record)
    assert record["error"].startswith("ValueError: GET https://example.org/")


async def test_a_closed_client_asks_nothing(door: Door, ai: PuterAI, output: Path) -> None:
    ai.close()
    with pytest.raises(PuterError, match="closed"):
        await door(ai, "batch", ["a"], output=output)


def test_calls_that_an_executor_drops_are_told(ai: PuterAI, server: Server) -> None:
    class Pool(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            future = super().submit(*args, **kwargs)
            handed_in.release()
            return future

    def drop(_: str) -> None:
        for _time in range(2):
            assert handed_in.acquire(timeout=20)
        pool.shutdown(wait=False, cancel_futures=True)

    handed_in = threading.Semaphore(0)
    pool = Pool(1)
    server.each = drop
    results = ai.batch(["a", "b"], executor=pool, concurrency=2)
    assert results[0] == "<a>"
    assert isinstance(results[1], CancelledError)


async def test_raise_ends_the_batch_at_the_first_failure(
    door: Door, ai: PuterAI, server: Server, output: Path
) -> None:
    server.replies["3"] = failure()
    with pytest.raises(PuterBadRequestError) as caught:
        await door(ai, "batch", map(str, range(90)), on_error="raise", output=output, concurrency=1)
    results = caught.value.results
    assert isinstance(results, BatchResults)
    assert results[:3] == ["<0>", "<1>", "<2>"]
    assert len(records(output)) == len(server.asked) == 4


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (failure(401, "Token no good", "token_auth_failed"), PuterAuthError),
        (failure(402, "No funds", "insufficient_funds"), PuterInsufficientFundsError),
        (failure(400, "Model not found", "model_not_found"), PuterModelNotFoundError),
    ],
)
async def test_what_each_item_would_meet_ends_the_batch(
    door: Door, server: Server, reply: Any, kind: type[Exception]
) -> None:
    ai = server.client(max_concurrency=1)
    server.replies["2"] = reply
    results = await door(ai, "batch", [str(number) for number in range(100)])
    assert isinstance(results.stopped, kind)
    assert len(server.asked) == 3
    assert len(results) == 100
    assert results[:2] == ["<0>", "<1>"]
    assert results[99] is results.stopped


async def test_a_model_of_an_item_fails_alone(door: Door, ai: PuterAI, server: Server) -> None:
    server.replies["a"] = failure(400, "Model not found", "model_not_found")
    results = await door(
        ai,
        "batch",
        ["a", "b", "c"],
        template=lambda item: {"prompt": item, "model": "mine" if item == "a" else "gpt-5-nano"},
        concurrency=1,
    )
    assert isinstance(results[0], PuterModelNotFoundError)
    assert results[1:] == ["<b>", "<c>"]


@pytest.mark.parametrize("on_error", ["raise", "keep"])
async def test_what_waits_for_the_window_is_not_sent_after_a_stop(
    door: Door, server: Server, output: Path, on_error: str
) -> None:
    """Three are sent, the second fails, and seventeen wait for the next ten seconds."""
    ai, queued = server.client(max_concurrency=None, rate_limit_requests=3), set[bool]()

    def held(request: Any, call_next: Any) -> Any:
        reply = yield from call_next(request)
        while True not in queued:
            queued.add(ai._throttle.waiting == 17)
            yield from sleep(0.01)
        return reply

    ai.use(held, per_attempt=True)
    server.replies["1"] = failure(402, "No funds", "insufficient_funds")
    items = [str(number) for number in range(100)]
    asked = door(ai, "batch", items, on_error=on_error, output=output, concurrency=20)
    if on_error == "raise":
        with pytest.raises(PuterInsufficientFundsError) as caught:
            await asked
        results: Any = caught.value.results
    else:
        results = await asked
    assert sorted(server.asked) == ["0", "1", "2"]
    assert ai._throttle.waiting == ai._throttle.running == 0
    assert [results[0], results[2]] == ["<0>", "<2>"]
    assert (len(results), len(results.errors), results.not_asked) == (100, 98, 97)
    assert results.summary().startswith("2 answered, 1 failed, 97 not asked, 0.000156 USD")
    assert len(records(output)) == 3


async def test_endless_items_end_with_the_budget(door: Door, ai: PuterAI, server: Server) -> None:
    ai.use(Budget(10 * PRICE, estimate=2 * PRICE))

    def items() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield str(number)

    results = await door(ai, "batch", items(), concurrency=4)
    assert isinstance(results.stopped, PuterBudgetError)
    answered = [one for one in results if isinstance(one, ChatReply)]
    assert len(answered) == len(server.asked) == 9  # with the tenth, 2 prices might be 11
    assert results.cost == 9 * PRICE


async def test_what_others_reserve_of_a_budget_only_makes_it_wait(
    door: Door, ai: PuterAI, server: Server
) -> None:
    """Each may cost a quarter of the budget, and costs a hundredth."""
    ai.use(Budget(100 * PRICE, estimate=25 * PRICE))
    results = await door(ai, "batch", [str(number) for number in range(60)], concurrency=20)
    assert results.errors == []
    assert server.most <= 4


async def test_what_was_begun_is_not_begun_again_for_the_budget(
    door: Door, ai: PuterAI, server: Server
) -> None:
    """It would be paid, and its tools would run, once more."""
    booked: list[str] = []

    def book(city: str) -> str:
        """Book a hotel."""
        booked.append(city)
        return "dear"

    def refuse(_client: PuterAI, item: str) -> None:
        booked.append(item)
        raise PuterBudgetError("Others reserved what was left")

    server.replies["a"] = MockReply(200, json=calls_body(("book", {"city": "a"})))
    ai.use(Budget(9 * PRICE, estimate=lambda request: len(request.messages) * 3 * PRICE))
    for arguments in ({"tools": [book]}, {"function": refuse}):
        results = await door(ai, "batch", ["a"], concurrency=2, **arguments)
        assert isinstance(results.stopped, PuterBudgetError)
        assert (booked, server.asked) == (["a"], ["a"])
        booked.clear()
    assert ai.usage.cost == PRICE


async def test_what_items_raise_is_raised_when_all_that_was_asked_is_written(
    door: Door, ai: PuterAI, server: Server, output: Path
) -> None:
    def items() -> Iterator[str]:
        yield from "abc"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        await door(ai, "batch", items(), output=output)
    assert caught.value.results == ["<a>", "<b>", "<c>"]  # type: ignore[attr-defined]
    assert len(records(output)) == 3


async def test_what_a_failed_call_paid_counts(
    door: Door, ai: PuterAI, server: Server, output: Path
) -> None:
    server.replies["a"] = MockReply(200, json=chat_body(""))
    results = await door(ai, "batch", ["a"], output=output)
    assert results.errors
    assert results.cost == PRICE
    assert Decimal(records(output)[0]["cost"]) == PRICE


async def test_what_a_tool_turn_paid_before_it_failed_counts(
    door: Door, ai: PuterAI, server: Server, output: Path
) -> None:
    server.replies |= {
        "a": MockReply(200, json=calls_body(("add", {"a": 1, "b": 2}))),
        "3": failure(),
    }
    results = await door(ai, "batch", ["a"], tools=[add], output=output)
    assert results.errors
    assert results.cost == PRICE
    (record,) = records(output)
    assert (Decimal(record["cost"]), record["model"]) == (PRICE, "gpt-5-nano")


# ------------------------------------------------------------ the file


KEYS = ["key", "item", "text", "model", "usage", "cost", "error"]


async def test_a_line_for_each_answer(door: Door, ai: PuterAI, output: Path) -> None:
    await door(ai, "batch", [{"n": "é"}], template="{n}", output=output)
    (record,) = records(output)
    assert list(record) == KEYS
    assert record["item"] == {"n": "é"}
    assert (record["text"], record["model"], record["error"]) == ("<é>", "gpt-5-nano", None)
    assert record["usage"]["input_tokens"] == 11
    assert Decimal(record["cost"]) == PRICE
    assert record["key"] == record["key"].lower()


async def test_half_a_surrogate_pair_is_written(door: Door, ai: PuterAI, output: Path) -> None:
    await door(ai, "batch", [1], function=lambda *_: "\ud800", output=output)
    assert records(output)[0]["text"] == "\ud800"


async def test_what_was_answered_is_not_asked_again(
    door: Door, ai: PuterAI, server: Server, output: Path
) -> None:
    server.replies["c"] = failure()
    first = await door(ai, "batch", list("abc"), output=output)
    del server.replies["c"]
    server.asked.clear()
    again = await door(ai, "batch", list("dcba"), output=output)
    assert sorted(server.asked) == ["c", "d"]  # what failed, and what is new
    assert again == ["<d>", "<c>", "<b>", "<a>"]
    assert (again.reused, again.cost) == (2, 2 * PRICE)
    assert again[3].usage.total_tokens == first[0].usage.total_tokens
    assert again[3].cost == first[0].cost
    assert len(records(output)) == 5
    server.asked.clear()
    assert (await door(ai, "batch", list("dcba"), output=output)).cost == 0
    assert server.asked == []


@pytest.mark.parametrize(
    "changed",
    [{"model": "gpt-4.1"}, {"temperature": 1.0}, {"system": "S"}, {"template": "Say {item}"}],
)
async def test_another_question_is_another_key(
    door: Door, ai: PuterAI, server: Server, output: Path, changed: dict[str, Any]
) -> None:
    await door(ai, "batch", ["a"], output=output)
    await door(ai, "batch", ["a"], output=output, **changed)
    assert len(server.asked) == 2
    await door(ai, "batch", ["a"], output=output, timeout=9, **changed)  # asks the same
    assert len(server.asked) == 2


@pytest.mark.parametrize("kind", ["media", "PIL"])
async def test_another_picture_is_another_key(
    door: Door, ai: PuterAI, server: Server, output: Path, kind: str
) -> None:
    drawn = [PIL.Image.new("RGB", (2, 2), color) for color in ("red", "blue")]
    files = [io.BytesIO(), io.BytesIO()]
    for picture, file in zip(drawn, files, strict=True):
        picture.save(file, "PNG")
    pictures = drawn if kind == "PIL" else [Image(file.getvalue()) for file in files]
    for picture in (*pictures, *pictures):
        await door(ai, "batch", ["a"], output=output, images=picture)
    assert len(server.asked) == 2


async def test_the_keys_of_files_that_are_there_stay(door: Door, ai: PuterAI, output: Path) -> None:
    await door(ai, "batch", ["a"], model="m", temperature=1, timeout=3, output=output)
    assert records(output)[0]["key"] == "9e9b9679698c2910f20c011a8cdfb202"


class Asker:
    """Asks in a language that only it knows."""

    def __init__(self, language: Any) -> None:
        self.language = language

    def __call__(self, _client: PuterAI, item: str) -> str:
        return f"{self.language} {item}"

    @classmethod
    def of_class(cls, _client: PuterAI, item: str) -> str:
        return f"{cls.__name__} {item}"


def in_language(_client: PuterAI, item: str, language: Any = "") -> str:
    return f"{language} {item}"


def asks_in(language: Any) -> Any:
    def ask(_client: PuterAI, item: str) -> str:
        return f"{language} {item}"

    return ask


def as_default(language: Any) -> Any:
    def ask(_client: PuterAI, item: str, *, language: Any = language) -> str:
        return f"{language} {item}"

    return ask


def calls(function: Any) -> Any:
    return lambda _, item: function(_, item) + "!"


def as_global(language: Any) -> Any:
    """As in a loop of a script, which has a variable of a method's name."""
    there = {"__name__": __name__, "language": language, "strip": Asker("it")}
    return eval("lambda _client, item: f'{language} {item}'.strip()", there)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "a partial": lambda language: partial(in_language, language=language),
    "a partial of a list": lambda language: partial(in_language, language=[language]),
    "what a function holds": asks_in,
    "a dict that it holds": lambda language: asks_in({"language": (language, 1.5, b"", None)}),
    "a function that it holds": lambda language: calls(asks_in(language)),
    "keyword with a default": as_default,
    "a lambda's default": lambda language: lambda _, item, with_=language: f"{with_} {item}",
    "what a lambda holds": lambda language: lambda _, item: [f"{language} {one}" for one in item],
    "what a lambda reads": as_global,
    "what a lambda does": lambda language: (
        (lambda _, item: [f"fr {one}" for one in item])
        if language == "fr"
        else (lambda _, item: [f"de {one}" for one in item])
    ),
}


@pytest.mark.parametrize("way", ["item", "template", "argument", "generator"])
async def test_what_can_be_read_once_is_not_read_for_the_key(
    door: Door, ai: PuterAI, server: Server, output: Path, tmp_path: Path, way: str
) -> None:
    path = tmp_path / "note.txt"
    path.write_text("All is well.")
    with path.open() as file:
        ways: dict[str, dict[str, Any]] = {
            "item": {"template": lambda _: "?"},
            "template": {"template": lambda _: {"prompt": "?", "files": [file]}},
            "argument": {"files": file},
            "generator": {"template": lambda _: {"prompt": "?", "files": (one for one in [file])}},
        }
        with pytest.raises(PuterInputError, match="only once"):
            await door(ai, "batch", [file if way == "item" else "a"], output=output, **ways[way])
        assert file.read() == "All is well."
    assert server.asked == []


@pytest.mark.parametrize("way", FUNCTIONS)
def test_another_function_is_another_key(ai: PuterAI, output: Path, way: str) -> None:
    for reused in (0, 1):
        for language in ("fr", "de"):
            function = FUNCTIONS[way](language)
            (answer,) = results = ai.batch(["a"], function=function, output=output)
            assert (results.reused, answer) == (reused, function(ai, "a"))


def refers_to_itself() -> Any:
    def ask(client: PuterAI, item: str) -> Any:
        return ask(client, item)

    return ask


@pytest.mark.parametrize(
    "function",
    [
        Asker("fr"),
        Asker("fr").__call__,
        Asker.__new__(type("Other", (Asker,), {})).of_class,
        partial(in_language, language=Asker("fr")),
        asks_in(Asker("fr")),
        as_global(Asker("fr")),
        as_default(Decimal(1)),
        refers_to_itself(),
    ],
)
async def test_a_function_that_cannot_be_told_from_another_has_no_file(
    door: Door, ai: PuterAI, output: Path, function: Any
) -> None:
    with pytest.raises(PuterInputError, match="cannot be told") as caught:
        await door(ai, "batch", ["a"], function=function, output=output)
    assert "at the top of a module" in str(caught.value.hint)
    assert output not in output.parent.iterdir()


async def test_equal_items_are_asked_each(
    door: Door, ai: PuterAI, server: Server, output: Path
) -> None:
    await door(ai, "batch", ["a", "a"], output=output)
    results = await door(ai, "batch", ["a", "a", "a"], output=output)
    assert results.reused == 2
    assert Counter(server.asked) == {"a": 3}
    assert len({one["key"] for one in records(output)}) == 3
    ai.use(Cache())
    await door(ai, "batch", ["b"] * 9)
    assert server.asked.count("b") == 1


async def test_both_doors_go_on_with_the_same_file(
    ai: PuterAI, server: Server, output: Path
) -> None:
    tools: list[Any] = [add]
    ai.batch(["a"], output=output, tools=tools)
    results = await ai.async_batch(["a"], output=output, tools=tools)
    assert results.reused == 1


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


async def test_what_a_reply_has_besides_is_kept(
    door: Door, ai: PuterAI, server: Server, output: Path
) -> None:
    server.replies["a"] = MockReply(200, json=chat_body("Well", finish_reason="length"))
    for _ in range(2):
        (reply,) = await door(ai, "batch", ["a"], output=output)
        assert reply.finish_reason == "length"
    assert len(server.asked) == 1


async def test_a_full_disk_costs_no_answer(
    door: Door, ai: PuterAI, server: Server, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        if b'"item": "2"' in data:
            write(descriptor, data[:9])
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    write = os.write
    monkeypatch.setattr(os, "write", full)
    results = await door(ai, "batch", list("0123456"), output=output, concurrency=1)
    assert results[:3] == ["<0>", "<1>", "<2>"]  # paid, so returned
    assert isinstance(results.stopped, OSError)
    assert [one["item"] for one in results.unwritten] == ["2"]
    assert len(server.asked) == 3
    assert [one["item"] for one in records(output)] == ["0", "1"]


def moved(output: Path) -> None:
    output.rename(output.with_name("moved.jsonl"))


def replaced(output: Path) -> None:
    """As an editor does, or ``sed -i``."""
    other = output.with_name("edited.jsonl")
    other.write_bytes(b"")
    other.replace(output)


@pytest.mark.skipif(os.name == "nt", reason="an open file keeps its name there")
@pytest.mark.parametrize("lose", [Path.unlink, moved, replaced])
@pytest.mark.parametrize("lost_after", [1, 3])
async def test_a_file_that_is_gone_costs_no_answer(
    door: Door,
    ai: PuterAI,
    server: Server,
    output: Path,
    lose: Callable[[Path], object],
    lost_after: int,
) -> None:
    def items() -> Iterator[str]:
        for number in range(3):
            yield str(number)
            if number + 1 == lost_after:  # it was answered before the next is asked for
                lose(output)

    results = await door(ai, "batch", items(), output=output, concurrency=1)
    asked = min(lost_after + 1, 3)
    assert results == ["<0>", "<1>", "<2>"][:asked]
    assert isinstance(results.stopped, FileNotFoundError)
    assert [one["item"] for one in results.unwritten] == ["0", "1", "2"][:asked]
    await check_rescued(door, ai, results, output, "012"[:asked])


@pytest.mark.parametrize("left", ["nothing", "a line", "half a line", "all but the last byte"])
@pytest.mark.parametrize("cut_after", [2, 3])
async def test_a_file_that_is_cut_off_costs_no_answer(
    door: Door, ai: PuterAI, server: Server, output: Path, left: str, cut_after: int
) -> None:
    def items() -> Iterator[str]:
        for number in range(4):
            yield str(number)
            if number == cut_after:
                whole = output.stat().st_size
                first = len(output.read_bytes().splitlines(keepends=True)[0])
                sizes = {"nothing": 0, "a line": first, "half a line": first // 2}
                os.truncate(output, sizes.get(left, whole - 1))

    await door(ai, "batch", ["0"], output=output)
    results = await door(ai, "batch", items(), output=output, concurrency=1)
    asked = cut_after + 2 if cut_after < 3 else 4
    assert results == ["<0>", "<1>", "<2>", "<3>"][:asked]
    assert isinstance(results.stopped, OSError)
    await check_rescued(door, ai, results, output, "0123"[:asked])


async def check_rescued(
    door: Door, ai: PuterAI, results: BatchResults, output: Path, items: str
) -> None:
    """See that the file has all of these, once what it lacks is appended."""
    with output.open("a", encoding="utf-8", newline="") as file:
        file.writelines(f"{json.dumps(one)}\n" for one in results.unwritten)
    assert (await door(ai, "batch", list(items), output=output)).reused == len(items)


async def test_an_answer_that_is_not_where_it_was_is_not_taken_for_another(
    door: Door, ai: PuterAI, server: Server, output: Path
) -> None:
    def items() -> Iterator[str]:
        lines = output.read_bytes().splitlines(keepends=True)
        output.write_bytes(b"".join(reversed(lines)))
        yield from questions

    questions = [digit * 9000 for digit in "012"]  # more than is read at once
    await door(ai, "batch", questions, output=output, concurrency=1)
    results = await door(ai, "batch", items(), output=output)
    assert isinstance(results.stopped, OSError)
    assert results == [results.stopped]
    assert server.asked == questions


async def test_an_output_is_found_wherever_the_program_goes(
    door: Door, ai: PuterAI, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def items() -> Iterator[str]:
        yield "0"
        monkeypatch.chdir(tmp_path.parent)
        yield "1"

    monkeypatch.chdir(tmp_path)
    results = await door(ai, "batch", items(), output="answers.jsonl", concurrency=1)
    assert (results, results.stopped) == (["<0>", "<1>"], None)


async def test_it_does_not_read_its_own_answers(
    door: Door, ai: PuterAI, server: Server, output: Path
) -> None:
    await door(ai, "batch", [], output=output)
    with output.open() as items:
        with pytest.raises(PuterInputError, match="one more item, without end"):
            await door(ai, "batch", items, output=output)
        assert await door(ai, "batch", items, output=output.with_name("other.jsonl")) == []
    memory = io.StringIO("a")  # its fileno() is that of no file
    assert await door(ai, "batch", memory, output=output) == ["<a>"]
    assert server.asked == ["a"]


async def test_two_batches_cannot_write_to_one_file(
    door: Door, ai: PuterAI, server: Server, output: Path
) -> None:
    told: list[str] = []

    def other(_: str) -> None:
        with pytest.raises(PuterInputError, match="Another batch writes to") as caught:
            server.client().batch(["z"], output=output)
        told.append(str(caught.value))

    server.each = other
    assert await door(ai, "batch", ["a"], output=output) == ["<a>"]
    assert told
    server.each = str
    assert await door(ai, "batch", ["a", "b"], output=output) == ["<a>", "<b>"]


# ------------------------------------------------------------ interrupts


def ctrl_c() -> None:
    """Unlike ``raise_signal()`` in another thread, it wakes the main thread, which waits."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_the_first_interrupt_lets_paid_answers_come(
    ai: PuterAI,
    server: Server,
    output: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(said: str) -> None:
        if said == "2":
            ctrl_c()
            assert stopped.wait(20)

    stopped = threading.Event()
    monkeypatch.setattr(caplog.handler, "emit", lambda _: stopped.set())
    server.each = interrupt
    with pytest.raises(KeyboardInterrupt) as caught:
        ai.batch(map(str, range(100)), output=output, concurrency=2)
    assert len(server.asked) <= 5
    assert len(records(output)) == len(server.asked)
    assert "<2>" in caught.value.results  # type: ignore[attr-defined]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_only_queues_is_not_sent_after_an_interrupt(server: Server, output: Path) -> None:
    ai, over = server.client(max_concurrency=3), threading.Event()

    def hold(said: str) -> None:
        if said == "1":
            while ai._throttle.waiting < 17 and not over.wait(0.01):
                pass
            ctrl_c()
        else:
            stopped.wait(20)
        while ai._throttle.waiting and not over.wait(0.01):
            pass
        stopped.set()

    server.each, stopped = hold, threading.Event()
    watch = threading.Timer(20, over.set)
    watch.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        ai.batch(map(str, range(100)), output=output, concurrency=20)
    watch.cancel()
    assert sorted(server.asked) == ["0", "1", "2"]
    results = caught.value.results  # type: ignore[attr-defined]
    assert results[:3] == ["<0>", "<1>", "<2>"]
    assert results.not_asked == len(results) - 3 == 17
    assert len(records(output)) == 3


async def test_what_only_queues_is_not_sent_after_a_cancellation(output: Path) -> None:
    sent: list[Any] = []
    go_on = asyncio.Event()

    async def answer(request: Any) -> MockReply:
        sent.append(request)
        await go_on.wait()
        return MockReply(200, json=chat_body("Paris"))

    ai = PuterAI(token="test-token-secret", transport=MockTransport(answer), max_concurrency=3)
    task = asyncio.create_task(ai.async_batch(list("abcdefgh"), output=output, concurrency=8))
    for _ in range(1000):
        if len(sent) == 3 and ai._throttle.waiting == 5:
            break
        await asyncio.sleep(0)
    task.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (ai._throttle.waiting, task.done()) == (0, False)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(sent) == len(records(output)) == 3


def test_the_second_interrupt_ends_at_once(
    ai: PuterAI,
    server: Server,
    output: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    never, told = threading.Event(), threading.Event()

    def twice(said: str) -> None:
        if said == "b":
            ctrl_c()
            assert told.wait(20)
            ctrl_c()
        never.wait(20)

    monkeypatch.setattr(caplog.handler, "emit", lambda _: told.set())
    server.each = twice
    try:
        with pytest.raises(KeyboardInterrupt):
            ai.batch(list("ab"), output=output, concurrency=2)
        assert records(output) == []
    finally:
        never.set()


def test_an_interrupt_of_the_items_ends_them(ai: PuterAI, server: Server, output: Path) -> None:
    def items() -> Iterator[str]:
        yield "a"
        ctrl_c()
        yield "b"

    with pytest.raises(KeyboardInterrupt):
        ai.batch(items(), output=output)
    assert [one["item"] for one in records(output)] == ["a"]


async def test_the_first_cancellation_lets_paid_answers_come(ai: PuterAI, output: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def ask(_client: PuterAI, item: str) -> str:
        begun.set()
        await go_on.wait()
        return item

    task = asyncio.create_task(
        ai.async_batch(list("abc"), function=at_top(ask), output=output, concurrency=2)
    )
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(one["item"] for one in records(output)) == ["a", "b"]


async def test_the_second_cancellation_ends_calls_under_way(ai: PuterAI, output: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def ask(_client: PuterAI, item: str) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(ai.async_batch(["a"], function=at_top(ask), output=output))
    await begun.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert records(output) == []
    assert len(asyncio.all_tasks()) == 1


# ------------------------------------------------------------ progress, summary, chart


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_a_bar_with_cost_where_stderr_is_a_terminal(
    door: Door, ai: PuterAI, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies["b"] = failure()
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    await door(ai, "batch", ["a", "b", "c"])
    last = screen.getvalue().split("\r")[-1]
    assert "3/3" in last
    assert "cost=0.000156 USD, failed=1" in last
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    await door(ai, "batch", ["a"], progress=False)
    assert screen.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", plain := io.StringIO())
    await door(ai, "batch", ["a"])
    assert plain.getvalue() == ""
    await door(ai, "batch", iter("ab"), progress=True)
    assert "2item" in plain.getvalue()


async def test_what_was_there_before_is_no_speed(door: Door, ai: PuterAI, output: Path) -> None:
    from puter.batch.progress import advance, open_bar

    await door(ai, "batch", list("abc"), output=output)
    bar = open_bar(True, 4)
    for _ in range(3):
        advance(bar, Decimal(0), 0, reused=True)
    assert (bar.n, bar.initial) == (3, 3)
    bar.close()


async def test_no_bar_without_tqdm_unless_it_is_wanted(
    door: Door, ai: PuterAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert await door(ai, "batch", ["a"]) == ["<a>"]
    with pytest.raises(PuterConfigError, match=r"needs the package tqdm.*pip install"):
        await door(ai, "batch", ["a"], progress=True)


def test_a_chart_for_those_who_want_one(
    ai: PuterAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = ai.batch(list("abc"))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PuterConfigError, match="needs the package matplotlib"):
        results.save_chart(tmp_path / "batch.svg")
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    assert results.save_chart(tmp_path / "batch.svg").read_text(encoding="utf-8").count("<svg")
    with pytest.raises(PuterInputError, match=r"batch\.foo: .*foo"):
        results.save_chart(tmp_path / "batch.foo")
    with pytest.raises(PuterInputError, match="A chart needs a name"):
        results.save_chart("")
    assert results.save_chart(tmp_path / "batch").read_bytes().startswith(b"\x89PNG")
    ai.batch(["a"], output=tmp_path / "answers.svg")
    with pytest.raises(PuterInputError, match=r"answers\.svg holds the answers of a batch"):
        results.save_chart(tmp_path / "answers.svg")
    assert [round(float(cost / PRICE)) for _, cost in results.finished] == [1, 2, 3]


def test_results_say_what_they_came_to() -> None:
    results = BatchResults()
    results += [ChatReply("a"), ChatReply("b"), PuterError("no")]
    results.reused, results.unpriced, results.cost = 1, 1, Decimal("0.5")
    told = "2 answered (1 of them before), 1 failed, 0.5 USD and 1 of unknown cost in 0.0 s"
    assert results.summary() == told
