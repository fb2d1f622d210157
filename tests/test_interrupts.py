"""Ctrl-C and cancellation at each place of a call lose nothing; see ``tests/interrupts.py``."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from puter.atomic import AtomicFile, write_whole
from puter.engine.throttle import Permit, Throttle
from puter.process import loading
from puter.transports import mock
from tests.interrupts import SCENARIOS, Aim, Bench

ROOT = Path(__file__).parents[1]
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


@pytest.mark.parametrize("everywhere", [False, True])
def test_ctrl_c_while_one_waits_is_that_and_the_next_is_admitted_in_time(everywhere: bool) -> None:
    place, aim = 0, Aim(1)
    while not place or aim.struck:
        place += 1
        throttle = Throttle(1, 0.01)
        with Permit(throttle) as first:
            first.acquire()
        try:
            with (
                suppress(KeyboardInterrupt),
                Permit(throttle) as waiting,
                (aim := Aim(place, everywhere=everywhere)),
            ):
                waiting.acquire()
        finally:
            sys.setprofile(None)
        with Permit(throttle) as following:
            following.acquire(timeout=20)  # Late, if nobody looks when the window opens
        assert (throttle.running, throttle.waiting) == (0, 0), aim.struck
    assert place > 30


@pytest.mark.parametrize("old", [None, b"old"])
def test_ctrl_c_leaves_the_old_file_or_the_new_one_and_nothing_else(
    tmp_path: Path, old: bytes | None
) -> None:
    path = tmp_path / "a.txt"
    place = 0
    while True:
        place += 1
        path.unlink(missing_ok=True)
        if old is not None:
            path.write_bytes(old)
        try:
            with suppress(KeyboardInterrupt), (aim := Aim(place, everywhere=True)):
                write_whole(path, b"new")
        finally:
            sys.setprofile(None)
        assert set(os.listdir(tmp_path)) <= {path.name}, aim.struck
        assert not path.exists() or path.read_bytes() in (old, b"new"), aim.struck
        if not aim.struck:
            break
    assert path.read_bytes() == b"new"
    assert place > 50


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="counts them there")
def test_ctrl_c_leaves_no_descriptor_open() -> None:
    place, aim = 0, Aim(1)
    before = len(os.listdir("/dev/fd"))
    while not place or aim.struck:
        place += 1
        try:
            with suppress(KeyboardInterrupt), (aim := Aim(place, everywhere=True)), loading():
                pass
        finally:
            sys.setprofile(None)
        assert len(os.listdir("/dev/fd")) == before, aim.struck
    assert place > 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # other threads are the suite's
def test_a_forked_child_leaves_the_file_to_its_parent(tmp_path: Path) -> None:
    with AtomicFile(tmp_path / "a.txt") as file:
        if not (child := os.fork()):
            file.__exit__()
            os._exit(0)
        os.waitpid(child, 0)
        file.write(b"whole")
        file.done()
    assert (tmp_path / "a.txt").read_bytes() == b"whole"


CTRL_C = """
import sys
from puter.atomic import AtomicFile
from tests.interrupts import Aim

def opened(place):
    with Aim(place, everywhere=True) as aim:
        file = AtomicFile(sys.argv[1])
    return aim.seen

opened(0)  # imports
opened(opened(0) - int(sys.argv[2]))
"""


@pytest.mark.parametrize("before_the_end", range(0, 24, 4))
def test_ctrl_c_that_ends_the_program_leaves_no_file(tmp_path: Path, before_the_end: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C, str(tmp_path / "a.txt"), str(before_the_end)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "KeyboardInterrupt" in done.stderr
    assert os.listdir(tmp_path) == []
