"""A chat answer as a stream: the lines of each family in their order, one JSON object each."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from puter.testing.answers import count_usage, legacy_usage, tool_calls
from puter.testing.http import dumps, hang
from puter.testing.replies import Reply, pause

if TYPE_CHECKING:
    from puter.testing.chat import ChatCall
    from puter.testing.gate import Gate
    from puter.testing.http import Exchange

_WORDS = re.compile(r"\S+\s*|\s+")


def is_wanted(args: Mapping[str, Any]) -> bool:
    """True when JavaScript takes ``args.stream`` for true: ``"false"`` and ``[]`` are."""
    return args.get("stream") not in (None, False, 0, "")


async def send(
    exchange: Exchange,
    lines: Iterable[bytes],
    *,
    pace: float = 0.0,
    gate: Gate | None = None,
    end: Callable[[Exchange], Awaitable[None]] | None = None,
) -> web.StreamResponse:
    """Answer with ``lines``, each flushed before the next waits for its turn; then ``end``."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    response.enable_chunked_encoding()
    exchange.start(response)
    try:
        await response.prepare(exchange.request)
        for number, line in enumerate(lines):
            await pause(pace if number else 0)
            if gate is not None:
                await gate.passage()
            await response.write(line)
        if end is not None:
            await end(exchange)
    except ConnectionResetError:
        await hang()  # the client left, which cancels this request
    exchange.done()
    return response


def encode(call: ChatCall, reply: Reply, *, legacy: bool = False) -> list[bytes]:
    """The lines of ``reply`` as sent, the one with the usage last."""
    lines: list[bytes] = []
    for line in _lines(call, reply):
        lines.append(line if isinstance(line, bytes) else line_of(line))
        if _is_end(line):
            return lines
    usage = stream_usage(call, reply)
    told = {} if usage is None else {"usage": legacy_usage(call.model, usage) if legacy else usage}
    return [*lines, line_of({"type": "usage", **told})]


def stream_usage(call: ChatCall, reply: Reply) -> dict[str, Any] | None:
    """What the last line tells of the usage: all of it, as a rule."""
    if reply.no_usage:
        return None
    usage = count_usage(call, reply)
    return {"usd_cents": usage["usd_cents"]} if call.provider == "fake-chat" else usage


def line_of(value: Mapping[str, Any]) -> bytes:
    """One line."""
    return dumps(value) + b"\n"


def error_line(message: str) -> dict[str, Any]:
    """The line that ends a stream which failed after its start."""
    return {"type": "error", "message": message}


def _lines(call: ChatCall, reply: Reply) -> Iterator[Mapping[str, Any] | bytes]:
    compaction = _compaction(call, reply)
    if call.family == "claude":
        yield from compaction
    if extra := reply.extra.get("extra_content"):
        yield {"type": "extra_content", "extra_content": extra}
    for thought in _WORDS.findall(reply.reasoning or ""):
        yield {"type": "reasoning", "reasoning": thought}
    for chunk in _chunks(call, reply):
        yield {"type": "text", "text": chunk} if isinstance(chunk, str) else chunk
    if call.family == "openai":
        for url in reply.images:
            yield {"type": "image", "image_url": {"url": url}}
    yield from _tool_uses(call, reply)
    if call.family == "responses":
        yield from compaction


def _chunks(call: ChatCall, reply: Reply) -> Iterable[str | Mapping[str, Any] | bytes]:
    if reply.chunks:
        return reply.chunks
    # Only Claude's form has a place for a refusal.
    text = reply.text or (call.family == "claude" and reply.refusal) or ""
    return filter(None, [text]) if call.provider == "fake-chat" else _WORDS.findall(text)


def _tool_uses(call: ChatCall, reply: Reply) -> Iterator[Mapping[str, Any]]:
    calls = tool_calls(call, reply)
    # Puter backend: chat-completions routes lose all parallel calls but the last.
    for entry in calls[-1:] if call.family == "openai" else calls:
        function = entry["function"]
        try:
            arguments = json.loads(function["arguments"] or "{}")
        except ValueError:
            yield error_line("Unexpected end of JSON input")
            return
        # Everything beside the call itself, such as Responses' `canonical_id`, is passed on.
        more = {key: entry[key] for key in entry if key not in ("type", "id", "function")}
        use = {"id": entry["id"], "name": function["name"], "input": arguments}
        yield {"type": "tool_use", **more, **use, "text": ""}


def _compaction(call: ChatCall, reply: Reply) -> list[dict[str, Any]]:
    if reply.compaction is None or call.family == "openai":
        return []
    number = {"id": "cmp_1"} if call.family == "responses" else {}
    return [{"type": "compaction", **number, "encrypted_content": reply.compaction}]


def _is_end(line: Mapping[str, Any] | bytes) -> bool:
    """True for a line after which nothing comes: the usage, or an error in either form."""
    if isinstance(line, bytes):
        try:
            line = json.loads(line)
        except ValueError:
            return False
    return isinstance(line, Mapping) and (line.get("type") in ("usage", "error") or "error" in line)
