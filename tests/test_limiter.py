"""The limits of a fleet: what Redis decides, and what a client makes of it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from puter import PuterAI, PuterConfigError, PuterConnectionError, PuterError, PuterTimeoutError
from puter.exceptions import PuterInputError
from puter.extensions import RedisLimiter, leases, limiter
from puter.extensions.limiter_script import SCRIPT
from tests.door import Door, chat_body, chunks, json_answer, shut, step, stream_answer
from tests.interrupts import Aim
from tests.redis_server import running_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

USAGE = {"type": "usage", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
TEXT = {"type": "text", "text": "one"}


def until(reached: Callable[[], Any]) -> Any:
    ends = time.monotonic() + 20
    while not (found := reached()):
        assert time.monotonic() < ends, "it never came so far"
        time.sleep(0.005)
    return found


# ---------------------------------------------------------------- the script, in virtual time


class Fleet:
    """Several processes that ask one Redis, whose clock stands still until told otherwise."""

    LEASE, PERIOD = 30_000, 11_000

    def __init__(self, client: redis.Redis, most: int = 3, rate: int = 30) -> None:
        assert SCRIPT.count("redis.call('TIME')") == 1
        self._script = client.register_script(
            SCRIPT.replace("redis.call('TIME')", "cjson.decode(ARGV[2])")
        )
        self.client, self.now, self.most, self.rate = client, 1_764_255_000_000, most, rate
        self.tickets: dict[str, int] = {}
        self.delay = 0

    def ask(self, *wait: str, age: int = 0, most: int | None = None, **more: Any) -> list[str]:
        """Ask for those; the ones that may go, each ``!name`` instead if nobody is at work."""
        ask: dict[str, Any] = {"done": [], "held": [], "busy": False, "hold": 0, **more}
        ask |= {"lease": self.LEASE, "period": self.PERIOD}
        ask |= {"poll": 20, "longest": 1000, "silence": 3000, "patience": 60_000}
        ask["wait"] = [
            (one, self.tickets.get(one, 0), age, most or self.most, self.rate) for one in wait
        ]
        ask["done"] = [[name, self.PERIOD] for name in ask["done"]]
        keys = [f"{{fleet}}:{name}" for name in ("running", "ended", "waiting", "alive", "state")]
        clock = [self.now // 1000, self.now % 1000 * 1000]
        self.delay, answers = self._script(keys, [json.dumps(ask), json.dumps(clock)])
        for one, answer in zip(wait, answers, strict=True):
            self.tickets[one] = abs(answer)
        outcomes = zip(wait, answers, strict=True)
        return [one if answer else f"!{one}" for one, answer in outcomes if answer <= 0]

    def count(self, name: str) -> int:
        return int(self.client.zcard(f"{{fleet}}:{name}"))


@pytest.fixture
def client(redis_server: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server) as connected:
        yield connected


@pytest.fixture
def fleet(client: redis.Redis) -> Fleet:
    return Fleet(client)


def test_three_at_a_time_first_come_first_served(fleet: Fleet) -> None:
    assert fleet.ask("a", "b", "c", "d") == ["a", "b", "c"]
    fleet.now += 1
    assert fleet.ask("e") == []
    assert fleet.delay == 40  # the second in the queue looks half as often as the first
    assert fleet.ask("e", done=["b"]) == []  # d came before it
    assert fleet.delay == 40
    assert fleet.ask("d") == ["d"]
    assert fleet.ask("e", done=["a", "c"]) == ["e"]


def test_the_window_counts_from_the_end_of_each_call(fleet: Fleet) -> None:
    fleet.rate = 2
    assert fleet.ask("a", "b") == ["a", "b"]
    fleet.now += fleet.PERIOD - 1  # starts alone would let the next one go in a moment
    assert fleet.ask("c", done=["a"]) == []
    fleet.now += 2
    assert fleet.ask("c", "d") == []
    assert fleet.delay == 1000
    fleet.now += fleet.PERIOD - 3
    assert fleet.ask("c", "d") == []
    assert fleet.delay == 1
    fleet.now += 1
    assert fleet.ask("c", "d") == ["c"]


def test_a_lease_ends_by_itself_unless_it_is_renewed(fleet: Fleet) -> None:
    assert fleet.ask("a", "b", "c") == ["a", "b", "c"]
    fleet.now += fleet.LEASE - 1
    assert fleet.ask("d", held=["a"]) == []
    fleet.now += 1
    assert fleet.ask("d") == ["d"]
    assert (fleet.count("running"), fleet.count("ended")) == (2, 2)
    # Its process was only slow: it runs, so it counts again.
    assert fleet.ask("e", held=["b", "c"]) == []
    assert (fleet.count("running"), fleet.count("ended")) == (4, 0)


def test_who_is_silent_is_passed_over_and_finds_its_place_again(fleet: Fleet) -> None:
    assert fleet.ask("a", "b", "c") == ["a", "b", "c"]
    assert fleet.ask("dead", "slow") == []
    fleet.now += 1
    assert fleet.ask("late") == []
    fleet.now += 2999
    assert fleet.ask("late") == []
    assert fleet.count("waiting") == 1
    assert fleet.ask("slow") == []
    assert fleet.ask("late", done=["a"]) == []
    assert fleet.ask("slow") == ["slow"]


def test_a_refused_call_keeps_its_place(fleet: Fleet) -> None:
    assert fleet.ask("a", "b", "c") == ["a", "b", "c"]
    fleet.now += 5
    assert fleet.ask("d") == []
    fleet.tickets["a again"] = fleet.tickets["a"]
    assert fleet.ask("a again", done=["a"]) == ["a again"]


def test_everybody_waits_when_the_server_refused_a_call(fleet: Fleet) -> None:
    assert fleet.ask("a", hold=500) == []
    assert fleet.delay == 500
    assert fleet.ask("b", hold=100) == []  # a hold is never shortened
    fleet.now += 499
    assert fleet.ask("b", "a") == []
    fleet.now += 1
    assert fleet.ask("b", "a") == ["b", "a"]


def test_an_answer_that_was_lost_is_given_again(fleet: Fleet) -> None:
    assert fleet.ask("a") == ["a"]
    assert fleet.ask("a", done=["b", "b"]) == ["a"]
    assert (fleet.count("running"), fleet.count("waiting"), fleet.count("ended")) == (1, 0, 0)


def test_nobody_waits_for_streams_that_nobody_reads(fleet: Fleet) -> None:
    assert fleet.ask("a", "b", "c") == ["a", "b", "c"]
    fleet.now += 10_000
    fleet.ask(held=["a", "b", "c"], busy=True)
    fleet.now += 29_000
    fleet.ask(held=["a", "b", "c"])
    fleet.now += 29_000
    assert fleet.ask("d", age=60_000, held=["a", "b", "c"]) == []
    fleet.now += 2_001
    assert fleet.ask("d", "e", age=60_001) == ["!d", "!e"]
    assert fleet.count("waiting") == 0
    # A window that is closed for longer is no deadlock.
    assert fleet.ask("d", age=99_000, most=9) == ["d"]
    fleet.rate = 1
    assert fleet.ask("f", age=99_000, most=9) == []


def test_keys_expire(fleet: Fleet) -> None:
    assert fleet.ask("a", "b", "c", "d", done=[], hold=1) == []
    fleet.now += 1
    assert fleet.ask("a", "b", "c", "d") == ["a", "b", "c"]
    fleet.ask(done=["a"])
    names = fleet.client.keys()
    assert len(names) == 5
    assert all(80_000 < fleet.client.pttl(name) <= 101_000 for name in names)


class Model:
    """What a fleet has to be like, without Redis."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.running: dict[str, int] = {}  # id -> when its lease ends
        self.ended: dict[str, int] = {}  # id -> when it leaves the window
        self.waiting: dict[str, tuple[int, int]] = {}  # id -> ticket, when it is passed over
        self.dead: set[str] = set()

    def of(self, process: str, names: dict[str, Any]) -> list[str]:
        return [one for one in names if one[0] == process and one not in self.dead]

    def end(self, name: str) -> None:
        if self.running.pop(name, None):
            self.ended[name] = self.fleet.now + self.fleet.PERIOD
        self.waiting.pop(name, None)

    def ask(self, wait: list[str], done: list[str] = (), held: list[str] = ()) -> None:  # type: ignore[assignment]
        fleet, now = self.fleet, self.fleet.now
        for name in done:
            self.end(name)
        for name in held:
            self.running[name] = now + fleet.LEASE
            self.ended.pop(name, None)
        for name in [one for one, ends in self.running.items() if ends <= now]:
            self.end(name)
        queue = {one: entry for one, entry in self.waiting.items() if entry[1] > now}
        for name in wait:  # a new one comes last
            queue[name] = (self.waiting[name][0] if name in self.waiting else now), now + 3000
        self.waiting = queue
        used = len(self.running) + sum(leaves > now for leaves in self.ended.values())
        room = max(0, min(fleet.most - len(self.running), fleet.rate - used))
        first = sorted(queue, key=lambda one: (queue[one][0], one))[:room]
        admitted = [one for one in first if one in wait]
        assert sorted(fleet.ask(*wait, done=list(done), held=list(held))) == sorted(admitted)
        for name in admitted:
            del queue[name]
            self.running[name] = now + fleet.LEASE


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["more", "more", "done", "done", "ask", "leave", "renew", "die", "sleep"]),
        st.sampled_from("ab"),
        st.sampled_from([1, 900, 3000, 11_000, 30_000]),
    ),
    min_size=20,
    max_size=40,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.integers(1, 2), st.sampled_from([2, 4, 99]))
