"""The interface ``puter-chat-completion``: its checks, who answers, and the bill."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from puter.testing import catalogue, partner
from puter.testing.answer_forms import (
    count_usage,
    encode,
    line_of,
    render,
    tokens_in,
)
from puter.testing.chat_files import attach
from puter.testing.exchange import pause
from puter.testing.messages import Family, for_vendor, normalize, text_of
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request, internal_error
from puter.testing.replies import Fault, FaultRaised, Reply, StreamFault, UpstreamFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiohttp import web

    from puter.testing.catalogue import Model
    from puter.testing.driver_calls import DriverCall

# Puter backend: provider and model when neither is named.
DEFAULT_PROVIDER = "azure-openai"
DEFAULT_MODEL = "gpt-5.4-nano"

NDJSON = "application/x-ndjson"
LOREM = "Lorem tempor esse consequat nulla aliqua, sint veniam magna culpa in laborum dolore."

_OPENAI_PROVIDERS = ("openai-completion", "azure-openai")
_NO_USAGE_LEFT = (402, "No usage left for request.", "insufficient_funds")


@dataclass(frozen=True)
class ChatCall:
    """A valid chat call, as scripted callables get it.

    Attributes:
        args: the arguments as sent.
        routes: the providers' offers of the model, in the order the server would try them.
        user: name of the calling user.
    """

    args: Mapping[str, Any]
    routes: Sequence[Model]
    user: str
    _attach: Callable[[Sequence[Any], str], list[Any]] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def messages(self) -> list[Any]:
        """The messages as sent."""
        messages: list[Any] = self.args["messages"]
        return messages

    @property
    def model(self) -> str:
        """The id of the model that plays."""
        return str(self.routes[0]["id"])

    @property
    def provider(self) -> str:
        """The provider that plays it."""
        return str(self.routes[0]["provider"])

    @property
    def family(self) -> Family:
        """The form of the answer: ``openai``, ``responses`` or ``claude``."""
        if self.provider in ("claude", "fake-chat"):
            return "claude"
        if self.routes[0].get("responses_api_only"):
            return "responses"
        if self.provider in _OPENAI_PROVIDERS and (self._searches or self.args.get("compaction")):
            return "responses"
        return "openai"

    @cached_property
    def normalized(self) -> list[dict[str, Any]]:
        """The messages after the server tidied them and put the user's files in."""
        messages = normalize(self.messages)
        return messages if self._attach is None else self._attach(messages, self.provider)

    @property
    def upstream_messages(self) -> list[dict[str, Any]]:
        """The messages as the vendor would get them, the server's known faults included."""
        return for_vendor(self.family, self.normalized)

    @property
    def last_role(self) -> str:
        """The role of the last message."""
        return str(self.normalized[-1]["role"]) if self.normalized else ""

    @property
    def last_text(self) -> str:
        """The text of the last message."""
        return text_of(self.normalized[-1]) if self.normalized else ""

    @property
    def user_texts(self) -> list[str]:
        """The texts of all messages of the user."""
        return [text_of(message) for message in self.normalized if message["role"] == "user"]

    @property
    def _searches(self) -> bool:
        tools = self.args.get("tools")
        return isinstance(tools, list) and any(
            isinstance(tool, dict) and tool.get("type") == "web_search" for tool in tools
        )


