"""The options of a chat, typed: misspelt ones are refused with a suggestion."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from puter.config import CHECKS
from puter.exceptions import PuterInputError

if TYPE_CHECKING:
    from puter.sources import Source
    from puter.tools import BeforeTool, ToolLike


class ChatOptions(TypedDict, total=False):
    """Options of ``puter.PuterAI.chat()``. Left out or None: the vendor's default.

    Which providers read an option is said with it; when the registry knows that the model's
    provider drops one you set, a ``PuterOptionWarning`` says so once.

    Attributes:
        temperature: How freely the model chooses, about 0 to 2. All but xAI, Moonshot and the
            Responses route; Claude's default is 0.
        max_tokens: Most tokens in the answer, 1 or more. All but xAI. The server lowers it to what
            the account can pay, silently.
        top_p: Share of the probable words to choose from, 0 to 1. Responses route, MiniMax, Z.AI,
            BytePlus, Meta.
        provider: Pin the route to one provider, such as ``"openrouter"``.
        reasoning_effort: ``"low"``, ``"medium"``, ``"high"`` and what newer models add. OpenAI (not
            gpt-5 chat models), the Responses route, Claude, Meta.
        verbosity: ``"low"``, ``"medium"`` or ``"high"``. OpenAI (not gpt-5 chat models), the
            Responses route.
        compaction: True, or ``{"trigger_tokens": n}``: compact a long conversation on the way. The
            result is carried forward in the conversation. OpenAI, Claude.
        context_management: The same in the vendor's own words. OpenAI, Claude.
        cache_control: True, or ``{"type": "ephemeral", ...}``: let the vendor cache the
            conversation up to and including this message. Claude.
        web_search: Let the model search the web. OpenAI; it moves the call to the Responses route.
        tool_choice: Which tool to call. Responses route, MiniMax, Z.AI, BytePlus, Meta.
        parallel_tool_calls: Whether several tools may be called at once. Responses route, MiniMax,
            Z.AI, BytePlus, Meta.
        moderation: Check the text first; flagged text raises ``PuterBadRequestError``. OpenAI.
        response: ``{"normalize": True}`` reshapes ``reply.raw`` to content blocks; the reply's own
            attributes are the same either way. Any provider; streams are not affected.
        custom: More parameters in the vendor's own words, such as ``response_format``, ``stop`` or
            ``seed``. Z.AI, BytePlus, Meta.
        include: More to put into the result. Responses route.
        instructions: Instructions beside the messages. Responses route.
        metadata: Your own labels. Responses route.
        previous_response_id: The answer to go on from. Responses route.
        prompt_cache_key: Groups calls that share a beginning. Responses route.
        prompt_cache_retention: How long that is kept. Responses route.
        store: Whether OpenAI keeps the answer. Responses route.
        truncation: What to do when the conversation is too long. Responses route.
        background: Answer later. Responses route.
        service_tier: Priority at the vendor. Responses route.
        timeout: Seconds of silence allowed, for this call.
        extra: More arguments for the server, merged in last.
    """

    temperature: float | None
    max_tokens: int | None
    top_p: float | None
    provider: str | None
    reasoning_effort: str | None
    verbosity: str | None
    compaction: bool | Mapping[str, Any] | None
    context_management: Mapping[str, Any] | None
    cache_control: Literal[True] | Mapping[str, Any] | None
    web_search: bool | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    moderation: bool | None
    response: Mapping[str, Any] | None
    custom: Mapping[str, Any] | None
    include: list[str] | None
    instructions: str | None
    metadata: Mapping[str, Any] | None
    previous_response_id: str | None
    prompt_cache_key: str | None
    prompt_cache_retention: str | None
    store: bool | None
    truncation: str | None
    background: bool | None
    service_tier: str | None
    timeout: float | None
    extra: Mapping[str, Any] | None


class ChatArguments(ChatOptions, total=False):
    """All keyword arguments of a chat but ``stream``; see ``puter.PuterAI.chat()``."""

    images: Source | Sequence[Source] | None
    files: Source | Sequence[Source] | None
    messages: Sequence[Mapping[str, Any] | str] | None
    system: str | None
    content_parts: Sequence[Mapping[str, Any] | str] | None
    remember: bool
    tools: Sequence[ToolLike] | None
    run_tools: bool
    max_rounds: int
    before_tool: BeforeTool | None


_ELSEWHERE = {
    "test_mode": "Chat has no test mode and would be billed; model='fake' is free.",
    "driver": "Use provider=... to choose who serves the model.",
    "base_url": "Use PuterAI(api_base=...).",
    "max_retries": "Use client.with_options(max_retries=...).",
    "system_prompt": "Use system=...",
    "stop": "The server drops it; some providers take custom={'stop': ...}.",
    "seed": "The server drops it; some providers take custom={'seed': ...}.",
    "response_format": "The server drops it; use parse() for typed answers.",
    "max_completion_tokens": "Use max_tokens=...",
    "reasoning": "Use reasoning_effort=...",
    "text": "Use verbosity=...",
}


def check_options(method: str, options: Mapping[str, Any], also: tuple[str, ...] = ()) -> None:
    """Refuse unknown names as Python does, and values the server would answer with an error.

    Raises:
        TypeError: A name is unknown; the message suggests the nearest.
        PuterInputError: A value is not valid.
    """
    for name, value in options.items():
        if name not in ChatOptions.__annotations__:
            known = [*ChatOptions.__annotations__, *also]
            near = difflib.get_close_matches(name, known, n=1)
            hint = _ELSEWHERE.get(name) or (f"Did you mean {near[0]!r}?" if near else "")
            told = hint or "Arguments the SDK does not know go into extra={...}."
            raise TypeError(f"{method}() got an unexpected keyword argument {name!r}. {told}")
        if value is not None:
            _CHECKS[name](name, value)


def _finite(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise PuterInputError(f"{name} must be a number, not {value!r}")


def _positive_int(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PuterInputError(
            f"{name} must be a whole number, 1 or more, not {value!r}",
            hint="The server answers 0 and less with 'No usage left'.",
        )


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise PuterInputError(f"{name} must be a non-empty str, not {value!r}")


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise PuterInputError(f"{name} must be True or False, not {value!r}")


def _mapping(name: str, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise PuterInputError(f"{name} must be a dict with str keys, not {value!r}")


def _flag_or_mapping(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        _mapping(name, value)


def _text_or_mapping(name: str, value: Any) -> None:
    if not isinstance(value, str):
        _mapping(name, value)


def _texts(name: str, value: Any) -> None:
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise PuterInputError(f"{name} must be a list of str, not {value!r}")


def check_timeout(name: str, value: Any) -> None:
    if value is None:
        return
    try:
        CHECKS["timeout"](name, value)
    except ValueError as error:
        raise PuterInputError(str(error)) from None


def _extra(name: str, value: Any) -> None:
    _mapping(name, value)
    for key, hint in _NOT_EXTRA.items():
        if key in value:
            raise PuterInputError(f"extra must not hold {key!r}", hint=hint)


_NOT_EXTRA = {
    "messages": "Pass messages=... to chat itself.",
    "stream": "It changes the form of the answer: pass stream=True to chat itself.",
    "test_mode": "Chat has no test mode and would be billed; model='fake' is free.",
}
_CHECKS: dict[str, Callable[[str, Any], None]] = {
    **dict.fromkeys(ChatOptions.__annotations__, _text),
    **dict.fromkeys(("temperature", "top_p"), _finite),
    "max_tokens": _positive_int,
    **dict.fromkeys(
        ("web_search", "parallel_tool_calls", "moderation", "store", "background"), _flag
    ),
    **dict.fromkeys(("compaction", "cache_control"), _flag_or_mapping),
    **dict.fromkeys(("context_management", "response", "custom", "metadata"), _mapping),
    "tool_choice": _text_or_mapping,
    "include": _texts,
    "timeout": check_timeout,
    "extra": _extra,
}
