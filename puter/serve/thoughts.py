"""What a model wants back with its tool calls, kept for callers that do not send it along.

Claude and Gemini refuse the result of a call without the signed thought that led to it, and most
clients of OpenAI's protocol send back only what OpenAI has a name for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from puter.types.replies import ChatReply
from puter.wire.dialects.base import is_thought
from puter.wire.json import as_dicts
from puter.wire.kept import kept_of
from puter.wire.messages import REASONING_KEYS, Message, check_messages
from puter.wire.tool_messages import normalize_tool_messages, tool_use_in

_MOST = 1000
"""Calls remembered."""


class _Kept(NamedTuple):
    name: Any
    input: Any
    extras: Message
    """Keys of the call."""
    beside: Message
    """Keys of its message, when it is the first call there."""


class Thoughts:
    """Of the last calls, by their ids."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def keep(self, reply: ChatReply) -> None:
        """Remember what belongs to the calls of an answer."""
        kept = kept_of(reply, 0)
        extras = kept.pop("calls", {})
        beside = {key: kept[key] for key in REASONING_KEYS if key in kept}
        for call in reply.tool_calls:
            if call.id and (beside or call.id in extras):
                self._kept.pop(call.id, None)
                of_call = extras.get(call.id, {})
                self._kept[call.id] = _Kept(call.name, call.arguments, of_call, beside)
            beside = {}
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]

    def restore(self, messages: list[Message]) -> list[Message]:
        """The conversation with what its calls lack; the same one where that is nothing.

        Raises:
            PuterInputError: A message is malformed.
        """
        if not self._kept:
            return messages
        pieces = normalize_tool_messages(check_messages(messages))
        restored = False
        for place, piece in enumerate(pieces):
            block = tool_use_in(piece)
            kept = None if block is None else self._kept.get(str(block.get("id")))
            if block is None or kept is None:
                continue
            if kept[:2] != (block.get("name"), block.get("input")):  # another call of that id
                continue
            restored = True
            pieces[place] = {**piece, "content": [{**kept.extras, **block}]}
            is_text = place > 0 and _is_text_of_model(pieces[place - 1])
            first = place - 1 if is_text else place
            if not _has_thoughts(pieces[first]):
                pieces[first] = {**pieces[first], **kept.beside}
        return pieces if restored else messages


def _is_text_of_model(message: Message) -> bool:
    """Whether it is what the model said before it called."""
    return message.get("role") == "assistant" and tool_use_in(message) is None


def _has_thoughts(message: Message) -> bool:
    blocks = as_dicts(message.get("content"))
    return "reasoning_details" in message or any(map(is_thought, blocks))
