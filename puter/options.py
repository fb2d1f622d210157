"""Typed options, and the one validator of them: misspelt names are refused with a suggestion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypedDict

from puter.checks import SECONDS, Range, checks_of, mapping_with_str_keys, usual
from puter.exceptions import PuterInputError
from puter.keywords import unexpected

Timeout = Annotated[float | None, SECONDS]


def _check_extra(name: str, value: Any) -> Mapping[str, Any]:
    mapping_with_str_keys(name, value)
    check_refused(value)
    for key, hint in _NOT_EXTRA.items():
        if key in value:
            raise PuterInputError(f"{name} must not hold {key!r}", hint=hint)
    return value  # type: ignore[no-any-return]


_REFUSED = "Newer Puter servers refuse it"
REFUSED = {
    "previous_response_id": f"{_REFUSED}: the client sends the conversation itself.",
    "conversation": f"{_REFUSED}: use client.conversation(), which sends its own messages.",
    "background": f"{_REFUSED}: use async_chat(), or a thread.",
}
"""Arguments of OpenAI's Responses that no chat sends, and what to do instead."""


def check_refused(names: Iterable[str]) -> None:
    """Raise PuterInputError for an argument that newer servers refuse."""
    for name in names:
        if name in REFUSED:
            raise PuterInputError(f"{name} cannot be used with Puter", hint=REFUSED[name])


_NO_PROBABILITIES = "Puter tells no probabilities."
_OTHER_MEDIA = "Use txt2speech() for sound, txt2img() for pictures."
_NO_TEST_MODE = "Chat has no test mode and would be billed; model='fake' is free."
_NOT_EXTRA = {
    "messages": "Pass messages=... to chat itself.",
    "stream": "It changes the form of the answer: pass stream=True to chat itself.",
    "test_mode": _NO_TEST_MODE,
    "prompt": f"{_REFUSED}: a prompt template cannot be used; pass prompt=... to chat itself.",
}


class ChatOptions(TypedDict, total=False):
    """Options of ``puter.PuterAI.chat()``. Left out or None: the vendor's default.

    Each option names the providers that read it. When the registry knows that the model's provider
    drops one that is set, a ``PuterOptionWarning`` says so once.
    """

    temperature: float | None
    """Randomness of the choice of words, about 0 to 2. All providers but xAI, Moonshot and the
    Responses route; of Claude, the models before 4.7, whose default is 0."""
    max_tokens: Annotated[
        int | None, Range(1, hint="The server answers 0 and less with 'No usage left'.")
    ]
    """Most tokens in the answer, 1 or more. All providers but xAI. The server lowers it to what the
    account can pay, without a word."""
    top_p: float | None
    """Share of the probable words to choose from, 0 to 1. Most providers; of Claude, the models
    before 4.7."""
    top_k: Annotated[int | None, Range(1)]
    """Number of the most probable words to choose from, 1 or more. Claude, OpenRouter."""
    stop: str | Sequence[str] | None
    """A text, or several, at which the answer ends; it is not part of the answer. All providers but
    the Responses route."""
    provider: str | None
    """The provider that is to serve the call, such as ``"openrouter"``. The server ignores one that
    does not carry the model: ``reply.provider`` says who answered."""
    reasoning_effort: Annotated[
        str | None, usual("none", "minimal", "low", "medium", "high", "xhigh", "max")
    ]
    """``"low"``, ``"medium"``, ``"high"`` and what newer models add. OpenAI (not gpt-5 chat
    models), the Responses route, Claude, Meta."""
    thinking: bool | Mapping[str, Any] | None
    """Whether the model thinks first: True lets it decide how much, or ``{"type": "enabled",
    "budget_tokens": n}``. Claude; servers of 2026-10 and later read it."""
    verbosity: Annotated[str | None, usual("low", "medium", "high")]
    """``"low"``, ``"medium"`` or ``"high"``. OpenAI (not gpt-5 chat models), the Responses
    route."""
    compaction: bool | Mapping[str, Any] | None
    """True, or ``{"trigger_tokens": n}``: compact a long conversation on the way. The result is
    carried forward in the conversation. OpenAI, Claude."""
    context_management: Mapping[str, Any] | None
    """Compaction in the vendor's own format. OpenAI, Claude."""
    cache_control: bool | Mapping[str, Any] | None
    """True, or ``{"type": "ephemeral", ...}``: let the vendor cache the conversation up to and
    including this message. Claude."""
    web_search: bool | None
    """Let the model search the web. OpenAI, where it moves the call to the Responses route, and on
    servers of 2026-10 and later Claude. Refused for Mistral, where the server fails."""
    tool_choice: str | Mapping[str, Any] | None
    """``"auto"``, ``"none"``, ``"required"``, or the name of the tool to call: each route gets it
    in its own words; a dict goes as it is. A tool is forced in the first round only. Servers before
    2026-10 read it on the Responses route and for MiniMax, Z.AI, BytePlus and Meta."""
    parallel_tool_calls: bool | None
    """Whether several tools may be called at once. Read as ``tool_choice`` is; Claude calls one at
    a time unless this is True."""
    output_format: Mapping[str, Any] | None
    """``{"type": "json_schema", "name": ..., "schema": {...}}``: the form of the answer. Servers of
    2026-10 and later pass it on; ``parse()`` sends it by itself."""
    normalize: bool | None
    """True asks for the OpenAI form of ``reply.raw``, False for the vendor's own; the reply's other
    attributes are the same either way. Default: as the server does for the model. Servers of
    2026-10 and later; streams are not affected."""
    moderation: bool | None
    """Check the text first; flagged text raises ``PuterBadRequestError``. OpenAI."""
    response: Mapping[str, Any] | None
    """``{"normalize": True}`` turns ``reply.raw`` into content blocks; the reply's other attributes
    are the same either way. Any provider; streams are not affected."""
    custom: Mapping[str, Any] | None
    """More parameters in the vendor's own format, such as ``response_format`` or ``seed``. Z.AI,
    BytePlus, Meta."""
    include: list[str] | None
    """Further parts of the result to return. Responses route."""
    instructions: str | None
    """Instructions beside the messages. Responses route."""
    metadata: Mapping[str, Any] | None
    """Your own labels. Responses route."""
    prompt_cache_key: str | None
    """Groups calls whose prompts begin alike, for the vendor's cache. Responses route."""
    prompt_cache_retention: str | None
    """How long the vendor keeps that cache, such as ``"24h"``. Responses route."""
    store: bool | None
    """Whether OpenAI keeps the answer. Responses route."""
    truncation: str | None
    """What to do when the conversation is too long, such as ``"auto"``. Responses route."""
    service_tier: str | None
    """Priority at the vendor, such as ``"flex"``. Responses route."""
    timeout: Timeout
    """Seconds of silence allowed in this call, above 0. Default: ``config.timeout``."""
    extra: Annotated[Mapping[str, Any] | None, _check_extra]
    """More arguments for the server, merged in last."""


