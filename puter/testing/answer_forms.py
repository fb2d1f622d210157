"""The forms of a chat answer: OpenAI's, the Responses API's, Claude's; whole and streamed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from puter.testing.catalogue import Model
from puter.testing.catalogue import prices as prices_of
from puter.testing.chat_call import ChatCall
from puter.testing.messages import calls_in, text_of
from puter.testing.recorded import recorded
from puter.testing.refusals import dumps
from puter.testing.replies import Reply

_WORDS = re.compile(r"\S+\s*|\s+")
_OWN_ID = re.compile(r"(?:call|toolu)_(\d{1,9})")
_REASONING_KEY = {"zai": "reasoning", "byteplus": "reasoning"}
_CLAUDE_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def render(call: ChatCall, reply: Reply, usage: dict[str, Any]) -> dict[str, Any]:
    """The ``result`` of a chat in the form of the model's family."""
    if reply.raw is not None:
        return dict(reply.raw)
    form = {"openai": _openai, "responses": _responses, "claude": _claude}[call.family]
    result = form(call, reply, usage)
    message = result["message"]
    message.update(reply.extra)
    response = call.args.get("response")
    if isinstance(response, dict) and response.get("normalize"):
        # Content becomes an array, and tool calls blocks in it.
        if not isinstance(message["content"], list):
            text = message["content"]
            message["content"] = [{"type": "text", "text": text}] if text else []
            message["content"] += map(_tool_use, message.pop("tool_calls", ()))
        result["normalized"] = True
    result["via_ai_chat_service"] = True
    return result


def _openai(call: ChatCall, reply: Reply, usage: dict[str, Any]) -> dict[str, Any]:
    calls = tool_calls(call, reply)
    silent = bool(calls or reply.refusal) and not reply.text
    content = None if silent else reply.text
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": reply.refusal}
    if calls:
        message["tool_calls"] = calls
    if reply.reasoning is not None:
        message[_REASONING_KEY.get(call.provider, "reasoning_content")] = reply.reasoning
    if reply.images:
        message["images"] = [{"type": "image_url", "image_url": {"url": u}} for u in reply.images]
    if reply.annotations:
        message["annotations"] = list(reply.annotations)
    reason = reply.finish_reason or ("tool_calls" if calls else "stop")
    about = {"index": 0, "logprobs": None, "finish_reason": reason, "usage": usage}
    return {"message": message, **about}


def _responses(call: ChatCall, reply: Reply, usage: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "content": reply.text or "",
        "reasoning": reply.reasoning,
        "refusal": reply.refusal,
        "role": "assistant",
    }
    if calls := tool_calls(call, reply):
        message["tool_calls"] = calls
    # The finish_reason is "stop" whatever happened.
    about = {"finish_reason": "stop", "index": 0, "role": "assistant", "usage": usage}
    return {"message": message, **about, **_summary(call, reply)}


def _claude(call: ChatCall, reply: Reply, usage: dict[str, Any]) -> dict[str, Any]:
    calls, fake = tool_calls(call, reply), call.provider == "fake-chat"
    blocks: list[dict[str, Any]] = []
    if reply.compaction is not None:
        blocks.append({"type": "compaction", "content": reply.compaction})
    if reply.reasoning is not None:
        blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": "c2ln"})
    if text := reply.text or reply.refusal:
        blocks.append({"type": "text", "text": text})
    uses = [_tool_use(one) for one in calls]
    blocks += [{**use, "input": json.loads(use["input"])} for use in uses]
    usual = "content_filter" if reply.refusal else "tool_calls" if calls else "stop"
    reason = reply.finish_reason or usual
    message = {
        "id": "00000000-0000-0000-0000-000000000000" if fake else "msg_local",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": blocks,
        "stop_reason": _CLAUDE_STOP_REASONS.get(reason, reason),
        "stop_sequence": None,
        "usage": usage if fake else _anthropic_usage(usage),
    }
    # The finish_reason is "stop" whatever happened.
    about = {"usage": usage, "finish_reason": "stop"}
    return {"message": message, **about, **_summary(call, reply)}


def _anthropic_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Claude's own usage block, inside the message."""
    return {
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage["cache_read_input_tokens"],
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
    }


