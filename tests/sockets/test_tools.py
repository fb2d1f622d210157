"""Tools over real sockets: what reaches the vendor, both doors at once, and Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from puter import PuterError
from puter.engine.throttle import Permit
from puter.testing import Failure, Gate, LocalPuter, Reply
from tests.door import chunks, each, shut, until_done
from tests.sockets import programs
from tests.sockets.live import until

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from puter.testing import ChatCall
    from tests.sockets.live import Live

MODELS = {"openai": "gpt-4.1", "responses": "gpt-5-pro", "claude": "claude-haiku-4-5"}
TOOL: dict[str, Any] = {"name": "get_weather", "arguments": {"city": "Paris"}}
CALLS: list[dict[str, Any]] = [
    {**TOOL, "id": "c1"},
    {**TOOL, "arguments": {"city": "Rome"}, "id": "c2"},
]


def get_weather(city: str) -> dict[str, Any]:
    """Tell the weather.

    Args:
        city: Where.
    """
    return {"city": city, "degrees": 20}


def at_vendor(call: ChatCall) -> list[Any]:
    """Who says what, as the vendor gets it: the text, the calls and their results."""
    said: list[Any] = []
    for one in call.upstream_messages:
        if one.get("type") == "function_call":
            said.append((one["call_id"], json.loads(one["arguments"])))
        elif one.get("type") == "function_call_output":
            said.append((one["call_id"], json.loads(one["output"])))
        elif one["role"] == "tool":
            said.append((one["tool_call_id"], json.loads(one["content"])))
        elif one.get("tool_calls"):
            (made,) = one["tool_calls"]
            said.append((made["id"], json.loads(made["function"]["arguments"])))
        else:
            said += map(_part, one["content"])
    return said


def _part(part: dict[str, Any]) -> Any:
    match part["type"]:
        case "tool_use":
            return part["id"], part["input"]
        case "tool_result":
            return part["tool_use_id"], json.loads(part["content"])
        case _:
            return part["text"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("text", ["", "Let me look."], ids=["silent", "text"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("family", MODELS)
async def test_calls_and_results_reach_the_vendor(
    live: Live, family: str, count: int, text: str, stream: bool
) -> None:
    seen: list[Any] = []

    def last(call: ChatCall) -> str:
        assert call.family == family
        seen.extend(at_vendor(call))
        return "Done."

    live.puter.reply_with(Reply(text=text, tool_calls=CALLS[:count]), last)
    ai = live.client()
    got = await live(ai, "chat", "Weather?", MODELS[family], tools=[get_weather], stream=stream)
    reply = await until_done(got) if stream else got
    calls = CALLS[:count]
    rounds = [
        (one["id"], told)
        for one in calls
        for told in (one["arguments"], {**one["arguments"], "degrees": 20})
    ]
    assert seen == ["Weather?", *([text] if text else []), *rounds]
    assert reply == "Done."
    assert (ai.usage.requests, ai.usage.cost) == (2, reply.cost)


@pytest.mark.parametrize("family", MODELS)
async def test_the_built_in_partner_plays_along(live: Live, family: str) -> None:
    talk: Any = live.client().conversation(model=MODELS[family])
    first = await live(talk, "chat", "What is the weather in Paris?", tools=[get_weather])
    assert '"city": "Paris"' in first
    assert first.usage.input_tokens > 0
    stream = await live(talk, "chat", "And the weather in Rome?", tools=[get_weather], stream=True)
    kinds = [chunk.type for chunk in await chunks(stream)]
    assert kinds.count("usage") == 2
    assert '"city": "Rome"' in stream.reply
    assert len(talk.messages) == 8
    assert await live(talk, "chat", "Hello!")  # the whole history is one the server takes


async def test_a_stream_closed_in_its_second_round_frees_its_place(live: Live) -> None:
    gate = Gate()
    live.puter.reply_with(Reply(tool_calls=CALLS[:1]), Reply(chunks=["Do", "ne."], gate=gate))
    ai = live.client(max_concurrency=1)
    stream = await live(ai, "chat", "Go", tools=[get_weather], stream=True)
    async for chunk in each(stream):
        if chunk == "Do":
            break
    await shut(stream)
    assert (ai.chat_history, ai._throttle.running) == ([], 0)
    assert await live(ai, "chat", "Hello!")


async def test_a_tool_may_use_the_client_through_either_door(live: Live) -> None:
    ai = live.client(max_concurrency=1)

    def sync() -> str:
        return ai.chat("What is 6 times 7?", remember=False)

    def asynchronous() -> str:
        return asyncio.run(ai.async_chat("What is 7 times 7?", remember=False))

    tools = [sync, asynchronous] if live.kind == "async" else [sync]
    calls = [{"name": one.__name__, "arguments": {}} for one in tools]
    live.puter.reply_with(Reply(tool_calls=calls))
    reply = await asyncio.wait_for(live(ai, "chat", "Go", tools=tools), 20)
    assert "42" in reply
    assert live.kind == "sync" or "49" in reply


@pytest.mark.parametrize("kind", ["async"])
async def test_tools_that_wait_for_tools_of_calls_on_their_own_loop(live: Live) -> None:
    """Four at once, and the event loop's pool has two threads."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(2))
    ai = live.client()

    def ask(city: str) -> str:
        asked = ai.async_chat(f"Weather in {city}?", remember=False, tools=[get_weather])
        return asyncio.run_coroutine_threadsafe(asked, loop).result(10)

    def partner(call: ChatCall) -> str | Reply:
        if call.last_role == "tool":
            return "Done."
        if call.last_text == "Go":
            return Reply(tool_calls=[{"name": "ask", "arguments": {"city": c}} for c in "abcd"])
        return Reply(tool_calls=[TOOL])

    live.puter.respond(partner)
    reply = await ai.async_chat("Go", tools=[ask])
    assert [one["content"] for one in reply.messages if one["role"] == "tool"] == ["Done."] * 4