_HINTS = {
    "base_url": "Use PuterAI(api_base=...).",
}
CHAT_HINTS = {
    "test_mode": _NO_TEST_MODE,
    "driver": "Use provider=... to choose who serves the model.",
    "system_prompt": "Use system=...",
    "seed": "The server drops it; some providers take custom={'seed': ...}.",
    "response_format": "Use parse() for typed answers, or output_format=...",
    "stop_sequences": "Use stop=...",
    "max_completion_tokens": "Use max_tokens=...",
    "reasoning": "Use reasoning_effort=...",
    "text": "Use verbosity=...",
    "web_search_options": "Use web_search=True.",
    "functions": "Use tools=[...]",
    "function_call": "Use tool_choice=...",
    "n": "Puter gives one answer: several are several calls.",
    "logprobs": _NO_PROBABILITIES,
    "top_logprobs": _NO_PROBABILITIES,
    "logit_bias": "Puter passes no bias on.",
    "audio": _OTHER_MEDIA,
    "modalities": _OTHER_MEDIA,
    "stream_options": "Leave it out: stream.reply.usage has the tokens.",
    "extra_body": "Use extra={...}.",
    "extra_headers": "Use PuterAI(headers={...}).",
    "history": "Pass the messages as messages=[...], or use conversation().",
    "chat_history": "Pass the messages as messages=[...], or use conversation().",
    "prompts": "Pass one prompt; several questions are several calls.",
}
"""What to say of names that a chat does not have."""


def validate_options(
    method: Callable[..., Any],
    options: Mapping[str, Any],
    kind: type,
    hints: Mapping[str, str],
) -> None:
    """Check options against a TypedDict: unknown names as Python does, values by annotation.

    Args:
        method: Whose options they are; the error tells its name and suggests its parameters.
        options: What was passed; None counts as left out.
        kind: A TypedDict such as ``ChatOptions``; see ``puter.checks.checker_of()``.
        hints: What to say of names that it does not have but other libraries do.

    Raises:
        TypeError: A name is unknown; the message suggests the nearest.
        PuterInputError: A value is not valid.
    """
    checks = checks_of(kind)
    for name, value in options.items():
        if name not in checks:
            raise unexpected(method, name, checks, {**hints, **_HINTS})
        if value is not None:
            checks[name](name, value)
