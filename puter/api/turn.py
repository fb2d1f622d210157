"""One turn of a conversation: what the user says, the answers, and the tool rounds between them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from puter.checks import did_you_mean, near_misses
from puter.config import PuterConfig
from puter.engine.context import CallContext
from puter.engine.effects import Acquire, Flow, Invoke, do
from puter.engine.observing import notify
from puter.engine.pipeline import exchange
from puter.engine.throttle import Throttle
from puter.exceptions import (
    PuterAPIError,
    PuterAuthError,
    PuterError,
    PuterInputError,
    PuterInsufficientFundsError,
    PuterModelNotFoundError,
    PuterServerError,
    PuterToolError,
)
from puter.history import History, estimate_tokens
from puter.models import registry
from puter.process import late
from puter.records import dataclass, field
from puter.types.replies import ChatReply, ToolCall, total_of
from puter.wire.dialects import Provider, route_of
from puter.wire.dialects.base import forces_tool
from puter.wire.http import HttpReply, HttpRequest, driver_call
from puter.wire.json import as_int_or_none, clean_text
from puter.wire.messages import (
    CANNED,
    Message,
    assistant_messages,
    call_message,
    chat_body,
    check_messages,
    is_plain,
    user_message,
    validate_reply,
    with_reasoning,
)

if TYPE_CHECKING:
    from puter import tools
    from puter.api import attachments, curl, downloads, sources, tool_calls
    from puter.engine import middleware
    from puter.engine.servers import Server
    from puter.tools import BeforeTool, Toolbox
    from puter.wire.accumulator import StreamAccumulator
    from puter.wire.serializing import Serializer
else:
    attachments, downloads = late("puter.api.attachments"), late("puter.api.downloads")
    curl = late("puter.api.curl")
    sources = late("puter.api.sources")
    middleware, tool_calls = late("puter.engine.middleware"), late("puter.api.tool_calls")
    tools = late("puter.tools")

T = TypeVar("T")

INCOMPLETE = "incomplete"
"""``finish_reason`` of an answer that broke off; no vendor's word."""
NOTHING: Mapping[str, Any] = MappingProxyType({})
"""Of what most calls have none of: one for all."""


@dataclass(slots=True)
class ChatRequest:
    """What the user asked for, with the defaults of ``chat()``."""

    prompt: str | None = None
    model: str | None = None
    images: Any = None
    files: Any = None
    messages: Sequence[Any] | None = None
    system: str | None = None
    content_parts: Sequence[Any] | None = None
    tools: Toolbox | None = None
    run_tools: bool = True
    max_rounds: int = 8
    before_tool: BeforeTool | None = None
    resume: ChatReply | None = None
    tool_results: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    raise_tool_errors: tuple[type[BaseException], ...] = ()
    remember: bool = True
    options: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    composed: Composed | None = None
    """The messages, by whoever has made them of the above, and remembers the turn."""

    @property
    def standalone(self) -> bool:
        """The history is neither sent nor added to: the turn has, or had, its own ``messages=``."""
        return self.messages is not None or (self.resume is not None and self.resume.standalone)

    def runs(self, calls: Sequence[ToolCall]) -> bool:
        """Whether these calls are run here, not handed to the caller."""
        tools = self.tools if self.run_tools else None
        return tools is not None and bool(tools.tools) and tools.can_run(calls)


@dataclass(frozen=True, slots=True)
class ModelTarget:
    """Where a request goes, as far as the registry knows."""

    model: str
    provider: str | None
    entry: Mapping[str, Any]
    route: Provider
    family: str
    """Whose reasoning and compaction the route reads."""
    server: Server | None = None
    """Where a driver takes it, in place of Puter."""


def target_of(call: CallContext, history: History, request: ChatRequest) -> ModelTarget:
    """The model, its provider and its route."""
    resumed = None if request.resume is None else request.resume.requested_model
    name: Any = request.model or resumed or history.model or call.config.default_model
    options, servers = request.options, call.extensions.drivers
    if not options and not servers:
        return _usual_target(name)
    extra = options.get("extra") or {}
    name = extra.get("model") or name
    if servers and (server := call.extensions.server_of(name)) is not None:
        return _target_at(server, name, extra.get("provider") or options.get("provider"))
    if not options:
        return _usual_target(name)
    return _target(name, extra.get("provider") or options.get("provider"), options)


