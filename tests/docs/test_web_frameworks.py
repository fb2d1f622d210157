"""The programs of docs/how-to/web-frameworks.md, each in its server: visitors who leave, errors."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from puter.testing import Gate, LocalPuter, Reply, faults
from tests.docs.test_docs import COMPLAINTS, ROOT, blocks_of

PAGE = ROOT / "docs" / "how-to" / "web-frameworks.md"
TELL = """
import program, socket, sys, threading

def tell():  # a line for each that comes: how many chats wait for their turn
    for _ in sys.stdin:
        print(program.{ai}._throttle.waiting, flush=True)

threading.Thread(target=tell, daemon=True).start()
"""
UVICORN = """
import uvicorn
uvicorn.run(program.{app}, fd=int(sys.argv[1]), access_log=False)
"""
AIOHTTP = """
program.web.run_app(
    program.app, sock=socket.socket(fileno=int(sys.argv[1])), handler_cancellation=True, print=None
)
"""
SERVERS = {
    "fastapi": ("FastAPI(lifespan", TELL.format(ai="app.state.ai") + UVICORN.format(app="app")),
    "django": ("get_asgi_application()", TELL.format(ai="ai") + UVICORN.format(app="application")),
    "aiohttp": ("web.Application()", TELL.format(ai="app[program.AI]") + AIOHTTP),
}
CROWD = 12
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a socket is handed to a child")


def program_of(mark: str) -> str:
    """The one block of the page in which this stands."""
    (code,) = [block.code for block in blocks_of(PAGE) if mark in block.code]
    return code


@dataclass
class Site:
    """A program of the page that runs, with one permit."""

    framework: str
    puter: LocalPuter
    port: int
    process: subprocess.Popen[str]

    def visit(self, path: str) -> tuple[int, str]:
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            with urllib.request.urlopen(url, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def come(self, path: str) -> socket.socket:
        """A visitor who has asked, and may leave."""
        visitor = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return visitor

    def wait_until_waiting(self, wanted: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        until, waiting = time.monotonic() + 20, -1
        while waiting != wanted:
            assert time.monotonic() < until, f"{waiting} wait, not {wanted}"
            time.sleep(0.02)
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            waiting = int(self.process.stdout.readline())


def read_until(visitor: socket.socket, wanted: bytes) -> None:
    came = b""
    while wanted not in came:
        piece = visitor.recv(4096)
        assert piece, came
        came += piece


@pytest.fixture(scope="module", params=SERVERS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Each framework's program, started once: most of the time here goes to that."""
    mark, server = SERVERS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "program.py").write_text(program_of(mark), encoding="utf-8")
    with LocalPuter(tier=None) as puter, socket.create_server(("127.0.0.1", 0)) as listening:
        settings = {
            "PUTER_API_BASE": puter.api_base,
            "PUTER_LOGIN_URL": puter.login_url,
            "PUTER_AUTH_TOKEN": puter.token,
            "PUTER_MAX_CONCURRENCY": "1",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error::ResourceWarning,error::RuntimeWarning",
        }
        serving = subprocess.Popen(
            [sys.executable, "-c", server, str(listening.fileno())],
            cwd=folder,
            env={**os.environ, **settings},
            pass_fds=[listening.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield Site(request.param, puter, listening.getsockname()[1], serving)
        finally:
            serving.terminate()
            _, said = serving.communicate(timeout=30)
    assert "Traceback" not in said, said
    assert not COMPLAINTS.search(said), said


def test_a_visitor_who_leaves_ends_the_stream_at_puter(site: Site) -> None:
    site.puter.reply_with(Reply(chunks=["Hel", "lo"], gate=Gate()))
    with site.come("/stream?q=hi") as visitor:
        read_until(visitor, b"Hel")
    site.puter.wait_for(lambda request: request.dropped, timeout=20)
    site.puter.reply_with("free again")
    assert "free" in site.visit("/stream?q=again")[1]  # there is one permit


def test_visitors_who_leave_the_queue_are_not_asked_for(site: Site) -> None:
    for path in ["/stream", "/ask"] if site.framework == "fastapi" else ["/stream"]:
        before, gate = len(site.puter.chats), Gate()
        site.puter.reply_with(Reply(chunks=["Hel", "lo"], gate=gate))
        with site.come("/stream?q=hi") as stays:
            read_until(stays, b"Hel")  # the one permit is taken
            crowd = [site.come(f"{path}?q=early") for _ in range(CROWD)]
            site.wait_until_waiting(CROWD)
            for visitor in crowd:
                visitor.close()
            site.wait_until_waiting(0)
            gate.open()
            read_until(stays, b"event: done")
        assert site.visit("/stream?q=last")[0] == 200
        assert len(site.puter.chats) - before == 2


def test_errors_have_a_status_or_are_the_last_event(site: Site) -> None:
    status, said = site.visit("/stream?q=")
    assert status == 400
    assert "error" in json.loads(said)
    site.puter.inject(faults.stream_reset(), operation="chat")
    status, said = site.visit("/stream?q=hello")
    assert status == 200
    assert said.split("\n\n")[-2].startswith("event: error\ndata: ")


def test_a_missing_question_is_the_fault_of_the_visitor(site: Site) -> None:
    wanted = 422 if site.framework == "fastapi" else 400  # FastAPI's own
    assert site.visit("/stream")[0] == wanted
    if site.framework != "aiohttp":
        assert site.visit("/ask")[0] == wanted


def test_the_cost_is_a_string_with_all_its_digits(site: Site) -> None:
    if site.framework == "aiohttp":
        pytest.skip("the program for aiohttp only streams: its events tell no cost")
    _, said = site.visit("/ask?q=hi")
    assert json.loads(said)["cost"] == "0.0000046"
