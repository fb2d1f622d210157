"""Signing in against the server: every kind of account, and many callers at once."""

from __future__ import annotations

from typing import Any

import pytest

import puter
from puter.testing import Failure
from tests.sockets.live import Live, crowd


def posts(live: Live, path: str = "/login") -> int:
    return sum(record.path == path for record in live.puter.requests)


async def test_name_and_password(live: Live) -> None:
    ai = live.client(username="alice", password="correct horse")
    assert await live(ai, "login") is True
    assert (await live(ai, "whoami")).username == "alice"


async def test_an_address_instead_of_the_name(live: Live) -> None:
    ai = live.client(username="alice@example.com", password="correct horse")
    assert await live(ai, "login") is True


async def test_the_second_factor(live: Live) -> None:
    live.puter.add_user("tess", "battery staple", otp="123456", recovery_codes=["abcd1234"])
    ai = live.client(username="tess", password="battery staple")
    with pytest.raises(puter.PuterTwoFactorRequired):
        await live(ai, "login")
    with pytest.raises(puter.PuterAuthError, match="otp was refused") as caught:
        await live(ai, "login", otp="000000")
    assert caught.value.reason == "otp_refused"
    asked: list[int] = []

    def code() -> str:
        asked.append(1)
        return "123 456"

    assert await live(ai, "login", otp=code) is True
    assert asked == [1]
    assert await live(ai, "login", recovery_code="abcd1234") is True
    with pytest.raises(puter.PuterAuthError, match="recovery code was refused"):
        await live(ai, "login", recovery_code="abcd1234")
    assert await live(ai, "chat", "Hi")


async def test_auto_login_of_an_account_with_a_second_factor_says_what_to_call(live: Live) -> None:
    live.puter.add_user("tess", "battery staple", otp="123456")
    ai = live.client(username="tess", password="battery staple")
    with pytest.raises(puter.PuterTwoFactorRequired, match="login\\(otp="):
        await live(ai, "chat", "Hi")
    assert posts(live) == 1


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ({"suspended": True}, "suspended"),
        ({"password": None}, "no password"),
    ],
)
async def test_accounts_that_may_not_sign_in(
    live: Live, account: dict[str, Any], words: str
) -> None:
    live.puter.add_user("tess", **{"password": "battery staple", **account})
    ai = live.client(username="tess", password="battery staple")
    with pytest.raises(puter.PuterAuthError, match=words):
        await live(ai, "login")
    assert posts(live) == 1


@pytest.mark.parametrize("requires", ["email", "phone", "card"])
async def test_an_unverified_account_signs_in_but_cannot_chat(live: Live, requires: Any) -> None:
    live.puter.add_user("tess", "battery staple", requires=requires)
    ai = live.client(username="tess", password="battery staple")
    assert await live(ai, "login") is True
    assert (await live(ai, "whoami")).username == "tess"
    with pytest.raises(puter.PuterAuthError, match="must be verified"):
        await live(ai, "chat", "Hi")
    assert len(live.puter.chats) == 1


async def test_a_suspended_account_with_a_token(live: Live) -> None:
    live.puter.add_user("tess", "battery staple", suspended=True)
    ai = live.client(token=live.puter.issue_token("tess"))
    with pytest.raises(puter.PuterPermissionError, match="suspended"):
        await live(ai, "chat", "Hi")
    assert len(live.puter.chats) == 1


@pytest.mark.parametrize(
    ("end", "reason"), [("revoke", "session_revoked"), ("expire", "session_expired")]
)
async def test_a_token_that_ended_is_an_error_and_not_renewed_in_secret(
    live: Live, end: str, reason: str
) -> None:
    ai = live.client(username="alice", password="correct horse")
    await live(ai, "chat", "Hi")
    sent = live.puter.requests[-1].headers["Authorization"].removeprefix("Bearer ")
    getattr(live.puter, end)(sent)
    with pytest.raises(puter.PuterAuthError) as caught:
        await live(ai, "chat", "Hi")
    assert caught.value.reason == reason
    assert posts(live) == 1
    assert len(ai.chat_history) == 2
    assert await live(ai, "login")
    assert await live(ai, "chat", "Hi")


async def test_a_token_of_another_server(live: Live) -> None:
    with pytest.raises(puter.PuterAuthError) as caught:
        await live(live.client(token="old-style-token"), "chat", "Hi")
    assert caught.value.reason == "token_v1"


async def test_logout_ends_the_session(live: Live) -> None:
    ai = live.client(username="alice", password="correct horse", auto_login=False)
    await live(ai, "login")
    await live(ai, "chat", "Hi")
    token = live.puter.requests[-1].headers["Authorization"].removeprefix("Bearer ")
    await live(ai, "logout")
    with pytest.raises(puter.PuterAuthError, match="Not signed in"):
        await live(ai, "chat", "Hi")
    with pytest.raises(puter.PuterAuthError) as caught:
        await live(live.client(token=token), "chat", "Hi")
    assert caught.value.reason == "session_revoked"


async def test_an_api_token_is_forgotten_though_it_cannot_log_out(live: Live) -> None:
    ai = live.client(token=live.puter.issue_token("alice", "api"))
    await live(ai, "chat", "Hi")
    await live(ai, "logout")
    with pytest.raises(puter.PuterAuthError, match="Not signed in"):
        await live(ai, "chat", "Hi")


async def test_fifty_callers_sign_in_once(live: Live) -> None:
    ai = live.client(username="alice", password="correct horse", rate_limit_requests=None)
    replies = await live.at_once(50, ai, "chat", "number {}")
    assert all(isinstance(reply, str) for reply in replies), replies
    assert posts(live) == 1


async def test_threads_and_tasks_sign_in_once_together(live: Live) -> None:
    ai = live.client(username="alice", password="correct horse", rate_limit_requests=None)
    replies = await crowd(ai, "chat", "number {}", threads=25, tasks=25)
    assert all(isinstance(reply, str) for reply in replies), replies
    assert posts(live) == 1


async def test_a_wrong_password_is_sent_once_for_fifty_callers(live: Live) -> None:
    ai = live.client(username="alice", password="wrong horse")
    refusal = Failure(401, "password_mismatch", "Incorrect password.", delay=2.0)
    live.puter.fail_next(refusal, path="/login")  # slow: all fifty are waiting by then
    errors = await live.at_once(50, ai, "chat", "number {}")
    assert {type(error) for error in errors} == {puter.PuterAuthError}
    assert {error.code for error in errors} == {"password_mismatch"}
    assert len({id(error) for error in errors}) == 50
    assert posts(live) == len(live.puter.requests) == 1


async def test_a_server_failure_while_signing_in_is_met_once_and_not_for_ever(live: Live) -> None:
    ai = live.client(username="alice", password="correct horse", rate_limit_requests=None)
    live.puter.fail_next(Failure(503, delay=0.3), path="/login")
    errors = await live.at_once(10, ai, "chat", "number {}")
    assert {type(error) for error in errors} == {puter.PuterServerError}
    assert posts(live) == 1
    assert await live(ai, "chat", "Hi")
    assert posts(live) == 2
