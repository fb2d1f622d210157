"""What type checkers must see: never run, only checked (``mypy tests/typing_api.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from typing_extensions import assert_type

import puter
from puter import Account, ChatReply, PuterAI, PuterConfig, ToolCall, Usage


def sync(ai: PuterAI) -> None:
    assert_type(ai.login(), bool)
    assert_type(ai.login(otp="123456"), bool)
    assert_type(ai.login(otp=lambda: "123456"), bool)
    assert_type(ai.logout(), None)
    assert_type(ai.whoami(), Account)
    assert_type(ai.chat("Hi"), ChatReply)
    assert_type(ai.chat("Hi", "gpt-4.1", temperature=0.5, max_tokens=5, system="x"), ChatReply)
    assert_type(ai.chat(messages=["Hi", {"role": "user", "content": "Hi"}]), ChatReply)
    assert_type(ai.chat("Hi").upper(), str)
    assert_type(ai.config, PuterConfig)
    assert_type(ai.chat_history, list[dict[str, Any]])
    assert_type(ai.get_available_models(), list[str])
    assert_type(ai.available_models, Mapping[str, str])
    assert_type(ai.set_model("gpt-4.1"), bool)
    assert_type(ai.current_model, str)
    assert_type(ai.usage.cost, Decimal)
    assert_type(ai.with_options(timeout=5), PuterAI)
    with PuterAI(token="t") as opened:
        assert_type(opened, PuterAI)


async def asynchronous(ai: PuterAI) -> None:
    async def ask() -> str:
        return "123456"

    assert_type(await ai.async_login(otp=ask), bool)
    assert_type(await ai.async_logout(), None)
    assert_type(await ai.async_whoami(), Account)
    assert_type(await ai.async_chat("Hi"), ChatReply)
    assert_type(await ai.async_close(), None)
    async with PuterAI(token="t") as opened:
        assert_type(opened, PuterAI)


def values(reply: ChatReply, account: Account) -> None:
    assert_type(reply.text, str)
    assert_type(reply.cost, Decimal | None)
    assert_type(reply.usage, Usage)
    assert_type(reply.usage.input_tokens, int)
    assert_type(reply.tool_calls, tuple[ToolCall, ...])
    assert_type(reply.refusal, str | None)
    assert_type(reply.but(model="x"), ChatReply)
    assert_type(account.username, str)
    assert_type(account.email, str | None)


def errors(ai: PuterAI) -> None:
    try:
        ai.chat("Hi")
    except puter.PuterRateLimitError as limited:
        assert_type(limited.retry_after, float | None)
    except puter.PuterModelNotFoundError as unknown:
        assert_type(unknown.suggestions, tuple[str, ...])
    except puter.PuterConnectionError as silent:
        assert_type(silent.sent, bool)
    except puter.PuterBlockedError as blocked:
        assert_type(blocked.reply, ChatReply | None)
    except puter.PuterAPIError as failed:
        assert_type(failed.upstream_attempts, list[dict[str, Any]])
    except puter.PuterAuthError as refused:
        assert_type(refused.reason, str | None)
    except puter.PuterError as other:
        assert_type(other.status, int | None)
        assert_type(other.code, str | None)


def mistakes(ai: PuterAI) -> None:
    ai.chat("Hi", temprature=0.5)  # type: ignore[call-overload]  # misspelt
    ai.chat("Hi", temperature="hot")  # type: ignore[call-overload]  # not a number
    ai.chat(["Hi"])  # type: ignore[call-overload]  # a list is messages=
    ai.whoami().username = "bob"  # type: ignore[misc]  # values cannot be changed
    ai.available_models["x"] = "y"  # type: ignore[index]  # the registry is read-only
    PuterConfig(timeout="60")  # type: ignore[arg-type]  # not a number
