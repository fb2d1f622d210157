"""Conversations: their turns, their files, and what trimming may take."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import puter
from puter import PuterAI
from puter.history import estimate_tokens
from puter.testing import ChatCall, Gate, LocalPuter, Reply
from puter.wire.messages import ROLES
from tests.door import CUT, Door, chat_body, error_body, shut, step, stream_answer, until_done

if TYPE_CHECKING:
    from puter.conversation import Conversation

Message = dict[str, Any]
ROOT = Path(__file__).parents[1]
HEL = {"type": "text", "text": "Hel"}
USAGE = {"type": "usage", "usage": {"usd_cents": 0.5}}


def says(role: str, content: Any) -> Message:
    return {"role": role, "content": content}


def offline(*messages: Any, **settings: Any) -> Conversation:
    return PuterAI(token="secret-token").conversation(messages=messages, **settings)


async def ask(door: Door, talk: Conversation, prompt: str, **arguments: Any) -> Any:
    if door.kind == "sync":
        return talk.chat(prompt, **arguments)
    return await talk.async_chat(prompt, **arguments)


@pytest.fixture
def server() -> Iterator[LocalPuter]:
    with LocalPuter(tier=None) as local:
        yield local


# ------------------------------------------------------------ talking


async def test_a_system_message_that_stands_twice_is_no_plain_history(door: Door) -> None:
    ai = door.client()
    system = {"role": "system", "content": "Be brief."}
    ai.chat_history.extend([system, {"role": "user", "content": "one"}, system])
    await door(ai, "chat", "two", model="claude-sonnet-4")
    roles = [one["role"] for one in door.sent[0].args["messages"]]
    assert "system" not in roles[1:]


async def test_a_conversation_remembers_apart_from_the_client(door: Door) -> None:
    ai = door.client()
    talk = ai.conversation(system="Be brief.", model="gpt-4.1", messages=["zero"])
    assert await ask(door, talk, "one") == "Hello!"
    await ask(door, talk, "two", model="o3")
    sent = [[m["content"] for m in one.args["messages"]] for one in door.sent]
    assert sent == [
        ["Be brief.", "zero", "one"],
        ["Be brief.", "zero", "one", "Hello!", "two"],
    ]
    assert [one.args["model"] for one in door.sent] == ["gpt-4.1", "o3"]
    assert [m["content"] for m in talk.messages] == ["zero", "one", "Hello!", "two", "Hello!"]
    assert ai.chat_history == []
    assert repr(talk) == "<Conversation of 5 messages>"


async def test_system_and_model_can_be_changed(door: Door) -> None:
    talk = door.client().conversation()
    talk.system, talk.model = "Be brief.", "gpt-4.1"
    await ask(door, talk, "one")
    await ask(door, talk, "two", system="Be long.")
    talk.system = talk.model = None
    await ask(door, talk, "three")
    starts = [one.args["messages"][0]["content"] for one in door.sent]
    assert starts == ["Be brief.", "Be long.", "one"]
    assert [one.args["model"] for one in door.sent] == ["gpt-4.1", "gpt-4.1", "gpt-5-nano"]


@pytest.mark.parametrize("name", ["system", "model"])
@pytest.mark.parametrize("value", ["", " ", 5, ["x"]])
def test_system_and_model_are_text_or_none(name: str, value: Any) -> None:
    with pytest.raises(puter.PuterInputError, match=f"{name} must be a non-empty str"):
        PuterAI().conversation(**{name: value})
    with pytest.raises(puter.PuterInputError, match=f"{name} must be a non-empty str"):
        setattr(offline(), name, value)


@pytest.mark.parametrize("messages", ["Hi", [5], [{"role": "user"}], {"role": "user"}])
def test_what_was_said_before_is_checked(messages: Any) -> None:
    with pytest.raises(puter.PuterInputError):
        PuterAI().conversation(messages=messages)


async def test_a_failed_turn_leaves_no_trace(door: Door) -> None:
    talk = door.client().conversation(messages=["zero"])
    door.answers((402, error_body("poor", "insufficient_funds")), stream_answer(HEL, CUT))
    with pytest.raises(puter.PuterInsufficientFundsError):
        await ask(door, talk, "one")
    with pytest.raises(puter.PuterStreamError):
        await until_done(await ask(door, talk, "one", stream=True))
    door.answers(chat_body())
    await ask(door, talk, "two")
    assert [m["content"] for m in talk.messages] == ["zero", "two", "Hello!"]


async def test_a_compacted_conversation_is_carried_forward(door: Door) -> None:
    compaction = {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}
    talk = door.client().conversation(model="gpt-4.1")
    door.answers(
        chat_body(compaction={**compaction, "more": 1}),
        stream_answer(compaction, HEL, USAGE),
        chat_body(),
    )
    await ask(door, talk, "one", compaction=True)
    await until_done(await ask(door, talk, "two", compaction=True, stream=True))
    await ask(door, talk, "three", compaction=True)
    assert door.sent[2].args["messages"] == [
        says("user", "one"), compaction, says("assistant", "Hello!"),
        says("user", "two"), compaction, says("assistant", "Hel"),
        says("user", "three"),
    ]  # fmt: skip


# ------------------------------------------------------------ turns


async def test_turns_queue_up_from_threads_and_tasks(server: LocalPuter) -> None:
    server.respond(lambda _call: Reply(text="Yes", delay=0.005))
    with server.client(rate_limit_requests=None, max_concurrency=None) as ai:
        talk = ai.conversation()
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(10) as pool:
            await asyncio.gather(
                *(loop.run_in_executor(pool, talk.chat, f"thread {n}") for n in range(10)),
                *(talk.async_chat(f"task {n}") for n in range(10)),
            )
        await ai.async_close()
    assert [len(one.json["args"]["messages"]) for one in server.chats] == list(range(1, 41, 2))
    assert [m["role"] for m in talk.messages] == ["user", "assistant"] * 20
    assert len({m["content"] for m in talk.messages[::2]}) == 20


async def test_conversations_run_side_by_side(server: LocalPuter) -> None:
    together = threading.Barrier(3, timeout=5)

    def meet(_call: ChatCall) -> str:
        together.wait()
        return "met"

    server.respond(meet)
    async with server.client() as ai:
        talks = [ai.conversation() for _ in range(3)]
        assert await asyncio.gather(*(one.async_chat("Hi") for one in talks)) == ["met"] * 3


async def test_a_stream_holds_the_turn_until_it_ends_or_is_closed(door: Door) -> None:
    ai = door.client()
    talk, quick = ai.conversation(), ai.with_options(deadline=0.05).conversation()
    quick._history = talk._history  # the same conversation, by a caller in a hurry
    door.answers(stream_answer(HEL, USAGE), stream_answer(HEL, USAGE), chat_body())
    for read in (0, 1, 2):
        stream = await ask(door, talk, "one", stream=True) if read < 2 else None
        if stream is not None:
            for _ in range(read):
                await step(stream)
            with pytest.raises(puter.PuterTimeoutError, match="queue"):
                await ask(door, quick, "two")
            await shut(stream)
    assert await ask(door, talk, "three") == "Hello!"
    assert [m["content"] for m in talk.messages] == ["three", "Hello!"]


async def test_a_finished_stream_lets_the_next_turn_see_it(door: Door) -> None:
    talk = door.client().conversation()
    door.answers(stream_answer(HEL, USAGE), chat_body())
    await until_done(await ask(door, talk, "one", stream=True))
    await ask(door, talk, "two")
    assert [m["content"] for m in door.sent[1].args["messages"]] == ["one", "Hel", "two"]


async def test_a_turn_that_is_cancelled_in_the_queue_lets_the_others_pass(
    server: LocalPuter,
) -> None:
    gate = Gate(0)
    server.respond(lambda _call: Reply(chunks=["Yes"], gate=gate))
    async with server.client() as ai:
        talk = ai.conversation()
        stream = await talk.async_chat("first", stream=True)
        waiting = [asyncio.create_task(talk.async_chat(name)) for name in ("second", "third")]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        gate.open()
        assert await stream.until_done() == "Yes"
        assert await waiting[1] == "Yes"
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
    assert [m["content"] for m in talk.messages] == ["first", "Yes", "third", "Yes"]


# ------------------------------------------------------------ fork, undo, clear


def test_a_fork_goes_its_own_way() -> None:
    talk = offline("one", says("assistant", [{"type": "text", "text": "1"}]), system="S", model="M")
    fork = talk.fork()
    assert (fork.messages, fork.system, fork.model) == (talk.messages, "S", "M")
    fork.messages[1]["content"][0]["text"] = "changed"
    fork.messages.append(says("user", "two"))
    fork.system = "T"
    assert talk.messages == [
        says("user", "one"),
        says("assistant", [{"type": "text", "text": "1"}]),
    ]
    assert talk.system == "S"
    assert fork._history.queue is not talk._history.queue


ROUND = [
    says("assistant", [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]),
    {"role": "tool", "tool_call_id": "c", "content": "1"},
]
RESULT = says("user", [{"type": "tool_result", "tool_use_id": "c", "content": "1"}])


def test_undo_takes_back_one_whole_turn() -> None:
    first, answer = says("user", "one"), says("assistant", "1")
    second = [says("user", "two"), *ROUND, ROUND[0], RESULT, says("assistant", "2")]
    talk = offline(first, answer, *second)
    assert talk.undo() == second
    assert talk.messages == [first, answer]
    assert talk.undo() == [first, answer]
    assert (talk.undo(), talk.messages) == ([], [])


def test_undo_of_what_the_user_never_began() -> None:
    greeting = says("assistant", "Hello, how can I help?")
    assert offline(greeting).undo() == [greeting]


def test_clear_keeps_instructions_and_model() -> None:
    talk = offline("one", system="S", model="M")
    talk.clear()
    assert (talk.messages, talk.system, talk.model) == ([], "S", "M")


# ------------------------------------------------------------ trim

WORDS = st.text(max_size=60)
CALL = st.fixed_dictionaries(
    {"type": st.just("tool_use"), "id": WORDS, "name": WORDS, "input": st.just({})}
)


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """What the user says, any rounds of tools in either form, and perhaps an answer."""
    turn = [says("user", draw(WORDS | st.just([{"type": "image_url", "image_url": {"url": "u"}}])))]
    for call in draw(st.lists(CALL, max_size=3)):
        turn.append(says("assistant", [call]))
        if draw(st.booleans()):
            turn.append({"role": "tool", "tool_call_id": call["id"], "content": draw(WORDS)})
        else:
            result = {"type": "tool_result", "tool_use_id": call["id"], "content": draw(WORDS)}
            turn.append(says("user", [result]))
    if draw(st.booleans()):
        turn.append({"type": "compaction", "encrypted_content": draw(WORDS)})
    return [*turn, says("assistant", draw(WORDS))]


@given(
    st.lists(turns(), max_size=6),
    st.lists(st.just(says("assistant", "Hello!")), max_size=1),
    st.none() | st.integers(1, 30),
    st.none() | st.integers(1, 3000),
)
def test_trimming_takes_whole_turns_and_no_more_than_needed(
    history: list[list[Message]],
    greeting: list[Message],
    max_messages: int | None,
    max_tokens: int | None,
) -> None:
    groups = [greeting, *history] if greeting else history
    messages = [one for turn in groups for one in turn]
    talk = offline()
    talk.messages.extend(messages)
    if max_messages is None and max_tokens is None:
        with pytest.raises(puter.PuterInputError, match="max_messages= or max_tokens="):
            talk.trim()
        return

    def fits(kept: list[list[Message]]) -> bool:
        flat = [one for turn in kept for one in turn]
        return (max_messages is None or len(flat) <= max_messages) and (
            max_tokens is None or sum(map(estimate_tokens, flat)) <= max_tokens
        )

    least = min(1, len(history))  # the last turn always stays
    most = range(len(groups) - least + 1) if history else range(1)
    gone = next((n for n in most if fits(groups[n:])), most[-1])
    taken = talk.trim(max_messages=max_messages, max_tokens=max_tokens)
    assert taken == [one for turn in groups[:gone] for one in turn]
    assert talk.messages == [one for turn in groups[gone:] for one in turn]


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "5"])
@pytest.mark.parametrize("name", ["max_messages", "max_tokens"])
def test_limits_are_whole_numbers(name: str, limit: Any) -> None:
    with pytest.raises(puter.PuterInputError, match=f"{name} must be a whole number, 1 or more"):
        offline("one").trim(**{name: limit})


def test_trimming_never_takes_the_instructions() -> None:
    talk = offline("one", says("assistant", "1"), "two", system="x" * 10_000)
    talk.trim(max_tokens=5)
    assert (talk.messages, talk.system) == ([says("user", "two")], "x" * 10_000)


# ------------------------------------------------------------ files

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
TEXT = st.text(st.characters(codec="utf-8"), min_size=1)
PART = st.dictionaries(TEXT.filter(lambda key: key != "type"), JSON, max_size=3)
ANY_MESSAGE = st.fixed_dictionaries(
    {
        "role": st.sampled_from(sorted(ROLES)),
        "content": TEXT | st.lists(PART | TEXT, min_size=1, max_size=3),
    },
    optional={"name": JSON, "extra": JSON},
)
FILLED = TEXT.filter(str.strip)


@given(st.lists(ANY_MESSAGE, max_size=4), st.none() | FILLED, st.none() | FILLED)
def test_what_is_saved_is_loaded(
    tmp_path_factory: pytest.TempPathFactory,
    messages: list[Message],
    system: str | None,
    model: str | None,
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.json"
    talk = offline(*messages, system=system, model=model)
    assert talk.save(path) == path
    again = PuterAI().load_conversation(path)
    assert (again.messages, again.system, again.model) == (messages, system, model)
    assert again._history.queue is not None


async def test_a_loaded_conversation_goes_on(door: Door, tmp_path: Path) -> None:
    ai = door.client()
    talk = ai.conversation(system="S")
    await ask(door, talk, "one")
    talk.save(str(tmp_path / "talk.json"))
    again = ai.load_conversation(str(tmp_path / "talk.json"))
    await ask(door, again, "two")
    assert [m["content"] for m in door.sent[1].args["messages"]] == ["S", "one", "Hello!", "two"]
    assert len(talk.messages) == 2


def test_the_file_holds_no_secret(tmp_path: Path) -> None:
    ai = PuterAI("alice", "hunter2hunter2", "secret-token", headers={"X-Key": "secret-key"})
    path = ai.conversation(messages=["one"]).save(tmp_path / "talk.json")
    text = path.read_text(encoding="utf-8")
    assert json.loads(text).keys() == {"puter_conversation", "id", "system", "model", "messages"}
    for secret in ("alice", "hunter2hunter2", "secret-token", "secret-key"):
        assert secret not in text


GOOD: dict[str, Any] = {"puter_conversation": 1, "system": None, "model": None, "messages": []}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (json.dumps(GOOD).encode()[:-9], "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "holds no conversation"),
        (b"{}", "holds no conversation"),
        (json.dumps({**GOOD, "puter_conversation": "1"}).encode(), "holds no conversation"),
        (json.dumps({**GOOD, "puter_conversation": True}).encode(), "holds no conversation"),
        (json.dumps({**GOOD, "messages": {}}).encode(), "holds no conversation"),
        (json.dumps({**GOOD, "messages": [5]}).encode(), r"messages\[0\] must be"),
        (json.dumps({**GOOD, "messages": [{"role": "user"}]}).encode(), r"messages\[0\] has no"),
        (json.dumps({**GOOD, "system": 5}).encode(), "damaged: system is no text"),
        (json.dumps({**GOOD, "model": []}).encode(), "damaged: model is no text"),
        (json.dumps({**GOOD, "puter_conversation": 2}).encode(), "newer version.*Upgrade"),
    ],
)
def test_a_file_that_holds_no_conversation_is_refused(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "talk.json"
    path.write_bytes(content)
    with pytest.raises(puter.PuterInputError, match=told):
        PuterAI().load_conversation(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PuterAI().load_conversation(tmp_path / "none.json")


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, b"x", "\ud800"])
def test_what_is_no_json_leaves_the_old_file(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "talk.json"
    talk = offline("one")
    talk.save(path)
    before = path.read_bytes()
    talk.messages.append(says("user", [{"type": "x", "value": value}]))
    with pytest.raises(puter.PuterInputError, match="cannot be written as JSON"):
        talk.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["talk.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes and links")
def test_saving_keeps_mode_and_link_and_leaves_nothing_beside(tmp_path: Path) -> None:
    real, link = tmp_path / ("x" * 250 + ".json"), tmp_path / "link.json"
    real.touch(mode=0o600)
    link.symlink_to(real)
    assert offline("one").save(link) == link
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert len(PuterAI().load_conversation(real).messages) == 1
    assert len(os.listdir(tmp_path)) == 2
    with pytest.raises(OSError, match="no such folder"):
        offline("one").save(tmp_path / "no" / "such" / "folder.json")


SAVER = """
import sys
from puter import PuterAI
talk = PuterAI().conversation(messages=["x" * 300_000])
for number in range(10_000):
    talk.messages.append({"role": "user", "content": str(number)})
    talk.save(sys.argv[1])
    if not number:
        print("saved", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_program_leaves_a_whole_file(tmp_path: Path) -> None:
    moments = random.Random(5)

    def killed(number: int) -> int:
        path = tmp_path / f"{number}.json"
        with subprocess.Popen(
            [sys.executable, "-c", SAVER, str(path)], cwd=ROOT, stdout=subprocess.PIPE
        ) as program:
            assert program.stdout is not None
            program.stdout.readline()
            time.sleep(moments.random() / 20)
            program.kill()
        return len(PuterAI().load_conversation(path).messages)

    with ThreadPoolExecutor(4) as pool:
        assert min(pool.map(killed, range(20))) >= 2


def test_a_conversation_keeps_its_id_and_a_fork_has_another(tmp_path: Path) -> None:
    ai = puter.PuterAI(token="t")
    talk = ai.conversation(messages=["Hi"])
    path = talk.save(tmp_path / "talk.json")
    assert talk.id == talk.id == ai.load_conversation(path).id
    assert len({talk.id, talk.fork().id, ai.conversation().id}) == 3
    assert pickle.loads(pickle.dumps(talk)).id == talk.id
    old = json.loads(path.read_text())
    del old["id"]
    path.write_text(json.dumps(old))
    assert ai.load_conversation(path).id not in ("", talk.id)
