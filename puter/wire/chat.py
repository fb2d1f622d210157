"""Chat on the wire: checking what goes out, reading what comes back (all four answer families)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from puter.exceptions import (
    PuterBlockedError,
    PuterEmptyResponseError,
    PuterInputError,
    PuterResponseError,
)
from puter.media import Image
from puter.replies import ChatReply, ToolCall, Usage
from puter.wire.http import read_model_json

Message = dict[str, Any]

CANNED = ("fake", "costly", "abuse")
"""Models the server answers itself, at no cost (Puter backend, ``fake-chat``)."""

EXTRAS = ("canonical_id", "extra_content")
"""Keys of a tool call that vendors want back with it: OpenAI Responses, Gemini."""

_FINISH = {
    **dict.fromkeys(
        (
            "max_tokens",
            "length",
            "model_length",
            "max_output_tokens",
            "model_context_window_exceeded",
        ),
        "length",
    ),
    **dict.fromkeys(("tool_use", "tool_calls", "function_call"), "tool_calls"),
    **dict.fromkeys(
        ("content_filter", "refusal", "safety", "recitation", "prohibited_content", "blocklist"),
        "content_filter",
    ),
}


# ---------------------------------------------------------------- out


def user_message(prompt: str | None, parts: Sequence[Any] = ()) -> Message:
    """The user's message of a prompt and ready content parts.

    Raises:
        PuterInputError: There is nothing to say, or a part is not usable.
    """
    if prompt is not None and not isinstance(prompt, str):
        raise PuterInputError(
            f"prompt must be a str, not {type(prompt).__name__}",
            hint="Pass a list of messages as messages=[...], and pictures as content_parts=[...].",
        )
    if not (prompt and prompt.strip()) and not parts:
        raise PuterInputError("The prompt is empty", hint="Say something, or pass messages=[...].")
    if not parts:
        return {"role": "user", "content": prompt}
    content: list[Any] = [{"type": "text", "text": prompt}] if prompt and prompt.strip() else []
    return check_message({"role": "user", "content": content + list(parts)}, "content_parts")


def check_messages(messages: Any, name: str = "messages") -> list[Message]:
    """The messages as a list of dicts, checked for what the server answers with a bare 500 or 400.

    Raises:
        PuterInputError: Names the message and what is wrong with it.
    """
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
        raise PuterInputError(
            f"messages must be a list of messages, not {type(messages).__name__}",
            hint="For a single question pass the text as prompt.",
        )
    checked = [check_message(one, f"{name}[{i}]") for i, one in enumerate(messages)]
    if not checked:
        raise PuterInputError("messages is empty", hint="Give at least one message.")
    return checked


def check_message(message: Any, place: str) -> Message:
    if not isinstance(message, (Mapping, str)):
        raise PuterInputError(
            f"{place} must be a dict or a str, not {type(message).__name__}",
            hint="A message looks like {'role': 'user', 'content': 'Hi'}.",
        )
    fields: Message
    fields = {"role": "user", "content": message} if isinstance(message, str) else dict(message)
    if fields.get("type") == "compaction" and "role" not in fields:
        return fields
    role = fields.setdefault("role", "user")
    if not isinstance(role, str) or not role:
        raise PuterInputError(f"{place}: role must be a str such as 'user', not {role!r}")
    calls = fields.get("tool_calls")
    if calls is not None:
        _check_calls(calls, place)
    content = fields.get("content")
    if isinstance(content, (list, tuple)):
        if not content:
            raise PuterInputError(f"{place}: content is an empty list")
        fields["content"] = [
            _check_part(one, f"{place}.content[{i}]") for i, one in enumerate(content)
        ]
    elif isinstance(content, Mapping):
        if role != "tool":
            fields["content"] = [_check_part(content, f"{place}.content")]
    elif content is None or (isinstance(content, str) and not content):
        if not calls and role != "tool":
            raise PuterInputError(f"{place} has no content", hint="Leave it out, or give it text.")
    elif not isinstance(content, str):
        raise PuterInputError(
            f"{place}: content must be text or a list of parts, not {type(content).__name__}"
        )
    return fields


def _check_calls(calls: Any, place: str) -> None:
    if not isinstance(calls, (list, tuple)):
        raise PuterInputError(f"{place}: tool_calls must be a list, not {type(calls).__name__}")
    for i, one in enumerate(calls):
        if not isinstance(one, Mapping) or not isinstance(one.get("function"), Mapping):
            raise PuterInputError(f"{place}.tool_calls[{i}] must be a dict with a 'function'")


def _check_part(part: Any, place: str) -> Any:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise PuterInputError(
            f"{place} must be a dict or a str, not {type(part).__name__}",
            hint="A part looks like {'type': 'text', 'text': 'Hi'}.",
        )
    if "type" in part and not isinstance(part["type"], str):
        raise PuterInputError(f"{place}: type must be a str, not {part['type']!r}")
    return dict(part)


# ---------------------------------------------------------------- back


def read_chat(data: Any) -> ChatReply:
    """The reply in a successful envelope of any family: OpenAI, Responses, Claude, normalised.

    Raises:
        PuterResponseError: It has none of these shapes.
    """
    result = data.get("result") if isinstance(data, dict) else None
    message = result.get("message") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(message, dict):
        raise PuterResponseError(
            "The answer to the chat has an unknown shape",
            body=data,
            hint="The server may be newer or older than this SDK understands.",
        )
    told = data.get("metadata")
    metadata = told if isinstance(told, dict) else {}
    content = message.get("content")
    blocks = [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []
    text = content if isinstance(content, str) else _joined(content)
    refusal = message.get("refusal") if isinstance(message.get("refusal"), str) else None
    calls = _calls(message.get("tool_calls")) or _tool_uses(blocks)
    usage, cost = read_usage(result.get("usage", message.get("usage")))
    return ChatReply(
        text or refusal or "",
        model=_text(metadata.get("providerUsed")) or _text(message.get("model")),
        provider=_text(metadata.get("service_used")),
        usage=usage,
        cost=cost,
        finish_reason=_finish(message, result, calls, refusal),
        reasoning=_reasoning(message, blocks),
        refusal=refusal,
        tool_calls=calls,
        images=read_images(message.get("images")),
        annotations=tuple(_list(message.get("annotations"))),
        compaction=read_compaction(result.get("compaction")),
        raw=result,
    )


def judge(reply: ChatReply, *, asked: str, provider: str | None = None) -> ChatReply:
    """The reply, if the model asked for gave it and it says something.

    Raises:
        PuterBlockedError: The server's stand-in answered with filler.
        PuterEmptyResponseError: There is neither text nor a tool call nor a picture.
    """
    if (
        reply.provider == "fake-chat"
        and asked.strip().lower() not in CANNED
        and provider != "fake-chat"
    ):
        raise PuterBlockedError(
            f"Puter's stand-in answered with filler text instead of {asked}",
            hint="The prompt was probably blocked: change it, or ask another model.",
            reply=reply,
        )
    if not (reply.strip() or reply.tool_calls or reply.images):
        raise PuterEmptyResponseError(
            f"{reply.model or asked} answered with nothing (finish reason: {reply.finish_reason})",
            hint="Raise max_tokens: thinking may have used it up."
            if reply.finish_reason == "length"
            else "Ask again, or ask another model.",
            reply=reply,
        )
    return reply


def assistant_messages(reply: ChatReply) -> list[Message]:
    """The reply in the form that every route keeps intact: text, then a message per call."""
    messages: list[Message] = []
    if reply.compaction is not None:
        messages.append(dict(reply.compaction))
    thoughts = _signed_thoughts(reply.raw) if reply.tool_calls else []
    text: Any = reply.text if reply.strip() else None
    if thoughts:
        text = [*thoughts, *([{"type": "text", "text": text}] if text else [])]
    if text:
        messages.append({"role": "assistant", "content": text})
    for call in reply.tool_calls:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        messages.append({"role": "assistant", "content": [{**block, **call.extra}]})
    return messages


def _signed_thoughts(raw: Any) -> list[dict[str, Any]]:
    """Claude's thinking blocks: while it thinks it takes a tool's result only with them before."""
    message = raw.get("message") if isinstance(raw, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    return [
        one
        for one in (content if isinstance(content, list) else ())
        if isinstance(one, dict)
        and (one.get("signature") or one.get("type") == "redacted_thinking")
    ]


def read_usage(usage: Any) -> tuple[Usage, Decimal | None]:
    """Tokens and US dollars of a usage object; an older server's list is kept in ``raw``."""
    if not isinstance(usage, dict):
        return Usage(raw=usage), None

    def first(*names: str) -> int:
        counts = (_count(usage.get(name)) for name in names)
        return next((count for count in counts if count is not None), 0)

    details = usage.get("completion_tokens_details")
    thought = first("thinking_tokens", "reasoning_tokens")
    if not thought and isinstance(details, dict):
        thought = _count(details.get("reasoning_tokens")) or 0
    return (
        Usage(
            input_tokens=first("prompt_tokens", "input_tokens", "prompt"),
            output_tokens=first("completion_tokens", "output_tokens", "completion"),
            cached_tokens=first("cached_tokens", "cache_read_input_tokens", "input_cache_read"),
            reasoning_tokens=thought,
            raw=usage,
        ),
        _dollars(usage.get("usd_cents")),
    )


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 0 <= value < 2**63 else None


