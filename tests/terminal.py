"""``Terminal``: a command on a pseudo-terminal, and somebody who types."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pexpect  # type: ignore[import-untyped]

from tests.screen import Screen

if TYPE_CHECKING:
    from typing_extensions import Self

PROMPT = "> "
MORE = "... "
_COLOUR = {"NO_COLOR", "FORCE_COLOR"}
TIMEOUT = 50
CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"


class Terminal:
    """A command; each wait is for what it shows, however long that takes.

    Args:
        command: Its words.
        columns: How wide the terminal is.
        term: What it is called.
        folder: Where the command runs.
        environment: More variables.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 80,
        term: str = "xterm-256color",
        folder: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.columns = columns
        self.child: Any = pexpect.spawn(
            command[0],
            list(command[1:]),
            cwd=None if folder is None else os.fspath(folder),
            env={
                **{name: os.environ[name] for name in os.environ.keys() - _COLOUR},
                "TERM": term,
                "LANG": "C.UTF-8",
                "INPUTRC": os.devnull,
                **(environment or {}),
            },
            dimensions=(50, columns),
            encoding="utf-8",
            codec_errors="surrogateescape",
            timeout=TIMEOUT,
        )
        self.child.logfile_read = self.log = io.StringIO()
        self.child.delaybeforesend = None

    def at_prompt(self, prompt: str = PROMPT) -> None:
        """Wait until it reads: readline shows its prompt when the terminal is in its hands."""
        escaped = prompt.replace(".", r"\.")
        self.child.expect(rf"(^|[\r\n])(\x1b\[\?2004h)?{escaped}$")

    def type(self, text: str, *, prompt: str = PROMPT) -> list[str]:
        """Type a line; what is on the screen when the next can be typed."""
        self.child.send(f"{text}\r")
        self.at_prompt(prompt)
        return self.screen.lines

    @property
    def screen(self) -> Screen:
        """What is on the screen."""
        return Screen(self.columns).feed(self.log.getvalue())

    @property
    def lines(self) -> list[str]:
        return self.screen.lines

    def leave(self, key: str = "") -> int:
        """Press a key, and wait for the end; the exit code."""
        self.child.send(key)
        if self.child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=TIMEOUT / 2):
            self.child.send(key)  # readline hears no signal that comes just before it waits
            self.child.expect(pexpect.EOF)
        self.child.close()
        return int(self.child.exitstatus)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.close(force=True)
