"""What a tool of a server returned, as our own tools return it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any


def value_of(result: Any) -> Any:
    """Texts, pictures and other bytes.

    Raises:
        ValueError: One of them cannot be read.
    """
    found = [one for one in map(_part_of, result.content) if one is not None]
    if not found:
        return result.structured_content  # else it stands in the text as well
    texts = [one for one in found if isinstance(one, str)]
    if len(texts) == len(found):
        return "\n".join(texts)
    return found[0] if len(found) == 1 else found


def text_of(content: Sequence[Any]) -> str:
    return "\n".join(one.text for one in content if one.type == "text")


def _part_of(part: Any) -> str | bytes | None:
    if part.type == "text":
        return str(part.text)
    if part.type in ("image", "audio"):
        return base64.b64decode(part.data)
    if part.type == "resource_link":
        about = " ".join(filter(None, (part.title or part.name, part.mime_type)))
        return f"<{about}: {part.uri}>"
    if part.type == "resource":
        text = getattr(part.resource, "text", None)
        return base64.b64decode(part.resource.blob) if text is None else str(text)
    return f"<{part.type}>"