async def test_many_chats_with_tools_at_once(live: Live) -> None:
    def partner(call: ChatCall) -> str | Reply:
        if call.last_role == "tool":
            return str(call.messages[-1]["content"])
        return Reply(tool_calls=[{"name": "get_weather", "arguments": {"city": call.last_text}}])

    def chat(number: int) -> Awaitable[Any]:
        def blocking() -> Any:
            return ai.chat(f"Town {number}", remember=False, tools=[get_weather])

        if live.kind == "sync":
            return asyncio.to_thread(blocking)
        return ai.async_chat(f"Town {number}", remember=False, tools=[get_weather])

    live.puter.respond(partner)
    ai = live.client(max_concurrency=3)
    replies = await asyncio.gather(*map(chat, range(12)))
    assert [json.loads(one)["city"] for one in replies] == [f"Town {n}" for n in range(12)]
    assert (live.puter.peak_running <= 3, ai._throttle.running, ai.usage.requests) == (True, 0, 24)


# ------------------------------------------------------------ Ctrl-C

TOOLS = """
def blocks():
    time.sleep(0.2)  # before Python 3.11, an interrupt is best taken by an idle loop
    print("running", flush=True)
    time.sleep(%(seconds)s)
    print("ended", flush=True)

async def waits():
    try:
        await asyncio.Event().wait()
    finally:
        print("tidied", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_ctrl_c_in_a_sync_tool(stream: bool) -> None:
    body = f"""
        try:
            "".join(ai.chat("Go", tools=[blocks], stream={stream}))
        except KeyboardInterrupt:
            print(ai.chat_history, ai._throttle.running)
            print(ai.chat("Hello!")[:5])
        """
    assert _interrupted(TOOLS % {"seconds": 30}, body) == ["running", "[] 0", "Hello"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_ctrl_c_in_async_tools(stream: bool) -> None:
    body = f"""
        async def main():
            reply = await ai.async_chat("Go", tools=[blocks, waits], stream={stream})
            if {stream}:
                await reply.until_done()

        try:
            run(main())
        except KeyboardInterrupt:
            print(ai.chat_history, ai._throttle.running)
            print(run(ai.async_chat("Hello!"))[:5])
        """
    out = _interrupted(TOOLS % {"seconds": 0.5}, body)
    assert sorted(out[1:3]) == ["ended", "tidied"]
    assert [out[0], *out[3:]] == ["running", "[] 0", "Hello"]


def _interrupted(tools: str, body: str) -> list[str]:
    """What a program prints that is interrupted while its tools run."""
    with LocalPuter(tier=None) as puter:
        names = [name for name in ("blocks", "waits") if name in body]
        calls = [{"name": name, "arguments": {}} for name in names]
        puter.reply_with(Reply(tool_calls=calls))
        setup = 'ai.set_model("claude-haiku-4-5")\n'  # whose streams lose no call
        with programs.start(puter, setup + tools + textwrap.dedent(body)) as program:
            assert program.stdout is not None
            first = program.stdout.readline()
            program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=30)
    assert (program.returncode, err) == (0, ""), err
    return (first + out).splitlines()


@pytest.mark.parametrize("kind", ["async"])
async def test_a_cancelled_chat_leaves_no_thread_behind(live: Live) -> None:
    begun, release, ended = threading.Event(), threading.Event(), threading.Event()

    def blocks() -> None:
        begun.set()
        release.wait(10)
        ended.set()

    live.puter.reply_with(Reply(tool_calls=[{"name": "blocks", "arguments": {}}]))
    ai = live.client()
    task = asyncio.create_task(ai.async_chat("Go", tools=[blocks]))
    await until(begun.is_set)
    task.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert (ai.chat_history, ai._throttle.running) == ([], 0)


@pytest.mark.parametrize("waits_for", ["the server's limit", "a permit"])
def test_a_stream_closed_while_its_next_round_waits_sends_nothing_more(waits_for: str) -> None:
    with LocalPuter(tier=None) as puter:
        ai = puter.client(max_concurrency=1, retry_delay=1.0)
        holders: list[Any] = []

        def hold(a: int) -> int:
            """Take the only permit, in another thread."""
            if waits_for == "a permit":
                holders.append(Permit(ai._throttle).acquire())
            return a

        later = Failure(429) if waits_for != "a permit" else Reply(text="Done.")
        calls = [{"name": "hold", "arguments": {"a": 1}}]
        puter.reply_with(Reply(tool_calls=calls), later, Reply(text="Done."))
        stream = ai.chat("Go", tools=[hold], stream=True, remember=False)
        outcomes: list[Any] = []

        def read() -> None:
            try:
                outcomes.append("".join(stream))
            except PuterError as error:
                outcomes.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        if waits_for == "a permit":
            deadline = time.monotonic() + 20
            while not ai._throttle.waiting and time.monotonic() < deadline:
                time.sleep(0.005)
        else:
            puter.wait_for(2)
        sent = len(puter.chats)
        stream.close()
        for holder in holders:
            holder.release()
        reader.join(20)
        assert isinstance(outcomes[0], PuterError)
        assert outcomes[0].partial is not None
        assert len(puter.chats) == sent
        assert ai._throttle.running == 0
