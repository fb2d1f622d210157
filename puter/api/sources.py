"""What users pass as images, audio and files, resolved: one converter for the whole SDK."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from puter.api.text_files import encoding_of
from puter.atomic import open_ordinary
from puter.checks import is_url
from puter.engine.effects import Flow, Invoke, do
from puter.exceptions import PuterInputError
from puter.types.media import Media, from_data_uri, joined, shown_url
from puter.types.mime import canonical, is_textual, mime_of, mime_of_bytes
from puter.types.puter_file import PuterFile, Source, is_pil
from puter.wire.json import MAX_BODY, clean_text

MAX_FILE = MAX_BODY * 3 // 4
"""Bytes of one file: as base64 it must fit into the server's 50 MB of JSON."""


@dataclass(frozen=True, slots=True)
class ResolvedSource:
    """A source, as far as it has to be read: ``path``, ``url``, ``data`` or ``pieces`` is set."""

    path: str | None = None
    """Where it is in the user's Puter."""
    url: str | None = None
    """Where it is on the web."""
    data: bytes | None = None
    """Its bytes."""
    pieces: Iterator[bytes] | None = None
    """Its bytes as they are read, once."""
    mime_type: str = ""
    """Its MIME type, ``""`` when it is not known."""
    name: str = ""
    """Its file name, ``""`` when it has none."""
    encoding: str = ""
    """How its text is encoded, ``""`` when it is no text or was not read."""