def test_any_fleet_keeps_its_limits_and_its_order(
    client: redis.Redis, steps: list[tuple[str, str, int]], most: int, rate: int
) -> None:
    client.flushall()
    fleet = Fleet(client, most, rate)
    model = Model(fleet)
    for number, (what, process, milliseconds) in enumerate(steps):
        waits, held = model.of(process, model.waiting), model.of(process, model.running)
        if what == "ask":
            model.ask(waits)
        elif what == "more":
            model.ask([*waits, f"{process}{number:02}"])
        elif what == "done":
            model.ask([], done=held[:1])
        elif what == "leave":
            model.ask([], done=waits[:1])
        elif what == "renew":
            model.ask([], held=held)
        elif what == "die":
            model.dead.update(waits, held)
        else:
            fleet.now += milliseconds


# ---------------------------------------------------------------- clients


def count(client: redis.Redis, name: str) -> int:
    return int(client.zcard(f"{{puter}}:{name}"))


def nobody_calls(client: redis.Redis) -> bool:
    return count(client, "running") == count(client, "waiting") == 0


def limited(door: Door, url: str, limits: dict[str, Any] | None = None, **options: Any) -> PuterAI:
    return door.client(**(limits or {})).use(RedisLimiter(url, **options))


async def test_a_call_holds_a_lease_while_it_runs(
    door: Door, redis_server: str, client: redis.Redis
) -> None:
    seen: list[int] = []

    def answer(_: Any) -> Any:
        seen.append(count(client, "running"))
        return chat_body()

    door.answers(answer)
    ai = limited(door, redis_server)
    for _ in range(3):
        assert await door(ai, "chat", "hi") == "Hello!"
        until(lambda: nobody_calls(client))
    assert seen == [1, 1, 1]
    assert count(client, "ended") == 3


