"""What a ``Cache`` goes by: the key of a request, and what it keeps of an answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from puter.engine.middleware import Request
from puter.types.replies import ChatReply
from puter.wire.json import as_int_or_none
from puter.wire.messages import CANNED, check_messages

FORMAT = 1
"""Part of each key: entries of another format are never found."""
_OF_THE_CALL = (
    "attempts", "cached", "elapsed", "headers", "messages", "request_id", "requested_model",
    "standalone",
)  # fmt: skip
"""Attributes of a reply that say how it came, not what it is."""


def key_of(request: Request, at: str) -> str | None:
    """The SHA-256 of everything that determines an answer, as canonical JSON.

    Timeouts, the token, and whether it is streamed are no part of it.

    Args:
        request: A chat; its messages hold all pictures and files.
        at: Who is asked: ``api_base``, or the driver.

    Returns:
        64 hexadecimal digits; None when something in it is no JSON.
    """
    options = {name: one for name, one in request.options.items() if one is not None}
    options.pop("timeout", None)
    tools = request.args.get("tools")
    schemas = [] if tools is None else list(tools.schemas)
    digest = hashlib.sha256()
    asked = [FORMAT, at, request.operation, request.model, options, schemas]
    try:
        for part in (asked, *request.messages):  # pictures are large: one at a time is text
            text = json.dumps(part, sort_keys=True, separators=(",", ":"))
            digest.update(text.encode() + b"\n")
    except (TypeError, ValueError, RecursionError):
        return None
    return digest.hexdigest()


def is_kept(reply: ChatReply, request: Request) -> bool:
    """Whether the answer would be as good the next time: it is whole, and the model's own."""
    # Streams of older servers do not say that they end there.
    options = {**request.options, **(request.options.get("extra") or {})}
    most = as_int_or_none(options.get("max_tokens")) if request.stream else None
    return (
        bool(reply.strip())
        and reply.finish_reason == "stop"
        and not reply.tool_calls
        and not reply.usage_limited
        and (most is None or not 0 < most <= reply.usage.output_tokens)
        and (reply.requested_model or request.model) == request.model  # no other's, in its place
        and request.model not in CANNED
        and not _ran_tools(reply, request.messages)
        and all(one.url is None for one in reply.images)  # which would be gone by then
    )


def _added(reply: ChatReply) -> int:
    """How many messages the answer itself added to the conversation."""
    return (reply.compaction is not None) + 1


def _ran_tools(reply: ChatReply, sent: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the answer is to results of tools that ran in this call."""
    before = reply.messages[: -_added(reply)][-1:]
    return bool(before) and before[0].get("role") == "tool" and list(before) != list(sent[-1:])


def _turn_of(request: Request) -> list[Any]:
    return list(request.messages[len(request.messages) - request.turn :])


def entry_of(reply: ChatReply, request: Request, now: float) -> str | None:
    """An answer as JSON text; None when something in it is no JSON.

    Args:
        reply: The answer.
        request: The chat that it answers.
        now: Seconds since 1970.
    """
    kept = {name: one for name, one in reply.to_dict().items() if name not in _OF_THE_CALL}
    kept["messages"] = list(reply.messages[-_added(reply) :])  # what it adds to the user's own
    entry = {"stored": now, "reply": kept}
    turn = list(reply.messages[: -_added(reply)])
    if turn != _turn_of(request):  # middleware within the cache changed what is remembered of it
        entry["turn"] = {"of": request.turn, "messages": turn}
    try:
        return json.dumps(entry, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return None


def reply_of(entry: Any, request: Request, oldest: float) -> ChatReply | None:
    """The answer of an entry; None when it is older than ``oldest``, or is none.

    Args:
        entry: What ``entry_of()`` wrote, or anything else.
        request: The chat that it answers.
        oldest: Seconds since 1970.
    """
    try:
        read = json.loads(entry)
        if read["stored"] < oldest:
            return None
        reply = ChatReply.from_dict(read["reply"])
        turn: Any = read.get("turn") or {"of": request.turn, "messages": _turn_of(request)}
        if turn["of"] != request.turn or check_messages(reply.messages)[-1]["role"] != "assistant":
            return None
        messages = check_messages([*turn["messages"], *reply.messages])
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        return None
    return reply.copy_with(
        cached=True,
        cost=Decimal(0),
        attempts=0,
        requested_model=request.model,
        messages=tuple(messages),
        raw=tuple(reply.raw) if isinstance(reply.raw, list) else reply.raw,  # lines of a stream
    )
