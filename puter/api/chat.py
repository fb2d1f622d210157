"""``chat`` and ``parse``, for whatever has a history: the client itself, and each conversation."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from puter import checks
from puter.api.turn import (
    NOTHING,
    Answer,
    ChatRequest,
    in_order,
    remember,
    run_turn,
    target_of,
)
from puter.docstrings import documented_by
from puter.engine.client import Shown
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.engine.failures import short
from puter.engine.observing import observed
from puter.exceptions import (
    PuterError,
    PuterInputError,
    PuterOptionWarning,
    Reply,
    repr_of,
)
from puter.history import History
from puter.options import CHAT_HINTS, ChatOptions, check_refused, validate_options
from puter.process import late
from puter.types.replies import ChatReply
from puter.wire.dialects import dropped_options
from puter.wire.dialects.base import CHOICES, forces_tool, tool_name

if TYPE_CHECKING:
    import difflib

    from typing_extensions import Unpack

    from puter import streaming, tools
    from puter.api import extended as extending
    from puter.api import output_types, parse, streamed
    from puter.engine.client import Client
    from puter.streaming import AsyncChatStream, ChatStream
    from puter.tools import BeforeTool, Toolbox, ToolLike
    from puter.types.puter_file import Source
    from puter.wire import providers
else:
    difflib, providers = late("difflib"), late("puter.wire.providers")
    extending = late("puter.api.extended")
    output_types, parse = late("puter.api.output_types"), late("puter.api.parse")
    streamed, streaming = late("puter.api.streamed"), late("puter.streaming")
    tools = late("puter.tools")

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class ChatArguments(ChatOptions, total=False):
    """All keyword arguments of a chat but ``stream``; see ``puter.PuterAI.chat()``."""

    images: Source | Sequence[Source] | None
    files: Source | Sequence[Source] | None
    messages: Sequence[Mapping[str, Any] | str] | None
    system: str | None
    content_parts: Sequence[Mapping[str, Any] | str] | None
    tools: Sequence[ToolLike] | None
    run_tools: bool
    max_rounds: int
    before_tool: BeforeTool | None
    resume: Reply | Mapping[str, Any] | None
    tool_results: Mapping[str, Any] | None
    raise_tool_errors: type[BaseException] | Sequence[type[BaseException]]
    remember: bool


# ---------------------------------------------------------------- what editors and help() show


def _chat(
    self: ChatMethods,
    prompt: str | Sequence[Mapping[str, Any]] | None = None,
    model: str | None = None,
    *,
    stream: bool,
    **arguments: Unpack[ChatArguments],
) -> None:
    """Ask a model and remember the exchange.

    Once a round was answered or a tool ran, an error has it in ``.partial``, for ``resume``.

    Args:
        prompt: What to say. A list of messages is the same as ``messages=``.
        model: Which model. Default: ``current_model``, or the conversation's own.
        stream: Return the answer as it comes, as a ``ChatStream`` (``async_chat``:
            ``AsyncChatStream``). Default False.
        images: Images or videos to show: paths, bytes, open files, ``(data, mime type)``,
            http(s) URLs, data URIs, PIL images, ``PuterFile``, images of a reply; one or a
            list.
        files: Files to send along, given in the same ways; text goes in as text.
        messages: A whole conversation to send instead of the history, which is left alone; a
            ``prompt`` beside it becomes its last user message.
        system: Instructions for this call only.
        content_parts: Ready content parts to send with the prompt.
        tools: What the model may call: plain functions, ``Tool`` objects, raw schemas, mixed.
            Their calls are run, and the results sent back, until the model answers in text.
        run_tools: False returns the calls as ``reply.tool_calls`` for you to run; answer them
            with ``resume=reply, tool_results={call.id: value}``. Default True.
        max_rounds: Rounds of tool calls at most, 1 or more. Default 8.
        before_tool: Asked before each call runs: return None or True to run it, a ``ToolCall``
            to change it, False or a sentence for the model to refuse it.
        resume: Finish a turn that stopped: an error's ``.partial``, or a reply whose
            ``tool_calls`` were left to you, or its ``to_dict()``. Tools that ran are not run
            again. The whole turn is remembered at its end.
        tool_results: Results of tool calls by call id, with ``resume``.
        raise_tool_errors: Exceptions of tools that are raised here, not told to the model: a class
            or several. Default: none but the signals with which task queues stop a task.
        remember: Whether the exchange is added to the history. Default True.
        **arguments: ``temperature``, ``max_tokens``, ``provider``, ``reasoning_effort``,
            ``web_search``, ``timeout``, ``extra`` and more; see ``ChatOptions``.

    Returns:
        The answer: a ``str`` with ``.model``, ``.usage``, ``.cost`` and more; or the stream.

    Raises:
        TypeError: An option is unknown; the message suggests the nearest.
        PuterInputError: An argument is wrong; nothing was sent.
        PuterAuthError: Not signed in, or the token is no longer good.
        PuterModelNotFoundError: The server does not know the model.
        PuterInsufficientFundsError: The allowance is used up.
        PuterRateLimitError: Waiting for Puter's limits did not help.
        PuterBlockedError: The server's stand-in answered instead of the model.
        PuterEmptyResponseError: The answer has nothing in it.
        PuterToolError: The model still called tools after ``max_rounds``.
        PuterStreamError: While iterating a stream: it failed or was cut off.
        PuterConnectionError: No answer; a chat that may have run is not sent again.
        PuterAPIError: Anything else the server refused.

    Examples:
        >>> reply = ai.chat("What is the capital of France?", "gpt-5-nano")
        >>> print(reply, reply.cost)
        Paris 0.0000...
        >>> for chunk in ai.chat("Say hello", stream=True):
        ...     print(chunk, end="", flush=True)
        Hello!
    """


def _parse(
    self: ChatMethods,
    prompt: str | None,
    output_type: Any,
    model: str | None = None,
    *,
    retries: int = 1,
    with_reply: bool = False,
    **arguments: Unpack[ChatArguments],
) -> None:
    """Ask for an answer of a type.

    The type's JSON Schema goes into the instructions, and along as ``output_format``, which
    servers of 2026-10 and later pass on. The value is read past thoughts, code fences and prose;
    when none fits, or several different ones do, it is asked for again with the fault shown.

    Args:
        prompt: What to say.
        output_type: dataclass, TypedDict, NamedTuple, Enum, Literal, a builtin generic such as
            ``list[int]``, or a pydantic model; or a JSON Schema as a dict, for plain data, which
            jsonschema checks where it is installed.
        model: Which model. Default: as in ``chat()``.
        retries: How often to ask again, 0 or more. Default 1. Every round is billed.
        with_reply: Return the answer itself, too. Default False.
        **arguments: Those of ``chat()``, but for ``stream``.

    Returns:
        An instance of ``output_type``; with ``with_reply`` a pair of it and the ``ChatReply``,
        whose ``usage``, ``cost`` and ``attempts`` are those of all rounds, and whose ``messages``
        leave out what did not fit, as the history does.

    Raises:
        PuterParseError: No answer fitted; ``.reply`` is the last, with the cost of all.
        PuterInputError: The type has no form in JSON, or an argument is wrong.
        PuterError: As ``chat()``.

    Examples:
        >>> ai.parse("Three primes", list[int])
        [2, 3, 5]
    """


# ---------------------------------------------------------------- the methods


def _shown_as(described: Callable[..., None]) -> Callable[[F], F]:
    """Give a method the docstring, and the defaults of its options, that ``help()`` shows."""

    def decorate(method: F) -> F:
        shown: Any = method
        shown.__doc__ = described.__doc__
        shown.defaults = ChatRequest
        shown.__wrapped__ = Shown(method, described)
        return method

    return decorate


class ChatMethods:
    """``chat`` and ``parse`` over a client and a history."""

    if TYPE_CHECKING:

        @property
        def _client(self) -> Client: ...

        _history: History

    @overload
    def chat(
        self,
        prompt: str | Sequence[Mapping[str, Any]] | None = None,
        model: str | None = None,
        *,
        stream: Literal[False] = False,
        **arguments: Unpack[ChatArguments],
    ) -> ChatReply: ...
    @overload
    def chat(
        self,
        prompt: str | Sequence[Mapping[str, Any]] | None = None,
        model: str | None = None,
        *,
        stream: Literal[True],
        **arguments: Unpack[ChatArguments],
    ) -> ChatStream: ...
    @overload
    @documented_by(_chat)
    def chat(
        self,
        prompt: str | Sequence[Mapping[str, Any]] | None = None,
        model: str | None = None,
        *,
        stream: bool,
        **arguments: Unpack[ChatArguments],
    ) -> ChatReply | ChatStream: ...
    @_shown_as(_chat)
    def chat(
        self,
        prompt: str | Sequence[Mapping[str, Any]] | None = None,
        model: str | None = None,
        *,
        stream: bool = False,
        **arguments: Unpack[ChatArguments],
    ) -> ChatReply | ChatStream:
        call, flow = _start(self, "chat", prompt, model, stream, arguments)
        if stream:
            return streaming.ChatStream(call.shared.transports["sync"], call, flow)
        return self._client._carry_out(call, flow)

    @overload
    async def async_chat(
        self,
        prompt: str | Sequence[Mapping[str, Any]] | None = None,
        model: str | None = None,
        *,
        stream: Literal[False] = False,
        **arguments: Unpack[ChatArguments],
    ) -> ChatReply: ...
    @overload
    async def async_chat(
        self,
        prompt: str | Sequence[Mapping[str, Any]] | None = None,
        model: str | None = None,
        *,
        stream: Literal[True],
        **arguments: Unpack[ChatArguments],
    ) -> AsyncChatStream: ...
    @overload
    @documented_by(_chat)
    async def async_chat(
        self,
        prompt: str | Sequence[Mapping[str, Any]] | None = None,
        model: str | None = None,
        *,
        stream: bool,
        **arguments: Unpack[ChatArguments],
    ) -> ChatReply | AsyncChatStream: ...
    @_shown_as(_chat)
    async def async_chat(
        self,
        prompt: str | Sequence[Mapping[str, Any]] | None = None,
        model: str | None = None,
        *,
        stream: bool = False,
        **arguments: Unpack[ChatArguments],
    ) -> ChatReply | AsyncChatStream:
        call, flow = _start(self, "async_chat", prompt, model, stream, arguments)
        if stream:
            transports = call.shared.transports
            transport = transports.get("async") or await transports.open_async()
            return await streaming.AsyncChatStream.open(transport, call, flow)
        return await self._client._async_carry_out(call, flow)

    @overload
    def parse(
        self,
        prompt: str | None,
        output_type: type[T],
        model: str | None = None,
        *,
        retries: int = 1,
        with_reply: Literal[False] = False,
        **arguments: Unpack[ChatArguments],
    ) -> T: ...
    @overload
    def parse(
        self,
        prompt: str | None,
        output_type: type[T],
        model: str | None = None,
        *,
        retries: int = 1,
        with_reply: Literal[True],
        **arguments: Unpack[ChatArguments],
    ) -> tuple[T, ChatReply]: ...
    @overload  # Literal, Union and the like are no types to a type checker
    @documented_by(_parse)
    def parse(
        self,
        prompt: str | None,
        output_type: Any,
        model: str | None = None,
        *,
        retries: int = 1,
        with_reply: bool = False,
        **arguments: Unpack[ChatArguments],
    ) -> Any: ...
    @_shown_as(_parse)
    def parse(
        self,
        prompt: str | None,
        output_type: Any,
        model: str | None = None,
        *,
        retries: int = 1,
        with_reply: bool = False,
        **arguments: Unpack[ChatArguments],
    ) -> Any:
        call, flow = _start_typed(
            self, "parse", prompt, output_type, model, retries, with_reply, arguments
        )
        value, reply = self._client._carry_out(call, flow)
        return (value, reply) if with_reply else value

    @overload
    async def async_parse(
        self,
        prompt: str | None,
        output_type: type[T],
        model: str | None = None,
        *,
        retries: int = 1,
        with_reply: Literal[False] = False,
        **arguments: Unpack[ChatArguments],
    ) -> T: ...
    @overload
    async def async_parse(
        self,
        prompt: str | None,
        output_type: type[T],
        model: str | None = None,
        *,
        retries: int = 1,
        with_reply: Literal[True],
        **arguments: Unpack[ChatArguments],
    ) -> tuple[T, ChatReply]: ...
    @overload  # Literal, Union and the like are no types to a type checker
    @documented_by(_parse)
    async def async_parse(
        self,
        prompt: str | None,
        output_type: Any,
        model: str | None = None,
        *,
        retries: int = 1,
        with_reply: bool = False,
        **arguments: Unpack[ChatArguments],
    ) -> Any: ...
    @_shown_as(_parse)
    async def async_parse(
        self,
        prompt: str | None,
        output_type: Any,
        model: str | None = None,
        *,
        retries: int = 1,
        with_reply: bool = False,
        **arguments: Unpack[ChatArguments],
    ) -> Any:
        call, flow = _start_typed(
            self, "async_parse", prompt, output_type, model, retries, with_reply, arguments
        )
        value, reply = await self._client._async_carry_out(call, flow)
        return (value, reply) if with_reply else value


def _start(
    owner: ChatMethods,
    method: str,
    prompt: Any,
    model: Any,
    stream: Any,
    arguments: Mapping[str, Any],
) -> tuple[CallContext, Flow[ChatReply]]:
    history = owner._history
    try:
        request = chat_request(method, prompt, model, arguments)
        if not isinstance(stream, bool):
            raise PuterInputError(f"stream must be True or False, not {repr_of(stream)}")
        call = owner._client._begin(
            "chat", request.model or history.model or owner._client.config.default_model
        )
        if request.options:
            _heed_options(call, history, request)
    except (PuterError, TypeError) as error:
        raise short(error)  # noqa: B904 - it is the same
    answer = streamed.streamed_answer if stream else None
    if call.extensions.middleware:
        flow = _extended(call, history, request, answer)
    else:
        flow = run_turn(call, history, request, answer)
    return call, observed(call, in_order(history, call, flow))


def _extended(
    call: CallContext, history: History, request: ChatRequest, answer: Answer | None
) -> Flow[ChatReply]:
    """The turn through the client's middleware; what comes out of it is remembered."""
    base = functools.partial(run_turn, call, history, answer=answer)
    streams = answer is not None
    reply = yield from extending.extended(call, history, request, base, changed, stream=streams)
    yield from remember(call, history, request, reply)
    return reply


