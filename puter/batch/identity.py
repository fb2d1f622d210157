"""What tells one ``function=`` of a batch from another, as JSON: the same in the next run."""

from __future__ import annotations

import functools
import inspect
import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import CodeType, ModuleType
from typing import Any

from puter.exceptions import PuterInputError, repr_of


def identity(value: Any, within: tuple[Any, ...] = ()) -> Any:
    """What is in the key of a function: its name, or what it does; and the values it holds.

    Args:
        value: The function, or what it holds.
        within: What holds it.

    Raises:
        PuterInputError: It holds a value of which nobody knows whether it is the same next time.
    """
    kind: Any = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is bytes:
        return ["bytes", value.hex()]
    if kind is ModuleType:
        return value.__name__
    if any(one is value for one in within):
        raise _refused(value)
    told = functools.partial(identity, within=(*within, value))
    if kind in (list, tuple, dict):
        return [kind.__name__, *map(told, value.items() if kind is dict else value)]
    if kind is functools.partial:
        return ["partial", *map(told, (value.func, value.args, value.keywords))]
    named = _names_itself(value)
    if inspect.isfunction(value):
        defaults = map(told, (value.__defaults__, value.__kwdefaults__))
        held = None if named else _held(value, told)
        return [value.__module__, value.__qualname__, *defaults, held]
    if named:
        return [value.__module__, value.__qualname__]
    raise _refused(value)


def _names_itself(value: Any) -> bool:
    """Whether its name leads to it: that of a function or a class at the top of a module."""
    with suppress(AttributeError, KeyError, TypeError):
        module = sys.modules[value.__module__]
        return bool(operator.attrgetter(value.__qualname__)(module) == value)
    return False


def _held(function: Any, told: Callable[[Any], Any]) -> list[Any]:
    """What a function does, and with what of those around it."""
    codes = [*_codes(function.__code__)]
    does = [[code.co_code.hex(), code.co_names, *_constants(code)] for code in codes]
    names = {name for code in codes for name in code.co_names}
    around, read = function.__globals__, {}
    for name in sorted(names & around.keys()):
        with suppress(PuterInputError):  # of a module that goes by its name
            read[name] = told(around[name])
    try:
        return [does, [told(cell.cell_contents) for cell in function.__closure__ or ()], read]
    except ValueError as error:  # of a variable that is not there yet
        raise error if isinstance(error, PuterInputError) else _refused(function) from None


def _codes(code: CodeType) -> Iterator[CodeType]:
    """It, and that of functions and comprehensions in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def _constants(code: CodeType) -> list[str]:
    others = (one for one in code.co_consts if not isinstance(one, CodeType))
    return [repr(sorted(one, key=repr) if isinstance(one, frozenset) else one) for one in others]


def _refused(value: Any) -> PuterInputError:
    return PuterInputError(
        f"Whether {repr_of(value, 80)} is the same in the next run cannot be told, "
        "so answers of function= would not be found again in the file of output=",
        hint="Give a function at the top of a module, or pass what differs in the items. "
        "functools.partial binds str, numbers, lists and dicts to one.",
    )
