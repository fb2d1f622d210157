"""Small fixed samples of every kind of media."""

from __future__ import annotations

import base64
import math

# A white PNG of 1 x 1 pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABAQAAAAA3bvkkAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=="
)
# Silence: four frames of MPEG-1 layer III, 32 kbit/s, 44.1 kHz, mono; 104 bytes and 26 ms each.
MP3_FRAME = b"\xff\xfb\x10\xc4" + bytes(100)
MP3 = b"ID3\x03" + bytes(6) + MP3_FRAME * 4
# A tenth of a second of silence, 8-bit mono at 8 kHz, alone and as a WAV file.
PCM = b"\x80" * 800
WAV = base64.b64decode("UklGRkQDAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YSADAAA=") + PCM
# An MP4 container without any track.
MP4 = base64.b64decode("AAAAHGZ0eXBpc29tAAACAGlzb21pc28ybXA0MQAAAAhtZGF0")


def sound_of(content_type: str) -> bytes:
    """The sample sound for a ``Content-Type``: MP3, raw samples, or WAV for everything else."""
    return {"audio/mpeg": MP3, "audio/pcm": PCM}.get(content_type, WAV)


def sound_seconds(data: bytes) -> int:
    """The length of a sound as it is billed, at 16,000 bytes a second."""
    return max(1, math.ceil(len(data) / 16_000))
