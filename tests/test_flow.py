"""Flows driven by hand: no network, no clock, no dice but ours."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

import puter
from puter import flow
from puter.config import PuterConfig
from puter.credentials import Credentials
from puter.exceptions import PuterError
from puter.exchange import Call, exchange
from puter.ledger import Ledger
from puter.models import registry
from puter.operations import auth
from puter.retry import RetryBudget
from puter.throttle import Throttle
from puter.transports import failures
from puter.wire import calls
from puter.wire.http import Reply, Request
from tests.door import error_body

JSON = {"Content-Type": "application/json"}
OK = Reply(200, JSON, b'{"username": "alice"}')
SIGNED_IN = Reply(200, JSON, b'{"proceed": true, "next_step": "complete", "token": "fresh-token"}')


def refusal(status: int, code: str | None = None, **headers: str) -> Reply:
    return Reply(status, {**JSON, **headers}, json.dumps(error_body("no", code)).encode())


class Hand:
    """Carries out a flow's effects: answers from a script, no waiting, and a clock of its own."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script) or [OK]
        self.now = 0.0
        self.sent: list[Request] = []
        self.pauses: list[float] = []
        self.events: list[Any] = []
        self.tickets: list[int | None] = []

    def call(self, *, dice: float = 1.0, **settings: Any) -> Call:
        return Call(
            config=PuterConfig(**settings),
            credentials=Credentials(None, None, "stale-token"),
            throttle=Throttle(30, 10, 3, clock=lambda: self.now),
            budget=RetryBudget(),
            ledger=Ledger(),
            registry=registry(),
            clock=lambda: self.now,
            random=lambda: dice,
        )

    def run(self, steps: flow.Flow[Any], value: Any = None) -> Any:
        """From the start, or from an effect that was answered by hand with ``value``."""
        resume: Callable[[Any], flow.Effect] = steps.send
        while True:
            try:
                effect = resume(value)
            except StopIteration as done:
                return done.value
            try:
                value, resume = self.perform(effect), steps.send
            except PuterError as error:
                value, resume = error, steps.throw

    def perform(self, effect: flow.Effect) -> Any:
        match effect:
            case flow.Send(request):
                self.sent.append(request)
                one = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                answer = one(request) if callable(one) else one
                if isinstance(answer, PuterError):
                    raise answer
                return answer
            case flow.Admit(gate, ticket, _):
                self.tickets.append(ticket)
                return gate.enter(ticket, timeout=0)
            case flow.Pause(seconds):
                self.pauses.append(seconds)
                self.now += seconds
            case flow.Tell(event):
                self.events.append(event)
        return None


def chat(config: PuterConfig) -> Request:
    return calls.chat(config, {"messages": []})


def free(config: PuterConfig) -> Request:
    return calls.api_get(config, "/whoami")


def login(config: PuterConfig) -> Request:
    return calls.login(config, "", {"username": "alice", "password": "correct horse"})


# ------------------------------------------------------------ what is sent again

