"""``McpTools`` against real servers of the official package, on stdio and on streamable HTTP."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.mcp import McpError, McpTools
from puter.mcp.connection import Connection, Ended
from puter.testing import LocalPuter, Reply
from tests.door import Door, chat_body, until_done

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytest.importorskip("mcp")
anyio = pytest.importorskip("anyio")  # which mcp brings, and the next
uvicorn = pytest.importorskip("uvicorn")

FIXTURES = Path(__file__).parent / "fixtures"
SERVER = str(FIXTURES / "mcp_server.py")
SECRET = "very-secret"
STDIO = [sys.executable, SERVER, "stdio"]
BY_HAND = [sys.executable, str(FIXTURES / "mcp_by_hand.py")]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:mcp")


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "McpTools"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    from tests.fixtures import mcp_server

    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = mcp_server.server.streamable_http_app()
        http = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=http.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        http.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def stdio() -> Iterator[McpTools]:
    """One server for all tests that do it no harm."""
    environment = {"SHOWN": SECRET, "PYTHONWARNINGS": "ignore"}
    with McpTools(command=STDIO, env=environment, cwd=str(FIXTURES), prefix="my_") as tools:
        yield tools


@pytest.fixture(params=["stdio", "http"])
def tools(request: pytest.FixtureRequest) -> Iterator[McpTools]:
    if request.param == "stdio":
        yield request.getfixturevalue("stdio")
    else:
        with McpTools(url=request.getfixturevalue("url"), prefix="my_") as tools:
            yield tools


def by_name(tools: McpTools, name: str) -> Callable[..., Any]:
    return next(one for one in tools if one.name == f"{tools.prefix}{name}")


# ------------------------------------------------------------------ what a chat makes of them


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_calls_them(
    door: Door, tools: McpTools, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def own(word: str) -> str:
        return word

    with LocalPuter(tier=None) as server:
        server.reply_with(
            Reply(
                tool_calls=[
                    {"name": "my_add", "arguments": {"a": 1, "b": 2}},
                    {"name": "my_divide", "arguments": {"a": 1, "b": 0}},
                    {"name": "my_picture", "arguments": {}},
                ]
            ),
            "done",
        )
        ai = server.client(default_model="claude-haiku-4-5")
        reply = await door(ai, "chat", "Go", tools=[*tools, own], stream=stream)
        reply = await until_done(reply) if stream else reply
        await door(ai, "close")
    assert reply == "done"
    results = [one["content"] for one in ai.chat_history if one["role"] == "tool"]
    assert results[:2] == ["3", "Error: McpError: Error executing tool divide"]
    assert results[2][0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    [told] = [one for one in caplog.records if one.name == "puter.tools"]
    assert "\n" not in told.getMessage()
    assert told.exc_info is None  # it is not our fault, nor the user's


async def test_what_is_sent_to_the_model(door: Door, tools: McpTools) -> None:
    await door(door.client(), "chat", "Hi", tools=tools)
    sent = {one["function"]["name"]: one["function"] for one in door.sent[0].args["tools"]}
    assert sent["my_add"]["description"] == "Add two numbers."
    assert sent["my_add"]["parameters"]["required"] == ["a", "b"]
    assert sent["my_add"]["parameters"]["properties"]["a"]["type"] == "integer"
    assert {"my_get_weather", "my_get_weather_2"} <= sent.keys()


async def test_its_errors_may_end_the_chat(door: Door, tools: McpTools) -> None:
    call = {"id": "c", "type": "function"}
    function = {"name": "my_divide", "arguments": '{"a": 1, "b": 0}'}
    body = chat_body(None, message={"tool_calls": [{**call, "function": function}]})
    door.answers(body)
    with pytest.raises(McpError, match="Error executing tool divide"):
        await door(door.client(), "chat", "Go", tools=tools, raise_tool_errors=(McpError,))
    assert len(door.sent) == 1


def test_results(tools: McpTools) -> None:
    assert by_name(tools, "add")(a=1, b=2) == "3"
    assert by_name(tools, "get_weather")(city="Oslo") == "Rain in Oslo"
    assert by_name(tools, "get_weather_2")(city="Oslo") == "Sun in Oslo"
    text, picture, inside, link = by_name(tools, "mixed")()
    assert (text, inside, link) == ("look:", "inside", "<book text/html: memo://2>")
    assert picture.startswith(b"\x89PNG")
    assert by_name(tools, "bare")() == {"t": 20}
    with pytest.raises(McpError, match=r"(?s)validation error.*Input should be a valid integer"):
        by_name(tools, "add")(a="x", b=1)


def test_a_result_that_cannot_be_read(url: str) -> None:
    with (
        McpTools(url=url) as tools,
        pytest.raises(McpError, match="unreadable returned what cannot be read: "),
    ):
        by_name(tools, "unreadable")()


def test_a_secret_that_a_server_tells_is_no_part_of_an_error(url: str) -> None:
    with (
        McpTools(url=url, headers={"Authorization": f"Bearer {SECRET}"}) as tools,
        pytest.raises(McpError, match="no right for <redacted>"),
    ):
        by_name(tools, "refuse")(words=f"no right for {SECRET}")


def test_threads_share_them(tools: McpTools) -> None:
    """All call at once: each gets an answer, its own, when the last one has come."""
    names = [str(number) for number in range(8)]
    meet = by_name(tools, "meet")
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda name: meet(place="threads", name=name, number=8), names)
        assert list(answers) == names


async def test_tasks_share_them(url: str, tmp_path: Path) -> None:
    def asks_first(call: Any) -> Reply:
        if call.messages[-1]["role"] == "tool":
            return Reply(text=call.messages[-1]["content"])
        arguments = {"place": "tasks", "name": call.last_text, "number": 9}
        return Reply(tool_calls=[{"name": "meet", "arguments": arguments}])

    names, calls = [str(number) for number in range(8)], tmp_path / "calls"
    async with McpTools(url=url) as tools:
        with LocalPuter(tier=None) as server:
            server.respond(asks_first)
            async with server.client() as ai:
                chats = [
                    asyncio.create_task(ai.async_chat(name, tools=tools, remember=False))
                    for name in names
                ]
                count = asyncio.create_task(by_name(tools, "count")(path=str(calls), seconds=60))
                await asyncio.to_thread(until, calls.exists)
                count.cancel()  # which ends this one call
                last = by_name(tools, "meet")(place="tasks", name="last", number=9)
                assert await asyncio.gather(last, *chats) == ["last", *names]


# ------------------------------------------------------------------ calls that do not end well


def test_a_call_that_takes_too_long_is_made_once(url: str, tmp_path: Path) -> None:
    with McpTools(url=url) as tools:
        tools.timeout, usual = 0.4, tools.timeout
        with pytest.raises(McpError, match=r"count did not answer within 0\.4 s"):
            by_name(tools, "count")(path=str(tmp_path / "calls"), seconds=60)
        tools.timeout = usual
        assert by_name(tools, "add")(a=1, b=2) == "3"
    assert (tmp_path / "calls").read_text().count("begun") == 1


async def test_a_cancelled_chat_cancels_the_call(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls = tmp_path / "calls"
    async with McpTools(url=url) as tools:
        call = asyncio.create_task(by_name(tools, "count")(path=str(calls), seconds=60))
        await asyncio.to_thread(until, calls.exists)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.to_thread(until, lambda: "cancelled" in calls.read_text())
        assert await by_name(tools, "add")(a=1, b=2) == "3"
    assert calls.read_text() == "begun\ncancelled\n"
    gc.collect()
    assert not [one for one in caplog.records if one.name == "asyncio"]  # of errors nobody took


async def test_closing_ends_what_is_called(url: str, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    async with McpTools(url=url) as tools:
        add = by_name(tools, "add")
        one = asyncio.create_task(by_name(tools, "count")(path=str(calls), seconds=60))
        await asyncio.to_thread(until, calls.exists)
    with pytest.raises(McpError, match=r"(?i)closed"):
        await one
    with pytest.raises(McpError, match="is closed"):
        await add(a=1, b=2)


async def test_a_server_that_dies_in_the_middle(tmp_path: Path) -> None:
    """Asynchronous tools of a process of its own; the chat goes on with what it is told."""
    async with McpTools(command=BY_HAND, timeout=60) as tools:
        pid = int(await by_name(tools, "pid")())
        calls = tmp_path / "calls"
        waiting = asyncio.create_task(by_name(tools, "wait")(path=str(calls)))
        await asyncio.to_thread(until, lambda: calls.exists() and calls.read_text())
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(McpError, match="wait failed: Connection closed"):
            await waiting
        with LocalPuter(tier=None) as server:
            server.reply_with(Reply(tool_calls=[{"name": "pid", "arguments": {}}]), "a pity")
            async with server.client() as ai:
                assert await ai.async_chat("Go", tools=tools) == "a pity"
        assert "pid failed: Connection closed" in str(ai.chat_history[-2]["content"])
        with pytest.raises(puter.PuterInputError, match="asynchronous"):
            puter.PuterAI(token="t").chat("Hi", tools=tools)
    assert calls.read_text() == "begun\n"  # once


def test_what_is_left_behind(stdio: McpTools) -> None:
    """Closing ends the process; and so does the end of the program that forgot to."""
    assert json.loads(by_name(stdio, "about")())["cwd"] == os.path.realpath(FIXTURES)
    program = f"""if True:
        from puter.mcp import McpTools
        tools = McpTools(command={BY_HAND!r}).__enter__()
        print(tools[0](), flush=True)
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0
    pid = int(done.stdout)  # nothing else of the server is on stdout
    assert "a word on stderr" in done.stderr
    until(lambda: not is_alive(pid))


