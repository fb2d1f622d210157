"""``PuterFile``: a file in the user's Puter. ``Source``: what is taken as an image or a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Protocol, TypeAlias

from puter.exceptions import PuterInputError, repr_of
from puter.types.media import Media


@dataclass(frozen=True, slots=True)
class PuterFile:
    """A file in the user's Puter.

    Examples:
        >>> PuterFile("~/Documents/cat.png").path
        '~/Documents/cat.png'
    """

    path: str
    """Absolute (``/alice/Documents/cat.png``) or beginning with ``~/``."""
    name: str = ""
    """File name, ``""`` when the server did not say."""
    uid: str = ""
    """Id at the server, ``""`` when it did not say."""
    size: int | None = None
    """Bytes, None when the server did not say."""
    is_folder: bool = False
    """Whether it is a folder."""
    mime_type: str = ""
    """MIME type, ``""`` when the server did not say."""
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The server's own entry."""

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path.startswith(("/", "~/")):
            raise PuterInputError(
                f"{repr_of(self.path)} is no Puter path",
                hint="Begin it with / or ~/ ; others are unknown.",
            )
        if not self.path.isascii() and any("\ud800" <= one <= "\udfff" for one in self.path):
            raise PuterInputError(
                f"{self.path!r} is no Puter path: it holds half a character",
                hint="Puter's names are UTF-8; path.encode('utf-8', 'replace').decode() is.",
            )


class SupportsRead(Protocol):
    """A file open for reading bytes."""

    def read(self) -> bytes: ...


class PilImage(Protocol):
    """A ``PIL.Image.Image``, as far as it is used."""

    @property
    def format(self) -> str | None: ...
    @property
    def mode(self) -> str: ...
    def save(self, fp: IO[bytes], format: str | None = None) -> None: ...  # noqa: A002 - PIL's name
    def convert(self, mode: str | None = None) -> PilImage: ...


_Data: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | SupportsRead | PilImage

Source: TypeAlias = _Data | tuple[_Data, str] | Media | PuterFile | Mapping[str, object]
"""Path or URL or data URI, bytes, open file, PIL image, any of these as ``(source, mime type)``, a
``Media`` of an earlier call, a ``PuterFile`` or path beginning with ``~/``, or a ready part."""


def is_pil(value: object) -> bool:
    """Whether it is an image of PIL's, which is not loaded to find out."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)
