"""The models of the plugin, for sync and for async code."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from typing import Any

import llm
from llm.parts import (
    AttachmentPart,
    Message,
    ReasoningPart,
    StreamEvent,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from pydantic import Field

from puter.ai import PuterAI
from puter.api.attachments import part_of
from puter.api.output_types import asking_for, output_adapter
from puter.models import registry
from puter.tools import function_schema
from puter.types.model import Model
from puter.types.replies import ChatChunk, ChatReply, chunks_of
from puter.wire import messages as neutral
from puter.wire.catalogue import read_model
from puter.wire.kept import as_written, assistant_messages, kept_of
from puter.wire.untrusted import check_untrusted, web_address

_TYPES = {
    "image": ("image/png", "image/jpeg", "image/webp", "image/gif"),
    "pdf": ("application/pdf",),
    "audio": ("audio/wav", "audio/mpeg"),
    "video": ("video/mp4", "video/webm", "video/quicktime"),
}
_KEPT = "puter"
_LOGGED = ("model", "provider", "finish_reason", "cost", "refusal", "images", "annotations")


class _Puter:
    """What both kinds share."""

    needs_key: str | None = "puter"
    key_env_var: str | None = "PUTER_AUTH_TOKEN"
    can_stream: bool = True
    supports_schema: bool = True

    class Options(llm.Options):
        """Options of a chat that a command line can give; see ``puter.options.ChatOptions``."""

        temperature: float | None = Field(None, description="Randomness, about 0 to 2.")
        max_tokens: int | None = Field(None, description="Most tokens in the answer, 1 or more.")
        top_p: float | None = Field(None, description="Share of the probable words, 0 to 1.")
        top_k: int | None = Field(None, description="Number of the most probable words.")
        stop: str | None = Field(None, description="A text at which the answer ends.")
        reasoning_effort: str | None = Field(
            None, description="How much to think: none, minimal, low, medium, high, xhigh, max."
        )
        thinking: bool | None = Field(None, description="Whether Claude thinks first.")
        verbosity: str | None = Field(None, description="How much to say: low, medium, high.")
        web_search: bool | None = Field(None, description="Let the model search the web.")
        provider: str | None = Field(None, description="The provider that is to serve the call.")
        tool_choice: str | None = Field(
            None, description="auto, none, required, or the name of the tool to call."
        )
        timeout: float | None = Field(None, description="Seconds of silence allowed, above 0.")

    def __init__(self, model: Model) -> None:
        self.name: str = model.id
        self.model_id: str = f"puter/{model.id}"
        self.attachment_types: set[str] = {
            one for kind in model.inputs for one in _TYPES.get(kind, ())
        }
        self.supports_tools: bool = model.tools is not False


class PuterModel(_Puter, llm.KeyModel):  # type: ignore[misc]
    """A model for ``llm`` and its Python library."""

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: llm.Conversation | None = None,
        key: str | None = None,
    ) -> Iterator[str | StreamEvent]:
        asked = _asked(self.name, prompt)
        if not stream:
            reply = client_of(key).chat(**asked)
            yield from _events(chunks_of(reply))
        else:
            with client_of(key).chat(stream=True, **asked) as chunks:
                for chunk in chunks:
                    yield from _events([chunk])
                reply = chunks.reply
        yield from _finish(response, reply, asked)


class AsyncPuterModel(_Puter, llm.AsyncKeyModel):  # type: ignore[misc]
    """The same for async code."""

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None = None,
        key: str | None = None,
    ) -> AsyncGenerator[str | StreamEvent, None]:
        asked = _asked(self.name, prompt)
        if not stream:
            reply = await client_of(key).async_chat(**asked)
            for event in _events(chunks_of(reply)):
                yield event
        else:
            async with await client_of(key).async_chat(stream=True, **asked) as chunks:
                async for chunk in chunks:
                    for event in _events([chunk]):
                        yield event
                reply = chunks.reply
        for event in _finish(response, reply, asked):
            yield event


def known_models() -> Iterator[tuple[PuterModel, AsyncPuterModel]]:
    """The chat models of the offline registry."""
    for entry in registry().catalogue["chat"]:
        model = read_model(entry, "chat")
        yield PuterModel(model), AsyncPuterModel(model)


@functools.lru_cache(maxsize=8)
def client_of(token: str | None) -> PuterAI:
    """The client of a token: its calls share Puter's limits."""
    return PuterAI(token=token)


