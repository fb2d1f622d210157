"""``Prometheus``: what a scrape sees of calls, through both doors."""

from __future__ import annotations

import asyncio
import sys
import threading
from decimal import Decimal
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, Counter

from puter import PuterConfigError, PuterError, ToolCall
from puter.extensions import Fallback, OpenTelemetry, Prometheus
from puter.extensions.metrics import MOST_UNKNOWN, OTHER
from tests.door import (
    USAGE,
    Door,
    answer,
    calls_body,
    chat_body,
    error_body,
    shut,
    step,
    stream_answer,
    until_done,
)

TEXT = {"type": "text", "text": "Hello!"}
NAMES = (
    "puter_calls_total",
    "puter_call_seconds_count",
    "puter_tokens_total",
    "puter_retries_total",
)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def value(registry: CollectorRegistry, name: str, **changes: str) -> float | None:
    labels = {"operation": "chat", "model": "gpt-5-nano", "outcome": "ok", **changes}
    return registry.get_sample_value(name, labels)


def values(registry: CollectorRegistry, **changes: str) -> list[float | None]:
    return [value(registry, name, **changes) for name in NAMES]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_calls_tokens_cost_and_retries_are_counted(
    door: Door, registry: CollectorRegistry, stream: bool
) -> None:
    busy = (429, error_body("slow down", "too_many_requests"))
    good = stream_answer(TEXT, USAGE) if stream else chat_body()
    door.answers(busy, good, stream_answer(TEXT, USAGE) if stream else good)
    ai = door.client().use(Prometheus(registry))
    for _ in range(2):
        reply = await door(ai, "chat", "hi", stream=stream)
        assert (await until_done(reply) if stream else reply) == "Hello!"
    assert values(registry) == [2, 2, 36, 1]
    cost = value(registry, "puter_cost_usd_total")
    assert cost == pytest.approx(2 * 0.000078) == float(ai.usage.cost)


async def test_errors_and_streams_given_up_have_their_outcome(
    door: Door, registry: CollectorRegistry
) -> None:
    ai = door.client().use(Prometheus(registry))
    door.answers((402, error_body("poor", "insufficient_funds")))
    with pytest.raises(PuterError):
        await door(ai, "chat", "hi")
    door.answers(stream_answer(TEXT, TEXT, USAGE))
    stream = await door(ai, "chat", "hi", stream=True)
    await step(stream)
    await shut(stream)
    assert values(registry, outcome="error") == [1, 1, None, None]
    assert values(registry, outcome="cancelled") == [1, 1, None, None]
    assert values(registry) == [None] * 4


async def test_a_cancelled_task(registry: CollectorRegistry) -> None:
    door = Door("async")
    began, for_ever = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        await for_ever.wait()

    door.answers(stream_answer(wait, TEXT, USAGE))
    ai = door.client().use(Prometheus(registry))

    async def read() -> None:
        async for _ in await ai.async_chat("hi", stream=True):
            pass

    task = asyncio.create_task(read())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert value(registry, "puter_calls_total", outcome="cancelled") == 1


async def test_media_have_their_own_operation(door: Door, registry: CollectorRegistry) -> None:
    door.answers({"success": True, "result": "data:image/png;base64,iVBORw0KGgo="})
    ai = door.client().use(Prometheus(registry))
    await door(ai, "txt2img", "A cat", model="gpt-image-2")
    found = values(registry, operation="txt2img", model="gpt-image-2")
    assert found == [1, 1, None, None]


async def test_clients_share_a_registry(door: Door, registry: CollectorRegistry) -> None:
    for _ in range(2):
        await door(door.client().use(Prometheus(registry)), "chat", "hi")
    assert value(registry, "puter_calls_total") == 2


async def test_the_default_is_the_registry_of_the_process(door: Door) -> None:
    known = {"operation": "chat", "model": "gpt-5-nano", "outcome": "ok"}
    before = prometheus_client.REGISTRY.get_sample_value("puter_calls_total", known) or 0
    await door(door.client().use(Prometheus()), "chat", "hi")
    assert prometheus_client.REGISTRY.get_sample_value("puter_calls_total", known) == before + 1


