"""A chat as a caller of either protocol asks for it: its tools and options, and the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from puter.api.output_types import asking_for, output_adapter
from puter.exceptions import PuterEmptyResponseError, PuterInputError, repr_of
from puter.options import ChatOptions
from puter.schema import TypeAdapter
from puter.serve.event_stream import Writer, cut_short, relay
from puter.serve.repetitions import REPETITIONS
from puter.serve.thoughts import Thoughts
from puter.threads import in_thread
from puter.types.replies import ChatReply
from puter.wire.json import as_dict
from puter.wire.messages import Message
from puter.wire.typed import read_typed
from puter.wire.untrusted import check_untrusted

THOUGHTS: web.AppKey[Thoughts] = web.AppKey("thoughts", Thoughts)
"""What models want back with their calls."""

_OWN = frozenset({"timeout", "extra", "normalize", "response", "tool_choice", "output_format"})
OPTIONS: frozenset[str] = frozenset(ChatOptions.__annotations__) - _OWN
"""Options of a chat that are passed on under their own names."""


@dataclass
class IncomingChat:
    """A chat as a caller asked for it."""

    model: str | None
    messages: list[Message]
    stream: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    form: TypeAdapter | None = None
    """The form that the answer shall have."""

    def arguments(self) -> dict[str, Any]:
        """The arguments of ``async_chat()``: no tool runs here, and nothing is remembered."""
        return {
            "model": self.model,
            "messages": self.messages,
            "run_tools": False,
            "remember": False,
            **self.options,
        }


async def carry_out(
    request: web.Request,
    raw: bytes,
    asked: IncomingChat,
    writer: Writer,
    whole: Callable[[ChatReply], dict[str, Any]],
) -> web.StreamResponse:
    """Ask Puter, and answer in the words of a vendor.

    Args:
        request: The request.
        raw: Its body.
        asked: What it asks for.
        writer: Writes the events of a stream.
        whole: Writes an answer in one piece.
    """
    thoughts = request.app[THOUGHTS]
    asked.messages = thoughts.restore(check_untrusted(asked.messages))
    with request.app[REPETITIONS].once(request, raw) as client:
        if asked.stream:
            opening = client.async_chat(stream=True, **asked.arguments())
            return await relay(request, opening, writer, thoughts.keep)
        try:
            reply = await client.async_chat(**asked.arguments())
        except PuterEmptyResponseError as error:
            reply = cut_short(error)
        thoughts.keep(reply)
        if asked.form is not None:
            reply = reply.with_text(await in_thread(_json_in, reply.text, asked.form))
        return web.json_response(whole(reply))


def add_tools(options: dict[str, Any], tools: Iterable[Mapping[str, Any]], choice: Any) -> None:
    """Put tools and the choice among them into the options of a chat.

    OpenAI's form, Anthropic's, and the mixture that some editors send are all understood.

    Raises:
        PuterInputError: A tool, or the choice, is of a kind that does not go to Puter.
    """
    schemas: list[dict[str, Any]] = []
    for tool in tools:
        kind = str(tool.get("type") or "function")
        if kind.startswith("web_search"):
            options["web_search"] = True
        elif kind == "function" or (kind == "custom" and "custom" not in tool):  # Anthropic's
            schemas.append(_schema(tool))
        else:
            raise PuterInputError(
                f"Puter does not pass a tool of type {kind!r} on",
                hint="Pass it as a function, and run it yourself.",
            )
    if schemas:
        options["tools"] = schemas
        wanted = _choice(choice)
        if wanted != "auto":
            options["tool_choice"] = wanted


def _schema(tool: Mapping[str, Any]) -> dict[str, Any]:
    inner = tool.get("function", tool)
    if not isinstance(inner, Mapping):
        raise PuterInputError(f"A tool's function must be an object, not {repr_of(inner)}")
    function = {key: inner[key] for key in ("name", "description", "strict") if key in inner}
    parameters = inner.get("parameters", inner.get("input_schema"))
    function["parameters"] = parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def _choice(choice: Any) -> str:
    """Which tool is to be called, in the words of a chat."""
    if choice is None:
        return "auto"
    word, name = choice, None
    if isinstance(choice, Mapping):
        word = choice.get("type")
        name = as_dict(choice.get("function", choice)).get("name")
    if word in ("function", "tool", "custom") and isinstance(name, str):
        return name
    found = {"auto": "auto", "none": "none", "any": "required", "required": "required"}.get(
        word if isinstance(word, str) else ""
    )
    if found is None:
        raise PuterInputError(
            f"tool_choice is {repr_of(choice)}",
            hint="Give auto, none, required, or the name of one of the tools.",
        )
    return found


def add_form(asked: IncomingChat, schema: Any, name: Any = None, strict: Any = None) -> None:
    """Ask for an answer of a JSON Schema, as ``parse()`` does.

    Raises:
        PuterInputError: It is none.
    """
    if not isinstance(schema, Mapping):
        raise PuterInputError(f"The schema of the answer must be an object, not {repr_of(schema)}")
    try:
        asked.form = output_adapter(schema)
    except PuterInputError as error:
        raise PuterInputError(f"The schema of the answer: {error.message}") from None
    asked.options.update(asking_for(asked.form))
    if asked.options["output_format"]:
        given = {"name": str(name) if name else None, "schema": schema, "strict": strict}
        told = {key: one for key, one in given.items() if one is not None}
        asked.options["output_format"].update(told)


def _json_in(text: str, form: TypeAdapter) -> str:
    """The JSON in an answer, without the fence or the words that some models put around it."""
    try:
        json.loads(text)
    except ValueError:
        try:
            return json.dumps(read_typed(text, form), ensure_ascii=False)
        except ValueError:
            pass  # the caller sees what it was
    return text
