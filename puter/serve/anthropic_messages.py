"""``/v1/messages``: Anthropic's messages.

Their blocks for pictures, documents, tools and thoughts are part of the SDK's neutral form, so a
conversation goes on as it came; here are what stands around it, and the way back.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from puter.exceptions import PuterInputError
from puter.serve.body import flag_in, objects_in, read_body, tell_ignored
from puter.serve.chat_request import OPTIONS, IncomingChat, add_form, add_tools, carry_out
from puter.serve.event_stream import event
from puter.serve.problems import Problem
from puter.serve.shared import CLIENT
from puter.threads import in_thread
from puter.types.replies import ChatChunk, ChatReply, ToolCall, Usage
from puter.wire.dialects.base import is_thought
from puter.wire.dialects.completions import named
from puter.wire.json import as_dict
from puter.wire.messages import Message

_READ = frozenset(
    {
        "max_tokens", "messages", "model", "output_config", "output_format", "stop_sequences",
        "stream", "system", "tool_choice", "tools",
    }
)  # fmt: skip
_ELSEWHERE = frozenset({"metadata"})
"""Options that have the name of another thing of Anthropic's."""
_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


async def messages(request: web.Request) -> web.StreamResponse:
    """Answer a chat, in one piece or as it comes."""
    raw, body = await read_body(request)
    asked = await in_thread(read_chat, body)  # a schema may take seconds
    model = asked.model or request.app[CLIENT].current_model
    return await carry_out(
        request, raw, asked, _Writer(model), lambda reply: message_of(reply, model)
    )


def read_chat(body: Mapping[str, Any]) -> IncomingChat:
    """A request as a chat of Puter's.

    Raises:
        PuterInputError: It asks for what Puter does not do, or is malformed.
    """
    for name in ("mcp_servers", "container"):
        if body.get(name):
            raise PuterInputError(f"{name} cannot be used: Puter does not pass it on")
    is_claude = "claude" in str(body.get("model")).lower()
    said = [read_message(one, is_claude=is_claude) for one in objects_in(body, "messages")]
    system = _system(body, is_claude=is_claude)
    messages = [*system, *(one for one in said if one)]
    asked = IncomingChat(body.get("model"), messages, flag_in(body, "stream"))
    options, known = asked.options, OPTIONS - _ELSEWHERE
    options.update({name: body[name] for name in known & body.keys() if body[name] is not None})
    if body.get("stop_sequences"):
        options["stop"] = body["stop_sequences"]
    choice = body.get("tool_choice")
    add_tools(options, objects_in(body, "tools"), choice)
    if "tools" in options and "disable_parallel_tool_use" in as_dict(choice):
        options["parallel_tool_calls"] = not as_dict(choice)["disable_parallel_tool_use"]
    config = as_dict(body.get("output_config"))
    if config.get("effort") is not None:
        options["reasoning_effort"] = config["effort"]
    form = as_dict(config.get("format") or body.get("output_format"))
    if form.get("type") == "json_schema":
        add_form(asked, form.get("schema"))
    tell_ignored(body.keys() - _READ - known)
    return asked


def _system(body: Mapping[str, Any], *, is_claude: bool) -> list[Message]:
    """The instructions as the first message: a text, unless parts of it are to be cached."""
    given = body.get("system")
    if not given:
        return []
    if isinstance(given, str):
        return [{"role": "system", "content": given}]
    blocks = [_block(one, is_claude=is_claude) for one in objects_in(body, "system")]
    if any("cache_control" in one for one in blocks):
        return [{"role": "system", "content": blocks}]
    return [{"role": "system", "content": "\n\n".join(str(one.get("text", "")) for one in blocks)}]


def read_message(given: Mapping[str, Any], *, is_claude: bool) -> Message:
    """A message as it goes into a chat; ``{}`` for one of the model that says nothing.

    Thoughts without a signature are of other vendors' models, and Anthropic refuses them; marks of
    what to cache are Anthropic's, and others refuse them.
    """
    message = {key: given[key] for key in ("role", "content") if given.get(key) is not None}
    content = message.get("content")
    if isinstance(content, list):
        signed = [one for one in content if not _is_unsigned(one)]
        message["content"] = [_block(one, is_claude=is_claude) for one in signed]
    if message.get("role") == "assistant" and not message.get("content"):
        return {}
    return message


def _is_unsigned(block: Any) -> bool:
    return as_dict(block).get("type") == "thinking" and not block.get("signature")


_KEYS: Mapping[Any, tuple[str, ...]] = {
    "text": ("type", "text", "cache_control"),
    "tool_use": ("type", "id", "name", "input", "cache_control"),
}
"""Keys of blocks of which clients send back more than vendors take."""


def _block(block: Any, *, is_claude: bool) -> Any:
    """A block; the failure of a tool is told in its text, as there is no other place for it."""
    if not isinstance(block, dict):
        return block
    kind = block.get("type")
    keys = _KEYS.get(kind, tuple(block)) if isinstance(kind, str) else tuple(block)
    kept = {key: block[key] for key in keys if block.get(key) is not None}
    if not is_claude:
        kept.pop("cache_control", None)
    if kind != "tool_result" or not kept.pop("is_error", False):
        return kept
    content, mark = kept.get("content"), "Error:"
    if isinstance(content, list):
        content = [{"type": "text", "text": mark}, *content]
    else:
        content = f"{mark} {content or ''}".strip()
    return {**kept, "content": content}


