"""Who may call, what errors say, and how streams begin, wait, break and end; on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import importlib
import json
import logging
import select
import socket
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from puter import PuterAI, PuterConfigError
from puter.extensions import Budget, Cache, Fallback
from puter.serve import KEY, create_app, repetitions
from puter.serve.unauthenticated import UNAUTHENTICATED, ConnectionLimiter
from puter.testing import Gate, LocalPuter, MockTransport, Reply, faults, samples
from puter.testing.replies import StreamDisconnect

if TYPE_CHECKING:  # the oldest aiohttp has no parameters here
    Caller: TypeAlias = TestClient[Any, Any]
BEARER = {"Authorization": "Bearer only-for-this-test"}
OPENAI, ANTHROPIC = "/v1/chat/completions", "/v1/messages"
REPEATED = {"x-stainless-retry-count": "1"}
PATHS = pytest.mark.parametrize("path", [OPENAI, ANTHROPIC])


def hello(model: Any = "gpt-5-nano", **more: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": "Hello!"}]
    return {"model": model, "max_tokens": 50, "messages": said, **more}


@pytest.fixture(scope="module")
def server() -> Any:
    with LocalPuter(tier=None, allowance=1e6) as running:
        yield running


@pytest.fixture
def puter(server: LocalPuter) -> LocalPuter:
    server.clear_faults()
    server.clear_requests()
    server._backend.script._queue.clear()
    server._backend.script._media.clear()
    return server


@contextlib.asynccontextmanager
async def serving(ai: PuterAI, **options: Any) -> AsyncIterator[Caller]:
    app = create_app(ai, **{"key": "only-for-this-test", **options})
    async with TestClient(TestServer(app), headers=BEARER) as caller:
        yield caller
    await ai.async_close()


@pytest.fixture
async def caller(puter: LocalPuter) -> AsyncIterator[Caller]:
    async with serving(puter.client(max_retries=0)) as one:
        yield one


async def until(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


# ---------------------------------------------------------------- who may call


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong-key"},
        {"Authorization": "Basic only-for-this-test"},
        {"Authorization": "Bearer "},
        {"x-api-key": "only-for-this-tes"},
        {"x-api-key": "ключ"},
    ],
)
@PATHS
async def test_whoever_has_no_key_is_told_so(
    puter: LocalPuter, path: str, headers: dict[str, str]
) -> None:
    app = create_app(puter.client(), key="only-for-this-test")
    async with (
        TestClient(TestServer(app)) as stranger,
        stranger.post(path, json=hello(), headers=headers) as answer,
    ):
        body = await answer.json()
        assert answer.status == 401
        assert body["error"]["type"] == "authentication_error"
        assert body["error"]["code"] == "invalid_api_key"
        assert ("type" in body) is (path == ANTHROPIC)
    assert puter.requests == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:1234", 200),
        ("localhost", 200),
        ("LOCALHOST:80", 200),
        ("[::1]:80", 200),
        ("puter.example", 403),
        ("127.0.0.1.evil.example:80", 403),
        ("localhost@evil.example", 403),
        ("evil.example@localhost", 403),
        ("[::1", 403),
    ],
)
async def test_other_names_of_this_machine_are_refused(
    caller: Caller, host: str, status: int
) -> None:
    async with caller.get("/v1/models", headers={"Host": host}) as answer:
        assert answer.status == status


async def test_any_name_is_taken_where_the_server_is_for_others(puter: LocalPuter) -> None:
    async with (
        serving(puter.client(), hosts=None) as caller,
        caller.get("/v1/models", headers={"Host": "puter.example"}) as answer,
    ):
        assert answer.status == 200


async def test_pages_of_browsers_may_not_call(caller: Caller) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    async with caller.options(OPENAI, headers=asked) as answer:
        assert answer.status == 403
        preflight = answer.headers
    async with caller.post(OPENAI, json=hello(), headers=asked) as answer:
        assert not [one for one in (*answer.headers, *preflight) if one.startswith("Access-")]


def test_a_new_key_is_made_for_each_application() -> None:
    ai = PuterAI()
    keys = {create_app(ai)[KEY] for _ in range(3)}
    assert len(keys) == 3
    assert min(map(len, keys)) >= 32


@pytest.mark.parametrize(
    "options",
    [
        {"key": ""}, {"key": "two\nlines"}, {"key": "a blank"}, {"key": "schlüssel"}, {"key": 7},
        {"hosts": "localhost"}, {"max_body": 0}, {"ping": 0}, {"ping": "10"},
    ],
)  # fmt: skip
def test_settings_that_are_not_usable_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(PuterConfigError):
        create_app(PuterAI(), **options)


async def test_the_token_is_told_nowhere(
    puter: LocalPuter, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for path in (OPENAI, ANTHROPIC):
        for stream in (False, True):
            puter.inject(faults.echo_of_token())
            async with caller.post(path, json=hello(stream=stream)) as answer:
                shown = f"{answer.status} {answer.headers} {await answer.text()} {caplog.text}"
                assert answer.status >= 400
                assert puter.token not in shown
                assert "only-for-this-test" not in shown


@contextlib.asynccontextmanager
async def listening(app: web.Application, limiter: ConnectionLimiter) -> AsyncIterator[Listening]:
    app[UNAUTHENTICATED] = limiter
    runner = web.AppRunner(app)
    await runner.setup()
    listener = await limiter.listen(runner, "127.0.0.1", 0)
    yield Listening(runner, listener.sockets[0].getsockname()[1])
    listener.close()
    await runner.cleanup()


class Listening(NamedTuple):
    runner: web.AppRunner
    port: int

    async def open(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        return reader, writer

    async def until_open(self, connections: int) -> None:
        server = self.runner.server
        await until(lambda: server is not None and len(server.connections) == connections)


async def all_of(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(), 10)


BARE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_connections_without_the_key_are_few_and_short(puter: LocalPuter) -> None:
    app = create_app(ai := puter.client(), key="only-for-this-test")
    async with (
        listening(app, limiter := ConnectionLimiter(most=2, grace=600)) as server,
        aiohttp.ClientSession() as session,
    ):
        url = f"http://127.0.0.1:{server.port}/v1/models"
        async with session.get(url, headers=BEARER) as answer:  # stays open, and counts no more
            await answer.read()
        silent = [await server.open() for _ in range(3)]
        assert await all_of(silent[0][0]) == b""  # the oldest
        await server.until_open(3)  # one that has shown it, and two that have not
        async with session.get(url, headers=BEARER) as answer:
            assert answer.status == 200
        silent[2][1].write(BARE)
        assert (await all_of(silent[2][0])).startswith(b"HTTP/1.1 401 ")  # to its end
        limiter._grace = 0
        late = await server.open()
        assert await all_of(late[0]) == b""
        for _, writer in [*silent, late]:
            writer.close()
    await ai.async_close()


async def test_connections_that_ended_do_not_count(puter: LocalPuter) -> None:
    app = create_app(ai := puter.client(), key="only-for-this-test")
    async with listening(app, ConnectionLimiter(most=2, grace=600)) as server:
        reader, writer = await server.open()
        for _ in range(3):
            _, leaving = await server.open()
            await server.until_open(2)
            leaving.close()
            await server.until_open(1)
        writer.write(BARE)
        assert (await all_of(reader)).startswith(b"HTTP/1.1 401 ")
        writer.close()
    await ai.async_close()


async def test_a_connection_ends_though_nobody_reads_what_it_was_answered() -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        await (response := web.StreamResponse()).prepare(request)
        asked.set()
        await response.write(bytes(30_000_000))  # more than sockets hold
        return response

    asked, app = asyncio.Event(), web.Application()
    app.add_routes([web.get("/", flood)])
    async with listening(app, ConnectionLimiter(most=1, grace=600)) as server:
        deaf = await server.open(BARE)
        await asked.wait()
        other = await server.open()
        await server.until_open(1)
        for _, writer in (deaf, other):
            writer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="systems differ in how many wait")
async def test_few_connections_are_accepted_at_once() -> None:
    async with listening(web.Application(), ConnectionLimiter(most=8, grace=600)) as server:
        coming = [socket.socket() for _ in range(8)]
        for one in coming:  # before the event loop accepts the first
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", server.port))
        _, connected, _ = select.select([], coming, [], 0)
        assert len(connected) < 8
        for one in coming:
            one.close()


# ---------------------------------------------------------------- what is malformed


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"[]", "must be a JSON object"),
        (b"[" * 10_000, "no JSON"),
        (b'{"messages": 7}', "messages must be a list"),
        (b'{"messages": ["Hi"]}', "messages must be a list of objects"),
        (b'{"messages": []}', "messages is empty"),
        (b'{"model": 7, "messages": [{"role": "user", "content": "Hi"}]}', "model must be"),
        (b'{"stream": 1, "messages": [{"role": "user", "content": "Hi"}]}', "stream must be"),
        (b'{"messages": [{"role": "robot", "content": "Hi"}]}', "role must be"),
    ],
)
@PATHS
async def test_what_is_malformed_is_a_bad_request(
    puter: LocalPuter, caller: Caller, path: str, data: bytes, said: str
) -> None:
    async with caller.post(path, data=data) as answer:
        error = (await answer.json())["error"]
        assert (answer.status, error["type"]) == (400, "invalid_request_error")
        assert said in error["message"]
    assert puter.requests == []


@pytest.mark.parametrize(
    ("path", "more", "said"),
    [
        (OPENAI, {"n": 2}, "n=2"),
        (OPENAI, {"logprobs": True}, "logprobs"),
        (OPENAI, {"logit_bias": {"7": -100}}, "logit_bias"),
        (OPENAI, {"modalities": ["text", "audio"]}, "modalities"),
        (OPENAI, {"functions": [{"name": "f"}]}, "Use tools"),
        (OPENAI, {"messages": None, "input": "Hi"}, "Responses"),
        (OPENAI, {"response_format": {"type": "xml"}}, "response_format"),
        (OPENAI, {"tools": [{"type": "code_interpreter"}]}, "code_interpreter"),
        (OPENAI, {"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "'custom'"),
        (OPENAI, {"tools": [{"type": "function"}]}, "no name"),
        (OPENAI, {"temperature": "hot"}, "temperature"),
        (OPENAI, {"test_mode": True}, "test_mode"),
        (ANTHROPIC, {"test_mode": True}, "test_mode"),
        ("/v1/images/generations", {"prompt": "A cat", "test_mode": True}, "test_mode"),
        (ANTHROPIC, {"mcp_servers": [{"url": "https://x.example"}]}, "mcp_servers"),
        (ANTHROPIC, {"tools": [{"type": "bash_20250124", "name": "bash"}]}, "bash_20250124"),
        (ANTHROPIC, {"tool_choice": {"type": "tool", "name": "x"}, "tools": [{"name": "f"}]}, "x"),
        (ANTHROPIC, {"max_tokens": 0}, "max_tokens"),
    ],
)
async def test_what_puter_cannot_do_is_a_bad_request(
    puter: LocalPuter, caller: Caller, path: str, more: dict[str, Any], said: str
) -> None:
    async with caller.post(path, json=hello(**more)) as answer:
        assert answer.status == 400
        assert said in (await answer.json())["error"]["message"]
    assert puter.chats == []


@PATHS
@pytest.mark.parametrize(
    "content",
    [
        [{"type": "file", "puter_path": "~/diary.txt"}],
        {"puter_path": "~/diary.txt"},
        [{"type": "tool_result", "tool_use_id": "1", "content": [{"puter_path": "/alice/x"}]}],
        [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}],
        [{"type": "image", "source": {"type": "url", "url": "/etc/passwd"}}],
    ],
)
async def test_no_files_are_opened(
    puter: LocalPuter, caller: Caller, path: str, content: Any
) -> None:
    said = [{"role": "user", "content": content}]
    async with caller.post(path, json={"messages": said}) as answer:
        assert answer.status == 400
        assert "what the file holds" in (await answer.json())["error"]["message"]
    assert puter.requests == []


async def test_what_is_harmless_is_ignored_and_told_in_the_log(
    puter: LocalPuter, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "puter.serve")
    more = {"n": 1, "seed": 7, "user": "me", "presence_penalty": 0.5, "logprobs": False}
    async with caller.post(OPENAI, json=hello(**more, a_new_one={"x": 1})) as answer:
        assert answer.status == 200
    assert puter.chats[0].json["args"].keys() == {"messages", "model", "max_tokens"}
    assert "'a_new_one' of a request is ignored" in caplog.text


async def test_a_body_that_cannot_be_read_is_a_bad_request(caller: Caller) -> None:
    for number in ("1e999", "NaN", "-Infinity"):
        body = json.dumps(hello()).replace("}", f', "max_tokens": {number}}}')
        async with caller.post(OPENAI, data=body) as answer:
            assert answer.status == 400
            assert "JSON" in (await answer.json())["error"]["message"]


async def test_what_is_compressed_is_refused_as_it_comes(
    puter: LocalPuter, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inflate(*_args: object, **_options: object) -> None:
        raise AssertionError("it was inflated")

    monkeypatch.setattr(zlib, "decompressobj", inflate)
    body = gzip.compress(json.dumps(hello()).encode())
    for key, status in (("only-for-this-test", 415), ("wrong", 401)):
        headers = {"Content-Encoding": "gzip", "Authorization": f"Bearer {key}"}
        async with caller.post(OPENAI, data=body, headers=headers) as answer:
            assert answer.status == status
    assert puter.requests == []


async def test_a_large_request_is_refused(puter: LocalPuter) -> None:
    async with serving(puter.client(), max_body=100) as caller:
        for path, kind in ((OPENAI, "invalid_request_error"), (ANTHROPIC, "request_too_large")):
            async with caller.post(path, data=b" " * 101) as answer:
                assert answer.status == 413
                assert (await answer.json())["error"]["type"] == kind


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/embeddings", 404),
        ("POST", "/v1/messages/count_tokens", 404),
        ("GET", "/v1/models/no-such-model", 404),
        ("GET", "/v1/models?kind=smell", 400),
        ("GET", OPENAI, 405),
    ],
)
async def test_what_is_not_there(caller: Caller, method: str, path: str, status: int) -> None:
    async with caller.request(method, path) as answer:
        body = await answer.json()
        assert answer.status == status
        assert body["error"]["message"]
        assert ("type" in body) is path.startswith(ANTHROPIC)
        if status == 405:
            assert body["error"]["type"] == "invalid_request_error"
            assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/", "/v1/v1", "//v1//"])
async def test_base_urls_with_and_without_v1_are_understood(caller: Caller, base: str) -> None:
    base, session = str(caller.make_url("/")).rstrip("/") + base, caller.session
    for end in ("", "/"):
        for path in ("/chat/completions", "/messages"):
            async with session.post(f"{base}{path}{end}", json=hello()) as answer:
                assert answer.status == 200
        async with session.get(f"{base}/models{end}") as answer:
            assert (await answer.json())["object"] == "list"
        for name in ("openai/gpt-5-nano", "openai%2Fgpt-5-nano"):
            async with session.get(f"{base}/models/{name}{end}") as answer:
                assert (await answer.json())["id"] == "gpt-5-nano"
    async with session.post(f"{base}/messages/count_tokens", json=hello()) as answer:
        error = await answer.json()
        assert (answer.status, error["type"]) == (404, "error")
        assert "/v1/messages, /v1/models, " in error["error"]["message"]


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        ("openai/gpt-5-nano", "gpt-5-nano"),
        ("anthropic/claude-haiku-4-5", "claude-haiku-4-5-20251001"),
    ],
)
@PATHS
async def test_models_go_by_names_with_their_vendors(
    caller: Caller, path: str, asked: str, answers: str
) -> None:
    async with caller.post(path, json=hello(asked)) as answer:
        assert (answer.status, (await answer.json())["model"]) == (200, answers)


async def test_heads_of_lists_are_given(caller: Caller) -> None:
    async with caller.head("/v1/models") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "reader"),
    [
        (OPENAI, "body.read_json"),
        (OPENAI, "openai_chat.read_chat"),
        (ANTHROPIC, "anthropic_messages.read_chat"),
    ],
)
async def test_a_request_that_takes_long_to_read_keeps_no_other_caller_waiting(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, path: str, reader: str
) -> None:
    reading, done = threading.Event(), threading.Event()
    module, _, name = reader.partition(".")
    read = getattr(importlib.import_module(f"puter.serve.{module}"), name)

    def slow(*args: Any, **options: Any) -> Any:
        reading.set()
        assert done.wait(20)
        return read(*args, **options)

    monkeypatch.setattr(f"puter.serve.{reader}", slow)
    asked = asyncio.ensure_future(caller.post(path, json=hello()))
    await until(reading.is_set)
    async with caller.get("/v1/models/gpt-5-nano") as answer:
        assert answer.status == 200
    done.set()
    assert (await asked).status == 200


async def test_a_failure_of_our_own_is_told_in_the_log_alone(
    caller: Caller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("puter.serve.openai_chat.read_chat", fail)
    async with caller.post(OPENAI, json=hello()) as answer:
        assert answer.status == 500
        assert answer.headers["x-should-retry"] == "false"
        assert "secret" not in await answer.text()
    assert "RuntimeError: a secret" in caplog.text


# ---------------------------------------------------------------- errors of Puter


STATUSES: tuple[tuple[faults.Fault, int, bool], ...] = (
    (faults.rate_limited(7), 429, True),
    (faults.insufficient_funds(), 402, False),
    (faults.token_expired(), 502, False),
    (faults.status(400, code="bad_request"), 400, False),
    (faults.status(403, code="forbidden"), 403, False),
    (faults.too_large(), 413, False),
    (faults.status(500), 502, False),
    (faults.unavailable(), 502, True),
    (faults.lost_answer(), 502, False),
    (faults.html_page(), 502, False),
)
"""What happens, the status of the answer, and whether the caller's client may ask again."""


