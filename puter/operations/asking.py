"""From what the user asked to the request that is sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from puter.attachments import part_of
from puter.exceptions import PuterInputError, PuterModelNotFoundError
from puter.exchange import Call, exchange
from puter.flow import Flow, ask
from puter.operations.auth import ensure_signed_in
from puter.sources import listed
from puter.wire import calls
from puter.wire.chat import Message, check_messages, user_message
from puter.wire.dialect import Family, dress, family_of, option_args
from puter.wire.rounds import safe_form

if TYPE_CHECKING:
    from puter.history import History
    from puter.replies import ToolCall
    from puter.tools import BeforeTool, Toolbox
    from puter.wire.http import Reply, Request


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What the user asked, before it is checked."""

    prompt: str | None = None
    model: str | None = None
    images: Any = None
    files: Any = None
    messages: Sequence[Any] | None = None
    system: str | None = None
    content_parts: Sequence[Any] | None = None
    remember: bool = True
    tools: Toolbox | None = None
    run_tools: bool = True
    max_rounds: int = 8
    before_tool: BeforeTool | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def runs(self, calls: Sequence[ToolCall]) -> bool:
        """Whether these calls are run here, not handed to the caller."""
        tools = self.tools if self.run_tools else None
        return tools is not None and bool(tools.tools) and tools.can_run(calls)


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """Where a question goes, as far as the registry knows."""

    model: str
    provider: str | None
    family: Family


def route_of(call: Call, conversation: History, question: Question) -> Route:
    for name, value in (("model", question.model), ("system", question.system)):
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise PuterInputError(f"{name} must be a non-empty str, not {value!r}")
    extra = question.options.get("extra") or {}
    asked = extra.get("model") or question.model or conversation.model or call.config.default_model
    model = call.registry.resolve(asked) if isinstance(asked, str) else str(asked)
    pinned = extra.get("provider") or question.options.get("provider")
    provider = pinned or call.registry.provider_of(model)
    entry = call.registry.entry(model)
    return Route(model, provider, family_of(provider, model, entry, question.options))


def compose(conversation: History, question: Question) -> Flow[tuple[list[Message], list[Message]]]:
    """The user's side of this turn, and everything that is sent.

    Raises:
        PuterInputError: The question cannot be sent as it stands.
    """
    parts = _content_parts(question)
    for name, given in (("images", question.images), ("files", question.files)):
        load = partial(part_of, picture=name == "images")
        for source in listed(name, given):
            parts.append((yield from ask(load, source)))
    if question.messages is None:
        turn = [user_message(question.prompt, parts)]
        past = conversation.snapshot()
        sent = (check_messages(past, "chat_history") if past else []) + turn
    else:
        turn = check_messages(question.messages)
        if question.prompt is not None or parts:
            turn = [*turn, user_message(question.prompt, parts)]
        sent = turn
    system = question.system or conversation.system
    if system is not None:
        sent = [{"role": "system", "content": system}, *sent]
    return turn, sent


def _content_parts(question: Question) -> list[Any]:
    parts = question.content_parts
    if parts is None:
        return []
    if isinstance(parts, (str, bytes, Mapping)) or not isinstance(parts, Sequence):
        raise PuterInputError("content_parts must be a list of content parts")
    return list(parts)


def ask_model(
    call: Call, route: Route, messages: list[Message], question: Question, *, stream: bool
) -> Flow[Reply]:
    """Send the messages and wait for the reply, or for its headers when it is streamed."""
    request = chat_request(call, route, messages, question, stream=stream)
    yield from ensure_signed_in(call)
    try:
        return (yield from exchange(call, request))
    except PuterModelNotFoundError as error:
        error.suggestions = call.registry.suggest(route.model)
        if error.suggestions:
            error.hint = f"Did you mean {' or '.join(map(repr, error.suggestions))}?"
        raise


def chat_request(
    call: Call, route: Route, messages: list[Message], question: Question, *, stream: bool
) -> Request:
    options = question.options
    messages = dress(safe_form(messages), route.family)
    marker = options.get("cache_control")
    if marker:
        messages[-1] = {
            **messages[-1],
            "cache_control": {"type": "ephemeral"} if marker is True else dict(marker),
        }
    args: dict[str, Any] = {"messages": messages, "model": route.model}
    args.update(option_args(options, route.family))
    if question.tools is not None and question.tools.schemas:
        args["tools"] = [*question.tools.schemas, *args.get("tools", [])]
    if stream:
        args["stream"] = True
    args.update(options.get("extra") or {})
    timeout = options.get("timeout") or call.config.timeout
    return calls.chat(call.config, args, timeout=timeout, stream=stream)
