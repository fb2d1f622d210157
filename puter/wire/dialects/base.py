"""The neutral form of chats, that of OpenAI's chat completions: most routes speak it.

Histories keep this form; the other dialects derive from it and say what they write otherwise.
Answers are decoded by their shape, not by the route: it may fall back on another vendor, and
``response={"normalize": True}`` reshapes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from puter.process import late
from puter.types.replies import ChatReply, ToolCall, Usage
from puter.wire.errors import unknown_shape
from puter.wire.json import (
    as_dict,
    as_dicts,
    as_int_or_none,
    as_list,
    as_str,
    dollars,
)
from puter.wire.messages import EXTRAS, MADE_BY, Message, is_plain, is_text
from puter.wire.pieces import with_large_texts_apart
from puter.wire.tool_messages import arguments_of, normalize_tool_messages, with_pictures_apart

if TYPE_CHECKING:
    from puter.types import media
    from puter.types.media import Image
else:
    media = late("puter.types.media")

Part = dict[str, Any]

_NOT_SENT = ("extra", "timeout", "cache_control", "web_search")  # or not under their own name
_ARGUMENTS = {"stop": "stopSequences", "top_k": "topK", "output_format": "outputFormat"}
_THOUGHTS = ("thinking", "redacted_thinking")
"""Types of blocks in which Claude thinks."""
_FINISH_REASONS = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "length": "length",
    "model_length": "length",
    "max_output_tokens": "length",
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
_NOTHING: Mapping[str, Any] = {}
_DETAILS = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "reasoning_tokens": "reasoningTokens",
}


class Dialect:
    """How a family of routes writes a chat; it has no state, so one instance serves all calls."""

    family: ClassVar[str] = ""
    """Whose reasoning and compaction the route reads; ``""``: its provider's own."""
    system_first: ClassVar[bool] = False
    """Only a system message at the very beginning is read."""
    knows_developer: ClassVar[bool] = False
    """Whether the role ``developer`` is known."""
    sees_results: ClassVar[bool] = False
    """Whether its models see the pictures in the results of tools."""
    option_words: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Options that go as ``{argument: {field: value}}``."""

    def encode(
        self,
        messages: list[Message],
        options: Mapping[str, Any],
        family: str | None = None,
        model: str = "",
        *,
        known: int = 0,
    ) -> dict[str, Any]:
        """The arguments of the call, made of messages and options, which are not changed.

        ``extra`` and ``timeout`` are left out: no dialect sends them.

        Args:
            messages: The conversation in the neutral form.
            options: Those of the call.
            family: Whose reasoning and compaction are sent along. Default: the dialect's.
            model: The model whose reasoning is sent along.
            known: How many messages, from the first, are known to be plain.
        """
        if known < len(messages) and not is_plain(messages, known):
            own = self.family if family is None else family
            messages = self.encode_messages(messages, own, model)
        args: dict[str, Any] = {"messages": messages}
        return self._with_options(args, options) if options else args

    def encode_messages(
        self, messages: Sequence[Message], family: str, model: str
    ) -> list[Message]:
        """The messages with tool rounds, images and files in the form the routes read."""
        encoded: list[Message] = []
        for given in normalize_tool_messages(self._place_instructions(messages)):
            if is_text(given):
                encoded.append(given)
                continue
            message = _own(given, family, model)
            content = message.get("content")
            if isinstance(content, list):
                parts = [
                    self.encode_part(one) if isinstance(one, dict) else one
                    for one in content
                    if _maker_of(one, family) == family
                ]
                if content and not parts:
                    continue
                if parts != content:
                    message = {**message, "content": parts}
            if message:
                encoded.append(message)
        if not self.sees_results:
            encoded = with_pictures_apart(encoded)
        return [with_large_texts_apart(one) for one in encoded]

    def _place_instructions(self, messages: Sequence[Message]) -> list[Message]:
        """Messages of ``system`` and ``developer`` under a role and at a place that is read."""
        placed: list[Message] = []
        instructions: list[Message] = []
        for given in messages:
            message = given
            if message.get("role") == "developer" and not self.knows_developer:
                message = {**message, "role": "system"}
            if message.get("role") == "system" and self.system_first:
                instructions.append(message)
            else:
                placed.append(message)
        if len(instructions) > 1:
            contents = [one.get("content") for one in instructions]
            if all(isinstance(one, str) for one in contents):
                content: Any = "\n\n".join(map(str, contents))
            else:
                content = [part for one in contents for part in parts_of(one)]
            instructions = [{**instructions[0], "content": content}]
        return [*instructions, *placed]

    def choose_tool(self, args: dict[str, Any], choice: str) -> None:
        """Put which tool is to be called into the words of the route.

        Args:
            args: Arguments of the call, with its ``tools``; completed.
            choice: ``"auto"``, ``"none"``, ``"required"``, or the name of a tool.
        """
        named = {"type": "function", "function": {"name": choice}}
        args["tool_choice"] = choice if choice in CHOICES else named

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
            elif name == "thinking":
                args[name] = _thinking(value)
            else:
                args[_ARGUMENTS.get(name, name)] = value
        if isinstance(options.get("stop"), str):
            args["stopSequences"] = [options["stop"]]
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
        details: tuple[dict[str, Any], ...] = ()
        if not isinstance(text, str):
            details = tuple(filter(_is_signed, as_dicts(text)))
            text, thought, calls = read_blocks(text)
        if "reasoning_details" in message:
            details = as_dicts(message["reasoning_details"])
        listed = message.get("tool_calls") or message.get("toolCalls")  # Mistral: camelCase
        if listed:
            calls = _read_calls(listed) or calls
        refusal = as_str(message.get("refusal")) or None
        usage, cost = read_usage(result.get("usage", message.get("usage")), result)
        return ChatReply(
            text or refusal or "",
            model=as_str(metadata.get("providerUsed")) or as_str(message.get("model")),
            provider=as_str(metadata.get("service_used")),
            usage=usage,
            cost=cost,
            finish_reason="content_filter"
            if refusal
            else finish_reason(
                calls,
                message.get("stop_reason"),
                result.get("stopReason"),
                result.get("finish_reason"),
                result.get("finishReason"),
            ),
            reasoning=as_str(message.get("reasoning_content"))
            or as_str(message.get("reasoning"))
            or thought,
            reasoning_details=details,
            refusal=refusal,
            tool_calls=calls,
            images=read_images(message["images"]) if "images" in message else (),
            annotations=tuple(as_list(message["annotations"])) if "annotations" in message else (),
            compaction=read_compaction(result["compaction"]) if "compaction" in result else None,
            usage_limited=metadata.get("usage_limited") is True,
            raw=result,
        )


BASE = Dialect()


CHOICES = ("auto", "none", "required")
"""Words of ``tool_choice`` that name no tool."""


def is_thought(part: Any) -> bool:
    """Whether it is a block in which Claude thinks."""
    return isinstance(part, dict) and part.get("type") in _THOUGHTS


def _is_signed(block: Mapping[str, Any]) -> bool:
    """Whether it is a thought of Claude that may go back."""
    return is_thought(block) and bool(block.get("signature") or block.get("data"))


def _maker_of(part: Any, otherwise: str) -> str:
    """The family that alone understands a part, by its form."""
    if is_thought(part):
        return "claude"
    if isinstance(part, dict) and part.get("type") == "compaction":
        return "openai-responses" if "id" in part else "claude"  # OpenAI's have an id
    return otherwise


def tool_name(schema: Any) -> Any:
    """The name in a tool's schema, None where it has none."""
    return as_dict(as_dict(schema).get("function", schema)).get("name")


