"""Messages of a chat: checked before they are sent, made of answers, and answers validated."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from puter.checks import did_you_mean
from puter.exceptions import PuterBlockedError, PuterEmptyResponseError, PuterInputError, repr_of
from puter.process import late
from puter.records import replace
from puter.types.replies import ChatReply, ToolCall
from puter.wire.json import MESSAGE_DEPTH, as_dict, check_depth
from puter.wire.pieces import Content, Part, body_of, json_body, json_parts

if TYPE_CHECKING:
    import difflib

    from puter.wire.serializing import Serializer
else:
    difflib = late("difflib")

Message = dict[str, Any]

CANNED = ("fake", "costly", "abuse")
"""Models the server answers itself, at no cost (Puter backend, ``fake-chat``)."""

ROLES = frozenset(("system", "developer", "user", "assistant", "tool", "function"))
"""Whose message it is, in the words that vendors know."""

_IDS = {"tool_use": "id", "tool_result": "tool_use_id"}
"""Parts of tool rounds, and the key of the call's id in them."""

_FLATTEN = "Messages and tool inputs are never that deep: check that nothing holds itself."

_MEANT = {"human": "user", "ai": "assistant", "bot": "assistant", "model": "assistant"}
"""Roles in the words of other libraries."""

EXTRAS = ("canonical_id", "extra_content")
"""Keys of a tool call that vendors want back with it: OpenAI Responses, Gemini."""


MADE_BY = "made_by"
"""Key of a message that holds what one vendor alone understands: its family, and the model."""

REASONING_KEYS = ("reasoning_details", MADE_BY)
"""Keys of an assistant message that go with the first of its pieces."""


def user_message(prompt: str | None, parts: Sequence[Any] = ()) -> Message:
    """The user's message of a prompt and ready content parts.

    Raises:
        PuterInputError: There is nothing to say, or a part is not usable.
    """
    if prompt is not None and not isinstance(prompt, str):
        raise PuterInputError(
            f"prompt must be a str, not {type(prompt).__name__}", hint=_instead_of(prompt)
        )
    blank = prompt is None or not prompt.strip()
    if parts:
        content = [*([] if blank else [{"type": "text", "text": prompt}]), *parts]
        return check_message({"role": "user", "content": content}, "content_parts")
    if blank:
        raise PuterInputError("The prompt is empty", hint="Say something, or pass messages=[...].")
    return {"role": "user", "content": prompt}


def _instead_of(prompt: Any) -> str:
    """What to pass for what is no prompt."""
    if isinstance(prompt, (bytes, bytearray)):
        return "Pass text as prompt.decode(), a picture as images=..., other data as files=...."
    if isinstance(prompt, Mapping):
        return "Pass messages as a list: messages=[{'role': 'user', 'content': 'Hi'}]."
    if isinstance(prompt, (list, tuple)):
        return "Pass messages as messages=[...], parts of one message as content_parts=[...]."
    return "Pass pictures as images=..., files as files=..., anything else as str(...)."


def is_plain(messages: Sequence[Any], known: int = 0) -> bool:
    """Whether each is a text of the user or the model, or at the very beginning of the system.

    No check finds fault with such messages, and every dialect writes them as they are.

    Args:
        messages: What may be messages.
        known: How many of them, from the first, are known to be plain.
    """
    roles = _FIRST_ROLES if not known else _PLAIN_ROLES
    for message in itertools.islice(messages, known, None) if known else messages:
        if not is_text(message) or message["role"] not in roles:
            return False
        roles = _PLAIN_ROLES
    return True


_PLAIN_ROLES = ("user", "assistant")
_FIRST_ROLES = ("system", *_PLAIN_ROLES)


def is_text(message: Any) -> bool:
    """Whether it is a role and a text and nothing else, as most messages of a history are."""
    return (
        type(message) is dict
        and len(message) == 2
        and type(message.get("role")) is str
        and message["role"] in ROLES
        and isinstance(message.get("content"), str)
        and message["content"] != ""
    )


