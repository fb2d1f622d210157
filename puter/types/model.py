"""Models with their prices and abilities, as in the server's catalogue."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, SupportsIndex, overload

from puter import checks
from puter.exceptions import PuterInputError
from puter.keywords import suggesting
from puter.money import usd


@dataclass(frozen=True, slots=True)
class LongContext:
    """What a long prompt costs more: all of the call, not only what is above the threshold."""

    threshold: int
    """Tokens sent up to which the usual prices hold."""
    input_multiplier: Decimal
    """Above it, this many times the price of tokens sent."""
    output_multiplier: Decimal
    """Above it, this many times the price of tokens received."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model of one provider."""

    id: str
    """Name to ask for, as in ``chat(model=...)``."""
    provider: str
    """Who serves it."""
    name: str = ""
    """Name to show."""
    kind: str = "chat"
    """``chat``, ``image`` or ``video``."""
    input_price: Decimal | None = None
    """US dollars per million tokens sent; None when the catalogue has no price."""
    output_price: Decimal | None = None
    """US dollars per million tokens received."""
    cached_price: Decimal | None = None
    """US dollars per million tokens sent that the vendor had cached."""
    context: int | None = None
    """Tokens of conversation and answer together, None when not known."""
    max_output: int | None = None
    """Tokens of an answer at most, None when not known."""
    inputs: tuple[str, ...] = ()
    """What it reads: ``text``, ``image``, ``audio``, ``video``, ``pdf``."""
    outputs: tuple[str, ...] = ()
    """What it answers with."""
    tools: bool | None = None
    """Whether it calls tools, None when not known."""
    open_weights: bool | None = None
    """Whether its weights are public."""
    released: str | None = None
    """Date of release, such as ``2025-04-14`` or ``2026-09``."""
    knowledge: str | None = None
    """Cut-off of its training data, such as ``2024-04``."""
    aliases: tuple[str, ...] = ()
    """Other names the server takes."""
    unit_price: Decimal | None = None
    """US dollars for an image, or a unit of video, of the usual kind; None for chat models."""
    unit: str = ""
    """What ``unit_price`` buys, as the catalogue names it: ``low:1024x1024``, ``1MP``,
    ``per-second``."""
    long_context: LongContext | None = None
    """What long prompts cost more, None when they do not."""
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The server's own entry."""

    @property
    def vision(self) -> bool:
        """Whether it reads images."""
        return "image" in self.inputs

    @property
    def free(self) -> bool:
        """Whether tokens cost nothing, neither sent nor received."""
        return self.input_price == 0 and self.output_price == 0

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> Decimal | None:
        """US dollars for so many tokens by these prices, None when there are none.

        Args:
            input_tokens: Tokens sent, without those that the vendor had cached.
            output_tokens: Tokens received.
            cached_tokens: Tokens sent that the vendor had cached.

        Examples:
            >>> model = Model("m", "p", input_price=Decimal(2), output_price=Decimal(8))
            >>> model.cost(1000, 500)
            Decimal('0.006')
        """
        if self.input_price is None or self.output_price is None:
            return None
        cached_price = self.cached_price if self.cached_price is not None else self.input_price
        sent = input_tokens * self.input_price + cached_tokens * cached_price
        received = output_tokens * self.output_price
        dearer = self.long_context
        if dearer is not None and input_tokens + cached_tokens > dearer.threshold:
            sent, received = sent * dearer.input_multiplier, received * dearer.output_multiplier
        return (sent + received) / 1_000_000


