"""Running the tools that a model calls."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from puter.engine.context import CallContext
from puter.engine.effects import Flow, Invoke, InvokeAll, do
from puter.engine.observing import notify
from puter.records import replace
from puter.tool_results import collected, result_content, unwritable
from puter.tools import BeforeTool, StopChat, Toolbox, apply_approval, error_text, raises_to_caller
from puter.types.replies import ToolCall
from puter.wire.dialects.base import read_tool_use
from puter.wire.json import clean_text
from puter.wire.messages import Message, call_message, result_message, with_reasoning
from puter.wire.tool_messages import normalize_tool_messages, tool_use_in

NOT_RUN = "Not run: the conversation was stopped."


def run_calls(
    calls: Sequence[ToolCall],
    tools: Toolbox | None,
    before: BeforeTool | None,
    tool_results: Mapping[str, Any],
    context: CallContext,
    raising: tuple[type[BaseException], ...],
) -> Flow[tuple[list[Message], tuple[ToolCall, ...], Exception | None]]:
    """Run the calls; errors go to the model as results: unknown names, wrong arguments, exceptions.

    Args:
        calls: What the model calls.
        tools: The functions; needed unless there is a result for every call.
        before: Asked before each call.
        tool_results: Results by call id, of calls that are not to be run.
        context: The call; its deadline is looked at after the approvals.
        raising: Exceptions of tools that are not for the model, but for the caller.

    Returns:
        The messages of the calls that are done, the calls left open, and what ends the turn, if
        anything: an exception for the caller, whose call is left open, or a ``StopChat``.
    """
    approved: list[ToolCall] = []
    results: dict[int, Any] = {}
    planned: dict[int, Invoke[Any]] = {}
    stop: StopChat | None = None
    raised: Exception | None = None
    for place, wanted in enumerate(calls):
        call, refusal = wanted, None
        if wanted.id in tool_results:
            refusal = _given(tool_results[wanted.id])
        elif before is not None and stop is None:
            try:
                call, refusal = apply_approval(wanted, (yield from do(Invoke(before, (wanted,)))))
            except StopChat as stopped:
                stop, refusal = stopped, NOT_RUN
        approved.append(call)
        if refusal is not None:
            results[place] = refusal
        elif tools is not None and (tool := tools.tools.get(call.name)) is not None:
            try:
                planned[place] = Invoke(tool.bind(call.arguments), inline=tool.cheap)
            except Exception as error:  # noqa: BLE001 - defaults may be made by anything
                results[place] = error_text(error)
        elif tools is not None:
            known = ", ".join(tools.tools)
            results[place] = f"Error: there is no tool named {call.name!r}; there are: {known}"
    if stop is None and planned:
        for place in planned:
            yield from notify(context, "tool.start", tool=approved[place])
        ends = functools.partial(_ends, raising)
        outcomes = yield from do(InvokeAll(tuple(planned.values()), ends, context.time_left()))
        for place, outcome in zip(planned, outcomes, strict=False):
            content, fault = yield from _read(outcome, inline=planned[place].inline)
            if isinstance(fault, StopChat):
                stop, fault = stop or fault, None
            if fault is not None and raises_to_caller(fault, raising):
                raised = raised or fault
            else:
                results[place] = content
            yield from notify(context, "tool.end", tool=approved[place], error=fault)
    messages: list[Message] = []
    left: list[ToolCall] = []
    if 0 not in results and results:  # the reasoning goes with what comes first: not an open call
        approved = _carry_reasoning(approved, min(results))
    for place, call in enumerate(approved):
        if place not in results and (stop is None or raised is not None):
            left.append(call)
            continue
        content = results.get(place, NOT_RUN)
        messages += [call_message(call), result_message(call.id, content)]
    return messages, tuple(left), raised or stop


def _carry_reasoning(calls: list[ToolCall], place: int) -> list[ToolCall]:
    """The calls with the reasoning of the first at another one."""
    extra = dict(calls[0].extra)
    beside = extra.pop("message", {})
    calls = [replace(calls[0], extra=extra), *calls[1:]]
    calls[place] = with_reasoning(calls[place], beside)
    return calls


def _ends(raising: tuple[type[BaseException], ...], error: Exception) -> bool:
    return isinstance(error, StopChat) or raises_to_caller(error, raising)


def _read(outcome: Any, *, inline: bool) -> Flow[tuple[Any, Exception | None]]:
    """What the model gets of a tool's outcome, and the exception in it, if any.

    A generator, or whatever else may run code of the user's, is read where the tool ran.
    """
    if isinstance(outcome, StopChat):
        return clean_text(outcome.message) or "Stopped.", outcome
    if isinstance(outcome, Exception):
        return error_text(outcome), outcome
    try:
        if outcome is None or isinstance(outcome, (str, int, float)):
            return result_content(outcome), None
        if hasattr(outcome, "__aiter__"):
            collect: Invoke[Any] = Invoke(collected, (outcome,))
            outcome = yield from do(collect)
        write: Invoke[Any] = Invoke(result_content, (outcome,), inline=inline)
        return (yield from do(write)), None
    except StopChat as stopped:
        return clean_text(stopped.message) or "Stopped.", stopped
    except Exception as fault:  # noqa: BLE001 - its own code may raise anything
        return unwritable(fault), fault


def pending_calls(messages: Sequence[Message]) -> tuple[list[Message], tuple[ToolCall, ...]]:
    """The messages without the tool calls that have no result, and those calls."""
    rest: list[Message] = []
    calls: list[ToolCall] = []
    normal = normalize_tool_messages(list(messages))  # a result follows its call, if there is one
    for message, following in zip(normal, [*normal[1:], None], strict=True):
        block = tool_use_in(message)
        if block is None or (
            following is not None
            and following.get("role") == "tool"
            and following.get("tool_call_id") == block.get("id")
        ):
            rest.append(message)
        else:
            calls.append(with_reasoning(read_tool_use(block), message))
    return rest, tuple(calls)


def is_within(past: Sequence[Message], turn: Sequence[Message], calls: Sequence[ToolCall]) -> bool:
    """Whether these messages have a turn, as ``pending_calls()`` divides it, its calls made."""
    told = [*_outline(turn), *map(wish_of, calls)]
    there = _outline(normalize_tool_messages(list(past)))
    return any(there[at : at + len(told)] == told for at in range(len(there)))


def _outline(messages: Sequence[Message]) -> list[tuple[Any, ...]]:
    """What was said and called, without results and what vendors keep of it."""
    blocks = [(one, tool_use_in(one)) for one in messages if one.get("role") != "tool"]
    return [
        (one.get("role"), one.get("content")) if block is None else wish_of(read_tool_use(block))
        for one, block in blocks
    ]


def wish_of(call: ToolCall) -> tuple[str, str, Mapping[str, Any]]:
    """What a model calls, without what its vendor keeps of it."""
    return call.id, call.name, call.arguments


def _given(value: Any) -> Any:
    try:
        return result_content(value)
    except Exception as error:  # noqa: BLE001 - whatever its own code raises
        return unwritable(error)
