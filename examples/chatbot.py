"""A chatbot for the terminal that keeps its conversation in a file, if you name one.

    python examples/chatbot.py talk.json

Ctrl-C stops an answer and leaves the conversation as it was; Ctrl-D ends.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from where import open_client

from puter import PuterError

with suppress(ImportError):  # Windows edits lines by itself
    import_module("readline")  # gives input() editing and history

if TYPE_CHECKING:
    from puter import Conversation

HELP = "/undo takes the last turn back, /forget begins anew, /quit or Ctrl-D ends"


def obey(bot: Conversation, command: str) -> None:
    """What begins with a slash is never sent, so a slip costs nothing."""
    if command == "/undo":
        print(f"[{len(bot.undo())} messages taken back]")
    elif command == "/forget":
        bot.clear()
        print("[forgotten]")
    elif command == "/help":
        print(f"[{HELP}]")
    else:
        print(f"[no command {command}, nothing was sent; {HELP}]")


def answer(bot: Conversation, line: str) -> None:
    try:
        with bot.chat(line, stream=True) as stream:
            for chunk in stream:
                print(chunk, end="", flush=True)
        print()
    except PuterError as error:
        print(f"\n[{error}]")
    bot.trim(max_tokens=8000)


def main() -> None:
    file = Path(sys.argv[1]) if sys.argv[1:] else None
    with open_client() as ai:
        bot = ai.load_conversation(file) if file and file.exists() else ai.conversation()
        bot.system = "You are a friendly companion. Answer briefly."
        line = ""
        while line != "/quit":
            try:
                if file:
                    bot.save(file)  # also before the first question: a bad place costs nothing
                line = input("> ").strip()
                if line.startswith("/") and line != "/quit":
                    obey(bot, line)
                elif line and line != "/quit":
                    answer(bot, line)
            except KeyboardInterrupt:
                print("\n[stopped]")
            except EOFError:
                break
        print(f"{ai.usage.requests} calls, {ai.usage.cost} USD")


if __name__ == "__main__":
    main()
