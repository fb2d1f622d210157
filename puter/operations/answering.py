"""One answer of a model: whole, or in chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from puter.exceptions import PuterAPIError
from puter.flow import Emit, Flow, Opened, read
from puter.operations.asking import Question, Route, ask_model
from puter.replies import ChatChunk, ChatReply
from puter.wire.assemble import Assembler
from puter.wire.chat import Message, read_chat
from puter.wire.ndjson import LineError, Lines

if TYPE_CHECKING:
    from puter.exchange import Call
    from puter.flow import Body

PATIENCE = 1.0
"""Seconds to wait, after a stream's last line, for the end that lets its connection be kept."""

Settle: TypeAlias = Callable[[ChatReply], bool]
"""Told of a complete answer, before its last chunk, so that nobody can miss it; says whether the
turn ends with it."""


def whole(
    call: Call, route: Route, messages: list[Message], question: Question, settle: Settle
) -> Flow[None]:
    reply = yield from ask_model(call, route, messages, question, stream=False)
    settle(read_chat(reply.data).but(attempts=call.attempts, elapsed=call.elapsed))


def streamed(
    call: Call, route: Route, messages: list[Message], question: Question, settle: Settle
) -> Flow[None]:
    """``Opened`` when the server has accepted, then ``Emit`` for each chunk."""
    reply = yield from ask_model(call, route, messages, question, stream=True)
    attempts = call.attempts
    if reply.stream is None:  # a server that does not stream this
        answer = read_chat(reply.data).but(attempts=attempts, elapsed=call.elapsed)
        ends = settle(answer)
        yield Opened(None)
        for chunk in _chunks_of(answer):
            yield Emit(chunk, last=ends and chunk.type == "usage")
        return
    body: Body = reply.stream
    try:
        yield Opened(body)
        assembler = Assembler(route.model, call.credentials.secrets())
        usage = yield from _pull(call, assembler, body)
        if not assembler.measured and call.registry.entry(route.model).get("responses_api_only"):
            raise assembler.failed(
                "The answer stopped early: OpenAI ended it without saying why",
                "Raise max_tokens or ask again; .partial has what came.",
            )
        ends = settle(assembler.reply().but(attempts=attempts, elapsed=call.elapsed))
        yield Emit(usage, last=ends)
        yield from _drain(body)
    finally:
        body.close()


def _pull(call: Call, assembler: Assembler, body: Body) -> Flow[ChatChunk]:
    """Emit chunk after chunk, and return the last one, which completes the answer."""
    lines = Lines()
    while True:
        call.claim()
        try:
            data = yield from read(body)
        except PuterAPIError as error:
            raise assembler.failed(error.message, _CUT, retryable=True) from error
        try:
            for line in lines.feed(data) if data else lines.flush():
                chunk = assembler.add(line)
                if assembler.complete:
                    return chunk
                yield Emit(chunk)
        except LineError as error:
            raise assembler.failed(f"The stream is damaged: {error}", _CUT) from error
        if not data:
            raise assembler.failed(
                "The stream ended before the answer was complete", _CUT, retryable=True
            )


_CUT = "A chat is billed, so it was not asked for again; .partial has what came."


def _drain(body: Body) -> Flow[None]:
    """Read the end of the body, if it comes soon: then its connection can be used again."""
    try:
        while (yield from read(body, PATIENCE)):
            pass
    except PuterAPIError:
        pass  # the answer is complete all the same


def _chunks_of(answer: ChatReply) -> list[ChatChunk]:
    thought = answer.reasoning
    chunks = [ChatChunk("", type="reasoning", reasoning=thought)] if thought else []
    chunks += [ChatChunk(answer.text)] if answer else []
    chunks += [ChatChunk("", type="image", image=one) for one in answer.images]
    chunks += [ChatChunk("", type="tool_use", tool_use=one) for one in answer.tool_calls]
    return [*chunks, ChatChunk("", type="usage", usage=answer.usage)]
