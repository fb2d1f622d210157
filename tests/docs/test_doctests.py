"""The examples in docstrings run, those of each docstring against a LocalPuter of their own.

They see ``ai``, a client that is signed in, and files of the names below; ``PuterAI()`` signs in
from the environment.
"""

from __future__ import annotations

import asyncio
import doctest
import importlib
import inspect
import pkgutil
import re
import wave
import webbrowser
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import puter
from puter import PuterAI
from puter.testing import LocalPuter
from puter.testing.samples import PNG
from tests.consenting import allow
from tests.test_guards import PUBLIC, public_methods

LIBRARIES = {  # that whole modules are for
    "puter.langchain": "langchain_core",
    "puter.llm_plugin": "llm",
    "puter.mcp": "mcp",
    "puter.pydantic_ai": "pydantic_ai",
}
MODULES = [
    found.name
    for found in pkgutil.walk_packages(puter.__path__, "puter.")
    if ".hook-" not in found.name  # PyInstaller runs these
    if not found.name.endswith("__main__")
    if all(find_spec(LIBRARIES[one]) for one in LIBRARIES if found.name.startswith(one))
]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
ANSWERS = {
    "Say hello": "Hello!",
    "Three primes": "[2, 3, 5]",
    "What is the capital of France?": "Paris",
    "What is this?": "A cat.",
}


def write_files() -> None:
    """What the examples read, in the current folder."""
    for name in ("cat.jpg", "receipt.jpg"):
        Path(name).write_bytes(PNG)
    Path("meeting.mp3").write_bytes(b"ID3" + bytes(100))
    with wave.open("me.wav", "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(800))


@pytest.fixture
def loop() -> Iterator[None]:
    """The one that ``run_sync`` of pydantic-ai finds; it would leave its own open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.run_until_complete(asyncio.sleep(0))  # connections that are being closed
    loop.close()
    asyncio.set_event_loop(None)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.usefixtures("loop")
def test_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for test in docstrings_of(name):
        write_files()
        with LocalPuter(username="alice", password="correct horse") as server:
            server.respond(lambda call: ANSWERS[call.last_text])
            server.files["~/Documents/notes.txt"] = b"Bread, milk"
            monkeypatch.setenv("PUTER_API_BASE", server.api_base)
            monkeypatch.setenv("PUTER_LOGIN_URL", server.login_url)
            monkeypatch.setenv("PUTER_AUTH_TOKEN", server.token)
            monkeypatch.setattr(webbrowser, "open", allow)
            with server.client() as ai:
                test.globs.update(PuterAI=PuterAI, ai=ai, asyncio=asyncio)
                failed, _ = runner.run(test)
        assert failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_example_is_found_and_runs(name: str) -> None:
    module = importlib.import_module(name)
    examples = [one for test in docstrings_of(name) for one in test.examples]
    written = re.findall(r"^ *>>> ", inspect.getsource(module), re.MULTILINE)
    assert len(examples) == len(written)
    assert not any(one.options.get(doctest.SKIP) for one in examples)


@pytest.mark.parametrize("kind", [one for one in PUBLIC if inspect.isclass(one)])
def test_every_public_method_has_an_example(kind: type) -> None:
    without = {
        name
        for name, method in public_methods(kind).items()
        if (getattr(method, "__module__", None) or "").startswith("puter")
        and ">>>" not in (method.__doc__ or "")
    }
    assert without <= {"open"}  # of AsyncChatStream, which `async_chat` opens


def docstrings_of(name: str) -> list[doctest.DocTest]:
    """Those of a module that hold examples; one that several functions share counts once."""
    found = doctest.DocTestFinder().find(importlib.import_module(name))
    return list({one.docstring: one for one in found if one.examples}.values())
