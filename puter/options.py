"""The options of a chat, typed: misspelt ones are refused with a suggestion."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypedDict

from puter.config import CHECKS
from puter.exceptions import PuterInputError


class ChatOptions(TypedDict, total=False):
    """Options of :meth:`puter.PuterAI.chat`.

    Attributes:
        temperature: How freely the model chooses, about 0 to 2. Default: the vendor's (Claude: 0).
        max_tokens: Most tokens in the answer, 1 or more. The server lowers it to what the account
            can pay.
        provider: Pin the route to one provider, such as ``"openrouter"``.
        timeout: Seconds of silence allowed, for this call.
        extra: More arguments for the server, merged in last.
    """

    temperature: float | None
    max_tokens: int | None
    provider: str | None
    timeout: float | None
    extra: Mapping[str, Any] | None


_ELSEWHERE = {
    "test_mode": "Chat has no test mode and would be billed; model='fake' is free.",
    "driver": "Use provider=... to choose who serves the model.",
    "base_url": "Use PuterAI(api_base=...).",
    "max_retries": "Use client.with_options(max_retries=...).",
    "system_prompt": "Use system=...",
    "top_p": "Most routes drop it; send it with extra={'top_p': ...} where it counts.",
    "stop": "The server drops it on most routes; see extra={'custom': ...}.",
}


def check_options(method: str, options: Mapping[str, Any], also: tuple[str, ...] = ()) -> None:
    """Refuse unknown names as Python does, and a timeout that is none.

    Raises:
        TypeError: A name is unknown; the message suggests the nearest.
        PuterInputError: ``timeout`` is not a positive number.
    """
    for name in options:
        if name not in ChatOptions.__annotations__:
            known = [*ChatOptions.__annotations__, *also]
            near = difflib.get_close_matches(name, known, n=1)
            hint = _ELSEWHERE.get(name) or (f"Did you mean {near[0]!r}?" if near else "")
            told = hint or "Arguments the SDK does not know go into extra={...}."
            raise TypeError(f"{method}() got an unexpected keyword argument {name!r}. {told}")
    if options.get("timeout") is not None:
        try:
            CHECKS["timeout"]("timeout", options["timeout"])
        except ValueError as error:
            raise PuterInputError(str(error)) from None
