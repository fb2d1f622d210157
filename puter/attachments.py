"""Pictures and files for a chat: from a loaded source to a part of a message."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from puter.exceptions import PuterInputError
from puter.sources import Loaded, load


def part_of(source: Any, *, picture: bool) -> dict[str, Any]:
    """The part of a message for a source, in the OpenAI form (see ``puter.wire.dialect``).

    Reads files, so it is called through the driver.

    Args:
        source: What ``puter.sources.load()`` takes, or a ready part.
        picture: It must be a picture or a film.

    Raises:
        PuterInputError: It cannot be loaded, or is no picture.
    """
    if isinstance(source, Mapping):
        if not source:
            raise PuterInputError("A ready part is empty", hint="Leave it out.")
        return dict(source)
    loaded = load(source)
    if loaded.path is not None:
        return {"type": "file", "puter_path": loaded.path}
    if loaded.url is not None:
        return _remote(loaded.url, loaded, picture=picture)
    return _inline(loaded.data or b"", loaded.mime_type, loaded.name, picture=picture)


def _remote(url: str, loaded: Loaded, *, picture: bool) -> dict[str, Any]:
    if loaded.mime_type.startswith("video/"):
        return {"type": "video_url", "video_url": {"url": url}}
    if picture or loaded.mime_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": loaded.name or "file", "file_data": url}}


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
