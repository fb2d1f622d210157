"""The registry of models: a dated, offline snapshot of names, aliases and providers.

``available_models.json`` maps each model to its provider; ``catalogue.json`` is the snapshot it is
made from, as the server's own model lists have it. Names the registry does not know are sent to
the server as given. ``puter-ai models refresh`` rewrites both from a live server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from puter.process import late, loading
from puter.wire.dialects import resellers
from puter.wire.messages import CANNED

if TYPE_CHECKING:
    import difflib
    from importlib import resources
else:
    difflib, resources = late("difflib"), late("importlib.resources")

T = TypeVar("T")


class KnownModel(NamedTuple):
    """What the registry says of a name."""

    id: str
    """The id to ask for; an unknown name as given, for the server to decide."""
    provider: str | None
    """Who serves it, None when not known."""
    entry: Mapping[str, Any]
    """What the catalogue says of it, ``{}`` when not known."""


class computed_once(cached_property[T]):  # noqa: N801 - a decorator
    """``cached_property`` without its lock (Python < 3.12), which a fork may leave taken."""

    lock: Any

    def __init__(self, compute: Callable[[Any], T]) -> None:
        super().__init__(compute)
        self.lock = nullcontext()


class ModelRegistry:
    """Names, aliases and providers of the models in a catalogue.

    Args:
        providers: Model -> provider.
        catalogue: The snapshot. Default: the one that comes with the SDK.

    Examples:
        >>> registry().lookup(" GPT-5-Nano ")[:2]
        ('gpt-5-nano', 'openai-completion')
    """

    def __init__(
        self, providers: Mapping[str, str], catalogue: Mapping[str, Any] | None = None
    ) -> None:
        self.providers: Mapping[str, str] = MappingProxyType(dict(providers))
        self._catalogue = catalogue
        self._ids = {name.lower(): name for name in self.providers}

    @computed_once
    def catalogue(self) -> Mapping[str, Any]:
        """The whole snapshot: ``captured``, ``source``, and a list per kind of model."""
        return _read("catalogue.json") if self._catalogue is None else self._catalogue

    @computed_once
    def _meant(self) -> dict[str, list[tuple[str, str]]]:
        """Alias in lower case -> the models it may mean, vendors first: (alias as listed, id)."""
        found: dict[str, list[tuple[str, str]]] = {}
        resold = resellers()
        chat = self.catalogue.get("chat", ())
        for model in sorted(chat, key=lambda one: one["provider"] in resold):
            for alias in dict.fromkeys((model.get("puterId"), *model.get("aliases", ()))):
                if alias and model["id"] in self.providers:
                    found.setdefault(alias.strip().lower(), []).append((alias, model["id"]))
        return found

    def find(self, name: str) -> str | None:
        """The name of a model by its id or alias, upper or lower case; None when not known."""
        key = name.strip().lower()
        if key in CANNED:
            return key
        if key in self._ids:
            return self._ids[key]
        meant = self._meant.get(key, [])
        if len({identity for _, identity in meant}) == 1:
            return meant[0][1]
        return meant[0][0] if meant else None  # of several models: left to the server

    def lookup(self, name: str) -> KnownModel:
        """What is known of a model by its id or alias, upper or lower case."""
        found = self.find(name)
        if found is None:
            return KnownModel(name.strip(), None, {})
        if found in CANNED:
            return KnownModel(found, "fake-chat", {})
        # An alias of several models is left to the server; what it means first serves as a guess.
        identity = found if found in self.providers else self._meant[found.strip().lower()][0][1]
        return KnownModel(found, self.providers[identity], self._entries.get(identity, {}))

    @computed_once
    def _entries(self) -> dict[str, Mapping[str, Any]]:
        return {model["id"]: model for model in self.catalogue.get("chat", ())}

    @computed_once
    def all_ids(self) -> frozenset[str]:
        """Ids of all kinds of models."""
        kinds = ("chat", "image", "video")
        return frozenset(one["id"] for kind in kinds for one in self.catalogue.get(kind, ()))

    def suggest(
        self, name: str, *, kind: str = "chat", listed: Sequence[Any] = ()
    ) -> tuple[str, ...]:
        """Known names close to one that is not known, three at most.

        Args:
            name: The name.
            kind: ``chat``, ``image`` or ``video``.
            listed: Entries of the server's own list. Default: those of the snapshot.
        """
        known = self._spoken
        if kind != "chat":
            entries = listed or self.catalogue.get(kind, ())
            aliases = [alias for one in entries for alias in one.get("aliases", ())]
            short = [alias for alias in aliases if "/" not in alias]
            known = {one.lower(): one for one in (*short, *(one["id"] for one in entries))}
        key = name.strip().lower()
        if len(key) > _LONGEST_NAME:
            return ()
        if kind != "chat" and not listed and key in known:
            return ()  # this server lacks its vendor, and so the models like it
        others = [one for one in known if known[one].lower() != key]
        return tuple(dict.fromkeys(known[one] for one in _near(key, others)))[:3]

    @computed_once
    def _spoken(self) -> dict[str, str]:
        """What users call the models, in lower case -> id: ids, aliases, and ids without vendor."""
        aliases = {alias: meant[0][1] for alias, meant in self._meant.items()}
        bare = {one.rpartition("/")[2]: known for one, known in self._ids.items()}
        return {**bare, **aliases, **self._ids}


_WORD = "[a-z]{3,}"
_LONGEST_NAME = 200
"""Characters of a name that may be a misspelt one: to compare takes time."""


def _near(key: str, names: Sequence[str]) -> list[str]:
    """Names like this one: those of its family first, the most alike first."""
    words = {name: set(re.findall(_WORD, name)) for name in names}
    every = set().union(*words.values())
    families = [
        set(difflib.get_close_matches(word, every, cutoff=0.8)) for word in re.findall(_WORD, key)
    ]

    def kinship(name: str) -> int:
        return sum(not family.isdisjoint(words[name]) for family in families)

    def rank(name: str) -> tuple[int, float]:
        return -kinship(name), -difflib.SequenceMatcher(None, key, name).ratio()

    alike = difflib.get_close_matches(key, names, n=20, cutoff=0.6)
    most = max(map(kinship, names), default=0)
    kin = [name for name in names if kinship(name) == most] if 2 * most > len(families) else []
    parts = [name for name in names if len(key) >= 3 and key in name]
    return sorted(dict.fromkeys((*alike, *kin, *parts)), key=rank)


@lru_cache(maxsize=1)
def registry() -> ModelRegistry:
    """The registry that comes with the SDK."""
    return ModelRegistry(_read("available_models.json"))


def providers_of(catalogue: Mapping[str, Any]) -> dict[str, str]:
    """Model -> provider of a catalogue's chat models, sorted by name; direct vendors win."""
    resold = resellers()
    chat: list[dict[str, Any]] = catalogue["chat"]
    vendors: dict[str, str] = {}  # what direct vendors call their models, aliases included
    for model in chat:
        if model["provider"] not in resold:
            for name in (model["id"], *model.get("aliases", ())):
                vendors.setdefault(name, model["provider"])
    listed: list[tuple[str, str]] = sorted((one["id"], one["provider"]) for one in chat)
    return {
        name: vendors.get(name, provider) for name, provider in listed if provider != "fake-chat"
    }


def _read(name: str) -> Any:
    with loading():
        return json.loads((resources.files("puter") / name).read_text(encoding="utf-8"))
