"""The interface ``puter-chat-completion``: its checks, who answers, and the bill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from puter.testing import catalogue, partner
from puter.testing.answer_forms import count_usage, encode, line_of, render, tokens_in
from puter.testing.backend import Backend
from puter.testing.catalogue import Model
from puter.testing.chat_call import OPENAI_PROVIDERS, ChatCall
from puter.testing.exchange import DriverCall, pause
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request, internal_error
from puter.testing.replies import Fault, FaultRaised, Reply, StreamFault, UpstreamFailure, attempts

# Puter backend: provider and model when neither is named.
DEFAULT_PROVIDER = "azure-openai"
DEFAULT_MODEL = "gpt-5.4-nano"

NDJSON = "application/x-ndjson"
LOREM = "Lorem tempor esse consequat nulla aliqua, sint veniam magna culpa in laborum dolore."

_NO_USAGE_LEFT = "No usage left for request."


async def complete(call: DriverCall) -> web.StreamResponse:
    """The method ``complete``. Raises ApiError or FaultRaised."""
    backend = call.backend
    chat = accept(call)
    least = 1 if catalogue.price(chat.routes[0], "output") else 0
    backend.metering.require(call.user, least, _NO_USAGE_LEFT)
    # What JavaScript takes for true: `"false"` and `[]` are.
    streamed = chat.args.get("stream") not in (None, False, 0, "")
    answer = await backend.script.answer(chat)
    await pause(backend.latency)
    if answer is None:
        answer = built_in(chat)
    await pause(answer.delay)
    if isinstance(answer, UpstreamFailure):
        if not streamed or chat.provider != "claude":
            raise answer.error(chat.routes)
        line = line_of({"type": "error", "message": answer.told(chat.provider)})
        return await call.exchange.stream(NDJSON, [line])
    fault = answer if streamed and isinstance(answer, StreamFault) else None
    if fault is not None:
        answer = built_in(chat) if fault.reply is None else Reply.of(fault.reply)
    if isinstance(answer, Fault):
        raise FaultRaised(answer)
    if answer.blocked:
        chat = ChatCall(chat.args, backend.catalogue("chat").routes("fake"), chat.user)
        answer = Reply(text=LOREM)
    # The whole answer is billed before its first byte: whoever leaves early pays for all of it.
    usage = call.exchange.record.usage = count_usage(chat, answer)
    backend.metering.charge_chat(call.user, chat.routes[0], usage)
    if streamed:
        lines, pace, gate = encode(chat, answer, usage), answer.pace, answer.gate
        if fault is None:
            return await call.exchange.stream(NDJSON, lines, pace=pace, gate=gate)
        lines = fault.spoil(lines)
        return await call.exchange.stream(NDJSON, lines, pace=pace, gate=gate, end=fault.end)
    result = render(chat, answer, usage)
    metadata = {"service_used": chat.provider, "providerUsed": chat.model}
    return call.result(result, metadata=metadata)


def accept(call: DriverCall) -> ChatCall:
    """Check the arguments as the server does. Raises ApiError."""
    args = call.args
    routes = _choose(args, call.backend)
    messages = args.get("messages")
    if messages is None:
        tried = attempts(routes, error="messages is not iterable")
        raise ApiError(500, "All providers failed", "internal_error", attempts=tried)
    if not isinstance(messages, list) or isinstance(args.get("tools"), str):
        raise internal_error()
    chat = ChatCall(args, routes, call.user.username)
    prompt = " ".join(chat.user_texts)  # faults in the messages show here
    limit = _max_tokens(args)
    if limit is not None and limit <= 0 and catalogue.price(routes[0], "output") > 0:
        raise ApiError(402, _NO_USAGE_LEFT, "insufficient_funds")
    if args.get("moderation") and "forbidden" in prompt and chat.provider in OPENAI_PROVIDERS:
        raise bad_request("message is not allowed", errorCode="moderation_flagged")
    return chat


def _choose(args: Mapping[str, Any], backend: Backend) -> list[Model]:
    default_model, model, provider = backend.default_model, args.get("model"), args.get("provider")
    if model and not isinstance(model, str):
        raise internal_error()
    if not model and not provider:
        model, provider = default_model or DEFAULT_MODEL, None
        if default_model is None:
            provider = DEFAULT_PROVIDER
    elif not model:
        defaults = recorded("provider_defaults")
        model = defaults.get(provider) if isinstance(provider, str) else None
    routes = backend.catalogue("chat").routes(model) if isinstance(model, str) else []
    if not routes:
        raise bad_request(f"Model not found: {args.get('model') or 'undefined'}")
    # An unknown provider, or one without this model, is ignored.
    return [route for route in routes if route["provider"] == provider] or routes


def _max_tokens(args: Mapping[str, Any]) -> float | None:
    limit = args.get("max_tokens")
    return limit if isinstance(limit, int | float) and not isinstance(limit, bool) else None


def built_in(call: ChatCall) -> Reply:
    """The answer when nothing is scripted."""
    if call.provider == "fake-chat":
        return Reply(text=LOREM)
    if calls := partner.tool_calls(call):
        return Reply(tool_calls=calls)
    text, limit = partner.answer(call), _max_tokens(call.args)
    if limit is not None and tokens_in(text) > limit:
        return Reply(text=text[: int(limit) * 4], finish_reason="length")
    return Reply(text=text)
