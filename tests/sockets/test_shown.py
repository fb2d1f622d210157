"""Tools that print the locals of a traceback show no token, password, code or signature."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.sockets.shown import CASES, CORE, DOORS, TOOLS

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return ran.stdout + ran.stderr


def test_no_tool_shows_a_secret_of_any_error() -> None:
    out = run("-m", "tests.sockets.shown")
    found: dict[str, set[str]] = defaultdict(set)
    for line in out.splitlines():
        kind, door, tool, error, _size, count = line.split()
        assert (count, line) == ("0", line)
        found[tool].add(f"{kind} {door}")
        assert (error == "KeyboardInterrupt") == (kind == "interrupted")
    everything = {f"{kind} {door}" for kind in CASES for door in DOORS}
    assert found == dict.fromkeys((*TOOLS, "log"), everything)


def test_pytest_with_showlocals_shows_none() -> None:
    options = "--showlocals", "-n0", "-p", "no:cacheprovider", "-W", "default"
    out = run("-m", "pytest", *options, "tests/sockets/shown.py")
    assert CORE not in out
    assert f"{2 * (len(CASES) - 1)} failed" in out
    assert "call       = <CallContext login>" in out  # locals were shown
