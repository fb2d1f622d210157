"""A failed call leaves no reference cycle with its body: it is freed without the collector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from puter.testing import LocalPuter
from tests.sockets.programs import run
from tests.sockets.raw import RawServer, answer, closed_port, keeps, resets, says

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
FAILURES: dict[str, Any] = {
    "cut": says(answer(length=9999)),
    "reset": resets(HEAD),
    "half a head": says(HEAD),
    "silence, again": keeps(b""),
    "no connection, again": None,
    "an error": says(answer(b"{}", status="400 Bad Request")),
    "an error, again": says(answer(b"{}", status="503 No")),
    "no JSON": says(answer(b"{")),
    "bad gzip": says(answer(b"x" * 99, "Content-Encoding: gzip")),
    "a stream cut": says(HEAD + b'\r\n{"type":"text","text":"x"}\n'),
}

FREED = """
import tracemalloc
from puter import PuterError
SIZE = 4 * 2**20
other = PuterAI(
    token="t", api_base=URL, proxy="", max_retries=1, retry_delay=0.0, timeout=TIMEOUT,
    retry_on_timeout=True,
)

def call():
    try:
        answer = other.chat("x" * SIZE, stream=STREAM, remember=False)
        STREAM and answer.until_done()
    except PuterError:
        return
    raise SystemExit("no error")

async def ask():
    answer = await other.async_chat("x" * SIZE, stream=STREAM, remember=False)
    STREAM and await answer.until_done()

async def async_call():
    try:
        if KIND == "async":
            await ask()
        else:
            await asyncio.wait_for(ask(), 0.5)  # which cancels it
    except (PuterError, asyncio.TimeoutError):
        await asyncio.sleep(0.05)  # what was closed comes to its end
        return
    raise SystemExit("no error")

def held():
    call() if KIND == "sync" else run(async_call())
    return tracemalloc.get_traced_memory()[0]

call() if KIND == "sync" else run(async_call())  # and imports what there is
gc.collect()
gc.disable()
tracemalloc.start()
assert held() < SIZE / 2
"""

streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture
def server() -> Iterator[LocalPuter]:
    with LocalPuter(tier=None) as puter:
        yield puter


@streams
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_call_leaves_no_cycle_with_its_body(
    server: LocalPuter, kind: str, failure: str, stream: bool
) -> None:
    timeout = 0.5 if "silence" in failure else 20
    with RawServer(FAILURES[failure] or says(), remembers=False) as raw:
        url = raw.url if FAILURES[failure] else f"http://127.0.0.1:{closed_port()}"
        names = f"URL, KIND, STREAM, TIMEOUT = {url!r}, {kind!r}, {stream}, {timeout}\n"
        run(server, names + FREED)


@streams
def test_nor_does_a_cancelled_one(server: LocalPuter, stream: bool) -> None:
    with RawServer(keeps(b""), remembers=False) as raw:
        names = f"URL, KIND, STREAM, TIMEOUT = {raw.url!r}, 'cancelled', {stream}, 20\n"
        run(server, names + FREED)
