"""Names of providers: as the server's lists have them, and as people write them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from puter.checks import did_you_mean, near_misses, text
from puter.exceptions import PuterInputError
from puter.types.model import Model
from puter.wire.dialects import PROVIDERS

_SUFFIXES: Mapping[str, str] = {"image": "-image-generation", "video": "-video-generation"}
_SHORT: Mapping[str, frozenset[str]] = {
    "image": frozenset(
        {"openai", "gemini", "together", "cloudflare", "xai", "replicate", "byteplus"}
    ),
    "video": frozenset({"openai", "together", "gemini", "byteplus"}),
}
_ALSO = {
    "anthropic": "claude",
    "bytedance": "byteplus",
    "google": "gemini",
    "grok": "xai",
    "kimi": "moonshotai",
    "moonshot": "moonshotai",
    "qwen": "alibaba",
    "x-ai": "xai",
    "z-ai": "zai",
}
"""What vendors are called elsewhere -> the provider that serves them here."""
_COMMON_WORDS = frozenset(
    {"ai", "chat", "completion", "fake", "generation", "image", "responses", "video"}
)


def listed_name(provider: str, kind: str) -> str:
    """The provider as ``list_models()`` has it; a name that is not known stays as it is.

    Examples:
        >>> listed_name("OpenAI", "image"), listed_name("brand-new", "image")
        ('openai-image-generation', 'brand-new')
    """
    name = provider.strip()
    key = name.lower()
    return key + _SUFFIXES[kind] if key in _SHORT.get(kind, ()) else name


def find_provider(provider: str, known: Collection[str], kind: str) -> str:
    """The one that is meant of the providers of a model list.

    Raises:
        PuterInputError: The list has none of that name.
    """
    key = text("provider", provider).strip().lower()
    for name in (key, key + _SUFFIXES.get(kind, "")):
        if name in known:
            return name
    others = (one for one, suffix in _SUFFIXES.items() if one != kind and key.endswith(suffix))
    if other := next(others, None):
        hint = f"Pass kind={other!r}."
    elif near := similar_providers(key, known):
        hint = did_you_mean(near)
    else:
        hint = f"It has those of {', '.join(sorted(known)) or 'nobody'}."
    raise PuterInputError(f"This server lists no {kind} models of {provider!r}", hint=hint)


def refuse_misspelt_provider(provider: object, kind: str, listed: Iterable[Model]) -> None:
    """Refuse a provider that is nearly a known one.

    For chats and videos the server ignores a provider that it does not know, and lets another one
    serve the call. A name like no other may be newer than this SDK, so it is left to the server.

    Args:
        provider: The name; what is no str is checked elsewhere.
        kind: ``chat``, ``image`` or ``video``.
        listed: Models of the server's own list, where it was fetched.

    Raises:
        PuterInputError: It is nearly a known one.
    """
    if not isinstance(provider, str):
        return
    key = provider.strip().lower()
    usual = PROVIDERS if kind == "chat" else (one + _SUFFIXES[kind] for one in _SHORT[kind])
    known = {*(one.provider for one in listed), *usual}
    if key in known or listed_name(key, kind) in known:
        return
    if near := similar_providers(key, known):
        raise PuterInputError(
            f"There is no provider of {kind} models named {provider!r}",
            hint=f"{did_you_mean(near)} extra={{'provider': ...}} sends any name.",
        )


def similar_providers(key: str, known: Collection[str]) -> list[str]:
    """Known providers that a name in lower case may mean, the most likely first.

    Examples:
        >>> similar_providers("anthropc", ["claude", "openai-completion", "openai-responses"])
        ['claude']
        >>> similar_providers("openai", ["claude", "openai-completion", "openai-responses"])
        ['openai-completion', 'openai-responses']
    """
    meant: dict[str, list[str]] = {}
    for name in sorted(set(known)):
        for word in {name, *name.split("-")} - _COMMON_WORDS:
            meant.setdefault(word, []).append(name)
    for other, name in _ALSO.items():
        if name in meant:
            meant.setdefault(other, []).extend(meant[name])
    words = [key] if key in meant else near_misses(key, meant)
    return list(dict.fromkeys(name for word in words for name in meant[word]))
