"""Middleware: generator functions around whole calls, and around each HTTP attempt.

    def timed(request, call_next):
        began = time.monotonic()
        reply = yield from call_next(request)     # the call itself, or the next middleware
        print(request.operation, time.monotonic() - began)
        return reply

One definition serves sync and async methods, whole and streamed answers.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import GeneratorType, MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from puter.checks import did_you_mean, near_misses
from puter.engine import observing
from puter.engine.context import CallContext
from puter.engine.effects import Flow, Invoke, Sleep, do
from puter.exceptions import PuterConfigError, PuterInputError
from puter.records import dataclass, field, replace
from puter.settings import origin_of
from puter.types.replies import ChatReply
from puter.wire.http import HttpReply, HttpRequest
from puter.wire.messages import Message, check_messages

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

_SECRET = frozenset({"login", "create_api_token", "revoke_api_token"})
"""Operations whose arguments or results are secret."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_CHANGED = ("model", "messages", "options", "args", "metadata")


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """What a method was asked for. Change it with ``replace()``; nothing in it in place."""

    operation: str
    """Name of the method, without ``async_``: ``"chat"``, ``"parse"``, ``"txt2img"``."""
    model: str | None = None
    """The model, by the id that the server knows for a chat; None where the server chooses."""
    messages: Sequence[Message] = ()
    """For a chat all that is sent: system, history, and this turn. The dicts are those of the
    history: replace them, do not change them."""
    options: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """Options of a chat, such as ``temperature``, as far as they were given."""
    args: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """The other arguments by name; for a chat ``tools`` (a ``puter.tools.Toolbox``, or None),
    ``run_tools``, ``max_rounds``, ``before_tool``, ``resume``, ``tool_results``,
    ``raise_tool_errors`` and ``remember``."""
    stream: bool = False
    """Whether the answer is streamed."""
    turn: int = 0
    """How many of the messages, from the last on, are of this turn of the chat; with them begin the
    ``messages`` of its reply."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """For what the extensions of one call tell each other; it may be written into. In a
    conversation it has ``conversation_id``."""
    call: Any = field(default=None, repr=False, compare=False)
    """The ``CallContext``: settings and state of the call."""
    fits: Callable[[ChatReply], bool] = field(default=bool, repr=False, compare=False)
    """Whether a reply is what the method is to return; for ``parse`` of the type."""

    def replace(self, **changes: Any) -> Request:
        """A request with another ``model``, ``messages``, ``options``, ``args`` or ``metadata``.

        Raises:
            TypeError: Another name is given.
            PuterInputError: The messages are none.
        """
        _refuse_others(self, changes, _CHANGED)
        if "messages" in changes:
            changes["messages"] = messages = tuple(check_messages(changes["messages"]))
            changes["turn"] = self._turn_of(messages)
        for name in ("options", "args", "metadata"):
            if not isinstance(changes.get(name, {}), Mapping):
                raise PuterInputError(f"request.replace: {name} must be a mapping")
        model = changes.get("model", "any")
        if not isinstance(model, str) or not model.strip():
            raise PuterInputError(f"request.replace: model must be a non-empty str, not {model!r}")
        return replace(self, **changes)

    def _turn_of(self, messages: Sequence[Message]) -> int:
        """How many are of the turn now: what was put before it is not remembered."""
        before = len(self.messages) - self.turn
        added = max(0, len(messages) - self.turn)
        turn, earlier = tuple(self.messages[before:]), tuple(self.messages[:before])
        if tuple(messages[added:]) == turn or tuple(messages[:before]) != earlier:
            before = added
        return len(messages) - before

    def __repr__(self) -> str:
        return f"<Request {self.operation} {self.model or ''}>".replace(" >", ">")


@dataclass(frozen=True, slots=True, repr=False)
class AttemptRequest:
    """One HTTP request as it is about to be sent; the token is added later."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: Any
    """``bytes``, or ``Pieces`` where it holds a large file, or None."""
    operation: str
    model: str | None
    attempt: int
    """1 for the first."""
    call: Any = field(default=None, repr=False, compare=False)
    http: HttpRequest | None = field(default=None, repr=False, compare=False)

    def replace(self, **changes: Any) -> AttemptRequest:
        """A request with another ``url``, ``headers`` or ``body``."""
        _refuse_others(self, changes, ("url", "headers", "body"))
        return replace(self, **changes)

    def __repr__(self) -> str:
        return f"<AttemptRequest {self.attempt} {self.method} {self.url.partition('?')[0]}>"


