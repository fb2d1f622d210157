"""``reply.as_curl()``: the request that was sent, as a command, without what is secret."""

from __future__ import annotations

import asyncio
import base64
import copy
import gc
import json
import pickle
import shlex
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from puter import ChatReply, PuterAI, PuterError, StopChat, ToolCall
from puter.testing.samples import PNG
from tests.door import Door, answer, chat_body, error_body, until_done

USAGE = {"type": "usage", "usage": {"prompt_tokens": 11, "completion_tokens": 7}}
streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def words_of(command: str) -> tuple[list[str], Any]:
    """The words of a command, and its body."""
    if "<<'END'" in command:
        line, body, end = command.rsplit("\n", 2)
        assert end == "END"
        return shlex.split(line), json.loads(body)
    words = shlex.split(command)
    return words, json.loads(words[words.index("--data-raw") + 1])


async def asked(door: Door, ai: Any, *args: Any, **kwargs: Any) -> Any:
    reply = await door(ai, "chat", *args, **kwargs)
    return await until_done(reply) if kwargs.get("stream") else reply


def lookup() -> str:
    """Look it up."""
    return "it's 42"


REMEMBERED = [{"role": "user", "content": "It's $HOME"}, {"role": "assistant", "content": "`id`"}]
UNUSUAL = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, *REMEMBERED[1:]]


@streams
@pytest.mark.parametrize(
    ("past", "arguments"),
    [
        ([], {}),
        (REMEMBERED, {}),
        (UNUSUAL, {"system": "Be brief."}),
        (REMEMBERED, {"messages": ["Only this\nof 'you'"], "temperature": 0.5}),
        (REMEMBERED, {"images": PNG, "remember": False, "extra": {"seed": 1}}),
        (REMEMBERED, {"tools": [lookup], "tool_choice": "required"}),
    ],
    ids=["plain", "history", "system", "messages", "picture", "tools"],
)
async def test_it_is_the_request_that_was_sent(
    door: Door, stream: bool, past: list[Any], arguments: dict[str, Any]
) -> None:
    ai = door.client()
    ai.chat_history = past
    calls = [ToolCall("1", "lookup")] if "tools" in arguments else []
    door.answers(*(answer(stream, "", one) for one in calls), answer(stream))
    prompt = [] if "messages" in arguments else ["What's \"this\"? \\ 'ü'"]
    reply = await asked(door, ai, *prompt, stream=stream, **arguments)
    words, body = words_of(reply.as_curl())
    assert body == door.sent[-1].json
    assert words[:2] == ["curl", door.sent[-1].url]
    assert ("-N" in words) is stream
    sent = [f"{name}: {value}" for name, value in door.sent[-1].headers.items()]
    shown = [words[place + 1] for place, word in enumerate(words) if word == "-H"]
    assert [one.replace("test-token-secret", "$PUTER_AUTH_TOKEN") for one in sent] == shown


async def test_a_typed_answer_that_had_to_be_corrected(door: Door) -> None:
    ai = door.client()
    ai.chat_history = REMEMBERED
    door.answers(chat_body("many"), chat_body("3"))
    value, reply = await door(ai, "parse", "How many?", int, with_reply=True)
    assert value == 3
    assert words_of(reply.as_curl())[1] == door.sent[-1].json
    assert len(reply.messages) == 2


async def test_a_conversation_and_what_came_before_an_error(door: Door) -> None:
    talk: Any = door.client().conversation(system="Be brief.", messages=REMEMBERED)
    door.answers(answer(False, "", ToolCall("1", "lookup")), (402, error_body("poor", "no_money")))
    with pytest.raises(PuterError) as caught:
        await door(talk, "chat", "Go", tools=[lookup])
    partial: Any = caught.value.partial
    assert words_of(partial.as_curl())[1] == door.sent[0].json
    door.answers(answer(False))
    resumed = await door(talk, "chat", resume=partial, tools=[lookup])
    assert words_of(resumed.as_curl())[1] == door.sent[-1].json


async def test_a_turn_that_a_tool_ended(door: Door) -> None:
    def stop() -> None:
        raise StopChat("That's all.")

    door.answers(answer(False, "", ToolCall("1", "stop")))
    reply = await door(door.client(), "chat", "Go", tools=[stop])
    assert reply == "That's all."
    assert words_of(reply.as_curl())[1] == door.sent[-1].json


