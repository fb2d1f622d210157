"""Pictures (and sound and film) that calls return: bytes in memory, or a URL fetched on demand."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import random
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from puter.exceptions import PuterError, PuterInputError, PuterResponseError
from puter.files import write_whole
from puter.wire.mime import canonical, extension_of, mime_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from puter.exchange import Call


Bytes: TypeAlias = bytes  # the class below has a property of the name


class Media:
    """Bytes, or a URL whose bytes are fetched once, when they are wanted, without the Puter token.

    Immutable as far as can be seen from outside; compares by its bytes or URL.

    Attributes:
        mime_type: Such as ``image/png``; ``""`` while it is not known.
        url: Where it came from, None when it came as bytes.
    """

    __slots__ = ("_data", "mime_type", "url")

    mime_type: str
    url: str | None
    _data: bytes | None

    def __init__(
        self, data: bytes | None = None, *, mime_type: str = "", url: str | None = None
    ) -> None:
        if (data is None) == (url is None):
            raise PuterInputError("Give either the bytes or the URL")
        put = object.__setattr__
        put(self, "_data", data)
        put(self, "url", url)
        put(self, "mime_type", mime_type or mime_of(data, _path_of(url or "")))

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

    @property
    def bytes(self) -> Bytes:
        """The bytes, if they are in memory.

        Raises:
            PuterError: They have not been fetched yet.
        """
        if self._data is None:
            raise PuterError(
                f"The bytes of {self.url} have not been fetched",
                hint="Call read() or save() first, or await async_read() or async_save().",
            )
        return self._data

    def read(self) -> Bytes:
        """The bytes; a URL is fetched the first time.

        Raises:
            PuterAPIError: The URL could not be fetched.

        Example:
            >>> Media(b"GIF89a").read()
            b'GIF89a'
        """
        if self._data is None:
            from puter.operations.media import fetch
            from puter.transports.blocking import Blocking

            driver = Blocking()
            try:
                self._keep(driver.run(fetch(_call(), str(self.url))))
            finally:
                driver.close()
        return self.bytes

    async def async_read(self) -> Bytes:
        if self._data is None:
            from puter.operations.media import fetch
            from puter.transports.asynchronous import Asynchronous

            driver = Asynchronous()
            try:
                self._keep(await driver.run(fetch(_call(), str(self.url))))
            finally:
                await driver.aclose()
        return self.bytes

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the bytes to a file, whole or not at all, and return its path.

        Args:
            path: Where to; an extension is added from ``mime_type`` when it has none.

        Raises:
            PuterAPIError: The URL could not be fetched.
            OSError: The file could not be written.
        """
        self.read()
        return self._write(path)

    async def async_save(self, path: str | os.PathLike[str]) -> Path:
        await self.async_read()
        return await asyncio.to_thread(self._write, path)

    def _write(self, path: str | os.PathLike[str]) -> Path:
        target = Path(path)
        if not target.suffix:
            target = target.with_name(target.name + extension_of(self.mime_type))
        write_whole(target, self.bytes)
        return target

    def _keep(self, fetched: tuple[Bytes, str]) -> None:
        data, mime_type = fetched
        object.__setattr__(self, "_data", data)
        object.__setattr__(self, "mime_type", mime_of(data, "") or mime_type or self.mime_type)

    def data_uri(self) -> str:
        """``data:<mime type>;base64,...`` of bytes in memory."""
        return f"data:{self.mime_type};base64,{base64.b64encode(self.bytes).decode()}"

    def __setattr__(self, name: str, value: Any = None) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    __delattr__ = __setattr__  # both refuse

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (self.url,) if self.url is not None else (self.mime_type, self._data)

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self._data, self.mime_type, self.url)

    def __repr__(self) -> str:
        size = f", {len(self._data)} bytes" if self._data is not None else ""
        where = f", {self.url}" if self.url is not None else ""
        return f"<{type(self).__name__} {self.mime_type or 'of unknown type'}{size}{where}>"


class Image(Media):
    """A picture.

    Example:
        >>> Image.of("data:image/gif;base64,R0lGODlh").bytes
        b'GIF89a'
    """

    __slots__ = ()


def _call() -> Call:
    """A call of its own: another host's business, so without the client's token and headers."""
    from puter.config import PuterConfig
    from puter.credentials import Credentials
    from puter.exchange import Call
    from puter.ledger import Ledger
    from puter.models import registry
    from puter.retry import RetryBudget
    from puter.throttle import Throttle

    return Call(
        config=PuterConfig.from_env(headers={}),
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
    put = partial(object.__setattr__, media)
    put("_data", data)
    put("mime_type", mime_type)
    put("url", url)
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


for _name in ("read", "save"):
    getattr(Media, f"async_{_name}").__doc__ = getattr(Media, _name).__doc__
