"""Typed answers: ask for JSON, read it strictly, and ask again with the fault shown."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from puter.api.turn import ChatRequest, run_turn
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.exceptions import PuterBadRequestError, PuterError, PuterParseError
from puter.history import History
from puter.schema import TypeAdapter
from puter.types.replies import ChatReply
from puter.wire.dialects.base import forces_tool
from puter.wire.messages import user_message
from puter.wire.typed import (
    correction,
    instructions,
    output_format,
    read_typed,
    without_corrections,
)

_ENDS = ("}", "]", '"', "```", "~~~")
_NO_FIT = (
    "Allow more retries, ask a stronger model, or loosen the type; the answer itself is in .reply."
)
_CUT_OFF = "Raise max_tokens: the answer, which is in .reply, was cut off."


def typed_answer(
    call: CallContext, history: History, request: ChatRequest, wanted: TypeAdapter, retries: int
) -> Flow[tuple[Any, ChatReply]]:
    """The value in the answer, and the answer with the cost of all.

    Remembered are the question, the tools that ran, and the answer that fitted.

    Raises:
        PuterError: With the answers of all rounds in ``partial``.
    """
    instruction = instructions(wanted)
    system = request.system or history.system
    form = _form_of(wanted, request.options)
    asked = dataclasses.replace(
        request,
        system=f"{system}\n\n{instruction}" if system else instruction,
        remember=False,
        options=request.options if form is None else {**request.options, "output_format": form},
    )
    while True:
        try:
            reply = yield from run_turn(call, history, asked)
        except PuterError as error:
            so_far = error.partial if isinstance(error.partial, ChatReply) else None
            of_tool = so_far is not None and bool(so_far.tool_calls)  # which raised it
            if form is None or of_tool or not _is_of_format(error):
                raise
            if so_far is not None:  # what was answered and run is not repeated
                asked = _going_on(asked, so_far)
            form, rest = None, {**asked.options}  # the instructions do
            del rest["output_format"]
            asked = dataclasses.replace(asked, options=rest)
            continue
        if reply.tool_calls:
            raise PuterParseError(
                "The model called tools instead of answering",
                hint="Let their calls be run: pass functions as tools=, without run_tools=False.",
                reply=reply,
                partial=reply,
            )
        try:
            value = _value_in(reply, wanted)
        except ValueError as error:
            if not retries:
                raise PuterParseError(
                    f"The answer does not fit: {error}",
                    hint=_CUT_OFF if reply.finish_reason == "length" else _NO_FIT,
                    reply=reply,
                    partial=reply,
                ) from error
            retries -= 1
            messages = (*reply.messages, user_message(correction(str(error))))
            asked = _going_on(asked, reply.copy_with(messages=messages))
            if forces_tool(asked.options.get("tool_choice", "auto")):
                unforced = {**asked.options, "tool_choice": "auto"}
                asked = dataclasses.replace(asked, options=unforced)
        else:
            turn = without_corrections(reply.messages)
            if request.remember and not request.standalone:
                history.commit(turn)
            return value, reply.copy_with(messages=tuple(turn))


def _form_of(wanted: TypeAdapter, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The form that the vendor is to enforce; None where any will do, or the user gave one."""
    given = "output_format" in options or "outputFormat" in options.get("extra", ())
    return None if given else output_format(wanted)


def _going_on(asked: ChatRequest, reply: ChatReply) -> ChatRequest:
    """The request that goes on after this much of the turn."""
    return dataclasses.replace(
        asked,
        prompt=None,
        messages=None,
        images=None,
        files=None,
        content_parts=None,
        resume=reply,
        tool_results={},
    )


def _is_of_format(error: PuterError) -> bool:
    """Whether a vendor refused the form that the answer was to have."""
    refused = isinstance(error, PuterBadRequestError) and error.code == "upstream_bad_request"
    return refused and re.search("schema|format", error.message, re.IGNORECASE) is not None


def _value_in(reply: ChatReply, wanted: TypeAdapter) -> Any:
    """The value in an answer; one that ran out of tokens has to end where a value does."""
    if reply.finish_reason == "length" and not reply.text.rstrip().endswith(_ENDS):
        raise ValueError("it breaks off (finish reason: length)")
    return read_typed(reply.text, wanted)
