"""``Fault``: one way for a request to go wrong, as a change to the answer it would have had."""

from __future__ import annotations

import functools
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from http import HTTPStatus
from types import NoneType, UnionType
from typing import (
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

P = ParamSpec("P")
End: TypeAlias = Literal["closed", "reset", "silence"]
"""How a connection ends: by FIN, by RST, or it stays open and says nothing more."""
Step: TypeAlias = bytes | float | End
"""What is done with a connection: send bytes, pause for so many seconds, end it."""
Trouble: TypeAlias = str
"""An `End`, "reset before its unknown end", "too large", or what is told of the damaged answer."""
Scope: TypeAlias = Literal["any", "chat", "stream"]

JSON = {"Content-Type": "application/json; charset=utf-8"}


_REASONS = {int(status): status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class HttpAnswer:
    """An answer before it is put on the wire.

    Attributes:
        pieces: the body, in one piece; of a stream its lines. Numbers are pauses in seconds.
        streamed: it goes out in chunks.
        end: what happens instead of the proper end of the body.
        length: the Content-Length that is stated, when it is not the true one.
        echo: what the request said in secret: its token and its body.
        newer: the server of 2026-10 says it.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    pieces: Iterable[bytes | float] = (b'{"success":true,"result":null}',)
    streamed: bool = False
    end: End | None = None
    length: int | None = None
    echo: str = ""
    newer: bool = True

    @property
    def body(self) -> bytes:
        return b"".join(piece for piece in self.pieces if isinstance(piece, bytes))

    @property
    def sent(self) -> bytes:
        """All that is sent."""
        return b"".join(step for step in self.wire() if isinstance(step, bytes))

    @property
    def is_plain(self) -> bool:
        """Nothing is odd about the way it is sent."""
        return not self.streamed and self.end is None and self.length is None

    def whole(self, body: bytes, **changes: Any) -> HttpAnswer:
        """Another body, in one piece."""
        return replace(self, **{"pieces": (body,), "streamed": False, **changes})

    def head(self, **headers: str | None) -> bytes:
        """Status line and headers, up to the empty line; ``None`` leaves a header out."""
        framing = {"Transfer-Encoding": "chunked"}
        if not self.streamed:
            length = len(self.body) if self.length is None else self.length
            framing = {"Content-Length": str(length)}
        reason = _REASONS.get(self.status, "Unknown")
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        said = {**self.headers, **framing, **given}
        lines = [f"{name}: {value}" for name, value in said.items() if value is not None]
        return "\r\n".join([f"HTTP/1.1 {self.status} {reason}", *lines, "", ""]).encode()

    def wire(self) -> Iterator[Step]:
        """The answer as it is sent."""
        yield self.head()
        for piece in self.pieces:
            yield chunk(piece) if self.streamed and isinstance(piece, bytes) else piece
        if self.end is not None:
            yield self.end
        elif self.streamed:
            yield b"0\r\n\r\n"


def chunk(piece: bytes) -> bytes:
    """As chunked encoding frames it; an empty one would be the end."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


@dataclass(frozen=True)
class Fault(ABC):
    """One way for a request to go wrong.

    Attributes:
        delay: seconds before it happens.
        ran: the request is carried out, and billed, before it goes wrong; ``False``: the server
            does nothing with it. ``dataclasses.replace(fault, ran=True)`` changes that.
    """

    _: KW_ONLY
    delay: float = 0.0
    ran: bool = False

    def __post_init__(self) -> None:
        _check("delay", self.delay, (float, int), 0)
        _check("ran", self.ran, (bool,), 0)

    @property
    def scope(self) -> Scope:
        """Which requests it can happen to."""
        return "any"

    @property
    def trouble(self) -> Trouble | None:
        """What a client without a connection sees of it, when it is no other answer."""
        return None

    @abstractmethod
    def change(self, answer: HttpAnswer) -> HttpAnswer | Iterable[Step]:
        """What becomes of the answer: another one, or what is done with the connection."""

    def in_memory(self, **answer: Any) -> HttpAnswer | Trouble:
        """What becomes of an answer without a connection: another, or how the request fails."""
        changed = self.change(HttpAnswer(**answer))
        return changed if isinstance(changed, HttpAnswer) else self.trouble or HttpAnswer(**answer)


@dataclass(frozen=True)
class _Kind:
    """A function of `puter.testing.faults`, and what is known of the faults that it makes."""

    change: Callable[..., HttpAnswer | Iterable[Step]]
    scope: Scope
    trouble: Trouble | None


@dataclass(frozen=True, repr=False)
class NamedFault(Fault):
    """A fault of one of the kinds of `puter.testing.faults`."""

    name: str
    about: str
    _kind: _Kind
    _args: tuple[Any, ...]
    _options: tuple[tuple[str, Any], ...]

    @property
    def scope(self) -> Scope:
        return self._kind.scope

    @property
    def trouble(self) -> Trouble | None:
        return self._kind.trouble

    def change(self, answer: HttpAnswer) -> HttpAnswer | Iterable[Step]:
        return self._kind.change(answer, *self._args, **dict(self._options))

    def __repr__(self) -> str:
        given = [repr(one) for one in self._args]
        given += [f"{name}={value!r}" for name, value in self._options]
        return f"{self.name}({', '.join(given)})"


def whole_number(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number, or one below ``least``.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is below.
    """
    _check(name, value, (int,), least)


def _check(name: str, value: Any, kinds: tuple[type, ...], least: float) -> None:
    """Refuse values of other types, and numbers below ``least``."""
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join(one.__name__ for one in kinds if one is not NoneType)
        raise TypeError(f"{name} must be {wanted}, not {value!r}")
    if isinstance(value, (int, float)) and not least <= value < math.inf:
        raise ValueError(f"{name} must be {least} or more, and finite, not {value!r}")


def _types_of(annotation: Any) -> tuple[type, ...]:
    """What ``isinstance()`` takes for an annotation."""
    is_union = get_origin(annotation) in (UnionType, Union)  # the second on Python 3.10
    parts = get_args(annotation) if is_union else (annotation,)
    found: tuple[type, ...] = tuple(get_origin(one) or one for one in parts)
    return (*found, int) if float in found else found


_LEAST = {"status": 100, "pieces": 1, "size": 1}
"""The smallest good numbers of arguments; of all others 0."""


Change: TypeAlias = Callable[Concatenate[HttpAnswer, P], HttpAnswer | Iterable[Step]]
KINDS: dict[str, NamedFault] = {}
"""Every kind by name, as it is without arguments."""


def kind(
    *, ran: bool = False, scope: Scope = "any", trouble: Trouble | None = None
) -> Callable[[Change[P]], Callable[P, NamedFault]]:
    """Make a function that changes an answer into one that makes such a `Fault`.

    Args:
        ran: the request is carried out before.
        scope: which requests it can happen to.
        trouble: what it is in memory, for one that is done to the connection.
    """

    def make(change: Change[P]) -> Callable[P, NamedFault]:
        made, about = _Kind(change, scope, trouble), (change.__doc__ or "").partition("\n")[0]
        signature = inspect.signature(change)
        parameters = list(signature.parameters.values())[1:]
        shown = signature.replace(parameters=parameters, return_annotation="Fault")
        kinds = {name: _types_of(hint) for name, hint in get_type_hints(change).items()}

        @functools.wraps(change)
        def fault(*args: P.args, **options: P.kwargs) -> NamedFault:
            for name, value in shown.bind(*args, **options).arguments.items():
                _check(name, value, kinds[name], _LEAST.get(name, 0))
            given = (args, tuple(options.items()))
            return NamedFault(change.__name__, about, made, *given, ran=ran)

        vars(fault)["__signature__"] = shown
        KINDS[change.__name__] = fault()  # type: ignore[call-arg]  # each has its defaults
        return fault

    return make