def _target(name: Any, pinned: str | None, options: Mapping[str, Any]) -> ModelTarget:
    known = registry().lookup(name if isinstance(name, str) else str(name))
    provider = pinned or known.provider
    route = route_of(provider, known.id, known.entry, options)
    family = route.dialect.family or provider or ""
    return ModelTarget(known.id, provider, known.entry, route, family)


def _target_at(server: Server, name: Any, pinned: str | None) -> ModelTarget:
    model = server.name_of(name)
    if pinned not in (None, server.name):
        raise PuterInputError(
            f"{model} is served by the driver {server.name}, not by {pinned!r}",
            hint="Leave provider= out, or give the driver's model a name of its own.",
        )
    return ModelTarget(model, server.name, NOTHING, server.route, server.name, server)


@functools.lru_cache(maxsize=256)
def _usual_target(name: str) -> ModelTarget:
    return _target(name, None, {})


# ---------------------------------------------------------------- the user's side


class Composed(NamedTuple):
    """The messages of a request."""

    before: list[Message]
    """What is sent before this turn: system and history."""
    turn: list[Message]
    """The user's side of the turn, or what there is of it already."""
    known: int
    """How many of all, from the first, are known to be plain."""


def compose(history: History, request: ChatRequest) -> Flow[Composed]:
    """The messages to send.

    Raises:
        PuterInputError: The request cannot be sent as it stands.
    """
    if request.composed is not None:
        return request.composed
    parts: Sequence[Any] = request.content_parts or ()
    if request.images is not None or request.files is not None:
        parts = [*parts, *(yield from _loaded(request))]
    system = request.system or history.system
    before: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    past = [] if request.standalone else history.messages
    known = len(before)
    if past:  # a live list, which the user may have changed
        before += past
        if is_plain(before):  # so no check finds fault with it, and no dialect changes it
            known = len(before)
        else:
            before[known:] = check_messages(before[known:], "chat_history", copy=False)
    if request.resume is not None:
        turn = check_messages(request.resume.messages, "resume.messages")
    elif request.messages is None:
        turn = [user_message(request.prompt, parts)]
        if not parts and known == len(before):
            known += 1  # a text
    else:
        turn = check_messages(request.messages)
        if request.prompt is not None or parts:
            turn = [*turn, user_message(request.prompt, parts)]
    return Composed(before, turn, known)


def _loaded(request: ChatRequest) -> Flow[list[Any]]:
    """The images and files, as parts of a message."""
    parts: list[Any] = []
    for name, given in (("images", request.images), ("files", request.files)):
        if given is not None:
            load = functools.partial(attachments.part_of, image=name == "images")
            for source in sources.listed(name, given):
                part = yield from do(Invoke(load, (source,)))
                parts.append(part)
    return parts


# ---------------------------------------------------------------- the turn


