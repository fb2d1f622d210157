"""``Decoder``: takes the content coding off a body as it comes, in pieces of bounded size."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

ACCEPTED = "gzip, deflate"
"""What a ``Decoder`` reads, as ``Accept-Encoding`` says it."""

PIECE = 2**18
"""Bytes of a decoded piece at most, however well they were compressed."""

_CODINGS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_MAGIC = b"\x1f\x8b"


class ContentError(ValueError):
    """An answer is not what its headers say, or it was cut.

    Args:
        told: What is wrong with it.
        came: How it began, where that is no content.
    """

    def __init__(self, told: str, came: bytes = b"") -> None:
        super().__init__(told)
        self.came: bytes = came


class Decoder:
    """Decodes one body.

    Args:
        coding: ``Content-Encoding`` of the answer.

    Raises:
        ContentError: It is none of those accepted, or several in a row.

    Examples:
        >>> import gzip
        >>> decoder = Decoder("gzip")
        >>> b"".join(decoder.decode(gzip.compress(b"Hello")))
        b'Hello'
        >>> decoder.end()
    """

    def __init__(self, coding: str) -> None:
        named = [one.strip().lower() for one in coding.split(",")]
        codings = [one for one in named if one not in ("", "identity")]
        if len(codings) > 1 or not _CODINGS.keys() >= set(codings):
            raise ContentError(f"its Content-Encoding is {coding!r}")
        self.coding: str = _CODINGS[codings[0]] if codings else ""
        """``"gzip"``, ``"deflate"``, or ``""`` when the bytes are the content."""
        self._member: zlib._Decompress | None = None
        self._waiting = b""  # less than tells how the next member begins
        self._complete = False  # a member has ended
        self._padded = False  # what comes is no member

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield the content of the next bytes, in pieces of ``PIECE`` at most.

        Raises:
            ContentError: They are not of that coding.
        """
        if not self.coding:
            yield data
            return
        if self._padded:
            return
        data, self._waiting = self._waiting + data, b""
        piece = b""
        while data or len(piece) == PIECE:  # zlib may hold more than fitted
            if self._member is None:
                if len(data) < 2:
                    self._waiting = data
                    return
                if self._complete and not (self.coding == "gzip" and data.startswith(_MAGIC)):
                    self._padded = True
                    return
                self._member = zlib.decompressobj(self._format(data))
            try:
                piece = self._member.decompress(data, PIECE)
            except zlib.error:
                raise ContentError(f"its content is no {self.coding}") from None
            data = self._member.unconsumed_tail
            if self._member.eof:
                data, self._member, self._complete = self._member.unused_data, None, True
            if piece:
                yield piece

    def _format(self, head: bytes) -> int:
        """What zlib calls the format: some servers send deflate without the wrapper of zlib."""
        if self.coding == "gzip":
            return 16 + zlib.MAX_WBITS
        wrapped = head[0] & 15 == 8 and int.from_bytes(head[:2], "big") % 31 == 0
        return zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS

    def end(self) -> None:
        """All bytes have come.

        Raises:
            ContentError: More should have.
        """
        begun = not self._complete or (self.coding == "gzip" and _MAGIC.startswith(self._waiting))
        if self._member is not None or (self._waiting and begun):
            raise ContentError(f"its {self.coding} content was cut off")
