"""MIME types: by the first bytes, else by the name, in the spelling that vendors accept."""

from __future__ import annotations

import functools
import mimetypes
import re

_SIGNATURES: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF87a", 0, "image/gif"),
    (b"GIF89a", 0, "image/gif"),
    (b"BM", 0, "image/bmp"),
    (b"II*\x00", 0, "image/tiff"),
    (b"MM\x00*", 0, "image/tiff"),
    (b"%PDF-", 0, "application/pdf"),
    (b"fLaC", 0, "audio/flac"),
    (b"OggS", 0, "audio/ogg"),
    (b"ID3", 0, "audio/mpeg"),
    (b"\xff\xfb", 0, "audio/mpeg"),
    (b"\xff\xf3", 0, "audio/mpeg"),
    (b"\xff\xf2", 0, "audio/mpeg"),
    (b"\x1aE\xdf\xa3", 0, "video/webm"),
    (b"\x1f\x8b", 0, "application/gzip"),
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
    ".csv": "text/csv",
    ".toml": "application/toml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".js": "text/javascript",
    ".zip": "application/zip",
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
    """The type of bytes, else of a file name; ``""`` when neither is known.

    Examples:
        >>> mime_of(b"%PDF-1.7", "wrong.png"), mime_of(None, "a.csv"), mime_of(b"x", "main.rs")
        ('application/pdf', 'text/csv', '')
    """
    return (mime_of_bytes(data) if data else "") or _mime_of_name(name)


def mime_of_bytes(data: bytes) -> str:
    """The type that the first bytes tell; ``""`` when they do not."""
    start = bytes(data[:16])
    if start.startswith(b"RIFF") and start[8:12] in _RIFF:
        return _RIFF[start[8:12]]
    if len(start) == 16 and _PROSE.fullmatch(start) and not start.startswith(b"%PDF-"):
        return ""  # "GIF89a is a format", "ID3 tags"
    for signature, offset, kind in _SIGNATURES:
        if start[offset : offset + len(signature)] == signature and (
            kind != "image/bmp" or b"\x00" in start  # "BM" alone is any text that begins so
        ):
            return kind
    return ""


_RIFF = {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}
_PROSE = re.compile(rb"[\t\n\r\x20-\x7e]+")


def _mime_of_name(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    known = _BY_EXTENSION.get(f".{extension.lower()}") if dot and stem else None
    if known is not None:
        return known
    kind, packed = _table().guess_type(name)
    return f"application/{packed}" if packed else canonical(kind or "")


@functools.cache
def _table() -> mimetypes.MimeTypes:
    """Python's own table, without what the machine's files (``/etc/mime.types``) say."""
    try:
        return mimetypes.MimeTypes()  # the first one reads those files all the same
    except OSError:
        return mimetypes.MimeTypes()


def extension_of(mime_type: str) -> str:
    """The usual extension with its dot; ``""`` when there is none."""
    bare = canonical(mime_type)
    return _EXTENSIONS.get(bare) or _table().guess_extension(bare) or ""


def is_textual(mime_type: str) -> bool:
    """Whether files of the type are texts."""
    return mime_type.startswith("text/") or mime_type.endswith(_TEXTUAL)


_TEXTUAL = (
    "json", "xml", "yaml", "toml", "javascript", "application/x-sh", "application/sql",
    "application/x-ndjson",
)  # fmt: skip
