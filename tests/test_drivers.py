"""Servers that are no Puter: OpenAI's form, and drivers that users write, through both doors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

import puter
from puter.extensions import (
    Budget,
    Cache,
    ChatRequest,
    Driver,
    Fallback,
    HttpReply,
    HttpRequest,
    OpenAICompatible,
    map_chunks,
)
from puter.testing import Cassette
from puter.types.replies import ChatChunk, ChatReply, Usage
from tests.door import (
    CONNECT_TIMEOUT,
    CUT,
    REFUSED,
    SILENCE,
    Answer,
    Door,
    chat_body,
    chunks,
    error_body,
    json_answer,
    shut,
    stream_answer,
    text_answer,
    until_done,
)

BASE = "http://127.0.0.1:8080/v1"
KEY = "sk-local-4711-secret"
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


def server(**settings: Any) -> OpenAICompatible:
    settings = {"models": {"smollm2": "SmolLM2-135M"}, "api_key": KEY, **settings}
    return OpenAICompatible(settings.pop("base_url", BASE), **settings)


def client(door: Door, **settings: Any) -> puter.PuterAI:
    """Without any account at Puter."""
    return door.client(**{"token": None, "default_model": "smollm2", **settings}).use(server())


def completion(text: str | None = "Hello!", reason: str = "stop", **message: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **message}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {"id": "c", "model": "/models/x.gguf", "choices": [choice], "usage": USAGE}


def called(name: str, arguments: str, identity: str = "call_a") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": identity, "type": "function", "function": function}


def events(*deltas: dict[str, Any], reason: str | None = "stop", done: bool = True) -> list[bytes]:
    """A stream in OpenAI's form, an event for each read."""
    values: list[Any] = [{"choices": [{"index": 0, "delta": one}]} for one in deltas]
    if reason is not None:
        values.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        values.append({"choices": [], "usage": USAGE})
    lines = [f"data: {json.dumps(one)}\n\n".encode() for one in values]
    return [*lines, b"data: [DONE]\n\n"] if done else lines


def sse(*pieces: Any) -> Answer:
    return stream_answer(*pieces, **{"Content-Type": "text/event-stream"})


def refusal(status: int, message: str, **about: Any) -> Any:
    return status, {"error": {"message": message, "type": "invalid_request_error", **about}}


# ---------------------------------------------------------------- what goes out, what comes back


async def test_a_chat(door: Door) -> None:
    ai = client(door)
    door.answers(completion())
    reply = await door(ai, "chat", "Hi", temperature=0.5, max_tokens=9, stop="x", timeout=30)
    sent = door.sent[0]
    assert (sent.method, sent.url) == ("POST", f"{BASE}/chat/completions")
    assert sent.json == {
        "model": "SmolLM2-135M",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "max_tokens": 9,
        "stop": "x",
    }
    assert (reply, reply.model, reply.provider) == ("Hello!", "smollm2", "openai-compatible")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (12, 5)
    assert (reply.cost, reply.finish_reason, reply.raw["id"]) == (None, "stop", "c")
    assert ai.chat_history[-1] == {"role": "assistant", "content": "Hello!"}
    assert ai.usage.by_model["smollm2"].requests == 1


async def test_a_stream(door: Door) -> None:
    ai = client(door)
    door.answers(sse(*events({"reasoning_content": "Hm."}, {"content": "Hel"}, {"content": "lo"})))
    stream = await door(ai, "chat", "Hi", stream=True)
    came = await chunks(stream)
    assert [one.type for one in came] == ["reasoning", "text", "text", "usage"]
    assert door.sent[0].json["stream_options"] == {"include_usage": True}
    reply = stream.reply
    assert (reply, reply.reasoning, reply.model) == ("Hello", "Hm.", "smollm2")
    assert (reply.usage.output_tokens, reply.provider) == (5, "openai-compatible")
    assert [one["content"] for one in ai.chat_history] == ["Hi", "Hello"]


async def test_a_server_that_does_not_stream(door: Door) -> None:
    door.answers(completion())
    stream = await door(client(door), "chat", "Hi", stream=True)
    assert [str(one) for one in await chunks(stream)] == ["Hello!", ""]