class Turn:
    """One turn under way: its messages, its answers so far, and its reply once there is one."""

    __slots__ = (
        "_again", "_answers", "_before", "_free", "_given", "_headers", "_known", "_rounds",
        "_tool_results", "call", "committed", "history", "messages", "pending", "reply", "request",
        "stream", "target", "unsettled", "waits_for",
    )  # fmt: skip

    def __init__(
        self,
        call: CallContext,
        history: History,
        request: ChatRequest,
        target: ModelTarget,
        before: list[Message],
        messages: list[Message],
        known: int,
    ) -> None:
        self.call: CallContext = call
        self.history: History = history
        self.request: ChatRequest = request
        self.target: ModelTarget = target
        self.messages: list[Message] = list(messages)
        self.reply: ChatReply | None = None
        self.waits_for: History | None = None
        """The conversation that a tool of this turn waits to chat in."""
        self._before = before
        self._known = known
        """How many of the messages, from the first, are known to be plain."""
        self._given = len(messages) if request.resume is None else 0
        self._rounds = 0
        self._answers: tuple[ChatReply, ...] = () if request.resume is None else (request.resume,)
        self._tool_results: Mapping[str, Any] = request.tool_results
        self.pending: tuple[ToolCall, ...] = ()
        """Calls that are to be run before the next request."""
        self.stream: StreamAccumulator | None = None
        """The answer that is being streamed."""
        self._headers: Mapping[str, str] = NOTHING
        self.committed: int = 0
        """How many messages were added to the history."""
        self._free = False  # nobody is billed
        self.unsettled: bool = False
        """The server began an answer whose cost is not known yet."""

    def send(self, *, stream: bool, refused: PuterError | None = None) -> Flow[HttpReply]:
        """Send the conversation; the reply is whole, or open when it is streamed.

        Args:
            stream: Ask for a stream.
            refused: What the stream that the last request opened said first: it is waited out, as
                the same error in place of a reply is.

        Raises:
            PuterTimeoutError: The deadline has passed.
            PuterError: The typed error of the answer.
        """
        try:
            server = self.target.server
            reply = yield from exchange(
                self.call,
                self._request(stream),
                refused,
                server,
                asked=lambda: self._asked(stream),
            )
            self.unsettled, self._headers = True, reply.headers
            return reply
        except PuterAPIError as error:
            self._explain(error)
            raise
        except PuterAuthError as error:
            drivers = self.call.extensions.drivers
            near = near_misses(self.target.model, drivers, 1)
            if drivers and self.target.server is None and near:
                error.hint = f"{did_you_mean(near)} {error.hint}"
            raise

    def _asked(self, stream: bool) -> middleware.Request:
        """The request as extensions see it, with the rounds that are done."""
        request, messages = self.request, (*self._before, *self.messages)
        args = {name: getattr(request, name) for name in ("tools", "run_tools", "max_rounds")}
        return middleware.Request(
            self.call.operation,
            self.target.model,
            messages,
            request.options,
            args,
            stream,
            len(self.messages),
            call=self.call,
        )

    def _request(self, stream: bool) -> HttpRequest:
        """The conversation as a request, in the words of the model's route."""
        request, messages = self.request, self.messages
        self._again = functools.partial(
            _as_curl,
            self._before,
            messages,
            len(messages),
            self._given,
            self.target,
            self.call.config,
            request.options,
            () if request.tools is None else request.tools.schemas,
            stream,
            self.call.extensions.serializer,
        )
        made = encoded(self._known, *self._again.args)
        if self.target.server is not None:
            self._free, self.call.secrets = made.idempotent, made.secrets
        return made

    def read(self, reply: HttpReply) -> ChatReply:
        """The whole answer in a reply.

        Raises:
            PuterError: There is none in it.
        """
        if self.target.server is None:
            return self.target.route.dialect.decode(reply.decoded())
        return self.target.server.read(reply)

    def _explain(self, error: PuterAPIError) -> None:
        """Give the error the hint that this turn can give."""
        target, options = self.target, self.request.options
        if isinstance(error, PuterModelNotFoundError):
            error.suggestions = registry().suggest(target.model) if target.server is None else ()
            error.hint = did_you_mean(error.suggestions) or error.hint
        elif isinstance(error, PuterInsufficientFundsError):
            most = as_int_or_none(target.entry.get("max_tokens"))
            size = sum(map(estimate_tokens, self._before + self.messages))
            if most is not None and size > most:
                error.hint = (
                    f"The prompt, about {size:,} tokens, is longer than the {most:,} that "
                    f"{target.model} may answer with, and Puter counts both against that: shorten "
                    "it, or ask a model with a larger max_output. " + error.hint
                )
        elif (
            isinstance(error, PuterServerError)
            and options.get("web_search")
            and target.route.dialect.family == "claude"
        ):
            error.hint = f"Older servers cannot let Claude search the web. {error.hint}"

    def accept_reply(self, answer: ChatReply) -> bool:
        """Record the cost of an answer and validate it; return whether the turn ends with it."""
        call, request = self.call, self.request
        headers = self._headers
        answer._complete(
            {
                "requested_model": self.target.model,
                "attempts": call.attempts,
                "elapsed": call.clock() - call.started,
                "headers": headers,
                "request_id": headers.get("x-request-id") or headers.get("request-id"),
                "_again": self._again,
            }
        )
        if (server := self.target.server) is not None:
            told = answer.cost
            answer._complete(
                {
                    "model": answer.model or self.target.model,
                    "provider": answer.provider or server.name,
                    "cost": Decimal(0) if told is None and self._free else told,
                }
            )
        for image in answer.images:
            downloads.attach_download(image, call)
        self._record(answer)
        self._answers += (answer,)
        self.stream = None
        pinned = request.options.get("provider") if request.options else None
        validate_reply(answer, model=self.target.model, provider=pinned)
        family = self.target.family
        if answer.provider and answer.provider != self.target.provider:
            target = self.target
            route = route_of(answer.provider, target.model, target.entry, request.options)
            family = route.dialect.family or answer.provider
        messages = assistant_messages(answer, family, self.target.model)
        if not (answer.tool_calls and request.runs(answer.tool_calls)):
            self._finish(answer, messages)
            return True
        first, *others = answer.tool_calls
        self.messages += messages[: -len(answer.tool_calls)]
        self.pending = (with_reasoning(first, messages[-len(answer.tool_calls)]), *others)
        if self._rounds == request.max_rounds:
            raise PuterToolError(
                f"The model still called tools after {request.max_rounds} rounds",
                hint="Raise max_rounds, or look at .messages for what it is after.",
                messages=(*self.messages, *map(call_message, self.pending)),
            )
        self._rounds += 1
        return False

    def give_up(self) -> None:
        """Count an answer that was given up or cut off: what it told before that, if anything."""
        told = ChatReply("") if self.stream is None else self.stream.reply()
        self._record(told, answered=False)

    def _record(self, answer: ChatReply, *, answered: bool = True) -> None:
        cost, usage = answer.cost, answer.usage
        if cost is None and (self._free or self.target.model in CANNED):
            cost = Decimal(0)
        known = usage if usage.raw or usage.total_tokens else None
        self.call.record(answer.model or self.target.model, known, cost, answered=answered)
        self.unsettled = False

    def resume(self) -> None:
        """Go on where an earlier turn stopped: its calls without a result are run or answered.

        Raises:
            PuterInputError: Nothing is left to do, a call has neither a result nor a function, or
                it went on before.
        """
        self.messages, self.pending = tool_calls.pending_calls(self.messages)
        resumed = self.request.resume
        shown = () if resumed is None else resumed.tool_calls
        if resumed is not None and resumed.finish_reason == INCOMPLETE:
            shown = ()  # they are not run
            broken = {"role": "assistant", "content": resumed.text}
            if self.messages[-1:] == [broken]:
                del self.messages[-1]  # the model is asked again
        if [*map(tool_calls.wish_of, shown)] != [*map(tool_calls.wish_of, self.pending)]:
            raise PuterInputError(
                "The open calls are not the same in tool_calls and in messages of resume=",
                hint="Leave both as they were: before_tool may change a call or say no, and "
                "tool_results answers it.",
            )
        waiting = [one.id for one in self.pending]
        unknown = [name for name in self.request.tool_results if name not in waiting]
        if unknown:
            raise PuterInputError(
                f"tool_results answers {unknown[0]!r}, which is no open call of this turn",
                hint=f"Open calls: {', '.join(waiting) or 'none'}.",
            )
        open_calls = [one for one in self.pending if one.id not in self.request.tool_results]
        if open_calls and not self.request.runs(open_calls):
            raise PuterInputError(
                f"The call {open_calls[0].id!r} of {open_calls[0].name} has no result",
                hint="Pass tool_results={call_id: value}, or its function in tools=.",
            )
        if (open_calls or not self.pending) and self._is_resumed():
            raise PuterInputError(
                "This turn was resumed before: tools of it have run, or it is in the conversation",
                hint="Go on with the .partial of the error that came then, or answer the calls "
                "with tool_results=.",
            )
        last = self.messages[-1] if self.messages else {"role": "assistant"}
        if not self.pending and last.get("role") == "assistant":
            raise PuterInputError(
                "There is nothing to resume: the turn is complete",
                hint="Pass an error's .partial, or a reply with open tool_calls.",
            )

    def _is_resumed(self) -> bool:
        """Whether tools ran since, as far as is known here, or its open calls were made."""
        history, resumed = self.history, self.request.resume
        if resumed is not None and _mark_of(resumed) in history.resumed:
            return True
        past = () if self.request.standalone or not self.pending else history.messages
        return tool_calls.is_within(past, self.messages, self.pending)

    def run_tools(self) -> Flow[None]:
        """Run the open calls, and add each with its result to the turn.

        Raises:
            Exception: What a tool raised for the caller; its call stays open.
        """
        outer = _running.get()
        try:
            _running.set((*outer, self))
            done, self.pending, ended = yield from tool_calls.run_calls(
                self.pending,
                self.request.tools,
                self.request.before_tool,
                self._tool_results,
                self.call,
                self.request.raise_tool_errors,
            )
            self._tool_results = {}  # a later round may have calls with the same ids
        finally:
            _running.set(outer)
        self.messages += done
        if done and self.request.resume is not None:
            self.history.resumed.append(_mark_of(self.request.resume))
        if isinstance(ended, tools.StopChat):
            text = clean_text(ended.message).strip()
            closing = [{"role": "assistant", "content": text}] if text else []
            answer = self._answers[-1]
            self._finish(
                answer.copy_with(
                    text=text or answer.text,
                    tool_calls=(),
                    finish_reason="stop",
                    elapsed=self.call.elapsed,
                ),
                closing,
            )
        elif ended is not None:
            raise ended
        elif self.pending:
            self.call.time_left()  # the deadline passed between two tools

    def partial(self, incomplete: ChatReply | None = None) -> ChatReply | None:
        """What was answered and run until now; None when nothing was.

        Args:
            incomplete: An answer that broke off; its text comes last, its tool calls are not run.
        """
        if not self._answers and incomplete is None:
            return None
        answers, calls, ended = self._answers, self.pending, {}
        messages = [*self.messages, *map(call_message, calls)]
        if incomplete is not None:
            calls, ended = incomplete.tool_calls, {"finish_reason": INCOMPLETE}
            answers = (*answers, incomplete._complete({"attempts": self.call.attempts}))
            if incomplete and not incomplete.isspace():
                messages.append({"role": "assistant", "content": incomplete.text})
        return total_reply(answers).copy_with(
            **ended,
            model=self.target.model,
            requested_model=self.target.model,
            elapsed=self.call.elapsed,
            messages=tuple(messages),
            standalone=self.request.standalone,
            tool_calls=calls,
        )

    def so_far(self) -> ChatReply:
        """What came until now: the reply, or what there is of it."""
        if self.reply is not None:
            return self.reply
        incomplete = None if self.stream is None else self.stream.reply()
        return self.partial(incomplete) or ChatReply("", model=self.target.model)

    def _finish(self, answer: ChatReply, messages: list[Message]) -> None:
        self.messages += messages
        request = self.request
        if len(self._answers) > 1:
            total = total_reply(self._answers)
            answer = answer.copy_with(usage=total.usage, cost=total.cost, attempts=total.attempts)
        standalone = request.standalone
        self.reply = answer._complete({"messages": tuple(self.messages), "standalone": standalone})
        # A turn with unanswered calls would be refused next time: it goes on with resume=.
        remembers = request.remember and request.composed is None
        if remembers and not standalone and not answer.tool_calls:
            self.history.commit(self.messages)
            self.committed = len(self.messages)