async def test_a_stream_holds_it_until_it_is_closed(
    door: Door, redis_server: str, client: redis.Redis
) -> None:
    door.answers(stream_answer(TEXT, USAGE))
    ai = limited(door, redis_server)
    whole = await door(ai, "chat", "hi", stream=True)
    await step(whole)
    left = await door(ai, "chat", "hi", stream=True)
    assert count(client, "running") == 2
    assert len(await chunks(whole)) == 1
    until(lambda: count(client, "running") == 1)
    await shut(left)
    until(lambda: nobody_calls(client))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_call_gives_it_back(
    door: Door, redis_server: str, client: redis.Redis, stream: bool
) -> None:
    door.answers((500, {"error": "broken"}))
    ai = limited(door, redis_server)
    with pytest.raises(PuterError):
        await door(ai, "chat", "hi", stream=stream)
    until(lambda: nobody_calls(client))


async def test_clients_of_one_account_know_of_each_other(
    door: Door, redis_server: str, client: redis.Redis
) -> None:
    door.answers(stream_answer(TEXT, USAGE))
    first, second = (limited(door, redis_server) for _ in range(2))
    open_ = [await door(first, "chat", "hi", stream=True) for _ in range(3)]
    sent = len(door.sent)
    hurried = second.with_options(deadline=0.2)
    with pytest.raises(PuterTimeoutError, match="in the queue before the request was sent"):
        await door(hurried, "chat", "hi", stream=True)
    assert len(door.sent) == sent
    until(lambda: count(client, "waiting") == 0)
    await shut(open_.pop())
    open_.append(await door(hurried.with_options(deadline=20), "chat", "hi", stream=True))
    for stream in open_:
        await shut(stream)
    # Another key is another account.
    other = limited(door, redis_server, key="other")
    await shut(await door(other, "chat", "hi", stream=True))
    until(lambda: sorted(client.keys("{other}*")) == [b"{other}:ended", b"{other}:state"])


