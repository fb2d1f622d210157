"""``use()``: wholly or not at all, each kind in its place, and nothing that is copied by halves."""

from __future__ import annotations

import copy
import functools
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from puter import PuterAI, PuterConfigError
from puter.engine.extensions import Extensions
from puter.extensions import (
    Budget,
    Cache,
    Fallback,
    OpenAICompatible,
    OpenTelemetry,
    Orjson,
    Prometheus,
    RedisLimiter,
)
from puter.testing import Cassette, MockTransport
from tests.door import Door
from tests.test_middleware import ask, passing

REDIS = "redis://localhost:6379/0"  # which is not connected to

SINGLE: dict[str, Callable[[Path], Any]] = {
    "Budget": lambda _: Budget("0.50"),
    "Cache": lambda _: Cache(),
    "Fallback": lambda _: Fallback("gpt-5-nano"),
    "RedisLimiter": lambda _: RedisLimiter(REDIS),
    "OpenTelemetry": lambda _: OpenTelemetry(),
    "Prometheus": lambda _: Prometheus(prometheus_client.CollectorRegistry()),
    "Cassette": lambda folder: Cassette(folder / "tape.json"),
}


class Whole:
    """A driver, a serializer and middleware, whose ``setup()`` gives more, and fails."""

    name, models = "mine", ["mine"]

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.heard: list[Any] = []

    def prepare(self, request: Any) -> Any: ...

    def read(self, reply: Any) -> Any: ...

    def dumps(self, obj: Any) -> bytes:
        return json.dumps(obj).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)

    def middleware(self, request: Any, call_next: Any) -> Any:
        self.heard.append(request)
        return (yield from call_next(request))

    def setup(self, client: PuterAI) -> None:
        client.on("call.start", self.heard.append)
        client.use(passing).use(Budget(0)).use(RedisLimiter(REDIS))
        client.use(self.attempt, per_attempt=True)
        raise self.error

    def attempt(self, request: Any, call_next: Any) -> Any:
        self.heard.append(request)
        return (yield from call_next(request))


def places_of(ai: PuterAI) -> dict[str, Any]:
    return {name: getattr(ai._extensions, name) for name in Extensions.__slots__}


@pytest.mark.parametrize("error", [RuntimeError("no room"), KeyboardInterrupt()], ids=repr)
async def test_what_cannot_be_set_up_leaves_nothing_in(door: Door, error: BaseException) -> None:
    ai = door.client()
    heard: list[Any] = []
    stop = ai.on("call.start", heard.append)
    failing, before, throttle = Whole(error), places_of(ai), ai._throttle
    for _ in range(2):  # it is not in use already
        with pytest.raises(type(error)):
            ai.use(failing)
        assert places_of(ai) == before
        assert ai._throttle is throttle
    assert await ask(door, ai, "Hi") == "Hello!"
    assert failing.heard == []
    stop()  # still ends what was there before
    await ask(door, ai, "Hi")
    assert len(heard) == 1


async def test_a_conversation_has_nothing_of_what_cannot_be_set_up(door: Door) -> None:
    talk, failing = door.client().conversation(), Whole(RuntimeError())
    with pytest.raises(RuntimeError):
        talk.use(failing)
    assert await ask(door, talk, "Hi") == "Hello!"
    assert failing.heard == []


async def an_async_setup(client: Any) -> None: ...


@pytest.mark.parametrize(
    ("setup", "told"),
    [
        (5, "Wrong.setup is 5, and must be a method"),
        (an_async_setup, "Wrong.setup is a coroutine function, and must be a method"),
        (lambda: None, "Wrong.setup cannot be called with the client: too many"),
    ],
)
def test_a_setup_that_cannot_be_called_is_refused(setup: Any, told: str) -> None:
    extension = type("Wrong", (), {"middleware": staticmethod(passing)})()
    extension.setup = setup
    with pytest.raises(PuterConfigError, match=told) as caught:
        PuterAI().use(extension)
    assert caught.value.hint == "Write: def setup(self, client)"


# ------------------------------------------------------------ whole calls or attempts

OF_CALLS = [name for name in SINGLE if name != "Cassette"]


class OfCalls:
    per_attempt = False

    def middleware(self, request: Any, call_next: Any) -> Any:
        return (yield from call_next(request))


class OfAttempts(OfCalls):
    per_attempt = True


@pytest.mark.parametrize(
    "make",
    [
        *(pytest.param(SINGLE[name], id=name) for name in OF_CALLS),
        pytest.param(lambda _: OpenAICompatible("http://127.0.0.1:1", models=["a"]), id="driver"),
        pytest.param(lambda _: Orjson(), id="serializer"),
        pytest.param(lambda _: OfCalls(), id="the user's own"),
        pytest.param(lambda _: OfCalls().middleware, id="its method"),
        pytest.param(lambda _: Cache().middleware, id="a cache's method"),
    ],
)
def test_what_takes_whole_calls_is_not_put_around_attempts(make: Any, tmp_path: Path) -> None:
    extension, ai = make(tmp_path), PuterAI()
    with pytest.raises(PuterConfigError) as caught:
        ai.use(extension, per_attempt=True)
    kind = type(getattr(extension, "__self__", extension)).__name__
    told = f"{kind} does not work on each HTTP attempt. Leave out per_attempt=True."
    assert str(caught.value) == told
    ai.use(extension)


@pytest.mark.parametrize("make", [lambda one: one, lambda one: one.middleware])
@pytest.mark.parametrize("given", [{}, {"per_attempt": False}, {"per_attempt": True}])
def test_what_takes_attempts_is_put_around_them(make: Any, given: Any) -> None:
    extensions = PuterAI().use(make(OfAttempts()), **given)._extensions
    assert (len(extensions.middleware), len(extensions.attempts)) == (0, 1)


def test_per_attempt_is_a_flag() -> None:
    wrong: Any = "yes"
    with pytest.raises(PuterConfigError, match="per_attempt must be True or False, not 'yes'"):
        PuterAI().use(passing, per_attempt=wrong)


# ------------------------------------------------------------ copies


def deeply(one: Any) -> Any:
    return copy.deepcopy({"kept": one})


WAYS: list[Callable[[Any], Any]] = [
    copy.copy,
    deeply,
    *(functools.partial(pickle.dumps, protocol=n) for n in range(pickle.HIGHEST_PROTOCOL + 1)),
]


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("way", WAYS)
def test_none_is_copied_or_pickled(name: str, way: Callable[[Any], Any], tmp_path: Path) -> None:
    extension = SINGLE[name](tmp_path)
    with pytest.raises(TypeError, match=f"This {name} is neither copied nor pickled") as caught:
        way(extension)
    assert f"or make another: {name}(...)" in str(caught.value)


@pytest.mark.parametrize(
    "twin_of", [copy.copy, copy.deepcopy, PuterAI.with_options, PuterAI.conversation]
)
def test_copies_of_a_client_share_its_extensions(twin_of: Any) -> None:
    budget = Budget("0.50")
    (shared,) = twin_of(PuterAI().use(budget))._client._extensions.budgets
    assert shared is budget


def test_a_pickled_client_has_no_extensions() -> None:
    ai = PuterAI(token="t", transport=MockTransport(lambda _: "ok")).use(passing).use(Budget(1))
    ai.on("call.start", print)
    assert places_of(pickle.loads(pickle.dumps(ai))) == places_of(PuterAI())
