"""The state of one LocalPuter, shared by its thread and the thread of its user."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from puter.testing import catalogue, local_model
from puter.testing.accounts import Accounts
from puter.testing.catalogue import Catalogue
from puter.testing.file_tree import FileTree
from puter.testing.journal import Journal
from puter.testing.limits import Limits, Tier
from puter.testing.llama import Llama
from puter.testing.metering import Metering
from puter.testing.recorded import recorded
from puter.testing.script import Script

# Vendors of media that LocalPuter plays.
VENDORS: tuple[str, ...] = tuple(recorded("media_vendors"))

Generation = Literal["2026-08", "2026-10"]
GENERATIONS: tuple[Generation, ...] = get_args(Generation)


@dataclass
class Backend:
    """Settings of one server, and what it stores."""

    tier: Tier | None
    generation: Generation
    latency: float
    default_model: str | None
    allowance: float | None
    credits_per_dollar: float | None
    vendors: tuple[str, ...]
    files: FileTree
    gui_origin: str = ""  # the only one that logins accept
    accounts: Accounts = field(default_factory=Accounts)
    limits: Limits = field(default_factory=Limits)
    journal: Journal = field(default_factory=Journal)
    script: Script = field(default_factory=Script)
    metering: Metering = field(default_factory=Metering)
    kv: dict[str, dict[str, Any]] = field(default_factory=dict)  # values by user
    # The latest results of media calls that are told by URL: bytes and type by path.
    samples: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    sample_numbers: Iterator[int] = field(default_factory=itertools.count)
    llama: Llama | None = None  # a real model
    running_now: int = 0
    peak_running: int = 0

    @property
    def newer(self) -> bool:
        """Whether it plays the server of 2026-10."""
        return self.generation == "2026-10"

    def catalogue(self, kind: str) -> Catalogue:
        """The models of ``chat``, ``image`` or ``video``."""
        if kind == "chat" and self.llama is not None:
            return self._with_real_model
        return catalogue.load(kind, self.vendors, newer=self.newer)

    @cached_property
    def _with_real_model(self) -> Catalogue:
        assert self.llama is not None  # noqa: S101 - or nobody asks
        known = catalogue.load("chat", newer=self.newer)
        return known.adding(local_model.entry(self.llama.weights.name))

    @contextmanager
    def running(self) -> Generator[None]:
        """Count an AI call while it runs; only the server's event loop does."""
        self.running_now += 1
        self.peak_running = max(self.peak_running, self.running_now)
        try:
            yield
        finally:
            self.running_now -= 1
