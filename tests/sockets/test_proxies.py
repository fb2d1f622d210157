"""Proxies, of the environment or given: the same through both doors."""

from __future__ import annotations

import base64
import logging
import ssl
import traceback
from typing import TYPE_CHECKING

import pytest

import puter
from tests.sockets.proxy import Proxy
from tests.sockets.raw import RawServer, closed_port, keeps, says

if TYPE_CHECKING:
    from tests.sockets.live import Live

CREDENTIALS = "Basic " + base64.b64encode(b"eve:sesame").decode()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_the_proxy_of_the_environment(
    live: Live, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with Proxy() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        ai = live.client(proxy=None)
        assert await live(ai, "chat", "2 + 2") == "2 + 2 = 4"
        assert proxy.lines == [f"POST {live.puter.url}/drivers/call"]
        assert proxy.requests[0].headers["authorization"] == f"Bearer {live.puter.token}"


async def test_a_proxy_without_scheme_in_the_environment(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
        assert await live(live.client(proxy=None), "chat", "2 + 2")
        assert len(proxy.lines) == 1


@pytest.mark.parametrize("hosts", ["127.0.0.1", "example.org,127.0.0.1", "*", "127.0.0.1:{port}"])
async def test_hosts_that_need_no_proxy(
    live: Live, monkeypatch: pytest.MonkeyPatch, hosts: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("NO_PROXY", hosts.format(port=live.puter.port))
    assert await live(live.client(proxy=None), "chat", "2 + 2") == "2 + 2 = 4"


async def test_no_proxy_at_all_whatever_the_environment_says(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    assert await live(live.client(proxy=""), "chat", "2 + 2") == "2 + 2 = 4"


async def test_a_proxy_given_beats_the_environment(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("NO_PROXY", "*")
    with Proxy() as proxy:
        ai = live.client(proxy=proxy.url)
        for _ in range(3):
            assert await live(ai, "chat", "2 + 2") == "2 + 2 = 4"
        assert len(proxy.lines) == 3


async def test_two_clients_with_two_proxies(live: Live) -> None:
    with Proxy() as one, Proxy() as two:
        first, second = live.client(proxy=one.url), live.client(proxy=two.url)
        await live(first, "chat", "Hi")
        await live(second, "chat", "Hi")
        await live(first, "chat", "Hi")
        assert (len(one.lines), len(two.lines)) == (2, 1)


async def test_the_login_goes_through_the_proxy_too(live: Live) -> None:
    with Proxy() as proxy:
        ai = live.client(proxy=proxy.url, username="alice", password="correct horse")
        await live(ai, "login")
        assert proxy.lines == [f"POST {live.puter.url}/login"]


async def test_a_tunnel_to_https(live: Live, server_tls: ssl.SSLContext, bundle: str) -> None:
    with RawServer(keeps(), tls=server_tls) as server:
        with Proxy(CREDENTIALS) as proxy:
            given = f"http://eve:sesame@127.0.0.1:{proxy.port}"
            ai = live.client_at(server.url, proxy=given, verify=bundle)
            for _ in range(2):
                assert await live(ai, "chat", "Hi") == "Hello!"
            await live.close()
        assert proxy.lines == [f"CONNECT 127.0.0.1:{server.port}"]
        assert "authorization" not in proxy.requests[0].headers
    assert not any("proxy-authorization" in asked.headers for asked in server.requests)


async def test_a_proxy_with_credentials(live: Live) -> None:
    with Proxy(CREDENTIALS) as proxy:
        ai = live.client(proxy=f"http://eve:sesame@127.0.0.1:{proxy.port}")
        assert await live(ai, "chat", "2 + 2") == "2 + 2 = 4"
        assert len(proxy.lines) == 1


def everything(error: BaseException) -> str:
    """All that a person may see of an error, its causes included."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


async def test_nobody_is_at_the_proxy(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ai = live.client(proxy=f"http://eve:sesame@127.0.0.1:{closed_port()}", max_retries=1)
    with pytest.raises(puter.PuterConnectionError, match="proxy") as caught:
        await live(ai, "chat", "Hi")
    assert (caught.value.sent, caught.value.attempts) == (False, 2)
    assert "sesame" not in everything(caught.value) + caplog.text + repr(ai.config)
    assert live.puter.requests == []


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tunnel"])
async def test_a_proxy_that_refuses_the_credentials(
    live: Live,
    caplog: pytest.LogCaptureFixture,
    server_tls: ssl.SSLContext,
    bundle: str,
    secure: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    with RawServer(says(), tls=server_tls if secure else None) as server:
        with Proxy(CREDENTIALS) as proxy:
            given = f"http://eve:swordfish@127.0.0.1:{proxy.port}"
            ai = live.client_at(server.url, proxy=given, verify=bundle, max_retries=1)
            with pytest.raises(puter.PuterAPIError) as caught:
                await live(ai, "chat", "Hi")
        assert server.requests == []
    assert "proxy" in str(caught.value)
    assert "swordfish" not in everything(caught.value) + caplog.text
    assert "test-token-secret" not in everything(caught.value) + caplog.text


async def test_a_proxy_that_speaks_no_http(live: Live) -> None:
    with RawServer(says(b"220 smtp.example.org ESMTP\r\n")) as server:
        ai = live.client(proxy=server.url, max_retries=1)
        with pytest.raises(puter.PuterAPIError):
            await live(ai, "chat", "Hi")
        assert len(server.requests) == 1


async def test_a_socks_proxy_in_the_environment_is_refused_with_a_word(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(puter.PuterConfigError, match="socks5 proxy"):
        await live(live.client(proxy=None), "chat", "Hi")
    assert live.puter.requests == []
