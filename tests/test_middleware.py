"""Middleware around whole calls and around attempts, through both doors, whole and streamed."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

import puter
from puter import PuterAI, ToolCall
from puter.extensions import (
    AttemptRequest,
    Fallback,
    Flow,
    HttpReply,
    Request,
    invoke,
    map_chunks,
    sleep,
)
from puter.types.replies import ChatChunk, ChatReply
from tests.door import USAGE, Door, answer, chat_body, chunks, error_body, shut, step, stream_answer

STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def hello(stream: bool, *texts: str) -> Any:
    """An answer of these texts, streamed or whole."""
    texts = texts or ("Hel", "lo!")
    if not stream:
        return chat_body("".join(texts))
    return stream_answer(*({"type": "text", "text": one} for one in texts), USAGE)


async def ask(door: Door, ai: Any, *args: Any, stream: bool = False, **more: Any) -> ChatReply:
    """The whole reply, after all chunks of a stream."""
    got = await door(ai, "chat", *args, stream=stream, **more)
    if stream:
        seen = await chunks(got)
        assert "".join(seen) == got.reply.text
        return got.reply  # type: ignore[no-any-return]
    return got  # type: ignore[no-any-return]


def passing(request: Request, call_next: Any) -> Flow[Any]:
    return (yield from call_next(request))


# ---------------------------------------------------------------- around whole calls


@STREAMS
async def test_it_sees_the_request_and_the_whole_reply(door: Door, stream: bool) -> None:
    seen: list[Any] = []

    def watch(request: Request, call_next: Any) -> Flow[Any]:
        seen.append(request)
        reply = yield from call_next(request)
        seen.append(reply)
        return reply

    ai = door.client().use(watch)
    ai.chat_history = ["Hi", {"role": "assistant", "content": "Ho"}]
    door.answers(hello(stream))
    reply = await ask(door, ai, "Say hello", "GPT-5-nano", temperature=0.5, stream=stream)
    request, same = seen
    assert same is reply
    assert (request.operation, request.model, request.stream) == ("chat", "gpt-5-nano", stream)
    assert [one["content"] for one in request.messages] == ["Hi", "Ho", "Say hello"]
    assert (request.options, request.args["tools"]) == ({"temperature": 0.5}, None)
    assert (reply.text, reply.cost, reply.usage.input_tokens) == (
        "Hello!", Decimal("0.000078"), 11,
    )  # fmt: skip
    assert [one["content"] for one in ai.chat_history] == ["Hi", "Ho", "Say hello", "Hello!"]
    assert "Say hello" not in repr(request)


@STREAMS
async def test_the_first_used_is_outermost(door: Door, stream: bool) -> None:
    order: list[str] = []

    def named(name: str) -> Any:
        def mw(request: Request, call_next: Any) -> Flow[Any]:
            order.append(f"{name} in")
            reply = yield from call_next(request)
            order.append(f"{name} out")
            return reply

        return mw

    ai = door.client().use(named("a")).use(named("b"))
    door.answers(hello(stream))
    await ask(door, ai, "Hi", stream=stream)
    assert order == ["a in", "b in", "b out", "a out"]


@STREAMS
async def test_it_answers_in_place_of_the_model(door: Door, stream: bool) -> None:
    def canned(request: Request, call_next: Any) -> Flow[Any]:
        yield from ()
        return "No need to ask."

    ai = door.client().use(canned)
    assert await ask(door, ai, "Hi", stream=stream) == "No need to ask."
    assert door.sent == []
    assert [one["content"] for one in ai.chat_history] == ["Hi", "No need to ask."]
    assert ai.usage.requests == 0


@STREAMS
async def test_it_changes_model_messages_options_and_tools(door: Door, stream: bool) -> None:
    def change(request: Request, call_next: Any) -> Flow[Any]:
        system = {"role": "system", "content": "Be brief."}
        reply = yield from call_next(
            request.replace(
                model="mistral-small-2603",
                messages=[system, *request.messages],
                options={**request.options, "max_tokens": 7},
                args={**request.args, "tools": [add]},
            )
        )
        return reply

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    ai = door.client().use(change)
    ai.chat_history = ["Hi", {"role": "assistant", "content": "Ho"}]
    door.answers(hello(stream))
    await ask(door, ai, "Say hello", "gpt-5-nano", provider="openrouter", stream=stream)
    sent = door.sent[0].args
    assert sent["model"] == "mistral-small-2603"
    assert [one["role"] for one in sent["messages"]] == ["system", "user", "assistant", "user"]
    assert (sent["max_tokens"], "provider" in sent) == (7, True)  # the options were given anew
    assert sent["tools"][0]["function"]["name"] == "add"
    assert [one["content"] for one in ai.chat_history] == ["Hi", "Ho", "Say hello", "Hello!"]


async def test_another_model_is_not_asked_of_the_provider_that_was_pinned(door: Door) -> None:
    def other(request: Request, call_next: Any) -> Flow[Any]:
        return (yield from call_next(request.replace(model="mistral-small-2603")))

    ai = door.client().use(other)
    extra = {"model": "gpt-4.1", "provider": "openrouter", "seed": 1}
    await ask(door, ai, "Hi", "gpt-5-nano", provider="openrouter", extra=extra)
    sent = door.sent[0].args
    assert (sent["model"], sent.get("provider"), sent["seed"]) == ("mistral-small-2603", None, 1)


@STREAMS
async def test_what_it_makes_of_the_question_and_the_answer_is_remembered(
    door: Door, stream: bool
) -> None:
    def secretive(request: Request, call_next: Any) -> Flow[Any]:
        *before, last = request.messages
        last = {**last, "content": last["content"].replace("4711", "****")}
        return (
            yield from map_chunks(
                call_next(request.replace(messages=[*before, last])), lambda one: one.upper()
            )
        )

    ai = door.client().use(secretive)
    door.answers(hello(stream))
    reply = await ask(door, ai, "My PIN is 4711", stream=stream)
    assert reply.text == "HELLO!"
    assert door.sent[0].args["messages"][-1]["content"] == "My PIN is ****"
    assert [one["content"] for one in ai.chat_history] == ["My PIN is ****", "HELLO!"]
    assert [one["content"] for one in reply.messages] == ["My PIN is ****", "HELLO!"]


@STREAMS
async def test_what_it_says_before_the_turn_is_not_remembered(door: Door, stream: bool) -> None:
    def in_german(request: Request, call_next: Any) -> Flow[Any]:
        system = {"role": "system", "content": "Answer in German."}
        return (yield from call_next(request.replace(messages=[system, *request.messages])))

    ai = door.client().use(in_german)
    door.answers(hello(stream, "Hallo!"), hello(stream, "Tag!"))
    for prompt in ("Hi", "Hello"):
        await ask(door, ai, prompt, stream=stream)
    roles = [[one["role"] for one in sent.args["messages"]] for sent in door.sent]
    assert roles == [["system", "user"], ["system", "user", "assistant", "user"]]
    assert [one["content"] for one in ai.chat_history] == ["Hi", "Hallo!", "Hello", "Tag!"]


@STREAMS
async def test_it_asks_again_and_one_turn_is_remembered(door: Door, stream: bool) -> None:
    def insisting(request: Request, call_next: Any) -> Flow[Any]:
        reply = yield from call_next(request)
        while "please" not in reply:
            reply = yield from call_next(request)
        return reply

    ai = door.client().use(insisting)
    door.answers(hello(stream, "No."), hello(stream, "Yes, please."))
    got = await door(ai, "chat", "Tea?", stream=stream)
    if stream:
        assert "".join(await chunks(got)) == "No.Yes, please."
        got = got.reply
    assert got.text == "Yes, please."
    assert [one["content"] for one in ai.chat_history] == ["Tea?", "Yes, please."]
    assert ai.usage.requests == 2


@STREAMS
async def test_it_catches_errors_and_raises_its_own(door: Door, stream: bool) -> None:
    class Refused(Exception):
        pass

    def guarded(request: Request, call_next: Any) -> Flow[Any]:
        if "secret" in request.messages[-1]["content"]:
            raise Refused
        try:
            return (yield from call_next(request))
        except puter.PuterBadRequestError:
            return "I cannot say that."

    ai = door.client().use(guarded)
    with pytest.raises(Refused):
        await ask(door, ai, "Tell a secret", stream=stream)
    assert (door.sent, ai.chat_history) == ([], [])
    door.answers((400, error_body("Flagged", "bad_request")))
    assert await ask(door, ai, "Hi", stream=stream) == "I cannot say that."
    assert [one["content"] for one in ai.chat_history] == ["Hi", "I cannot say that."]


async def test_it_waits_and_calls_what_waits(door: Door) -> None:
    async def look_up() -> str:
        return "Rule 1"

    def rules(request: Request, call_next: Any) -> Flow[Any]:
        yield from sleep(0)
        found = yield from invoke(look_up if door.kind == "async" else lambda: "Rule 1")
        system = {"role": "system", "content": found}
        return (yield from call_next(request.replace(messages=[system, *request.messages])))

    await ask(door, door.client().use(rules), "Hi")
    assert door.sent[0].args["messages"][0] == {"role": "system", "content": "Rule 1"}


@STREAMS
async def test_tool_rounds_are_one_call(door: Door, stream: bool) -> None:
    calls: list[Request] = []

    def count(request: Request, call_next: Any) -> Flow[Any]:
        calls.append(request)
        return (yield from map_chunks(call_next(request), lambda one: one.replace("l", "L")))

    ran: list[int] = []
    door.answers(answer(stream, "Well", ToolCall("call_1", "add")), hello(stream))
    got = await door(
        door.client().use(count), "chat", "Add", tools=[lambda: ran.append(1)] and [add_of(ran)],
        stream=stream,
    )  # fmt: skip
    if stream:
        assert "".join(await chunks(got)) == "WeLLHeLLo!"
        got = got.reply
    assert (len(calls), ran, got.text) == (1, [1], "HeLLo!")
    assert got.messages[-1] == {"role": "assistant", "content": "HeLLo!"}


def add_of(ran: list[int]) -> Any:
    def add() -> str:
        ran.append(1)
        return "3"

    return add


async def test_parse_is_read_from_what_comes_out(door: Door) -> None:
    operations: list[str] = []

    def fixed(request: Request, call_next: Any) -> Flow[Any]:
        operations.append(request.operation)
        reply = yield from call_next(request)
        return reply.copy_with(text=reply.text.replace("4", "5"))

    ai = door.client().use(fixed)
    door.answers(chat_body("four"), chat_body("[4]"))  # the first is asked for again
    assert await door(ai, "parse", "Count", list[int]) == [5]
    assert (operations, len(door.sent)) == (["parse"], 2)
    assert [one["content"] for one in ai.chat_history] == ["Count", "[5]"]
    door.answers(chat_body("[4]"))

    def no_number(request: Request, call_next: Any) -> Flow[Any]:
        yield from ()
        return "none"

    with pytest.raises(puter.PuterParseError, match="does not fit"):
        await door(ai.with_options().use(no_number), "parse", "Count", list[int])


async def test_other_operations_pass_it_too(door: Door) -> None:
    seen: list[Request] = []

    def bigger(request: Request, call_next: Any) -> Flow[Any]:
        seen.append(request)
        args = {**request.args, "prompt": "A big cat"}
        return (yield from call_next(request.replace(args=args, model="gpt-image-2")))

    ai = door.client().use(bigger)
    door.answers({"success": True, "result": "data:image/png;base64,iVBORw0KGgo="})
    image = await door(ai, "txt2img", "A cat", quality="low")
    assert image.read()
    assert (seen[0].operation, seen[0].args) == ("txt2img", {"prompt": "A cat", "quality": "low"})
    assert door.sent[0].args == {"prompt": "A big cat", "model": "gpt-image-2", "quality": "low"}
    with pytest.raises(TypeError, match=r"txt2img\(\) got an unexpected keyword argument 'size'"):
        await door(ai, "txt2img", "A cat", size="big")


def changing(**changes: Any) -> Any:
    def mw(request: Request, call_next: Any) -> Flow[Any]:
        return (yield from call_next(request.replace(**changes)))

    return mw


async def test_what_an_operation_does_not_have_is_not_changed(door: Door) -> None:
    for changes in ({"messages": ["Hi"]}, {"options": {"temperature": 1}}):
        with pytest.raises(puter.PuterInputError, match="txt2img has no messages and options"):
            await door(door.client().use(changing(**changes)), "txt2img", "A cat")
    door.answers({"success": True, "result": "data:image/png;base64,iVBORw0KGgo="})
    args = {"prompt": "A cat", "model": "gpt-image-2"}
    await door(door.client().use(changing(args=args)), "txt2img", "A cat", "gpt-image-1-mini")
    assert door.sent[0].args["model"] == "gpt-image-2"


@pytest.mark.parametrize("name", ["login", "create_api_token", "revoke_api_token"])
async def test_secret_arguments_are_not_shown_to_it(door: Door, name: str) -> None:
    def nosy(request: Request, call_next: Any) -> Flow[Any]:
        raise AssertionError(request.args)
        yield

    args: Any = {"login": [], "create_api_token": [["driver:x:y:z"]], "revoke_api_token": ["t"]}[
        name
    ]
    ai = door.client().use(nosy)
    door.answers({"token": "abc", "user": {"username": "u"}})
    with contextlib.suppress(puter.PuterError):
        await door(ai, name, *args)


# ---------------------------------------------------------------- chunks


@STREAMS
async def test_chunks_are_changed_dropped_and_replaced(door: Door, stream: bool) -> None:
    kinds: list[str] = []

    def change(chunk: ChatChunk) -> ChatChunk | str | None:
        kinds.append(chunk.type)
        if chunk.type == "usage":
            return None  # the end stays
        return {"a": None, "b": "B", "c": ChatChunk("[c]")}.get(chunk.text[:1], chunk)

    def mw(request: Request, call_next: Any) -> Flow[Any]:
        return (yield from map_chunks(call_next(request), change))

    ai = door.client().use(mw)
    door.answers(hello(stream, "a", "b", "c", "d") if stream else chat_body("b and more"))
    reply = await ask(door, ai, "Hi", stream=stream)
    assert reply == ("B[c]d" if stream else "B")
    assert reply.messages[-1]["content"] == reply.text
    assert kinds == (["text"] * 4 if stream else ["text"]) + ["usage"]


@STREAMS
async def test_an_answer_of_which_nothing_is_left_is_not_remembered(
    door: Door, stream: bool
) -> None:
    def mute(request: Request, call_next: Any) -> Flow[Any]:
        return (yield from map_chunks(call_next(request), lambda _: None))

    ai = door.client().use(mute)
    door.answers(hello(stream))
    assert await ask(door, ai, "Hi", stream=stream) == ""
    assert ai.chat_history == [{"role": "user", "content": "Hi"}]


async def test_chunks_are_not_held_back(door: Door) -> None:
    def mw(request: Request, call_next: Any) -> Flow[Any]:
        return (yield from map_chunks(call_next(request), str.upper))

    answer = hello(True, "one", "two")
    door.answers(answer)
    stream = await door(door.client().use(mw).use(passing), "chat", "Hi", stream=True)
    assert (await step(stream), answer.read) == ("ONE", 1)
    assert stream.partial == "ONE"
    await shut(stream)
    assert answer.closed
    assert (stream.partial, stream.partial.messages[-1]["content"]) == ("ONE", "ONE")


async def test_a_broken_stream_tells_what_the_user_saw(door: Door) -> None:
    def mw(request: Request, call_next: Any) -> Flow[Any]:
        return (yield from map_chunks(call_next(request), str.upper))

    door.answers(stream_answer({"type": "text", "text": "Hel"}))
    stream = await door(door.client().use(mw), "chat", "Hi", stream=True)
    with pytest.raises(puter.PuterStreamError) as caught:
        await chunks(stream)
    assert caught.value.partial == "HEL"


@STREAMS
async def test_text_beside_tool_calls_is_remembered_as_the_user_saw_it(
    door: Door, stream: bool
) -> None:
    def mw(request: Request, call_next: Any) -> Flow[Any]:
        return (yield from map_chunks(call_next(request), lambda one: one.replace("4711", "****")))

    first = answer(stream, "For 4711.", ToolCall("call_1", "add"))
    door.answers(first, hello(stream, "It is ", "4711."))
    ai = door.client().use(mw)
    told = ["4711?", {"role": "assistant", "content": "4711!"}, "And now?"]
    got = await door(ai, "chat", "Add for 4711", tools=[add_of([])], stream=stream)
    if stream:
        assert "".join(await chunks(got)) == "For ****.It is ****."
    texts = [one["content"] for one in ai.chat_history if isinstance(one.get("content"), str)]
    assert texts[:2] == ["Add for 4711", "For ****."]
    assert texts[-1] == "It is ****."
    if not stream:  # what was said before is the user's
        door.answers(chat_body("4711."))
        reply = await door(ai, "chat", messages=told)
        assert [one["content"] for one in reply.messages] == ["4711?", "4711!", "And now?", "****."]


@pytest.mark.parametrize("outside", [True, False])
@STREAMS
async def test_a_text_that_middleware_changes_is_the_one_remembered(
    door: Door, stream: bool, outside: bool
) -> None:
    def hide(request: Request, call_next: Any) -> Flow[Any]:
        reply = yield from call_next(request)
        return reply.copy_with(text="***")

    def upper(request: Request, call_next: Any) -> Flow[Any]:
        return (yield from map_chunks(call_next(request), str.upper))

    first, second = (hide, upper) if outside else (upper, hide)
    ai = door.client().use(first).use(second)
    door.answers(hello(stream))
    got = await door(ai, "chat", "Hi", stream=stream)
    if stream:
        await chunks(got)
        got = got.reply
    assert got == ("HELLO!" if stream and not outside else "***")
    assert ai.chat_history[-1]["content"] == got.text


async def test_an_answer_in_place_of_the_model_is_shown_after_others(door: Door) -> None:
    def better(request: Request, call_next: Any) -> Flow[Any]:
        reply = yield from call_next(request)
        return (yield from call_next(request)) if "poor" in reply else reply

    answers = ["poor", "good"]

    def canned(request: Request, call_next: Any) -> Flow[Any]:
        yield from ()
        return answers.pop(0)

    stream = await door(door.client().use(better).use(canned), "chat", "Hi", stream=True)
    assert "".join(await chunks(stream)) == "poorgood"
    assert stream.reply == "good"


async def test_an_answered_attempt_is_not_sent_again(door: Door) -> None:
    def audited(request: AttemptRequest, call_next: Any) -> Flow[HttpReply]:
        yield from call_next(request)
        raise puter.PuterConnectionError("No connection to the auditor", sent=False)

    ai = door.client(retry_delay=0).use(audited, per_attempt=True)
    with pytest.raises(puter.PuterConnectionError, match="auditor"):
        await ask(door, ai, "Hi")
    assert (len(door.sent), ai.usage.requests, ai.usage.unpriced) == (1, 1, 1)


@pytest.mark.parametrize("kind", [ZeroDivisionError, puter.PuterError])
async def test_what_is_paid_when_middleware_fails_is_in_its_error(
    door: Door, kind: type[Exception]
) -> None:
    def fails(request: Request, call_next: Any) -> Flow[Any]:
        yield from call_next(request)
        raise kind("mine")

    ai = door.client().use(fails)
    with pytest.raises(kind) as caught:
        await ask(door, ai, "Hi")
    error: Any = caught.value
    assert error.partial == "Hello!"
    door.answers({"success": True, "result": "data:image/png;base64,iVBORw0KGgo="})
    with pytest.raises(kind) as caught:
        await door(ai, "txt2img", "A cat")
    error = caught.value
    assert isinstance(error.partial, puter.Image)


async def test_another_model_is_not_asked_when_middleware_fails_after_an_answer(
    door: Door,
) -> None:
    def audited(request: Request, call_next: Any) -> Flow[Any]:
        yield from call_next(request)
        raise puter.PuterServerError("The auditor is down", status=503)

    ai = door.client().use(Fallback("gpt-4o")).use(audited)
    with pytest.raises(puter.PuterServerError, match="auditor"):
        await ask(door, ai, "Hi")
    assert len(door.sent) == 1


async def test_a_function_that_returns_something_else_is_told_so(door: Door) -> None:
    wrong: Any = len

    def mw(request: Request, call_next: Any) -> Flow[Any]:
        return (yield from map_chunks(call_next(request), wrong))

    with pytest.raises(puter.PuterConfigError, match="map_chunks returned int"):
        await ask(door, door.client().use(mw), "Hi")


# ---------------------------------------------------------------- around attempts


@STREAMS
async def test_each_attempt_passes_it(door: Door, stream: bool) -> None:
    seen: list[Any] = []

    def stamp(request: AttemptRequest, call_next: Any) -> Flow[HttpReply]:
        headers = {**request.headers, "X-Try": str(request.attempt)}
        try:
            reply = yield from call_next(request.replace(headers=headers))
        except puter.PuterError as error:
            seen.append(type(error).__name__)
            raise
        seen.append((request.operation, request.model, request.method, reply.status))
        return reply  # type: ignore[no-any-return]

    ai = door.client(retry_delay=0).use(stamp, per_attempt=True)
    door.answers((429, error_body("Too many requests.", None)), hello(stream))
    await ask(door, ai, "Hi", stream=stream)
    assert [one.headers["X-Try"] for one in door.sent] == ["1", "2"]
    assert seen == [("chat", "gpt-5-nano", "POST", status) for status in (429, 200)]
    assert "Authorization" in door.sent[0].headers


async def test_the_token_goes_to_no_other_host(door: Door) -> None:
    def elsewhere(request: AttemptRequest, call_next: Any) -> Flow[HttpReply]:
        url = "https://other.example/drivers/call"
        return (yield from call_next(request.replace(url=url)))  # type: ignore[no-any-return]

    ai = door.client().use(elsewhere, per_attempt=True)
    await ask(door, ai, "Hi")
    assert door.sent[0].url == "https://other.example/drivers/call"
    assert "Authorization" not in door.sent[0].headers


async def test_it_answers_in_place_of_the_server(door: Door) -> None:
    def offline(request: AttemptRequest, call_next: Any) -> Flow[HttpReply]:
        yield from ()
        body = b'{"result": {"message": {"role": "assistant", "content": "Hi"}}}'
        return HttpReply(200, {"Content-Type": "application/json"}, body)

    assert await ask(door, door.client().use(offline, per_attempt=True), "Hi") == "Hi"
    assert door.sent == []


async def test_what_it_raises_before_anything_is_sent_is_not_paid_and_not_repeated_for_ever(
    door: Door,
) -> None:
    errors: list[Exception] = [ValueError("mine"), puter.PuterConnectionError("no", sent=True)]
    errors += [puter.PuterRateLimitError("wait")] * 4

    def raises(request: AttemptRequest, call_next: Any) -> Flow[HttpReply]:
        raise errors.pop(0)
        yield

    ai = door.client(retry_delay=0, max_retries=3).use(raises, per_attempt=True)
    for kind in (ValueError, puter.PuterConnectionError, puter.PuterRateLimitError):
        with pytest.raises(kind):
            await ask(door, ai, "Hi")
    assert (errors, door.sent, ai.usage.requests) == ([], [], 0)


# ---------------------------------------------------------------- what use() takes


class Both:
    """An extension of both kinds."""

    def __init__(self) -> None:
        self.client: Any = None
        self.calls = 0

    def setup(self, client: PuterAI) -> None:
        self.client = client

    def middleware(self, request: Request, call_next: Any) -> Flow[Any]:
        self.calls += 1
        return (yield from call_next(request))


async def test_an_object_is_an_extension(door: Door) -> None:
    both = Both()
    ai = door.client().use(both)
    await ask(door, ai, "Hi")
    assert (both.client, both.calls) == (ai, 1)
    with pytest.raises(puter.PuterConfigError, match="Both is in use already"):
        ai.use(both)


class Callable_:  # noqa: N801
    def __call__(self, request: Request, call_next: Any) -> Flow[Any]:
        return (yield from call_next(request))


def wrapped(function: Any) -> Any:
    @functools.wraps(function)
    def inner(*args: Any) -> Any:
        return function(*args)

    return inner


@pytest.mark.parametrize(
    "middleware",
    [passing, Callable_(), functools.partial(passing), wrapped(passing), Both().middleware],
    ids=lambda one: type(one).__name__,
)
async def test_any_generator_function_will_do(door: Door, middleware: Any) -> None:
    assert await ask(door, door.client().use(middleware), "Hi") == "Hello!"


def plain(request: Request, call_next: Any) -> Any:
    return call_next(request)


async def awaiting(request: Request, call_next: Any) -> Any:
    return await call_next(request)


async def generating(request: Request, call_next: Any) -> Any:
    yield await call_next(request)


def lonely(request: Request) -> Iterator[Any]:
    yield from ()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (plain, "plain is a plain function, and middleware is a generator function"),
        (awaiting, "awaiting is a coroutine function"),
        (generating, "generating is an async generator"),
        (lonely, r"lonely cannot be called with \(request, call_next\)"),
        (Both, r"Both is a class, not an extension"),
        (7, "7 is no extension"),
        (None, "None is no extension"),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_what_is_no_extension_is_refused(wrong: Any, told: str) -> None:
    with pytest.raises(puter.PuterConfigError, match=told) as caught:
        PuterAI(token="t").use(wrong)
    assert caught.value.hint


async def test_a_middleware_that_forgets_to_return_is_told(door: Door) -> None:
    def forgets(request: Request, call_next: Any) -> Flow[Any]:
        yield from call_next(request)

    ai = door.client().use(forgets)
    with pytest.raises(puter.PuterConfigError, match=r"forgets returned NoneType") as caught:
        await ask(door, ai, "Hi")
    assert "return reply" in caught.value.hint
    assert caught.value.partial == "Hello!"  # it is paid for
    assert ai.chat_history == []


async def test_common_slips_are_told_in_a_sentence(door: Door) -> None:
    def yields_a_flow(request: Request, call_next: Any) -> Flow[Any]:
        yield call_next(request)

    def passes_nothing(request: Request, call_next: Any) -> Flow[Any]:
        return (yield from call_next(None))

    def maps_no_flow(request: Request, call_next: Any) -> Flow[Any]:
        return (yield from map_chunks(call_next, str.upper))

    def returns_nothing(request: Request, call_next: Any) -> Flow[Any]:
        yield from call_next(request)

    def yields_a_reply(request: Request, call_next: Any) -> Any:
        yield ChatReply("secret")

    def returns_a_flow(request: Request, call_next: Any) -> Flow[Any]:
        yield from sleep(0)
        return call_next(request)

    for mw, told in (
        (yields_a_flow, "yielded a flow"),
        (yields_a_reply, "yielded a ChatReply"),
        (returns_a_flow, "returned generator, not a ChatReply or a str. Write `reply = yield from"),
        (passes_nothing, "takes the request, not NoneType"),
        (maps_no_flow, "takes a flow, not "),
    ):
        with pytest.raises(puter.PuterConfigError, match=told):
            await ask(door, door.client().use(mw), "Hi")
    assert door.sent == []
    door.answers({"success": True, "result": "data:image/png;base64,iVBORw0KGgo="})
    with pytest.raises(puter.PuterConfigError, match="returns_nothing returned NoneType"):
        await door(door.client().use(returns_nothing), "txt2img", "A cat")

    def iterates(request: Request, call_next: Any) -> Flow[Any]:
        for effect in call_next(request):  # noqa: UP028 - that is the slip
            yield effect
        return "done"

    door.answers(chat_body("Hello!"))
    with pytest.raises(puter.PuterConfigError, match="iterates over call_next"):
        await ask(door, door.client().use(iterates), "Hi")

    def raises_stop(chunk: ChatChunk) -> str:
        raise StopIteration

    def stops(request: Request, call_next: Any) -> Flow[Any]:
        return (yield from map_chunks(call_next(request), raises_stop))

    door.answers(chat_body("Hello!"))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await ask(door, door.client().use(stops), "Hi")


async def test_wrong_changes_are_refused_before_anything_is_sent(door: Door) -> None:
    for changes, told in (
        ({"modle": "x"}, "cannot change 'modle'. Did you mean 'model'"),
        ({"model": ""}, "model must be a non-empty str"),
        ({"messages": [{"role": "nobody"}]}, "role"),
        ({"options": None}, "options must be a mapping"),
        ({"options": {"temperatur": 1}}, "Did you mean 'temperature'"),
        ({"args": {"max_rounds": 0}}, "max_rounds"),
        ({"args": {"remember": False}}, "cannot be changed"),
    ):
        with pytest.raises((puter.PuterInputError, TypeError), match=told):
            await ask(door, door.client().use(changing(**changes)), "Hi")
    assert door.sent == []


async def test_copies_carry_a_copy_of_the_list(door: Door) -> None:
    calls: list[str] = []

    def counting(name: str) -> Any:
        def mw(request: Request, call_next: Any) -> Flow[Any]:
            calls.append(name)
            return (yield from call_next(request))

        return mw

    ai = door.client().use(counting("both"))
    twin = ai.with_options(timeout=9).use(counting("twin"))
    ai.use(counting("first"))
    await ask(door, ai, "Hi")
    await ask(door, twin, "Hi")
    assert calls == ["both", "first", "both", "twin"]


async def test_a_conversation_has_its_own(door: Door) -> None:
    calls: list[str] = []

    def mine(request: Request, call_next: Any) -> Flow[Any]:
        calls.append(request.messages[-1]["content"])
        return (yield from call_next(request))

    ai = door.client().use(passing)
    talk, other = ai.conversation().use(mine), ai.conversation()
    await ask(door, talk, "mine")
    await ask(door, other, "other")
    await ask(door, ai, "client")
    ai.config.default_model = "gpt-4.1"  # the settings are still the client's
    await ask(door, talk.fork(), "fork")
    assert calls == ["mine", "fork"]
    assert door.sent[-1].args["model"] == "gpt-4.1"
    assert [one["content"] for one in talk.messages] == ["mine", "Hello!"]
