"""A turn that stops on its way: what its error holds, and how it is taken up again."""

from __future__ import annotations

import asyncio
import copy
import functools
import json
import pickle
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

import puter
from puter import ChatReply, PuterError, PuterInputError, StopChat, ToolCall
from puter.api.turn import INCOMPLETE, _running
from puter.engine import transport
from puter.wire.typed import correction
from tests.door import (
    CUT,
    SILENCE,
    Door,
    answer,
    chat_body,
    chunks,
    error_body,
    shut,
    step,
    stream_answer,
    until_done,
)

Message = dict[str, Any]
ROUND = Decimal("0.000078")
POOR = (402, error_body("poor", "insufficient_funds"))
BEFORE: Message = {"role": "user", "content": "Before"}
GO: Message = {"role": "user", "content": "Go"}
DONE: Message = {"role": "assistant", "content": "Done."}

streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def call(identity: str, a: int = 1, name: str = "add") -> ToolCall:
    return ToolCall(identity, name, {"a": a})


def done(one: ToolCall, result: Any = None) -> list[Message]:
    """The messages of a call that ran."""
    block = {"type": "tool_use", "id": one.id, "name": one.name, "input": one.arguments}
    content = str(one.arguments["a"] + 1 if result is None else result)
    return [
        {"role": "assistant", "content": [block]},
        {"role": "tool", "tool_call_id": one.id, "content": content},
    ]


class Adder:
    """A tool that counts."""

    def __init__(self) -> None:
        self.ran: list[int] = []

    def add(self, a: int) -> int:
        self.ran.append(a)
        return a + 1


@pytest.fixture
def adder() -> Adder:
    return Adder()


async def chat(door: Door, talk: Any, *args: Any, stream: bool = False, **arguments: Any) -> Any:
    """Chat, and read a stream to its end."""
    got = await door(talk, "chat", *args, stream=stream, **arguments)
    return await until_done(got) if stream else got


async def failing(door: Door, talk: Any, *args: Any, **arguments: Any) -> tuple[PuterError, Any]:
    """The error of a chat and its partial reply; nothing else may be left behind."""
    before = list(talk.messages)
    with pytest.raises(PuterError) as caught:
        await chat(door, talk, *args, **arguments)
    assert talk.messages == before
    free(talk)
    return caught.value, caught.value.partial


def free(talk: Any) -> None:
    """No permit is out, and no turn is noted as running tools."""
    assert talk._client._throttle.running == 0
    assert talk._history.queue.running == 0
    assert _running.get() == ()


def conversation(door: Door, **settings: Any) -> Any:
    return door.client(**settings).conversation(messages=[BEFORE])


