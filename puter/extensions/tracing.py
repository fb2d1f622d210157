"""``OpenTelemetry``: a span and metrics for each call."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, TypeVar

from puter.engine.effects import Effect, Flow, StreamOpened, YieldChunks
from puter.engine.failures import conceal
from puter.exceptions import words_of
from puter.extensions import conventions, recorded_messages
from puter.extensions.conventions import Attributes, attributes_of
from puter.extensions.single import Single
from puter.extensions.watched import Watched, harmless
from puter.process import library
from puter.version import __version__
from puter.wire.redact import Redactor, one_line

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from puter.engine.middleware import CallNext, Request

T = TypeVar("T")


class OpenTelemetry(Single):
    """Traces and measures calls by OpenTelemetry's conventions for generative AI.

    Each call of a method is one span of kind CLIENT, such as ``chat gpt-5-nano``, however many
    requests it makes. It is current while the call runs, so spans of tools and of HTTP
    instrumentation are within it; while you have the chunks of a stream it is not. The metrics are
    ``gen_ai.client.operation.duration`` and ``gen_ai.client.token.usage``. What is said is not
    recorded, unless ``content`` is true, and the token never is.

    Needs the package opentelemetry-api: ``pip install opentelemetry-api``.

    Args:
        tracer_provider: Makes the tracer. Default: the global one.
        meter_provider: Makes the meter. Default: the global one.
        content: Record messages and answers, as ``gen_ai.input.messages`` and
            ``gen_ai.output.messages``: 65,536 characters of a text at most, 262,144 in all, and no
            bytes of pictures and files. Default False.

    Raises:
        PuterConfigError: The package is missing.

    Examples:
        >>> from puter.extensions import OpenTelemetry
        >>> ai = PuterAI().use(OpenTelemetry())
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        content: bool = False,
    ) -> None:
        with library("opentelemetry-api", "opentelemetry", "OpenTelemetry()"):
            from opentelemetry import context, metrics, trace
        self._trace, self._context = trace, context
        about: Any = {"schema_url": conventions.SCHEMA}
        self._tracer = trace.get_tracer(
            "puter", __version__, tracer_provider=tracer_provider, **about
        )
        meter = metrics.get_meter("puter", __version__, meter_provider=meter_provider, **about)
        self._duration, self._tokens = (
            meter.create_histogram(
                one.name,
                one.unit,
                one.description,
                explicit_bucket_boundaries_advisory=list(one.buckets),
            )
            for one in (conventions.DURATION, conventions.TOKENS)
        )
        self._content = content

    def middleware(self, request: Request, call_next: CallNext) -> Flow[Any]:
        """Around each call."""
        asked = attributes_of(conventions.OF_REQUEST, request)
        span = self._tracer.start_span(
            conventions.span_name(request), kind=self._trace.SpanKind.CLIENT, attributes=asked
        )
        inside = self._trace.set_span_in_context(span)
        watched = _InSpan(request, call_next(request), inside, self._context)
        try:
            return (yield from watched)
        finally:
            with harmless(request):
                self._end(span, asked, watched)
            watched.forget()

    def _end(self, span: Span, asked: Attributes, call: _InSpan[Any]) -> None:
        try:
            known = self._described(span, asked, call)
        finally:
            span.end()
        shared = {name: known[name] for name in conventions.OF_METRICS if name in known}
        self._duration.record(call.seconds, shared, context=call.inside)
        shared.pop(conventions.ERROR_TYPE, None)
        if (usage := call.usage) is not None:
            for kind, count in (("input", usage.input_tokens), ("output", usage.output_tokens)):
                attributes = {**shared, conventions.TOKEN_TYPE: kind}
                self._tokens.record(count, attributes, context=call.inside)

    def _described(self, span: Span, asked: Attributes, call: _InSpan[Any]) -> Attributes:
        """All that is known of a call, put into its span as well."""
        known = {**asked, **attributes_of(conventions.OF_END, call)}
        error = call.error
        if isinstance(error, GeneratorExit):  # a stream was not read on: no failure
            error = None
        if error is not None:
            known[conventions.ERROR_TYPE] = conventions.error_type(error)
        if span.is_recording():
            span.set_attributes(known)
            if self._content:
                span.set_attributes(_content(call.request, call.result))
            if error is not None:
                self._record_error(span, call.request, error)
        return known

    def _record_error(self, span: Span, request: Request, error: BaseException) -> None:
        """The status and the event of an error, its text without secrets and without traceback."""
        if isinstance(error, Exception):
            conceal(error, _secrets(request))
        redact = Redactor(_secrets(request))
        words = one_line(redact(words_of(error), _LONGEST))
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, words))
        kind = type(error)
        span.add_event(
            "exception",
            {
                "exception.type": f"{kind.__module__}.{kind.__qualname__}".removeprefix(
                    "builtins."
                ),
                "exception.message": words,
            },
        )


_LONGEST = 1000
"""Characters of an error's text at most."""


def _secrets(request: Request) -> tuple[Any, ...]:
    call = request.call
    return tuple(call.shared.credentials.secrets(call.config))


def _content(request: Request, reply: Any) -> Attributes:
    redact = Redactor(_secrets(request))
    messages = request.messages
    if not messages and isinstance(prompt := request.args.get("prompt"), str):
        messages = [{"role": "user", "content": prompt}]
    found: Attributes = {}
    if messages:
        found[conventions.INPUT] = recorded_messages.input_messages(messages, redact)
    if isinstance(reply, str):
        found[conventions.OUTPUT] = recorded_messages.output_messages(reply, redact)
    return found


_here: ContextVar[None] = ContextVar("puter_span_attached")
"""Set beside each span: a token of a ``ContextVar`` tells where it was made."""


class _InSpan(Watched[T]):
    """A flow whose span is current while it runs, and while its effects are carried out."""

    def __init__(
        self,
        request: Request,
        flow: Flow[T],
        inside: Context,
        api: Any,
    ) -> None:
        super().__init__(request, flow)
        self.inside = inside
        self._api = api  # opentelemetry.context
        self._entered: tuple[Token[Context], Token[None]] | None = None

    def _step(self, resume: Callable[..., Effect[Any]], *args: Any) -> Effect[Any]:
        if self._entered is None:
            self._entered = self._api.attach(self.inside), _here.set(None)
        runs_on = False
        try:
            effect = super()._step(resume, *args)
            # Chunks go to the user, whose spans are none of this call's.
            runs_on = not isinstance(effect, (YieldChunks, StreamOpened))
            return effect
        finally:
            if not runs_on:
                self._leave()

    def _leave(self) -> None:
        assert self._entered is not None  # noqa: S101 - for the type checker
        (outside, here), self._entered = self._entered, None
        try:
            _here.reset(here)
        except ValueError:  # closed by another thread or task than it waited in
            return
        self._api.detach(outside)
