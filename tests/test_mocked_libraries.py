"""A client under ``responses`` and ``aioresponses``, as users mock the libraries below it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import requests
import responses
import urllib3
from aiohttp.client_reqrep import ConnectionKey
from aioresponses import aioresponses

import puter
from tests.door import chat_body, error_body, lines

URL = "https://api.puter.com/drivers/call"
NDJSON = "application/x-ndjson"
STREAM = lines(
    {"type": "text", "text": "Hel"},
    {"type": "text", "text": "lo!"},
    {"type": "usage", "usage": {"prompt_tokens": 11, "completion_tokens": 7}},
)
POOL: Any = None
KEY: Any = ConnectionKey("api.puter.com", 443, True, True, None, None, None)


class Blocking:
    """The sync methods under ``responses``."""

    refused = requests.ConnectionError(
        urllib3.exceptions.MaxRetryError(
            POOL, "/", urllib3.exceptions.NewConnectionError(POOL, "refused")
        )
    )
    connect_timeout = requests.ConnectTimeout("slow")
    silence = requests.ReadTimeout("silent")
    cut = requests.ConnectionError(
        urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset"))
    )

    def __init__(self, mock: responses.RequestsMock) -> None:
        self._mock = mock

    def answers(self, body: Any, status: int = 200, **more: Any) -> None:
        if isinstance(body, dict):
            self._mock.post(URL, json=body, status=status)
        else:
            self._mock.post(URL, body=body, status=status, **more)

    @property
    def sent(self) -> list[tuple[str, Any]]:
        """Authorization and body of each request."""
        seen = [call.request for call in self._mock.calls]
        return [(one.headers["Authorization"], one.body) for one in seen]

    async def chat(self, ai: puter.PuterAI, **options: Any) -> tuple[str, list[str]]:
        """The reply, and the chunks of a stream."""
        answer: Any = ai.chat("Hi", **options)
        if not options.get("stream"):
            return answer, []
        chunks = [str(chunk) for chunk in answer]
        return answer.reply, chunks


class Asynchronous:
    """The async methods under ``aioresponses``."""

    refused = aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "refused"))
    connect_timeout = aiohttp.ConnectionTimeoutError("slow")
    silence = aiohttp.SocketTimeoutError("silent")
    cut = aiohttp.ServerDisconnectedError()

    def __init__(self, mock: aioresponses) -> None:
        self._mock = mock

    def answers(self, body: Any, status: int = 200, **more: Any) -> None:
        if isinstance(body, Exception):
            self._mock.post(URL, exception=body)
        elif isinstance(body, dict):
            self._mock.post(URL, payload=body, status=status)
        else:
            self._mock.post(URL, body=body, status=status, **more)

    @property
    def sent(self) -> list[tuple[str, Any]]:
        return [
            (call.kwargs["headers"]["Authorization"], call.kwargs["data"])
            for calls in self._mock.requests.values()
            for call in calls
        ]

    async def chat(self, ai: puter.PuterAI, **options: Any) -> tuple[str, list[str]]:
        answer: Any = await ai.async_chat("Hi", **options)
        if not options.get("stream"):
            return answer, []
        chunks = [str(chunk) async for chunk in answer]
        return answer.reply, chunks


@pytest.fixture(params=["sync", "async"])
def library(request: pytest.FixtureRequest) -> Iterator[Blocking | Asynchronous]:
    if request.param == "sync":
        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            yield Blocking(mock)
        return
    # aioresponses 0.7.9 builds ClientResponse without the `stream_writer` of newer aiohttp.
    initialize: Any = aiohttp.ClientResponse.__init__
    before = initialize.__kwdefaults__
    initialize.__kwdefaults__ = {**(before or {}), "stream_writer": SimpleNamespace(output_size=0)}
    try:
        with aioresponses() as mock:
            yield Asynchronous(mock)
    finally:
        initialize.__kwdefaults__ = before


Library = Blocking | Asynchronous


async def test_a_chat_is_answered(library: Library) -> None:
    library.answers(chat_body("Hello!"))
    async with puter.PuterAI(token="t-o-k-e-n") as ai:
        reply, _ = await library.chat(ai)
    assert reply == "Hello!"
    [(authorization, body)] = library.sent
    assert authorization == "Bearer t-o-k-e-n"
    assert b'"content":"Hi"' in body.replace(b'": ', b'":')


async def test_a_stream_is_read(library: Library) -> None:
    library.answers(STREAM, content_type=NDJSON)
    async with puter.PuterAI(token="t") as ai:
        reply, chunks = await library.chat(ai, stream=True)
    assert "".join(chunks) == reply == "Hello!"
    assert len(library.sent) == 1


async def test_an_error_of_the_server_is_typed_and_429_is_waited_out(library: Library) -> None:
    library.answers(error_body("slow", "too_many_requests"), 429)
    library.answers(error_body("No usage left", "insufficient_funds"), 402)
    async with puter.PuterAI(token="t", retry_delay=0) as ai:
        with pytest.raises(puter.PuterInsufficientFundsError) as caught:
            await library.chat(ai)
    assert caught.value.attempts == len(library.sent) == 2


FAULTS: dict[str, tuple[type[puter.PuterError], bool, str]] = {
    "refused": (puter.PuterConnectionError, False, "No connection"),
    "connect_timeout": (puter.PuterTimeoutError, False, "No connection"),
    "silence": (puter.PuterTimeoutError, True, "silent"),
    "cut": (puter.PuterConnectionError, True, "closed the connection"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failure_of_the_library_is_typed(library: Library, fault: str) -> None:
    kind, sent, told = FAULTS[fault]
    library.answers(getattr(library, fault))
    async with puter.PuterAI(token="hush-hush", max_retries=0) as ai:
        with pytest.raises(kind, match=re.escape(told)) as caught:
            await library.chat(ai)
    assert type(caught.value) is kind
    assert isinstance(caught.value, puter.PuterConnectionError)
    assert caught.value.sent is sent
    assert "hush" not in repr(vars(caught.value)) + str(caught.value)


@pytest.mark.parametrize(("fault", "again"), [("refused", True), ("silence", False)])
async def test_a_billed_call_is_repeated_only_if_it_was_not_sent(
    library: Library, fault: str, again: bool
) -> None:
    library.answers(getattr(library, fault))
    library.answers(chat_body("Hello!"))
    chat: Callable[..., Any] = library.chat
    async with puter.PuterAI(token="t", retry_delay=0) as ai:
        if again:
            assert (await chat(ai))[0] == "Hello!"
        else:
            with pytest.raises(puter.PuterTimeoutError):
                await chat(ai)
    assert len(library.sent) == (2 if again else 1)


def test_a_double_compares_the_whole_of_a_large_request() -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(10**6)
    sent: list[Any] = []

    def double(request: Any) -> tuple[int, dict[str, str], str]:
        sent.append(json.loads(request.body))
        return 200, {}, json.dumps(chat_body("A cat."))

    with responses.RequestsMock() as mock, puter.PuterAI(token="t") as ai:
        mock.add_callback("POST", URL, double, content_type="application/json")
        ai.chat("What is it?", images=picture)
    (message,) = sent[0]["args"]["messages"]
    assert len(json.dumps(message)) > 10**6
