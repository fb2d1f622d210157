"""The ``usage`` of a chat: a rough count, under the key names of each route, and its price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from puter.testing.catalogue import Model
from puter.testing.catalogue import prices as prices_of
from puter.testing.chat_call import ChatCall
from puter.testing.messages import text_of
from puter.testing.recorded import recorded
from puter.testing.replies import Reply


def tokens_in(text: str) -> int:
    """A rough count: four characters a token."""
    return -(-len(text) // 4)


def count_usage(call: ChatCall, reply: Reply) -> dict[str, Any]:
    """The ``usage`` under the key names of the route, with a rough count and its price."""
    model, given = call.routes[0], dict(reply.usage or {})
    if call.provider == "fake-chat":
        return {"input_tokens": 0, "output_tokens": 1, "usd_cents": None, **given}
    sent = sum(tokens_in(text_of(message)) + 3 for message in call.normalized)
    said = "".join(filter(None, (reply.text, reply.reasoning, reply.refusal)))
    told = tokens_in(said) + 10 * len(reply.tool_calls)
    usage: dict[str, Any]
    if call.family == "claude":
        usage = {"input_tokens": sent, **recorded("claude_cache"), "output_tokens": told}
        usage["thinking_tokens"] = tokens_in(reply.reasoning or "")
    elif call.provider in ("ollama", "openrouter", "infron"):
        usage = {"prompt": sent, "completion": told, "input_cache_read": 0}
        if call.provider != "ollama":
            usage["request"] = 1
    else:
        usage = {"prompt_tokens": sent, "completion_tokens": told, "cached_tokens": 0}
    usage.update(given)
    usage.setdefault("usd_cents", _cost_of(model, usage))
    return usage


def _cost_of(model: Model, usage: Mapping[str, Any]) -> float | None:
    """US cents for ``usage``, or ``None`` when the model has no price."""
    if "input_cost_key" not in model:
        return None
    prices = prices_of(model)
    cents = sum(count * prices.get(key, 0) for key, count in usage.items())
    return round(float(cents), 12)


def details_of(usage: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    """The ``usageDetails`` of the server of 2026-10: the counts under the same names everywhere."""
    names = {
        "inputTokens": ("prompt_tokens", "input_tokens", "prompt"),
        "outputTokens": ("completion_tokens", "output_tokens", "completion"),
    }
    counts = {
        name: next((usage[key] for key in keys if key in usage), 0) for name, keys in names.items()
    }
    thought = tokens_in(reply.reasoning or "")
    return {**counts, **({"reasoningTokens": thought} if thought else {})}


def estimate_prompt(texts: str) -> int:
    """Tokens of a prompt as the Puter backend guesses them before it asks the vendor."""
    return int((len(texts) / 4 + len(texts.split()) * 4 / 3) / 2)
