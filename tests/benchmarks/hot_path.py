"""Count what a call enters: files and functions of ``puter/`` per plain sync chat, calls per chunk.

usage: python -m tests.benchmarks.hot_path [--list]

Comprehensions are not counted. The chunks come in one piece, each as an HTTP chunk of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import puter
from puter import PuterAI
from tests.benchmarks.processes import server

ROOT = str(Path(puter.__file__).parent) + os.sep
COMPREHENSIONS = {"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>", "<lambda>"}
CHUNKS = 600

Entry: TypeAlias = tuple[str, str, int]


def traced(function: Callable[[], Any]) -> list[Entry]:
    """The functions of ours that it enters, one entry for each call."""
    entered: list[Entry] = []

    def profile(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        ours = event == "call" and code.co_filename.startswith(ROOT)
        if ours and code.co_name not in COMPREHENSIONS:
            name = getattr(code, "co_qualname", code.co_name)
            entered.append((code.co_filename[len(ROOT) :], name, code.co_firstlineno))

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return entered


@dataclass(frozen=True)
class HotPath:
    """What a plain sync chat enters, and what all chunks of a stream do."""

    chat: list[Entry]
    chunks: list[Entry]

    def __str__(self) -> str:
        files = {file for file, _, _ in self.chat}
        return (
            f"a plain sync chat: {len(files)} files, {len(set(self.chat))} functions, "
            f"{len(self.chat)} calls; a chunk: {len(self.chunks) / CHUNKS:.1f} calls"
        )

    def details(self) -> list[str]:
        """Each function, and how often a chunk enters it."""
        functions = sorted({f"{file}: {name}" for file, name, _ in self.chat})
        often = [(self.chunks.count(one) / CHUNKS, one) for one in sorted(set(self.chunks))]
        return functions + [f"{times:6.2f}  {file}: {name}" for times, (file, name, _) in often]


def hot_path(stub: str) -> HotPath:
    """Measure against the stub."""
    base = f"{stub}/{CHUNKS}"
    with PuterAI(token="t", api_base=base, login_url=base + "/login") as ai:
        ai.chat("warm")
        ai.chat("warm")
        ai.clear_chat_history()
        chats = [traced(lambda: ai.chat("hello")) for _ in range(4)]
        stream = ai.chat("hello", stream=True)
        chunks = [entry for _ in range(CHUNKS) for entry in traced(lambda: next(stream))]
        stream.close()
    return HotPath(min(chats, key=lambda entered: len(set(entered))), chunks)


def main() -> None:
    """Print the counts."""
    with server("tests.benchmarks.stub") as (port, _):
        found = hot_path(f"http://127.0.0.1:{port}")
    print(found)
    if "--list" in sys.argv:
        print(*found.details(), sep="\n")


if __name__ == "__main__":
    main()
