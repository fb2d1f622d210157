"""A chat through middleware: what it sees of the turn, and what becomes of what it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from puter.api.turn import ChatRequest, Composed, compose, target_of
from puter.engine.context import CallContext
from puter.engine.effects import Flow, StreamOpened, YieldChunks
from puter.engine.middleware import (
    CallNext,
    Request,
    begun,
    check_request,
    keeping,
    no_reply,
    through,
)
from puter.exceptions import PuterInputError
from puter.history import History
from puter.records import replace
from puter.types.replies import ChatReply, chunks_of
from puter.wire.messages import Message, check_messages

ARGS = (
    "tools", "run_tools", "max_rounds", "before_tool", "resume", "tool_results",
    "raise_tool_errors", "remember",
)  # fmt: skip
"""Fields of ``ChatRequest`` that are the ``args`` of a ``Request``."""
_PINS = ("provider", "extra")
"""Options that may name a model or who serves it."""

Check = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
"""From options and other arguments of a chat to the fields of a ``ChatRequest``."""


def extended(
    call: CallContext,
    history: History,
    asked: ChatRequest,
    base: Callable[[ChatRequest], Flow[ChatReply]],
    check: Check,
    *,
    stream: bool = False,
    fits: Callable[[ChatReply], bool] = bool,
) -> Flow[ChatReply]:
    """The reply of a chat whose client has middleware; the history is left alone.

    Args:
        call: The call.
        history: What was said before.
        asked: What the user asked for, a request of this call's own.
        base: Asks it, or what became of it; remembers nothing.
        check: Checks options and arguments that middleware changed.
        stream: Whether the answer is streamed.
        fits: Whether a reply is of the type that is wanted.

    Returns:
        The reply that comes out of the middleware, with the messages of the turn.
    """
    composed = asked.composed = yield from compose(history, asked)
    target = target_of(call, history, asked)
    whole = (*composed.before, *composed.turn)
    args = {name: getattr(asked, name) for name in ARGS}
    in_conversation = history.queue is not None and not asked.standalone
    about = {"conversation_id": history.id} if in_conversation else {}
    request = Request(
        call.operation, target.model, whole, asked.options, args, stream, len(composed.turn),
        about, call, fits,
    )  # fmt: skip
    turn: list[Message] | None = None  # as it is sent, or was when its answer was kept
    given: list[ChatReply] = []  # of the model, and by middleware in its place

    def call_next(changed: Request) -> Flow[ChatReply]:
        nonlocal turn
        check_request(changed)
        parts = _parts_of(changed, request, composed)
        turn = parts.turn
        fields = {} if changed is request else _fields_of(changed, request, check)
        same = parts is composed and not fields  # a copy is a tenth of what middleware costs
        reply = yield from base(asked if same else replace(asked, composed=parts, **fields))
        given.append(reply)
        return reply

    def layer(middleware: Any, call_next: CallNext, changed: Request) -> Flow[ChatReply]:
        nonlocal turn
        before = len(given)
        reply = yield from begun(middleware, call_next, changed)
        last: ChatReply | None = given[-1] if given else None
        if last is not None and last is reply:
            return last
        if not isinstance(reply, str):
            raise no_reply(reply, middleware, "a ChatReply or a str")
        if not isinstance(reply, ChatReply):
            reply = ChatReply(reply, model=target.model)
        if turn is None:  # no model was asked; what a cache gives knows what it answered
            turn = list(reply.messages[:-1]) or _parts_of(changed, request, composed).turn
        reply = _with_messages(reply, turn, target.model)
        if reply.standalone != asked.standalone:
            reply = reply.copy_with(standalone=asked.standalone)
        if stream and len(given) == before:  # nothing was handed out
            yield StreamOpened(None)
            yield YieldChunks(chunks_of(reply), last=True)
        given.append(reply)
        return reply

    extensions = call.extensions.middleware
    reply: ChatReply
    reply = yield from keeping(given, through(extensions, call_next, request, layer))
    call.partial = lambda: reply
    return reply


def _with_messages(reply: ChatReply, turn: list[Message], model: str) -> ChatReply:
    """A reply that middleware made, or made of another, whose messages end with its text."""
    if not reply.messages:
        answer: list[Message] = [{"role": "assistant", "content": reply.text}]
        messages = (*turn, *(answer if reply.strip() else ()))
        return reply.copy_with(messages=messages, requested_model=model)
    last = reply.messages[-1]
    told = last.get("content")
    if last.get("role") == "assistant" and isinstance(told, str) and told != reply.text:
        return reply.copy_with(text=told).with_text(reply.text)
    return reply


def _parts_of(changed: Request, request: Request, composed: Composed) -> Composed:
    """What goes before the turn and what is of it, where the messages were changed."""
    resume = changed.args.get("resume")
    if resume is not None and resume is not request.args.get("resume"):
        return Composed(composed.before, check_messages(resume.messages), 0)
    if changed.messages is request.messages:
        return composed
    messages = list(changed.messages)
    before = len(messages) - changed.turn
    return Composed(messages[:before], messages[before:], 0)


def _fields_of(changed: Request, request: Request, check: Check) -> Mapping[str, Any]:
    """The fields of the request that were changed, checked as those of the user are."""
    fields: dict[str, Any] = {}
    options = changed.options
    if changed.model != request.model:
        fields["model"] = changed.model
        if options is request.options:  # what names another model, or who serves that, goes
            options = {name: one for name, one in options.items() if name not in _PINS}
            extra = dict(request.options.get("extra") or {})
            if rest := {
                name: one for name, one in extra.items() if name not in ("model", "provider")
            }:
                options = {**options, "extra": rest}
    args = {name: one for name, one in changed.args.items() if one is not request.args.get(name)}
    for name in args:
        if name not in ARGS or name == "remember":
            raise PuterInputError(
                f"request.replace: args[{name!r}] cannot be changed in a chat",
                hint=f"It takes {', '.join(ARGS[:-1])}.",
            )
    if options is not request.options or args:
        fields |= check(options, args)
    return fields
