"""The messages of a conversation: they grow by whole turns, and can be kept in a file."""

from __future__ import annotations

import functools
import os
from collections import deque
from copy import deepcopy
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from puter.engine.throttle import Throttle
from puter.exceptions import PuterInputError
from puter.process import late, short_lock

if TYPE_CHECKING:
    import json
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from puter import atomic
    from puter.wire import json as wire_json
    from puter.wire import messages as wire_messages
    from puter.wire.messages import Message
else:
    atomic, json = late("puter.atomic"), late("json")
    wire_json, wire_messages = late("puter.wire.json"), late("puter.wire.messages")

VERSION = 1
"""Of the file that ``dump()`` writes."""
_OF_SAVE = "Give a file that save() wrote."
_PLAIN_ONLY = "Messages may hold str, numbers, bool, None, lists and dicts only."


class History:
    """Messages exchanged so far. A turn is added whole, when it has succeeded, or not at all.

    Args:
        messages: Message dicts, oldest first; kept as they are.
        system: Instructions sent before the messages with every call.
        model: The model that answers when a call names none.
        queued: One turn at a time, where each must see the one before.
        id: Names the conversation. Default: made when it is asked for.
    """

    def __init__(
        self,
        messages: Iterable[Message] = (),
        *,
        system: str | None = None,
        model: str | None = None,
        queued: bool = False,
        id: str | None = None,  # noqa: A002 - the field's own word
    ) -> None:
        self._id = id
        self.messages: list[Message] = list(messages)
        """The live list of message dicts, oldest first."""
        self.system = system
        self.model = model
        self.queue: Throttle | None = (
            Throttle(rate_limit=float("inf"), max_concurrency=1) if queued else None
        )
        """Lets one turn at a time through."""
        self.turn: Any = None
        """The turn under way, of whoever holds the queue; see ``puter.api.turn``."""
        self.resumed: deque[int] = deque(maxlen=256)
        """Marks of what was resumed here and ran tools, the newest; likewise."""

    @property
    def id(self) -> str:
        """Names the conversation, in its file too; a copy has another."""
        if self._id is None:
            made = os.urandom(8).hex()
            with short_lock():
                self._id = self._id or made
        return self._id

    def snapshot(self) -> list[Message]:
        """The messages so far, in a list of its own."""
        return list(self.messages)

    def commit(self, turn: Iterable[Message]) -> None:
        """Add copies of the messages of a turn, all at once: the reply's are the caller's."""
        self.messages.extend(
            [
                one.copy() if all(type(value) is str for value in one.values()) else deepcopy(one)
                for one in turn
            ]
        )

    def cut(self, choose: Callable[[list[Message]], tuple[int, int]]) -> list[Message]:
        """Take out the messages from one index up to another, as ``choose`` says; return them."""
        with short_lock():
            start, end = choose(self.messages)
            gone = self.messages[start:end]
            del self.messages[start:end]
            return gone

    def replace(self, name: str, messages: Any) -> None:
        """Put other messages in place of these, in the same list; errors call them ``name``.

        Raises:
            PuterInputError: One of them is no message.
        """
        is_empty = isinstance(messages, (list, tuple)) and not messages
        checked = [] if is_empty else wire_messages.check_messages(messages, name)
        with short_lock():
            self.messages[:] = checked

    def clear(self) -> None:
        with short_lock():
            self.messages.clear()

    def copy(self) -> History:
        """A history that shares nothing with this one."""
        try:
            messages = deepcopy(self.snapshot())
        except (TypeError, ValueError, RecursionError) as error:
            raise PuterInputError(
                f"The conversation cannot be copied: {error}", hint=_PLAIN_ONLY
            ) from None
        return History(
            messages,
            system=self.system,
            model=self.model,
            queued=self.queue is not None,
        )

    def __reduce__(self) -> Any:
        queued = self.queue is not None
        make = functools.partial(
            History, system=self.system, model=self.model, queued=queued, id=self._id
        )
        return make, (self.snapshot(),)


