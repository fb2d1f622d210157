"""The server's catalogue of models: reading its entries, and what a chat may cost by them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from puter.checks import Range
from puter.exceptions import PuterInputError
from puter.types.model import CostEstimate, LongContext, Model
from puter.wire.errors import WRONG_HOST, unknown_shape
from puter.wire.json import (
    as_bool_or_none,
    as_dict,
    as_int_or_none,
    as_list,
    as_str,
    as_str_or_none,
    dollars,
    number,
)


def read_entries(data: Any, kind: str) -> list[dict[str, Any]]:
    """The entries of a catalogue, by provider and id.

    Args:
        data: The decoded answer of ``GET /puterai/<kind>/models/details``.
        kind: ``chat``, ``image`` or ``video``, for the error.

    Raises:
        PuterResponseError: It has an unknown shape.
    """
    models = as_dict(data).get("models")
    if not isinstance(models, list) or not all(map(_is_entry, models)):
        raise unknown_shape(f"The list of {kind} models", hint=WRONG_HOST)
    return sorted(models, key=lambda entry: (entry["provider"], entry["id"]))


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(key), str) for key in ("id", "provider")
    )


def read_model(entry: Mapping[str, Any], kind: str) -> Model:
    """The model of an entry, whose prices are cents per ``costs.tokens`` units."""
    costs, modalities = as_dict(entry.get("costs")), as_dict(entry.get("modalities"))
    is_chat = kind == "chat"
    per = costs.get("tokens", 1_000_000)
    unit = entry.get("index_cost_key" if kind == "image" else "output_cost_key")
    return Model(
        id=str(entry["id"]),
        provider=str(entry.get("provider", "")),
        name=as_str_or_none(entry.get("name")) or str(entry["id"]),
        kind=kind,
        input_price=_price(costs, per, entry.get("input_cost_key")) if is_chat else None,
        output_price=_price(costs, per, entry.get("output_cost_key")) if is_chat else None,
        cached_price=_price(
            costs, per, "cached_tokens", "input_cache_read", "cache_read_input_tokens"
        ),
        context=as_int_or_none(entry.get("context")),
        max_output=as_int_or_none(entry.get("max_tokens")),
        inputs=_texts(modalities.get("input")),
        outputs=_texts(modalities.get("output")),
        tools=as_bool_or_none(entry.get("tool_call")),
        open_weights=as_bool_or_none(entry.get("open_weights")),
        released=as_str_or_none(entry.get("release_date")),
        knowledge=as_str_or_none(entry.get("knowledge")),
        aliases=_texts(entry.get("aliases")),
        unit_price=None if is_chat else _price(costs, 1_000_000, unit),
        unit="" if is_chat else as_str(unit),
        long_context=_long_context(as_dict(entry.get("long_context_pricing"))),
        raw=dict(entry),
    )


def _long_context(pricing: Mapping[str, Any]) -> LongContext | None:
    threshold = as_int_or_none(pricing.get("threshold"))
    if threshold is None:
        return None
    sent, received = (number(pricing.get(key)) for key in ("input_multiplier", "output_multiplier"))
    return LongContext(threshold, sent or Decimal(1), received or Decimal(1))


def _price(costs: Mapping[str, Any], per: Any, *keys: Any) -> Decimal | None:
    """US dollars for a million units, by the first of the keys that has a price."""
    prices = (dollars(costs.get(key)) for key in keys if isinstance(key, str))
    price = next((one for one in prices if one is not None), None)
    units = dollars(per)
    return price * 10_000 / units if price is not None and units else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(one for one in as_list(value) if isinstance(one, str))


_OUTPUT_TOKENS = Range(0, wanted="0 or more").kind(whole=True)


def estimate_cost(model: Model, prompt: str, output_tokens: int) -> CostEstimate:
    """What a chat would cost by the model's list prices.

    Args:
        model: Which model.
        prompt: What is sent, history included; counts as a quarter of a token a character.
        output_tokens: Tokens assumed for the answer, 0 or more.

    Raises:
        PuterInputError: An argument is wrong.
    """
    if not isinstance(prompt, str):
        raise PuterInputError(f"prompt must be a str, not {type(prompt).__name__}")
    _OUTPUT_TOKENS("output_tokens", output_tokens)
    tokens = len(prompt) // 4 + 4
    return CostEstimate(model.id, tokens, output_tokens, model.cost(tokens, output_tokens))
