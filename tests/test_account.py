"""The account: who it is, what it spent, and tokens for programs."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from decimal import Decimal
from typing import Any

import pytest

import puter
from puter import AccountUsage
from puter.wire.metering import read_account_usage
from tests.door import CUT, Door, error_body, text_answer

FRESH: dict[str, Any] = {
    "usage": {"total": 0},
    "appTotals": {},
    "allowanceInfo": {"remaining": 25_000_000, "monthUsageAllowance": 25_000_000, "addons": {}},
}
USED: dict[str, Any] = {
    "usage": {
        "total": 41670.03,
        "allowanceUsed": 41670.03,
        "egress:bytes": {"units": 120799, "cost": 1350.03, "count": 4},
        "openai:gpt-4_dot_1:prompt_tokens": {"units": 44, "cost": 8800, "count": 4},
        "openai:gpt-4_dot_1:completion_tokens": {"units": 28, "cost": 22400, "count": 4},
        "claude:claude-haiku-4-5-20251001:input_tokens": {"units": 31, "cost": 3100, "count": 1},
        "openai:gpt-image-1-mini:low:1024x1024": {"units": 1, "cost": 500_000, "count": 1},
        "ollama:ollama/llama3_dot_2:latest:prompt_tokens": {"units": 1, "cost": 1, "count": 1},
    },
    "appTotals": {
        "os-global": {"total": 33855.97, "count": 33},
        "app-fc4b": {"total": 7814.05, "count": 4},
    },
    "allowanceInfo": {"remaining": 24958329.97, "monthUsageAllowance": 25000000, "addons": {}},
}

NO_MODELS: frozenset[str] = frozenset()

# ------------------------------------------------------------ spending


async def test_spending_is_in_dollars(door: Door) -> None:
    door.answers(USED)
    usage = await door(door.client(), "account_usage")
    (sent,) = door.sent
    assert (sent.method, sent.url) == ("GET", "https://api.puter.com/metering/usage")
    assert usage.allowance == Decimal("0.25")
    assert usage.remaining == Decimal("0.2495832997")
    assert usage.spent == Decimal("0.0004167003")
    assert usage.by_model == {
        "gpt-4.1": Decimal("0.000312"),
        "claude-haiku-4-5-20251001": Decimal("0.000031"),
        "gpt-image-1-mini": Decimal("0.005"),
        "ollama/llama3.2:latest": Decimal("1e-8"),
    }
    assert usage.by_operation["egress:bytes"] == Decimal("0.0000135003")
    assert usage.by_operation["openai:gpt-4.1:prompt_tokens"] == Decimal("0.000088")
    assert usage.by_app == {
        "os-global": Decimal("0.0003385597"),
        "app-fc4b": Decimal("0.0000781405"),
    }
    assert usage.raw == USED


async def test_a_fresh_account_spent_nothing(door: Door) -> None:
    door.answers(FRESH)
    usage = await door(door.client(), "account_usage")
    assert (usage.spent, usage.remaining, usage.by_model, usage.by_app) == (
        0,
        Decimal("0.25"),
        {},
        {},
    )


@pytest.mark.parametrize(
    "change",
    [
        {"usage": {"total": None, "x:y": {"cost": "much"}, "z": {"cost": True}}},
        {"appTotals": None},
        {"appTotals": {"a": 5}},
        {"allowanceInfo": {"remaining": float("inf"), "unit": "credits"}},
    ],
)
def test_what_is_no_number_counts_nothing(change: dict[str, Any]) -> None:
    usage = read_account_usage({**FRESH, **change}, NO_MODELS)
    assert usage.spent == 0
    assert set(usage.by_operation.values()) <= {Decimal(0)}
    assert usage.by_app == {}


@pytest.mark.parametrize("answer", [{}, [], {"usage": {}}, {"usage": [], "allowanceInfo": {}}])
async def test_usage_of_unknown_shape_is_told(door: Door, answer: Any) -> None:
    door.answers(answer)
    with pytest.raises(puter.PuterResponseError, match="unknown shape"):
        await door(door.client(), "account_usage")


async def test_asking_is_free_so_it_is_repeated(door: Door) -> None:
    door.answers(CUT, FRESH)
    assert (await door(door.client(), "account_usage")).spent == 0


CREDITS: dict[str, Any] = {
    "usage": {
        "total": 120.5,
        "allowanceUsed": 120.5,
        "openai:gpt-4_dot_1:prompt_tokens": {"units": 44, "cost": 0.5, "count": 4},
        "claude:claude-haiku-4-5:input_tokens": {"units": 31, "cost": 120, "count": 1},
    },
    "appTotals": {"os-global": {"total": 120.5, "count": 5}},
    "allowanceInfo": {
        "remaining": 879.5,
        "monthUsageAllowance": 1000,
        "addons": {},
        "unit": "credits",
    },
}


async def test_credits_are_no_dollars(door: Door) -> None:
    door.answers(CREDITS)
    usage = await door(door.client(), "account_usage")
    assert (usage.unit, usage.allowance, usage.remaining, usage.spent) == (
        "credits",
        Decimal(1000),
        Decimal("879.5"),
        Decimal("120.5"),
    )
    assert usage.by_model == {"gpt-4.1": Decimal("0.5"), "claude-haiku-4-5": Decimal(120)}
    assert usage.by_operation["openai:gpt-4.1:prompt_tokens"] == Decimal("0.5")
    assert usage.by_app == {"os-global": Decimal("120.5")}
    assert str(usage) == "120.5 credits spent, 879.5 of 1,000 left"
    assert "unit='credits'" in repr(usage)


def test_dollars_are_shown_as_dollars() -> None:
    assert str(read_account_usage(USED, NO_MODELS)) == "0.0004167 USD spent, 0.249583 of 0.25 left"
    assert str(read_account_usage(FRESH, NO_MODELS)) == "0 USD spent, 0.25 of 0.25 left"


@pytest.mark.parametrize(
    ("unit", "spent", "shown"),
    [
        ({}, Decimal("0.0000781405"), "0.0000781405 USD spent"),
        ({"unit": "credits"}, Decimal("7814.05"), "7,814.05 credits spent"),
    ],
)
async def test_what_an_app_spent(door: Door, unit: Any, spent: Decimal, shown: str) -> None:
    entry = {"units": 44, "cost": 7814.05, "count": 4}
    door.answers({"total": 7814.05, "openai:gpt-4_dot_1:prompt_tokens": entry, **unit})
    usage = await door(door.client(), "app_usage", "my app/1")
    assert door.sent[0].url == "https://api.puter.com/metering/usage/my%20app%2F1"
    assert (usage.spent, usage.by_model) == (spent, {"gpt-4.1": spent})
    assert str(usage) == shown


async def test_an_app_is_named(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match="app must be a non-empty str"):
        await door(door.client(), "app_usage", "")
    door.answers([])
    with pytest.raises(puter.PuterResponseError, match="unknown shape"):
        await door(door.client(), "app_usage", "x")


def test_usage_is_a_value() -> None:
    usage = read_account_usage(USED, NO_MODELS)
    assert isinstance(usage, AccountUsage)
    assert pickle.loads(pickle.dumps(usage)) == usage == read_account_usage(USED, NO_MODELS)
    assert usage != read_account_usage(FRESH, NO_MODELS)
    assert "remaining=Decimal('0.2495832997')" in repr(usage)
    assert "allowanceInfo" not in repr(usage)
    with pytest.raises(FrozenInstanceError):
        usage.spent = Decimal(0)  # type: ignore[misc] # that is what is tested


# ------------------------------------------------------------ who it is


async def test_whoami_is_complete(door: Door) -> None:
    full = {
        "username": "alice",
        "uuid": "u-1",
        "email": "alice@example.com",
        "unconfirmed_email": "new@example.com",
        "email_confirmed": True,
        "requires_email_confirmation": False,
        "requires_phone_verification": True,
        "requires_card_verification": True,
        "desktop_bg_url": None,
        "is_temp": False,
        "is_user_token": True,
        "oidc_only": False,
        "otp": True,
        "feature_flags": {"a": True},
        "hasDevAccountAccess": False,
    }
    door.answers(full)
    account = await door(door.client(), "whoami")
    assert (account.username, account.uuid) == ("alice", "u-1")
    assert (account.email, account.unconfirmed_email) == ("alice@example.com", "new@example.com")
    assert (account.email_confirmed, account.is_temp, account.two_factor) == (True, False, True)
    assert account.must_verify == ("phone", "card")
    assert account.feature_flags == {"a": True}
    assert account.app_name is None
    assert account.raw == full
    door.answers({"username": "alice", "uuid": "u-1", "app_name": "editor"})
    assert (await door(door.client(), "whoami")).app_name == "editor"


# ------------------------------------------------------------ tokens


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ((), {}),
        (("nightly job",), {"label": "nightly job"}),
        (("x" * 64, "30d"), {"label": "x" * 64, "expiresIn": "30d"}),
        ((None, 3600), {"expiresIn": 3600}),
    ],
)
async def test_a_token_is_made_with_full_access(door: Door, arguments: Any, sent: Any) -> None:
    door.answers({"token": "made"})
    ai = door.client()
    assert await door(ai, "create_api_token", *arguments) == "made"
    (one,) = door.sent
    assert one.url == "https://api.puter.com/auth/create-access-token"
    assert one.json == {"permissions": ["full-api-access"], **sent}
    assert "made" not in repr(vars(ai._shared.credentials))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("x" * 65,), "64 characters at most"),
        ((5,), "label must be a str"),
        ((None, 0), "expires_in=0"),
        ((None, -1), "expires_in=-1"),
        ((None, ""), "expires_in=''"),
        ((None, True), "expires_in=True"),
        ((None, 1.5), "expires_in=1.5.*30d"),
    ],
)
async def test_a_token_that_cannot_be_made(door: Door, arguments: Any, match: str) -> None:
    with pytest.raises(puter.PuterInputError, match=match):
        await door(door.client(), "create_api_token", *arguments)
    assert door.sent == []


async def test_making_a_token_is_not_repeated(door: Door) -> None:
    door.answers(CUT)
    with pytest.raises(puter.PuterConnectionError):
        await door(door.client(), "create_api_token")
    assert len(door.sent) == 1


async def test_an_api_token_cannot_make_others(door: Door) -> None:
    words = "Access tokens may not create access tokens"
    door.answers((403, error_body(words, "forbidden")))
    with pytest.raises(puter.PuterPermissionError, match=f"{words}.*login"):
        await door(door.client(), "create_api_token")


@pytest.mark.parametrize("answer", [{}, {"token": None}, {"token": ""}, []])
async def test_an_answer_without_a_token_is_told(door: Door, answer: Any) -> None:
    door.answers(answer)
    with pytest.raises(puter.PuterResponseError, match="holds no token"):
        await door(door.client(), "create_api_token")


async def test_a_token_is_revoked_with_a_proof(door: Door) -> None:
    door.answers({"token": "proof"}, {"ok": True})
    assert await door(door.client(), "revoke_api_token", " old-token ") is None
    assert [sent.url for sent in door.sent] == [
        "https://puter.com/get-anticsrf-token",
        "https://api.puter.com/auth/revoke-access-token",
    ]
    assert door.sent[1].json == {"tokenOrUuid": "old-token", "anti_csrf": "proof"}


async def test_a_refusal_does_not_tell_the_token(door: Door) -> None:
    door.answers({"token": "proof"}, (400, error_body("what is old-token-secret?", "bad_request")))
    with pytest.raises(puter.PuterBadRequestError) as caught:
        await door(door.client(), "revoke_api_token", "old-token-secret")
    assert "old-token" not in f"{caught.value} {caught.value.body}"


@pytest.mark.parametrize("token", [None, "", " ", b"x"])
async def test_revoking_nothing_is_refused(door: Door, token: Any) -> None:
    with pytest.raises(puter.PuterInputError, match="the token or its id"):
        await door(door.client(), "revoke_api_token", token)
    assert door.sent == []


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("account_usage", ()), ("create_api_token", ()), ("revoke_api_token", ("x",))],
)
async def test_a_wrong_host_is_told(door: Door, method: str, arguments: Any) -> None:
    door.answers(text_answer("<html>", "text/html"))
    with pytest.raises(puter.PuterResponseError, match="api_base"):
        await door(door.client(), method, *arguments)
    door.answers((401, error_body("no", "token_auth_failed")))
    with pytest.raises(puter.PuterAuthError):
        await door(door.client(), method, *arguments)
