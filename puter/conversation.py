"""``Conversation``: a conversation of its own beside the client's, to keep, fork and trim."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puter import checks
from puter.api.methods import ChatMethods
from puter.engine.client import Client
from puter.exceptions import PuterInputError
from puter.history import History, dump, last_turn, overflow
from puter.process import late

if TYPE_CHECKING:
    from typing_extensions import Self

    from puter.extensions import installing
    from puter.extensions.installing import Extension
else:
    installing = late("puter.extensions.installing")


class Conversation(ChatMethods):
    """A conversation with its own messages, instructions and model: ``PuterAI.conversation()``.

    Its turns queue up, from threads and tasks alike, because each must see the one before; other
    conversations of the same client run beside it. Compacted conversations that the server sends
    (option ``compaction``) are kept among the messages and sent along.

    Examples:
        >>> talk = ai.conversation(system="Answer in one word.")
        >>> print(talk.chat("What is the capital of France?"))
        Paris
        >>> print(talk.save("talk.json"))
        talk.json
    """

    def __init__(self, client: Client, history: History) -> None:
        self._parent = client
        self._history = history

    @property
    def _client(self) -> Client:
        return self._parent

    def use(self, extension: Extension, *, per_attempt: bool = False) -> Self:
        """Give this conversation alone an extension, within those that its client has now.

        See ``PuterAI.use()``.

        Examples:
            >>> from puter.extensions import map_chunks
            >>> def loud(request, call_next):
            ...     return (yield from map_chunks(call_next(request), str.upper))
            >>> print(ai.conversation().use(loud).chat("Say hello"))
            HELLO!
        """
        twin = self._parent._twin()
        installing.install(twin, extension, per_attempt=per_attempt)
        self._parent = twin
        return self

    @property
    def id(self) -> str:
        """Names the conversation in traces; ``save()`` keeps it, ``fork()`` gives another."""
        return self._history.id

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The live list of messages, oldest first, without ``system``; one assigned is checked."""
        return self._history.messages

    @messages.setter
    def messages(self, messages: Sequence[Mapping[str, Any] | str]) -> None:
        self._history.replace("messages", messages)

    @property
    def system(self) -> str | None:
        """Instructions sent with every call; trimming never takes them."""
        return self._history.system

    @system.setter
    def system(self, text: str | None) -> None:
        self._history.system = checks.text_or_none("system", text)

    @property
    def model(self) -> str | None:
        """The model of a call that names none; None for the client's."""
        return self._history.model

    @model.setter
    def model(self, name: str | None) -> None:
        self._history.model = checks.text_or_none("model", name)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the conversation to a JSON file, whole or not at all, and return its path.

        It holds messages, instructions, model and ``id``; no token, password or setting.

        Raises:
            PuterInputError: A message of yours cannot be written as JSON.
            OSError: The file could not be written; an older one is still there.

        Examples:
            >>> print(ai.conversation(system="Be brief.").save("talk.json"))
            talk.json
            >>> ai.load_conversation("talk.json").system
            'Be brief.'
        """
        return dump(self._history, path)

    def fork(self) -> Conversation:
        """A copy that goes its own way from here.

        Examples:
            >>> talk = ai.conversation()
            >>> _ = talk.chat("Say hello")
            >>> other = talk.fork()
            >>> _ = other.chat("What is the capital of France?")
            >>> len(talk.messages), len(other.messages)
            (2, 4)
        """
        return Conversation(self._client, self._history.copy())

    def trim(
        self, *, max_messages: int | None = None, max_tokens: int | None = None
    ) -> list[dict[str, Any]]:
        """Forget the oldest turns until the rest fits; the last turn always stays.

        Turns go as a whole, so a tool's call is never parted from its result, and the
        instructions stay.

        Args:
            max_messages: Messages to keep at most.
            max_tokens: Tokens to keep at most, by a rough estimate: a quarter of the characters,
                1,000 for an image or file.

        Returns:
            The messages forgotten, oldest first.

        Raises:
            PuterInputError: Neither limit is given, or one is not a whole number above 0.

        Examples:
            >>> answer = {"role": "assistant", "content": "Yes?"}
            >>> talk = ai.conversation(messages=["First", answer])
            >>> print(talk.chat("Say hello"))
            Hello!
            >>> [message["content"] for message in talk.trim(max_messages=2)]
            ['First', 'Yes?']
        """
        if max_messages is None and max_tokens is None:
            raise PuterInputError("trim() needs max_messages= or max_tokens=")
        for name, limit in (("max_messages", max_messages), ("max_tokens", max_tokens)):
            if limit is not None:
                checks.whole_number(name, limit, least=1)
        return self._history.cut(lambda messages: overflow(messages, max_messages, max_tokens))

    def undo(self) -> list[dict[str, Any]]:
        """Take back the last turn and return its messages; ``[]`` when there is none.

        Examples:
            >>> talk = ai.conversation()
            >>> _ = talk.chat("Say hello")
            >>> [one["content"] for one in talk.undo()]
            ['Say hello', 'Hello!']
        """
        return self._history.cut(last_turn)

    def clear(self) -> None:
        """Forget all messages; instructions and model stay.

        Examples:
            >>> talk = ai.conversation(system="Be brief.")
            >>> _ = talk.chat("Say hello")
            >>> talk.clear()
            >>> talk.messages, talk.system
            ([], 'Be brief.')
        """
        self._history.clear()

    def _repr_html_(self) -> str:
        from puter.display.messages import conversation_html

        return conversation_html(self.system, list(self.messages))

    def __repr__(self) -> str:
        return f"<Conversation of {len(self.messages)} messages>"
