"""``max_concurrency="auto"`` beside the best fixed number: in virtual time and on LocalPuter."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from puter import PuterAI
from puter.engine.client import limits_of
from puter.testing import LocalPuter, MockReply, MockTransport
from puter.testing.limits import TIERS, Limits, Tier
from puter.testing.refusals import ApiError
from puter.transports.mock import MockRequest
from tests.virtual import VirtualLoop, VirtualThrottle, virtually

Latency = Callable[[random.Random], float]
LATENCIES: dict[str, Latency] = {
    "always 2 s": lambda _: 2.0,
    "0.2 to 1 s": lambda dice: dice.uniform(0.2, 1),
    "exponential, 5 s": lambda dice: dice.expovariate(1 / 5),
    "long tail, median 3 s": lambda dice: dice.lognormvariate(1.1, 1.0),
    "1 s or 20 s": lambda dice: 20.0 if dice.random() < 0.2 else 1.0,
}
TRAVEL = 0.03


@dataclass
class Run:
    """What became of so many calls made at once."""

    tier: Tier
    latency: Latency
    setting: Any
    calls: int = 400
    seed: int = 0
    guest: Callable[[float], int] = lambda _: 0
    """How many calls another program of the account has running at a time."""
    refused: Counter[str] = field(default_factory=Counter)
    failed: list[BaseException] = field(default_factory=list)
    started: list[int] = field(default_factory=list)
    """The calls in the order in which the server took them."""
    limits: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def run(self) -> Run:
        virtually(self._body)
        return self

    async def _body(self, loop: VirtualLoop) -> None:
        dice, server = random.Random(self.seed), Limits(loop.time)

        async def answer(request: MockRequest) -> Any:
            await asyncio.sleep(TRAVEL)
            free = self.tier.concurrency - self.guest(loop.time())
            try:
                server.hit("chat", self.tier.requests, self.tier.period)
                with server.slot("chat", free):
                    self.started.append(int(request.json["args"]["messages"][-1]["content"]))
                    await asyncio.sleep(self.latency(dice))
            except ApiError as error:
                message = str(error)
                self.refused[message] += 1
                body = {"message": message, "error": message, "code": "too_many_requests"}
                return MockReply(429, json=body)
            finally:
                await asyncio.sleep(TRAVEL)
                self.limits.append(ai._throttle.max_concurrency)
            return "fine"

        ai = PuterAI(
            token="t",
            transport=MockTransport(answer),
            max_concurrency=self.setting,
            rate_limit_requests=self.tier.requests,
        )
        ai._throttle = VirtualThrottle(*limits_of(ai.config), loop=loop)
        ai._clock, ai._random = loop.time, dice.random
        chats = [ai.async_chat(str(number), remember=False) for number in range(self.calls)]
        outcomes = await asyncio.gather(*chats, return_exceptions=True)
        self.seconds = loop.time()
        self.failed = [one for one in outcomes if isinstance(one, BaseException)]


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("tier", TIERS)
def test_auto_takes_at_most_a_tenth_longer_than_the_best_fixed_number(
    tier: str, latency: str
) -> None:
    """A paid account takes some two answers to reach 20, which a long run does not notice."""
    calls = {"paid": 450}.get(tier, 100)
    auto = Run(TIERS[tier], LATENCIES[latency], "auto", calls).run()
    best = Run(TIERS[tier], LATENCIES[latency], TIERS[tier].concurrency, calls).run()
    assert auto.seconds <= 1.1 * best.seconds
    assert not auto.failed
    assert auto.refused["Too many concurrent requests."] <= 5
    assert auto.limits[-1] >= TIERS[tier].concurrency - 1


@pytest.mark.parametrize("latency", ["always 2 s", "long tail, median 3 s"])
def test_nobody_starves(latency: str) -> None:
    """Who is refused goes first, so that none is overtaken by more than may run at a time."""
    run = Run(TIERS["user_free"], LATENCIES[latency], "auto", 200).run()
    assert sorted(run.started) == list(range(200))
    late = [place - number for place, number in enumerate(run.started)]
    assert max(late) <= 6


@pytest.mark.parametrize("tier", ["user_free", "paid"])
def test_another_program_of_the_account_comes_and_goes(tier: str) -> None:
    most = TIERS[tier].concurrency
    taken = {"user_free": 2, "paid": 15}[tier]
    run = Run(TIERS[tier], LATENCIES["0.2 to 1 s"], "auto", 12 * most + 200)
    run.guest = lambda now: taken if 5 <= now < 20 else 0
    run.run()
    assert not run.failed
    assert min(run.limits[most:]) <= most - taken + 1
    assert max(run.limits[-20:]) >= most - 1
    assert run.refused["Too many concurrent requests."] <= 2 * most + 10


async def test_a_client_finds_out_how_many_calls_each_tier_may_make() -> None:
    for name, tier in TIERS.items():
        unhurried = Tier(name, 10_000, tier.period, tier.concurrency, allowance=10_000)
        with LocalPuter(tier=unhurried, latency=0.1) as server:
            async with server.client(rate_limit_requests=None, retry_delay=0.05) as ai:
                chats = [ai.async_chat(f"number {n}", remember=False) for n in range(80)]
                assert all(isinstance(one, str) for one in await asyncio.gather(*chats))
                assert ai.config.max_concurrency == "auto"
                assert abs(ai._throttle.max_concurrency - tier.concurrency) <= 1
            assert server.peak_running <= tier.concurrency
            refused = [record for record in server.chats if record.status == 429]
            assert len(refused) <= 8


def report() -> None:
    """Print the figures."""
    for name, tier in TIERS.items():
        for latency, of in LATENCIES.items():
            for calls in (100, 400, 1000):
                auto = Run(tier, of, "auto", calls).run()
                best = Run(tier, of, tier.concurrency, calls).run()
                more = auto.seconds / best.seconds - 1
                print(
                    f"{name:10} {latency:22} {calls:5} calls: best {best.seconds:7.1f} s, "
                    f"auto {auto.seconds:7.1f} s ({more:+.1%}), {dict(auto.refused)}, "
                    f"{len(auto.failed)} failed"
                )


if __name__ == "__main__":
    report()
    sys.exit()
