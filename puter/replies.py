"""What calls return: immutable values that pickle and compare by value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from typing_extensions import Self

    from puter.media import Image


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, whatever the vendor calls them; 0 where the server did not say.

    Attributes:
        input_tokens: Tokens sent.
        output_tokens: Tokens received.
        cached_tokens: Tokens sent that the vendor had cached.
        reasoning_tokens: Tokens thought.
        raw: The server's own words.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    raw: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants a tool called.

    Attributes:
        id: Names the call; the result refers to it.
        name: The tool.
        arguments: Its arguments, decoded.
        extra: Vendor keys that belong back on the block when it is sent again
            (``canonical_id``, ``extra_content``).
    """

    id: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """Who is signed in, as ``GET /whoami`` tells. Keys the server left out are ``None``.

    Attributes:
        username: Name of the account.
        uuid: Its id.
        email: Address, if any.
        email_confirmed: Whether the address was confirmed.
        is_temp: Whether this is a temporary account.
        two_factor: Whether signing in needs a second factor.
        app_name: The app a token of kind *app* belongs to.
        must_verify: What must be verified before AI can be used: ``email``, ``phone``, ``card``.
        unconfirmed_email: A new address that was not confirmed yet.
        feature_flags: Switches of the deployment.
        raw: The whole answer.
    """

    username: str
    uuid: str
    email: str | None = None
    email_confirmed: bool | None = None
    is_temp: bool | None = None
    two_factor: bool | None = None
    app_name: str | None = None
    must_verify: tuple[str, ...] = ()
    unconfirmed_email: str | None = None
    feature_flags: dict[str, Any] = field(default_factory=dict, repr=False)
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


class ChatReply(str):
    """The model's answer: a ``str`` that knows where it came from.

    It compares, hashes, prints and serialises as its text.

    Attributes:
        text: The text as a plain ``str``.
        model: The model that answered.
        provider: Who served it, such as ``"openai-completion"``.
        usage: Tokens.
        cost: US dollars as ``Decimal``, ``None`` when the server knows no price.
        finish_reason: ``stop``, ``length``, ``tool_calls`` or ``content_filter``.
        reasoning: What the model thought aloud, ``""`` if nothing.
        refusal: The refusal, if this is one; the text repeats it.
        tool_calls: Tools the model wants called.
        images: Pictures in the answer.
        annotations: Citations and the like, as the server sent them.
        compaction: Compacted conversation to send along next time, if the server made one.
        messages: The messages this call added to the conversation, ready to send again.
        attempts: How often the request was sent.
        elapsed: Seconds from the call to the answer.
        raw: The server's own result.

    Examples:
        >>> reply = ChatReply("Hello", model="gpt-5-nano", cost=Decimal("0.0001"))
        >>> reply == "Hello", reply.model
        (True, 'gpt-5-nano')
    """

    __slots__ = (
        "annotations", "attempts", "compaction", "cost", "elapsed", "finish_reason", "images",
        "messages", "model", "provider", "raw", "reasoning", "refusal", "tool_calls", "usage",
    )  # fmt: skip

    model: str
    provider: str
    usage: Usage
    cost: Decimal | None
    finish_reason: str
    reasoning: str
    refusal: str | None
    tool_calls: tuple[ToolCall, ...]
    images: tuple[Image, ...]
    annotations: tuple[Any, ...]
    compaction: dict[str, Any] | None
    messages: tuple[dict[str, Any], ...]
    attempts: int
    elapsed: float
    raw: Any

    def __new__(
        cls,
        text: str,
        *,
        model: str = "",
        provider: str = "",
        usage: Usage | None = None,
        cost: Decimal | None = None,
        finish_reason: str = "stop",
        reasoning: str = "",
        refusal: str | None = None,
        tool_calls: tuple[ToolCall, ...] = (),
        images: tuple[Image, ...] = (),
        annotations: tuple[Any, ...] = (),
        compaction: dict[str, Any] | None = None,
        messages: tuple[dict[str, Any], ...] = (),
        attempts: int = 1,
        elapsed: float = 0.0,
        raw: Any = None,
    ) -> Self:
        self = str.__new__(cls, text)
        put = object.__setattr__
        put(self, "model", model)
        put(self, "provider", provider)
        put(self, "usage", usage or Usage())
        put(self, "cost", cost)
        put(self, "finish_reason", finish_reason)
        put(self, "reasoning", reasoning)
        put(self, "refusal", refusal)
        put(self, "tool_calls", tool_calls)
        put(self, "images", images)
        put(self, "annotations", annotations)
        put(self, "compaction", compaction)
        put(self, "messages", messages)
        put(self, "attempts", attempts)
        put(self, "elapsed", elapsed)
        put(self, "raw", raw)
        return self

    @property
    def text(self) -> str:
        return str.__str__(self)

    def but(self, **changes: Any) -> ChatReply:
        """A copy with other attributes; ``replace`` is the one of ``str``."""
        text = changes.pop("text", self.text)
        return ChatReply(
            text, **{**{name: getattr(self, name) for name in self.__slots__}, **changes}
        )

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a ChatReply cannot be changed; use reply.but({name}=...)")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a ChatReply cannot be changed; use reply.but({name}=...)")

    def __reduce__(self) -> Any:
        return _reply, (self.text, {name: getattr(self, name) for name in self.__slots__})

    def __repr__(self) -> str:
        cost = f", cost={self.cost}" if self.cost is not None else ""
        calls = f", tool_calls={[call.name for call in self.tool_calls]}" if self.tool_calls else ""
        return f"ChatReply({self.text!r}, model={self.model!r}{cost}{calls})"


