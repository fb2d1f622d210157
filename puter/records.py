"""``dataclass`` as the standard library has it, for a tenth of its time at import.

``dataclasses`` brings ``inspect`` along and compiles up to seven functions for each class: 7 ms of
making a client and 20 ms of a first chat. Here ``__init__`` alone is compiled. What
``dataclasses.fields()``, ``asdict()`` and the like look for is made by ``dataclasses``, when they
look for it.
"""

from __future__ import annotations

import sys
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

from puter.process import late

__all__ = ["dataclass", "field", "replace"]

if TYPE_CHECKING:
    import dataclasses
    from dataclasses import dataclass, field, replace
else:
    dataclasses = late("dataclasses")

    def dataclass(*, slots: bool = False, **params: bool) -> Any:
        """As ``dataclasses.dataclass``: ``slots``, ``frozen`` with them, ``repr``, ``eq``.

        No record inherits from another here; users' classes may.
        """
        return lambda cls: _made(cls, slots, {"repr": True, "eq": True, "frozen": False} | params)

    def field(**options: Any) -> Any:
        """As ``dataclasses.field``, but for ``init``, ``hash`` and ``kw_only``."""
        return _Field(options)

    def replace(value: Any, /, **changes: Any) -> Any:
        """As ``dataclasses.replace``."""
        cls, *kept = value._kept(value)
        return cls(**{**dict(zip(value._fields, kept, strict=True)), **changes})


class _Field:
    """How a field was declared: as ``dataclasses.field()`` takes it, and its annotation."""

    __slots__ = ("annotation", "options")

    annotation: str

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options


def _made(cls: Any, slots: bool, params: dict[str, bool]) -> Any:
    own = {name: value for name, value in vars(cls).items() if name not in _NOT_KEPT}
    fields: dict[str, _Field] = {}
    for name, annotation in own.get("__annotations__", {}).items():
        if not annotation.startswith("ClassVar"):  # they are texts, in modules of ours
            one = own.pop(name, _Field({}))
            fields[name] = one = one if isinstance(one, _Field) else _Field({"default": one})
            one.annotation = annotation
    if own.get("__hash__", cls) is None:
        del own["__hash__"]  # Python put it there, for a class with an __eq__ of its own
    new: dict[str, Any] = {
        "_fields": fields,
        "__match_args__": tuple(fields),
        "__replace__": replace,
        "_kept": attrgetter("__class__", *fields),  # in C: middleware changes requests
    }
    for name in ("__dataclass_fields__", "__dataclass_params__"):
        new[name] = _Standard(name, fields, params)
    if params["repr"]:
        new["__repr__"] = _repr
    if params["eq"]:
        new["_compared"] = attrgetter("__class__", *_with(fields, "compare"))
        new["__eq__"], new["__hash__"] = _eq, _hash if params["frozen"] else None
    if params["frozen"]:
        new["__setattr__"], new["__delattr__"] = _refuse_set, _refuse_delete
    if slots:
        new["__slots__"] = tuple(fields)
        new["__getstate__"], new["__setstate__"] = _getstate, _setstate
        cls = type(cls)(cls.__name__, cls.__bases__, {**new, **own})
    else:
        for name, one in fields.items():
            if "default" in one.options:
                new[name] = one.options["default"]
            elif name in vars(cls):
                delattr(cls, name)
        for name in new.keys() - own:
            setattr(cls, name, new[name])
    if "__init__" not in own:
        cls.__init__ = _init(cls, fields, params["frozen"])
    return cls


_NOT_KEPT = ("__dict__", "__weakref__")


def _with(fields: dict[str, _Field], option: str) -> list[str]:
    return [name for name, one in fields.items() if one.options.get(option, True)]


def _init(cls: Any, fields: dict[str, _Field], frozen: bool) -> Any:
    """``__init__``, compiled, as it runs in every call; its globals are those of its module."""
    used: dict[str, Any] = {"_missing": _MISSING}
    parameters, lines = ["self"], []
    for name, one in fields.items():
        value = name
        if "default_factory" in one.options:
            used[f"_is_{name}"], used[f"_new_{name}"] = _MISSING, one.options["default_factory"]
            value = f"_new_{name}() if {name} is _missing else {name}"
        elif "default" in one.options:
            used[f"_is_{name}"] = one.options["default"]
        parameters.append(f"{name}=_is_{name}" if f"_is_{name}" in used else name)
        if frozen:  # its own descriptors set a slot all the same
            used[f"_set_{name}"] = vars(cls)[name].__set__
        lines.append(f"_set_{name}(self, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    body = "\n  ".join(lines)
    made: dict[str, Any] = {}
    exec(  # noqa: S102
        f"def make({', '.join(used)}):\n def __init__({', '.join(parameters)}):\n  {body}\n"
        " return __init__",
        vars(sys.modules[cls.__module__]),
        made,
    )
    init = made["make"](**used)
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    annotations = {name: one.annotation for name, one in fields.items()}
    init.__annotations__ = {**annotations, "return": None}
    return init


class _Factory:
    def __repr__(self) -> str:
        return "<factory>"


_MISSING = _Factory()


class _Standard:
    """What ``dataclasses`` keeps of a class under that name, made by it when somebody asks."""

    def __init__(self, name: str, fields: dict[str, _Field], params: dict[str, bool]) -> None:
        self._name, self._fields, self._params = name, fields, params
        self._value: Any = None

    def __get__(self, _instance: object, cls: type) -> Any:
        if self._value is not None:
            return self._value
        body: dict[str, Any] = {"__module__": cls.__module__, "__annotations__": {}}
        for name, one in self._fields.items():
            body[name] = dataclasses.field(**one.options)
            body["__annotations__"][name] = one.annotation
        made: Any = dataclasses.dataclass(**self._params)(type(cls.__name__, (), body))
        self._value = getattr(made, self._name)
        return self._value


# ---------------------------------------------------------------- methods of all of them


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in _with(self._fields, "repr"))
    return f"{type(self).__qualname__}({shown})"


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self._compared(self) == self._compared(other)


def _hash(self: Any) -> int:
    return hash(self._compared(self))


def _refuse_set(_self: Any, name: str, _value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(_self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self._fields]


def _setstate(self: Any, state: list[Any]) -> None:
    for name, value in zip(self._fields, state, strict=True):
        object.__setattr__(self, name, value)
