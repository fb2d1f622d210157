"""Tool rounds on the wire: the one form that every route of the Puter backend keeps intact.

Echoing an answer's tool calls naturally is corrupted on the way (arguments encoded twice, calls
reversed or lost, text dropped). What comes out right everywhere: the text in an assistant message
of its own, then for each call one assistant message with one ``tool_use`` block whose input is an
object, directly followed by its result.
"""

from __future__ import annotations

from typing import Any

from puter.wire.json import as_str_or_none, read_model_json
from puter.wire.messages import EXTRAS, REASONING_KEYS, Message, result_message


def normalize_tool_messages(messages: list[Message]) -> list[Message]:
    """The same conversation in that form."""
    placed: list[list[Message]] = []
    unanswered: dict[str | None, list[list[Message]]] = {}  # some vendors repeat ids
    for message in messages:
        if not _has_tools(message):
            placed.append([message])
            continue
        for piece in _pieces(message):
            of_call = as_str_or_none(piece.get("tool_call_id"))
            calls = unanswered.get(of_call) if piece.get("role") == "tool" else []
            if calls:
                calls.pop(0).append(piece)
                continue
            placed.append([piece])
            block = tool_use_in(piece)
            if block is not None:
                unanswered.setdefault(as_str_or_none(block.get("id")), []).append(placed[-1])
    return [message for group in placed for message in group]


def with_pictures_apart(messages: list[Message]) -> list[Message]:
    """The pictures in tool results in a message of the user's, where every vendor reads them.

    It follows the results of their round, since nothing may come between a call and its result.
    """
    if not any(isinstance(one.get("content"), list) for one in messages if _is_result(one)):
        return messages
    placed: list[Message] = []
    pictures: list[Any] = []
    for message in messages:
        if pictures and message.get("role") != "tool" and tool_use_in(message) is None:
            placed.append({"role": "user", "content": pictures})
            pictures = []
        content = message.get("content")
        if _is_result(message) and isinstance(content, list):
            texts, others = _texts_and_others(content)
            if others:
                call = message.get("tool_call_id")
                pictures += [{"type": "text", "text": f"Returned by tool call {call}:"}, *others]
                texts.append(f"({len(others)} shown in the next message of the user)")
            message = {**message, "content": "\n".join(texts)}  # noqa: PLW2901
        placed.append(message)
    return [*placed, {"role": "user", "content": pictures}] if pictures else placed


def _is_result(message: Message) -> bool:
    return message.get("role") == "tool"


def _texts_and_others(content: list[Any]) -> tuple[list[str], list[Any]]:
    texts: list[str] = []
    others: list[Any] = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            texts.append(text)
        else:
            others.append(part)
    return texts, others


def arguments_of(value: Any) -> dict[str, Any]:
    """A tool call's arguments, which some routes send as JSON text and some as an object.

    Anything else is kept as ``_unreadable``, so that an error can go to the model.
    """
    decoded = value
    for _ in range(2):  # the Puter backend encodes some twice
        if isinstance(decoded, str):
            try:
                decoded = read_model_json(decoded) if decoded.strip() else {}
            except ValueError:
                break
    if decoded is None:
        return {}
    return decoded if isinstance(decoded, dict) else {"_unreadable": value}


def _has_tools(message: Message) -> bool:
    if message.get("role") == "tool" or message.get("tool_calls"):
        return True
    return not isinstance(message.get("content"), str) and _has_blocks(message)


def _has_blocks(message: Message) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") in ("tool_use", "tool_result")
        for part in content
    )


def tool_use_in(message: Message) -> dict[str, Any] | None:
    """The block of a message that makes one tool call and holds nothing else."""
    content = message.get("content")
    if not isinstance(content, list) or len(content) != 1 or not isinstance(content[0], dict):
        return None
    block: dict[str, Any] = content[0]
    return block if block.get("type") == "tool_use" else None


def _pieces(message: Message) -> list[Message]:
    """One message as several; its reasoning stays with the first."""
    pieces = _split(message)
    beside = {key: message[key] for key in REASONING_KEYS if key in message}
    if beside and pieces:
        pieces[0] = {**pieces[0], **beside}
    return pieces


def _split(message: Message) -> list[Message]:
    """One message as several: each result, the other parts, each call."""
    if message.get("tool_calls"):
        rest = {key: value for key, value in message.items() if key != "tool_calls"}
        calls = [{"role": "assistant", "content": [_block(call)]} for call in message["tool_calls"]]
        return [*(_split(rest) if rest.get("content") else []), *calls]
    if not _has_blocks(message):
        return [message]
    others: list[Any] = []
    calls, results = [], []
    for part in message["content"]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "tool_use":
            block = {**part, "input": arguments_of(part.get("input"))}
            calls.append({"role": "assistant", "content": [block]})
        elif kind == "tool_result":
            content = _result_content(part.get("content"))
            results.append(result_message(part.get("tool_use_id"), content))
        else:
            others.append(part)
    return [*results, *([{**message, "content": others}] if others else []), *calls]


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
    texts, others = _texts_and_others(content)
    return content if others else "\n".join(texts)  # Claude reads images there
