"""What is typed into ``puter-ai chat``: lines into messages, history, completion."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import IO, TYPE_CHECKING

from puter.atomic import open_ordinary, write_whole
from puter.cli.state import open_private, state_file
from puter.cli.talk import COMMANDS, QUOTES
from puter.exceptions import PuterInputError
from puter.wire.json import MAX_BODY

if TYPE_CHECKING:
    from typing_extensions import Self

PROMPT = "> "
MORE = "... "
KEPT = 1000
"""Messages that the history keeps."""
LONGEST = 10_000
"""Characters of a message that is kept, at most."""


def read_message(read_line: Callable[[str], str]) -> str:
    r"""One message out of one line or several.

    A block between triple quotes, lines that end with a backslash, and what was pasted at once
    are one message. The end of the input ends a block.

    Args:
        read_line: Shows a prompt and returns a line; raises EOFError at the end.

    Examples:
        >>> lines = iter(["one \\", "two"])
        >>> read_message(lambda prompt: next(lines))
        'one \ntwo'
    """
    text = read_line(PROMPT)
    if "\n" in text:  # pasted
        return text
    with suppress(EOFError):
        if _opens_block(text):
            while not text[text.index(QUOTES) + len(QUOTES) :].rstrip().endswith(QUOTES):
                text += "\n" + read_line(MORE)
        else:
            while text.endswith("\\"):
                more = read_line(MORE)
                text = f"{text[:-1]}\n{more}"
    return text


def _opens_block(text: str) -> bool:
    """Whether it begins with triple quotes, perhaps after a command."""
    argument = text.partition(" ")[2].lstrip() if text.startswith("/") else text
    return argument.startswith(QUOTES)


@contextmanager
def _no_text_told() -> Generator[None, None, None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise PuterInputError(
            f"Standard input is no text in {error.encoding.upper()}",
            hint="Show an image with /image, in a line of its own.",
        ) from None


def read_piped_line(_: str) -> str:
    """A line of a pipe or a file; no prompt is shown.

    Raises:
        EOFError: There is none left.
        PuterInputError: It is no text, or has no end.
    """
    with _no_text_told():
        line = sys.stdin.readline(MAX_BODY + 1) if sys.stdin is not None else ""
    if not line:
        raise EOFError
    if len(line) > MAX_BODY:
        raise PuterInputError(f"A line of standard input is longer than {MAX_BODY >> 20} MiB")
    return line.rstrip("\r\n")


def completions(line: str, models: Sequence[str]) -> list[str]:
    """What the last word of a line may become.

    Examples:
        >>> completions("/mo", []), completions("/model gpt-5-n", ["gpt-5-nano", "o3"])
        (['/model '], ['gpt-5-nano'])
    """
    command, _, argument = line.partition(" ")
    word = argument.rpartition(" ")[2]
    if not line.startswith("/"):
        return []
    if command == line:
        return [
            f"{one} " if takes else one
            for one, (takes, _) in COMMANDS.items()
            if one.startswith(line)
        ]
    if command == "/model":
        return [one for one in models if one.startswith(argument)]
    return _paths(word) if command in ("/image", "/load", "/save") else []


def _paths(begun: str) -> list[str]:
    """Paths that begin so, folders with a slash; hidden ones only when asked for."""
    folder, name = os.path.split(begun)
    with suppress(OSError), os.scandir(os.path.expanduser(folder) or os.curdir) as entries:
        return sorted(
            os.path.join(folder, one.name) + (os.sep if one.is_dir() else "")
            for one in entries
            if one.name.startswith(name) and (name or not one.name.startswith("."))
        )
    return []


def history_path() -> str:
    """The file of what was typed: ``puter/chat_history`` in the user's folder for state."""
    return state_file("chat_history")


class History:
    """What was typed, a JSON text a line, in a file that only its owner may read.

    Several chats may write to it at a time. It holds twice ``KEPT`` messages at most when it is
    opened.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read or written.
        PuterInputError: It is no ordinary file.
    """

    def __init__(self, path: str) -> None:
        lines: list[bytes] = []
        with suppress(FileNotFoundError), open_ordinary(path, "Move it away.") as file:
            lines = file.read().splitlines(keepends=True)
        if len(lines) > 2 * KEPT:
            write_whole(path, b"".join(lines[-KEPT:]))
        self.messages: list[str] = [one for line in lines[-KEPT:] if (one := _message_in(line))]
        """What was typed in earlier chats, the oldest first."""
        self._file: IO[bytes] = open_private(path)

    def add(self, message: str) -> None:
        """Keep a message, unless it is very long or the disk is full."""
        if len(message) <= LONGEST:
            with suppress(OSError):
                self._file.write(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _message_in(line: bytes) -> str:
    """Nothing for a line that an editor or a crash has spoiled."""
    with suppress(ValueError):
        message = json.loads(line)
        return message if isinstance(message, str) else ""
    return ""


class Keyboard:
    """Messages typed at a terminal: with line editing and completion where Python has readline.

    Args:
        models: Names that complete ``/model``.
        history: Where messages are kept. Default: they are forgotten with the process.
    """

    def __init__(self, models: Sequence[str], history: History | None = None) -> None:
        self._models, self._history = models, history
        self._readline: ModuleType | None = None
        if sys.stdin.isatty() and sys.stdout.isatty():
            with suppress(ImportError):  # Windows edits lines by itself
                self._readline = self._set_up()

    def _set_up(self) -> ModuleType:
        import readline

        libedit = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
        if not libedit and os.environ.get("TERM", "dumb") != "dumb":
            # What is pasted is one message; Python turns this off.
            readline.parse_and_bind("set enable-bracketed-paste on")
        readline.set_completer_delims(" ")
        readline.set_completer(self._complete)
        readline.set_auto_history(False)  # a message of several lines is one
        for message in self._history.messages if self._history else ():
            readline.add_history(message)
        return readline

    def _complete(self, _: str, number: int) -> str | None:
        assert self._readline is not None  # noqa: S101 - for type checkers
        line = self._readline.get_line_buffer()[: self._readline.get_endidx()]
        return dict(enumerate(completions(line, self._models))).get(number)

    def read(self) -> str:
        """The next message.

        Raises:
            EOFError: The input ended, by Ctrl-D.
            KeyboardInterrupt: Ctrl-C; what was typed is dropped.
        """
        message = read_message(typed_line).rstrip()
        if message:
            if self._readline is not None:
                self._readline.add_history(message)
            if self._history is not None:
                self._history.add(message)
        return message


def typed_line(prompt: str) -> str:
    """A line of somebody who types.

    Raises:
        EOFError: The input ended.
        PuterInputError: It is no text.
    """
    if sys.stdout.isatty():
        with _no_text_told():
            return input(prompt)
    sys.stderr.write(prompt)  # standard output is a file, for answers alone
    sys.stderr.flush()
    return read_piped_line(prompt)
