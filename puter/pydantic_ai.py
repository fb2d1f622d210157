"""``PuterModel``: Puter's models in pydantic-ai. Needs ``pydantic-ai-slim``."""

from __future__ import annotations

import datetime as dt
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from puter.ai import PuterAI
from puter.api.attachments import part_of
from puter.api.output_types import output_adapter
from puter.exceptions import PuterAPIError, PuterError, PuterInputError, repr_of
from puter.extensions.fallback import bills_nothing, is_of_server
from puter.models import registry
from puter.options import ChatOptions
from puter.streaming import AsyncChatStream
from puter.tools import function_schema
from puter.types.replies import ChatReply
from puter.wire.catalogue import read_model
from puter.wire.kept import as_written, assistant_messages, kept_of
from puter.wire.messages import Message, result_message
from puter.wire.typed import output_format
from puter.wire.untrusted import check_untrusted, web_address

try:
    from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
    from pydantic_ai.messages import (
        AudioUrl,
        BinaryContent,
        CachePoint,
        DocumentUrl,
        FilePart,
        FinishReason,
        ImageUrl,
        ModelMessage,
        ModelRequestPart,
        ModelResponse,
        ModelResponsePart,
        ModelResponseStreamEvent,
        SystemPromptPart,
        TextContent,
        TextPart,
        ThinkingPart,
        ToolCallPart,
        ToolReturnPart,
        UserPromptPart,
        VideoUrl,
    )
    from pydantic_ai.models import (
        Model,
        ModelRequestParameters,
        StreamedResponse,
        check_allow_model_requests,
    )
    from pydantic_ai.profiles import ModelProfile, ModelProfileSpec
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.tools import RunContext, ToolDefinition
    from pydantic_ai.usage import RequestUsage
except ImportError as _error:
    raise ImportError(
        "puter.pydantic_ai needs pydantic-ai-slim: pip install pydantic-ai-slim "
        "(the extra puter-python-sdk[pydantic-ai])"
    ) from _error

_KEPT = "puter"
"""Key in ``provider_details`` of what only the vendor understands of an answer."""
_SETTINGS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop_sequences": "stop",
    "timeout": "timeout",
    "parallel_tool_calls": "parallel_tool_calls",
    "extra_body": "extra",
}
_FINISHED: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "content_filter": "content_filter",
}
_EFFORTS: Mapping[Any, str] = {True: "medium", False: "none"}


class PuterModelSettings(ModelSettings, total=False):
    """Settings of pydantic-ai, and those that only Puter has."""

    puter_options: ChatOptions
    """More options of ``PuterAI.chat()``."""


