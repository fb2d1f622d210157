"""`Cache`: what was paid for is given again, through both doors, whole and streamed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import freezegun
import pytest

from puter import (
    PuterAI,
    PuterAPIError,
    PuterBudgetError,
    PuterError,
    PuterInputError,
    PuterParseError,
    PuterServerError,
    PuterStreamError,
    PuterTimeoutError,
)
from puter.engine import throttle
from puter.extensions import Budget, Cache, Fallback, map_chunks
from puter.testing import LocalPuter, MockReply, MockRequest, MockTransport
from tests.door import (
    CUT,
    Door,
    calls_body,
    chat_body,
    chunks,
    json_answer,
    shut,
    step,
    stream_answer,
    until_done,
)
from tests.interrupts import Aim

STREAM = (
    {"type": "text", "text": "Hel"},
    {"type": "text", "text": "lo!"},
    {"type": "usage", "usage": {"prompt_tokens": 11, "completion_tokens": 7, "usd_cents": 0.0078}},
)


def answered(*script: Any) -> Callable[[Any], Any]:
    """What a door answers: each in turn, as a stream where one is asked for."""
    left = list(script or ["Hello!"])

    def answer(sent: Any) -> Any:
        one = left.pop(0) if len(left) > 1 else left[0]
        if one != "Hello!":
            return one
        return stream_answer(*STREAM) if sent.args.get("stream") else json_answer(chat_body())

    return answer


async def ask(door: Door, ai: Any, stream: bool = False, prompt: str = "Hi", **options: Any) -> Any:
    """The whole reply of a chat, whichever way it came."""
    found = await door(ai, "chat", prompt, stream=stream, **options)
    if stream:
        came = await chunks(found)
        assert "".join(came) == found.reply
        assert came[-1].type == "usage"
        return found.reply
    return found


ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@ways
@pytest.mark.parametrize("first", [False, True], ids=["of whole", "of stream"])
async def test_the_same_question_is_paid_for_once(door: Door, first: bool, stream: bool) -> None:
    door.answers(answered())
    cache = Cache()
    ai = door.client().use(cache)
    paid = await ask(door, ai, first, remember=False)
    hit = await ask(door, ai, stream, remember=False)
    assert len(door.sent) == 1
    assert (cache.hits, cache.misses) == (1, 1)
    assert (paid.cached, hit.cached) == (False, True)
    assert hit == paid == "Hello!"
    assert (hit.cost, hit.attempts, hit.headers, hit.request_id) == (0, 0, {}, None)
    assert hit.usage.output_tokens == 7
    assert hit.messages == paid.messages
    assert ai.usage.requests == 1
    assert ai.usage.cost == paid.cost > 0
    assert (await ask(door, ai, stream, "Ho", remember=False)).cached is False


@ways
async def test_a_hit_is_remembered_as_an_answer_is(door: Door, stream: bool) -> None:
    door.answers(answered())
    cache = Cache()
    said = []
    for _ in range(2):
        ai = door.client().use(cache)
        await ask(door, ai, stream)
        await ask(door, ai, stream, "And now?")
        said.append(ai.chat_history)
    assert len(door.sent) == 2
    assert cache.hits == 2
    assert said[0] == said[1]
    assert [one["role"] for one in said[0]] == ["user", "assistant"] * 2


def redacting(request: Any, call_next: Any) -> Any:
    hidden = [{**one, "content": one["content"].replace("4111", "*")} for one in request.messages]
    reply = yield from call_next(request.replace(messages=hidden))
    return reply.copy_with(text=reply.text.replace("Hello", "*"))


def adding(request: Any, call_next: Any) -> Any:
    context = {"role": "user", "content": "Context: 4111"}
    return (yield from call_next(request.replace(messages=[*request.messages, context])))


def briefly(request: Any, call_next: Any) -> Any:
    system = {"role": "system", "content": "Be brief."}
    return (yield from call_next(request.replace(messages=[system, *request.messages])))


def answering(request: Any, call_next: Any) -> Any:
    yield from call_next(request)
    return "It is 4111."


@ways
@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize(
    "others",
    [
        (redacting, adding, briefly),
        (adding, redacting, briefly),
        (briefly, adding, redacting),
        (redacting, answering, adding),
    ],
    ids=lambda others: "-".join(one.__name__ for one in others),
)
async def test_a_hit_leaves_the_history_as_a_miss_does(
    door: Door, others: Any, place: int, stream: bool
) -> None:
    door.answers(answered())
    cache = Cache()
    found: list[Any] = []
    for _ in range(2):
        ai = door.client()
        for one in (*others[:place], cache, *others[place:]):
            ai.use(one)
        for prompt in ("My card is 4111", "And 4111?"):
            reply = await door(ai, "chat", prompt, stream=stream)
            found.append(await until_done(reply) if stream else reply)
        found.append(ai.chat_history)
    assert (cache.hits, cache.misses) == (2, 2)
    assert found[:3] == found[3:]
    assert [one["role"] for one in found[-1]] == ["user", "user", "assistant"] * 2
    assert found[-1][2]["content"] == found[0]
    assert found[-1][0]["content"] == "My card is *"


async def test_a_hit_under_another_history_is_asked_anew_where_the_turn_was_changed(
    door: Door,
) -> None:
    ai = door.client().use(cache := Cache()).use(redacting)
    said = ["4111", {"role": "assistant", "content": "Yes"}, "4111 again"]
    reply = await door(ai, "chat", messages=said)
    assert not reply.cached
    talk: Any = door.client().use(cache).use(redacting)
    talk.chat_history = [{"role": "user", "content": said[0]}, said[1]]
    reply = await door(talk, "chat", said[2])
    assert not reply.cached
    assert talk.chat_history[-2]["content"] == "* again"
    assert cache.misses == 2


async def test_what_middleware_says_after_another_redacted_is_remembered_redacted(
    door: Door,
) -> None:
    def canned(request: Any, call_next: Any) -> Any:
        return "No."
        yield

    ai = door.client().use(redacting).use(canned)
    await door(ai, "chat", "My card is 4111")
    assert ai.chat_history[0]["content"] == "My card is *"


async def test_a_hit_says_whether_it_is_part_of_the_history(door: Door) -> None:
    ai = door.client().use(Cache())
    for _ in range(2):
        assert (await door(ai, "chat", messages=["Hi"])).standalone
    reply = await door(ai, "chat", "Hi")
    assert (reply.cached, reply.standalone) == (True, False)


async def test_a_conversation_may_have_a_cache_of_its_own(door: Door) -> None:
    ai, cache = door.client(), Cache()
    talks: list[Any] = [ai.conversation().use(cache) for _ in range(2)]
    for talk in talks:
        await door(talk, "chat", "Hi")
    assert talks[0].messages == talks[1].messages
    await door(ai, "chat", "Hi")
    assert (len(door.sent), cache.hits) == (2, 1)


async def test_copies_of_the_client_share_it_and_other_hosts_do_not(door: Door) -> None:
    cache = Cache()
    ai = door.client().use(cache)
    await door(ai, "chat", "Hi", remember=False)
    assert (await door(ai.with_options(timeout=3), "chat", "Hi", timeout=9)).cached
    assert (await door(door.client(token="another").use(cache), "chat", "Hi")).cached
    elsewhere = door.client(api_base="https://puter.example.org").use(cache)
    assert not (await door(elsewhere, "chat", "Hi")).cached


async def test_typed_answers_are_read_from_what_was_kept(door: Door) -> None:
    door.answers(chat_body("no list"), chat_body("[2, 3]"))
    ai = door.client().use(cache := Cache())
    for _ in range(2):
        value = await door(ai, "parse", "Primes", list[int], remember=False)
        assert value == [2, 3]
    assert len(door.sent) == 2  # the answer that did not fit, and the one that was kept
    value, reply = await door(ai, "parse", "Primes", list[int], with_reply=True)
    assert (value, reply.cached, reply.cost, cache.hits) == ([2, 3], True, 0, 2)
    assert [one["role"] for one in ai.chat_history] == ["user", "assistant"]
    with pytest.raises(PuterParseError):  # another type is another question
        await door(door.client().use(cache), "parse", "Primes", bool, retries=0)
    assert len(door.sent) == 3


def a_person(oldest: int) -> Any:
    @dataclass
    class Person:
        age: int

        def __post_init__(self) -> None:
            if self.age > oldest:
                raise ValueError(f"older than {oldest}")

    return Person


async def test_a_kept_answer_that_no_longer_fits_is_asked_for_anew(door: Door) -> None:
    door.answers(chat_body('{"age": 50}'), chat_body('{"age": 5}'))
    ai = door.client().use(cache := Cache())
    for oldest, age in ((60, 50), (10, 5), (10, 5)):
        assert (await door(ai, "parse", "Ada", a_person(oldest), remember=False)).age == age
    assert (len(door.sent), cache.hits, cache.misses) == (2, 1, 2)


@ways
@pytest.mark.parametrize(
    "first",
    [
        json_answer(chat_body(finish_reason="length")),
        json_answer({"message": "no", "code": "internal_error"}, 500),
        json_answer(chat_body("")),
    ],
    ids=["length", "error", "empty"],
)
async def test_what_is_no_whole_answer_is_not_kept(door: Door, first: Any, stream: bool) -> None:
    door.answers(answered(first, "Hello!"))
    ai = door.client().use(cache := Cache())
    with contextlib.suppress(PuterAPIError):
        await ask(door, ai, remember=False)
    assert not (await ask(door, ai, stream, remember=False)).cached
    assert (cache.hits, cache.misses) == (0, 2)


async def test_a_stream_that_breaks_off_is_not_kept(door: Door) -> None:
    door.answers(answered(stream_answer(STREAM[0], CUT), "Hello!"))
    ai = door.client().use(Cache())
    with pytest.raises(PuterStreamError):
        await ask(door, ai, stream=True, remember=False)
    assert not (await ask(door, ai, remember=False)).cached


def book(seats: int) -> str:
    """Book seats."""
    return f"{seats} booked"


async def test_turns_that_run_tools_are_not_kept(door: Door) -> None:
    round_of_tools = calls_body(("book", {"seats": 2}))
    door.answers(round_of_tools, chat_body("Done"), round_of_tools, chat_body("Done"))
    ai = door.client().use(cache := Cache())
    for _ in range(2):
        reply = await door(ai, "chat", "Book", tools=[book], remember=False)
        assert (reply, reply.cached) == ("Done", False)
    assert (len(door.sent), cache.hits) == (4, 0)
    door.answers(round_of_tools)
    for _ in range(2):
        open_turn = await door(ai, "chat", "Go", tools=[book], run_tools=False, remember=False)
        assert open_turn.tool_calls
    assert cache.hits == 0


async def test_an_answer_without_tools_is_kept_though_it_might_have_called_some(door: Door) -> None:
    ai = door.client().use(Cache())
    assert not (await door(ai, "chat", "Hi", tools=[book], remember=False)).cached
    assert (await door(ai, "chat", "Hi", tools=[book], remember=False)).cached
    assert not (await door(ai, "chat", "Hi", remember=False)).cached


async def test_pictures_count_by_what_is_in_them(door: Door, tmp_path: Path) -> None:
    picture = tmp_path / "a.gif"
    ai = door.client().use(cache := Cache())
    for content in (b"GIF89a1", b"GIF89a1", b"GIF89a2"):
        write(picture, content)
        await door(ai, "chat", "What is it?", images=picture, remember=False)
    assert (cache.hits, cache.misses) == (1, 2)


async def test_the_answer_of_a_stand_in_is_not_kept_as_the_models_own(door: Door) -> None:
    down = json_answer({"message": "down", "code": "upstream_unavailable"}, 503)
    door.answers(down, chat_body("from b"), chat_body("from a"))
    cache = Cache()
    ai = door.client(max_retries=0).use(cache).use(Fallback("claude-haiku-4-5", sticky=0))
    assert await door(ai, "chat", "Hi", "gpt-5-nano", remember=False) == "from b"
    ai = door.client().use(cache)
    assert await door(ai, "chat", "Hi", "gpt-5-nano", remember=False) == "from a"
    assert (await door(ai, "chat", "Hi", "gpt-5-nano", remember=False)).cached


async def test_a_hit_takes_nothing_of_a_budget(door: Door) -> None:
    budget = Budget("0.000078", estimate="0.000078")
    ai = door.client().use(Cache()).use(budget)
    await door(ai, "chat", "Hi", remember=False)
    assert budget.remaining == 0
    assert (await door(ai, "chat", "Hi", remember=False)).cached
    assert (budget.spent, budget.reserved) == (Decimal("0.000078"), Decimal(0))
    with pytest.raises(PuterBudgetError):
        await door(ai, "chat", "Ho", remember=False)


async def test_events_tell_that_a_hit_costs_nothing(door: Door) -> None:
    ai = door.client().use(Cache())
    told: list[Any] = []
    ai.on("call.end", lambda event: told.append((event.cost, event.attempt, event.reply.cached)))
    for _ in range(2):
        await door(ai, "chat", "Hi", remember=False)
    assert told == [(Decimal("0.000078"), 1, False), (0, 0, True)]


async def test_middleware_around_and_within_goes_on_working(door: Door) -> None:
    def shouting(request: Any, call_next: Any) -> Any:
        return (yield from map_chunks(call_next(request), str.upper))

    ai = door.client().use(briefly).use(shouting).use(Cache()).use(map_nothing)
    door.answers(answered())
    for stream in (False, True, True):
        assert await ask(door, ai.with_options(), stream) == "HELLO!"
        await ask(door, ai.with_options(), stream)
    talk: Any = ai.conversation()
    assert await ask(door, talk) == "HELLO!"
    assert talk.messages == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "HELLO!"},
    ]
    assert len(door.sent) == 1


def map_nothing(request: Any, call_next: Any) -> Any:
    return (yield from call_next(request))


# ---------------------------------------------------------------- stores


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
@ways
async def test_each_store_keeps_answers(
    door: Door, stream: bool, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    door.answers(answered())
    where: Any = None
    if kind == "sqlite":
        where = tmp_path / "a.sqlite"
    elif kind == "redis":
        where = request.getfixturevalue("redis_server")
    cache = Cache(where)
    ai = door.client().use(cache)
    assert not read_all(tmp_path)
    paid = await ask(door, ai, stream, remember=False)
    if where is not None:  # another process, as it were
        cache.close()
        cache = Cache(str(where))
        ai = door.client().use(cache)
    hit = await ask(door, ai, stream, remember=False)
    assert (hit, hit.cached, hit.raw, hit.usage) == (paid, True, paid.raw, paid.usage)
    cache.clear()
    assert not (await ask(door, ai, stream, remember=False)).cached
    cache.close()


async def test_answers_are_given_again_until_their_time_is_over(door: Door) -> None:
    with freezegun.freeze_time("2026-11-27", real_asyncio=True) as frozen:
        ai = door.client().use(Cache(ttl=60))
        for seconds, cached in ((0, False), (60, True), (1, False), (60, True)):
            frozen.tick(seconds)
            assert (await door(ai, "chat", "Hi", remember=False)).cached is cached


async def test_the_file_holds_no_token(door: Door, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "a.sqlite")
    await door(door.client(headers={"X-Key": "s3cret-header"}).use(cache), "chat", "Hi")
    cache.close()
    content = read_all(tmp_path)
    assert b"Hello!" in content
    assert b"test-token-secret" not in content
    assert b"s3cret-header" not in content


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def read_all(folder: Path) -> bytes:
    return b"".join(one.read_bytes() for one in folder.iterdir())


class Broken:
    """A store that fails where it is told to."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.asked: list[str] = []

    def _do(self, what: str) -> None:
        self.asked.append(what)
        if what in self.failing:
            raise OSError("no connection to redis://me:hunter2@host")

    def get(self, key: str) -> None:
        self._do("get")

    def set(self, key: str, value: str) -> None:
        self._do("set")


