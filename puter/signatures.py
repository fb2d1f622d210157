"""What a function asks of the model: the schema of its arguments, and how they go in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from types import SimpleNamespace
from typing import Annotated, Any, Optional

from puter.docstrings import describe
from puter.exceptions import PuterInputError
from puter.schema import (
    Parameter,
    TypeAdapter,
    convert,
    hints_of,
    is_field_info,
    object_adapter,
)

_STARS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


@dataclass(frozen=True, slots=True)
class Arguments:
    """How the arguments that a model gives go into a function."""

    adapter: TypeAdapter
    """Reads them."""
    positional: Mapping[str, Any]
    """Those that go in by position, with their defaults."""
    made: Mapping[str, Callable[[], Any]]
    """Defaults that pydantic's ``Field()`` makes."""

    def bind(self, function: Callable[..., Any], given: Mapping[str, Any]) -> Callable[[], Any]:
        """The call, ready to be made; raises ``Mismatch`` when they do not fit."""
        values = convert(self.adapter, given)
        values.update({name: make() for name, make in self.made.items() if name not in values})
        positional = [values.pop(name, default) for name, default in self.positional.items()]
        return functools.partial(function, *positional, **values)


def given_arguments(schema: Any) -> Arguments:
    """Arguments of a JSON Schema that is the user's own.

    Raises:
        PuterInputError: It is no dict.
    """
    if not isinstance(schema, Mapping):
        raise PuterInputError(
            f"parameters must be a JSON Schema, not {type(schema).__name__}",
            hint="It looks like {'type': 'object', 'properties': {...}, 'required': [...]}.",
        )
    return Arguments(TypeAdapter(dict(schema), lambda value, _path, _lax: dict(value)), {}, {})


def arguments_of(function: Any, name: str, described: Mapping[str, str]) -> Arguments:
    """The arguments of a function, by its signature.

    Args:
        function: Anything callable.
        name: What errors call it.
        described: What its docstring says of each parameter.

    Raises:
        PuterInputError: A model cannot fill them in.
    """
    asked, filled = _asked(function, name)
    positional: dict[str, Any] = {}
    made: dict[str, Callable[[], Any]] = {}
    parameters: list[Parameter] = []
    wanted = {label: one for label, one in asked.items() if label not in filled}
    if is_unbound(function):
        del wanted["self"]  # the object is no argument
    hints = _hints_of(function, wanted, name)
    for label, one in wanted.items():
        if one.kind in _STARS:
            raise PuterInputError(
                f"{name} takes {_STARS[one.kind]}{label}, and a model can only fill named "
                "parameters",
                hint="Name each parameter, pass a list or a dict, or give the schema: "
                "Tool(function, parameters={...}).",
            )
        if one.kind == one.POSITIONAL_ONLY:
            positional[label] = one.default
        hint, default, required = hints.get(label, Any), one.default, one.default is one.empty
        if is_field_info(default):
            hint, required = Annotated[hint, default], default.is_required()
            if not required:
                made[label] = functools.partial(default.get_default, call_default_factory=True)
            default = MISSING  # pydantic tells it
        elif default is None and label in hints:
            hint = Optional[hint]  # noqa: UP045 - as Python 3.10 reads it; | wants a type
        elif required:
            default = MISSING
        parameters.append(Parameter(label, hint, described.get(label, ""), default, required))
    return Arguments(object_adapter(parameters, dict, of=name), positional, made)


def is_unbound(function: Any) -> bool:
    """Whether it is a method taken from its class, without an object."""
    outer, _, _ = str(getattr(bare(function), "__qualname__", "")).rpartition(".")
    if not outer or outer.endswith("<locals>"):
        return False
    try:
        asked, filled = _asked(function, "")
        return next(iter(asked), "") == "self" and "self" not in filled
    except PuterInputError:
        return False


def is_coroutine_function(function: Any) -> bool:
    """Whether calling it gives something to be awaited."""
    return any(map(inspect.iscoroutinefunction, _kinds(function)))


def is_async(function: Any) -> bool:
    """Whether it is for ``await`` or ``async for``."""
    return is_coroutine_function(function) or any(map(inspect.isasyncgenfunction, _kinds(function)))


def _kinds(function: Any) -> tuple[Any, Any]:
    inner = bare(function)
    return inner, getattr(type(inner), "__call__", None)  # noqa: B004 - its kind is wanted


def bare(function: Any) -> Any:
    """What is inside of partials."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def name_of(function: Any) -> str:
    """The function's name, or that of its class."""
    inner = bare(function)
    name = getattr(inner, "__name__", None)
    return str(name if name is not None else type(inner).__name__)


def description_of(function: Any) -> tuple[str, dict[str, str]]:
    """What the docstring says of the function, and of each parameter."""
    inner = bare(function)
    if not inspect.isroutine(inner) and not vars(type(inner)).get("__doc__"):
        inner = inner.__call__
        if not inner.__doc__:  # what Python says of any call helps no model
            return "", {}
    return describe(inner)


def _asked(function: Any, name: str) -> tuple[Mapping[str, inspect.Parameter], set[str]]:
    """The parameters that can be given, and those that partials have filled in.

    A wrapper that names its parameters is asked itself: what it adds on its own is not among them.
    """
    try:
        own = _own_signature(function)
        if own is not None and not any(one.kind in _STARS for one in own.parameters.values()):
            return own.parameters, _filled(function, follow_wrapped=False)
        return inspect.signature(function).parameters, _filled(function, follow_wrapped=True)
    except (TypeError, ValueError) as error:
        raise PuterInputError(
            f"The signature of {name} cannot be read",
            hint="Wrap it in a function of your own, or give the schema: "
            "Tool(function, parameters={...}).",
        ) from error


def _own_signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function, follow_wrapped=False)
    except ValueError:  # of wrappers in C, such as that of functools.cache
        return None


def _filled(function: Any, *, follow_wrapped: bool) -> set[str]:
    names: set[str] = set()
    for layer in _layers(function):
        if isinstance(layer, functools.partial):
            names.update(layer.keywords)
        elif not follow_wrapped or hasattr(layer, "__signature__"):
            break
    return names


def _layers(function: Any) -> Iterator[Any]:
    """The function and what it wraps, from the outside in."""
    while True:
        yield function
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif inspect.isroutine(function):
            return
        else:
            function = type(function).__call__


def _hints_of(
    function: Any, parameters: Mapping[str, inspect.Parameter], name: str
) -> dict[str, Any]:
    """The hints of these parameters alone: others, and the result, may be for type checkers."""
    annotations = {
        label: one.annotation
        for label, one in parameters.items()
        if one.annotation is not one.empty
    }
    names: dict[str, Any] = {}
    for layer in _layers(function):  # what is wrapped lends its annotations, and comes last
        names.update(getattr(layer, "__globals__", {}))
        names.update({one.__name__: one for one in getattr(layer, "__type_params__", ())})
    return hints_of(SimpleNamespace(__annotations__=annotations, __name__=name), names)