# ------------------------------------------------------------------ beginning


@pytest.mark.parametrize(
    ("command", "timeout", "words"),
    [
        (
            [sys.executable, SERVER, "crash"],
            50,
            "cannot be opened: Connection closed. What the program wrote",
        ),
        ([sys.executable, SERVER, "silent", SECRET], 0.5, r"did not answer within 0\.5 s"),
        (["no-such-program", SECRET], 50, "cannot be opened: .*No such file"),
    ],
)
async def test_a_server_that_does_not_begin(
    door: Door, command: list[str], timeout: float, words: str
) -> None:
    tools = McpTools(command=command, timeout=timeout)
    with pytest.raises(McpError, match=words) as caught:
        tools.__enter__() if door.kind == "sync" else await tools.__aenter__()
    assert SECRET not in f"{caught.value!r} {caught.value} {tools}"
    with pytest.raises(puter.PuterInputError, match="is not open"):
        list(tools)


@pytest.mark.parametrize("of", ["command", "url"])
def test_what_is_no_message_is_told_once_and_not_shown(
    of: str, url: str, stdio: McpTools, caplog: pytest.LogCaptureFixture
) -> None:
    at: dict[str, Any] = {
        "command": [sys.executable, "-S", "-c", "print('junk\\n' * 3)"],
        "url": url.replace("/mcp", "/junk"),
    }
    tools = McpTools(**{of: at[of]})
    with pytest.raises(McpError, match="cannot be opened"):
        tools.__enter__()
    logging.getLogger("mcp.client.stdio").error("of others", exc_info=ValueError())
    told = f"{tools._label} writes something that is no message of MCP; it is ignored"
    assert [one.getMessage() for one in caplog.records if one.levelname != "DEBUG"] == [
        told,
        "of others",
    ]


