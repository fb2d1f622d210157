"""Flows driven by hand: no network, no clock, no dice but ours."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import puter
from puter.api import auth
from puter.config import PuterConfig
from puter.engine.context import CallContext, SharedState, Transports
from puter.engine.credentials import Credentials
from puter.engine.effects import Acquire, Effect, Flow, Invoke, Notify, Send, Sleep
from puter.engine.events import subscribe
from puter.engine.extensions import Extensions
from puter.engine.pipeline import exchange
from puter.engine.retry import RetryBudget
from puter.engine.throttle import Permit, Throttle
from puter.exceptions import PuterError
from puter.secret import Secret
from puter.transports.connection_errors import Exchange
from puter.wire.http import HttpReply, HttpRequest, api_get, driver_call
from tests.door import error_body

JSON = {"Content-Type": "application/json"}
OK = HttpReply(200, JSON, b'{"username": "alice"}')
SIGNED_IN = HttpReply(
    200, JSON, b'{"proceed": true, "next_step": "complete", "token": "fresh-token"}'
)


def refusal(status: int, code: str | None = None, **headers: str) -> HttpReply:
    return HttpReply(status, {**JSON, **headers}, json.dumps(error_body("no", code)).encode())


class Hand:
    """Carries out a flow's effects: answers from a script, no waiting, and a clock of its own."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script) or [OK]
        self.now = 0.0
        self.sent: list[Send] = []
        self.pauses: list[float] = []
        self.events: list[Any] = []
        self.positions: list[int] = []

    def call(self, *, dice: float = 1.0, **settings: Any) -> CallContext:
        client: Any = SimpleNamespace(_sign_in=auth.ensure_signed_in)
        credentials = Credentials(None, None, "stale-token")
        listening = Extensions()
        for name in ("response", "retry"):
            subscribe(listening, name, self.events.append)
        return CallContext(
            operation="test",
            config=PuterConfig(**settings),
            throttle=Throttle(30, 10, 3, clock=lambda: self.now),
            shared=SharedState(credentials, Transports({})),
            runner=client,
            catalogues={},
            clock=lambda: self.now,
            random=lambda: dice,
            started=self.now,
            extensions=listening,
        )

    def run(self, steps: Flow[Any], value: Any = None) -> Any:
        """From the start, or from an effect that was answered by hand with ``value``."""
        resume: Callable[[Any], Effect[Any]] = steps.send
        while True:
            try:
                effect = resume(value)
            except StopIteration as done:
                return done.value
            try:
                value, resume = self.perform(effect), steps.send
            except PuterError as error:
                value, resume = error, steps.throw

    def perform(self, effect: Effect[Any]) -> Any:
        match effect:
            case Send():
                self.sent.append(effect)
                one = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                answer = one(effect) if callable(one) else one
                if isinstance(answer, PuterError):
                    raise answer
                return answer
            case Acquire(permit, _):
                self.positions.append(permit.position)
                permit.acquire(timeout=0)
            case Sleep(seconds):
                self.pauses.append(seconds)
                self.now += seconds
            case Notify(event):
                self.events.append(event)
        return None


def exchange_of(effect: Send) -> Exchange:
    return Exchange(effect.request, time_left=effect.time_left)


def chat(config: PuterConfig) -> HttpRequest:
    return driver_call(config, "puter-chat-completion", "complete", {"messages": []})


def free(config: PuterConfig) -> HttpRequest:
    return api_get(config, "/whoami")


def login(config: PuterConfig) -> HttpRequest:
    """As a sign-in asks."""
    call = dataclasses.replace(Hand().call(), config=config)
    call.shared.credentials = alice()
    steps = auth.login(call)
    effect = next(steps)
    steps.close()
    assert isinstance(effect, Send)
    return effect.request


def alice() -> Credentials:
    return Credentials("alice", "correct horse", None)


# ------------------------------------------------------------ what is sent again