def _dollars(cents: Any) -> Decimal | None:
    if isinstance(cents, bool) or not isinstance(cents, (int, float, str)):
        return None
    try:
        amount = Decimal(str(cents))
        return amount / 100 if amount.is_finite() else None
    except ArithmeticError:
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _joined(content: Any) -> str:
    pieces = []
    for one in _list(content):
        if isinstance(one, str):
            pieces.append(one)
        elif isinstance(one, dict) and one.get("type") in ("text", "output_text"):
            pieces.append(_text(one.get("text")))
    return "".join(pieces)


def arguments_of(value: Any) -> dict[str, Any]:
    """A tool call's arguments, which some routes send as JSON text and some as an object.

    Anything else is kept as ``_unreadable``, so that the model can be told.
    """
    given = value
    for _ in range(2):  # the Puter backend encodes some twice
        if isinstance(value, str):
            try:
                value = read_model_json(value) if value.strip() else {}
            except ValueError:
                break
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"_unreadable": given}


def _calls(calls: Any) -> tuple[ToolCall, ...]:
    found = []
    for one in _list(calls):
        function = one.get("function") if isinstance(one, dict) else None
        if isinstance(function, dict):
            found.append(_call(one, _text(function.get("name")), function.get("arguments")))
    return tuple(found)


