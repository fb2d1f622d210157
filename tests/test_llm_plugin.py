"""The plugin of the ``llm`` command: its models, and the command itself, on a LocalPuter."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llm
import pytest
from llm.cli import cli
from llm.plugins import pm

import puter.llm_plugin
from puter import PuterInputError
from puter.llm_plugin import models, register_models
from puter.testing import LocalPuter, Reply
from tests.door import Door

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(puter.__file__).parents[1]
CLAUDE = "claude-sonnet-4-6"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalPuter]:
    with LocalPuter(tier=None) as running:
        monkeypatch.setenv("PUTER_API_BASE", running.url)
        yield running


@pytest.fixture
def token(server: LocalPuter) -> str:
    found = server.client()._shared.credentials.token
    assert found is not None
    return found.reveal()


def known(name: str, door: Door) -> Any:
    pairs = {pair[0].name: pair for pair in models.known_models()}
    return pairs[name][door.kind == "async"]


async def done(response: Any) -> Any:
    """The response, once it is there."""
    await response if isinstance(response, llm.AsyncResponse) else response.text()
    return response


def sent(server: LocalPuter) -> dict[str, Any]:
    arguments: dict[str, Any] = server.requests[-1].json["args"]
    return arguments


ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@ways
async def test_an_answer_with_what_it_cost(
    server: LocalPuter, token: str, door: Door, stream: bool
) -> None:
    server.reply_with(Reply(text="Paris, of course.", reasoning="France."))
    response = await done(
        known(CLAUDE, door).prompt(
            "Which city?", system="Be brief.", key=token, stream=stream, max_tokens=20, stop="END"
        )
    )
    assert response._chunks == (["Paris, ", "of ", "course."] if stream else ["Paris, of course."])
    assert (response.input_tokens, response.output_tokens > 0) == (12, True)
    assert float(response.token_details["usd"]) > 0
    assert response.response_json["finish_reason"] == "stop"
    assert response.resolved_model.startswith(CLAUDE)
    assert response._stream_events[0].type == "reasoning"
    args = sent(server)
    assert [one["role"] for one in args["messages"]] == ["system", "user"]
    assert (args["max_tokens"], args["stopSequences"]) == (20, ["END"])


@ways
async def test_tools_run_and_signed_thoughts_go_back(
    server: LocalPuter, token: str, door: Door, stream: bool
) -> None:
    ran: list[str] = []

    def get_weather(city: str) -> str:
        """Tell the weather."""
        ran.append(city)
        return f"Rain in {city}"

    wish = {"name": "get_weather", "arguments": {"city": "Oslo"}}
    # Anthropic refuses the result unless the signed thought comes back in front of the call.
    server.reply_with(
        Reply(text="I look.", reasoning="Hm.", tool_calls=[wish], signed=True), "It rains."
    )
    model = known(CLAUDE, door)
    chain = model.chain("Weather in Oslo?", tools=[get_weather], key=token, stream=stream)
    text = chain.text()
    assert (text if door.kind == "sync" else await text).endswith("It rains.")
    assert ran == ["Oslo"]
    assert sent(server)["messages"][-1]["content"] == "Rain in Oslo"


async def test_a_conversation_remembers(server: LocalPuter, token: str, door: Door) -> None:
    conversation = known("gpt-5-nano", door).conversation()
    await done(conversation.prompt("My name is Ada.", key=token))
    second = await done(conversation.prompt("What is my name?", key=token))
    assert "".join(second._chunks) == "Your name is Ada."


async def test_a_schema(server: LocalPuter, token: str, door: Door) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    response = await done(known(CLAUDE, door).prompt("A number: 7", schema=schema, key=token))
    assert json.loads("".join(response._chunks)) == {"n": 7}
    assert sent(server)["outputFormat"]["type"] == "json_schema"


async def test_attachments(server: LocalPuter, token: str, door: Door, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    given = [
        llm.Attachment(path=str(tmp_path / "a.png")),
        llm.Attachment(type="image/png", url="https://x.invalid/b.png"),
        llm.Attachment(type="application/pdf", content=b"%PDF-1.4\n%%EOF\n"),
    ]
    server.reply_with("Seen.")
    await done(known("gemini-2.5-flash", door).prompt("Look", attachments=given, key=token))
    text, *parts = sent(server)["messages"][0]["content"]
    assert text == {"type": "text", "text": "Look"}
    assert [one["type"] for one in parts] == ["image_url", "image_url", "file"]
    assert parts[0]["image_url"]["url"].endswith(base64.b64encode(PNG).decode())
    with pytest.raises(ValueError, match="does not support attachments"):
        known("qwen-max", door).prompt("Look", attachments=given, key=token)


async def test_an_attachment_with_a_url_is_no_file(
    server: LocalPuter, token: str, door: Door, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    for url in (str(tmp_path / "a.png"), (tmp_path / "a.png").as_uri(), "~/a.png"):
        given = [llm.Attachment(type="image/png", url=url)]
        with pytest.raises(PuterInputError, match=r"no http\(s\) URL"):
            await done(known("gemini-2.5-flash", door).prompt("Look", attachments=given, key=token))
    assert not server.requests


async def test_pictures_of_an_answer_are_told(server: LocalPuter, token: str, door: Door) -> None:
    data = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    server.reply_with(Reply(text="Here.", images=["http://x.invalid/a.png", data]))
    response = await done(known("gpt-4.1-mini", door).prompt("Draw", key=token))
    text = "".join(response._chunks)
    assert "[image/png: http://x.invalid/a.png]" in text
    assert "[image/png: in the log]" in text
    assert response.response_json["images"][1] == data


def test_wrong_options_are_refused_before_anything_is_sent(server: LocalPuter, token: str) -> None:
    model = known("gpt-5-nano", Door("sync"))
    with pytest.raises(PuterInputError, match="max_tokens"):
        model.prompt("Hi", max_tokens=0, key=token).text()
    assert not server.requests


def test_every_model_of_the_registry_is_there_and_an_old_llm_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[Any] = []
    register_models(lambda *pair: found.append(pair))
    names = {model.model_id for model, _ in found}
    assert names == {f"puter/{name}" for name in puter.PuterAI().get_available_models()}
    assert all(twin.model_id == model.model_id for model, twin in found)
    found.clear()
    monkeypatch.setattr("puter.llm_plugin.find_spec", lambda _: None)
    register_models(lambda *pair: found.append(pair))
    assert (found, capsys.readouterr().err.startswith("Models of Puter need llm")) == ([], True)


@pytest.fixture
def command(
    server: LocalPuter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Any]:
    """The command, with this plugin alone; gives exit code, stdout and stderr."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "user"))
    monkeypatch.setenv("LLM_LOAD_PLUGINS", "")
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def run(*arguments: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments], prog_name="llm")
        return ended.value.code, *capsys.readouterr()

    if pm.is_registered(puter.llm_plugin):  # it is installed here
        yield run
        return
    pm.register(puter.llm_plugin, "puter-here")
    yield run
    pm.unregister(name="puter-here")