def _refuse_others(request: Any, changes: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in changes:
        if name not in known:
            near = did_you_mean(near_misses(name, known, 1)) or f"It takes {', '.join(known)}."
            raise TypeError(f"{type(request).__name__}.replace() cannot change {name!r}. {near}")


CallNext = Callable[[Request], Flow[Any]]
"""What a middleware stands around: ``reply = yield from call_next(request)`` goes on with it."""


class Middleware(Protocol):
    """A generator function around a whole call."""

    def __call__(self, request: Request, call_next: CallNext, /) -> Flow[Any]:
        """``reply = yield from call_next(request)``, once, often or not at all; return a reply."""
        ...


class AttemptMiddleware(Protocol):
    """A generator function around each HTTP attempt."""

    def __call__(
        self, request: AttemptRequest, call_next: Callable[[AttemptRequest], Flow[HttpReply]], /
    ) -> Flow[HttpReply]: ...


Layer = Callable[[Any, Callable[[Any], Flow[Any]], Any], Flow[Any]]
"""A middleware, what is inside it, and what goes in -> its flow."""


def begun(middleware: Any, call_next: Callable[[Any], Flow[Any]], request: Any) -> Flow[Any]:
    """The flow of a middleware.

    Raises:
        PuterConfigError: It is none, or something else went in.
    """
    check_request(request)
    flow = middleware(request, call_next)
    if not isinstance(flow, GeneratorType):
        raise PuterConfigError(
            f"The middleware {name_of(middleware)} returned {type(flow).__name__}, no generator",
            hint="Write it with `yield from call_next(request)`.",
        )
    return flow


def check_request(request: Any) -> None:
    """Refuse what middleware passes on in place of a request."""
    if not isinstance(request, (Request, AttemptRequest)):
        raise PuterConfigError(
            f"call_next() takes the request, not {type(request).__name__}",
            hint="Write: reply = yield from call_next(request)",
        )


def through(
    middleware: Sequence[Any],
    call_next: Callable[[Any], Flow[Any]],
    request: Any,
    layer: Layer,
) -> Flow[Any]:
    """The flow of a request through middleware, the first of which is outermost.

    Args:
        middleware: Generator functions.
        call_next: What is inside them all.
        request: What goes in.
        layer: Makes the flow of each.
    """
    for one in reversed(middleware):
        call_next = functools.partial(layer, one, call_next)
    return call_next(request)


def keeping(given: Sequence[Any], flow: Flow[T]) -> Flow[T]:
    """The flow; the last of what was ``given`` before it failed is the error's ``partial``."""
    try:
        return (yield from flow)
    except Exception as error:
        if given and getattr(error, "partial", None) is None:
            with contextlib.suppress(Exception):  # the user's own may not let itself be changed
                error.partial = given[-1]  # type: ignore[attr-defined]
        raise


def name_of(middleware: Any) -> str:
    """What a middleware is called in messages."""
    owner = getattr(middleware, "__self__", None)
    return (
        type(owner).__name__
        if owner is not None
        else getattr(middleware, "__name__", repr(middleware))
    )


def sees(call: CallContext) -> bool:
    """Whether middleware sees the call: not what is secret, and no download behind a value."""
    return call.operation not in _SECRET and hasattr(call.runner, call.operation)


def around_operation(
    call: CallContext,
    operation: Callable[..., Flow[T]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Flow[T]:
    """The flow of an operation through the client's middleware.

    Raises:
        TypeError: It does not take these arguments.
    """
    operation(call, *args, **kwargs).close()
    signature = inspect.signature(operation, follow_wrapped=False)
    bound = signature.bind(call, *args, **kwargs).arguments
    options = next(
        (name for name, one in signature.parameters.items() if one.kind is one.VAR_KEYWORD), ""
    )
    _, *names = signature.parameters
    given = {name: bound[name] for name in names if name in bound and name != options}
    given |= bound.get(options, {})

    request = Request(call.operation, given.get("model"), args=given, call=call)
    results: list[T] = []

    def call_next(changed: Request) -> Flow[T]:
        check_request(changed)
        if changed.messages is not request.messages or changed.options is not request.options:
            raise PuterInputError(
                f"request.replace: {call.operation} has no messages and options",
                hint="Its arguments are in request.args.",
            )
        named = dict(changed.args)
        if changed.model != request.model and "model" in names:
            named["model"] = changed.model
        results.append((yield from operation(call, **named)))
        return results[-1]

    def layer(middleware: Any, call_next: CallNext, request: Request) -> Flow[Any]:
        result = yield from begun(middleware, call_next, request)
        forgotten = result is None and results and results[-1] is not None
        if forgotten or inspect.isgenerator(result):
            raise no_reply(result, middleware, "what call_next() returned")
        return result

    return keeping(results, through(call.extensions.middleware, call_next, request, layer))


# ---------------------------------------------------------------- attempts


def around_attempt(
    call: CallContext,
    request: HttpRequest,
    send: Callable[[CallContext, HttpRequest], Flow[HttpReply]],
) -> Flow[HttpReply]:
    """One attempt through the client's middleware; ``send`` does it."""

    def call_next(attempt: AttemptRequest) -> Flow[HttpReply]:
        check_request(attempt)
        if attempt is sent:
            return send(call, request)
        changed = replace(request, url=attempt.url, headers=attempt.headers, body=attempt.body)
        if origin_of(attempt.url) != origin_of(request.url):
            changed = replace(changed, authenticated=False, token=None)  # that belongs to its host
        return send(call, changed)

    sent = AttemptRequest(
        request.method, request.url, request.headers, request.body, call.operation,
        request.billed or call.model or None, call.attempts + 1, call, request,
    )  # fmt: skip
    attempts: Sequence[Any] = call.extensions.attempts
    if request.private:
        attempts = [one for one in attempts if _sees_private(one)]
    reply: HttpReply
    reply = yield from through(attempts, call_next, sent, _attempt_layer)
    call.attempts = max(call.attempts, sent.attempt)  # also where nothing was sent
    return reply


def _sees_private(middleware: Any) -> bool:
    """Whether it asks for requests with passwords and tokens, too: a ``Cassette`` does."""
    return getattr(getattr(middleware, "__self__", None), "sees_private", False) is True


def _attempt_layer(
    middleware: Any, call_next: Callable[[Any], Flow[Any]], request: Any
) -> Flow[HttpReply]:
    reply = yield from begun(middleware, call_next, request)
    if not isinstance(reply, HttpReply):
        raise no_reply(reply, middleware, "an HttpReply")
    return reply


def not_delegated() -> PuterConfigError:
    """The error of middleware that passes effects on, and not what comes back for them."""
    return PuterConfigError(
        "A middleware iterates over call_next(request)",
        hint="Write `reply = yield from call_next(request)`; map_chunks() sees chunks of a stream.",
    )


def no_reply(reply: Any, middleware: Any, wanted: str) -> PuterConfigError:
    """The error of middleware that returns no reply: nearly always it forgot to."""
    waits = inspect.isgenerator(reply)
    return PuterConfigError(
        f"The middleware {name_of(middleware)} returned {type(reply).__name__}, not {wanted}",
        hint="Write `reply = yield from call_next(request)`."
        if waits
        else "End it with `return reply`.",
    )


# ---------------------------------------------------------------- what middleware is made with


def invoke(function: Callable[..., T | Awaitable[T]], *args: Any) -> Flow[T]:
    """Call a function that waits for something, such as a file.

    Behind an async method a plain function runs in a thread, and a coroutine function is awaited.

    Args:
        function: The function.
        *args: Its arguments.

    Examples:
        >>> def with_rules(request, call_next):
        ...     rules = yield from invoke(Path("rules.txt").read_text)
        ...     system = {"role": "system", "content": rules}
        ...     request = request.replace(messages=[system, *request.messages])
        ...     return (yield from call_next(request))
    """
    return (yield from do(Invoke(function, args)))


def sleep(seconds: float) -> Flow[None]:
    """Wait that many seconds; in async methods others run meanwhile."""
    yield from do(Sleep(seconds))


def notify(request: Request, name: str, **about: Any) -> Flow[None]:
    """Tell those who listen of an event.

    Args:
        request: The request that it belongs to.
        name: Name of the event.
        **about: Attributes of the ``Event``.
    """
    yield from observing.notify(request.call, name, **about)
