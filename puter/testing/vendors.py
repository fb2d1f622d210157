"""What the vendors behind Puter refuse, and what their routes fail over, before any answer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from puter.testing.chat_call import ChatCall
from puter.testing.messages import parts_of, text_of
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request
from puter.testing.replies import UpstreamFailure, attempts
from puter.testing.token_usage import tokens_in

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# The ids of calls whose thought is signed: the number of their round, then their own.
_SIGNED_ID = re.compile(r"toolu_(signed\d+)_\d+")


def check(call: ChatCall) -> UpstreamFailure | None:
    """The vendor's refusal of ``call``. Raises ApiError where the route itself fails."""
    if call.newer:
        _check_modalities(call)
    if (fault := _fault_of_route(call)) is not None:
        tried = attempts(call.routes, error=fault)
        raise ApiError(500, "All providers failed", "internal_error", attempts=tried)
    refusals = itertools.chain(_long_prompt(call), _messages(call), _options(call))
    return next(refusals, None)


def _fault_of_route(call: ChatCall) -> str | None:
    """The text of the exception that the server's own code for the route raises."""
    if isinstance(call.args.get("tools"), dict) and call.provider.startswith(("openai", "azure")):
        return "tools.some is not a function"
    if call.provider == "mistral":
        misnamed = any("imageUrl" not in part for part in _parts(call, "image_url"))
        return "Input validation failed" if call.searches or misnamed else None
    if call.provider == "claude" and call.searches and not call.newer:
        return "Cannot read properties of undefined (reading 'name')"
    return None


def _parts(call: ChatCall, kind: str) -> list[dict[str, Any]]:
    return [part for message in call.normalized for part in parts_of(message, kind)]


def _check_modalities(call: ChatCall) -> None:
    """Raises ApiError 400 for pictures or films that the model cannot see."""
    seen = call.routes[0].get("modalities", {"input": ("image", "video")})["input"]
    for kind in ("image", "video"):
        if kind not in seen and _parts(call, f"{kind}_url"):
            raise bad_request(f"Model {call.model} does not support {kind} input")


def _long_prompt(call: ChatCall) -> Iterator[UpstreamFailure]:
    window = call.routes[0].get("context")
    if window is None:
        return
    texts = call.texts if call.heard is call.normalized else map(text_of, call.heard)
    if (tokens := sum(map(tokens_in, texts))) <= window:
        return
    told = f"This model's maximum context length is {window} tokens. However, your messages"
    text = f"{told} resulted in {tokens} tokens. Please reduce the length of the messages."
    yield UpstreamFailure(400, text, "context_length_exceeded")


def _messages(call: ChatCall) -> Iterator[UpstreamFailure]:
    if call.provider == "fake-chat":
        return
    messages = call.upstream_messages
    roles = recorded("roles_of_vendors")[call.family]
    kinds = recorded("parts_of_vendors")[call.family]
    for number, message in enumerate(messages):
        role, content = message.get("role", "user"), message.get("content")
        if role not in roles:
            yield _invalid(call, f"messages[{number}].role", role, roles)
        for part in content if isinstance(content, list) else ():
            kind = part.get("type")
            if kind is not None and kind not in kinds:
                where = f"messages[{number}].content.type"
                yield _invalid(call, where, kind, kinds)
            if kind == "compaction" and call.family == "claude" and "id" in part:
                yield _invalid(call, f"messages[{number}].content.id", part["id"], ())
    if call.family == "claude":
        yield from _unsigned(messages)


def _options(call: ChatCall) -> Iterator[UpstreamFailure]:
    told = call.upstream_options
    reasoning = told.get("reasoning")
    nested = reasoning.get("effort") if isinstance(reasoning, dict) else None
    effort = told.get("reasoning_effort", nested)
    if effort is not None and effort not in _EFFORTS:
        yield _invalid(call, "reasoning_effort", effort, _EFFORTS)


def _invalid(call: ChatCall, where: str, value: object, known: Sequence[str]) -> UpstreamFailure:
    if call.family == "claude":
        return UpstreamFailure(400, f"{where}: Input {value!r} does not match the expected values")
    names = ", ".join(f"'{one}'" for one in known)
    text = f"Invalid value: '{value}'. Supported values are: {names}."
    return UpstreamFailure(400, f"{text} (param: {where})", "invalid_value")


def _unsigned(messages: list[dict[str, Any]]) -> Iterator[UpstreamFailure]:
    """Anthropic wants the signed thought back in front of the calls that followed from it."""
    seen: set[str] = set()
    thought = False
    for number, message in enumerate(messages):
        thought &= message["role"] == "assistant"  # consecutive messages are one turn to it
        for block in message["content"]:
            thought |= block.get("type") in ("thinking", "redacted_thinking")
            found = _SIGNED_ID.fullmatch(str(block.get("id")))
            if found and found[1] not in seen and not thought:
                text = "Expected `thinking` or `redacted_thinking`, but found `tool_use`."
                yield UpstreamFailure(400, f"messages.{number}.content.0.type: {text}")
            seen.update(found.groups() if found else ())