class PuterModel(Model[PuterAI]):
    """A model of pydantic-ai's that asks Puter.

    Tools, typed outputs of each kind, pictures and files, streams, usage limits and retries are
    pydantic-ai's; limits of calls, HTTP retries, budget and cache are the client's. What a call
    cost is in ``usage.cost`` and in ``provider_details["cost"]``, in US dollars.

    Args:
        model: Which model. Default: the client's ``current_model``.
        client: The client to ask with. Default: ``PuterAI()``, with the token of
            ``PUTER_AUTH_TOKEN``.
        settings: Settings of every request, see ``PuterModelSettings``.
        profile: What the model can do. Default: as the offline registry says.

    Raises:
        PuterConfigError: A setting in the environment is not valid.

    Examples:
        >>> from pydantic_ai import Agent
        >>> from puter.pydantic_ai import PuterModel
        >>> agent = Agent(PuterModel("gpt-5-nano", client=ai))
        >>> agent.run_sync("What is the capital of France?").output
        'Paris'
    """

    unsupported_settings: ClassVar[frozenset[Any]] = frozenset(
        "extra_headers frequency_penalty logit_bias max_retries presence_penalty seed "
        "service_tier".split()
    )

    def __init__(
        self,
        model: str | None = None,
        *,
        client: PuterAI | None = None,
        settings: ModelSettings | None = None,
        profile: ModelProfileSpec | None = None,
    ) -> None:
        self.client: PuterAI = PuterAI() if client is None else client
        """The client that it asks with."""
        self._name = model or self.client.current_model
        super().__init__(settings=settings, profile=profile or _profile_of(self._name))

    @property
    def model_name(self) -> str:
        """The model."""
        return self._name

    @property
    def system(self) -> str:
        """The provider, as OpenTelemetry has it."""
        return "puter"

    @property
    def base_url(self) -> str:
        """Where Puter's API is."""
        return self.client.config.api_base

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask for a whole answer."""
        check_allow_model_requests()
        asked, parameters = self._asked(messages, model_settings, model_request_parameters)
        with _errors_of(self._name):
            reply = await self.client.async_chat(**asked)
        parts = [part async for part in _parts(reply, parameters)]
        return ModelResponse(
            parts=parts,
            usage=_usage(reply),
            model_name=reply.model,
            provider_name=self.system,
            provider_url=self.base_url,
            provider_details=_details(reply, asked),
            provider_response_id=reply.request_id,
            finish_reason=_FINISHED.get(reply.finish_reason),
        )

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Ask for an answer as it comes."""
        check_allow_model_requests()
        asked, parameters = self._asked(messages, model_settings, model_request_parameters)
        with _errors_of(self._name):
            stream = await self.client.async_chat(stream=True, **asked)
        async with stream:
            yield PuterStreamedResponse(parameters, self._name, self.base_url, stream, asked)

    def _asked(
        self,
        messages: Sequence[ModelMessage],
        model_settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> tuple[dict[str, Any], ModelRequestParameters]:
        """The arguments of the chat."""
        settings, parameters = self.prepare_request(model_settings, parameters)
        given: Mapping[str, Any] = settings or {}
        asked: dict[str, Any] = {"model": self._name, "run_tools": False}
        asked.update({_SETTINGS[name]: given[name] for name in _SETTINGS if name in given})
        if parameters.thinking is not None:
            asked["reasoning_effort"] = _EFFORTS.get(parameters.thinking, parameters.thinking)
        if parameters.output_mode == "native" and parameters.output_object is not None:
            # The schema is in the instructions already, see `_profile_of()`.
            wanted = output_adapter(parameters.output_object.json_schema)
            asked["output_format"] = output_format(wanted)
        asked.update(_tools(given.get("tool_choice"), parameters))
        options: Mapping[str, Any] = given.get("puter_options", {})
        for name in options.keys() - ChatOptions.__annotations__:
            raise PuterInputError(
                f"puter_options takes no {repr_of(name)}",
                hint="It takes options of a chat; what is asked, and how, is the agent's.",
            )
        asked.update(options)
        asked["messages"] = [
            *_instructions(messages, parameters),
            *check_untrusted(_neutral(messages)),
        ]
        return asked, parameters


@dataclass
class PuterStreamedResponse(StreamedResponse):
    """An answer of a ``PuterModel`` as it comes."""

    _name: str
    _url: str
    _stream: AsyncChatStream
    _asked: Mapping[str, Any]
    _began: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.timezone.utc))

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        manager = self._parts_manager
        with _errors_of(self._name):
            async for chunk in self._stream:
                if chunk:
                    for event in manager.handle_text_delta(vendor_part_id="text", content=chunk):
                        yield event
                elif chunk.reasoning:
                    for event in manager.handle_thinking_delta(
                        vendor_part_id="thinking", content=chunk.reasoning
                    ):
                        yield event
                elif (call := chunk.tool_use) is not None:
                    yield manager.handle_tool_call_part(
                        vendor_part_id=None,
                        tool_name=call.name,
                        args=as_written(call),
                        tool_call_id=call.id,
                    )
        reply = self._stream.reply
        async for part in _files(reply, self.model_request_parameters):
            yield manager.handle_part(vendor_part_id=None, part=part)
        self._usage = _usage(reply)
        self._name = reply.model or self._name
        self.provider_details: dict[str, Any] | None = _details(reply, self._asked)
        self.provider_response_id: str | None = reply.request_id
        self.finish_reason: FinishReason | None = _FINISHED.get(reply.finish_reason)

    async def close_stream(self) -> None:
        """Free the connection; what is left is not read."""
        await self._stream.aclose()

    @property
    def model_name(self) -> str:
        """The model that answers."""
        return self._name

    @property
    def provider_name(self) -> str:
        """The provider, as OpenTelemetry has it."""
        return "puter"

    @property
    def provider_url(self) -> str:
        """Where Puter's API is."""
        return self._url

    @property
    def timestamp(self) -> dt.datetime:
        """When it began."""
        return self._began


def _profile_of(name: str) -> ModelProfile:
    """What a model can do; one that is not known can do all."""
    known = registry().lookup(name)
    model = read_model(known.entry, "chat") if known.entry else None
    return ModelProfile(
        supports_tools=model is None or model.tools is not False,
        supports_json_schema_output=True,
        supports_json_object_output=True,
        supports_image_output=model is None or "image" in model.outputs,
        supports_thinking=True,
        native_output_requires_schema_in_instructions=True,  # older servers drop `output_format`
    )


@contextmanager
def _errors_of(model: str) -> Generator[None]:
    """Errors of the server as pydantic-ai has them, unless the chat may have run.

    Its fallback models ask the next one after them: what may be billed is not paid twice.
    """
    try:
        yield
    except PuterAPIError as error:
        refused = error.status is not None and 400 <= error.status < 500
        if not (refused or bills_nothing(error) or is_of_server(error)):
            raise
        if error.status is not None and error.status >= 400:
            raise ModelHTTPError(error.status, model, error.body or str(error)) from error
        raise ModelAPIError(model, str(error)) from error


# ---------------------------------------------------------------- what is asked