# what happens: sent again when it is (a billed chat, a free question, a sign-in)
AGAIN: dict[str, tuple[Any, tuple[bool, bool, bool]]] = {
    "Puter's 429": (refusal(429, "too_many_requests"), (True, True, False)),
    "the vendor's 429": (refusal(429, "upstream_rate_limited"), (True, True, False)),
    "a proxy's 429": (
        HttpReply(429, {"Content-Type": "text/html"}, b"<html>"),
        (True, True, False),
    ),
    "refused": (
        lambda s: exchange_of(s).not_connected(OSError(111, "refused")),
        (True, True, True),
    ),
    "connect timeout": (lambda s: exchange_of(s).connect_timeout(), (True, True, True)),
    "bad certificate": (
        lambda s: exchange_of(s).bad_certificate(OSError("x")),
        (False, False, False),
    ),
    "bad address": (lambda s: exchange_of(s).bad_address(ValueError("x")), (False, False, False)),
    "silence": (lambda s: exchange_of(s).silence(), (False, True, False)),
    "cut off": (lambda s: exchange_of(s).cut_off(OSError("x")), (False, True, False)),
    "unreadable": (lambda s: exchange_of(s).unreadable(OSError("x")), (False, False, False)),
    "408": (refusal(408), (False, True, False)),
    "500": (refusal(500, "internal_error"), (False, True, False)),
    "502 page": (HttpReply(502, {"Content-Type": "text/html"}, b"<html>"), (False, True, False)),
    "503": (refusal(503, "db_unavailable"), (False, True, False)),
    "504 empty": (HttpReply(504, {}), (False, True, False)),
    "vendor down": (refusal(400, "upstream_provider_unavailable"), (False, True, False)),
    "vendor's no": (refusal(500, "upstream_auth_failed"), (False, True, False)),
    "400": (refusal(400, "bad_request"), (False, False, False)),
    "401": (refusal(401, "token_auth_failed"), (False, False, False)),
    "402": (refusal(402, "insufficient_funds"), (False, False, False)),
    "403": (refusal(403, "forbidden"), (False, False, False)),
    "404": (refusal(404, "not_found"), (False, False, False)),
    "413": (refusal(413, "client_bad_request"), (False, False, False)),
    "redirect": (HttpReply(302, {"Location": "/"}), (False, False, False)),
    "page": (HttpReply(200, {"Content-Type": "text/html"}, b"<html>"), (False, False, False)),
    "empty": (HttpReply(200, JSON), (False, False, False)),
}


@pytest.mark.parametrize("place", [0, 1, 2], ids=["chat", "free", "login"])
@pytest.mark.parametrize("what", AGAIN)
def test_what_is_sent_again(what: str, place: int) -> None:
    answer, again = AGAIN[what]
    hand = Hand(answer, OK)
    call = hand.call()
    steps = exchange(call, (chat, free, login)[place](call.config))
    if again[place]:
        assert hand.run(steps) is OK
        assert len(hand.sent) == call.attempts == 2
    else:
        with pytest.raises(PuterError) as caught:
            hand.run(steps)
        assert len(hand.sent) == caught.value.attempts == 1
        assert hand.pauses == []


@pytest.mark.parametrize("what", AGAIN)
def test_retry_on_timeout_adds_silence_and_nothing_else(what: str) -> None:
    answer, (again, _, _) = AGAIN[what]
    hand = Hand(answer, OK)
    call = hand.call(retry_on_timeout=True)
    if again or what == "silence":
        assert hand.run(exchange(call, chat(call.config))) is OK
    else:
        with pytest.raises(PuterError):
            hand.run(exchange(call, chat(call.config)))
    assert len(hand.sent) == (2 if again or what == "silence" else 1)


def test_attempts_count_what_was_sent() -> None:
    hand = Hand(refusal(429))
    call = hand.call(max_retries=4)
    with pytest.raises(puter.PuterRateLimitError) as caught:
        hand.run(exchange(call, chat(call.config)))
    assert caught.value.attempts == len(hand.sent) == 5
    told = [event.name for event in hand.events]
    assert told == ["response", "retry"] * 4 + ["response"]


