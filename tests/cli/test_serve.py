"""``puter-ai serve``: the first line, who is let in, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import puter
from puter.testing import Gate, LocalPuter, Reply
from tests.cli.conftest import Cli

ROOT = Path(puter.__file__).parents[1]
FIRST = re.compile(r"(http://127\.0\.0\.1:\d+)/v1(?: key=(\S+))?\n")


@contextmanager
def running(*words: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The command as a process, the address of its server, and the key that it tells."""
    command = [sys.executable, "-X", "dev", "-m", "puter", "serve", *words]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = FIRST.fullmatch(first)
        assert found is not None, (first, process.stderr and process.stderr.read())
        yield process, found[1], found[2] or ""
    finally:
        process.kill()
        process.communicate()


def chat(url: str, key: str, **more: Any) -> Any:
    body = {"messages": [{"role": "user", "content": "2 + 2"}], **more}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    return urllib.request.urlopen(request, timeout=20)


def test_it_serves_until_ctrl_c_and_open_streams_end(signed_in: LocalPuter) -> None:
    signed_in.reply_with(Reply(chunks=["one", "two"], gate=Gate()))
    with running() as (process, url, key), chat(url, key, stream=True) as stream:
        assert b"data:" in stream.readline()
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as stranger:
            stranger.sendall(b"GET / HTTP/9.9\r\n\r\n")
            assert b"400 Bad Request" in stranger.recv(99)
        process.send_signal(signal.SIGINT)
        rest = stream.read()
        out, err = process.communicate(timeout=20)
    assert b'"error"' in rest
    assert process.returncode == 130
    assert out == ""
    assert "base URL" in err
    assert "Warning" not in err
    assert "Traceback" not in err
    assert signed_in.token not in err


def test_local_needs_no_account_and_ends_well_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUTER_SERVE_KEY", "a-key-of-the-user")
    with running("--local") as (process, url, key):
        assert key == ""  # nor is the user's own told on standard error, which a journal keeps too
        with chat(url, "a-key-of-the-user") as answer:
            assert json.load(answer)["choices"][0]["message"]["content"] == "2 + 2 = 4"
        process.terminate()
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "the key of PUTER_SERVE_KEY as API key" in err
    assert "a-key-of-the-user" not in err


def test_others_need_a_key_that_was_chosen(cli: Cli, signed_in: LocalPuter) -> None:
    done = cli("serve", "--host", "0.0.0.0")
    assert (done.code, done.out) == (2, "")
    assert "--key" in done.err
    done = cli("serve", "--key", "two words")
    assert (done.code, done.out) == (2, "")
    assert "visible ASCII" in done.err


def test_without_an_account_nothing_is_served(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUTER_AUTO_LOGIN", "0")
    done = cli("serve")
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1


def test_a_port_that_is_taken_is_one_line(cli: Cli, signed_in: LocalPuter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = cli("serve", "--port", str(taken.getsockname()[1]))
    assert (done.code, done.out) == (1, "")
    assert "in use. Choose another: --port." in done.err
    assert len(done.err.splitlines()) == 1


def test_others_are_warned_of(
    cli: Cli, signed_in: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once() -> int:
        return 0

    monkeypatch.setattr("puter.cli.serve._signalled", at_once)
    done = cli("serve", "--host", "0.0.0.0", "--key", "a-key-of-the-user")
    assert done.code == 0
    assert re.fullmatch(r"http://0\.0\.0\.0:\d+/v1\n", done.out)
    assert "the key of --key as API key" in done.err
    assert "a-key-of-the-user" not in done.err
    assert "nothing is encrypted" in done.err
    assert signed_in.token not in done.err