def check_messages(messages: Any, name: str = "messages", *, copy: bool = True) -> list[Message]:
    """The messages as a list of dicts, checked for what the server answers with a bare 500 or 400.

    Args:
        messages: Dicts, or texts of the user.
        name: What errors call them.
        copy: Return dicts that share nothing with ``messages`` but what is inside their content
            parts. False returns those that need no change as they are.

    Raises:
        PuterInputError: Names the message and what is wrong with it.
    """
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
        raise PuterInputError(
            f"{name} must be a list of messages, not {type(messages).__name__}",
            hint="For a single question pass the text as prompt.",
        )
    checked: list[Message] = []
    message: Any
    for message in messages:
        if is_text(message):
            checked.append(message.copy() if copy else message)
        else:
            checked.append(check_message(message, f"{name}[{len(checked)}]", copy=copy))
    if not checked:
        raise PuterInputError(f"{name} is empty", hint="Give at least one message.")
    return checked


def check_message(message: Any, place: str, *, copy: bool = True) -> Message:
    """One message as a dict; see ``check_messages()``."""
    if not isinstance(message, (Mapping, str)):
        raise PuterInputError(
            f"{place} must be a dict or a str, not {type(message).__name__}",
            hint="A message looks like {'role': 'user', 'content': 'Hi'}.",
        )
    try:
        check_depth(message, MESSAGE_DEPTH)
    except ValueError as error:
        raise PuterInputError(f"{place} is {error}", hint=_FLATTEN) from None
    fields: Message
    if isinstance(message, str):
        fields = {"role": "user", "content": message}
    else:
        fields = dict(message) if copy or not isinstance(message, dict) else message
    if "role" not in fields:
        if fields.get("type") == "compaction":
            return fields
        fields = {**fields, "role": "user"}
    role = fields["role"]
    if not isinstance(role, str) or role not in ROLES:
        raise _unknown_role(role, place)
    _check_id(fields, "tool_call_id", place)
    calls = fields.get("tool_calls")
    if calls is not None:
        _check_calls(calls, place)
    content = fields.get("content")
    if isinstance(content, (list, tuple)):
        if not content:
            raise PuterInputError(f"{place}: content is an empty list")
        parts = [_check_part(part, f"{place}.content", i, copy) for i, part in enumerate(content)]
        if copy or parts != content:
            fields = {**fields, "content": parts}
    elif isinstance(content, Mapping):
        if role != "tool":
            fields = {**fields, "content": [_check_part(content, f"{place}.content", None, copy)]}
    elif content is None or (isinstance(content, str) and not content):
        if not calls and role != "tool":
            raise PuterInputError(f"{place} has no content", hint="Leave it out, or give it text.")
    elif not isinstance(content, str):
        raise PuterInputError(
            f"{place}: content must be text or a list of parts, not {type(content).__name__}"
        )
    return fields


def _unknown_role(role: Any, place: str) -> PuterInputError:
    name = role.strip().lower() if isinstance(role, str) else ""
    near = [_MEANT[name]] if name in _MEANT else difflib.get_close_matches(name, ROLES, n=1)
    hint = did_you_mean(near) or f"Roles: {', '.join(sorted(ROLES))}."
    return PuterInputError(
        f"{place}: role must be a str such as 'user', not {repr_of(role)}", hint=hint
    )


def _check_calls(calls: Any, place: str) -> None:
    if not isinstance(calls, (list, tuple)):
        raise PuterInputError(f"{place}: tool_calls must be a list, not {type(calls).__name__}")
    for i, call in enumerate(calls):
        if not isinstance(call, Mapping) or not isinstance(call.get("function"), Mapping):
            raise PuterInputError(f"{place}.tool_calls[{i}] must be a dict with a 'function'")
        _check_id(call, "id", f"{place}.tool_calls[{i}]")


def _check_id(holder: Mapping[str, Any], key: str, place: str) -> None:
    """The id of a tool's call, by which its result is found."""
    value = holder.get(key)
    if value is not None and not isinstance(value, str):
        raise PuterInputError(f"{place}: {key} must be a str, not {type(value).__name__}")


def _check_part(part: Any, place: str, index: int | None, copy: bool) -> Any:
    if isinstance(part, str):
        return part
    where = place if index is None else f"{place}[{index}]"
    if not isinstance(part, Mapping):
        fault = f"must be a dict or a str, not {type(part).__name__}"
        hint = "A part looks like {'type': 'text', 'text': 'Hi'}."
    elif isinstance(part.get("type", ""), str):
        key = _IDS.get(part.get("type", ""))
        if key is not None:
            _check_id(part, key, where)
        return dict(part) if copy or not isinstance(part, dict) else part
    else:
        fault, hint = f"type must be a str, not {repr_of(part['type'])}", ""
    raise PuterInputError(f"{where}{':' if not hint else ''} {fault}", hint=hint)