@ways
@pytest.mark.parametrize("failing", ["get", "set"])
async def test_a_store_that_fails_costs_no_answer(
    door: Door, stream: bool, failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    door.answers(answered())
    store = Broken(failing)
    ai = door.client().use(Cache(store=store))
    for _ in range(2):
        assert await ask(door, ai, stream, remember=False) == "Hello!"
    warned = [one for one in caplog.records if one.name == "puter.cache"]
    assert [one.levelno for one in warned] == [logging.WARNING]
    assert "no connection" in warned[0].getMessage()
    assert "hunter2" not in warned[0].getMessage()
    assert store.asked.count(failing) == 1  # then it is left alone for a while


@pytest.mark.parametrize(
    ("failing", "asked"),
    [("set", ["get", "set", "get"]), ("get", ["get"])],  # where nothing is read nothing is written
)
async def test_a_store_that_cannot_be_written_is_still_read(
    door: Door, failing: str, asked: list[str]
) -> None:
    store = Broken(failing)
    ai = door.client().use(Cache(store=store))
    for _ in range(2):
        await door(ai, "chat", "Hi", remember=False)
    assert store.asked == asked


def test_a_store_without_them_is_neither_cleared_nor_closed() -> None:
    with Cache(store=Broken()) as cache, pytest.raises(PuterError, match=r"Broken has no clear"):
        cache.clear()


async def test_files_that_cannot_be_used_cost_no_answer(
    door: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "damaged", b"no database" * 99)
    for name in ("damaged", "nowhere/a.sqlite"):
        ai = door.client().use(Cache(tmp_path / name))
        assert await door(ai, "chat", "Hi") == "Hello!"
    assert [one.name for one in caplog.records].count("puter.cache") == 2


async def test_a_redis_that_is_not_there_costs_no_answer(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    cache = Cache("redis://:hunter2@127.0.0.1:1/0")
    assert await door(door.client().use(cache), "chat", "Hi") == "Hello!"
    assert "puter.cache" in [one.name for one in caplog.records]
    assert "hunter2" not in f"{caplog.text}{cache!r}"
    cache.close()


async def test_a_store_of_coroutines_serves_async_methods() -> None:
    class Shelf:
        def __init__(self) -> None:
            self.entries: dict[str, str] = {}

        async def get(self, key: str) -> str | None:
            await asyncio.sleep(0)
            return self.entries.get(key)

        async def set(self, key: str, value: str) -> None:
            self.entries[key] = value

    ai = PuterAI(token="t", transport=MockTransport(lambda _: "Hello!")).use(Cache(store=Shelf()))
    found = [(await ai.async_chat("Hi", remember=False)).cached for _ in range(2)]
    assert found == [False, True]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"path": ""}, "path must be"),
        ({"path": 3}, "path must be a file or a redis:// URL"),
        ({"path": "memcached://127.0.0.1"}, "no cache in 'memcached'"),
        ({"path": ":memory:"}, "nothing for memory"),
        ({"path": "a", "store": Broken()}, "not both"),
        ({"store": {}}, "get and set"),
        ({"ttl": 0}, "ttl must be"),
        ({"max_entries": 0}, "max_entries must be"),
        ({"max_entries": 1.5}, "max_entries must be"),
    ],
)
def test_arguments_are_checked(arguments: Any, words: str) -> None:
    with pytest.raises(PuterInputError, match=words):
        Cache(**arguments)


