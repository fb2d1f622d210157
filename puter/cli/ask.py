"""``puter-ai "prompt"``: one question, one answer."""

from __future__ import annotations

from typing import Any

import click

from puter.cli.parameters import (
    chat_options,
    cost_option,
    given,
    need_output,
    source_of,
    telling_cost,
    text_of,
)
from puter.cli.printing import show, show_text
from puter.cli.rescue import kept_elsewhere, saving
from puter.cli.session import Session, pass_session
from puter.cli.text import json_for, write
from puter.types.replies import ChatReply


@click.command()
@click.argument("prompt", nargs=-1)
@chat_options(", - for one piped in")
@click.option("--json", "as_json", is_flag=True, help="Print text, model, usage and cost as JSON.")
@cost_option
@click.option("--no-stream", is_flag=True, help="Print the answer when it is complete.")
@pass_session
def ask(
    session: Session,
    prompt: tuple[str, ...],
    model: str | None,
    system: str | None,
    images: tuple[str, ...],
    files: tuple[str, ...],
    temperature: float | None,
    max_tokens: int | None,
    options: dict[str, Any],
    as_json: bool,
    cost: bool,
    no_stream: bool,
) -> None:
    """Ask a model: the words of the prompt, then what is piped in.

    The answer is printed as it comes. A first word that is no command is a prompt, so `ask` may be
    left out.
    """
    need_output()
    options = given(options, temperature=temperature, max_tokens=max_tokens)
    text = text_of(prompt, [*images, *files])
    with session.client() as ai, telling_cost(cost, session, ai):
        arguments: dict[str, Any] = {
            "system": system,
            "images": [source_of(one) for one in images] or None,
            "files": [source_of(one) for one in files] or None,
            "remember": False,
            **options,
        }
        if as_json:
            file = session.output.file
            answer = json_for(file, _data(ai.chat(text, model, **arguments)))
            with kept_elsewhere(saving(answer), "answer.json"):
                write(file, answer)
        elif no_stream:
            show_text(ai.chat(text, model, **arguments), session)
        else:
            show(ai.chat(text, model, stream=True, **arguments), session)


def _data(reply: ChatReply) -> dict[str, Any]:
    """What ``--json`` prints; costs are strings, which are exact."""
    data = reply.to_dict()
    names = ("text", "model", "provider", "finish_reason", "usage", "cost", "images")
    usage = {name: value for name, value in data["usage"].items() if name != "raw"}
    return {**{name: data[name] for name in names}, "usage": usage}
