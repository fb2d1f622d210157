"""Signing in in the browser, through both doors: a stand-in for the browser, and a real one."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import traceback
import webbrowser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

import puter
from puter import browser as opening
from puter.testing import LocalPuter
from tests.chromium import chromium, page
from tests.door import Door
from tests.test_auth import WHOAMI

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXBlIjoiYXBpIn0.c2VjcmV0LXNlY3JldA"
ROOT = Path(__file__).parent.parent


def target_of(url: str) -> str:
    """Where Puter's page sends the browser."""
    return dict(parse_qsl(urlsplit(url).query))["redirectURL"]


def port_of(url: str) -> int:
    port = urlsplit(target_of(url)).port
    assert port is not None
    return port


def visit(address: str, **query: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(address, params=query, timeout=30)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> queue.Queue[str]:
    """What a browser is asked to open."""
    urls: queue.Queue[str] = queue.Queue()

    def open_in_browser(url: str) -> bool:
        urls.put(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_in_browser)
    return urls


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


async def answering(door: Door, ai: puter.PuterAI, opened: queue.Queue[str], token: str) -> str:
    """Sign in while a stand-in for the browser brings the token; returns what was opened."""
    urls: list[str] = []

    def bring() -> None:
        urls.append(opened.get(timeout=30))
        assert visit(target_of(urls[0]), token=token).status_code == 200

    with ThreadPoolExecutor() as pool:
        brought = pool.submit(bring)
        assert await door(ai, "login_with_browser", timeout=60) is True
        brought.result()
    return urls[0]


# ------------------------------------------------------------ in


async def test_the_token_that_the_browser_brings_is_used(
    door: Door, opened: queue.Queue[str]
) -> None:
    door.answers(WHOAMI)
    ai = door.client(token=None)
    url = await answering(door, ai, opened, TOKEN)
    assert (await door(ai, "whoami")).username == "alice"
    assert [sent.headers["Authorization"] for sent in door.sent] == [f"Bearer {TOKEN}"]
    parts, target = urlsplit(url), urlsplit(target_of(url))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://puter.com/"
    assert parts.query.startswith("action=authme&redirectURL=http%3A%2F%2Flocalhost%3A")
    assert (target.scheme, target.hostname, target.query) == ("http", "localhost", "")
    assert len(target.path) > 40


async def test_a_puter_of_your_own(door: Door, opened: queue.Queue[str]) -> None:
    ai = door.client(
        token=None, api_base="https://api.example.org", login_url="https://in.example.org/login"
    )
    url = await answering(door, ai, opened, TOKEN)
    assert url.startswith("https://in.example.org/?action=authme&")
    ai.config.api_base = "https://api.puter.com"
    with pytest.raises(puter.PuterAuthError, match="is not shown to"):
        await door(ai, "whoami")


async def test_it_replaces_the_token_and_works_after_logout(
    door: Door, opened: queue.Queue[str]
) -> None:
    door.answers(WHOAMI)
    ai = door.client(token="old-token")
    for token in (TOKEN, TOKEN[::-1]):
        await answering(door, ai, opened, token)
        await door(ai, "whoami")
        assert door.sent[-1].headers["Authorization"] == f"Bearer {token}"
        await door(ai, "logout")
        with pytest.raises(puter.PuterAuthError, match="Not signed in since logout"):
            await door(ai, "whoami")


async def test_two_at_once_have_an_address_each(
    door: Door, opened: queue.Queue[str], beside: ThreadPoolExecutor
) -> None:
    clients = [door.client(token=None) for _ in range(2)]

    def sign_in(ai: puter.PuterAI) -> bool:
        return asyncio.run(door(ai, "login_with_browser")) is True

    waiting = [beside.submit(sign_in, ai) for ai in clients]
    first, second = (target_of(opened.get(timeout=30)) for _ in range(2))
    assert urlsplit(first).port != urlsplit(second).port
    mixed = first.replace(urlsplit(first).path, urlsplit(second).path)
    assert visit(mixed, token=TOKEN).status_code == 404
    assert visit(second, token=TOKEN).status_code == 200
    assert visit(first, token=TOKEN[::-1]).status_code == 200
    assert all(one.result(timeout=30) for one in waiting)


async def test_the_port_is_free_afterwards(door: Door, opened: queue.Queue[str]) -> None:
    url = await answering(door, door.client(token=None), opened, TOKEN)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(url)))


