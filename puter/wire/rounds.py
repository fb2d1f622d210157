"""Tool rounds on the wire: the one form that every route of the Puter backend keeps intact.

Echoing an answer's tool calls naturally is corrupted on the way (arguments encoded twice, calls
reversed or lost, text dropped). What comes out right everywhere: the text in an assistant message
of its own, then for each call one assistant message with one ``tool_use`` block whose input is an
object, directly followed by its result.
"""

from __future__ import annotations

from typing import Any

from puter.wire.chat import EXTRAS, Message, arguments_of


def safe_form(messages: list[Message]) -> list[Message]:
    """The same conversation in that form; one without tools comes back as it is."""
    if not any(map(_speaks_of_tools, messages)):
        return messages
    placed: list[list[Message]] = []
    waiting: dict[Any, list[list[Message]]] = {}  # calls without a result; some vendors repeat ids
    for message in messages:
        for one in _apart(message):
            if one.get("role") == "tool" and waiting.get(one.get("tool_call_id")):
                waiting[one.get("tool_call_id")].pop(0).append(one)
                continue
            placed.append([one])
            if _is_call(one):
                waiting.setdefault(one["content"][0].get("id"), []).append(placed[-1])
    return [one for group in placed for one in group]


def _speaks_of_tools(message: Message) -> bool:
    return bool(message.get("tool_calls")) or message.get("role") == "tool" or _has_blocks(message)


def _has_blocks(message: Message) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") in ("tool_use", "tool_result")
        for part in content
    )


def _is_call(message: Message) -> bool:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return len(parts) == 1 and isinstance(parts[0], dict) and parts[0].get("type") == "tool_use"


def _apart(message: Message) -> list[Message]:
    """One message as several: what is said, each call, each result."""
    if message.get("tool_calls"):
        said = {key: value for key, value in message.items() if key != "tool_calls"}
        calls = [_block(one) for one in message["tool_calls"]]
        return (_apart(said) if said.get("content") else []) + list(map(use_message, calls))
    if not _has_blocks(message):
        return [message]
    said_parts: list[Any] = []
    calls, results = [], []
    for part in message["content"]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "tool_use":
            calls.append({**part, "input": arguments_of(part.get("input"))})
        elif kind == "tool_result":
            content = _result_content(part.get("content"))
            results.append(
                {"role": "tool", "tool_call_id": part.get("tool_use_id"), "content": content}
            )
        else:
            said_parts.append(part)
    rest: list[Message] = [{**message, "content": said_parts}] if said_parts else []
    return [*results, *rest, *map(use_message, calls)]


def use_message(block: dict[str, Any]) -> Message:
    return {"role": "assistant", "content": [block]}


def _block(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    block = {
        "type": "tool_use",
        "id": call.get("id"),
        "name": function.get("name"),
        "input": arguments_of(function.get("arguments")),
    }
    return {**block, **{key: call[key] for key in EXTRAS if key in call}}


def _result_content(content: Any) -> Any:
    if not isinstance(content, list):
        return "" if content is None else content
    texts = [part.get("text") if isinstance(part, dict) else part for part in content]
    # Pictures stay as they are: Claude reads them.
    told = [text for text in texts if isinstance(text, str)]
    return "\n".join(told) if len(told) == len(texts) else content
