"""``/v1/chat/completions``: OpenAI's chat completions."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from puter.exceptions import PuterInputError, repr_of
from puter.serve.body import Refusals, flag_in, objects_in, read_body, refuse, tell_ignored
from puter.serve.chat_request import OPTIONS, IncomingChat, add_form, add_tools, carry_out
from puter.serve.event_stream import event
from puter.serve.problems import Problem
from puter.serve.shared import CLIENT
from puter.threads import in_thread
from puter.types.media import Image
from puter.types.replies import ChatChunk, ChatReply, ToolCall, Usage
from puter.wire.dialects.base import is_thought, parts_of
from puter.wire.dialects.completions import function_call, named
from puter.wire.json import as_dict, as_dicts
from puter.wire.kept import as_written, is_readable
from puter.wire.messages import Message

_READ = frozenset(
    {
        "functions", "input", "max_completion_tokens", "messages", "model", "reasoning",
        "response_format", "stream", "stream_options", "tool_choice", "tools",
        "web_search_options",
    }
)  # fmt: skip
_REFUSED: Refusals = {
    "n": ((1,), "Puter gives one answer: send the request several times."),
    "logprobs": ((False,), "Puter tells no probabilities."),
    "top_logprobs": ((0,), "Puter tells no probabilities."),
    "logit_bias": (({},), "Puter passes no bias on."),
    "audio": ((), "Use /v1/audio/speech."),
    "modalities": ((["text"],), "Use /v1/audio/speech, or /v1/images/generations."),
    "functions": (([],), "Use tools."),
}
_MAY_BE_EMPTY = ("assistant", "developer", "system")
_MESSAGE_KEYS = ("role", "content", "name", "tool_calls", "tool_call_id")


async def completions(request: web.Request) -> web.StreamResponse:
    """Answer a chat, in one piece or as it comes."""
    raw, body = await read_body(request)
    asked = await in_thread(read_chat, body)  # a schema may take seconds
    model = asked.model or request.app[CLIENT].current_model
    usage = bool(as_dict(body.get("stream_options")).get("include_usage"))
    writer = _Writer(model, usage=usage)
    return await carry_out(request, raw, asked, writer, lambda reply: completion_of(reply, model))


def read_chat(body: Mapping[str, Any]) -> IncomingChat:
    """A request as a chat of Puter's.

    Raises:
        PuterInputError: It asks for what Puter does not do, or is malformed.
    """
    refuse(body, _REFUSED)
    if body.get("messages") is None and body.get("input") is not None:
        raise PuterInputError(
            "The request has input in place of messages, as OpenAI's Responses do",
            hint="Send messages; /v1/responses is not served.",
        )
    messages = [read_message(one) for one in objects_in(body, "messages")]
    asked = IncomingChat(
        body.get("model"), [one for one in messages if one], flag_in(body, "stream")
    )
    options = asked.options
    options.update({name: body[name] for name in OPTIONS & body.keys() if body[name] is not None})
    if not isinstance(options.get("provider"), str):  # OpenRouter's is an object
        options.pop("provider", None)
    if (most := body.get("max_completion_tokens")) is not None:
        options["max_tokens"] = most
    if (effort := as_dict(body.get("reasoning")).get("effort")) is not None:
        options.setdefault("reasoning_effort", effort)
    if body.get("web_search_options") is not None:
        options["web_search"] = True
    add_tools(options, objects_in(body, "tools"), body.get("tool_choice"))
    _read_form(asked, body.get("response_format"))
    tell_ignored(body.keys() - _READ - OPTIONS - _REFUSED.keys())
    return asked


def _read_form(asked: IncomingChat, form: Any) -> None:
    kind = as_dict(form).get("type")
    if form is None or kind == "text":
        return
    if kind == "json_object":
        add_form(asked, {"type": "object"})
    elif kind == "json_schema":
        wanted = as_dict(as_dict(form).get("json_schema"))
        add_form(asked, wanted.get("schema"), wanted.get("name"), wanted.get("strict"))
    else:
        raise PuterInputError(
            f"response_format is {repr_of(form)}",
            hint="Its type is text, json_object or json_schema.",
        )


def read_message(given: Mapping[str, Any]) -> Message:
    """A message as it goes into a chat; ``{}`` for an empty one, unless the user or a tool says it.

    What clients echo of an answer, such as ``refusal`` and ``audio``, is left out: vendors refuse
    messages with keys that they do not know.
    """
    message = {key: given[key] for key in _MESSAGE_KEYS if given.get(key) is not None}
    content = message.get("content")
    if isinstance(content, list):
        message["content"] = [_part(part) for part in content]
    details = as_dicts(given.get("reasoning_details"))
    if details and all(map(is_thought, details)):  # of Claude: blocks
        message["content"] = [*details, *parts_of(message.get("content"))]
    elif details:
        message["reasoning_details"] = list(details)
    if message.get("role") == "assistant" and not message.get("content") and given.get("refusal"):
        message["content"] = given["refusal"]
    is_empty = not (message.get("content") or message.get("tool_calls"))
    return {} if is_empty and message.get("role") in _MAY_BE_EMPTY else message


def _part(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") == "refusal":
        return {"type": "text", "text": part.get("refusal", "")}
    return part


# ---------------------------------------------------------------- answers


def usage_of(usage: Usage, cost: Any) -> dict[str, Any]:
    """Tokens, and US dollars as ``cost``, where they are known."""
    counts: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
    return counts if cost is None else {**counts, "cost": float(cost)}


def completion_of(reply: ChatReply, model: str) -> dict[str, Any]:
    """An answer in one piece."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if reply.refusal else reply.text or None,
        "refusal": reply.refusal,
    }
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.reasoning_details:
        message["reasoning_details"] = list(reply.reasoning_details)
    if reply.tool_calls:
        message["tool_calls"] = [_call(one, place) for place, one in enumerate(reply.tool_calls)]
    if reply.images:
        message["images"] = [_image(one) for one in reply.images]
    if reply.annotations:
        message["annotations"] = list(reply.annotations)
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": reply.finish_reason,
    }
    return {
        **_head("chat.completion", reply.model or model),
        "provider": reply.provider,
        "choices": [choice],
        "usage": usage_of(reply.usage, reply.cost),
    }


