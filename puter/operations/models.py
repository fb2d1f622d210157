"""The live model catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puter.exceptions import PuterResponseError
from puter.exchange import Call, exchange
from puter.wire import calls
from puter.wire.errors import WRONG_HOST

if TYPE_CHECKING:
    from puter.flow import Flow

KINDS = ("chat", "image", "video")


def catalogue(call: Call) -> Flow[dict[str, list[dict[str, Any]]]]:
    """The server's chat, image and video models; public, so it needs no token."""
    lists = {}
    for kind in KINDS:
        lists[kind] = yield from model_list(call, kind)
    return lists


def model_list(call: Call, kind: str) -> Flow[list[dict[str, Any]]]:
    path = f"/puterai/{kind}/models/details"
    reply = yield from exchange(call, calls.api_get(call.config, path, signed=False))
    models = reply.data.get("models") if isinstance(reply.data, dict) else None
    if not isinstance(models, list) or not all(map(_is_model, models)):
        raise PuterResponseError(f"The list of {kind} models has an unknown shape", hint=WRONG_HOST)
    return sorted(models, key=lambda model: (model["provider"], model["id"]))


def _is_model(model: Any) -> bool:
    return isinstance(model, dict) and all(
        isinstance(model.get(key), str) for key in ("id", "provider")
    )
