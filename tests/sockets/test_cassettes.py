"""vcrpy records what either door says and hears, and plays it back without a server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import puter
from tests.door import chunks
from tests.sockets.live import Live
from tests.sockets.programs import ROOT

vcr = pytest.importorskip("vcr")


async def talk(live: Live, ai: Any) -> list[Any]:
    said: list[Any] = [
        str(await live(ai, "chat", "one", remember=False)),
        await chunks(await live(ai, "chat", "two, streamed", stream=True, remember=False)),
        (await live(ai, "whoami")).username,
        (await live(ai, "txt2img", "a cat")).mime_type,
    ]
    with pytest.raises(puter.PuterModelNotFoundError) as caught:
        await live(ai, "chat", "three", "no-such-model")
    said += [str(caught.value), str(await live(ai, "chat", "four", remember=False))]
    return said


async def test_a_talk_is_recorded_and_played_back(live: Live, tmp_path: Path) -> None:
    cassette = str(tmp_path / "talk.yaml")
    with vcr.use_cassette(cassette, filter_headers=["authorization"]) as tape:
        recorded = await talk(live, live.client())
        assert len(tape) == len(live.puter.requests) == 6
    with open(cassette) as file:  # noqa: ASYNC230 - a small one
        assert live.puter.token not in file.read()
    with vcr.use_cassette(cassette, record_mode="none", filter_headers=["authorization"]) as tape:
        ai = live.client()
        played = await talk(live, ai)
        assert tape.all_played
        with pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException):
            await live(ai, "chat", "never recorded")
        assert ai._throttle.running == 0
    assert [str(one) for one in played] == [str(one) for one in recorded]
    assert len(live.puter.requests) == 6
    assert "five" in await live(ai, "chat", "five")  # and now there is a server again
    assert len(live.puter.requests) == 7


async def test_transports_that_are_loaded_in_a_cassette_work_after_it(
    live: Live, tmp_path: Path
) -> None:
    program = f"""
        import asyncio, vcr
        from puter import PuterAI

        def ask(ai):
            if {live.kind == "sync"}:
                return ai.chat("hi", remember=False)
            return asyncio.run(ai.async_chat("hi", remember=False))

        settings = dict(token={live.puter.token!r}, api_base={live.puter.api_base!r})
        with vcr.use_cassette({str(tmp_path / "early.yaml")!r}) as tape:
            ai = PuterAI(**settings)
            print(ask(ai), len(tape))
        print(ask(ai), ask(PuterAI(**settings)))
    """
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert len(live.puter.requests) == 3
