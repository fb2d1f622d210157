"""A request as a command of curl's, without what is secret."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from puter.wire.redact import Redactor

if TYPE_CHECKING:
    from puter.wire.http import HttpRequest

LONGEST_ARGUMENT = 2**16
"""Bytes of a body that is an argument; Linux allows twice as many, quotes included."""
_LOOKS_PRIVATE = r"(?i)auth|cookie|credential|key|passw|secret|session|signature|token"


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
