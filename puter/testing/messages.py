"""Messages on their way to a vendor: tidied first, then put into the vendor's own form.

The second step keeps the real server's faults: arguments encoded twice, calls reversed or lost,
text dropped. `ChatCall.upstream_messages` shows tests what is left of a conversation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from puter.testing.refusals import bad_request, dumps, internal_error

Family = Literal["openai", "responses", "claude", "mistral"]
Message = Mapping[str, Any]


def normalize(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """Bring messages into one form, as the server does before it sends them on. Raises ApiError."""
    tidy: list[dict[str, Any]] = []
    for message in map(_tidy, messages):
        before: dict[str, Any] = tidy[-1] if tidy else {"role": None}
        if before["role"] != message["role"] or _has_tools(before) or _has_tools(message):
            tidy.append(message)
        else:
            before["content"] = [*before["content"], *message["content"]]
    return tidy


def _tidy(given: Any) -> dict[str, Any]:
    if isinstance(given, str | list):
        given = {"content": given} if isinstance(given, str) else {}
    if not isinstance(given, dict):
        raise bad_request("each message must be a string or object")
    if given.get("type") == "compaction":
        return {"role": "assistant", "content": [given]}
    content = given.get("content")
    message = {**given, "role": given.get("role") or "user"}
    if message["role"] == "tool":
        return {**message, "content": json.dumps(content) if isinstance(content, dict) else content}
    if not content and not isinstance(content, dict | list):
        if not given.get("tool_calls"):
            raise bad_request("each message must have a 'content' property")
        content = [tool_use(call) for call in message.pop("tool_calls")]
    message["content"] = [
        _part(one) for one in (content if isinstance(content, list) else [content])
    ]
    return message


def _part(part: Any) -> dict[str, Any]:
    if part is None:
        raise internal_error()
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise bad_request("each message content item must be a string or object")
    kinds = () if "type" in part else [kind for kind in ("image_url", "video_url") if kind in part]
    return {"type": kinds[0], **part} if kinds else part


def canonical_media(message: dict[str, Any]) -> dict[str, Any]:
    """The message with every picture in OpenAI's form, as the server of 2026-10 reads it."""
    if not isinstance(message["content"], list):
        return message
    return {**message, "content": [_canonical(part) for part in message["content"]]}


def _canonical(part: dict[str, Any]) -> dict[str, Any]:
    kind, source = part.get("type"), part.get("source")
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    if not isinstance(source, dict):
        return part
    if source.get("type") == "file":
        raise bad_request("Content blocks with a `file` source are not supported")
    if kind != "image":
        return part
    url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
    return {"type": "image_url", "image_url": {"url": url}}


def tool_use(call: Any) -> dict[str, Any]:
    """OpenAI's form of a call as a ``tool_use`` block. Raises ApiError."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise internal_error()
    use = {"id": call.get("id"), "name": function.get("name"), "input": function.get("arguments")}
    return {"type": "tool_use", **use}


def openai_call(use: Message) -> dict[str, Any]:
    """A ``tool_use`` block in OpenAI's form; arguments in JSON already are encoded twice."""
    function = {"name": use["name"], "arguments": dumps(use["input"]).decode()}
    return {"id": use["id"], "type": "function", "function": function}


def _has_tools(message: Message) -> bool:
    return (
        message["role"] == "tool"
        or bool(message.get("tool_calls"))
        or any(part.get("type") in ("tool_use", "tool_result") for part in message["content"])
    )


def text_of(message: Message) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join([str(part.get("text", "")) for part in parts_of(message, "text")])


