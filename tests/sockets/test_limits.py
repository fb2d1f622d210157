"""Many callers on one client: the limits of the server hold, and nobody notices them."""

from __future__ import annotations

import time

import pytest

import puter as sdk
from puter.testing import Failure, Gate, LocalPuter, Reply, Tier
from tests.sockets.live import Live, crowd


def assert_whole_turns(history: list[dict[str, str]], calls: int) -> None:
    assert len(history) == 2 * calls
    for question, reply in zip(history[::2], history[1::2], strict=True):
        assert (question["role"], reply["role"]) == ("user", "assistant")
        assert reply["content"].endswith(f"read: {question['content']}")
    assert len({message["content"] for message in history}) == 2 * calls


async def test_fifty_threads_and_fifty_tasks_share_one_client() -> None:
    tier = Tier("small", requests=30, period=1.0, concurrency=3)
    with LocalPuter(tier=tier, latency=0.005) as puter:
        ai = puter.client(rate_limit_period=1.0, retry_delay=0.1)
        replies = await crowd(ai, "chat", "number {}", threads=50, tasks=50)
        await ai.async_close()
    for number, reply in enumerate(replies):
        assert str(reply).endswith(f"read: number {number}")
    assert_whole_turns(ai.chat_history, 100)
    assert puter.peak_running == 3
    answered = [record for record in puter.chats if record.status == 200]
    assert len(answered) == 100
    assert len(puter.chats) <= 110  # few were refused at the edge of a window, if any
    assert ai.usage.requests == 100


async def test_a_free_account_is_used_to_the_full_without_a_429() -> None:
    """Slow (about 11 s): the real window of a free account, 30 calls per 10 s and 3 at a time."""
    begun = time.monotonic()
    with LocalPuter(tier="user_free") as puter:
        ai = puter.client()
        replies = await crowd(ai, "chat", "number {}", threads=25, tasks=25)
        await ai.async_close()
    assert all(isinstance(reply, str) for reply in replies), replies
    assert_whole_turns(ai.chat_history, 50)
    assert puter.peak_running <= 3
    assert 10 <= time.monotonic() - begun < 60
    assert len(puter.chats) <= 55


async def test_a_temporary_account_serves_a_client_with_wider_limits() -> None:
    """Slow (15 to 20 s): the server allows 20 per 10 s and 2 at a time, the client 30 and 3."""
    with LocalPuter(tier="temp_free", latency=0.01) as puter:
        ai = puter.client()
        replies = await crowd(ai, "chat", "number {}", threads=12, tasks=12)
        await ai.async_close()
    assert all(isinstance(reply, str) for reply in replies), replies
    assert_whole_turns(ai.chat_history, 24)
    assert puter.peak_running <= 2


async def test_a_client_learns_how_many_calls_may_run_at_a_time(live: Live) -> None:
    tier = Tier("narrow", requests=1000, concurrency=2)
    with LocalPuter(tier=tier, latency=0.1) as puter:
        ai = live.client(puter, max_concurrency=6, rate_limit_requests=None, retry_delay=0.05)
        replies = await live.at_once(30, ai, "chat", "number {}")
        assert all(isinstance(reply, str) for reply in replies), replies
        refused = [record for record in puter.chats if record.status == 429]
        assert 4 <= len(refused) <= 6  # from 6 down to 2, and a try later
        assert ai.config.max_concurrency == 6
        assert ai._throttle.max_concurrency in (2, 3)
        ai.config.update(max_concurrency=5)  # the user knows better
        await live(ai, "chat", "Hi")
        assert ai._throttle.max_concurrency == 5


async def test_a_small_window_is_waited_out_by_many(live: Live) -> None:
    tier = Tier("tiny", requests=5, period=0.4, concurrency=3)
    with LocalPuter(tier=tier) as puter:
        ai = live.client(puter, rate_limit_period=0.4, retry_delay=0.05, max_retries=8)
        replies = await live.at_once(20, ai, "chat", "number {}")
    assert all(isinstance(reply, str) for reply in replies), replies
    assert_whole_turns(ai.chat_history, 20)
    refused = [record for record in puter.chats if record.status == 429]
    assert refused  # the client believed it might do more


async def test_calls_that_fail_leave_no_half_turns_among_the_others(live: Live) -> None:
    ai = live.client(rate_limit_requests=None, max_concurrency=None)
    live.puter.respond(
        lambda call: Failure(402) if "1" in call.last_text else f"read: {call.last_text}"
    )
    outcomes = await live.at_once(50, ai, "chat", "number {}")
    good = [one for one in outcomes if isinstance(one, str)]
    assert len(good) == sum("1" not in str(number) for number in range(50))
    assert_whole_turns(ai.chat_history, len(good))


async def test_without_limits_calls_run_side_by_side(live: Live) -> None:
    with LocalPuter(tier=None, latency=0.2) as puter:
        ai = live.client(puter, rate_limit_requests=None, max_concurrency=None)
        await live.at_once(20, ai, "chat", "number {}")
    assert puter.peak_running > 10


async def test_copies_queue_together_and_other_clients_of_the_account_do_not(live: Live) -> None:
    with LocalPuter(tier=Tier("small", requests=30, period=10.0, concurrency=1)) as puter:
        ai = live.client(puter, max_concurrency=1, max_retries=0)
        puter.reply_with(Reply(chunks=["one", "two"], gate=Gate()))  # it does not end
        stream = await live(ai, "chat", "Tell me a story", stream=True)
        try:
            with pytest.raises(sdk.PuterTimeoutError):
                await live(ai.with_options(deadline=0.1), "chat", "Hi")
            assert len(puter.chats) == 1  # it waited for its turn
            other = live.client(puter, max_concurrency=1, max_retries=0)
            with pytest.raises(sdk.PuterRateLimitError):
                await live(other, "chat", "Hi")
        finally:
            stream.close() if live.kind == "sync" else await stream.aclose()
