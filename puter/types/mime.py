"""MIME types: by the first bytes, else by the name, in the spelling that vendors accept."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

_SIGNATURES: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF87a", 0, "image/gif"),
    (b"GIF89a", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"BM", 0, "image/bmp"),
    (b"II*\x00", 0, "image/tiff"),
    (b"MM\x00*", 0, "image/tiff"),
    (b"%PDF-", 0, "application/pdf"),
    (b"WAVE", 8, "audio/wav"),
    (b"fLaC", 0, "audio/flac"),
    (b"OggS", 0, "audio/ogg"),
    (b"ID3", 0, "audio/mpeg"),
    (b"\xff\xfb", 0, "audio/mpeg"),
    (b"\xff\xf3", 0, "audio/mpeg"),
    (b"\xff\xf2", 0, "audio/mpeg"),
    (b"\x1aE\xdf\xa3", 0, "video/webm"),
    (b"ftypM4A", 4, "audio/mp4"),
    (b"ftypavif", 4, "image/avif"),
    (b"ftypheic", 4, "image/heic"),
    (b"ftypqt", 4, "video/quicktime"),
    (b"ftyp", 4, "video/mp4"),
)

_CANONICAL = {
    # Vendors read the format of audio from `input.<subtype>`, so the subtype must be one they know.
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp4a-latm": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/x-flac": "audio/flac",
    "audio/x-ogg": "audio/ogg",
    "application/ogg": "audio/ogg",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "application/x-pdf": "application/pdf",
}

_BY_EXTENSION = {
    # What Python's table lacks or spells otherwise, by version and platform.
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".m4a": "audio/mp4",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".webm": "video/webm",
    ".mp4": "video/mp4",
    ".mkv": "video/x-matroska",
    ".md": "text/markdown",
}

_EXTENSIONS = {
    "image/jpeg": ".jpg",
    "image/tiff": ".tif",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/ogg": ".ogg",
    "audio/mp4": ".m4a",
    "audio/flac": ".flac",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "text/plain": ".txt",
}


def canonical(mime_type: str) -> str:
    """The type without parameters, in the spelling that vendors accept.

    Examples:
        >>> canonical("audio/x-wav; codecs=1")
        'audio/wav'
    """
    bare = mime_type.partition(";")[0].strip().lower()
    return _CANONICAL.get(bare, bare)


def mime_of(data: bytes | None, name: str) -> str:
    """The type of bytes, else of a file name; ``""`` when neither is known."""
    start = (data or b"")[:16]
    for signature, offset, kind in _SIGNATURES:
        if start[offset : offset + len(signature)] == signature and (
            kind != "image/bmp" or b"\x00" in start  # "BM" alone is any text that begins so
        ):
            return kind
    stem, dot, extension = name.rpartition(".")
    known = _BY_EXTENSION.get(f".{extension.lower()}") if dot and stem else None
    return known or canonical(mimetypes.guess_type(name)[0] or "")


def extension_of(mime_type: str) -> str:
    """The usual extension with its dot; ``""`` when there is none."""
    bare = canonical(mime_type)
    return _EXTENSIONS.get(bare) or mimetypes.guess_extension(bare) or ""


def with_extension(path: str | os.PathLike[str], mime_type: str) -> Path:
    """The path, with the usual extension of the type if it has none."""
    target = Path(path)
    return target if target.suffix else target.with_name(target.name + extension_of(mime_type))
