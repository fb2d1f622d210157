"""The files that media calls take along, and those they make."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit

from puter.testing.exchange import DriverCall
from puter.testing.file_tree import OCTETS, decode_base64
from puter.testing.refusals import ApiError, bad_request
from puter.types.mime import mime_of

# Puter backend: bytes of a sound to be transcribed or converted.
MAX_SOUND = 26_214_400

_DATA_URI = re.compile(r"data:([^;,]+)?(?:;([^,]*))?,(.*)$", re.DOTALL)
_MOST_SAMPLES = 100


@dataclass(frozen=True)
class MediaInput:
    """A file that came with a call, as the vendor gets it.

    Attributes:
        name: what the vendor is told it is called; many judge sounds by it.
        mime_type: as the client, or the stored file, says.
        data: the bytes; empty for a ``url``, which LocalPuter never fetches.
        url: where the vendor finds it.
    """

    name: str
    mime_type: str
    data: bytes = field(default=b"", repr=False)
    url: str | None = None


def load(
    call: DriverCall, value: object, *, limit: int | None = None, from_web: bool = False
) -> MediaInput:
    """A file of at most ``limit`` bytes by data URI, path or URL. Raises ApiError."""
    text, files = str(value), call.backend.files
    if text.startswith("data:"):
        return _from_data_uri(text, limit)
    if text.startswith(("http://", "https://")):
        if not from_web:
            raise bad_request("Invalid path")
        parts = urlsplit(text)
        if re.fullmatch(r"[\d.]+|.*:.*", parts.hostname or ""):
            raise bad_request("IP-addressed URLs are not allowed")
        name = posixpath.basename(parts.path) or "input"
        return MediaInput(name, mime_of(None, name) or OCTETS, url=text)
    # Puter backend: a directory is refused as such before anybody asks whose it is.
    found = files.get(files.resolve(text, call.user.username))
    if found is not None and found.is_dir:
        raise bad_request("Expected a file, got a directory")
    entry = files.find(call.exchange.token, value)
    _check_size("File", entry.data, limit)
    return MediaInput(entry.name, entry.content_type or OCTETS, entry.data)


def _from_data_uri(uri: str, limit: int | None) -> MediaInput:
    found = _DATA_URI.match(uri)
    if not found:
        raise bad_request("Invalid data URL")
    kind, encoding, payload = found[1] or OCTETS, found[2] or "", found[3]
    if encoding.strip().lower() == "base64":
        data = decode_base64(payload)
    else:  # also with MIME parameters before the word base64: the sound is corrupt then
        data = unquote_to_bytes(payload)
    _check_size("Input", data, limit)
    subtype = kind.partition("/")[2].partition("+")[0] or "bin"
    return MediaInput(f"input.{subtype}", kind, data)


def _check_size(what: str, data: bytes, limit: int | None) -> None:
    if limit is not None and len(data) > limit:
        raise ApiError(413, f"{what} exceeds max size ({limit} bytes)", "storage_limit_reached")


def address_of(call: DriverCall, data: bytes, content_type: str) -> str:
    """A URL at which this server shows ``data`` to anybody, until a hundred others came."""
    kept = call.backend.samples
    path = f"/sample/{next(call.backend.sample_numbers)}.{content_type.partition('/')[2]}"
    kept[path] = data, content_type
    while len(kept) > _MOST_SAMPLES:
        del kept[next(iter(kept))]
    return f"http://{call.exchange.request.host}{path}"


def output_path(call: DriverCall) -> str | None:
    """Where an image or video goes as well. Raises ApiError before anything is made."""
    path = call.args.get("puter_output_path")
    denied = ApiError(403, "Write access denied for destination", "access_denied")
    return call.backend.files.place(call.exchange.token, path, denied) if path else None


def save(call: DriverCall, path: str | None, result: object, sample: bytes, kind: str) -> None:
    """Put what was made into the user's files; ``sample`` for URLs, as nothing is fetched."""
    if path is not None:
        call.backend.files.write(path, result if isinstance(result, bytes) else sample, kind)
