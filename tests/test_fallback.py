"""``Fallback``: when another model is asked, and which one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from puter import (
    ChatReply,
    PuterConnectionError,
    PuterEmptyResponseError,
    PuterError,
    PuterInputError,
    PuterInsufficientFundsError,
    PuterModelNotFoundError,
    PuterRateLimitError,
    PuterServerError,
    PuterStreamError,
    PuterTimeoutError,
    PuterUpstreamError,
    ToolCall,
)
from puter.engine.effects import Notify, Sleep
from puter.engine.extensions import Extensions, key_of
from puter.engine.middleware import Request
from puter.extensions.budget import Budget
from puter.extensions.fallback import Fallback, bills_nothing, is_of_server
from puter.extensions.openai_compatible import OpenAICompatible
from puter.wire.errors import _BY_CODE, make_error, vendor_error
from tests.door import (
    REFUSED,
    Door,
    calls_body,
    chat_body,
    chunks,
    error_body,
    stream_answer,
    until_done,
)
from tests.test_budget import priced, state, streamed, usage
from tests.test_tools import add

CALL = ToolCall("1", "f", {})

# ---------------------------------------------------------------- the decision

FALLS_BACK = {
    "upstream_provider_unavailable",
    "upstream_failed",
    "upstream_auth_failed",
    "upstream_credits_exhausted",
    "upstream_rate_limited",
}


@pytest.mark.parametrize("code", sorted(_BY_CODE))
def test_the_servers_codes(code: str) -> None:
    for status in (400, 402, 429, 500):
        assert bills_nothing(make_error("no", status=status, code=code)) is (code in FALLS_BACK)


@pytest.mark.parametrize(
    "status", [400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 504, 520]
)
def test_of_statuses_without_a_code_only_503(status: int) -> None:
    assert bills_nothing(make_error("no", status=status, code=None)) is (status == 503)


@pytest.mark.parametrize(
    ("error", "falls_back"),
    [
        (make_error("Model not found: a", status=400, code="bad_request"), True),
        (PuterModelNotFoundError("no"), True),
        (vendor_error(429, "slow down"), True),
        (vendor_error(529, "overloaded"), True),
        (vendor_error(401, "Puter's own key"), True),
        (vendor_error(504, "it took too long"), False),
        (vendor_error(400, "a bad argument"), False),
        (PuterRateLimitError("Too many requests.", status=429), False),  # of the account
        (PuterConnectionError("refused"), False),  # of the server
        (PuterTimeoutError("silence", sent=True), False),
        (PuterStreamError("cut", code="upstream_failed", status=503), False),
        (PuterEmptyResponseError("nothing", status=200), False),
        (PuterServerError("busy", status=503, partial=ChatReply("so far")), True),
        (
            PuterServerError("a tool's", status=503, partial=ChatReply("", tool_calls=(CALL,))),
            False,
        ),
    ],
)
def test_what_else_bills_nothing_and_is_not_cured_by_another_model(
    error: PuterError, falls_back: bool
) -> None:
    assert bills_nothing(error) is falls_back


@pytest.mark.parametrize(
    ("error", "of_server"),
    [
        (PuterConnectionError("refused"), True),
        (PuterTimeoutError("no connection in time"), True),
        (PuterTimeoutError("silence", sent=True), False),
        (PuterRateLimitError("Too many requests.", status=429), True),
        (PuterRateLimitError("of a tool", partial=ChatReply("", tool_calls=(CALL,))), False),
        (PuterInsufficientFundsError("empty", status=402), False),
        (PuterServerError("broken", status=500), False),
        (PuterStreamError("cut"), False),
    ],
)
def test_what_another_server_may_do(error: PuterError, of_server: bool) -> None:
    assert is_of_server(error) is of_server


# ---------------------------------------------------------------- driven by hand


class Models:
    """Models that answer with their name, or raise what they are given."""

    def __init__(self, fallback: Fallback, **faults: PuterError | None) -> None:
        self.fallback = fallback
        self.faults = faults
        self.asked: list[Request] = []
        self.told: list[tuple[str | None, BaseException | None]] = []

    def __call__(self, request: Request) -> Any:
        def call_next(asked: Request) -> Any:
            self.asked.append(asked)
            yield Sleep(0)
            fault = self.faults.get(asked.model or "none")
            if fault is not None:
                raise fault
            return ChatReply("hi", model=asked.model or "none")

        flow = self.fallback.middleware(request, call_next)
        try:
            while True:
                effect = next(flow)
                if isinstance(effect, Notify):
                    event: Any = effect.event
                    self.told.append((event.model, event.error))
        except StopIteration as done:
            return done.value

    @property
    def order(self) -> list[str | None]:
        return [one.model for one in self.asked]


def request(
    model: str | None = "a", operation: str = "chat", local: tuple[str, ...] = (), **more: Any
) -> Request:
    """A request of a client that has these models at a server of its own."""
    extensions = Extensions()
    models = {name.lower(): name for name in local}
    server = SimpleNamespace(name_of=lambda name: models[key_of(name)])
    extensions.drivers = dict.fromkeys(models, server)
    extensions.listeners = {"fallback": (lambda _: None,)}
    call = SimpleNamespace(
        operation=operation, model=model, extensions=extensions, spent=(), attempts=0
    )
    return Request(operation, model, call=call, **more)


def fault(words: str = "down", **details: Any) -> PuterError:
    return PuterUpstreamError(words, **{"code": "upstream_failed", **details})


@pytest.mark.parametrize(
    ("down", "order"), [("", "a"), ("a", "ab"), ("ab", "abc"), ("b", "a"), ("bc", "a")]
)
def test_the_next_model_is_asked_the_same(down: str, order: str) -> None:
    models = Models(Fallback("b", "c"), **{name: fault(name) for name in down})
    first = request(options={"temperature": 1}, messages=({"role": "user", "content": "hi"},))
    assert models(first).model == order[-1]
    assert models.order == list(order)
    assert models.asked[0] is first
    assert all(
        (one.options, one.messages) == (first.options, first.messages) for one in models.asked
    )
    assert [name for name, _ in models.told] == list(order[1:])
    assert [str(error) for _, error in models.told] == [
        f"{one} (upstream_failed)" for one in order[:-1]
    ]


def test_what_is_no_fault_of_the_model_is_raised_at_once() -> None:
    error = PuterTimeoutError("silence", sent=True)
    models = Models(Fallback("b"), a=error)
    with pytest.raises(PuterTimeoutError) as caught:
        models(request())
    assert (caught.value, models.order, models.told) == (error, ["a"], [])
    assert caught.value.hint == ""


@pytest.mark.parametrize(
    "error", [PuterConnectionError("refused"), PuterRateLimitError("no more", status=429)]
)
def test_a_server_that_is_not_reached_or_full_is_left_for_another(error: PuterError) -> None:
    models = Models(Fallback("b", "Local", "c"), a=error)
    assert models(request(local=("Local",))).model == "Local"
    assert models.order == ["a", "Local"]
    models = Models(Fallback("local", "c"), Local=error)
    assert models(request("Local", local=("Local",))).model == "c"
    models = Models(Fallback("b"), a=error)
    with pytest.raises(type(error)):
        models(request(local=("Local",)))
    assert models.order == ["a"]
    models.faults["a"] = None
    models(request())
    assert models.order == ["a", "a"]  # and it is not known to fail
    models = Models(Fallback("b", "Local"), a=fault("one"), b=fault("two"), Local=error)
    with pytest.raises(PuterUpstreamError, match="one"):
        models(request(local=("Local",)))


def test_when_all_fail_the_first_error_tells_what_the_others_said() -> None:
    models = Models(
        Fallback("b", "c"), a=fault("one", hint="Try again."), b=fault("two"), c=fault("three")
    )
    with pytest.raises(PuterUpstreamError) as caught:
        models(request())
    assert caught.value is models.faults["a"]
    assert caught.value.hint == "Try again. Other models failed too: b: two; c: three."
    assert models.order == ["a", "b", "c"]


def test_when_the_next_one_fails_for_another_reason_that_is_raised() -> None:
    models = Models(Fallback("b"), a=fault("one"), b=PuterInputError("no pictures"))
    with pytest.raises(PuterInputError, match="no pictures") as caught:
        models(request())
    assert caught.value.hint == "Other models failed too: a: one."


def test_a_model_that_failed_is_asked_last_for_a_while() -> None:
    now = [100.0]
    models = Models(Fallback("b", "c", sticky=60, clock=lambda: now[0]), a=fault())
    models(request())
    for later, order in ((59.9, "b"), (60.0, "ab"), (60.1, "b")):
        now[0], models.asked = 100 + later, []
        models(request())
        assert models.order == list(order), later
    now[0], models.asked = 1000, []
    models(request())
    assert models.order == ["a", "b"]
    models.asked, models.told = [], []
    models.faults["b"] = fault("two")
    models(request())  # a is known to fail, b fails now
    assert models.order == ["b", "c"]
    assert [name for name, _ in models.told] == ["b", "c"]
    models.asked, models.faults["c"] = [], fault("three")
    models.faults["a"] = None
    assert models(request()).model == "a"  # better than none
    assert models.order == ["c", "a"]
    models.asked = []
    models(request())
    assert models.order == ["a"]  # it answered


def test_a_model_that_answers_again_is_not_known_to_fail_any_more() -> None:
    models = Models(Fallback("b"), a=fault("one"), b=fault("two"))
    with pytest.raises(PuterUpstreamError):
        models(request())
    models.asked, models.faults["b"] = [], None
    models(request())
    models(request())
    assert models.order == ["a", "b", "b"]


def test_without_sticky_the_first_is_always_asked_first() -> None:
    models = Models(Fallback("b", sticky=0), a=fault())
    models(request())
    models(request())
    assert models.order == ["a", "b", "a", "b"]


def test_what_is_known_of_models_does_not_grow_with_their_names() -> None:
    now = [0.0]
    fallback = Fallback("b", sticky=1, clock=lambda: now[0])
    for number in range(100):
        now[0] += 1
        Models(fallback, **{f"m{number}": fault()})(request(f"m{number}"))
    assert len(fallback._down) == 1


def test_a_model_is_asked_once_by_whatever_name() -> None:
    models = Models(Fallback("GPT-5-Nano", "gpt-4o"), **{"gpt-5-nano": fault()})
    assert models(request("gpt-5-nano")).model == "gpt-4o"
    assert models.order == ["gpt-5-nano", "gpt-4o"]


# ---------------------------------------------------------------- in the midst of a turn


def test_rounds_of_tools_are_taken_over_by_a_model_that_calls_tools() -> None:
    done = ChatReply("", messages=({"role": "tool", "content": "7"},))
    cannot, tools = next(no_tools()), SimpleNamespace(schemas=["some"])
    models = Models(Fallback(cannot, "b"), a=fault(partial=done))
    first = request(args={"tools": tools, "resume": None, "tool_results": {"1": "x"}})
    assert models(first).model == "b"
    assert models.order == ["a", "b"]
    assert models.asked[1].args == {"tools": tools, "resume": done, "tool_results": None}


@pytest.mark.parametrize(("tools", "order"), [(["some"], ["a", "b"]), ([], ["a", "cannot"])])
def test_models_that_call_no_tools_are_passed_over_where_there_are_any(
    tools: list[str], order: list[str]
) -> None:
    cannot = next(no_tools())
    models = Models(Fallback(cannot, "b"), a=fault())
    models(request(args={"tools": SimpleNamespace(schemas=tools)}))
    assert models.order == [cannot if one == "cannot" else one for one in order]
    models = Models(Fallback("b"), b=fault(), **{cannot: None})
    assert models(request(cannot, args={"tools": SimpleNamespace(schemas=tools)})).model == cannot


def test_what_was_done_is_in_the_error_when_nobody_takes_it_over() -> None:
    first, more = ChatReply("one"), ChatReply("two")
    models = Models(Fallback("b"), a=fault("one", partial=first), b=fault("two", partial=more))
    with pytest.raises(PuterUpstreamError, match="one") as caught:
        models(request())
    assert caught.value.partial is more


def no_tools() -> Iterator[str]:
    from puter.models import registry

    return (
        one["id"]
        for one in registry().catalogue["chat"]
        if one.get("tool_call") is False and registry().find(one["id"]) == one["id"]
    )


# ---------------------------------------------------------------- operations


@pytest.mark.parametrize(
    ("operation", "order"),
    [
        ("chat", ["a", "gpt-4o", "unknown"]),
        ("parse", ["a", "gpt-4o", "unknown"]),
        ("txt2img", ["a", "gpt-image-2", "unknown"]),
        ("txt2vid", ["a", "veo-3.1-lite", "unknown"]),
        ("txt2speech", ["a"]),
        ("img2txt", ["a"]),
        ("list_models", ["a"]),
        ("upload", ["a"]),
    ],
)
def test_each_operation_falls_back_to_models_of_its_kind(operation: str, order: list[str]) -> None:
    fallback = Fallback("gpt-4o", "gpt-image-2", "veo-3.1-lite", "unknown")
    models = Models(fallback, **{name: fault() for name in order})
    with suppress(PuterUpstreamError):
        models(request(operation=operation))
    assert models.order == order
    assert {kind for kind, _ in fallback._down} <= {"chat", "image", "video"}


def test_where_the_server_chooses_the_model_that_is_the_first() -> None:
    models = Models(Fallback("gpt-image-2"), none=fault())
    first = request(None, "txt2img")
    assert models(first).model == "gpt-image-2"
    assert models.asked[0] is first


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (Fallback, "at least one model"),
        (lambda: Fallback(""), "model must be a non-empty str"),
        (lambda: Fallback(["b"]), "model must be a non-empty str"),  # type: ignore[arg-type]
        (lambda: Fallback("b", sticky=-1), "sticky must be a number of seconds"),
        (lambda: Fallback("b", sticky=float("nan")), "sticky must be"),
        (lambda: Fallback("b", sticky="60"), "sticky must be"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_are_refused(make: Callable[[], Any], told: str) -> None:
    with pytest.raises(PuterInputError, match=told):
        make()


# ---------------------------------------------------------------- through both doors

OUT = (400, error_body("All providers failed", "upstream_failed"))
LINE = {"type": "error", "message": "All providers failed", "code": "upstream_failed"}


def asked_models(door: Door) -> list[str]:
    return [one.args["model"] for one in door.sent]


@pytest.mark.parametrize("stream", [False, True])
async def test_another_model_answers_and_the_history_remembers_once(
    door: Door, stream: bool
) -> None:
    ai = door.client(max_retries=0).use(Fallback("gpt-4o"))
    told: list[Any] = []
    ai.on("fallback", told.append)
    door.answers(OUT, streamed("Hel", "lo") if stream else chat_body("Hello"), chat_body("Hello"))
    reply = await door(ai, "chat", "Hi", "gpt-5-nano", stream=stream, system="S")
    assert await until_done(reply) == "Hello" if stream else reply == "Hello"
    assert asked_models(door) == ["gpt-5-nano", "gpt-4o"]
    assert [one["role"] for one in ai.chat_history] == ["user", "assistant"]
    assert [(one.name, one.model, one.error.code) for one in told] == [
        ("fallback", "gpt-4o", "upstream_failed")
    ]
    await door(ai, "chat", "Hi", "gpt-5-nano")  # known to fail
    assert asked_models(door)[2:] == ["gpt-4o"]


async def test_a_stream_that_says_the_error_in_its_first_line_is_not_begun(door: Door) -> None:
    ai = door.client().use(Fallback("gpt-4o"))
    door.answers(stream_answer(LINE), streamed("Hel", "lo"))
    stream = await door(ai, "chat", "Hi", stream=True)
    assert "".join(await chunks(stream)) == "Hello"
    assert (stream.reply, len(door.sent)) == ("Hello", 2)


async def test_a_stream_that_began_is_not_asked_for_again(door: Door) -> None:
    ai = door.client().use(Fallback("gpt-4o"))
    door.answers(stream_answer({"type": "text", "text": "Hel"}, LINE), streamed("Hello"))
    stream = await door(ai, "chat", "Hi", stream=True)
    with pytest.raises(PuterStreamError):
        await until_done(stream)
    assert (asked_models(door), ai.chat_history) == (["gpt-5-nano"], [])


def asks_for(tool: str, a: int, stream: bool) -> Any:
    """An answer for a cent that calls a tool."""
    if stream:
        call = {"type": "tool_use", "id": f"call_{a}", "name": tool, "input": {"a": a}}
        return stream_answer(call, {"type": "usage", "usage": usage()})
    body = calls_body((tool, {"a": a}))
    body["result"]["usage"] = usage()
    return body


@pytest.mark.parametrize("stream", [False, True])
async def test_a_turn_with_tools_is_taken_over_and_no_tool_runs_twice(
    door: Door, stream: bool
) -> None:
    ran: list[int] = []

    def count(a: int) -> int:
        """Count."""
        ran.append(a)
        return a

    budget = Budget(1, estimate="0.20")
    ai = door.client().use(Fallback("gpt-4o")).use(budget)
    if stream:
        refused: Any = stream_answer(LINE)
        last = streamed("done")
    else:
        refused, last = OUT, priced("done")
    door.answers(asks_for("count", 1, stream), refused, asks_for("count", 2, stream), last)
    reply = await door(ai, "chat", "Count", tools=[count], stream=stream)
    reply = await until_done(reply) if stream else reply
    assert (reply, reply.cost, ran) == ("done", Decimal("0.03"), [1, 2])
    assert asked_models(door) == ["gpt-5-nano", "gpt-5-nano", "gpt-4o", "gpt-4o"]
    roles = ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert [one["role"] for one in ai.chat_history] == roles
    assert state(budget) == (Decimal("0.03"), 0)


async def test_a_failed_turn_has_what_was_done_and_can_be_resumed(door: Door) -> None:
    ai = door.client(max_retries=0).use(Fallback("gpt-4o"))
    door.answers(calls_body(("add", {"a": 1})), OUT)
    with pytest.raises(PuterUpstreamError, match="gpt-4o: All providers failed") as caught:
        await door(ai, "chat", "1 + 1?", tools=[add])
    partial = caught.value.partial
    assert isinstance(partial, ChatReply)
    assert [one["role"] for one in partial.messages] == ["user", "assistant", "tool"]
    door.answers(chat_body("2"))
    assert await door(ai, "chat", resume=partial, tools=[add]) == "2"


async def test_a_tools_own_failure_is_its_own(door: Door) -> None:
    def fails(a: int) -> int:
        """Fail."""
        raise PuterServerError("busy", status=503)

    ai = door.client().use(Fallback("gpt-4o"))
    door.answers(calls_body(("fails", {"a": 1})))
    with pytest.raises(PuterServerError, match="busy"):
        await door(ai, "chat", "1?", tools=[fails], raise_tool_errors=(PuterServerError,))
    assert len(door.sent) == 1


async def test_parse_falls_back_at_first_and_in_a_correction(door: Door) -> None:
    ai = door.client().use(Fallback("gpt-4o", "gpt-4.1"))
    door.answers(OUT, chat_body("no number"), OUT, chat_body("42"))
    value, reply = await door(ai, "parse", "A number", int, with_reply=True)
    assert (value, reply.text) == (42, "42")
    assert asked_models(door) == ["gpt-5-nano", "gpt-4o", "gpt-4o", "gpt-4.1"]
    assert [one["role"] for one in ai.chat_history] == ["user", "assistant"]


async def test_pictures_fall_back_too(door: Door) -> None:
    ai = door.client().use(Fallback("gpt-4o", "gpt-image-2"))
    door.answers(OUT, {"success": True, "result": "data:image/png;base64,iVBORw0KGgo="})
    await door(ai, "txt2img", "a cat", model="grok-imagine-image")
    assert asked_models(door) == ["grok-imagine-image", "gpt-image-2"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_of_ones_own_takes_over_and_costs_nothing(door: Door, stream: bool) -> None:
    server = OpenAICompatible("http://127.0.0.1:9/v1", models={"smollm2": "SmolLM2"}, free=True)
    budget = Budget("0.10", estimate="0.10")
    ai = door.client(max_retries=0).use(server).use(Fallback("SmolLM2", "smollm2")).use(budget)
    said = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    door.answers(REFUSED, said)
    reply = await door(ai, "chat", "Hi", stream=stream)
    reply = await until_done(reply) if stream else reply
    assert (reply, reply.requested_model) == ("Hi", "smollm2")
    assert [one.url.partition("//")[2][:14] for one in door.sent] == [
        "api.puter.com/",
        "127.0.0.1:9/v1",
    ]
    assert state(budget) == (0, 0)
    assert len(ai.chat_history) == 2


async def test_clients_share_what_is_known_to_fail(door: Door) -> None:
    fallback = Fallback("gpt-4o")
    door.answers(OUT, chat_body())
    await door(door.client().use(fallback), "chat", "Hi")
    await door(door.client().use(fallback), "chat", "Hi")
    await door(door.client().use(fallback).conversation(), "chat", "Hi")  # type: ignore[arg-type]
    assert asked_models(door) == ["gpt-5-nano", "gpt-4o", "gpt-4o", "gpt-4o"]


async def test_other_calls_pass_as_they_are(door: Door) -> None:
    ai = door.client(max_retries=0).use(Fallback("gpt-4o"))
    door.answers((503, error_body("down", "db_unavailable")))
    with pytest.raises(PuterServerError) as caught:
        await door(ai, "txt2speech", "Hello")
    assert (len(door.sent), "gpt-4o" in caught.value.hint) == (1, False)
