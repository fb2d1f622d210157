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
        """Called with the client that it was given to."""
        ...


Extension: TypeAlias = (
    Middleware | AttemptMiddleware | HasMiddleware | HasSetup | Driver | Serializer | str
)
"""What ``use()`` takes; a str is the name of a plugin."""


def install(client: Client, extension: Any, *, per_attempt: bool = False) -> None:
    """Give an extension to a client.

    Args:
        client: The client, or the copy that a conversation has.
        extension: A middleware, a driver, a serializer, or an object with ``middleware`` or
            ``setup()``, or the name of a plugin that is one.
        per_attempt: Put its middleware around each HTTP attempt.

    Raises:
        PuterConfigError: It is no extension, or in use already.
    """
    if isinstance(extension, str):
        _install_plugin(client, extension, per_attempt=per_attempt)
        return
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
    serializer = serializing.check_serializer(extension) if writes else own.serializer
    own.installed += (extension,)
    own.serializer = serializer
    if driver is not None:
        own.drivers = {**own.drivers, **dict.fromkeys(driver.models, driver)}
    if per_attempt or getattr(extension, "per_attempt", False):
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
        install(client, extension, per_attempt=per_attempt)
    except PuterConfigError as error:
        raise PuterConfigError(f"The plugin {name!r}: {error.message}", hint=error.hint) from error
    client._extensions.installed += (name,)


def _shown(extension: Any) -> str:
    return name_of(extension) if callable(extension) else type(extension).__name__


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
