"""``MockTransport``: what a handler may return, behind both doors, in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import puter
from puter.testing import MockReply, MockRequest, MockTransport
from tests.door import chunks, shut, step

STREAM: list[dict[str, Any]] = [
    {"type": "text", "text": "Hel"},
    {"type": "text", "text": "lo!"},
    {"type": "usage", "usage": {"prompt_tokens": 11, "completion_tokens": 7}},
]
MESSAGE = {"message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}


class Mocked:
    """A client of a handler, behind one of the doors."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.transport: MockTransport

    def client(self, handler: Callable[[MockRequest], Any], **settings: Any) -> puter.PuterAI:
        self.transport = MockTransport(handler)
        options = {"token": "test-token", "retry_delay": 0.0, **settings}
        return puter.PuterAI(transport=self.transport, **options)

    async def __call__(self, ai: puter.PuterAI, method: str, *args: Any, **kwargs: Any) -> Any:
        if self.kind == "sync":
            return getattr(ai, method)(*args, **kwargs)
        return await getattr(ai, f"async_{method}")(*args, **kwargs)


@pytest.fixture(params=["sync", "async"])
def mocked(request: pytest.FixtureRequest) -> Mocked:
    return Mocked(request.param)


# ------------------------------------------------------------ what a handler gets


async def test_a_handler_sees_the_request_as_the_server_would(mocked: Mocked) -> None:
    ai = mocked.client(lambda request: MESSAGE, headers={"X-Team": "blue"}, timeout=7)
    assert await mocked(ai, "chat", "Hi", temperature=0.5) == "Hello!"
    [seen] = mocked.transport.requests
    assert (seen.method, seen.url) == ("POST", "https://api.puter.com/drivers/call")
    assert seen.headers["Authorization"] == "Bearer test-token"
    assert seen.headers["X-Team"] == "blue"
    assert seen.headers["Content-Type"] == "application/json"
    assert seen.json == json.loads(seen.body)
    assert seen.json["args"]["messages"] == [{"role": "user", "content": "Hi"}]
    assert seen.json["args"]["temperature"] == 0.5
    assert seen.timeout == 7


async def test_a_request_without_a_body_has_no_json(mocked: Mocked) -> None:
    ai = mocked.client(lambda request: {"username": "alice"})
    assert (await mocked(ai, "whoami")).username == "alice"
    [seen] = mocked.transport.requests
    assert (seen.method, seen.url) == ("GET", "https://api.puter.com/whoami")
    assert (seen.body, seen.json) == (b"", None)


# ------------------------------------------------------------ what it may return


@pytest.mark.parametrize("result", [{"a": [1, None]}, [1, "two"], "plain text"], ids=repr)
async def test_the_result_of_a_driver_call_is_put_into_the_envelope(
    mocked: Mocked, result: Any
) -> None:
    ai = mocked.client(lambda request: result)
    assert await mocked(ai, "call", "puter-kvstore", "get", {"key": "k"}) == result


async def test_a_str_is_what_the_model_says(mocked: Mocked) -> None:
    ai = mocked.client(lambda request: f"You said {request.json['args']['messages'][-1]}")
    assert "Hi" in await mocked(ai, "chat", "Hi")
    assert len(ai.chat_history) == 2


async def test_json_is_sent_as_it_is_elsewhere(mocked: Mocked) -> None:
    ai = mocked.client(lambda request: {"models": [{"id": "m", "provider": "p"}]})
    [model] = await mocked(ai, "list_models")
    assert (model.id, model.provider) == ("m", "p")
    ai = mocked.client(lambda request: [])
    with pytest.raises(puter.PuterResponseError, match="unknown shape"):
        await mocked(ai, "list_models")


async def test_bytes_are_a_file(mocked: Mocked) -> None:
    ai = mocked.client(lambda request: b"\x00\x01 raw")
    assert await mocked(ai, "read_file", "~/a.bin") == b"\x00\x01 raw"


