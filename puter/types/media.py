"""Images, audio and video that calls return: bytes, or content that is fetched on demand."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar
from urllib.parse import unquote_to_bytes, urlsplit

from puter.checks import is_url
from puter.docstrings import documented_by
from puter.exceptions import PuterError, PuterInputError, repr_of
from puter.types.immutable import Immutable
from puter.types.mime import canonical, extension_of, mime_of

if TYPE_CHECKING:
    from typing_extensions import Self

M = TypeVar("M", bound="Media")

Bytes: TypeAlias = bytes  # the class below has a property of the name


class Content(Protocol):
    """What brings the bytes of a ``Media`` that does not hold them; see ``puter.api``."""

    @property
    def data(self) -> bytes | None:
        """The bytes, once they are in memory."""
        ...

    @property
    def mime_type(self) -> str:
        """What the bytes turned out to be, ``""`` until that is known."""
        ...

    def read(self) -> bytes: ...
    async def async_read(self) -> bytes: ...
    def save(self, path: str | os.PathLike[str]) -> Path: ...
    async def async_save(self, path: str | os.PathLike[str]) -> Path: ...
    def iter_bytes(self) -> Iterator[bytes]: ...
    def async_iter_bytes(self) -> AsyncGenerator[bytes, None]: ...
    def close(self) -> None: ...


class Media(Immutable):
    """Bytes, or a URL that is downloaded when its bytes are read.

    A URL is another host's, so it is downloaded without the Puter token and without
    ``config.headers``, within the client's ``deadline`` and with its retries, and only once. Media
    compare by value: by their URL, or else by MIME type and bytes.

    Args:
        data: The bytes.
        mime_type: Their MIME type. Default: recognised by the bytes or the URL.
        url: The http(s) URL they are at, instead of ``data``.

    Raises:
        PuterInputError: Not exactly one of ``data`` and ``url`` was given.
    """

    __slots__ = ("__weakref__", "_content", "_data", "_digest", "_mime_type", "url")

    url: str | None
    """The URL of the content, None when it came as bytes."""
    _data: bytes | None
    _mime_type: str
    _content: Content | None
    _digest: bytes | None

    def __init__(
        self, data: bytes | None = None, *, mime_type: str = "", url: str | None = None
    ) -> None:
        if (data is None) == (url is None):
            raise PuterInputError("Give either the bytes or the URL")
        for name, value in (("mime_type", mime_type), ("url", url or "")):
            if not isinstance(value, str):
                raise PuterInputError(f"{name} must be a str, not {repr_of(value)}")
        self._set(data, mime_type or mime_of(data, _path_of(url or "")), url)

    def _set(
        self,
        data: bytes | None,
        mime_type: str,
        url: str | None,
        content: Content | None = None,
        digest: bytes | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "_data", data)
        put(self, "_mime_type", mime_type)
        put(self, "url", url)
        put(self, "_content", content)
        put(self, "_digest", digest)

    @classmethod
    def of(cls, address: str) -> Self:
        """From a data URI or an http(s) URL.

        Raises:
            PuterInputError: It is neither, or its data is no base64.

        Examples:
            >>> Image.of("data:image/gif;base64,R0lGODlh").mime_type
            'image/gif'
        """
        if not isinstance(address, str):
            raise PuterInputError(
                f"{cls.__name__}.of() takes a data URI or a URL, not {type(address).__name__}",
                hint=_OF_BYTES.format(cls.__name__),
            )
        if address[:5].lower() == "data:":
            pieces, mime_type = from_data_uri(address)
            data = joined(pieces)
            return cls(data, mime_type=mime_of(data, "") or mime_type)
        if not is_url(address):
            raise PuterInputError(
                f"{shown_url(address)[:40]!r} is neither a data URI nor a URL",
                hint=_OF_BYTES.format(cls.__name__),
            )
        return cls(url=address)

    @classmethod
    def _of_content(cls, content: Content, digest: bytes) -> Self:
        """From content without a URL; ``digest`` is the SHA-256 of its bytes."""
        self = cls.__new__(cls)
        self._set(None, content.mime_type, None, content, digest)
        return self

    def _attach(self, content: Content) -> None:
        """Say what fetches its URL, before anybody has it; this is no part of the value."""
        object.__setattr__(self, "_content", content)

    @property
    def mime_type(self) -> str:
        """Such as ``image/png``; ``""`` while it is not known."""
        return (self._content.mime_type if self._content else "") or self._mime_type

    @property
    def bytes(self) -> Bytes:
        """The bytes, if they are in memory.

        Raises:
            PuterError: They are not, or not yet.
        """
        data = self._in_memory()
        if data is None:
            raise PuterError(
                f"The bytes of {self._shown_url or 'this answer'} are not in memory",
                hint="Call read() or save() first, or await async_read() or async_save().",
            )
        return data

    def read(self) -> Bytes:
        """The bytes, kept in memory from then on; a URL is downloaded the first time.

        Raises:
            PuterAPIError: They could not be downloaded.
            PuterError: The URL did not come from a client, so nothing can download it.

        Examples:
            >>> Media(b"GIF89a").read()
            b'GIF89a'
        """
        data = self._in_memory()
        return self._elsewhere().read() if data is None else data

    @documented_by(read)
    async def async_read(self) -> Bytes:
        data = self._in_memory()
        return await self._elsewhere().async_read() if data is None else data

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the bytes to a file, whole or not at all, and return its path.

        They are written in pieces, so a long video needs little memory; up to 8 MiB from a URL are
        kept, so that they need not be downloaded again.

        Args:
            path: The file to write. One without an extension gets that of ``mime_type``; one that
                has any keeps it.

        Raises:
            PuterAPIError: They could not be downloaded.
            PuterError: The URL did not come from a client, so nothing can download it.
            OSError: The file cannot be written, or it is a folder, a device, a pipe or a socket;
                that is found before anything is downloaded.

        Examples:
            >>> print(Image.of("data:image/gif;base64,R0lGODlh").save("dot"))
            dot.gif
        """
        data = self._in_memory()
        if data is None:
            return self._elsewhere().save(path)
        from puter.atomic import write_whole  # values touch the file system only here

        return write_whole(path, data, extension_of(self.mime_type))

    @documented_by(save)
    async def async_save(self, path: str | os.PathLike[str]) -> Path:
        data = self._in_memory()
        if data is None:
            return await self._elsewhere().async_save(path)
        from puter.atomic import write_whole
        from puter.threads import in_thread

        return await in_thread(write_whole, path, data, extension_of(self.mime_type))

    def iter_bytes(self) -> Iterator[Bytes]:
        """The bytes in pieces of any size, as they arrive; they are not kept.

        The client's ``deadline`` covers the whole iteration, your own time between the pieces
        included; its ``timeout`` covers each silence of the host.

        Raises:
            PuterAPIError: They could not be downloaded, are none, or stopped half-way.
            PuterError: The URL did not come from a client, so nothing can download it.

        Examples:
            >>> b"".join(Media(b"GIF89a").iter_bytes())
            b'GIF89a'
        """
        data = self._in_memory()
        if data is not None:
            yield data
        else:
            yield from self._elsewhere().iter_bytes()

    @documented_by(iter_bytes)
    async def async_iter_bytes(self) -> AsyncIterator[Bytes]:
        data = self._in_memory()
        if data is not None:
            yield data
        else:
            async with aclosing(self._elsewhere().async_iter_bytes()) as pieces:
                async for piece in pieces:
                    yield piece

    def close(self) -> None:
        """Remove the temporary file of long audio now, not together with the value.

        Examples:
            >>> audio = ai.txt2speech("Good evening")
            >>> audio.close()
        """
        if self._content is not None:
            self._content.close()

    def _in_memory(self) -> Bytes | None:
        return self._content.data if self._data is None and self._content else self._data

    def _elsewhere(self) -> Content:
        if self._content is None:
            raise PuterError(
                f"{self._shown_url} did not come from a client, so nothing here can fetch it",
                hint="Fetch it with requests.get(url).content, or pass it on to a call, such as "
                "chat(images=...).",
            )
        return self._content

    @property
    def _shown_url(self) -> str:
        return shown_url(self.url or "")[:200]

    @property
    def address(self) -> str:
        """Its URL; of what came as bytes, the data URI."""
        return self.url or self.data_uri()

    def data_uri(self) -> str:
        """``data:<mime type>;base64,...`` of bytes in memory.

        Examples:
            >>> Image(b"GIF89a").data_uri()
            'data:image/gif;base64,R0lGODlh'
        """
        return in_base64(f"data:{self.mime_type};base64,", (self.bytes,))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        if self.url is not None:
            return (self.url,)
        if self._digest is None:
            object.__setattr__(self, "_digest", hashlib.sha256(self.bytes).digest())
        return self._mime_type, self._digest

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: Any) -> Self:
        return self

    def __reduce__(self) -> Any:
        data = self.read() if self.url is None else self._in_memory()
        return _rebuild, (type(self), data, self.mime_type, self.url)

    def __repr__(self) -> str:
        data = self._in_memory()
        size = f", {len(data)} bytes" if data is not None else ""
        where = f", {self._shown_url}" if self.url is not None else ""
        return f"<{type(self).__name__} {self.mime_type or 'of unknown type'}{size}{where}>"

    def _html_source(self) -> str:
        """What an HTML page can show."""
        return html.escape(self.url if self._in_memory() is None and self.url else self.data_uri())


