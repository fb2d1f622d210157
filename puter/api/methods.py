"""``ChatMethods`` before the first chat: its methods, and what they need, are loaded on use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puter import checks
from puter.config import CREDENTIALS, MEANT, ConfigOptions
from puter.engine.client import method, operations
from puter.exceptions import PuterConfigError
from puter.frames import without_arguments
from puter.process import late

__all__ = ["ChatMethods"]

if TYPE_CHECKING:
    from puter.api import chat
    from puter.api.chat import ChatMethods
else:
    chat, _written = late("puter.api.chat"), operations("puter.api.chat").ChatMethods

    class ChatMethods:
        """``chat`` and ``parse`` over a client and a history."""

        chat, async_chat = method(_written.chat), method(_written.async_chat)
        parse, async_parse = method(_written.parse), method(_written.async_parse)
        _start, _start_typed = method(_written._start), method(_written._start_typed)
        _heed_options = method(_written._heed_options)

        @without_arguments
        def __setattr__(self, name: str, value: Any) -> None:
            cls = type(self)
            known = name.startswith("_") or hasattr(cls, name) or name in cls.__annotations__
            if not known and cls.__module__.startswith("puter."):  # a user's class may add its own
                raise _no_attribute(cls, name)
            super().__setattr__(name, value)


def _no_attribute(cls: type, name: str) -> PuterConfigError:
    """The error of an assignment that no call would heed."""
    meant = "current_model" if name == "model" else MEANT.get(name, name)
    if meant in (*CREDENTIALS, "transport"):
        hint = f"Make a new client: PuterAI({meant}=...)."
    elif meant in ConfigOptions.__annotations__:
        hint = f"It is a setting of the client: ai.config.{meant} = ..."
    elif meant in chat.ChatArguments.__annotations__:
        hint = f"It goes with each call: chat(prompt, {meant}=...)"
        hint += ", or conversation(system=...)." if meant == "system" else "."
    else:
        known = [one for one in dir(cls) if not one.startswith("_")]
        near = checks.near_misses(meant, [*known, *ConfigOptions.__annotations__], 1)
        hint = checks.did_you_mean(near) or "A subclass may have attributes of its own."
    return PuterConfigError(f"{cls.__name__} has no attribute {name!r} to set", hint=hint)
