"""Conversations: messages that grow by whole turns."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

Message = dict[str, Any]


class Conversation:
    """Messages exchanged so far. A turn is added whole, when it has succeeded, or not at all.

    Attributes:
        messages: The live list of message dicts, oldest first.
    """

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self.messages: list[Message] = list(messages)
        self._lock = threading.Lock()

    def snapshot(self) -> list[Message]:
        with self._lock:
            return list(self.messages)

    def commit(self, turn: Iterable[Message]) -> None:
        with self._lock:
            self.messages.extend(turn)

    def clear(self) -> None:
        with self._lock:
            self.messages.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {"messages": self.snapshot()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.messages = state["messages"]
        self._lock = threading.Lock()
