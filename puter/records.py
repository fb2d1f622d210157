"""``dataclass`` as the standard library has it, for a tenth of its time at import.

``dataclasses`` brings ``inspect`` along and compiles up to seven functions for each class: 35 ms of
a first chat. Here ``__init__`` alone is compiled. What ``dataclasses.fields()``, ``asdict()`` and
the like look for is made by ``dataclasses``, when they look for it.
"""

from __future__ import annotations

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
        """As ``dataclasses.dataclass``: ``slots``, ``frozen``, ``repr``, ``eq``; no inheritance."""
        return lambda cls: _made(cls, slots, {"repr": True, "eq": True, "frozen": False} | params)

    def field(**options: Any) -> Any:
        """As ``dataclasses.field``, but for ``hash`` and ``kw_only``."""
        return _Field(options)

    def replace(value: Any, /, **changes: Any) -> Any:
        """As ``dataclasses.replace``."""
        kept = {name: getattr(value, name) for name in _with(value._fields, "init")}
        return type(value)(**{**kept, **changes})


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
    setters: dict[str, Any] = {}
    new: dict[str, Any] = {
        "_fields": fields,
        "__match_args__": tuple(_with(fields, "init")),
        "__init__": _init(cls, fields, params["frozen"], setters),
        "__replace__": replace,
    }
    for name in ("__dataclass_fields__", "__dataclass_params__"):
        new[name] = _Standard(name, fields, params)
    if params["repr"]:
        new["__repr__"] = _repr
    if params["eq"]:
        new["_compared"] = attrgetter("__class__", *_with(fields, "compare"))
        new["__eq__"], new["__hash__"] = _eq, _hash if params["frozen"] else None
    if params["frozen"]:
        new["__setattr__"] = new["__delattr__"] = _refuse
    if slots:
        new["__slots__"] = tuple(fields)
        new["__getstate__"], new["__setstate__"] = _getstate, _setstate
        cls = type(cls)(cls.__name__, cls.__bases__, {**new, **own})
        if params["frozen"]:  # its own descriptors set a slot all the same
            setters.update({f"_set_{name}": vars(cls)[name].__set__ for name in fields})
        return cls
    for name, one in fields.items():
        if "default" in one.options:
            new[name] = one.options["default"]
        elif name in vars(cls):
            delattr(cls, name)
    for name, value in new.items():
        if name not in own:
            setattr(cls, name, value)
    return cls


_NOT_KEPT = ("__dict__", "__weakref__")


def _with(fields: dict[str, _Field], option: str) -> list[str]:
    return [name for name, one in fields.items() if one.options.get(option, True)]


def _init(cls: type, fields: dict[str, _Field], frozen: bool, names: dict[str, Any]) -> Any:
    """``__init__``, compiled, as it runs in every call; ``names`` are its globals."""
    names.update(__name__=cls.__module__, _missing=_MISSING)
    parameters, lines = ["self"], []
    for name, one in fields.items():
        value, given = name, one.options.get("init", True)
        if "default" in one.options:
            names[f"_is_{name}"] = one.options["default"]
        if "default_factory" in one.options:
            names[f"_new_{name}"], names[f"_is_{name}"] = one.options["default_factory"], _MISSING
            value = f"_new_{name}()" + (f" if {name} is _missing else {name}" if given else "")
        elif not given:
            value = f"_is_{name}"
        if given:
            parameters.append(f"{name}=_is_{name}" if f"_is_{name}" in names else name)
        lines.append(f"_set_{name}(self, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines), names)  # noqa: S102
    init = names.pop("__init__")
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__annotations__ = {name: fields[name].annotation for name in _with(fields, "init")}
    init.__annotations__["return"] = "None"
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


def _refuse(_self: Any, name: str, *_: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self._fields]


def _setstate(self: Any, state: list[Any]) -> None:
    for name, value in zip(self._fields, state, strict=True):
        vars(type(self))[name].__set__(self, value)
