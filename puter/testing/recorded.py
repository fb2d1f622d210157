"""Data as the real backend sent it: voices, models, samples and the fixed parts of answers."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def _all(file: str, package: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(files(package).joinpath(file).read_text("utf-8"))
    return data


@cache
def recorded(
    name: str, file: str = "recorded.json", package: str = "puter.testing", *, newer: bool = False
) -> Any:
    """The entry ``name`` of ``newer.json`` or ``file``; it is shared, so do not change it."""
    changed = _all("newer.json", "puter.testing") if newer else {}
    return changed[name] if name in changed else _all(file, package)[name]
