"""The model catalogue: what the real backend listed, and how it finds a model by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from puter.testing.recorded import recorded

Model = Mapping[str, Any]

# Puter backend: direct vendors first, then the resellers in this order, then the cheaper route.
_RESELLERS = ("infron", "neuralwatt", "openrouter", "together-ai")


class Catalogue:
    """The models of one kind (``chat``, ``image`` or ``video``).

    Args:
        listed: the models of the public lists.
        hidden: models that answer but show only in the driver's lists.
    """

    def __init__(self, listed: Sequence[Model], hidden: Sequence[Model] = ()) -> None:
        self.listed = listed
        self.all: Sequence[Model] = (*hidden, *listed)
        self._by_name: dict[str, list[Model]] = {}
        for model in self.all:
            for name in _names_of(model):
                self._by_name.setdefault(name, []).append(model)

    def ids(self, *, hidden: bool = False) -> list[str]:
        """Sorted ids as the lists show them: the ``puterId`` where there is one."""
        models = self.all if hidden else self.listed
        return sorted(str(model.get("puterId") or model["id"]) for model in models)

    def routes(self, name: str) -> list[Model]:
        """Every provider's offer of the model ``name``, in the order the server tries them."""
        direct = self._by_name.get(name.strip().lower(), [])
        # A prefixed id does not pin its reseller: whatever shares a name is a route as well.
        shared = {other for model in direct for other in _names_of(model)}
        found = {id(model): model for other in shared for model in self._by_name[other]}
        return sorted(found.values(), key=_preference)


def _names_of(model: Model) -> set[str]:
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
    """The catalogue shipped with the package; of images and videos, that of ``vendors``."""
    data: dict[str, list[Model]] = _shipped()
    if kind == "chat":
        # Some models of resellers, whose lists are live on the real server, and the canned ones.
        return Catalogue([*data[kind], *recorded("resold_models")], recorded("canned_models"))
    return Catalogue(
        [
            model
            for model in data[kind]
            if vendors is None or model["provider"].partition("-")[0] in vendors
        ]
    )


@cache
def _shipped() -> Any:
    return json.loads(files("puter").joinpath("catalogue.json").read_text("utf-8"))
