"""Where what was made is written: never over a file that is there, unless that is asked for."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import click

from puter.atomic import check_writable
from puter.cli.parameters import STDIN, all_of, need_output
from puter.cli.rescue import kept_elsewhere, save_or_keep
from puter.types.mime import canonical, extension_of, mime_of

if TYPE_CHECKING:
    from puter.cli.session import Session
    from puter.types.media import Media

LONGEST = 48
"""Characters of a name that a text gives."""


output_options = all_of(
    click.option(
        *("-o", "--output"),
        metavar="FILE",
        help="File to write, - for standard output. Default: named after the text.",
    ),
    click.option("--overwrite", is_flag=True, help="Write over the file if it is there."),
)


class Output:
    """Where a command writes to; what cannot be written is found before anything is paid.

    Args:
        named: What the user named; None: a name made from ``text``.
        text: What was asked for.
        overwrite: Whether a file may be replaced.

    Raises:
        click.UsageError: The file is there, its folder is not, or binary data would go to a
            terminal or nowhere.
        OSError: Nothing can be written there.
    """

    def __init__(self, named: str | None, text: str, *, overwrite: bool) -> None:
        self._title, self._overwrite = _name_of(text), overwrite
        self._name = named or self._title
        self._may_number = named is None
        if named is None:
            check_writable(self._name)
            return
        if named == STDIN:
            need_output()
            if sys.stdout.isatty():
                raise click.UsageError("A terminal cannot show this: redirect it, or name a file.")
        elif os.path.lexists(named) and not overwrite:
            raise click.UsageError(f"{named} is there already: name another, or use --overwrite.")
        elif not os.path.isdir(os.path.dirname(named) or os.curdir):
            raise click.UsageError(f"There is no folder {os.path.dirname(named)}.")
        else:
            check_writable(named)

    def save(self, media: Media, session: Session) -> None:
        """Write it, and print the name of the file; tell of one that says something else.

        Raises:
            click.ClickException: It cannot be written; where it is kept.
        """
        if self._name == STDIN:
            with kept_elsewhere(media.save, self._title):
                for piece in media.iter_bytes():
                    sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
            return
        if not media.mime_type:
            media.read()  # a URL tells its type when it is fetched
        path = save_or_keep(media.save, self._free(extension_of(media.mime_type)))
        click.echo(path)
        if mime_of(None, path.name) not in ("", holds := canonical(media.mime_type)):
            session.tell(f"{path} holds {holds}, which its name does not say.", style="yellow")

    def _free(self, extension: str) -> str:
        """The name, with a number where it is taken by now: what was paid for is not lost."""
        stem, given = os.path.splitext(self._name)
        if self._may_number:
            stem, given = self._name, ""
        ending, number = given or extension, 1
        while os.path.lexists(path := f"{stem}{f'-{number}' if number > 1 else ''}{ending}"):
            if self._overwrite and not self._may_number:
                break
            number += 1
        return path


def _name_of(text: str) -> str:
    words = re.findall(r"\w+", text.lower())
    name = ""
    for word in words:
        if name and len(name) + len(word) >= LONGEST:
            break
        name += f"-{word[:LONGEST]}" if name else word[:LONGEST]
    return name or "puter"
