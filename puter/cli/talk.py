"""``Talk``: a conversation in the terminal; what is typed is a message, or a command."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from puter.checks import did_you_mean, is_url, near_misses
from puter.cli.errors import sentence
from puter.cli.parameters import spent_by
from puter.cli.printing import show
from puter.cli.text import printable
from puter.exceptions import PuterError, PuterInputError

if TYPE_CHECKING:
    from puter.ai import PuterAI
    from puter.cli.session import Session
    from puter.conversation import Conversation

COMMANDS: Mapping[str, tuple[str, str]] = {
    "/help": ("", "list the commands"),
    "/model": ("[NAME]", "show the model, or go on with another"),
    "/system": ("[TEXT]", 'show the instructions, or give others; "" for none'),
    "/image": ("PATH|URL [TEXT]", "show an image with this text, or with the next message"),
    "/undo": ("", "take the last question and its answer back"),
    "/clear": ("", "begin anew; model and instructions stay"),
    "/save": ("FILE", "write the conversation to a file"),
    "/load": ("FILE", "go on with one that was saved"),
    "/cost": ("", "tell what was spent since the start"),
    "/quit": ("", "leave, as Ctrl-D does"),
}
"""What each command takes and does."""

ALIASES: Mapping[str, str] = {"/exit": "/quit", "/bye": "/quit", "/?": "/help"}
"""What users of other programs type."""

BARE = ("exit", "quit")
"""What leaves without a slash, too."""

QUOTES = '"""'
STOPPED = "Stopped. What came is not part of the conversation."

_WORD = re.compile(r"""'([^']*)'|"([^"]*)"|((?:\\\ |\S)+)""")


def parse(message: str) -> tuple[str, str]:
    r"""The command of a message, ``""`` where it is none, and the text.

    Examples:
        >>> parse("/model gpt-4.1"), parse("/usr is a folder"), parse(" /usr is one")
        (('/model', 'gpt-4.1'), ('/usr', 'is a folder'), ('', '/usr is one'))
    """
    if message.strip() in BARE:
        return "/quit", ""
    if not message.startswith("/"):
        return "", unquoted(message)
    command, *rest = message.split(maxsplit=1)
    return ALIASES.get(command, command), unquoted("".join(rest))


def unquoted(text: str) -> str:
    """Text without the triple quotes or the white space around it; a block stays indented."""
    bare = text.strip()
    if bare.startswith(QUOTES):
        return bare[len(QUOTES) :].removesuffix(QUOTES).strip("\n")
    return text.rstrip().lstrip("\n") if "\n" in bare else bare


def first_word(text: str) -> tuple[str, str]:
    r"""The first word and the rest; spaces in it are quoted as a shell has them.

    Examples:
        >>> first_word("'my cat.png' Who is it?"), first_word(r"my\ cat.png")
        (('my cat.png', 'Who is it?'), ('my cat.png', ''))
    """
    found = _WORD.match(text)
    if found is None:
        return "", ""
    single, double, plain = found.groups()
    word = single or double or (plain or "").replace("\\ ", " ")
    return word, text[found.end() :].strip()


