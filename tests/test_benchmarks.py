"""How the benchmarks take their figures; how fast anything is, no test asks."""

from __future__ import annotations

import pytest

from tests.benchmarks.__main__ import MEASURES, main
from tests.benchmarks.processes import run
from tests.benchmarks.rows import Bench, Result, Row


@pytest.mark.parametrize(("at_least", "met"), [(False, True), (True, False)])
def test_a_ratio_is_taken_within_its_round(at_least: bool, met: bool) -> None:
    row = Row("row", "row", "requests", 0.6, "us", lambda _: [], at_least)
    rounds = [{"requests": busy, "puter": busy / 2, "openai": busy} for busy in (1.0, 100.0, 3.0)]
    result = Result(row, rounds)
    assert result.ratios == {"requests": 1, "puter": 0.5, "openai": 1}
    assert result.figures["puter"] == 1.5
    assert result.met is met


def _fails(_: Bench) -> None:
    run("1 / 0")


def test_a_row_that_fails_is_told_in_a_line_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(MEASURES, "broken", (_fails, str))
    assert main(["broken", "history-memory", "--short"]) == 1
    printed, traceback = capfd.readouterr()
    assert "broken FAILED: ProgramError: ZeroDivisionError: division by zero\n" in printed
    assert "history-memory runs\n" in printed
    assert not traceback


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["no-such-row"], ["--write", "--short"]])
def test_arguments_that_make_no_sense_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "Traceback" not in capsys.readouterr().err