def listed(name: str, sources: Source | Sequence[Source] | None) -> list[Source]:
    """``images=`` and ``files=`` take one source or a list of them.

    Raises:
        PuterInputError: None is in the list.
    """
    if sources is None:
        return []
    whole: Any = sources
    single = isinstance(sources, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(
        sources, Sequence
    )
    pair = isinstance(sources, tuple) and len(sources) == 2 and _is_mime(sources[1])
    found: list[Source] = [whole] if single or pair else list(whole)
    if any(one is None for one in found):
        raise PuterInputError(f"{name} holds None", hint="Leave it out.")
    return found


def resolve(
    source: Source | None,
    limit: int | None = None,
    may_be_empty: bool = False,
    *,
    in_pieces: bool = False,
) -> ResolvedSource:
    """Resolve a source. Reads files, so flows call it through ``Invoke``.

    Args:
        source: Path, bytes, file object, ``(data, mime type)``, http(s) URL, data URI, PIL image,
            an image or audio from a reply, ``PuterFile``, or a path beginning with ``~/``.
        limit: Bytes at most. Default: what one request can carry.
        may_be_empty: Take a source without bytes, too.
        in_pieces: Leave what is no text to be read, at once, as ``pieces``, which raise the same.

    Raises:
        PuterInputError: It is none of these, cannot be read, is empty or too large.
    """
    what: Any = source
    if isinstance(what, str) and what.startswith("~/"):
        what = PuterFile(what)
    if isinstance(what, PuterFile):
        return ResolvedSource(path=what.path, name=what.path.rpartition("/")[2])
    stated = ""
    if isinstance(what, tuple):
        if len(what) != 2 or not _is_mime(what[1]):
            raise PuterInputError("A tuple must be (data, mime type), such as (data, 'image/png')")
        what, stated = what[0], canonical(what[1])
    url = _url_of(what)
    if url is not None:
        return _remote(url, stated)
    limit = MAX_FILE if limit is None else min(limit, MAX_FILE)
    pieces, name, mime_type = _read(what, _PIECE if in_pieces else limit + 1)
    pieces = _within(limit, pieces, name)
    start = next(filter(None, pieces), b"")
    if not start and not may_be_empty:
        raise PuterInputError(f"{name or 'The data'} is empty")
    known = stated or mime_type or mime_of_bytes(start)
    mime_type = known or mime_of(None, name)
    may_be_text = is_textual(mime_type) or not (known or mime_type.startswith(_MEDIA) or not start)
    if in_pieces and not may_be_text:
        return ResolvedSource(pieces=chain((start,), pieces), mime_type=mime_type, name=name)
    more = next(pieces, None)
    data = start if more is None else joined(chain((start, more), pieces))
    encoding = encoding_of(data) if may_be_text else None
    if encoding and not is_textual(mime_type):
        mime_type = "text/plain"
    if in_pieces and not encoding:
        pieces = iter((data,))
    return ResolvedSource(
        data=data, pieces=pieces, mime_type=mime_type, name=name, encoding=encoding or ""
    )


def _within(limit: int, pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The pieces, and no more of them than show that they are over the limit."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise PuterInputError(
                f"{name or 'The data'} is larger than the {limit / 2**20:g} MiB that can be sent",
                hint="Make it smaller, or put it into your Puter and pass PuterFile(path).",
            )
        yield piece


def media_source(
    source: Source | None,
    limit: int | None,
    kinds: tuple[str, ...],
    what: str,
    fetch: Callable[[str, str], Flow[ResolvedSource]] | None = None,
) -> Flow[ResolvedSource]:
    """Resolve a source that must be of certain kinds.

    Args:
        source: What ``resolve()`` takes.
        limit: Bytes at most.
        kinds: How its MIME type must begin.
        what: What that is, for the error.
        fetch: Fetches a URL, given with its file name. Default: the server fetches it.

    Raises:
        PuterInputError: It cannot be read, or is not of these kinds.
    """
    resolved = yield from do(Invoke(resolve, (source, limit)))
    if resolved.url is not None and fetch is not None:
        resolved = yield from fetch(resolved.url, resolved.name)
    name, mime_type = resolved.name or "The data", resolved.mime_type
    if mime_type and not mime_type.startswith(kinds):
        raise PuterInputError(
            f"{name} is {mime_type}, not {what}",
            hint=f"Pass {what}, or say what it is: (data, '{kinds[0]}...').",
        )
    if resolved.data is not None and not mime_type:
        example = "png" if kinds[0] == "image/" else "wav"
        raise PuterInputError(
            f"{name} is of no known kind",
            hint=f"Say what it is, such as (data, '{kinds[0]}{example}').",
        )
    return resolved


def _remote(url: str, stated: str) -> ResolvedSource:
    try:
        path = urlsplit(url).path
    except ValueError:  # its words may hold the query
        raise PuterInputError(f"{shown_url(url)!r} is no URL") from None
    name = path.rpartition("/")[2]
    return ResolvedSource(url=url, mime_type=stated or mime_of(None, path), name=name)


def _is_mime(value: Any) -> bool:
    return isinstance(value, str) and value.lower().startswith(_MIME_STARTS)


_MEDIA = ("image/", "video/", "audio/")
_MIME_STARTS = (*_MEDIA, "text/", "application/")


def _url_of(source: Any) -> str | None:
    if isinstance(source, Media):
        return source.url
    return source if isinstance(source, str) and is_url(source) else None


def _read(source: Any, size: int) -> tuple[Iterator[bytes], str, str]:
    """The bytes of a source, and its name and type as far as the source has them.

    A file is read in pieces of that size.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return iter((bytes(source),)), "", ""
    if isinstance(source, Media):
        return source.iter_bytes(), "", source.mime_type
    if isinstance(source, str) and source[:5].lower() == "data:":
        pieces, mime_type = from_data_uri(source)
        return pieces, "", mime_type
    if not (isinstance(source, (str, os.PathLike)) or callable(getattr(source, "read", None))):
        if is_pil(source):
            data, kind = _read_pil(source)
            return iter((data,)), "", f"image/{kind.lower()}"
        raise PuterInputError(
            f"A value of type {type(source).__name__} is neither an image nor a file",
            hint="Pass a path, bytes, a file, (data, mime type), a URL, a PIL image or PuterFile.",
        )
    if isinstance(source, (str, os.PathLike)):
        return _read_path(source, size), _shown(os.fspath(source)), ""
    name = _shown(getattr(source, "name", ""))
    return _read_file(source, name, size), name, ""


def _read_path(path: str | os.PathLike[str], size: int) -> Iterator[bytes]:
    name: Any = os.fspath(path)
    try:
        with open_ordinary(path, _READ_IT) as file:
            while piece := file.read(size):
                yield piece
    except PuterInputError:
        raise
    except (OSError, ValueError) as error:
        if isinstance(name, str) and _BASE64.fullmatch(name):
            raise PuterInputError(
                f"There is no file {name[:20]!r}..., which looks like bare base64",
                hint="Pass base64.b64decode(text), or a data URI: 'data:image/png;base64,' + text.",
            ) from None
        raise _unreadable(
            name, error, "For a file in your Puter pass PuterFile('/you/...') or '~/...'."
        ) from error


_PIECE = 3 * 2**16
"""Bytes that are read of a file at once: base64 of so many has no padding."""
_READ_IT = "Read it yourself and pass the bytes."
_BASE64 = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9+/_\s-]{64,}={0,2}\s*", re.DOTALL)


def _read_file(file: Any, name: str, size: int) -> Iterator[bytes]:
    """What is left to read of an open file."""
    takes_size = isinstance(file, io.BufferedReader)  # others may not
    is_first = True
    while is_first or takes_size:
        try:
            data = file.read(size) if takes_size else file.read()
        except (OSError, ValueError) as error:
            raise _unreadable(name, error, "Open it with mode 'rb'.") from error
        if not isinstance(data, (bytes, bytearray)):
            raise PuterInputError("The file is open for text", hint="Open it with mode 'rb'.")
        if not data:
            break
        is_first = False
        yield bytes(data)
    if is_first and _position(file):
        raise PuterInputError(
            f"{name or 'The file'} is at its end, so there is nothing left to read",
            hint="Call file.seek(0) first.",
        )


def _position(file: Any) -> int:
    """How far an open file was read or written; 0 where it does not say."""
    try:
        return int(file.tell())
    except (AttributeError, OSError, ValueError):  # a pipe
        return 0


def _shown(path: Any) -> str:
    """The last part of a path as text, ``?`` for what is not UTF-8; ``""`` for no path."""
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    return clean_text(os.path.basename(path)) if isinstance(path, str) else ""


def _unreadable(name: Any, error: Exception, hint: str) -> PuterInputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return PuterInputError(f"{clean_text(str(name))[:200]!r} cannot be read: {reason}", hint=hint)


_KINDS = ("JPEG", "PNG", "WEBP", "GIF")
"""Formats of PIL that vendors read."""

_ORIENTATION = 0x0112
"""The EXIF tag that says how a picture is to be turned; 1: it is upright."""


def _read_pil(image: Any) -> tuple[bytes, str]:
    """The bytes it was opened from, when its pixels are still those; else written anew, upright.

    And their format.
    """
    kind = image.format if image.format in _KINDS else None
    data = _original(image) if kind else None
    if kind is None or data is None:
        data, kind = _written(image, kind)
    return data, kind


def _original(image: Any) -> bytes | None:
    """The bytes an image was opened from, None when they are gone or it was changed since."""
    from PIL import Image

    for read in (_bytes_of_open_file, _bytes_of_named_file):
        try:
            data = read(image)
            with Image.open(io.BytesIO(data)) as again:
                again.load()
                image.load()  # .info may grow with it
                if again == image and dict(again.getexif()) == dict(image.getexif()):
                    return data
        except (AttributeError, OSError, ValueError, SyntaxError):  # closed, gone or another file
            continue
    return None


def _bytes_of_open_file(image: Any) -> bytes:
    place = image.fp.tell()
    image.fp.seek(0)
    data: bytes = image.fp.read()
    image.fp.seek(place)
    return data


def _bytes_of_named_file(image: Any) -> bytes:
    with open_ordinary(image.filename, _READ_IT) as file:
        return file.read()


def _written(image: Any, kind: str | None) -> tuple[bytes, str]:
    """The image as a file of that kind, or of one that its mode allows; and that kind."""
    from PIL import ImageOps

    quality: Any = "keep" if kind == "JPEG" else 95
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image, quality = ImageOps.exif_transpose(image), 95
    if kind is None or (kind == "JPEG" and image.mode not in _JPEG_MODES):
        kind, quality = ("JPEG" if image.mode in ("CMYK", "YCbCr") else "PNG"), 95
    buffer = io.BytesIO()
    try:
        image.save(buffer, format=kind, **({"quality": quality} if kind in _LOSSY else {}))
    except (OSError, ValueError) as error:
        raise PuterInputError(
            f"The {image.mode} image cannot be written as {kind}: {error}",
            hint="Pass image.convert('RGB').",
        ) from error
    return buffer.getvalue(), kind


_LOSSY = ("JPEG", "WEBP")
_JPEG_MODES = ("1", "L", "RGB", "CMYK", "YCbCr")
