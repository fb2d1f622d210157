"""``puter-ai chat``: a conversation in the terminal."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import click

from puter.cli.errors import sentence
from puter.cli.keyboard import History, Keyboard, history_path, read_message, read_piped_line
from puter.cli.parameters import STDIN, chat_options, given, need_output, spent_by
from puter.cli.session import Session, pass_session, stdin_is_interactive
from puter.cli.talk import Talk
from puter.exceptions import PuterInputError


@click.command()
@chat_options(" with the first message")
@click.option(
    "--load",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Go on with a conversation that /save wrote.",
)
@click.option("--no-history", is_flag=True, help="Keep nothing that is typed in a file.")
@pass_session
def chat(
    session: Session,
    /,
    model: str | None,
    system: str | None,
    images: tuple[str, ...],
    files: tuple[str, ...],
    temperature: float | None,
    max_tokens: int | None,
    options: dict[str, Any],
    load: str | None,
    no_history: bool,
) -> None:
    """Talk with a model; /help lists what can be typed.

    Each line of standard input is a message or a command. At a terminal Ctrl-C stops an answer,
    and Ctrl-D leaves.
    """
    if STDIN in (*images, *files):
        raise click.UsageError("Standard input is what is said, and no file.")
    need_output()
    options = given(options, temperature=temperature, max_tokens=max_tokens)
    interactive = stdin_is_interactive()
    with session.client() as ai, ExitStack() as stack:
        conversation = ai.load_conversation(load) if load else ai.conversation()
        conversation.model = model or conversation.model
        conversation.system = system or conversation.system
        if interactive:
            history = None if no_history else _history(session)
            if history is not None:
                stack.enter_context(history)
            read = Keyboard(ai.get_available_models(), history).read
        else:
            read = partial(read_message, read_piped_line)
        talk = Talk(session, ai, conversation, read, interactive=interactive, options=options)
        talk.images, talk.files = list(images), list(files)
        if interactive:
            talk.remark(f"{talk.model} answers. /help lists commands, Ctrl-D leaves.")
        talk.run()
        if interactive:
            talk.remark(spent_by(ai))
        elif talk.failed:
            click.get_current_context().exit(1)


def _history(session: Session) -> History | None:
    """What was typed before, and a file for more; a remark where that cannot be."""
    path = history_path()
    try:
        return History(path)
    except (OSError, PuterInputError) as error:
        session.tell(f"No history is kept: {sentence(error)}")
        return None
