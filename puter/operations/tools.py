"""Running the tools that a model calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puter.events import ToolRan
from puter.flow import Ask, Flow, ask, ask_all, tell
from puter.tools import StopChat, error_text, judged, result_text
from puter.wire.rounds import use_message

if TYPE_CHECKING:
    from puter.replies import ToolCall
    from puter.tools import BeforeTool, Toolbox
    from puter.wire.chat import Message

NOT_RUN = "Not run: the conversation was stopped."


def run_calls(
    calls: tuple[ToolCall, ...], tools: Toolbox, before: BeforeTool | None
) -> Flow[tuple[list[Message], StopChat | None]]:
    """Run the calls; each comes back with its result, and with the wish to stop if there was one.

    What goes wrong is told to the model: unknown names, arguments that do not fit, a tool's own
    exception.
    """
    made: list[ToolCall] = []
    results: dict[int, str] = {}
    asks: dict[int, Ask] = {}
    stop: StopChat | None = None
    for place, wanted in enumerate(calls):
        call, refusal = wanted, None
        if before is not None and stop is None:
            try:
                call, refusal = judged(wanted, (yield from ask(before, wanted)))
            except StopChat as wish:
                stop, refusal = wish, NOT_RUN
        if refusal is not None:
            results[place] = refusal
        made.append(call)
        if place not in results:
            _plan(place, call, tools, asks, results)
    if stop is None:
        outcomes = yield from ask_all(tuple(asks.values()), StopChat)
        for place, outcome in zip(asks, outcomes, strict=False):
            if isinstance(outcome, StopChat):
                stop = stop or outcome
                results[place] = result_text(outcome.message) or "Stopped."
            elif isinstance(outcome, Exception):
                results[place] = error_text(outcome)
            else:
                results[place] = _told(outcome)
            wished = not isinstance(outcome, Exception) or isinstance(outcome, StopChat)
            yield from tell(ToolRan(made[place].name, made[place].id, None if wished else outcome))
    round_: list[Message] = []
    for place, call in enumerate(made):
        block: dict[str, Any] = {"type": "tool_use", "id": call.id, "name": call.name}
        round_.append(use_message({**block, "input": call.arguments, **call.extra}))
        result = {"role": "tool", "tool_call_id": call.id, "content": results.get(place, NOT_RUN)}
        round_.append(result)
    return round_, stop


def _plan(
    place: int, call: ToolCall, tools: Toolbox, asks: dict[int, Ask], results: dict[int, str]
) -> None:
    tool = tools.tools.get(call.name)
    if tool is None:
        known = ", ".join(tools.tools)
        results[place] = f"Error: there is no tool named {call.name!r}; there are: {known}"
        return
    try:
        asks[place] = Ask(tool.bind(call.arguments), cheap=tool.cheap)
    except ValueError as error:
        results[place] = error_text(error)


def _told(value: Any) -> str:
    try:
        return result_text(value)
    except (TypeError, ValueError, RecursionError) as error:
        return f"Error: the result cannot be written as JSON: {error}"
