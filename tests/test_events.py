"""Events: callbacks, and the SDK's own log, which is one of them."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

import puter
from puter.api import streamed
from puter.engine.events import NAMES, Event
from puter.testing import LocalPuter
from tests.door import (
    USAGE,
    Door,
    calls_body,
    chat_body,
    chunks,
    error_body,
    stream_answer,
    until_done,
)

REFUSED = (429, error_body("Too many requests.", None))


def listening(ai: Any, *names: str) -> list[Event]:
    told: list[Event] = []
    for name in names or NAMES:
        ai.on(name, told.append)
    return told


async def test_a_call_tells_of_its_beginning_its_attempts_and_its_end(door: Door) -> None:
    ai = door.client(retry_delay=0)
    told = listening(ai)
    door.answers(REFUSED, chat_body("Hello!"))
    reply = await door(ai, "chat", "Hi")
    assert [one.name for one in told] == [
        "call.start", "response", "retry", "response", "history.commit", "call.end",
    ]  # fmt: skip
    start, first, retry, second, commit, end = told
    assert {one.operation for one in told} == {"chat"}
    assert {one.model for one in told} == {"gpt-5-nano"}
    assert len({one.call_id for one in told}) == 1
    assert [(one.attempt, one.status) for one in (first, second)] == [(1, 429), (2, 200)]
    assert (retry.attempt, type(retry.error)) == (1, puter.PuterRateLimitError)
    assert retry.delay is not None
    assert commit.messages == 2
    assert (end.usage, end.cost, end.attempt) == (reply.usage, Decimal("0.000078"), 2)
    assert end.reply is reply
    assert end.seconds is not None
    assert start.seconds is None
    assert "Hello" not in repr(told)
    assert re.fullmatch(r"<Event call.end of chat gpt-5-nano, [\d.]+ s, 0.000078 USD>", repr(end))


async def test_chunks_are_no_matter_to_listeners_of_other_events(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "_tell", None)
    ai = door.client()
    told = listening(ai, *(name for name in NAMES if name != "stream.chunk"))
    door.answers(stream_answer({"type": "text", "text": "a"}, {"type": "text", "text": "b"}, USAGE))
    assert await until_done(await door(ai, "chat", "Hi", stream=True)) == "ab"
    assert told[-1].name == "call.end"


async def test_a_stream_tells_of_its_chunks_and_ends_with_the_last(door: Door) -> None:
    ai = door.client()
    told = listening(ai, "stream.chunk", "call.end", "history.commit")
    door.answers(stream_answer({"type": "text", "text": "a"}, {"type": "text", "text": "b"}, USAGE))
    stream = await door(ai, "chat", "Hi", stream=True)
    assert told == []
    assert await chunks(stream) == ["a", "b", ""]
    assert [str(one.chunk) for one in told if one.chunk is not None] == ["a", "b", ""]
    assert [one.name for one in told[3:]] == ["history.commit", "call.end"]
    assert told[-1].cost == Decimal("0.000078")


async def test_a_failed_call_tells_its_error_without_secrets(door: Door) -> None:
    ai = door.client()
    told = listening(ai, "call.end", "call.error")
    token = ai._shared.credentials.token
    assert token is not None
    door.answers((400, error_body(f"Bad: {token.reveal()}", "bad_request")))
    with pytest.raises(puter.PuterBadRequestError):
        await door(ai, "chat", "Hi")
    (event,) = told
    assert (event.name, event.status, event.attempt) == ("call.error", 400, 1)
    assert token.reveal() not in str(event.error)


@pytest.mark.parametrize("end", ["close", "drop"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_stream_that_is_left_tells_so(door: Door, end: str) -> None:
    ai = door.client()
    told = listening(ai, "call.end", "call.error")
    door.answers(stream_answer({"type": "text", "text": "a"}, {"type": "text", "text": "b"}, USAGE))
    stream = await door(ai, "chat", "Hi", stream=True)
    if end == "close":
        stream._close()
    del stream
    assert [(one.name, type(one.error)) for one in told] == [("call.error", GeneratorExit)]


async def test_tools_and_media_tell_their_names_and_costs(door: Door) -> None:
    def add(a: int) -> int:
        return a + 1

    ai = door.client()
    told = listening(ai, "tool.start", "tool.end", "call.end")
    door.answers(
        calls_body(("add", {"a": 1})),
        chat_body("2"),
        {"success": True, "result": "data:image/png;base64,iVBORw0KGgo="},
    )
    await door(ai, "chat", "Add", tools=[add])
    await door(ai, "txt2img", "A cat", "gpt-image-2")
    start, end, chat, image = told
    assert (start.name, end.name) == ("tool.start", "tool.end")
    assert start.tool is not None
    assert (start.tool.name, start.tool, end.error) == ("add", end.tool, None)
    assert (chat.cost, chat.operation) == (Decimal("0.000156"), "chat")
    assert (image.operation, image.model, image.cost) == ("txt2img", "gpt-image-2", None)


async def test_unsubscribing_ends_it(door: Door) -> None:
    ai = door.client()
    told: list[Event] = []
    stop = ai.on("call.end", told.append)
    ai.on("call.end", lambda _: None)
    twin = ai.with_options()
    await door(ai, "chat", "Hi")
    stop()
    stop()
    await door(ai, "chat", "Hi")
    assert len(told) == 1
    await door(twin, "chat", "Hi")  # it has a list of its own
    assert len(told) == 2


async def test_a_callback_that_fails_is_logged_once_and_harms_nothing(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(event: Event) -> None:
        raise ZeroDivisionError("mine")

    ai = door.client()
    ai.on("call.end", fails)
    told = listening(ai, "call.end")
    assert await door(ai, "chat", "Hi") == "Hello!"
    assert await door(ai, "chat", "Hi") == "Hello!"
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("puter", "WARNING")
    assert "ZeroDivisionError: mine" in record.getMessage()
    assert record.exc_info is not None
    assert len(told) == 2


async def test_async_callbacks_are_awaited_by_async_methods(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    async def tells(event: Event) -> None:
        told.append(event.name)

    ai = door.client()
    ai.on("call.end", tells)
    assert await door(ai, "chat", "Hi") == "Hello!"
    if door.kind == "async":
        assert (told, caplog.records) == (["call.end"], [])
    else:
        assert told == []
        assert "it is asynchronous" in caplog.text


async def test_a_cancelled_call_leaves_async_callbacks_to_the_loop() -> None:
    async_door = Door("async")
    told: list[str] = []

    async def tells(event: Event) -> None:
        await asyncio.sleep(0)
        told.append(type(event.error).__name__)

    ai = async_door.client()
    ai.on("call.error", tells)
    async_door.answers(stream_answer({"type": "text", "text": "a"}, USAGE))
    stream = await ai.async_chat("Hi", stream=True)
    await stream.aclose()
    for _ in range(3):
        await asyncio.sleep(0)
    assert told == ["GeneratorExit"]


async def test_nothing_of_a_sign_in_is_shown(
    door: Door, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "puter")
    monkeypatch.setenv("PUTER_LOG_CONTENT", "1")
    seen: list[Any] = []

    def watch(request: Any, call_next: Any) -> Any:
        seen.append(request.body)
        return (yield from call_next(request))

    ai = door.client(token=None, username="bob", password="hunter2hunter2")
    told = listening(ai)
    ai.use(watch, per_attempt=True)
    door.answers({"proceed": True, "token": "fresh-token-4711"}, chat_body("Hello!"))
    assert await door(ai, "chat", "Hi") == "Hello!"
    responses = [one for one in told if one.name == "response"]
    assert [one.status for one in responses] == [200, 200]
    first = responses[0]
    assert first.request is not None
    assert (first.request.body, first.reply) == (None, None)
    everything = str(seen) + str([vars_of(one) for one in told]) + caplog.text
    assert "hunter2hunter2" not in everything
    assert "fresh-token-4711" not in everything


def vars_of(event: Event) -> list[Any]:
    bodies = [getattr(one, "body", None) for one in (event.request, event.reply)]
    return [*bodies, getattr(event.reply, "_data", None)]


async def test_what_tools_and_callbacks_raise_is_logged_without_the_token(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    ai = door.client()
    token = ai._shared.credentials.token
    assert token is not None
    secret = token.reveal()

    def fails(*_: Any) -> None:
        raise OSError(f"401 for https://api.example.com/?auth={secret}")

    def pay() -> None:
        fails()

    ai.on("call.end", fails)
    door.answers(calls_body(("pay", {})), chat_body("2"))
    await door(ai, "chat", "Pay", tools=[pay])
    shown = caplog.handler.format
    assert len(caplog.records) == 2
    assert secret not in "".join(map(shown, caplog.records))
    assert all(
        "OSError: 401 for" in shown(one) and "in fails" in shown(one) for one in caplog.records
    )


@pytest.mark.parametrize(
    ("name", "callback", "told"),
    [
        ("call.ends", print, "There is no event 'call.ends'. Did you mean 'call.end'?"),
        ("any", print, "There are call.start"),
        (7, print, "There is no event 7"),
        ("retry", "print", "the callback is str, no function"),
    ],
)
def test_what_cannot_be_listened_to_is_refused(name: Any, callback: Any, told: str) -> None:
    with pytest.raises(puter.PuterConfigError) as caught:
        puter.PuterAI(token="t").on(name, callback)
    assert told in str(caught.value)


# ---------------------------------------------------------------- the log


async def test_the_log_tells_operation_model_attempt_status_seconds_and_cost(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "puter")
    door.answers(chat_body("Hello!"))
    await door(door.client(), "chat", "My PIN is 4711")
    told = [(one.name, one.getMessage()) for one in caplog.records]
    assert told[0] == ("puter.calls", "chat gpt-5-nano: started")
    assert told[1][1].startswith(
        "chat gpt-5-nano: attempt 1, POST https://api.puter.com/drivers/call -> 200 in "
    )
    assert told[2][0] == "puter.calls"
    assert told[2][1].startswith("chat gpt-5-nano: done in ")
    assert told[2][1].endswith(" s, 11 + 7 tokens, 0.000078 USD")
    assert "4711" not in caplog.text
    assert "Hello!" not in caplog.text


async def test_content_is_logged_when_it_is_asked_for_and_no_secret_is(
    door: Door, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "puter")
    monkeypatch.setenv("PUTER_LOG_CONTENT", "1")
    ai = door.client()
    token = ai._shared.credentials.token
    assert token is not None
    door.answers(chat_body("Hello!"))
    await door(ai, "chat", f"My PIN is 4711, my token {token.reveal()}")
    assert "My PIN is 4711" in caplog.text
    assert "chat gpt-5-nano answer: Hello!" in caplog.text
    assert token.reveal() not in caplog.text


@pytest.mark.parametrize("level", ["debug", "INFO"])
def test_a_variable_switches_the_log_on(level: str) -> None:
    program = """
from puter import PuterAI
for _ in range(2):
    ai = PuterAI()
ai.chat("Say hello")
"""
    with LocalPuter(tier=None) as server:
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env={
                **os.environ,
                "PUTER_LOG": level,
                "PUTER_API_BASE": server.api_base,
                "PUTER_LOGIN_URL": server.login_url,
                "PUTER_AUTH_TOKEN": server.token,
            },
        )
    lines = done.stderr.splitlines()
    assert server.token not in done.stderr
    if level == "debug":
        assert sum("chat gpt-5-nano: done in" in one for one in lines) == 1
        assert " DEBUG puter.http chat gpt-5-nano: attempt 1, POST " in done.stderr
    else:
        assert lines == []


def test_a_level_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUTER_LOG", "loud")
    with pytest.raises(puter.PuterConfigError, match="PUTER_LOG='loud' is no level"):
        puter.PuterAI(token="t")
