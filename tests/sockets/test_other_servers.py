"""A server of OpenAI's form over real sockets: what it is sent, and streams that break off."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.extensions import OpenAICompatible
from tests.door import chunks, until_done
from tests.sockets.raw import Asked, RawServer, answer, resets, says

if TYPE_CHECKING:
    import socket

    from tests.sockets.live import Live

HELLO = {"choices": [{"message": {"content": "Hello!"}, "finish_reason": "stop"}]}
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)


def event(text: str) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\r\n\r\n".encode()


def streamed(*pieces: bytes, ends: bool = True) -> bytes:
    """A streamed answer, each piece a chunk of HTTP."""
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces)
    return HEAD + chunked + (b"0\r\n\r\n" if ends else b"")


def client(live: Live, server: RawServer, **settings: Any) -> puter.PuterAI:
    """A client of a Puter as well, to which the token belongs."""
    ai = live.client(default_model="m", **settings)
    return ai.use(OpenAICompatible(f"{server.url}/v1", models=["m"], api_key="sk-other"))


async def test_what_it_is_sent(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nobody listens there
    with RawServer(says(answer(json.dumps(HELLO).encode()))) as server:
        ai = client(live, server, headers={"X-Team": "blue"}, proxy="http://127.0.0.1:9")
        assert await live(ai, "chat", "Hi") == "Hello!"
    (asked,) = server.requests
    assert asked.line == "POST /v1/chat/completions HTTP/1.1"
    assert asked.headers["authorization"] == "Bearer sk-other"
    assert "x-team" not in asked.headers
    assert live.puter.token not in f"{asked}"
    assert json.loads(asked.body)["messages"] == [{"role": "user", "content": "Hi"}]


async def test_a_stream(live: Live) -> None:
    pieces = (event("Hel"), b": keep-alive\n\n", event("lo"), b"data: [DO", b"NE]\r\n\r\n")
    with RawServer(says(streamed(*pieces))) as server:
        stream = await live(client(live, server), "chat", "Hi", stream=True)
        assert await until_done(stream) == "Hello"


@pytest.mark.parametrize(
    "handler",
    [
        says(streamed(event("Hel"), ends=False)),
        says(streamed(event("Hel"))),
        resets(streamed(event("Hel"), ends=False)),
        says(streamed(event("Hel"), b"data: {oops\n\n", event("lo"))),
    ],
    ids=["cut", "ended cleanly, but too early", "reset", "damaged"],
)
async def test_a_stream_that_breaks_off(live: Live, handler: Any) -> None:
    with RawServer(handler) as server:
        ai = client(live, server)
        stream = await live(ai, "chat", "Hi", stream=True)
        with pytest.raises(puter.PuterStreamError) as caught:
            await chunks(stream)
        assert len(server.requests) == 1
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hel"
    assert ai.chat_history == []


async def test_a_429_with_retry_after(live: Live) -> None:
    body = json.dumps({"error": {"message": "Slow down"}}).encode()
    busy = answer(body, "Retry-After: 0.01", status="429 Too Many Requests")
    answers = [busy, answer(json.dumps(HELLO).encode())]

    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(answers.pop(0))

    with RawServer(handler) as server:
        reply = await live(client(live, server), "chat", "Hi")
    assert (reply, reply.attempts) == ("Hello!", 2)


async def test_a_server_that_is_not_there(live: Live) -> None:
    with RawServer(says()) as server:
        ai = client(live, server, max_retries=1)
    with pytest.raises(puter.PuterConnectionError) as caught:
        await live(ai, "chat", "Hi")
    assert (caught.value.sent, caught.value.attempts) == (False, 2)
