"""What users see before they run anything: mypy, pyright, and an editor's hover.

Both checkers are in the extra ``dev``; where one is missing, its tests are skipped.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

ROOT = Path(__file__).parents[1]


def needs(checker: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        importlib.util.find_spec(checker) is None,
        reason=f"{checker} is not installed: it is in the extra dev",
    )


# ------------------------------------------------------------ what type checkers refuse

PROGRAM = """
from typing_extensions import assert_type

from puter import AsyncChatStream, ChatReply, ChatStream, Image, PuterAI, PuterConfig
from puter.extensions import Budget, Cache, CallNext, Fallback, Flow, Request, map_chunks

ai = PuterAI(token="t", timeout=3, max_retries=0)
PuterAI(config=PuterConfig(timeout=3), deadline=None)
PuterAI(timeoutt=3)  # refused
PuterAI(timeout="3")  # refused
PuterConfig(timeoutt=3)  # refused

assert_type(ai.with_options(timeout=3, proxy=None), PuterAI)
ai.with_options(timeoutt=3)  # refused
ai.config.update(timeout=3, headers={"X-A": "1"})
ai.config.update(timeoutt=3)  # refused
ai.config.update(max_retries=None)  # refused
ai.config.timeout = 3
ai.config.timeoutt = 3  # refused
ai.config.headers["X-A"] = "1"
ai.config.headers["X-A"] = 1  # refused
ai.config.headers |= {"X-B": "2"}
ai.current_model = "gpt-4.1"
ai.chat_history = ["Hi", *ai.chat_history[-10:]]
ai.chat_history = 5  # refused

assert_type(ai.txt2img("a cat", quality="high", ratio=(16, 9)), Image)
ai.txt2img("a cat", qualty="high")  # refused
ai.txt2img("a cat", seed="one")  # refused
ai.txt2img("a cat", timeoutt=3)  # refused

assert_type(ai.chat("Hi", images="a.png", temperature=0.5), ChatReply)
ai.chat("Hi", images=5)  # refused
ai.chat("Hi", temprature=0.5)  # refused
ai.chat(5)  # refused
ai.parse("Hi", int, imagse="a.png")  # refused
ai.conversation().chat("Hi", images=5)  # refused


def change(request: Request, call_next: CallNext) -> Flow[ChatReply]:
    reply: ChatReply = yield from map_chunks(call_next(request.replace(model="x")), str.upper)
    return reply


def no_generator(request: Request, call_next: CallNext) -> str:
    return request.operation


assert_type(ai.use(change).use(Cache()).use(Budget("1")).use("a-plugin"), PuterAI)
ai.conversation().use(Fallback("x"))
ai.use(no_generator)  # refused
ai.use(7)  # refused
ai.on("call.end", lambda event: print(event.cost))


def overloads(ai: PuterAI, either: bool) -> None:
    assert_type(ai.chat("Hi"), ChatReply)
    assert_type(ai.chat("Hi", stream=False), ChatReply)
    assert_type(ai.chat("Hi", stream=True), ChatStream)
    assert_type(ai.chat("Hi", stream=either), ChatReply | ChatStream)
    assert_type(ai.conversation().chat("Hi", stream=True), ChatStream)
    assert_type(ai.parse("Hi", int), int)
    assert_type(ai.parse("Hi", int, with_reply=True), tuple[int, ChatReply])


async def async_overloads(ai: PuterAI, either: bool) -> None:
    assert_type(await ai.async_chat("Hi"), ChatReply)
    assert_type(await ai.async_chat("Hi", stream=True), AsyncChatStream)
    assert_type(await ai.async_chat("Hi", stream=either), ChatReply | AsyncChatStream)
    assert_type(await ai.conversation().async_chat("Hi", stream=True), AsyncChatStream)
    assert_type(await ai.async_parse("Hi", list[int]), list[int])
    assert_type(await ai.async_parse("Hi", int, with_reply=True), tuple[int, ChatReply])
    assert_type(await ai.async_txt2img("a cat"), Image)
    await ai.async_chat("Hi", images=5)  # refused
    await ai.async_chat("Hi", temprature=0.5)  # refused
    await ai.async_txt2img("a cat", qualty="high")  # refused
    await ai.async_parse("Hi", int, imagse="a.png")  # refused
    ai.async_chat("Hi").upper()  # refused
"""
REFUSED = [n for n, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith("# refused")]


def project(folder: Path, program: str) -> None:
    (folder / "use.py").write_text(program, encoding="utf-8")
    (folder / "pyrightconfig.json").write_text("{}", encoding="utf-8")  # none of a folder above


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT), "NO_COLOR": "1"}


def output_of_checker(folder: Path, *arguments: str) -> str:
    """What the checker prints of ``use.py``, in which it must find errors."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments, "use.py"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def lines_refused_by_mypy(folder: Path) -> list[int]:
    printed = output_of_checker(
        folder,
        *("mypy", "--strict", "--no-error-summary", "--hide-error-context", "--config-file="),
        *("--follow-imports=silent", "--cache-dir", str(folder / "cache")),
    )
    return [int(n) for n in re.findall(r"^use\.py:(\d+): error:", printed, re.MULTILINE)]


def lines_refused_by_pyright(folder: Path) -> list[int]:
    printed = output_of_checker(folder, "pyright", "--outputjson", "--pythonpath", sys.executable)
    found = json.loads(printed)["generalDiagnostics"]
    return [one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "refused_by",
    [
        pytest.param(lines_refused_by_mypy, id="mypy", marks=needs("mypy")),
        pytest.param(lines_refused_by_pyright, id="pyright", marks=needs("pyright")),
    ],
)
def test_type_checkers_refuse_what_is_wrong_and_nothing_else(
    tmp_path: Path, refused_by: Any
) -> None:
    project(tmp_path, PROGRAM)
    assert len(REFUSED) > 15
    assert sorted(set(refused_by(tmp_path))) == REFUSED


