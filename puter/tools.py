"""Tools from plain functions: their schema, their arguments, and what goes back to the model."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import re
import types
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from puter.exceptions import PuterError, PuterInputError, repr_of, with_article, words_of
from puter.jsonable import to_json
from puter.records import replace
from puter.schema import Mismatch
from puter.signatures import (
    arguments_of,
    bare,
    description_of,
    given_arguments,
    is_async,
    is_coroutine_function,
    is_unbound,
    name_of,
)
from puter.tool_results import result_content
from puter.types.replies import ToolCall
from puter.wire.json import clean_text
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
    name, a description, the schema or ``cheap``. As a decorator it leaves the function callable.

    Args:
        function: Sync or async. Its type hints and docstring become the schema of its arguments.
        name: What the model calls it: up to 64 letters, digits, ``_`` and ``-``. Default: the
            function's own name.
        description: What the model reads about it. Default: its docstring up to the first section.
        parameters: The JSON Schema of its arguments, which are then passed on unchecked. Default:
            made of the function's signature.
        cheap: True when it returns at once: async code then calls it directly, not in a thread.
            Default False.

    Raises:
        PuterInputError: It is a class, it cannot be called with named arguments, a type hint has no
            form in JSON, or the name is not usable.

    Examples:
        >>> def add(a: int, b: int = 1) -> int:
        ...     '''Add two numbers.'''
        ...     return a + b
        >>> Tool(add).parameters["required"]
        ['a']
    """

    __name__: str

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        cheap: bool = False,
    ) -> None:
        if isinstance(function, Tool):
            function = function.function
        _check_function(function)
        functools.update_wrapper(self, bare(function), updated=())
        self.__wrapped__: Callable[..., Any] = function
        self.function: Callable[..., Any] = function
        """The function itself."""
        self.name: str = name if name is not None else name_of(function)
        """What the model calls it."""
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise PuterInputError(
                f"{self.name!r} cannot name a tool",
                hint="Use up to 64 letters, digits, _ and - : Tool(function, name='...').",
            )
        text, described = description_of(function)
        self.description: str = description if description is not None else text
        """What the model reads about it."""
        self.cheap = cheap
        """Whether async code calls it directly, not in a thread."""
        self.unbound: bool = is_unbound(function)
        """Whether it is a method that still lacks its object."""
        self._arguments = (
            arguments_of(function, self.name, described)
            if parameters is None
            else given_arguments(parameters)
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Tool:
        """The tool of an object, when it decorates a method."""
        if instance is None or not self.unbound:
            return self
        bound = copy.copy(self)
        bound.function = bound.__wrapped__ = types.MethodType(self.function, instance)
        bound.unbound = False
        return bound

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of its arguments."""
        return self._arguments.adapter.schema

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as the server wants it."""
        return function_schema(self.name, self.description, self.parameters)

    @property
    def is_async(self) -> bool:
        """Whether the function is asynchronous."""
        return is_async(self.function)

    def bind(self, arguments: Mapping[str, Any]) -> Callable[[], Any]:
        """The call with checked and converted arguments, ready to be made.

        Raises:
            ValueError: They do not fit; the message says where.

        Examples:
            >>> def add(a: int, b: int = 1) -> int: return a + b
            >>> Tool(add).bind({"a": 2})()
            3
        """
        if arguments.keys() == {"_unreadable"}:
            raise Mismatch("the arguments: they are no JSON object")
        call = self._arguments.bind(self.function, arguments)
        return _awaiting(call) if is_coroutine_function(self.function) else call

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
        self._given: list[Tool | dict[str, Any]] = []
        self.names: set[str] = set()
        for tool in tools:
            if isinstance(tool, Mapping):
                schema, name = _raw(tool)
                self._given.append(schema)
            else:
                tool = tool if isinstance(tool, Tool) else Tool(tool)  # noqa: PLW2901
                if tool.unbound:
                    raise PuterInputError(
                        f"{tool.name} is a method that has no object to work on",
                        hint=f"Pass the method of an object: thing.{tool.name}.",
                    )
                schema, name = tool.schema, tool.name
                self.tools[name] = tool
                self._given.append(tool)
            if name and name in self.names:
                raise PuterInputError(
                    f"Two tools are named {name!r}", hint="Give one a name: Tool(f, name='...')."
                )
            self.names.add(name)
            self.schemas.append(schema)

    def __iter__(self) -> Iterator[Tool | dict[str, Any]]:
        """What it is made of: ``Toolbox([*box, more])`` has more."""
        yield from self._given

    @property
    def asynchronous(self) -> list[str]:
        """Names of those that are asynchronous."""
        return [tool.name for tool in self.tools.values() if tool.is_async]

    def can_run(self, calls: Iterable[ToolCall]) -> bool:
        """Whether every call is of a tool that is a function here, or of none that is known."""
        declared = self.names - self.tools.keys()
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


def _check_function(function: Any) -> None:
    if inspect.isclass(function):
        raise PuterInputError(
            f"{function.__name__} is a class, and a tool is a function",
            hint=f"Pass a function that takes {with_article(function.__name__)}, or a method of an "
            f"object; for an answer of that type call parse(..., {function.__name__}).",
        )
    if not callable(function):
        raise PuterInputError(f"A tool must be callable, not {type(function).__name__}")


def _raw(schema: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """A ready schema in any of the forms that the server takes, and the name in it."""
    function = schema.get("function")
    name = function.get("name") if isinstance(function, Mapping) else schema.get("name")
    if isinstance(name, str) and name:
        if "inputSchema" not in schema:
            return dict(schema), name
        # As an MCP server lists it.
        return function_schema(name, schema.get("description"), schema["inputSchema"]), name
    if schema.get("type") not in (None, "function"):
        return dict(schema), ""  # a built-in tool of a vendor, such as web_search
    raise PuterInputError(
        f"A tool's schema has no name: {json.dumps(dict(schema), default=str)[:80]}",
        hint="It looks like {'type': 'function', 'function': {'name': ..., 'parameters': {...}}}.",
    )


def function_schema(name: str, description: str | None, parameters: Any) -> dict[str, Any]:
    """A tool as the server of Puter wants it."""
    described = {"description": description} if description else {}
    function = {"name": name, "parameters": parameters, **described}
    return {"type": "function", "function": function}


def tool_result(call: ToolCall | str, content: Any) -> dict[str, Any]:
    """Build the message that answers a tool call, to send after ``reply.messages``.

    Args:
        call: The call, or its id.
        content: What the tool returned: text as it is, pictures to be seen, anything else as JSON.

    Raises:
        PuterInputError: The content has no form in JSON.

    Examples:
        >>> tool_result("call_1", {"t": 20})
        {'role': 'tool', 'tool_call_id': 'call_1', 'content': '{"t": 20}'}
    """
    if not isinstance(call, (ToolCall, str)):
        raise PuterInputError(f"tool_result() wants a ToolCall or its id, not {repr_of(call)}")
    identity = call.id if isinstance(call, ToolCall) else call
    try:
        return result_message(identity, result_content(content))
    except Exception as error:  # whatever the content's own code raises
        raise PuterInputError(
            f"The result of {identity} cannot be written as JSON: {words_of(error)}",
            hint="Give text, numbers, lists, dicts, dataclasses, pictures and the like.",
        ) from error


def apply_approval(call: ToolCall, approval: Any) -> tuple[ToolCall, str | None]:
    """The call after ``before_tool``, and the sentence that keeps it from running, if any."""
    if approval is None or approval is True:
        return call, None
    if isinstance(approval, ToolCall):
        try:
            arguments = to_json(approval.arguments)
        except (TypeError, ValueError, RecursionError) as error:
            raise PuterInputError(
                f"before_tool changed the arguments to what JSON cannot hold: {error}"
            ) from error
        return replace(approval, id=call.id, arguments=arguments, extra=call.extra), None
    if approval is False:
        return call, "The user did not allow this call."
    if isinstance(approval, str):
        return call, approval
    raise PuterInputError(
        f"before_tool returned {repr_of(approval)}",
        hint="Return None or True to run, a ToolCall to change it, False or a str to refuse.",
    )


def error_text(error: BaseException) -> str:
    """A tool's failure, as the model reads it."""
    if isinstance(error, Mismatch):
        return clean_text(f"Error: wrong arguments: {error}")
    kind, words = type(error).__name__, words_of(error)
    return clean_text(f"Error: {kind}" + (f": {words}" if words != kind else ""))


_STOP_SIGNALS = frozenset(("SoftTimeLimitExceeded", "TimeLimitExceeded", "JobTimeoutException"))
"""How the task queues Celery, Dramatiq and RQ stop the code that they run."""


def raises_to_caller(error: Exception, chosen: tuple[type[BaseException], ...]) -> bool:
    """Whether a tool's exception is for the caller: one of the chosen, or a stop signal."""
    return isinstance(error, chosen) or any(
        kind.__name__ in _STOP_SIGNALS for kind in type(error).__mro__
    )


def _awaiting(call: Callable[[], Any]) -> Callable[[], Any]:
    async def wait() -> Any:
        return await call()

    return wait
