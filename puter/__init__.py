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
    from puter.account import AccountUsage
    from puter.ai import PuterAI
    from puter.catalogue import CostEstimate, Model, ModelList
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
    from puter.media import Audio, Image, Media, Video
    from puter.replies import Account, ChatChunk, ChatReply, ToolCall, Usage
    from puter.results import OcrText, Transcript
    from puter.sources import PuterFile
    from puter.streaming import AsyncChatStream, ChatStream
    from puter.tools import StopChat, Tool, tool_result

_HOMES = {
    "Account": "puter.replies",
    "AccountUsage": "puter.account",
    "AsyncChatStream": "puter.streaming",
    "Audio": "puter.media",
    "ChatChunk": "puter.replies",
    "ChatReply": "puter.replies",
    "ChatStream": "puter.streaming",
    "Conversation": "puter.conversation",
    "CostEstimate": "puter.catalogue",
    "Image": "puter.media",
    "Media": "puter.media",
    "Model": "puter.catalogue",
    "ModelList": "puter.catalogue",
    "OcrText": "puter.results",
    "PuterAI": "puter.ai",
    "PuterConfig": "puter.config",
    "PuterFile": "puter.sources",
    "StopChat": "puter.tools",
    "Tool": "puter.tools",
    "ToolCall": "puter.replies",
    "Transcript": "puter.results",
    "Usage": "puter.replies",
    "Video": "puter.media",
    "tool_result": "puter.tools",
}

__all__ = [
    "Account",
    "AccountUsage",
    "AsyncChatStream",
    "Audio",
    "ChatChunk",
    "ChatReply",
    "ChatStream",
    "Conversation",
    "CostEstimate",
    "Image",
    "Media",
    "Model",
    "ModelList",
    "OcrText",
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
    "Transcript",
    "Usage",
    "Video",
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