def forces_tool(choice: Any) -> bool:
    """Whether the model may not answer before it has called a tool."""
    word = choice.get("type") if isinstance(choice, Mapping) else choice
    return word not in ("auto", "none")


def parts_of(content: Any) -> list[Any]:
    """The content of a message as a list."""
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _own(message: Message, family: str, model: str) -> Message:
    """The message without what another vendor, or another model, put into it; ``{}``: all of it."""
    made_by = message.get(MADE_BY)
    maker, details = as_dict(made_by), message.get("reasoning_details")
    if message.get("type") == "compaction":
        own = maker.get("family", _maker_of(message, family)) == family
        return {key: message[key] for key in message if key != MADE_BY} if own else {}
    if made_by is None and details is None:
        return message
    if made_by is None:
        own = _family_of(details, family) == family
    else:
        # Puter moves a call between routes of one vendor; the family is "" where it is not known.
        vendors = {_vendor(maker.get("family")), _vendor(family)} - {""}
        own = maker.get("model") == model and len(vendors) <= 1
    native = own and maker.get("native")
    kept = (MADE_BY,) if own and not native else (MADE_BY, "reasoning_details")
    message = {key: message[key] for key in message if key not in kept}
    content = message.get("content")
    if native:
        message["content"] = [*as_dicts(details), *parts_of(content)]
    if not own and isinstance(content, list):
        message["content"] = [part for part in content if not is_thought(part)]
    return message if message.get("content") or message.get("role") == "tool" else {}


