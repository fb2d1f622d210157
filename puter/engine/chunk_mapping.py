"""``map_chunks``: the chunks of an answer changed on their way, and its texts with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from puter.engine.effects import Flow, StreamOpened, YieldChunks
from puter.exceptions import PuterConfigError, PuterError
from puter.types.replies import ChatChunk, ChatReply, chunks_of
from puter.wire.messages import Message

T = TypeVar("T")
Change = Callable[[ChatChunk], "ChatChunk | str | None"]


def map_chunks(flow: Flow[T], change: Change) -> Flow[T]:
    """Change the chunks of an answer on their way to the user.

    The text of the reply, and what is remembered, follow what the user saw. An answer that is not
    streamed is changed as one chunk would be.

    Args:
        flow: What ``call_next(request)`` returned.
        change: Takes each ``ChatChunk`` and returns it, or another, or a str (the new text of that
            chunk), or None (nothing comes in its place).

    Examples:
        >>> def loud(request, call_next):
        ...     return (yield from map_chunks(call_next(request), str.upper))
    """
    if not hasattr(flow, "send"):
        raise PuterConfigError(
            f"map_chunks() takes a flow, not {type(flow).__name__}",
            hint="Write: yield from map_chunks(call_next(request), change)",
        )
    answers: list[_Answer] = []  # as they came and as the user saw them
    resume: Callable[[Any], Any] = flow.send
    value: Any = None
    try:
        while True:
            try:
                effect = resume(value)
            except StopIteration as done:
                value = done.value
                break
            if isinstance(effect, StreamOpened):
                answers.append(_Answer())
            elif isinstance(effect, YieldChunks):
                chunks = answers[-1].take(effect.chunks, change)
                effect = YieldChunks(chunks, last=effect.last, seen=answers[-1].seen)
            try:
                value, resume = (yield effect), flow.send
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - the flow's to catch or to leave
                value, resume = error, flow.throw
        reply: Any = value
        if isinstance(reply, ChatReply):
            reply = _as_seen(reply, answers or _answers_of(reply, change))
        result: T = reply
        return result
    except PuterError as error:
        if isinstance(error.partial, ChatReply) and answers:
            error.partial = _as_seen(error.partial, answers)
        raise
    finally:
        value = None
        flow.close()


class _Answer:
    """The texts of one answer: as they came, and as they went on."""

    __slots__ = ("came", "seen")

    def __init__(self) -> None:
        self.came: list[str] = []
        self.seen: list[str] = []

    def take(self, chunks: Sequence[ChatChunk], change: Change) -> list[ChatChunk]:
        self.came += [one for one in chunks if one.type == "text"]
        return _mapped(chunks, change, self.seen)


def _answers_of(reply: ChatReply, change: Change) -> list[_Answer]:
    """The answers of a turn that was not streamed: the text beside calls of tools, and the last."""
    answers: list[_Answer] = []
    texts: list[str] = []
    for message in reply.messages:
        if message.get("role") == "user":
            texts.clear()  # what the user gave as said before is not changed
        elif message.get("role") == "assistant" and isinstance(message.get("content"), str):
            texts.append(message["content"])
    if texts[-1:] == [reply.text]:
        del texts[-1]
    for chunks in (*([ChatChunk(one)] for one in texts), chunks_of(reply)):
        answers.append(_Answer())
        answers[-1].take(chunks, change)
    return answers


def _as_seen(reply: ChatReply, answers: Sequence[_Answer]) -> ChatReply:
    """The reply, and its messages, with the texts that the user saw."""
    left = [("".join(one.came), "".join(one.seen)) for one in answers]
    text = left[-1][1]
    messages: list[Message] = []
    for message in reversed(reply.messages):
        kept = message
        if message.get("role") == "assistant" and isinstance(message.get("content"), str):
            place = next(
                (n for n, (came, _) in enumerate(left) if came == message["content"]), None
            )
            if place is not None:
                kept = {**message, "content": left.pop(place)[1]}
        if kept is message or kept["content"].strip():
            messages.append(kept)
    return reply.copy_with(text=text, messages=tuple(reversed(messages)))


def _mapped(chunks: Sequence[ChatChunk], change: Change, seen: list[str]) -> list[ChatChunk]:
    changed: list[ChatChunk] = []
    for chunk in chunks:
        new = change(chunk)
        if new is chunk:
            changed.append(chunk)
            if chunk.type == "text":
                seen.append(chunk)
            continue
        if new is None and chunk.type == "usage":
            new = chunk  # without it the stream would seem to be cut off
        if new is None:
            continue
        if not isinstance(new, ChatChunk):
            if not isinstance(new, str):
                raise PuterConfigError(
                    f"The function of map_chunks returned {type(new).__name__}",
                    hint="Return the chunk, another ChatChunk, a str, or None to drop it.",
                )
            new = ChatChunk(new, type=chunk.type, raw=chunk.raw)
        changed.append(new)
        if new.type == "text":
            seen.append(str(new))
    return changed
