"""Typed answers: ask for JSON, read it strictly, and ask again with the fault shown."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from puter.api.turn import ChatRequest, run_turn, total_reply
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.exceptions import PuterBadRequestError, PuterError, PuterParseError, Reply
from puter.history import History
from puter.schema import TypeAdapter
from puter.types.replies import ChatReply
from puter.wire.messages import Message, assistant_messages, user_message
from puter.wire.typed import correction, instructions, output_format, read_typed

_ENDS = ("}", "]", '"', "```", "~~~")
_NO_FIT = (
    "Allow more retries, ask a stronger model, or loosen the type; the answer itself is in .reply."
)
_CUT_OFF = "Raise max_tokens: the answer, which is in .reply, was cut off."


def typed_answer(
    call: CallContext, history: History, request: ChatRequest, wanted: TypeAdapter, retries: int
) -> Flow[tuple[Any, ChatReply]]:
    """The value in the answer, and the answer with the cost of all.

    Only the question and the good answer are remembered.

    Raises:
        PuterError: With the answers of all rounds in ``partial``.
    """
    instruction = instructions(wanted)
    system = request.system or history.system
    form = {"output_format": output_format(wanted), **request.options}
    asked = dataclasses.replace(
        request,
        system=f"{system}\n\n{instruction}" if system else instruction,
        remember=False,
        options=form,
    )
    before = [] if request.standalone else history.snapshot()
    turn: list[Message] = []
    replies: list[ChatReply] = []
    while True:
        try:
            reply = yield from run_turn(call, history, asked)
        except PuterError as error:
            if asked.options is form and error.partial is None and _is_of_format(error):
                asked = dataclasses.replace(asked, options=request.options)
                continue  # the vendor refused the schema and ran nothing: the instructions do
            if replies:
                every = _all_of(replies, error.partial, before, turn)
                error.partial = every.copy_with(standalone=request.standalone)
            raise
        replies.append(_without(before, reply) if replies else reply)
        whole = total_reply(replies).copy_with(standalone=request.standalone)
        if reply.tool_calls:
            raise PuterParseError(
                "The model called tools instead of answering",
                hint="Let their calls be run: pass functions as tools=, without run_tools=False.",
                reply=whole,
                partial=whole,
            )
        try:
            value = _value_in(reply, wanted)
        except ValueError as error:
            if len(replies) > retries:
                raise PuterParseError(
                    f"The answer does not fit: {error}",
                    hint=_CUT_OFF if reply.finish_reason == "length" else _NO_FIT,
                    reply=whole,
                    partial=whole,
                ) from error
            turn = [*whole.messages, user_message(correction(str(error)))]
            asked = dataclasses.replace(
                asked,
                prompt=None,
                messages=[*before, *turn],
                images=None,
                files=None,
                content_parts=None,
                resume=None,
                tool_results={},
            )
        else:
            if request.remember and not request.standalone:
                first = replies[0]
                asked_for = len(first.messages) - len(assistant_messages(first))
                said = reply.messages[-len(assistant_messages(reply)) :]
                history.commit([*first.messages[:asked_for], *said])
            return value, whole


def _is_of_format(error: PuterError) -> bool:
    """Whether a vendor refused the form that the answer was to have."""
    refused = isinstance(error, PuterBadRequestError) and error.code == "upstream_bad_request"
    return refused and re.search("schema|format", error.message, re.IGNORECASE) is not None


def _value_in(reply: ChatReply, wanted: TypeAdapter) -> Any:
    """The value in an answer; one that ran out of tokens has to end where a value does."""
    if reply.finish_reason == "length" and not reply.text.rstrip().endswith(_ENDS):
        raise ValueError("it breaks off (finish reason: length)")
    return read_typed(reply.text, wanted)


def _without(before: list[Message], reply: ChatReply) -> ChatReply:
    """The reply with the messages of its turn alone."""
    return reply.copy_with(messages=reply.messages[len(before) :])


def _all_of(
    replies: list[ChatReply], partial: Reply | None, before: list[Message], turn: list[Message]
) -> ChatReply:
    """What all rounds came to, the last of which failed."""
    if isinstance(partial, ChatReply):
        return total_reply([*replies, _without(before, partial)])
    return total_reply(replies).copy_with(messages=tuple(turn))
