"""Every message in docs/troubleshooting.md is one that users see, and every error stands there."""

from __future__ import annotations

import asyncio
import re
import ssl
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import puter
from puter import PuterAI, exceptions
from puter.extensions import Budget, OpenAICompatible, Orjson
from puter.testing import LocalPuter, MockTransport, Reply, faults
from puter.testing.faults import Fault
from puter.transports.connection_errors import Exchange
from puter.wire.http import HttpRequest
from tests.docs.test_docs import blocks_of

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
NOBODY = "http://127.0.0.1:9"
"""Nothing listens there."""

Case = Callable[[LocalPuter], Any]


def with_password(password: str, username: str = "ada", **login: Any) -> Case:
    def sign_in(local: LocalPuter) -> None:
        local.client(token=None, username=username, password=password).login(**login)

    return sign_in


def meets(fault: Fault, **settings: Any) -> Case:
    def chat(local: LocalPuter) -> None:
        local.inject(fault)
        local.client(max_retries=0, **settings).chat("Hello!")

    return chat


def breaks(fault: Fault) -> Case:
    def stream(local: LocalPuter) -> None:
        local.inject(fault)
        local.client().chat("Hello!", stream=True).until_done()

    return stream


def chats(*args: Any, **options: Any) -> Case:
    return lambda local: local.client().chat(*args, **options)


def needs_a_captcha(local: LocalPuter) -> None:
    captcha = faults.status(400, "bad_request", "Captcha verification required.")
    local.inject(captcha, operation="login")
    with_password("correct horse")(local)


def forgets_await(local: LocalPuter) -> None:
    local.client().async_chat("Hello!")  # type: ignore[unused-coroutine]


def misses_a_package(local: LocalPuter) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "orjson", None)
        Orjson()


def has_its_own_ca(local: LocalPuter) -> None:
    refused = ssl.SSLCertVerificationError("certificate verify failed")
    refused.verify_message = "self-signed certificate in certificate chain"
    raise Exchange(HttpRequest("POST", local.api_base), None).bad_certificate(refused)


def calls_for_ever(local: LocalPuter) -> None:
    def look() -> str:
        """Look."""
        return "Look again."

    calls = [Reply(tool_calls=[{"name": "look", "arguments": {}}])] * 9
    local.reply_with(*calls)
    local.client().chat("Look!", tools=[look])


def spends_too_much(local: LocalPuter) -> None:
    local.client().use(Budget("0.0001")).chat("Hello!")


def is_no_number(local: LocalPuter) -> None:
    mock = MockTransport(lambda request: "A few.")
    PuterAI(token="t", transport=mock).parse("How many?", int, retries=0)


def asks_a_server_that_is_down(local: LocalPuter) -> None:
    ollama = OpenAICompatible(f"{NOBODY}/v1", models=["llama3.2"], name="ollama")
    PuterAI(max_retries=0).use(ollama).chat("Hi", "llama3.2")


def goes_on_when_closed(local: LocalPuter) -> None:
    stream = local.client().chat("Hello!", stream=True)
    stream.close()
    stream.until_done()


def is_dropped(local: LocalPuter) -> None:
    local.client().chat("Hello!", stream=True)


def is_closed(local: LocalPuter) -> None:
    ai = local.client()
    ai.close()
    ai.chat("Hello!")


async def _runs_a_loop(function: Callable[[], Any]) -> None:
    function()


def blocks(local: LocalPuter) -> None:
    asyncio.run(_runs_a_loop(lambda: local.client().chat("Hello!")))


def runs_twice(local: LocalPuter) -> None:
    again = asyncio.sleep(0)
    try:
        asyncio.run(_runs_a_loop(lambda: asyncio.run(again)))
    finally:
        again.close()