def test_no_retries_means_none() -> None:
    hand = Hand(refusal(429))
    call = hand.call(max_retries=0)
    with pytest.raises(puter.PuterRateLimitError):
        hand.run(exchange(call, chat(call.config)))
    assert (len(hand.sent), hand.pauses) == (1, [])


def test_the_last_error_is_the_one_told() -> None:
    hand = Hand(refusal(429), refusal(402, "insufficient_funds"))
    call = hand.call()
    with pytest.raises(puter.PuterInsufficientFundsError) as caught:
        hand.run(exchange(call, chat(call.config)))
    assert caught.value.attempts == 2
    assert caught.value.__context__ is None


# ------------------------------------------------------------ when


@pytest.mark.parametrize(
    ("dice", "delays"), [(0.0, [0.375, 0.75, 1.5, 3.0, 6.0]), (1.0, [0.5, 1.0, 2.0, 4.0, 8.0])]
)
def test_the_default_delays_cross_puters_window_whatever_the_dice(
    dice: float, delays: list[float]
) -> None:
    hand = Hand(refusal(429))
    call = hand.call(dice=dice)
    with pytest.raises(puter.PuterRateLimitError):
        hand.run(exchange(call, chat(call.config)))
    assert hand.pauses == delays
    assert sum(delays) > 10


def test_delays_grow_by_the_factor_up_to_the_cap() -> None:
    hand = Hand(refusal(500))
    call = hand.call(retry_delay=1, backoff_factor=3, max_retry_delay=10, max_retries=4)
    with pytest.raises(puter.PuterServerError):
        hand.run(exchange(call, free(call.config)))
    assert hand.pauses == [1, 3, 9, 10]


def test_delays_that_outgrow_a_float_stay_at_the_cap() -> None:
    hand = Hand(refusal(500))
    call = hand.call(retry_delay=1.5, backoff_factor=1e9, max_retry_delay=2, max_retries=40)
    with pytest.raises(puter.PuterServerError):
        hand.run(exchange(call, free(call.config)))
    assert hand.pauses == [1.5] + [2] * 39


@pytest.mark.parametrize(
    ("answer", "request_of"),
    [
        (refusal(429, "too_many_requests", **{"Retry-After": "7"}), chat),
        (refusal(429, "upstream_rate_limited", **{"Retry-After": "7"}), chat),
        (refusal(503, "db_unavailable", **{"Retry-After": "7"}), free),
    ],
)
def test_a_stated_wait_is_obeyed_with_some_jitter_on_top(
    answer: HttpReply, request_of: Callable[[PuterConfig], HttpRequest]
) -> None:
    hand = Hand(answer, OK)
    call = hand.call()
    hand.run(exchange(call, request_of(call.config)))
    assert hand.pauses == [7 + 0.5 / 4]


def test_a_stated_wait_over_the_cap_raises_at_once() -> None:
    hand = Hand(refusal(429, "too_many_requests", **{"Retry-After": "61"}))
    call = hand.call(max_retry_delay=60)
    with pytest.raises(puter.PuterRateLimitError) as caught:
        hand.run(exchange(call, chat(call.config)))
    assert (caught.value.retry_after, len(hand.sent), hand.pauses) == (61, 1, [])


def test_a_retry_budget_stops_storms_but_not_waiting_out_a_429() -> None:
    hand = Hand(refusal(500))
    call = hand.call(max_retries=5)
    call.shared.retry_budget = RetryBudget(2)
    for expected in (3, 1, 1):
        hand.sent.clear()
        with pytest.raises(puter.PuterServerError):
            hand.run(exchange(call, free(call.config)))
        assert len(hand.sent) == expected
    hand.script = [refusal(429), OK]
    assert hand.run(exchange(call, chat(call.config))) is OK


def test_ten_answers_buy_one_more_retry() -> None:
    budget = RetryBudget(1)
    assert [budget.spend(), budget.spend()] == [True, False]
    for _ in range(10):
        budget.earn()
    assert [budget.spend(), budget.spend()] == [True, False]
    for _ in range(1000):
        budget.earn()
    assert [budget.spend(), budget.spend()] == [True, False]  # never more than its size


