"""Text that media calls return: what was read in a picture, and what was heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self


class _Text(str):
    """A ``str`` with attributes that cannot be changed."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The text as a plain ``str``."""
        return str.__str__(self)

    @classmethod
    def _made(cls, text: str, attributes: Mapping[str, Any]) -> Self:
        self = str.__new__(cls, text)
        for name, value in attributes.items():
            object.__setattr__(self, name, value)
        return self

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __reduce__(self) -> Any:
        slots: tuple[str, ...] = self.__slots__
        return _rebuild, (type(self), self.text, {name: getattr(self, name) for name in slots})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"


def _rebuild(cls: type[_Text], text: str, attributes: Mapping[str, Any]) -> _Text:
    return cls._made(text, attributes)


class OcrText(_Text):
    """The text in a picture or document.

    Attributes:
        blocks: Pieces as the provider found them: dicts with ``type``, ``text``, ``confidence``.
        pages: Pages of a document (Mistral): dicts with ``index``, ``markdown`` and more.
        raw: The server's own result.
    """

    __slots__ = ("blocks", "pages", "raw")

    blocks: tuple[dict[str, Any], ...]
    pages: tuple[dict[str, Any], ...]
    raw: Any

    def __new__(
        cls,
        text: str,
        *,
        blocks: tuple[dict[str, Any], ...] = (),
        pages: tuple[dict[str, Any], ...] = (),
        raw: Any = None,
    ) -> Self:
        return cls._made(text, {"blocks": blocks, "pages": pages, "raw": raw})


class Transcript(_Text):
    """What was said.

    Attributes:
        words: With times, where asked for: dicts with ``start``, ``end`` and the word.
        segments: Sentences or speakers' turns, where asked for.
        language: What was spoken, if the provider told.
        raw: The server's own result.
    """

    __slots__ = ("language", "raw", "segments", "words")

    words: tuple[dict[str, Any], ...]
    segments: tuple[dict[str, Any], ...]
    language: str | None
    raw: Any

    def __new__(
        cls,
        text: str,
        *,
        words: tuple[dict[str, Any], ...] = (),
        segments: tuple[dict[str, Any], ...] = (),
        language: str | None = None,
        raw: Any = None,
    ) -> Self:
        attributes = {"words": words, "segments": segments, "language": language, "raw": raw}
        return cls._made(text, attributes)
