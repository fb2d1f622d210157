"""Ctrl-C and cancellation at each place of a call lose nothing; see ``tests/interrupts.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from puter.transports import mock
from tests.interrupts import SCENARIOS, Bench

STRIDE = 17
"""Every so many places are struck; ``python -m tests.interrupts`` strikes all."""

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # a stream dropped by the interrupt
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(mock, "MockBody", mock.MockBody)  # put back afterwards
    return Bench(tmp_path)


@pytest.mark.parametrize("door", ["sync", "async"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_ctrl_c_loses_no_permit_no_answer_and_no_money(bench: Bench, name: str, door: str) -> None:
    bench.run(name, door, 0)  # imports
    places = bench.run(name, door, 0).seen
    assert places > 50
    first = sum(map(ord, name + door)) % STRIDE + 1
    for place in range(first, places + 1, STRIDE):
        bench.run(name, door, place)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_cancelled_task_loses_nothing_either(bench: Bench, name: str) -> None:
    hits = [bench.cancel(name, hops) for hops in range(16)]
    assert any(hits)
