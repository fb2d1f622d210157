"""Values whose attributes cannot be changed."""

from __future__ import annotations

from typing import Any, NoReturn


class Immutable:
    """Refuses changes of attributes; a subclass sets them with ``object.__setattr__``."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")