@PATHS
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_have_the_status_that_clients_know(
    puter: LocalPuter, path: str, stream: bool
) -> None:
    for fault, status, may_retry in STATUSES:
        puter.clear_requests()
        puter.inject(fault)  # a client of its own: a rate limit holds all calls of one
        async with (
            serving(puter.client(max_retries=0)) as caller,
            caller.post(path, json=hello(stream=stream)) as answer,
        ):
            error = (await answer.json())["error"]
        assert answer.status == status, fault
        assert error["puter_error"].startswith("Puter"), fault
        assert ("x-should-retry" not in answer.headers) is may_retry, fault
        assert answer.headers.get("Retry-After") == ("7" if status == 429 else None), fault
        of_account = "account behind this endpoint" in error["message"]
        assert of_account is (fault == faults.token_expired()), fault
        assert len(puter.chats) == 1, fault


async def test_silence_is_a_timeout(puter: LocalPuter) -> None:
    async with serving(puter.client(max_retries=0, timeout=0.2)) as caller:
        puter.inject(faults.late_silence())
        async with caller.post(ANTHROPIC, json=hello()) as answer:
            assert answer.status == 504
            assert (await answer.json())["error"]["type"] == "timeout_error"
            assert answer.headers["x-should-retry"] == "false"


async def test_an_answer_that_was_cut_to_nothing_is_an_answer(
    puter: LocalPuter, caller: Caller
) -> None:
    for stream in (False, True):
        for reason in ("length", "content_filter"):
            puter.reply_with(Reply(text="", finish_reason=reason))
            async with caller.post(OPENAI, json=hello(stream=stream)) as answer:
                assert answer.status == 200
                assert f'"finish_reason": "{reason}"' in await answer.text()
    puter.reply_with(Reply(text=""))
    async with caller.post(OPENAI, json=hello()) as answer:
        assert answer.status == 502
        assert answer.headers["x-should-retry"] == "false"


