"""How the text in a file is encoded, told by its bytes alone."""

from __future__ import annotations

import re

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x19\x1c-\x1f\x7f]")
"""Bytes that no text in an 8-bit encoding has."""

_SAMPLE = 65536
"""Bytes that are looked at to guess an encoding."""


def encoding_of(data: bytes) -> str | None:
    r"""The encoding in which the bytes are a text, None when they are none.

    UTF-8, UTF-16 and UTF-32 are recognised for certain; older encodings by charset-normalizer,
    without which texts in them count as none.

    Examples:
        >>> encoding_of("Grüße".encode()), encoding_of("Grüße".encode("utf-16"))
        ('utf-8', 'utf-16')
        >>> encoding_of("こんにちは、世界".encode("shift-jis")), encoding_of(b"\x7fELF\x02\x01")
        ('cp932', None)
    """
    for mark, unicode in _MARKS:
        if data.startswith(mark):
            return unicode if _is_text(data, unicode) else None
    sample = data[:_SAMPLE]
    if b"\x00" in sample:
        return _utf16_of(data, sample)
    controls = len(_CONTROLS.findall(sample))
    if b"\x00" not in data and controls * 10 <= len(sample) and _is_text(data, "utf-8"):
        is_japanese = b"\x1b$" in data and _is_text(data, "iso2022_jp")
        return "iso2022_jp" if is_japanese else "utf-8"
    if _CONTROLS.search(data):
        return None
    encoding = _legacy_of(data)
    return encoding if encoding is not None and _is_text(data, encoding) else None


def _is_text(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _utf16_of(data: bytes, sample: bytes) -> str | None:
    """UTF-16 without a byte order mark: every other byte of Western text is zero."""
    zeros_first, zeros_second = sample[::2].count(0), sample[1::2].count(0)
    encoding = "utf-16-le" if zeros_second > zeros_first else "utf-16-be"
    few, many = sorted((zeros_first, zeros_second))
    if few or many * 8 < len(sample) or not _is_text(data, encoding):
        return None
    return None if _CONTROLS.search(data.decode(encoding).encode()) else encoding


_LATIN = ["cp1252", "cp1250", "cp1254", "iso8859_2"]
_OTHERS = ["cp1251", "koi8_r", "cp866", "cp1253", "cp1255", "cp1256",
           "cp932", "euc_jp", "gb18030", "big5", "cp949"]  # fmt: skip

_NOT_WESTERN = re.compile("[¹Ÿ]|³[a-z]|[a-z][¿±]")
"""What Polish looks like when it is read as cp1252."""


def _legacy_of(data: bytes) -> str | None:
    """The best guess of an older encoding; of those that fit about as well, the Western one."""
    try:
        import charset_normalizer  # as heavy as the rest of this package together
    except ImportError:
        return None
    sample = _non_ascii_sample(data)
    # Letters with accents stand between others; those of other scripts stand together.
    is_latin = not re.search(rb"[\x80-\xff]{3}", sample)
    candidates = _LATIN if is_latin else _LATIN + _OTHERS
    found = [
        one
        for one in charset_normalizer.from_bytes(sample, cp_isolation=candidates)
        if one.encoding != "cp1252" or not _NOT_WESTERN.search(str(one))
    ]
    if not found:
        return "cp1252" if is_latin else None
    best = min(found, key=lambda one: (one.chaos, -one.coherence))
    is_western = any(
        "cp1252" in one.could_be_from_charset
        and one.chaos <= best.chaos + 0.1
        and one.coherence >= best.coherence
        for one in found
    )
    return "cp1252" if is_western else best.encoding


def _non_ascii_sample(data: bytes) -> bytes:
    """The first lines that are not ASCII, cut between two characters."""
    sample = b"\n".join(line for line in data.split(b"\n") if not line.isascii())
    if len(sample) > _SAMPLE:
        sample = sample[:_SAMPLE]
        sample = sample.rstrip(bytes(range(128, 256))) or sample
    return sample
