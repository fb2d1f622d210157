"""The table of docs/explanation/retries.md is what the client does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import puter
from puter import PuterAI
from puter.testing import MockReply, MockTransport, faults
from puter.testing.faults import Fault

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "retries.md"
CALLS: dict[str, tuple[Callable[[PuterAI], Any], str]] = {
    "billed, or a change": (lambda ai: ai.chat("Hello!"), "/drivers/call"),
    "free": (lambda ai: ai.whoami(), "/whoami"),
    "`login()`": (lambda ai: ai.login(), "/login"),
}


def unsent(*, again: bool) -> puter.PuterConnectionError:
    return puter.PuterConnectionError("no connection", sent=False, retryable=again)


def status(number: int, code: str) -> Fault:
    return faults.status(number, code, "No.")


ROWS: dict[str, tuple[Fault | Exception, ...]] = {
    "the connection was not made": (unsent(again=True),),
    "the certificate was not accepted": (unsent(again=False),),
    "429: Puter's own limit": (faults.rate_limited(),),
    "429 `upstream_rate_limited`": (status(429, "upstream_rate_limited"),),
    "429 `credits_reserved`": (status(429, "credits_reserved"),),
    "sent, and the connection was cut": (faults.closed(), faults.lost_answer()),
    "sent, and silence": (faults.silence(), faults.late_silence()),
    "the same, with `retry_on_timeout=True`": (faults.silence(),),
    "408, 500, 502, 503, 504": (
        *(status(number, "internal_error") for number in (408, 500, 502, 503, 504)),
        faults.bad_gateway(),
        faults.gateway_timeout(),
    ),
    "the vendor failed": (
        status(400, "upstream_provider_unavailable"),
        status(504, "upstream_timeout"),
    ),
    "an answer that is not Puter's": (faults.html_page(), faults.not_json(), faults.redirect()),
    "401": (faults.token_expired(),),
    "402": (faults.insufficient_funds(), status(402, "subscription_required")),
    "400, 403, 404, 413": (
        *(status(number, "none_that_we_know") for number in (400, 403, 404)),
        faults.too_large(),
    ),
}


def is_sent_again(name: str, failure: Fault | Exception, column: str) -> bool:
    """Whether a second request is made after the failure of the first."""
    call, path = CALLS[column]
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(request.url)
        if len(seen) == 1:
            return failure
        done = {"proceed": True, "next_step": "complete", "token": "t", "username": "ada"}
        return "Hello!" if path == "/drivers/call" else MockReply(json=done)

    ai = PuterAI(
        username="ada",
        password="correct horse",
        token="t",
        transport=MockTransport(answer),
        max_retries=1,
        retry_delay=0,
        retry_on_timeout="retry_on_timeout=True" in name,
    )
    try:
        call(ai)
    except puter.PuterError:
        assert len(seen) == 1
    assert all(url.endswith(path) for url in seen)
    return len(seen) == 2


def table() -> dict[str, list[str]]:
    lines = re.findall(r"^\| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    rows = [line.split(" | ") for line in lines if not line.startswith("---")]
    return {name: cells for name, *cells in rows}


@pytest.mark.parametrize("name", ROWS)
def test_it_is_sent_again_or_not(name: str) -> None:
    header, *rows = table().items()
    assert header[1] == list(CALLS)
    (cells,) = (cells for row, cells in rows if row.startswith(name))
    for column, cell in zip(CALLS, cells, strict=True):
        for failure in ROWS[name]:
            assert is_sent_again(name, failure, column) == cell.startswith("yes"), (column, failure)


def test_no_row_is_left_out() -> None:
    told = list(table())[1:]
    of_streams = [row for row in told if row.startswith("a stream")]  # tests/test_streams.py
    assert len(told) == len(ROWS) + len(of_streams)
