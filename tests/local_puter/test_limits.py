"""Rate windows and concurrency, per user and per interface and method."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from puter.testing import Hang, LocalPuter, Tier
from puter.testing.limits import TIERS, Limits
from puter.testing.refusals import ApiError
from tests.local_puter.support import Caller, error_of

TOO_MANY = (429, "too_many_requests", "Too many requests.")
TOO_MANY_AT_ONCE = (429, "too_many_requests", "Too many concurrent requests.")
CHAT = "puter-chat-completion"


def passes(limits: Limits, requests: int = 3, period: float = 10.0) -> bool:
    try:
        limits.hit("key", requests, period)
    except ApiError:
        return False
    return True


def test_the_window_slides() -> None:
    now = [0.0]
    limits = Limits(clock=lambda: now[0])
    outcomes = []
    for moment in (0.0, 4.0, 8.0, 9.9, 10.0, 13.9, 14.0, 14.1):
        now[0] = moment
        outcomes.append(passes(limits))
    assert outcomes == [True, True, True, False, True, False, True, False]
    limits.reset()
    assert passes(limits)


def test_the_numbers_of_the_tiers() -> None:
    numbers = {tier.name: (tier.requests, tier.period, tier.concurrency) for tier in TIERS.values()}
    assert numbers == {
        "paid": (200, 10.0, 20),
        "user_free": (30, 10.0, 3),
        "temp_free": (20, 10.0, 2),
    }


def test_the_lowest_tier(session: requests.Session) -> None:
    with LocalPuter(tier="temp_free") as puter:
        caller = Caller(puter, session)
        for _ in range(20):
            assert caller.call(CHAT, "list").status_code == 200
        refused = caller.call(CHAT, "list")
        assert error_of(refused) == TOO_MANY
        assert "Retry-After" not in refused.headers
        # Other methods, interfaces and users have budgets of their own.
        assert caller.call("puter-image-generation", "list").status_code == 200
        puter.add_user("bob", "bobs password")
        token = puter.issue_token("bob")
        assert caller.call(CHAT, "list", token=token).status_code == 200
        # What is refused before the gate costs nothing.
        for _ in range(5):
            assert caller.call(CHAT, "nope").status_code == 404
            assert caller.call(CHAT, "list", driver="nope").status_code == 404
        puter.reset_limits()
        assert caller.call(CHAT, "list").status_code == 200


def test_no_tier_no_limits(session: requests.Session) -> None:
    with LocalPuter(tier=None) as puter:
        caller = Caller(puter, session)
        for _ in range(31):
            assert caller.call(CHAT, "list").status_code == 200
        for _ in range(11):
            assert caller.login(username="alice", password="correct horse").status_code == 200


def test_a_tier_of_ones_own(session: requests.Session) -> None:
    with LocalPuter(tier=Tier("mine", requests=1, period=0.05, concurrency=1)) as puter:
        caller = Caller(puter, session)
        assert caller.chat("hi").status_code == 200
        statuses: list[int] = []
        while 200 not in statuses and len(statuses) < 1000:
            statuses.append(caller.chat("hi").status_code)
        assert set(statuses) <= {200, 429}
        assert statuses[-1] == 200
        user = puter.add_user("rich", "a password", tier="paid")
        token = puter.issue_token(user)
        assert [caller.chat("x", token=token).status_code for _ in range(3)] == [200] * 3
    with pytest.raises(ValueError, match="user_free"):
        LocalPuter(tier="gold")


def test_three_at_a_time(caller: Caller) -> None:
    puter = caller.puter
    puter.reply_with(Hang(), Hang(), Hang(), "for the other user")

    def hang(_: int) -> Any:
        with requests.Session() as session:
            session.trust_env = False
            return Caller(puter, session).chat("wait")

    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(hang, number) for number in range(3)]
        puter.wait_for(3)
        while puter.running_now < 3:
            assert not any(call.done() for call in waiting)
        assert error_of(caller.chat("hi")) == TOO_MANY_AT_ONCE
        assert caller.call(CHAT, "list").status_code == 200
        puter.add_user("bob", "bobs password")
        assert caller.text("hi", token=puter.issue_token("bob")) == "for the other user"
        assert puter.peak_running == 4
        puter.stop()
        for call in waiting:
            assert isinstance(call.exception(5), requests.ConnectionError)


def test_logins(caller: Caller) -> None:
    def login(agent: str) -> requests.Response:
        fields = {"username": "alice", "password": "wrong one"}
        return caller.post("/login", fields, token=None, headers={"User-Agent": agent})

    for _ in range(10):
        assert login("one").status_code == 401
    assert error_of(login("one")) == TOO_MANY
    assert login("two").status_code == 401
    caller.puter.reset_limits()
    assert login("one").status_code == 401
