"""The client against a model of the server: anything in any order, through both doors.

What must hold after every step: the history grows by whole turns, a permit is held by each open
stream and by nothing else, no request that may have run is sent again, no tool runs twice, the
ledger and a budget are what the server billed, and nothing shows a secret.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import warnings
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import puter
from puter import ChatReply, PuterAI, PuterError
from puter.engine.effects import Send
from puter.extensions import Budget
from puter.wire.http import HttpReply
from tests.door import (
    CUT,
    REFUSED,
    SILENCE,
    Door,
    Scripted,
    Sent,
    chat_body,
    error_body,
    json_answer,
    stream_answer,
    text_answer,
)

LONG = bool(os.environ.get("PUTER_LONG_TESTS"))
PASSWORD = "hush-password-hush"
PRICE, ESTIMATE = Decimal("0.000078"), Decimal(1)
TOKENS = 11, 7
DOORS = st.sampled_from(["sync", "async"])
Told = list[tuple[str, ...]]


def told(messages: Any) -> Told:
    """What messages say, whatever their form."""
    found: Told = []
    for one in messages:
        if one["role"] == "tool":
            found.append(("result", one["tool_call_id"], one["content"]))
        elif isinstance(one["content"], str):
            found.append((one["role"], one["content"]))
        else:
            found += [("call", part["id"]) for part in one["content"]]
    return found


# ------------------------------------------------------------ the server


@dataclass
class Server:
    """Answers chats as planned, and keeps account of what may have run."""

    door: Door = field(default_factory=lambda: Door("sync"))
    plan: deque[str] = field(default_factory=deque)
    """What becomes of the next chats."""
    asked: list[Told] = field(default_factory=list)
    """What each chat said."""
    ran: int = 0
    """Chats that may have run, and so be billed."""
    priced: int = 0
    """Of those, whose price the client was told."""
    numbers: int = 0
    tokens: set[str] = field(default_factory=set)
    logins: int = 0

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def answer(self, sent: Sent) -> Any:
        if sent.url.endswith("/drivers/call"):
            return self._chat(sent)
        if sent.url.endswith("/login"):
            self.logins += 1
            if self.plan and self.plan[0] == "no entry":
                self.plan.popleft()
                return json_answer(error_body("Incorrect password.", "password_mismatch"), 400)
            token = f"hush-token-{self.number()}-hush"
            self.tokens.add(token)
            return json_answer({"proceed": True, "next_step": "complete", "token": token})
        if sent.url.endswith("/logout"):
            self.tokens.clear()
        return json_answer({"token": "proof"})

    def _chat(self, sent: Sent) -> Any:
        bearer = sent.headers.get("Authorization", "").removeprefix("Bearer ")
        if bearer not in self.tokens:
            return json_answer(error_body("no", "token_auth_failed"), 401)
        self.asked.append(told(sent.args["messages"]))
        what = self.plan.popleft()
        if what in REFUSALS:
            return REFUSALS[what]
        self.ran += 1
        if what in LOSSES:
            return LOSSES[what]
        if what == "interrupt":
            raise KeyboardInterrupt
        number = self.number()
        call = {"id": f"call-{number}", "name": "double", "arguments": f'{{"number": {number}}}'}
        if not sent.args.get("stream"):
            if what == "answer":
                return json_answer(chat_body(f"answer-{number}"))
            function = {"id": call["id"], "type": "function", "function": call}
            return json_answer(chat_body(None, message={"tool_calls": [function]}))
        return stream_answer(*self._pieces(what, number, call))

    def _pieces(self, what: str, number: int, call: dict[str, Any]) -> list[Any]:
        usage = {"prompt_tokens": TOKENS[0], "completion_tokens": TOKENS[1], "usd_cents": 0.0078}
        end = {"type": "usage", "usage": usage}
        text = [{"type": "text", "text": one} for one in ("answer", "-", str(number))]
        match what:
            case "answer":
                return [*text, end]
            case "tool":
                use = {"type": "tool_use", **call, "input": {"number": number}, "text": ""}
                return [{key: use[key] for key in use if key != "arguments"}, end]
            case "cut inside":
                return [*text[:2], CUT]
            case "silent inside":
                return [*text[:1], SILENCE]
            case "error inside":
                return [*text[:2], {"type": "error", "message": "the vendor failed"}]
            case "garbage inside":
                return [*text[:2], b"<html>\n"]
            case _:
                return [*text[:2], _interrupt]


def _interrupt(*_: Any) -> Any:
    raise KeyboardInterrupt


def _fail(_: int) -> Any:
    raise ValueError("too odd")


REFUSALS: dict[str, Any] = {
    "busy": json_answer(error_body("Too many requests.", "too_many_requests"), 429),
    "refused": REFUSED,
    "no money": json_answer(error_body("Insufficient funds", "insufficient_funds"), 402),
    "bad": json_answer(error_body("Bad", "bad_request"), 400),
    "broken": json_answer(error_body("Internal Server Error", "internal_error"), 500),
}
"""Nothing runs."""
LOSSES: dict[str, Any] = {
    "cut": CUT,
    "silent": SILENCE,
    "gateway": text_answer("<html>", "text/html", 504),
    "unreadable": text_answer("{", "application/json"),
}
"""It may have run, and nobody knows what it cost."""
AGAIN = ("busy", "refused")
"""The client may send the same again."""
INSIDE = ("cut inside", "silent inside", "error inside", "garbage inside")
ENDS = ("no money", "bad", "broken", *LOSSES)


class Wire(Scripted):
    """Gives up control before and after a request, so that a task can be cancelled there."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.door)
        self._server = server

    def send(self, effect: Send) -> HttpReply:
        return self._arrived(super().send(effect))

    async def async_send(self, effect: Send) -> HttpReply:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            effect.on_unsent()
            raise
        reply = await super().async_send(effect)
        await asyncio.sleep(0)
        return self._arrived(reply)

    def _arrived(self, reply: HttpReply) -> HttpReply:
        """The price of a whole answer is known from here on."""
        self._server.priced += b'"usd_cents"' in reply.body
        return reply


