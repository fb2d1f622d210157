"""A conversation as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from puter.display import tables

_MOST_CHARACTERS = 4000
"""Of a message that are shown."""


def conversation_html(system: str | None, messages: Sequence[Mapping[str, Any]]) -> str:
    """The last messages, who said them beside each."""
    most = tables.MOST_ROWS - (system is not None)
    noun = "message" if len(messages) == 1 else "messages"
    caption = f"{len(messages)} {noun}{f', the last {most}:' if len(messages) > most else ''}"
    rows = [[str(one.get("role", "")), _text(one)] for one in messages[-most:]]
    if system is not None:
        rows.insert(0, ["system", system])
    return tables.table(["", ""], rows, caption=caption)


def _text(message: Mapping[str, Any]) -> str:
    text = "\n".join(_pieces(message))
    more = len(text) - _MOST_CHARACTERS
    return f"{text[:_MOST_CHARACTERS]} … and {more:,} more characters" if more > 0 else text


def _pieces(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content")
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            yield part
        elif isinstance(part, Mapping):
            yield _part(part)
    for call in message.get("tool_calls") or ():
        function = call.get("function", {})
        yield f"→ {function.get('name')}({function.get('arguments', '')})"


def _part(part: Mapping[str, Any]) -> str:
    """A part of a message, in the forms of any vendor."""
    kind = part.get("type")
    if kind == "tool_use":
        return f"→ {part.get('name')}({part.get('input', '')})"
    if kind == "tool_result":
        return "\n".join(_pieces(part))
    text = part.get("text")
    return text if isinstance(text, str) else f"[{kind}]"
