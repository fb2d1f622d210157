"""The model catalogue: what the real backend listed, and how it finds a model by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

from puter.testing.recorded import recorded

# Puter backend: direct vendors first, then the resellers in this order, then the cheaper route.
_RESELLERS = ("hoonify", "infron", "neuralwatt", "openrouter", "together-ai")


class Model(dict[str, Any]):
    """A provider's offer of a model, as the server lists it."""

    @cached_property
    def prices(self) -> dict[str, float]:
        """US cents per unit, by the names of the ``usage``."""
        costs = self["costs"]
        # Cached tokens without a price of their own cost as much as others.
        found = {"cached_tokens": costs.get(self.get("input_cost_key"), 0), **costs}
        per = float(costs.get("tokens", 1_000_000))
        return {key: float(cost) / per for key, cost in found.items()}

    def price(self, side: str) -> float:
        """Cents per token, ``side`` being ``input`` or ``output``; 0 when there is no price."""
        return self.prices.get(self.get(f"{side}_cost_key", f"{side}-tokens"), 0)


class Catalogue:
    """The models of one kind; ``hidden`` ones answer but show only in the driver's lists."""

    def __init__(
        self, listed: Iterable[Mapping[str, Any]], hidden: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        self.listed: Sequence[Model] = [Model(one) for one in listed]
        self.all: Sequence[Model] = (*map(Model, hidden), *self.listed)
        self._by_name: dict[str, list[Model]] = {}
        self._routes: dict[str, list[Model]] = {}  # of names that were asked for
        for model in self.all:
            for name in _names_of(model):
                self._by_name.setdefault(name, []).append(model)

    def adding(self, model: Model) -> Catalogue:
        """One that lists ``model`` as well."""
        hidden = self.all[: len(self.all) - len(self.listed)]
        return Catalogue([*self.listed, model], hidden)

    def ids(self, *, hidden: bool = False) -> list[str]:
        """Sorted ids as the lists show them: the ``puterId`` where there is one."""
        models = self.all if hidden else self.listed
        return sorted(str(model.get("puterId") or model["id"]) for model in models)

    def routes(self, name: str) -> list[Model]:
        """Every provider's offer of the model ``name``, in the order the server tries them."""
        name = name.strip().lower()
        if name in self._by_name and name not in self._routes:
            self._routes[name] = self._sorted(name)
        return self._routes.get(name, [])

    def _sorted(self, name: str) -> list[Model]:
        direct = self._by_name[name]
        # A prefixed id does not pin its reseller: whatever shares a name is a route as well.
        shared = {other for model in direct for other in _names_of(model)}
        found = {id(model): model for other in shared for model in self._by_name[other]}
        return sorted(found.values(), key=_preference)


def _names_of(model: Model) -> set[str]:
    """Every name a model answers to, in lower case."""
    names = [model["id"], model.get("puterId"), *model.get("aliases", ())]
    return {name.lower() for name in names if name}


def _preference(model: Model) -> tuple[int, float, str]:
    provider = model["provider"]
    rank = _RESELLERS.index(provider) + 1 if provider in _RESELLERS else 0
    return rank, model.price("input") + model.price("output"), str(provider)


@cache
def load(kind: str, vendors: tuple[str, ...] = (), *, newer: bool = False) -> Catalogue:
    """The models of ``chat``; those of ``image`` or ``video`` that ``vendors`` offer."""
    models: list[Mapping[str, Any]] = recorded(kind, "catalogue.json", "puter")
    if newer:
        gone, added = (recorded(name, "newer.json") for name in ("gone_providers", "models"))
        kept = [model for model in models if model["provider"] not in gone]
        models = [*kept, *added.get(kind, ())]
    if kind == "chat":
        # Some models of resellers, whose lists are live on the real server, and the canned ones.
        return Catalogue([*models, *recorded("resold_models")], recorded("canned_models"))
    return Catalogue([one for one in models if one["provider"].partition("-")[0] in vendors])
