"""Puter's AI for Python: hundreds of models behind one account, from sync and from async code.

    from puter import PuterAI

    ai = PuterAI()                          # PUTER_AUTH_TOKEN, or PUTER_USERNAME and PUTER_PASSWORD
    print(ai.chat("Hello!"))
    reply = await ai.async_chat("Hello!")   # the same call in async code

Names are loaded on first use, so ``import puter`` is quick and loads no network library.
"""

from __future__ import annotations

from puter.version import __version__ as __version__

TYPE_CHECKING = False  # as type checkers know it; typing's own takes as long as the interpreter
if TYPE_CHECKING:
    from typing import Any

    from puter.ai import PuterAI as PuterAI
    from puter.config import PuterConfig as PuterConfig
    from puter.conversation import Conversation as Conversation
    from puter.exceptions import *  # noqa: F403 - each error is named in one place, there
    from puter.streaming import AsyncChatStream as AsyncChatStream
    from puter.streaming import ChatStream as ChatStream
    from puter.tools import StopChat as StopChat
    from puter.tools import Tool as Tool
    from puter.tools import tool_result as tool_result
    from puter.types.account import Account as Account
    from puter.types.account import AccountUsage as AccountUsage
    from puter.types.account import Spending as Spending
    from puter.types.media import Audio as Audio
    from puter.types.media import Image as Image
    from puter.types.media import Media as Media
    from puter.types.media import Video as Video
    from puter.types.model import CostEstimate as CostEstimate
    from puter.types.model import Model as Model
    from puter.types.model import ModelList as ModelList
    from puter.types.puter_file import PuterFile as PuterFile
    from puter.types.replies import ChatChunk as ChatChunk
    from puter.types.replies import ChatReply as ChatReply
    from puter.types.replies import ToolCall as ToolCall
    from puter.types.replies import Usage as Usage
    from puter.types.text import OcrText as OcrText
    from puter.types.text import Transcript as Transcript

_MODULES = {
    "puter.ai": ("PuterAI",),
    "puter.config": ("PuterConfig",),
    "puter.conversation": ("Conversation",),
    "puter.streaming": ("AsyncChatStream", "ChatStream"),
    "puter.tools": ("StopChat", "Tool", "tool_result"),
    "puter.types.account": ("Account", "AccountUsage", "Spending"),
    "puter.types.media": ("Audio", "Image", "Media", "Video"),
    "puter.types.model": ("CostEstimate", "Model", "ModelList"),
    "puter.types.puter_file": ("PuterFile",),
    "puter.types.replies": ("ChatChunk", "ChatReply", "ToolCall", "Usage"),
    "puter.types.text": ("OcrText", "Transcript"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # a type checker shall refuse names that are not above

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        exceptions = import_module("puter.exceptions")
        if name == "__all__":
            value = sorted([*_MODULE_OF, *exceptions.__all__, "__version__"])
        elif name in exceptions.__all__:
            value = getattr(exceptions, name)
        elif name in _MODULE_OF:
            value = getattr(import_module(_MODULE_OF[name]), name)
        else:
            raise AttributeError(f"module 'puter' has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