async def test_the_limits_are_the_clients_own(
    door: Door, redis_server: str, client: redis.Redis
) -> None:
    door.answers(stream_answer(TEXT, USAGE))
    ai = limited(door, redis_server, {"max_concurrency": 2, "rate_limit_requests": None})
    open_ = [await door(ai, "chat", "hi", stream=True) for _ in range(2)]
    copy = ai.with_options(max_concurrency=5, deadline=0.2)
    with pytest.raises(PuterTimeoutError):  # the account's are those of the client
        await door(copy, "chat", "hi", stream=True)
    ai.config.max_concurrency = 3
    open_.append(await door(ai, "chat", "hi", stream=True))
    single = ai.with_options(max_concurrency=1, deadline=20)
    await shut(open_.pop())
    open_.append(await door(single, "chat", "hi", stream=True))
    assert count(client, "running") == 3
    for stream in open_:
        await shut(stream)
    unlimited = limited(door, redis_server, {"max_concurrency": None}, key="unlimited")
    open_ = [await door(unlimited, "chat", "hi", stream=True) for _ in range(30)]
    assert client.zcard("{unlimited}:running") == 30
    for stream in open_:
        await shut(stream)


async def test_a_refusal_of_the_server_holds_the_whole_fleet(
    door: Door, redis_server: str, client: redis.Redis
) -> None:
    refused = json_answer({"error": "Too many requests.", "code": "too_many_requests"}, 429)
    door.answers(refused, chat_body())
    ai = limited(door, redis_server, {"retry_delay": 0.3})
    assert await door(ai, "chat", "hi") == "Hello!"
    assert len(door.sent) == 2
    assert float(client.hget("{puter}:state", "held") or 0) > 0
    assert count(client, "ended") == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_lease_is_renewed_while_a_call_outlasts_it(
    door: Door, redis_server: str, client: redis.Redis, stream: bool
) -> None:
    def end() -> float:
        running: Any = client.zrange("{puter}:running", 0, -1, withscores=True)
        [(_, ends)] = running
        return float(ends)

    def outlast(_: Any = None) -> dict[str, Any]:
        first = end()
        until(lambda: end() > first + 1000)
        return chat_body()

    door.answers(stream_answer(TEXT, USAGE) if stream else outlast)
    ai = limited(door, redis_server, lease=1)
    reply = await door(ai, "chat", "hi", stream=stream)
    if stream:
        outlast()
        await shut(reply)
    until(lambda: nobody_calls(client))


async def test_a_cancelled_call_leaves_the_queue(redis_server: str, client: redis.Redis) -> None:
    door = Door("async")
    door.answers(stream_answer(TEXT, USAGE))
    first, second = (limited(door, redis_server) for _ in range(2))
    open_ = [await first.async_chat("hi", stream=True) for _ in range(3)]
    waiting = [asyncio.ensure_future(second.async_chat("hi", stream=True)) for _ in range(2)]
    while count(client, "waiting") < 2:  # noqa: ASYNC110 - Redis has no event for this
        await asyncio.sleep(0)
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    until(lambda: count(client, "waiting") == 1)
    await open_.pop().aclose()
    await (await waiting[1]).aclose()
    for stream in open_:
        await stream.aclose()
    until(lambda: nobody_calls(client))


