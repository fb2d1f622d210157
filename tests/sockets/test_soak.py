"""The soak itself: a short one ends well, and each of its meters notices what it is for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from puter.testing import LocalPuter
from tests.soak.load import Tally
from tests.soak.meters import Latencies, Samples
from tests.soak.server import _Tally

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_a_few_seconds_end_well() -> None:
    command = [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "-m", "tests.soak"]
    command += ["--minutes", "0.05", "--faults", "0.2", "--threads", "2", "--tasks", "3"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "billed calls sent twice" in done.stdout
    assert "BROKEN" not in done.stdout


def test_a_billed_call_sent_twice_is_seen() -> None:
    with LocalPuter(tier=None) as server:
        tally, ai = _Tally(server), server.client()
        prompts = ["soak-1- Hi", "soak-2- Hi", "soak-1- Hi"]
        for prompt in prompts:
            ai.chat(prompt, remember=False)
        ai.close()
        counted = tally.counted()
    assert counted["twice"] == ["soak-1- 2 times"]
    assert (counted["requests"], counted["ran"]) == (3, 3)


def test_a_call_without_an_end_is_lost() -> None:
    tally = Tally()
    for _ in range(3):
        tally.begin("chat")
    tally.end("chat", 0.1, None)
    tally.end("chat", 0.1, ValueError("x"))
    assert tally.lost == 1
    assert "ValueError" in tally.strange[0]


def test_percentiles() -> None:
    latencies = Latencies()
    for number in range(1, 1001):
        latencies.add(number / 1000)
    for part in (0.5, 0.95, 0.99):
        assert latencies.milliseconds(part) == pytest.approx(1000 * part, rel=0.03)


def test_what_grows_is_seen() -> None:
    rows = [(float(second), 50 + second / 3600, float(10 + second // 300)) for second in range(900)]
    samples = Samples(rows)
    assert samples.slope() == pytest.approx(1.0)
    assert samples.descriptors_gained() >= 1
