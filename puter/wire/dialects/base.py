"""The neutral form of chats, that of OpenAI's chat completions: most routes speak it.

Histories keep this form; the other dialects derive from it and say what they write otherwise.
Answers are decoded by their shape, not by the route: it may fall back on another vendor, and
``response={"normalize": True}`` reshapes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from puter.exceptions import PuterResponseError
from puter.types.media import Image
from puter.types.replies import ChatReply, ToolCall, Usage
from puter.wire.errors import unknown_shape
from puter.wire.json import (
    as_dict,
    as_dicts,
    as_int_or_none,
    as_list,
    as_str,
    as_str_or_none,
    dollars,
)
from puter.wire.messages import EXTRAS, Message
from puter.wire.tool_messages import arguments_of, normalize_tool_messages

Part = dict[str, Any]

_NOT_SENT = ("extra", "timeout", "cache_control", "web_search")  # or not under their own name
_THOUGHTS = ("thinking", "redacted_thinking")
_FINISH_REASONS = {
    "max_tokens": "length",
    "length": "length",
    "model_length": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
    "blocklist": "content_filter",
}
_COUNTS = (
    ("input_tokens", ("prompt_tokens", "input_tokens", "prompt")),
    ("output_tokens", ("completion_tokens", "output_tokens", "completion")),
    ("cached_tokens", ("cached_tokens", "cache_read_input_tokens", "input_cache_read")),
    ("reasoning_tokens", ("thinking_tokens", "reasoning_tokens")),
)  # fmt: skip


class Dialect:
    """How a family of routes writes a chat; it has no state, so one instance serves all calls."""

    name: ClassVar[str] = "openai"
    keeps_thoughts: ClassVar[bool] = False
    """Whether the thinking blocks of Claude are sent along."""
    option_words: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Options that go as ``{argument: {field: value}}``."""

    def encode(self, messages: list[Message], options: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of the call, made of messages and options, which are not changed.

        ``extra`` and ``timeout`` are left out: no dialect sends them.
        """
        for message in messages:
            if (
                isinstance(message.get("content"), list)
                or message.get("tool_calls")
                or message.get("role") == "tool"
            ):
                messages = self.encode_messages(messages)
                break
        args: dict[str, Any] = {"messages": messages}
        return self._with_options(args, options) if options else args

    def encode_messages(self, messages: Sequence[Message]) -> list[Message]:
        """The messages with tool rounds, images and files in the form the routes read."""
        encoded: list[Message] = []
        for message in normalize_tool_messages(list(messages)):
            content = message.get("content")
            if not isinstance(content, list):
                encoded.append(message)
                continue
            parts = [self.encode_part(part) if isinstance(part, dict) else part for part in content]
            if not self.keeps_thoughts:  # other vendors do not know them
                parts = [part for part in parts if not _is_thought(part)]
            if parts or not content:
                encoded.append(message if parts == content else {**message, "content": parts})
        return encoded

    def encode_part(self, part: Part) -> Part:
        """A content part that may have come in Claude's form."""
        source = part.get("source")
        if part.get("type") not in ("image", "document") or not isinstance(source, dict):
            return part
        match source.get("type"):
            case "text":
                return {"type": "text", "text": source.get("data", "")}
            case "url":
                url = source.get("url", "")
            case "base64":
                url = f"data:{source.get('media_type', '')};base64,{source.get('data', '')}"
            case _:
                return part
        if part["type"] == "image":
            return {"type": "image_url", "image_url": {"url": url}}
        return {"type": "file", "file": {"filename": part.get("title", "file"), "file_data": url}}

    def _with_options(self, args: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            if value is None or name in _NOT_SENT:
                continue
            if name in self.option_words:
                argument, field = self.option_words[name]
                args[argument] = {field: value}
            else:
                args[name] = value
        if options.get("web_search"):
            args["tools"] = [{"type": "web_search"}]
        marker = options.get("cache_control")
        if marker:
            *before, last = args["messages"]
            marker = {"type": "ephemeral"} if marker is True else dict(marker)
            args["messages"] = [*before, {**last, "cache_control": marker}]
        return args

    def decode(self, answer: Any) -> ChatReply:
        """The reply in a successful envelope of any shape: OpenAI, Responses, Claude, normalised.

        Raises:
            PuterResponseError: It has none of these shapes.
        """
        result = answer.get("result") if isinstance(answer, dict) else None
        message = result.get("message") if isinstance(result, dict) else None
        if not isinstance(result, dict) or not isinstance(message, dict):
            raise unknown_shape("The answer to the chat", answer)
        metadata = as_dict(answer.get("metadata"))
        text, thought = message.get("content"), ""
        calls: tuple[ToolCall, ...] = ()
        if not isinstance(text, str):
            text, thought, calls = _read_blocks(as_list(text))
        if message.get("tool_calls"):
            calls = _read_calls(message["tool_calls"]) or calls
        refusal = as_str_or_none(message.get("refusal"))
        usage, cost = read_usage(result.get("usage", message.get("usage")))
        return ChatReply(
            text or refusal or "",
            model=as_str(metadata.get("providerUsed")) or as_str(message.get("model")),
            provider=as_str(metadata.get("service_used")),
            usage=usage,
            cost=cost,
            finish_reason=_finish_reason(message, result, calls, refusal),
            reasoning=as_str(message.get("reasoning_content"))
            or as_str(message.get("reasoning"))
            or thought,
            reasoning_details=tuple(as_list(message["reasoning_details"]))
            if "reasoning_details" in message
            else (),
            refusal=refusal,
            tool_calls=calls,
            images=read_images(message["images"]) if "images" in message else (),
            annotations=tuple(as_list(message["annotations"])) if "annotations" in message else (),
            compaction=read_compaction(result["compaction"]) if "compaction" in result else None,
            raw=result,
        )


BASE = Dialect()


def _is_thought(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in _THOUGHTS


def image_in(part: Part) -> dict[str, Any] | None:
    """``{"url": ..., "detail"?: ...}`` of an image in the neutral form; its type is optional."""
    where = part.get("image_url") if part.get("type", "image_url") == "image_url" else None
    if isinstance(where, str):
        return {"url": where}
    return where if isinstance(where, dict) and isinstance(where.get("url"), str) else None


def file_in(part: Part) -> dict[str, Any] | None:
    """``{"file_data": ..., "filename": ...}`` of a file in the neutral form."""
    file = part.get("file") if part.get("type") == "file" else None
    return file if isinstance(file, dict) else None


# ------------------------------------------------------------ parts of an answer, streamed or not


def read_usage(usage: Any) -> tuple[Usage, Decimal | None]:
    """Tokens and US dollars of a usage object; an older server's list is kept in ``raw``."""
    if not isinstance(usage, dict):
        return Usage(raw=usage), None
    counts: dict[str, int] = {}
    for attribute, names in _COUNTS:
        for name in names:
            count = as_int_or_none(usage[name]) if name in usage else None
            if count is not None:
                counts[attribute] = count
                break
    if not counts.get("reasoning_tokens") and "completion_tokens_details" in usage:
        details = as_dict(usage["completion_tokens_details"])
        counts["reasoning_tokens"] = as_int_or_none(details.get("reasoning_tokens")) or 0
    return Usage(**counts, raw=usage), dollars(usage.get("usd_cents"))


def read_tool_use(block: Mapping[str, Any]) -> ToolCall:
    """The call in a ``tool_use`` block."""
    return _read_call(block, block.get("name"), block.get("input"))


def read_images(images: Any) -> tuple[Image, ...]:
    """Images of an answer, whatever wraps their URLs; what is not an image stays in ``raw``."""
    found: list[Image] = []
    for image in as_list(images):
        where = image.get("image_url", image.get("url")) if isinstance(image, dict) else image
        url = where.get("url") if isinstance(where, dict) else where
        if isinstance(url, str) and url:
            with contextlib.suppress(PuterResponseError, ValueError):
                found.append(Image.of(url))
    return tuple(found)


def read_compaction(value: Any) -> dict[str, Any] | None:
    """The message that carries a compacted conversation into the next call."""
    if not isinstance(value, dict) or "encrypted_content" not in value:
        return None
    kept = {key: value[key] for key in ("id", "encrypted_content") if key in value}
    return {"type": "compaction", **kept}


def _read_blocks(content: list[Any]) -> tuple[str, str, tuple[ToolCall, ...]]:
    """Text, thoughts and calls of an answer in blocks: Claude's, or a normalised one."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    for block in content:
        if isinstance(block, str):
            texts.append(block)
        elif isinstance(block, dict):
            match block.get("type"):
                case "text" | "output_text":
                    texts.append(as_str(block.get("text")))
                case "thinking":
                    thoughts.append(as_str(block.get("thinking")))
                case "tool_use":
                    calls.append(read_tool_use(block))
                case _:
                    pass
    return "".join(texts), "".join(thoughts), tuple(calls)


def _read_calls(calls: Any) -> tuple[ToolCall, ...]:
    return tuple(
        _read_call(call, call["function"].get("name"), call["function"].get("arguments"))
        for call in as_dicts(calls)
        if isinstance(call.get("function"), dict)
    )


def _read_call(call: Mapping[str, Any], name: Any, arguments: Any) -> ToolCall:
    extra = {key: call[key] for key in EXTRAS if key in call}
    return ToolCall(as_str(call.get("id")), as_str(name), arguments_of(arguments), extra)


def _finish_reason(
    message: Mapping[str, Any], result: Mapping[str, Any], calls: Sequence[ToolCall], refusal: Any
) -> str:
    """``stop_reason`` is the truth where a vendor says it; the server adds a plain ``stop``."""
    if refusal:
        return "content_filter"
    reason = message.get("stop_reason")
    if not isinstance(reason, str) or not reason:
        if calls:
            return "tool_calls"
        reason = result.get("finish_reason")
    return _FINISH_REASONS.get(reason.lower(), "stop") if isinstance(reason, str) else "stop"