@pytest.mark.parametrize("stream", [False, True])
async def test_tools(door: Door, stream: bool) -> None:
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    ai = client(door)
    call, arguments = called("add", '{"a": 2, "b": 3}'), '{"a": 2, "b": 3}'
    if stream:
        pieces = [{"index": 0, "function": {"arguments": one}} for one in arguments]
        first = {**call, "index": 0, "function": {"name": "add", "arguments": ""}}
        parts = [{"tool_calls": [one]} for one in (first, *pieces)]
        door.answers(
            sse(*events({"content": "Let me see."}, *parts, reason="tool_calls")),
            sse(*events({"content": "5"})),
        )
    else:
        door.answers(completion("Let me see.", "tool_calls", tool_calls=[call]), completion("5"))
    asked = {"tools": [add], "tool_choice": "add"}
    reply = await door(ai, "chat", "2 + 3?", stream=stream, **asked)
    reply = await until_done(reply) if stream else reply
    assert (reply, reply.usage.input_tokens) == ("5", 24)
    first_body, second_body = (sent.json for sent in door.sent)
    assert first_body["tools"][0]["function"]["name"] == "add"
    assert first_body["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert second_body["tool_choice"] == "auto"
    said, result = second_body["messages"][1:]
    assert said == {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [{**call, "function": {"name": "add", "arguments": arguments}}],
    }
    assert result == {"role": "tool", "tool_call_id": "call_a", "content": "5"}


@dataclass
class Answered:
    answer: Literal["yes", "no"]


async def test_parse_asks_the_server_to_enforce_the_schema(door: Door) -> None:
    door.answers(completion('{"answer": "yes"}'))
    assert await door(client(door), "parse", "Is fire hot?", Answered) == Answered("yes")
    form = door.sent[0].json["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"]["properties"]["answer"]["enum"] == ["yes", "no"]


async def test_parse_does_without_the_schema_where_it_is_refused(door: Door) -> None:
    door.answers(
        refusal(400, "Unable to read the JSON schema: unrecognized"), completion('{"answer":"no"}')
    )
    assert await door(client(door), "parse", "Is ice hot?", Answered) == Answered("no")
    assert "response_format" not in door.sent[1].json


async def test_a_misspelt_model_of_a_driver_is_told_where_there_is_no_account(door: Door) -> None:
    ai = puter.PuterAI(transport=door.transport).use(OpenAICompatible(BASE, models=["smollm2"]))
    with pytest.raises(puter.PuterAuthError, match=r"Did you mean 'smollm2'\?"):
        await door(ai, "chat", "Hi", "smolm2")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (400, "Unknown parameter: 'response_format'."),
        (400, "response_format not supported"),
        (400, "json_schema is not supported by this model"),
        (422, "body.response_format: extra fields not permitted"),
        (501, "response_format is not implemented"),
    ],
)
async def test_servers_refuse_the_form_in_words_of_their_own(
    door: Door, status: int, told: str
) -> None:
    body = {"error": {"message": told, "type": "whatever", "code": "unknown_parameter"}}
    door.answers((status, body), completion('{"answer": "no"}'))
    assert await door(client(door), "parse", "Is ice hot?", Answered) == Answered("no")


async def test_pictures_and_files_go_in_openais_form(door: Door) -> None:
    door.answers(completion())
    png = b"\x89PNG\r\n\x1a\n" + b"0" * 8
    files = {"images": (png, "image/png"), "files": (b"%PDF-1.4", "application/pdf")}
    await door(client(door), "chat", "See", **files)
    text, picture, file = door.sent[0].json["messages"][0]["content"]
    assert text == {"type": "text", "text": "See"}
    assert picture["image_url"]["url"].startswith("data:image/png;base64,")
    assert file["file"]["file_data"].startswith("data:application/pdf;base64,")


async def test_a_file_that_puter_alone_can_open_is_refused(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match="Only Puter can open"):
        await door(client(door), "chat", "See", files="~/notes.pdf")
    assert door.sent == []