# ------------------------------------------------------------ where no browser opens


def no_browser(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    def fail(*_: Any) -> Any:
        if how == "fails":
            raise OSError("no such program")
        return False

    monkeypatch.delenv("BROWSER", raising=False)
    monkeypatch.setattr(webbrowser, "open", fail)
    if how == "text browser":
        monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.GenericBrowser("w3m"))
        monkeypatch.delattr(webbrowser, "open")  # it would take the terminal


@pytest.mark.parametrize("how", ["not asked for", "none", "fails", "text browser"])
async def test_the_address_is_printed(
    door: Door, monkeypatch: pytest.MonkeyPatch, how: str, beside: ThreadPoolExecutor
) -> None:
    no_browser(monkeypatch, how)
    printed = Printed()
    monkeypatch.setattr(sys, "stderr", printed)
    brought = beside.submit(lambda: visit(target_of(printed.url()), token=TOKEN))
    options = {"open_browser": False} if how == "not asked for" else {}
    assert await door(door.client(token=None), "login_with_browser", timeout=60, **options)
    assert brought.result().status_code == 200
    port = port_of(printed.url())
    assert f"ssh -L {port}:localhost:{port} " in printed.getvalue()
    assert TOKEN not in printed.getvalue()


class Printed(io.StringIO):
    """A stream that another thread waits for."""

    def __init__(self) -> None:
        super().__init__()
        self._flushed = threading.Event()

    def flush(self) -> None:
        if "ssh" in self.getvalue():
            self._flushed.set()

    def url(self) -> str:
        assert self._flushed.wait(30)
        return next(line for line in self.getvalue().splitlines() if line.startswith("http"))


@pytest.mark.parametrize("stream", [None, "closed"])
async def test_nowhere_to_print_it(
    door: Door, monkeypatch: pytest.MonkeyPatch, stream: str | None
) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed if stream else None)
    with pytest.raises(puter.PuterTimeoutError):
        await door(door.client(), "login_with_browser", timeout=0.01, open_browser=False)


