"""Count what a call enters: files and functions of ``puter/`` per plain sync chat, calls per chunk.

usage: python -m tests.benchmarks.hot_path [--list]

Comprehensions are not counted. The chunks come in one piece, each as an HTTP chunk of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import puter
from puter import PuterAI
from tests.benchmarks.processes import alone, server

ROOT = str(Path(puter.__file__).parent) + os.sep
COMPREHENSIONS = {"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>", "<lambda>"}
CHUNKS = 600


def traced(function: Callable[[], Any]) -> list[str]:
    """The functions of ours that it enters, as file:line name, one for each call."""
    entered: list[str] = []

    def profile(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        ours = event == "call" and code.co_filename.startswith(ROOT)
        if ours and code.co_name not in COMPREHENSIONS:
            name = getattr(code, "co_qualname", code.co_name)
            entered.append(f"{code.co_filename[len(ROOT) :]}:{code.co_firstlineno} {name}")

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return entered


class HotPath(NamedTuple):
    """What a plain sync chat enters, and what all chunks of a stream do."""

    chat: list[str]
    chunks: list[str]

    def __str__(self) -> str:
        files = {entry.partition(":")[0] for entry in self.chat}
        return (
            f"a plain sync chat: {len(files)} files, {len(set(self.chat))} functions, "
            f"{len(self.chat)} calls; a chunk: {len(self.chunks) / CHUNKS:.1f} calls"
        )

    def details(self) -> list[str]:
        """Each function, and how often a chunk enters it."""
        often = [(self.chunks.count(one) / CHUNKS, one) for one in sorted(set(self.chunks))]
        return sorted(set(self.chat)) + [f"{times:6.2f}  {one}" for times, one in often]


def entered(stub: str) -> HotPath:
    """Measure against the stub, in this process."""
    base = f"{stub}/{CHUNKS}"
    with PuterAI(token="t", api_base=base, login_url=base + "/login") as ai:
        ai.chat("warm")
        ai.chat("warm")
        ai.clear_chat_history()
        chats = [traced(lambda: ai.chat("hello")) for _ in range(4)]
        stream = ai.chat("hello", stream=True)
        chunks = [entry for _ in range(CHUNKS) for entry in traced(lambda: next(stream))]
        stream.close()
    return HotPath(min(chats, key=lambda entries: len(set(entries))), chunks)


def hot_path(stub: str) -> HotPath:
    """Measure in a process that has loaded what a user's program has, and no more."""
    return HotPath(*alone(entered, stub))


def main() -> None:
    """Print the counts."""
    with server("tests.benchmarks.stub") as (port, _):
        found = entered(f"http://127.0.0.1:{port}")
    print(found)
    if "--list" in sys.argv:
        print(*found.details(), sep="\n")


if __name__ == "__main__":
    main()
