"""``OpenTelemetry``: one span for each call, and metrics, through both doors."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry

from puter import ChatReply, PuterConfigError, PuterError, PuterServerError, ToolCall
from puter.extensions import (
    Cache,
    Fallback,
    HttpReply,
    HttpRequest,
    OpenAICompatible,
    OpenTelemetry,
    Prometheus,
)
from puter.testing.samples import PNG
from tests.door import (
    CUT,
    USAGE,
    Door,
    answer,
    chat_body,
    each,
    error_body,
    shut,
    step,
    stream_answer,
    until_done,
)

SECRET = "test-token-secret"
TEXT = {"type": "text", "text": "Hello!"}
streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
SHARED = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "puter",
    "gen_ai.request.model": "gpt-5-nano",
    "gen_ai.response.model": "gpt-5-nano",
    "server.address": "api.puter.com",
    "server.port": 443,
}


class Telemetry:
    """What is exported, in memory."""

    def __init__(self) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])
        self.tracer = self.tracers.get_tracer("tests")

    def extension(self, **options: Any) -> OpenTelemetry:
        return OpenTelemetry(self.tracers, self.meters, **options)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self.span.attributes or {})

    def points(self, name: str) -> list[Any]:
        data: Any = self._reader.get_metrics_data()
        scopes = data.resource_metrics[0].scope_metrics if data else []
        return [
            point
            for scope in scopes
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def everything(self) -> str:
        data = self._reader.get_metrics_data()
        return " ".join([*(one.to_json() for one in self.spans), data.to_json() if data else ""])


@pytest.fixture
def told() -> Telemetry:
    return Telemetry()


async def asked(door: Door, ai: Any, *args: Any, **kwargs: Any) -> Any:
    reply = await door(ai, "chat", *args, **kwargs)
    return await until_done(reply) if kwargs.get("stream") else reply


@streams
async def test_a_call_is_one_span_and_two_metrics(
    door: Door, told: Telemetry, stream: bool
) -> None:
    door.answers(answer(stream))
    ai = door.client().use(told.extension())
    with told.tracer.start_as_current_span("mine") as mine:
        assert await asked(door, ai, "A question", stream=stream, temperature=0.5) == "Hello!"
        assert trace.get_current_span() is mine
    span = told.spans[0]
    assert (span.name, span.kind, span.status.status_code) == (
        "chat gpt-5-nano", SpanKind.CLIENT, StatusCode.UNSET,
    )  # fmt: skip
    assert span.parent == mine.get_span_context()
    attributes: dict[str, Any] = dict(span.attributes or {})
    if stream:
        assert attributes.pop("gen_ai.request.stream") is True
        assert 0 < attributes.pop("gen_ai.response.time_to_first_chunk") < 60
    else:
        assert attributes.pop("puter.provider") == "openai-completion"
    assert attributes == {
        **SHARED,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "puter.cost_usd": 0.000078,
    }
    (duration,) = told.points("gen_ai.client.operation.duration")
    assert (dict(duration.attributes), duration.count) == (SHARED, 1)
    assert duration.explicit_bounds[:3] == (0.01, 0.02, 0.04)
    assert duration.explicit_bounds[-1] == 81.92
    tokens = told.points("gen_ai.client.token.usage")
    assert {one.attributes["gen_ai.token.type"]: one.sum for one in tokens} == {
        "input": 11, "output": 7,
    }  # fmt: skip
    assert all(SHARED.items() <= dict(one.attributes).items() for one in tokens)
    assert tokens[0].explicit_bounds[-1] == 67108864
    assert "A question" not in told.everything()
    assert "Hello!" not in told.everything()
    assert SECRET not in told.everything()


@streams
async def test_the_span_is_current_in_tools_but_not_between_chunks(
    door: Door, told: Telemetry, stream: bool
) -> None:
    calls = (ToolCall("1", "look", {"number": 1}), ToolCall("2", "look", {"number": 2}))
    door.answers(answer(stream, "", *calls), answer(stream))
    ai = door.client().use(told.extension())

    def look(number: int) -> str:
        with told.tracer.start_as_current_span(f"look {number}"):
            return f"seen {number}"

    reply = await door(ai, "chat", "Go", tools=[look], stream=stream)
    if stream:
        async for _ in each(reply):
            assert not trace.get_current_span().get_span_context().is_valid
            with told.tracer.start_as_current_span("reader"):
                pass
    assert not trace.get_current_span().get_span_context().is_valid
    by_name = {one.name: one for one in told.spans}
    whole = by_name["chat gpt-5-nano"]
    for name in ("look 1", "look 2"):
        assert by_name[name].parent == whole.get_span_context()
    if stream:
        assert by_name["reader"].parent is None
    assert len([one for one in told.spans if one.kind is SpanKind.CLIENT]) == 1
    assert (whole.attributes or {})["gen_ai.usage.input_tokens"] == 22
    assert "http.request.resend_count" not in (whole.attributes or {})


@streams
async def test_an_error_is_told_without_what_is_secret(
    door: Door, told: Telemetry, stream: bool
) -> None:
    door.answers((402, error_body(f"poor, says {SECRET}", "insufficient_funds")))
    ai = door.client().use(told.extension(content=True))
    with pytest.raises(PuterError):
        await asked(door, ai, "hi", stream=stream)
    span = told.span
    assert span.status.status_code is StatusCode.ERROR
    assert told.attributes["error.type"] == "insufficient_funds"
    (event,) = span.events
    assert event.name == "exception"
    assert dict(event.attributes or {}).keys() == {"exception.type", "exception.message"}
    assert "poor, says <redacted>" in str((event.attributes or {})["exception.message"])
    assert SECRET not in told.everything()
    (duration,) = told.points("gen_ai.client.operation.duration")
    assert duration.attributes["error.type"] == "insufficient_funds"
    assert told.points("gen_ai.client.token.usage") == []


async def test_a_stream_that_breaks_off(door: Door, told: Telemetry) -> None:
    door.answers(stream_answer(TEXT, CUT))
    ai = door.client().use(told.extension())
    with pytest.raises(PuterError):
        await asked(door, ai, "hi", stream=True)
    assert told.attributes["error.type"] == "PuterStreamError"
    assert told.attributes["gen_ai.response.finish_reasons"] == ("error",)


@streams
async def test_requests_that_were_sent_again_are_counted(
    door: Door, told: Telemetry, stream: bool
) -> None:
    busy = (429, error_body("slow down", "too_many_requests"))
    door.answers(busy, busy, answer(stream, "", ToolCall("1", "nop")), busy, answer(stream))
    ai = door.client(max_retries=3).use(told.extension())

    def nop() -> None:
        pass

    await asked(door, ai, "hi", stream=stream, tools=[nop])
    assert told.attributes["http.request.resend_count"] == 3


async def test_answers_before_an_error_count(door: Door, told: Telemetry) -> None:
    door.answers(answer(False, "", ToolCall("1", "nop")), (503, error_body("down", None)))
    ai = door.client().use(told.extension())
    with pytest.raises(PuterServerError):
        await door(ai, "chat", "hi", tools=[nop])
    assert told.attributes["gen_ai.usage.input_tokens"] == 11
    assert told.attributes["gen_ai.response.model"] == "gpt-5-nano"
    assert told.attributes["error.type"] == "PuterServerError"
    assert len(told.points("gen_ai.client.token.usage")) == 2


def nop() -> None:
    """Do nothing."""


@streams
async def test_a_cost_that_is_not_known_is_absent(
    door: Door, told: Telemetry, stream: bool
) -> None:
    usage = {"prompt_tokens": 11, "completion_tokens": 7}
    unpriced = stream_answer(TEXT, {"type": "usage", "usage": usage})
    door.answers(
        answer(stream, "", ToolCall("1", "nop")), unpriced if stream else chat_body(usage=usage)
    )
    ends: list[Any] = []
    ai = door.client().use(told.extension())
    ai.on("call.end", ends.append)
    reply = await asked(door, ai, "hi", stream=stream, tools=[nop])
    assert reply.cost is None
    assert ends[0].cost is None
    assert "puter.cost_usd" not in told.attributes
    assert told.attributes["gen_ai.usage.input_tokens"] == 22


COMPLETION = {"choices": [{"message": {"role": "assistant", "content": "Hello!"}}]}


class Elsewhere:
    """A driver that tells no address beforehand."""

    name = "elsewhere"
    models = ("far",)

    def prepare(self, request: Any) -> HttpRequest:
        return HttpRequest("POST", "https://llm.example.org/x", {}, b"{}")

    def read(self, reply: HttpReply) -> ChatReply:
        return ChatReply("Hello!")


@pytest.mark.parametrize(
    ("models", "extension", "where"),
    [
        (["Near "], lambda: Prometheus(CollectorRegistry()), ("llm.local", 8080)),
        (["gpt-5-nano"], lambda: Fallback("near"), ("llm.local", 8080)),
        (["far"], Elsewhere, (None, None)),
    ],
    ids=["asked", "fallen back to", "not told"],
)
async def test_the_server_is_the_one_that_the_model_is_at(
    door: Door, told: Telemetry, models: list[str], extension: Any, where: tuple[Any, Any]
) -> None:
    near = OpenAICompatible("https://llm.local:8080/v1", models={"near": "x"})
    ai = door.client(max_retries=0).use(told.extension()).use(near).use(extension())
    down = [(503, error_body("down", None))] if models == ["gpt-5-nano"] else []
    door.answers(*down, COMPLETION)
    assert await door(ai, "chat", "hi", model=models[0]) == "Hello!"
    for found in (
        told.attributes,
        dict(told.points("gen_ai.client.operation.duration")[0].attributes),
    ):
        assert (found.get("server.address"), found.get("server.port")) == where


async def test_a_model_at_another_server_says_nothing_of_other_methods(
    door: Door, told: Telemetry
) -> None:
    near = OpenAICompatible("https://llm.local:8080/v1", models=["gpt-image-2"])
    door.answers({"success": True, "result": "data:image/png;base64,iVBORw0KGgo="})
    await door(door.client().use(told.extension()).use(near), "txt2img", "A cat", "gpt-image-2")
    assert told.attributes["server.address"] == "api.puter.com"


@pytest.mark.parametrize("how", ["closed", "dropped"])
async def test_a_stream_given_up_ends_its_span_once_and_is_no_error(
    door: Door, told: Telemetry, how: str
) -> None:
    door.answers(stream_answer(TEXT, TEXT, USAGE))
    ai = door.client().use(told.extension())
    stream = await door(ai, "chat", "hi", stream=True)
    assert await step(stream) == "Hello!"
    assert told.spans == []
    if how == "closed":
        await shut(stream)
        await shut(stream)
    else:
        with pytest.warns(ResourceWarning):  # noqa: PT031
            del stream
            gc.collect()
    assert told.span.status.status_code is StatusCode.UNSET
    assert "error.type" not in told.attributes
    assert told.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert not trace.get_current_span().get_span_context().is_valid


async def test_a_cancelled_task_ends_its_span(told: Telemetry) -> None:
    door = Door("async")
    began, for_ever = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        await for_ever.wait()

    door.answers(stream_answer(wait, TEXT, USAGE))
    ai = door.client().use(told.extension())
    task = asyncio.create_task(asked(door, ai, "hi", stream=True))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told.attributes["error.type"] == "CancelledError"
    assert told.span.status.status_code is StatusCode.ERROR


async def test_a_coroutine_closed_elsewhere_leaves_no_trace_there(
    told: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """As at the end of a loop: what was attached in one context cannot be detached in another."""
    door = Door("async")

    async def wait() -> None:
        await asyncio.sleep(3600)

    door.answers(stream_answer(wait, TEXT, USAGE))
    ai = door.client().use(told.extension())
    call = ai.async_chat("hi", stream=True)
    task = asyncio.create_task(_first(call))
    await asyncio.sleep(0.01)
    coroutine: Any = task.get_coro()
    closing = threading.Thread(target=lambda: contextless(coroutine.cr_await.close))
    closing.start()
    closing.join()
    task.cancel()
    with pytest.raises(BaseException):  # noqa: B017
        await task
    assert len(told.spans) == 1
    assert [one for one in caplog.records if one.name.startswith("opentelemetry")] == []


async def _first(call: Any) -> Any:
    stream = await call
    return await anext(stream)


def contextless(function: Callable[[], None]) -> None:
    function()
    assert not trace.get_current_span().get_span_context().is_valid


async def test_threads_and_tasks_have_spans_of_their_own(door: Door, told: Telemetry) -> None:
    ai = door.client().use(told.extension())

    async def one(number: int) -> None:
        with told.tracer.start_as_current_span(f"root {number}"):
            await door(ai, "chat", str(number), remember=False)

    if door.kind == "sync":
        threads = [threading.Thread(target=lambda n=n: asyncio.run(one(n))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        await asyncio.gather(*(one(number) for number in range(8)))
    roots = {one.context.span_id for one in told.spans if one.name.startswith("root")}
    calls = [one for one in told.spans if one.kind is SpanKind.CLIENT]
    assert {one.parent.span_id for one in calls if one.parent} == roots
    assert len(calls) == 8


async def test_two_of_them_tell_two_backends(door: Door, told: Telemetry) -> None:
    other = Telemetry()
    door.answers(stream_answer(TEXT, USAGE))
    ai = door.client().use(told.extension()).use(other.extension())
    stream = await door(ai, "chat", "hi", stream=True)
    async for _ in each(stream):
        assert not trace.get_current_span().get_span_context().is_valid
    assert not trace.get_current_span().get_span_context().is_valid
    assert other.span.parent == told.span.get_span_context()


async def test_media_and_files_are_traced_too(door: Door, told: Telemetry) -> None:
    door.answers({"success": True, "result": "data:image/png;base64,iVBORw0KGgo="})
    ai = door.client().use(told.extension())
    await door(ai, "txt2img", "A cat", model="gpt-image-2")
    assert told.span.name == "txt2img gpt-image-2"
    assert told.attributes["gen_ai.operation.name"] == "txt2img"
    assert told.attributes["gen_ai.request.model"] == "gpt-image-2"
    assert told.attributes["gen_ai.output.type"] == "image"
    assert "gen_ai.usage.input_tokens" not in told.attributes
    door.answers({"username": "alice"})
    await door(ai, "whoami")
    assert told.spans[1].name == "whoami"


async def test_a_typed_answer(door: Door, told: Telemetry) -> None:
    door.answers(chat_body("many"), chat_body("3"))
    ai = door.client().use(told.extension())
    assert await door(ai, "parse", "How many?", int) == 3
    assert told.span.name == "chat gpt-5-nano"
    assert told.attributes["gen_ai.output.type"] == "json"
    assert told.attributes["gen_ai.usage.output_tokens"] == 14


PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png?sig=1"}}


@streams
async def test_content_when_it_is_asked_for(door: Door, told: Telemetry, stream: bool) -> None:
    door.answers(answer(stream, "", ToolCall("1", "look", {"at": "it"})), answer(stream))
    ai = door.client().use(told.extension(content=True))
    ai.chat_history = [{"role": "user", "content": ["Before", PICTURE]}, *_answered("Yes.")]

    def look(at: str) -> str:
        return f"{at} is here"

    kwargs: dict[str, Any] = {"tools": [look], "run_tools": False, "stream": stream}
    reply = await asked(door, ai, f"Is {SECRET} it?", images=PNG, system="Be brief.", **kwargs)
    sent, got = (
        json.loads(told.attributes[name])
        for name in ("gen_ai.input.messages", "gen_ai.output.messages")
    )
    assert sent == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "Before"},
                {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
            ],
        },
        {"role": "assistant", "parts": [{"type": "text", "content": "Yes."}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "Is <redacted> it?"},
                {
                    "type": "blob",
                    "modality": "image",
                    "mime_type": "image/png",
                    "content": "",
                    "size": pytest.approx(len(PNG), abs=2),
                },
            ],
        },
    ]
    call = {"type": "tool_call", "id": "1", "name": "look", "arguments": {"at": "it"}}
    assert got == [{"role": "assistant", "parts": [call], "finish_reason": "tool_call"}]
    resumed = await asked(door, ai, resume=reply, tools=[look], stream=stream)
    assert resumed == "Hello!"
    sent = json.loads(str((told.spans[1].attributes or {})["gen_ai.input.messages"]))
    assert sent[-1]["parts"] == [call]
    assert SECRET not in told.everything()


def _answered(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": text}]


async def test_content_of_a_result_of_a_tool_and_of_media(door: Door, told: Telemetry) -> None:
    ai = door.client().use(told.extension(content=True))
    result = {"role": "tool", "tool_call_id": "1", "content": ["It rains", PICTURE]}
    use = {"type": "tool_use", "id": "1", "name": "look", "input": {}}
    await door(ai, "chat", messages=["Go", {"role": "assistant", "content": [use]}, result])
    *_, last = json.loads(told.attributes["gen_ai.input.messages"])
    response = [
        "It rains",
        {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
    ]
    assert last == {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": "1", "response": response}],
    }
    door.answers({"success": True, "result": {"text": "A receipt"}})
    await door(ai, "img2txt", PNG)
    got = json.loads(str((told.spans[1].attributes or {})["gen_ai.output.messages"]))
    assert got[0]["parts"] == [{"type": "text", "content": "A receipt"}]


async def test_content_is_bounded(door: Door, told: Telemetry) -> None:
    ai = door.client().use(told.extension(content=True))
    texts = [f"{number} {'x' * 100_000}" for number in range(9)]
    await door(ai, "chat", messages=texts)
    written = told.attributes["gen_ai.input.messages"]
    assert len(written) < 300_000
    kept = [one["parts"][0]["content"] for one in json.loads(written)]
    assert [one[0] for one in kept] == ["5", "6", "7", "8"]
    assert all(len(one) <= 65_536 for one in kept)


async def test_a_conversation_has_an_id(door: Door, told: Telemetry) -> None:
    ai = door.client().use(told.extension())
    talk: Any = ai.conversation()
    for text in ("one", "two"):
        await door(talk, "chat", text)
    await door(talk, "chat", messages=["Not of it"])
    await door(ai, "chat", "three")
    ids = [(one.attributes or {}).get("gen_ai.conversation.id") for one in told.spans]
    assert ids == [talk.id, talk.id, None, None]


async def test_without_an_sdk_nothing_is_recorded_and_calls_go_on(door: Door) -> None:
    ai = door.client().use(OpenTelemetry())
    assert await door(ai, "chat", "hi") == "Hello!"
    assert await until_done(await door(ai, "chat", "hi", stream=True)) == "Hello!"


async def test_a_span_that_is_not_sampled_costs_no_content(
    door: Door, told: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    from puter.extensions import recorded_messages

    monkeypatch.setattr(recorded_messages, "input_messages", None)
    tracers = TracerProvider(sampler=ALWAYS_OFF)
    ai = door.client().use(OpenTelemetry(tracers, told.meters, content=True))
    assert await door(ai, "chat", "hi") == "Hello!"
    assert len(told.points("gen_ai.client.operation.duration")) == 1


def test_the_package_is_named_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(PuterConfigError, match="opentelemetry-api") as caught:
        OpenTelemetry()
    assert "pip install opentelemetry-api (the extra" in caught.value.hint


async def test_the_names_are_those_of_the_conventions(door: Door, told: Telemetry) -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
    from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

    from puter.extensions import conventions

    known = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}
    ours = [*conventions.OF_REQUEST, *conventions.OF_END, conventions.INPUT, conventions.OUTPUT]
    assert {one for one in [*ours, conventions.TOKEN_TYPE] if one.startswith("gen_ai.")} <= known
    metrics = vars(gen_ai_metrics).values()
    assert {conventions.DURATION.name, conventions.TOKENS.name} <= {
        one for one in metrics if isinstance(one, str)
    }


@streams
async def test_an_answer_of_the_cache(door: Door, told: Telemetry, stream: bool) -> None:
    registry = CollectorRegistry()
    door.answers(answer(stream))
    ai = door.client().use(told.extension()).use(Prometheus(registry)).use(Cache())
    for _ in range(2):
        assert await asked(door, ai, "hi", stream=stream, remember=False) == "Hello!"
    assert len(door.sent) == 1
    first, again = (dict(one.attributes or {}) for one in told.spans)
    assert "puter.cached" not in first
    assert again["puter.cached"] is True
    assert "gen_ai.usage.input_tokens" not in again
    labels = {"operation": "chat", "model": "gpt-5-nano", "outcome": "ok"}
    assert registry.get_sample_value("puter_calls_total", labels) == 2
    assert registry.get_sample_value("puter_tokens_total", labels) == 18


@streams
async def test_an_answer_of_another_model(door: Door, told: Telemetry, stream: bool) -> None:
    registry = CollectorRegistry()
    down = (503, error_body("down", "upstream_provider_unavailable"))
    door.answers(down, answer(stream))
    ai = door.client(max_retries=0).use(told.extension()).use(Prometheus(registry))
    ai.use(Fallback("claude-sonnet-4-5"))
    assert await asked(door, ai, "hi", stream=stream) == "Hello!"
    assert told.attributes["gen_ai.request.model"] == "gpt-5-nano"
    model = "claude-sonnet-4-5-20250929"  # as the server calls it
    labels = {"operation": "chat", "model": model, "outcome": "ok"}
    assert registry.get_sample_value("puter_calls_total", labels) == 1
    assert registry.get_sample_value("puter_tokens_total", labels) == 18


@streams
async def test_an_exporter_that_fails_breaks_no_call(
    door: Door, told: Telemetry, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise OSError("the disk is full")

    told.tracers.add_span_processor(Broken())
    door.answers(answer(stream))
    ai = door.client().use(told.extension())
    assert await asked(door, ai, "hi", stream=stream) == "Hello!"
    told_of = [one.getMessage() for one in caplog.records if one.name == "puter.extensions"]
    assert told_of == ["chat could not be recorded: OSError: the disk is full"]
