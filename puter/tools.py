"""Tools from plain functions: their schema, their arguments, and what goes back to the model."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import MISSING, replace
from typing import Any, TypeAlias

from puter.docstrings import describe
from puter.exceptions import PuterError, PuterInputError
from puter.schema import (
    Mismatch,
    Parameter,
    TypeAdapter,
    convert,
    hints_of,
    object_adapter,
    to_json,
)
from puter.types.replies import ToolCall
from puter.wire.messages import result_message

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class StopChat(PuterError):
    """Raised by a tool, or by ``before_tool``: stop here and return this text as the answer.

    Examples:
        >>> def hang_up(reason: str) -> str:
        ...     raise StopChat(f"Goodbye: {reason}")
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)


class Tool:
    """A function that the model may call.

    Plain functions given as ``tools=[...]`` become tools by themselves; use this class to set a
    name, a description or ``cheap``.

    Args:
        function: Sync or async. Its type hints and docstring become the schema of its arguments.
        name: What the model calls it: up to 64 letters, digits, ``_`` and ``-``. Default: the
            function's own name.
        description: What the model reads about it. Default: its docstring up to the first section.
        cheap: True when it returns at once: async code then calls it directly, not in a thread.
            Default False.

    Raises:
        PuterInputError: It cannot be called with named arguments, a type hint has no form in JSON,
            or the name is not usable.

    Examples:
        >>> def add(a: int, b: int = 1) -> int:
        ...     '''Add two numbers.'''
        ...     return a + b
        >>> Tool(add).parameters["required"]
        ['a']
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        cheap: bool = False,
    ) -> None:
        if not callable(function):
            raise PuterInputError(f"A tool must be callable, not {type(function).__name__}")
        self.function = function
        """The function itself."""
        self.name: str = name if name is not None else _name_of(function)
        """What the model calls it."""
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise PuterInputError(
                f"{self.name!r} cannot name a tool",
                hint="Use up to 64 letters, digits, _ and - : Tool(function, name='...').",
            )
        text, described = describe(_documented(function))
        self.description: str = description if description is not None else text
        """What the model reads about it."""
        self.cheap = cheap
        """Whether async code calls it directly, not in a thread."""
        self._adapter, self._positional = _arguments_of(function, self.name, described)

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of its arguments."""
        return self._adapter.schema

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as the server wants it."""
        function: dict[str, Any] = {"name": self.name, "parameters": self.parameters}
        if self.description:
            function["description"] = self.description
        return {"type": "function", "function": function}

    @property
    def is_async(self) -> bool:
        """Whether the function is asynchronous."""
        return is_async(self.function)

    def bind(self, arguments: Mapping[str, Any]) -> Callable[[], Any]:
        """The call with checked and converted arguments, ready to be made.

        Raises:
            ValueError: They do not fit; the message says where.
        """
        if arguments.keys() == {"_unreadable"}:
            raise Mismatch("the arguments: they are no JSON object")
        values = convert(self._adapter, arguments)
        positional = [values.pop(name, default) for name, default in self._positional.items()]
        bound = functools.partial(self.function, *positional, **values)
        return _aware(bound) if self.is_async else bound

    def __repr__(self) -> str:
        return f"Tool({self.name})"


ToolLike: TypeAlias = Tool | Callable[..., Any] | Mapping[str, Any]
"""What ``tools=[...]`` takes: functions, ``Tool`` objects, and raw schemas."""

Approval: TypeAlias = ToolCall | bool | str | None
"""What ``before_tool`` returns; see ``BeforeTool``."""

BeforeTool: TypeAlias = Callable[[ToolCall], Approval | Awaitable[Approval]]
"""Asked before a tool runs: None or True lets it run, a ``ToolCall`` replaces the arguments, False
or a sentence for the model keeps it from running; it may raise ``StopChat``."""


class Toolbox:
    """The tools of one call, by name."""

    def __init__(self, tools: Any) -> None:
        if isinstance(tools, (str, bytes, Mapping)) or not isinstance(tools, Iterable):
            raise PuterInputError("tools must be a list of functions, Tool objects or schemas")
        self.tools: dict[str, Tool] = {}
        self.schemas: list[dict[str, Any]] = []
        names: set[str] = set()
        for tool in tools:
            if isinstance(tool, Mapping):
                schema, name = _raw(tool)
            else:
                tool = tool if isinstance(tool, Tool) else Tool(tool)  # noqa: PLW2901
                schema, name = tool.schema, tool.name
                self.tools[name] = tool
            if name and name in names:
                raise PuterInputError(
                    f"Two tools are named {name!r}", hint="Give one a name: Tool(f, name='...')."
                )
            names.add(name)
            self.schemas.append(schema)

    @property
    def asynchronous(self) -> list[str]:
        """Names of those that are asynchronous."""
        return [tool.name for tool in self.tools.values() if tool.is_async]

    def can_run(self, calls: Iterable[ToolCall]) -> bool:
        """Whether every call is of a tool that is a function here, or of none that is known."""
        declared = {_raw(schema)[1] for schema in self.schemas} - self.tools.keys()
        return not any(call.name in declared for call in calls)


def refuse_async(tools: Toolbox | None, before: Any) -> None:
    """A synchronous method cannot wait for async functions.

    Raises:
        PuterInputError: Names those that are.
    """
    names = list(tools.asynchronous) if tools is not None else []
    if before is not None and is_async(before):
        names.append("before_tool")
    if names:
        raise PuterInputError(
            f"{', '.join(names)}: asynchronous, and this is a synchronous method",
            hint="Pass plain functions, or await async_chat(...).",
        )


def _raw(schema: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """A ready schema in any of the forms that the server takes, and the name in it."""
    function = schema.get("function")
    name = function.get("name") if isinstance(function, Mapping) else schema.get("name")
    if isinstance(name, str) and name:
        return dict(schema), name
    if schema.get("type") not in (None, "function"):
        return dict(schema), ""  # a built-in tool of a vendor, such as web_search
    raise PuterInputError(
        f"A tool's schema has no name: {json.dumps(dict(schema), default=str)[:80]}",
        hint="It looks like {'type': 'function', 'function': {'name': ..., 'parameters': {...}}}.",
    )


def tool_result(call: ToolCall | str, content: Any) -> dict[str, Any]:
    """Build the message that answers a tool call, to send after ``reply.messages``.

    Args:
        call: The call, or its id.
        content: What the tool returned: text as it is, anything else as JSON.

    Examples:
        >>> tool_result("call_1", {"t": 20})
        {'role': 'tool', 'tool_call_id': 'call_1', 'content': '{"t": 20}'}
    """
    if not isinstance(call, (ToolCall, str)):
        raise PuterInputError(f"tool_result() wants a ToolCall or its id, not {call!r}")
    identity = call.id if isinstance(call, ToolCall) else call
    return result_message(identity, result_text(content))


def result_text(value: Any) -> str:
    """What the model reads of a result."""
    text = value if isinstance(value, str) else json.dumps(to_json(value), ensure_ascii=False)
    return str.encode(text, errors="replace").decode()  # half an emoji fits no request


def apply_approval(call: ToolCall, approval: Any) -> tuple[ToolCall, str | None]:
    """The call after ``before_tool``, and the sentence that keeps it from running, if any."""
    if approval is None or approval is True:
        return call, None
    if isinstance(approval, ToolCall):
        arguments = to_json(approval.arguments)
        return replace(approval, id=call.id, arguments=arguments, extra=call.extra), None
    if approval is False:
        return call, "The user did not allow this call."
    if isinstance(approval, str):
        return call, approval
    raise PuterInputError(
        f"before_tool returned {approval!r}",
        hint="Return None or True to run, a ToolCall to change it, False or a str to refuse.",
    )


def error_text(error: BaseException) -> str:
    """A tool's failure, as the model reads it."""
    if isinstance(error, Mismatch):
        return result_text(f"Error: wrong arguments: {error}")
    return result_text(f"Error: {type(error).__name__}: {error}".removesuffix(": "))