async def test_a_program_named_as_browser_that_does_not_come_back(
    door: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``webbrowser`` waits for it: nobody else does."""
    script = tmp_path / "browse.py"
    script.write_text(
        "import sys, urllib.parse as p, urllib.request as r\n"
        "target = dict(p.parse_qsl(p.urlsplit(sys.argv[1]).query))['redirectURL']\n"
        f"r.build_opener(r.ProxyHandler({{}})).open(target + '?token={TOKEN}').read()\n"
        "sys.stdin.read()\n"
    )
    browser = webbrowser.GenericBrowser([sys.executable, str(script), "%s"])
    monkeypatch.setattr(webbrowser, "open", browser.open)
    read, write = os.pipe()  # the browser ends with the test
    monkeypatch.setattr(subprocess, "Popen", partial(subprocess.Popen, stdin=read))
    before = set(threading.enumerate())
    try:
        assert await door(door.client(token=None), "login_with_browser", timeout=60)
    finally:
        os.close(write)
        os.close(read)
    for one in set(threading.enumerate()) - before:
        if one.name == "puter-browser":
            one.join(30)


def test_the_users_own_choice_may_be_a_text_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", "w3m")
    assert not opening._takes_the_terminal()


def test_no_thread_for_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    told: list[bool] = []
    opening.show("http://localhost/", lambda: told.append(True))
    assert told == [True]


# ------------------------------------------------------------ not in


async def test_nobody_signs_in(door: Door, opened: queue.Queue[str]) -> None:
    ai = door.client(token="old-token")
    with pytest.raises(puter.PuterTimeoutError, match=r"within 0.01 s.*again.*token=") as caught:
        await door(ai, "login_with_browser", timeout=0.01)
    assert caught.value.sent is False
    assert door.sent == []
    door.answers(WHOAMI)
    await door(ai, "whoami")
    assert door.sent[-1].headers["Authorization"] == "Bearer old-token"


async def test_the_deadline_counts_as_well(door: Door, opened: queue.Queue[str]) -> None:
    with pytest.raises(puter.PuterTimeoutError, match=r"within 0\.0"):
        await door(door.client(deadline=0.05), "login_with_browser", timeout=300)


@pytest.mark.parametrize("timeout", [0, -1, None, "60", True, float("inf"), float("nan")])
async def test_a_timeout_that_is_none(door: Door, timeout: Any) -> None:
    with pytest.raises(puter.PuterInputError, match="timeout must be a number of seconds"):
        await door(door.client(), "login_with_browser", timeout=timeout)


async def test_whether_to_open_is_yes_or_no(door: Door) -> None:
    with pytest.raises(puter.PuterInputError, match="open_browser must be True or False"):
        await door(door.client(), "login_with_browser", open_browser="firefox")


async def test_a_closed_client(door: Door, opened: queue.Queue[str]) -> None:
    ai = door.client()
    ai.close()
    with pytest.raises(puter.PuterError, match="This PuterAI is closed"):
        await door(ai, "login_with_browser", timeout=60)
    assert opened.empty()


async def test_a_client_that_is_closed_while_it_waits(
    door: Door, opened: queue.Queue[str], beside: ThreadPoolExecutor
) -> None:
    ai = door.client()

    def close() -> None:
        url = opened.get(timeout=30)
        ai.close()
        with pytest.raises(OSError):  # nothing listens any more, or answers
            visit(target_of(url), token=TOKEN)

    closing = beside.submit(close)
    with pytest.raises(puter.PuterError, match="This PuterAI is closed"):
        await door(ai, "login_with_browser", timeout=60)
    closing.result()
    assert ai._shared.credentials.token is None


async def test_a_cancelled_task_leaves_nothing(opened: queue.Queue[str]) -> None:
    door = Door("async")
    before = set(threading.enumerate())
    task = asyncio.ensure_future(door(door.client(), "login_with_browser"))
    url = await asyncio.to_thread(opened.get, timeout=30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(url)))
    left = set(threading.enumerate()) - before
    left = {one for one in left if not one.name.startswith("asyncio")}  # of to_thread()
    for one in left:
        await asyncio.to_thread(one.join, 30)
    assert not any(one.is_alive() for one in left)


PROGRAM = """
import asyncio, os, signal, socket, sys, threading, urllib.parse as p, webbrowser
from puter import PuterAI
def interrupt(url):
    global target
    target = dict(p.parse_qsl(p.urlsplit(url).query))['redirectURL']
    os.kill(os.getpid(), signal.SIGINT)
    return True
webbrowser.open = interrupt
ai = PuterAI(token="t")
for call in ai.login_with_browser, lambda: asyncio.run(ai.async_login_with_browser()):
    try:
        call()
    except KeyboardInterrupt:
        pass
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join()
    try:
        socket.create_connection(("127.0.0.1", p.urlsplit(target).port))
    except ConnectionRefusedError:
        print("nothing listens")
"""


@pytest.mark.skipif(os.name == "nt", reason="os.kill is another thing on Windows")
def test_ctrl_c_leaves_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "BROWSER": "x"},
    )
    assert (done.stdout, done.stderr) == ("nothing listens\n" * 2, "")


# ------------------------------------------------------------ secrets


async def test_the_token_is_told_nowhere(
    door: Door,
    opened: queue.Queue[str],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, "puter")  # that of requests is the stand-in's
    ai = door.client(token=None, api_base="https://api.example.org")
    url = await answering(door, ai, opened, TOKEN)
    told = [repr(ai), repr(vars(ai)), repr(vars(ai._shared.credentials)), caplog.text]
    door.answers((401, {"error": f"no {TOKEN}", "code": "token_auth_failed"}))
    with pytest.raises(puter.PuterAuthError) as caught:
        await door(ai, "whoami")
    told += traceback.format_exception(caught.value)
    told += capfd.readouterr()
    for text in told:
        assert TOKEN not in text
        assert urlsplit(target_of(url)).path not in text


# ------------------------------------------------------------ a real browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chromium(tmp_path_factory.mktemp("chromium"), "evil.example") as address:
        yield address


@pytest.fixture(params=[True, False], ids=["one host", "two hosts"])
def local(request: pytest.FixtureRequest) -> Iterator[LocalPuter]:
    with LocalPuter(one_port=request.param) as server:
        yield server


def signing_in(door: Door, ai: puter.PuterAI, timeout: float = 60) -> asyncio.Future[Any]:
    """Begin it, in a thread where the door blocks."""
    if door.kind == "async":
        return asyncio.ensure_future(ai.async_login_with_browser(timeout=timeout))
    loop = asyncio.get_running_loop()
    return loop.run_in_executor(None, lambda: ai.login_with_browser(timeout=timeout))


async def test_chromium_signs_in(
    door: Door, browser: str, local: LocalPuter, opened: queue.Queue[str]
) -> None:
    with local.client(username="nobody", password="no password") as ai:
        done = signing_in(door, ai)
        url = await asyncio.to_thread(opened.get, timeout=30)
        async with page(browser) as tab:
            await tab.go(url)
            await tab.click("#allow")
            assert await tab.until("document.title") in (
                "Sign in to LocalPuter",
                "Your program has the token",
            )
            await tab.until("document.title == 'Your program has the token'")
            assert await done is True
            assert "This tab may be closed" in await tab.see("document.body.innerText")
            port = port_of(url)
            assert await tab.see("location.href") == f"http://localhost:{port}/"
            token = ai._shared.credentials.token
            assert token is not None
            assert token.reveal() not in await tab.see("document.documentElement.outerHTML")
        assert (await door(ai, "whoami")).username == "alice"
        await ai.async_close()
    assert [one.token_user for one in local.requests if one.path == "/authme"] == ["alice"]


async def test_chromium_cancels(door: Door, browser: str, opened: queue.Queue[str]) -> None:
    """Nothing calls back, so nothing but the time ends it."""
    with LocalPuter() as local, local.client() as ai:
        done = signing_in(door, ai, timeout=1)
        url = await asyncio.to_thread(opened.get, timeout=30)
        async with page(browser) as tab:
            await tab.go(url)
            await tab.click("#cancel")
            await tab.until("document.title == 'Cancelled'")
        with pytest.raises(puter.PuterTimeoutError):
            await done
        assert [one.status for one in local.requests if one.path == "/authme"] == [200]


async def test_chromium_at_a_name_that_was_made_to_lead_here(
    browser: str, opened: queue.Queue[str]
) -> None:
    door = Door("async")
    ai = door.client(token=None)
    done = signing_in(door, ai)
    target = target_of(await asyncio.to_thread(opened.get, timeout=30))
    async with page(browser) as tab:
        await tab.go(target.replace("localhost", "evil.example") + f"?token={TOKEN[::-1]}")
        assert await tab.until("document.body && document.body.innerText") == "Not Found\n"
        await tab.go(f"{target}?token={TOKEN}")
        assert await done is True
    assert ai._shared.credentials.token is not None
    assert ai._shared.credentials.token.reveal() == TOKEN
