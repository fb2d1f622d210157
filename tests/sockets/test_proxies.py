"""Proxies, of the environment or given: the same through both doors."""

from __future__ import annotations

import base64
import contextlib
import logging
import socket
import ssl
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.transports.proxies import proxy_settings
from tests.sockets.proxy import Proxy
from tests.sockets.raw import Asked, RawServer, answer, closed_port, keeps, says

if TYPE_CHECKING:
    from tests.sockets.live import Live

CREDENTIALS = "Basic " + base64.b64encode(b"eve:sesame").decode()


def elsewhere(live: Live, **settings: Any) -> puter.PuterAI:
    """A client of the server under a name that only the proxy can resolve."""
    url = f"http://puter.test:{live.puter.port}"
    return live.client_at(url, token=live.puter.token, proxy=None, allow_http=True, **settings)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_the_proxy_of_the_environment(
    live: Live, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with Proxy() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        assert await live(elsewhere(live), "chat", "2 + 2") == "2 + 2 = 4"
        assert proxy.lines == [f"POST http://puter.test:{live.puter.port}/drivers/call"]
        assert proxy.requests[0].headers["authorization"] == f"Bearer {live.puter.token}"


async def test_a_proxy_without_scheme_in_the_environment(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
        assert await live(elsewhere(live), "chat", "2 + 2")
        assert len(proxy.lines) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "puter.localhost"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1"])
async def test_plain_http_to_this_machine_needs_no_proxy_of_the_environment(
    live: Live, monkeypatch: pytest.MonkeyPatch, host: str, proxy: str
) -> None:
    for variable in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, proxy)
    url = f"http://{host}:{live.puter.port}"
    ai = live.client_at(url, token=live.puter.token, proxy=None)
    assert await live(ai, "chat", "2 + 2") == "2 + 2 = 4"


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("http://127.0.0.1:80", True),
        ("http://127.8.8.8", True),
        ("http://[::1]:4000", True),
        ("http://a.localhost", True),
        ("http://localhost.example.org", False),
        ("http://128.0.0.1", False),
        ("https://127.0.0.1", False),
        ("https://localhost", False),
    ],
)
def test_what_this_machine_is(monkeypatch: pytest.MonkeyPatch, url: str, direct: bool) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.invalid:3128")
    assert proxy_settings(url, None, None).url == (None if direct else "http://proxy.invalid:3128")
    assert proxy_settings(url, "http://given:1", None).url == "http://given:1"


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        ("https://api.puter.com", "puter.com", True),
        ("https://api.puter.com", ".puter.com", True),
        ("https://api.puter.com", "PUTER.com", True),
        ("https://api.puter.com", "api.puter.com:443", False),  # the URL names no port
        ("https://api.puter.com:8443", "api.puter.com:8443", True),
        ("https://api.puter.com:8443", "puter.com:8443", True),
        ("https://api.puter.com:8443", "puter.com:443", False),
        ("https://api.puter.com", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.1.2.3", True),
        ("https://10.1.2.3", "example.org, 10.0.0.0/8 ,::1", True),
        ("https://10.1.2.3:8443", "10.1.2.0/24:8443", True),
        ("https://10.1.2.3:8443", "10.1.2.3:8443", True),
        ("https://10.1.2.3:8443", "10.1.2.3:443", False),
        ("https://10.1.2.3", "10.1.2.3:443", True),
        ("https://[::1]:8443", "::1", True),
        ("https://[::1]:8443", "[::1]", True),
        ("https://[::1]:8443", "[::1]:8443", True),
        ("https://[::1]:8443", "[::1]:443", False),
        ("https://[::1]", "localhost", False),
        ("https://[fd12::1]", "fd00::/8", True),
        ("https://[fe80::1]", "fd00::/8,10.0.0.0/8, ,x/y", False),
        ("https://[fd12::1]", "*", True),
        ("https://api.puter.com", "", False),
    ],
)
def test_what_no_proxy_names(
    monkeypatch: pytest.MonkeyPatch, url: str, no_proxy: str, direct: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, no_proxy)
        found = proxy_settings(url, None, None).url
        assert found == (None if direct else "http://proxy.invalid:3128")
        monkeypatch.delenv(variable)


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
    told = r"No connection to the proxy 127\.0\.0\.1:\d+: .*ECONNREFUSED.*Check the setting proxy"
    with pytest.raises(puter.PuterConnectionError, match=told) as caught:
        await live(ai, "chat", "Hi")
    assert (caught.value.sent, caught.value.attempts) == (False, 2)
    assert "sesame" not in everything(caught.value) + caplog.text + repr(ai.config)
    assert live.puter.requests == []


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_dead_proxy_of_the_environment_is_named(
    live: Live, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    port = closed_port()
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://127.0.0.1:{port}")
    ai = live.client_at(f"{scheme}://puter.test", proxy=None, allow_http=True, max_retries=0)
    told = rf"No connection to the proxy 127\.0\.0\.1:{port}: .*HTTPS_PROXY.*NO_PROXY"
    with pytest.raises(puter.PuterConnectionError, match=told):
        await live(ai, "chat", "Hi")


async def test_a_proxy_that_does_not_accept_in_time_is_named(live: Live) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # nobody accepts them, and no more fit
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        ai = live.client(proxy=f"http://127.0.0.1:{port}", connect_timeout=0.3, max_retries=0)
        told = rf"No connection to the proxy 127\.0\.0\.1:{port} within 0\.3 s"
        with pytest.raises(puter.PuterTimeoutError, match=told):
            await live(ai, "chat", "Hi")
        for one in waiting:
            one.close()


@pytest.mark.parametrize(
    ("kind", "secure"), [("sync", False), ("sync", True), ("async", True)], ids=str
)
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
    assert len(proxy.requests) == 1  # and none again
    assert isinstance(caught.value, puter.PuterConnectionError)
    assert (caught.value.sent, caught.value.retryable) == (False, False)
    assert (caught.value.status, caught.value.attempts) == (407, 1)
    told = f"The proxy 127.0.0.1:{proxy.port} did not accept the user and password"
    assert told in str(caught.value)
    assert "the setting proxy before the host, as user:password@." in str(caught.value)
    assert "swordfish" not in everything(caught.value) + caplog.text
    assert "test-token-secret" not in everything(caught.value) + caplog.text


@pytest.mark.parametrize(("status", "attempts"), [("403 Forbidden", 1), ("503 Busy", 2)])
async def test_a_proxy_that_opens_no_tunnel(live: Live, status: str, attempts: int) -> None:
    with RawServer(says(answer(b"", status=status))) as server:
        ai = live.client_at("https://puter.test", proxy=server.url, max_retries=1)
        with pytest.raises(puter.PuterConnectionError, match=status[:3]) as caught:
            await live(ai, "chat", "Hi")
    assert (caught.value.sent, caught.value.attempts) == (False, attempts)
    assert "the proxy 127.0.0.1" in str(caught.value)


STARTED = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("piece", [b"X", b"X: y\r\n", b"X: y\r\n" * 10_000])
async def test_a_proxy_that_never_ends_its_answer(live: Live, piece: bytes) -> None:
    def handler(sock: socket.socket, _asked: Asked) -> None:
        sock.sendall(STARTED)
        with contextlib.suppress(OSError):  # the client has had enough
            while True:
                sock.sendall(piece)
                time.sleep(0.0 if len(piece) > 100 else 0.1)

    with RawServer(handler) as server:
        ai = live.client_at(
            "https://puter.test", proxy=server.url, connect_timeout=1.0, max_retries=0
        )
        with pytest.raises(puter.PuterConnectionError, match="the proxy 127") as caught:
            await live(ai, "chat", "Hi")
    assert not caught.value.sent


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
        await live(elsewhere(live), "chat", "Hi")
    assert live.puter.requests == []