def _rebuild(cls: type[M], data: bytes | None, mime_type: str, url: str | None) -> M:
    media = cls.__new__(cls)
    media._set(data, mime_type, url)
    return media


class Image(Media):
    """An image; notebooks show it.

    Examples:
        >>> Image.of("data:image/gif;base64,R0lGODlh").bytes
        b'GIF89a'
    """

    __slots__ = ()

    def to_pil(self) -> Any:
        """The image as a ``PIL.Image.Image``; a URL is downloaded.

        Raises:
            ImportError: Pillow is not installed.
            PuterAPIError: The URL could not be downloaded.

        Examples:
            >>> ai.txt2img("A cat").to_pil().size
            (1, 1)
        """
        try:
            import PIL.Image
        except ImportError:
            raise ImportError("to_pil() needs Pillow: pip install pillow") from None
        return PIL.Image.open(io.BytesIO(self.read()))

    def _repr_png_(self) -> Bytes | None:
        return self._in_memory() if self.mime_type == "image/png" else None

    def _repr_jpeg_(self) -> Bytes | None:
        return self._in_memory() if self.mime_type == "image/jpeg" else None

    def _repr_html_(self) -> str | None:
        if self._in_memory() is not None and self.mime_type in ("image/png", "image/jpeg"):
            return None  # shown as what it is
        return f'<img src="{self._html_source()}" style="max-width:100%">'


