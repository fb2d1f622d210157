"""What a chat returns: the reply, its chunks while it is streamed, tokens and tool calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from puter.exceptions import PuterError
from puter.process import late
from puter.records import dataclass, field
from puter.types.text import TextValue

if TYPE_CHECKING:
    import dataclasses

    from typing_extensions import Self

    from puter.types import media
    from puter.types.media import Image
else:
    dataclasses, media = late("dataclasses"), late("puter.types.media")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, whatever the vendor calls them; 0 where the server did not say."""

    input_tokens: int = 0
    """Tokens sent."""
    output_tokens: int = 0
    """Tokens received."""
    cached_tokens: int = 0
    """Tokens sent that the vendor had cached."""
    reasoning_tokens: int = 0
    """Tokens spent on reasoning."""
    raw: Any = field(default=None, repr=False)
    """The server's own object."""

    @property
    def total_tokens(self) -> int:
        """Tokens sent and received."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants a tool called."""

    id: str
    """Names the call; the result refers to it."""
    name: str
    """The tool."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Its arguments, decoded."""
    extra: dict[str, Any] = field(default_factory=dict, repr=False)
    """Vendor keys that belong back on the block when it is sent again (``canonical_id``,
    ``extra_content``), and under ``message`` those of its message (``reasoning_details``)."""

    def __hash__(self) -> int:
        return hash((self.id, self.name))


NO_USAGE = Usage()
_COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")


def total_of(
    spent: Sequence[tuple[Usage | None, Decimal | None]],
) -> tuple[Usage | None, Decimal | None]:
    """Tokens and US dollars of several answers; one unknown leaves each of them unknown."""
    usages = [usage for usage, _ in spent if usage is not None]
    costs = [cost for _, cost in spent if cost is not None]
    usage = usages[0] if len(usages) == 1 else None
    if len(usages) > 1:
        sums = {name: sum(getattr(one, name) for one in usages) for name in _COUNTS}
        usage = Usage(**sums, raw=[one.raw for one in usages])
    known = bool(costs) and len(costs) == len(spent)
    return (
        usage if len(usages) == len(spent) else None,
        sum(costs, Decimal(0)) if known else None,
    )