async def complete(call: DriverCall) -> web.StreamResponse:
    """The method ``complete``. Raises ApiError or FaultRaised."""
    backend, script = call.backend, call.backend.script
    chat = accept(call)
    tokens = backend.metering.affordable_tokens(call.user, chat.routes[0])
    if tokens < 1:
        raise ApiError(*_NO_USAGE_LEFT)
    # What JavaScript takes for true: `"false"` and `[]` are.
    streamed = chat.args.get("stream") not in (None, False, 0, "")
    answer = await script.answer(chat)
    await pause(backend.latency)
    if answer is None:
        answer = Reply(blocked=True) if script.blocks(chat.last_text) else built_in(chat, tokens)
    await pause(answer.delay)
    if isinstance(answer, UpstreamFailure):
        if not streamed or chat.provider != "claude":
            raise answer.error(chat.routes)
        line = line_of({"type": "error", "message": answer.told(chat.provider)})
        return await call.exchange.stream(NDJSON, [line])
    fault = answer if streamed and isinstance(answer, StreamFault) else None
    if fault is not None:
        given = built_in(chat, tokens) if fault.reply is None else fault.reply
        answer = Reply(text=given) if isinstance(given, str) else given
    if isinstance(answer, Fault):
        raise FaultRaised(answer)
    if answer.blocked:
        chat = ChatCall(chat.args, catalogue.load("chat").routes("fake"), chat.user)
        answer = Reply(text=LOREM)
    # The whole answer is billed before its first byte: whoever leaves early pays for all of it.
    usage = call.exchange.record.usage = count_usage(chat, answer)
    backend.metering.charge_chat(call.token, chat.routes[0], usage)
    if streamed:
        lines = encode(chat, answer, usage)
        if fault is not None:
            lines = fault.spoil(lines)
        end = None if fault is None else fault.end
        return await call.exchange.stream(
            NDJSON, lines, pace=answer.pace, gate=answer.gate, end=end
        )
    result = render(chat, answer, usage)
    metadata = {"service_used": chat.provider, "providerUsed": chat.model}
    return call.result(result, metadata=metadata)


def accept(call: DriverCall) -> ChatCall:
    """Check the arguments as the server does. Raises ApiError."""
    args = call.args
    routes = _choose(args, call.backend.default_model)
    messages = args.get("messages")
    if messages is None:
        fault = "messages is not iterable"
        attempts = [
            {"model": route["id"], "provider": route["provider"], "error": fault}
            for route in routes[:3]
        ]
        raise ApiError(500, "All providers failed", "internal_error", attempts=attempts)
    if not isinstance(messages, list) or isinstance(args.get("tools"), str):
        raise internal_error()
    files = partial(attach, files=call.backend.files, token=call.token)
    chat = ChatCall(args, routes, call.user.username, files)
    prompt = " ".join(chat.user_texts)  # faults in the messages show here
    limit = _max_tokens(args)
    if limit is not None and limit <= 0 and catalogue.price(routes[0], "output") > 0:
        raise ApiError(*_NO_USAGE_LEFT)
    if args.get("moderation") and "forbidden" in prompt and chat.provider in _OPENAI_PROVIDERS:
        raise bad_request("message is not allowed", errorCode="moderation_flagged")
    return chat


def _choose(args: Mapping[str, Any], default_model: str | None) -> list[Model]:
    model, provider = args.get("model"), args.get("provider")
    if model and not isinstance(model, str):
        raise internal_error()
    if not model and not provider:
        model, provider = default_model or DEFAULT_MODEL, None
        if default_model is None:
            provider = DEFAULT_PROVIDER
    elif not model:
        defaults = recorded("provider_defaults")
        model = defaults.get(provider) if isinstance(provider, str) else None
    routes = catalogue.load("chat").routes(model) if isinstance(model, str) else []
    if not routes:
        raise bad_request(f"Model not found: {args.get('model') or 'undefined'}")
    # An unknown provider, or one without this model, is ignored.
    return [route for route in routes if route["provider"] == provider] or routes


def _max_tokens(args: Mapping[str, Any]) -> float | None:
    limit = args.get("max_tokens")
    if isinstance(limit, str):
        try:
            return float(limit)
        except ValueError:
            return None  # text that is no number is ignored
    return limit if isinstance(limit, int | float) and not isinstance(limit, bool) else None


def built_in(call: ChatCall, affordable: float = float("inf")) -> Reply:
    """The answer when nothing is scripted; Puter shortens what an account cannot pay."""
    if call.provider == "fake-chat":
        return Reply(text=LOREM)
    if calls := partner.tool_calls(call):
        return Reply(tool_calls=calls)
    text, limit = partner.answer(call), _max_tokens(call.args)
    limit = affordable if limit is None else min(limit, affordable)
    if tokens_in(text) > limit:
        return Reply(text=text[: int(limit) * 4], finish_reason="length")
    return Reply(text=text)
