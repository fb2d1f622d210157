"""Real sockets: a LocalPuter, and each test once through either door."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from puter.testing import LocalPuter
from puter.testing.backend import GENERATIONS
from tests.sockets.live import Live


@pytest.fixture(autouse=True)
def no_ca_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the certificates that the developer's environment names."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """The door a test goes through: ``sync`` or ``async``."""
    return str(request.param)


@pytest.fixture
async def live(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Live]:
    """One door and a server without limits; the clients made are closed in the end.

    Parametrized indirectly, it is of the generation named.
    """
    generation = getattr(request, "param", GENERATIONS[-1])
    with LocalPuter(tier=None, generation=generation) as puter:
        one = Live(kind, puter)
        yield one
        await one.close()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that only our bundle knows."""
    return trustme.CA()


@pytest.fixture(scope="session")
def bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a file with the authority's certificate."""
    path: Path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """What a server at 127.0.0.1 needs for https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context