@pytest.mark.parametrize(
    ("path", "words"),
    [("endless", "It is larger than 1000000 bytes"), ("bomb", "It is compressed")],
)
def test_an_answer_has_an_end(
    path: str, words: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from puter.mcp import http

    monkeypatch.setattr(http, "LARGEST", 1_000_000)
    tools = McpTools(url=url.replace("mcp", path))
    with pytest.raises(McpError, match=words):
        tools.__enter__()


def test_its_address_is_in_no_log(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither that of the server, nor where it sends us, which has the same words."""
    address = url.replace("mcp", f"elsewhere/{SECRET}?key={SECRET}-too")
    with caplog.at_level(logging.DEBUG), pytest.raises(McpError, match="Redirect to") as caught:
        McpTools(url=address, headers={"Authorization": f"Bearer {SECRET}"}).__enter__()
    told = [one.getMessage() for one in caplog.records if one.threadName == "McpTools"]
    assert {"httpx2", "mcp.client.streamable_http"} <= {one.name for one in caplog.records}
    assert any("Redirect to http://another.invalid" in one for one in told)
    assert SECRET not in f"{caught.value} {told}"


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    address = f"http://user:{SECRET}@127.0.0.1:{port}/{SECRET}/mcp?key={SECRET}"
    tools = McpTools(url=address, headers={"Authorization": f"Bearer {SECRET}"})
    with pytest.raises(McpError, match=f"McpTools http://127.0.0.1:{port} cannot") as caught:
        tools.__enter__()
    assert SECRET not in f"{caught.value!r} {caught.value} {tools} {vars(caught.value)}"


async def test_who_is_cancelled_while_it_begins_leaves_nothing() -> None:
    tools = McpTools(command=[sys.executable, SERVER, "silent"])
    before = len(threads())
    beginning = asyncio.create_task(tools.__aenter__())
    await asyncio.to_thread(until, lambda: len(threads()) > before)
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    await asyncio.to_thread(until, lambda: len(threads()) == before)


async def test_a_server_is_ended_once_however_often_it_is_given_up(tmp_path: Path) -> None:
    """Cancelled, and then too late as well: the second does not cut the ending short."""
    pid = tmp_path / "pid"
    tools = McpTools(command=[sys.executable, SERVER, "silent"], timeout=1, env={"PID": str(pid)})
    beginning = asyncio.create_task(tools.__aenter__())
    await asyncio.to_thread(until, lambda: pid.exists() and pid.read_text())
    beginning.cancel()
    with pytest.raises((asyncio.CancelledError, McpError)):
        await beginning
    await asyncio.to_thread(until, lambda: not is_alive(int(pid.read_text())))


def test_a_program_that_ends_leaves_no_silent_server(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = f"""if True:
        from puter.mcp import McpError, McpTools
        try:
            McpTools(command=["sh", "-c", "echo $$ > {pid}; exec sleep 60"], timeout=3).__enter__()
        except McpError as error:
            assert "did not answer" in str(error), error
    """
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert not is_alive(int(pid.read_text()))


def test_what_is_given_up_before_it_begins_starts_nothing() -> None:
    async def transport(stack: AsyncExitStack) -> Any:
        raise AssertionError("it is not wanted")

    connection = Connection("server", transport, str, timeout=20)
    connection.end(wait=False)
    with pytest.raises(Ended):
        connection.start()


def test_an_ending_that_has_begun_is_not_cut_short() -> None:
    begun, given_up, ended = threading.Event(), threading.Event(), list[str]()

    @asynccontextmanager
    async def dead_server() -> AsyncIterator[Any]:
        (to_us, ours), (us, theirs) = (anyio.create_memory_object_stream[Any]() for _ in range(2))
        try:
            async with to_us, ours, us, theirs:
                await to_us.aclose()
                yield ours, us
        finally:
            begun.set()
            await asyncio.to_thread(given_up.wait, 20)
            ended.append("as it should")

    async def transport(stack: AsyncExitStack) -> Any:
        return dead_server()

    connection = Connection("server", transport, str, timeout=20)
    with ThreadPoolExecutor() as pool:
        started = pool.submit(connection.start)
        assert begun.wait(20)
        connection.end(wait=False)
        given_up.set()
        assert started.exception(20)
    assert ended == ["as it should"]


def test_a_tool_that_cannot_be_one_ends_the_server(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise puter.PuterInputError("no name")

    tools = McpTools(url=url)
    with monkeypatch.context() as patch:
        patch.setattr(McpTools, "_tool", refused)
        with pytest.raises(McpError, match="cannot be opened: no name"), tools:
            pass
    with tools:
        assert len(tools)


def test_it_opens_again_and_not_twice(url: str) -> None:
    tools = McpTools(url=url, headers={"X-Key": SECRET})
    label = url.removesuffix("/mcp")
    assert repr(tools) == f"<McpTools {label} (closed)>"
    for _ in range(2):
        with tools:
            assert repr(tools) == f"<McpTools {label} ({len(tools)} tools)>"
            with pytest.raises(puter.PuterInputError, match="is open already"), tools:
                pass
            assert by_name(tools, "add")(a=1, b=2) == "3"
    tools.close()


def test_two_servers_have_names_of_their_own(url: str, stdio: McpTools) -> None:
    with McpTools(url=url) as one, McpTools(url=url) as same:
        ai = puter.PuterAI(token="t")
        with pytest.raises(puter.PuterInputError, match="Two tools are named 'add'"):
            ai.chat("Hi", tools=[*one, *same])
        assert len(puter.tools.Toolbox([*one, *stdio]).names) == 2 * len(one)
    assert by_name(stdio, "environment")(name="SHOWN") == SECRET
    assert SECRET not in repr(stdio)


def test_the_environment_is_not_passed_on(stdio: McpTools, monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_name(stdio, "environment")(name="PYTEST_CURRENT_TEST") == "nothing"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "a command or a url"),
        ({"command": ["x"], "url": "http://x"}, "a command or a url"),
        ({"command": "uvx server"}, "must be a list of words"),
        ({"command": []}, "must be a list of words"),
        ({"command": ["true", 5]}, "must be a list of words"),
        ({"command": 5}, "must be a list of words"),
        ({"url": "localhost:80"}, "must begin with https"),
        ({"url": 5}, "must begin with https"),
        ({"url": "http://"}, "and a host"),
        ({"url": "http://h:99999/"}, "must begin with https"),
        ({"url": "http://[::1/x"}, "must begin with https"),
        ({"url": "http://x", "headers": {"Authorization": None}}, "headers must be a dict"),
        ({"url": "http://x", "headers": [("a", "b")]}, "headers must be a dict"),
        ({"command": ["x"], "env": {"A": 5}}, "env must be a dict"),
        ({"command": ["x"], "cwd": 5}, "cwd must be a path, not 5"),
        ({"command": ["x"], "headers": {"a": "b"}}, "headers go with url"),
        ({"url": "http://x", "env": {"a": "b"}}, "env and cwd go with command"),
        ({"command": ["x"], "timeout": 0}, "above 0"),
        ({"command": ["x"], "timeout": "5"}, "above 0, not '5'"),
        ({"command": ["x"], "timeout": float("inf")}, "above 0, not inf"),
        ({"command": ["x"], "prefix": None}, "None cannot begin the name"),
        ({"command": ["x"], "prefix": "a.b"}, "cannot begin the name"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(puter.PuterInputError, match=words):
        McpTools(**arguments)


def test_the_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(puter.PuterConfigError, match=r"pip install 'mcp>=2' .*\[mcp\]"):
        McpTools(command=["x"]).__enter__()
