"""Files of the user inside chat messages, as each route hands them to its vendor."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from puter.testing.file_tree import OCTETS
from puter.testing.refusals import ApiError, bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from puter.testing.accounts import Token
    from puter.testing.file_tree import Entry, FileTree

# Puter backend: bytes of a file, inlined for OpenAI's API or uploaded to Anthropic's.
MAX_INLINE = 5_000_000
MAX_UPLOAD = 30_000_000

# Everybody else gets the part as it came.
_INLINING = (
    "openai-completion", "openai-responses", "azure-openai", "azure-openai-responses", "meta",
)  # fmt: skip


def attach(
    messages: Sequence[Mapping[str, Any]], provider: str, files: FileTree, token: Token
) -> list[dict[str, Any]]:
    """Normalised messages with every ``puter_path`` replaced, where ``provider`` does that.

    A file that cannot be used never fails the call: the model reads a sentence instead.
    """
    made = [dict(message) for message in messages]
    for message in made if provider in (*_INLINING, "claude") else ():
        if isinstance(parts := message.get("content"), list):
            message["content"] = [_part(part, provider, files, token) for part in parts]
    return made


def _part(part: Any, provider: str, files: FileTree, token: Token) -> Any:
    path = part.get("puter_path") if isinstance(part, dict) else None
    if not path:
        return part
    limit = MAX_UPLOAD if provider == "claude" else MAX_INLINE
    try:
        entry = files.find(token, path)
        if entry.is_dir:
            raise bad_request("Expected a file, got a directory")
        if len(entry.data) > limit:
            raise bad_request(f"input file exceeded maximum of {limit} bytes")
        return _uploaded(entry) if provider == "claude" else _inlined(entry)
    except ApiError as error:
        return {"type": "text", "text": f"{{error: {error}; the user did not write this message}}"}


def _inlined(entry: Entry) -> dict[str, Any]:
    kind = entry.content_type or OCTETS
    address = f"data:{kind};base64,{base64.b64encode(entry.data).decode()}"
    if kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": address}}
    if kind.startswith("audio/"):
        sound = {"data": address, "format": kind.partition("/")[2]}
        return {"type": "input_audio", "input_audio": sound}
    raise bad_request("input file has unsupported MIME type")


def _uploaded(entry: Entry) -> dict[str, Any]:
    kind = "image" if (entry.content_type or "").startswith("image/") else "document"
    return {"type": kind, "source": {"type": "file", "file_id": f"file_{entry.uid}"}}
