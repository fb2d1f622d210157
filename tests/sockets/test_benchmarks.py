"""The benchmarks run; how fast anything is, no test asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.rows import Result, Row


def test_the_benchmarks_run() -> None:
    program = [sys.executable, "-m", "tests.benchmarks", "--short", "first-chunk", "waiters"]
    root = Path(__file__).parents[2]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    assert "time to the first chunk" in done.stdout
    assert "10,000 calls that wait" in done.stdout


@pytest.mark.parametrize(("at_least", "met"), [(False, True), (True, False)])
def test_a_ratio_is_taken_within_its_round(at_least: bool, met: bool) -> None:
    row = Row("row", "row", "requests", 0.6, "us", lambda _: [], at_least)
    rounds = [{"requests": busy, "puter": busy / 2, "openai": busy} for busy in (1.0, 100.0, 3.0)]
    result = Result(row, rounds)
    assert result.ratios == {"requests": 1, "puter": 0.5, "openai": 1}
    assert result.figures["puter"] == 1.5
    assert result.met is met
