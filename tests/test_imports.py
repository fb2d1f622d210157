"""What importing, a client, and a first chat load: nothing that they do not need."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import puter
from puter.engine.client import Client, paired
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.testing import LocalPuter

ROOT = Path(puter.__file__).parents[1]

NETWORK = {"aiohttp", "asyncio", "requests", "socket", "ssl", "urllib3"}
MACHINERY = set("dataclasses datetime difflib html inspect shutil subprocess uuid".split())
"""Of the standard library, what takes long to load and is not loaded by requests either."""

OF_A_CLIENT = {
    "puter",
    "puter.ai",
    "puter.api",
    "puter.api.methods",
    "puter.checks",
    "puter.config",
    "puter.docstrings",
    "puter.engine",
    "puter.engine.client",
    "puter.engine.clock",
    "puter.engine.context",
    "puter.engine.credentials",
    "puter.engine.extensions",
    "puter.engine.ledger",
    "puter.engine.retry",
    "puter.engine.throttle",
    "puter.exceptions",
    "puter.frames",
    "puter.history",
    "puter.keywords",
    "puter.money",
    "puter.process",
    "puter.records",
    "puter.secret",
    "puter.settings",
    "puter.threads",
    "puter.version",
}
OF_A_CHAT = OF_A_CLIENT | {
    "puter.api.chat",
    "puter.api.turn",
    "puter.engine.effects",
    "puter.engine.events",
    "puter.engine.failures",
    "puter.engine.log",
    "puter.engine.observing",
    "puter.engine.pipeline",
    "puter.engine.transport",
    "puter.models",
    "puter.options",
    "puter.transports",
    "puter.transports.connection_errors",
    "puter.transports.proxies",
    "puter.transports.requests_transport",
    "puter.transports.strict_response",
    "puter.types",
    "puter.types.immutable",
    "puter.types.replies",
    "puter.types.text",
    "puter.wire",
    "puter.wire.dialects",
    "puter.wire.dialects.base",
    "puter.wire.dialects.claude",
    "puter.wire.dialects.mistral",
    "puter.wire.dialects.openai",
    "puter.wire.dialects.responses",
    "puter.wire.encoding",
    "puter.wire.errors",
    "puter.wire.http",
    "puter.wire.json",
    "puter.wire.messages",
    "puter.wire.pieces",
    "puter.wire.redact",
    "puter.wire.tool_messages",
}


OF_HELP = {
    "puter",
    "puter.checks",
    "puter.cli",
    "puter.cli.app",
    "puter.cli.plugins",
    "puter.cli.session",
    "puter.cli.text",
    "puter.exceptions",
    "puter.extensions",
    "puter.extensions.plugins",
    "puter.process",
    "puter.records",
    "puter.version",
}


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPuter]:
    with LocalPuter(tier=None) as running:
        yield running


def loaded_by(program: str, **variables: str) -> set[str]:
    """Modules that a program loads beside those of the interpreter."""
    told = "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; before = set(sys.modules)\n{program}\n{told}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )
    return set(done.stdout.split())


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] == "puter"}


def test_importing_puter_loads_no_module_but_its_own() -> None:
    assert loaded_by("import puter") - {"__future__"} == {"puter", "puter.version"}


def test_a_client_loads_no_operation_and_no_library() -> None:
    found = loaded_by("from puter import PuterAI; PuterAI(token='t', timeout=60)")
    assert not found & (NETWORK | MACHINERY | {"decimal", "json", "logging", "pathlib"})
    assert ours(found) <= OF_A_CLIENT


def test_a_first_chat_loads_what_a_plain_chat_needs(server: LocalPuter) -> None:
    here = {"PUTER_API_BASE": server.api_base, "PUTER_LOGIN_URL": server.login_url}
    found = loaded_by(
        "from puter import PuterAI; assert PuterAI().chat('2 + 2', remember=False)",
        PUTER_AUTH_TOKEN=server.token,
        **here,
    )
    needless = found - loaded_by("import requests, requests.adapters")
    assert not needless & ({"aiohttp", "asyncio"} | MACHINERY)
    assert ours(found) <= OF_A_CHAT


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_of_the_command_line_loads_click_and_little_else(words: list[str]) -> None:
    found = loaded_by(
        "import sys; from puter.cli import main; sys.stdout = sys.stderr\n"
        f"assert main({words}) == 0; sys.stdout = sys.__stdout__"
    )
    needless = found - loaded_by("import click")
    others = {name.partition(".")[0] for name in needless} - set(sys.stdlib_module_names)
    assert others <= {"click", "puter"}
    assert not needless & {"asyncio", "decimal", "logging", "requests", "sqlite3", "ssl"}
    assert ours(found) <= OF_HELP


def test_an_operation_is_loaded_when_it_is_looked_up() -> None:
    program = "from puter import PuterAI; PuterAI.txt2img"
    assert "puter.api.images" in loaded_by(program)
    assert "puter.api.speech" not in loaded_by(program)


def test_methods_show_their_parameters_and_docstrings_once_looked_up() -> None:
    loaded_by(
        """
import inspect
from puter import PuterAI
from puter.conversation import Conversation
for owner, name in ((PuterAI, "chat"), (PuterAI, "async_txt2img"), (Conversation, "parse")):
    method = getattr(owner, name)
    assert "model" in inspect.signature(method).parameters, name
    assert inspect.getdoc(method), name
    assert inspect.iscoroutinefunction(method) is name.startswith("async_"), name
    assert vars(owner if name != "parse" else owner.__mro__[1]).get(name, method) is method
"""
    )


def test_a_method_taken_before_inspect_is_loaded_works_too() -> None:
    loaded_by(
        """
from puter import PuterAI
method = PuterAI.chat
assert any(vars(cls).get("chat") is method for cls in PuterAI.__mro__)
assert "inspect" not in sys.modules
import inspect
assert inspect.getdoc(method)
assert "model" in inspect.signature(method).parameters
assert "images" in inspect.signature(PuterAI.chat).parameters
"""
    )


def nap(_call: CallContext) -> Flow[None]:
    yield from ()


class Nap(Client):
    first, async_first = paired(nap)
    again, async_again = paired(nap)


def test_a_wrapper_around_a_method_stays_when_the_method_is_made() -> None:
    wrapped = vars(Nap)["first"]
    seen: list[object] = []

    class Wrapper:
        def __get__(self, instance: object, owner: type) -> object:
            seen.append(instance)
            return wrapped.__get__(instance, owner)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Nap, "first", Wrapper())
        assert callable(Nap.first)
        assert callable(Nap.first)
        assert len(seen) == 2


def test_mock_patches_a_method_before_it_is_made() -> None:
    with mock.patch.object(Nap, "again", autospec=True) as double:
        again: Any = Nap.again
        assert again() is double.return_value
