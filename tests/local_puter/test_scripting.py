"""Replies, responders and failures a test lays down, and the journal it reads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from puter.testing import (
    ChatCall,
    Disconnect,
    Failure,
    InvalidUtf8,
    LocalPuter,
    Redirect,
    Reply,
    Reset,
    Truncate,
    UpstreamFailure,
)
from tests.local_puter.support import Caller, error_of

if TYPE_CHECKING:
    from puter.testing.replies import Fault


def test_replies_are_used_up_in_order_and_then_the_built_in_one_answers(caller: Caller) -> None:
    caller.puter.reply_with("one", Reply(text="two"))
    caller.puter.reply_with(lambda call: f"three to {call.last_text}")
    texts = [caller.text("hi") for _ in range(4)]
    assert texts[:3] == ["one", "two", "three to hi"]
    assert texts[3].startswith("Hello! I am LocalPuter")


def test_an_invalid_chat_uses_up_no_reply(caller: Caller) -> None:
    caller.puter.reply_with("kept")
    assert caller.chat("hi", model="nope").status_code == 400
    assert caller.chat(None).status_code == 400
    assert caller.text("hi") == "kept"


def test_a_reply_must_be_one(puter: LocalPuter) -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="not int"):
        puter.reply_with("fine", wrong)
    with pytest.raises(TypeError, match="a fault is such as"):
        puter.fail_next(wrong)


def test_a_responder_sees_the_call(caller: Caller) -> None:
    seen: list[ChatCall] = []

    @caller.puter.respond
    async def responder(call: ChatCall) -> Reply:
        seen.append(call)
        return Reply(text=call.model)

    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    assert caller.text(*messages, model="openai/gpt-4.1", temperature=0.5) == "gpt-4.1"
    (call,) = seen
    assert call.messages == messages
    assert call.args["temperature"] == 0.5
    assert (call.last_text, call.last_role, call.user) == ("hi", "user", "alice")
    assert (call.provider, call.family) == ("openai-completion", "openai")
    caller.puter.reply_with("queued first")
    assert caller.text("hi") == "queued first"
    caller.puter.respond(None)
    assert "LocalPuter" in caller.text("hi")


def test_the_repr_of_a_request_is_short_and_shows_no_token(caller: Caller) -> None:
    caller.text("hi")
    assert repr(caller.puter.chats) == "[<RecordedRequest POST /drivers/call>]"
    assert caller.puter.chats[0].headers["Authorization"].startswith("Bearer ")


def test_a_blocking_responder_does_not_block_the_server(caller: Caller) -> None:
    puter, release = caller.puter, threading.Event()

    def responder(call: ChatCall) -> str:
        return "released" if release.wait(10) else "not released"

    puter.reply_with(responder, responder)
    with ThreadPoolExecutor(2) as pool, requests.Session() as second:
        second.trust_env = False
        calls = [pool.submit(caller.text, "a"), pool.submit(Caller(puter, second).text, "b")]
        puter.wait_for(2)
        with requests.Session() as third:
            third.trust_env = False
            assert third.get(puter.url + "/healthcheck", timeout=5).ok
        release.set()
        assert [call.result(5) for call in calls] == ["released", "released"]
    assert puter.peak_running == 2
    assert puter.running_now == 0


def test_a_responder_that_raises_is_a_500_and_a_log_line(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(call: ChatCall) -> str:
        raise ZeroDivisionError("mine")

    caller.puter.reply_with(broken)
    assert error_of(caller.chat("hi"))[:2] == (500, "internal_error")
    assert "ZeroDivisionError: mine" in caplog.text


FAILURES = [
    (Failure(402), 402, "insufficient_funds", "No usage left for request."),
    (Failure(429), 429, "too_many_requests", "Too many requests."),
    (Failure(500), 500, "internal_error", "Internal Server Error"),
    (Failure(418, "teapot", "short and stout"), 418, "teapot", "short and stout"),
    (Failure(404, code="", message="App not found"), 404, None, "App not found"),
    (UpstreamFailure(500), 400, "upstream_provider_unavailable", "AI provider unavailable"),
    (UpstreamFailure(403), 500, "upstream_auth_failed", "AI provider authentication failed"),
    (UpstreamFailure(429), 429, "upstream_rate_limited", "AI provider rate limit exceeded"),
    (UpstreamFailure(422, "no"), 400, "upstream_bad_request", "no"),
    (UpstreamFailure(402), 503, "upstream_credits_exhausted", "AI provider out of credits"),
    (UpstreamFailure(504), 504, "upstream_timeout", "AI provider timed out"),
    (Failure(403, "reputation_required"), 403, "reputation_required", "Forbidden"),
]


@pytest.mark.parametrize(("failure", "status", "code", "message"), FAILURES)
def test_failures(
    caller: Caller, failure: Fault, status: int, code: str | None, message: str
) -> None:
    caller.puter.reply_with(failure)
    response = caller.chat("hi")
    assert error_of(response) == (status, code, message)
    assert (response.headers.get("X-Needs-Upgrade") == "true") == (status == 402)
    assert "Retry-After" not in response.headers


def test_what_a_failure_says_by_generation(caller: Caller, older: Caller) -> None:
    failure = UpstreamFailure(429, "slow down", "rate_limit_exceeded", retry_after=7)
    for who in (caller, older):
        who.puter.reply_with(failure, UpstreamFailure(402, "empty"), UpstreamFailure(529, "busy"))
    limited, empty, busy = (caller.chat().json() for _ in range(3))
    assert limited["retryAfter"] == 7
    assert (limited["upstreamStatus"], limited["errorCode"]) == (429, "rate_limit_exceeded")
    assert empty["attempts"][0]["error"] == "402 empty"
    assert (busy["code"], busy["upstreamStatus"]) == ("upstream_provider_unavailable", 529)
    assert older.chat().json().keys() == {"error", "message", "code", "attempts"}
    assert error_of(older.chat()) == (400, "upstream_bad_request", "402 empty")
    assert older.chat().json()["code"] == "upstream_provider_unavailable"


def test_an_upstream_failure_lists_at_most_three_routes(caller: Caller) -> None:
    caller.puter.reply_with(UpstreamFailure(400, "bad", "its_code"))
    body = caller.chat("hi", model="gpt-5-nano").json()
    providers = ["azure-openai", "openai-completion", "openrouter"]
    assert [attempt["provider"] for attempt in body["attempts"]] == providers
    assert body["attempts"][1] == {
        "model": "gpt-5-nano-2025-08-07",
        "provider": "openai-completion",
        "status": 400,
        "code": "its_code",
        "error": "400 bad",
    }


def test_a_failure_of_a_proxy(caller: Caller) -> None:
    caller.puter.reply_with(
        Failure(502, body="<h1>Bad Gateway</h1>", headers={"Retry-After": "3"}),
        Failure(503, body=b""),
        Failure(200, body="not JSON", content_type="application/json"),
    )
    first, second, third = (caller.chat("hi") for _ in range(3))
    assert (first.status_code, first.text) == (502, "<h1>Bad Gateway</h1>")
    assert first.headers["Content-Type"] == "text/html; charset=utf-8"
    assert first.headers["Retry-After"] == "3"
    assert (second.status_code, second.content) == (503, b"")
    assert (third.status_code, third.headers["Content-Type"]) == (200, "application/json")


def test_broken_connections(caller: Caller) -> None:
    for fault, reason in ((Disconnect(), "RemoteDisconnected"), (Reset(), "ConnectionReset")):
        caller.puter.reply_with(fault)
        with pytest.raises(requests.ConnectionError, match=reason):
            caller.chat("hi")
    caller.puter.reply_with(Truncate())
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        caller.chat("hi")
    assert [record.status for record in caller.puter.chats] == [None, None, 200]
    caller.puter.reply_with(InvalidUtf8())
    with pytest.raises(UnicodeDecodeError):
        caller.chat("hi").content.decode("utf-8")
    assert caller.puter.running_now == 0


def test_a_redirect(caller: Caller) -> None:
    caller.puter.fail_next(Redirect("/elsewhere", 307))
    response = caller.get("/whoami")
    assert (response.status_code, response.headers["Location"]) == (307, "/elsewhere")


def test_fail_next_by_path_and_number(caller: Caller) -> None:
    caller.puter.fail_next(Failure(503), times=2, path="/whoami")
    assert caller.get("/healthcheck").status_code == 200
    assert [caller.get("/whoami").status_code for _ in range(3)] == [503, 503, 200]
    caller.puter.fail_next(Failure(500))
    assert caller.get("/healthcheck").status_code == 500


def test_a_delay_holds_the_slot(caller: Caller) -> None:
    caller.puter.reply_with(Reply(text="late", delay=0.05))
    assert caller.text("hi") == "late"
    (record,) = caller.puter.chats
    assert record.finished is not None
    assert record.finished - record.started >= 0.05


def test_latency_applies_to_every_chat(session: requests.Session) -> None:
    with LocalPuter(latency=0.05) as puter:
        caller = Caller(puter, session)
        caller.text("hi")
        (record,) = puter.chats
        assert record.finished is not None
        assert record.finished - record.started >= 0.05


def test_the_journal(caller: Caller) -> None:
    puter = caller.puter
    caller.get("/healthcheck?a=1&b=%20x", token=None, headers={"X-Mine": "yes"})
    caller.chat("hi", model="gpt-4.1")
    version, chat = puter.requests
    assert (version.method, version.path, version.status) == ("GET", "/healthcheck", 200)
    assert dict(version.query) == {"a": "1", "b": " x"}
    assert version.headers["x-mine"] == "yes"
    assert version.host == puter.url.removeprefix("http://")
    assert (version.body, version.json, version.token_user) == (b"", None, None)
    assert chat.json["args"] == {"messages": ["hi"], "model": "gpt-4.1"}
    assert chat.body.startswith(b'{"interface"')
    assert chat.token_user == "alice"
    assert chat.finished is not None
    assert chat.started <= chat.finished
    assert puter.chats == [chat]
    puter.requests.clear()  # a copy
    assert len(puter.requests) == 2
    puter.clear_requests()
    assert puter.requests == []


def test_waiting_for_requests(caller: Caller) -> None:
    puter = caller.puter
    with pytest.raises(TimeoutError, match="0 arrived"):
        puter.wait_for(1, timeout=0.01)
    assert puter.wait_for(0) == []
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(puter.wait_for, lambda record: record.path == "/whoami", 5)
        caller.get("/healthcheck")
        caller.get("/whoami")
        (found,) = waiting.result(5)
    assert found.path == "/whoami"
    assert len(puter.wait_for(2)) == 2
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(puter.wait_for, lambda record: record.status == 404, 5)
        caller.get("/nowhere")
        assert [record.path for record in answered.result(5)] == ["/nowhere"]


async def test_waiting_in_a_task(puter: LocalPuter) -> None:
    with pytest.raises(TimeoutError):
        await puter.async_wait_for(1, timeout=0.01)