def _head(kind: str, model: str) -> dict[str, Any]:
    name = f"chatcmpl-{secrets.token_hex(12)}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": model}


def _call(call: ToolCall, place: int) -> dict[str, Any]:
    extra = {key: value for key, value in call.extra.items() if key != "message"}
    block = {"id": named(call, place).id, "name": call.name, "input": call.arguments, **extra}
    written = function_call(block)
    if not is_readable(call):
        written["function"]["arguments"] = as_written(call)
    return written


def _image(image: Image) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": image.address}}


class _Writer:
    """The events of one answer."""

    ping = b": ping\n\n"

    def __init__(self, model: str, *, usage: bool) -> None:
        self._head = _head("chat.completion.chunk", model)
        self._usage = usage
        self._calls = self._images = 0

    def begin(self) -> bytes:
        return self._piece({"role": "assistant", "content": ""})

    def chunk(self, chunk: ChatChunk) -> bytes:
        if chunk:
            return self._piece({"content": chunk.text})
        if chunk.reasoning:
            return self._piece({"reasoning_content": chunk.reasoning})
        if (detail := chunk.reasoning_detail) is not None:
            return self._piece({"reasoning_details": [detail]})
        if (call := chunk.tool_use) is not None:
            place, self._calls = self._calls, self._calls + 1
            return self._piece({"tool_calls": [{"index": place, **_call(call, place)}]})
        if (image := chunk.image) is not None:
            place, self._images = self._images, self._images + 1
            return self._piece({"images": [{"index": place, **_image(image)}]})
        return b""

    def end(self, reply: ChatReply) -> bytes:
        last = self._piece({}, reply.finish_reason)
        if self._usage:
            used = usage_of(reply.usage, reply.cost)
            last += event({**self._head, "choices": [], "usage": used})
        return last + b"data: [DONE]\n\n"

    def failed(self, problem: Problem) -> bytes:
        return event(problem.openai())

    def _piece(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        more = {"usage": None} if self._usage else {}
        return event({**self._head, "choices": [choice], **more})
