"""Certificates: which are trusted, and what happens to the others."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import puter
from tests.sockets.proxy import Proxy
from tests.sockets.raw import RawServer, keeps

if TYPE_CHECKING:
    from tests.sockets.live import Live


@pytest.fixture
def secure(server_tls: ssl.SSLContext) -> Iterator[RawServer]:
    with RawServer(keeps(), tls=server_tls) as server:
        yield server


async def test_a_bundle_given(live: Live, secure: RawServer, bundle: str) -> None:
    ai = live.client_at(secure.url, verify=bundle)
    for _ in range(3):
        assert await live(ai, "chat", "Hi") == "Hello!"
    await live.close()
    assert secure.connections == 1


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_a_bundle_of_the_environment(
    live: Live, secure: RawServer, bundle: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, bundle)
    assert await live(live.client_at(secure.url), "chat", "Hi") == "Hello!"


async def test_a_certificate_of_nobody_we_know(live: Live, secure: RawServer) -> None:
    ai = live.client_at(secure.url)
    with pytest.raises(puter.PuterConnectionError, match=r"certificate of 127\.0\.0\.1") as caught:
        await live(ai, "chat", "Hi")
    assert (caught.value.sent, caught.value.attempts, caught.value.retryable) == (False, 1, False)
    assert "verify=" in caught.value.hint
    await live.close()
    assert (secure.connections, secure.requests) == (1, [])


async def test_a_port_that_speaks_plain_http(live: Live) -> None:
    ai = live.client_at(f"https://127.0.0.1:{live.puter.port}")
    with pytest.raises(puter.PuterConnectionError, match="did not speak TLS") as caught:
        await live(ai, "chat", "Hi")
    assert "http://" in caught.value.hint
    assert "EPERM" not in str(caught.value)
    assert (caught.value.sent, caught.value.attempts) == (False, 1)


async def test_a_proxy_that_speaks_plain_http(live: Live) -> None:
    with Proxy() as proxy:
        ai = live.client_at("https://127.0.0.1:1", proxy=f"https://127.0.0.1:{live.puter.port}")
        with pytest.raises(puter.PuterConnectionError, match=r"proxy .* did not speak TLS"):
            await live(ai, "chat", "Hi")
        ai = live.client_at(f"https://127.0.0.1:{live.puter.port}", proxy=proxy.url)
        with pytest.raises(puter.PuterConnectionError, match="did not speak TLS") as caught:
            await live(ai, "chat", "Hi")
    assert "proxy" not in str(caught.value)


async def test_a_handshake_that_fails_is_no_error_of_the_system(live: Live, bundle: str) -> None:
    without_certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with (
        RawServer(keeps(), tls=without_certificate) as server,
        pytest.raises(puter.PuterConnectionError, match="TLS handshake failed") as caught,
    ):
        await live(live.client_at(server.url, verify=bundle), "chat", "Hi")
    assert "EPERM" not in str(caught.value)


async def test_the_environment_is_not_asked_with_verify_true(
    live: Live, secure: RawServer, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    with pytest.raises(puter.PuterConnectionError, match="certificate"):
        await live(live.client_at(secure.url, verify=True), "chat", "Hi")


async def test_a_certificate_for_another_name(live: Live, secure: RawServer, bundle: str) -> None:
    ai = live.client_at(f"https://localhost:{secure.port}", verify=bundle, max_retries=1)
    with pytest.raises(puter.PuterConnectionError, match="certificate of localhost") as caught:
        await live(ai, "chat", "Hi")
    assert (caught.value.sent, caught.value.attempts) == (False, 1)
    assert secure.requests == []


async def test_two_clients_trust_different_bundles(
    live: Live, secure: RawServer, bundle: str
) -> None:
    trusting, strict = live.client_at(secure.url, verify=bundle), live.client_at(secure.url)
    assert await live(trusting, "chat", "Hi") == "Hello!"
    with pytest.raises(puter.PuterConnectionError):
        await live(strict, "chat", "Hi")
    assert await live(trusting, "chat", "Hi") == "Hello!"


async def test_a_client_that_stops_trusting_does_so_at_once(
    live: Live, secure: RawServer, bundle: str
) -> None:
    ai = live.client_at(secure.url, verify=bundle)
    await live(ai, "chat", "Hi")
    ai.config.update(verify=True)
    with pytest.raises(puter.PuterConnectionError, match="certificate"):
        await live(ai, "chat", "Hi")
    assert len(secure.requests) == 1


async def test_https_to_a_plain_server(live: Live) -> None:
    ai = live.client_at(live.puter.url.replace("http:", "https:"), max_retries=1)
    with pytest.raises(puter.PuterConnectionError) as caught:
        await live(ai, "chat", "Hi")
    assert caught.value.hint
    assert live.puter.requests == []


async def test_plain_http_to_a_tls_server(live: Live, secure: RawServer) -> None:
    ai = live.client_at(secure.url.replace("https:", "http:"), max_retries=1)
    with pytest.raises(puter.PuterAPIError) as caught:
        await live(ai, "chat", "Hi")
    assert caught.value.hint
    assert secure.requests == []
