"""``python -m tests.soak --minutes N --faults RATE``: one client under a mixed load, measured.

LocalPuter runs in a process of its own on the loopback interface; part of the requests meet a
fault. The exit code is 1 when a call was lost, a billed one sent twice, a permit or a descriptor
kept, or memory grew (judged from 20 minutes on).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import os
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any

from puter import PuterAI
from tests.soak.load import OPERATIONS, Tally, Worker
from tests.soak.meters import Latencies, Samples, descriptors, keep_one_heap
from tests.soak.server import Server

GRACE = 60.0
"""Seconds that calls may take after the last was begun."""
MOST_SLOPE, JUDGED_FROM = 1.0, 20.0
"""MiB an hour, from so many minutes on: less is too short to tell."""
MOST_DESCRIPTORS = 5
MOST_OFTEN = 5.0
"""Seconds between two samples at least: for each the load rests."""
SETTINGS: dict[str, Any] = {
    "timeout": 1.0, "connect_timeout": 2.0, "deadline": 10.0, "retry_delay": 0.02, "max_retries": 3,
    "rate_limit_requests": None, "max_concurrency": 12, "max_response_bytes": 8 * 2**20,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--faults", type=float, default=0.1, metavar="RATE")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--tasks", type=int, default=12)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between calls of one")
    given = parser.parse_args()
    keep_one_heap()
    for name in [one for one in os.environ if one.startswith("PUTER_")]:
        del os.environ[name]
    with Server(given.faults, given.seed) as server:
        return _soak(server, given)


def _soak(server: Server, given: argparse.Namespace) -> int:
    account = server.account
    ai = PuterAI(
        account.username,
        account.password,
        account.token,
        api_base=account.api_base,
        login_url=account.login_url,
        proxy="",
        **SETTINGS,
    )
    before = descriptors()
    tally, samples = Tally(), Samples()
    talk = ai.conversation()
    until = time.monotonic() + 60 * given.minutes
    workers = [
        Worker("sync" if number < given.threads else "async", ai, talk, tally, number)
        for number in range(given.threads + given.tasks)
    ]

    async def of_tasks() -> None:
        tasks = (one.work(until, given.pause) for one in workers if one.kind == "async")
        await asyncio.gather(*tasks)

    threads = [
        threading.Thread(target=_plainly, args=(one.work(until, given.pause),), daemon=True)
        for one in workers
        if one.kind == "sync"
    ]
    threads.append(threading.Thread(target=lambda: asyncio.run(of_tasks()), daemon=True))
    for one in threads:
        one.start()
    while time.monotonic() < until:
        tally.rest(GRACE)
        samples.take()
        tally.resting = False
        time.sleep(max(MOST_OFTEN, given.minutes * 60 / 100))
    for one in threads:
        one.join(max(0.0, until + GRACE - time.monotonic()))
    ai.close()
    gc.collect()
    kept = descriptors() - before
    return _report(server, ai, tally, samples, given.minutes, kept)


def _plainly(work: Coroutine[Any, Any, None]) -> None:
    """Run what never waits for an event loop."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def _report(
    server: Server, ai: PuterAI, tally: Tally, samples: Samples, minutes: float, kept: int
) -> int:
    print("calls             begun answered  failed cancelled    p50    p95    p99 ms")
    for name in OPERATIONS:
        print(
            f"{name:15} {tally.begun[name]:7,} {tally.answered[name]:8,} {tally.failed[name]:7,} "
            f"{tally.cancelled[name]:9,} {_percentiles(tally.latencies[name])}"
        )
    counted = server.count()
    errors = ", ".join(f"{number:,} {name}" for name, number in tally.errors.most_common())
    print(f"\nerrors: {errors or 'none'}")
    print(f"server: {counted['requests']:,} requests, {counted['faults']:,} met a fault")
    rows = samples.rows[0], samples.after_warm_up()[0], samples.rows[-1]
    print("MiB at the start, after the warm-up, at the end:", *(f"{row[1]:.1f}" for row in rows))
    throttle, slope = ai._throttle, samples.slope()
    bounds = [
        ("calls lost", tally.lost, 0),
        ("billed calls sent twice", len(counted["twice"]), 0),
        ("errors that are no PuterError", len(tally.strange), 0),
        ("permits kept", throttle.running + throttle.waiting, 0),
        ("descriptors gained while running", samples.descriptors_gained(), MOST_DESCRIPTORS),
        ("descriptors kept at the end", kept, MOST_DESCRIPTORS),
        ("MiB gained an hour", slope, MOST_SLOPE if minutes >= JUDGED_FROM else math.inf),
    ]
    for what, found, most in bounds:
        verdict = "ok" if found <= most else "BROKEN"
        print(f"{what:33} {found:10,.1f}   at most {most:g}   {verdict}")
    for told in (*counted["twice"][:10], *tally.strange):
        print(told)
    return int(any(found > most for _, found, most in bounds))


def _percentiles(latencies: Latencies) -> str:
    return " ".join(f"{latencies.milliseconds(part):6,.0f}" for part in (0.5, 0.95, 0.99))


if __name__ == "__main__":
    sys.exit(main())