CASES: dict[str, Case] = {
    "not signed in": lambda local: local.client(token=None).chat("Hello!"),
    "wrong password": with_password("wrong horse"),
    "short password": with_password("short"),
    "unknown user": with_password("correct horse", "Ada"),
    "captcha": needs_a_captcha,
    "e-mail": meets(faults.status(403, "email_confirmation_required", "Confirm your email.")),
    "expired": meets(faults.token_expired()),
    "no token": lambda local: local.client(token="not-a-token").chat("Hello!"),
    "second factor": with_password("long password", "grace"),
    "wrong code": with_password("long password", "grace", otp="000000"),
    "not allowed": meets(faults.status(403, "permission_denied", "Permission denied.")),
    "setting": lambda local: PuterAI(timeout=-1),
    "no TLS check": lambda local: PuterAI(verify=False),
    "SOCKS": lambda local: PuterAI(proxy="socks5://localhost:1080"),
    "missing package": misses_a_package,
    "input": chats(""),
    "misspelt": chats("Hello!", temprature=1),
    "setting of the client": chats("Hello!", deadline=60),
    "no such file": chats("What is this?", images="nope.png"),
    "model": chats("Hello!", model="gpt-5-nanoo"),
    "too large": meets(faults.too_large()),
    "no file": lambda local: local.client().read_file("~/report.pdf"),
    "dropped option": chats("Hello!", model="claude-opus-4-7", temperature=1),
    "funds": meets(faults.insufficient_funds()),
    "plan": meets(faults.status(402, "subscription_required", "Subscription required.")),
    "402": meets(faults.status(402, "payment_required", "Payment required.")),
    "budget": spends_too_much,
    "rate": meets(faults.rate_limited()),
    "nobody there": lambda local: PuterAI(
        token="t", api_base=NOBODY, proxy="", max_retries=0
    ).chat("Hello!"),
    "own server": asks_a_server_that_is_down,
    "proxy": lambda local: PuterAI(token="t", proxy=NOBODY, max_retries=0).chat("Hello!"),
    "certificate": has_its_own_ca,
    "lost answer": meets(faults.lost_answer()),
    "silence": meets(faults.silence(), timeout=0.2),
    "deadline": lambda local: local.client(deadline=1e-9).chat("Hello!"),
    "down": meets(faults.unavailable()),
    "vendor": meets(
        faults.status(400, "upstream_provider_unavailable", "All providers failed")
    ),
    "HTML": meets(faults.html_page()),
    "empty": meets(faults.empty_answer()),
    "filler": meets(faults.filler()),
    "cut stream": breaks(faults.stream_cut()),
    "closed stream": goes_on_when_closed,
    "dropped stream": is_dropped,
    "untyped": is_no_number,
    "tools": calls_for_ever,
    "closed client": is_closed,
    "blocking": blocks,
    "no await": forgets_await,
    "asyncio.run": runs_twice,
}  # fmt: skip


def message_of(case: Case) -> str:
    """The last line of the traceback, or the warning, as a user of puter.com sees it."""
    with LocalPuter(username="ada", password="correct horse") as local:
        local.add_user("grace", "long password", otp="123456")
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                case(local)
            except Exception as error:  # noqa: BLE001 - TypeError and RuntimeError are among them
                kind: type = type(error)
                told = str(error)
            else:
                kind, told = warned[0].category, str(warned[0].message)
        place = urlsplit(local.api_base).netloc
    for here, there in (
        (f"http://{place}", "https://api.puter.com"),
        (place, "api.puter.com"),
        (NOBODY.removeprefix("http://"), "127.0.0.1:9"),
        ("0.2 s", "300 s"),
        ("1e-09 s", "60 s"),
    ):
        told = told.replace(here, there)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return f"{name}: {told}"


@pytest.fixture(scope="module")
def shown() -> list[str]:
    """The messages on the page, in one line each."""
    texts = [block.code for block in blocks_of(PAGE) if block.language == "text"]
    return [" ".join(text.split()) for text in texts]


@pytest.mark.parametrize("name", CASES)
def test_this_message_stands_on_the_page(name: str, shown: list[str]) -> None:
    message = message_of(CASES[name])
    assert message in shown, textwrap.fill(message, 76)


def test_there_are_no_others(shown: list[str]) -> None:
    assert len(shown) == len(CASES)


def test_every_error_has_its_heading() -> None:
    headings = re.findall(r"^## (Puter\w+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(exceptions.__all__)
    for name in headings:
        assert issubclass(getattr(puter, name), (puter.PuterError, Warning))
