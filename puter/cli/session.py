"""``Session``: what every command works with: a client, the terminal, the global options."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from puter.cli.text import one_line, write

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from typing_extensions import Self

    from puter.ai import PuterAI
    from puter.extensions import Event
    from puter.profiles import Profile
    from puter.testing.server import LocalPuter

WIDE = 10_000
"""Columns where lines are not for a terminal: nothing is cut off or broken in a pipe."""


class Session:
    """One run of the command line, click's ``obj``; ends what it started when it is left.

    Examples:
        >>> with Session() as session, session.client() as ai:  # PUTER_AUTH_TOKEN is set
        ...     session.output.print(ai.chat("Say hello"))
        Hello!
    """

    local: bool
    """Whether clients talk to a LocalPuter inside this process (``--local``)."""
    debug: bool
    """Whether errors are shown with their traceback (``--debug``)."""
    profile: str | None
    """The profile of config files to use (``--profile``); None: as the environment says."""

    def __init__(self) -> None:
        self.local = self.debug = False
        self.profile = None
        self._server: LocalPuter | None = None

    @cached_property
    def output(self) -> Console:
        """Standard output; what is printed is no markup unless it says so."""
        return _console(stderr=False)

    @cached_property
    def errors(self) -> Console:
        """Standard error."""
        return _console(stderr=True)

    def client(self, **settings: Any) -> PuterAI:
        """A client as the global options say, to be closed by whoever asks for it.

        Without ``--profile`` and ``PUTER_PROFILE`` the top level of the user's own config file
        counts, with what ``login`` saved, where the package platformdirs is there to find them;
        not ``./puter.toml``: the folder may be a stranger's, and this runs in any.

        Args:
            **settings: Arguments of ``PuterAI``, which win.

        Raises:
            PuterConfigError: A setting is not valid.
        """
        import logging

        from puter.ai import PuterAI

        if self.local:
            return self.local_server().client(**settings)
        if "profile" not in settings:
            settings["profile"] = self.found
        client = self._logged(PuterAI(**settings))
        logger = logging.getLogger("puter.retry")
        if not logger.handlers:  # else Python writes warnings to standard error as they are
            logger.addHandler(logging.NullHandler())
        client.on("retry", self._tell_retry)
        return client

    @cached_property
    def found(self) -> Profile | None:
        """What clients read of the config files; None when they read none."""
        from puter.config import profile_of
        from puter.profiles import chosen

        name = self.profile or chosen()
        if self.local or not (name or self.finds_files):
            return None
        return profile_of(None, name, project=bool(name))

    @property
    def finds_files(self) -> bool:
        """Whether the user's config files count, and can be found."""
        return not self.local and find_spec("platformdirs") is not None

    def _logged(self, client: PuterAI) -> PuterAI:
        """The client, which logs its calls if the user wants that."""
        from puter.cli import log

        return client.use(log.logging_to(log.place(), self.tell)) if log.kept() else client

    def _tell_retry(self, event: Event) -> None:
        """Tell why nothing comes, once in a call; the log would tell of each attempt."""
        from puter.exceptions import PuterConnectionError

        error, second = event.error, event.attempt == 2
        if isinstance(error, PuterConnectionError) and not error.sent and second:
            self.tell(f"{error.message}. It is tried again; Ctrl-C ends this.")

    def local_server(self) -> LocalPuter:
        """The LocalPuter of ``--local``: one for the whole run, started when first asked for.

        A real model answers in it where ``PUTER_LOCAL_MODEL`` names one, as ``LocalPuter(model=)``.

        Raises:
            PuterConfigError: That model is not on this machine.
        """
        if self._server is None:
            from puter.testing.server import LocalPuter

            self._server = LocalPuter(
                tier="paid", model=os.environ.get("PUTER_LOCAL_MODEL") or None
            ).start()
        return self._server

    @property
    def on_terminal(self) -> bool:
        """Whether standard output is a terminal with a cursor to move."""
        terminal = self.output.is_terminal and not self.output.is_dumb_terminal
        return terminal and self.output.file.isatty()  # FORCE_COLOR makes no terminal of a file

    def show(self, table: Table) -> None:
        """A table on standard output; in a pipe no line ends in spaces."""
        if self.output.is_terminal:
            self.output.print(table)
            return
        with self.output.capture() as padded:
            self.output.print(table)
        lines = padded.get().splitlines()
        write(self.output.file, "".join(f"{line.rstrip()}\n" for line in lines))

    def tell(self, message: str, *, style: str = "") -> None:
        """One line on standard error, begun by the name of the program.

        A terminal that it is too long for gets it broken between words. Where nobody can be told,
        what was done stays done.
        """
        from rich.text import Text

        line = Text.assemble(("puter-ai: ", style), one_line(message))
        with suppress(OSError):
            self.errors.print(line, soft_wrap=not self.errors.file.isatty())

    def warn(self, message: Warning | str, *_: object, **__: object) -> None:
        """What Python calls for a warning: one line of it."""
        self.tell(str(message))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.stop()


pass_session = click.make_pass_decorator(Session)
"""Decorates a command: its first argument becomes the ``Session``."""


def stdin_is_interactive() -> bool:
    """Whether standard input is a terminal, where somebody may be asked."""
    return sys.stdin is not None and sys.stdin.isatty()  # None: it was closed


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704 - what rich handles here, in place of ending the program

    console = Plain(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console