def _mark_of(reply: ChatReply) -> int:
    """Tells replies apart, in this process; a ``to_dict()`` has that of its reply."""
    return hash((reply.elapsed, repr([*reply.messages])))


def remember(
    call: CallContext, history: History, request: ChatRequest, reply: ChatReply
) -> Flow[None]:
    """Add the turn of a reply to the history, if it is to be and is complete."""
    if request.remember and not request.standalone and not reply.tool_calls:
        history.commit(reply.messages)
        yield from notify(call, "history.commit", messages=len(reply.messages))


def encoded(
    known: int,
    before: list[Message],
    messages: list[Message],
    length: int,
    given: int,
    target: ModelTarget,
    config: PuterConfig,
    options: Mapping[str, Any],
    schemas: Sequence[Mapping[str, Any]],
    stream: bool,
    serializer: Serializer | None,
) -> HttpRequest:
    """A request of a turn; all but the first is kept by the reply, for ``as_curl()``.

    Args:
        known: How many of all messages, from the first, are known to be plain.
        before: What is sent before the turn.
        messages: The live list of the turn's messages.
        length: How many of them are sent.
        given: How many of them the user gave.
        target: Where it goes.
        config: The call's settings.
        options: The chat options.
        schemas: Of the tools.
        stream: Ask for a stream.
        serializer: What writes it. Default: the standard library.
    """
    sent = messages[:length]
    if target.server is not None:
        if forces_tool(options.get("tool_choice") or "auto") and _has_results(sent[given:]):
            options = {**options, "tool_choice": "auto"}
        asked = (*before, *sent)
        return _prepared(target.server, target, config, asked, options, schemas, stream)
    args = target.route.dialect.encode(
        before + sent, options, target.family, target.model, known=known
    )
    args["model"] = target.model
    if schemas:
        args["tools"] = [*schemas, *args.get("tools", [])]
    if (choice := args.get("tool_choice")) is not None:
        if forces_tool(choice) and _has_results(sent[given:]):
            choice = "auto"  # it was called: now the model may answer
        if isinstance(choice, str):
            target.route.dialect.choose_tool(args, choice)
    if stream:
        args["stream"] = True
    timeout = config.timeout
    if options:
        timeout = options.get("timeout") or timeout
        args.update(options.get("extra") or {})
    return driver_call(
        config,
        "puter-chat-completion",
        "complete",
        args,
        driver="ai-chat",
        encode=chat_body,
        serializer=serializer,
        timeout=timeout,
        stream=stream,
    )


