"""The forms of a whole chat answer: OpenAI's, the Responses API's, Claude's, Mistral's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from puter.testing.chat_call import ChatCall
from puter.testing.messages import Family, calls_in, openai_call, tool_use
from puter.testing.recorded import recorded
from puter.testing.refusals import dumps
from puter.testing.replies import Reply
from puter.testing.token_usage import details_of

_OWN_ID = re.compile(r"(?:call|toolu(?:_signed\d+)?)_(\d{1,9})")
_REASONING_KEY = {"zai": "reasoning", "byteplus": "reasoning"}
_CLAUDE_STOP_REASONS: Mapping[str, str] = recorded("claude_stop_reasons")
_FINISH_REASONS: Mapping[str, str] = recorded("claude_finish_reasons")


def render(call: ChatCall, reply: Reply, usage: dict[str, Any]) -> dict[str, Any]:
    """The ``result`` of a chat in the form of the model's family."""
    if reply.raw is not None:
        return dict(reply.raw)
    result = _FORMS[call.family](call, reply, usage)
    if call.newer:
        _add_newer(call, reply, result)
    result["message"].update(reply.extra)
    if call.in_openai_form:
        result = {**_in_openai_form(result), "normalized": True}
    elif call.in_blocks:
        _put_into_blocks(result["message"])
        if not call.newer:
            result["normalized"] = True
    result["via_ai_chat_service"] = True
    return result


def finish_reason(call: ChatCall, reply: Reply) -> str:
    """Why the answer ended, in the words of OpenAI where they have one."""
    if reply.finish_reason:
        return reply.finish_reason
    if reply.refusal and call.family == "claude":
        return "content_filter"
    return "tool_calls" if reply.tool_calls else "stop"


def stop_about(call: ChatCall, reply: Reply) -> dict[str, Any]:
    """Why the answer ended, in the words of the vendor."""
    reason = finish_reason(call, reply)
    if call.family == "claude":
        stopped = "stop_sequence" if reply.stop_sequence is not None else reason
        reason = _CLAUDE_STOP_REASONS.get(stopped, stopped)
    return {"stopReason": reason, "stopSequence": reply.stop_sequence}


def reasoning_details(call: ChatCall, reply: Reply) -> list[dict[str, Any]]:
    """What the vendor wants back with this answer in the next request."""
    if reply.reasoning_details:
        return [dict(detail) for detail in reply.reasoning_details]
    if reply.reasoning is None:
        return []
    if call.family == "claude":
        return [{"type": "thinking", "thinking": reply.reasoning, "signature": "c2ln"}]
    if call.family == "responses" and call.newer:
        summary = [{"type": "summary_text", "text": reply.reasoning}]
        item = {"type": "reasoning", "id": "rs_1", "encrypted_content": "ZW5j"}
        return [{**item, "summary": summary}]
    return []


def _add_newer(call: ChatCall, reply: Reply, result: dict[str, Any]) -> None:
    """What the server of 2026-10 says more, or by other names."""
    message = result["message"]
    if "reasoning_content" in message:
        message["reasoning"] = message.pop("reasoning_content")
    if call.family == "responses":
        result["finish_reason"] = finish_reason(call, reply)
        if message["reasoning"] is None:
            del message["reasoning"]
        if details := reasoning_details(call, reply):
            message["reasoning_details"] = details
    if call.family == "claude" and call.provider != "fake-chat":
        result |= stop_about(call, reply)
    if call.provider != "fake-chat":
        result["usageDetails"] = details_of(call, result["usage"], reply)


def _in_openai_form(result: dict[str, Any]) -> dict[str, Any]:
    """Claude's blocks as OpenAI's keys; what is in that form already stays as it is."""
    native = result["message"]
    if not isinstance(native["content"], list):
        return result
    blocks: dict[str, list[dict[str, Any]]] = {}
    for block in native["content"]:
        blocks.setdefault(block["type"].removeprefix("redacted_"), []).append(block)
    texts, thoughts = blocks.get("text", []), blocks.get("thinking", [])
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(block["text"] for block in texts) if texts else None,
        "refusal": None,
    }
    if said := [block["thinking"] for block in thoughts if "thinking" in block]:
        message["reasoning"] = "\n\n".join(said)
    if thoughts:
        message["reasoning_details"] = thoughts
    if uses := blocks.get("tool_use"):
        message["tool_calls"] = [openai_call(use) for use in uses]
    reason = native["stop_reason"]
    return {**result, "message": message, "finish_reason": _FINISH_REASONS.get(reason, reason)}