# ------------------------------------------------------------ deadline


def test_a_retry_that_would_miss_the_deadline_is_not_waited_for() -> None:
    hand = Hand(refusal(429))
    call = hand.call(deadline=4)
    with pytest.raises(puter.PuterRateLimitError):
        hand.run(exchange(call, chat(call.config)))
    assert hand.pauses == [0.5, 1.0, 2.0]  # the next would end at 7.5
    assert [effect.time_left for effect in hand.sent] == [4, 3.5, 2.5, 0.5]


def test_the_deadline_limits_the_wait_for_a_permit() -> None:
    hand = Hand()
    call = hand.call(deadline=4)
    hand.now = 1.5
    effect = next(exchange(call, chat(call.config)))
    assert isinstance(effect, Acquire)
    assert effect.timeout == 2.5


def test_a_request_is_not_sent_after_the_deadline() -> None:
    hand = Hand()
    call = hand.call(deadline=4)
    hand.now = 4.0
    for request in (chat(call.config), free(call.config)):
        with pytest.raises(puter.PuterTimeoutError, match="deadline of 4 s") as caught:
            hand.run(exchange(call, request))
        assert not caught.value.sent
    assert hand.sent == []


@pytest.mark.parametrize(
    ("limit", "time_left", "told"),
    [
        (5.0, None, r"(within|for) 5 s$"),
        (5.0, 9.0, r"(within|for) 5 s$"),
        (5.0, 2.0, "^The deadline passed"),
        (None, 2.0, "^The deadline passed"),
        (None, None, r"(in time|too long)$"),  # the system has limits, too
    ],
)
def test_a_timeout_tells_which_limit_it_was(
    limit: float | None, time_left: float | None, told: str
) -> None:
    request = dataclasses.replace(free(PuterConfig()), timeout=limit, connect_timeout=limit)
    sending = Exchange(request, time_left=time_left)
    for error, sent in ((sending.connect_timeout(), False), (sending.silence(), True)):
        assert isinstance(error, puter.PuterTimeoutError)
        assert error.sent is sent
        assert re.search(told, error.message)


def test_without_a_deadline_nothing_is_limited() -> None:
    hand = Hand()
    call = hand.call()
    hand.run(exchange(call, chat(call.config)))
    assert hand.sent[0].time_left is None
    assert call.elapsed == 0


# ------------------------------------------------------------ the throttle


def test_a_chat_acquires_a_permit_and_a_free_request_does_not() -> None:
    call = Hand().call()
    assert isinstance(next(exchange(call, chat(call.config))), Acquire)
    assert isinstance(next(exchange(call, free(call.config))), Send)
    assert isinstance(next(exchange(call, login(call.config))), Send)


@pytest.mark.parametrize(
    "answer", [OK, refusal(402), refusal(200), HttpReply(302, {}), AGAIN["silence"][0]]
)
def test_the_permit_is_released_whatever_the_answer(answer: Any) -> None:
    hand = Hand(answer)
    call = hand.call()
    with contextlib.suppress(PuterError):
        hand.run(exchange(call, chat(call.config)))
    assert hand.sent
    assert (call.throttle.running, call.throttle.waiting) == (0, 0)


def test_nobody_holds_a_permit_while_waiting_to_send_again() -> None:
    hand = Hand(refusal(429))
    call = hand.call()
    steps = exchange(call, chat(call.config))
    effect = next(steps)
    while not isinstance(effect, Sleep):
        effect = steps.send(hand.perform(effect))
    assert call.throttle.running == 0
    steps.close()


def test_a_retry_keeps_its_position_in_the_queue() -> None:
    hand = Hand(refusal(429), OK)
    call = hand.call()
    hand.run(exchange(call, chat(call.config)))
    assert len(hand.positions) == 2
    assert len(set(hand.positions)) == 1


