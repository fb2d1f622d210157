"""What all doors stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from puter.catalogue import ModelList
    from puter.flow import Flow
    from puter.models import ModelRegistry

T = TypeVar("T")


class Doors:
    """Runs flows; ``puter.PuterAI`` is what does."""

    if TYPE_CHECKING:
        _registry: ModelRegistry
        _catalogues: dict[str, ModelList]

        @property
        def current_model(self) -> str: ...
        def _run(self, operation: Callable[..., Flow[T]], *args: Any, **kwargs: Any) -> T: ...
        async def _async_run(
            self, operation: Callable[..., Flow[T]], *args: Any, **kwargs: Any
        ) -> T: ...


def share_docstrings(*classes: type) -> None:
    """One docstring serves both doors."""
    for cls in classes:
        for name, method in vars(cls).copy().items():
            twin = vars(cls).get(f"async_{name}")
            if twin is not None:
                twin.__doc__ = method.__doc__
