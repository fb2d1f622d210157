"""What a client spent: every call once, and an unknown cost told as unknown."""

from __future__ import annotations

import asyncio
import pickle
import sys
import threading
from decimal import Decimal
from typing import Any

import pytest

import puter
from puter.engine.ledger import Ledger, Spent
from puter.extensions import Budget
from puter.process import short_lock
from puter.types.replies import Usage
from tests.door import (
    CUT,
    REFUSED,
    SILENCE,
    Answer,
    Door,
    chat_body,
    error_body,
    json_answer,
    lines,
    shut,
    step,
    stream_answer,
    text_answer,
    until_done,
)

PNG = "data:image/png;base64,iVBORw0KGgo="
WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(32)
HEL = {"type": "text", "text": "Hel"}
USAGE = {"type": "usage", "usage": {"prompt_tokens": 11, "completion_tokens": 7, "usd_cents": 0.5}}


def envelope(result: Any) -> Any:
    return {"success": True, "result": result}


def audio() -> Any:
    return Answer(body=b"ID3 sound", headers={"Content-Type": "audio/mpeg"})


# method -> arguments, answer
MEDIA: dict[str, tuple[tuple[Any, ...], Any]] = {
    "txt2img": (("a cat", "gpt-image-2"), envelope(PNG)),
    "img2txt": ((b"\x89PNG\r\n\x1a\n",), envelope({"text": "x"})),
    "txt2speech": (("Hello",), audio()),
    "speech2txt": ((WAV,), envelope({"text": "x"})),
    "speech2speech": ((WAV,), audio()),
    "txt2vid": (("waves",), envelope("https://example.org/a.mp4")),
    "call": (("puter-ocr", "recognize"), envelope({"text": "x"})),
}


@pytest.mark.parametrize("method", MEDIA)
async def test_media_count_once_with_an_unknown_cost(door: Door, method: str) -> None:
    arguments, answer = MEDIA[method]
    ai = door.client()
    door.answers(answer)
    await door(ai, method, *arguments)
    assert ai.usage.total == Spent(1, 0, 0, Decimal(0), 1)
    assert ai.usage.by_operation == {method: Spent(1, 0, 0, Decimal(0), 1)}
    model = "gpt-image-2" if method == "txt2img" else "unknown"
    assert set(ai.usage.by_model) == {model}
    assert str(ai.usage) == "1 call, cost not known"


@pytest.mark.parametrize("method", [one for one in MEDIA if one != "call"])
async def test_samples_are_free(door: Door, method: str) -> None:
    arguments, _ = MEDIA[method]
    ai = door.client()
    door.answers(envelope({"url": PNG, "text": "x"}))
    await door(ai, method, *arguments, test_mode=True)
    assert ai.usage.total == Spent(1)


async def test_what_a_media_answer_says_of_its_price_counts(door: Door) -> None:
    ai = door.client()
    usage = {"input_tokens": 14, "output_tokens": 5, "usd_cents": 2}
    door.answers(envelope({"text": "x", "usage": usage, "model": "gpt-transcribe"}))
    await door(ai, "speech2txt", WAV)
    assert ai.usage.by_model == {"gpt-transcribe": Spent(1, 14, 5, Decimal("0.02"))}


async def test_free_lists_do_not_count(door: Door) -> None:
    ai = door.client()
    door.answers(envelope([]))
    await door(ai, "list_voices")
    door.answers({"models": []})
    await door(ai, "list_models")
    assert ai.usage.requests == 0


async def test_each_operation_by_itself(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "one")
    door.answers(chat_body("[1]"))
    await door(ai, "parse", "two", list[int])
    door.answers(envelope(PNG))
    await door(ai, "txt2img", "a cat")
    assert {name: one.requests for name, one in ai.usage.by_operation.items()} == {
        "chat": 1,
        "parse": 1,
        "txt2img": 1,
    }
    assert (ai.usage.requests, ai.usage.unpriced) == (3, 1)
    assert ai.usage.cost == Decimal("0.000156")


async def test_canned_models_are_free(door: Door) -> None:
    ai = door.client()
    fake = {"service_used": "fake-chat", "providerUsed": "fake"}
    door.answers(chat_body(usage={"output_tokens": 1, "usd_cents": None}, metadata=fake))
    await door(ai, "chat", "Hi", "fake")
    assert ai.usage.total == Spent(1, 0, 1)


async def test_a_price_that_the_server_does_not_know_is_unknown(door: Door) -> None:
    ai = door.client()
    door.answers(chat_body(usage={"prompt_tokens": 3, "completion_tokens": 4}))
    await door(ai, "chat", "Hi")
    assert ai.usage.total == Spent(1, 3, 4, Decimal(0), 1)


async def streaming(door: Door, *pieces: Any) -> tuple[puter.PuterAI, Any]:
    ai = door.client()
    door.answers(stream_answer(*pieces))
    return ai, await door(ai, "chat", "Hi", stream=True)