async def test_what_is_secret_becomes_a_variable(door: Door) -> None:
    headers = {"X-Team-Key": "k-1", "X-Team": "red's", "X-Pass-On": "Bearer q-1"}
    ai = door.client(headers=headers)
    command = (await door(ai, "chat", "hi")).as_curl()
    assert "test-token-secret" not in command
    assert not any(value in command for value in ("k-1", "q-1"))
    assert """-H 'X-Team-Key: '"$X_TEAM_KEY" \\\n""" in command
    assert """-H 'X-Pass-On: '"$X_PASS_ON" \\\n""" in command
    assert """-H "Authorization: Bearer $PUTER_AUTH_TOKEN" \\\n""" in command
    assert "X-Team: red's" in shlex.split(command)


async def test_a_long_body_is_no_argument_and_nothing_of_it_is_left_out(door: Door) -> None:
    picture = PNG + bytes(400_000)
    reply = await door(door.client(), "chat", "What is this?", images=picture)
    words, body = words_of(reply.as_curl())
    assert body == door.sent[-1].json
    assert base64.b64encode(picture).decode() in json.dumps(body)
    assert words[-3:] == ["--data-binary", "@-", "<<END"]


async def test_it_is_the_same_when_the_history_has_grown_was_cut_or_cleared(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "one")
    reply = await door(ai, "chat", "two")
    sent = door.sent[-1].json
    await door(ai, "chat", "three")
    assert words_of(reply.as_curl())[1] == sent
    ai.chat_history = ai.chat_history[2:]
    assert words_of(reply.as_curl())[1] == sent
    ai.clear_chat_history()
    assert words_of(reply.as_curl())[1] == sent


def redacted(request: Any, call_next: Any) -> Any:
    """Take a number out of all messages."""
    messages = [
        {**one, "content": str(one["content"]).replace("4111", "[card]")}
        for one in request.messages
    ]
    return (yield from call_next(request.replace(messages=messages)))


def in_short(request: Any, call_next: Any) -> Any:
    """Put an instruction before all messages."""
    short = {"role": "system", "content": "Be short."}
    return (yield from call_next(request.replace(messages=[short, *request.messages])))


@streams
@pytest.mark.parametrize("middleware", [redacted, in_short])
async def test_what_middleware_changed_is_as_it_was_sent(
    door: Door, stream: bool, middleware: Any
) -> None:
    card = {"role": "user", "content": "My card is 4111"}
    ai: Any = door.client().use(middleware)
    for past in ([], [*REMEMBERED, card, *REMEMBERED[1:]]):
        talk = ai.conversation(system="Be a pirate.", messages=past)
        door.answers(answer(stream))
        reply = await asked(door, talk, "hi", stream=stream)
        command = reply.as_curl()
        assert words_of(command)[1] == door.sent[-1].json
        assert ("4111" in command) is (bool(past) and middleware is in_short)


@pytest.mark.parametrize(
    "made",
    [
        lambda reply: pickle.loads(pickle.dumps(reply)),
        copy.deepcopy,
        lambda reply: ChatReply.from_dict(json.loads(json.dumps(reply.to_dict()))),
        lambda _: ChatReply("Hello!"),
    ],
    ids=["pickled", "copied", "from JSON", "made"],
)
async def test_a_reply_without_its_request_says_so(
    door: Door, made: Callable[[ChatReply], ChatReply]
) -> None:
    reply = await door(door.client(), "chat", "hi")
    assert "_again" not in reply.to_dict()
    assert made(reply) == reply
    with pytest.raises(PuterError, match="does not know its request"):
        made(reply).as_curl()


async def test_a_reply_keeps_neither_the_client_nor_the_history_nor_the_tools_alive(
    door: Door,
) -> None:
    def kept() -> str:
        """Look it up."""
        return "42"

    ai: PuterAI | None = door.client()
    assert ai is not None
    ai.chat_history = REMEMBERED
    door.answers(answer(False, "", ToolCall("1", "kept")), answer(False))
    reply = await door(ai, "chat", "hi", tools=[kept])
    gone = [weakref.ref(one) for one in (ai._shared, ai._history, kept)]
    del ai, kept, door.transport._effect
    for _ in range(200):  # the thread and the tasks of the tool end
        gc.collect()
        if not any(one() for one in gone):
            break
        await asyncio.sleep(0.01)
    assert [one() for one in gone] == [None, None, None]
    assert words_of(reply.as_curl())[1] == door.sent[-1].json
