"""Chat: a question out, an answer back, tools in between, and the whole turn remembered."""

from __future__ import annotations

import copy
import dataclasses
from contextvars import ContextVar
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from puter.exceptions import PuterInputError, PuterStreamError, PuterToolError
from puter.flow import Flow, admit
from puter.operations.answering import streamed, whole
from puter.operations.asking import Question, Route, compose, route_of
from puter.operations.tools import run_calls
from puter.replies import ChatReply, Usage
from puter.tools import result_text
from puter.wire.chat import Message, assistant_messages, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from puter.exchange import Call
    from puter.history import History
    from puter.tools import Toolbox

T = TypeVar("T")

_running: ContextVar[tuple[_Talk, ...]] = ContextVar("puter_tools_running", default=())
"""Turns whose tools this code is called by."""


def chat(call: Call, history: History, question: Question) -> Flow[ChatReply]:
    """Ask, run the tools that the model calls, and return its last answer."""
    return (yield from in_turn(call, history, talk(call, history, question)))


def stream(call: Call, history: History, question: Question) -> Flow[ChatReply]:
    """The same with the chunks of every answer as they come."""
    return (yield from in_turn(call, history, talk(call, history, question, streamed)))


def in_turn(call: Call, history: History, steps: Flow[T]) -> Flow[T]:
    """Carry the flow out when its turn has come; the client's own history has no queue."""
    if history.gate is None:
        return (yield from steps)
    if any(talk.history is history and talk.busy for talk in _running.get()):
        raise PuterInputError(
            "A tool cannot talk in the conversation that called it: each would wait for the other",
            hint="Let it use the client, or a fork() of the conversation.",
        )
    place = yield from admit(history.gate, timeout=call.time_left())
    call.places.append(place)
    try:
        return (yield from steps)
    finally:
        place.release()


def talk(
    call: Call,
    history: History,
    question: Question,
    answer: Callable[..., Flow[None]] = whole,
) -> Flow[ChatReply]:
    """One turn, with as many answers as there are rounds of tools."""
    route = route_of(call, history, question)
    turn, sent = yield from compose(history, question)
    before = sent[: len(sent) - len(turn)]
    going = _Talk(call, history, question, route, turn)
    while going.reply is None:
        try:
            yield from answer(call, route, before + going.turn, question, going.settle)
        except PuterStreamError as error:
            if error.partial is not None:
                error.partial = going.so_far(error.partial)
            raise
        if going.reply is None and question.tools is not None:
            yield from going.run_tools(question.tools)
    return going.reply


class _Talk:
    """One turn under way: its messages, what it cost so far, and its reply once there is one."""

    def __init__(
        self, call: Call, history: History, question: Question, route: Route, turn: list[Message]
    ) -> None:
        self.turn = list(turn)
        self.reply: ChatReply | None = None
        self.history = history
        self.busy = False  # running tools
        self._call = call
        self._question = question
        self._route = route
        self._rounds: list[ChatReply] = []  # answers whose tools were run

    def settle(self, answer: ChatReply) -> bool:
        """Book an answer and judge it; unless it wants tools run, it is the reply."""
        for picture in answer.images:
            picture._through(self._call.config)
        self._call.ledger.record(answer.model or self._route.model, answer.usage, answer.cost)
        judge(answer, asked=self._route.model, provider=self._question.options.get("provider"))
        if not (answer.tool_calls and self._question.runs(answer.tool_calls)):
            self._finish(answer, assistant_messages(answer))
        elif len(self._rounds) == self._question.max_rounds:
            raise PuterToolError(
                f"The model still called tools after {self._question.max_rounds} rounds",
                hint="Raise max_rounds, or look at .messages for what it is after.",
                messages=tuple(self.turn + assistant_messages(answer)),
            )
        else:
            self._rounds.append(answer)
        return self.reply is not None

    def run_tools(self, tools: Toolbox) -> Flow[None]:
        """Run the calls of the last answer and add them, each with its result, to the turn."""
        answer = self._rounds[-1]
        outer, self.busy = _running.get(), True
        _running.set((*outer, self))
        try:
            done, stop = yield from run_calls(answer.tool_calls, tools, self._question.before_tool)
        finally:
            self.busy = False
            _running.set(outer)
        self.turn += assistant_messages(answer)[: -len(answer.tool_calls)] + done
        if stop is not None:
            self._rounds.pop()
            text = result_text(stop.message).strip()
            closing = [{"role": "assistant", "content": text}] if text else []
            said = answer.but(text=text or answer.text, tool_calls=(), finish_reason="stop")
            self._finish(said, closing)

    def so_far(self, answer: ChatReply) -> ChatReply:
        """An answer with the cost of all before it added, and the messages of the turn."""
        return sum_up([*self._rounds, answer]).but(
            elapsed=self._call.elapsed,
            messages=tuple(self.turn + assistant_messages(answer)),
        )

    def _finish(self, answer: ChatReply, messages: list[Message]) -> None:
        self.turn += messages
        self.reply = self.so_far(answer).but(messages=tuple(self.turn))
        question = self._question
        # A turn with unanswered calls would be refused next time: it goes on with messages=.
        if question.remember and question.messages is None and not answer.tool_calls:
            self.history.commit(copy.deepcopy(self.turn))  # the reply's own stay the caller's


def sum_up(answers: list[ChatReply]) -> ChatReply:
    """The last answer with usage, cost and attempts of all; one unknown cost leaves it unknown."""
    if len(answers) == 1:
        return answers[0]
    costs = [one.cost for one in answers]
    known = [one for one in costs if one is not None]
    usages = [one.usage for one in answers]
    counts = [one.name for one in dataclasses.fields(Usage) if one.name != "raw"]
    sums: dict[str, Any] = {name: sum(getattr(one, name) for one in usages) for name in counts}
    return answers[-1].but(
        usage=Usage(**sums, raw=[one.raw for one in usages]),
        cost=sum(known, Decimal(0)) if len(known) == len(costs) else None,
        attempts=sum(one.attempts for one in answers),
    )