def _asked(model: str, prompt: llm.Prompt) -> dict[str, Any]:
    """The arguments of the chat."""
    asked: dict[str, Any] = {"model": model, "run_tools": False}
    asked.update(prompt.options.model_dump(exclude_none=True))
    if isinstance(prompt.schema, dict):
        asked.update(asking_for(output_adapter(prompt.schema)))
    if prompt.tools:
        asked["tools"] = [
            function_schema(one.name, one.description, one.input_schema)
            for one in prompt.tools
            if isinstance(one, llm.Tool)
        ]
    asked["messages"] = check_untrusted(
        one for message in prompt.messages for one in _neutral(message)
    )
    return asked


def _neutral(message: Message) -> list[neutral.Message]:
    """A message as the client takes it."""
    parts = message.parts
    if message.role == "tool":
        results = (one for one in parts if isinstance(one, ToolResultPart))
        return [neutral.result_message(one.tool_call_id, _result(one)) for one in results]
    if message.role != "assistant":
        return [{"role": message.role, "content": [_part(one) for one in parts]}]
    text = "".join(one.text for one in parts if isinstance(one, TextPart))
    calls = [
        (one.tool_call_id, one.name, one.arguments)
        for one in parts
        if isinstance(one, ToolCallPart)
    ]
    thoughts = (one.provider_metadata or {} for one in parts if isinstance(one, ReasoningPart))
    kept = [one[_KEPT] for one in thoughts if _KEPT in one]
    return assistant_messages(text, calls, kept[-1] if kept else None)


def _result(part: ToolResultPart) -> Any:
    if not part.attachments:
        return part.output
    return [{"type": "text", "text": part.output}, *map(_attachment, part.attachments)]


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, AttachmentPart):
        return _attachment(part.attachment)
    return {"type": "text", "text": part.text}


def _attachment(given: Any) -> dict[str, Any]:
    kind = given.resolve_type()
    source = web_address(given.url) if given.url else (given.content_bytes(), kind)
    return part_of(source, image=kind.startswith(("image/", "video/")))


def _events(chunks: Iterable[ChatChunk]) -> Iterator[StreamEvent]:
    """Pieces of an answer as ``llm`` has them."""
    for chunk in chunks:
        if chunk:
            yield StreamEvent(type="text", chunk=str(chunk))
        elif chunk.reasoning:
            yield StreamEvent(type="reasoning", chunk=chunk.reasoning)
        elif (call := chunk.tool_use) is not None:
            yield StreamEvent(type="tool_call_name", chunk=call.name, tool_call_id=call.id)
            told = as_written(call)
            yield StreamEvent(type="tool_call_args", chunk=told, tool_call_id=call.id)
        elif (image := chunk.image) is not None:
            shown = image.url if image.url and not image.url.startswith("data:") else "in the log"
            yield StreamEvent(type="text", chunk=f"\n[{image.mime_type}: {shown}]\n")


def _finish(
    response: llm.Response | llm.AsyncResponse, reply: ChatReply, asked: Mapping[str, Any]
) -> Iterator[StreamEvent]:
    """Tell what is known of the whole answer; keep what only the vendor understands of it."""
    for call in reply.tool_calls:
        made = llm.ToolCall(name=call.name, arguments=call.arguments, tool_call_id=call.id)
        response.add_tool_call(made)
    usage, cost = reply.usage, reply.cost
    details = {"cached": usage.cached_tokens, "reasoning": usage.reasoning_tokens}
    told: dict[str, Any] = {name: count for name, count in details.items() if count}
    response.set_usage(
        input=usage.input_tokens,
        output=usage.output_tokens,
        details={**told, **({} if cost is None else {"usd": str(cost)})},
    )
    if reply.model:
        response.set_resolved_model(reply.model)
    plain = reply.to_dict()
    response.response_json = {name: plain[name] for name in _LOGGED if plain[name]}
    if kept := kept_of(reply, len(asked["messages"])):
        yield StreamEvent(type="reasoning", chunk="", provider_metadata={_KEPT: kept})