# what happens: sent again when it is (a billed chat, a free question, a sign-in)
AGAIN: dict[str, tuple[Any, tuple[bool, bool, bool]]] = {
    "Puter's 429": (refusal(429, "too_many_requests"), (True, True, False)),
    "the vendor's 429": (refusal(429, "upstream_rate_limited"), (True, True, False)),
    "a proxy's 429": (Reply(429, {"Content-Type": "text/html"}, b"<html>"), (True, True, False)),
    "refused": (lambda r: failures.not_connected(r, OSError(111, "refused")), (True, True, True)),
    "connect timeout": (failures.connect_timeout, (True, True, True)),
    "bad certificate": (lambda r: failures.bad_certificate(r, OSError("x")), (False, False, False)),
    "bad address": (lambda r: failures.bad_address(r, ValueError("x")), (False, False, False)),
    "silence": (failures.silence, (False, True, False)),
    "cut off": (lambda r: failures.cut_off(r, OSError("x")), (False, True, False)),
    "unreadable": (lambda r: failures.unreadable(r, 200, OSError("x")), (False, False, False)),
    "408": (refusal(408), (False, True, False)),
    "500": (refusal(500, "internal_error"), (False, True, False)),
    "502 page": (Reply(502, {"Content-Type": "text/html"}, b"<html>"), (False, True, False)),
    "503": (refusal(503, "db_unavailable"), (False, True, False)),
    "504 empty": (Reply(504, {}), (False, True, False)),
    "vendor down": (refusal(400, "upstream_provider_unavailable"), (False, True, False)),
    "vendor's no": (refusal(500, "upstream_auth_failed"), (False, True, False)),
    "400": (refusal(400, "bad_request"), (False, False, False)),
    "401": (refusal(401, "token_auth_failed"), (False, False, False)),
    "402": (refusal(402, "insufficient_funds"), (False, False, False)),
    "403": (refusal(403, "forbidden"), (False, False, False)),
    "404": (refusal(404, "not_found"), (False, False, False)),
    "413": (refusal(413, "client_bad_request"), (False, False, False)),
    "redirect": (Reply(302, {"Location": "/"}), (False, False, False)),
    "page": (Reply(200, {"Content-Type": "text/html"}, b"<html>"), (False, False, False)),
    "empty": (Reply(200, JSON), (False, False, False)),
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
    assert [type(event).__name__ for event in hand.events] == ["Answered", "Retrying"] * 4 + [
        "Answered"
    ]


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
    answer: Reply, request_of: Callable[[PuterConfig], Request]
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


def test_a_retry_budget_stops_storms_but_not_waiting_at_the_gate() -> None:
    hand = Hand(refusal(500))
    call = dataclasses.replace(hand.call(max_retries=5), budget=RetryBudget(2))
    for expected in (3, 1, 1):
        hand.sent.clear()
        with pytest.raises(puter.PuterServerError):
            hand.run(exchange(call, free(call.config)))
        assert len(hand.sent) == expected
    hand.script = [refusal(429), OK]
    assert hand.run(exchange(call, chat(call.config))) is OK


def test_ten_answers_buy_one_more_retry() -> None:
    budget = RetryBudget(1)
    assert [budget.take(), budget.take()] == [True, False]
    for _ in range(10):
        budget.answered()
    assert [budget.take(), budget.take()] == [True, False]
    for _ in range(1000):
        budget.answered()
    assert [budget.take(), budget.take()] == [True, False]  # never more than its size


# ------------------------------------------------------------ deadline


def test_a_retry_that_would_miss_the_deadline_is_not_waited_for() -> None:
    hand = Hand(refusal(429))
    call = hand.call(deadline=4)
    with pytest.raises(puter.PuterRateLimitError):
        hand.run(exchange(call, chat(call.config)))
    assert hand.pauses == [0.5, 1.0, 2.0]  # the next would end at 7.5
    assert [request.time_left for request in hand.sent] == [4, 3.5, 2.5, 0.5]


def test_the_deadline_limits_the_wait_at_the_gate() -> None:
    hand = Hand()
    call = hand.call(deadline=4)
    hand.now = 1.5
    effect = next(exchange(call, chat(call.config)))
    assert isinstance(effect, flow.Admit)
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


def test_without_a_deadline_nothing_is_limited() -> None:
    hand = Hand()
    call = hand.call()
    hand.run(exchange(call, chat(call.config)))
    assert hand.sent[0].time_left is None
    assert call.elapsed == 0


# ------------------------------------------------------------ the gate


def test_a_chat_passes_the_gate_and_a_question_does_not() -> None:
    call = Hand().call()
    assert isinstance(next(exchange(call, chat(call.config))), flow.Admit)
    assert isinstance(next(exchange(call, free(call.config))), flow.Send)
    assert isinstance(next(exchange(call, login(call.config))), flow.Send)


@pytest.mark.parametrize(
    "answer", [OK, refusal(402), refusal(200), Reply(302, {}), failures.silence]
)
def test_the_place_is_given_back_whatever_the_answer(answer: Any) -> None:
    hand = Hand(answer)
    call = hand.call()
    with contextlib.suppress(PuterError):
        hand.run(exchange(call, chat(call.config)))
    assert hand.sent
    assert (call.throttle.running, call.throttle.waiting) == (0, 0)


def test_nobody_holds_a_place_while_waiting_to_send_again() -> None:
    hand = Hand(refusal(429))
    call = hand.call()
    steps = exchange(call, chat(call.config))
    effect = next(steps)
    while not isinstance(effect, flow.Pause):
        effect = steps.send(hand.perform(effect))
    assert call.throttle.running == 0
    steps.close()


def test_a_retry_keeps_its_place_in_the_queue() -> None:
    hand = Hand(refusal(429), OK)
    call = hand.call()
    hand.run(exchange(call, chat(call.config)))
    assert len(hand.tickets) == 2
    assert len(set(hand.tickets)) == 1


WHOLE = "Admit Send Tell Admit Send Tell Tell Pause Admit Send Tell".split()


def a_whole_call(call: Call) -> flow.Flow[Reply]:
    yield from auth.ensure_signed_in(call)
    return (yield from exchange(call, chat(call.config)))


@pytest.mark.parametrize("count", range(len(WHOLE)))
@pytest.mark.parametrize("end", [GeneratorExit, KeyboardInterrupt, TimeoutError, RuntimeError])
def test_a_flow_ended_anywhere_leaves_no_place_taken(end: type[BaseException], count: int) -> None:
    hand = Hand(SIGNED_IN, refusal(429), OK)
    call = hand.call()
    who = call.credentials = Credentials("alice", "correct horse", None)
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
    assert (who.gate.running, who.gate.waiting) == (0, 0)


def test_a_stream_takes_its_place_with_it() -> None:
    class Stream:
        slot: Any = None

    stream = Stream()
    hand = Hand(Reply(200, {"Content-Type": "application/x-ndjson"}, stream=stream))
    call = hand.call()
    request = dataclasses.replace(chat(call.config), stream=True, expect="any")
    hand.run(exchange(call, request))
    assert call.throttle.running == 1
    stream.slot.release()
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
    while not isinstance(effect, flow.Pause):
        effect = steps.send(hand.perform(effect))
    if held:
        with pytest.raises(TimeoutError):
            call.throttle.enter(timeout=0)
        hand.now += effect.seconds
    call.throttle.enter(timeout=0).release()
    steps.close()


def test_a_question_refused_with_429_holds_nobody_up() -> None:
    hand = Hand(refusal(429), OK)
    call = hand.call()
    hand.now = 0.0
    hand.run(exchange(call, free(call.config)))
    hand.now = 0.0
    call.throttle.enter(timeout=0).release()


# ------------------------------------------------------------ the token


def test_the_token_is_read_anew_for_each_attempt() -> None:
    def signs_in_meanwhile(request: Request) -> Reply:
        call.credentials.sign_in("fresh-token", call.config)
        return refusal(429)

    hand = Hand(signs_in_meanwhile, OK)
    call = hand.call()
    hand.run(exchange(call, chat(call.config)))
    assert [request.token for request in hand.sent] == ["stale-token", "fresh-token"]


def test_a_sign_in_and_a_public_list_carry_no_token() -> None:
    hand = Hand()
    call = hand.call()
    hand.run(exchange(call, login(call.config)))
    hand.run(exchange(call, calls.api_get(call.config, "/public", signed=False)))
    assert [request.token for request in hand.sent] == [None, None]


def test_the_settings_of_a_call_are_those_it_began_with() -> None:
    hand = Hand()
    ai = puter.PuterAI(token="t", timeout=1)
    call = ai._call()
    ai.config.timeout = 2
    hand.run(exchange(call, chat(call.config)))
    assert hand.sent[0].timeout == 1


# ------------------------------------------------------------ signing in by itself, once


def whoami_calls(hand: Hand, count: int) -> tuple[Credentials, list[flow.Flow[Any]]]:
    who = Credentials("alice", "correct horse", None)
    flows = []
    for _ in range(count):
        call = hand.call()
        call.credentials = who
        flows.append(auth.whoami(call))
    return who, flows


def at_the_door(hand: Hand, count: int = 3) -> tuple[Credentials, list[flow.Flow[Any]]]:
    """The first signs in, the others wait behind the gate."""
    who, flows = whoami_calls(hand, count)
    gates = [next(steps) for steps in flows]
    assert all(isinstance(effect, flow.Admit) and effect.gate is who.gate for effect in gates)
    effect = flows[0].send(hand.perform(gates[0]))
    assert isinstance(effect, flow.Send)
    with pytest.raises(TimeoutError):
        hand.perform(gates[1])
    return who, flows


def test_one_signs_in_for_all() -> None:
    hand = Hand()
    who, flows = at_the_door(hand)
    assert hand.run(flows[0], SIGNED_IN).username == "alice"
    for steps in flows[1:]:
        assert hand.run(steps, who.gate.enter(timeout=0)).username == "alice"
    assert [request.url for request in hand.sent] == ["https://api.puter.com/whoami"] * 3
    assert {request.token for request in hand.sent} == {"fresh-token"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(401, "password_mismatch"), puter.PuterAuthError),
        (refusal(404, "not_found"), puter.PuterAuthError),
        (refusal(429, "too_many_requests"), puter.PuterRateLimitError),
        (Reply(302, {"Location": "/"}), puter.PuterResponseError),
    ],
)
def test_those_who_waited_share_a_refusal(answer: Reply, kind: type[PuterError]) -> None:
    hand = Hand()
    who, flows = at_the_door(hand)
    late = whoami_calls(hand, 1)[1][0]
    told = []
    for steps, value in [(flows[0], answer), *((one, None) for one in flows[1:])]:
        with pytest.raises(kind) as caught:
            hand.run(steps, value or who.gate.enter(timeout=0))
        told.append(caught.value)
    assert hand.sent == []  # the first one's request was answered by hand, and there was no other
    assert len({str(error) for error in told}) == 1
    assert len({id(error) for error in told}) == 3  # each its own, with its own traceback
    assert who.gate.running == 0
    late.close()