def is_async(function: Any) -> bool:
    bare = _bare(function)
    call = getattr(type(bare), "__call__", None)  # noqa: B004 - its kind is wanted, not whether
    return inspect.iscoroutinefunction(bare) or inspect.iscoroutinefunction(call)


def _aware(bound: functools.partial[Any]) -> Callable[[], Any]:
    async def call() -> Any:
        return await bound()

    return call


def _bare(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _name_of(function: Any) -> str:
    bare = _bare(function)
    name = getattr(bare, "__name__", None)
    return str(name if name is not None else type(bare).__name__)


def _documented(function: Any) -> Any:
    bare = _bare(function)
    if inspect.isroutine(bare) or inspect.isclass(bare) or vars(type(bare)).get("__doc__"):
        return bare
    return bare.__call__


def _hints_of(function: Any) -> dict[str, Any]:
    bare = _bare(function)
    if inspect.isclass(bare):
        return {**hints_of(bare), **hints_of(bare.__init__)}
    return hints_of(bare if inspect.isroutine(bare) else type(bare).__call__)


def _bound(function: Any) -> set[str]:
    """Keywords that a partial has filled in: they are the program's own, not the model's."""
    names: set[str] = set()
    while isinstance(function, functools.partial):
        names.update(function.keywords)
        function = function.func
    return names


def _arguments_of(
    function: Any, name: str, described: dict[str, str]
) -> tuple[TypeAdapter, dict[str, Any]]:
    """How the arguments are read; and those that go in by position, with their defaults."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise PuterInputError(
            f"The signature of {name} cannot be read", hint="Wrap it in a function of your own."
        ) from error
    hints, bound = _hints_of(function), _bound(function)
    parameters: list[Parameter] = []
    positional: dict[str, Any] = {}
    for label, parameter in signature.parameters.items():
        if label in bound:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind == parameter.VAR_POSITIONAL else "**"
            raise PuterInputError(
                f"{name} takes {stars}{label}, and a model can only fill named parameters",
                hint="Name each parameter, or pass a list or a dict.",
            )
        if parameter.kind == parameter.POSITIONAL_ONLY:
            positional[label] = parameter.default
        hint = hints.get(label, Any)
        if parameter.default is None and label in hints:
            hint |= None  # as Python 3.10 reads it
        required = parameter.default is parameter.empty
        default = MISSING if required else parameter.default
        parameters.append(Parameter(label, hint, described.get(label, ""), default, required))
    return object_adapter(parameters, dict, of=name), positional