async def test_options_that_the_server_does_not_read(door: Door) -> None:
    ai = client(door)
    door.answers(completion())
    with pytest.warns(puter.PuterOptionWarning, match="web_search is set"):
        await door(ai, "chat", "Hi", web_search=True)
    await door(ai, "chat", "Hi", custom={"seed": 7}, extra={"top_k": 3, "cache_prompt": True})
    assert "web_search" not in door.sent[0].json
    assert door.sent[1].json.keys() >= {"seed", "top_k", "cache_prompt"}


async def test_a_call_that_was_left_to_the_user_is_resumed(door: Door) -> None:
    ai = client(door)
    door.answers(completion(None, "tool_calls", tool_calls=[called("now", "{}")]), completion("It"))
    schema = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
    open_call = await door(ai, "chat", "When?", tools=[schema], run_tools=False)
    reply = await door(ai, "chat", resume=open_call, tool_results={"call_a": "noon"})
    assert reply == "It"
    assert door.sent[1].url == f"{BASE}/chat/completions"
    assert door.sent[1].json["messages"][-1]["content"] == "noon"


# ---------------------------------------------------------------- whose secrets go where


async def test_neither_server_is_shown_what_is_for_the_other(door: Door) -> None:
    ai = door.client(token="puter-token-secret", headers={"X-Puter-Team": "blue"}).use(server())
    door.answers(completion(), chat_body())
    await door(ai, "chat", "Hi", "smollm2")
    await door(ai, "chat", "Hi", "gpt-5-nano")
    other, own = door.sent
    assert other.headers["Authorization"] == f"Bearer {KEY}"
    assert own.headers["Authorization"] == "Bearer puter-token-secret"
    assert "puter-token-secret" not in f"{other}"
    assert "X-Puter-Team" not in other.headers
    assert KEY not in f"{own}"
    assert own.url == "https://api.puter.com/drivers/call"


async def test_the_request_as_a_command(door: Door) -> None:
    door.answers(completion())
    reply = await door(client(door), "chat", "Hi")
    command = reply.as_curl()
    assert command.startswith(f"curl {BASE}/chat/completions")
    assert 'Authorization: Bearer $API_KEY"' in command
    assert "SmolLM2-135M" in command
    assert KEY not in command


async def test_a_server_without_a_key_gets_no_authorization(door: Door) -> None:
    ai = door.client().use(server(api_key=None))
    door.answers(completion())
    await door(ai, "chat", "Hi", "smollm2")
    assert "Authorization" not in door.sent[0].headers


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_that_the_server_repeats_is_in_no_error(door: Door, stream: bool) -> None:
    told = f"Incorrect API key provided: {KEY}"
    answer: Any = refusal(401, told, code="invalid_api_key")
    if stream:
        line = json.dumps({"error": {"message": told, "code": 401}})
        answer = sse(f"data: {line}\n\n".encode())
    door.answers(answer)
    with pytest.raises(puter.PuterAuthError) as caught:
        await chunks(await door(client(door), "chat", "Hi", stream=stream))
    error = caught.value
    assert "Incorrect API key" in error.message
    assert "api_key" in error.hint
    assert KEY not in f"{error} {error.body} {error.__cause__!r}{server()!r}"


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
async def test_a_secret_header_of_a_users_driver_is_in_no_error(door: Door, header: str) -> None:
    class Keyed(Shouting):
        def prepare(self, request: ChatRequest) -> HttpRequest:
            made = super().prepare(request)
            return HttpRequest(made.method, made.url, {header: KEY}, made.body)

    door.answers((400, {"error": f"not with {KEY}"}))
    with pytest.raises(puter.PuterBadRequestError) as caught:
        await door(door.client().use(Keyed()), "chat", "Hi", "shouting")
    assert door.sent[0].headers[header] == KEY
    assert KEY not in f"{caught.value} {caught.value.body}"


