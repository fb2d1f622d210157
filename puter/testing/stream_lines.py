"""The lines of a streamed chat answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from puter.testing import answer_forms as forms
from puter.testing.chat_call import ChatCall
from puter.testing.messages import tool_use
from puter.testing.refusals import dumps
from puter.testing.replies import Reply
from puter.testing.token_usage import details_of

Line = Mapping[str, Any]

_WORDS = re.compile(r"\S+\s*|\s+")


def encode(call: ChatCall, reply: Reply, usage: Line) -> list[bytes]:
    """The lines of a streamed ``reply``, the one with the ``usage`` last."""
    lines: list[bytes] = []
    for line in _lines(call, reply):
        lines.append(line if isinstance(line, bytes) else line_of(line))
        if _is_end(line):
            return lines
    return [*lines, line_of(_last(call, reply, usage))]


def ending(call: ChatCall, reply: Reply, usage: Line) -> list[bytes]:
    """What follows the text of a ``reply``: calls of tools, and the ``usage``."""
    return [line_of(line) for line in (*_calls(call, reply), _last(call, reply, usage))]


def line_of(value: Line) -> bytes:
    return dumps(value) + b"\n"


def text_in(lines: Iterable[bytes]) -> str:
    """What a model wrote in these lines, thoughts included."""
    keys = ("text", "reasoning", "input")
    return "".join(str(line[key]) for line in map(_parsed, lines) for key in keys if line.get(key))


def _parsed(line: bytes) -> Line:
    """The line, empty when it is no object."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _last(call: ChatCall, reply: Reply, usage: Line) -> dict[str, Any]:
    if call.provider == "fake-chat":
        return {"type": "usage", "usage": {"usd_cents": usage["usd_cents"]}}
    line: dict[str, Any] = {"type": "usage"}
    if not reply.no_usage:
        line["usage"] = usage
    if call.newer:
        line |= {**forms.stop_about(call, reply), "stopDetails": None}
        line["finish_reason"] = forms.finish_reason(call, reply)
        if not reply.no_usage:
            line["usageDetails"] = details_of(call, usage, reply)
        if reply.usage_limited:
            line["metadata"] = {"usage_limited": True}
    return line


def _lines(call: ChatCall, reply: Reply) -> Iterator[Line | bytes]:
    if call.family == "claude":
        yield from forms.summary(call, reply).values()
    if extra := reply.extra.get("extra_content"):
        yield {"type": "extra_content", "extra_content": extra}
    yield from _thoughts(call, reply)
    # Only Claude's form has a place for a refusal.
    text = reply.text or (call.family == "claude" and reply.refusal) or ""
    words = filter(None, [text]) if call.provider == "fake-chat" else _WORDS.findall(text)
    chunks: Iterable[Any] = reply.chunks or words
    for chunk in chunks:
        yield {"type": "text", "text": chunk} if isinstance(chunk, str) else chunk
    if call.family == "openai":
        for url in reply.images:
            yield {"type": "image", "image_url": {"url": url}}
    yield from _calls(call, reply)
    if call.family == "responses":
        yield from forms.summary(call, reply).values()


def _thoughts(call: ChatCall, reply: Reply) -> Iterator[Line]:
    if call.family == "mistral" and reply.reasoning and not call.newer:
        # Puter backend of 2026-08: the list that is Mistral's content goes on as the text.
        yield {"type": "text", "text": [forms.thinking_chunk(reply.reasoning)]}
        return
    details = forms.reasoning_details(call, reply) if call.newer else []
    if details and call.family == "claude":
        yield {"type": "reasoning_start", "format": "anthropic"}
    for thought in _WORDS.findall(reply.reasoning or ""):
        yield {"type": "reasoning", "reasoning": thought}
    for detail in details:
        yield {"type": "reasoning_detail", "detail": detail}


def _calls(call: ChatCall, reply: Reply) -> Iterator[Line]:
    calls = forms.tool_calls(call, reply)
    # Puter backend of 2026-08: chat-completions routes lose all parallel calls but the last.
    lossy = not call.newer and call.family in ("openai", "mistral")
    for entry in calls[-1:] if lossy else calls:
        use = tool_use(entry)
        if call.newer and call.args.get("streamToolInput"):
            yield {"type": "tool_use_start", "id": use["id"], "name": use["name"]}
            for piece in filter(None, _WORDS.findall(use["input"])):
                yield {"type": "tool_input_delta", "id": use["id"], "partialJson": piece}
        try:
            use["input"] = json.loads(use["input"] or "{}")
        except ValueError:
            if not call.newer:
                yield {"type": "error", "message": "Unexpected end of JSON input"}
                return
            use["input"] = {}
        # Everything beside the call itself, such as Responses' `canonical_id`, is passed on.
        more = {key: entry[key] for key in entry if key not in ("type", "id", "function")}
        yield {"type": "tool_use", **more, **use, "text": ""}


def _is_end(line: Line | bytes) -> bool:
    """True for a line after which nothing comes: the usage, or an error in either form."""
    line = _parsed(line) if isinstance(line, bytes) else line
    return line.get("type") in ("usage", "error") or "error" in line
