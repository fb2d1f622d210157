"""Answers in the messages of other libraries: what only a vendor understands of them is kept.

Such a library has text and tool calls of its own. Signed thoughts, the vendor's ids of calls and a
compacted conversation go beside them, as JSON, and back to the vendor with the next question.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from puter.types.replies import ChatReply, ToolCall
from puter.wire.json import as_dict
from puter.wire.messages import EXTRAS, REASONING_KEYS, Message
from puter.wire.tool_messages import normalize_tool_messages, tool_use_in


def kept_of(reply: ChatReply, given: int) -> dict[str, Any]:
    """What is to be kept of an answer to so many messages; mostly nothing."""
    kept: dict[str, Any] = {}
    calls: dict[str, Any] = {}
    for message in reply.messages[given:]:
        if message.get("type") == "compaction":
            kept["compaction"] = message
            continue
        kept.update({key: message[key] for key in REASONING_KEYS if key in message})
        block = tool_use_in(message) or {}
        extra = {key: block[key] for key in EXTRAS if key in block}
        if extra and block.get("id"):
            calls[block["id"]] = extra
    return {**kept, "calls": calls} if calls else kept


def as_written(call: ToolCall) -> str:
    """The arguments of a call as JSON; as the model wrote them, where they are no object."""
    given = call.arguments if is_readable(call) else call.arguments["_unreadable"]
    return given if isinstance(given, str) else json.dumps(given)


def is_readable(call: ToolCall) -> bool:
    """Whether the arguments of a call are a JSON object."""
    return call.arguments.keys() != {"_unreadable"}


def assistant_messages(
    content: Any, calls: Iterable[tuple[Any, str, Any]], kept: Any
) -> list[Message]:
    """The messages of an answer, as every route keeps them intact.

    Args:
        content: Its text, or content parts.
        calls: Id, name and arguments of the tools that it calls, these decoded or as JSON.
        kept: What ``kept_of()`` gave, if anything.
    """
    made: list[dict[str, Any]] = [
        {"id": one, "function": {"name": name, "arguments": arguments}}
        for one, name, arguments in calls
    ]
    if not content and not made:
        return []
    kept = as_dict(kept)
    message: Message = {
        "role": "assistant",
        "content": content,
        **({"tool_calls": made} if made else {}),
    }
    message.update({key: kept[key] for key in REASONING_KEYS if key in kept})
    extras = as_dict(kept.get("calls"))
    for call in made:
        call.update(as_dict(extras.get(call["id"])))
    before = [kept["compaction"]] if isinstance(kept.get("compaction"), Mapping) else []
    return [*before, *normalize_tool_messages([message])]