def test_whoever_comes_after_a_refusal_tries_anew() -> None:
    hand = Hand(SIGNED_IN, OK)
    who, flows = at_the_door(hand, 2)
    for steps, value in ((flows[0], refusal(401, "password_mismatch")), (flows[1], None)):
        with pytest.raises(puter.PuterAuthError):
            hand.run(steps, value or who.gate.enter(timeout=0))
    call = hand.call()
    call.credentials = who
    assert hand.run(auth.whoami(call)).username == "alice"
    assert hand.sent[0].url == "https://puter.com/login"


def test_whoever_comes_while_the_refused_still_queue_tries_anew() -> None:
    hand = Hand(SIGNED_IN, OK)
    who, flows = at_the_door(hand, 2)
    with pytest.raises(puter.PuterAuthError):
        hand.run(flows[0], refusal(401, "password_mismatch"))
    call = hand.call()
    call.credentials = who
    late = auth.whoami(call)
    assert isinstance(next(late), flow.Admit)
    with pytest.raises(puter.PuterAuthError):
        hand.run(flows[1], who.gate.enter(timeout=0))
    assert hand.run(late, who.gate.enter(timeout=0)).username == "alice"


def test_an_interrupted_sign_in_is_no_refusal() -> None:
    hand = Hand(SIGNED_IN, OK)
    who, flows = at_the_door(hand, 2)
    flows[0].close()
    assert hand.run(flows[1], who.gate.enter(timeout=0)).username == "alice"
    assert hand.sent[0].url == "https://puter.com/login"


def test_signing_in_does_not_count_as_an_attempt_of_the_call() -> None:
    hand = Hand(SIGNED_IN, refusal(402, "insufficient_funds"))
    call = hand.call()
    call.credentials = Credentials("alice", "correct horse", None)
    with pytest.raises(puter.PuterInsufficientFundsError) as caught:
        hand.run(auth.whoami(call))
    assert caught.value.attempts == 1


# ------------------------------------------------------------ effects


def test_effects_are_values() -> None:
    request = chat(PuterConfig())
    gate = Throttle()
    for effect in (
        flow.Send(request),
        flow.Pause(1.0),
        flow.Admit(gate, 1, None),
        flow.Ask(len, ("x",)),
    ):
        assert effect == dataclasses.replace(effect)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(effect, dataclasses.fields(effect)[0].name, None)


def test_a_request_shows_no_secret() -> None:
    request = dataclasses.replace(
        login(PuterConfig(proxy="http://me:hush-hush@proxy", headers={"X-Secret": "hush-hush"})),
        token="hush-hush",
        secrets=("hush-hush",),
    )
    assert "hush" not in repr(request)
    assert "correct" not in repr(request)