@pytest.mark.parametrize("read", [0, 1])
async def test_a_stream_that_is_given_up_counts_once(door: Door, read: int) -> None:
    ai, stream = await streaming(door, HEL, HEL, USAGE)
    for _ in range(read):
        await step(stream)
    assert ai.usage.requests == 0
    for _ in range(2):
        await shut(stream)
    assert ai.usage.by_model == {"gpt-5-nano": Spent(1, 0, 0, Decimal(0), 1)}


async def test_a_stream_that_is_closed_after_its_cost_came_counts_that(door: Door) -> None:
    budget = Budget(1, estimate="0.5")
    ai = door.client().use(budget)
    door.answers(stream_answer(lines(HEL, HEL, USAGE)))  # in one read
    stream = await door(ai, "chat", "Hi", stream=True)
    await step(stream)
    await shut(stream)
    assert (stream.partial, stream.partial.cost) == ("HelHel", Decimal("0.005"))
    assert ai.usage.by_model == {"gpt-5-nano": Spent(1, 11, 7, Decimal("0.005"))}
    assert (budget.spent, budget.reserved) == (Decimal("0.005"), Decimal(0))


async def test_a_stream_of_a_free_model_that_is_closed_early_cost_nothing(door: Door) -> None:
    ai = door.client()
    door.answers(stream_answer(HEL, HEL))
    stream = await door(ai, "chat", "Hi", "fake", stream=True)
    await step(stream)
    await shut(stream)
    assert ai.usage.by_model == {"fake": Spent(1, 0, 0, Decimal(0), 0)}


async def test_a_stream_that_is_dropped_counts_once(door: Door) -> None:
    ai, stream = await streaming(door, HEL, HEL, USAGE)
    await step(stream)
    with pytest.warns(ResourceWarning):
        del stream
    assert (ai.usage.requests, ai.usage.unpriced) == (1, 1)


@pytest.mark.parametrize("pieces", [(HEL, CUT), (HEL, b""), (b"{", b""), (HEL, SILENCE)])
async def test_a_stream_that_is_cut_off_counts_once(door: Door, pieces: Any) -> None:
    ai, stream = await streaming(door, *pieces)
    with pytest.raises(puter.PuterStreamError):
        await until_done(stream)
    await shut(stream)
    assert (ai.usage.requests, ai.usage.unpriced) == (1, 1)


async def test_a_stream_that_fails_half_way_counts_once(door: Door) -> None:
    ai, stream = await streaming(door, HEL, {"type": "error", "message": "Overloaded"})
    with pytest.raises(puter.PuterStreamError):
        await until_done(stream)
    assert (ai.usage.requests, ai.usage.unpriced) == (1, 1)


async def test_a_stream_that_was_refused_at_its_start_cost_nothing(door: Door) -> None:
    ai, stream = await streaming(door, {"type": "error", "message": "400 no such thing"})
    with pytest.raises(puter.PuterBadRequestError):
        await until_done(stream)
    assert ai.usage.requests == 0


async def test_a_stream_that_was_refused_first_counts_once(door: Door) -> None:
    ai = door.client()
    busy = {"type": "error", "message": "Slow down", "status": 429, "code": "rate_limit_error"}
    door.answers(stream_answer(busy), stream_answer(HEL, USAGE))
    await until_done(await door(ai, "chat", "Hi", stream=True))
    assert len(door.sent) == 2
    assert ai.usage.total == Spent(1, 11, 7, Decimal("0.005"))


async def test_a_whole_stream_counts_once(door: Door) -> None:
    ai, stream = await streaming(door, HEL, USAGE)
    await until_done(stream)
    await shut(stream)
    assert ai.usage.total == Spent(1, 11, 7, Decimal("0.005"))


@pytest.mark.parametrize("method", ["chat", "txt2img", "txt2speech"])
@pytest.mark.parametrize("fault", [CUT, SILENCE, text_answer("{", "application/json")])
async def test_what_failed_after_it_was_sent_may_be_billed(
    door: Door, method: str, fault: Any
) -> None:
    ai = door.client()
    door.answers(fault)
    with pytest.raises(puter.PuterAPIError):
        await door(ai, method, "Hi")
    assert ai.usage.by_operation == {method: Spent(1, 0, 0, Decimal(0), 1)}


async def test_an_answer_of_unknown_shape_may_be_billed(door: Door) -> None:
    ai = door.client()
    door.answers({"success": True, "result": "x"})
    with pytest.raises(puter.PuterResponseError):
        await door(ai, "chat", "Hi")
    assert (ai.usage.requests, ai.usage.unpriced) == (1, 1)


@pytest.mark.parametrize("method", ["chat", "txt2img"])
@pytest.mark.parametrize("fault", [REFUSED, json_answer(error_body("no", "bad_request"), 400)])
async def test_what_was_refused_cost_nothing(door: Door, method: str, fault: Any) -> None:
    ai = door.client()
    door.answers(fault)
    with pytest.raises(puter.PuterAPIError):
        await door(ai, method, "Hi")
    assert ai.usage.requests == 0


