"""What both protocols share: a request read, its tools and options, and the chat at Puter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from puter.api.output_types import asking_for, output_adapter
from puter.exceptions import PuterEmptyResponseError, PuterInputError, repr_of
from puter.options import ChatOptions
from puter.schema import TypeAdapter
from puter.serve.begun import Begun
from puter.serve.events import LOGGER, Writer, cut_short, relay
from puter.serve.thoughts import Thoughts
from puter.threads import in_thread
from puter.types.replies import ChatReply
from puter.wire.json import as_dict, read_json
from puter.wire.messages import Message
from puter.wire.typed import read_typed

if TYPE_CHECKING:
    from puter.ai import PuterAI

CLIENT: web.AppKey[PuterAI] = web.AppKey("client")
"""Who asks Puter."""
BEGUN: web.AppKey[Begun] = web.AppKey("begun", Begun)
"""What may have been billed without that its caller knows the answer."""
THOUGHTS: web.AppKey[Thoughts] = web.AppKey("thoughts", Thoughts)
"""What models want back with their calls."""

DEPTH = 200
"""Lists and objects inside each other in a request at most; the client checks what it sends."""

_OWN = frozenset({"timeout", "extra", "normalize", "response", "tool_choice", "output_format"})
OPTIONS: frozenset[str] = frozenset(ChatOptions.__annotations__) - _OWN
"""Options of a chat that are passed on under their own names."""


@dataclass
class Asked:
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


async def read_body(request: web.Request) -> tuple[bytes, dict[str, Any]]:
    """The body of a request, and the JSON object in it.

    Raises:
        PuterInputError: There is none.
    """
    raw = await request.read()
    try:
        body = read_json(raw, request.app[CLIENT].config.max_response_bytes, depth=DEPTH)
    except ValueError as error:
        raise PuterInputError(f"The body of the request is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise PuterInputError("The body of the request must be a JSON object")
    return raw, body


async def carry_out(
    request: web.Request,
    raw: bytes,
    asked: Asked,
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
    for message in asked.messages:
        _refuse_files_of_the_account(message)
    asked.messages = thoughts.restore(asked.messages)
    with request.app[BEGUN].once(request, raw, request.app[CLIENT]) as client:
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


def _refuse_files_of_the_account(holder: Mapping[str, Any]) -> None:
    """A caller may use the account's models, and not read what its owner keeps in Puter.

    Raises:
        PuterInputError: Puter would open a file for a part of the message.
    """
    content = holder.get("content")
    for part in content if isinstance(content, list) else (content,):
        if isinstance(part, dict):
            if "puter_path" in part:
                raise PuterInputError(
                    "Files in the account's Puter cannot be opened here",
                    hint="Send what the file holds.",
                )
            _refuse_files_of_the_account(part)


def flag(body: Mapping[str, Any], name: str) -> bool:
    """True or False in a request; left out, or null, is False.

    Raises:
        PuterInputError: It is neither.
    """
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise PuterInputError(f"{name} must be true or false, not {repr_of(value)}")
    return bool(value)


Refusals = Mapping[str, tuple[tuple[Any, ...], str]]
"""Parameters that change the answer and that Puter does not have: harmless values, and advice."""


def refuse(body: Mapping[str, Any], refusals: Refusals) -> None:
    """Raise PuterInputError for parameters whose value is not harmless."""
    for name, (harmless, advice) in refusals.items():
        value = body.get(name)
        if value is not None and value not in harmless:
            raise PuterInputError(f"{name}={repr_of(value, 40)} cannot be done", hint=advice)


def listed(body: Mapping[str, Any], name: str) -> list[Any]:
    """The list of objects in a request; left out, or null, is empty.

    Raises:
        PuterInputError: It is something else.
    """
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise PuterInputError(f"{name} must be a list of objects, not {repr_of(value)}")
    return value


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
        elif kind in ("function", "custom") and "format" not in as_dict(tool.get("custom")):
            schemas.append(_schema(tool))
        else:
            raise PuterInputError(
                f"A tool of type {kind!r} runs at its vendor, where Puter does not reach",
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


def add_form(asked: Asked, schema: Any, name: Any = None, strict: Any = None) -> None:
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
    if "output_format" in asked.options:
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


_told: set[str] = set()


def tell_ignored(names: Iterable[str]) -> None:
    """Log, once for each name, that a parameter has no effect."""
    for name in names:
        if name not in _told and len(_told) < 1000:
            _told.add(name)
            LOGGER.info("the parameter %s of a request is ignored", repr_of(name))
