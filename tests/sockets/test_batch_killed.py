"""A batch whose process is killed again and again: nothing written is paid for twice."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from puter.testing import LocalPuter
from tests.sockets.programs import start

LONG = bool(os.environ.get("PUTER_LONG_TESTS"))
ITEMS, KILLS, AT_A_TIME = (200, 50, 4) if LONG else (40, 3, 4)
SYNC = "results = ai.batch({items}, output={output!r}, concurrency={at_a_time})"
ASYNC = """
async def main():
    async with ai:
        return await ai.async_batch({items}, output={output!r}, concurrency={at_a_time})

results = run(main())
"""
PRINT = "\nprint(len(results), len(results.errors))"


def written(output: Path) -> Counter[str]:
    """How often each item has a whole line; the last may be torn."""
    lines = output.read_bytes().split(b"\n")[:-1] if output.exists() else []
    return Counter(json.loads(line)["item"] for line in lines)


@pytest.mark.timeout(600 if LONG else 180)
def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    """Slow: each run is a process of its own, by either door; PUTER_LONG_TESTS=1 kills 50."""
    output, chance = tmp_path / "answers.jsonl", random.Random(7)
    items = [f"What is {number} + 1?" for number in range(ITEMS)]
    doors = [
        program.format(items=items, output=str(output), at_a_time=AT_A_TIME) + PRINT
        for program in (SYNC, ASYNC)
    ]
    asked: Counter[str] = Counter()
    kills = torn = 0
    with LocalPuter(tier=None, latency=0.02) as puter:
        while True:
            before = written(output)
            with start(puter, doors[kills % 2]) as running:
                if kills < KILLS and len(before) < ITEMS - 3 * AT_A_TIME:
                    # As many as leave something to do for the kills to come.
                    share = max(1, (ITEMS - len(before)) // (KILLS - kills + 1))
                    puter.wait_for(chance.randint(1, share), timeout=150)
                    time.sleep(chance.uniform(0, 0.03))
                    running.send_signal(signal.SIGKILL)
                    kills += 1
                out, err = running.communicate(timeout=150)
            torn += output.exists() and not output.read_bytes().endswith(b"\n")
            now = Counter(record.json["args"]["messages"][-1]["content"] for record in puter.chats)
            puter.clear_requests()
            asked += now
            assert not now.keys() & before.keys(), "it asked what was written"
            assert now.total() - (written(output) - before).total() <= AT_A_TIME
            if running.returncode != -signal.SIGKILL:
                break
    assert (running.returncode, out, err) == (0, f"{ITEMS} 0\n", "")
    assert written(output) == Counter(items)
    twice = asked.total() - ITEMS
    assert kills >= KILLS // 2
    assert 0 <= twice <= kills * AT_A_TIME
    print(f"{kills} kills, {torn} torn lines, {twice} answers lost in flight")  # noqa: T201
