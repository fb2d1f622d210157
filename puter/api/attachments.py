"""Images and files for a chat: from a source to a part of a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from puter.api.sources import ResolvedSource, resolve
from puter.exceptions import PuterInputError
from puter.types.media import in_base64
from puter.types.mime import is_textual
from puter.types.puter_file import Source


def part_of(source: Source, *, image: bool) -> dict[str, Any]:
    """The part of a message for a source, in the OpenAI form (see ``puter.wire.dialects``).

    Reads files, so flows call it through ``Invoke``.

    Args:
        source: What ``puter.api.sources.resolve()`` takes, or a ready part.
        image: It must be an image or a video.

    Raises:
        PuterInputError: It cannot be read, or is no image.
    """
    if isinstance(source, Mapping):
        if not source:
            raise PuterInputError("A ready part is empty", hint="Leave it out.")
        if not ("type" in source or "puter_path" in source):
            raise PuterInputError(
                f"A dict must be a ready part of a message, with a 'type': {str(source)[:80]}",
                hint="Pass several files as a list: files=['a.pdf', 'b.txt'].",
            )
        return dict(source)
    resolved = resolve(source, in_pieces=True)
    if resolved.path is not None:
        return {"type": "file", "puter_path": resolved.path}
    if resolved.url is not None:
        return _remote(resolved.url, resolved, image=image)
    return _inline(resolved, image=image)


def _remote(url: str, source: ResolvedSource, *, image: bool) -> dict[str, Any]:
    if source.mime_type.startswith("video/"):
        return {"type": "video_url", "video_url": {"url": url}}
    if image or source.mime_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": source.name or "file", "file_data": url}}


def _inline(source: ResolvedSource, *, image: bool) -> dict[str, Any]:
    kind, name = source.mime_type, source.name
    if not image and is_textual(kind):
        if not source.encoding:
            raise PuterInputError(
                f"{name or 'The data'} is {kind}, but in no known encoding",
                hint="Save it as UTF-8. Encodings older than that are recognised where "
                "charset-normalizer is installed. (data, 'application/octet-stream') is sent as "
                "it is.",
            )
        title = f' name="{name}"' if name else ""
        text = (source.data or b"").decode(source.encoding)
        return {"type": "text", "text": f"<file{title}>\n{text}\n</file>"}
    if image and not kind.startswith(("image/", "video/")):
        raise PuterInputError(
            f"{name or 'file'} is not an image{f' but {kind}' if kind else ' of a known kind'}",
            hint="Say what it is, as (data, 'image/png'), or pass it in files=.",
        )
    if kind.startswith("audio/"):
        form = {"audio/mpeg": "mp3"}.get(kind, kind.partition("/")[2])
        data = in_base64("", source.pieces or ())
        return {"type": "input_audio", "input_audio": {"data": data, "format": form}}
    address = in_base64(f"data:{kind or 'application/octet-stream'};base64,", source.pieces or ())
    if kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": address}}
    if kind.startswith("video/"):
        return {"type": "video_url", "video_url": {"url": address}}
    return {"type": "file", "file": {"filename": name or "file", "file_data": address}}
