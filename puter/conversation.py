"""``Conversation``: a conversation of its own beside the client's, to keep, fork and trim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puter.doors.chat import ChatDoors
from puter.exceptions import PuterInputError
from puter.history import History, dump, last_turn, overflow

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from puter.ai import PuterAI


class Conversation(ChatDoors):
    """A conversation with its own messages, instructions and model: ``PuterAI.conversation()``.

    Its turns queue up, from threads and tasks alike, because each must see the one before; other
    conversations of the same client run beside it. Compacted conversations that the server sends
    (option ``compaction``) are kept among the messages and sent along.

    Examples:
        >>> talk = ai.conversation(system="Answer like a pirate.")  # doctest: +SKIP
        >>> talk.chat("Hello!")  # doctest: +SKIP
        >>> talk.save("talk.json")  # doctest: +SKIP
    """

    def __init__(self, client: PuterAI, history: History) -> None:
        self._talks_through = client
        self._own = history

    @property
    def _client(self) -> PuterAI:
        return self._talks_through

    @property
    def _history(self) -> History:
        return self._own

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The live list of messages, oldest first, without ``system``."""
        return self._own.messages

    @property
    def system(self) -> str | None:
        """Instructions sent with every call; trimming never takes them."""
        return self._own.system

    @system.setter
    def system(self, text: str | None) -> None:
        self._own.system = text_or_none("system", text)

    @property
    def model(self) -> str | None:
        """The model of a call that names none; None for the client's."""
        return self._own.model

    @model.setter
    def model(self, name: str | None) -> None:
        self._own.model = text_or_none("model", name)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the conversation to a JSON file, whole or not at all, and return its path.

        It holds messages, instructions and model; no token, password or setting.

        Raises:
            PuterInputError: A message of yours cannot be written as JSON.
            OSError: The file could not be written; an older one is still there.

        Examples:
            >>> talk.save("talk.json")  # doctest: +SKIP
            >>> talk = ai.load_conversation("talk.json")  # doctest: +SKIP
        """
        return dump(self._own, path)

    def fork(self) -> Conversation:
        """A copy that goes its own way from here."""
        return Conversation(self._talks_through, self._own.copy())

    def trim(
        self, *, max_messages: int | None = None, max_tokens: int | None = None
    ) -> list[dict[str, Any]]:
        """Forget the oldest turns until the rest fits; the last turn always stays.

        Turns go as a whole, so a tool's call is never parted from its result, and the
        instructions stay.

        Args:
            max_messages: Messages to keep at most.
            max_tokens: Tokens to keep at most, by a rough estimate: a quarter of the characters,
                1,000 for a picture or file.

        Returns:
            The messages forgotten, oldest first.

        Raises:
            PuterInputError: Neither limit is given, or one is not a whole number above 0.

        Examples:
            >>> talk.trim(max_tokens=8000)  # doctest: +SKIP
        """
        if max_messages is None and max_tokens is None:
            raise PuterInputError("trim() needs max_messages= or max_tokens=")
        for name, limit in (("max_messages", max_messages), ("max_tokens", max_tokens)):
            if limit is not None and (
                isinstance(limit, bool) or not isinstance(limit, int) or limit < 1
            ):
                raise PuterInputError(f"{name} must be a whole number above 0, not {limit!r}")
        return self._own.cut(lambda messages: overflow(messages, max_messages, max_tokens))

    def undo(self) -> list[dict[str, Any]]:
        """Take back the last turn and return its messages; ``[]`` when there is none."""
        return self._own.cut(last_turn)

    def clear(self) -> None:
        """Forget all messages; instructions and model stay."""
        self._own.clear()

    def __repr__(self) -> str:
        return f"<Conversation of {len(self.messages)} messages>"


def text_or_none(name: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise PuterInputError(f"{name} must be a non-empty str or None, not {value!r}")
    return value