def test_ctrl_c_at_any_place_loses_no_lease(redis_server: str, client: redis.Redis) -> None:
    ai = limited(Door("sync"), redis_server, {"rate_limit_requests": None})
    throttle = ai._throttle
    place, aim = 0, Aim(1)
    while not place or aim.struck:
        place += 1
        permit = throttle.permit()
        try:
            with suppress(KeyboardInterrupt), (aim := Aim(place)), permit:
                permit.acquire(timeout=20)  # Late, if three were lost
        finally:
            sys.setprofile(None)
        permit.release()  # as the end of a call does
    until(lambda: nobody_calls(client))
    assert place > 30


async def test_threads_and_tasks_share_it(redis_server: str, client: redis.Redis) -> None:
    most = 0

    def answer(_: Any) -> Any:
        nonlocal most
        most = max(most, count(client, "running"))
        return chat_body()

    door = Door("both")
    door.answers(answer)
    clients = [limited(door, redis_server, {"rate_limit_requests": 200}) for _ in range(3)]
    loop = asyncio.get_running_loop()
    calls: list[Any] = [ai.async_chat("hi") for ai in clients for _ in range(10)]
    calls += [loop.run_in_executor(None, ai.chat, "hi") for ai in clients for _ in range(10)]
    assert await asyncio.gather(*calls) == ["Hello!"] * 60
    assert 1 <= most <= 3
    until(lambda: nobody_calls(client))
    assert count(client, "ended") == 60


async def test_streams_that_nobody_reads_are_not_waited_for(
    door: Door, redis_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "NO_PROGRESS", 0.2)
    door.answers(stream_answer(TEXT, USAGE))
    first, second = (limited(door, redis_server) for _ in range(2))
    open_ = [await door(first, "chat", "hi", stream=True) for _ in range(3)]
    with pytest.raises(PuterError, match="some process of the fleet left open"):
        await door(second, "chat", "hi")
    for stream in open_:
        await shut(stream)


async def test_a_sync_method_does_not_hold_up_its_event_loop_for_ever(
    redis_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter, "NO_PROGRESS", 0.1)
    door = Door("async")
    door.answers(stream_answer(TEXT, USAGE))
    first, second = (limited(door, redis_server) for _ in range(2))
    open_ = [await first.async_chat("hi", stream=True) for _ in range(3)]
    with pytest.raises(PuterError, match="In async code await the async_ method"):
        second.chat("hi")
    for stream in open_:
        await stream.aclose()


async def test_a_call_leaves_nothing_for_the_garbage_collector(
    door: Door, redis_server: str, client: redis.Redis
) -> None:
    ai = limited(door, redis_server)
    await door(ai, "chat", "hi")
    gc.collect()
    gc.disable()
    try:
        await door(ai, "chat", "hi")
        until(lambda: nobody_calls(client))
        assert not [one for one in gc.get_objects() if isinstance(one, leases.Lease)]
    finally:
        gc.enable()


def test_what_a_closed_event_loop_held_is_given_back(
    redis_server: str, client: redis.Redis
) -> None:
    door = Door("async")
    door.answers(stream_answer(TEXT, USAGE))
    ai = limited(door, redis_server, lease=1)
    kept = asyncio.run(ai.async_chat("hi", stream=True))
    until(lambda: nobody_calls(client))
    asyncio.run(kept.aclose())


# ---------------------------------------------------------------- without Redis


async def test_without_redis_a_call_fails_before_anything_is_sent(door: Door) -> None:
    with running_redis() as url:
        pass
    password = url.split("@")[0].split(":")[-1]
    ai = limited(door, url)
    with pytest.raises(PuterConnectionError, match="nothing was sent") as caught:
        await door(ai, "chat", "hi")
    assert not caught.value.sent
    assert door.sent == []
    assert password not in str(caught.value)
    assert caught.value.__context__ is None


