"""What ``puter.records`` makes of a declaration, beside what the standard library makes of it."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import puter
from puter import records

PACKAGE = Path(puter.__file__).parent
BY_DATACLASSES = "_by_dataclasses"


def records_of(module: types.ModuleType) -> dict[str, Any]:
    return {
        name: one
        for name, one in vars(module).items()
        if isinstance(one, type)
        and dataclasses.is_dataclass(one)
        and one.__module__ == module.__name__
    }


def pairs() -> Iterator[Any]:
    """Each record, and the dataclass that the same text declares."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "from puter.records import" not in text:
            continue
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        name = name.removesuffix(".__init__")
        module = __import__(name, fromlist=["*"])
        twin = types.ModuleType(name + BY_DATACLASSES)
        twin.__file__ = str(path)
        sys.modules[twin.__name__] = twin  # where pickle and dataclasses look
        exec(
            compile(
                text.replace("from puter.records import", "from dataclasses import"), path, "exec"
            ),
            vars(twin),
        )
        for kind, made in records_of(module).items():
            yield pytest.param(made, vars(twin)[kind], id=kind)


def told(what: Callable[[], Any]) -> Any:
    """What comes of it, without names of modules, addresses and the order of a set."""
    try:
        value = what()
    except Exception as error:  # noqa: BLE001 - whichever it is
        value = f"{type(error).__name__}: {error}"
    if not isinstance(value, str):
        return value
    value = re.sub(" at 0x[0-9a-fA-F]+", "", value).replace(BY_DATACLASSES, "")
    return re.sub(r"(?<=frozenset\(\{)[^{}]*", lambda found: sorted_items(found[0]), value)


def sorted_items(listed: str) -> str:
    """Two equal sets may list what they hold in different orders, by the seed of the hashes."""
    return ", ".join(sorted(listed.split(", ")))


def behaviour(cls: Any) -> dict[str, Any]:
    """All that may be told of a record, in values that do not name its class."""
    fields = dataclasses.fields(cls)
    needed = [one for one in fields if one.default is one.default_factory is dataclasses.MISSING]
    values = {one.name: ("given", place) for place, one in enumerate(needed)}
    one = cls(**values)
    last = fields[-1].name

    class Sub(cls):  # type: ignore[misc]
        note = "its own"

    sub = Sub(**values)
    result: dict[str, Any] = {
        "repr": told(lambda: repr(one)),
        "repr of a subclass": told(lambda: repr(sub)),
        "equal": (one == cls(**values), one == sub, one == 1, one != cls(**values)),
        "hash": told(lambda: hash(one) == hash(cls(**values))),
        "has hash": cls.__hash__ is not None,
        "set": told(lambda: setattr(cls(**values), last, 0)),
        "delete": told(lambda: delattr(cls(**values), last)),
        "set of a subclass": told(lambda: setattr(Sub(**values), last, 0)),
        "fields": [
            (one.name, one.type, one.init, one.repr, one.compare, one.kw_only) for one in fields
        ],
        "match": cls.__match_args__,
        "slots": cls.__dict__.get("__slots__"),
        "too many": told(lambda: cls(*range(len(fields) + 1))),
        "unknown": told(lambda: cls(**values, surplus=1)),
        "asdict": told(lambda: str(dataclasses.asdict(one))),
        "hints": told(lambda: str(typing.get_type_hints(cls.__init__))),
        "parameters": [
            (it.name, it.kind, it.annotation, it.default is it.empty)
            for it in inspect.signature(cls).parameters.values()
        ],
        "signature": told(lambda: str(inspect.signature(cls, eval_str=True))),
        "inherits": told(
            lambda: len(dataclasses.fields(dataclasses.make_dataclass("M", [], bases=(cls,))))
        ),
    }
    ways: dict[str, Callable[[Any], Any]] = {
        "replace": dataclasses.replace,
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
        "pickle": lambda one: pickle.loads(pickle.dumps(one)),
    }
    for name, again in ways.items():
        result[name] = told(lambda: again(one) == one)  # noqa: B023
        result[f"{name} of a subclass"] = name != "pickle" and told(lambda: type(again(sub)) is Sub)  # noqa: B023
    two = [cls(**values) for _ in "12"]
    result["fresh"] = [
        getattr(two[0], it.name) is getattr(two[1], it.name)
        for it in fields
        if it.default_factory is not dataclasses.MISSING
    ]
    return result


@pytest.mark.parametrize(("made", "standard"), [*pairs()])
def test_a_record_is_what_dataclasses_would_make(made: Any, standard: Any) -> None:
    assert behaviour(made) == behaviour(standard)


def test_replace() -> None:
    usage = puter.Usage(1, raw="kept")
    assert records.replace(usage, output_tokens=2) == puter.Usage(1, 2, raw="kept")