class ChatReply(TextValue, beside=("_again",)):
    """The model's answer: a ``str`` that knows where it came from.

    It compares, hashes, prints and serialises as its text.

    Examples:
        >>> reply = ChatReply("Hello", model="gpt-5-nano", cost=Decimal("0.0001"))
        >>> reply == "Hello", reply.model
        (True, 'gpt-5-nano')
    """

    __slots__ = (
        "_again", "annotations", "attempts", "cached", "compaction", "cost", "elapsed",
        "finish_reason", "headers", "images", "messages", "model", "provider", "raw", "reasoning",
        "reasoning_details", "refusal", "request_id", "requested_model", "standalone", "tool_calls",
        "usage", "usage_limited",
    )  # fmt: skip

    model: str
    """The model that answered."""
    requested_model: str
    """The model that was asked, by the server's id where that is known; ``resume=`` asks it again.
    """
    provider: str
    """Who served it, such as ``"openai-completion"``."""
    usage: Usage
    """Tokens."""
    cost: Decimal | None
    """US dollars, of all rounds of the turn; None when the server knows no price."""
    finish_reason: str
    """``stop``, ``length``, ``tool_calls``, ``content_filter``, or the vendor's own word for what
    is none of these, such as ``pause_turn``."""
    reasoning: str
    """The model's visible reasoning, ``""`` if none."""
    reasoning_details: tuple[Any, ...]
    """Vendor objects of that reasoning, such as signatures; they go back to that model with the
    conversation."""
    refusal: str | None
    """The refusal, if this is one; the text repeats it."""
    tool_calls: tuple[ToolCall, ...]
    """Tools the model wants called and that were not run."""
    images: tuple[Image, ...]
    """Images in the answer."""
    annotations: tuple[Any, ...]
    """Citations and the like, as the server sent them."""
    compaction: dict[str, Any] | None
    """Compacted conversation to send along next time, if the server made one."""
    usage_limited: bool
    """The answer stopped early because the account's balance ran out (newer servers say so)."""
    messages: tuple[dict[str, Any], ...]
    """The messages this call added to the conversation, ready to send again."""
    standalone: bool
    """The turn was sent with ``messages=``, so it is no part of a history."""
    cached: bool
    """It came out of a ``puter.extensions.Cache``: nothing was sent, and nothing paid."""
    attempts: int
    """How often requests of this call were sent, retries included."""
    elapsed: float
    """Seconds from the call to the answer."""
    request_id: str | None
    """The server's name of the request, where it sends one."""
    headers: Mapping[str, str]
    """Headers of the answer (of the last, where there were several), names in lower case."""
    raw: Any
    """The server's own result."""
    _again: Callable[[], str]
    """Write the request again, as a command; a reply of no request has none."""

    def __new__(
        cls,
        text: str,
        *,
        model: str = "",
        requested_model: str = "",
        provider: str = "",
        usage: Usage = NO_USAGE,
        cost: Decimal | None = None,
        finish_reason: str = "stop",
        reasoning: str = "",
        reasoning_details: tuple[Any, ...] = (),
        refusal: str | None = None,
        tool_calls: tuple[ToolCall, ...] = (),
        images: tuple[Image, ...] = (),
        annotations: tuple[Any, ...] = (),
        compaction: dict[str, Any] | None = None,
        usage_limited: bool = False,
        messages: tuple[dict[str, Any], ...] = (),
        standalone: bool = False,
        cached: bool = False,
        attempts: int = 1,
        elapsed: float = 0.0,
        request_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        raw: Any = None,
    ) -> Self:
        self = str.__new__(cls, text)
        put = object.__setattr__
        put(self, "model", model)
        put(self, "requested_model", requested_model)
        put(self, "provider", provider)
        put(self, "usage", usage)
        put(self, "cost", cost)
        put(self, "finish_reason", finish_reason)
        put(self, "reasoning", reasoning)
        put(self, "reasoning_details", reasoning_details)
        put(self, "refusal", refusal)
        put(self, "tool_calls", tool_calls)
        put(self, "images", images)
        put(self, "annotations", annotations)
        put(self, "compaction", compaction)
        put(self, "usage_limited", usage_limited)
        put(self, "messages", messages)
        put(self, "standalone", standalone)
        put(self, "cached", cached)
        put(self, "attempts", attempts)
        put(self, "elapsed", elapsed)
        put(self, "request_id", request_id)
        put(self, "headers", {} if headers is None else headers)
        put(self, "raw", raw)
        return self

    def with_text(self, text: str) -> Self:
        """A copy with another text, in its messages too; there an empty one is left out.

        Examples:
            >>> reply = ChatReply("Hi", messages=({"role": "assistant", "content": "Hi"},))
            >>> reply.with_text("Ho").messages
            ({'role': 'assistant', 'content': 'Ho'},)
        """
        messages = list(self.messages)
        for place in range(len(messages) - 1, -1, -1):
            one = messages[place]
            if one.get("role") == "assistant" and one.get("content") == self.text:
                messages[place : place + 1] = [{**one, "content": text}] if text.strip() else []
                break
        return self.copy_with(text=text, messages=tuple(messages))

    def to_dict(self) -> dict[str, Any]:
        """The reply as plain JSON data, which ``chat(resume=...)`` takes as well.

        Examples:
            >>> ChatReply("Hello", cost=Decimal("0.1")).to_dict()["cost"]
            '0.1'
        """
        plain = {name: getattr(self, name) for name in self._fields}
        return {
            "text": self.text,
            **plain,
            "usage": dataclasses.asdict(self.usage),
            "cost": None if self.cost is None else str(self.cost),
            "tool_calls": [dataclasses.asdict(one) for one in self.tool_calls],
            "images": [one.address for one in self.images],
            "messages": list(self.messages),
            "annotations": list(self.annotations),
            "reasoning_details": list(self.reasoning_details),
            "headers": dict(self.headers),
        }

    def copy_with(self, **changes: Any) -> Self:
        """A copy with some attributes, or its ``text``, replaced.

        Raises:
            TypeError: There is no such attribute.

        Examples:
            >>> ChatReply("Hello", model="gpt-5-nano").copy_with(text="Hi")
            ChatReply('Hi', model='gpt-5-nano')
        """
        copy = super().copy_with(**changes)
        again: Callable[[], str] | None = getattr(self, "_again", None)
        return copy if again is None else copy._complete({"_again": again})

    def as_curl(self) -> str:
        r"""The request that this answers, the last of its turn, as a command for a shell.

        It is made when asked for, and has all that was sent: the conversation, tools, pictures. The
        token is not in it, but ``$PUTER_AUTH_TOKEN``; headers of yours that look secret are
        variables as well. A body too long for an argument is in a here-document.

        Raises:
            PuterError: The request is not known: the reply was pickled, or made of ``to_dict()``,
                or comes from no request.

        Examples:
            >>> print(ai.chat("Say hello", remember=False).as_curl())  # doctest: +ELLIPSIS
            curl http://127.0.0.1:.../drivers/call \
              ...
              -H "Authorization: Bearer $PUTER_AUTH_TOKEN" \
              --data-raw '{"interface":"puter-chat-completion",...}'
        """
        again: Callable[[], str] | None = getattr(self, "_again", None)
        if again is None:
            raise PuterError(
                "This reply does not know its request",
                hint="as_curl() takes a reply as chat() or parse() returned it: one that was "
                "pickled, copied, made of to_dict() or answered by a cache has none.",
            )
        return again()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The reply that ``to_dict()`` wrote, also after a round trip through JSON.

        Raises:
            ValueError: It is not one.

        Examples:
            >>> import json
            >>> kept = json.dumps(ai.chat("Say hello").to_dict())
            >>> ChatReply.from_dict(json.loads(kept)).text
            'Hello!'
        """
        fields = {name: data[name] for name in cls._fields if name in data}
        text: Any = data.get("text")
        for name, kinds in _WRITTEN_AS.items():
            value = text if name == "text" else fields.get(name, _ABSENT)
            if value is not _ABSENT and not isinstance(value, kinds):
                raise ValueError(f"{_NO_REPLY}: {name} is of type {type(value).__name__}")
        try:
            usage = fields["usage"] = Usage(**fields.get("usage", {}))
            _check(int, usage.input_tokens, usage.output_tokens)
            _check(int, usage.cached_tokens, usage.reasoning_tokens)
            cost = fields.get("cost")
            fields["cost"] = amount = None if cost is None else Decimal(cost)
            if amount is not None and (not amount.is_finite() or amount < 0):
                raise ArithmeticError(f"cost is {cost}")
            calls = fields["tool_calls"] = [ToolCall(**one) for one in fields.get("tool_calls", ())]
            for call in calls:
                _check(str, call.id, call.name)
                _check(dict, call.arguments, call.extra)
            fields["images"] = tuple(media.Image.of(one) for one in fields.get("images", ()))
        except (TypeError, ArithmeticError) as error:
            raise ValueError(f"{_NO_REPLY}: {error}") from error
        for name in ("tool_calls", "messages", "annotations", "reasoning_details"):
            fields[name] = tuple(fields.get(name, ()))
        return cls(text, **fields)

    def _repr_markdown_(self) -> str | None:
        """Its text and images, as notebooks show them: nothing in it runs or is loaded.

        Examples:
            >>> ChatReply("**Hi** <img src=x onerror=alert(1)>")._repr_markdown_()
            '**Hi** &lt;img src=x onerror=alert(1)>'
        """
        from puter.display.markdown import picture, safe_markdown

        shown = [safe_markdown(self.text)] if self.text else []
        return "\n\n".join([*shown, *map(picture, self.images)]) or None

    def __repr__(self) -> str:
        cost = f", cost={self.cost}" if self.cost is not None else ""
        calls = f", tool_calls={[call.name for call in self.tool_calls]}" if self.tool_calls else ""
        return f"ChatReply({self.text!r}, model={self.model!r}{cost}{calls})"


_ABSENT: Any = object()
_NO_REPLY = "this is no reply of to_dict()"
_LISTED = (list, tuple)
_TEXT_OR_NONE = (str, type(None))
_WRITTEN_AS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("text", "model", "requested_model", "provider", "finish_reason"), (str,)),
    "reasoning": (str,),
    **dict.fromkeys(("refusal", "request_id"), _TEXT_OR_NONE),
    **dict.fromkeys(("usage", "headers"), (Mapping,)),
    "cost": (str, int, type(None)),
    "compaction": (dict, type(None)),
    **dict.fromkeys(("tool_calls", "images", "messages"), _LISTED),
    **dict.fromkeys(("annotations", "reasoning_details"), _LISTED),
    **dict.fromkeys(("usage_limited", "standalone", "cached"), (bool,)),
    "attempts": (int,),
    "elapsed": (int, float),
}
"""What ``to_dict()`` writes the attributes of a reply as."""


def _check(kind: type, *values: Any) -> None:
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")


class ChatChunk(TextValue):
    """A piece of a streamed answer: a ``str`` that is its text for ``type == "text"``, else ``""``.

    So ``print(chunk, end="")`` and ``"".join(stream)`` give the text and nothing else.

    Examples:
        >>> ChatChunk("Hi"), ChatChunk("", type="reasoning", reasoning="Hm.").reasoning
        (ChatChunk('Hi'), 'Hm.')
    """

    __slots__ = ("_payload", "raw", "type")

    type: str
    """``text``, ``reasoning``, ``reasoning_detail``, ``tool_use``, ``image``, ``extra_content``,
    ``compaction``, ``usage``, or whatever a newer server sends."""
    raw: dict[str, Any]
    """The line as the server sent it."""
    _payload: Any

    def __new__(
        cls,
        text: str,
        *,
        type: str = "text",  # noqa: A002 - the wire's own name
        reasoning: str = "",
        tool_use: ToolCall | None = None,
        image: Image | None = None,
        extra_content: Any = None,
        compaction: dict[str, Any] | None = None,
        reasoning_detail: dict[str, Any] | None = None,
        usage: Usage | None = None,
        raw: dict[str, Any] | None = None,
    ) -> Self:
        payload = reasoning or tool_use or image or extra_content or compaction
        payload = payload or reasoning_detail or usage
        self = str.__new__(cls, text)
        _put_type(self, type)
        _put_raw(self, raw if raw is not None else {"type": type, "text": text})
        _put_payload(self, payload)
        return self

    @property
    def reasoning(self) -> str:
        """The model's visible reasoning, for ``reasoning``."""
        return _payload_of(self, "reasoning", str) or ""

    @property
    def tool_use(self) -> ToolCall | None:
        """The tool call, complete, for ``tool_use``."""
        return _payload_of(self, "tool_use", ToolCall)

    @property
    def image(self) -> Image | None:
        """The image, for ``image``."""
        return _payload_of(self, "image", media.Image)

    @property
    def extra_content(self) -> Any:
        """Vendor metadata, for ``extra_content``."""
        return _payload_of(self, "extra_content", object)

    @property
    def compaction(self) -> dict[str, Any] | None:
        """The compacted conversation, for ``compaction``."""
        return _payload_of(self, "compaction", dict)

    @property
    def reasoning_detail(self) -> dict[str, Any] | None:
        """One of the reply's ``reasoning_details``, for ``reasoning_detail``."""
        return _payload_of(self, "reasoning_detail", dict)

    @property
    def usage(self) -> Usage | None:
        """Tokens of the whole answer, for ``usage``: the last chunk of a complete stream."""
        return _payload_of(self, "usage", Usage)

    def __repr__(self) -> str:
        shown = f"{self.text!r}" if self.type == "text" else f"type={self.type!r}"
        return f"ChatChunk({shown})"