def _prepared(
    server: Server,
    target: ModelTarget,
    config: PuterConfig,
    messages: Sequence[Message],
    options: Mapping[str, Any],
    schemas: Sequence[Mapping[str, Any]],
    stream: bool,
) -> HttpRequest:
    """The request that the driver of a model makes."""
    toolbox = tools.Toolbox(schemas) if schemas else None
    stream = stream and server.streams
    asked = middleware.Request("chat", target.model, messages, options, {"tools": toolbox}, stream)
    return server.request(asked, config, options.get("timeout") or config.timeout)


def _has_results(own: Sequence[Message]) -> bool:
    """Whether tools were run, or answered by hand, since the user's last message."""
    roles = [one.get("role") for one in reversed(own)]
    return "tool" in roles[: roles.index("user") if "user" in roles else None]


def _as_curl(*sent: Any) -> str:
    return curl.command(encoded(0, *sent))


_running: ContextVar[tuple[Turn, ...]] = ContextVar("puter_tools_running", default=())
"""Turns whose tools this code is called by."""

Answer: TypeAlias = Callable[[Turn], Flow[None]]
"""How one answer is fetched, other than as a whole."""


def run_turn(
    call: CallContext, history: History, request: ChatRequest, answer: Answer | None = None
) -> Flow[ChatReply]:
    """Send the turn, run the tools that the model calls, and return the last answer.

    Raises:
        PuterError: With ``partial``, once anything was answered or run.
    """
    target = target_of(call, history, request)
    call.model = target.model
    turn = Turn(call, history, request, target, *(yield from compose(history, request)))
    call.partial = turn.so_far
    settled: ChatReply | None = None
    if history.queue is not None:
        history.turn = turn
    try:
        if request.resume is not None:
            turn.resume()
        while turn.reply is None:
            if call.closed:
                raise call.stream_closed()
            if turn.pending:
                yield from turn.run_tools()
            elif answer is not None:
                yield from answer(turn)
            else:
                reply = yield from turn.send(stream=False)
                turn.accept_reply(turn.read(reply))
        if turn.committed and call.extensions.listeners:
            yield from notify(call, "history.commit", messages=turn.committed)
    except PuterError as error:
        incomplete = error.partial
        if turn.pending or not isinstance(incomplete, ChatReply):
            incomplete = None  # while tools are pending it is of another chat, of before_tool's
        error.partial = settled = turn.partial(incomplete)
        raise
    finally:
        if history.turn is turn:
            history.turn = None
        if turn.unsettled:  # given up, or cut off
            turn.give_up()
        if settled is None and answer is not None:
            settled = turn.so_far()
        call.partial = None if settled is None else lambda: settled  # no cycle of call and turn
    return turn.reply