# ---------------------------------------------------------------- what the client does


async def test_budget_cache_and_fallback_are_those_of_the_client(puter: LocalPuter) -> None:
    ai = puter.client(max_retries=0).use(Budget("0.001")).use(Cache()).use(Fallback("gpt-4.1"))
    async with serving(ai) as caller:

        async def model_of(answer: Any) -> Any:
            async with answer as response:
                return (await response.json()).get("model")

        puter.inject(faults.unavailable())
        assert await model_of(caller.post(OPENAI, json=hello(max_tokens=1))) == "gpt-4.1"
        assert len(puter.chats) == 2
        for _ in range(2):  # asked once
            await model_of(caller.post(ANTHROPIC, json=hello("gpt-4o-mini")))
        assert len(puter.chats) == 3
        async with caller.post(OPENAI, json=hello(max_tokens=10_000)) as answer:
            assert answer.status == 402
            assert (await answer.json())["error"]["puter_error"] == "PuterBudgetError"
    assert len(puter.chats) == 3
    assert ai.chat_history == []


async def test_a_tool_is_never_run_here(puter: LocalPuter, caller: Caller) -> None:
    puter.reply_with(Reply(tool_calls=[{"name": "f", "arguments": "{broken"}]))
    tools = [{"type": "function", "function": {"name": "f"}}]
    async with caller.post(OPENAI, json=hello(tools=tools)) as answer:
        call = (await answer.json())["choices"][0]["message"]["tool_calls"][0]
    assert call["function"] == {"name": "f", "arguments": "{broken"}
    assert len(puter.chats) == 1


