"""``Secret``: a token, password or code on its way, which no repr, log or pickle shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final


class Secret:
    """A text that is hidden wherever the object is printed.

    It becomes text at the last moment, in ``revealed()``, ``with_token()`` and ``reveal()``: what
    they return is kept by nobody of ours.

    Examples:
        >>> Secret("correct horse")
        Secret(***)
        >>> f"{Secret('correct horse')}"
        'Secret(***)'
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text: Final = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: Any) -> Secret:
        return self

    def __reduce__(self) -> Any:  # it leaves no process
        return Secret, ("",)


def with_token(headers: Mapping[str, str], token: Secret | None) -> dict[str, str]:
    """The headers as they go out: the token's text is in ``Authorization``."""
    sent = dict(headers)
    if token is not None:
        sent["Authorization"] = f"Bearer {token._text}"
    return sent


def revealed(payload: Any) -> Any:
    """The payload with the text of the secrets that are values of it, to be encoded at once."""
    if not isinstance(payload, dict):
        return payload
    return {name: one.reveal() if isinstance(one, Secret) else one for name, one in payload.items()}


def secrets_in(payload: Mapping[str, Any]) -> tuple[Secret, ...]:
    """The secrets that are values of the payload."""
    return tuple(one for one in payload.values() if isinstance(one, Secret))