# ---------------------------------------------------------------- many at once


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.002)


def waiting(cache: Cache) -> int:
    return sum(queue.waiting for queue in list(cache._flights._queues.values()))


@ways
@pytest.mark.parametrize("fails", [False, True], ids=["", "the first fails"])
def test_threads_and_tasks_that_want_the_same_wait_for_the_first(stream: bool, fails: bool) -> None:
    cache, together = Cache(), 8
    outcomes: list[Any] = []

    def answer(request: MockRequest) -> Any:
        if len(mock.requests) == 1:
            until(lambda: waiting(cache) == together - 1)
            if fails:
                return MockReply(500, json={"message": "no", "code": "internal_error"})
        if request.json["args"].get("stream"):
            return iter(STREAM)
        return "Hello!"

    mock = MockTransport(answer)
    ai = PuterAI(token="t", transport=mock).use(cache)
    begun = threading.Event()

    def blocking() -> None:
        try:
            found: Any = ai.chat("Hi", remember=False, stream=stream)
            outcomes.append(found.until_done() if stream else found)
        except PuterServerError as error:
            outcomes.append(error)

    async def one() -> None:
        found: Any = await ai.async_chat("Hi", remember=False, stream=stream)
        outcomes.append(await found.until_done() if stream else found)

    async def tasks() -> None:
        begun.set()
        await asyncio.gather(*(one() for _ in range(together // 2)))

    with ThreadPoolExecutor() as pool:
        first = pool.submit(blocking)
        until(lambda: bool(mock.requests))
        rest = [pool.submit(blocking) for _ in range(together // 2 - 1)]
        rest.append(pool.submit(asyncio.run, tasks()))
        for future in [first, *rest]:
            future.result(30)
    assert len(mock.requests) == 1 + fails
    assert sum(isinstance(one, PuterServerError) for one in outcomes) == fails
    assert sum(getattr(one, "cached", False) for one in outcomes) == together - 1 - fails
    assert (cache.hits, cache.misses) == (together - 1 - fails, 1 + fails)
    until(lambda: not cache._flights._queues)


async def test_when_a_stream_is_closed_the_next_one_asks(door: Door) -> None:
    door.answers(answered())
    ai = door.client().use(cache := Cache())
    stream = await door(ai, "chat", "Hi", stream=True, remember=False)
    await step(stream)
    await shut(stream)
    await asyncio.to_thread(until, lambda: not cache._flights._queues)
    assert not (await ask(door, ai, remember=False)).cached
    assert len(door.sent) == 2


async def test_a_task_that_is_cancelled_leaves_the_flight_to_the_next() -> None:
    async def answer(request: MockRequest) -> Any:
        if len(mock.requests) == 1:
            await asyncio.sleep(3600)
        return "Hello!"

    mock = MockTransport(answer)
    ai = PuterAI(token="t", transport=mock).use(cache := Cache())
    first = asyncio.create_task(ai.async_chat("Hi", remember=False))
    await asyncio.to_thread(until, lambda: bool(mock.requests))
    second = asyncio.create_task(ai.async_chat("Hi", remember=False))
    await asyncio.to_thread(until, lambda: waiting(cache) == 1)
    first.cancel()
    assert not (await second).cached
    assert first.cancelled()
    await asyncio.to_thread(until, lambda: not cache._flights._queues)


async def test_a_stream_that_its_own_code_left_open_is_not_waited_for(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "_OWN_STREAMS", 0.05)
    door.answers(answered())
    ai = door.client().use(Cache())
    stream = await door(ai, "chat", "Hi", stream=True, remember=False)
    assert await ask(door, ai, remember=False) == "Hello!"
    assert len(door.sent) == 2
    assert "".join(await chunks(stream)) == "Hello!"


async def test_the_deadline_goes_on_while_a_call_waits(door: Door) -> None:
    door.answers(answered())
    ai = door.client().use(cache := Cache())
    stream = await door(ai, "chat", "Hi", stream=True, remember=False)
    with pytest.raises(PuterTimeoutError):
        await ask(door, ai.with_options(deadline=0.05), remember=False)
    assert len(door.sent) == 1
    await chunks(stream)
    assert (await ask(door, ai, remember=False)).cached
    await asyncio.to_thread(until, lambda: not cache._flights._queues)


@pytest.mark.parametrize(
    ("reason", "store"), [("length", None), ("stop", Broken("set")), ("stop", Broken("get"))]
)
def test_when_the_answer_is_of_no_use_to_others_all_of_them_ask_at_once(
    reason: str, store: Any
) -> None:
    cache, others = Cache(store=store), 5
    together = threading.Barrier(others, timeout=30)

    def answer(request: MockRequest) -> Any:
        if len(mock.requests) == 1:
            until(lambda: waiting(cache) == others)
        else:
            together.wait()
        return {"message": {"content": "Hel"}, "finish_reason": reason}

    mock = MockTransport(answer)
    ai = PuterAI(token="t", transport=mock, max_concurrency=None).use(cache)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ai.chat, "Hi", remember=False)
        until(lambda: bool(mock.requests))
        rest = [pool.submit(ai.chat, "Hi", remember=False) for _ in range(others)]
        assert [one.result(30) for one in [first, *rest]] == ["Hel"] * (others + 1)
    assert not cache._flights._queues  # the next ones wait for each other again


def test_calls_that_may_run_tools_do_not_wait_for_each_other() -> None:
    together = threading.Barrier(2, timeout=30)

    def answer(_: MockRequest) -> Any:
        together.wait()
        return "Hello!"

    ai = PuterAI(token="t", transport=MockTransport(answer)).use(Cache())
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(ai.chat, "Hi", tools=[book], remember=False) for _ in range(2)]
        assert [one.result(30) for one in calls] == ["Hello!"] * 2


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "a.sqlite")
    ai = PuterAI(token="t", transport=MockTransport(lambda _: "Hello!"), rate_limit_requests=None)
    ai.use(cache)
    for _ in range(2):
        ai.chat("Hi", remember=False)
    with Aim(0) as places:
        ai.chat("Ho", remember=False)
    for place in range(1, places.seen, 7):
        with Aim(place), contextlib.suppress(KeyboardInterrupt):
            ai.chat(f"{place}", remember=False)
        assert not cache._flights._queues
        assert ai.chat(f"{place}", remember=False) == "Hello!"
    cache.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_what_its_parent_asks(tmp_path: Path) -> None:
    def answer(request: MockRequest) -> Any:
        return iter(STREAM) if request.json["args"].get("stream") else "Hello!"

    ai = PuterAI(token="t", transport=MockTransport(answer)).use(Cache(tmp_path / "a.sqlite"))
    stream = ai.chat("Hi", stream=True, remember=False)

    def child() -> None:
        assert not ai.chat("Hi", remember=False).cached
        assert ai.chat("Hi", remember=False).cached

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(50)
    assert process.exitcode == 0
    stream.until_done()
    assert ai.chat("Hi", remember=False).cached


ASKS = """
import sys
from puter import PuterAI
from puter.extensions import Budget, Cache, Fallback, map_chunks
with Cache(sys.argv[1]) as cache:
    ai = PuterAI().use(cache)
    for number in range(10):
        assert ai.chat(f"{number} + 1", remember=False) == f"{number} + 1 = {number + 1}"
    print(cache.hits, cache.misses)
"""


def test_processes_share_a_file(tmp_path: Path) -> None:
    with LocalPuter(tier=None) as puter:
        here = {"PUTER_API_BASE": puter.api_base, "PUTER_AUTH_TOKEN": puter.token}
        command = [sys.executable, "-W", "error", "-c", ASKS, str(tmp_path / "a.sqlite")]
        many = [
            subprocess.Popen(
                command, env=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        told = [one.communicate(timeout=150) for one in many]
        last = subprocess.run(command, env=here, capture_output=True, text=True, check=True)
        asked = len(puter.chats)
    assert [one.returncode for one in many] == [0, 0, 0], told
    assert last.stdout.split() == ["10", "0"]
    misses = sum(int(out.split()[1]) for out, _ in told)
    assert 10 <= asked == misses <= 30