def in_order(history: History, call: CallContext, flow: Flow[T]) -> Flow[T]:
    """The flow, run when its turn has come: in a conversation each must see the one before."""
    return flow if history.queue is None else _queued(history, history.queue, call, flow)


def _queued(history: History, queue: Throttle, call: CallContext, flow: Flow[T]) -> Flow[T]:
    callers = _running.get()
    permit = call.permit(queue)
    try:
        try:
            for turn in callers:
                turn.waits_for = history
            by_tool = _leads_back(history, callers)
            if by_tool or queue.leads_back:
                raise PuterInputError(
                    f"{'A tool' if by_tool else 'Middleware'} cannot chat in the conversation that "
                    "called it: each would wait for the other",
                    hint="Let it use the client, or a fork() of the conversation.",
                )
            yield Acquire(permit, call.time_left())
        finally:
            for turn in callers:
                turn.waits_for = None
        return (yield from flow)
    finally:
        permit.release()


def _leads_back(history: History | None, callers: tuple[Turn, ...]) -> bool:
    """Whether waiting for this conversation is, in the end, waiting for one of the callers."""
    seen: list[History] = []
    while history is not None and history.turn is not None and history not in seen:
        if history.turn in callers:
            return True
        seen.append(history)
        history = history.turn.waits_for
    return False


def total_reply(answers: Sequence[ChatReply]) -> ChatReply:
    """The last answer with usage, cost and attempts of all; one unknown cost leaves it unknown."""
    if len(answers) == 1:
        return answers[0]
    usage, cost = total_of([(one.usage, one.cost) for one in answers])
    return answers[-1].copy_with(
        usage=usage,
        cost=cost,
        attempts=sum(one.attempts for one in answers),
    )