# ---------------------------------------------------------------- answers


def message_of(reply: ChatReply, model: str) -> dict[str, Any]:
    """An answer in one piece."""
    blocks = [*filter(is_thought, reply.reasoning_details)]
    if reply.reasoning and not blocks:
        blocks = [{"type": "thinking", "thinking": reply.reasoning, "signature": ""}]
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    for image in reply.images:
        blocks.append({"type": "text", "text": f"![image]({image.address})"})
    blocks += [_tool_use(one, place) for place, one in enumerate(reply.tool_calls)]
    return {**_head(reply.model or model), "content": blocks, **_end(reply)}


def _head(model: str) -> dict[str, Any]:
    name = f"msg_{secrets.token_hex(12)}"
    return {"id": name, "type": "message", "role": "assistant", "model": model}


def _end(reply: ChatReply) -> dict[str, Any]:
    """Why it ended, and what it took."""
    stopped = _stopped_at(reply.raw)
    reason = "stop_sequence" if stopped else _REASONS.get(reply.finish_reason, reply.finish_reason)
    return {
        "stop_reason": reason,
        "stop_sequence": stopped,
        "usage": _usage(reply.usage, reply.cost),
    }


def _stopped_at(raw: Any) -> str | None:
    """The text that Claude stopped at, where it tells."""
    told = as_dict(as_dict(raw).get("message")).get("stop_sequence")
    return told if isinstance(told, str) else None


def _usage(usage: Usage, cost: Any = None) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation_input_tokens": 0,
    }
    return counts if cost is None else {**counts, "cost": float(cost)}


def _tool_use(call: ToolCall, place: int) -> dict[str, Any]:
    name = named(call, place).id
    return {"type": "tool_use", "id": name, "name": call.name, "input": call.arguments}


class _Writer:
    """The events of one answer: each run of text, of thoughts, and each call is a block."""

    ping = event({"type": "ping"}, "ping")

    def __init__(self, model: str) -> None:
        self._model = model
        self._index = -1
        self._open = ""
        self._calls = 0
        self._thought = False

    def begin(self) -> bytes:
        empty: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
        message = {**_head(self._model), **empty, "usage": _usage(Usage())}
        return _event("message_start", message=message)

    def chunk(self, chunk: ChatChunk) -> bytes:
        if chunk:
            return self._text(chunk.text)
        if chunk.reasoning:
            self._thought = True
            start = self._block("thinking", {"thinking": "", "signature": ""})
            return start + self._delta("thinking_delta", thinking=chunk.reasoning)
        if (detail := chunk.reasoning_detail) is not None:
            return self._detail(detail)
        if (call := chunk.tool_use) is not None:
            block = _tool_use(call, self._calls)
            self._calls += 1
            start = self._start("tool_use", {**block, "input": {}})
            return start + self._delta("input_json_delta", partial_json=json.dumps(block["input"]))
        if (image := chunk.image) is not None:
            return self._text(f"![image]({image.address})")
        return b""

    def end(self, reply: ChatReply) -> bytes:
        ended = _end(reply)
        last = _event("message_delta", usage=ended.pop("usage"), delta=ended)
        return self._stop() + last + _event("message_stop")

    def failed(self, problem: Problem) -> bytes:
        return event(problem.anthropic(), "error")

    def _text(self, text: str) -> bytes:
        return self._block("text", {"text": ""}) + self._delta("text_delta", text=text)

    def _detail(self, detail: Mapping[str, Any]) -> bytes:
        """A thought that goes back as it is; one that was told already lacks its signature."""
        if not is_thought(detail):
            return b""
        if detail["type"] == "redacted_thinking":
            return self._start("redacted_thinking", {"data": detail.get("data", "")})
        told, start = self._thought, self._block("thinking", {"thinking": "", "signature": ""})
        if not told:
            start += self._delta("thinking_delta", thinking=detail.get("thinking", ""))
        self._thought = False
        signed = self._delta("signature_delta", signature=detail.get("signature", ""))
        return start + signed + self._stop()

    def _block(self, kind: str, block: dict[str, Any]) -> bytes:
        """Begin a block, unless one of its kind is open."""
        return b"" if self._open == kind else self._start(kind, block)

    def _start(self, kind: str, block: dict[str, Any]) -> bytes:
        stop = self._stop()
        self._open = kind
        self._index += 1
        start = {"content_block": {**block, "type": kind}}
        return stop + _event("content_block_start", index=self._index, **start)

    def _delta(self, kind: str, **fields: Any) -> bytes:
        return _event("content_block_delta", index=self._index, delta={"type": kind, **fields})

    def _stop(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        return _event("content_block_stop", index=self._index)


def _event(kind: str, **fields: Any) -> bytes:
    return event({"type": kind, **fields}, kind)
