"""Models with their prices and abilities, as the server's catalogue tells them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from puter.exceptions import PuterInputError


@dataclass(frozen=True, slots=True)
class Model:
    """A model of one provider.

    Attributes:
        id: Name to ask for.
        provider: Who serves it.
        name: Name to show.
        kind: ``chat``, ``image`` or ``video``.
        input_price: US dollars per million tokens sent; None when the catalogue has no price.
        output_price: US dollars per million tokens received.
        cached_price: US dollars per million tokens sent that the vendor had cached.
        unit_price: US dollars for a picture or film of the usual kind, of image and video models.
        unit: What that buys, in the catalogue's words: ``low:1024x1024``, ``1MP``, ``per-second``.
        context: Tokens of conversation and answer together, None when not known.
        max_output: Tokens of an answer at most.
        inputs: What it reads: ``text``, ``image``, ``audio``, ``video``, ``pdf``.
        outputs: What it answers with.
        tools: Whether it calls tools, None when not known.
        open_weights: Whether its weights are public.
        released: Date of release, such as ``2025-04-14``.
        knowledge: How far its knowledge reaches.
        aliases: Other names the server takes.
        raw: The server's own entry.
    """

    id: str
    provider: str
    name: str = ""
    kind: str = "chat"
    input_price: Decimal | None = None
    output_price: Decimal | None = None
    cached_price: Decimal | None = None
    context: int | None = None
    max_output: int | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    tools: bool | None = None
    open_weights: bool | None = None
    released: str | None = None
    knowledge: str | None = None
    aliases: tuple[str, ...] = ()
    unit_price: Decimal | None = None
    unit: str = ""
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def vision(self) -> bool:
        """Whether it reads pictures."""
        return "image" in self.inputs

    @property
    def free(self) -> bool:
        """Whether tokens cost nothing, neither sent nor received."""
        return self.input_price == 0 and self.output_price == 0

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> Decimal | None:
        """US dollars for so many tokens by these prices, None when there are none."""
        if self.input_price is None or self.output_price is None:
            return None
        cached = self.cached_price if self.cached_price is not None else self.input_price
        total = input_tokens * self.input_price + output_tokens * self.output_price
        return (total + cached_tokens * cached) / 1_000_000


class ModelList(list[Model]):
    """Models, with ``find()`` to narrow them down.

    Examples:
        >>> models = ModelList([Model("a", "x", tools=True), Model("b", "y")])
        >>> models.find(tools=True)
        [Model(id='a', provider='x', ...)]
    """

    def find(
        self,
        text: str | None = None,
        *,
        provider: str | None = None,
        vision: bool | None = None,
        tools: bool | None = None,
        free: bool | None = None,
        min_context: int | None = None,
        max_input_price: float | Decimal | None = None,
        max_output_price: float | Decimal | None = None,
    ) -> ModelList:
        """The models that fit, cheapest first; those without a price come last.

        Args:
            text: Part of the id, name or an alias, in upper or lower case.
            provider: Exactly this provider.
            vision: Reads pictures, or not.
            tools: Calls tools, or not.
            free: Costs nothing, or something.
            min_context: Tokens of context at least.
            max_input_price: US dollars per million tokens sent at most.
            max_output_price: US dollars per million tokens received at most.
        """
        part = text.lower() if text is not None else None
        fitting = [
            one
            for one in self
            if (part is None or any(part in name.lower() for name in _names(one)))
            and (provider is None or one.provider == provider)
            and (vision is None or one.vision is vision)
            and (tools is None or bool(one.tools) is tools)
            and (free is None or one.free is free)
            and (min_context is None or (one.context or 0) >= min_context)
            and _within(one.input_price, max_input_price)
            and _within(one.output_price, max_output_price)
        ]
        return ModelList(sorted(fitting, key=_price))

    def cheapest(self, text: str | None = None, **wanted: Any) -> Model | None:
        """The first that ``find()`` finds, if it has a price; None when there is none."""
        found = self.find(text, **wanted)
        return found[0] if found and _price(found[0])[0] == _KNOWN else None


def _names(model: Model) -> Iterable[str]:
    return (model.id, model.name, *model.aliases)


def _within(price: Decimal | None, most: float | Decimal | None) -> bool:
    return most is None or (price is not None and price <= Decimal(str(most)))


_KNOWN, _UNKNOWN = range(2)


def _price(model: Model) -> tuple[int, Decimal, str]:
    if model.unit_price is not None:
        return _KNOWN, model.unit_price, model.id
    if model.input_price is None or model.output_price is None:
        return _UNKNOWN, Decimal(0), model.id
    # Three tokens read for one written is what conversations tend to.
    return _KNOWN, 3 * model.input_price + model.output_price, model.id


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What a call may cost: an estimate from list prices, not what the server will bill.

    Attributes:
        model: The model.
        input_tokens: Tokens sent, estimated as a quarter of the characters.
        output_tokens: Tokens assumed for the answer.
        cost: US dollars, None when the catalogue has no price.
    """

    model: str
    input_tokens: int
    output_tokens: int
    cost: Decimal | None

    def __str__(self) -> str:
        return f"about {self.cost:f} USD" if self.cost is not None else "no price known"


