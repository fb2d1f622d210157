"""What a run is measured by: latencies, memory, descriptors; none of it grows with the run."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_ARENA_MAX, _MMAP_THRESHOLD = -8, -3  # parameters of mallopt(3)
_STEP = 1.02
"""Between two classes of latencies: they are told to 2 %."""


class Latencies:
    """How long calls took, in classes."""

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        self._classes[math.floor(math.log(max(seconds, 1e-6), _STEP))] += 1

    def milliseconds(self, part: float) -> float:
        """What that part of the calls took at most."""
        left = part * sum(self._classes.values())
        for one in sorted(self._classes):
            left -= self._classes[one]
            if left <= 0:
                return 1000 * _STEP ** (one + 1)
        return 0.0


def keep_one_heap() -> None:
    """Let the C library (glibc) give back what is freed: it does so from one heap, not from the
    many that it makes for threads, whose leftovers would hide what is kept. Call it first."""
    if tune := getattr(ctypes.CDLL(None), "mallopt", None):
        tune(_ARENA_MAX, 1)
        tune(_MMAP_THRESHOLD, 128 * 1024)  # its default, which else grows


def memory() -> float:
    """MiB resident that are in use, as far as the C library can tell them from what is free."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@dataclass
class Samples:
    """Memory and descriptors over time, each taken while no call is under way."""

    rows: list[tuple[float, float, float]] = field(default_factory=list)
    """Seconds, MiB, descriptors."""

    def take(self) -> None:
        self.rows.append((time.monotonic(), memory(), descriptors()))

    def after_warm_up(self) -> list[tuple[float, float, float]]:
        """Without the first third."""
        return self.rows[len(self.rows) // 3 :]

    def slope(self) -> float:
        """MiB an hour, by linear regression."""
        rows = self.after_warm_up()
        middle = sum(row[0] for row in rows) / len(rows)
        level = sum(row[1] for row in rows) / len(rows)
        spread = sum((row[0] - middle) ** 2 for row in rows)
        rise = sum((row[0] - middle) * (row[1] - level) for row in rows)
        return 3600 * rise / spread if spread else 0.0

    def descriptors_gained(self) -> float:
        """From the first to the last quarter after the warm-up, on average."""
        rows = self.after_warm_up()
        quarter = max(1, len(rows) // 4)
        first, last = rows[:quarter], rows[-quarter:]
        return sum(r[2] for r in last) / len(last) - sum(r[2] for r in first) / len(first)