def validate_reply(reply: ChatReply, *, model: str, provider: str | None) -> None:
    """See that a reply came from the model, and has any content.

    Args:
        reply: The reply.
        model: The model that was asked.
        provider: Who was to serve it, if that was said.

    Raises:
        PuterBlockedError: The server's stand-in answered with filler.
        PuterEmptyResponseError: There is neither text nor a tool call nor an image.
    """
    if (
        reply.provider == "fake-chat"
        and model.strip().lower() not in CANNED
        and provider != "fake-chat"
    ):
        raise PuterBlockedError(
            f"Puter's stand-in answered with filler text instead of {model}",
            hint="The prompt was probably blocked: change it, or ask another model.",
            reply=reply,
        )
    if not (reply.strip() or reply.tool_calls or reply.images):
        raise PuterEmptyResponseError(
            f"{reply.model or model} answered with nothing (finish reason: {reply.finish_reason})",
            hint="Raise max_tokens: thinking may have used it up."
            if reply.finish_reason == "length"
            else "Ask again, or ask another model.",
            reply=reply,
        )


def assistant_messages(reply: ChatReply, family: str, model: str) -> list[Message]:
    """The reply in the form that every route keeps intact: text, then a message per call.

    Args:
        reply: The answer.
        family: Who alone understands its reasoning and compaction.
        model: The model that was asked, which alone gets its reasoning back.
    """
    messages: list[Message] = []
    if reply.compaction is not None:
        messages.append({**reply.compaction, MADE_BY: {"family": family}})
    text = str(reply) if reply.strip() else None
    beside: Message = {}
    if reply.reasoning_details:
        beside["reasoning_details"] = list(reply.reasoning_details)
        beside[MADE_BY] = {"family": family, "model": model}
        if "reasoning_details" not in as_dict(as_dict(reply.raw).get("message", _STREAMED)):
            beside[MADE_BY]["native"] = True  # they were blocks of the content, and go back so
    if text:
        messages.append({"role": "assistant", "content": text, **beside})
    for place, call in enumerate(reply.tool_calls):
        messages.append(call_message(call if text or place else with_reasoning(call, beside)))
    return messages


def chat_body(payload: Mapping[str, Any], serializer: Serializer | None = None) -> Content:
    """Encode the request body of a chat, of many messages so many at a time.

    Args:
        payload: What to encode.
        serializer: See ``json_body()``.

    Raises:
        PuterInputError: See ``json_body()``.
    """
    args = payload["args"]
    if len(args["messages"]) > _AT_ONCE:
        return body_of(_parts_of(payload, serializer))
    return json_body(payload, is_tree=args.keys() <= _CHECKED, serializer=serializer)


def _parts_of(payload: Mapping[str, Any], serializer: Serializer | None) -> Iterator[bytes | Part]:
    args = payload["args"]
    messages = args["messages"]
    head = {name: payload[name] for name in payload if name != "args"}
    yield from json_parts(head, 0, -1, serializer=serializer)
    yield b',"args":'
    others = {name: args[name] for name in args if name != "messages"}
    yield from json_parts(others, 0, -1, serializer=serializer)
    between = b',"messages":['
    for start in range(0, len(messages), _AT_ONCE):
        yield between
        some = messages[start : start + _AT_ONCE]
        yield from json_parts(some, 1, -1, is_tree=True, serializer=serializer)
        between = b","
    yield b"]}}"


_CHECKED = {"messages", "model", "stream"}
"""Arguments whose depth was checked, or that have none; of options nobody knows."""
_AT_ONCE = 500
"""Messages whose text stands beside its bytes: all of 20,000 would take 2.5 times the body."""


def call_message(call: ToolCall) -> Message:
    """The assistant's message that makes one tool call."""
    extra = dict(call.extra)
    beside = extra.pop("message", {})
    block = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
    return {"role": "assistant", "content": [{**block, **extra}], **beside}


def with_reasoning(call: ToolCall, message: Message) -> ToolCall:
    """The call, carrying the reasoning of its message: it goes back with the call."""
    beside = {key: message[key] for key in REASONING_KEYS if key in message}
    return replace(call, extra={**call.extra, "message": beside}) if beside else call


def result_message(call_id: Any, content: Any) -> Message:
    """The message with the result of a tool call."""
    return {"role": "tool", "tool_call_id": call_id, "content": content}


_STREAMED: Message = {"reasoning_details": ()}