@pytest.mark.parametrize(
    ("base_url", "allow_http", "is_good"),
    [
        ("http://127.0.0.1:1/v1", False, True),
        ("http://localhost:11434/v1", False, True),
        ("http://[::1]:1/v1", False, True),
        ("http://gpu.lan:8000/v1", False, False),
        ("http://gpu.lan:8000/v1", True, True),
        ("https://api.openai.com/v1", False, True),
    ],
)
async def test_plain_http_leaves_this_machine_when_allowed(
    door: Door, base_url: str, allow_http: bool, is_good: bool
) -> None:
    ai = door.client(allow_http=allow_http).use(server(base_url=base_url))
    door.answers(completion())
    if is_good:
        assert await door(ai, "chat", "Hi", "smollm2") == "Hello!"
    else:
        with pytest.raises(puter.PuterConfigError, match="plain http to gpu"):
            await door(ai, "chat", "Hi", "smollm2")
        assert door.sent == []


# ---------------------------------------------------------------- errors and retries


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (refusal(400, "max_tokens is too large"), puter.PuterBadRequestError, "too large"),
        (refusal(422, "no"), puter.PuterBadRequestError, "no"),
        (refusal(401, "no key"), puter.PuterAuthError, "no key"),
        (refusal(403, "not yours"), puter.PuterPermissionError, "not yours"),
        (refusal(404, "The model `x` does not exist"), puter.PuterModelNotFoundError, "exist"),
        (refusal(404, "File Not Found", code=404), puter.PuterNotFoundError, "File"),
        (refusal(429, "You are out", code="insufficient_quota"), puter.PuterQuotaError, "out"),
        (refusal(500, "boom"), puter.PuterServerError, "boom"),
        ((500, {"detail": "boom"}), puter.PuterServerError, "boom"),
        ((400, [{"error": {"message": "in a list"}}]), puter.PuterBadRequestError, "in a list"),
        (text_answer("<html>", "text/html", 502), puter.PuterServerError, "502"),
        (text_answer("<html>", "text/html"), puter.PuterResponseError, "not JSON"),
        (text_answer("", "text/plain", 404), puter.PuterNotFoundError, "404"),
        (text_answer("", "", 302, Location="/login"), puter.PuterResponseError, "302"),
        ({"error": {"message": "in a 200", "code": 400}}, puter.PuterBadRequestError, "in a 200"),
        ({"object": "list", "data": []}, puter.PuterResponseError, "unknown shape"),
        ({"choices": [{"index": 0}]}, puter.PuterResponseError, "unknown shape"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
async def test_errors(door: Door, answer: Any, kind: type, told: str, stream: bool) -> None:
    ai = client(door)
    door.answers(answer)
    with pytest.raises(kind, match=told) as caught:
        await chunks(await door(ai, "chat", "Hi", stream=stream))
    assert type(caught.value) is kind or kind is puter.PuterQuotaError
    assert "puter.com" not in f"{caught.value}"
    assert len(door.sent) == 1  # nothing of this proves that it never ran
    assert ai.chat_history == []


async def test_an_empty_answer(door: Door) -> None:
    door.answers(completion(""))
    with pytest.raises(puter.PuterEmptyResponseError):
        await door(client(door), "chat", "Hi")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_429_is_waited_out(door: Door, stream: bool) -> None:
    good = sse(*events({"content": "Hello!"})) if stream else completion()
    door.answers(refusal(429, "Slow down"), good)
    reply = await door(client(door), "chat", "Hi", stream=stream)
    reply = await until_done(reply) if stream else reply
    assert (reply, reply.attempts) == ("Hello!", 2)


async def test_a_429_in_the_first_line_of_a_stream_is_waited_out(door: Door) -> None:
    busy = b'data: {"error": {"message": "Busy", "type": "rate_limit_error"}}\n\n'
    door.answers(sse(busy), sse(*events({"content": "Hello!"})))
    reply = await until_done(await door(client(door), "chat", "Hi", stream=True))
    assert (reply, len(door.sent)) == ("Hello!", 2)


@pytest.mark.parametrize(("free", "sent"), [(False, 1), (True, 3)])
@pytest.mark.parametrize("fault", [SILENCE, CUT, refusal(503, "Loading model")])
async def test_what_may_have_run_is_asked_again_where_nobody_is_billed(
    door: Door, free: bool, sent: int, fault: Any
) -> None:
    ai = door.client(token=None).use(server(free=free))
    door.answers(fault)
    with pytest.raises(puter.PuterAPIError):
        await door(ai, "chat", "Hi", "smollm2")
    assert len(door.sent) == sent


async def test_a_refused_connection_is_made_again(door: Door) -> None:
    door.answers(REFUSED, completion())
    assert await door(client(door), "chat", "Hi") == "Hello!"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (REFUSED, "No connection to 127.0.0.1:8080: Connection refused (ECONNREFUSED)."),
        (CONNECT_TIMEOUT, "No connection to 127.0.0.1:8080 within 10 s."),
    ],
    ids=["refused", "no answer"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_server_that_is_down_is_named(
    door: Door, fault: Any, told: str, stream: bool
) -> None:
    ai = client(door, max_retries=0).use(server(name="ollama"))
    door.answers(fault)
    with pytest.raises(puter.PuterConnectionError) as caught:
        await until_done(await door(ai, "chat", "Hi", stream=stream))
    where = f"Check the network, and that ollama runs at {BASE}/chat/completions"
    assert str(caught.value).startswith(f"{told} {where}")
    assert "api_base" not in str(caught.value)
    assert not caught.value.sent


async def test_a_free_server_costs_nothing(door: Door) -> None:
    ai = door.client(token=None).use(server(free=True))
    door.answers(completion(), sse(*events({"content": "Hi"})))
    reply = await door(ai, "chat", "Hi", "smollm2")
    streamed = await until_done(await door(ai, "chat", "Hi", "smollm2", stream=True))
    early = await door(ai, "chat", "Hi", "smollm2", stream=True)
    await shut(early)
    spent = ai.usage.total
    assert [reply.cost, streamed.cost, spent.cost, spent.unpriced, spent.requests] == [
        0,
        0,
        0,
        0,
        3,
    ]


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        (events({"content": "Hel"}, reason=None, done=False), "before the answer was complete"),
        ([*events({"content": "Hel"}, reason=None, done=False), CUT], "closed the connection"),
        ([*events({"content": "Hel"}, reason=None, done=False), b"data: {]\n\n"], "not JSON"),
        (
            [*events({"content": "Hel"}, reason=None, done=False), b'data: {"error": "full"}\n\n'],
            "full",
        ),
    ],
)
async def test_a_stream_that_breaks_off(door: Door, pieces: list[Any], told: str) -> None:
    ai = client(door)
    door.answers(sse(*pieces), completion("lo!"))
    stream = await door(ai, "chat", "Hi", stream=True)
    with pytest.raises(puter.PuterStreamError, match=told) as caught:
        await chunks(stream)
    partial = caught.value.partial
    assert partial is not None
    assert (partial.text, partial.model, ai.chat_history) == ("Hel", "smollm2", [])
    assert await door(ai, "chat", resume=partial) == "lo!"
    assert [one["content"] for one in ai.chat_history] == ["Hi", "lo!"]


