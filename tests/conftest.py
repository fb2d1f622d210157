"""What every test gets: an environment without credentials."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from typing import Any

import hypothesis
import pytest

from tests.door import Door
from tests.redis_server import redis_process, redis_server

__all__ = ["redis_process", "redis_server"]  # fixtures

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell: the programs that tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes is the machine's business, which others use too.
hypothesis.settings.register_profile(
    "shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared")

if os.environ.get("SERIALIZER") == "orjson":  # each client has it: every behaviour stays the same
    from puter.engine.extensions import Extensions
    from puter.extensions import Orjson

    def _with_orjson(self: Extensions, made: Any = Extensions.__init__) -> None:
        made(self)
        self.serializer = Orjson()

    Extensions.__init__ = _with_orjson  # type: ignore[method-assign]

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the developer's own PUTER_* settings and proxies from the test."""
    for name in list(os.environ):
        if name.startswith("PUTER_") or name.upper() in PROXIES:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test speaks to another machine: a name that is not this one's is not even looked up."""
    look_up = socket.getaddrinfo

    def refuse(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host or "localhost")
        if name != "localhost" and not name.endswith((".localhost", ".invalid")):
            try:
                loopback = ipaddress.ip_address(name).is_loopback
            except ValueError:
                loopback = False
            if not loopback:
                raise AssertionError(f"a test looked up {name}")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(params=["sync", "async"])
def door(request: pytest.FixtureRequest) -> Door:
    """Run the test once through each door; see tests/door.py."""
    return Door(request.param)
