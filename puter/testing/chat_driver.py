"""The interface ``puter-chat-completion``: its checks, who answers, and the bill."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from puter.testing import local_model, partner, vendors
from puter.testing.answer_forms import render
from puter.testing.backend import Backend
from puter.testing.catalogue import Model
from puter.testing.chat_call import OPENAI_PROVIDERS, ChatCall
from puter.testing.exchange import DriverCall, pause
from puter.testing.llama import Llama, NotRunning, Refused
from puter.testing.metering import Hold
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request, internal_error
from puter.testing.replies import (
    Fault,
    FaultRaised,
    Reply,
    StreamError,
    StreamFault,
    UpstreamFailure,
    attempts,
)
from puter.testing.stream_lines import encode, ending, line_of, text_in
from puter.testing.token_usage import count_usage, estimate_prompt, tokens_in

# Puter backend: provider and model when neither is named.
DEFAULT_PROVIDER = "azure-openai"
DEFAULT_MODEL = "gpt-5.4-nano"

NDJSON = "application/x-ndjson"
LOREM = "Lorem tempor esse consequat nulla aliqua, sint veniam magna culpa in laborum dolore."


async def complete(call: DriverCall) -> web.StreamResponse:
    """The method ``complete``. Raises ApiError or FaultRaised."""
    chat = call.exchange.record.chat = accept(call)
    prompt = estimate_prompt(" ".join(chat.user_texts))
    newer, asked = chat.newer, chat.args.get("max_tokens")
    if isinstance(asked, bool) or not isinstance(asked, int | float):
        asked = None
    with call.backend.metering.hold(call.user, chat.routes[0], prompt, asked, newer=newer) as hold:
        return await _answer(call, chat, hold)


async def _answer(call: DriverCall, chat: ChatCall, hold: Hold) -> web.StreamResponse:
    backend, newer = call.backend, chat.newer
    # What JavaScript takes for true: `"false"` and `[]` are.
    streamed = chat.args.get("stream") not in (None, False, 0, "")
    answer = vendors.check(chat) or await backend.script.answer(chat)
    await pause(backend.latency)
    if answer is None and (llama := backend.llama) and chat.model == llama.weights.name:
        return await _generated(call, chat, hold, llama, streamed=streamed)
    if answer is None:
        answer = built_in(chat, hold)
    if isinstance(answer, UpstreamFailure):
        await pause(answer.delay)
        if newer or not streamed or chat.provider != "claude":
            raise answer.error(chat.routes, newer=newer)
        line = line_of({"type": "error", "message": answer.told(chat.provider)})
        return await call.exchange.stream(NDJSON, [line])
    fault = answer if streamed and isinstance(answer, StreamFault) else None
    if fault is not None:
        await pause(fault.delay)
        answer = built_in(chat, hold) if fault.reply is None else Reply.of(fault.reply)
    if isinstance(answer, Fault):
        if not answer.ran:
            raise FaultRaised(answer)
        call.exchange.fault, answer = answer, built_in(chat, hold)
    if answer.blocked:
        chat = replace(chat, routes=backend.catalogue("chat").routes("fake"))
        answer = Reply(text=LOREM)
    bill = _Bill(call, chat, hold, count_usage(chat, answer))
    try:
        await pause(answer.delay)
        if not streamed:
            return _whole(call, chat, answer, bill)
        lines = encode(chat, answer, bill.usage)
        if fault is not None:
            lines = fault.spoil(lines, newer=newer)
        sent, end = bill.watch(lines), fault.end if fault else None
        pace, gate = answer.pace, answer.gate
        return await call.exchange.stream(NDJSON, sent, pace=pace, gate=gate, end=end)
    finally:
        bill.close()


async def _generated(
    call: DriverCall, chat: ChatCall, hold: Hold, llama: Llama, *, streamed: bool
) -> web.StreamResponse:
    """What a real model answers, while it does."""
    said = local_model.Said(llama.answer(local_model.request(chat)))
    bill = _Bill(call, chat, hold, {})
    try:
        async with aclosing(said), aclosing(said.lines()) as lines:
            first = await anext(lines, b"")  # a refusal is told before a stream begins
            if streamed:
                sent = _sent(chat, said, lines, first, bill)
                return await call.exchange.stream(NDJSON, sent)
            async for _ in lines:
                pass
        reply = said.reply
        bill.usage = count_usage(chat, reply)
        return _whole(call, chat, reply, bill)
    except Refused as error:
        raise error.as_failure().error(chat.routes, newer=chat.newer) from error
    except NotRunning as error:
        raise ApiError(500, f"{chat.model}: {error}", "internal_error") from error
    finally:
        bill.close()


async def _sent(
    chat: ChatCall,
    said: local_model.Said,
    lines: AsyncGenerator[bytes],
    first: bytes,
    bill: _Bill,
) -> AsyncGenerator[bytes]:
    try:
        yield bill.note(first)
        async for line in lines:
            yield bill.note(line)
        reply = said.reply
        bill.usage = count_usage(chat, reply)
        for line in bill.watch(ending(chat, reply, bill.usage)):
            yield line
    except (Refused, NotRunning) as error:
        for line in StreamError(message=str(error)).spoil([b""], newer=chat.newer):
            yield line


def _whole(call: DriverCall, chat: ChatCall, answer: Reply, bill: _Bill) -> web.StreamResponse:
    result = render(chat, answer, bill.usage)
    bill.settle(bill.usage)
    metadata: dict[str, Any] = {"service_used": chat.provider, "providerUsed": chat.model}
    if chat.newer and answer.usage_limited:
        metadata["usage_limited"] = True
    return call.result(result, metadata=metadata)


@dataclass
class _Bill:
    """What a chat costs in the end, also when its reader left before that."""

    call: DriverCall
    chat: ChatCall
    hold: Hold
    usage: dict[str, Any]
    _sent: list[bytes] = field(default_factory=list)
    _settled: bool = False

    def watch(self, lines: list[bytes]) -> Iterator[bytes]:
        """Keep account of what is sent; the bill is settled before a reader sees the end."""
        for number, line in enumerate(lines, 1):
            if number == len(lines):
                self.settle(self.usage)
            yield line
            self.note(line)

    def note(self, line: bytes) -> bytes:
        """Keep account of a line that is sent."""
        self._sent.append(line)
        return line

    def close(self) -> None:
        """Settle what a client that left has to pay."""
        if self._settled:
            return
        if not self.chat.newer and self.usage:  # lets the vendor finish
            self.settle(self.usage)
        elif produced := text_in(self._sent):
            self.settle(count_usage(self.chat, Reply(text=produced)))

    def settle(self, usage: dict[str, Any]) -> None:
        self._settled, self.hold.amount = True, 0
        self.call.exchange.record.usage, self.call.exchange.record.ran = usage, True
        self.call.backend.metering.charge_chat(self.call.user, self.chat.routes[0], usage)


def accept(call: DriverCall) -> ChatCall:
    """Check the arguments as the server does. Raises ApiError."""
    args, backend = call.args, call.backend
    newer = backend.newer
    for name in call.recorded("refused_options"):  # they point at a state that a vendor keeps
        if args.get(name) is not None:
            raise bad_request(f"`{name}` is not supported")
    routes = _choose(args, backend)
    if newer and args.get("test_mode") is True:
        routes = backend.catalogue("chat").routes("fake")
    messages = args.get("messages")
    if messages is None:
        raise _without_messages(routes)
    if not isinstance(messages, list) or isinstance(args.get("tools"), str):
        raise internal_error()
    chat = ChatCall(args, routes, call.user.username, newer)
    prompt = " ".join(chat.user_texts)  # faults in the messages show here
    if newer and chat.family == "claude" and not all(isinstance(one, dict) for one in chat.tools):
        raise bad_request("each tool must be an object")
    if args.get("moderation") and "forbidden" in prompt and chat.provider in OPENAI_PROVIDERS:
        raise bad_request("message is not allowed", errorCode="moderation_flagged")
    return chat


def _without_messages(routes: list[Model]) -> ApiError:
    if routes[0]["provider"].startswith(("openai", "azure")):
        text = "`messages` must be an array"
        tried = attempts(routes, status=400, error=text)
        return ApiError(400, text, "upstream_bad_request", attempts=tried)
    tried = attempts(routes, error="messages is not iterable")
    return ApiError(500, "All providers failed", "internal_error", attempts=tried)


def _choose(args: Mapping[str, Any], backend: Backend) -> list[Model]:
    default_model, model, provider = backend.default_model, args.get("model"), args.get("provider")
    if model and not isinstance(model, str):
        raise internal_error()
    if not model and not provider:
        model, provider = DEFAULT_MODEL, DEFAULT_PROVIDER
        if default_model is not None:
            model, provider = default_model, None
    elif not model:
        defaults = recorded("provider_defaults")
        model = defaults.get(provider) if isinstance(provider, str) else None
    routes = backend.catalogue("chat").routes(model) if isinstance(model, str) else []
    if not routes:
        raise bad_request(f"Model not found: {args.get('model') or 'undefined'}")
    # An unknown provider, or one without this model, is ignored.
    return [route for route in routes if route["provider"] == provider] or routes


def built_in(call: ChatCall, hold: Hold) -> Reply:
    """The answer when nothing is scripted."""
    if call.provider == "fake-chat":
        return Reply(text=LOREM)
    if calls := partner.tool_calls(call):
        return Reply(tool_calls=calls)
    text = partner.answer(call)
    stops = [one for one in call.upstream_options.get("stopSequences", ()) if one in text]
    stop = min(stops, key=text.index, default=None)
    text, limit = text.split(stop)[0] if stop else text, hold.limit
    if limit is not None and tokens_in(text) > limit:
        text = text[: int(limit) * 4]
        return Reply(text=text, finish_reason="length", usage_limited=hold.poor)
    return Reply(text=text, stop_sequence=stop)
