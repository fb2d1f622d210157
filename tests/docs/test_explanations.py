"""Tables of docs/explanation that are made of the code's own numbers."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

import puter
from puter import PuterAI, PuterOptionWarning
from puter.testing import LocalPuter, MockReply, MockTransport, faults
from puter.testing.faults import Fault
from puter.testing.limits import TIERS
from puter.wire.dialects import PROVIDERS, READ_SOMEWHERE
from tests.docs import providers

PAGES = Path(__file__).parents[2] / "docs" / "explanation"


def test_the_table_of_providers_is_that_of_the_code() -> None:
    hint = "run: python -m tests.docs.providers --write"
    assert providers.written() == providers.table(), hint


def test_groups_of_providers_are_alike() -> None:
    for members in providers.GROUPS.values():
        first, *others = (PROVIDERS[name] for name in sorted(members))
        for one in others:
            assert (one.reads, one.drops_for) == (first.reads, first.drops_for)


@pytest.mark.parametrize(("option", "value"), [("top_k", 3), ("verbosity", "low"), ("stop", "x")])
def test_what_the_table_leaves_out_is_warned_of(option: str, value: object) -> None:
    assert option in READ_SOMEWHERE
    with LocalPuter() as local, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        local.client().chat("Hello!", "grok-4.5", **{option: value})  # type: ignore[call-overload]
    dropped = option not in PROVIDERS["xai"].reads
    assert [one.category for one in warned] == [PuterOptionWarning] * dropped


def test_the_limits_are_those_of_the_backend() -> None:
    page = (PAGES / "limits.md").read_text("utf-8")
    paid, free, temporary = (TIERS[name] for name in ("paid", "user_free", "temp_free"))
    for what, field in (("calls at a time", "concurrency"), ("calls in 10 s", "requests")):
        numbers = " | ".join(str(getattr(tier, field)) for tier in (paid, free, temporary))
        assert f"| {what} | {numbers} |" in page
    costs = (PAGES / "costs.md").read_text("utf-8")
    assert f"{free.allowance:.2f} USD with an e-mail address" in costs
    assert f"{temporary.allowance:.2f} USD without" in costs


FAILED: dict[str, tuple[Fault, ...]] = {
    "refused": (
        *(faults.status(number, "none_that_we_know") for number in (400, 403, 404)),
        faults.token_expired(),
        faults.insufficient_funds(),
        faults.too_large(),
        faults.rate_limited(),
    ),
    "Puter or the vendor failed": (
        *(faults.status(number, "internal_error") for number in (408, 500, 502, 503, 504)),
        faults.unavailable(),
        faults.status(400, "upstream_provider_unavailable"),
        faults.status(502, "upstream_failed"),
    ),
    "the connection was not made": (),
    "sent, and no answer": (faults.closed(), faults.lost_answer(), faults.late_silence()),
    "502 or 504 that is a proxy's": (
        faults.bad_gateway(),
        faults.gateway_timeout(),
        faults.status(504, "upstream_timeout"),
        faults.not_json(),
    ),
    "an empty answer": (faults.empty_answer(),),
    "Puter's stand-in": (faults.filler(),),
    "a stream broke off": (faults.stream_cut(), faults.stream_error_line()),
}
TEXT = b'{"type": "text", "text": "Once"}\n'
USAGE = (
    b'{"type": "usage", "usage": {"prompt_tokens": 1, "completion_tokens": 1, "usd_cents": 1}}\n'
)
CLOSED = {
    "a stream was closed early": [TEXT, USAGE],
    "the same, when its last line had come": [TEXT + USAGE],  # in one read
}


def counted(ai: PuterAI) -> str:
    if not ai.usage.requests:
        return "not counted"
    return "unknown cost" if ai.usage.unpriced else "its cost"


def told_of(name: str) -> list[str]:
    page = (PAGES / "costs.md").read_text("utf-8")
    return re.findall(rf"^\| {re.escape(name)}.* \| ([^|]+) \|$", page, re.MULTILINE)


@pytest.mark.parametrize("name", CLOSED)
def test_a_closed_stream_counts_as_the_table_says(name: str) -> None:
    transport = MockTransport(lambda _request: MockReply(lines=CLOSED[name]))
    ai = PuterAI(token="t", transport=transport)
    with ai.chat("Tell me a story", stream=True) as stream:
        next(stream)
    assert told_of(name) == [counted(ai)]


@pytest.mark.parametrize("name", FAILED)
def test_a_failed_call_counts_as_the_table_says(name: str) -> None:
    found: list[str] = []
    with LocalPuter() as local:
        for fault in FAILED[name]:
            ai = local.client(max_retries=0, timeout=0.5 if "silence" in repr(fault) else 60)
            local.inject(fault)
            with pytest.raises(puter.PuterError):
                ai.chat("Hello!", stream=True).until_done() if "stream" in name else ai.chat("Hi")
            found.append(counted(ai))
        if name == "the connection was not made":
            ai = PuterAI(token="t", api_base="http://127.0.0.1:9", proxy="", max_retries=0)
            with pytest.raises(puter.PuterConnectionError):
                ai.chat("Hi")
            found.append(counted(ai))
    assert told_of(name) == [*set(found)]