# ---------------------------------------------------------------- streams


@PATHS
async def test_a_silent_stream_gives_signs_of_life(puter: LocalPuter, path: str) -> None:
    async with serving(puter.client(max_retries=0), ping=0.01) as caller:
        gate = Gate(0)
        puter.reply_with(Reply(text="Hi", gate=gate))
        async with caller.post(path, json=hello(stream=True)) as answer:
            ping = b": ping" if path == OPENAI else b"event: ping"
            while ping not in (line := await answer.content.readline()):
                assert line
                assert b"Hi" not in line
            gate.open()
            assert b"Hi" in await answer.content.read()


@PATHS
async def test_an_error_after_a_sign_of_life_is_an_event(puter: LocalPuter, path: str) -> None:
    seen = threading.Event()

    def refuse(_: object) -> faults.Fault:
        seen.wait(20)
        return faults.insufficient_funds()

    async with serving(puter.client(max_retries=0), ping=0.01) as caller:
        puter.reply_with(refuse)
        async with caller.post(path, json=hello(stream=True)) as answer:
            assert b"ping" in await answer.content.readline()
            seen.set()
            text = await answer.text()
    *_, last = [line for line in text.splitlines() if line.startswith("data: ")]
    assert answer.status == 200
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "insufficient_funds"
    assert ("event: error" in text) is (path == ANTHROPIC)
    assert "[DONE]" not in text