def _reply(text: str, attributes: Mapping[str, Any]) -> ChatReply:
    return ChatReply(text, **attributes)


class ChatChunk(str):
    """A piece of a streamed answer: a ``str`` that is its text for ``type == "text"``, else ``""``.

    So ``print(chunk, end="")`` and ``"".join(stream)`` give the text and nothing else.

    Attributes:
        type: ``text``, ``reasoning``, ``tool_use``, ``image``, ``extra_content``, ``compaction``,
            ``usage``, or whatever a newer server sends.
        reasoning: What the model thinks aloud, for ``reasoning``.
        tool_use: The call, complete, for ``tool_use``.
        image: The picture, for ``image``.
        extra_content: Vendor metadata, for ``extra_content``.
        compaction: The compacted conversation, for ``compaction``.
        usage: Tokens of the whole answer, for ``usage``: the last chunk of a good stream.
        raw: The line as the server sent it.

    Examples:
        >>> ChatChunk("Hi"), ChatChunk("", type="reasoning", reasoning="Hm.").reasoning
        (ChatChunk('Hi'), 'Hm.')
    """

    __slots__ = (
        "compaction", "extra_content", "image", "raw", "reasoning", "tool_use", "type", "usage",
    )  # fmt: skip

    type: str
    reasoning: str
    tool_use: ToolCall | None
    image: Image | None
    extra_content: Any
    compaction: dict[str, Any] | None
    usage: Usage | None
    raw: dict[str, Any]

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
        usage: Usage | None = None,
        raw: dict[str, Any] | None = None,
    ) -> Self:
        self = str.__new__(cls, text)
        put = object.__setattr__
        put(self, "type", type)
        put(self, "reasoning", reasoning)
        put(self, "tool_use", tool_use)
        put(self, "image", image)
        put(self, "extra_content", extra_content)
        put(self, "compaction", compaction)
        put(self, "usage", usage)
        put(self, "raw", raw if raw is not None else {"type": type, "text": text})
        return self

    @property
    def text(self) -> str:
        return str.__str__(self)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("a ChatChunk cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a ChatChunk cannot be changed")

    def __reduce__(self) -> Any:
        return _chunk, (self.text, {name: getattr(self, name) for name in self.__slots__})

    def __repr__(self) -> str:
        shown = f"{self.text!r}" if self.type == "text" else f"type={self.type!r}"
        return f"ChatChunk({shown})"


def _chunk(text: str, attributes: Mapping[str, Any]) -> ChatChunk:
    return ChatChunk(text, **attributes)