def _tool_uses(blocks: list[dict[str, Any]]) -> tuple[ToolCall, ...]:
    return tuple(read_tool_use(one) for one in blocks if one.get("type") == "tool_use")


def read_tool_use(block: dict[str, Any]) -> ToolCall:
    return _call(block, _text(block.get("name")), block.get("input"))


def _call(one: dict[str, Any], name: str, arguments: Any) -> ToolCall:
    extra: dict[str, Any] = {key: one[key] for key in EXTRAS if key in one}
    return ToolCall(_text(one.get("id")), name, arguments_of(arguments), extra)


def _finish(
    message: dict[str, Any], result: dict[str, Any], calls: Sequence[ToolCall], refusal: str | None
) -> str:
    stopped = _text(message.get("stop_reason")).lower()
    if refusal:
        return "content_filter"
    if stopped:
        return _FINISH.get(stopped, "stop")
    if calls:
        return "tool_calls"
    return _FINISH.get(_text(result.get("finish_reason")).lower(), "stop")


def _reasoning(message: dict[str, Any], blocks: list[dict[str, Any]]) -> str:
    return (
        _text(message.get("reasoning_content"))
        or _text(message.get("reasoning"))
        or "".join(_text(one.get("thinking")) for one in blocks if one.get("type") == "thinking")
    )


def read_images(images: Any) -> tuple[Image, ...]:
    """Pictures of an answer, whatever wraps their URLs; what is none is left in ``raw``."""
    found: list[Image] = []
    for one in _list(images):
        where = one.get("image_url", one.get("url")) if isinstance(one, dict) else one
        url = where.get("url") if isinstance(where, dict) else where
        if isinstance(url, str) and url:
            with contextlib.suppress(PuterResponseError, ValueError):
                found.append(Image.of(url))
    return tuple(found)


def read_compaction(value: Any) -> dict[str, Any] | None:
    """The message that carries a compacted conversation into the next call."""
    if not isinstance(value, dict) or "encrypted_content" not in value:
        return None
    return {
        "type": "compaction",
        **{k: value[k] for k in ("id", "encrypted_content") if k in value},
    }
