"""What an answer may cost in memory, and that a failed call leaves nothing behind."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from puter.testing import LocalPuter
from tests.sockets.programs import run
from tests.sockets.raw import RawServer, answer, says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 8 * 2**20
"""Bytes that the client allows."""
BOMB = 200 * 2**20
"""Bytes that the server would make of it."""


@pytest.fixture
def server() -> Iterator[LocalPuter]:
    with LocalPuter(tier=None) as puter:
        yield puter


def zeros(wbits: int) -> bytes:
    packer = zlib.compressobj(9, wbits=wbits)
    pieces = [packer.compress(bytes(2**20)) for _ in range(BOMB // 2**20)]
    return b"".join([*pieces, packer.flush()])


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def chunked() -> bytes:
    return (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"100000\r\n" + bytes(2**20) + b"\r\n") * 40
    )


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: answer(zeros(31), "Content-Encoding: gzip"),
    "deflate": lambda: answer(zeros(15), "Content-Encoding: deflate"),
    "plain": lambda: HEAD + b"\r\n" + bytes(40 * 2**20),
    "with a length": lambda: answer(bytes(40 * 2**20)),
    "chunked": chunked,
    "error": lambda: answer(zeros(31), "Content-Encoding: gzip", status="502 Bad Gateway"),
    "headers": lambda: HEAD + b"X: y\r\n" * 5_000_000,
    "an informational flood": lambda: b"HTTP/1.1 100 Go on\r\n\r\n" * 1_000_000,
}

BOUNDED = """
import resource
from puter import PuterError
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
other = PuterAI(token="t", api_base=URL, proxy="", max_response_bytes=LIMIT, max_retries=0)
ai.chat("warm"), run(ai.async_chat("warm"))
before = peak()
try:
    other.chat("Hi") if KIND == "sync" else run(other.async_chat("Hi"))
except PuterError as error:
    assert type(error).__name__ in ("PuterResponseError", "PuterServerError"), repr(error)
else:
    raise SystemExit("taken")
print(peak() - before)
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_its_limit(server: LocalPuter, kind: str, bomb: str) -> None:
    with RawServer(says(BOMBS[bomb]())) as raw:
        names = f"URL, KIND, LIMIT = {raw.url!r}, {kind!r}, {LIMIT}\n"
        grown = int(run(server, names + BOUNDED))
    assert grown < 1.3 * LIMIT


def test_an_answer_below_the_limit_is_kept_once(server: LocalPuter, kind: str) -> None:
    """Its bytes, in the reply of the transport; the rest of a call is not the transport's."""
    size = 64 * 2**20
    reply = answer(gzip.compress(bytes(size), 1), "Content-Encoding: gzip")
    with RawServer(says(reply)) as raw:
        program = f"""
        import resource
        from puter.engine.effects import Send
        from puter.wire.http import HttpRequest
        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        ai.chat("warm"), run(ai.async_chat("warm"))
        effect = Send(HttpRequest("GET", {raw.url!r}, proxy=""))
        before = peak()
        transport = ai._shared.transports[{kind!r}]
        if {kind!r} == "sync":
            reply = transport.send(effect)
        else:
            reply = run(transport.async_send(effect))
        assert len(reply.body) == {size}
        print(peak() - before)
        """
        grown = int(run(server, program))
    assert grown < 1.3 * size


# ------------------------------------------------------------ reference cycles


FAILURES: dict[str, Any] = {
    "an error": says(answer(b"{}", status="400 Bad Request")),
    "an error, again": says(answer(b"{}", status="503 No")),
    "no JSON": says(answer(b"{")),
    "bad gzip": says(answer(b"x" * 99, "Content-Encoding: gzip")),
    "a stream cut": says(HEAD.replace(b"json", b"x-ndjson") + b'\r\n{"type":"text","text":"x"}\n'),
}

FREED = """
import tracemalloc
from puter import PuterError
SIZE = 4 * 2**20
other = PuterAI(token="t", api_base=URL, proxy="", max_retries=1, retry_delay=0.0)

def call():
    try:
        answer = other.chat("x" * SIZE, stream=STREAM, remember=False)
        STREAM and answer.until_done()
    except PuterError:
        return
    raise SystemExit("no error")

async def async_call():
    try:
        answer = await other.async_chat("x" * SIZE, stream=STREAM, remember=False)
        STREAM and await answer.until_done()
    except PuterError:
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


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_call_leaves_no_cycle_with_its_body(
    server: LocalPuter, kind: str, failure: str, stream: bool
) -> None:
    """Without the garbage collector all of it is freed."""
    with RawServer(FAILURES[failure], remembers=False) as raw:
        run(server, f"URL, KIND, STREAM = {raw.url!r}, {kind!r}, {stream}\n" + FREED)
