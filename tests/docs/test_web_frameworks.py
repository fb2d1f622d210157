"""The programs of docs/how-to/web-frameworks.md, each in its server: a visitor who leaves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from puter.testing import Gate, LocalPuter, Reply
from tests.docs.test_docs import COMPLAINTS, ROOT, blocks_of

PAGE = ROOT / "docs" / "how-to" / "web-frameworks.md"
UVICORN = "import sys, uvicorn; uvicorn.run('program:{}', fd=int(sys.argv[1]))"
AIOHTTP = """
import program, socket, sys
program.web.run_app(
    program.app, sock=socket.socket(fileno=int(sys.argv[1])), handler_cancellation=True
)
"""


def program_of(mark: str) -> str:
    """The one block of the page in which this stands."""
    (code,) = [block.code for block in blocks_of(PAGE) if mark in block.code]
    return code


def visit(port: int) -> bytes:
    url = f"http://127.0.0.1:{port}/stream?q=again"
    with urllib.request.urlopen(url, timeout=20) as answer:
        return bytes(answer.read())


@pytest.mark.skipif(sys.platform == "win32", reason="a socket is handed to a child")
@pytest.mark.parametrize(
    ("mark", "server"),
    [
        pytest.param("FastAPI(lifespan", UVICORN.format("app"), id="fastapi"),
        pytest.param("get_asgi_application()", UVICORN.format("application"), id="django"),
        pytest.param("web.Application()", AIOHTTP, id="aiohttp"),
    ],
)
def test_a_visitor_who_leaves_ends_the_stream_at_puter(
    tmp_path: Path, mark: str, server: str
) -> None:
    (tmp_path / "program.py").write_text(program_of(mark), encoding="utf-8")
    with LocalPuter(tier=None) as puter, socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
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
            cwd=tmp_path,
            env={**os.environ, **settings},
            pass_fds=[listening.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            puter.reply_with(Reply(chunks=["Hel", "lo"], gate=Gate()))
            with socket.create_connection(("127.0.0.1", port), timeout=60) as visitor:
                visitor.sendall(b"GET /stream?q=hi HTTP/1.1\r\nHost: localhost\r\n\r\n")
                came = b""
                while b"Hel" not in came:
                    piece = visitor.recv(4096)
                    assert piece, came
                    came += piece
            puter.wait_for(lambda request: request.dropped, timeout=20)
            puter.reply_with("free again")
            assert b"free" in visit(port)  # there is one permit
        finally:
            serving.terminate()
            _, said = serving.communicate(timeout=30)
    assert "Traceback" not in said, said
    assert not COMPLAINTS.search(said), said
