"""Data as the real backend sent it: voices, models, samples and the fixed parts of answers."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def _all() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(
        files("puter.testing").joinpath("recorded.json").read_text("utf-8")
    )
    return data


def recorded(name: str) -> Any:
    """The entry ``name`` of recorded.json; it is shared, so do not change it."""
    return _all()[name]
