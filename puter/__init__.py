"""Puter's AI for Python: 500+ models behind one account, from sync and from async code.

    from puter import PuterAI

    ai = PuterAI()                          # PUTER_AUTH_TOKEN, or PUTER_USERNAME and PUTER_PASSWORD
    print(ai.chat("Hello!"))
    reply = await ai.async_chat("Hello!")   # the same call in async code

Names are loaded on first use, so ``import puter`` is quick and loads no network library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from puter.ai import PuterAI
    from puter.attachments import PuterFile
    from puter.config import PuterConfig
    from puter.conversation import Conversation
    from puter.exceptions import (
        PuterAPIError,
        PuterAuthError,
        PuterBadRequestError,
        PuterBlockedError,
        PuterBudgetError,
        PuterConfigError,
        PuterConnectionError,
        PuterEmptyResponseError,
        PuterError,
        PuterInputError,
        PuterInsufficientFundsError,
        PuterModelNotFoundError,
        PuterNotFoundError,
        PuterOptionWarning,
        PuterParseError,
        PuterPermissionError,
        PuterQuotaError,
        PuterRateLimitError,
        PuterResponseError,
        PuterServerError,
        PuterStreamError,
        PuterSubscriptionRequiredError,
        PuterTimeoutError,
        PuterToolError,
        PuterTwoFactorRequired,
        PuterUpstreamError,
    )
    from puter.media import Image
    from puter.replies import Account, ChatChunk, ChatReply, ToolCall, Usage
    from puter.streaming import AsyncChatStream, ChatStream
    from puter.tools import StopChat, Tool, tool_result

_HOMES = {
    "PuterAI": "puter.ai",
    "PuterConfig": "puter.config",
    "Account": "puter.replies",
    "AsyncChatStream": "puter.streaming",
    "ChatChunk": "puter.replies",
    "ChatStream": "puter.streaming",
    "Conversation": "puter.conversation",
    "Image": "puter.media",
    "PuterFile": "puter.attachments",
    "StopChat": "puter.tools",
    "Tool": "puter.tools",
    "tool_result": "puter.tools",
    "ChatReply": "puter.replies",
    "ToolCall": "puter.replies",
    "Usage": "puter.replies",
}

__all__ = [
    "Account",
    "AsyncChatStream",
    "ChatChunk",
    "ChatReply",
    "ChatStream",
    "Conversation",
    "Image",
    "PuterAI",
    "PuterAPIError",
    "PuterAuthError",
    "PuterBadRequestError",
    "PuterBlockedError",
    "PuterBudgetError",
    "PuterConfig",
    "PuterConfigError",
    "PuterConnectionError",
    "PuterEmptyResponseError",
    "PuterError",
    "PuterFile",
    "PuterInputError",
    "PuterInsufficientFundsError",
    "PuterModelNotFoundError",
    "PuterNotFoundError",
    "PuterOptionWarning",
    "PuterParseError",
    "PuterPermissionError",
    "PuterQuotaError",
    "PuterRateLimitError",
    "PuterResponseError",
    "PuterServerError",
    "PuterStreamError",
    "PuterSubscriptionRequiredError",
    "PuterTimeoutError",
    "PuterToolError",
    "PuterTwoFactorRequired",
    "PuterUpstreamError",
    "StopChat",
    "Tool",
    "ToolCall",
    "Usage",
    "__version__",
    "tool_result",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'puter' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, "puter.exceptions")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
