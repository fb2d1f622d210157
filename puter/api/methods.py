"""``ChatMethods`` before the first chat: its methods are loaded when they are first looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puter.engine.client import Method
from puter.keywords import KnownAttributes
from puter.process import late

__all__ = ["ChatMethods"]

if TYPE_CHECKING:
    from puter.api.chat import ChatMethods
else:
    written = late("puter.api.chat")

    class ChatMethods(KnownAttributes):
        """``chat`` and ``parse`` over a client and a history."""

        chat = Method(lambda: written.ChatMethods.chat)
        async_chat = Method(lambda: written.ChatMethods.async_chat)
        parse = Method(lambda: written.ChatMethods.parse)
        async_parse = Method(lambda: written.ChatMethods.async_parse)
