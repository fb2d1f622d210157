"""Certificates: which are trusted, and what happens to the others."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import puter
from tests.sockets.proxy import Proxy
from tests.sockets.raw import RawServer, keeps, reset_when_closed

if TYPE_CHECKING:
    from tests.sockets.live import Live

CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"


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
        pytest.raises(puter.PuterConnectionError, match=r"TLS handshake with .* failed") as caught,
    ):
        await live(live.client_at(server.url, verify=bundle), "chat", "Hi")
    assert "EPERM" not in str(caught.value)


def silent(sock: socket.socket) -> None:
    while sock.recv(1000):  # until the client leaves
        pass


def ends(sock: socket.socket) -> None:
    sock.recv(1000)


def resets(sock: socket.socket) -> None:
    sock.recv(1000)
    reset_when_closed(sock)


def alerts(sock: socket.socket) -> None:
    sock.recv(1000)
    sock.sendall(b"\x15\x03\x03\x00\x02\x02\x28")  # fatal, handshake_failure


def drips(sock: socket.socket) -> None:
    sock.recv(1000)
    with contextlib.suppress(OSError):
        for byte in b"\x16\x03\x03\x40\x00" + bytes(600):
            sock.sendall(bytes((byte,)))
            time.sleep(0.05)


def says_nonsense(sock: socket.socket) -> None:
    sock.recv(1000)
    sock.sendall(bytes(range(200)) * 5)


def breaks_off(sock: socket.socket) -> None:
    sock.recv(1000)
    sock.sendall(b"\x16\x03\x03\x40\x00" + bytes(60))


HANDSHAKES: dict[str, tuple[Callable[[socket.socket], None], str, bool]] = {
    "silent": (silent, "No TLS handshake with {host} within 1 s", True),
    "drips": (drips, "No TLS handshake with {host} within 1 s", True),
    "ends": (ends, "The TLS handshake with {host} failed: the connection was closed", True),
    "resets": (resets, "The TLS handshake with {host} failed: ", True),
    "breaks off": (breaks_off, "The TLS handshake with {host} failed: ", True),
    "alerts": (alerts, "The TLS handshake with {host} failed: ", False),
    "nonsense": (says_nonsense, "{host} did not speak TLS", False),
}


class BadHandshakes(RawServer):
    def __init__(self, conduct: Callable[[socket.socket], None]) -> None:
        self.conduct = conduct
        super().__init__(keeps())

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            self.conduct(sock)


@pytest.mark.parametrize("tunnel", [False, True])
@pytest.mark.parametrize(("conduct", "told", "again"), HANDSHAKES.values(), ids=HANDSHAKES)
async def test_a_handshake_that_fails_was_no_request(
    live: Live,
    conduct: Callable[[socket.socket], None],
    told: str,
    again: bool,
    tunnel: bool,
) -> None:
    with BadHandshakes(conduct) as server, Proxy() as proxy:
        url = f"https://127.0.0.1:{server.port}"
        limits: dict[str, Any] = {"connect_timeout": 1.0, "timeout": 20, "max_retries": 1}
        ai = live.client_at(url, proxy=proxy.url if tunnel else "", **limits)
        with pytest.raises(puter.PuterConnectionError) as caught:
            await live(ai, "chat", "Hi")
    error = caught.value
    assert str(error).startswith(told.format(host=f"127.0.0.1:{server.port}"))
    assert (error.sent, error.retryable, error.attempts) == (False, again, 1 + again)
    assert not any(nonsense in str(error) for nonsense in ("EPERM", "Success", "Errno", "_ssl.c"))
    assert error.hint
    assert ai.usage.unpriced == ai.usage.requests == 0


@pytest.mark.parametrize("given", ["verify", "SSL_CERT_FILE"])
@pytest.mark.parametrize("content", [b"", b"no certificate", CERTIFICATE], ids=len)
async def test_a_bundle_that_holds_no_certificates(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, content: bytes
) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(content)
    if given == "verify":
        ai = live.client_at("https://127.0.0.1:1", verify=str(bundle))
    else:
        monkeypatch.setenv(given, str(bundle))
        ai = live.client_at("https://127.0.0.1:1")
    with pytest.raises(puter.PuterConfigError, match=f"{given}: .*no certificates") as caught:
        await live(ai, "chat", "Hi")
    assert str(bundle) in str(caught.value)
    assert "PEM" in caught.value.hint


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
