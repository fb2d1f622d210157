"""The same chat by whoever is compared: the library by hand, the SDK, and openai-python if here."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import requests

from puter import PuterAI
from tests.benchmarks.rows import Async, Sync

MODEL = "gpt-5-nano"
MESSAGES: list[dict[str, str]] = [{"role": "user", "content": "hello"}]
HEADERS = {"Authorization": "Bearer t"}
HAS_OPENAI = importlib.util.find_spec("openai") is not None


def payload(messages: list[dict[str, str]] = MESSAGES, **arguments: Any) -> dict[str, Any]:
    """The body of a driver call."""
    args = {"messages": messages, "model": MODEL, **arguments}
    call = {"interface": "puter-chat-completion", "driver": "ai-chat", "method": "complete"}
    return {**call, "args": args}


WHOLE, STREAMED = payload(), payload(stream=True)


def client(base: str, **options: Any) -> PuterAI:
    """A client without limits."""
    settings: dict[str, Any] = {
        "token": "t", "api_base": base, "login_url": f"{base}/login", "proxy": "",
        "rate_limit_requests": None, "max_concurrency": None,
    }  # fmt: skip
    return PuterAI(**{**settings, **options})


def openai_client(name: str, base: str) -> Any:
    """``OpenAI`` or ``AsyncOpenAI``."""
    return getattr(importlib.import_module("openai"), name)(api_key="k", base_url=f"{base}/v1")


@contextmanager
def sync_chats(base: str) -> Generator[tuple[Sync, Sync]]:
    """Whole chats, and streamed ones that are read to the end."""
    url = f"{base}/drivers/call"
    with requests.Session() as session, client(base) as ai:

        def by_hand() -> None:
            session.post(url, json=WHOLE, headers=HEADERS, timeout=30).json()["result"]

        def sdk() -> None:
            ai.chat("hello", remember=False)

        def stream_by_hand() -> None:
            post = session.post(url, json=STREAMED, headers=HEADERS, stream=True, timeout=30)
            with post as response:
                for line in response.iter_lines():
                    if line:
                        json.loads(line)

        def stream_sdk() -> None:
            for _ in ai.chat("hello", stream=True, remember=False):
                pass

        whole = {"requests": by_hand, "puter": sdk}
        streamed = {"requests": stream_by_hand, "puter": stream_sdk}
        if not HAS_OPENAI:
            yield whole, streamed
            return
        with openai_client("OpenAI", base) as rival:
            create, asked = rival.chat.completions.create, {"model": MODEL, "messages": MESSAGES}

            def openai() -> None:
                create(**asked)

            def stream_openai() -> None:
                for _ in create(**asked, stream=True):
                    pass

            yield {**whole, "openai": openai}, {**streamed, "openai": stream_openai}


@asynccontextmanager
async def async_chats(base: str) -> AsyncGenerator[tuple[Async, Async]]:
    """`sync_chats`, on the event loop."""
    url = f"{base}/drivers/call"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, client(base) as ai:

        async def by_hand() -> None:
            async with session.post(url, json=WHOLE, headers=HEADERS) as response:
                (await response.json())["result"]

        async def sdk() -> None:
            await ai.async_chat("hello", remember=False)

        async def stream_by_hand() -> None:
            async with session.post(url, json=STREAMED, headers=HEADERS) as response:
                async for line in response.content:
                    json.loads(line)

        async def stream_sdk() -> None:
            async for _ in await ai.async_chat("hello", stream=True, remember=False):
                pass

        whole = {"aiohttp": by_hand, "puter": sdk}
        streamed = {"aiohttp": stream_by_hand, "puter": stream_sdk}
        if not HAS_OPENAI:
            yield whole, streamed
            return
        async with openai_client("AsyncOpenAI", base) as rival:
            create, asked = rival.chat.completions.create, {"model": MODEL, "messages": MESSAGES}

            async def openai() -> None:
                await create(**asked)

            async def stream_openai() -> None:
                async for _ in await create(**asked, stream=True):
                    pass

            yield {**whole, "openai": openai}, {**streamed, "openai": stream_openai}
