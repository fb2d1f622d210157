"""A chatbot for the terminal that keeps its conversation in a file.

    python examples/chatbot.py talk.json

/undo takes the last turn back, /forget begins anew, /quit or Ctrl-D ends. When stdin is not a
terminal (a pipe, CI), it is not read: the program plays a fixed script of two lines and ends.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from where import open_client

from puter import PuterError, PuterStreamError

if TYPE_CHECKING:
    from collections.abc import Iterator


def lines() -> Iterator[str]:
    if not sys.stdin.isatty():
        for line in ("My name is Ada.", "What is my name?"):
            print(f"> {line}")
            yield line
        return
    while True:
        try:
            yield input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return


def talk(file: Path) -> None:
    with open_client() as ai:
        bot = ai.load_conversation(file) if file.exists() else ai.conversation()
        bot.system = "You are a friendly companion. Answer briefly."
        for line in lines():
            if line == "/quit":
                return
            if line == "/undo":
                print(f"[{len(bot.undo())} messages taken back]")
            elif line == "/forget":
                bot.clear()
            elif line:
                try:
                    with bot.chat(line, stream=True) as stream:
                        for chunk in stream:
                            print(chunk, end="", flush=True)
                    print()
                except PuterStreamError as error:
                    print(f"\n[{error}]")
                except PuterError as error:
                    print(f"[{error}]")
                bot.trim(max_tokens=8000)
            bot.save(file)


def main() -> None:
    if len(sys.argv) > 1:
        talk(Path(sys.argv[1]))
        return
    with TemporaryDirectory() as folder:
        talk(Path(folder) / "talk.json")


if __name__ == "__main__":
    main()