def turn_starts(messages: list[Message]) -> list[int]:
    """Where a new turn begins: at a message of the user, not at the result of a tool."""
    return [
        place
        for place, message in enumerate(messages)
        if _role(message) == "user"
        and not _is_tool_result(message)
        and (place == 0 or _role(messages[place - 1]) != "user")
    ]


def _role(message: Any) -> Any:
    """What the user put into the live list may be no message at all; sending says so."""
    return message.get("role") if isinstance(message, dict) else None


def _is_tool_result(message: Message) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") == "tool_result" for part in content
    )


def last_turn(messages: list[Message]) -> tuple[int, int]:
    starts = turn_starts(messages)
    return (starts[-1] if starts else 0), len(messages)


def overflow(
    messages: list[Message], max_messages: int | None, max_tokens: int | None
) -> tuple[int, int]:
    """The oldest whole turns that must go for the rest to fit; the last turn always stays."""
    starts = turn_starts(messages)
    tokens = [0, *accumulate(map(estimate_tokens, messages))]  # before each message, and of all
    for start in [0, *starts]:
        fits = max_messages is None or len(messages) - start <= max_messages
        if fits and (max_tokens is None or tokens[-1] - tokens[start] <= max_tokens):
            return 0, start
    return 0, starts[-1] if starts else 0


def estimate_tokens(message: Message) -> int:
    """Roughly how many tokens a message takes: a quarter of its characters, 1,000 for an image."""
    content = message.get("content") if isinstance(message, dict) else message
    if isinstance(content, str):
        return len(content) // 4 + 4
    total = 4
    for part in content if isinstance(content, list) else [message]:
        if isinstance(part, dict) and part.get("type") in _LARGE:
            total += 1000
        else:
            total += len(part if isinstance(part, str) else _as_json(part)) // 4
    return total


def _as_json(part: Any) -> str:
    """What it is as JSON, if it is anything; sending says so otherwise."""
    try:
        return json.dumps(part, default=str)
    except (TypeError, ValueError, RecursionError):
        return ""


_LARGE = ("image_url", "image", "video_url", "input_audio", "file", "document", "input_image")


def dump(history: History, path: str | os.PathLike[str]) -> Path:
    """Write the conversation as JSON, whole or not at all."""
    data = {
        "puter_conversation": VERSION,
        "id": history.id,
        "system": history.system,
        "model": history.model,
        "messages": history.snapshot(),
    }
    try:
        text = json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise PuterInputError(
            f"The conversation cannot be written as JSON: {error}", hint=_PLAIN_ONLY
        ) from error
    return atomic.write_whole(path, text)


def load(path: str | os.PathLike[str]) -> History:
    """Read what ``dump()`` wrote.

    Raises:
        PuterInputError: It holds no conversation, or one of a newer SDK, or is a pipe or a device.
        OSError: It could not be read.
    """
    try:
        with atomic.open_ordinary(path, _OF_SAVE) as file:
            data = wire_json.read_json(file.read(), depth=wire_json.MESSAGE_DEPTH + 2)
    except PuterInputError:
        raise
    except ValueError as error:
        raise PuterInputError(f"{os.fspath(path)!r} is not JSON: {error}") from None
    version = data.get("puter_conversation") if isinstance(data, dict) else None
    if type(version) is not int or not isinstance(data.get("messages"), list):
        raise PuterInputError(f"{os.fspath(path)!r} holds no conversation", hint=_OF_SAVE)
    if version > VERSION:
        raise PuterInputError(
            f"{os.fspath(path)!r} was written by a newer version of this SDK",
            hint="Upgrade this SDK.",
        )
    for name in ("system", "model", "id"):
        if data.get(name) is not None and not isinstance(data[name], str):
            raise PuterInputError(f"{os.fspath(path)!r} is damaged: {name} is no text")
    messages = wire_messages.check_messages(data["messages"]) if data["messages"] else []
    system, model, name = (data.get(key) for key in ("system", "model", "id"))
    return History(messages, system=system, model=model, queued=True, id=name)
