"""The doors of chat, for whatever has a history: the client itself, and each conversation."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from puter.exceptions import PuterInputError, PuterOptionWarning
from puter.exchange import counted
from puter.operations.asking import Question, route_of
from puter.operations.chat import chat, stream
from puter.operations.parse import parse
from puter.options import check_options
from puter.schema import codec
from puter.tools import refuse_async, toolbox
from puter.wire.dialect import dropped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Unpack

    from puter.ai import PuterAI
    from puter.exchange import Call
    from puter.history import History
    from puter.options import ChatArguments, ChatOptions
    from puter.replies import ChatReply
    from puter.schema import Codec
    from puter.sources import Source
    from puter.streaming import AsyncChatStream, ChatStream
    from puter.tools import BeforeTool, ToolLike

T = TypeVar("T")


class ChatDoors:
    """``chat`` and ``async_chat`` over a client and a history."""

    if TYPE_CHECKING:

        @property
        def _client(self) -> PuterAI: ...
        @property
        def _history(self) -> History: ...

    @overload
    def chat(
        self,
        prompt: str | None = None,
        model: str | None = None,
        *,
        stream: Literal[False] = False,
        **arguments: Unpack[ChatArguments],
    ) -> ChatReply: ...
    @overload
    def chat(
        self,
        prompt: str | None = None,
        model: str | None = None,
        *,
        stream: Literal[True],
        **arguments: Unpack[ChatArguments],
    ) -> ChatStream: ...
    @overload
    def chat(
        self,
        prompt: str | None = None,
        model: str | None = None,
        *,
        stream: bool,
        **arguments: Unpack[ChatArguments],
    ) -> ChatReply | ChatStream: ...
    def chat(
        self,
        prompt: str | None = None,
        model: str | None = None,
        *,
        stream: bool = False,
        images: Source | Sequence[Source] | None = None,
        files: Source | Sequence[Source] | None = None,
        messages: Sequence[Mapping[str, Any] | str] | None = None,
        system: str | None = None,
        content_parts: Sequence[Mapping[str, Any] | str] | None = None,
        remember: bool = True,
        tools: Sequence[ToolLike] | None = None,
        run_tools: bool = True,
        max_rounds: int = 8,
        before_tool: BeforeTool | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatReply | ChatStream:
        """Ask a model and remember the exchange.

        Args:
            prompt: What to say.
            model: Which model. Default: ``current_model``, or the conversation's own.
            stream: Return the answer as it comes, as a ``ChatStream``
                (``async_chat``: ``AsyncChatStream``). Default False.
            images: Pictures or films to show: paths, bytes, open files, ``(data, mime type)``,
                http(s) URLs, data URIs, PIL images, ``PuterFile``, pictures of a reply; one or
                a list.
            files: Files to send along, given in the same ways; text goes in as text.
            messages: A whole conversation to send instead of the history, which is left alone; a
                ``prompt`` beside it becomes its last user message.
            system: Instructions for this call only.
            content_parts: Ready content parts to send with the prompt.
            remember: Whether the exchange is added to the history. Default True.
            tools: What the model may call: plain functions, ``Tool`` objects, raw schemas, mixed.
                Their calls are run, and the results sent back, until the model answers in text.
            run_tools: False returns the calls as ``reply.tool_calls`` for you to run; answer them
                with ``tool_result`` and ``messages=[*reply.messages, ...]``. Default True.
            max_rounds: Rounds of tool calls at most. Default 8.
            before_tool: Asked before each call runs: return None or True to run it, a ``ToolCall``
                to change it, False or a sentence for the model to refuse it.
            **options: ``temperature``, ``max_tokens``, ``provider``, ``reasoning_effort``,
                ``web_search``, ``timeout``, ``extra`` and more; see
                ``ChatOptions``.

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
            >>> reply = ai.chat("What is the capital of France?", "gpt-5-nano")  # doctest: +SKIP
            >>> print(reply, reply.cost)  # doctest: +SKIP
            Paris 0.0000042
            >>> for chunk in ai.chat("Tell me a story", stream=True):  # doctest: +SKIP
            ...     print(chunk, end="", flush=True)
        """
        question = Question(
            prompt, model, images, files, messages, system, content_parts, remember,
            toolbox(tools), run_tools, max_rounds, before_tool, options,
        )  # fmt: skip
        refuse_async(question.tools if run_tools else None, before_tool)
        call = self._prepare("chat", question, stream)
        driver = self._client._shared.blocking
        if stream:
            from puter.streaming import ChatStream

            return ChatStream(driver, counted(call, _stream(call, self._history, question)))
        return driver.run(counted(call, chat(call, self._history, question)))

    @overload
    async def async_chat(
        self,
        prompt: str | None = None,
        model: str | None = None,
        *,
        stream: Literal[False] = False,
        **arguments: Unpack[ChatArguments],
    ) -> ChatReply: ...
    @overload
    async def async_chat(
        self,
        prompt: str | None = None,
        model: str | None = None,
        *,
        stream: Literal[True],
        **arguments: Unpack[ChatArguments],
    ) -> AsyncChatStream: ...
    @overload
    async def async_chat(
        self,
        prompt: str | None = None,
        model: str | None = None,
        *,
        stream: bool,
        **arguments: Unpack[ChatArguments],
    ) -> ChatReply | AsyncChatStream: ...
    async def async_chat(
        self,
        prompt: str | None = None,
        model: str | None = None,
        *,
        stream: bool = False,
        images: Source | Sequence[Source] | None = None,
        files: Source | Sequence[Source] | None = None,
        messages: Sequence[Mapping[str, Any] | str] | None = None,
        system: str | None = None,
        content_parts: Sequence[Mapping[str, Any] | str] | None = None,
        remember: bool = True,
        tools: Sequence[ToolLike] | None = None,
        run_tools: bool = True,
        max_rounds: int = 8,
        before_tool: BeforeTool | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatReply | AsyncChatStream:
        question = Question(
            prompt, model, images, files, messages, system, content_parts, remember,
            toolbox(tools), run_tools, max_rounds, before_tool, options,
        )  # fmt: skip
        call = self._prepare("async_chat", question, stream)
        driver = self._client._shared.asynchronous
        if stream:
            from puter.streaming import AsyncChatStream

            return await AsyncChatStream.open(
                driver, counted(call, _stream(call, self._history, question))
            )
        return await driver.run(counted(call, chat(call, self._history, question)))

    async_chat.__doc__ = chat.__doc__

    @overload
    def parse(
        self,
        prompt: str | None,
        output_type: type[T],
        model: str | None = None,
        *,
        retries: int = 1,
        **arguments: Unpack[ChatArguments],
    ) -> T: ...
    @overload  # Literal, Union and the like are no types to a type checker
    def parse(
        self,
        prompt: str | None,
        output_type: Any,
        model: str | None = None,
        *,
        retries: int = 1,
        **arguments: Unpack[ChatArguments],
    ) -> Any: ...
    def parse(
        self,
        prompt: str | None,
        output_type: Any,
        model: str | None = None,
        *,
        retries: int = 1,
        **arguments: Unpack[ChatArguments],
    ) -> Any:
        """Ask for an answer of a type.

        Puter passes no JSON mode on to most vendors, so the type's JSON Schema goes into the
        instructions; the answer is read strictly, past code fences and prose, and an answer that
        does not fit is asked for again with the fault shown.

        Args:
            prompt: What to say.
            output_type: dataclass, TypedDict, NamedTuple, Enum, Literal, a builtin generic such as
                ``list[int]``, or a pydantic model.
            model: Which model. Default: as in ``chat()``.
            retries: How often to ask again. Default 1. Every round is billed.
            **arguments: Those of ``chat()``, but for ``stream``.

        Returns:
            An instance of ``output_type``.

        Raises:
            PuterParseError: No answer fitted; ``.reply`` is the last, with the cost of all.
            PuterInputError: The type has no form in JSON, or an argument is wrong.
            PuterError: As ``chat()``.

        Examples:
            >>> ai.parse("Three primes", list[int])  # doctest: +SKIP
            [2, 3, 5]
        """
        made, question = self._typed("parse", output_type, retries, prompt, model, arguments)
        refuse_async(question.tools if question.run_tools else None, question.before_tool)
        call = self._prepare("parse", question, False)
        driver = self._client._shared.blocking
        return driver.run(counted(call, parse(call, self._history, question, made, retries)))

    @overload
    async def async_parse(
        self,
        prompt: str | None,
        output_type: type[T],
        model: str | None = None,
        *,
        retries: int = 1,
        **arguments: Unpack[ChatArguments],
    ) -> T: ...
    @overload
    async def async_parse(
        self,
        prompt: str | None,
        output_type: Any,
        model: str | None = None,
        *,
        retries: int = 1,
        **arguments: Unpack[ChatArguments],
    ) -> Any: ...
    async def async_parse(
        self,
        prompt: str | None,
        output_type: Any,
        model: str | None = None,
        *,
        retries: int = 1,
        **arguments: Unpack[ChatArguments],
    ) -> Any:
        made, question = self._typed("async_parse", output_type, retries, prompt, model, arguments)
        call = self._prepare("async_parse", question, False)
        driver = self._client._shared.asynchronous
        return await driver.run(counted(call, parse(call, self._history, question, made, retries)))

    async_parse.__doc__ = parse.__doc__

    def _typed(
        self,
        method: str,
        output_type: Any,
        retries: Any,
        prompt: str | None,
        model: str | None,
        arguments: Any,
    ) -> tuple[Codec, Question]:
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise PuterInputError(f"retries must be a whole number, 0 or more, not {retries!r}")
        if "stream" in arguments:
            raise TypeError(f"{method}() cannot stream: a typed answer is read as a whole")
        named = {name: arguments[name] for name in _ARGUMENTS if name in arguments}
        options = {name: value for name, value in arguments.items() if name not in named}
        named["tools"] = toolbox(named.get("tools"))
        return codec(output_type), Question(prompt, model, **named, options=options)

    def _prepare(self, method: str, question: Question, stream: Any) -> Call:
        """Check what can be checked without sending, and warn of options that will be dropped."""
        check_options(method, question.options, _ARGUMENTS)
        if not isinstance(stream, bool):
            raise PuterInputError(f"stream must be True or False, not {stream!r}")
        rounds = question.max_rounds
        if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
            raise PuterInputError(f"max_rounds must be a whole number, 1 or more, not {rounds!r}")
        if question.before_tool is not None and not callable(question.before_tool):
            raise PuterInputError("before_tool must be a function")
        call = self._client._call()
        route = route_of(call, self._history, question)
        warned = self._client._shared.warned
        for name in dropped(question.options, route.provider, route.model, route.family):
            if (name, route.model) not in warned:
                warned.add((name, route.model))
                warnings.warn(
                    f"{name} is set, but the server drops it for {route.model} ({route.provider})",
                    PuterOptionWarning,
                    stacklevel=3,
                )
        return call


_stream = stream  # the method's own argument hides it
_ARGUMENTS = (
    "prompt", "model", "stream", "images", "files", "messages", "system", "content_parts",
    "remember", "tools", "run_tools", "max_rounds", "before_tool",
)  # fmt: skip
