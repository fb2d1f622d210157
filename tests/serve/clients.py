"""The real clients of OpenAI, Anthropic and LangChain, each behind the same few words."""

from __future__ import annotations

import base64
import functools
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx
import openai
from langchain_openai import ChatOpenAI

from tests.serve.endpoint import KEY, Endpoint


@dataclass
class Seen:
    """What a client made of an answer."""

    text: str
    calls: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    """Id, name and arguments of each."""
    thought: str = ""
    finish: str | None = None
    tokens: tuple[int, int] = (0, 0)
    cost: float | None = None
    native: Any = None
    """The message as this client sends it back."""


async def now(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def items(stream: Any) -> list[Any]:
    if hasattr(stream, "__aiter__"):
        return [one async for one in stream]
    return list(stream)


class OpenAI:
    """``openai.OpenAI`` or ``openai.AsyncOpenAI``."""

    errors: Any = openai
    finishes: Mapping[str, str] = {one: one for one in ("stop", "length", "tool_calls")}
    usual = model = "gpt-5-nano"

    def __init__(self, endpoint: Endpoint, door: str) -> None:
        kind: Any = openai.OpenAI if door == "sync" else openai.AsyncOpenAI
        self.client: Any = kind(base_url=f"{endpoint.url}/v1", api_key=KEY)

    def system(self, text: str) -> Any:
        return {"role": "system", "content": text}

    def user(self, text: str, *parts: Any) -> Any:
        return {"role": "user", "content": [{"type": "text", "text": text}, *parts]}

    def picture(self, data: bytes | str) -> Any:
        url = data if isinstance(data, str) else f"data:image/png;base64,{_base64(data)}"
        return {"type": "image_url", "image_url": {"url": url}}

    def document(self, data: bytes) -> Any:
        address = f"data:application/pdf;base64,{_base64(data)}"
        return {"type": "file", "file": {"filename": "a.pdf", "file_data": address}}

    def results(self, results: Sequence[tuple[str, str]]) -> list[Any]:
        return [{"role": "tool", "tool_call_id": one, "content": text} for one, text in results]

    def tool(self, name: str, schema: Mapping[str, Any]) -> Any:
        function = {"name": name, "description": name, "parameters": schema}
        return {"type": "function", "function": function}

    def choose(self, name: str) -> dict[str, Any]:
        if name in ("required", "none"):
            return {"tool_choice": name}
        return {"tool_choice": {"type": "function", "function": {"name": name}}}

    async def ask(self, messages: Sequence[Any], *, stream: bool = False, **options: Any) -> Seen:
        if stream:
            options = {"stream": True, "stream_options": {"include_usage": True}, **options}
        made = await now(
            self.client.chat.completions.create(
                **{"model": self.model, "messages": messages, **options}
            )
        )
        return self._joined(await items(made)) if stream else self._read(made)

    async def begin(self, messages: Sequence[Any]) -> Any:
        """A stream, of which nothing was read."""
        create = self.client.chat.completions.create
        return await now(create(model=self.model, messages=messages, stream=True))

    def _read(self, answer: Any) -> Seen:
        message = answer.choices[0].message
        extra = message.model_extra or {}
        calls = [
            (one.id, one.function.name, json.loads(one.function.arguments))
            for one in message.tool_calls or ()
        ]
        usage = answer.usage
        return Seen(
            message.content or "",
            calls,
            extra.get("reasoning_content", ""),
            answer.choices[0].finish_reason,
            (usage.prompt_tokens, usage.completion_tokens),
            (usage.model_extra or {}).get("cost"),
            message,
        )

    def _joined(self, chunks: list[Any]) -> Seen:
        text, thought, finish = "", "", None
        calls: list[Any] = []
        for chunk in chunks:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                thought += (choice.delta.model_extra or {}).get("reasoning_content", "")
                finish = choice.finish_reason or finish
                calls += choice.delta.tool_calls or ()
        usage = chunks[-1].usage
        # as most do: only what OpenAI has a name for
        listed = [
            {"id": one.id, "type": "function", "function": one.function.model_dump()}
            for one in calls
        ]
        native = {"role": "assistant", "content": text or None, "tool_calls": listed}
        return Seen(
            text,
            [(one.id, one.function.name, json.loads(one.function.arguments)) for one in calls],
            thought,
            finish,
            (usage.prompt_tokens, usage.completion_tokens),
            (usage.model_extra or {}).get("cost"),
            native,
        )

    async def close(self) -> None:
        await now(self.client.close())


class Anthropic:
    """``anthropic.Anthropic`` or ``anthropic.AsyncAnthropic``."""

    errors: Any = anthropic
    finishes: Mapping[str, str] = {
        "stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use",
    }  # fmt: skip
    usual = model = "claude-haiku-4-5"

    def __init__(self, endpoint: Endpoint, door: str) -> None:
        kind: Any = anthropic.Anthropic if door == "sync" else anthropic.AsyncAnthropic
        self.client: Any = kind(base_url=endpoint.url, api_key=KEY)

    def system(self, text: str) -> Any:
        return {"role": "system", "content": text}

    def user(self, text: str, *parts: Any) -> Any:
        return {"role": "user", "content": [{"type": "text", "text": text}, *parts]}

    def picture(self, data: bytes | str) -> Any:
        if isinstance(data, str):
            return {"type": "image", "source": {"type": "url", "url": data}}
        source = {"type": "base64", "media_type": "image/png", "data": _base64(data)}
        return {"type": "image", "source": source}

    def document(self, data: bytes) -> Any:
        source = {"type": "base64", "media_type": "application/pdf", "data": _base64(data)}
        return {"type": "document", "title": "a.pdf", "source": source}

    def results(self, results: Sequence[tuple[str, str]]) -> list[Any]:
        blocks = [
            {"type": "tool_result", "tool_use_id": one, "content": text} for one, text in results
        ]
        return [{"role": "user", "content": blocks}]

    def tool(self, name: str, schema: Mapping[str, Any]) -> Any:
        return {"name": name, "description": name, "input_schema": schema}

    def choose(self, name: str) -> dict[str, Any]:
        kinds = {"required": {"type": "any"}, "none": {"type": "none"}}
        return {"tool_choice": kinds.get(name, {"type": "tool", "name": name})}

    async def ask(self, messages: Sequence[Any], *, stream: bool = False, **options: Any) -> Seen:
        system = [one["content"] for one in messages if _role(one) == "system"]
        said = [one for one in messages if _role(one) != "system"]
        asked = {"model": self.model, "max_tokens": 1000, "messages": said, **options}
        if system:
            asked["system"] = system[0]
        if not stream:
            return self._read(await now(self.client.messages.create(**asked)))
        manager = self.client.messages.stream(**asked)
        if hasattr(manager, "__aenter__"):
            async with manager as events:
                return self._read(await events.get_final_message())
        with manager as events:
            return self._read(events.get_final_message())

    async def begin(self, messages: Sequence[Any]) -> Any:
        create = self.client.messages.create
        return await now(create(model=self.model, max_tokens=9, messages=messages, stream=True))

    def _read(self, message: Any) -> Seen:
        blocks = message.content
        usage = message.usage
        return Seen(
            "".join(one.text for one in blocks if one.type == "text"),
            [(one.id, one.name, one.input) for one in blocks if one.type == "tool_use"],
            "".join(one.thinking for one in blocks if one.type == "thinking"),
            message.stop_reason,
            (usage.input_tokens, usage.output_tokens),
            (usage.model_extra or {}).get("cost"),
            {"role": "assistant", "content": blocks},
        )

    async def close(self) -> None:
        await now(self.client.close())


class LangChain(OpenAI):
    """``langchain_openai.ChatOpenAI``."""

    def __init__(self, endpoint: Endpoint, door: str) -> None:
        self._door = door
        self._http = httpx.Client(), httpx.AsyncClient()
        self._chat = functools.cache(functools.partial(self._make, f"{endpoint.url}/v1"))

    def _make(self, url: str, model: str) -> ChatOpenAI:
        key: Any = KEY
        return ChatOpenAI(
            base_url=url,
            api_key=key,
            model=model,
            stream_usage=True,
            http_client=self._http[0],
            http_async_client=self._http[1],
        )

    async def ask(self, messages: Sequence[Any], *, stream: bool = False, **options: Any) -> Seen:
        chat: Any = self._chat(self.model)
        if options:
            chat = chat.bind(**options)
        prefix = "" if self._door == "sync" else "a"
        if stream:
            chunks = await items(getattr(chat, f"{prefix}stream")(messages))
            whole = chunks[0]
            for one in chunks[1:]:
                whole += one
        else:
            whole = await now(getattr(chat, f"{prefix}invoke")(messages))
        used = whole.usage_metadata
        return Seen(
            whole.text,
            [(one["id"], one["name"], one["args"]) for one in whole.tool_calls],
            finish=whole.response_metadata.get("finish_reason"),
            tokens=(used["input_tokens"], used["output_tokens"]),
            native=whole,
        )

    async def close(self) -> None:
        self._http[0].close()
        await self._http[1].aclose()


def _role(message: Any) -> str:
    return str(message["role"] if isinstance(message, dict) else message.role)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
