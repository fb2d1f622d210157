"""Chat on the wire: checking what goes out, reading what comes back (all four answer families)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from puter.exceptions import (
    PuterBlockedError,
    PuterEmptyResponseError,
    PuterInputError,
    PuterResponseError,
)
from puter.replies import ChatReply, ToolCall, Usage

Message = dict[str, Any]

CANNED = ("fake", "costly", "abuse")
"""Models the server answers itself, at no cost (Puter backend, ``fake-chat``)."""

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
    if isinstance(parts, (str, bytes, Mapping)) or not isinstance(parts, Sequence):
        raise PuterInputError("content_parts must be a list of content parts")
    if not (prompt and prompt.strip()) and not parts:
        raise PuterInputError("The prompt is empty", hint="Say something, or pass messages=[...].")
    if not parts:
        return {"role": "user", "content": prompt}
    content: list[Any] = [{"type": "text", "text": prompt}] if prompt and prompt.strip() else []
    return check_message({"role": "user", "content": content + list(parts)}, "content_parts")


def check_messages(messages: Any) -> list[Message]:
    """The messages as a list of dicts, checked for what the server answers with a bare 500 or 400.

    Raises:
        PuterInputError: Names the message and what is wrong with it.
    """
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
        raise PuterInputError(
            f"messages must be a list of messages, not {type(messages).__name__}",
            hint="For a single question pass the text as prompt.",
        )
    checked = [check_message(one, f"messages[{i}]") for i, one in enumerate(messages)]
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


def chat_args(messages: list[Message], model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The ``args`` of a chat call; options that are None are left out, ``extra`` is merged in last.

    Raises:
        PuterInputError: An option has a value the server would answer with an error.
    """
    args: dict[str, Any] = {"messages": messages, "model": model}
    for name, value in options.items():
        if value is not None and name in _OPTION_CHECKS:
            _OPTION_CHECKS[name](name, value)
            args[name] = value
    extra = options.get("extra")
    if extra is not None:
        if not isinstance(extra, Mapping) or not all(isinstance(key, str) for key in extra):
            raise PuterInputError("extra must be a dict with str keys")
        for name in ("messages", "stream", "test_mode"):
            if name in extra:
                raise PuterInputError(f"extra must not hold {name!r}", hint=_NOT_EXTRA[name])
        args.update(extra)
    return args


_NOT_EXTRA = {
    "messages": "Pass messages=... to chat itself.",
    "stream": "It changes the form of the answer.",
    "test_mode": "Chat has no test mode and would be billed; model='fake' is free.",
}


def _finite(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise PuterInputError(f"{name} must be a number, not {value!r}")


def _positive_int(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PuterInputError(
            f"{name} must be a whole number, 1 or more, not {value!r}",
            hint="The server answers 0 and less with 'No usage left'.",
        )


def _nonempty_str(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise PuterInputError(f"{name} must be a non-empty str, not {value!r}")


_OPTION_CHECKS = {
    "temperature": _finite,
    "max_tokens": _positive_int,
    "provider": _nonempty_str,
}


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
        images=tuple(_images(message.get("images"))),
        annotations=tuple(_list(message.get("annotations"))),
        compaction=_compaction(result.get("compaction")),
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
    if reply.strip():
        messages.append({"role": "assistant", "content": reply.text})
    for call in reply.tool_calls:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        messages.append({"role": "assistant", "content": [{**block, **call.extra}]})
    return messages


def read_usage(usage: Any) -> tuple[Usage, Decimal | None]:
    """Tokens and US dollars of a usage object; an older server's list is kept in ``raw``."""
    if not isinstance(usage, dict):
        return Usage(raw=usage), None

    def first(*names: str) -> int:
        for name in names:
            value = usage.get(name)
            if (
                isinstance(value, (int, float))
                and not isinstance(value, bool)
                and math.isfinite(value)
            ):
                return int(value)
        return 0

    details = usage.get("completion_tokens_details")
    thought = first("thinking_tokens", "reasoning_tokens")
    if (
        not thought
        and isinstance(details, dict)
        and isinstance(details.get("reasoning_tokens"), int)
    ):
        thought = details["reasoning_tokens"]
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


def _dollars(cents: Any) -> Decimal | None:
    if isinstance(cents, bool) or not isinstance(cents, (int, float, str)):
        return None
    try:
        amount = Decimal(str(cents))
    except InvalidOperation:
        return None
    return amount / 100 if amount.is_finite() else None


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
    """A tool call's arguments, which some routes send as JSON text and some as an object."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError):
            return {"_unreadable": value}
    return value if isinstance(value, dict) else {}


def _calls(calls: Any) -> tuple[ToolCall, ...]:
    found = []
    for one in _list(calls):
        function = one.get("function") if isinstance(one, dict) else None
        if isinstance(function, dict):
            found.append(_call(one, _text(function.get("name")), function.get("arguments")))
    return tuple(found)


def _tool_uses(blocks: list[dict[str, Any]]) -> tuple[ToolCall, ...]:
    return tuple(
        _call(one, _text(one.get("name")), one.get("input"))
        for one in blocks
        if one.get("type") == "tool_use"
    )


def _call(one: dict[str, Any], name: str, arguments: Any) -> ToolCall:
    extra: dict[str, Any] = {
        key: one[key] for key in ("canonical_id", "extra_content") if key in one
    }
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


def _images(images: Any) -> Iterable[str]:
    for one in _list(images):
        where = one.get("image_url") if isinstance(one, dict) else one
        url = where.get("url") if isinstance(where, dict) else where
        if isinstance(url, str) and url:
            yield url


def _compaction(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None
