"""Pictures (and sound and film) that calls return: bytes in memory, or a URL fetched on demand."""

from __future__ import annotations

import asyncio
import base64
import binascii
import html
import io
import os
import random
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from puter.exceptions import PuterError, PuterInputError, PuterResponseError
from puter.files import Incomplete
from puter.wire.mime import canonical, extension_of, mime_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from puter.config import PuterConfig
    from puter.exchange import Call
    from puter.flow import Body, Flow
    from puter.wire.http import Reply


Bytes: TypeAlias = bytes  # the class below has a property of the name

TELLING = 16
"""First bytes that tell what a file is."""


class Media:
    """Bytes in memory, an answer still on its way, or a URL fetched when its bytes are wanted.

    A URL is another host's, so it is fetched without the Puter token, and only once. Long answers
    are not held in memory: ``save()`` and ``iter_bytes()`` pass them on as they come.

    Attributes:
        mime_type: Such as ``image/png``; ``""`` while it is not known.
        url: Where it came from, None when it came as bytes.
    """

    __slots__ = ("__weakref__", "_body", "_config", "_data", "_head", "mime_type", "url")

    mime_type: str
    url: str | None
    _data: bytes | None
    _head: bytes
    _body: Body | None
    _config: PuterConfig | None

    def __init__(
        self, data: bytes | None = None, *, mime_type: str = "", url: str | None = None
    ) -> None:
        if (data is None) == (url is None):
            raise PuterInputError("Give either the bytes or the URL")
        self._set(_data=data, _head=b"", _body=None, _config=None, url=url)
        self._set(mime_type=mime_type or mime_of(data, _path_of(url or "")))

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, address: str) -> Self:
        """From a data URI or an http(s) URL.

        Raises:
            PuterResponseError: It is neither.
        """
        if address[:5].lower() == "data:":
            data, mime_type = from_data_uri(address)
            return cls(data, mime_type=mime_of(data, "") or mime_type)
        if not address.lower().startswith(("http://", "https://")):
            raise PuterResponseError(
                f"{address[:40]!r} is neither a data URI nor a URL",
                hint="The server may be newer or older than this SDK understands.",
            )
        return cls(url=address)

    @classmethod
    def _arriving(cls, head: Bytes, body: Body, mime_type: str) -> Self:
        """From an answer of which only the beginning has come."""
        media = cls(head, mime_type=mime_type)
        media._set(_data=None, _head=head, _body=body)
        return media

    @property
    def bytes(self) -> Bytes:
        """The bytes, if they are in memory.

        Raises:
            PuterError: They are not, or not yet.
        """
        if self._data is None:
            what = self.url if self.url is not None else "this answer"
            raise PuterError(
                f"The bytes of {what} are not in memory",
                hint="Call read() or save() first, or await async_read() or async_save().",
            )
        return self._data

    def read(self) -> Bytes:
        """The bytes; a URL is fetched the first time.

        Raises:
            PuterAPIError: They could not be fetched, or stopped half-way.

        Examples:
            >>> Media(b"GIF89a").read()
            b'GIF89a'
        """
        if self._data is None:
            self._set(_data=b"".join(self.iter_bytes()))
        return self.bytes

    async def async_read(self) -> Bytes:
        if self._data is None:
            self._set(_data=b"".join([data async for data in self.async_iter_bytes()]))
        return self.bytes

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the bytes to a file, whole or not at all, and return its path.

        They are passed on as they come, so a long film needs no memory.

        Args:
            path: Where to; an extension is added from ``mime_type`` when it has none.

        Raises:
            PuterAPIError: They could not be fetched, or stopped half-way.
            OSError: The file could not be written.

        Examples:
            >>> Image.of("data:image/gif;base64,R0lGODlh").save("dot")  # doctest: +SKIP
            PosixPath('dot.gif')
        """
        kept = _Kept()
        with Incomplete(path) as file:
            for data in self.iter_bytes():
                file.write(data)
                kept.add(data)
            target = file.done(self._named(path))
        self._keep(kept)
        return target

    async def async_save(self, path: str | os.PathLike[str]) -> Path:
        kept = _Kept()
        with Incomplete(path) as file:
            async for data in self.async_iter_bytes():
                await asyncio.to_thread(file.write, data)
                kept.add(data)
            target = await asyncio.to_thread(file.done, self._named(path))
        self._keep(kept)
        return target

    def iter_bytes(self) -> Iterator[Bytes]:
        """The bytes in pieces, as they come; they are not kept.

        Raises:
            PuterAPIError: They could not be fetched, or stopped half-way.

        Examples:
            >>> b"".join(Media(b"GIF89a").iter_bytes())
            b'GIF89a'
        """
        if self._data is not None:
            yield self._data
            return
        if self.url is None:
            body = self._take(asynchronous=False)
            try:
                yield self._head
                while data := body.read():
                    yield data
            finally:
                body.close()
            return
        from puter.transports.blocking import Blocking

        driver = Blocking()
        try:
            reply = driver.run(self._fetch())
            if reply.stream is None:
                yield self._first(reply, reply.body)
                return
            try:
                head = b""
                while len(head) < TELLING and (data := reply.stream.read()):
                    head += data
                yield self._first(reply, head)
                while data := reply.stream.read():
                    yield data
            finally:
                reply.stream.close()
        finally:
            driver.close()

    async def async_iter_bytes(self) -> AsyncIterator[Bytes]:
        if self._data is not None:
            yield self._data
            return
        if self.url is None:
            body = self._take(asynchronous=True)
            try:
                yield self._head
                while data := await body.read():
                    yield data
            finally:
                body.close()
            return
        from puter.transports.asynchronous import Asynchronous

        driver = Asynchronous()
        try:
            reply = await driver.run(self._fetch())
            if reply.stream is None:
                yield self._first(reply, reply.body)
                return
            try:
                head = b""
                while len(head) < TELLING and (data := await reply.stream.read()):
                    head += data
                yield self._first(reply, head)
                while data := await reply.stream.read():
                    yield data
            finally:
                reply.stream.close()
        finally:
            await driver.aclose()

    def close(self) -> None:
        """Free the connection of an answer that is still on its way. Safe to repeat."""
        body = self._body
        self._set(_body=None)
        if body is not None:
            body.close()

    def _take(self, *, asynchronous: bool) -> Body:
        body = self._body
        if body is None:
            raise PuterError("This answer has been passed on already", hint="Keep what came.")
        if body.asynchronous is not asynchronous:
            raise PuterError(
                f"This answer came through the {'async' if body.asynchronous else 'sync'} door",
                hint="Use async_read(), async_save() or async_iter_bytes()."
                if body.asynchronous
                else "Use read(), save() or iter_bytes().",
            )
        self._set(_body=None)
        return body

    def _through(self, config: PuterConfig) -> Self:
        """Fetch as the client does: by its proxy, certificates and patience."""
        self._set(_config=config)
        return self

    def _fetch(self) -> Flow[Reply]:
        from puter.operations.fetch import fetch

        return fetch(_call(self._config), str(self.url))

    def _first(self, reply: Reply, data: Bytes) -> Bytes:
        """The first bytes of a URL tell what it is, or else its host does."""
        told = canonical(reply.content_type)
        self._set(mime_type=mime_of(data, "") or told or self.mime_type)
        return data

    def _keep(self, kept: _Kept) -> None:
        if self._data is None and kept.data is not None:
            self._set(_data=b"".join(kept.data))

    def _named(self, path: str | os.PathLike[str]) -> Path:
        target = Path(path)
        if not target.suffix:
            target = target.with_name(target.name + extension_of(self.mime_type))
        return target

    def data_uri(self) -> str:
        """``data:<mime type>;base64,...`` of bytes in memory."""
        return f"data:{self.mime_type};base64,{base64.b64encode(self.bytes).decode()}"

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        if self.url is not None:
            return (self.url,)
        return (self.mime_type, self._data) if self._data is not None else (id(self),)

    def __reduce__(self) -> Any:
        if self.url is None:
            _ = self.bytes  # an answer on its way cannot be kept: says so
        return _rebuild, (type(self), self._data, self.mime_type, self.url)

    def __repr__(self) -> str:
        size = f", {len(self._data)} bytes" if self._data is not None else ""
        where = f", {self.url}" if self.url is not None else ""
        return f"<{type(self).__name__} {self.mime_type or 'of unknown type'}{size}{where}>"

    def __del__(self) -> None:
        if getattr(self, "_body", None) is not None:
            warnings.warn(
                f"a {type(self).__name__} was dropped before it was read; read, save or close it",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
            self.close()

    def _source(self) -> str:
        """What an HTML page can show."""
        return html.escape(self.url if self._data is None and self.url else self.data_uri())


class _Kept:
    """What passed by, as long as it is little: then a URL need not be fetched again."""

    MOST = 8 * 2**20

    def __init__(self) -> None:
        self.data: list[bytes] | None = []
        self._size = 0

    def add(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self.MOST:
            self.data = None
        elif self.data is not None:
            self.data.append(data)


class Image(Media):
    """A picture; notebooks show it.

    Examples:
        >>> Image.of("data:image/gif;base64,R0lGODlh").bytes
        b'GIF89a'
    """

    __slots__ = ()

    def to_pil(self) -> Any:
        """The picture as a ``PIL.Image.Image``; fetches it when it is a URL.

        Raises:
            ImportError: Pillow is not installed.
            PuterAPIError: The URL could not be fetched.
        """
        try:
            import PIL.Image
        except ImportError:
            raise ImportError("to_pil() needs Pillow: pip install pillow") from None
        return PIL.Image.open(io.BytesIO(self.read()))

    def _repr_png_(self) -> Bytes | None:
        return self._data if self.mime_type == "image/png" else None

    def _repr_jpeg_(self) -> Bytes | None:
        return self._data if self.mime_type == "image/jpeg" else None

    def _repr_html_(self) -> str | None:
        if self._data is not None and self.mime_type in ("image/png", "image/jpeg"):
            return None  # shown as what it is
        return f'<img src="{self._source()}">'


class Audio(Media):
    """Sound; notebooks show a player.

    A long answer may still be on its way: read, save or close it, or put ``with`` around it.
    """

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _repr_html_(self) -> str | None:
        if self._data is None and self.url is None:
            return None
        return f'<audio controls src="{self._source()}"></audio>'


class Video(Media):
    """A film; notebooks show a player."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return f'<video controls src="{self._source()}"></video>'