def test_the_command(command: Any, token: str) -> None:
    code, _, err = command("-m", "puter/gpt-5-nano", "Hello")
    assert code == 1
    assert "llm keys set puter" in err
    assert command("keys", "set", "puter", "--value", token)[0] == 0
    code, out, err = command("-m", "puter/gpt-5-nano", "-s", "Be brief.", "-u", "My name is Ada.")
    assert (code, out.strip()) == (0, "Hello, Ada! I am LocalPuter, playing gpt-5-nano.")
    assert '"usd"' in err
    assert command("-c", "What is my name?")[1].strip() == "Your name is Ada."


def test_the_token_of_the_environment_counts_and_a_tool_runs(
    command: Any, server: LocalPuter, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUTER_AUTH_TOKEN", token)
    wish = {"name": "double", "arguments": {"number": 21}}
    server.reply_with(Reply(tool_calls=[wish]), "It is 42.")
    source = "def double(number: int) -> int:\n    return 2 * number"
    code, out, err = command("-m", f"puter/{CLAUDE}", "Double 21", "--functions", source, "--td")
    assert (code, out.strip()) == (0, "It is 42.")
    assert "42" in err
    assert token not in out + err


def test_the_real_command_finds_the_plugin_and_lists_the_models_without_network(
    tmp_path: Path,
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = tmp_path / "site" / "puter_here-1.0.dist-info"
    metadata.mkdir(parents=True)
    metadata.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: puter-here\nVersion: 1")
    entries = "".join(f"{name} = {at}\n" for name, at in project["entry-points"]["llm"].items())
    metadata.joinpath("entry_points.txt").write_text(f"[llm]\n{entries}")
    settings = {
        "PYTHONPATH": os.pathsep.join([str(metadata.parent), str(ROOT)]),
        "LLM_LOAD_PLUGINS": "puter-here",
        "LLM_USER_PATH": str(tmp_path / "user"),
        "PUTER_API_BASE": "http://127.0.0.1:9",
    }
    listed = subprocess.run(
        [sys.executable, "-m", "llm", "models", "list"],
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
        env={**os.environ, **settings},
    )
    assert "PuterModel: puter/claude-sonnet-4-6" in listed.stdout