class Watch(logging.Handler):
    """Reads the log, and interrupts in the midst of it when armed."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text: list[str] = []
        self.armed = False

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(self.format(record))
        if self.armed and " -> 200" in self.text[-1] and "/drivers/call" in self.text[-1]:
            self.armed = False
            raise KeyboardInterrupt


# ------------------------------------------------------------ the client


@dataclass
class Subject:
    """A client or a conversation, and what its history must be."""

    talker: Any
    turns: list[Told] = field(default_factory=list)
    streaming: int = 0

    @property
    def queued(self) -> bool:
        return not isinstance(self.talker, PuterAI)

    @property
    def messages(self) -> Any:
        return self.talker.messages if self.queued else self.talker.chat_history

    @property
    def past(self) -> Told:
        return [one for turn in self.turns for one in turn]


@dataclass
class Open:
    """A stream that was left open."""

    stream: Any
    kind: str
    subject: Subject
    turn: Told


@dataclass
class Unfinished:
    """A turn that can be resumed: what an error or a reply left."""

    reply: ChatReply
    subject: Subject
    turn: Told


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.server.door.answers(self.server.answer)
        self.loop = asyncio.new_event_loop()
        self.watch = Watch()
        self.logger = logging.getLogger("puter")
        self.logger.addHandler(self.watch)
        self.level = self.logger.level
        self.logger.setLevel(logging.DEBUG)
        self.runs: Counter[int] = Counter()
        self.signed_out = False
        self.streams: list[Open] = []
        self.unfinished: list[Unfinished] = []
        self.ai = self.server.door.client(
            token=None,
            username="alice",
            password=PASSWORD,
            transport=Wire(self.server),
            max_concurrency=9,
            rate_limit_requests=None,
        )
        self.budget = Budget(10**6, estimate=ESTIMATE)
        self.ai.use(self.budget)
        self.subjects = [Subject(self.ai), Subject(self.ai.conversation(system="Be brief."))]

    def teardown(self) -> None:
        for one in [*self.streams]:
            self._shut(one)
        self.logger.removeHandler(self.watch)
        self.logger.setLevel(self.level)
        self.loop.close()

    # -------------------------------------------------------- how a step is taken

    def run(self, kind: str, target: Any, method: str, *args: Any, **options: Any) -> Any:
        if kind == "sync":
            return getattr(target, method)(*args, **options)
        name = method if hasattr(target, "__anext__") else f"async_{method}"
        return self._wait_for(getattr(target, name)(*args, **options))

    def _wait_for(self, awaitable: Any) -> Any:
        """As ``asyncio.run``: what an interrupt leaves is cancelled."""
        try:
            return self.loop.run_until_complete(awaitable)
        except KeyboardInterrupt:
            while tasks := asyncio.all_tasks(self.loop):
                for one in tasks:
                    one.cancel()
                try:
                    self.loop.run_until_complete(asyncio.wait(tasks))
                except KeyboardInterrupt:
                    continue
            raise

    def _subject(self, data: st.DataObject) -> Subject:
        free = [one for one in self.subjects if not (one.queued and one.streaming)]
        return data.draw(st.sampled_from(free), "who")

    def _prompt(self) -> str:
        return f"prompt-{self.server.number()}"

    def _plan(self, *what: str) -> None:
        assert not self.server.plan
        self.server.plan.extend(what)

    def _tool(self, outcome: Callable[[int], int] = lambda number: 2 * number) -> Any:
        def double(number: int) -> int:
            """Double a number."""
            self.runs[number] += 1
            return outcome(number)

        return double

    def _made(self, reply: ChatReply, subject: Subject, turn: Told) -> None:
        """The turn was made: its prompt, its tools, its last answer."""
        said = [*turn, ("assistant", reply.text)]
        assert told(reply.messages)[-len(said) :] == said
        subject.turns.append(said)

    def _failed(self, error: BaseException) -> None:
        shown = f"{error!r} {error} {getattr(error, 'body', '')} {getattr(error, 'partial', '')!r}"
        assert "hush" not in shown

    # -------------------------------------------------------- rules: who

    @rule(kind=DOORS)
    def log_in(self, kind: str) -> None:
        assert self.run(kind, self.ai, "login") is True
        self.signed_out = False

    @rule(kind=DOORS)
    def log_in_in_vain(self, kind: str) -> None:
        self._plan("no entry")
        with pytest.raises(puter.PuterAuthError) as caught:
            self.run(kind, self.ai, "login")
        self._failed(caught.value)

    @rule(kind=DOORS)
    def log_out(self, kind: str) -> None:
        self.run(kind, self.ai, "logout")
        self.signed_out = True

    @precondition(lambda self: len(self.subjects) < 6)
    @rule()
    def copy_with_options(self) -> None:
        self.subjects.append(Subject(self.ai.with_options(timeout=5.0)))

    @precondition(lambda self: len(self.subjects) < 6)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        origin = data.draw(st.sampled_from([one for one in self.subjects if one.queued]))
        self.subjects.append(Subject(origin.talker.fork(), list(origin.turns)))

    @rule(data=st.data())
    def clear(self, data: st.DataObject) -> None:
        subject = data.draw(st.sampled_from(self.subjects))
        subject.talker.clear() if subject.queued else subject.talker.clear_chat_history()
        subject.turns.clear()

    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        subject = data.draw(st.sampled_from([one for one in self.subjects if one.queued]))
        gone = told(subject.talker.undo())
        assert gone == (subject.turns.pop() if subject.turns else [])

    # -------------------------------------------------------- rules: chats

    @precondition(lambda self: self.signed_out)
    @rule(kind=DOORS, data=st.data())
    def chat_without_token(self, kind: str, data: st.DataObject) -> None:
        asked = len(self.server.door.sent)
        with pytest.raises(puter.PuterAuthError):
            self.run(kind, self._subject(data).talker, "chat", self._prompt())
        assert len(self.server.door.sent) == asked

    @precondition(lambda self: not self.signed_out)
    @rule(kind=DOORS, data=st.data(), again=st.lists(st.sampled_from(AGAIN), max_size=2))
    def chat(self, kind: str, data: st.DataObject, again: list[str]) -> None:
        subject, prompt = self._subject(data), self._prompt()
        self._plan(*again, "answer")
        reply = self.run(kind, subject.talker, "chat", prompt)
        system = [("system", "Be brief.")] if subject.queued else []
        asked = [*system, *subject.past, ("user", prompt)]
        assert self.server.asked[-1 - len(again) :] == [asked] * (1 + len(again))
        self._made(reply, subject, [("user", prompt)])

    @precondition(lambda self: not self.signed_out)
    @rule(kind=DOORS, data=st.data(), end=st.sampled_from(ENDS), stream=st.booleans())
    def chat_fails(self, kind: str, data: st.DataObject, end: str, stream: bool) -> None:
        subject = self._subject(data)
        self._plan(end)
        with pytest.raises(PuterError) as caught:
            self.run(kind, subject.talker, "chat", self._prompt(), stream=stream)
        self._failed(caught.value)

    @precondition(lambda self: not self.signed_out)
    @rule(kind=DOORS, data=st.data(), stream=st.booleans(), fails=st.booleans())
    def tools(self, kind: str, data: st.DataObject, stream: bool, fails: bool) -> None:
        subject, prompt = self._subject(data), self._prompt()
        self._plan("tool", "answer")
        tool = self._tool(_fail) if fails else self._tool()
        reply = self.run(kind, subject.talker, "chat", prompt, tools=[tool], stream=stream)
        if stream:
            reply = self._read(kind, reply)
            self.server.priced += 2
        call, result = told(reply.messages)[1:3]
        assert call[0] == "call"
        assert ("too odd" in result[2]) if fails else result[2].isdigit()
        self._made(reply, subject, [("user", prompt), call, result])

    @precondition(lambda self: not self.signed_out)
    @rule(kind=DOORS, data=st.data())
    def leave_tools_to_the_caller(self, kind: str, data: st.DataObject) -> None:
        subject, prompt = self._subject(data), self._prompt()
        self._plan("tool")
        tools = [self._tool()]
        reply = self.run(kind, subject.talker, "chat", prompt, tools=tools, run_tools=False)
        assert len(reply.tool_calls) == 1
        self.unfinished.append(Unfinished(reply, subject, told(reply.messages)))

    @precondition(lambda self: not self.signed_out)
    @rule(kind=DOORS, data=st.data(), end=st.sampled_from(ENDS))
    def fail_after_tools(self, kind: str, data: st.DataObject, end: str) -> None:
        subject, prompt = self._subject(data), self._prompt()
        self._plan("tool", end)
        with pytest.raises(PuterError) as caught:
            self.run(kind, subject.talker, "chat", prompt, tools=[self._tool()])
        self._failed(caught.value)
        left = caught.value.partial
        assert isinstance(left, ChatReply)
        self.unfinished.append(Unfinished(left, subject, told(left.messages)))

    @precondition(lambda self: self.unfinished and not self.signed_out)
    @rule(kind=DOORS, by_hand=st.booleans(), data=st.data())
    def resume(self, kind: str, by_hand: bool, data: st.DataObject) -> None:
        ready = [
            one for one in self.unfinished if not (one.subject.queued and one.subject.streaming)
        ]
        if not ready:
            return
        left = data.draw(st.sampled_from(ready))
        self.unfinished.remove(left)
        calls, turn = left.reply.tool_calls, left.turn
        results = {one.id: "5" for one in calls} if by_hand else {}
        self._plan("answer")
        resume: Any = left.reply
        if data.draw(st.booleans()):
            resume = json.loads(json.dumps(left.reply.to_dict()))
        tools = [self._tool()]
        given = {"resume": resume, "tool_results": results, "tools": tools}
        reply = self.run(kind, left.subject.talker, "chat", **given)
        now = told(reply.messages)
        if turn[-1][0] == "assistant":  # an answer that broke off is asked for again
            turn = turn[:-1]
        if calls:
            turn = now[: len(turn) + len(calls)]
            assert [one[0] for one in turn[-len(calls) :]] == ["result"] * len(calls)
        self._made(reply, left.subject, turn)

    # -------------------------------------------------------- rules: streams

    @precondition(lambda self: not self.signed_out)
    @rule(
        kind=DOORS,
        data=st.data(),
        what=st.sampled_from(["whole", "leave open", "close", "drop"]),
        read=st.integers(0, 3),
    )
    def stream(self, kind: str, data: st.DataObject, what: str, read: int) -> None:
        if what == "leave open" and len(self.streams) > 4:
            return
        subject, prompt = self._subject(data), self._prompt()
        self._plan("answer")
        stream = self.run(kind, subject.talker, "chat", prompt, stream=True)
        one = Open(stream, kind, subject, [("user", prompt)])
        self.streams.append(one)
        subject.streaming += 1
        del stream
        if what == "whole":
            self._finish(one)
            return
        for _ in range(read):  # of three pieces: the last comes with the end
            self._next(one)
        if one.stream._over:
            self._settle(one)
            return
        if what == "close":
            self._shut(one)
        elif what == "drop":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                self._forget(one)
                one.stream = None

    @precondition(lambda self: not self.signed_out)
    @rule(kind=DOORS, data=st.data(), what=st.sampled_from(INSIDE))
    def stream_breaks(self, kind: str, data: st.DataObject, what: str) -> None:
        subject, prompt = self._subject(data), self._prompt()
        self._plan(what)
        stream = self.run(kind, subject.talker, "chat", prompt, stream=True)
        with pytest.raises(PuterError) as caught:
            self._read(kind, stream)
        self._failed(caught.value)
        left = caught.value.partial
        assert isinstance(left, ChatReply)
        assert left.text.startswith("answer")
        self.unfinished.append(Unfinished(left, subject, told(left.messages)))

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def read_on(self, data: st.DataObject) -> None:
        self._finish(data.draw(st.sampled_from(self.streams)))

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        self._shut(data.draw(st.sampled_from(self.streams)))

    def _next(self, one: Open) -> None:
        if one.kind == "sync":
            next(one.stream)
        else:
            self._wait_for(anext(one.stream))

    def _read(self, kind: str, stream: Any) -> ChatReply:
        done = stream.until_done()
        reply: ChatReply = done if kind == "sync" else self._wait_for(done)
        return reply

    def _read_all(self, kind: str, subject: Subject, prompt: str, **options: Any) -> None:
        answer = self.run(kind, subject.talker, "chat", prompt, **options)
        if options["stream"]:
            self._read(kind, answer)

    def _finish(self, one: Open) -> None:
        self._read(one.kind, one.stream)
        self._settle(one)

    def _settle(self, one: Open) -> None:
        """The stream came to its end."""
        self.server.priced += 1
        self._forget(one)
        self._made(one.stream.reply, one.subject, one.turn)

    def _shut(self, one: Open) -> None:
        self._forget(one)
        one.stream.close() if one.kind == "sync" else self._wait_for(one.stream.aclose())

    def _forget(self, one: Open) -> None:
        if one in self.streams:
            self.streams.remove(one)
            one.subject.streaming -= 1

    # -------------------------------------------------------- rules: cancelled and interrupted

    @precondition(lambda self: not self.signed_out)
    @rule(
        data=st.data(), steps=st.integers(0, 12), how=st.sampled_from(["plain", "tools", "stream"])
    )
    def cancel(self, data: st.DataObject, steps: int, how: str) -> None:
        subject, prompt = self._subject(data), self._prompt()
        plan = ["tool", "answer"] if how == "tools" else ["answer"]
        self._plan(*plan)

        async def double(number: int) -> int:
            """Double a number."""
            await asyncio.sleep(0)
            self.runs[number] += 1
            return 2 * number

        async def call() -> Any:
            options: dict[str, Any] = {"tools": [double]} if how == "tools" else {}
            if how != "stream":
                return await subject.talker.async_chat(prompt, **options)
            async with await subject.talker.async_chat(prompt, stream=True) as stream:
                async for _ in stream:
                    await asyncio.sleep(0)
                return stream.reply

        async def attempt() -> Any:
            task = asyncio.ensure_future(call())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            return None if task.cancelled() else task.result()

        reply = self.loop.run_until_complete(attempt())
        self.server.plan.clear()
        if reply is not None:
            self.server.priced += how == "stream"
            self._made(reply, subject, told(reply.messages)[:-1])
        elif (
            how == "stream" and subject.messages and len(told(subject.messages)) > len(subject.past)
        ):
            # Cancelled between the end, which commits the turn, and the last chunk.
            self.server.priced += 1
            subject.turns.append(told(subject.messages)[len(subject.past) :])
            assert subject.turns[-1][0] == ("user", prompt)

    @precondition(lambda self: not self.signed_out)
    @rule(kind=DOORS, data=st.data(), where=st.sampled_from(["request", "line", "tool", "log"]))
    def interrupt(self, kind: str, data: st.DataObject, where: str) -> None:
        subject, prompt = self._subject(data), self._prompt()
        plans = {
            "request": "interrupt",
            "line": "interrupt inside",
            "tool": "tool",
            "log": "answer",
        }
        self._plan(plans[where])
        self.watch.armed = where == "log"
        tools = {"tools": [self._tool(_interrupt)]} if where == "tool" else {}
        with pytest.raises(KeyboardInterrupt):
            self._read_all(kind, subject, prompt, stream=where == "line", **tools)
        self.watch.armed = False
        if where == "log":
            self.server.priced -= 1  # it came, and nobody looked

    # -------------------------------------------------------- what must hold

    @invariant()
    def histories_have_whole_turns(self) -> None:
        for one in self.subjects:
            assert told(one.messages) == one.past

    @invariant()
    def permits_are_held_by_open_streams_alone(self) -> None:
        throttle = self.ai._throttle
        assert (throttle.running, throttle.waiting) == (len(self.streams), 0)
        for one in self.subjects:
            if one.queued:
                queue = one.talker._history.queue
                assert (queue.running, queue.waiting) == (one.streaming, 0)

    @invariant()
    def the_ledger_is_what_the_server_billed(self) -> None:
        ran, spent = self.server.ran - len(self.streams), self.ai.usage.total
        assert spent.requests == ran
        assert spent.cost == PRICE * self.server.priced
        assert spent.unpriced == ran - self.server.priced
        assert (spent.input_tokens, spent.output_tokens) == tuple(
            count * self.server.priced for count in TOKENS
        )

    @invariant()
    def the_budget_counts_that_and_holds_what_may_still_come(self) -> None:
        lost = self.server.ran - len(self.streams) - self.server.priced
        assert self.budget.spent == PRICE * self.server.priced + ESTIMATE * lost
        assert self.budget.reserved == ESTIMATE * len(self.streams)

    @invariant()
    def nothing_ran_twice(self) -> None:
        assert not self.server.plan
        assert set(self.runs.values()) <= {1}

    @invariant()
    def nothing_shows_a_secret(self) -> None:
        shown = [self.ai, *(one.talker for one in self.subjects), self.ai.usage, self.ai.config]
        shown += [one.stream for one in self.streams]
        assert "hush" not in repr(shown) + "".join(self.watch.text)
        self.watch.text.clear()


CHECKS = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


@pytest.mark.timeout(7200 if LONG else 300)
def test_anything_in_any_order() -> None:
    """``PUTER_LONG_TESTS=1`` tries much more."""
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=3000 if LONG else 40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=CHECKS,
            derandomize=not LONG,
        ),
    )
