"""The server's models."""

from __future__ import annotations

from typing import Any, Literal

from puter import checks
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.engine.pipeline import exchange
from puter.exceptions import PuterInputError, repr_of
from puter.types.model import ModelList
from puter.wire.catalogue import read_entries, read_model
from puter.wire.http import api_get
from puter.wire.providers import find_provider

ModelKind = Literal["chat", "image", "video"]
KINDS: tuple[ModelKind, ...] = ("chat", "image", "video")


def list_models(
    call: CallContext,
    provider: str | None = None,
    *,
    kind: ModelKind = "chat",
    refresh: bool = False,
) -> Flow[ModelList]:
    """List the server's models with prices and abilities. Free of charge; needs no token.

    Args:
        provider: Only those of one provider, such as ``"claude"`` or, for images and videos,
            ``"gemini"``; ``list_model_providers()`` names them. Default: all.
        kind: ``"chat"`` (default), ``"image"`` or ``"video"``.
        refresh: Ask the server again. Default: False, the list of the first call is kept by the
            client.

    Returns:
        A list of ``Model`` with ``find(...)`` and ``cheapest(...)``.

    Raises:
        PuterInputError: There is no such kind, or no such provider; the message names near ones.
        PuterAPIError: The server failed or did not answer.

    Examples:
        >>> ai.list_models().cheapest(vision=True, tools=True).id
        'ministral-3b-2512'
    """
    if kind not in KINDS:
        raise PuterInputError(
            f"kind must be one of {', '.join(KINDS)}, not {repr_of(kind)}",
            hint="For speech there are list_engines() and list_voices().",
        )
    checks.text_or_none("provider", provider)
    if refresh or kind not in call.catalogues:
        entries = yield from fetch_entries(call, kind)
        call.catalogues[kind] = ModelList(read_model(entry, kind) for entry in entries)
    listed = call.catalogues[kind]
    if provider is None:
        return ModelList(listed)
    name = find_provider(provider, {one.provider for one in listed}, kind)
    return ModelList(one for one in listed if one.provider == name)


vars(list_models)["hints"] = {
    name: f"Choose among them: list_models().find({name}=...)."
    for name in ModelList.find.__annotations__
}


def list_model_providers(call: CallContext, *, kind: ModelKind = "chat") -> Flow[list[str]]:
    """List the providers in the server's catalogue, sorted. Free of charge; needs no token.

    Args:
        kind: ``"chat"`` (default), ``"image"`` or ``"video"``.

    Raises:
        PuterInputError: There is no such kind.
        PuterAPIError: The server failed or did not answer.

    Examples:
        >>> ai.list_model_providers()
        ['alibaba', 'azure-openai', ...]
    """
    models = yield from list_models(call, kind=kind)
    return sorted({one.provider for one in models})


def fetch_entries(call: CallContext, kind: str) -> Flow[list[dict[str, Any]]]:
    """The server's own entries of one kind; public, so no token goes along."""
    path = f"/puterai/{kind}/models/details"
    reply = yield from exchange(call, api_get(call.config, path, authenticated=False))
    return read_entries(reply.data, kind)


def fetch_catalogue(call: CallContext) -> Flow[dict[str, list[dict[str, Any]]]]:
    """The server's own entries of all kinds."""
    lists: dict[str, list[dict[str, Any]]] = {}
    for kind in KINDS:
        lists[kind] = yield from fetch_entries(call, kind)
    return lists