class Audio(Media):
    """Audio; notebooks show a player.

    More than 1 MiB of it is kept in a temporary file. That is removed together with the value, or
    at the end of ``with audio:``.
    """

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _repr_html_(self) -> str | None:
        if self._in_memory() is None and self.url is None:
            return None
        return f'<audio controls src="{self._html_source()}"></audio>'


class Video(Media):
    """A video; notebooks show a player."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return f'<video controls src="{self._html_source()}" style="max-width:100%"></video>'


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:  # fetching it raises the error
        return ""


def shown_url(url: str) -> str:
    """A URL as people may see it: whoever has the query of a signed one may fetch the file.

    Examples:
        >>> shown_url("https://me:pw@example.org/a.png?signature=x")
        'https://example.org/a.png?...'
    """
    bare = re.sub(r"[?#].*", "?...", url, count=1, flags=re.DOTALL)
    return re.sub(r"(?<=//)[^/]*@|[\x00-\x1f\x7f]", "", bare)


_OF_BYTES = "For bytes write {0}(data), for a file {0}(Path(name).read_bytes())."


def in_base64(prefix: str, pieces: Iterable[bytes]) -> str:
    """The bytes in base64 after a prefix; it is in memory once, and never as bytes beside it.

    Examples:
        >>> in_base64("data:image/gif;base64,", [b"GIF", b"89a"])
        'data:image/gif;base64,R0lGODlh'
    """
    text, rest = prefix, b""
    for piece in pieces:
        view = memoryview(rest + piece if rest else piece)
        whole = len(view) // 3 * 3
        for start in range(0, whole, _STEP):
            text += base64.b64encode(view[start : min(start + _STEP, whole)]).decode()  # in place
        rest = bytes(view[whole:])
    text += base64.b64encode(rest).decode()
    return text


_STEP = 3 * 2**16
"""Bytes that are written in base64 at once."""


def from_data_uri(address: str) -> tuple[Iterator[bytes], str]:
    """The bytes in a data URI, in pieces, and their MIME type without parameters.

    Raises:
        PuterInputError: A piece of it cannot be decoded.
    """
    comma = address.find(",")
    end = comma if comma >= 0 else len(address)
    head = address[5:end]
    pieces = _unquoted(address, end + 1)
    if head.lower().endswith(";base64"):
        pieces = _from_base64(pieces)
    return _decoded(address, pieces), canonical(head)


def _decoded(address: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    except ValueError:  # from binascii, or of half a character
        raise PuterInputError(f"{address[:40]!r} does not hold valid base64") from None


def joined(pieces: Iterable[bytes]) -> bytes:
    """The pieces as one, which are in memory only once."""
    whole = io.BytesIO()  # gives its bytes away without a copy
    whole.writelines(pieces)
    return whole.getvalue()


_PIECE = 2**14
"""Characters that are decoded at once: what is odd in them costs many times their size."""
_BLANKS = b" \t\n\r\f\v"


def _unquoted(address: str, start: int) -> Iterator[bytes]:
    """The bytes of a URL from there on, in pieces that end in no escape."""
    while start < len(address):
        stop = start + _PIECE
        if stop < len(address) and (escape := address.rfind("%", stop - 2, stop)) >= 0:
            stop = escape
        yield unquote_to_bytes(address[start:stop])
        start = stop


def _from_base64(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What they hold in base64, blanks in it and its padding missing perhaps.

    Raises:
        ValueError: They hold something else.
    """
    rest = b""
    for piece in pieces:
        text = rest + piece.translate(None, _BLANKS)
        bare = text.rstrip(b"=")
        if b"=" in bare:
            raise ValueError("Text after the padding")
        whole = len(bare) // 4 * 4
        yield base64.b64decode(bare[:whole], validate=True)
        rest = bare[whole:] + text[len(bare) :][:1]  # of the padding, that there was some
    bare = rest.rstrip(b"=")
    yield base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
