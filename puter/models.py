"""The registry of models: a dated, offline snapshot of names, aliases and providers.

``available_models.json`` maps each model to its provider (which older servers called *driver*);
``catalogue.json`` is the snapshot it is made from, as the server's own model lists tell it. Names
the registry does not know are sent to the server as given. Rewrite both from a live server with

    python -m puter.models refresh
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from puter.exceptions import PuterError
from puter.wire.chat import CANNED

_RESOLD = (
    "azure-openai",
    "azure-openai-responses",
    "infron",
    "neuralwatt",
    "openrouter",
    "together-ai",
)
"""Providers that carry other vendors' models; the vendor itself comes first when both do."""


class ModelRegistry:
    """Names, aliases and providers of the models in a catalogue.

    Examples:
        >>> registry().resolve(" GPT-5-Nano ")
        'gpt-5-nano'
        >>> registry().provider_of("gpt-5-nano")
        'openai-completion'
    """

    def __init__(
        self, drivers: Mapping[str, str], catalogue: Mapping[str, Any] | None = None
    ) -> None:
        self.drivers: Mapping[str, str] = MappingProxyType(dict(drivers))
        self._catalogue = catalogue
        self._ids = {name.lower(): name for name in self.drivers}

    @cached_property
    def catalogue(self) -> Mapping[str, Any]:
        """The whole snapshot: ``captured``, ``source``, and a list per kind of model."""
        return self._catalogue if self._catalogue is not None else _read("catalogue.json")

    @cached_property
    def _meant(self) -> dict[str, list[tuple[str, str]]]:
        """Alias in lower case -> the models it may mean, vendors first: (alias as listed, id)."""
        found: dict[str, list[tuple[str, str]]] = {}
        for model in sorted(
            self.catalogue.get("chat", ()), key=lambda one: one["provider"] in _RESOLD
        ):
            for alias in dict.fromkeys((model.get("puterId"), *model.get("aliases", ()))):
                if alias and model["id"] in self.drivers:
                    found.setdefault(alias.strip().lower(), []).append((alias, model["id"]))
        return found

    def find(self, name: str) -> str | None:
        """The name of a model by its id or alias, upper or lower case; None when not known."""
        asked = name.strip().lower()
        if asked in CANNED:
            return asked
        if asked in self._ids:
            return self._ids[asked]
        meant = self._meant.get(asked, [])
        if len({identity for _, identity in meant}) == 1:
            return meant[0][1]
        return meant[0][0] if meant else None  # of several models: left to the server

    def resolve(self, name: str) -> str:
        """The id of a known model; an unknown name as given, for the server to decide."""
        return self.find(name) or name.strip()

    @cached_property
    def _entries(self) -> dict[str, Mapping[str, Any]]:
        return {model["id"]: model for model in self.catalogue.get("chat", ())}

    @cached_property
    def all_ids(self) -> frozenset[str]:
        """Ids of all kinds of models."""
        kinds = ("chat", "image", "video")
        return frozenset(one["id"] for kind in kinds for one in self.catalogue.get(kind, ()))

    def entry(self, name: str) -> Mapping[str, Any]:
        """What the catalogue says of a model, ``{}`` when it is not known."""
        return self._entries.get(self._identity(name), {})

    def provider_of(self, name: str) -> str | None:
        """Who serves a model, None when not known."""
        found = self.find(name)
        return "fake-chat" if found in CANNED else self.drivers.get(self._identity(name))

    def _identity(self, name: str) -> str:
        """The id of what a name means first."""
        found = self.find(name) or ""
        return found if found in self.drivers else self._meant.get(found.lower(), [("", "")])[0][1]

    def suggest(self, name: str, count: int = 3) -> tuple[str, ...]:
        """Known names close to one that is not known."""
        asked = name.strip().lower()
        others = [one for one in self._ids if one != asked]
        near = difflib.get_close_matches(asked, others, n=count, cutoff=0.6)
        if len(near) < count and len(asked) >= 3:
            near += sorted(one for one in others if asked in one and one not in near)
        return tuple(self._ids[one] for one in near[:count])


@lru_cache(maxsize=1)
def registry() -> ModelRegistry:
    """The registry that comes with the SDK."""
    return ModelRegistry(_read("available_models.json"))


def drivers_of(catalogue: Mapping[str, Any]) -> dict[str, str]:
    """Model -> provider of a catalogue's chat models, sorted by name; direct vendors win."""
    vendors: dict[str, str] = {}  # what direct vendors call their models, aliases included
    for model in catalogue["chat"]:
        if model["provider"] not in _RESOLD:
            for name in (model["id"], *model.get("aliases", ())):
                vendors.setdefault(name, model["provider"])
    chat: list[dict[str, str]] = catalogue["chat"]
    listed = sorted((one["id"], one["provider"]) for one in chat)
    return {
        name: vendors.get(name, provider) for name, provider in listed if provider != "fake-chat"
    }


def _read(name: str) -> Any:
    return json.loads((files("puter") / name).read_text(encoding="utf-8"))


def write(catalogue: Mapping[str, Any], folder: Path) -> None:
    """Write both files, each of them whole or not at all."""
    for name, data in (
        ("catalogue.json", catalogue),
        ("available_models.json", drivers_of(catalogue)),
    ):
        whole = folder / f".{name}.tmp"
        whole.write_text(_pretty(data) + "\n", encoding="utf-8")
        os.replace(whole, folder / name)


def _pretty(data: Any) -> str:
    """JSON with one model a line, so that a refresh reads well as a diff."""
    lines = []
    for key, value in data.items():
        if isinstance(value, list):
            inner = ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in value)
            lines.append(f"{json.dumps(key)}: [\n{inner}\n]" if value else f"{json.dumps(key)}: []")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}"


def main(arguments: list[str] | None = None) -> int:
    """``python -m puter.models refresh``."""
    parser = argparse.ArgumentParser(prog="python -m puter.models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    refresh = commands.add_parser("refresh", help="rewrite the snapshot from a live server")
    refresh.add_argument("--api-base", help="default: PUTER_API_BASE, or https://api.puter.com")
    refresh.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent,
        help="folder to write to (default: puter)",
    )
    given = parser.parse_args(arguments)
    from puter.ai import PuterAI
    from puter.operations.models import catalogue

    settings = {"api_base": given.api_base} if given.api_base else {}
    try:
        with PuterAI(**settings) as ai:
            lists = ai._run(catalogue)
            source = ai.config.api_base
        today = datetime.now(timezone.utc).date().isoformat()
        write({"captured": today, "source": source, **lists}, given.output)
    except (PuterError, OSError) as error:
        print(f"puter.models: {error}", file=sys.stderr)
        return 1
    print(f"{len(drivers_of(lists))} chat models written to {given.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
