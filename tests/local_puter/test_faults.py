"""`puter.testing.faults`: which request meets which fault, and what is told of it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

import puter
from puter import PuterAI
from puter.testing import Failure, Hang, LocalPuter, MockReply, MockTransport, faults
from tests.door import Door, until_done
from tests.fault_matrix import PAGE, table_in


def test_a_kind_is_a_value() -> None:
    assert faults.status(503) == faults.status(503) != faults.status(502)
    assert repr(faults.stream_cut(after=2)) == "stream_cut(after=2)"
    assert faults.KINDS["silence"] == faults.silence() == Hang()
    assert faults.status(503).name == Failure(503).name == "status"
    late = dataclasses.replace(faults.reset(), ran=True, delay=0.5)
    assert (late.ran, late.delay) == (True, 0.5)


def test_every_kind_says_what_happens() -> None:
    assert len(faults.KINDS) >= 60
    for name, fault in faults.KINDS.items():
        assert (fault.name, repr(fault)) == (name, f"{name}()")
        assert fault.about.endswith(".")
        assert getattr(faults, name)() == fault


def test_faults_load_no_library() -> None:
    program = "import sys; from puter.testing import faults; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_which_request_meets_it() -> None:
    with LocalPuter() as local, local.client(max_retries=0) as ai:
        local.inject(faults.status(503), operation="chat", after=1)
        local.inject(faults.status(404), path="/whoami", times=2)
        local.inject(faults.stream_cut())  # waits for a stream
        assert ai.chat("2 + 2") == "2 + 2 = 4"
        with pytest.raises(puter.PuterServerError):
            ai.chat("Hi")
        for _ in range(2):
            with pytest.raises(puter.PuterNotFoundError):
                ai.whoami()
        assert ai.whoami().username == "alice"
        with pytest.raises(puter.PuterStreamError):
            ai.chat("Hi", stream=True).until_done()
        met = [(one.operation, repr(one.fault)) for one in local.injected]
        assert met == [
            ("chat", "status(503)"),
            *[("whoami", "status(404)")] * 2,
            ("chat", "stream_cut()"),
        ]
        assert [(one.ran, one.billed) for one in local.chats] == [
            (True, True),
            (False, False),
            (True, True),
        ]


def test_a_fault_that_is_wrong_is_told() -> None:
    wrong: Any = 503
    with LocalPuter() as local:
        with pytest.raises(TypeError, match="such as faults"):
            local.inject(wrong)
        with pytest.raises(ValueError, match="no operation 'chats'; there are chat"):
            local.inject(faults.reset(), operation="chats")
    with pytest.raises(ValueError, match="from 0 to 1"):
        faults.sometimes(10)
    with pytest.raises(ValueError, match="no kind of fault 'rest'"):
        faults.sometimes(0.1, kinds=["rest"])


_FAULT: Any = faults
WRONG: list[tuple[type[Exception], Any]] = [
    (ValueError, lambda: faults.Plan().inject(faults.reset(), times=0)),
    (ValueError, lambda: faults.Plan().inject(faults.reset(), times=-1)),
    (TypeError, lambda: _FAULT.Plan().inject(faults.reset(), times="2")),
    (TypeError, lambda: faults.Plan().inject(faults.reset(), times=True)),
    (ValueError, lambda: faults.Plan().inject(faults.reset(), after=-1)),
    (TypeError, lambda: _FAULT.Plan().inject(faults.reset(), after=0.5)),
    (TypeError, lambda: _FAULT.Plan().inject(faults.reset(), path=5)),
    (TypeError, lambda: _FAULT.Plan().inject(faults.reset)),
    (TypeError, lambda: _FAULT.status("abc")),
    (TypeError, lambda: _FAULT.status(True)),
    (TypeError, lambda: _FAULT.status(headers=["a"])),
    (TypeError, lambda: _FAULT.status(body=5)),
    (TypeError, lambda: _FAULT.status(other=5)),
    (ValueError, lambda: faults.status(0)),
    (ValueError, lambda: faults.reset(-1)),
    (ValueError, lambda: faults.drip(pause=float("nan"))),
    (ValueError, lambda: faults.drip(pieces=0)),
    (ValueError, lambda: faults.huge_body(0)),
    (TypeError, lambda: dataclasses.replace(_FAULT.reset(), delay="1")),
    (ValueError, lambda: dataclasses.replace(faults.reset(), delay=-1)),
    (TypeError, lambda: _FAULT.sometimes(0.1, kinds=[faults.reset])),
    (TypeError, lambda: _FAULT.sometimes(0.1, kinds=[503])),
    (TypeError, lambda: _FAULT.sometimes(0.1, kinds="reset")),
]


@pytest.mark.parametrize(("error", "wrong"), WRONG)
def test_a_wrong_argument_is_told_where_it_is_given(error: type[Exception], wrong: Any) -> None:
    with pytest.raises(error) as told:
        wrong()
    assert str(told.value)


def test_chance_is_the_same_for_the_same_seed() -> None:
    def fates(seed: int) -> list[str]:
        plan = faults.Plan(faults.sometimes(0.2, seed=seed))
        return [repr(plan.pick("/whoami", None)) for _ in range(500)]

    assert fates(1) == fates(1) != fates(2)
    counts = Counter(fates(3))
    assert 50 < 500 - counts["None"] < 150
    assert not [name for name in counts if "stream" in name]  # they cannot happen to whoami


def test_the_client_of_a_server_without_limits_has_none() -> None:
    with LocalPuter(tier=None) as local:
        assert local.client().config.rate_limit_requests is None
        assert local.client(rate_limit_requests=7).config.rate_limit_requests == 7
        config = puter.PuterConfig(rate_limit_requests=8, api_base=local.url)
        assert local.client(config=config).config.rate_limit_requests == 8
    with LocalPuter() as local:
        assert local.client().config.rate_limit_requests == 30


def test_faults_are_forgotten() -> None:
    with LocalPuter() as local, local.client() as ai:
        local.inject(faults.sometimes(1, kinds=["status"]))
        local.clear_faults()
        assert ai.whoami().username == "alice"


def test_a_fault_for_a_chat_or_a_medium_is_a_reply() -> None:
    with LocalPuter() as local, local.client() as ai:
        local.reply_with(faults.lost_answer(), faults.reset())
        for billed in (True, False):
            with pytest.raises(puter.PuterConnectionError):
                ai.chat("Hi")
            assert local.chats[-1].billed is billed
        local.media_with(faults.cut_body())
        with pytest.raises(puter.PuterConnectionError):
            ai.txt2img("a cat")
        assert local.requests[-1].billed


IN_MATRIX = table_in(PAGE.read_text("utf-8"))


@pytest.mark.parametrize("name", list(faults.KINDS))
async def test_in_memory_a_chat_becomes_what_it_becomes_over_sockets(door: Door, name: str) -> None:
    """The page has the socket's outcome of each kind."""
    outcome = IN_MATRIX[name]["chat"] or IN_MATRIX[name]["chat, streamed"]
    transport = MockTransport(lambda _: "Paris", faults.Plan(faults.KINDS[name]))
    settings: Any = {"max_retries": 1, "retry_delay": 0, "max_response_bytes": 1 << 20}
    ai = PuterAI(token="t", transport=transport, **settings)
    if outcome.startswith("\u2713") or not IN_MATRIX[name]["chat"]:
        assert await door(ai, "chat", "Hi") == "Paris"
        return
    with pytest.raises(getattr(puter, f"Puter{outcome}Error")) as told:
        await door(ai, "chat", "Hi")
    assert f"{name}(" not in str(told.value)
    assert "ValueError" not in str(told.value)


