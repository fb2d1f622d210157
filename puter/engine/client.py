"""``Client``: runs operations, and ``paired``: an operation as a sync and an async method."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from puter.config import PuterConfig
from puter.engine.clock import monotonic
from puter.engine.context import CallContext, SharedState
from puter.engine.extensions import Extensions
from puter.engine.throttle import Throttle
from puter.process import late, short_lock
from puter.settings import AUTO
from puter.threads import running_loop

if TYPE_CHECKING:
    import dataclasses
    import inspect
    import random

    from typing_extensions import Self

    from puter import keywords
    from puter.engine import failures, middleware, observing
    from puter.engine.effects import Flow
    from puter.types.model import ModelList
else:
    dataclasses, inspect, random = late("dataclasses"), late("inspect"), late("random")
    failures, keywords = late("puter.engine.failures"), late("puter.keywords")
    middleware, observing = late("puter.engine.middleware"), late("puter.engine.observing")

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

WINDOW_MARGIN = 1.1
"""The server counts when calls arrive, the client when they leave: one may take a second longer."""


class Client:
    """Runs operations, each with a ``CallContext`` of its own; ``puter.PuterAI`` extends it."""

    config: PuterConfig
    _shared: SharedState
    _throttle: Throttle
    _borrows_throttle: bool
    """It is that of the client that this one is a copy of."""

    def _set_up(self, config: PuterConfig, shared: SharedState) -> None:
        self.config = config
        self._shared = shared
        self._settings = copy.copy(config)  # as the last call found them
        self._throttle = Throttle(*limits_of(config))
        self._borrows_throttle = False
        self._catalogues: dict[str, ModelList] = {}
        self._extensions = Extensions()
        self._clock: Callable[[], float] = monotonic
        self._random: Callable[[], float] = _random_number

    def _twin(self) -> Self:
        """A client with the same settings, state and extensions, which may get others."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._extensions = self._extensions.copy()
        return twin

    @property
    def _client(self) -> Client:
        """Itself, where a conversation has its client."""
        return self

    if TYPE_CHECKING:

        def _sign_in(self, call: CallContext) -> Flow[None]:
            """Sign in where there is a password and no token."""
            ...

    def _begin(self, operation: str, model: str | None = None) -> CallContext:
        """The context of a call that begins now, with the settings as they are."""
        if self._settings.__dict__ != self.config.__dict__:
            self._take_settings()
        return CallContext(
            operation,
            self._settings,
            self._throttle,
            self._shared,
            self,
            self._catalogues,
            self._clock,
            self._random,
            self._clock(),
            self._extensions,
            model or "",
        )

    def _take_settings(self) -> None:
        """Take over changed settings. A copy with other limits shares the throttle no longer."""
        settings = copy.copy(self.config)
        limits = limits_of(settings)
        if limits != limits_of(self._settings):
            own = self._throttle.with_limits(*limits)
            with short_lock():  # another thread may have come first
                if self._borrows_throttle:
                    self._borrows_throttle, self._throttle = False, own
            self._throttle.resize(*limits)
        self._settings = settings

    def _run(self, operation: Callable[..., Flow[T]], *args: Any, **kwargs: Any) -> T:
        try:
            call, flow = self._start(operation, args, kwargs)
        finally:
            args, kwargs = (), {}  # a traceback shows them, and a code of the user's may be there
        return self._carry_out(call, flow)

    async def _async_run(self, operation: Callable[..., Flow[T]], *args: Any, **kwargs: Any) -> T:
        try:
            call, flow = self._start(operation, args, kwargs)
        finally:
            args, kwargs = (), {}
        return await self._async_carry_out(call, flow)

    def _start(
        self, operation: Callable[..., Flow[T]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[CallContext, Flow[T]]:
        call = self._begin(operation.__name__, kwargs.get("model"))
        try:
            if self._extensions.middleware and middleware.sees(call):
                flow = middleware.around_operation(call, operation, args, kwargs)
            else:
                flow = operation(call, *args, **kwargs)
            return call, observing.observed(call, flow)
        except TypeError as error:  # a generator function raises it for its arguments alone
            raise _bad_call(operation, kwargs, error) from None
        finally:
            args, kwargs = (), {}

    def _carry_out(self, call: CallContext, flow: Flow[T]) -> T:
        if running_loop() is not None:
            failures.warn_of_blocking(call)
        try:
            return self._shared.transports["sync"].run(flow)
        except BaseException as error:
            failures.report(call, error)
            raise error
        finally:
            if call.permits or call.bodies or call.reservations:
                call.let_go()

    async def _async_carry_out(self, call: CallContext, flow: Flow[T]) -> T:
        try:
            transports = self._shared.transports
            transport = transports.get("async") or await transports.open_async()
            return await transport.async_run(flow)
        except GeneratorExit:  # at the end of the interpreter perhaps, where nothing can be loaded
            raise
        except BaseException as error:
            failures.report(call, error)
            raise error
        finally:
            if call.permits or call.bodies or call.reservations:
                call.let_go()


_USUAL = ("voice", "ratio", "model", "provider")
"""Options that are often passed by position."""


def _bad_call(
    operation: Callable[..., Any], kwargs: Mapping[str, Any], error: TypeError
) -> TypeError:
    """Python's error for arguments that an operation does not take, and how it is called."""
    parameters = signature_of(operation).parameters
    for name in kwargs:
        if name not in parameters:
            hints = getattr(operation, "hints", {})
            return keywords.unexpected(operation, name, hints=hints)
    named = [name for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY]
    if "positional argument" not in str(error) or "missing" in str(error) or not named:
        return TypeError(str(error))
    usual = [name for name in _USUAL if name in named] or named
    shown = " or ".join(f"{name}=..." for name in usual[:2])
    return TypeError(f"{error}. The others are keyword arguments, such as {shown}")


FREE, PAID = 3, 20
"""Calls at a time of a free and of a paid account (Puter backend)."""


def limits_of(config: PuterConfig) -> tuple[float, float, float, float]:
    """What ``Throttle`` takes."""
    most = PAID if config.max_concurrency == AUTO else config.max_concurrency or float("inf")
    return (
        config.rate_limit_requests or float("inf"),
        config.rate_limit_period * WINDOW_MARGIN,
        most,
        FREE if config.max_concurrency == AUTO else most,
    )


def _random_number() -> float:
    return random.random()


class _Operations:
    """A module of operations: each attribute is a function that loads it and returns one."""

    def __init__(self, module: str) -> None:
        self._module = late(module)

    def __getattr__(self, name: str) -> functools.partial[Any]:
        return functools.partial(getattr, self._module, name)


def operations(module: str) -> Any:
    """A module that is loaded when a method that ``paired`` makes of it is first looked up."""
    return _Operations(module)


class Method:
    """A method that is made, and takes its own place in the class, when it is first looked up."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner, self._name = owner, name

    def __get__(self, instance: object, owner: type) -> Any:
        made = self._make()
        if vars(self._owner)[self._name] is self:  # else it is in a wrapper of somebody's
            setattr(self._owner, self._name, made)
        return made.__get__(instance, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """For what takes it out of the class as it is, such as ``mock.patch(autospec=True)``."""
        return self._make()(*args, **kwargs)


class Shown:
    """What a method has as ``__wrapped__``: its signature is worked out when it is asked for."""

    def __init__(self, operation: Callable[..., Any], source: Callable[..., Any]) -> None:
        self._operation = operation
        self.__wrapped__ = source

    @property
    def __signature__(self) -> inspect.Signature:
        return signature_of(self._operation)


def paired(
    operation: Callable[Concatenate[CallContext, P], Flow[T]],
) -> tuple[
    Callable[Concatenate[Client, P], T],
    Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
]:
    """The sync and the async method of an operation, with its parameters and its docstring.

    Examples:
        >>> from puter.engine.effects import Sleep, do
        >>> def rest(call: CallContext, seconds: float = 1.0) -> Flow[None]:
        ...     yield from do(Sleep(seconds))
        >>> class Resting(Client):
        ...     rest, async_rest = paired(rest)
        >>> list(inspect.signature(Resting.async_rest).parameters)
        ['self', 'seconds']
    """
    given: Any = operation
    load: Callable[[], Any] = given if isinstance(given, functools.partial) else lambda: given
    methods: tuple[Any, Any] = (
        Method(lambda: _blocking(load())),
        Method(lambda: _asynchronous(load())),
    )
    return methods


class Prepared(Protocol[T_co]):
    """A call whose arguments are checked, to be made in either way."""

    def blocking(self) -> T_co:
        """Make it in this thread."""
        ...

    async def asynchronous(self) -> T_co:
        """Make it in this task."""
        ...


def prepared(
    operation: Callable[Concatenate[Client, P], Prepared[T]],
) -> tuple[
    Callable[Concatenate[Client, P], T],
    Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
]:
    """Both methods of what is no flow, as it is made of many calls of the client."""
    load: Any = operation

    def begin(self: Client, made: Callable[..., Prepared[T]], *args: Any, **given: Any) -> T:
        return made(self, *args, **given).blocking()

    async def async_begin(self: Client, made: Callable[..., Prepared[T]], *a: Any, **kw: Any) -> T:
        return await made(self, *a, **kw).asynchronous()

    methods: tuple[Any, Any] = (
        Method(lambda: _blocking(load(), begin)),
        Method(lambda: _asynchronous(load(), async_begin)),
    )
    return methods


def _blocking(operation: Any, run: Callable[..., Any] = Client._run) -> Any:
    @functools.wraps(operation)
    def blocking(self: Client, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return run(self, operation, *args, **kwargs)
        finally:
            args, kwargs = (), {}  # as in Client._run

    blocking.__wrapped__ = Shown(operation, operation)  # type: ignore[assignment]
    blocking.__qualname__ = f"PuterAI.{operation.__name__}"
    return blocking


def _asynchronous(operation: Any, run: Callable[..., Any] = Client._async_run) -> Any:
    @functools.wraps(operation)
    async def asynchronous(self: Client, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return await run(self, operation, *args, **kwargs)
        finally:
            args, kwargs = (), {}

    asynchronous.__wrapped__ = Shown(operation, operation)  # type: ignore[assignment]
    asynchronous.__name__ = f"async_{operation.__name__}"
    asynchronous.__qualname__ = f"PuterAI.{asynchronous.__name__}"
    return asynchronous


def signature_of(operation: Callable[..., Any]) -> inspect.Signature:
    """How an operation is called as a method, each of its typed options by name.

    Args:
        operation: ``(call or self, ..., **options: Unpack[SomeTypedDict])``, a flow or not. A
            dataclass as its attribute ``defaults`` has the defaults of the options; else None.
    """
    holder = getattr(operation, "defaults", None)
    fields = [] if holder is None else dataclasses.fields(holder)
    defaults = {one.name: one.default for one in fields if one.default is not dataclasses.MISSING}
    signature = inspect.signature(operation, follow_wrapped=False)
    first, *parameters = signature.parameters.values()
    shown = [first.replace(name="self", annotation=inspect.Parameter.empty)]
    for one in parameters:
        if one.kind is one.VAR_KEYWORD and "Unpack[" in str(one.annotation):
            name = str(one.annotation).partition("[")[2].rstrip("]")
            known = operation.__globals__[name]
            for option, hint in known.__annotations__.items():
                shown.append(
                    inspect.Parameter(
                        option,
                        inspect.Parameter.KEYWORD_ONLY,
                        default=defaults.get(option),
                        annotation=_without_checks(getattr(hint, "__forward_arg__", hint)),
                    )
                )
        else:
            shown.append(one)
    result = signature.return_annotation
    if isinstance(result, str) and result.startswith(("Flow[", "Prepared[")):
        result = result[result.index("[") + 1 : -1]
    return signature.replace(parameters=shown, return_annotation=result)


def _without_checks(annotation: Any) -> Any:
    """``float | None`` of ``Annotated[float | None, Range(0, 1)]``: what a reader wants to see."""
    depth, inner = 0, str(annotation).removeprefix("Annotated[")
    if inner == annotation:
        return annotation
    for place, character in enumerate(inner):
        depth += (character in "[(") - (character in ")]")
        if character == "," and depth == 0:
            return inner[:place]
    return annotation