# ------------------------------------------------------------ what an editor shows

HOVERED = """
from puter import PuterAI


async def main(ai: PuterAI) -> None:
    ai.txt2img("a cat")
    await ai.async_txt2img("a cat")
    ai.whoami()
    await ai.async_whoami()
    ai.chat("Hi")
    await ai.async_chat("Hi")
    ai.parse("Hi", int)
    await ai.async_parse("Hi", int)
    reply = ai.chat("Hi")
    print(reply.cost, reply.finish_reason)
    config = ai.config
    print(config.timeout, ai.current_model)
    picture = ai.txt2img("a cat")
    print(picture.mime_type, await picture.async_read(), await picture.async_save("cat"))
    await ai.async_close()
"""


class Editor:
    """A client of ``pyright-langserver`` with one open file."""

    def __init__(self, folder: Path, text: str) -> None:
        self._text = text
        self._document = {"uri": (folder / "use.py").as_uri()}
        self._number = 0
        self._server = subprocess.Popen(
            [sys.executable, "-m", "pyright.langserver", "--stdio"],
            cwd=folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        root = folder.as_uri()
        self.ask(
            "initialize",
            processId=os.getpid(),
            rootUri=root,
            workspaceFolders=[{"uri": root, "name": "folder"}],
            capabilities={
                "workspace": {"configuration": True},
                "textDocument": {"hover": {"contentFormat": ["markdown"]}},
            },
        )
        self._send(method="initialized", params={})
        opened = {**self._document, "languageId": "python", "version": 1, "text": text}
        self._send(method="textDocument/didOpen", params={"textDocument": opened})

    def hover(self, name: str) -> str:
        """What is shown over the first ``name`` of the file, without line breaks and indents."""
        before, _, _ = self._text.partition(name)
        position = {
            "line": before.count("\n"),
            "character": len(before) - before.rfind("\n") - 1 + len(name) - 1,
        }
        result = self.ask("textDocument/hover", textDocument=self._document, position=position)
        shown = ((result or {}).get("contents") or {}).get("value", "")
        return " ".join(shown.replace("&nbsp;", " ").replace("\\", "").split())

    def ask(self, method: str, **params: Any) -> Any:
        self._number += 1
        self._send(id=self._number, method=method, params=params)
        while True:
            message = self._receive()
            if "method" not in message:
                if message.get("id") == self._number:
                    return message.get("result")
            elif "id" in message:  # the server asks, too
                settings = [
                    {"pythonPath": sys.executable} for _ in message["params"].get("items", ())
                ]
                asked = message["method"] == "workspace/configuration"
                self._send(id=message["id"], result=settings if asked else None)

    def close(self) -> None:
        self._server.kill()
        self._server.communicate()

    def _send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        to = _pipe(self._server.stdin)
        to.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        to.flush()

    def _receive(self) -> Any:
        out, size = _pipe(self._server.stdout), 0
        while header := out.readline().strip():
            if header.lower().startswith(b"content-length:"):
                size = int(header.partition(b":")[2])
        assert size, "pyright-langserver went away"
        return json.loads(out.read(size))


def _pipe(pipe: Any) -> BinaryIO:
    assert pipe is not None
    return pipe  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    folder = tmp_path_factory.mktemp("editor")
    project(folder, HOVERED)
    opened = Editor(folder, HOVERED)
    yield opened
    opened.close()


METHODS = {
    "txt2img": ("prompt: str", "ratio: ", "-> Image", "Generate an image", "Args:"),
    "async_txt2img": ("prompt: str", "ratio: ", "Image]", "Generate an image", "Args:"),
    "whoami": ("-> Account", "Ask who is signed in"),
    "async_whoami": ("Account]", "Ask who is signed in"),
    "chat": ("prompt: str", "model: str", "stream: ", "-> ChatReply", "Ask a model", "max_rounds:"),
    "async_chat": (
        *("prompt: str", "model: str", "stream: ", "ChatReply]"),
        *("Ask a model", "max_rounds:"),
    ),
    "async_close": ("-> ", "None", "Close all connections"),
    "parse": ("prompt: str", "output_type: ", "retries: int", "Ask for an answer of a type"),
    "async_parse": ("prompt: str", "output_type: ", "retries: int", "Ask for an answer of a type"),
}
ATTRIBUTES = {
    "reply.cost": ("Decimal", "US dollars"),
    "reply.finish_reason": ("str", "stop"),
    "config.timeout": ("float", "Seconds of silence"),
    "ai.current_model": ("str", "The model of a chat that names none"),
    "picture.mime_type": ("str", "image/png"),
    "picture.async_read": ("bytes", "Raises:"),
    "picture.async_save": ("path: ", "Path]", "Raises:"),
}


@needs("pyright")
@pytest.mark.parametrize("name", METHODS)
def test_hover_shows_parameters_and_docstring_of_both_twins(editor: Editor, name: str) -> None:
    shown = editor.hover(f"ai.{name}")
    assert [part for part in METHODS[name] if part not in shown] == [], shown


@needs("pyright")
@pytest.mark.parametrize("name", ATTRIBUTES)
def test_hover_shows_what_an_attribute_means(editor: Editor, name: str) -> None:
    shown = editor.hover(name)
    assert [part for part in ATTRIBUTES[name] if part not in shown] == [], shown
