"""Typed answers: ask for JSON, read it strictly, and ask again with the fault shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from puter.api.turn import ChatRequest, remember, run_turn, target_of
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.exceptions import PuterBadRequestError, PuterError, PuterParseError
from puter.history import History
from puter.process import late
from puter.records import replace
from puter.schema import TypeAdapter
from puter.types.replies import ChatReply
from puter.wire.dialects.base import forces_tool
from puter.wire.messages import check_messages, user_message
from puter.wire.typed import (
    correction,
    instructions,
    output_format,
    read_typed,
    without_corrections,
)

if TYPE_CHECKING:
    from puter.api import extended as extending
    from puter.api.extended import Check
else:
    extending = late("puter.api.extended")

_ENDS = ("}", "]", '"', "```", "~~~")
_NO_FIT = (
    "Allow more retries, ask a stronger model, or loosen the type; the answer itself is in .reply."
)
_CUT_OFF = "Raise max_tokens: the answer, which is in .reply, was cut off."


def typed_answer(
    call: CallContext,
    history: History,
    request: ChatRequest,
    wanted: TypeAdapter,
    retries: int,
    check: Check,
) -> Flow[tuple[Any, ChatReply]]:
    """The value in the answer, and the answer with the cost of all.

    Remembered are the question, the tools that ran, and the answer that fitted.

    Args:
        call: The call.
        history: What was said before.
        request: What the user asked for.
        wanted: The type of the value.
        retries: How often an answer that does not fit is asked for again.
        check: Checks what middleware changes; see ``puter.api.extended``.

    Raises:
        PuterError: With the answers of all rounds in ``partial``.
    """
    instruction = instructions(wanted)
    system = request.system or history.system
    form = _form_of(wanted, request.options)
    asked = replace(
        request,
        system=f"{system}\n\n{instruction}" if system else instruction,
        options=request.options if form is None else {**request.options, "output_format": form},
    )
    fitting: list[tuple[Any, ChatReply]] = []

    def base(asked: ChatRequest) -> Flow[ChatReply]:
        fitting.append((yield from _fitting_answer(call, history, asked, wanted, retries, form)))
        return fitting[-1][1]

    def fits(reply: ChatReply) -> bool:
        try:
            _value_in(reply, wanted)
        except PuterParseError:
            return False
        return True

    if call.extensions.middleware:
        reply = yield from extending.extended(call, history, asked, base, check, fits=fits)
    else:
        reply = yield from base(asked)
    yield from remember(call, history, request, reply)
    value = next((value for value, one in fitting if one is reply), fitting)
    return (_value_in(reply, wanted) if value is fitting else value), reply


def _fitting_answer(
    call: CallContext,
    history: History,
    asked: ChatRequest,
    wanted: TypeAdapter,
    retries: int,
    form: dict[str, Any] | None,
) -> Flow[tuple[Any, ChatReply]]:
    """The value and the answer, asked for until it fits."""
    asked = replace(asked, remember=False)
    while True:
        try:
            reply = yield from run_turn(call, history, asked)
        except PuterError as error:
            so_far = error.partial if isinstance(error.partial, ChatReply) else None
            of_tool = so_far is not None and bool(so_far.tool_calls)  # which raised it
            elsewhere = target_of(call, history, asked).server is not None
            if form is None or of_tool or not _is_of_format(error, elsewhere):
                raise
            if so_far is not None:  # what was answered and run is not repeated
                asked = _going_on(asked, so_far)
            form, rest = None, {**asked.options}  # the instructions do
            rest.pop("output_format", None)
            asked = replace(asked, options=rest)
            continue
        try:
            value = _value_in(reply, wanted)
        except PuterParseError as error:
            if not retries or reply.tool_calls:
                raise
            retries -= 1
            messages = (*reply.messages, user_message(correction(str(error.__cause__))))
            asked = _going_on(asked, reply.copy_with(messages=messages))
            if forces_tool(asked.options.get("tool_choice", "auto")):
                unforced = {**asked.options, "tool_choice": "auto"}
                asked = replace(asked, options=unforced)
        else:
            return value, reply.copy_with(messages=tuple(without_corrections(reply.messages)))


def _form_of(wanted: TypeAdapter, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The form that the vendor is to enforce; None where any will do, or the user gave one."""
    given = "output_format" in options or "outputFormat" in options.get("extra", ())
    return None if given else output_format(wanted)


def _going_on(asked: ChatRequest, reply: ChatReply) -> ChatRequest:
    """The request that goes on after this much of the turn."""
    composed = asked.composed
    if composed is not None:
        composed = composed._replace(turn=check_messages(reply.messages), known=0)
    return replace(
        asked,
        prompt=None,
        messages=None,
        images=None,
        files=None,
        content_parts=None,
        resume=reply,
        tool_results={},
        composed=composed,
    )


def _is_of_format(error: PuterError, elsewhere: bool) -> bool:
    """Whether a vendor, or a server other than Puter, refused the form of the answer."""
    refused = isinstance(error, PuterBadRequestError) and error.code == "upstream_bad_request"
    if elsewhere:
        refused = isinstance(error, PuterBadRequestError) or error.status == 501
    told = f"{error.message} {error.body if elsewhere else ''}"
    return refused and re.search("schema|format", told, re.IGNORECASE) is not None


def _value_in(reply: ChatReply, wanted: TypeAdapter) -> Any:
    """The value in an answer; one that ran out of tokens has to end where a value does.

    Raises:
        PuterParseError: There is none; what is wrong is its cause.
    """
    if reply.tool_calls:
        raise PuterParseError(
            "The model called tools instead of answering",
            hint="Let their calls be run: pass functions as tools=, without run_tools=False.",
            reply=reply,
            partial=reply,
        )
    try:
        if reply.finish_reason == "length" and not reply.text.rstrip().endswith(_ENDS):
            raise ValueError("it breaks off (finish reason: length)")
        return read_typed(reply.text, wanted)
    except ValueError as error:
        raise PuterParseError(
            f"The answer does not fit: {error}",
            hint=_CUT_OFF if reply.finish_reason == "length" else _NO_FIT,
            reply=reply,
            partial=reply,
        ) from error
