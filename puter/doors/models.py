"""The live catalogue, and what a call may cost."""

from __future__ import annotations

from typing import Any, Literal

from puter.catalogue import CostEstimate, Model, ModelList, estimate, read_model
from puter.doors.base import Doors, share_docstrings
from puter.exceptions import PuterInputError
from puter.operations import models
from puter.options import _text

Kind = Literal["chat", "image", "video"]


class ModelDoors(Doors):
    """The live catalogue."""

    def list_models(
        self, provider: str | None = None, *, kind: Kind = "chat", refresh: bool = False
    ) -> ModelList:
        """The server's models with prices and abilities. Free; no token needed.

        Args:
            provider: Only those of one provider, such as ``"claude"``.
            kind: ``chat`` (default), ``image`` or ``video``.
            refresh: Ask again; otherwise the answer is kept for the life of the client.

        Returns:
            A list of ``Model`` with ``find(...)`` and ``cheapest(...)``.

        Raises:
            PuterInputError: There is no such kind.
            PuterAPIError: The server failed or did not answer.

        Examples:
            >>> ai.list_models().cheapest(vision=True, tools=True).id  # doctest: +SKIP
            'gpt-5-nano'
        """
        if kind not in models.KINDS:
            raise PuterInputError(f"kind must be one of {', '.join(models.KINDS)}, not {kind!r}")
        if refresh or kind not in self._catalogues:
            self._catalogues[kind] = _read(self._run(models.model_list, kind), kind)
        return _of(self._catalogues[kind], provider)

    async def async_list_models(
        self, provider: str | None = None, *, kind: Kind = "chat", refresh: bool = False
    ) -> ModelList:
        if kind not in models.KINDS:
            raise PuterInputError(f"kind must be one of {', '.join(models.KINDS)}, not {kind!r}")
        if refresh or kind not in self._catalogues:
            self._catalogues[kind] = _read(await self._async_run(models.model_list, kind), kind)
        return _of(self._catalogues[kind], provider)

    def list_model_providers(self, *, kind: Kind = "chat") -> list[str]:
        """The providers in the server's catalogue, sorted. Free; no token needed.

        Args:
            kind: ``chat`` (default), ``image`` or ``video``.

        Raises:
            PuterAPIError: The server failed or did not answer.

        Examples:
            >>> ai.list_model_providers()  # doctest: +SKIP
            ['azure-openai', 'claude', ...]
        """
        return sorted({one.provider for one in self.list_models(kind=kind)})

    async def async_list_model_providers(self, *, kind: Kind = "chat") -> list[str]:
        return sorted({one.provider for one in await self.async_list_models(kind=kind)})

    def estimate_cost(
        self, prompt: str, model: str | None = None, *, output_tokens: int = 500
    ) -> CostEstimate:
        """An estimate of what a chat would cost, from list prices and without network.

        The text counts as a quarter of a token a character; the server's own count will differ.

        Args:
            prompt: What would be said, history included.
            model: Which model. Default: ``current_model``.
            output_tokens: How long the answer is assumed to be. Default 500.

        Raises:
            PuterInputError: An argument is wrong.

        Examples:
            >>> print(ai.estimate_cost("Hello!", "gpt-4.1"))  # doctest: +SKIP
            about 0.00401 USD
        """
        if model is not None:
            _text("model", model)
        name = self._registry.resolve(model or self.current_model)
        live = next((m for m in self._catalogues.get("chat", ()) if m.id == name), None)
        entry = self._registry.entry(name)
        known = live or (read_model(entry, "chat") if entry else Model(name, ""))
        return estimate(known, prompt, output_tokens)


def _read(entries: list[dict[str, Any]], kind: str) -> ModelList:
    return ModelList(read_model(entry, kind) for entry in entries)


def _of(listed: ModelList, provider: str | None) -> ModelList:
    return ModelList(one for one in listed if provider is None or one.provider == provider)


share_docstrings(ModelDoors)
