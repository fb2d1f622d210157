"""How the benchmarks take their figures; how fast anything is, no test asks."""

from __future__ import annotations

import pytest

from tests.benchmarks.rows import Result, Row


@pytest.mark.parametrize(("at_least", "met"), [(False, True), (True, False)])
def test_a_ratio_is_taken_within_its_round(at_least: bool, met: bool) -> None:
    row = Row("row", "row", "requests", 0.6, "us", lambda _: [], at_least)
    rounds = [{"requests": busy, "puter": busy / 2, "openai": busy} for busy in (1.0, 100.0, 3.0)]
    result = Result(row, rounds)
    assert result.ratios == {"requests": 1, "puter": 0.5, "openai": 1}
    assert result.figures["puter"] == 1.5
    assert result.met is met