class ModelList(list[Model]):
    """Models, with ``find()`` to narrow them down.

    Examples:
        >>> models = ModelList([Model("a", "x", tools=True), Model("b", "y")])
        >>> models.find(tools=True)
        [Model(id='a', provider='x', ...)]
        >>> models["b"].provider
        'y'
    """

    @overload
    def __getitem__(self, place: SupportsIndex | str, /) -> Model: ...
    @overload
    def __getitem__(self, place: slice, /) -> ModelList: ...
    def __getitem__(self, place: Any, /) -> Any:
        """The model at a place, or the first of an id or alias.

        Raises:
            PuterInputError: None has that name.
        """
        if not isinstance(place, str):
            found = super().__getitem__(place)
            return ModelList(found) if isinstance(found, list) else found
        aliases = {name: one for one in reversed(self) for name in one.aliases}
        named = {**aliases, **{one.id: one for one in reversed(self)}}
        if place not in named:
            raise PuterInputError(
                f"There is no model {place!r} in this list",
                hint=checks.did_you_mean(checks.near_misses(place, named)),
            )
        return named[place]

    @suggesting
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
            vision: Reads images, or not.
            tools: Calls tools, or not.
            free: Costs nothing, or something.
            min_context: Tokens of context at least.
            max_input_price: US dollars per million tokens sent at most.
            max_output_price: US dollars per million tokens received at most.

        Raises:
            PuterInputError: An argument is of another type.

        Examples:
            >>> ai.list_models().find("gpt-5", vision=True, max_input_price=0.1)[0].id
            'gpt-5-nano'
        """
        _TEXT("text", text)
        _TEXT("provider", provider)
        for name, flag in (("vision", vision), ("tools", tools), ("free", free)):
            _FLAG(name, flag)
        _LIMIT("min_context", min_context)
        _LIMIT("max_input_price", max_input_price)
        _LIMIT("max_output_price", max_output_price)
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

    def _repr_html_(self) -> str:
        from puter.display import tables

        if any(one.unit_price is not None for one in self):
            most = tables.largest(one.unit_price for one in self)
            columns = ["model", "provider", "USD", "for"]
            rows: list[tuple[Any, ...]] = [
                (one.id, one.provider, tables.Bar(one.unit_price, most), one.unit) for one in self
            ]
        else:
            most = tables.largest(one.output_price for one in self)
            columns = ["model", "provider", *_OF_CHAT]
            rows = []
            for one in self:
                prices = one.input_price, tables.Bar(one.output_price, most)
                can = ("✓" if has else "" for has in (one.vision, one.tools))
                rows.append((one.id, one.provider, *prices, one.context, *can))
        count = f"{len(self)} {'model' if len(self) == 1 else 'models'}"
        return tables.table(columns, rows, caption=count, more="; find() narrows them down")

    def cheapest(self, text: str | None = None, **wanted: Any) -> Model | None:
        """The first that ``find()`` finds, if it has a price; None when there is none.

        Examples:
            >>> ai.list_models().cheapest("claude", tools=True).provider
            'claude'
        """
        found = self.find(text, **wanted)
        return found[0] if found and _price(found[0])[0] == _KNOWN else None


_OF_CHAT = ("USD per million in", "USD per million out", "context", "sees", "tools")
_TEXT: checks.Kind[Any] = checks.Kind(
    "a str or None", lambda value: value is None or isinstance(value, str)
)
_FLAG: checks.Kind[Any] = checks.Kind(
    "True, False or None", lambda value: value is None or isinstance(value, bool)
)
_LIMIT: checks.Kind[Any] = checks.Kind(
    "a number or None",
    lambda value: (
        value is None or (isinstance(value, (int, float, Decimal)) and not isinstance(value, bool))
    ),
)


def _names(model: Model) -> Iterable[str]:
    return (model.id, model.name, *model.aliases)


def _within(price: Decimal | None, limit: float | Decimal | None) -> bool:
    if limit is None:
        return True
    within = price is not None and not math.isnan(limit) and price <= Decimal(str(limit))
    return bool(within)


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
    """What a call may cost: an estimate from list prices, not what the server will bill."""

    model: str
    """The model."""
    input_tokens: int
    """Tokens sent, estimated as a quarter of the characters."""
    output_tokens: int
    """Tokens assumed for the answer."""
    cost: Decimal | None
    """US dollars, None when the catalogue has no price."""

    def __str__(self) -> str:
        return f"about {usd(self.cost)}" if self.cost is not None else "no price known"
