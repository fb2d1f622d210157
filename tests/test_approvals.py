"""A turn waits for an approval in a JSON file, and another process finishes it.

Run as a script, this file is that process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from puter import ChatReply, Image, PuterAI, PuterError, ToolCall
from puter.testing import LocalPuter, Reply

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
CLAUDE = "claude-sonnet-4-6"


class ApprovalNeededError(PuterError):
    """Somebody has to say yes first."""


class Shop:
    """Tools that write down that they ran."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "ran.txt"

    def _note(self, line: str) -> None:
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")

    def show(self, article: str) -> dict[str, Any]:
        """Show an article."""
        self._note(f"show {article}")
        return {
            "article": article,
            "price": Decimal("4.50"),
            "picture": Image(PNG),
        }

    def pay(self, amount: float) -> str:
        """Pay."""
        self._note(f"pay {amount}")
        return "paid"

    def thank(self, whom: str) -> str:
        """Thank."""
        self._note(f"thank {whom}")
        return "thanked"


def hold(call: ToolCall) -> bool:
    if call.name == "pay":
        raise ApprovalNeededError("Paying needs an approval")
    return True


@contextlib.asynccontextmanager
async def client(door: str, **settings: Any) -> AsyncGenerator[PuterAI]:
    ai = PuterAI(**settings)
    try:
        yield ai
    finally:
        if door == "sync":
            ai.close()
        else:
            await ai.async_close()


async def chat(talk: Any, door: str, way: str, *args: Any, **options: Any) -> ChatReply:
    stream = way == "stream"
    if door == "sync":
        done = talk.chat(*args, stream=stream, **options)
        return done.until_done() if stream else done  # type: ignore[no-any-return]
    done = await talk.async_chat(*args, stream=stream, **options)
    return await done.until_done() if stream else done  # type: ignore[no-any-return]


async def ask(door: str, way: str, left: str, folder: Path) -> None:
    shop = Shop(folder)
    tools = [shop.show, shop.pay, shop.thank]
    async with client(door, default_model=CLAUDE) as ai:
        talk = ai.conversation(system="You do the shopping.")
        await chat(talk, door, way, "Hello")
        question = ("Buy this cup, and thank the seller.",)
        pause: dict[str, Any] = {"before_tool": hold}
        if left == "to the caller":
            pause = {"run_tools": False}
        try:
            reply = await chat(talk, door, way, *question, images=PNG, tools=tools, **pause)
        except ApprovalNeededError as error:
            reply = cast("ChatReply", error.partial)
        talk.save(folder / "talk.json")
        (folder / "turn.json").write_text(json.dumps(reply.to_dict()), encoding="utf-8")


async def approve(door: str, way: str, left: str, folder: Path) -> None:
    shop = Shop(folder)
    turn = json.loads((folder / "turn.json").read_text(encoding="utf-8"))
    results: dict[str, Any] = {}
    if left == "to the caller":
        for call in turn["tool_calls"]:
            if call["name"] == "pay":
                results[call["id"]] = {"receipt": Image(PNG), "left": Decimal(1)}
                shop.pay(**call["arguments"])
    async with client(door) as ai:
        talk = ai.load_conversation(folder / "talk.json")
        tools = [shop.show, shop.pay, shop.thank]
        reply = await chat(talk, door, way, resume=turn, tools=tools, tool_results=results)
        talk.save(folder / "talk.json")
        (folder / "turn.json").write_text(json.dumps(reply.to_dict()), encoding="utf-8")


STEPS: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {"ask": ask, "approve": approve}


def run(step: str, door: str, way: str, left: str, folder: Path) -> None:
    steps = STEPS[step](door, way, left, folder)
    if door == "async":
        asyncio.run(steps)
    else:
        with contextlib.suppress(StopIteration):  # it awaits nothing, and there is no event loop
            steps.send(None)


def run_elsewhere(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("door", "way", "left", "elsewhere"),
    [
        ("sync", "whole", "by an error", True),
        ("async", "stream", "by an error", False),
        ("sync", "stream", "to the caller", False),
        ("async", "whole", "to the caller", True),
    ],
)
def test_another_process_finishes_the_turn(
    door: str,
    way: str,
    left: str,
    elsewhere: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wishes = [
        {"name": "pay", "arguments": {"amount": 4.5}},
        {"name": "thank", "arguments": {"whom": "Ada"}},
    ]
    show = Reply(tool_calls=[{"name": "show", "arguments": {"article": "cup"}}])
    buy = Reply(text="I buy it.", reasoning="A cup.", tool_calls=wishes, signed=True)
    with LocalPuter(tier=None) as puter:
        puter.reply_with("Hello!", *([show] if left == "by an error" else []), buy, "It is yours.")
        monkeypatch.setenv("PUTER_API_BASE", puter.url)
        monkeypatch.setenv("PUTER_AUTH_TOKEN", puter.token)
        run("ask", door, way, left, tmp_path)
        if elsewhere:
            run_elsewhere("approve", door, way, left, str(tmp_path))
        else:
            run("approve", door, way, left, tmp_path)
        chats = [one for one in puter.requests if one.chat is not None]
        bills = [Decimal(str(one.usage["usd_cents"])) / 100 for one in chats if one.usage]
    turn = json.loads((tmp_path / "turn.json").read_text())
    talk = json.loads((tmp_path / "talk.json").read_text())
    ran = (tmp_path / "ran.txt").read_text().splitlines()
    seen = ["show cup"] if left == "by an error" else []
    assert sorted(ran) == sorted([*seen, "pay 4.5", "thank Ada"])  # each once
    assert len(chats) == len(bills) == len(seen) + 3  # nothing was paid twice
    assert Decimal(turn["cost"]) == sum(bills[1:])
    assert turn["text"] == "It is yours."
    said = json.dumps(talk)
    assert said.count("Buy this cup") == said.count('"It is yours."') == said.count("thanked") == 1
    pictures = 2  # the user's, and the one of a tool
    assert json.dumps(chats[-1].json).count('"type": "image"') == pictures


if __name__ == "__main__":
    step, door, way, left, folder = sys.argv[1:]
    run(step, door, way, left, Path(folder))
