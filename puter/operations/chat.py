"""Chat: past messages and a new one out, a reply back, and the whole turn remembered."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from puter.exceptions import PuterInputError, PuterModelNotFoundError
from puter.exchange import Call, exchange
from puter.operations.auth import ensure_signed_in
from puter.wire import calls
from puter.wire.chat import (
    Message,
    assistant_messages,
    chat_args,
    check_messages,
    judge,
    read_chat,
    user_message,
)

if TYPE_CHECKING:
    from puter.conversation import Conversation
    from puter.flow import Flow
    from puter.replies import ChatReply


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What the user asked, before it is checked."""

    prompt: str | None = None
    model: str | None = None
    messages: Sequence[Any] | None = None
    system: str | None = None
    content_parts: Sequence[Any] | None = None
    remember: bool = True
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def chat(call: Call, conversation: Conversation, question: Question) -> Flow[ChatReply]:
    turn, messages = compose(conversation, question)
    model = call.registry.resolve(question.model or call.config.default_model)
    request = calls.chat(
        call.config,
        chat_args(messages, model, question.options),
        timeout=question.options.get("timeout", call.config.timeout),
    )
    yield from ensure_signed_in(call)
    try:
        reply = yield from exchange(call, request)
    except PuterModelNotFoundError as error:
        error.suggestions = call.registry.suggest(model)
        if error.suggestions:
            error.hint = f"Did you mean {' or '.join(map(repr, error.suggestions))}?"
        raise
    answer = read_chat(reply.data).but(attempts=call.attempts, elapsed=call.elapsed)
    call.ledger.record(answer.model or model, answer.usage, answer.cost)
    judge(answer, asked=model, provider=question.options.get("provider"))
    answer = answer.but(messages=tuple(turn + assistant_messages(answer)))
    if question.remember and question.messages is None:
        conversation.commit(answer.messages)
    return answer


def compose(conversation: Conversation, question: Question) -> tuple[list[Message], list[Message]]:
    """The user's side of this turn, and everything that is sent.

    Raises:
        PuterInputError: The question cannot be sent as it stands.
    """
    for name, value in (("model", question.model), ("system", question.system)):
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise PuterInputError(f"{name} must be a non-empty str, not {value!r}")
    if question.messages is None:
        turn = [user_message(question.prompt, question.content_parts or ())]
        sent = conversation.snapshot() + turn
    else:
        turn = check_messages(question.messages)
        if question.prompt is not None or question.content_parts:
            turn = [*turn, user_message(question.prompt, question.content_parts or ())]
        sent = turn
    if question.system is not None:
        sent = [{"role": "system", "content": question.system}, *sent]
    return turn, sent