@pytest.mark.parametrize(
    "error", [puter.PuterConnectionError("gone", sent=True), ZeroDivisionError("own")], ids=repr
)
async def test_an_exception_is_raised(mocked: Mocked, error: Exception) -> None:
    ai = mocked.client(lambda request: error)
    with pytest.raises(type(error)) as caught:
        await mocked(ai, "chat", "Hi")
    assert caught.value is error
    assert len(mocked.transport.requests) == 1
    assert ai.chat_history == []


async def test_an_exception_of_the_handler_itself_is_the_users(mocked: Mocked) -> None:
    def handler(request: MockRequest) -> Any:
        raise LookupError(request.method)

    with pytest.raises(LookupError, match="POST"):
        await mocked(mocked.client(handler), "chat", "Hi")


async def test_an_error_that_was_not_sent_is_retried(mocked: Mocked) -> None:
    outcomes: list[Any] = [puter.PuterConnectionError("refused", retryable=True), MESSAGE]
    ai = mocked.client(lambda request: outcomes.pop(0))
    assert await mocked(ai, "chat", "Hi") == "Hello!"
    assert len(mocked.transport.requests) == 2


async def test_a_reply_has_its_status_and_headers(mocked: Mocked) -> None:
    refusal = MockReply(
        429, json={"message": "slow", "code": "too_many_requests"}, headers={"Retry-After": "900"}
    )
    ai = mocked.client(lambda request: refusal)
    with pytest.raises(puter.PuterRateLimitError, match="slow") as caught:
        await mocked(ai, "chat", "Hi")
    assert (caught.value.status, caught.value.retry_after) == (429, 900)


async def test_the_json_of_a_reply_is_sent_as_it_is(mocked: Mocked) -> None:
    ai = mocked.client(lambda request: MockReply(json={"success": True, "result": MESSAGE}))
    assert await mocked(ai, "chat", "Hi") == "Hello!"
    ai = mocked.client(lambda request: MockReply(json={"success": False, "error": {"status": 403}}))
    with pytest.raises(puter.PuterPermissionError):
        await mocked(ai, "chat", "Hi")


async def test_the_body_of_a_reply_is_sent_as_it_is(mocked: Mocked) -> None:
    ai = mocked.client(
        lambda request: MockReply(502, body=b"<html>", headers={"Content-Type": "text/html"})
    )
    with pytest.raises(puter.PuterServerError, match="HTML page"):
        await mocked(ai, "chat", "Hi")
    ai = mocked.client(lambda request: MockReply(body=b""))
    with pytest.raises(puter.PuterEmptyResponseError):
        await mocked(ai, "chat", "Hi")


# ------------------------------------------------------------ streams


@pytest.mark.parametrize("form", ["iterator", "generator", "bytes", "reply", "body", "split"])
async def test_lines_are_a_stream(mocked: Mocked, form: str) -> None:
    raw = b"".join(json.dumps(one).encode() + b"\n" for one in STREAM)

    def handler(request: MockRequest) -> Any:
        assert request.json["args"]["stream"] is True
        match form:
            case "iterator":
                return iter(STREAM)
            case "generator":
                return (one for one in STREAM)
            case "bytes":
                return iter([raw])
            case "split":
                return iter([raw[:20], raw[20:50], raw[50:]])
            case "reply":
                return MockReply(lines=STREAM)
            case _:
                return MockReply(body=raw, headers={"Content-Type": "application/x-ndjson"})

    stream = await mocked(mocked.client(handler), "chat", "Hi", stream=True)
    assert "".join(await chunks(stream)) == "Hello!"
    assert stream.reply == "Hello!"
    assert stream.reply.usage.input_tokens == 11


async def test_each_line_is_read_when_its_turn_comes(mocked: Mocked) -> None:
    given: list[str] = []

    def lines() -> Iterator[Any]:
        for one in STREAM:
            given.append(one["type"])
            yield one

    stream = await mocked(mocked.client(lambda request: lines()), "chat", "Hi", stream=True)
    assert str(await step(stream)) == "Hel"
    assert len(given) == 1
    await shut(stream)
    assert len(given) == 1


async def test_closing_a_stream_closes_its_lines(mocked: Mocked) -> None:
    closed: list[bool] = []

    def lines() -> Iterator[Any]:
        try:
            yield from STREAM
        finally:
            closed.append(True)

    ai = mocked.client(lambda request: lines())
    stream = await mocked(ai, "chat", "Hi", stream=True)
    await step(stream)
    assert closed == []
    await shut(stream)
    assert closed == [True]
    assert ai._throttle.running == 0


