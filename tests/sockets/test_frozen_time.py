"""freezegun and time-machine: limits, retries and deadlines go by the machine's own clock."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from typing import Any

import pytest

import puter
from puter.engine import clock
from tests.door import REFUSED, Door, chat_body, chunks, lines, stream_answer
from tests.sockets.live import Live
from tests.sockets.programs import ROOT

freezegun = pytest.importorskip("freezegun")

SMALL: dict[str, Any] = {
    "rate_limit_requests": 2,
    "rate_limit_period": 0.05,
    "max_concurrency": None,
}
WAYS: dict[str, dict[str, Any]] = {
    "frozen": {},
    "ticking": {"tick": True},
    "leaping": {"auto_tick_seconds": 3600},
}


@pytest.fixture(params=WAYS)
def frozen(request: pytest.FixtureRequest) -> Any:
    """Time that stands still, goes on from elsewhere, or leaps with each look at it."""
    with freezegun.freeze_time("2031-05-01", real_asyncio=True, **WAYS[request.param]) as frozen:
        yield frozen


async def test_the_window_opens_all_the_same(door: Door, frozen: Any) -> None:
    ai = door.client(**SMALL)
    for _ in range(5):
        assert await door(ai, "chat", "hi") == "Hello!"
    assert len(door.sent) == 5


async def test_retries_and_streams_go_on(door: Door, frozen: Any) -> None:
    text = lines({"type": "text", "text": "Hi"}, {"type": "usage", "usage": {}})
    door.answers(REFUSED, stream_answer(text))
    ai = door.client(retry_delay=0.01, deadline=30)
    assert "".join(await chunks(await door(ai, "chat", "hi", stream=True))) == "Hi"


async def test_a_deadline_is_a_matter_of_real_seconds(door: Door, frozen: Any) -> None:
    ai = door.client(deadline=30, **SMALL)
    assert await door(ai, "chat", "hi") == "Hello!"
    with pytest.raises(puter.PuterTimeoutError):
        await door(ai.with_options(deadline=1e-9), "chat", "hi")


async def test_a_real_server_is_asked_again_on_its_connection(live: Live, frozen: Any) -> None:
    ai = live.client(**SMALL)
    for number in range(3):
        assert str(number) in await live(ai, "chat", f"number {number}")


async def test_a_client_made_while_time_stood_still_is_used_after_it(door: Door) -> None:
    with freezegun.freeze_time("2031-05-01", real_asyncio=True):
        ai = door.client(**SMALL)
        await door(ai, "chat", "hi")
    for _ in range(4):
        assert await door(ai, "chat", "hi") == "Hello!"


def test_a_program_that_loads_all_while_time_stands_still_does_not_hang() -> None:
    program = f"""
        import freezegun
        with freezegun.freeze_time("2031-05-01"):
            from puter import PuterAI
            from puter.testing import MockTransport
            transport = MockTransport(lambda _: {chat_body()["result"]!r})
            ai = PuterAI(token="t", transport=transport, **{SMALL!r})
            print([str(ai.chat("hi")) for _ in range(5)])
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_clock_is_the_machines(frozen: Any) -> None:
    first = clock.monotonic()
    asyncio.run(asyncio.sleep(0.01))
    assert 0.005 < clock.monotonic() - first < 60
