"""Messages and answers in the form that OpenTelemetry's conventions for generative AI give them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from puter.types.replies import ChatReply

Message = dict[str, Any]
Part = dict[str, Any]

MOST = 2**18
"""Characters of the messages at most; older ones are left out first."""
_MODALITIES = {"image_url": "image", "input_audio": "audio", "video_url": "video"}


def input_messages(messages: Sequence[Message], redact: Callable[[str], str]) -> str:
    """What was sent, as JSON: the last messages, as many as there is room for.

    Args:
        messages: In the neutral form.
        redact: Takes secrets out of a text, and cuts it.
    """
    kept: list[str] = []
    room = MOST
    for message in reversed(messages):
        parts = [*_parts(message, redact)]
        written = json.dumps({"role": message.get("role", "user"), "parts": parts}, default=str)
        room -= len(written)
        if kept and room < 0:
            break
        kept.append(written)
    return f"[{', '.join(reversed(kept))}]"


def output_messages(reply: Any, redact: Callable[[str], str]) -> str:
    """What came, as JSON; the text of what is no chat."""
    parts: list[Part] = []
    reason = "stop"
    if isinstance(reply, ChatReply):
        if reply.reasoning:
            parts.append({"type": "reasoning", "content": redact(reply.reasoning)})
        parts += [_text(redact, reply.text)] if reply.text else []
        parts += [_tool_call(redact, one.id, one.name, one.arguments) for one in reply.tool_calls]
        parts += [_data(redact, "image", one.url or "") for one in reply.images]
        reason = {"tool_calls": "tool_call"}.get(reply.finish_reason, reply.finish_reason)
    elif isinstance(reply, str):
        parts.append(_text(redact, str(reply)))
    message = {"role": "assistant", "parts": parts, "finish_reason": reason}
    return json.dumps([message], default=str)


def _parts(message: Message, redact: Callable[[str], str]) -> Iterator[Part]:
    content = message.get("content")
    if message.get("role") == "tool":
        yield _tool_result(redact, message.get("tool_call_id"), content)
        return
    for part in content if isinstance(content, (list, tuple)) else [content]:
        if isinstance(part, str):
            yield _text(redact, part)
        elif isinstance(part, dict):
            yield _part(part, redact)
    for call in message.get("tool_calls") or ():
        function = call["function"]
        yield _tool_call(redact, call.get("id"), function.get("name"), function.get("arguments"))


def _part(part: Part, redact: Callable[[str], str]) -> Part:
    kind = part.get("type", "")
    inner = part.get(kind)
    match kind:
        case "text":
            return _text(redact, str(part.get("text", "")))
        case "tool_use":
            return _tool_call(redact, part.get("id"), part.get("name"), part.get("input"))
        case "tool_result":
            return _tool_result(redact, part.get("tool_use_id"), part.get("content"))
        case "image_url" | "video_url":
            address = inner.get("url", "") if isinstance(inner, dict) else str(inner)
            return _data(redact, _MODALITIES[kind], address)
        case "input_audio" if isinstance(inner, dict):
            return _blob("audio", f"audio/{inner.get('format', '')}", len(inner.get("data", "")))
        case "file" if isinstance(inner, dict):
            return _data(redact, "document", str(inner.get("file_data", "")))
        case "file" if "puter_path" in part:
            path = redact(str(part["puter_path"]))
            return {"type": "uri", "modality": "document", "uri": path}
        case _:
            return {"type": str(kind) or "unknown"}


def _text(redact: Callable[[str], str], text: str) -> Part:
    return {"type": "text", "content": redact(text)}


def _tool_call(redact: Callable[[str], str], number: Any, name: Any, arguments: Any) -> Part:
    return {
        "type": "tool_call", "id": number, "name": name, "arguments": _clean(redact, arguments),
    }  # fmt: skip


def _tool_result(redact: Callable[[str], str], number: Any, content: Any) -> Part:
    if isinstance(content, (list, tuple)):
        content = [_part(one, redact) if isinstance(one, dict) else one for one in content]
    return {"type": "tool_call_response", "id": number, "response": _clean(redact, content)}


def _data(redact: Callable[[str], str], modality: str, address: str) -> Part:
    """What is at an address; that of data is not kept, as it may have megabytes."""
    if not address.startswith("data:"):
        uri = redact(address.partition("?")[0])  # a query may be a signature
        return {"type": "uri", "modality": modality, "uri": uri}
    head, _, data = address.partition(",")
    return _blob(modality, head[len("data:") :].partition(";")[0], len(data))


def _blob(modality: str, mime_type: str, size: int) -> Part:
    """A picture or file that went along, without its bytes."""
    return {
        "type": "blob", "modality": modality, "mime_type": mime_type, "content": "",
        "size": size // 4 * 3,
    }  # fmt: skip


def _clean(redact: Callable[[str], str], value: Any) -> Any:
    """The value with each text in it redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {str(name): _clean(redact, one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(redact, one) for one in value]
    return value
