"""The model catalogue: what the real backend listed, and how it finds a model by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

Model = Mapping[str, Any]

_DOLLARS = {"costs_currency": "usd-cents"}
_RESELLER = {**_DOLLARS, "input_cost_key": "prompt", "output_cost_key": "completion"}
_FREE = {**_DOLLARS, "costs": {"tokens": 1_000_000, "input_token": 0, "output_token": 0}}

# A few models of providers whose lists are live on the real server: their answers differ in form.
RESOLD: tuple[Model, ...] = (
    {
        "id": "infron:qwen/qwen3.5-flash",
        "name": "Qwen 3.5 Flash (Infron)",
        "aliases": [
            "qwen/qwen3.5-flash",
            "Qwen 3.5 Flash",
            "infron/qwen/qwen3.5-flash",
            "qwen3.5-flash",
        ],
        "context": 100_000,
        "max_tokens": 8192,
        **_RESELLER,
        "costs": {
            "tokens": 1_000_000,
            "prompt": 10,
            "completion": 40,
            "input_cache_read": 10,
            "request": 0,
        },
        "provider": "infron",
    },
    {
        "id": "ollama:ollama/gpt-oss:20b",
        "name": "gpt-oss:20b (Ollama)",
        "max_tokens": 8192,
        **_FREE,
        "provider": "ollama",
    },
    {
        "id": "ollama:ollama/llama3.2:latest",
        "name": "llama3.2:latest (Ollama)",
        "max_tokens": 8192,
        **_FREE,
        "provider": "ollama",
    },
    {
        "id": "openrouter:deepseek/deepseek-r1",
        "name": "DeepSeek: R1 (OpenRouter)",
        "aliases": [
            "deepseek/deepseek-r1",
            "DeepSeek: R1",
            "openrouter/deepseek/deepseek-r1",
            "deepseek-r1",
        ],
        "context": 128_000,
        "max_tokens": 128_000,
        **_RESELLER,
        "costs": {"tokens": 1_000_000, "prompt": 50, "completion": 200, "request": 0},
        "release_date": "2025-06-15",
        "provider": "openrouter",
    },
    {
        "id": "openrouter:openai/gpt-5-nano",
        "name": "OpenAI: GPT-5 Nano (OpenRouter)",
        "aliases": [
            "openai/gpt-5-nano",
            "OpenAI: GPT-5 Nano",
            "openrouter/openai/gpt-5-nano",
            "gpt-5-nano",
        ],
        "context": 400_000,
        "max_tokens": 128_000,
        **_RESELLER,
        "costs": {
            "tokens": 1_000_000,
            "prompt": 5,
            "completion": 40,
            "request": 0,
            "input_cache_read": 1,
        },
        "release_date": "2025-06-15",
        "provider": "openrouter",
    },
)

# Canned models: in the driver's own lists, not in the public ones.
CANNED: tuple[Model, ...] = tuple(
    {
        "id": name,
        "aliases": [],
        **_DOLLARS,
        "costs": {"input-tokens": price, "output-tokens": 2 * price},
        "max_tokens": 8192,
        "provider": "fake-chat",
    }
    for name, price in (("abuse", 0), ("costly", 1000), ("fake", 0))
)

# Puter backend: the model a provider stands for when only the provider is named.
PROVIDER_DEFAULTS = {
    "claude": "claude-haiku-4-5-20251001",
    "openai-completion": "gpt-5-nano",
    "openai-responses": "gpt-5-pro",
    "azure-openai": "gpt-5.4-nano",
    "azure-openai-responses": "gpt-5.3-codex",
    "gemini": "gemini-2.5-flash",
    "meta": "muse-spark-1.2",
    "groq": "llama-3.1-8b-instant",
    "deepseek": "deepseek-v4-flash",
    "mistral": "mistral-small-2603",
    "xai": "grok-4.5",
    "moonshotai": "kimi-k2.6",
    "minimax": "minimax-m2",
    "zai": "glm-5.1",
    "alibaba": "qwen-plus",  # qwen-plus-latest there; this catalogue lists it by its short name
    "byteplus": "seed-2-0-lite-260428",
    "ollama": "ollama:ollama/gpt-oss:20b",
    "infron": "infron:qwen/qwen3.5-flash",
    "openrouter": "openrouter:openai/gpt-5-nano",
    "fake-chat": "fake",
}

# Puter backend: direct vendors first, then the resellers in this order, then the cheaper route.
_RESELLERS = ("infron", "neuralwatt", "openrouter", "together-ai")


class Catalogue:
    """The models of one kind (``chat``, ``image`` or ``video``).

    Args:
        listed: the models of the public lists.
        hidden: models that answer but show only in the driver's lists.
    """

    def __init__(self, listed: tuple[Model, ...], hidden: tuple[Model, ...] = ()) -> None:
        self.listed = listed
        self.all: tuple[Model, ...] = (*hidden, *listed)
        self._by_name: dict[str, list[Model]] = {}
        for model in self.all:
            for name in names_of(model):
                self._by_name.setdefault(name, []).append(model)

    def ids(self, *, hidden: bool = False) -> list[str]:
        """Sorted ids as the lists show them: the ``puterId`` where there is one."""
        models = self.all if hidden else self.listed
        return sorted(str(model.get("puterId") or model["id"]) for model in models)

    def routes(self, name: str) -> list[Model]:
        """Every provider's offer of the model ``name``, in the order the server tries them."""
        direct = self._by_name.get(name.strip().lower(), [])
        # A prefixed id does not pin its reseller: whatever shares a name is a route as well.
        shared = {other for model in direct for other in names_of(model)}
        found = {id(model): model for other in shared for model in self._by_name[other]}
        return sorted(found.values(), key=_preference)


def names_of(model: Model) -> set[str]:
    """Every name a model answers to, in lower case."""
    names = [model["id"], model.get("puterId"), *model.get("aliases", ())]
    return {name.lower() for name in names if name}


def price(model: Model, side: str) -> float:
    """Cents per single token, ``side`` being ``input`` or ``output``; 0 when there is no price."""
    costs = model["costs"]
    key = model.get(f"{side}_cost_key", f"{side}-tokens")
    return float(costs.get(key, 0)) / float(costs.get("tokens", 1_000_000))


def _preference(model: Model) -> tuple[int, float, str]:
    provider = model["provider"]
    rank = _RESELLERS.index(provider) + 1 if provider in _RESELLERS else 0
    return rank, price(model, "input") + price(model, "output"), str(provider)


@cache
def load(kind: str, vendors: tuple[str, ...] | None = None) -> Catalogue:
    """The catalogue shipped with the package; of pictures and films, that of ``vendors``."""
    data = json.loads(files("puter").joinpath("catalogue.json").read_text("utf-8"))
    models = tuple(
        model
        for model in data[kind]
        if kind == "chat" or vendors is None or model["provider"].partition("-")[0] in vendors
    )
    return Catalogue((*models, *RESOLD), CANNED) if kind == "chat" else Catalogue(models)
