"""Options and arguments that several commands have."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, AnyStr, TypeVar

import click
from click.shell_completion import CompletionItem

from puter.api.chat import chat_request
from puter.checks import did_you_mean, near_misses
from puter.exceptions import PuterConfigError, PuterInputError
from puter.money import usd
from puter.options import ChatOptions
from puter.wire.json import MAX_BODY

if TYPE_CHECKING:
    from puter.ai import PuterAI
    from puter.cli.session import Session

F = TypeVar("F", bound=Callable[..., Any])

STDIN = "-"
"""Stands for standard input where a file is named."""


class ModelName(click.ParamType):  # type: ignore[type-arg]  # which click 8.1 has not
    """A model; the offline registry completes its name, and the server knows more."""

    name = "name"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Names that begin so."""
        from puter.models import registry

        return [CompletionItem(one) for one in registry().providers if one.startswith(incomplete)]


def model_option(told: str = "Which model. Default: the configured one.") -> Callable[[F], F]:
    return click.option("-m", "--model", type=ModelName(), metavar="NAME", help=told)


def _pairs(_ctx: click.Context, _param: click.Parameter, texts: Sequence[str]) -> dict[str, Any]:
    return dict(map(_pair, texts))


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE, such as temperature=0.5.")
    try:
        return name.replace("-", "_"), json.loads(value)
    except (ValueError, RecursionError):
        return name.replace("-", "_"), value


more_options = click.option(
    *("--option", "options"),
    multiple=True,
    metavar="NAME=VALUE",
    callback=_pairs,
    help="Any other option, see the reference; VALUE is JSON, or else text. May be repeated.",
)
"""Any other option of the method, as ``name=value``."""

system_option = click.option("-s", "--system", metavar="TEXT", help="Instructions for the model.")


def chat_options(sources: str) -> Callable[[F], F]:
    """The options of a chat: ``ask`` and ``chat`` have the same.

    Args:
        sources: What help adds on images and files.
    """
    return all_of(
        model_option(),
        system_option,
        click.option(
            *("-i", "--image", "images"),
            multiple=True,
            metavar="FILE|URL",
            help=f"An image to show{sources}. May be repeated.",
        ),
        click.option(
            *("-f", "--file", "files"),
            multiple=True,
            metavar="FILE|URL",
            help=f"A file to send along{sources}. May be repeated.",
        ),
        answer_options,
    )


def all_of(*options: Callable[[F], F]) -> Callable[[F], F]:
    """One decorator for several, in the order of help."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


answer_options = all_of(
    click.option("--temperature", type=float, metavar="NUMBER", help="Randomness, about 0 to 2."),
    click.option("--max-tokens", type=int, metavar="NUMBER", help="Most tokens in the answer."),
    more_options,
)
"""The options that shape an answer."""


def given(options: dict[str, Any], **named: Any) -> dict[str, Any]:
    """Options of a chat that were given, by name or as ``--option``.

    Raises:
        click.UsageError: There is no option of such a name, or its value is not valid.
    """
    check_names(options, list(ChatOptions.__annotations__))
    found = {**{name: value for name, value in named.items() if value is not None}, **options}
    with told_as_wrong_use():
        chat_request("chat", None, None, found)
    return found


def check_names(options: dict[str, Any], allowed: Sequence[str] | Callable[..., Any]) -> None:
    """Refuse names that are none of these, or no keyword of the method.

    Raises:
        click.UsageError: With near ones.
    """
    names = keywords_of(allowed) if callable(allowed) else allowed
    for name in options:
        if name not in names:
            near = did_you_mean(near_misses(name, names))
            raise click.UsageError(f"There is no option {name!r}. {near}".rstrip())


def keywords_of(method: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(method).parameters.values()
    return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]


@contextmanager
def told_as_wrong_use(
    kind: type[click.UsageError] = click.UsageError,
) -> Generator[None, None, None]:
    """What the client refuses is refused as a wrong use of the command, with exit code 2."""
    try:
        yield
    except (PuterInputError, PuterConfigError) as error:
        raise kind(str(error)) from None


def checked(check: Callable[[Any], Any]) -> Callable[..., Any]:
    """A callback of an option: a value that the check refuses is a wrong use of it."""

    def callback(_ctx: click.Context, _option: click.Parameter, value: Any) -> Any:
        with told_as_wrong_use(click.BadParameter):
            return None if value is None else check(value)

    return callback


def text_of(words: Sequence[str], sources: Sequence[str] = ()) -> str:
    """The text of a call: the words, a blank line, what is piped in.

    ``-`` in place of words is standard input, also where somebody types it.

    Args:
        words: Those of the command line.
        sources: Files that go along; where standard input is one of them, it has no text.

    Raises:
        click.UsageError: There is none; or standard input is no text, too long, or wanted twice.
    """
    named = list(words) == [STDIN]
    if sources.count(STDIN) + named > 1:
        raise click.UsageError("Standard input can be one of them only: the text, or a file.")
    if STDIN in sources:
        return " ".join(words)
    parts = "" if named else " ".join(words), _piped(typed=named)
    text = "\n\n".join(part for part in parts if part.strip())
    if not text:
        raise click.UsageError("There is no text, neither as words nor on standard input.")
    return text


def _piped(*, typed: bool) -> str:
    """What comes on standard input; ``""`` from a terminal, unless it may be ``typed``."""
    if sys.stdin is None or (sys.stdin.isatty() and not typed):  # None: it was closed
        return ""
    try:
        text: str = _whole(sys.stdin)
        text.encode()  # in some locales bytes that are no text are read as halves of characters
        return text
    except UnicodeError:
        told = "Standard input is no text. An image or a file goes along with -i - or -f -."
        raise click.UsageError(told) from None


def source_of(name: str) -> str | bytes:
    """A file or URL as the client takes it; ``-`` is what is piped in.

    Raises:
        click.UsageError: Standard input is closed, or too long.
    """
    if name != STDIN:
        return name
    if sys.stdin is None:
        raise click.UsageError("Standard input is closed.")
    data: bytes = _whole(sys.stdin.buffer)
    return data


def _whole(stream: IO[AnyStr]) -> AnyStr:
    """All of a stream that may have no end.

    Raises:
        click.UsageError: It is longer than what can be sent.
    """
    found = stream.read(MAX_BODY + 1)
    if len(found) > MAX_BODY:
        raise click.UsageError(f"Standard input is longer than {MAX_BODY >> 20} MiB.")
    return found


def need_output() -> None:
    """Before a text is paid: somebody must be there to get it.

    Raises:
        click.UsageError: Standard output is closed.
    """
    if sys.stdout is None:
        raise click.UsageError("Standard output is closed: nobody would get the answer.")


def cost_option(command: F) -> F:
    told = "Tell on standard error what it cost."
    return click.option("--cost", is_flag=True, help=told)(command)


@contextmanager
def telling_cost(wanted: bool, session: Session, ai: PuterAI) -> Generator[None, None, None]:
    """Tell at the end what the client spent, also for an answer that failed or was stopped."""
    try:
        yield
    finally:
        if wanted:
            session.tell(spent_by(ai))


def spent_by(ai: PuterAI) -> str:
    """What the calls of a client cost, and their tokens."""
    spent = ai.usage.total
    tokens = f", {spent.input_tokens:,} tokens in, {spent.output_tokens:,} out"
    return usd(spent.cost, spent.unpriced) + (tokens if spent.output_tokens else "")