class Talk:
    """Messages are sent, commands are carried out, until the input ends.

    An answer that fails or is stopped leaves the conversation as it was.

    Args:
        session: Where answers (standard output) and remarks (standard error) go.
        ai: The client.
        conversation: What was said before.
        read: Returns what was typed next; raises EOFError at the end.
        interactive: Whether somebody types. Ctrl-C then stops what runs, but not the program.
        options: Options of each chat.
    """

    def __init__(
        self,
        session: Session,
        ai: PuterAI,
        conversation: Conversation,
        read: Callable[[], str],
        *,
        interactive: bool,
        options: Mapping[str, Any],
    ) -> None:
        self.conversation: Conversation = conversation
        self.images: list[str] = []
        """What is shown with the next message."""
        self.files: list[str] = []
        """What is sent along with it."""
        self.failed: bool = False
        """Whether anything did not work."""
        self._session, self._ai, self._read = session, ai, read
        self._interactive, self._options = interactive, options
        self._answering = self._interrupted = False

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self.conversation.model or self._ai.current_model

    def run(self) -> None:
        """Go on until the input ends, or ``/quit``."""
        while True:
            try:
                if not self._step():
                    return
            except KeyboardInterrupt:
                if not self._interactive:
                    raise
                self._interrupted = True  # no more than that: a second Ctrl-C may come right now

    def _step(self) -> bool:
        """Read a message and do what it says; False to leave."""
        if self._interrupted:
            if self._answering:
                self._over_the_line()
                self.remark(STOPPED)
            else:
                self._session.errors.print()
            self._interrupted = self._answering = False
        try:
            message = self._read()
        except EOFError:
            self._over_the_line()
            return False
        except PuterInputError as error:
            self._fail(error)
            return self._interactive
        command, text = parse(message)
        if command == "/quit":
            return False
        try:
            if command:
                self._command(command, text)
            elif text:
                self._ask(text)
        except (PuterError, OSError) as error:
            if isinstance(error, OSError) and error.filename is None:
                raise  # standard output is full or gone: nobody would read what is asked and paid
            self._fail(error)
        return True

    def _fail(self, error: PuterError | OSError) -> None:
        self._answering, self.failed = False, True
        self._session.tell(sentence(error), style="bold red")

    def _ask(self, text: str, *more: str) -> None:
        """One turn; images and files go with it, whatever becomes of it."""
        images, files = [*self.images, *more], self.files
        self.images, self.files = [], []
        self._answering = True
        arguments: dict[str, Any] = {
            **self._options,
            "images": images or None,
            "files": files or None,
        }
        with self.conversation.chat(text, stream=True, **arguments) as stream:
            show(stream, self._session)
        self._answering = False

    def _over_the_line(self) -> None:
        """Let the next remark replace a prompt, or the ``^C`` that the terminal shows."""
        if self._session.errors.is_terminal:
            self._session.errors.file.write("\r")

    def remark(self, text: str) -> None:
        """A line that is no answer."""
        self._session.errors.print(Text(printable(text), "dim"))

    def _tell(self, text: str) -> None:
        """What a command was asked for."""
        self._session.output.print(Text(printable(text)))

    # ------------------------------------------------------------ commands

    def _command(self, command: str, text: str) -> None:
        if command not in COMMANDS:
            near = did_you_mean(near_misses(command, [*COMMANDS, *ALIASES], 1))
            raise PuterInputError(
                f"No command {command!r}, nothing was sent",
                hint=near or "See /help. A space in front sends a line that begins with '/'.",
            )
        takes, _ = COMMANDS[command]
        if takes and not takes.startswith("[") and not text:
            raise PuterInputError(f"{command} needs more", hint=f"Type: {command} {takes}")
        if text and not takes:
            raise PuterInputError(f"{command} takes nothing more, and nothing was done")
        getattr(self, command.replace("/", "_"))(text)

    def _help(self, _: str) -> None:
        table = Table.grid(padding=(0, 2))
        for name, (takes, told) in COMMANDS.items():
            table.add_row(Text(f"{name} {takes}"), told)
        self._session.output.print(table)
        self._tell(
            f"\nSeveral lines: paste them, or write them between {QUOTES}, or end all but the last "
            "with a backslash. Ctrl-C stops an answer."
        )

    def _model(self, name: str) -> None:
        if name:
            known = self._ai._models
            found = known.find(name)
            if found is None:
                near = did_you_mean(known.suggest(name))
                self.remark(
                    f"No model {name!r} is known here; it is asked for all the same. {near}"
                )
            self.conversation.model = found or name
        self._tell(self.model)

    def _system(self, text: str) -> None:
        if text:
            self.conversation.system = None if text in ('""', "''") else text
        self._tell(self.conversation.system or "No instructions.")

    def _image(self, text: str) -> None:
        source, question = first_word(text)
        if not is_url(source, "data:"):
            source = os.path.expanduser(source)
            os.stat(source)  # tell now that it is not there
        if question:
            self._ask(question, source)
        else:
            self.images.append(source)
            self.remark("It goes with the next message.")

    def _undo(self, _: str) -> None:
        gone = self.conversation.undo()
        self._tell("Took back the last question and its answer." if gone else "Nothing to undo.")

    def _clear(self, _: str) -> None:
        self.conversation.clear()
        self._drop_sources()
        self._tell("Everything said so far is forgotten.")

    def _drop_sources(self) -> None:
        self.images, self.files = [], []

    def _save(self, path: str) -> None:
        path = _path(path)
        if os.path.exists(path):
            try:
                there = self._ai.load_conversation(path)
            except PuterInputError as error:
                told = f"{path} holds no conversation, and is left as it is"
                raise PuterInputError(told, hint="Name another file.") from error
            if there.messages and not self.conversation.messages:
                told = f"Nothing was said yet, and {path} is left as it is"
                raise PuterInputError(told, hint=f"To go on with it: /load {path}")
        self._tell(f"Written to {self.conversation.save(path)}")

    def _load(self, path: str) -> None:
        self.conversation = self._ai.load_conversation(_path(path))
        self._drop_sources()
        self._tell(f"{len(self.conversation.messages)} messages, {self.model} answers")

    def _cost(self, _: str) -> None:
        self._tell(spent_by(self._ai))


def _path(text: str) -> str:
    """The one path that a text is, with or without quotes around it."""
    word, rest = first_word(text)
    return os.path.expanduser(text if rest else word)