async def test_names_of_unknown_models_are_bounded(door: Door, registry: CollectorRegistry) -> None:
    ai = door.client(rate_limit_requests=None).use(Prometheus(registry))
    for number in range(MOST_UNKNOWN + 5):
        await door(ai, "chat", "hi", model=f"model-{number}", remember=False)
    await door(ai, "chat", "hi", remember=False)
    assert value(registry, "puter_calls_total", model="model-7") == 1
    assert value(registry, "puter_calls_total", model=f"model-{MOST_UNKNOWN}") is None
    assert value(registry, "puter_calls_total", model=OTHER) == 5
    assert value(registry, "puter_calls_total") == 1


async def test_nothing_secret_is_in_it(door: Door, registry: CollectorRegistry) -> None:
    door.answers((402, error_body("test-token-secret", "insufficient_funds")))
    with pytest.raises(PuterError):
        await door(door.client().use(Prometheus(registry)), "chat", "a question")
    scrape = prometheus_client.generate_latest(registry).decode()
    assert "test-token-secret" not in scrape
    assert "question" not in scrape


def test_many_threads_make_the_metrics_once(registry: CollectorRegistry) -> None:
    made: list[Any] = []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        made.append(Prometheus(registry)._metrics)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(made) == 8
    assert all(one is made[0] for one in made)


def test_a_registry_with_other_metrics_of_these_names_is_refused(
    registry: CollectorRegistry,
) -> None:
    Counter("puter_calls", "Somebody else's", registry=registry)
    with pytest.raises(PuterConfigError, match="metrics of these names already"):
        Prometheus(registry)


def test_the_package_is_named_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(PuterConfigError, match="prometheus-client") as caught:
        Prometheus()
    assert "pip install prometheus-client (the extra" in caught.value.hint


async def test_costs_of_answers_before_an_error_count(
    door: Door, registry: CollectorRegistry
) -> None:
    def nop() -> None:
        """Do nothing."""

    door.answers(calls_body(("nop", {})), (402, error_body("poor", "x")))
    ai = door.client().use(Prometheus(registry))
    with pytest.raises(PuterError):
        await door(ai, "chat", "hi", tools=[nop])
    assert values(registry, outcome="error") == [1, 1, 18, None]
    assert ai.usage.cost == Decimal("0.000078")


def twice(request: Any, call_next: Any) -> Any:
    """Ask twice."""
    yield from call_next(request)
    return (yield from call_next(request))


async def test_within_what_asks_again_each_answer_counts_once(
    door: Door, registry: CollectorRegistry
) -> None:
    busy = (429, error_body("slow down", "too_many_requests"))
    door.answers(busy, chat_body(), chat_body(), chat_body())
    ai = door.client().use(twice).use(Prometheus(registry))
    await door(ai, "chat", "hi", remember=False)
    assert values(registry) == [2, 2, 36, 1]
    assert value(registry, "puter_cost_usd_total") == float(ai.usage.cost) == 2 * 0.000078


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_within_a_fallback_rounds_that_were_done_are_those_of_the_first_model(
    door: Door, registry: CollectorRegistry, stream: bool
) -> None:
    def nop() -> None:
        """Do nothing."""

    down = (503, error_body("down", None))
    door.answers(answer(stream, "", ToolCall("1", "nop")), down, answer(stream))
    ai = door.client(max_retries=0).use(Fallback("gpt-4o")).use(Prometheus(registry))
    reply = await door(ai, "chat", "hi", tools=[nop], stream=stream)
    assert (await until_done(reply) if stream else reply) == "Hello!"
    assert values(registry, outcome="error") == [1, 1, 18, None]
    assert values(registry, model="gpt-4o") == [1, 1, 18, None]


async def test_a_call_of_unknown_cost_adds_none(door: Door, registry: CollectorRegistry) -> None:
    def nop() -> None:
        """Do nothing."""

    unpriced = {"usage": {"prompt_tokens": 11, "completion_tokens": 7}}
    door.answers(calls_body(("nop", {})), chat_body("Hello!", **unpriced))
    ai = door.client().use(Prometheus(registry))
    reply = await door(ai, "chat", "hi", tools=[nop])
    assert reply.cost is None
    assert values(registry) == [1, 1, 36, None]
    assert value(registry, "puter_cost_usd_total") is None


async def test_nobody_listens_for_it(door: Door, registry: CollectorRegistry) -> None:
    ai = door.client().use(Prometheus(registry)).use(OpenTelemetry())
    assert ai._extensions.listeners == {}