def _put_into_blocks(message: dict[str, Any]) -> None:
    if not isinstance(message["content"], list):
        text = message["content"]
        message["content"] = [{"type": "text", "text": text}] if text else []
        message["content"] += map(tool_use, message.pop("tool_calls", ()))


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
    about = {"index": 0, "logprobs": None, "finish_reason": finish_reason(call, reply)}
    return {"message": message, **about, "usage": usage}


def _mistral(call: ChatCall, reply: Reply, usage: dict[str, Any]) -> dict[str, Any]:
    """Mistral's own library writes in camel case; only OpenAI's form on demand is free of it."""
    result = _openai(call, reply, usage)
    if call.in_openai_form:
        return result
    message, reason = result["message"], result["finish_reason"]
    content = message["content"]
    if reply.reasoning is not None:
        content = [thinking_chunk(reply.reasoning), {"type": "text", "text": content or ""}]
    own = {"role": "assistant", "content": content, "prefix": False}
    if calls := message.get("tool_calls"):
        own["toolCalls"] = [{**one, "index": number} for number, one in enumerate(calls)]
    return {"index": 0, "message": own, "finishReason": reason, "usage": usage}


def thinking_chunk(text: str) -> dict[str, Any]:
    """A thought in the list that Mistral's reasoning models send as content."""
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def _responses(call: ChatCall, reply: Reply, usage: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "content": reply.text or "",
        "reasoning": reply.reasoning,
        "refusal": reply.refusal,
        "role": "assistant",
    }
    if calls := tool_calls(call, reply):
        message["tool_calls"] = calls
    # The finish_reason of the older server is "stop" whatever happened.
    about = {"finish_reason": "stop", "index": 0, "role": "assistant", "usage": usage}
    return {"message": message, **about, **summary(call, reply)}


def _claude(call: ChatCall, reply: Reply, usage: dict[str, Any]) -> dict[str, Any]:
    calls, fake = tool_calls(call, reply), call.provider == "fake-chat"
    blocks: list[dict[str, Any]] = []
    if reply.compaction is not None:
        blocks.append({"type": "compaction", "content": reply.compaction})
    blocks += reasoning_details(call, reply)
    if text := reply.text or reply.refusal:
        blocks.append({"type": "text", "text": text})
    uses = [tool_use(one) for one in calls]
    blocks += [{**use, "input": json.loads(use["input"])} for use in uses]
    stop = stop_about(call, reply)
    message = {
        "id": "00000000-0000-0000-0000-000000000000" if fake else "msg_local",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": blocks,
        "stop_reason": stop["stopReason"],
        "stop_sequence": stop["stopSequence"],
        "usage": usage if fake else _anthropic_usage(usage),
    }
    # The finish_reason is "stop" whatever happened.
    about = {"usage": usage, "finish_reason": "stop"}
    return {"message": message, **about, **summary(call, reply)}


def _anthropic_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Claude's own usage block, inside the message."""
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens")
    return {**recorded("claude_usage"), **{name: usage[name] for name in names}}


def tool_calls(call: ChatCall, reply: Reply) -> list[dict[str, Any]]:
    """The reply's tool calls as OpenAI writes them, numbered on from those before."""
    calls: list[dict[str, Any]] = []
    if not reply.tool_calls:
        return calls
    taken = [_OWN_ID.fullmatch(str(use["id"])) for use in calls_in(call.normalized)]
    first = 1 + max((int(own[1]) for own in taken if own), default=0)
    prefix = "toolu" if call.family == "claude" else "call"
    if reply.signed and call.family == "claude":
        prefix = f"toolu_signed{first}"  # by which the vendor knows what belongs to a thought
    for number, given in enumerate(reply.tool_calls, first):
        function = given.get("function", given)
        arguments = function.get("arguments", {})
        if not isinstance(arguments, str):
            arguments = dumps(arguments).decode()
        made = {"name": function["name"], "arguments": arguments}
        entry = {"id": given.get("id", f"{prefix}_{number}"), "type": "function", "function": made}
        if call.family == "responses":
            entry["canonical_id"] = f"fc_{number}"
        if "extra_content" in given:
            entry["extra_content"] = given["extra_content"]
        calls.append(entry)
    return calls


def summary(call: ChatCall, reply: Reply) -> dict[str, Any]:
    """The compaction of a whole answer, and its line in a stream; chat completions have none."""
    if reply.compaction is None or call.family == "openai":
        return {}
    number = {"id": "cmp_1"} if call.family == "responses" else {}
    line = {"type": "compaction", **number, "encrypted_content": reply.compaction}
    return {"compaction": line}


_FORMS: Mapping[Family, Callable[[ChatCall, Reply, dict[str, Any]], dict[str, Any]]] = {
    "openai": _openai,
    "responses": _responses,
    "claude": _claude,
    "mistral": _mistral,
}