async def test_an_exception_among_the_lines_cuts_the_stream(mocked: Mocked) -> None:
    cut = puter.PuterConnectionError("cut", sent=True)
    ai = mocked.client(lambda request: iter([STREAM[0], cut]))
    stream = await mocked(ai, "chat", "Hi", stream=True)
    assert str(await step(stream)) == "Hel"
    with pytest.raises(puter.PuterAPIError) as caught:
        await step(stream)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hel"
    assert ai.chat_history == []


async def test_a_stream_that_ends_early_says_so(mocked: Mocked) -> None:
    ai = mocked.client(lambda request: iter(STREAM[:2]))
    with pytest.raises(puter.PuterStreamError):
        await chunks(await mocked(ai, "chat", "Hi", stream=True))


async def test_an_error_of_a_stream_is_json(mocked: Mocked) -> None:
    refusal = MockReply(402, json={"message": "No usage left", "code": "insufficient_funds"})
    ai = mocked.client(lambda request: refusal)
    with pytest.raises(puter.PuterInsufficientFundsError):
        await chunks(await mocked(ai, "chat", "Hi", stream=True))


# ------------------------------------------------------------ async handlers


async def test_an_async_handler_answers_the_async_methods_alone(mocked: Mocked) -> None:
    async def handler(request: MockRequest) -> Any:
        return MESSAGE

    ai = mocked.client(handler)
    if mocked.kind == "async":
        assert await mocked(ai, "chat", "Hi") == "Hello!"
    else:
        with pytest.raises(puter.PuterError, match="async handler"):
            await mocked(ai, "chat", "Hi")


async def test_lines_come_from_a_plain_iterator(mocked: Mocked) -> None:
    async def lines() -> AsyncIterator[Any]:
        yield STREAM[0]

    ai = mocked.client(lambda request: lines())
    with pytest.raises(puter.PuterError, match="plain iterator"):
        await mocked(ai, "chat", "Hi", stream=True)


async def test_a_line_may_be_a_function_that_is_awaited(mocked: Mocked) -> None:
    waited: list[str] = []

    def plain() -> None:
        waited.append("plain")

    async def awaited() -> None:
        waited.append("awaited")

    pause = plain if mocked.kind == "sync" else awaited
    ai = mocked.client(lambda request: iter([STREAM[0], pause, *STREAM[1:]]))
    assert "".join(await chunks(await mocked(ai, "chat", "Hi", stream=True))) == "Hello!"
    assert waited == [pause.__name__]


# ------------------------------------------------------------ beside the client


def test_a_transport_must_be_one() -> None:
    with pytest.raises(puter.PuterConfigError, match="must be a Transport"):
        puter.PuterAI(transport=lambda request: None)  # type: ignore[arg-type]


async def test_copies_share_the_transport(mocked: Mocked) -> None:
    ai = mocked.client(lambda request: MESSAGE)
    await mocked(ai.with_options(timeout=3), "chat", "Hi")
    assert [one.timeout for one in mocked.transport.requests] == [3]


# ------------------------------------------------------------ what no handler is, or returns


def test_a_handler_is_a_function() -> None:
    wrong: Any = "Paris"
    with pytest.raises(TypeError, match="lambda request"):
        MockTransport(wrong)


@pytest.mark.parametrize("answer", [None, 5, 0.5])
async def test_what_no_handler_returns_is_told(mocked: Mocked, answer: Any) -> None:
    with pytest.raises(puter.PuterError, match=f"returned {answer}.*Return a dict"):
        await mocked(mocked.client(lambda _: answer), "chat", "Hi")


async def test_what_no_line_of_a_stream_is_is_told(mocked: Mocked) -> None:
    ai = mocked.client(lambda _: iter(["Hello", "!"]))
    with pytest.raises(puter.PuterError, match=r"is a dict or bytes, not str.*'type': 'text'"):
        await chunks(await mocked(ai, "chat", "Hi", stream=True))
