"""``ChatPuter``: Puter's models in LangChain. Needs ``langchain-core``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from puter.ai import PuterAI
from puter.api.attachments import part_of
from puter.api.output_types import output_adapter
from puter.engine.credentials import TOKEN_VARIABLES
from puter.exceptions import PuterConfigError, PuterInputError
from puter.options import CHAT_HINTS, ChatOptions, validate_options
from puter.types.media import Image
from puter.types.replies import ChatChunk, ChatReply
from puter.wire.dialects.base import tool_name
from puter.wire.kept import as_written, assistant_messages, is_readable, kept_of
from puter.wire.messages import Message, result_message
from puter.wire.typed import instructions, output_format
from puter.wire.untrusted import check_untrusted, web_address

try:
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import (
        AIMessage,
        AIMessageChunk,
        BaseMessage,
        ChatMessage,
        ToolMessage,
        is_data_content_block,
    )
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
    from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
    from langchain_core.utils import secret_from_env
    from langchain_core.utils.function_calling import (
        convert_to_json_schema,
        convert_to_openai_tool,
    )
    from langchain_core.utils.pydantic import is_basemodel_subclass
    from pydantic import AliasChoices, ConfigDict, Field, SecretStr, model_validator
except ImportError as _error:
    raise ImportError(
        "puter.langchain needs langchain-core: pip install langchain-core "
        "(the extra puter-python-sdk[langchain])"
    ) from _error

_ROLES = {"human": "user", "system": "system", "function": "function"}
_CHOICES = {"any": "required", True: "required", False: "none"}
_KEPT = "puter"
"""Key in ``additional_kwargs`` of what only the vendor understands of an answer."""
_BESIDE = {"tool_call", "tool_call_chunk", "invalid_tool_call", "input_json_delta", "reasoning"}
"""Blocks of an answer that say again what it has in an attribute, or are for people."""
_OF_TEXTS = ("text", "cache_control")
"""Keys of a text that go to Puter; LangChain has others beside them."""


class ChatPuter(BaseChatModel):
    """A chat model of LangChain's that asks Puter.

    All that LangChain does with a chat model works: ``invoke``, ``stream``, ``batch`` and their
    async forms, ``bind_tools``, ``with_structured_output``, pictures and files in messages. What a
    call cost is in ``response_metadata["cost"]``, in US dollars, as text.

    Args:
        model: Which model. Default: the client's ``current_model``.
        token: A Puter token; also as ``api_key``. Default: ``PUTER_AUTH_TOKEN``.
        api_base: Where Puter's API is; also as ``base_url``. Default: as in ``PuterConfig``.
        client: The client to ask with: its limits, extensions and ledger count here, too. Default:
            one is made of ``token`` and ``api_base``.
        temperature: Randomness of the choice of words, about 0 to 2.
        max_tokens: Most tokens in an answer, 1 or more.
        stop: Texts at which an answer ends; also as ``stop_sequences``.
        timeout: Seconds of silence allowed; also as ``request_timeout``.
        max_retries: How often a request is sent again at most.
        streaming: Whether ``invoke`` streams as well; False keeps all calls from it.
        **options: More options of ``PuterAI.chat()``, one by one or as a dict ``model_kwargs``, and
            what all of LangChain's models take.

    Raises:
        TypeError: An option is unknown; the message suggests the nearest.
        ValueError: An option or setting is not valid, as pydantic's ``ValidationError``.

    Examples:
        >>> from puter.langchain import ChatPuter
        >>> llm = ChatPuter(model="gpt-5-nano", client=ai)
        >>> llm.invoke("What is the capital of France?").text
        'Paris'
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        hide_input_in_errors=True,  # a token may be there
    )

    model: str = ""
    token: SecretStr | None = Field(
        default_factory=secret_from_env(TOKEN_VARIABLES, default=None),
        validation_alias=AliasChoices("token", "api_key"),
        exclude=True,
        repr=False,
    )
    api_base: str | None = Field(
        default=None, validation_alias=AliasChoices("api_base", "base_url")
    )
    client: PuterAI | None = Field(default=None, exclude=True, repr=False)
    temperature: float | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = Field(
        default=None, validation_alias=AliasChoices("stop", "stop_sequences")
    )
    timeout: float | None = Field(
        default=None, validation_alias=AliasChoices("timeout", "request_timeout")
    )
    max_retries: int | None = None
    streaming: bool = False
    model_kwargs: dict[str, Any] = Field(default_factory=dict)

    if TYPE_CHECKING:  # what pydantic takes besides: a token as str, other names, options

        def __init__(
            self,
            *,
            model: str = "",
            token: str | SecretStr | None = None,
            api_key: str | SecretStr | None = None,
            api_base: str | None = None,
            base_url: str | None = None,
            client: PuterAI | None = None,
            temperature: float | None = None,
            max_tokens: int | None = None,
            stop: str | list[str] | None = None,
            timeout: float | None = None,
            max_retries: int | None = None,
            streaming: bool = False,
            **options: Any,
        ) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, given: Any) -> Any:
        """Take the options of a chat that are no fields of their own to ``model_kwargs``."""
        fields = {name for field in cls.model_fields.values() for name in _names_of(field)}
        named = fields | cls.model_fields.keys()
        others = {name: value for name, value in given.items() if name not in named}
        options = {**given.get("model_kwargs", {}), **others}
        validate_options(cls, options, ChatOptions, CHAT_HINTS)
        kept = {name: value for name, value in given.items() if name in named}
        return {**kept, "model_kwargs": options}

    @model_validator(mode="after")
    def _open(self) -> ChatPuter:
        """Make the client, where none is given."""
        settings = _present({"api_base": self.api_base, "max_retries": self.max_retries})
        if self.client is None:
            token = None if self.token is None else self.token.get_secret_value()
            self.client = PuterAI(token=token, **settings)
        elif "token" in self.model_fields_set:
            raise PuterConfigError(
                "ChatPuter has a client and a token",
                hint="Pass one of them: the client has its own token.",
            )
        elif settings:
            self.client = self.client.with_options(**settings)
        self.model = self.model or self.client.current_model
        self.api_base = self.client.config.api_base
        return self

    def __getstate__(self) -> dict[Any, Any]:
        """What is pickled: all but the token, like the client."""
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], "token": None}}

    @property
    def _llm_type(self) -> str:
        return "puter"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model", "api_base", "temperature", "max_tokens", "stop")
        return {**_present({name: getattr(self, name) for name in names}), **self.model_kwargs}

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """What caches and traces tell calls apart by: with the model's own ``stop``, too."""
        own: Any = self.stop
        return super()._get_invocation_params(stop=stop or own, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = self._asked(messages, stop, kwargs)
        return _result(self._puter.chat(**asked), len(asked["messages"]))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = self._asked(messages, stop, kwargs)
        return _result(await self._puter.async_chat(**asked), len(asked["messages"]))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        asked = self._asked(messages, stop, kwargs)
        calls = 0
        with self._puter.chat(stream=True, **asked) as stream:
            for chunk in stream:
                if chunk.type != "usage":
                    yield _chunk(chunk, calls)
                    calls += chunk.type == "tool_use"
            yield _last(stream.reply, len(asked["messages"]))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        asked = self._asked(messages, stop, kwargs)
        calls = 0
        async with await self._puter.async_chat(stream=True, **asked) as stream:
            async for chunk in stream:
                if chunk.type != "usage":
                    yield _chunk(chunk, calls)
                    calls += chunk.type == "tool_use"
            yield _last(stream.reply, len(asked["messages"]))

    @property
    def _puter(self) -> PuterAI:
        return cast("PuterAI", self.client)

    def _asked(
        self, messages: Sequence[BaseMessage], stop: Sequence[str] | None, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The arguments of the chat."""
        names = ("model", "temperature", "max_tokens", "stop", "timeout")
        own = {name: getattr(self, name) for name in names}
        asked = {**own, **self.model_kwargs, **given, "run_tools": False}
        asked["stop"] = stop or asked["stop"] or None
        asked.pop("stream", None)
        form: Any = asked.pop("response_format", None)
        if form is not None:
            wanted = output_adapter((form.get("json_schema") or _ANY_OBJECT)["schema"])
            asked["system"] = instructions(wanted)
            if form.get("type") == "json_schema":
                asked["output_format"] = output_format(wanted)
        asked["messages"] = check_untrusted(
            one for message in messages for one in _neutral(message)
        )
        return asked

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | Any],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools that it may call.

        Args:
            tools: Functions, LangChain tools, pydantic models, TypedDicts or schemas.
            tool_choice: ``"auto"``, ``"none"``, ``"any"`` or True (one of them must be called), or
                the name of the one to call.
            strict: Written into the schemas, which the server leaves out.
            **kwargs: Options of each call.
        """
        schemas = [convert_to_openai_tool(one, strict=strict) for one in tools]
        if isinstance(tool_choice, dict):
            kwargs["tool_choice"] = tool_name(tool_choice) or tool_choice
        elif tool_choice is not None:
            kwargs["tool_choice"] = _CHOICES.get(tool_choice, tool_choice)
        return self.bind(tools=schemas, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """The model with answers of a type.

        Args:
            schema: A pydantic model, a TypedDict or a JSON Schema.
            method: ``"json_schema"`` writes the schema into the instructions, and asks the vendor
                to enforce it; ``"json_mode"`` only writes it; ``"function_calling"`` has the
                model call a tool of that form.
            include_raw: Return ``{"raw": ..., "parsed": ..., "parsing_error": ...}``.
            strict: For ``"function_calling"``: as in ``bind_tools()``.
            **kwargs: Options of each call.
        """
        if method == "function_calling":
            return super().with_structured_output(
                schema, include_raw=include_raw, strict=strict, **kwargs
            )
        if method not in ("json_schema", "json_mode"):
            raise PuterInputError(
                f"method must be json_schema, json_mode or function_calling, not {method!r}"
            )
        described = {"schema": convert_to_json_schema(schema)}
        kind = "json_schema" if method == "json_schema" else "json_object"
        model = self.bind(
            response_format={"type": kind, "json_schema": described},
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
            **kwargs,
        )
        parser: Runnable[Any, Any] = JsonOutputParser()
        if isinstance(schema, type) and is_basemodel_subclass(schema):
            parser = PydanticOutputParser(pydantic_object=cast("Any", schema))
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks(
            [unparsed], exception_key="parsing_error"
        )


_ANY_OBJECT = {"schema": {"type": "object"}}


def _present(given: Mapping[str, Any]) -> dict[str, Any]:
    """What there is of it: not None."""
    return {name: value for name, value in given.items() if value is not None}


def _names_of(field: Any) -> list[str]:
    alias = field.validation_alias
    return [*map(str, alias.choices)] if isinstance(alias, AliasChoices) else []


# ---------------------------------------------------------------- messages there


def _neutral(message: BaseMessage) -> list[Message]:
    """A message as the client takes it; an answer may be several, or none."""
    if isinstance(message, AIMessage):
        made: list[Any] = [*message.tool_calls, *message.invalid_tool_calls]
        calls = [(one["id"], one["name"], one["args"]) for one in made]
        content = _content(message, [one for one, _, _ in calls])
        return assistant_messages(content, calls, message.additional_kwargs.get(_KEPT))
    content = _content(message)
    if isinstance(message, ToolMessage):
        return [result_message(message.tool_call_id, content)]
    role = message.role if isinstance(message, ChatMessage) else _ROLES.get(message.type)
    if role is None:
        raise PuterInputError(f"{type(message).__name__} is no message of a chat")
    return [{"role": role, "content": content}]


def _content(message: BaseMessage, calls: Sequence[Any] | None = None) -> Any:
    """The content: text, or parts; of an answer, which made such calls, those that go back."""
    content = message.content
    if isinstance(content, str):
        return content
    blocks = content if calls is None else [one for one in content if _goes_back(one, calls)]
    return list(map(_part, blocks)) or ""


def _goes_back(block: Any, calls: Sequence[Any]) -> bool:
    """Whether a block of an answer is sent again; no vendor takes pictures as its own words."""
    if isinstance(block, str):
        return True
    kind = block.get("type")
    is_call = kind in _BESIDE or (kind == "tool_use" and block.get("id") in calls)
    return not (is_call or kind == "image_url" or is_data_content_block(block))


def _part(block: Any) -> dict[str, Any]:
    """A content block, of LangChain's older or newer form, or of a vendor's."""
    if isinstance(block, str):
        return {"type": "text", "text": block}
    kind = block.get("type")
    if kind == "non_standard":
        return dict(block["value"])
    if kind in ("text", "text-plain") and "text" in block:
        return {"type": "text", **{key: block[key] for key in _OF_TEXTS if key in block}}
    if not is_data_content_block(block):
        return {key: value for key, value in block.items() if key != "index"}
    address = block.get("url")
    if address is None:
        data = block.get("base64", block.get("data"))
        if data is None or "mime_type" not in block:
            raise PuterInputError(
                f"A content block of type {kind!r} has no data",
                hint="Give it 'url', or 'base64' and 'mime_type'; Puter knows no file ids.",
            )
        address = f"data:{block['mime_type']};base64,{data}"
    if kind == "video":
        return {"type": "video_url", "video_url": {"url": address}}
    part = part_of(web_address(address), image=kind == "image")
    if "filename" in block and "file" in part:
        part["file"]["filename"] = block["filename"]
    return part


# ---------------------------------------------------------------- and back


def _result(reply: ChatReply, given: int) -> ChatResult:
    calls = reply.tool_calls
    message = AIMessage(
        content=[*([reply.text] if reply else []), *map(_block, reply.images)]
        if reply.images
        else reply.text,
        tool_calls=[
            tool_call(name=one.name, args=one.arguments, id=one.id)
            for one in calls
            if is_readable(one)
        ],
        invalid_tool_calls=[
            invalid_tool_call(name=one.name, args=as_written(one), id=one.id, error=_NO_OBJECT)
            for one in calls
            if not is_readable(one)
        ],
        **_facts(reply, given),
    )
    if reply.reasoning:
        message.additional_kwargs["reasoning_content"] = reply.reasoning
    return ChatResult(generations=[ChatGeneration(message=message)])


_NO_OBJECT = "the arguments are no JSON object"


def _chunk(chunk: ChatChunk, calls: int) -> ChatGenerationChunk:
    """A piece of the answer, with the number of tool calls before it."""
    message = AIMessageChunk(content=[_block(chunk.image)] if chunk.image else chunk.text)
    if chunk.reasoning:
        message.additional_kwargs["reasoning_content"] = chunk.reasoning
    if (call := chunk.tool_use) is not None:
        made = tool_call_chunk(name=call.name, args=as_written(call), id=call.id, index=calls)
        message = AIMessageChunk(content="", tool_call_chunks=[made])
    return ChatGenerationChunk(message=message)


def _last(reply: ChatReply, given: int) -> ChatGenerationChunk:
    """The end of a stream: what is known of the whole answer."""
    message = AIMessageChunk(content="", chunk_position="last", **_facts(reply, given))
    return ChatGenerationChunk(message=message)


def _facts(reply: ChatReply, given: int) -> dict[str, Any]:
    """What is told of an answer beside what it says."""
    usage = reply.usage
    told = {
        "model_provider": "puter",
        "model_name": reply.model,
        "provider": reply.provider,
        "finish_reason": reply.finish_reason,
        "cost": None if reply.cost is None else str(reply.cost),
        "request_id": reply.request_id,
    }
    beside = {_KEPT: kept_of(reply, given) or None, "refusal": reply.refusal}
    return {
        "usage_metadata": UsageMetadata(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            total_tokens=usage.total_tokens,
            input_token_details={"cache_read": usage.cached_tokens},
            output_token_details={"reasoning": usage.reasoning_tokens},
        ),
        "response_metadata": _present(told),
        "additional_kwargs": _present(beside),
    }


def _block(image: Image) -> dict[str, Any]:
    """An image of an answer as a content block."""
    address = image.address
    if not address.startswith("data:"):
        return {"type": "image", "url": address}
    return {"type": "image", "base64": address.partition(",")[2], "mime_type": image.mime_type}