async def test_each_attempt_that_may_have_run_counts(door: Door) -> None:
    ai = door.client(retry_on_timeout=True)
    door.answers(SILENCE, chat_body())
    await door(ai, "chat", "Hi")
    assert (ai.usage.requests, ai.usage.unpriced) == (2, 1)


async def test_a_call_that_is_given_up_may_be_billed(door: Door) -> None:
    ai = door.client()
    stop = KeyboardInterrupt if door.kind == "sync" else asyncio.CancelledError

    def stopped(_sent: Any) -> Any:
        raise stop

    for method in ("chat", "txt2img"):
        door.answers(stopped)
        with pytest.raises(stop):
            await door(ai, method, "Hi")
    assert (ai.usage.requests, ai.usage.unpriced) == (2, 2)


LATE = {
    "its own": json_answer(error_body("Too slow", "upstream_timeout"), 504),
    "nothing": Answer(504),
    "json": json_answer({"message": "Endpoint request timed out"}, 504),
    **{
        str(status): text_answer("<html>Bad gateway</html>", "text/html", status)
        for status in (502, 504, 520, 524)
    },
}


@pytest.mark.parametrize("method", ["chat", "txt2img"])
@pytest.mark.parametrize("fault", LATE)
async def test_what_a_proxy_or_vendor_gave_up_may_be_billed(
    door: Door, method: str, fault: str
) -> None:
    ai = door.client()
    door.answers(LATE[fault])
    with pytest.raises(puter.PuterAPIError):
        await door(ai, method, "Hi")
    assert ai.usage.by_operation == {method: Spent(1, 0, 0, Decimal(0), 1)}


async def test_a_stream_whose_vendor_was_too_slow_may_be_billed(door: Door) -> None:
    ai, stream = await streaming(door, {"type": "error", "message": "Too slow", "status": 504})
    with pytest.raises(puter.PuterUpstreamError):
        await until_done(stream)
    assert (len(door.sent), ai.usage.requests, ai.usage.unpriced) == (1, 1, 1)


NOTHING_RAN = {
    "job": json_answer(error_body("no", "upstream_failed"), 502),
    "503": text_answer("<html>Unavailable</html>", "text/html", 503),
    "404": text_answer("<html>Not here</html>", "text/html", 404),
}


@pytest.mark.parametrize("fault", NOTHING_RAN)
async def test_what_failed_for_a_reason_cost_nothing(door: Door, fault: str) -> None:
    ai = door.client()
    door.answers(NOTHING_RAN[fault])
    with pytest.raises(puter.PuterAPIError):
        await door(ai, "chat", "Hi")
    assert ai.usage.requests == 0


async def test_audio_that_breaks_off_counts_once(door: Door) -> None:
    ai = door.client()
    door.answers(stream_answer(b"ID3", CUT, **{"Content-Type": "audio/mpeg"}))
    with pytest.raises(puter.PuterAPIError):
        await door(ai, "txt2speech", "Hello")
    assert (ai.usage.requests, ai.usage.unpriced) == (1, 1)


def test_a_ledger_is_shared_between_threads() -> None:
    ledger = Ledger()

    def spend() -> None:
        for _ in range(1000):
            ledger.record("chat", "m", Usage(1, 2), Decimal("0.1"))

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for one in threads:
        one.start()
    seen = [ledger.requests for _ in range(100)]
    for one in threads:
        one.join()
    assert seen == sorted(seen)
    assert ledger.total == Spent(4000, 4000, 8000, Decimal(400))


def test_counting_while_sums_are_made_neither_waits_nor_loses() -> None:
    """A stream that the garbage collector drops is counted in the midst of anything."""
    ledger = Ledger()
    with short_lock():
        for _ in range(1000):
            ledger.record("chat", "m")
    assert (ledger.requests, ledger.unpriced) == (1000, 1000)


def test_a_ledger_is_pickled_with_its_sums() -> None:
    ledger = Ledger()
    ledger.record("chat", "m", Usage(1, 2), Decimal("0.1"))
    twin = pickle.loads(pickle.dumps(ledger))
    assert (twin.total, twin.by_model) == (ledger.total, ledger.by_model)
    assert repr(ledger) == "<Ledger 1 call, 0.1 USD>"


def test_a_signal_handler_that_asks_what_was_spent_freezes_nothing_and_loses_nothing() -> None:
    """It runs in the thread that it interrupts, in the midst of a step of that perhaps."""
    ledger, seen = Ledger(), []

    def handler(*_: Any) -> None:
        sys.setprofile(None)
        seen.append(ledger.requests)
        if len(seen) <= 400:
            ledger.record("chat", "m")
        sys.setprofile(handler)

    def spend() -> None:
        for _ in range(300):
            ledger.record("chat", "m")
        sys.setprofile(handler)  # at each call of a function, and where it ends
        try:
            str(ledger)
        finally:
            sys.setprofile(None)

    thread = threading.Thread(target=spend, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert seen == sorted(seen)
    assert len(seen) > 400
    assert ledger.requests == 700
