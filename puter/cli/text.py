"""Text of others made safe for a terminal."""

from __future__ import annotations

import json
import re
from typing import IO, Any

_ESCAPES = re.compile(
    r"(?:\x1b\]|\x9d|\x1b[P^_X]|[\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # strings
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|\x1b[ -/]*[0-~]?"  # the others
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Text without what a terminal would obey; line feeds and tabs stay.

    Escape sequences go, and control characters, and what turns the direction of writing.

    Examples:
        >>> printable("a \x1b[31mred\x1b[0m one\x07 \r\n")
        'a red one \n'
    """
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def one_line(text: str) -> str:
    """The same with white space of any kind as single spaces."""
    return " ".join(printable(text).split())


def write(file: IO[str], text: str) -> None:
    """Write text at once; characters that the encoding lacks become question marks."""
    try:
        file.write(text)
    except UnicodeEncodeError:
        encoding = getattr(file, "encoding", None) or "ascii"
        file.write(text.encode(encoding, "replace").decode(encoding))
    file.flush()


def write_json(file: IO[str], data: Any) -> None:
    """Write data as JSON."""
    write(file, json_for(file, data))


def json_for(file: IO[str], data: Any) -> str:
    """Data as JSON; for a pipe that takes any character, characters are as they are."""
    encoding = (getattr(file, "encoding", None) or "").lower().replace("-", "")
    plain = encoding != "utf8" or file.isatty()  # a terminal would obey some of them
    return json.dumps(data, indent=2, default=str, ensure_ascii=plain) + "\n"
