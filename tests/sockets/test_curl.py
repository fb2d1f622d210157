"""The commands of ``as_curl()``, run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from puter.testing.samples import PNG
from tests.door import until_done
from tests.sockets.live import Live

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


def run(command: str, token: str) -> str:
    """What it prints, run by a shell as it stands."""
    done = subprocess.run(
        ["bash", "-e"],
        input=command,
        env={"PATH": os.environ["PATH"], "PUTER_AUTH_TOKEN": token, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("size", [0, 300_000])
async def test_the_command_asks_the_same(live: Live, stream: bool, size: int) -> None:
    live.puter.reply_with("It's 42")
    ai = live.client(headers={"X-Team-Key": "k-1"})
    await live(ai, "chat", "Before")
    reply: Any = await live(ai, "chat", 'What\'s "$1"?\n', images=PNG + bytes(size), stream=stream)
    reply = await until_done(reply) if stream else reply
    told = run(reply.as_curl(), live.puter.token)
    *_, sent, again = live.puter.requests
    assert again.json == sent.json
    assert again.status == 200
    if stream:
        texts = [json.loads(line).get("text", "") for line in told.splitlines()]
        assert "".join(texts) == reply
    else:
        assert json.loads(told)["result"]["message"]["content"] == reply
