"""What type checkers must see: never run, only checked (``mypy tests/typing_api.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict

from typing_extensions import assert_type

import puter
from puter import (
    Account,
    ChatReply,
    ChatStream,
    PuterAI,
    PuterConfig,
    Tool,
    ToolCall,
    Usage,
    tool_result,
)
from puter.exceptions import Reply


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


@dataclass
class City:
    name: str


class Place(TypedDict):
    name: str


def add(a: int, b: int = 1) -> int:
    return a + b


async def later() -> str:
    return ""


class Caller:
    def method(self, a: str) -> None: ...
    async def __call__(self) -> None: ...


async def tools(ai: PuterAI) -> None:
    def judge(call: ToolCall) -> ToolCall | bool | str | None:
        return call.name == "add"

    async def awaited(call: ToolCall) -> bool:
        return judge(call) is True

    raw = {"type": "function", "function": {"name": "raw"}}
    assert_type(ai.chat("Hi", tools=[add]), ChatReply)
    assert_type(ai.chat("Hi", tools=(add, Caller().method, partial(add, 1))), ChatReply)
    assert_type(ai.chat("Hi", tools=[Tool(add, name="plus", cheap=True), raw]), ChatReply)
    assert_type(ai.chat("Hi", tools=[add], before_tool=judge, max_rounds=3), ChatReply)
    assert_type(ai.chat("Hi", tools=[add], stream=True), ChatStream)
    assert_type(ai.chat("Hi", tools=[add], run_tools=False).tool_calls, tuple[ToolCall, ...])
    assert_type(await ai.async_chat("Hi", tools=[add, later, Caller()]), ChatReply)
    assert_type(await ai.async_chat("Hi", tools=[add], before_tool=awaited), ChatReply)
    assert_type(tool_result("call_1", {"t": 20}), dict[str, Any])
    assert_type(Tool(add).parameters, dict[str, Any])


async def typed_answers(ai: PuterAI) -> None:
    assert_type(ai.parse("Hi", City), City)
    assert_type(ai.parse("Hi", Place, "gpt-4.1", retries=2, temperature=0.5), Place)
    assert_type(ai.parse("Hi", list[City]), list[City])
    assert_type(ai.parse("Hi", dict[str, list[int]], tools=[add]), dict[str, list[int]])
    assert_type(ai.parse(None, int, messages=["Hi"]), int)
    assert_type(await ai.async_parse("Hi", City), City)
    assert_type(ai.conversation().parse("Hi", City), City)
    assert_type(ai.parse("Hi", City, with_reply=True), tuple[City, ChatReply])
    assert_type(await ai.async_parse("Hi", City, with_reply=True), tuple[City, ChatReply])
    mood: Literal["good", "bad"] = ai.parse("Hi", Literal["good", "bad"])
    assert_type(mood, Literal["good", "bad"])


def values(reply: ChatReply, account: Account) -> None:
    assert_type(reply.text, str)
    assert_type(reply.cost, Decimal | None)
    assert_type(reply.usage, Usage)
    assert_type(reply.usage.input_tokens, int)
    assert_type(reply.tool_calls, tuple[ToolCall, ...])
    assert_type(reply.refusal, str | None)
    assert_type(reply.copy_with(model="x"), ChatReply)
    assert_type(account.username, str)
    assert_type(account.email, str | None)


def media(ai: PuterAI) -> None:
    assert_type(ai.txt2img("a cat", ratio=(16, 9), input_images=[b"", Path("a.png")]), puter.Image)
    assert_type(ai.img2txt(Path("a.png"), pages=[0]), puter.OcrText)
    assert_type(ai.txt2speech("Hi", voice_settings={"stability": 1}), puter.Audio)
    assert_type(ai.speech2txt(b"", translate=True), puter.Transcript)
    assert_type(ai.speech2speech((b"", "audio/wav")), puter.Audio)
    assert_type(ai.txt2vid("waves", seconds=8), puter.Video)
    assert_type(ai.txt2img("a cat").read(), bytes)
    assert_type(ai.txt2img("a cat").save("cat"), Path)
    assert_type(ai.speech2txt(b"").words, tuple[dict[str, Any], ...])
    assert_type(ai.list_voices("openai"), list[dict[str, Any]])
    assert_type(ai.list_models(kind="image"), puter.ModelList)
    assert_type(ai.list_models()[0].input_price, Decimal | None)
    assert_type(ai.list_models().cheapest(vision=True), puter.Model | None)
    assert_type(ai.list_model_providers(), list[str])
    assert_type(ai.estimate_cost("Hi"), puter.CostEstimate)
    assert_type(ai.account_usage(), puter.AccountUsage)
    assert_type(ai.account_usage().by_model, dict[str, Decimal])
    assert_type(ai.app_usage("app-x"), puter.Spending)
    assert_type(ai.usage.by_operation["chat"].unpriced, int)
    assert_type(ai.chat([{"role": "user", "content": "Hi"}]), puter.ChatReply)
    assert_type(ai.create_api_token("job", "30d"), str)
    assert_type(ai.revoke_api_token("x"), None)
    assert_type(ai.upload("a.png"), puter.PuterFile)
    assert_type(ai.read_file("~/a.png"), bytes)
    assert_type(ai.stat_file("~/a.png"), puter.PuterFile)
    assert_type(ai.list_files(), list[puter.PuterFile])
    assert_type(ai.delete_file(puter.PuterFile("~/a.png")), None)


async def asynchronous_media(ai: PuterAI) -> None:
    picture = await ai.async_txt2img("a cat")
    assert_type(picture, puter.Image)
    assert_type(await picture.async_read(), bytes)
    assert_type(await picture.async_save("cat"), Path)
    async for piece in (await ai.async_txt2speech("Hi")).async_iter_bytes():
        assert_type(piece, bytes)
    assert_type(await ai.async_txt2vid("waves"), puter.Video)
    assert_type(await ai.async_list_models("claude"), puter.ModelList)
    assert_type(await ai.async_upload(b"", "~/a.png"), puter.PuterFile)


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
        assert_type(blocked.reply, Reply | None)
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
    ai.chat(["Hi"])  # type: ignore[list-item]  # a list is messages=
    ai.chat("Hi", tools=[5])  # type: ignore[list-item]  # not callable
    ai.chat("Hi", tools=add)  # type: ignore[call-overload]  # not a list
    ai.parse("Hi", City, stream=True)  # type: ignore[call-overload]  # read as a whole
    ai.parse("Hi", City).nmae  # type: ignore[attr-defined]  # noqa: B018 - misspelt
    ai.whoami().username = "bob"  # type: ignore[misc]  # values cannot be changed
    ai.available_models["x"] = "y"  # type: ignore[index]  # the registry is read-only
    ai.chat("Hi", images=5)  # type: ignore[call-overload]  # no source of an image
    ai.chat("Hi", files=[5])  # type: ignore[list-item]  # likewise
    ai.txt2img("a cat", input_images=5)  # type: ignore[arg-type]  # likewise
    ai.txt2img("a cat", width="wide")  # type: ignore[arg-type]  # pixels
    ai.speech2txt(5)  # type: ignore[arg-type]  # no recording
    ai.upload(["a.png"])  # type: ignore[arg-type]  # one file at a time
    ai.txt2speech("Hi").bytes = b""  # type: ignore[misc]  # values cannot be changed
    ai.txt2img("a cat", qualty="high")  # type: ignore[call-arg]  # misspelt
    ai.list_models(kind="audio")  # type: ignore[arg-type]  # there is no such kind
    PuterConfig(timeout="60")  # type: ignore[arg-type]  # not a number