@pytest.mark.parametrize("name", [name for name, one in faults.KINDS.items() if one.trouble])
async def test_in_memory_the_words_are_those_of_sockets(door: Door, name: str) -> None:
    fault = {"gzip_bomb": faults.gzip_bomb(16 << 20)}.get(name, faults.KINDS[name])
    if name == "continue_flood":
        fault = faults.continue_flood(0.02)
    settings: Any = {"max_retries": 0, "timeout": 1.0, "max_response_bytes": 1 << 20}
    with LocalPuter(tier=None) as local:
        local.inject(fault)
        over_sockets = local.client(**settings)
        transport = MockTransport(lambda _: "Paris", faults.Plan(fault))
        in_memory = PuterAI(token="t", transport=transport, api_base=local.url, **settings)
        told = []
        for ai in (over_sockets, in_memory):
            with pytest.raises(puter.PuterError) as caught:
                await door(ai, "chat", "Hi")
            told.append((type(caught.value), caught.value.message))
            await ai.async_close()
    assert told[0] == told[1]


@pytest.mark.parametrize("name", [name for name, one in faults.KINDS.items() if one.trouble])
async def test_a_connections_fault_in_memory(door: Door, name: str) -> None:
    plan = faults.Plan(faults.KINDS[name])
    asked: list[str] = []

    def handler(request: Any) -> str:
        asked.append(request.url)
        return "Hello!"

    ai = PuterAI(token="t", transport=MockTransport(handler, plan))
    with pytest.raises(puter.PuterError) as caught:
        await door(ai, "chat", "Hi")
    assert len(asked) == faults.KINDS[name].ran
    assert getattr(caught.value, "sent", True)
    assert await door(ai, "chat", "Hi") == "Hello!"
    assert plan.injected == [("/drivers/call", faults.KINDS[name])]


async def test_answers_and_streams_in_memory(door: Door) -> None:
    lines = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}, {"type": "usage"}]
    plan = faults.Plan()
    ai = PuterAI(
        token="t", max_retries=0, transport=MockTransport(lambda _: MockReply(lines=lines), plan)
    )
    for fault in (faults.stream_cut(), faults.stream_reset(), faults.stream_silence()):
        plan.inject(fault, operation="chat")
        stream = await door(ai, "chat", "Hi", stream=True)
        with pytest.raises(puter.PuterStreamError) as caught:
            await until_done(stream)
        assert caught.value.partial == "one "
    plan.inject(faults.token_expired())
    with pytest.raises(puter.PuterAuthError):
        await door(ai, "chat", "Hi")


async def test_a_handler_may_return_a_fault(door: Door) -> None:
    answers = iter([faults.status(402), "Hello!"])
    ai = PuterAI(token="t", transport=MockTransport(lambda _: next(answers)))
    with pytest.raises(puter.PuterInsufficientFundsError):
        await door(ai, "chat", "Hi")
    assert await door(ai, "chat", "Hi") == "Hello!"
