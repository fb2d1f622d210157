"""What users give as pictures, sound and files, loaded: one converter for the whole SDK."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, TypeAlias, Union
from urllib.parse import urlsplit

from puter.exceptions import PuterInputError, PuterResponseError
from puter.media import Media, from_data_uri
from puter.wire.http import MAX_BODY
from puter.wire.mime import canonical, mime_of

MAX_FILE = MAX_BODY * 3 // 4
"""Bytes of one file: as base64 it must fit into the server's 50 MB of JSON."""


@dataclass(frozen=True, slots=True)
class PuterFile:
    """A file in the user's Puter.

    Attributes:
        path: Absolute (``/alice/Documents/cat.png``) or beginning with ``~/``.
        name: Its name, where the server told; so with all that follow.
        uid: Its id.
        size: Bytes.
        is_folder: Whether it is a folder.
        mime_type: What it holds.
        raw: The server's own entry.
    """

    path: str
    name: str = ""
    uid: str = ""
    size: int | None = None
    is_folder: bool = False
    mime_type: str = ""
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path.startswith(("/", "~/")):
            raise PuterInputError(
                f"{self.path!r} is no Puter path",
                hint="Begin it with / or ~/ ; others are unknown.",
            )


Source: TypeAlias = Union[
    str,
    "os.PathLike[str]",
    bytes,
    bytearray,
    memoryview,
    IO[bytes],
    tuple[Any, str],
    Mapping[str, Any],
    Media,
    PuterFile,
    Any,  # a PIL image
]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A source as far as it has to be read: exactly one of ``path``, ``url`` and ``data`` is set.

    Attributes:
        path: Where it is in the user's Puter.
        url: Where it is on the web.
        data: Its bytes.
        mime_type: What it is, ``""`` when nothing tells.
        name: Its file name, ``""`` when it has none.
    """

    path: str | None = None
    url: str | None = None
    data: bytes | None = None
    mime_type: str = ""
    name: str = ""


def listed(name: str, sources: Any) -> list[Any]:
    """``images=`` and ``files=`` take one source or a list of them."""
    if sources is None:
        return []
    single = isinstance(sources, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(
        sources, Sequence
    )
    pair = isinstance(sources, tuple) and len(sources) == 2 and _is_mime(sources[1])
    found = [sources] if single or pair else list(sources)
    if any(one is None for one in found):
        raise PuterInputError(f"{name} holds None", hint="Leave it out.")
    return found


def load(source: Any, limit: int | None = None) -> Loaded:
    """Load a source. Reads files, so it is called through the driver.

    Args:
        source: Path, bytes, file object, ``(data, mime type)``, http(s) URL, data URI, PIL image,
            a picture or sound from a reply, ``PuterFile``, or a path beginning with ``~/``.
        limit: Bytes at most. Default: what one request can carry.

    Raises:
        PuterInputError: It is none of these, cannot be read, is empty or too large.
    """
    if isinstance(source, str) and source.startswith("~/"):
        source = PuterFile(source)
    if isinstance(source, PuterFile):
        return Loaded(path=source.path, name=source.path.rpartition("/")[2])
    said = ""
    if isinstance(source, tuple):
        if len(source) != 2 or not _is_mime(source[1]):
            raise PuterInputError("A tuple must be (data, mime type), such as (data, 'image/png')")
        source, said = source[0], canonical(source[1])
    url = _url_of(source)
    if url is not None:
        return _remote(url, said)
    most = MAX_FILE if limit is None else min(limit, MAX_FILE)
    data, name, told = _read(source, most)
    if not data:
        raise PuterInputError(f"{name or 'The data'} is empty")
    if len(data) > most:
        raise PuterInputError(
            f"{name or 'The data'} is larger than the {most / 2**20:g} MiB that can be sent",
            hint="Make it smaller, or put it into your Puter and pass PuterFile(path).",
        )
    return Loaded(data=data, mime_type=said or told or mime_of(data, name), name=name)


def _remote(url: str, said: str) -> Loaded:
    try:
        path = urlsplit(url).path
    except ValueError as error:
        raise PuterInputError(f"{url!r} is no URL: {error}") from None
    return Loaded(url=url, mime_type=said or mime_of(None, path), name=path.rpartition("/")[2])


def _is_mime(value: Any) -> bool:
    return isinstance(value, str) and value.lower().startswith(_MIME_STARTS)


_MIME_STARTS = ("image/", "video/", "audio/", "text/", "application/")


def _url_of(source: Any) -> str | None:
    if isinstance(source, Media):
        return source.url
    is_url = isinstance(source, str) and source.lower().startswith(("http://", "https://"))
    return source if is_url else None


def _read(source: Any, most: int) -> tuple[bytes, str, str]:
    """The bytes of a source, and its name and type as far as it tells them itself."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), "", ""
    if isinstance(source, Media):
        return source.bytes, "", source.mime_type
    if isinstance(source, str) and source[:5].lower() == "data:":
        return _read_data_uri(source)
    if not (isinstance(source, (str, os.PathLike)) or callable(getattr(source, "read", None))):
        if _is_pil(source):
            return _read_pil(source)
        raise PuterInputError(
            f"A {type(source).__name__} is neither a picture nor a file",
            hint="Pass a path, bytes, a file, (data, mime type), a URL, a PIL image or PuterFile.",
        )
    file_like: Any = source if hasattr(source, "read") else None
    name = os.fspath(source) if file_like is None else getattr(file_like, "name", "")
    name = name if isinstance(name, str) else ""
    try:
        if file_like is not None:
            data = file_like.read()
        else:
            with open(source, "rb") as file:
                data = file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PuterInputError(
            f"{name[:200]!r} cannot be read: {reason}",
            hint="For a file in your Puter pass PuterFile('/you/...') or '~/...'.",
        ) from error
    if not isinstance(data, (bytes, bytearray)):
        raise PuterInputError("The file is open for text", hint="Open it with mode 'rb'.")
    return bytes(data), os.path.basename(name), ""


def _read_data_uri(address: str) -> tuple[bytes, str, str]:
    try:
        data, mime_type = from_data_uri(address)
    except PuterResponseError:
        raise PuterInputError(f"{address[:40]!r} is no data URI") from None
    return data, "", mime_type


def _is_pil(source: Any) -> bool:
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(source, module.Image)


def _read_pil(picture: Any) -> tuple[bytes, str, str]:
    kind = picture.format if picture.format in ("JPEG", "PNG", "WEBP", "GIF") else "PNG"
    buffer = io.BytesIO()
    try:
        picture.save(buffer, format=kind)
    except (OSError, ValueError) as error:
        raise PuterInputError(
            f"The picture cannot be written as {kind}: {error}", hint="Pass picture.convert('RGB')."
        ) from error
    return buffer.getvalue(), "", f"image/{kind.lower()}"
