"""Messages on their way to a vendor: tidied first, then put into the vendor's own form.

The second step keeps the real server's faults: arguments encoded twice, calls reversed or lost,
text dropped. `ChatCall.upstream_messages` shows tests what is left of a conversation.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from puter.testing.http import bad_request, dumps, internal_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Family = Literal["openai", "responses", "claude"]


def normalize(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """Bring messages into one form, as the server does before it sends them on. Raises ApiError."""
    tidy: list[dict[str, Any]] = []
    for given in messages:
        message = _tidy(given)
        if tidy and _may_merge(tidy[-1], message):
            tidy[-1]["content"] = [*tidy[-1]["content"], *message["content"]]
        else:
            tidy.append(message)
    return tidy


def _tidy(given: object) -> dict[str, Any]:
    if isinstance(given, str):
        given = {"content": given}
    if isinstance(given, list):
        given = {}
    if not isinstance(given, dict):
        raise bad_request("each message must be a string or object")
    if given.get("type") == "compaction":
        return {"role": "assistant", "content": [given]}
    message = {**given, "role": given.get("role") or "user"}
    content = given.get("content")
    if message["role"] == "tool":
        text = json.dumps(content) if isinstance(content, dict) else content
        return {**message, "content": text}
    if not content and not isinstance(content, dict | list):
        calls = given.get("tool_calls")
        if not calls:
            raise bad_request("each message must have a 'content' property")
        content = [_tool_use(call) for call in calls]
        del message["tool_calls"]
    message["content"] = [_part(part) for part in _as_list(content)]
    return message


def _as_list(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content]


def _part(part: object) -> dict[str, Any]:
    if part is None:
        raise internal_error()
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise bad_request("each message content item must be a string or object")
    for kind in ("image_url", "video_url"):
        if kind in part and "type" not in part:
            return {"type": kind, **part}
    return part


def _tool_use(call: object) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        raise internal_error()
    return {
        "type": "tool_use",
        "id": call.get("id"),
        "name": function.get("name"),
        "input": function.get("arguments"),
    }


def _may_merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return first["role"] == second["role"] and not (_has_tools(first) or _has_tools(second))


def _has_tools(message: Mapping[str, Any]) -> bool:
    content = message["content"]
    return (
        message["role"] == "tool"
        or bool(message.get("tool_calls"))
        or any(part.get("type") in ("tool_use", "tool_result") for part in content)
    )


def text_of(message: Mapping[str, Any]) -> str:
    """All text of a normalised message."""
    content = message["content"]
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")


def calls_in(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tool calls of normalised messages as ``tool_use`` blocks."""
    return [
        use
        for message in messages
        for use in (
            *_parts(message, "tool_use"),
            *(_tool_use(call) for call in message.get("tool_calls") or ()),
        )
    ]


def results_in(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The texts of the tool results in normalised messages, in either form."""
    found: list[Any] = []
    for message in messages:
        if message["role"] == "tool":
            found.append(message["content"])
        found += [part.get("content") for part in _parts(message, "tool_result")]
    return [
        given if isinstance(given, str) else text_of({"content": given}) or dumps(given).decode()
        for given in found
    ]


def for_vendor(family: Family, messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Normalised messages as the vendor gets them."""
    convert = {"openai": _for_openai, "responses": _for_responses, "claude": _for_claude}[family]
    return [item for message in messages for item in convert(message)]


def _parts(message: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    content = message["content"]
    parts = content if isinstance(content, list) else []
    return [part for part in parts if part.get("type") == kind]


def _for_openai(message: dict[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        return [{**message, "tool_use_id": message.get("tool_call_id")}]
    if uses := _parts(message, "tool_use"):  # any text beside them is dropped
        calls = [
            {
                "id": use["id"],
                "type": "function",
                "function": {"name": use["name"], "arguments": _encode(use["input"])},
            }
            for use in reversed(uses)
        ]
        return [{"role": message["role"], "content": None, "tool_calls": calls}]
    if results := _parts(message, "tool_result"):
        return [
            {"role": "tool", "content": result["content"], "tool_call_id": result["tool_use_id"]}
            for result in results
        ]
    return [message]


def _for_responses(message: dict[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        return [_output(message.get("tool_call_id"), message["content"])]
    if uses := _parts(message, "tool_use"):  # only the last call survives
        use = uses[-1]
        call = {
            "call_id": use["id"],
            "name": use["name"],
            "arguments": _encode(use["input"]),
            "type": "function_call",
        }
        return [{**call, "id": use["canonical_id"]} if "canonical_id" in use else call]
    if results := _parts(message, "tool_result"):
        return [_output(result["tool_use_id"], result["content"]) for result in results]
    kind = "output_text" if message["role"] == "assistant" else "input_text"
    content = [
        {**part, "type": kind} if part.get("type") == "text" else part
        for part in message["content"]
    ]
    return [{**message, "content": content}]


def _for_claude(message: dict[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "system":  # becomes the prompt of its own
        return []
    if message["role"] == "tool":
        return [_result(message.get("tool_call_id"), message["content"])]
    if results := _parts(message, "tool_result"):
        return [_result(result["tool_use_id"], result["content"]) for result in results]
    uses = [_tool_use(call) for call in message.get("tool_calls") or ()]
    content = [
        {**part, "input": json.loads(part["input"])}
        if part.get("type") == "tool_use" and isinstance(part["input"], str)
        else part
        for part in (*message["content"], *uses)
    ]
    return [{"role": message["role"], "content": content}]


def _encode(arguments: object) -> str:
    return dumps(arguments).decode()  # a JSON string is encoded a second time


def _output(call_id: object, output: object) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def _result(use_id: object, content: object) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": use_id, "content": content}
    return {"role": "user", "content": [block]}
