"""``/v1/models``: in one form that both vendors' clients read."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from aiohttp import web

from puter.exceptions import PuterInputError, PuterModelNotFoundError
from puter.serve.shared import CLIENT
from puter.types.model import Model, ModelList

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


async def list_models(request: web.Request) -> web.Response:
    """List the models for chats; ``?kind=image`` and ``?kind=video`` list others."""
    found = await _models(request, request.query.get("kind", "chat"))
    data = [entry_of(one) for one in found]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return web.json_response({"object": "list", "data": data, "has_more": False, **ends})


async def get_model(request: web.Request) -> web.Response:
    """Tell of one model, by its id or another name of it."""
    models = await _models(request, request.query.get("kind", "chat"))
    try:
        return web.json_response(entry_of(models[request.match_info["model"].rstrip("/")]))
    except PuterInputError as error:
        raise PuterModelNotFoundError(error.message, hint=error.hint) from None


async def _models(request: web.Request, kind: Any) -> ModelList:
    """The server's models, each name once, and those of the client's drivers before them."""
    client = request.app[CLIENT]
    drivers = client._extensions.drivers.values() if kind == "chat" else ()
    own = [Model(name, one.name) for one in drivers for name in one.models.values()]
    found = {one.id: one for one in reversed([*own, *await client.async_list_models(kind=kind)])}
    return ModelList(reversed(found.values()))


def entry_of(model: Model) -> dict[str, Any]:
    """A model as OpenAI and as Anthropic describe it, with its prices in US dollars."""
    created = _date(model.released)
    prices = {"input": model.input_price, "output": model.output_price, "unit": model.unit_price}
    about = {
        "context_length": model.context,
        "max_output": model.max_output,
        "price": {name: float(one) for name, one in prices.items() if one is not None},
    }
    return {
        "id": model.id,
        "object": "model",
        "created": int(created.timestamp()),
        "owned_by": model.provider,
        "type": "model",
        "display_name": model.name or model.id,
        "created_at": created.isoformat().replace("+00:00", "Z"),
        **{name: value for name, value in about.items() if value},
    }


def _date(text: str | None) -> datetime:
    """The day of release; the first day that a clock knows where none is told."""
    for form in ("%Y-%m-%d", "%Y-%m", "%Y"):
        try:
            return datetime.strptime(text or "", form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
    return _EPOCH
