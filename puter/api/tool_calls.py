"""Running the tools that a model calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from puter.engine.effects import Flow, Invoke, InvokeAll, Notify, do
from puter.engine.events import ToolRan
from puter.tools import BeforeTool, StopChat, Toolbox, apply_approval, error_text, result_text
from puter.types.replies import ToolCall
from puter.wire.dialects.base import read_tool_use
from puter.wire.messages import Message, call_message, result_message, with_beside
from puter.wire.tool_messages import normalize_tool_messages, tool_use_in

NOT_RUN = "Not run: the conversation was stopped."


def run_calls(
    calls: Sequence[ToolCall],
    tools: Toolbox | None,
    before: BeforeTool | None,
    tool_results: Mapping[str, Any],
    time_left: Callable[[], float | None],
) -> Flow[tuple[list[Message], tuple[ToolCall, ...], StopChat | None]]:
    """Run the calls; errors go to the model as results: unknown names, wrong arguments, exceptions.

    Args:
        calls: What the model calls.
        tools: The functions; needed unless there is a result for every call.
        before: Asked before each call.
        tool_results: Results by call id, of calls that are not to be run.
        time_left: Seconds in which tools may be begun, asked after the approvals.

    Returns:
        The messages of the calls that are done, the calls left open, and the ``StopChat`` that a
        function raised, if any.
    """
    approved: list[ToolCall] = []
    results: dict[int, str] = {}
    planned: dict[int, Invoke[Any]] = {}
    stop: StopChat | None = None
    for place, wanted in enumerate(calls):
        call, refusal = wanted, None
        if wanted.id in tool_results:
            refusal = _text_of(tool_results[wanted.id])
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
            except ValueError as error:
                results[place] = error_text(error)
        elif tools is not None:
            known = ", ".join(tools.tools)
            results[place] = f"Error: there is no tool named {call.name!r}; there are: {known}"
    if stop is None and planned:
        outcomes = yield from do(InvokeAll(tuple(planned.values()), StopChat, time_left()))
        for place, outcome in zip(planned, outcomes, strict=False):
            if isinstance(outcome, StopChat):
                stop = stop or outcome
                results[place] = result_text(outcome.message) or "Stopped."
            elif isinstance(outcome, Exception):
                results[place] = error_text(outcome)
            else:
                results[place] = _text_of(outcome)
            failed = isinstance(outcome, Exception) and not isinstance(outcome, StopChat)
            yield Notify(
                ToolRan(approved[place].name, approved[place].id, outcome if failed else None)
            )
    messages: list[Message] = []
    left: list[ToolCall] = []
    for place, call in enumerate(approved):
        if place not in results and stop is None:
            left.append(call)
            continue
        content = results.get(place, NOT_RUN)
        messages += [call_message(call), result_message(call.id, content)]
    return messages, tuple(left), stop


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
            calls.append(with_beside(read_tool_use(block), message))
    return rest, tuple(calls)


def _text_of(value: Any) -> str:
    try:
        return result_text(value)
    except (TypeError, ValueError, RecursionError) as error:
        return f"Error: the result cannot be written as JSON: {error}"
