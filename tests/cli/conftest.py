"""``cli("models", "--json")``: the real command line in this process, against a LocalPuter."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from puter.cli import main
from puter.testing import LocalPuter


@dataclass
class Done:
    """What a command did."""

    code: int
    out: str
    err: str
    data: bytes = b""
    """``out`` before it was decoded."""

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Done]


@pytest.fixture(autouse=True)
def nothing_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty folders for config and data, an empty current folder, a terminal of no kind."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def signed_in(local_puter: LocalPuter, monkeypatch: pytest.MonkeyPatch) -> LocalPuter:
    """The environment says that ``local_puter`` is the server."""
    monkeypatch.setenv("PUTER_API_BASE", local_puter.api_base)
    monkeypatch.setenv("PUTER_LOGIN_URL", local_puter.login_url)
    monkeypatch.setenv("PUTER_AUTH_TOKEN", local_puter.token)
    monkeypatch.setenv("PUTER_PROXY", "")
    return local_puter


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Cli:
    def run(*words: str, stdin: str | bytes = b"", terminal: bool = False) -> Done:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        piped = io.TextIOWrapper(io.BytesIO(data), "utf-8")
        monkeypatch.setattr(piped, "isatty", lambda: terminal)
        monkeypatch.setattr(sys, "stdin", piped)
        capfdbinary.readouterr()
        code = main(words)
        out, err = capfdbinary.readouterr()
        return Done(code, out.decode(errors="replace"), err.decode(), out)

    return run
