"""``use()``: what an extension is, and where each kind of it goes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from puter.engine.middleware import AttemptMiddleware, Middleware, name_of
from puter.engine.servers import Driver, Server
from puter.exceptions import PuterConfigError, repr_of
from puter.extensions import plugins
from puter.wire import serializing
from puter.wire.serializing import Serializer

if TYPE_CHECKING:
    from puter.engine.client import Client

_FORM = "def mw(request, call_next): reply = yield from call_next(request); return reply"


class HasMiddleware(Protocol):
    """An object with a middleware."""

    @property
    def middleware(self) -> Middleware | AttemptMiddleware: ...


class HasSetup(Protocol):
    """An object that sees to its own place."""

    def setup(self, client: Any, /) -> object:
        """Called with the client that it was given to.

        When it raises, ``use()`` takes back what it gave to ``client.use()`` and ``client.on()``;
        what it did elsewhere is its own to undo.
        """
        ...


Extension: TypeAlias = (
    Middleware | AttemptMiddleware | HasMiddleware | HasSetup | Driver | Serializer | str
)
"""What ``use()`` takes; a str is the name of a plugin."""


def install(client: Client, extension: Any, *, per_attempt: bool = False) -> None:
    """Give an extension to a client, wholly or, when something fails, not at all.

    Args:
        client: The client, or the copy that a conversation has.
        extension: A middleware, a driver, a serializer, or an object with ``middleware`` or
            ``setup()``, or the name of a plugin that is one.
        per_attempt: Put its middleware around each HTTP attempt.

    Raises:
        PuterConfigError: It is no extension, or in use already; or a plugin fails.
        Exception: That of ``setup()`` of what is no plugin.
    """
    if not isinstance(per_attempt, bool):
        raise PuterConfigError(f"per_attempt must be True or False, not {repr_of(per_attempt)}")
    extensions = client._extensions
    before = extensions.copy()
    throttle = {name: vars(client)[name] for name in _THROTTLE}
    try:
        if isinstance(extension, str):
            _install_plugin(client, extension, per_attempt=per_attempt)
        else:
            _install(client, extension, per_attempt=per_attempt)
    except BaseException:
        extensions.become(before)
        vars(client).update(throttle)
        raise


_THROTTLE = ("_throttle", "_borrows_throttle")
"""What ``setup()`` of a limiter replaces in the client."""


def _install(client: Client, extension: Any, *, per_attempt: bool) -> None:
    own = client._extensions
    if inspect.isclass(extension):
        raise PuterConfigError(
            f"{extension.__name__} is a class, not an extension",
            hint=f"Make one: use({extension.__name__}(...)).",
        )
    if any(one == extension for one in own.installed if type(one) is type(extension)):
        raise PuterConfigError(
            f"{_shown(extension)} is in use already", hint="Each extension works once for a client."
        )
    setup = getattr(extension, "setup", None)
    found = [getattr(extension, "middleware", extension)]
    driver = Server(extension) if hasattr(extension, "prepare") else None
    writes = hasattr(extension, "dumps") and hasattr(extension, "loads")
    if found == [extension] and (setup is not None or driver is not None or writes):
        found = []  # it has its own place
    for middleware in found:
        _check_middleware(middleware)
    if setup is not None:
        _check_setup(extension, setup)
    kind = getattr(getattr(extension, "__self__", extension), "per_attempt", None)
    if per_attempt and (kind is False or not found):
        raise PuterConfigError(
            f"{_shown(extension)} does not work on each HTTP attempt",
            hint="Leave out per_attempt=True.",
        )
    serializer = serializing.check_serializer(extension) if writes else own.serializer
    own.installed += (extension,)
    own.serializer = serializer
    if driver is not None:
        own.drivers = {**own.drivers, **dict.fromkeys(driver.models, driver)}
    if per_attempt or kind:
        own.attempts += tuple(found)
    else:
        own.middleware += tuple(found)
    if setup is not None:
        setup(client)


def install_plugins(client: Client, names: str) -> None:
    """Give plugins to a client: their names, with commas between them.

    Raises:
        PuterConfigError: One is not installed, or fails.
    """
    for name in dict.fromkeys(filter(None, map(str.strip, names.split(",")))):
        install(client, name)


def _install_plugin(client: Client, name: str, *, per_attempt: bool) -> None:
    if name in client._extensions.installed:
        raise PuterConfigError(
            f"The plugin {name!r} is in use already", hint="Each works once for a client."
        )
    extension = plugins.load(name)
    try:
        _install(client, extension, per_attempt=per_attempt)
    except Exception as error:
        raise plugins.not_usable(name, error) from error
    client._extensions.installed += (name,)


def _shown(extension: Any) -> str:
    return name_of(extension) if callable(extension) else type(extension).__name__


def _check_setup(extension: Any, setup: Any) -> None:
    """Refuse what cannot be called, or what would not have run when ``use()`` returns."""
    told = f"{type(extension).__name__}.setup"
    if not callable(setup) or inspect.iscoroutinefunction(setup):
        kind = _kind(setup) if callable(setup) else repr_of(setup, 60)
        raise PuterConfigError(
            f"{told} is {kind}, and must be a method", hint="Write: def setup(self, client)"
        )
    try:
        inspect.signature(setup).bind(None)
    except ValueError:  # something in C, which does not tell
        return
    except TypeError as error:
        raise PuterConfigError(
            f"{told} cannot be called with the client: {error}",
            hint="Write: def setup(self, client)",
        ) from None


def _check_middleware(middleware: Any) -> None:
    if not callable(middleware):
        raise PuterConfigError(
            f"{repr_of(middleware, 60)} is no extension",
            hint=f"Pass a middleware ({_FORM}), or an object with .middleware or .setup(client).",
        )
    if not _is_generator(middleware):
        raise PuterConfigError(
            f"{name_of(middleware)} is {_kind(middleware)}, and middleware is a generator function",
            hint=f"Write it like this: {_FORM}",
        )
    try:
        inspect.signature(middleware).bind(None, None)
    except TypeError as error:
        raise PuterConfigError(
            f"{name_of(middleware)} cannot be called with (request, call_next): {error}",
            hint=f"Write it like this: {_FORM}",
        ) from None


def _is_generator(function: Callable[..., Any]) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not inspect.isroutine(function):
        function = type(function).__call__
    return inspect.isgeneratorfunction(function)


def _kind(function: Callable[..., Any]) -> str:
    if inspect.iscoroutinefunction(function):
        return "a coroutine function"
    return "an async generator" if inspect.isasyncgenfunction(function) else "a plain function"
