"""A few cases of each fuzzer; ``python -m tests.fuzz --cases 1000000`` tries more."""

from __future__ import annotations

import pytest

from tests.fuzz.runs import case_of, run
from tests.fuzz.targets import TARGETS

CASES = 3_000


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_answers_end_in_a_value_or_an_error_of_ours(name: str) -> None:
    failures = run(name, 0, range(CASES)).failures
    assert not failures, "\n".join(failures.values())


@pytest.mark.parametrize("name", TARGETS)
def test_a_case_can_be_made_again(name: str) -> None:
    assert repr(case_of(name, 3, 141)) == repr(case_of(name, 3, 141))
    assert len({repr(case_of(name, 3, number)) for number in range(50)}) > 25