# ---------------------------------------------------------------- the client's own lists


async def test_the_client_knows_the_models(door: Door) -> None:
    ai = door.client().use(server(name="attic"))
    assert ai.available_models["smollm2"] == "attic"
    assert ai.available_models["gpt-5-nano"] == "openai-completion"
    assert "smollm2" in ai.get_available_models()
    assert ai.set_model(" SmolLM2 ") is True
    assert ai.current_model == "smollm2"
    assert "smollm2" not in door.client().available_models
    door.answers(completion())
    assert await door(ai.with_options(timeout=5), "chat", "Hi") == "Hello!"
    talk: Any = ai.conversation(model="smollm2")
    assert await door(talk, "chat", "Hi") == "Hello!"


async def test_the_last_driver_of_a_name_counts_and_a_name_of_puters_may_be_taken(
    door: Door,
) -> None:
    ai = door.client().use(server(models=["gpt-5-nano"], base_url="http://127.0.0.1:1/v1"))
    ai.use(server(models=["gpt-5-nano"], base_url="http://127.0.0.1:2/v1"))
    door.answers(completion())
    await door(ai, "chat", "Hi")
    assert door.sent[0].url.startswith("http://127.0.0.1:2/v1/")
    assert door.sent[0].json["model"] == "gpt-5-nano"