WHOLE = "Acquire Send Notify Acquire Send Notify Notify Sleep Acquire Send Notify".split()


def a_whole_call(call: CallContext) -> Flow[HttpReply]:
    return (yield from exchange(call, chat(call.config)))


@pytest.mark.parametrize("count", range(len(WHOLE)))
@pytest.mark.parametrize("end", [GeneratorExit, KeyboardInterrupt, TimeoutError, RuntimeError])
def test_a_flow_ended_anywhere_leaves_no_permit_taken(end: type[BaseException], count: int) -> None:
    hand = Hand(SIGNED_IN, refusal(429), OK)
    call = hand.call()
    who = call.shared.credentials = alice()
    steps = a_whole_call(call)
    effect = next(steps)
    for _ in range(count):
        effect = steps.send(hand.perform(effect))
    assert type(effect).__name__ == WHOLE[count]
    if end is GeneratorExit:
        steps.close()
    else:
        with pytest.raises(end):
            steps.throw(end())
    assert (call.throttle.running, call.throttle.waiting) == (0, 0)
    assert (who.sign_in_queue.running, who.sign_in_queue.waiting) == (0, 0)


def test_a_stream_takes_its_permit_with_it() -> None:
    class Stream:
        permit: Any = None

    stream = Stream()
    hand = Hand(HttpReply(200, {"Content-Type": "application/x-ndjson"}, stream=stream))
    call = hand.call()
    request = dataclasses.replace(chat(call.config), stream=True, expect="any")
    hand.run(exchange(call, request))
    assert call.throttle.running == 1
    stream.permit.release()
    assert call.throttle.running == 0


@pytest.mark.parametrize(
    ("code", "held"), [("too_many_requests", True), (None, True), ("upstream_rate_limited", False)]
)
def test_everyone_waits_after_puters_429_but_not_after_a_vendors(
    code: str | None, held: bool
) -> None:
    hand = Hand(refusal(429, code))
    call = hand.call()
    steps = exchange(call, chat(call.config))
    effect = next(steps)
    while not isinstance(effect, Sleep):
        effect = steps.send(hand.perform(effect))
    if held:
        with pytest.raises(TimeoutError):  # noqa: SIM117
            with Permit(call.throttle) as permit:
                permit.acquire(timeout=0)
        hand.now += effect.seconds
    with Permit(call.throttle) as permit:
        permit.acquire(timeout=0)
    steps.close()


def test_the_wait_for_money_begins_with_the_first_attempt() -> None:
    held = error_body("no", "too_many_requests", errorCode="credits_reserved")
    answers = [HttpReply(429, JSON, json.dumps(held).encode()), OK]
    hand = Hand(*answers)
    call = hand.call()
    steps = exchange(call, chat(call.config))
    effect = next(steps)
    assert isinstance(effect, Acquire)
    hand.now += 100  # in the client's own queue
    effect = steps.send(hand.perform(effect))
    while not isinstance(effect, Sleep):
        effect = steps.send(hand.perform(effect))
    steps.close()


def test_a_free_request_refused_with_429_holds_nobody_up() -> None:
    hand = Hand(refusal(429), OK)
    call = hand.call()
    hand.now = 0.0
    hand.run(exchange(call, free(call.config)))
    hand.now = 0.0
    Permit(call.throttle).acquire(timeout=0)


@pytest.mark.parametrize(
    ("message", "running"), [("Too many concurrent requests.", 2), ("Too many requests.", 3)]
)
def test_too_many_at_once_means_fewer_at_once(message: str, running: int) -> None:
    hand = Hand(HttpReply(429, JSON, json.dumps(error_body(message, None)).encode()), OK)
    call = hand.call()
    hand.run(exchange(call, chat(call.config)))
    assert call.throttle.max_concurrency == running
    assert hand.pauses == [0.5]


def test_a_refusal_that_is_not_retried_counts_too() -> None:
    hand = Hand(HttpReply(429, JSON, json.dumps(error_body("Too many concurrent", None)).encode()))
    call = hand.call(max_retries=0)
    with pytest.raises(puter.PuterRateLimitError):
        hand.run(exchange(call, chat(call.config)))
    assert call.throttle.max_concurrency == 2