def _tools(choice: Any, parameters: ModelRequestParameters) -> dict[str, Any]:
    """The tools that may be called, and which of them; output tools are none of the user's."""
    tools: dict[str, ToolDefinition] = getattr(
        parameters, "declared_tool_defs", parameters.tool_defs
    )
    outputs = {one.name for one in parameters.output_tools}
    forced = not (parameters.allow_text_output or parameters.allow_image_output)
    names: set[str] = set(tools)
    if choice == "required":
        forced = True
    elif choice in ("none", []):
        names = outputs
    elif isinstance(choice, list):
        names, forced = set(choice), True
    elif choice not in (None, "auto"):
        names = {*choice.function_tools, *outputs}
    schemas = [
        function_schema(one.name, one.description, one.parameters_json_schema)
        for name, one in tools.items()
        if name in names
    ]
    return {"tools": schemas, "tool_choice": "required" if forced else "auto"} if schemas else {}


def _instructions(
    messages: Sequence[ModelMessage], parameters: ModelRequestParameters
) -> Iterator[Message]:
    """The instructions of an agent, or of the last request where there is none."""
    texts = [one.content for one in parameters.instruction_parts or ()]
    if not texts:
        given = [getattr(one, "instructions", None) for one in messages]
        texts = [one for one in given[-1:] if one]
    if texts:
        yield {"role": "system", "content": "\n\n".join(texts)}


def _neutral(messages: Iterable[ModelMessage]) -> Iterator[Message]:
    """The messages as the client takes them."""
    for message in messages:
        if isinstance(message, ModelResponse):
            texts = (one.content for one in message.parts if isinstance(one, TextPart))
            calls = [
                (one.tool_call_id, one.tool_name, one.args_as_json_str())
                for one in message.parts
                if isinstance(one, ToolCallPart)
            ]
            kept = (message.provider_details or {}).get(_KEPT)
            yield from assistant_messages("".join(texts), calls, kept)
        else:
            yield from map(_request_message, message.parts)


def _request_message(part: ModelRequestPart) -> Message:
    if isinstance(part, SystemPromptPart):
        return {"role": "system", "content": part.content}
    if isinstance(part, ToolReturnPart):
        if not part.files:
            return result_message(part.tool_call_id, part.model_response_str())
        items = part.content_items(mode="str")
        return result_message(part.tool_call_id, [_content(one) for one in items])
    if isinstance(part, UserPromptPart):
        shown: Any = part.content
        if not isinstance(shown, str):
            shown = [_content(one) for one in shown if not isinstance(one, CachePoint)]
        return {"role": "user", "content": shown}
    if part.part_kind == "retry-prompt":  # of releases before RetryFeedbackPart
        told: Any = part
        if told.tool_name is not None:
            return result_message(told.tool_call_id, told.model_response())
        return {"role": "user", "content": told.model_response()}
    raise PuterInputError(
        f"{type(part).__name__} is no part of a chat",
        hint="An agent prepares such parts; a model alone does not.",
    )


def _content(item: Any) -> dict[str, Any]:
    """A piece of what the user says."""
    if isinstance(item, (str, TextContent)):
        return {"type": "text", "text": item if isinstance(item, str) else item.content}
    if isinstance(item, BinaryContent):
        seen = item.media_type.startswith(("image/", "video/"))
        return part_of((item.data, item.media_type), image=seen)
    if isinstance(item, VideoUrl):
        return {"type": "video_url", "video_url": {"url": item.url}}
    if isinstance(item, (ImageUrl, DocumentUrl, AudioUrl)):
        return part_of(web_address(item.url), image=isinstance(item, ImageUrl))
    raise PuterInputError(f"{type(item).__name__} cannot be sent", hint="Send its bytes or URL.")


# ---------------------------------------------------------------- and answered


async def _parts(
    reply: ChatReply, parameters: ModelRequestParameters
) -> AsyncIterator[ModelResponsePart]:
    if reply.reasoning:
        yield ThinkingPart(reply.reasoning)
    if reply:
        yield TextPart(reply.text)
    async for part in _files(reply, parameters):
        yield part
    for call in reply.tool_calls:
        yield ToolCallPart(call.name, as_written(call), call.id)


async def _files(
    reply: ChatReply, parameters: ModelRequestParameters
) -> AsyncIterator[FilePart | TextPart]:
    """The images; the address of one that cannot be fetched, where texts will do: it is paid."""
    for image in reply.images:
        try:
            data = await image.async_read()
        except PuterError as error:
            if not parameters.allow_text_output:
                error.partial = reply
                raise
            yield TextPart(f"\n![image]({image.url})")
        else:
            yield FilePart(BinaryContent(data, media_type=image.mime_type))


def _usage(reply: ChatReply) -> RequestUsage:
    tokens = reply.usage
    usage = RequestUsage(
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cache_read_tokens=tokens.cached_tokens,
        details={"reasoning_tokens": tokens.reasoning_tokens},
    )
    if hasattr(usage, "cost"):  # the first releases of 2 have none
        usage.cost = reply.cost
    return usage


def _details(reply: ChatReply, asked: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        "finish_reason": reply.finish_reason,
        "provider": reply.provider,
        "cost": None if reply.cost is None else str(reply.cost),
        _KEPT: kept_of(reply, len(asked["messages"])) or None,
    }
    return {name: one for name, one in told.items() if one is not None}
