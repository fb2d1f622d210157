"""One streamed answer: from the lines of the body to chunks for the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puter.api.downloads import attach_download
from puter.api.turn import ModelTarget, Turn
from puter.engine.effects import Body, Flow, Notify, Read, StreamOpened, YieldChunks
from puter.engine.observing import event_of
from puter.engine.pipeline import may_have_run
from puter.exceptions import PuterAPIError, PuterError, PuterStreamError, PuterTimeoutError
from puter.process import late
from puter.types.replies import ChatChunk, chunks_of
from puter.wire.accumulator import StreamAccumulator
from puter.wire.ndjson import LineDecoder, LineError, NDJSONDecoder

if TYPE_CHECKING:
    from puter.engine.context import CallContext
    from puter.engine.events import Listeners
    from puter.wire import sse
else:
    sse = late("puter.wire.sse")

END_TIMEOUT = 1.0
"""Seconds to wait, after a stream's last line, for the end that lets its connection be kept."""
END_SIZE = 2**16
"""Bytes to read until then, at most."""

_CUT = "A chat is billed, so it was not asked for again; .partial has what came."


def streamed_answer(turn: Turn) -> Flow[None]:
    """``StreamOpened`` when the server has accepted, then ``YieldChunks`` as they come.

    The turn accepts the complete answer before its last chunk is handed out, so that nobody can
    miss it.
    """
    refused: PuterError | None = None
    while True:
        reply = yield from turn.send(stream=True, refused=refused)
        if reply.stream is None:  # a server that does not stream this
            answer = turn.read(reply)
            ends = turn.accept_reply(answer)
            yield StreamOpened(None)
            yield YieldChunks(chunks_of(answer), last=ends)
            return
        body: Body = reply.stream
        del reply  # its head is no longer asked for
        turn.stream = accumulator = _accumulator(turn.target)
        try:
            yield StreamOpened(body)
            last = yield from _chunks(turn, body, accumulator)
            if not accumulator.explained and turn.target.entry.get("responses_api_only"):
                raise accumulator.failed(
                    "The answer stopped early: OpenAI ended it without saying why",
                    "Raise max_tokens or ask again; .partial has what came.",
                )
            ends = turn.accept_reply(accumulator.reply())
            if listeners := turn.call.extensions.listeners.get("stream.chunk"):
                yield from _tell(turn.call, [last], listeners)
            yield YieldChunks([last], last=ends)
            yield from _drain(turn, body)
            return
        except PuterAPIError as error:
            if isinstance(error, PuterStreamError) or error is not accumulator.failure:
                raise
            refused = error  # it came in place of an answer
        finally:
            body.close()


def _accumulator(target: ModelTarget) -> StreamAccumulator:
    if target.server is None:
        return StreamAccumulator(target.model)
    return target.server.accumulator(target.model)


def _decoder(turn: Turn) -> LineDecoder[Any]:
    limit = turn.call.config.max_response_bytes
    if turn.target.server is None:
        return NDJSONDecoder(limit, turn.call.extensions.serializer)
    return sse.RawLines(limit)


def _chunks(turn: Turn, body: Body, accumulator: StreamAccumulator) -> Flow[ChatChunk]:
    """Hand out all chunks but the last one, which completes the answer and is returned."""
    call = turn.call
    decoder = _decoder(turn)
    damage: LineError | None = None
    lines: list[Any]
    patience, until = call.config.chunk_timeout, 0.0
    silence: float | None = None  # as config.timeout allows, until the first chunk
    while True:
        if call.closed:
            raise accumulator.failed("The stream was closed while it was read", _CUT)
        try:
            data = yield Read(body, silence)
        except PuterAPIError as error:
            dripped = silence not in (None, patience) and call.clock() >= until
            raise _cut_off(accumulator, error, patience if dripped else None) from error
        try:
            lines = decoder.feed(data) if data else decoder.flush()
        except LineError as error:
            lines, damage = error.before, error
        known, ended = len(accumulator.images), not data
        chunks = accumulator.add(lines)
        if ended and damage is None:
            chunks += accumulator.end()
        data, lines = b"", []  # nothing is held while the stream waits
        for image in accumulator.images[known:]:
            attach_download(image, call)
        if came := bool(chunks):
            if listeners := call.extensions.listeners.get("stream.chunk"):
                yield from _tell(call, chunks, listeners)
            yield YieldChunks(chunks)
            silence = patience
            if patience is not None:
                until = call.clock() + patience  # from when the user wants the next one
        if accumulator.failure is not None:
            began = isinstance(accumulator.failure, PuterStreamError)
            turn.unsettled = began or may_have_run(accumulator.failure)
            if not turn.unsettled:
                call.release()
            raise accumulator.failure
        if accumulator.last is not None:
            return accumulator.last
        if damage is not None:
            raise accumulator.failed(f"The stream is damaged: {damage}", _CUT) from damage
        if ended:
            raise accumulator.failed(
                "The stream ended before the answer was complete", _CUT, retryable=True
            )
        if silence is not None and not came:  # what came ends no silence
            silence = until - call.clock()
            if silence <= 0:
                raise accumulator.failed(_no_chunk(patience), _CUT, retryable=True)


def _tell(call: CallContext, chunks: list[ChatChunk], listeners: Listeners) -> Flow[None]:
    for one in chunks:
        yield Notify(event_of(call, "stream.chunk", chunk=one), listeners)


def _cut_off(
    accumulator: StreamAccumulator, error: PuterAPIError, patience: float | None
) -> PuterStreamError:
    late = isinstance(error, PuterTimeoutError)
    message = error.message if patience is None or not late else _no_chunk(patience)
    hint = f"{error.hint} {_CUT}" if late else _CUT
    return accumulator.failed(message, hint, retryable=True)


def _no_chunk(patience: float | None) -> str:
    return f"No chunk came for {patience:g} s (chunk_timeout)"


def _drain(turn: Turn, body: Body) -> Flow[None]:
    """Read the end of the body, if it comes soon: then its connection can be used again."""
    clock, size = turn.call.clock, 0
    until = clock() + END_TIMEOUT
    try:
        while (left := until - clock()) > 0 and size < END_SIZE:
            data = yield Read(body, left)
            if not data:
                break
            size += len(data)
    except PuterAPIError:
        pass  # the answer is complete all the same