async def test_without_redis_a_client_keeps_its_own_limits(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    with running_redis() as url, redis.Redis.from_url(url) as client:
        door.answers(stream_answer(TEXT, USAGE))
        ai = limited(door, url, on_unavailable="local")
        before = await door(ai, "chat", "hi", stream=True)
        assert count(client, "running") == 1
    open_ = [await door(ai, "chat", "hi", stream=True) for _ in range(2)]
    hurried = ai.with_options(deadline=0.2)
    with pytest.raises(PuterTimeoutError):
        await door(hurried, "chat", "hi", stream=True)
    warnings = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert [one.name for one in warnings] == ["puter"]
    assert "Redis does not answer" in warnings[0].message
    assert url.split("@")[0].split(":")[-1] not in caplog.text
    for stream in [before, *open_]:
        await shut(stream)


async def test_a_redis_that_hangs_is_not_waited_for(door: Door) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://:hidden@127.0.0.1:{silent.getsockname()[1]}"
        ai = limited(door, url, {"deadline": 0.1})
        with pytest.raises(PuterTimeoutError, match="in the queue before the request was sent"):
            await door(ai, "chat", "hi")
        ai = limited(door, f"{url}?socket_timeout=0.1")
        with pytest.raises(PuterConnectionError, match="TimeoutError"):
            await door(ai, "chat", "hi")
        ai = limited(door, f"{url}?socket_timeout=0.1", on_unavailable="local")
        assert await door(ai, "chat", "hi") == "Hello!"
        assert await door(ai, "chat", "hi") == "Hello!"
    assert len(door.sent) == 2


@pytest.mark.parametrize("on_unavailable", ["raise", "local"])
async def test_when_no_thread_can_be_started(
    door: Door, redis_server: str, monkeypatch: pytest.MonkeyPatch, on_unavailable: str
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(leases, "start_new_thread", refuse)
    ai = limited(door, redis_server, on_unavailable=on_unavailable)
    if on_unavailable == "local":
        assert await door(ai, "chat", "hi") == "Hello!"
    else:
        with pytest.raises(PuterConnectionError, match="can't start new thread"):
            await door(ai, "chat", "hi")
    monkeypatch.undo()
    assert await door(ai, "chat", "hi") == "Hello!"


async def test_when_redis_is_back_the_calls_that_run_are_counted(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_PAUSE", 0.05)
    with running_redis() as url:
        pass
    door.answers(stream_answer(TEXT, USAGE))
    ai = limited(door, url, on_unavailable="local")
    open_ = [await door(ai, "chat", "hi", stream=True) for _ in range(2)]
    with running_redis(url) as url, redis.Redis.from_url(url) as client:
        until(lambda: count(client, "running") == 2)
        await shut(open_.pop())
        until(lambda: count(client, "running") == 1)
        await shut(open_.pop())
        until(lambda: nobody_calls(client))


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"url": "localhost:6379"}, PuterConfigError, "redis://:password@host"),
        ({"url": "redis://:hidden#word@host:1/0"}, PuterConfigError, "cannot read its URL"),
        ({"url": ""}, PuterConfigError, "cannot read its URL"),
        ({"url": None}, PuterConfigError, "cannot read its URL"),
        ({"url": b"redis://:hidden@host"}, PuterConfigError, "cannot read its URL"),
        ({"key": ""}, PuterInputError, "key must be"),
        ({"lease": 0}, PuterInputError, "lease must be a number of seconds from 1 to 3600"),
        ({"on_unavailable": "ignore"}, PuterInputError, "one of 'raise', 'local'"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[PuterError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        RedisLimiter(**{"url": "redis://localhost", **arguments})
    assert "hidden" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(PuterConfigError, match=r"puter-python-sdk\[redis\]"):
        RedisLimiter("redis://localhost")


def test_no_repr_shows_the_password() -> None:
    limiter = RedisLimiter("redis://:hidden@localhost")
    assert "hidden" not in repr(limiter) + repr(vars(limiter)) + repr(vars(limiter._keeper))
