"""What tells one ``function=`` of a batch from another, as JSON: the same in the next run."""

from __future__ import annotations

import dis
import functools
import inspect
import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import CodeType, ModuleType
from typing import Any

from puter.exceptions import PuterInputError, repr_of

_READS = ("LOAD_GLOBAL", "LOAD_NAME")


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
    around, names = function.__globals__, {name for code in codes for name in _read_by(code)}
    read = {name: told(around[name]) for name in sorted(names & around.keys())}
    try:
        held = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # of a variable that is not there yet
        raise _refused(function) from None
    return [does, [*map(told, held)], read]


def _codes(code: CodeType) -> Iterator[CodeType]:
    """It, and that of functions and comprehensions in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def _read_by(code: CodeType) -> Iterator[str]:
    """Names of global variables, which ``co_names`` has among those of attributes."""
    return (one.argval for one in dis.get_instructions(code) if one.opname in _READS)


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
