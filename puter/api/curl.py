"""A request as a command of curl's, without what is secret."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

from puter.exceptions import PuterError
from puter.wire.messages import Message, check_messages
from puter.wire.redact import Redactor

if TYPE_CHECKING:
    import weakref
    from typing import TypeAlias

    from puter.history import History
    from puter.wire.http import HttpRequest

    Past: TypeAlias = tuple[weakref.ref[History], int, Message, Message]
    """The history; how many messages went before the turn; the first and the last of them."""

LONGEST_ARGUMENT = 2**16
"""Bytes of a body that is an argument; Linux allows twice as many, quotes included."""
_LOOKS_PRIVATE = r"(?i)auth|cookie|credential|key|passw|secret|session|signature|token"


def command_of(encode: Callable[[list[Message]], HttpRequest], past: Past | None) -> str:
    """The command of a turn's request, with the messages before it taken from the history.

    Raises:
        PuterError: They are there no longer.
    """
    return command(encode([] if past is None else _before(*past)))


def _before(
    kept: weakref.ref[History], length: int, first: Message, last: Message
) -> list[Message]:
    history = kept()
    past = [] if history is None else history.messages[:length]
    if past:
        past = check_messages(past, "chat_history", copy=False)
    if past[:1] != [first]:  # the instructions
        past = [first, *past[: length - 1]]
    if len(past) != length or past[-1] != last:
        raise PuterError(
            "The messages that were sent before this turn are in the history no longer",
            hint="Call as_curl() before you clear, trim or drop the conversation.",
        )
    return past


def command(request: HttpRequest) -> str:
    r"""A command that sends the request again; its token is ``$PUTER_AUTH_TOKEN``.

    Examples:
        >>> from puter.wire.http import HttpRequest
        >>> print(command(HttpRequest("GET", "https://api.puter.com/whoami")))
        curl https://api.puter.com/whoami \
          -H "Authorization: Bearer $PUTER_AUTH_TOKEN"
    """
    body = bytes(request.body or b"").decode()
    is_long = len(body) > LONGEST_ARGUMENT
    options = [f"-X {request.method}"] if request.method != ("POST" if body else "GET") else []
    options += ["-N"] if request.stream else []  # what comes is shown as it comes
    options += [_header(name, value) for name, value in request.headers.items()]
    if request.authenticated:
        options.append('-H "Authorization: Bearer $PUTER_AUTH_TOKEN"')
    elif request.token is not None:
        options.append('-H "Authorization: Bearer $API_KEY"')
    if body:
        options.append("--data-binary @- <<'END'" if is_long else f"--data-raw {shlex.quote(body)}")
    lines = " \\\n  ".join([f"curl {shlex.quote(request.url)}", *options])
    return f"{lines}\n{body}\nEND" if is_long else lines


def _header(name: str, value: str) -> str:
    if re.search(_LOOKS_PRIVATE, name) or Redactor()(value) != value:
        variable = re.sub(r"\W", "_", name).upper()
        return f'-H {shlex.quote(f"{name}: ")}"${variable}"'
    return f"-H {shlex.quote(f'{name}: {value}')}"
