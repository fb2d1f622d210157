"""What each item of a batch asks, and the key by which its answer is found again."""

from __future__ import annotations

import hashlib
import json
import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from puter.api.chat import chat_request
from puter.batch.identity import identity
from puter.exceptions import PuterInputError, repr_of, words_of
from puter.jsonable import to_json
from puter.records import dataclass
from puter.tools import Toolbox
from puter.types.media import Media
from puter.types.puter_file import is_pil

EACH = "{item}"
"""The template that says the item as it is."""
_FORMAT = 1
"""Part of each key."""
_ALONE = {
    "stream": "The answers of a batch are whole.",
    "remember": "The items of a batch are asked apart from each other, and none is remembered.",
    "resume": "An answer that failed is asked again when the batch is run again.",
    "tool_results": "An answer that failed is asked again when the batch is run again.",
}
"""Arguments of a chat that a batch does not take, and why."""
_NOT_ASKED = ("timeout", "raise_tool_errors", "max_rounds", "remember")
"""Arguments that say how a chat runs, not what it asks."""


@dataclass(slots=True)
class BatchRequest:
    """One item, and what is asked of it."""

    item: Any
    arguments: dict[str, Any] | None
    """Of ``chat()``; None for a function."""
    shown: Any = None
    """The item as JSON."""
    key: str = ""
    """Of its record in the file."""


class Prompts:
    """Makes a ``BatchRequest`` of each item.

    Args:
        template: What to say of an item: a text with fields, or a function of the item.
        function: What to call with a client and an item, in place of a chat.
        model: Which model.
        method: ``chat`` or ``async_chat``.
        arguments: Those of the chats.
        keyed: Whether answers are found again, by keys.

    Raises:
        TypeError: An argument is unknown.
        PuterInputError: An argument is not valid.
    """

    def __init__(
        self,
        template: str | Callable[[Any], Any],
        function: Callable[..., Any] | None,
        model: str,
        method: str,
        arguments: dict[str, Any],
        *,
        keyed: bool = False,
    ) -> None:
        self._template, self._function = template, function
        self.model: str = model
        self._arguments = arguments
        self._fields: frozenset[str] = frozenset()
        self._times: Counter[bytes] = Counter()
        for name, reason in _ALONE.items():
            if name in arguments:
                raise PuterInputError(f"batch() takes no {name}=", hint=reason)
        self._what: Any = None
        if function is not None:
            self._check_function(function)
            self._what = ["function", identity(function)] if keyed else None
        elif isinstance(template, str):
            self._fields = _fields_of(template)
        elif not callable(template):
            raise PuterInputError(
                f"template must be a str or a function of the item, not {repr_of(template)}"
            )
        if function is None:
            request = chat_request(method, "item", model, arguments)
            tools = request.tools
            asked = {k: v for k, v in arguments.items() if k not in _NOT_ASKED and v is not None}
            if isinstance(tools, Toolbox):
                asked["tools"] = list(tools.schemas)
            self._what = _plain(asked)

    def _check_function(self, function: Any) -> None:
        if not callable(function):
            raise PuterInputError(
                f"function must be a function (client, item), not {repr_of(function)}"
            )
        if self._arguments or self._template != EACH:
            given = next(iter(self._arguments), "template")
            raise PuterInputError(
                f"batch() takes function= or {given}=, not both",
                hint="The function says itself what it asks: client.chat(...).",
            )

    def check(self, items: Any) -> None:
        """See that the template fits each item, where that costs nothing.

        Raises:
            PuterInputError: It does not.
        """
        if isinstance(items, (list, tuple)) and self._fields:
            for item in items:
                self._chat(item)

    def __call__(self, item: Any) -> BatchRequest:
        """What is asked of an item.

        Raises:
            PuterInputError: It does not fit the template.
            Exception: That of a template that is a function.
        """
        return BatchRequest(item, None if self._function is not None else self._chat(item))

    def name(self, request: BatchRequest) -> None:
        """Give it its key: a hash of item, prompt, model and options. Equal ones are numbered.

        Raises:
            PuterInputError: The item has no form in JSON.
        """
        try:
            _check_unread(request.item)
            request.shown = to_json(request.item)
        except Exception as error:  # noqa: BLE001 - of a class of the user's
            raise PuterInputError(
                f"An item cannot be written to the file: {words_of(error)}",
                hint="Items of a batch with output= are str, numbers, dicts, lists or dataclasses.",
            ) from None
        asked = None if request.arguments is None else _plain(self._own(request))
        text = json.dumps(
            [_FORMAT, request.shown, self.model, self._what, asked],
            sort_keys=True,
            separators=(",", ":"),
        )
        digest = hashlib.sha256(text.encode()).digest()[:16]
        self._times[digest] += 1
        if (times := self._times[digest]) > 1:
            digest = hashlib.sha256(digest + str(times).encode()).digest()[:16]
        request.key = digest.hex()

    def _own(self, request: BatchRequest) -> dict[str, Any]:
        """The arguments that an item has for itself, as those of all are in ``_what``."""
        given = request.arguments or {}
        common, absent = self._arguments, object()
        own = {k: v for k, v in given.items() if common.get(k, absent) is not v}
        return {k: v for k, v in own.items() if k not in _NOT_ASKED}

    def _chat(self, item: Any) -> dict[str, Any]:
        said: Any = item
        if callable(self._template):
            said = self._template(item)
        elif self._template != EACH or isinstance(item, Mapping) or not _is_conversation(item):
            try:
                said = self._template.format_map(self._values(item))
            except (
                LookupError,
                ValueError,
                TypeError,
                AttributeError,
                MemoryError,
                RecursionError,
            ) as error:
                raise PuterInputError(
                    f"The template does not fit {repr_of(item, 80)}: {words_of(error)}"
                ) from None
        own = dict(said) if isinstance(said, Mapping) else {"prompt": said}
        if own.keys() & _ALONE.keys():
            raise PuterInputError(f"A template gives no {', '.join(own.keys() & _ALONE.keys())}")
        return {"model": self.model, "remember": False, **self._arguments, **own}

    def _values(self, item: Any) -> Mapping[str, Any]:
        values = item if isinstance(item, Mapping) else {"item": item}
        there = {name for name, value in values.items() if value is not None}
        if missing := self._fields - there:
            raise PuterInputError(
                f"The template has the field {{{min(missing)}}}, and {repr_of(item, 80)} has: "
                f"{', '.join(str(one) for one in values if one in there) or 'nothing'}",
                hint="Fields of a mapping are {name}, any other item is {item}; "
                "a brace itself is {{ or }}.",
            )
        return values