def test_good_calls_widen_a_narrowed_limit_while_others_wait_and_free_ones_do_not_count() -> None:
    hand = Hand()
    call = hand.call()
    call.throttle.resize(math.inf, 10, 2)
    call.throttle.refused()
    for request, expected in ((free, 1), (chat, 2)):
        for _ in range(16):
            assert call.throttle.max_concurrency == 1
            steps = exchange(call, request(call.config))
            effect: Any = next(steps)
            while not isinstance(effect, Send):
                effect = steps.send(hand.perform(effect))
            with Permit(call.throttle) as holds, Permit(call.throttle) as waits:
                with contextlib.suppress(TimeoutError):
                    holds.acquire(timeout=0)  # where the request itself needs no permit
                with contextlib.suppress(TimeoutError):
                    waits.acquire(timeout=0)
                hand.run(steps, OK)
        assert call.throttle.max_concurrency == expected


def test_waits_for_money_do_not_use_up_the_retries_of_a_later_refusal() -> None:
    held = error_body("no", "too_many_requests", errorCode="credits_reserved")
    reserved = HttpReply(429, JSON, json.dumps(held).encode())
    hand = Hand(*[reserved] * 6, refusal(429), refusal(429), OK)
    call = hand.call(max_retries=2)
    assert hand.run(exchange(call, chat(call.config))) is OK
    assert call.attempts == 9
    assert hand.pauses[-2:] == [0.5, 1.0]  # as after the first and the second refusal
    hand = Hand(*[reserved] * 6, refusal(429))
    with pytest.raises(puter.PuterRateLimitError) as caught:
        hand.run(exchange(hand.call(max_retries=2), chat(call.config)))
    assert caught.value.attempts == 9


# ------------------------------------------------------------ the token


def test_the_token_is_read_anew_for_each_attempt() -> None:
    def signs_in_meanwhile(_: Send) -> HttpReply:
        call.shared.credentials.sign_in("fresh-token", call.config)
        return refusal(429)

    hand = Hand(signs_in_meanwhile, OK)
    call = hand.call()
    hand.run(exchange(call, chat(call.config)))
    assert [effect.token for effect in hand.sent] == [Secret("stale-token"), Secret("fresh-token")]


def test_a_sign_in_and_a_public_list_carry_no_token() -> None:
    hand = Hand()
    call = hand.call()
    hand.run(exchange(call, login(call.config)))
    hand.run(exchange(call, api_get(call.config, "/public", authenticated=False)))
    assert [effect.token for effect in hand.sent] == [None, None]


def test_the_settings_of_a_call_are_those_it_began_with() -> None:
    hand = Hand()
    ai = puter.PuterAI(token="t", timeout=1)
    call = ai._begin("chat")
    ai.config.timeout = 2
    hand.run(exchange(call, chat(call.config)))
    assert hand.sent[0].request.timeout == 1


# ------------------------------------------------------------ signing in by itself, once


def whoami_calls(hand: Hand, count: int) -> tuple[Credentials, list[Flow[Any]]]:
    who = alice()
    flows = []
    for _ in range(count):
        call = hand.call()
        call.shared.credentials = who
        flows.append(auth.whoami(call))
    return who, flows


def waiting_for_one(hand: Hand, count: int = 3) -> tuple[Credentials, list[Flow[Any]]]:
    """The first signs in, the others wait in the queue."""
    who, flows = whoami_calls(hand, count)
    queue = [next(steps) for steps in flows]
    assert all(
        isinstance(one, Acquire) and one.permit.throttle is who.sign_in_queue for one in queue
    )
    effect = flows[0].send(hand.perform(queue[0]))
    assert isinstance(effect, Send)
    with pytest.raises(TimeoutError):
        hand.perform(queue[1])
    return who, flows


