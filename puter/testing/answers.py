"""The forms of a chat answer: OpenAI's, the Responses API's, Claude's; and their usage."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from puter.testing.messages import calls_in, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from puter.testing.catalogue import Model
    from puter.testing.chat import ChatCall
    from puter.testing.replies import Reply

_REASONING_KEY = {"zai": "reasoning", "byteplus": "reasoning"}
_OWN_ID = re.compile(r"(?:call|toolu)_(\d{1,9})")
_CLAUDE_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def render(call: ChatCall, reply: Reply) -> dict[str, Any]:
    """The ``result`` of a chat in the form of the model's family."""
    if reply.raw is not None:
        return dict(reply.raw)
    usage = count_usage(call, reply)
    result = {"openai": _openai, "responses": _responses, "claude": _claude}[call.family](
        call, reply, usage
    )
    result["message"].update(reply.extra)
    response = call.args.get("response")
    if isinstance(response, dict) and response.get("normalize"):
        _blocks_only(result["message"])
        result["normalized"] = True
    result["via_ai_chat_service"] = True
    return result


def _openai(call: ChatCall, reply: Reply, usage: dict[str, Any]) -> dict[str, Any]:
    calls = tool_calls(call, reply)
    silent = bool(calls or reply.refusal) and not reply.text
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if silent else reply.text,
        "refusal": reply.refusal,
    }
    if calls:
        message["tool_calls"] = calls
    if reply.reasoning is not None:
        message[_REASONING_KEY.get(call.provider, "reasoning_content")] = reply.reasoning
    if reply.images:
        message["images"] = [
            {"type": "image_url", "image_url": {"url": url}} for url in reply.images
        ]
    if reply.annotations:
        message["annotations"] = list(reply.annotations)
    return {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": reply.finish_reason or ("tool_calls" if calls else "stop"),
        "usage": usage,
    }


def _responses(call: ChatCall, reply: Reply, usage: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "content": reply.text or "",
        "reasoning": reply.reasoning,
        "refusal": reply.refusal,
        "role": "assistant",
    }
    if calls := tool_calls(call, reply):
        message["tool_calls"] = calls
    result = {
        "finish_reason": "stop",  # whatever happened
        "index": 0,
        "message": message,
        "role": "assistant",
        "usage": usage,
    }
    if reply.compaction is not None:
        result["compaction"] = {
            "type": "compaction",
            "id": "cmp_1",
            "encrypted_content": reply.compaction,
        }
    return result


def _claude(call: ChatCall, reply: Reply, usage: dict[str, Any]) -> dict[str, Any]:
    calls = tool_calls(call, reply)
    blocks: list[dict[str, Any]] = []
    if reply.compaction is not None:
        blocks.append({"type": "compaction", "content": reply.compaction})
    if reply.reasoning is not None:
        thinking = {"type": "thinking", "thinking": reply.reasoning, "signature": "c2ln"}
        blocks.append(thinking)
    if text := reply.text or reply.refusal:
        blocks.append({"type": "text", "text": text})
    for entry in calls:
        function = entry["function"]
        blocks.append(
            {
                "type": "tool_use",
                "id": entry["id"],
                "name": function["name"],
                "input": json.loads(function["arguments"]),
            }
        )
    reason = reply.finish_reason or (
        "content_filter" if reply.refusal else "tool_calls" if calls else "stop"
    )
    fake = call.provider == "fake-chat"
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
    result = {"message": message, "usage": usage, "finish_reason": "stop"}  # whatever happened
    if reply.compaction is not None:
        result["compaction"] = {"type": "compaction", "encrypted_content": reply.compaction}
    return result


def tool_calls(call: ChatCall, reply: Reply) -> list[dict[str, Any]]:
    """The reply's tool calls as OpenAI writes them, numbered on from those before."""
    calls: list[dict[str, Any]] = []
    if not reply.tool_calls:
        return calls
    taken = [_OWN_ID.fullmatch(str(use["id"])) for use in calls_in(call.normalized)]
    first = 1 + max((int(own[1]) for own in taken if own), default=0)
    for number, given in enumerate(reply.tool_calls, first):
        function = given.get("function", given)
        arguments = function.get("arguments", {})
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
        entry = {
            "id": given.get("id", f"{'toolu' if call.family == 'claude' else 'call'}_{number}"),
            "type": "function",
            "function": {"name": function["name"], "arguments": arguments},
        }
        if call.family == "responses":
            entry["canonical_id"] = f"fc_{number}"
        if "extra_content" in given:
            entry["extra_content"] = given["extra_content"]
        calls.append(entry)
    return calls


def _blocks_only(message: dict[str, Any]) -> None:
    """``response: {"normalize": true}``: content is an array, tool calls are blocks in it."""
    if isinstance(message["content"], list):
        return
    text = message["content"]
    message["content"] = [{"type": "text", "text": text}] if text else []
    for call in message.pop("tool_calls", ()):
        message["content"].append(
            {
                "type": "tool_use",
                "id": call["id"],
                "name": call["function"]["name"],
                "input": call["function"]["arguments"],
            }
        )


def tokens_in(text: str) -> int:
    """A rough count: four characters a token."""
    return -(-len(text) // 4)


def count_usage(call: ChatCall, reply: Reply) -> dict[str, Any]:
    """The ``usage`` under the key names of the route, with a rough count and its price."""
    model, given = call.routes[0], dict(reply.usage or {})
    if call.provider == "fake-chat":
        return {"input_tokens": 0, "output_tokens": 1, "usd_cents": None, **given}
    sent = sum(tokens_in(text_of(message)) + 3 for message in call.normalized)
    said = tokens_in(
        (reply.text or "") + (reply.reasoning or "") + (reply.refusal or "")
    ) + 10 * len(reply.tool_calls)
    usage: dict[str, Any]
    if call.family == "claude":
        usage = {
            "input_tokens": sent,
            "ephemeral_5m_input_tokens": 0,
            "ephemeral_1h_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": said,
            "thinking_tokens": tokens_in(reply.reasoning or ""),
        }
    elif call.provider in ("ollama", "openrouter", "infron"):
        usage = {"prompt": sent, "completion": said, "input_cache_read": 0}
        if call.provider != "ollama":
            usage["request"] = 1
    else:
        usage = {"prompt_tokens": sent, "completion_tokens": said, "cached_tokens": 0}
    usage.update(given)
    usage.setdefault("usd_cents", cost_of(model, usage))
    return usage


def cost_of(model: Model, usage: Mapping[str, Any]) -> float | None:
    """US cents for ``usage``, or ``None`` when the model has no price."""
    costs = model["costs"]
    if "input_cost_key" not in model:
        return None
    # Cached tokens without a price of their own cost as much as others.
    prices = {"cached_tokens": costs.get(model["input_cost_key"], 0), **costs}
    cents = sum(count * prices.get(key, 0) for key, count in usage.items())
    return round(float(cents) / float(costs["tokens"]), 12)


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


def legacy_usage(model: str, usage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``usage`` as older servers sent it: a list."""
    return [
        {"type": key, "model": model, "amount": amount, "cost": 0}
        for key, amount in usage.items()
        if key != "usd_cents"
    ]
