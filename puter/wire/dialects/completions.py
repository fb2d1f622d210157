"""OpenAI's chat completions as servers of that form take and give them, without Puter between."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from puter.exceptions import PuterInputError
from puter.records import replace
from puter.types.replies import ChatReply
from puter.wire.dialects.base import Dialect, Part
from puter.wire.json import as_dict, as_dicts
from puter.wire.messages import EXTRAS, Message
from puter.wire.tool_messages import tool_use_in

_WORDS = {"output_format": "response_format"}

READS = frozenset(
    {
        "custom", "max_tokens", "metadata", "output_format", "parallel_tool_calls",
        "prompt_cache_key", "prompt_cache_retention", "reasoning_effort", "service_tier", "stop",
        "store", "temperature", "tool_choice", "top_k", "top_p", "verbosity",
    }
)  # fmt: skip
"""Options that are passed on, those that some servers alone know included."""


class CompletionsDialect(Dialect):
    """The neutral form, with tool rounds as OpenAI has them."""

    def encode_messages(
        self, messages: Sequence[Message], family: str, model: str
    ) -> list[Message]:
        encoded: list[Message] = []
        for message in super().encode_messages(messages, family, model):
            block = tool_use_in(message)
            if block is None:
                encoded.append(message)
                continue
            before = encoded[-1] if encoded else {}
            if _is_text_of_model(before):  # what it said before it called the tool
                encoded[-1] = {**before, "tool_calls": [function_call(block)]}
            else:
                rest = {key: message[key] for key in message if key not in ("role", "content")}
                calls = [function_call(block)]
                encoded.append({"role": "assistant", "content": None, "tool_calls": calls, **rest})
        return encoded

    def encode_part(self, part: Part) -> Part:
        if "puter_path" in part:
            raise PuterInputError(
                f"Only Puter can open {part['puter_path']!r}, and this model is not asked there",
                hint="Pass what it holds: files=(ai.read_file(path), 'name.pdf').",
            )
        return super().encode_part(part)

    def _with_options(self, args: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            if value is not None and name in READS:
                args[_WORDS.get(name, name)] = value
        args.update(args.pop("custom", {}))
        form = as_dict(args.get("response_format"))
        if form.get("type") == "json_schema" and "schema" in form:
            inner = {key: form[key] for key in form if key != "type"}
            args["response_format"] = {"type": "json_schema", "json_schema": inner}
        return args

    def decode(self, answer: Any) -> ChatReply:
        """The reply in ``{"choices": [{"message": ..., "finish_reason": ...}], "usage": ...}``.

        Raises:
            PuterResponseError: It has no message.
        """
        fields = as_dict(answer)
        first = next(iter(as_dicts(fields.get("choices"))), None)
        result = answer if first is None else {**first, "usage": fields.get("usage")}
        reply = super().decode({"result": result})
        calls = tuple(named(call, place) for place, call in enumerate(reply.tool_calls))
        return reply.copy_with(tool_calls=calls, model="", raw=answer)


COMPLETIONS = CompletionsDialect()


def named(call: Any, place: int) -> Any:
    """The tool call with an id, which some servers leave out, and its result refers to."""
    return call if call.id else replace(call, id=f"call_{place}")


def _is_text_of_model(message: Message) -> bool:
    is_text = message.get("role") == "assistant" and isinstance(message.get("content"), str)
    return is_text and "tool_calls" not in message


def function_call(block: Mapping[str, Any]) -> dict[str, Any]:
    """The tool call of a ``tool_use`` block, in OpenAI's form."""
    arguments = json.dumps(block.get("input"), ensure_ascii=False)
    call = {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": arguments},
    }
    return {**call, **{key: block[key] for key in EXTRAS if key in block}}
