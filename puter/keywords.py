"""Names that a method or a client does not have: refused, with what may be meant."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from puter.checks import did_you_mean, near_misses
from puter.config import CREDENTIALS, MEANT
from puter.exceptions import PuterConfigError
from puter.frames import without_arguments
from puter.process import late
from puter.settings import ConfigOptions

if TYPE_CHECKING:
    import inspect
else:
    inspect = late("inspect")

F = TypeVar("F", bound=Callable[..., Any])


def suggesting(function: F) -> F:
    """The method; a keyword argument that it does not have is refused with a suggestion."""
    code = function.__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name not in known:
                raise unexpected(function, name)
        return function(*args, **kwargs)

    return cast("F", checked)


def unexpected(
    method: Callable[..., Any],
    name: str,
    options: Iterable[str] = (),
    hints: Mapping[str, str] = MappingProxyType({}),
) -> TypeError:
    """Python's error for a keyword argument that a method does not have, and what may be meant."""
    _call, *parameters = inspect.signature(method).parameters.values()
    explicit = [one.name for one in parameters if one.kind is not one.VAR_KEYWORD]
    known = [*options, *explicit]
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()  # puter.js writes maxTokens
    hint = hints.get(snake) or did_you_mean(near_misses(snake, known, 1))
    if not hint and name in ConfigOptions.__annotations__:
        hint = f"Set it on the client: PuterAI({name}=...), or with_options({name}=...)."
    if not hint and "extra" in known:
        hint = "Arguments the SDK does not know go into extra={...}."
    called = f"{method.__name__}() got an unexpected keyword argument {name!r}"
    return TypeError(f"{called}. {hint}".rstrip())


class KnownAttributes:
    """Refuses to set an attribute that its class does not have: no call would heed it."""

    @without_arguments
    def __setattr__(self, name: str, value: Any) -> None:
        cls = type(self)
        known = name.startswith("_") or hasattr(cls, name) or name in cls.__annotations__
        if not known and cls.__module__.startswith("puter."):  # a user's class may add its own
            raise _no_attribute(cls, name)
        super().__setattr__(name, value)


def _no_attribute(cls: Any, name: str) -> PuterConfigError:
    meant = "current_model" if name == "model" else MEANT.get(name, name)
    argument = inspect.signature(cls.chat).parameters.get(meant)
    if meant in (*CREDENTIALS, "transport"):
        hint = f"Make a new client: PuterAI({meant}=...)."
    elif meant in ConfigOptions.__annotations__:
        hint = f"It is a setting of the client: ai.config.{meant} = ..."
    elif argument is not None and argument.kind is argument.KEYWORD_ONLY:
        hint = f"It goes with each call: chat(prompt, {meant}=...)"
        hint += ", or conversation(system=...)." if meant == "system" else "."
    else:
        known = [one for one in dir(cls) if not one.startswith("_")]
        near = near_misses(meant, [*known, *ConfigOptions.__annotations__], 1)
        hint = did_you_mean(near) or "A subclass may have attributes of its own."
    return PuterConfigError(f"{cls.__name__} has no attribute {name!r} to set", hint=hint)
