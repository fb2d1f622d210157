"""What is sent once, and what is sent again."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import aiohttp
import pytest

import puter
from puter.testing import Disconnect, Failure, Fault, Hang, LocalPuter, Reset, UpstreamFailure
from tests.sockets.raw import Asked, RawServer, closed_port

if TYPE_CHECKING:
    from tests.sockets.live import Live


async def test_a_chat_without_an_answer_is_sent_once(live: Live) -> None:
    ai = live.client(timeout=0.3)
    live.puter.reply_with(Hang())
    begun = time.monotonic()
    with pytest.raises(puter.PuterTimeoutError, match=r"silent for 0\.3 s") as caught:
        await live(ai, "chat", "Hi")
    assert 0.3 <= time.monotonic() - begun < 20
    assert (caught.value.sent, caught.value.attempts) == (True, 1)
    assert len(live.puter.requests) == 1
    assert ai.chat_history == []


async def test_a_chat_without_an_answer_is_sent_again_when_told_so(live: Live) -> None:
    ai = live.client(timeout=2, retry_on_timeout=True)
    live.puter.reply_with(Hang(), "Hello!")
    reply = await live(ai, "chat", "Hi")
    assert (reply, reply.attempts) == ("Hello!", 2)
    assert len(live.puter.requests) == 2


async def test_a_free_request_without_an_answer_is_sent_again(live: Live) -> None:
    ai = live.client(timeout=2)  # the second answer comes within it
    live.puter.fail_next(Hang(), path="/whoami")
    assert (await live(ai, "whoami")).username == "alice"
    assert len(live.puter.requests) == 2


async def test_a_timeout_of_one_call_is_that_calls_own(live: Live) -> None:
    ai = live.client()
    live.puter.reply_with(Hang(), "Hello!")
    with pytest.raises(puter.PuterTimeoutError):
        await live(ai, "chat", "Hi", timeout=0.1)
    assert ai.config.timeout == 300
    assert await live(ai, "chat", "Hi") == "Hello!"


@pytest.mark.parametrize("fault", [Disconnect(), Reset()], ids=["closed", "reset"])
async def test_a_chat_whose_connection_is_cut_is_sent_once(live: Live, fault: Fault) -> None:
    ai = live.client()
    live.puter.reply_with("Hello!", fault)
    await live(ai, "chat", "Hi")  # so that the cut one runs on a kept connection
    with pytest.raises(puter.PuterConnectionError) as caught:
        await live(ai, "chat", "Are you there?")
    assert (caught.value.sent, caught.value.attempts) == (True, 1)
    assert not isinstance(caught.value, puter.PuterTimeoutError)
    assert len(live.puter.requests) == 2
    assert len(ai.chat_history) == 2


async def test_a_free_request_whose_connection_is_cut_is_sent_again(live: Live) -> None:
    ai = live.client()
    live.puter.fail_next(Disconnect(), path="/whoami")
    assert (await live(ai, "whoami")).username == "alice"
    assert len(live.puter.requests) == 2


@pytest.mark.skipif(
    "_retry_connection" not in aiohttp.ClientSession.ATTRS, reason="older aiohttp has no switch"
)
async def test_nobody_but_us_sends_a_request_again(live: Live) -> None:
    ai = live.client(max_retries=0)
    assert await live(ai, "whoami")  # so that the next runs on a kept connection
    live.puter.fail_next(Disconnect(), path="/whoami")
    with pytest.raises(puter.PuterConnectionError) as caught:
        await live(ai, "whoami")
    assert (caught.value.sent, caught.value.attempts) == (True, 1)
    assert len(live.puter.requests) == 2


async def test_a_refused_connection_is_tried_again_until_the_server_is_there(live: Live) -> None:
    port = closed_port()
    late = LocalPuter(port=port)
    settings = {"max_retries": 40, "retry_delay": 0.02, "backoff_factor": 1}
    ai = live.client_at(f"http://127.0.0.1:{port}", token=late.token, **settings)
    starter = threading.Timer(0.2, late.start)
    starter.start()
    reply = await live(ai, "chat", "Hi")
    starter.join()
    late.stop()
    assert reply.attempts > 1
    assert len(late.requests) == 1


async def test_nobody_listening_is_an_error_that_counts_its_attempts(live: Live) -> None:
    ai = live.client_at(f"http://127.0.0.1:{closed_port()}", max_retries=3)
    with pytest.raises(puter.PuterConnectionError, match="Connection refused") as caught:
        await live(ai, "chat", "Hi")
    assert (caught.value.sent, caught.value.attempts) == (False, 4)
    assert caught.value.retryable
    assert ai.chat_history == []


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 500, 503])
async def test_a_refused_chat_is_sent_once(live: Live, status: int) -> None:
    ai = live.client()
    live.puter.reply_with(Failure(status))
    with pytest.raises(puter.PuterError) as caught:
        await live(ai, "chat", "Hi")
    assert (caught.value.status, caught.value.attempts) == (status, 1)
    assert len(live.puter.requests) == 1
    assert ai.chat_history == []


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_free_request_is_sent_again_after_a_server_failure(live: Live, status: int) -> None:
    ai = live.client()
    live.puter.fail_next(Failure(status), times=2, path="/whoami")
    assert (await live(ai, "whoami")).username == "alice"
    assert len(live.puter.requests) == 3


@pytest.mark.parametrize(
    "fault", [Failure(429), UpstreamFailure(429)], ids=["Puter's gate", "the vendor's"]
)
async def test_a_429_is_waited_out(live: Live, fault: Fault) -> None:
    ai = live.client()
    live.puter.reply_with(fault, fault, "Hello!")
    reply = await live(ai, "chat", "Hi")
    assert (reply, reply.attempts) == ("Hello!", 3)
    assert [record.status for record in live.puter.chats] == [429, 429, 200]
    assert len(ai.chat_history) == 2


async def test_a_stated_wait_is_obeyed_or_refused_at_once(live: Live) -> None:
    ai = live.client(max_retry_delay=5)
    live.puter.reply_with(Failure(429, headers={"Retry-After": "0.3"}), "Hello!")
    begun = time.monotonic()
    assert await live(ai, "chat", "Hi") == "Hello!"
    assert time.monotonic() - begun >= 0.3
    live.puter.reply_with(Failure(429, headers={"Retry-After": "6"}))
    with pytest.raises(puter.PuterRateLimitError) as caught:
        await live(ai, "chat", "Hi")
    assert caught.value.retry_after == 6
    assert len(live.puter.requests) == 3


def _closes(_sock: socket.socket, _asked: Asked) -> None:
    """Reads the request, and hangs up."""


async def test_a_chat_that_a_proxy_has_read_is_sent_once(live: Live) -> None:
    with RawServer(_closes) as proxy:
        ai = live.client_at("http://api.puter.localhost:9", proxy=proxy.url)
        with pytest.raises(puter.PuterConnectionError) as caught:
            await live(ai, "chat", "Hi")
        assert (caught.value.sent, len(proxy.requests)) == (True, 1)
