"""What every test gets: aiohttp's doubles mended, and an environment without credentials."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from aiohttp import ClientResponse

from tests.door import Door

# aioresponses 0.7.9 builds ClientResponse without the `stream_writer` that aiohttp 3.14 demands.
ClientResponse.__init__.__kwdefaults__ = {
    **(ClientResponse.__init__.__kwdefaults__ or {}),
    "stream_writer": SimpleNamespace(output_size=0),
}

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell: the programs that tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the developer's own PUTER_* settings and proxies from the test."""
    for name in list(os.environ):
        if name.startswith("PUTER_") or name.upper() in PROXIES:
            monkeypatch.delenv(name)


@pytest.fixture(params=["sync", "async"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """Run the test once through each door; see tests/door.py."""
    with Door(request.param).open() as opened:
        yield opened