def test_one_signs_in_for_all() -> None:
    hand = Hand()
    _, flows = waiting_for_one(hand)
    assert hand.run(flows[0], SIGNED_IN).username == "alice"
    for steps in flows[1:]:
        assert hand.run(steps).username == "alice"
    assert [effect.request.url for effect in hand.sent] == ["https://api.puter.com/whoami"] * 3
    assert {effect.token for effect in hand.sent} == {Secret("fresh-token")}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(401, "password_mismatch"), puter.PuterAuthError),
        (refusal(404, "not_found"), puter.PuterAuthError),
        (refusal(429, "too_many_requests"), puter.PuterRateLimitError),
        (HttpReply(302, {"Location": "/"}), puter.PuterResponseError),
    ],
)
def test_those_who_waited_share_a_refusal(answer: HttpReply, kind: type[PuterError]) -> None:
    hand = Hand()
    who, flows = waiting_for_one(hand)
    late = whoami_calls(hand, 1)[1][0]
    told = []
    for steps, value in [(flows[0], answer), *((one, None) for one in flows[1:])]:
        with pytest.raises(kind) as caught:
            hand.run(steps, value)
        told.append(caught.value)
    assert hand.sent == []  # the first one's request was answered by hand, and there was no other
    assert len({str(error) for error in told}) == 1
    assert len({id(error) for error in told}) == 3  # each its own, with its own traceback
    assert who.sign_in_queue.running == 0
    late.close()


def test_whoever_comes_after_a_refusal_tries_anew() -> None:
    hand = Hand(SIGNED_IN, OK)
    who, flows = waiting_for_one(hand, 2)
    for steps, value in ((flows[0], refusal(401, "password_mismatch")), (flows[1], None)):
        with pytest.raises(puter.PuterAuthError):
            hand.run(steps, value)
    call = hand.call()
    call.shared.credentials = who
    assert hand.run(auth.whoami(call)).username == "alice"
    assert hand.sent[0].request.url == "https://puter.com/login"


def test_whoever_comes_while_the_refused_still_queue_tries_anew() -> None:
    hand = Hand(SIGNED_IN, OK)
    who, flows = waiting_for_one(hand, 2)
    with pytest.raises(puter.PuterAuthError):
        hand.run(flows[0], refusal(401, "password_mismatch"))
    call = hand.call()
    call.shared.credentials = who
    late = auth.whoami(call)
    assert isinstance(next(late), Acquire)
    with pytest.raises(puter.PuterAuthError):
        hand.run(flows[1])
    assert hand.run(late).username == "alice"


def test_an_interrupted_sign_in_is_no_refusal() -> None:
    hand = Hand(SIGNED_IN, OK)
    _, flows = waiting_for_one(hand, 2)
    flows[0].close()
    assert hand.run(flows[1]).username == "alice"
    assert hand.sent[0].request.url == "https://puter.com/login"


def test_signing_in_does_not_count_as_an_attempt_of_the_call() -> None:
    hand = Hand(SIGNED_IN, refusal(402, "insufficient_funds"))
    call = hand.call()
    call.shared.credentials = alice()
    with pytest.raises(puter.PuterInsufficientFundsError) as caught:
        hand.run(auth.whoami(call))
    assert caught.value.attempts == 1


# ------------------------------------------------------------ effects


def test_effects_are_values() -> None:
    request = chat(PuterConfig())
    throttle = Throttle()
    for effect in (
        Send(request),
        Sleep(1.0),
        Acquire(Permit(throttle), 5.0),
        Invoke(len, ("x",)),
    ):
        assert {effect} == {dataclasses.replace(effect)}
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(effect, dataclasses.fields(effect)[0].name, None)


def test_a_request_shows_no_secret() -> None:
    request = dataclasses.replace(
        login(PuterConfig(proxy="http://me:hush-hush@proxy", headers={"X-Secret": "hush-hush"})),
        secrets=(Secret("hush-hush"),),
    )
    for shown in (repr(request), repr(Send(request, Secret("hush-hush")))):
        assert "hush" not in shown
        assert "correct" not in shown