async def test_another_provider_of_that_model_is_refused(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match="served by the driver"):
        await door(client(door), "chat", "Hi", provider="groq")
    door.answers(completion())
    assert await door(client(door), "chat", "Hi", provider="openai-compatible") == "Hello!"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"base_url": "127.0.0.1:8080"}, "base_url"),
        ({"base_url": "http://user:pw@127.0.0.1/v1"}, "base_url"),
        ({"models": "smollm2"}, "models"),
        ({"models": []}, "models"),
        ({"models": {"": "x"}}, "models"),
        ({"models": {"x": ""}}, "models"),
        ({"api_key": "two words"}, "api_key"),
        ({"name": ""}, "name"),
        ({"free": "yes"}, "free"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"rate_limit_period": 0}, "rate_limit_period"),
    ],
)
def test_wrong_settings_are_refused_at_once(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(puter.PuterError, match=told) as caught:
        puter.PuterAI().use(server(**wrong))
    assert isinstance(caught.value, ValueError)
    assert "two words" not in f"{caught.value}"
    assert "user:pw" not in f"{caught.value}"


async def test_calls_beside_each_other_keep_the_limits_of_the_server(door: Door) -> None:
    ai = door.client().use(server(max_concurrency=1))
    door.answers(sse(*events({"content": "Hi"})), completion())
    first = await door(ai, "chat", "Hi", "smollm2", stream=True)
    with pytest.raises(puter.PuterError):  # its permit is with the open stream
        await door(ai.with_options(deadline=0.05), "chat", "Hi", "smollm2")
    await chunks(first)
    assert await door(ai, "chat", "Hi", "smollm2") == "Hello!"


async def test_a_driver_of_one_conversation(door: Door) -> None:
    ai = door.client()
    talk: Any = ai.conversation(model="smollm2").use(server())
    door.answers(completion())
    assert await door(talk, "chat", "Hi") == "Hello!"
    assert "smollm2" not in ai.available_models


@pytest.mark.parametrize("stream", [False, True])
async def test_middleware_and_events_see_a_chat_at_another_server(door: Door, stream: bool) -> None:
    seen: list[Any] = []

    def whole(request: Any, call_next: Any) -> Any:
        seen.append((request.operation, request.model, request.stream))
        return (yield from map_chunks(call_next(request), str.upper))

    def attempt(request: Any, call_next: Any) -> Any:
        seen.append((request.url, request.model, KEY in f"{request.headers}"))
        return (yield from call_next(request))

    ai = client(door).use(whole).use(attempt, per_attempt=True)
    ai.on("call.end", lambda event: seen.append((event.name, event.model, event.usage)))
    door.answers(sse(*events({"content": "Hello!"})) if stream else completion())
    reply = await door(ai, "chat", "Hi", stream=stream)
    reply = await until_done(reply) if stream else reply
    assert reply == "HELLO!"
    assert seen == [
        ("chat", "smollm2", stream),
        (f"{BASE}/chat/completions", "smollm2", False),
        ("call.end", "smollm2", reply.usage),
    ]
    assert reply.usage.output_tokens == 5


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_on_this_machine_when_puters_is_down(door: Door, stream: bool) -> None:
    ai = door.client(max_retries=0).use(server()).use(Fallback("smollm2"))
    down = error_body("down", "upstream_provider_unavailable")
    door.answers((400, down), sse(*events({"content": "Hello!"})) if stream else completion())
    reply = await door(ai, "chat", "Hi", "gpt-5-nano", stream=stream)
    reply = await until_done(reply) if stream else reply
    assert (reply, reply.model) == ("Hello!", "smollm2")
    assert [one.headers["Authorization"] for one in door.sent] == [
        "Bearer test-token-secret", f"Bearer {KEY}",
    ]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
async def test_a_budget_counts_what_such_a_server_costs(door: Door, stream: bool) -> None:
    paid = door.client(default_model="smollm2").use(server()).use(Budget("0.50"))
    free = door.client(default_model="smollm2").use(server(free=True)).use(Budget("0.50"))
    door.answers(sse(*events({"content": "Hello!"})) if stream else completion())
    for _ in range(2):
        reply = await door(free, "chat", "Hi", stream=stream)
        assert (await until_done(reply) if stream else reply) == "Hello!"
    reply = await door(paid, "chat", "Hi", stream=stream)
    assert (await until_done(reply) if stream else reply).cost is None
    with pytest.raises(puter.PuterBudgetError):
        await door(paid, "chat", "Hi", stream=stream)


# ---------------------------------------------------------------- drivers of users


class Shouting:
    """A server with a form of its own: three methods, and nothing from Puter but the values."""

    name = "shouting"
    models = ("shouting",)

    def prepare(self, request: ChatRequest) -> HttpRequest:
        body = {"say": request.messages[-1]["content"], "live": request.stream}
        headers = {"Content-Type": "application/json"}
        return HttpRequest("POST", "https://shout.example/say", headers, json.dumps(body).encode())

    def read(self, reply: HttpReply) -> ChatReply:
        return ChatReply(reply.data["said"].upper(), usage=Usage(1, 2), cost=Decimal("0.5"))

    def read_line(self, line: bytes) -> list[ChatChunk]:
        data = json.loads(line)
        if "end" in data:
            return [ChatChunk("", type="usage", usage=Usage(1, 2), raw=data)]
        return [ChatChunk(data["say"].upper())]


DRIVERS: tuple[Driver, ...] = (Shouting(), server())  # as type checkers see them


async def test_a_drivers_three_methods_are_enough(door: Door) -> None:
    ai = door.client(token=None, default_model="shouting").use(Shouting())
    usage = {"end": 1, "usage": {"usd_cents": 50}, "finish_reason": "max_tokens"}
    door.answers({"said": "hello"}, stream_answer({"say": "hel"}, b"\n", {"say": "lo"}, usage))
    reply = await door(ai, "chat", "hello")
    assert door.sent[0].json == {"say": "hello", "live": False}
    assert (reply, reply.cost, reply.model, reply.provider) == (
        "HELLO", Decimal("0.5"), "shouting", "shouting",
    )  # fmt: skip
    stream = await door(ai, "chat", "hello", stream=True)
    assert [str(one) for one in await chunks(stream)] == ["HEL", "LO", ""]
    assert (stream.reply.cost, stream.reply.finish_reason) == (Decimal("0.5"), "length")
    assert ai.usage.cost == 1
    assert [one["content"] for one in ai.chat_history] == ["hello", "HELLO"] * 2


async def test_a_driver_that_never_tells_of_usage_is_complete_at_the_end(door: Door) -> None:
    ai = door.client().use(Shouting())
    door.answers(stream_answer({"say": "hel"}, {"say": "lo"}))
    reply = await until_done(await door(ai, "chat", "hello", "shouting", stream=True))
    assert (reply, reply.usage) == ("HELLO", Usage())


async def test_a_drivers_own_headers_go_first(door: Door) -> None:
    class Named(Shouting):
        def prepare(self, request: ChatRequest) -> HttpRequest:
            headers = {"user-agent": "parrot/1", "Content-Type": "application/json"}
            return HttpRequest("POST", "https://shout.example/say", headers, b"{}")

    door.answers({"said": "hello"})
    await door(door.client().use(Named()), "chat", "hello", "shouting")
    assert {name.lower() for name in door.sent[0].headers} == {
        "accept", "content-type", "user-agent",
    }  # fmt: skip
    assert door.sent[0].headers["user-agent"] == "parrot/1"


async def test_a_driver_without_read_line_gives_its_whole_answer_as_a_stream(door: Door) -> None:
    class Whole:
        name, models, read = "whole", {"shouting": "x"}, Shouting.read
        prepare = Shouting.prepare

    whole: Any = Whole()
    door.answers({"said": "hello"})
    stream = await door(door.client().use(whole), "chat", "hello", "shouting", stream=True)
    assert [str(one) for one in await chunks(stream)] == ["HELLO", ""]
    assert door.sent[0].json["live"] is False


@pytest.mark.parametrize(
    "answer", [{"other": 1}, stream_answer({"other": 1}), stream_answer(b"no json\n")]
)
async def test_what_a_driver_does_not_expect_is_an_error_with_its_name(
    door: Door, answer: Any
) -> None:
    ai = door.client().use(Shouting())
    door.answers(answer)
    stream = not isinstance(answer, dict)
    with pytest.raises(puter.PuterResponseError, match="The driver shouting cannot read"):
        await chunks(await door(ai, "chat", "hello", "shouting", stream=stream))
    assert len(door.sent) == 1
    assert ai.usage.unpriced == 1  # it may have been billed


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"prepare": None}, "has no method prepare"),
        ({"read": 3}, "has no method read"),
        ({"models": None}, "models"),
        ({"name": None}, "name"),
    ],
)
def test_what_is_no_driver_is_refused(change: dict[str, Any], told: str) -> None:
    from puter.engine.servers import Server

    with pytest.raises(puter.PuterConfigError, match=told):
        Server(type("Half", (Shouting,), change)())


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({"model": "x"}, "returned dict"),
        (HttpRequest("POST", "https://shout.example/", body="{}"), "body of type str"),  # type: ignore[arg-type]
        (HttpRequest("POST", "ftp://x/y"), "no http or https address"),
        (HttpRequest("POST", "/chat"), "no http or https address"),
        (HttpRequest("POST", f"https://ada:{KEY}@shout.example/"), "user or a password in its URL"),
    ],
)
async def test_what_is_no_request_is_refused(door: Door, made: Any, told: str) -> None:
    wrong = type("Wrong", (Shouting,), {"prepare": lambda self, request: made})()
    with pytest.raises(puter.PuterConfigError, match=told) as caught:
        await door(door.client().use(wrong), "chat", "Hi", "shouting")
    assert KEY not in str(caught.value)
    assert door.sent == []


