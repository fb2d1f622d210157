"""For mkdocstrings: classes as their users know them, not as they are written."""  # noqa: INP001

from __future__ import annotations

import ast
import importlib
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

from puter.docstrings import describe


class RuntimeMethods(griffe.Extension):
    """Fills in methods that the source alone does not show, and puts together what is alike.

    ``txt2img, async_txt2img = paired(images.txt2img)`` is a mere assignment there. An async method
    goes with the one that it is the twin of, and attributes that a line describes become a table.
    """

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Called once, when all of the package was read from its source."""
        self._loader = loader
        self._fill_in(pkg)
        for scope, rows in [(one, _rows(one)) for one in _classes(pkg)]:
            _tabulate(scope, rows)

    def _fill_in(self, scope: griffe.Module | griffe.Class) -> None:
        for member in list(scope.members.values()):
            if isinstance(member, (griffe.Module, griffe.Class)):
                self._fill_in(member)
            elif isinstance(member, griffe.Attribute) and member.annotation is not None:
                member.annotation = _annotation(member.annotation, scope.module)
        if not isinstance(scope, griffe.Class):
            return
        cls = _class_of(scope)
        if isinstance(vars(cls).get("_fields"), dict):  # of puter.records
            scope.set_member("__init__", self._function("__init__", scope, cls.__init__))
        for base in cls.__mro__:
            for name in list(vars(base)):
                if name.startswith("_"):
                    continue
                method = getattr(base, name)  # which loads it
                if not inspect.isroutine(method):
                    continue
                found = scope.members.get(name)
                if hasattr(getattr(method, "__wrapped__", None), "__signature__"):
                    scope.set_member(name, self._function(name, scope, method))
                elif isinstance(found, griffe.Function) and found.docstring is None:
                    found.docstring = self._docstring(found, method)
        _join_twins(scope)

    def _function(self, name: str, scope: griffe.Class, method: Any) -> griffe.Function:
        """The method as ``inspect.signature()`` has it, with links as in its operation's module."""
        home = scope.package[method.__module__.removeprefix("puter.")]
        signature = inspect.signature(method)
        shown = list(signature.parameters.values())
        if rest := _rest_of(method):  # one by one they would hide the others
            told = {"self", *describe(method)[1]}
            shown = [*(one for one in shown if one.name in told), rest]
        function = griffe.Function(
            name,
            lineno=_line_of(name, scope),
            parent=scope,
            parameters=griffe.Parameters(
                *(
                    griffe.Parameter(
                        one.name,
                        kind=getattr(griffe.ParameterKind, one.kind.name.lower()),
                        default=_default(one),
                        annotation=_annotation(one.annotation, home),
                    )
                    for one in shown
                )
            ),
            returns=_annotation(signature.return_annotation, home),
        )
        if inspect.iscoroutinefunction(method):
            function.labels.add("async")
        function.docstring = self._docstring(function, method)
        return function

    def _docstring(self, function: griffe.Function, method: Any) -> griffe.Docstring | None:
        text = inspect.getdoc(method)
        return text and griffe.Docstring(  # type: ignore[return-value]  # "" is as good as None
            text,
            parent=function,
            parser=self._loader.docstring_parser,
            parser_options=self._loader.docstring_options,
        )


def _default(parameter: inspect.Parameter) -> str | None:
    if parameter.kind is parameter.VAR_KEYWORD:
        return "{}"
    if parameter.default is parameter.empty:
        return None
    text = repr(parameter.default)
    return "..." if text.startswith("<") else text  # ruff formats what Python can read


def _rest_of(method: Any) -> inspect.Parameter | None:
    """The parameter ``**arguments`` that the docstring has in place of many."""
    source = getattr(getattr(method, "__wrapped__", None), "__wrapped__", method)
    last = [*inspect.signature(source).parameters.values()][-1]
    described = f"    **{last.name}:" in (inspect.getdoc(method) or "")
    return last if described and last.kind is last.VAR_KEYWORD else None


def _join_twins(scope: griffe.Class) -> None:
    for name, twin in list(scope.members.items()):
        known = scope.members.get(name.removeprefix("async_"))
        if known is not None and known is not twin:
            known.extra["puter"]["twin"] = twin
            scope.del_member(name)


def _classes(scope: griffe.Module | griffe.Class) -> Iterator[griffe.Class]:
    for member in scope.members.values():
        if isinstance(member, griffe.Class):
            yield member
        if isinstance(member, (griffe.Module, griffe.Class)):
            yield from _classes(member)


def _rows(scope: griffe.Class) -> dict[str, griffe.Attribute]:
    """The attributes that a line describes, inherited ones first; of settings, each has a title.

    Errors have their own alone: what all have is said once, of ``PuterError``.
    """
    if scope.name in ("PuterAI", "PuterConfig") or "TypedDict" in map(str, scope.bases):
        return {}
    rows: dict[str, griffe.Attribute] = {}
    bases = [] if issubclass(_class_of(scope), Exception) else scope.mro()
    for one in [*reversed(bases), scope]:
        for name, member in one.members.items():
            rows.pop(name, None)
            if isinstance(member, griffe.Attribute) and member.is_public and _is_text(member):
                rows[name] = member
    return rows


def _is_text(member: griffe.Attribute) -> bool:
    """It is described by nothing but text: no examples, no errors."""
    parsed = member.docstring.parsed if member.docstring else []
    return [section.kind for section in parsed] == [griffe.DocstringSectionKind.text]


def _tabulate(scope: griffe.Class, rows: dict[str, griffe.Attribute]) -> None:
    if not (rows and scope.docstring):
        return
    table = griffe.DocstringSectionAttributes(
        [
            griffe.DocstringAttribute(
                name,
                description=one.docstring.value if one.docstring else "",
                annotation=one.annotation,
            )
            for name, one in rows.items()
        ]
    )
    sections = scope.docstring.parsed
    kinds = [one.kind for one in sections]
    examples = griffe.DocstringSectionKind.examples
    sections.insert(kinds.index(examples) if examples in kinds else len(kinds), table)
    for name in rows:
        if name in scope.members:
            scope.del_member(name)


def _class_of(scope: griffe.Class) -> Any:
    found: Any = importlib.import_module(scope.module.path)
    for name in scope.path.removeprefix(f"{scope.module.path}.").split("."):
        found = getattr(found, name)
    return found


def _line_of(name: str, scope: griffe.Class) -> int:
    """Where the class names it, since pages follow the source; inherited methods come first."""
    lines = Path(str(scope.filepath)).read_text(encoding="utf-8").splitlines()
    definition = re.compile(rf"    (async def |def )?[\w, ]*\b{name}\b[\w, ]*(\(| =)")
    return next((number for number, line in enumerate(lines, 1) if definition.match(line)), 0)


def _annotation(hint: Any, home: Any) -> griffe.Expr | str | None:
    """The hint, without the checks that a name for ``Annotated`` stands for."""
    if hint is inspect.Signature.empty:
        return None
    tree = ast.parse(str(hint), mode="eval").body
    if isinstance(tree, ast.Name):
        named = getattr(importlib.import_module(home.path), tree.id, None)
        if typing.get_origin(named) is typing.Annotated:
            tree = ast.parse(inspect.formatannotation(typing.get_args(named)[0]), mode="eval").body
    return griffe.get_expression(tree, parent=home)
