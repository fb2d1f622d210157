"""The click group ``app``: global options, commands loaded when they are asked for, errors."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from shutil import get_terminal_size
from typing import Any, TextIO

import click
from click.shell_completion import CompletionItem

from puter.checks import did_you_mean, near_misses
from puter.cli import plugins
from puter.cli.session import Session, stdin_is_interactive
from puter.exceptions import PuterError
from puter.version import __version__

COMMANDS = {
    "ask": "Ask a model: the words of the prompt, then what is piped in.",
    "batch": "Ask about each item of a file, several at a time.",
    "chat": "Talk with a model; /help lists what can be typed.",
    "completion": "Print a completion script for a shell.",
    "config": "Show the settings and where each comes from, but no secret.",
    "image": "Make an image from words, and print the name of its file.",
    "local": "Serve a Puter on this machine until Ctrl-C: no account, no cost.",
    "login": "Sign in to Puter.",
    "logout": "Sign out, and remove the token that login saved.",
    "logs": "Show the log of prompts, answers and costs.",
    "models": "List models with their prices, the cheapest first.",
    "ocr": "Read the text in an image or a document, - for one piped in.",
    "say": "Speak a text, and print the name of the file with the speech.",
    "serve": "Let programs made for OpenAI or Anthropic use Puter.",
    "transcribe": "Write down what is said in a recording, - for one piped in.",
    "usage": "Show what the account spent this month, by model, and what is left.",
    "video": "Make a video from words, and print the name of its file.",
    "whoami": "Show who is signed in.",
}
"""Each command, in the module of ``puter.cli`` of its name, and what help on all of them says."""

DEFAULT = "ask"
"""The command of a first word that is none."""


class Commands(click.Group):
    """Commands by name: ours, then those of plugins; any other word is a prompt."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All names, sorted."""
        return sorted({*COMMANDS, *plugins.names()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load one; None when there is none."""
        found: click.Command | None
        if cmd_name in COMMANDS:
            found = getattr(import_module(f"puter.cli.{cmd_name}"), cmd_name)
        else:
            found = plugins.load(cmd_name)
        return None if found is None else _with_global_options(found)

    def _summaries(self) -> list[tuple[str, str]]:
        """All names with what they do; only those of plugins are loaded for it."""
        theirs = {name: one.get_short_help_str() for name, one in plugins.load_all().items()}
        return sorted({**theirs, **COMMANDS}.items())

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the part of ``--help`` with all commands."""
        with formatter.section("Commands"):
            formatter.write_dl(self._summaries())

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands that begin so, else options."""
        named = [one for one in self._summaries() if one[0].startswith(incomplete)]
        found = [CompletionItem(name, help=told) for name, told in named]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first word, or the default one with all words."""
        name, *rest = args
        command = self.get_command(ctx, name)
        if command is None:
            self._check_spelling(ctx, *args)
            name, rest = DEFAULT, args
            command = self.get_command(ctx, DEFAULT)
        return name, command, rest

    def _check_spelling(self, ctx: click.Context, word: str, *others: str) -> None:
        """Refuse what looks like a misspelt command: as a prompt it would be billed."""
        prompt_goes_on = others and not others[0].startswith("-")
        if prompt_goes_on or ctx.resilient_parsing or not stdin_is_interactive():
            return
        if near := near_misses(word, self.list_commands(ctx)):
            told = f"There is no command {word!r}. {did_you_mean(near)}"
            raise click.UsageError(f"{told} To ask a model: puter-ai {DEFAULT} {word}.", ctx)


def _keep(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    session = ctx.find_object(Session)
    if value and session is not None and option.name:
        setattr(session, option.name, value)


def _global_options(*, hidden: bool) -> list[click.Option]:
    described: list[tuple[str, bool, str]] = [
        ("--local", True, "Talk to a Puter inside this process: no account, no network, no cost."),
        ("--debug", True, "Show errors with their traceback."),
        ("--profile", False, "Profile of the config files to use."),
    ]
    return [
        click.Option(
            [name],
            is_flag=flag,
            help=told,
            hidden=hidden,
            expose_value=False,
            callback=_keep,
            metavar=None if flag else "NAME",
        )
        for name, flag, told in described
    ]


_ALSO_AFTER_COMMANDS = _global_options(hidden=True)


def _with_global_options(command: click.Command) -> click.Command:
    """The command, which takes the global options as well, unless it has some of that name."""
    taken = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    command.params += [one for one in _ALSO_AFTER_COMMANDS if not taken.intersection(one.opts)]
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _with_global_options(inner)
    return command


@click.group(
    cls=Commands,
    params=_global_options(hidden=False),
    invoke_without_command=True,
    # options of the default command may stand first: puter-ai -m gpt-4.1 "Hello"
    context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="puter-ai")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Puter's AI on the command line.

    \b
    puter-ai "Name the capital of France"
    git diff | puter-ai "Sum this up"
    puter-ai --local "Say hello"
    """  # noqa: D301 - click knows this character, not its escape
    if ctx.invoked_subcommand is None:  # the prompt is what is piped in, or there is none
        if sys.stdin is None or sys.stdin.isatty():
            click.echo(ctx.get_help())
            ctx.exit(2)
        command = app.get_command(ctx, DEFAULT)
        assert command is not None  # noqa: S101 - for type checkers
        with command.make_context(DEFAULT, [], parent=ctx) as inner:
            command.invoke(inner)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and tell its errors; returns the exit code."""
    session = Session()
    try:
        with warnings.catch_warnings(), session:
            warnings.showwarning = session.warn
            settings: dict[str, Any] = {"obj": session, "terminal_width": _help_width()}
            result = app.main(arguments, "puter-ai", standalone_mode=False, **settings)
            if sys.stdout is not None:  # None: it was closed
                sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except SystemExit as left:  # click and rich leave so when a pipe is closed
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ or error.__context__ or error
        if isinstance(cause, KeyboardInterrupt):
            return 130
        session.tell("The input ended before all was answered.")
        return 1
    except (click.ClickException, PuterError, OSError) as error:
        from puter.cli.errors import exit_code, sentence, without_secrets

        if session.debug:
            with suppress(OSError):
                session.errors.file.write(without_secrets(traceback.format_exc()))
        session.tell(sentence(error), style="bold red")
        return exit_code(error)
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                _let_go_of(stream)


def _let_go_of(stream: TextIO) -> None:
    """Close one that takes no more: Python would try again at its end, tell, and exit with 120."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError):
            stream.close()


def _help_width() -> int | None:
    """Columns of help texts where click's own least, 50, is too much."""
    columns = get_terminal_size().columns
    return columns if columns < 52 else None