def read_model(entry: Mapping[str, Any], kind: str) -> Model:
    """The model of a catalogue entry; prices are cents per ``costs.tokens`` units there."""
    costs = entry.get("costs")
    costs = costs if isinstance(costs, Mapping) else {}
    modalities = entry.get("modalities")
    modalities = modalities if isinstance(modalities, Mapping) else {}
    name = entry.get("name")
    is_chat = kind == "chat"
    unit = entry.get("index_cost_key" if kind == "image" else "output_cost_key")
    return Model(
        id=str(entry["id"]),
        provider=str(entry.get("provider", "")),
        name=name if isinstance(name, str) else str(entry["id"]),
        kind=kind,
        input_price=_dollars(costs, entry.get("input_cost_key")) if is_chat else None,
        output_price=_dollars(costs, entry.get("output_cost_key")) if is_chat else None,
        cached_price=_dollars(
            costs, "cached_tokens", "input_cache_read", "cache_read_input_tokens"
        ),
        context=_count(entry.get("context")),
        max_output=_count(entry.get("max_tokens")),
        inputs=_texts(modalities.get("input")),
        outputs=_texts(modalities.get("output")),
        tools=_flag(entry.get("tool_call")),
        open_weights=_flag(entry.get("open_weights")),
        released=_text(entry.get("release_date")),
        knowledge=_text(entry.get("knowledge")),
        aliases=_texts(entry.get("aliases")),
        unit_price=None if is_chat else _dollars({**costs, "tokens": 1_000_000}, unit),
        unit=unit if isinstance(unit, str) and not is_chat else "",
        raw=dict(entry),
    )


def _dollars(costs: Mapping[str, Any], *keys: Any) -> Decimal | None:
    for key in keys:
        value = costs.get(key) if isinstance(key, str) else None
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            try:
                per = Decimal(str(costs.get("tokens", 1_000_000)))
                return Decimal(str(value)) / 100 * 1_000_000 / per
            except (InvalidOperation, ZeroDivisionError):
                return None
    return None


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def estimate(model: Model, prompt: str, output_tokens: int) -> CostEstimate:
    """See ``puter.PuterAI.estimate_cost()``."""
    if not isinstance(prompt, str):
        raise PuterInputError(f"prompt must be a str, not {type(prompt).__name__}")
    if isinstance(output_tokens, bool) or not isinstance(output_tokens, int) or output_tokens < 0:
        raise PuterInputError(f"output_tokens must be 0 or more, not {output_tokens!r}")
    tokens = len(prompt) // 4 + 4
    return CostEstimate(model.id, tokens, output_tokens, model.cost(tokens, output_tokens))