def calls_in(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The tool calls of normalised messages as ``tool_use`` blocks."""
    found: list[dict[str, Any]] = []
    for message in messages:
        found += parts_of(message, "tool_use")
        found += [tool_use(call) for call in message.get("tool_calls") or ()]
    return found


def results_in(messages: Sequence[Message]) -> list[str]:
    """The texts of the tool results in normalised messages, in either form."""
    found = [content for message in messages for _, content in _results(message)]
    return [
        given if isinstance(given, str) else text_of({"content": given}) or dumps(given).decode()
        for given in found
    ]


def for_vendor(
    family: Family, messages: Sequence[dict[str, Any]], *, newer: bool
) -> list[dict[str, Any]]:
    """Normalised messages in the form their vendor gets."""
    if newer and family in _PICTURES:
        messages = [_prepared(family, message) for message in messages]
    lossless = newer and family == "responses"
    convert = _all_for_responses if lossless else _FORMS[family]
    return [item for message in messages for item in convert(message)]


def parts_of(message: Message, kind: str) -> list[dict[str, Any]]:
    content = message["content"]
    if not isinstance(content, list):
        return []
    return [part for part in content if part.get("type") == kind]


def _for_openai(message: dict[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        return [{**message, "tool_use_id": message.get("tool_call_id")}]
    if uses := parts_of(message, "tool_use"):  # any text beside them is dropped
        calls = [openai_call(use) for use in reversed(uses)]
        return [{"role": message["role"], "content": None, "tool_calls": calls}]
    return [
        {"role": "tool", "content": result["content"], "tool_call_id": result["tool_use_id"]}
        for result in parts_of(message, "tool_result")
    ] or [message]


def _for_mistral(message: dict[str, Any]) -> list[dict[str, Any]]:
    words = {"tool_calls": "toolCalls", "tool_call_id": "toolCallId"}
    return [
        {words.get(key, key): value for key, value in one.items()} for one in _for_openai(message)
    ]


def _for_responses(message: dict[str, Any]) -> list[dict[str, Any]]:
    if uses := parts_of(message, "tool_use"):  # only the last call survives
        return [_function_call(uses[-1])]
    return _item_for_responses(message)


def _all_for_responses(message: dict[str, Any]) -> list[dict[str, Any]]:
    details = message.pop("reasoning_details", ())
    if uses := calls_in([message]):
        return [*details, *map(_function_call, uses)]
    return [*details, *_item_for_responses(message)]


def _function_call(use: Message) -> dict[str, Any]:
    call = {"name": use["name"], "arguments": dumps(use["input"]).decode(), "type": "function_call"}
    own = {"id": use["canonical_id"]} if "canonical_id" in use else {}
    return {"call_id": use["id"], **call, **own}


def _item_for_responses(message: dict[str, Any]) -> list[dict[str, Any]]:
    if results := _results(message):
        kind = "function_call_output"
        return [{"type": kind, "call_id": call, "output": output} for call, output in results]
    kind = "output_text" if message["role"] == "assistant" else "input_text"
    content = [
        {**part, "type": kind} if part.get("type") == "text" else part
        for part in message["content"]
    ]
    return [{**message, "content": content}]


def _for_claude(message: dict[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "system":  # becomes the prompt of its own
        return []
    if results := _results(message):
        blocks = [{"type": "tool_result", "tool_use_id": use, "content": c} for use, c in results]
        return [{"role": "user", "content": [block]} for block in blocks]
    uses = [tool_use(call) for call in message.get("tool_calls") or ()]
    content = [
        {**part, "input": json.loads(part["input"])}
        if part.get("type") == "tool_use" and isinstance(part["input"], str)
        else part
        for part in (*message["content"], *uses)
    ]
    return [{"role": message["role"], "content": content}]


def _results(message: Message) -> list[tuple[object, object]]:
    """Call ids and contents of the tool results of a message, in either form."""
    if message["role"] == "tool":
        return [(message.get("tool_call_id"), message["content"])]
    return [
        (part.get("tool_use_id"), part.get("content")) for part in parts_of(message, "tool_result")
    ]


_FORMS: Mapping[Family, Callable[[dict[str, Any]], list[dict[str, Any]]]] = {
    "openai": _for_openai,
    "responses": _for_responses,
    "claude": _for_claude,
    "mistral": _for_mistral,
}


def _prepared(family: Family, message: dict[str, Any]) -> dict[str, Any]:
    """Pictures in the vendor's form, films as a sentence, and thoughts where it wants them."""
    message = {key: message[key] for key in message if key not in ("reasoning", "refusal")}
    if isinstance(message["content"], list):
        message["content"] = [_prepared_part(family, part) for part in message["content"]]
    if family == "claude" and (details := message.pop("reasoning_details", ())):
        message["content"] = [*details, *message["content"]]
    return message


def _prepared_part(family: Family, part: dict[str, Any]) -> dict[str, Any]:
    if part.get("type") == "video_url":
        reason = "input file has unsupported MIME type"
        return {"type": "text", "text": f"{{error: {reason}; the user did not write this message}}"}
    given = part.get("image_url") if part.get("type") == "image_url" else None
    return _PICTURES[family](given["url"]) if isinstance(given, dict) and "url" in given else part


def _claude_image(url: str) -> dict[str, Any]:
    head, comma, data = url.partition(";base64,")
    kind = {"type": "base64", "media_type": head.removeprefix("data:"), "data": data}
    return {"type": "image", "source": kind if comma else {"type": "url", "url": url}}


_PICTURES: Mapping[Family, Callable[[str], dict[str, Any]]] = {
    "claude": _claude_image,
    "responses": lambda url: {"type": "input_image", "image_url": url},
}