async def test_read_line_of_openai_compatible_reads_lines_that_stand_alone() -> None:
    line = b'data: {"choices": [{"delta": {"content": "Hi"}}]}'
    assert server().read_line(line) == [ChatChunk("Hi")]
    assert server().read(HttpReply(200, {}, json.dumps(completion()).encode())) == "Hello!"
    assert json_answer(completion()).status == 200


# ---------------------------------------------------------------- beside other extensions


async def test_a_cache_keeps_what_each_server_said(door: Door) -> None:
    cache = Cache()
    door.answers(completion("small"), completion("large"), chat_body("of Puter"))
    small = client(door).use(cache)
    large = door.client(token=None).use(server(models={"smollm2": "SmolLM2-360M"})).use(cache)
    for _ in range(2):
        assert await door(small, "chat", "Hi", remember=False) == "small"
        assert await door(large, "chat", "Hi", "SmolLM2", remember=False) == "large"
        assert await door(door.client().use(cache), "chat", "Hi", "smollm2") == "of Puter"
    assert (len(door.sent), cache.hits) == (3, 3)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cassette_records_other_servers_without_their_key(
    door: Door, stream: bool, tmp_path: Path
) -> None:
    answer = sse(*events({"content": KEY}, {"content": "lo"})) if stream else completion(KEY)
    door.answers(answer)
    said = []
    for _ in range(2):
        cassette = Cassette(tmp_path / "tape.json")
        ai = client(door).use(cassette)
        reply = await door(ai, "chat", "Hi", stream=stream)
        said.append(await until_done(reply) if stream else reply)
        assert reply.reply.usage.output_tokens == 5 if stream else reply.usage
    assert len(door.sent) == 1
    assert said[0].startswith(KEY)
    assert said[1] == said[0].replace(KEY, "<redacted>")
