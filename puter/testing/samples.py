"""Small real pictures and sounds, made on the fly.

Each carries a note: the words it stands for. So LocalPuter can read its own pictures and
understand its own speech, and a program that goes there and back again gets its words.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import struct
import wave
import zlib
from collections import OrderedDict
from threading import Lock

# Samples a second of the tone, which is one byte each.
_RATE = 8000
_TONE = bytes(128 + (40 if n % 20 < 10 else -40) for n in range(20))  # 400 Hz
# MPEG-1 layer III, 32 kbit/s, 44.1 kHz, mono; a side info of zeros decodes to silence.
_FRAME = b"\xff\xfb\x10\xc4" + bytes(100)
_FRAMES_PER_SECOND = 44100 / 1152

# A speaker says about 15 characters a second.
_CHARACTERS_PER_SECOND = 15
_NOTE = re.compile(rb"LocalPuter\(([\w=-]*)\)")
_SIGNATURES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "audio/wav",
    b"ID3": "audio/mpeg",
    b"OggS": "audio/ogg",
    b"fLaC": "audio/flac",
}


def spoken_seconds(text: str) -> float:
    """How long it takes to say ``text``."""
    return max(0.5, len(text) / _CHARACTERS_PER_SECOND)


def png(width: int, height: int, note: str) -> bytes:
    """A picture of one colour, which depends on ``note``."""
    colour = hashlib.sha256(note.encode()).digest()[:3]
    row = bytes(1 + (width + 7) // 8)  # no filter, one bit a pixel, all of colour 0
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)),
        (b"PLTE", colour),
        (b"tEXt", b"Comment\0" + _note(note)),
        (b"IDAT", zlib.compress(row * height, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def wav(note: str) -> bytes:
    """A tone as long as it takes to say ``note``: 8-bit mono."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(_RATE)
        sound.writeframes(pcm(note))
    comment = _note(note) + b"\0"
    comment += b"\0" * (len(comment) % 2)
    info = b"INFOICMT" + struct.pack("<I", len(comment)) + comment
    data = bytearray(file.getvalue() + b"LIST" + struct.pack("<I", len(info)) + info)
    data[4:8] = struct.pack("<I", len(data) - 8)
    return bytes(data)


def pcm(note: str) -> bytes:
    """The samples of `wav` alone."""
    return _TONE * int(spoken_seconds(note) * _RATE / len(_TONE))


def mp3(note: str) -> bytes:
    """Silence as long as it takes to say ``note``."""
    text = b"\0LocalPuter\0" + _note(note)
    frame = b"TXXX" + struct.pack(">IH", len(text), 0) + text
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    tag = b"ID3\x03\x00\x00" + size + frame
    return tag + _FRAME * round(spoken_seconds(note) * _FRAMES_PER_SECOND)


def mp3_block() -> bytes:
    """A block of silence of about 64 KiB, to be repeated."""
    return _FRAME * 630


def mp4(note: str) -> bytes:
    """An MP4 container without any film in it."""
    boxes = ((b"ftyp", b"isom\0\0\x02\0isomiso2mp41"), (b"free", _note(note)), (b"mdat", b""))
    return b"".join(struct.pack(">I", len(data) + 8) + kind + data for kind, data in boxes)


def note_in(data: bytes) -> str | None:
    """The words that a picture or sound made here stands for."""
    found = _NOTE.search(data)
    return base64.urlsafe_b64decode(found[1]).decode() if found else None


def kind_of(data: bytes, otherwise: str) -> str:
    """The MIME type, told by the first bytes."""
    return next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), otherwise)


def _note(text: str) -> bytes:
    return b"LocalPuter(" + base64.urlsafe_b64encode(text.encode()) + b")"


class Samples:
    """What LocalPuter serves under ``/sample/``, to anybody: the latest hundred."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[bytes, str]] = OrderedDict()
        self._count = 0

    def keep(self, data: bytes, content_type: str) -> str:
        """Serve ``data``. Returns the path."""
        extension = content_type.partition("/")[2]
        with self._lock:
            self._count += 1
            path = f"/sample/{self._count}.{extension}"
            self._kept[path] = (data, content_type)
            if len(self._kept) > 100:
                self._kept.popitem(last=False)
        return path

    def find(self, path: str) -> tuple[bytes, str] | None:
        """The bytes and their type."""
        with self._lock:
            return self._kept.get(path)