def _call(config: PuterConfig | None) -> Call:
    """A call of its own: another host's business, so without the client's token and headers."""
    from puter.config import PuterConfig
    from puter.credentials import Credentials
    from puter.exchange import Call
    from puter.ledger import Ledger
    from puter.models import registry
    from puter.retry import RetryBudget
    from puter.throttle import Throttle

    return Call(
        config=config or PuterConfig.from_env(),
        credentials=Credentials(None, None, None),
        throttle=Throttle(),
        budget=RetryBudget(),
        ledger=Ledger(),
        registry=registry(),
        clock=time.monotonic,
        random=random.random,
    )


def _rebuild(cls: type[Media], data: bytes | None, mime_type: str, url: str | None) -> Media:
    media = object.__new__(cls)
    media._set(_data=data, _head=b"", _body=None, _config=None, mime_type=mime_type, url=url)
    return media


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:  # told by whoever fetches it
        return ""


def from_data_uri(address: str) -> tuple[bytes, str]:
    """The bytes in a data URI, and their MIME type without parameters.

    Raises:
        PuterResponseError: It cannot be decoded.
    """
    head, _, payload = address[5:].partition(",")
    data = unquote_to_bytes(payload)
    if head.lower().endswith(";base64"):
        try:
            data = base64.b64decode(b"".join(data.split()) + b"==")
        except binascii.Error as error:
            raise PuterResponseError(
                "A data URI in the answer could not be decoded", hint="Ask again."
            ) from error
    return data, canonical(head)


for _name in ("read", "save", "iter_bytes"):
    getattr(Media, f"async_{_name}").__doc__ = getattr(Media, _name).__doc__