def by_our_clock(ai: Any, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let a client and the transports have a clock that only the test moves."""
    now = [0.0]
    ai._clock = lambda: now[0]
    monkeypatch.setattr(transport, "monotonic", lambda: now[0])
    return now


# ------------------------------------------------------------ a later round fails

FAILURES: dict[str, tuple[bool, Any, type[PuterError], str]] = {
    "402": (False, POOR, puter.PuterInsufficientFundsError, ""),
    "cut": (False, CUT, puter.PuterConnectionError, ""),
    "timeout": (False, SILENCE, puter.PuterTimeoutError, ""),
    "empty": (False, chat_body(""), puter.PuterEmptyResponseError, ""),
    "streamed 402": (True, POOR, puter.PuterInsufficientFundsError, ""),
    "streamed cut": (True, ({"type": "text", "text": "Do"}, CUT), puter.PuterStreamError, "Do"),
    "streamed end": (True, ({"type": "text", "text": "Do"},), puter.PuterStreamError, "Do"),
    "streamed silence": (True, (SILENCE,), puter.PuterStreamError, ""),
    "streamed error": (True, ({"type": "error", "message": "no"},), puter.PuterStreamError, ""),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_later_round_that_fails_is_finished_by_resume(
    door: Door, adder: Adder, failure: str
) -> None:
    stream, fault, kind, text = FAILURES[failure]
    if isinstance(fault, tuple) and stream and fault is not POOR:
        fault = stream_answer(*fault)
    talk = conversation(door)
    first, second = call("c1", 1), call("c2", 2)
    door.answers(answer(stream, "Hm.", first), answer(stream, "", second), fault)
    error, partial = await failing(door, talk, "Go", tools=[adder.add], stream=stream)
    assert (type(error), len(door.sent), adder.ran) == (kind, 3, [1, 2])
    said = {"role": "assistant", "content": "Hm."}
    turn = [GO, said, *done(first), *done(second)]
    broken = [{"role": "assistant", "content": text}] if text else []
    assert list(partial.messages) == turn + broken
    rounds = 3 if failure == "empty" else 2
    assert (partial.usage.output_tokens, partial.tool_calls) == (7 * rounds, ())
    answered = 3 if failure == "empty" or kind is puter.PuterStreamError else 2
    assert partial.attempts == answered
    # What was cut off in its middle has a cost that nobody told.
    cost = None if partial.finish_reason == INCOMPLETE else rounds * ROUND
    assert partial.cost == cost
    assert (partial.finish_reason == INCOMPLETE) is (kind is puter.PuterStreamError)

    door.answers(answer(stream, "Done."))
    reply = await chat(door, talk, resume=partial, tools=[adder.add], stream=stream)
    assert (reply, adder.ran) == ("Done.", [1, 2])
    assert door.sent[3].args["messages"] == [BEFORE, *turn]
    assert list(reply.messages) == [*turn, DONE]
    assert talk.messages == [BEFORE, *turn, DONE]
    assert reply.usage.output_tokens == 7 * (rounds + 1)
    assert reply.cost == (None if cost is None else cost + ROUND)
    free(talk)


@streams
async def test_the_partial_reply_survives_copies_pickles_and_json(
    door: Door, adder: Adder, stream: bool
) -> None:
    talk = conversation(door)
    door.answers(answer(stream, "", call("c1")), POOR)
    error, partial = await failing(door, talk, "Go", tools=[adder.add], stream=stream)
    for again in (
        copy.copy(error).partial,
        pickle.loads(pickle.dumps(error)).partial,
        json.loads(json.dumps(partial.to_dict())),
    ):
        talk.clear()
        door.answers(answer(stream, "Done."))
        reply = await chat(door, talk, resume=again, tools=[adder.add], stream=stream)
        assert (reply, reply.cost) == ("Done.", 2 * ROUND)
        assert talk.messages == [GO, *done(call("c1")), DONE]
    assert adder.ran == [1]


async def test_the_clients_own_history_takes_a_resumed_turn_as_well(
    door: Door, adder: Adder
) -> None:
    ai = door.client()
    ai.chat_history.append(BEFORE)
    door.answers(answer(False, "", call("c1")), POOR)
    with pytest.raises(puter.PuterInsufficientFundsError) as caught:
        await door(ai, "chat", "Go", "gpt-4.1", tools=[adder.add])
    assert ai.chat_history == [BEFORE]
    door.answers(answer(False, "Done."))
    assert await door(ai, "chat", resume=caught.value.partial) == "Done."
    assert ai.chat_history == [BEFORE, GO, *done(call("c1")), DONE]
    assert [one.args["model"] for one in door.sent] == ["gpt-4.1"] * 3
    assert ai.usage.requests == 2
    door.answers(answer(False, "Done."))
    await door(ai, "chat", resume=caught.value.partial, remember=False)
    assert len(ai.chat_history) == 5


async def test_a_first_request_that_fails_has_no_partial_reply(door: Door) -> None:
    for fault in (POOR, CUT):
        door.answers(fault)
        _, partial = await failing(door, conversation(door), "Go")
        assert partial is None


async def test_a_resumed_turn_may_fail_and_be_resumed_again(door: Door, adder: Adder) -> None:
    talk = conversation(door)
    door.answers(answer(False, "", call("c1", 1)), POOR)
    _, partial = await failing(door, talk, "Go", tools=[adder.add])
    door.answers(answer(False, "", call("c2", 2)), POOR)
    _, partial = await failing(door, talk, resume=partial, tools=[adder.add])
    assert (partial.cost, partial.usage.output_tokens) == (2 * ROUND, 14)
    door.answers(POOR)
    _, partial = await failing(door, talk, resume=partial, tools=[adder.add])
    door.answers(answer(False, "Done."))
    reply = await chat(door, talk, resume=partial, tools=[adder.add])
    turn = [GO, *done(call("c1", 1)), *done(call("c2", 2)), DONE]
    assert (talk.messages, adder.ran) == ([BEFORE, *turn], [1, 2])
    assert (reply.cost, reply.usage.output_tokens) == (3 * ROUND, 21)


async def test_too_many_rounds_leave_the_last_calls_open(door: Door, adder: Adder) -> None:
    talk = conversation(door)
    door.answers(answer(False, "", call("c1", 1)), answer(False, "Hm.", call("c2", 2)))
    error, partial = await failing(door, talk, "Go", tools=[adder.add], max_rounds=1)
    assert (type(error), adder.ran) == (puter.PuterToolError, [1])
    assert partial.tool_calls == (call("c2", 2),)
    assert partial.messages == error.messages  # type: ignore[attr-defined]
    door.answers(answer(False, "Done."))
    await chat(door, talk, resume=partial, tools=[adder.add])
    said = {"role": "assistant", "content": "Hm."}
    assert talk.messages == [BEFORE, GO, *done(call("c1", 1)), said, *done(call("c2", 2)), DONE]
    assert adder.ran == [1, 2]


# ------------------------------------------------------------ a stream that broke off


async def test_a_stream_cut_in_mid_text_asks_again(door: Door) -> None:
    talk = conversation(door)
    door.answers(stream_answer({"type": "text", "text": "Do"}, CUT))
    error, partial = await failing(door, talk, "Go", stream=True)
    assert (type(error), partial) == (puter.PuterStreamError, "Do")
    assert list(partial.messages) == [GO, {"role": "assistant", "content": "Do"}]
    door.answers(POOR)  # the text stays out, however often it fails
    _, partial = await failing(door, talk, resume=partial, stream=True)
    _, partial = await failing(door, talk, resume=json.loads(json.dumps(partial.to_dict())))
    door.answers(answer(True, "Done."))
    assert await chat(door, talk, resume=partial, stream=True) == "Done."
    assert [one.args["messages"] for one in door.sent] == [[BEFORE, GO]] * 4
    assert talk.messages == [BEFORE, GO, DONE]


async def test_calls_of_a_stream_that_broke_off_are_not_run(door: Door, adder: Adder) -> None:
    talk = conversation(door)
    use = {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}}
    door.answers(stream_answer(use, CUT))
    _, partial = await failing(door, talk, "Go", tools=[adder.add], stream=True)
    assert (list(partial.messages), partial.tool_calls) == ([GO], (call("c1"),))
    door.answers(answer(True, "Done."))
    await chat(door, talk, resume=partial, tools=[adder.add], stream=True)
    assert (adder.ran, talk.messages) == ([], [BEFORE, GO, DONE])


# ------------------------------------------------------------ calls left to the caller


@streams
@pytest.mark.parametrize("kept", [False, True], ids=["reply", "dict"])
async def test_a_reply_with_open_calls_is_resumed_with_their_results(
    door: Door, stream: bool, kept: bool
) -> None:
    talk = conversation(door)
    first, second = call("c1", 1), call("c2", 2)
    door.answers(answer(stream, "Hm.", first, second), answer(stream, "Done."))
    schema = {"name": "add", "parameters": {"type": "object"}}
    reply = await chat(door, talk, "Go", tools=[schema], run_tools=False, stream=stream)
    assert reply.tool_calls == (first, second)
    assert talk.messages == [BEFORE]
    resume: Any = json.loads(json.dumps(reply.to_dict())) if kept else reply
    results = {"c2": {"t": 20}, "c1": "one"}
    final = await chat(door, talk, resume=resume, tool_results=results, stream=stream)
    said = {"role": "assistant", "content": "Hm."}
    turn = [GO, said, *done(first, "one"), *done(second, '{"t": 20}')]
    assert door.sent[1].args["messages"] == [BEFORE, *turn]
    assert (list(final.messages), talk.messages) == ([*turn, DONE], [BEFORE, *turn, DONE])
    assert (final.cost, final.usage.output_tokens, final.attempts) == (2 * ROUND, 14, 2)


@streams
async def test_some_calls_are_given_and_the_others_run(
    door: Door, adder: Adder, stream: bool
) -> None:
    talk = conversation(door)
    given, own = call("c1", 1, "look"), call("c2", 2)
    schema = {"name": "look", "parameters": {"type": "object"}}
    tools = [schema, adder.add]
    door.answers(answer(stream, "", given, own), answer(stream, "Done."))
    reply = await chat(door, talk, "Go", tools=tools, stream=stream)
    assert (len(reply.tool_calls), adder.ran) == (2, [])
    asked: list[str] = []

    def approve(one: ToolCall) -> bool:
        asked.append(one.id)
        return True

    arguments: Any = {"tools": tools, "tool_results": {"c1": "seen"}, "before_tool": approve}
    await chat(door, talk, resume=reply, stream=stream, **arguments)
    assert talk.messages == [BEFORE, GO, *done(given, "seen"), *done(own), DONE]
    assert (adder.ran, asked) == ([2], ["c2"])


async def test_given_results_are_for_the_open_calls_and_not_for_later_ones(
    door: Door, adder: Adder
) -> None:
    talk = conversation(door)
    door.answers(answer(False, "", call("c1", 1)))
    reply = await chat(door, talk, "Go", tools=[adder.add], run_tools=False)
    door.answers(answer(False, "", call("c1", 2)), answer(False, "Done."))  # ids may repeat
    await chat(door, talk, resume=reply, tools=[adder.add], tool_results={"c1": "given"})
    assert talk.messages == [BEFORE, GO, *done(call("c1", 1), "given"), *done(call("c1", 2)), DONE]
    assert adder.ran == [2]


async def test_a_call_whose_id_was_answered_in_an_earlier_round_is_open_all_the_same(
    door: Door, adder: Adder
) -> None:
    talk = conversation(door)
    door.answers(answer(False, "", call("c1", 1)), answer(False, "", call("c1", 2)))
    _, partial = await failing(door, talk, "Go", tools=[adder.add], max_rounds=1)
    door.answers(answer(False, "Done."))
    await chat(door, talk, resume=partial, tools=[adder.add])
    assert adder.ran == [1, 2]
    assert talk.messages == [BEFORE, GO, *done(call("c1", 1)), *done(call("c1", 2)), DONE]


async def test_rounds_in_any_form_count_as_answered(door: Door, adder: Adder) -> None:
    """What the user sent as ``messages`` may be in the form of Claude or of OpenAI."""
    function = {"name": "add", "arguments": '{"a": 1}'}
    claude = [
        GO,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "2"}],
        },
    ]
    openai = [
        GO,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
    ]
    for messages in (claude, openai):
        ai = door.client()
        door.answers(answer(False, "", call("c2", 2)))
        reply = await door(ai, "chat", messages=messages, tools=[adder.add], run_tools=False)
        door.answers(answer(False, "Done."))
        done_reply = await door(ai, "chat", resume=reply, tools=[adder.add])
        turn = [GO, *done(call("c1", 1)), *done(call("c2", 2)), DONE]
        assert (list(done_reply.messages), ai.chat_history) == (turn, [])
    assert adder.ran == [2, 2]


async def test_the_result_of_another_call_does_not_answer_an_open_one(
    door: Door, adder: Adder
) -> None:
    stray: Message = {"role": "tool", "tool_call_id": "c9", "content": "?"}
    reply = ChatReply("", messages=(GO, done(call("c1"))[0], stray), tool_calls=(call("c1"),))
    await chat(door, conversation(door), resume=reply, tools=[adder.add])
    assert adder.ran == [1]


async def test_a_tool_may_stop_a_resumed_turn(door: Door) -> None:
    def hang_up(a: int) -> None:
        raise StopChat("Bye.")

    talk = conversation(door)
    door.answers(answer(False, "", call("c1", name="hang_up")))
    reply = await chat(door, talk, "Go", tools=[hang_up], run_tools=False)
    final = await chat(door, talk, resume=reply, tools=[hang_up])
    assert (final, final.tool_calls, final.finish_reason) == ("Bye.", (), "stop")
    assert (final.cost, len(door.sent)) == (ROUND, 1)
    assert talk.messages[-1] == {"role": "assistant", "content": "Bye."}


OPEN = ChatReply(
    "",
    messages=(GO, done(call("c1"))[0]),
    tool_calls=(call("c1"),),
    finish_reason="tool_calls",
)
WHOLE = ChatReply("Done.", messages=(GO, DONE))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"resume": OPEN, "tool_results": {"c9": 1}}, "'c9', which is no open call.* c1"),
        ({"resume": OPEN, "tool_results": {"c1": 1, "c9": 1}}, "'c9', which is no open call"),
        ({"resume": OPEN}, "The call 'c1' of add has no result.*tool_results="),
        ({"resume": OPEN, "tools": [{"name": "add"}]}, "The call 'c1' of add has no result"),
        ({"resume": OPEN, "run_tools": False}, "The call 'c1' of add has no result"),
        *(
            ({"resume": OPEN.copy_with(tool_calls=shown)}, "not the same in")
            for shown in ((call("c1", 9),), (call("c2"),), (call("c1"),) * 2, ())
        ),
        ({"resume": WHOLE}, "nothing to resume: the turn is complete"),
        ({"resume": WHOLE, "tool_results": {"c1": 1}}, "no open call of this turn.*none"),
        ({"resume": ChatReply("Hi")}, "resume.messages is empty"),
        ({"resume": "Hi"}, "resume must be a ChatReply or its to_dict.., not str"),
        ({"resume": {"text": "Hi", "usage": 5}}, "resume: this is no reply of to_dict"),
        ({"resume": {"a": 1}}, "resume: this is no reply of to_dict"),
        *(
            ({"resume": {**OPEN.to_dict(), "cost": cost}}, f"no reply of to_dict.*cost is {cost}")
            for cost in ("NaN", "-5", -1)
        ),
        ({"prompt": "And?", "resume": OPEN}, "takes nothing new to say"),
        ({"messages": [GO], "resume": OPEN}, "takes nothing new to say"),
        ({"images": b"x", "resume": OPEN}, "takes nothing new to say"),
        ({"files": [b"x"], "resume": OPEN}, "takes nothing new to say"),
        ({"content_parts": [], "resume": OPEN}, "takes nothing new to say"),
        ({"prompt": "Hi", "tool_results": {"c1": 1}}, "tool_results needs resume="),
        ({"resume": OPEN, "tool_results": {1: 1}}, "tool_results"),
        ({"resume": OPEN, "tool_results": ["c1"]}, "tool_results"),
    ],
    ids=str,
)
@streams
async def test_what_cannot_be_resumed_is_said_before_anything_is_sent(
    door: Door, arguments: dict[str, Any], told: str, stream: bool
) -> None:
    talk = conversation(door)
    with pytest.raises(PuterInputError, match=told):
        await door(talk, "chat", stream=stream, **arguments)
    assert (door.sent, talk.messages) == ([], [BEFORE])
    free(talk)


async def paused(door: Door, talk: Any, *calls: Any) -> ChatReply:
    """A turn whose calls wait for an approval."""

    def hold(_: ToolCall) -> bool:
        raise PuterError("Somebody has to say yes first")

    door.answers(answer(False, "", *(calls or [call("c1")])))
    _, partial = await failing(door, talk, "Go", tools=[Adder().add], before_tool=hold)
    return partial  # type: ignore[no-any-return]


AGAIN = "was resumed before.*Go on with the .partial of the error that came then"


@pytest.mark.parametrize("form", ["reply", "dict", "json"])
@streams
async def test_tools_of_a_resume_that_failed_do_not_run_again(
    door: Door, adder: Adder, form: str, stream: bool
) -> None:
    talk = conversation(door)
    partial: Any = await paused(door, talk)
    if form != "reply":
        partial = partial.to_dict()
    if form == "json":
        partial = json.loads(json.dumps(partial))
    door.answers(POOR)
    error, newer = await failing(door, talk, resume=partial, tools=[adder.add], stream=stream)
    assert (type(error), adder.ran) == (puter.PuterInsufficientFundsError, [1])
    sent = len(door.sent)
    for _ in range(2):
        with pytest.raises(PuterInputError, match=AGAIN):
            await chat(door, talk, resume=partial, tools=[adder.add], stream=stream)
    assert (len(door.sent), adder.ran) == (sent, [1])
    door.answers(answer(stream, "Done."))
    reply = await chat(door, talk, resume=newer, tools=[adder.add], stream=stream)
    assert (reply, adder.ran) == ("Done.", [1])
    assert talk.messages == [BEFORE, GO, *done(call("c1")), DONE]


async def test_a_later_tool_of_a_resume_that_failed_does_not_run_again(
    door: Door, adder: Adder
) -> None:
    talk = conversation(door)
    door.answers(answer(False, "", call("c1", 1)), POOR)
    _, partial = await failing(door, talk, "Go", tools=[adder.add])
    door.answers(answer(False, "", call("c2", 2)), POOR)
    await failing(door, talk, resume=partial, tools=[adder.add])
    with pytest.raises(PuterInputError, match=AGAIN):
        await door(talk, "chat", resume=partial, tools=[adder.add])
    assert (adder.ran, len(door.sent)) == ([1, 2], 4)


@pytest.mark.parametrize("kept", ["here", "in a file"])
async def test_a_turn_that_is_in_the_conversation_is_not_run_again(
    door: Door, adder: Adder, kept: str, tmp_path: Path
) -> None:
    talk = conversation(door)
    partial = await paused(door, talk, call("c1", 1), call("c2", 2))
    door.answers(answer(False, "Done."))
    await door(talk, "chat", resume=partial, tools=[adder.add])
    if kept == "in a file":
        talk = door.client().load_conversation(talk.save(tmp_path / "talk.json"))
    before, sent = list(talk.messages), len(door.sent)
    with pytest.raises(PuterInputError, match=AGAIN):
        await door(talk, "chat", resume=partial.to_dict(), tools=[adder.add])
    assert (talk.messages, len(door.sent), adder.ran) == (before, sent, [1, 2])


async def test_calls_that_are_answered_can_be_resumed_again(door: Door, adder: Adder) -> None:
    talk = conversation(door)
    partial = await paused(door, talk)
    for _ in range(2):
        door.answers(POOR)
        await failing(door, talk, resume=partial, tool_results={"c1": 2})
    door.answers(answer(False, "Done."))
    assert await door(talk, "chat", resume=partial, tool_results={"c1": 2}) == "Done."
    assert adder.ran == []


async def test_a_vendor_that_repeats_ids_may_pause_twice(door: Door, adder: Adder) -> None:
    talk = conversation(door)
    for number in (1, 2):
        partial = await paused(door, talk, call("c1", number))
        door.answers(answer(False, "Done."))
        await door(talk, "chat", resume=partial, tools=[adder.add])
    assert adder.ran == [1, 2]


async def test_one_of_two_that_resume_a_turn_at_once_runs_it(door: Door, adder: Adder) -> None:
    talk = conversation(door)
    partial = await paused(door, talk)
    door.answers(answer(False, "Done."))

    async def resume() -> Any:
        return await talk.async_chat(resume=partial, tools=[adder.add])

    def blocking() -> Any:
        return talk.chat(resume=partial, tools=[adder.add])

    each = resume if door.kind == "async" else functools.partial(asyncio.to_thread, blocking)
    ended = await asyncio.gather(each(), each(), return_exceptions=True)
    assert sorted(map(type, ended), key=str) == sorted([ChatReply, PuterInputError], key=str)
    assert adder.ran == [1]


@pytest.mark.parametrize("identity", ["x", ""])
async def test_calls_of_one_id_are_resumed_in_their_order(
    door: Door, adder: Adder, identity: str
) -> None:
    talk = conversation(door)
    calls = call(identity, 1), call(identity, 2)
    door.answers(answer(False, "", *calls), answer(False, "Done."))
    reply = await chat(door, talk, "Go", tools=[adder.add], run_tools=False)
    kept: Any = json.loads(json.dumps(reply.to_dict()))
    turned = {**kept, "tool_calls": kept["tool_calls"][::-1]}
    for wrong in (turned, {name: kept[name] for name in ("text", "messages")}):
        error, _ = await failing(door, talk, resume=wrong, tools=[adder.add])
        assert (type(error), adder.ran) == (PuterInputError, [])
    await chat(door, talk, resume=kept, tools=[adder.add])
    assert (sorted(adder.ran), talk.messages[-1]) == ([1, 2], DONE)


async def test_a_refused_resume_runs_nothing_and_can_be_put_right(door: Door, adder: Adder) -> None:
    talk = conversation(door)
    error, partial = await failing(door, talk, resume=OPEN, tool_results={"c9": 1})
    assert (type(error), partial.tool_calls) == (PuterInputError, OPEN.tool_calls)
    assert partial.messages == OPEN.messages
    door.answers(answer(False, "Done."))
    await chat(door, talk, resume=partial, tools=[adder.add])
    assert (adder.ran, talk.messages) == ([1], [BEFORE, GO, *done(call("c1")), DONE])


# ------------------------------------------------------------ the deadline


@streams
async def test_the_deadline_counts_the_time_of_tools(
    door: Door, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    talk = conversation(door, deadline=10)
    now = by_our_clock(talk._client, monkeypatch)

    def add(a: int) -> int:
        now[0] += 11
        return a + 1

    door.answers(answer(stream, "", call("c1")), answer(stream, "Done."))
    error, partial = await failing(door, talk, "Go", tools=[add], stream=stream)
    assert (type(error), len(door.sent)) == (puter.PuterTimeoutError, 1)
    assert list(partial.messages) == [GO, *done(call("c1"))]
    assert (partial.cost, partial.tool_calls) == (ROUND, ())
    reply = await chat(door, talk, resume=partial, tools=[add], stream=stream)
    assert (reply, now[0]) == ("Done.", 11)
    assert talk.messages == [BEFORE, GO, *done(call("c1")), DONE]


@streams
async def test_no_further_tool_is_begun_after_the_deadline(
    door: Door, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """A synchronous method runs them in turn; an asynchronous one has begun them all."""
    talk = conversation(door, deadline=10)
    now = by_our_clock(talk._client, monkeypatch)
    ran: list[int] = []
    asked: list[str] = []

    def approve(one: ToolCall) -> None:
        asked.append(one.id)

    def add(a: int) -> int:
        ran.append(a)
        now[0] += 6
        return a + 1

    calls = [call(f"c{n}", n) for n in range(1, 5)]
    door.answers(answer(stream, "", *calls), answer(stream, "Done."))
    arguments: Any = {"tools": [add], "before_tool": approve, "stream": stream}
    error, partial = await failing(door, talk, "Go", **arguments)
    assert asked == [one.id for one in calls]
    assert (type(error), len(door.sent)) == (puter.PuterTimeoutError, 1)
    begun = 2 if door.kind == "sync" else 4
    assert sorted(ran) == [1, 2, 3, 4][:begun]
    turn = [one for each in calls[:begun] for one in done(each)]
    left = [done(each)[0] for each in calls[begun:]]
    assert list(partial.messages) == [GO, *turn, *left]
    assert partial.tool_calls == tuple(calls[begun:])
    if door.kind == "sync":  # those that are left take too long as well, but they do run
        _, partial = await failing(door, talk, resume=partial, **arguments)
        assert partial.tool_calls == ()
    assert await chat(door, talk, resume=partial, **arguments) == "Done."
    assert sorted(ran) == [1, 2, 3, 4]
    assert talk.messages == [BEFORE, GO, *[one for each in calls for one in done(each)], DONE]


async def test_the_time_of_an_approval_counts_as_well(
    door: Door, adder: Adder, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = conversation(door, deadline=10)
    now = by_our_clock(talk._client, monkeypatch)

    def approve(_: ToolCall) -> bool:
        now[0] += 11
        return True

    door.answers(answer(False, "", call("c1")))
    error, partial = await failing(door, talk, "Go", tools=[adder.add], before_tool=approve)
    assert (type(error), adder.ran) == (puter.PuterTimeoutError, [])
    assert partial.tool_calls == (call("c1"),)
    door.answers(answer(False, "Done."))
    await chat(door, talk, resume=partial, tools=[adder.add])
    assert (adder.ran, talk.messages[-1]) == ([1], DONE)


# ------------------------------------------------------------ closing a stream meanwhile


def in_a_thread(function: Callable[[], Any]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


async def test_closing_during_a_round_of_tools_stops_before_the_next_request(door: Door) -> None:
    talk = conversation(door)
    ran: list[int] = []

    def add(a: int) -> int:
        ran.append(a)
        in_a_thread(lambda: asyncio.run(shut(stream)))
        return a + 1

    door.answers(answer(True, "Hm.", call("c1")), answer(True, "Done."))
    stream = await door(talk, "chat", "Go", tools=[add], stream=True)
    with pytest.raises(PuterError, match="closed") as caught:
        await chunks(stream)
    assert (len(door.sent), ran, talk.messages) == (1, [1], [BEFORE])
    free(talk)
    assert await chunks(stream) == []
    with pytest.raises(PuterError, match="closed before its end"):
        _ = stream.reply
    partial = caught.value.partial
    assert partial is not None
    said = {"role": "assistant", "content": "Hm."}
    assert list(partial.messages) == [GO, said, *done(call("c1"))]
    assert await chat(door, talk, resume=partial, stream=True) == "Done."
    assert talk.messages == [BEFORE, GO, said, *done(call("c1")), DONE]
    assert ran == [1]


async def test_closing_while_the_next_answer_is_awaited_is_an_error_for_the_reader(
    door: Door, adder: Adder
) -> None:
    talk = conversation(door)
    last = answer(True, "Done.")

    def late(_: Any) -> Any:
        in_a_thread(lambda: asyncio.run(shut(stream)))
        return last

    door.answers(answer(True, "", call("c1")), late)
    stream = await door(talk, "chat", "Go", tools=[adder.add], stream=True)
    with pytest.raises(PuterError, match="closed while it was read") as caught:
        await chunks(stream)
    assert (last.closed, talk.messages) == (True, [BEFORE])
    free(talk)
    assert caught.value.partial is not None
    assert list(caught.value.partial.messages) == [GO, *done(call("c1"))]


async def test_a_turn_that_was_closed_between_two_chunks_lets_the_next_one_pass(
    door: Door, adder: Adder
) -> None:
    talk = conversation(door)
    door.answers(answer(True, "Hm.", call("c1")), answer(True, "Done."))
    stream = await door(talk, "chat", "Go", tools=[adder.add], stream=True)
    assert await step(stream) == "Hm."
    assert talk._history.queue.running == 1
    in_a_thread(lambda: asyncio.run(shut(stream)))
    free(talk)
    assert (await chunks(stream), adder.ran) == ([], [])
    door.answers(answer(False, "Done."))
    assert await chat(door, talk, "Go") == "Done."


# ------------------------------------------------------------ what runs tools is noted


class Grave(BaseException):
    pass


@streams
@pytest.mark.parametrize("end", [None, ValueError("no"), StopChat("Bye."), Grave()], ids=repr)
async def test_a_turn_is_noted_as_running_tools_only_while_it_does(
    door: Door, stream: bool, end: BaseException | None
) -> None:
    talk = conversation(door)
    seen: list[tuple[int, bool]] = []  # how many turns run tools, and whether this is the last

    def add(a: int) -> int:
        noted = _running.get()
        seen.append((len(noted), noted[-1] is talk._history.turn))
        if end is not None:
            raise end
        return a + 1

    door.answers(answer(stream, "", call("c1")), answer(stream, "Done."))
    try:
        await chat(door, talk, "Go", tools=[add], stream=stream)
    except Grave:
        assert isinstance(end, Grave)
    assert seen == [(1, True)]
    assert (_running.get(), talk._history.turn) == ((), None)
    free(talk)
    door.answers(answer(False, "Done."))
    assert await chat(door, talk, "Go") == "Done."


async def test_the_error_of_a_chat_of_before_tool_is_not_taken_for_the_turns_own(
    door: Door, adder: Adder
) -> None:
    talk = conversation(door)
    broken = puter.PuterStreamError("cut", partial=ChatReply("of another chat"))

    def approve(_: ToolCall) -> bool:
        raise broken

    door.answers(answer(False, "", call("c1")))
    error, partial = await failing(door, talk, "Go", tools=[adder.add], before_tool=approve)
    assert error is broken
    assert (partial.text, partial.tool_calls) == ("", (call("c1"),))
    assert list(partial.messages) == [GO, done(call("c1"))[0]]
    door.answers(answer(False, "Done."))
    await chat(door, talk, resume=partial, tools=[adder.add])
    assert adder.ran == [1]


# ------------------------------------------------------------ typed answers


async def test_an_error_of_parse_has_the_answers_of_all_rounds(door: Door, adder: Adder) -> None:
    talk = conversation(door)
    door.answers(answer(False, "", call("c1")), chat_body("None."), POOR)
    with pytest.raises(puter.PuterInsufficientFundsError) as caught:
        await door(talk, "parse", "Go", int, tools=[adder.add])
    partial = caught.value.partial
    assert isinstance(partial, ChatReply)
    assert (partial, partial.cost, partial.attempts) == ("None.", 2 * ROUND, 2)
    wrong = {"role": "assistant", "content": "None."}
    put_right = {"role": "user", "content": correction("there is no JSON in it")}
    turn = [GO, *done(call("c1")), wrong, put_right]
    assert list(partial.messages) == turn
    assert talk.messages == [BEFORE]
    free(talk)
    door.answers(chat_body("5"))
    assert await door(talk, "parse", None, int, resume=partial) == 5
    assert door.sent[3].args["messages"][1:] == [BEFORE, *turn]
    assert talk.messages == [BEFORE, *turn[:-2], {"role": "assistant", "content": "5"}]
    assert adder.ran == [1]


async def test_a_later_round_of_parse_may_break_off_in_its_tools(door: Door, adder: Adder) -> None:
    talk = conversation(door)
    door.answers(chat_body("None."), answer(False, "", call("c1")), POOR)
    with pytest.raises(puter.PuterInsufficientFundsError) as caught:
        await door(talk, "parse", "Go", int, tools=[adder.add])
    partial = caught.value.partial
    assert isinstance(partial, ChatReply)
    assert (partial.cost, partial.usage.output_tokens) == (2 * ROUND, 14)
    wrong = {"role": "assistant", "content": "None."}
    put_right = {"role": "user", "content": correction("there is no JSON in it")}
    assert list(partial.messages) == [GO, wrong, put_right, *done(call("c1"))]
    free(talk)


@pytest.mark.parametrize("retries", [0, 2])
async def test_an_answer_that_never_fits_is_partial_and_reply_in_one(
    door: Door, retries: int
) -> None:
    talk = conversation(door)
    door.answers(chat_body("None."))
    with pytest.raises(puter.PuterParseError) as caught:
        await door(talk, "parse", "Go", int, retries=retries)
    partial, reply = caught.value.partial, caught.value.reply
    assert isinstance(partial, ChatReply)
    assert reply is not None
    assert reply is partial
    assert partial.cost == (retries + 1) * ROUND
    assert partial.messages[0] == GO  # what was there before the turn is none of it
    assert len(partial.messages) == 2 * (retries + 1)
    free(talk)


@streams
async def test_a_turn_of_its_own_messages_is_resumed_as_such(
    door: Door, adder: Adder, stream: bool
) -> None:
    ai = door.client()
    door.answers(answer(stream, "private"))
    await chat(door, ai, "Mine", stream=stream)
    history = list(ai.chat_history)
    door.answers(answer(stream, "", call("c1")), (402, error_body("no", "insufficient_funds")))
    own = [{"role": "user", "content": "Another conversation"}]
    with pytest.raises(puter.PuterError) as caught:
        await chat(door, ai, messages=own, tools=[adder.add], stream=stream)
    partial = caught.value.partial
    assert partial is not None
    plain = json.loads(json.dumps(cast("ChatReply", partial).to_dict()))
    for resumed in (partial, plain):
        door.answers(answer(stream, "Done."))
        reply = await chat(door, ai, resume=resumed, tools=[adder.add], stream=stream)
        assert (reply, reply.standalone, ai.chat_history) == ("Done.", True, history)
        assert door.sent[-1].args["messages"][0] == own[0]
        assert "Mine" not in json.dumps(door.sent[-1].args["messages"])


async def test_resume_none_says_that_there_is_nothing_to_resume(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match="make the call again"):
        await door(door.client(), "chat", resume=None)
    assert door.sent == []


@pytest.mark.parametrize("name", ["run_tools", "remember"])
async def test_a_flag_that_is_none_is_refused(door: Door, name: str) -> None:
    with pytest.raises(puter.PuterInputError, match=f"{name} must be True or False"):
        await door(door.client(), "chat", "Hi", **{name: "no"})
    assert door.sent == []
