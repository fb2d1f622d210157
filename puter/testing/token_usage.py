"""The ``usage`` of a chat: a rough count, under the key names of each route, and its price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from puter.testing.catalogue import Model
from puter.testing.chat_call import ChatCall
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
    sent = sum(tokens_in(text) + 3 for text in call.texts)
    said = "".join(filter(None, (reply.text, reply.reasoning, reply.refusal)))
    counts = {"sent": sent, "said": tokens_in(said) + 10 * len(reply.tool_calls)}
    counts["thought"] = tokens_in(reply.reasoning or "")
    usage: dict[str, Any] = {name: counts.get(what, what) for name, what in _names(call).items()}
    usage.update(given)
    usage.setdefault("usd_cents", _cost_of(model, usage))
    return usage


def _cost_of(model: Model, usage: Mapping[str, Any]) -> float | None:
    """US cents for ``usage``, or ``None`` when the model has no price."""
    if "input_cost_key" not in model:
        return None
    known = model.prices
    cents = sum([count * known.get(key, 0) for key, count in usage.items()])
    return round(float(cents), 12)


def _names(call: ChatCall) -> dict[str, Any]:
    """What the route counts: which number is under which name, the constants among them."""
    names = recorded("usage_names")
    found: dict[str, Any] = names.get(call.provider, names.get(call.family, names[""]))
    return found


def details_of(call: ChatCall, usage: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    """The ``usageDetails`` of the server of 2026-10: the counts under the same names everywhere."""
    counts = {what: usage.get(name, 0) for name, what in _names(call).items()}
    details = {"inputTokens": counts["sent"], "outputTokens": counts["said"]}
    if thought := tokens_in(reply.reasoning or ""):
        details["reasoningTokens"] = thought
    return details


def estimate_prompt(texts: str) -> int:
    """Tokens of a prompt as the Puter backend guesses them before it asks the vendor."""
    return int((len(texts) / 4 + len(texts.split()) * 4 / 3) / 2)
