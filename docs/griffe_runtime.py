"""For mkdocstrings: what help() shows of methods made at run time."""  # noqa: INP001

from __future__ import annotations

import ast
import importlib
import inspect
import re
import typing
from pathlib import Path
from typing import Any

import griffe


class RuntimeMethods(griffe.Extension):
    """Fills in methods of ``puter`` that the source alone does not show.

    ``txt2img, async_txt2img = paired(images.txt2img)`` is a mere assignment there.
    """

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Called once, when all of the package was read from its source."""
        self._loader = loader
        self._fill_in(pkg)

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

    def _function(self, name: str, scope: griffe.Class, method: Any) -> griffe.Function:
        """The method as ``inspect.signature()`` has it, with links as in its operation's module."""
        home = scope.package[method.__module__.removeprefix("puter.")]
        signature = inspect.signature(method)
        function = griffe.Function(
            name,
            lineno=_line_of(name, scope),
            parent=scope,
            parameters=griffe.Parameters(
                *(
                    griffe.Parameter(
                        one.name,
                        kind=getattr(griffe.ParameterKind, one.kind.name.lower()),
                        default=None if one.default is one.empty else repr(one.default),
                        annotation=_annotation(one.annotation, home),
                    )
                    for one in signature.parameters.values()
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
    """The hint, without the checks that stand in ``Annotated``."""
    if hint is inspect.Signature.empty:
        return None
    tree = ast.parse(str(hint), mode="eval").body
    if isinstance(tree, ast.Name):
        named = getattr(importlib.import_module(home.path), tree.id, None)
        if typing.get_origin(named) is typing.Annotated:
            tree = ast.parse(inspect.formatannotation(typing.get_args(named)[0]), mode="eval").body
    match tree:
        case ast.Subscript(ast.Name("Annotated"), ast.Tuple([first, *_])):
            tree = first
        case _:
            pass
    return griffe.get_expression(tree, parent=home)