def _is_conversation(item: Any) -> bool:
    return isinstance(item, list) and any(isinstance(one, Mapping) for one in item)


def _fields_of(template: str) -> frozenset[str]:
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise PuterInputError(
            f"The template {repr_of(template, 80)} cannot be read: {error}",
            hint="Write {item} or {field}, and a brace itself as {{ or }}.",
        ) from None
    fields = {name.partition(".")[0].partition("[")[0] for name in named}
    if not fields or "" in fields:
        raise PuterInputError(
            f"The template {repr_of(template, 80)} names no field",
            hint="Write {item} where the item goes, or {field} for one of a mapping.",
        )
    return frozenset(fields)


def _plain(arguments: Any) -> Any:
    """Arguments as JSON, for the key.

    Raises:
        PuterInputError: That would use up one of them.
    """
    _check_unread(arguments)
    return to_json(arguments, _named, _hashed)


def _check_unread(value: Any) -> None:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for one in value:
            _check_unread(one)
    elif isinstance(value, Iterator) or (isinstance(value, Iterable) and hasattr(value, "read")):
        raise PuterInputError(
            f"{repr_of(value, 80)} can be read only once, and a batch looks into what it asks",
            hint="Pass the path or the bytes of a file, and a list in place of a generator.",
        )


def _named(value: Any) -> Any:
    """What stands for a value that has no form in JSON: pictures and media by what is in them."""
    if isinstance(value, Media):
        data = value._in_memory()
        return value.url if data is None else _hashed(data)
    if is_pil(value):
        return [value.mode, value.size, _hashed(value.tobytes())]
    return f"{type(value).__qualname__} {getattr(value, '__qualname__', '')}"


def _hashed(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
