"""What a tool returns, as the model gets it: text, or text and pictures."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable
from typing import Any

from puter.exceptions import words_of
from puter.jsonable import MOST_ITEMS, to_json
from puter.types.media import Image, Media, in_base64
from puter.types.mime import mime_of
from puter.types.puter_file import is_pil
from puter.wire.json import MAX_BODY, clean_text

Part = dict[str, Any]

_SEEN = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""Pictures that every vendor reads; others would have the whole request refused."""


def result_content(value: Any) -> str | list[Part]:
    """Text as it is, a picture as a part of a message, anything else as JSON.

    Pictures inside of other data are parts after the text, which says where they belong.

    Raises:
        Exception: It has no such form, or its own code failed.
    """
    if isinstance(value, str):
        return _fitting(clean_text(value))
    pictures: list[Part] = []

    def show(url: str) -> str:
        pictures.append({"type": "image_url", "image_url": {"url": url}})
        return f"<picture {len(pictures)}>"

    def of_bytes(data: bytes) -> str:
        kind = mime_of(data, "")
        if kind in _SEEN:
            return show(in_base64(f"data:{kind};base64,", (data,)))
        try:
            return data.decode()
        except UnicodeDecodeError:
            return _told(kind or "binary data", data)

    def unknown(value: Any) -> str:
        if isinstance(value, Media):
            url = value.url
            if isinstance(value, Image) and (value.mime_type in _SEEN or not value.mime_type):
                data = value._in_memory()
                return show(value.data_uri() if data is not None or url is None else url)
            return _told(value.mime_type or "media", value._in_memory(), url)
        data = _drawn(value)
        if data is None:
            raise TypeError(f"{type(value).__name__} has no form in JSON")
        return of_bytes(data)

    plain = to_json(value, unknown, of_bytes)
    if isinstance(plain, str) and isinstance(value, (bytes, bytearray, memoryview, Media)):
        text = plain
    else:
        text = json.dumps(plain, ensure_ascii=False)
    text = _fitting(clean_text(text), sum(len(one["image_url"]["url"]) for one in pictures))
    if not pictures:
        return text
    return pictures if plain == "<picture 1>" else [{"type": "text", "text": text}, *pictures]


async def collected(values: AsyncIterable[Any]) -> list[Any]:
    """The items of an asynchronous generator.

    Raises:
        ValueError: There are too many.
    """
    items: list[Any] = []
    async for value in values:
        if len(items) == MOST_ITEMS:
            raise ValueError(f"it goes on after {MOST_ITEMS:,} items")
        items.append(value)
    return items


def unwritable(error: Exception) -> str:
    """What the model reads when the result cannot be given to it."""
    return clean_text(f"Error: the result cannot be written as JSON: {words_of(error)}")


def _drawn(value: Any) -> bytes | None:
    """The bytes of a picture of PIL, or of whatever else notebooks show as one."""
    if is_pil(value):
        from PIL import ImageOps

        value = ImageOps.exif_transpose(value)
    for name in ("_repr_png_", "_repr_jpeg_"):
        data = getattr(value, name, lambda: None)()
        if isinstance(data, bytes):
            return data
    return None


def _fitting(text: str, more: int = 0) -> str:
    """The text, unless no request could hold it and ``more`` characters."""
    size = len(text) + more
    if size > MAX_BODY // 2:  # the conversation has to fit as well
        raise ValueError(f"it is too large, {size / 2**20:.0f} MiB")
    return text


def _told(kind: str, data: bytes | None, url: str | None = None) -> str:
    size = f", {len(data):,} bytes" if data is not None else ""
    return f"<{kind}{size}{f', {url}' if url else ''}>"