@PATHS
async def test_a_stream_that_breaks_off_says_so(
    puter: LocalPuter, caller: Caller, path: str
) -> None:
    puter.reply_with(StreamDisconnect(after=2, reply="one two three"))
    async with caller.post(path, json=hello(stream=True)) as answer:
        text = await answer.text()
    assert '"puter_error": "PuterStreamError"' in text
    assert "one" in text
    assert "[DONE]" not in text
    assert "message_stop" not in text
    assert len(puter.chats) == 1


@pytest.mark.parametrize("cancels", [True, False], ids=["cancels", "writes"])
async def test_a_caller_that_leaves_ends_the_stream_at_puter(
    puter: LocalPuter, cancels: bool
) -> None:
    ai = puter.client(max_retries=0)
    app = create_app(ai, key="only-for-this-test", ping=0.01)
    runner = web.AppRunner(app, handler_cancellation=cancels, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{OPENAI}"
    puter.reply_with(Reply(chunks=["one", "two"], gate=Gate()))
    async with (
        aiohttp.ClientSession(headers=BEARER) as session,
        session.post(url, json=hello(stream=True)) as answer,
    ):
        await answer.content.readline()
        assert puter.running_now == 1
        answer.close()
    await until(lambda: puter.running_now == 0)
    await runner.cleanup()
    await ai.async_close()


async def left(caller: Caller, body: dict[str, Any], condition: Callable[[], object]) -> None:
    """Ask, and leave before the answer once the condition holds."""
    asked = asyncio.ensure_future(caller.post(OPENAI, json=body))
    await until(condition)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


@pytest.mark.parametrize("stream", [False, True])
async def test_what_its_caller_gave_up_is_not_asked_again_unawares(
    puter: LocalPuter, caller: Caller, stream: bool
) -> None:
    puter.reply_with(Reply(text="Hi", delay=30))
    await left(caller, hello(stream=stream), lambda: puter.running_now == 1)
    await until(lambda: puter.running_now == 0)
    async with caller.post(OPENAI, json=hello(stream=stream), headers=REPEATED) as answer:
        assert answer.status == 409
        assert answer.headers["x-should-retry"] == "false"
    assert len(puter.chats) == 1
    async with caller.post(OPENAI, json=hello(stream=stream)) as answer:  # whoever means it may
        assert answer.status == 200
    other = hello(temperature=None)
    async with caller.post(OPENAI, json=other, headers=REPEATED) as answer:  # never came before
        assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (OPENAI, hello()),
        (OPENAI, hello(stream=True)),
        (ANTHROPIC, hello()),
        (ANTHROPIC, hello(stream=True)),
        ("/v1/images/generations", {"prompt": "a cat"}),
        ("/v1/audio/speech", {"input": "Hello!"}),
    ],
)
async def test_what_was_answered_is_not_paid_again_when_the_answer_is_lost(
    puter: LocalPuter, caller: Caller, path: str, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def status(**headers: str) -> int:
        async with caller.post(path, json=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    def paid() -> int:
        return sum(bool(one.billed) for one in puter.requests)

    assert [await status(), paid()] == [200, 1]
    assert [await status(**REPEATED), await status(**REPEATED), paid()] == [409, 409, 1]
    assert [await status(), paid()] == [200, 2]  # whoever means it may
    puter.inject(faults.unavailable())
    assert [await status(), paid()] == [502, 2]
    assert [await status(**REPEATED), paid()] == [200, 3]  # the repetition of the free one
    assert [await status(**REPEATED), paid()] == [409, 3]
    long_after = monotonic() + 2 * repetitions._LONGEST
    monkeypatch.setattr(repetitions, "monotonic", lambda: long_after)
    assert [await status(**REPEATED), paid()] == [200, 4]


async def test_what_an_earlier_attempt_may_have_paid_is_not_asked_again(puter: LocalPuter) -> None:
    ai = puter.client(timeout=0.2, max_retries=1, retry_delay=0.0, retry_on_timeout=True)
    async with serving(ai) as caller:
        puter.inject(faults.late_silence())
        puter.inject(faults.unavailable())
        async with caller.post(OPENAI, json=hello()) as answer:
            assert answer.status == 502
            assert answer.headers["x-should-retry"] == "false"
        async with caller.post(OPENAI, json=hello(), headers=REPEATED) as answer:
            assert answer.status == 409
        assert len(puter.chats) == 2


@pytest.mark.parametrize("stream", [False, True])
@PATHS
async def test_a_lost_answer_that_the_cache_holds_is_given_again(
    puter: LocalPuter, path: str, stream: bool
) -> None:
    async with serving(puter.client(max_retries=0).use(Cache())) as caller:
        answers = []
        for headers in ({}, REPEATED):
            async with caller.post(path, json=hello(stream=stream), headers=headers) as answer:
                answers.append((answer.status, "LocalPuter" in await answer.text()))
        assert answers == [(200, True)] * 2
        assert len(puter.chats) == 1


def test_so_many_answers_are_remembered() -> None:
    requests = repetitions.Repetitions()
    for number in range(repetitions._MOST + 5):
        name = str(number).encode()
        requests._running[name] = []
        requests._end(name, object(), free=False, billed=True)  # type: ignore[arg-type]
    assert len(requests._ended) == repetitions._MOST
    assert b"4" not in requests._ended


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_given_up_in_the_queue_is_asked_again(
    puter: LocalPuter, stream: bool
) -> None:
    ai = puter.client(max_retries=0, max_concurrency=1)
    async with serving(ai) as caller:
        puter.reply_with(Reply(text="Hi", gate=(gate := Gate(0))))
        first = asyncio.ensure_future(caller.post(ANTHROPIC, json=hello(stream=True)))
        await until(lambda: puter.running_now == 1)
        await left(caller, hello(stream=stream), lambda: ai._throttle.waiting == 1)
        await until(lambda: ai._throttle.waiting == 0)
        gate.open()
        async with await first as answer:
            assert "Hi" in await answer.text()
        async with caller.post(OPENAI, json=hello(stream=stream), headers=REPEATED) as answer:
            assert answer.status == 200
    assert len(puter.chats) == 2


async def test_what_failed_free_of_charge_is_asked_again(puter: LocalPuter, caller: Caller) -> None:
    puter.reply_with(*[Reply(text="Hi", delay=30)] * 2)
    asked = [asyncio.ensure_future(caller.post(OPENAI, json=hello())) for _ in range(2)]
    await until(lambda: puter.running_now == 2)
    puter.inject(faults.unavailable())
    async with caller.post(OPENAI, json=hello()) as answer:
        assert answer.status == 502
        assert "x-should-retry" not in answer.headers
    async with caller.post(OPENAI, json=hello(), headers=REPEATED) as answer:
        assert answer.status == 200  # nobody left: the same is asked by others, too
    asked.pop().cancel()
    await until(lambda: puter.running_now == 1)
    puter.inject(faults.unavailable())
    async with caller.post(OPENAI, json=hello()) as answer:
        assert answer.status == 502
    async with caller.post(OPENAI, json=hello(), headers=REPEATED) as answer:
        assert answer.status == 200  # it is the repetition of the free one
    asked.pop().cancel()
    await until(lambda: puter.running_now == 0)


async def test_streams_under_way_end_with_the_server(puter: LocalPuter) -> None:
    ai = puter.client(max_retries=0)
    runner = web.AppRunner(create_app(ai, key="only-for-this-test"), shutdown_timeout=5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{OPENAI}"
    puter.reply_with(Reply(chunks=["one", "two"], gate=Gate()))
    async with (
        aiohttp.ClientSession(headers=BEARER) as session,
        session.post(url, json=hello(stream=True)) as answer,
    ):
        await answer.content.readline()
        await runner.cleanup()
        text = (await answer.content.read()).decode()
    assert '"error"' in text
    await until(lambda: puter.running_now == 0)
    await ai.async_close()


async def test_more_streams_than_puter_allows_take_turns(puter: LocalPuter) -> None:
    ai = puter.client(max_retries=0, max_concurrency=2)
    async with serving(ai) as caller:
        puter.respond(lambda call: call.last_text)

        async def ask(number: int) -> str:
            said = [{"role": "user", "content": f"text {number}"}]
            async with caller.post(OPENAI, json={"messages": said, "stream": True}) as answer:
                return await answer.text()

        texts = await asyncio.gather(*map(ask, range(8)))
        puter.respond(None)
    assert all("[DONE]" in text for text in texts)


# ---------------------------------------------------------------- media, and what else there is


async def test_models_of_drivers_are_listed_and_asked(puter: LocalPuter) -> None:
    from puter.extensions import OpenAICompatible

    def attic(request: Any) -> Any:
        message = {"role": "assistant", "content": "From the attic"}
        return {"choices": [{"message": message, "finish_reason": "stop"}]}

    ai = PuterAI(transport=MockTransport(attic)).use(
        OpenAICompatible("http://127.0.0.1:9/v1", models={"attic-1": "x"}, name="attic")
    )
    async with serving(ai) as caller, caller.post(OPENAI, json=hello("attic-1")) as answer:
        body = await answer.json()
    assert body["choices"][0]["message"]["content"] == "From the attic"
    assert "cost" not in body["usage"]


async def test_speech_of_other_providers(puter: LocalPuter, caller: Caller) -> None:
    named: dict[str, str]
    wrong: dict[str, Any]
    for model, provider, named in (
        ("eleven_v3", "elevenlabs", {"model": "eleven_v3", "output_format": "mp3_44100_128"}),
        ("neural", "aws-polly", {"engine": "neural"}),
    ):
        asked: dict[str, Any] = {"model": model, "input": "Hello!", "voice": "Joanna"}
        if "output_format" in named:
            asked["response_format"] = named["output_format"]
        async with caller.post("/v1/audio/speech", json=asked) as answer:
            assert answer.status == 200
            assert (await answer.read())[:3] == b"ID3"
        args = puter.requests[-1].json["args"]
        assert {"provider": provider, **named}.items() <= args.items()
    for wrong, status in (({"model": "no-such"}, 404), ({"speed": 2}, 400), ({"model": [1]}, 400)):
        asked = {"model": "tts-1", "input": "Hello!", "voice": "alloy", **wrong}
        async with caller.post("/v1/audio/speech", json=asked) as answer:
            assert answer.status == status


async def test_transcripts_in_other_forms(puter: LocalPuter, caller: Caller) -> None:
    said = {"text": "Hi", "language": "en", "words": [{"word": "Hi", "start": 0, "end": 1}]}

    async def hear(**fields: str) -> tuple[int, str, str]:
        form = aiohttp.FormData({name.replace("__", "[]"): one for name, one in fields.items()})
        form.add_field("file", samples.WAV, filename="a.wav", content_type="audio/wav")
        puter.media_with(said)
        async with caller.post("/v1/audio/transcriptions", data=form) as answer:
            return answer.status, answer.content_type, await answer.text()

    assert await hear(response_format="text") == (200, "text/plain", "Hi")
    status, _, text = await hear(timestamp_granularities__="word", temperature="0.5")
    assert (status, json.loads(text)["words"]) == (200, said["words"])
    args = puter.requests[-1].json["args"]
    assert args["timestamp_granularities"] == ["word"]
    assert args["temperature"] == 0.5
    assert (await hear(stream="true"))[0] == 400
    assert (await hear(temperature="warm"))[0] == 400
    async with caller.post("/v1/audio/transcriptions", json={}) as answer:
        assert answer.status == 400
    async with caller.post("/v1/audio/transcriptions", data={"model": "x", "file": "y"}) as answer:
        assert answer.status == 400
    for kind, data in (
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b"no form"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Dispo"),
    ):
        about = {"data": data, "headers": {"Content-Type": kind}}
        async with caller.post("/v1/audio/transcriptions", **about) as answer:
            assert (answer.status, "cannot be read" in await answer.text()) == (400, True)


async def test_images_that_cannot_be_made(puter: LocalPuter, caller: Caller) -> None:
    for wrong in (
        {"n": 2},
        {"stream": True},
        {"response_format": "gif"},
        {"size": "large"},
        {"image_url": "a"},
    ):
        asked = {"prompt": "A cat", **wrong}
        async with caller.post("/v1/images/generations", json=asked) as answer:
            assert answer.status == 400
    assert puter.requests == []
    async with caller.post("/v1/images/generations", json={"prompt": "A cat"}) as answer:
        assert (await answer.json())["data"][0]["b64_json"]


async def test_an_image_is_paid_once_where_its_download_fails(
    puter: LocalPuter, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    puter.media_with(url := "http://127.0.0.1:9/x.png")
    async with caller.post("/v1/images/generations", json={"prompt": "A cat"}) as answer:
        assert (answer.status, (await answer.json())["data"]) == (200, [{"url": url}])
    assert len(puter.requests) == 1
    assert "in place of it" in caplog.text


async def test_a_sound_is_paid_once_where_its_download_fails(
    puter: LocalPuter, caller: Caller
) -> None:
    asked = {"input": "Hello!"}
    puter.media_with("http://127.0.0.1:9/x.mp3")
    async with caller.post("/v1/audio/speech", json=asked) as answer:
        assert answer.status == 502
        assert answer.headers["x-should-retry"] == "false"
    async with caller.post("/v1/audio/speech", json=asked, headers=REPEATED) as answer:
        assert answer.status == 409
    assert len(puter.requests) == 1
