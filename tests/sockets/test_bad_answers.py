"""Answers that are none: always one of our errors, sent once, and nothing remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.testing import Failure, Fault, InvalidUtf8, LocalPuter, Redirect
from tests.sockets.raw import CHAT, RawServer, answer, says

if TYPE_CHECKING:
    from tests.sockets.live import Live

HTML = "<!DOCTYPE html><html><body>Welcome</body></html>"


def json(body: bytes) -> Fault:
    """A 200 that says it is JSON."""
    return Failure(200, body=body, content_type="application/json")


NONE = {
    "a page": (Failure(200, body=HTML), puter.PuterResponseError, "an HTML page"),
    "nothing": (Failure(200, body=""), puter.PuterResponseError, "an empty body"),
    "no JSON": (json(b""), puter.PuterEmptyResponseError, "an empty body"),
    "half": (json(b"{"), puter.PuterResponseError, "broken JSON"),
    "deep": (json(b"[" * 99999), puter.PuterResponseError, "broken JSON"),
    "not UTF-8": (InvalidUtf8(), puter.PuterResponseError, "broken JSON"),
    "null": (json(b"null"), puter.PuterResponseError, "shape"),
    "a list": (json(b"[1]"), puter.PuterResponseError, "shape"),
    "a picture": (
        Failure(200, body=CHAT, content_type="image/png"),
        puter.PuterResponseError,
        "image/png",
    ),
    "page 502": (Failure(502, body=HTML), puter.PuterServerError, "an HTML page"),
    "nothing 503": (Failure(503, body=""), puter.PuterServerError, "an empty body"),
    "page 403": (Failure(403, body=HTML), puter.PuterPermissionError, "an HTML page"),
    "page 404": (Failure(404, body=HTML), puter.PuterResponseError, "an HTML page"),
    "redirect": (Redirect("/"), puter.PuterResponseError, "a redirect to '/'"),
}


@pytest.mark.parametrize(("fault", "error", "words"), NONE.values(), ids=NONE)
async def test_an_answer_that_is_none(live: Live, fault: Any, error: Any, words: str) -> None:
    ai = live.client()
    live.puter.reply_with(fault)
    with pytest.raises(error, match=words) as caught:
        await live(ai, "chat", "Hi")
    assert caught.value.hint
    assert len(live.puter.requests) == 1
    assert ai.chat_history == []
    assert await live(ai, "chat", "2 + 2") == "2 + 2 = 4"  # the client is none the worse


OK = b"HTTP/1.1 200 OK\r\n"
BYTES = {
    "no gzip": (answer(b"plain", "Content-Encoding: gzip"), puter.PuterResponseError),
    "no brotli": (answer(b"plain", "Content-Encoding: br"), puter.PuterResponseError),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", puter.PuterEmptyResponseError),
    "304": (b"HTTP/1.1 304 Not Modified\r\n\r\n", puter.PuterResponseError),
    "bad type": (
        OK + b"Content-Length: 2\r\nContent-Type: caf\xc3\xa9;;=\r\n\r\n{}",
        puter.PuterAPIError,
    ),
    "nothing": (b"", puter.PuterConnectionError),
}


@pytest.mark.parametrize(("reply", "error"), BYTES.values(), ids=BYTES)
async def test_bytes_that_are_no_answer(live: Live, reply: bytes, error: Any) -> None:
    with RawServer(says(reply)) as server:
        ai = live.client_at(server.url)
        with pytest.raises(error) as caught:
            await live(ai, "chat", "Hi")
    assert caught.value.hint
    assert ai.chat_history == []
    assert len(server.requests) == 1
    assert ai.usage.unpriced == ai.usage.requests == (0 if caught.value.status == 304 else 1)


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
async def test_a_redirect_is_not_followed_and_the_token_not_shown_around(
    live: Live, status: str
) -> None:
    with RawServer(says(answer())) as elsewhere:
        moved = answer(b"", f"Location: {elsewhere.url}/drivers/call?token=x", status=status)
        with RawServer(says(moved)) as server:
            ai = live.client_at(server.url)
            with pytest.raises(puter.PuterResponseError, match="a redirect to") as caught:
                await live(ai, "chat", "Hi")
        assert "api_base" in caught.value.hint
        assert elsewhere.requests == []
    assert len(server.requests) == 1


async def test_calls_sent_to_the_gui_host(live: Live) -> None:
    with LocalPuter(tier=None, one_port=False) as local:
        ai = live.client(local, api_base=local.gui_url)
        with pytest.raises(puter.PuterNotFoundError, match="Not Found") as caught:
            await live(ai, "chat", "Hi")
        assert "api_base" in caught.value.hint
        with pytest.raises(puter.PuterResponseError, match="redirect") as caught_too:
            await live(ai, "whoami")
        assert "api_base" in caught_too.value.hint
        assert [record.method for record in local.requests] == ["POST", "GET"]


async def test_a_login_sent_to_the_api_host(live: Live) -> None:
    with LocalPuter(tier=None, one_port=False) as local:
        names = {"username": local.username, "password": local.password}
        ai = live.client(local, login_url=local.api_base, **names)
        with pytest.raises(puter.PuterResponseError, match="no sign-in at login_url"):
            await live(ai, "login")
        assert len(local.requests) == 1
        good = live.client(local, **names)
        assert await live(good, "login") is True
        assert await live(good, "chat", "Hi")


async def test_the_words_of_aiohttp_tell_no_status_that_nobody_sent() -> None:
    with RawServer(says(answer(CHAT).replace(b"HTTP/1.1", b"HTTP/1.9", 1))) as host:
        ai = puter.PuterAI(token="t", api_base=host.url, proxy="", max_retries=0)
        with pytest.raises(puter.PuterResponseError) as caught:
            await ai.async_chat("Hi")
        await ai.async_close()
    (told,) = str(caught.value).splitlines()
    assert "could not be read: " in told
    assert "Invalid HTTP version" in told
    assert "message:" not in told
