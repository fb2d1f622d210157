"""Typed answers: ask for JSON, read it strictly, and ask again with the fault shown."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from puter.exceptions import PuterParseError
from puter.operations.chat import in_turn, sum_up, talk
from puter.wire.chat import assistant_messages
from puter.wire.typed import correction, instructions, read_typed

if TYPE_CHECKING:
    from puter.exchange import Call
    from puter.flow import Flow
    from puter.history import History
    from puter.operations.asking import Question
    from puter.replies import ChatReply
    from puter.schema import Codec


def parse(call: Call, history: History, question: Question, made: Codec, retries: int) -> Flow[Any]:
    """The value in the answer; only the question and the good answer are remembered."""
    return (yield from in_turn(call, history, _parse(call, history, question, made, retries)))


def _parse(
    call: Call, history: History, question: Question, made: Codec, retries: int
) -> Flow[Any]:
    told = instructions(made)
    system = question.system or history.system
    asked = dataclasses.replace(
        question, system=f"{system}\n\n{told}" if system else told, remember=False
    )
    before = history.snapshot() if question.messages is None else []
    replies: list[ChatReply] = []
    while True:
        reply = yield from talk(call, history, asked)
        replies.append(reply)
        whole = sum_up(replies)
        if reply.tool_calls:
            raise PuterParseError(
                "The model called tools instead of answering",
                hint="Let their calls be run: pass functions as tools=, without run_tools=False.",
                reply=whole,
            )
        try:
            value = read_typed(reply.text, made)
        except ValueError as error:
            if len(replies) > retries:
                raise PuterParseError(
                    f"The answer does not fit: {error}",
                    hint="Allow more retries, ask a stronger model, or loosen the type; "
                    "the answer itself is in .reply.",
                    reply=whole,
                ) from error
            asked = dataclasses.replace(
                asked,
                prompt=correction(str(error)),
                messages=[*before, *reply.messages],
                images=None,
                files=None,
                content_parts=None,
            )
            before = []  # the messages of a later reply hold everything
        else:
            if question.remember and question.messages is None:
                first = replies[0]
                asked_for = len(first.messages) - len(assistant_messages(first))
                history.commit([*first.messages[:asked_for], *assistant_messages(reply)])
            return value
