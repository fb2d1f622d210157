"""A chat that a real model answers: what it is asked, and what it says as it says it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from puter.testing.catalogue import Model
from puter.testing.chat_call import ChatCall
from puter.testing.llama import CONTEXT, LONGEST
from puter.testing.replies import Reply
from puter.testing.stream_lines import line_of

# Puter backend: models on the operator's own machine are those of Ollama.
PROVIDER = "ollama"
_WORDS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "topK": "top_k",
    "stopSequences": "stop",
    "parallel_tool_calls": "parallel_tool_calls",
}
_CHOICES = {"any": "required"}


def entry(name: str) -> Model:
    """The model as the lists show it; nobody is billed for it."""
    return Model(
        id=name,
        name=f"{name} (on this machine)",
        provider=PROVIDER,
        aliases=[],
        context=CONTEXT,
        max_tokens=LONGEST,
        modalities={"input": ["text"], "output": ["text"]},
        open_weights=True,
        costs_currency="usd-cents",
        input_cost_key="prompt",
        output_cost_key="completion",
        costs={"tokens": 1_000_000, "prompt": 0, "completion": 0},
    )


def request(call: ChatCall) -> dict[str, Any]:
    """The chat in OpenAI's form."""
    told = call.upstream_options
    body = dict(told.get("custom") or {})
    body |= {theirs: told[ours] for ours, theirs in _WORDS.items() if ours in told}
    if form := told.get("outputFormat"):
        schema = {"name": "answer", "schema": form.get("schema")}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if call.tools:
        body["tools"] = call.tools
        if choice := told.get("tool_choice"):
            kind = _CHOICES.get(choice["type"], choice["type"])
            named = {"type": "function", "function": {"name": choice.get("name")}}
            body["tool_choice"] = named if kind == "tool" else kind
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    return {**body, "messages": call.upstream_messages}


class Said:
    """What the model says to a chat."""

    def __init__(self, chunks: AsyncGenerator[dict[str, Any]]) -> None:
        self._chunks = chunks
        self._texts: dict[str, list[str]] = {"content": [], "reasoning_content": []}
        self._calls: dict[int, dict[str, str]] = {}
        self._finish_reason: str | None = None
        self._usage: dict[str, int] = {}

    async def aclose(self) -> None:
        """Stop the model."""
        await self._chunks.aclose()

    async def lines(self) -> AsyncGenerator[bytes]:
        """A line for each token, as it comes."""
        async for chunk in self._chunks:
            if usage := chunk.get("usage"):
                cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
                counts = usage["prompt_tokens"], usage["completion_tokens"], cached
                names = "prompt", "completion", "input_cache_read"
                self._usage = dict(zip(names, counts, strict=True))
            for choice in chunk["choices"]:
                self._finish_reason = choice.get("finish_reason") or self._finish_reason
                for line in self._of(choice["delta"]):
                    yield line_of(line)

    def _of(self, delta: dict[str, Any]) -> list[dict[str, str]]:
        lines: list[dict[str, str]] = []
        for name, kind in (("reasoning_content", "reasoning"), ("content", "text")):
            if text := delta.get(name):
                self._texts[name].append(text)
                lines.append({"type": kind, kind: text})
        for piece in delta.get("tool_calls") or ():
            made = self._calls.setdefault(piece["index"], {"name": "", "arguments": ""})
            for key in made:
                made[key] += piece["function"].get(key) or ""
            if piece.get("id"):
                made["id"] = piece["id"]
        return lines

    @property
    def reply(self) -> Reply:
        """All that it said, with the calls of tools and the usage, when the lines have ended."""
        return Reply(
            text="".join(self._texts["content"]),
            reasoning="".join(self._texts["reasoning_content"]) or None,
            tool_calls=[self._calls[index] for index in sorted(self._calls)],
            usage=self._usage,
            finish_reason=self._finish_reason,
        )
