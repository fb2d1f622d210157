"""Pictures and files for a chat: from whatever the user has to parts of a message."""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """

    path: str

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


def part_of(source: Any, *, picture: bool) -> dict[str, Any]:
    """The part of a message for a source, in the OpenAI form (see :mod:`puter.wire.dialect`).

    Reads files, so it is called through the driver.

    Args:
        source: Path, bytes, file object, ``(data, mime type)``, http(s) URL, data URI, PIL image,
            a picture from a reply, ``PuterFile``, a path beginning with ``~/``, or a ready part.
        picture: It must be a picture or a film.

    Raises:
        PuterInputError: It is none of these, cannot be read, is too large or is no picture.
    """
    if isinstance(source, Mapping):
        return dict(source)
    if isinstance(source, str) and source.startswith("~/"):
        source = PuterFile(source)
    if isinstance(source, PuterFile):
        return {"type": "file", "puter_path": source.path}
    mime_type = ""
    if isinstance(source, tuple):
        if len(source) != 2 or not _is_mime(source[1]):
            raise PuterInputError("A tuple must be (data, mime type), such as (data, 'image/png')")
        source, mime_type = source[0], canonical(source[1])
    address = _address_of(source)
    if address is not None:
        return _remote(address, mime_type, picture=picture)
    data, name, told = _read(source)
    if not data:
        raise PuterInputError(f"{name or 'The data'} is empty")
    if len(data) > MAX_FILE:
        raise PuterInputError(
            f"{name or 'The data'} is larger than the {MAX_FILE / 2**20:.0f} MiB that can be sent",
            hint="Make it smaller, or put it into your Puter and pass PuterFile(path).",
        )
    return _inline(data, mime_type or told or mime_of(data, name), name, picture=picture)


def _is_mime(value: Any) -> bool:
    return isinstance(value, str) and value.lower().startswith(_MIME_STARTS)


_MIME_STARTS = ("image/", "video/", "audio/", "text/", "application/")


def _address_of(source: Any) -> str | None:
    if isinstance(source, Media):
        return source.url
    is_url = isinstance(source, str) and source.lower().startswith(("http://", "https://"))
    return source if is_url else None


def _remote(address: str, mime_type: str, *, picture: bool) -> dict[str, Any]:
    try:
        path = urlsplit(address).path
    except ValueError as error:
        raise PuterInputError(f"{address!r} is no URL: {error}") from None
    kind = mime_type or mime_of(None, path)
    if kind.startswith("video/"):
        return {"type": "video_url", "video_url": {"url": address}}
    if picture or kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": address}}
    name = path.rpartition("/")[2] or "file"
    return {"type": "file", "file": {"filename": name, "file_data": address}}


def _inline(data: bytes, kind: str, name: str, *, picture: bool) -> dict[str, Any]:
    if not picture and not kind.startswith(("image/", "audio/", "video/")):
        text = _text_of(data, kind)
        if text is not None:
            title = f' name="{name}"' if name else ""
            return {"type": "text", "text": f"<file{title}>\n{text}\n</file>"}
    return _dressed(base64.b64encode(data).decode(), kind, name or "file", picture=picture)


def _dressed(data: str, kind: str, name: str, *, picture: bool) -> dict[str, Any]:
    address = f"data:{kind or 'application/octet-stream'};base64,{data}"
    if kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": address}}
    if kind.startswith("video/"):
        return {"type": "video_url", "video_url": {"url": address}}
    if picture:
        raise PuterInputError(
            f"{name} is not a picture{f' but {kind}' if kind else ' of a known kind'}",
            hint="Say what it is, as (data, 'image/png'), or pass it in files=.",
        )
    if kind.startswith("audio/"):
        spoken = {"audio/mpeg": "mp3"}.get(kind, kind.partition("/")[2])
        return {"type": "input_audio", "input_audio": {"data": data, "format": spoken}}
    return {"type": "file", "file": {"filename": name, "file_data": address}}


def _text_of(data: bytes, kind: str) -> str | None:
    if kind and not kind.startswith("text/") and kind not in _TEXTUAL:
        return None
    if b"\x00" in data:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


_TEXTUAL = (
    "application/json", "application/xml", "application/yaml", "application/toml",
    "application/javascript", "application/x-sh", "application/x-yaml", "application/sql",
)  # fmt: skip


def _read(source: Any) -> tuple[bytes, str, str]:
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
    name = getattr(source, "name", "") if hasattr(source, "read") else os.fspath(source)
    name = name if isinstance(name, str) else ""
    try:
        if hasattr(source, "read"):
            data = source.read()
        else:
            with open(source, "rb") as file:
                data = file.read(MAX_FILE + 1)
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