def changed(options: Mapping[str, Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """Options and arguments that middleware put in the place of the user's, checked as those are.

    Raises:
        TypeError: An option is unknown.
        PuterInputError: A value is not valid.
    """
    validate_options(ChatMethods.chat, options, ChatOptions, CHAT_HINTS)
    fields: dict[str, Any] = {"options": options}
    for name, value in args.items():
        fields[name] = _NO_REQUEST[name] if value is None else _CHECKS[name](name, value)
    return fields


def _start_typed(
    owner: ChatMethods,
    method: str,
    prompt: Any,
    output_type: Any,
    model: Any,
    retries: Any,
    with_reply: Any,
    arguments: Mapping[str, Any],
) -> tuple[CallContext, Flow[tuple[Any, ChatReply]]]:
    if "stream" in arguments:
        raise TypeError(f"{method}() cannot stream: a typed answer is read as a whole")
    history = owner._history
    try:
        checks.whole_number("retries", retries, least=0)
        checks.flag("with_reply", with_reply)
        request = chat_request(method, prompt, model, arguments)
        wanted = output_types.output_adapter(output_type)
        call = owner._client._begin(
            "parse", request.model or history.model or owner._client.config.default_model
        )
        if request.options:
            _heed_options(call, history, request)
    except (PuterError, TypeError) as error:
        raise short(error)  # noqa: B904 - it is the same
    flow = parse.typed_answer(call, history, request, wanted, retries, changed)
    return call, observed(call, in_order(history, call, flow))


def _heed_options(call: CallContext, history: History, request: ChatRequest) -> None:
    """Refuse options that the server fails with, and warn of those that it will drop."""
    providers.refuse_misspelt_provider(
        request.options.get("provider"), "chat", call.catalogues.get("chat", ())
    )
    target = target_of(call, history, request)
    for name in filter(request.options.get, target.route.refuses):
        raise PuterInputError(
            f"{name} cannot be used with {target.model}: the server fails with it",
            hint="Leave it out, or ask a model of OpenAI.",
        )
    warned = call.shared.warned
    for name in dropped_options(request.options, target.route, target.model):
        if (name, target.model) not in warned:
            warned.add((name, target.model))
            warnings.warn(
                f"{name} is set, but the server may drop it for {target.model} ({target.provider})",
                PuterOptionWarning,
                stacklevel=4,
            )


def chat_request(method: str, prompt: Any, model: Any, arguments: Mapping[str, Any]) -> ChatRequest:
    """The arguments of a chat, checked before anything is sent.

    Raises:
        TypeError: One is unknown.
        PuterInputError: One is not valid.
    """
    if model is not None and (not checks.text.accepts(model) or checks.is_url(model, "data:")):
        raise _no_model(model)
    said: Any = prompt
    if isinstance(said, (list, tuple)) and any(isinstance(one, Mapping) for one in said):
        prompt, arguments = None, {**arguments, "messages": _only(said, arguments)}
    if not arguments:
        return ChatRequest(prompt, model)
    named: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in arguments.items():
        (named if name in _CHECKS else options)[name] = value
    if options:
        check_refused(options)
        validate_options(getattr(ChatMethods, method), options, ChatOptions, CHAT_HINTS)
    named = {name: _CHECKS[name](name, value) for name, value in named.items() if value is not None}
    request = ChatRequest(prompt, model, **named, options=options or NOTHING)
    if options.get("tool_choice") is not None:
        _check_tool_choice(options["tool_choice"], request.tools)
    if request.resume is None:
        if "resume" in arguments and prompt is None and request.messages is None:
            raise PuterInputError(
                "There is nothing to resume: resume is None",
                hint="An error's .partial is None when nothing was answered or run: "
                "make the call again.",
            )
        if request.tool_results:
            raise PuterInputError("tool_results needs resume=", hint="Pass the reply as resume=.")
    elif any(
        one is not None
        for one in (prompt, request.messages, request.images, request.files, request.content_parts)
    ):
        raise PuterInputError(
            "resume= finishes a turn and takes nothing new to say",
            hint="Ask the next question in the next call.",
        )
    has_functions = request.tools is not None or request.before_tool is not None
    if has_functions and not method.startswith("async_"):
        tools.refuse_async(request.tools if request.run_tools else None, request.before_tool)
    return request


def _check_tool_choice(choice: Any, tools: Toolbox | None) -> None:
    names = tools.names - {""} if tools is not None else set()
    if tools is None and forces_tool(choice):
        raise PuterInputError("tool_choice needs tools=", hint="Pass the tools to choose from.")
    if isinstance(choice, Mapping):
        choice = tool_name(choice) or "auto"
    if choice not in CHOICES and choice not in names:
        near = difflib.get_close_matches(choice, [*CHOICES, *filter(None, names)], n=1)
        raise PuterInputError(
            f"tool_choice: there is no tool named {repr_of(choice)}",
            hint=checks.did_you_mean(near)
            or "Give 'auto', 'none', 'required', or the name of one of the tools.",
        )


def _no_model(value: Any) -> PuterInputError:
    """The error of a second argument that is no model: puter.js takes pictures or options there."""
    hint = "Pass pictures as images=..., files as files=...."
    if isinstance(value, Mapping):
        hint = "Options are keyword arguments: chat(prompt, model='...', temperature=0.5)."
    elif isinstance(value, bool):
        hint = "There is no test mode; model='fake' is free."
    elif isinstance(value, str) and not value.strip():
        hint = ""
    return PuterInputError(f"model must be a non-empty str, not {repr_of(value, 80)}", hint=hint)


def _only(messages: Any, arguments: Mapping[str, Any]) -> Any:
    """The list of messages that stands in the place of the prompt."""
    if arguments.get("messages") is not None:
        raise PuterInputError(
            "prompt is a list of messages, and messages= is another",
            hint="Pass one of them; a prompt beside messages= is a str.",
        )
    if not any("role" in one or "content" in one for one in messages):
        raise PuterInputError(
            "prompt is a list of content parts",
            hint="Pass the parts as content_parts=[...], the text as prompt.",
        )
    return messages


def _check_reply(name: str, value: Any) -> ChatReply:
    if isinstance(value, ChatReply):
        return value
    if isinstance(value, Mapping):
        try:
            return ChatReply.from_dict(value)
        except ValueError as error:
            raise PuterInputError(f"{name}: {error}", hint="Pass reply.to_dict().") from error
    raise PuterInputError(
        f"{name} must be a ChatReply or its to_dict(), not {type(value).__name__}",
        hint="Pass an error's .partial, or the reply whose tool_calls are open.",
    )


def _check_parts(name: str, value: Any) -> Sequence[Any]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise PuterInputError(f"{name} must be a list of content parts")
    return value


def _check_results(name: str, value: Any) -> dict[str, Any]:
    return dict(checks.mapping_with_str_keys(name, value))


def _check_exceptions(name: str, value: Any) -> tuple[type[BaseException], ...]:
    classes = [value] if isinstance(value, type) else value
    if not isinstance(classes, (list, tuple, set, frozenset)) or not all(
        isinstance(one, type) and issubclass(one, BaseException) for one in classes
    ):
        raise PuterInputError(
            f"{name} must be exception classes, not {repr_of(value)}",
            hint="Pass a class or a tuple of classes: (PaymentError, TimeoutError).",
        )
    return tuple(classes)


def _as_it_is(_name: str, value: Any) -> Any:
    return value


_CHECKS: Mapping[str, checks.Check] = {
    **dict.fromkeys(ChatArguments.__annotations__.keys() - ChatOptions.__annotations__, _as_it_is),
    "system": checks.text,
    "content_parts": _check_parts,
    "tools": lambda _, value: tools.Toolbox(value),
    "run_tools": checks.flag,
    "max_rounds": checks.Range(1).kind(whole=True),
    "before_tool": checks.function,
    "resume": _check_reply,
    "tool_results": _check_results,
    "raise_tool_errors": _check_exceptions,
    "remember": checks.flag,
}
"""What is no option of the server's, each checked and read into what a turn works with."""
_NO_REQUEST: Mapping[str, Any] = {name: getattr(ChatRequest(), name) for name in _CHECKS}
"""The same of a chat that says none of it."""
