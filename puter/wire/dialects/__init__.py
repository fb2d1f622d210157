"""What each provider of chat models reads: one row each; one file for each family of routes.

Facts of the Puter backend's routes. A new provider is a row; a new family is a file and its rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from puter.records import dataclass, field
from puter.wire.dialects.base import BASE, Dialect
from puter.wire.dialects.claude import CLAUDE
from puter.wire.dialects.mistral import MISTRAL
from puter.wire.dialects.openai import OPENAI
from puter.wire.dialects.responses import RESPONSES

__all__ = [
    "PROVIDERS", "READ_SOMEWHERE", "Dialect", "Provider", "dropped_options", "resellers",
    "route_of",
]  # fmt: skip

# What one generation of the server or another passes on. Of the newer one (2026-10) only the
# routes of Claude, Azure's Responses and Meta are known; so an option that it can read somewhere
# among the chat completions is taken to be read by all of them.
_LIMITS = frozenset({"temperature", "max_tokens"})
_FORMAT = frozenset({"normalize", "output_format", "thinking"})
_CHOICE = frozenset({"top_p", "tool_choice", "parallel_tool_calls"})
_COMPAT = _FORMAT | _CHOICE | {"stop"}
_CHAT = _LIMITS | _COMPAT
_COMPACTION = frozenset({"compaction", "context_management"})
_THINKING = frozenset({"reasoning_effort", "verbosity"})
_OPENAI = frozenset({"web_search", "moderation"}) | _COMPACTION
_RESPONSES = frozenset(
    {
        "include", "instructions", "metadata", "prompt_cache_key", "prompt_cache_retention",
        "store", "truncation", "service_tier",
    }
)  # fmt: skip


_NEWEST_CLAUDE = r"claude-(?:[a-z]+-)?(?:4[-.](?:[7-9]|[1-9]\d(?!\d))|[5-9])(?!\d)|claude-fable"


@dataclass(frozen=True, slots=True)
class Provider:
    """How the route of a provider speaks."""

    dialect: Dialect = BASE
    """The form of messages, images, files, tool rounds, thoughts and options."""
    reads: frozenset[str] = _CHAT
    """Options that the route passes on, of those that some route drops silently."""
    drops_for: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Pattern of model names -> options that are dropped for these all the same."""
    refuses: frozenset[str] = frozenset()
    """Options that the server fails with, so that they are not sent."""
    responses: Provider | None = None
    """The route that the server moves a call to when the model or an option needs Responses."""
    opens_puter_files: bool = False
    """Whether the server opens ``puter_path`` files; others get the bare path."""
    reseller: bool = False
    """It carries other vendors' models; the vendor itself comes first when both do."""


_OPENAI_RESPONSES = Provider(
    RESPONSES,
    frozenset({"max_tokens"}) | _FORMAT | _CHOICE | _THINKING | _OPENAI | _RESPONSES,
    opens_puter_files=True,
)
_AZURE_RESPONSES = Provider(
    RESPONSES, _OPENAI_RESPONSES.reads, opens_puter_files=True, reseller=True
)

PROVIDERS: Mapping[str, Provider] = {
    "alibaba": Provider(),
    "azure-openai": Provider(
        OPENAI,
        _CHAT | _THINKING | _OPENAI,
        drops_for={"gpt-5": _THINKING},
        responses=_AZURE_RESPONSES,
        opens_puter_files=True,
        reseller=True,
    ),
    "azure-openai-responses": _AZURE_RESPONSES,
    "byteplus": Provider(reads=_CHAT | {"custom"}),
    "claude": Provider(
        CLAUDE,
        _CHAT | _COMPACTION | {"top_k", "web_search", "reasoning_effort", "cache_control"},
        drops_for={_NEWEST_CLAUDE: frozenset({"temperature", "top_p"})},
        opens_puter_files=True,
    ),
    "deepseek": Provider(),
    "fake-chat": Provider(),
    "gemini": Provider(),
    "groq": Provider(),
    "infron": Provider(reseller=True),
    "meta": Provider(reads=_CHAT | {"custom", "reasoning_effort"}, opens_puter_files=True),
    "minimax": Provider(),
    "mistral": Provider(MISTRAL, refuses=frozenset({"web_search"})),
    "moonshotai": Provider(reads=_COMPAT | {"max_tokens"}),
    "neuralwatt": Provider(reseller=True),
    "ollama": Provider(),
    "openai-completion": Provider(
        OPENAI,
        _CHAT | _THINKING | _OPENAI,
        drops_for={"gpt-5": _THINKING},
        responses=_OPENAI_RESPONSES,
        opens_puter_files=True,
    ),
    "openai-responses": _OPENAI_RESPONSES,
    "openrouter": Provider(reads=_CHAT | {"top_k"}, reseller=True),
    "together-ai": Provider(reseller=True),
    "xai": Provider(reads=_COMPAT),
    "zai": Provider(reads=_CHAT | {"custom"}),
}

READ_SOMEWHERE = frozenset[str]().union(*(row.reads for row in PROVIDERS.values()))
"""Options that some route passes on and another drops."""


_UNKNOWN = Provider(reads=READ_SOMEWHERE)
_UNLISTED_CLAUDE = Provider(CLAUDE, READ_SOMEWHERE)
_NEEDS_RESPONSES = ("web_search", "compaction", "context_management")


def route_of(
    provider: Any, model: str, entry: Mapping[str, Any], options: Mapping[str, Any]
) -> Provider:
    """The route that a chat takes; one that drops nothing, in the neutral form, when not known.

    Args:
        provider: Who serves the model: pinned, or from the registry; None when not known.
        model: The name asked for.
        entry: Its catalogue entry, ``{}`` when not known.
        options: The options of the call.
    """
    if provider is None and model.lower().startswith("claude"):
        return _UNLISTED_CLAUDE
    row = PROVIDERS.get(provider, _UNKNOWN) if isinstance(provider, str) else _UNKNOWN
    moves = entry.get("responses_api_only") or any(map(options.get, _NEEDS_RESPONSES))
    return row.responses if moves and row.responses is not None else row


def dropped_options(options: Mapping[str, Any], route: Provider, model: str) -> list[str]:
    """Options that are set and that the route is known to drop silently."""
    dropped = READ_SOMEWHERE - route.reads
    for pattern, names in route.drops_for.items():
        if re.match(pattern, model.lower().rpartition("/")[2]):
            dropped |= names
    return [
        name
        for name, value in options.items()
        if name in dropped and value is not None and value is not False
    ]


def resellers() -> frozenset[str]:
    """Providers that carry other vendors' models."""
    return frozenset(name for name, row in PROVIDERS.items() if row.reseller)