def _family_of(details: Any, otherwise: str) -> str:
    """Whose reasoning it is, by its form."""
    kinds = {as_str(one.get("type")) for one in as_dicts(details)}
    if kinds & {*_THOUGHTS}:
        return "claude"
    return "openai-responses" if "reasoning" in kinds else otherwise


def _vendor(family: Any) -> str:
    return "openai" if "openai" in str(family) else str(family or "")


def _thinking(value: Any) -> Any:
    """``thinking`` in the server's words; True lets the model decide how much."""
    if isinstance(value, bool):
        return {"type": "adaptive" if value else "disabled"}
    words = {"budget_tokens": "budgetTokens"}
    return {words.get(key, key): value[key] for key in value}


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


def read_usage(usage: Any, around: Mapping[str, Any] = _NOTHING) -> tuple[Usage, Decimal | None]:
    """Tokens and US dollars of a usage object; an older server's list is kept in ``raw``.

    Args:
        usage: The object.
        around: What it stood in: newer servers put ``usageDetails`` beside it.
    """
    counts: dict[str, int] = {}
    if isinstance(usage, dict):
        for attribute, names in _COUNTS:
            for name in names:
                count = as_int_or_none(usage[name]) if name in usage else None
                if count is not None:
                    counts[attribute] = count
                    break
        if not counts.get("reasoning_tokens") and "completion_tokens_details" in usage:
            details = as_dict(usage["completion_tokens_details"])
            counts["reasoning_tokens"] = as_int_or_none(details.get("reasoning_tokens")) or 0
    if "usageDetails" in around:
        details = as_dict(around["usageDetails"])
        for attribute, name in _DETAILS.items():
            if attribute not in counts:
                counts[attribute] = as_int_or_none(details.get(name)) or 0
    return Usage(**counts, raw=usage), dollars(as_dict(usage).get("usd_cents"))


def finish_reason(calls: Sequence[ToolCall], *reasons: Any) -> str:
    """Why an answer ended: the first reason that is told, in OpenAI's word where it has one.

    The server adds a plain ``stop`` of its own, so tool calls count for more than that.
    """
    for told in reasons:  # a loop: a generator for `next()` is a frame more for each answer
        if isinstance(told, str) and told:
            word = _FINISH_REASONS.get(told.lower(), told)
            break
    else:
        word = "stop"
    return "tool_calls" if calls and word == "stop" else word


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
            with contextlib.suppress(ValueError):
                found.append(media.Image.of(url))
    return tuple(found)


def read_compaction(value: Any) -> dict[str, Any] | None:
    """The message that carries a compacted conversation into the next call."""
    if not isinstance(value, dict) or "encrypted_content" not in value:
        return None
    kept = {key: value[key] for key in ("id", "encrypted_content") if key in value}
    return {"type": "compaction", **kept}


def read_blocks(content: Any) -> tuple[str, str, tuple[ToolCall, ...]]:
    """Text, thoughts and calls of an answer in blocks: Claude's, Mistral's, or a normalised one."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    for block in as_list(content):
        if isinstance(block, str):
            texts.append(block)
        elif isinstance(block, dict):
            match block.get("type"):
                case "text" | "output_text":
                    texts.append(as_str(block.get("text")))
                case "thinking":
                    thought = block.get("thinking")  # Mistral: a list of blocks
                    told = (as_str(one.get("text")) for one in as_dicts(thought))
                    thoughts.append(as_str(thought) or "".join(told))
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