# Of the slots themselves: half the time of `object.__setattr__`, for each chunk of a stream.
_put_type: Any = ChatChunk.__dict__["type"].__set__
_put_raw: Any = ChatChunk.__dict__["raw"].__set__
_put_payload: Any = ChatChunk.__dict__["_payload"].__set__


def text_chunk(text: str, line: dict[str, Any]) -> ChatChunk:
    """``ChatChunk(text, raw=line)`` in a third of the time: most lines of a stream are texts."""
    chunk = str.__new__(ChatChunk, text)
    _put_type(chunk, "text")
    _put_raw(chunk, line)
    _put_payload(chunk, None)
    return chunk


def chunks_of(answer: ChatReply) -> list[ChatChunk]:
    """A whole answer as the chunks of a stream."""
    reasoning = answer.reasoning
    chunks = [ChatChunk("", type="reasoning", reasoning=reasoning)] if reasoning else []
    chunks += [ChatChunk(answer.text)] if answer else []
    chunks += [ChatChunk("", type="image", image=one) for one in answer.images]
    chunks += [ChatChunk("", type="tool_use", tool_use=one) for one in answer.tool_calls]
    return [*chunks, ChatChunk("", type="usage", usage=answer.usage)]


def _payload_of(chunk: ChatChunk, kind: str, cls: type[T]) -> T | None:
    payload = chunk._payload
    return payload if chunk.type == kind and isinstance(payload, cls) else None