def _tool_use(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    block = {"id": call["id"], "name": function["name"], "input": function["arguments"]}
    return {"type": "tool_use", **block}


def tool_calls(call: ChatCall, reply: Reply) -> list[dict[str, Any]]:
    """The reply's tool calls as OpenAI writes them, numbered on from those before."""
    calls: list[dict[str, Any]] = []
    if not reply.tool_calls:
        return calls
    taken = [_OWN_ID.fullmatch(str(use["id"])) for use in calls_in(call.normalized)]
    first = 1 + max((int(own[1]) for own in taken if own), default=0)
    prefix = "toolu" if call.family == "claude" else "call"
    for number, given in enumerate(reply.tool_calls, first):
        function = given.get("function", given)
        arguments = function.get("arguments", {})
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
        made = {"name": function["name"], "arguments": arguments}
        entry = {"id": given.get("id", f"{prefix}_{number}"), "type": "function", "function": made}
        if call.family == "responses":
            entry["canonical_id"] = f"fc_{number}"
        if "extra_content" in given:
            entry["extra_content"] = given["extra_content"]
        calls.append(entry)
    return calls


def _summary(call: ChatCall, reply: Reply) -> dict[str, Any]:
    """The compaction of a whole answer, and its line in a stream; chat completions have none."""
    if reply.compaction is None or call.family == "openai":
        return {}
    number = {"id": "cmp_1"} if call.family == "responses" else {}
    line = {"type": "compaction", **number, "encrypted_content": reply.compaction}
    return {"compaction": line}


def encode(call: ChatCall, reply: Reply, usage: Mapping[str, Any]) -> list[bytes]:
    """The lines of a streamed ``reply``, the one with the ``usage`` last."""
    lines: list[bytes] = []
    for line in _lines(call, reply):
        lines.append(line if isinstance(line, bytes) else line_of(line))
        if _is_end(line):
            return lines
    shown: Any = {"usd_cents": usage["usd_cents"]} if call.provider == "fake-chat" else usage
    return [*lines, line_of({"type": "usage", **({} if reply.no_usage else {"usage": shown})})]


def line_of(value: Mapping[str, Any]) -> bytes:
    return dumps(value) + b"\n"


def _lines(call: ChatCall, reply: Reply) -> Iterator[Mapping[str, Any] | bytes]:
    if call.family == "claude":
        yield from _summary(call, reply).values()
    if extra := reply.extra.get("extra_content"):
        yield {"type": "extra_content", "extra_content": extra}
    for thought in _WORDS.findall(reply.reasoning or ""):
        yield {"type": "reasoning", "reasoning": thought}
    # Only Claude's form has a place for a refusal.
    text = reply.text or (call.family == "claude" and reply.refusal) or ""
    words = filter(None, [text]) if call.provider == "fake-chat" else _WORDS.findall(text)
    chunks: Iterable[Any] = reply.chunks or words
    for chunk in chunks:
        yield {"type": "text", "text": chunk} if isinstance(chunk, str) else chunk
    if call.family == "openai":
        for url in reply.images:
            yield {"type": "image", "image_url": {"url": url}}
    calls = tool_calls(call, reply)
    # Puter backend: chat-completions routes lose all parallel calls but the last.
    for entry in calls[-1:] if call.family == "openai" else calls:
        use = _tool_use(entry)
        try:
            use["input"] = json.loads(use["input"] or "{}")
        except ValueError:
            yield {"type": "error", "message": "Unexpected end of JSON input"}
            return
        # Everything beside the call itself, such as Responses' `canonical_id`, is passed on.
        more = {key: entry[key] for key in entry if key not in ("type", "id", "function")}
        yield {"type": "tool_use", **more, **use, "text": ""}
    if call.family == "responses":
        yield from _summary(call, reply).values()


def _is_end(line: Mapping[str, Any] | bytes) -> bool:
    """True for a line after which nothing comes: the usage, or an error in either form."""
    if isinstance(line, bytes):
        try:
            line = json.loads(line)
        except ValueError:
            return False
    return isinstance(line, Mapping) and (line.get("type") in ("usage", "error") or "error" in line)


def tokens_in(text: str) -> int:
    """A rough count: four characters a token."""
    return -(-len(text) // 4)


def count_usage(call: ChatCall, reply: Reply) -> dict[str, Any]:
    """The ``usage`` under the key names of the route, with a rough count and its price."""
    model, given = call.routes[0], dict(reply.usage or {})
    if call.provider == "fake-chat":
        return {"input_tokens": 0, "output_tokens": 1, "usd_cents": None, **given}
    sent = sum(tokens_in(text_of(message)) + 3 for message in call.normalized)
    said = "".join(filter(None, (reply.text, reply.reasoning, reply.refusal)))
    told = tokens_in(said) + 10 * len(reply.tool_calls)
    usage: dict[str, Any]
    if call.family == "claude":
        usage = {"input_tokens": sent, **recorded("claude_cache"), "output_tokens": told}
        usage["thinking_tokens"] = tokens_in(reply.reasoning or "")
    elif call.provider in ("ollama", "openrouter", "infron"):
        usage = {"prompt": sent, "completion": told, "input_cache_read": 0}
        if call.provider != "ollama":
            usage["request"] = 1
    else:
        usage = {"prompt_tokens": sent, "completion_tokens": told, "cached_tokens": 0}
    usage.update(given)
    usage.setdefault("usd_cents", _cost_of(model, usage))
    return usage


def _cost_of(model: Model, usage: Mapping[str, Any]) -> float | None:
    """US cents for ``usage``, or ``None`` when the model has no price."""
    if "input_cost_key" not in model:
        return None
    prices = prices_of(model)
    cents = sum(count * prices.get(key, 0) for key, count in usage.items())
    return round(float(cents), 12)
