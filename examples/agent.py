"""An agent that looks after a folder; you are asked before it deletes anything.

python examples/agent.py 'Delete the file "notes.txt".'
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from where import open_client

from puter import StopChat, ToolCall


class Folder:
    """A folder that a model may look after."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def list_files(self) -> list[str]:
        """List the names of all files."""
        return sorted(file.name for file in self._path.iterdir())

    def delete_file(self, name: str) -> str:
        """Delete a file for good.

        Args:
            name: Its name, as listed.
        """
        if name not in self.list_files():
            raise FileNotFoundError(name)  # the model is told
        (self._path / name).unlink()
        return "deleted"


def approve(call: ToolCall) -> bool | str:
    """Asked before each call: a text is told the model instead of the tool's result."""
    print(f"{call.name} {call.arguments}")
    if call.name != "delete_file":
        return True
    try:
        answer = input("allow? [y/N/q] ").strip().lower()
    except EOFError:  # nobody is there
        answer = ""
    if answer == "q":
        raise StopChat("Stopped by the user.")
    return answer == "y" or "The user wants to keep this file. Do not ask again."


def main() -> None:
    prompt = " ".join(sys.argv[1:]) or 'List all files, and then delete the file "draft.txt".'
    with TemporaryDirectory() as path, open_client() as ai:
        for name in ("notes.txt", "draft.txt"):
            (Path(path) / name).touch()
        folder = Folder(path)
        reply = ai.chat(prompt, tools=[folder.list_files, folder.delete_file], before_tool=approve)
        print(f"\n{reply}\n\nLeft: {', '.join(folder.list_files())}; {reply.cost} USD")


if __name__ == "__main__":
    main()
