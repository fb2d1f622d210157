"""Text that calls return, with attributes: the base of all such values, OCR and transcripts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from puter.types.immutable import Immutable

if TYPE_CHECKING:
    from typing_extensions import Self

V = TypeVar("V", bound="TextValue")

_put: Callable[[object, str, Any], None] = object.__setattr__


class TextValue(Immutable, str):
    """A ``str`` with attributes that cannot be changed; it compares and hashes as its text.

    A subclass names its attributes in ``__slots__``. Its ``__new__`` makes the value with
    ``_make()`` or, on hot paths, with ``str.__new__`` and setters that pass the refusal by.
    """

    __slots__ = ()

    _fields: ClassVar[tuple[str, ...]] = ()
    """The attributes, those of the base classes first."""

    def __init_subclass__(cls, beside: Collection[str] = ()) -> None:
        """``beside``: slots that are no part of the value, so neither copied nor pickled."""
        super().__init_subclass__()
        cls._fields += tuple(one for one in cls.__dict__.get("__slots__", ()) if one not in beside)

    @classmethod
    def _make(cls, text: str, attributes: Mapping[str, Any]) -> Self:
        """The value with these attributes, all of them, unchecked."""
        return str.__new__(cls, text)._complete(attributes)

    def _complete(self, attributes: Mapping[str, Any]) -> Self:
        """Fill in attributes of a value that nobody has seen yet; ``copy_with`` is for the rest."""
        # In C alone, since putting returns nothing true: a loop takes twice as long.
        any(map(_put, itertools.repeat(self), attributes, attributes.values()))
        return self

    def _attributes(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._fields}

    @property
    def text(self) -> str:
        """The text as a plain ``str``."""
        return str.__str__(self)

    def copy_with(self, **changes: Any) -> Self:
        """A copy with some attributes, or its ``text``, replaced.

        Raises:
            TypeError: There is no such attribute.

        Examples:
            >>> Transcript("Hi", language="en").copy_with(language="de").language
            'de'
        """
        attributes = {"text": self.text, **self._attributes()}
        for name in changes:
            if name not in attributes:
                raise TypeError(f"{type(self).__name__} has no attribute {name!r}")
        attributes.update(changes)
        return self._make(attributes.pop("text"), attributes)

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.text, self._attributes())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"


def _rebuild(cls: type[V], text: str, attributes: Mapping[str, Any]) -> V:
    return cls._make(text, attributes)


class OcrText(TextValue):
    """The text in an image or document: a ``str`` with the provider's own details."""

    __slots__ = ("blocks", "pages", "raw")

    blocks: tuple[dict[str, Any], ...]
    """Pieces as the provider found them: dicts with ``type``, ``text``, ``confidence``."""
    pages: tuple[dict[str, Any], ...]
    """Pages of a document (Mistral): dicts with ``index``, ``markdown`` and more."""
    raw: Any
    """The server's own result."""

    def __new__(
        cls,
        text: str,
        *,
        blocks: tuple[dict[str, Any], ...] = (),
        pages: tuple[dict[str, Any], ...] = (),
        raw: Any = None,
    ) -> Self:
        return cls._make(text, {"blocks": blocks, "pages": pages, "raw": raw})

    def _repr_html_(self) -> str:
        from puter.display import tables

        return tables.passage(self.text)


class Transcript(TextValue):
    """What was said in a recording: a ``str`` with times and language where asked for."""

    __slots__ = ("language", "raw", "segments", "words")

    words: tuple[dict[str, Any], ...]
    """Words with times, where asked for: dicts with ``start``, ``end`` and the word."""
    segments: tuple[dict[str, Any], ...]
    """Sentences or speakers' turns, where asked for."""
    language: str | None
    """The language spoken, None when the provider did not say."""
    raw: Any
    """The server's own result."""

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
        return cls._make(text, attributes)

    def _repr_html_(self) -> str:
        from puter.display import tables

        said = tables.passage(self.text)
        columns = [name for name in _OF_SEGMENTS if any(name in one for one in self.segments)]
        if not columns:
            return said
        rows = [[_cell(one.get(name)) for name in columns] for one in self.segments]
        return said + tables.table(columns, rows)


_OF_SEGMENTS = ("start", "end", "speaker", "text")


def _cell(value: Any) -> str | None:
    """What a segment says; seconds come as numbers."""
    return None if value is None else f"{value:.1f} s" if isinstance(value, float) else str(value)
