"""``Prometheus``: counters and a histogram of calls."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from puter.engine.effects import Flow
from puter.exceptions import PuterConfigError
from puter.extensions.conventions import DURATION
from puter.extensions.single import Single
from puter.extensions.watched import Watched, harmless
from puter.models import registry
from puter.process import library, loading, short_lock

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Histogram

    from puter.engine.middleware import CallNext, Request

LABELS = ("operation", "model", "outcome")
MOST_UNKNOWN = 100
"""Models that the registry does not know and that are labels all the same; others are OTHER."""
OTHER = "other"


class Prometheus(Single):
    """Counts calls for Prometheus, by ``operation``, ``model`` and ``outcome``.

    - ``puter_calls_total``: calls of methods, however many requests each made;
    - ``puter_call_seconds``: how long they took, of a stream until it ended;
    - ``puter_tokens_total``: tokens sent and received, of calls where the server told all of them;
    - ``puter_cost_usd_total``: what the calls cost of which the server told all costs;
    - ``puter_retries_total``: requests that were sent again.

    ``outcome`` is ``ok``, ``error``, or ``cancelled`` for tasks cancelled and streams closed early.
    ``model`` is the one that was asked in the end; of models that the registry does not know the
    first 100 have labels of their own. Several clients may share a registry.

    Needs the package prometheus-client: ``pip install prometheus-client``.

    Args:
        registry: Where the metrics are collected. Default: ``prometheus_client.REGISTRY``.

    Raises:
        PuterConfigError: The package is missing, or the registry has other metrics of these names.

    Examples:
        >>> from prometheus_client import CollectorRegistry, generate_latest
        >>> from puter.extensions import Prometheus
        >>> registry = CollectorRegistry()
        >>> ai = PuterAI().use(Prometheus(registry))
        >>> ai.chat("Say hello").text
        'Hello!'
        >>> labels = {"operation": "chat", "model": "gpt-5-nano", "outcome": "ok"}
        >>> registry.get_sample_value("puter_calls_total", labels)
        1.0
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        with library("prometheus-client", "prometheus", "Prometheus()"):
            import prometheus_client
        self._metrics = _metrics_in(prometheus_client.REGISTRY if registry is None else registry)

    def middleware(self, request: Request, call_next: CallNext) -> Flow[Any]:
        """Around each call."""
        watched = Watched(request, call_next(request))
        try:
            return (yield from watched)
        finally:
            with harmless(request):
                self._count(watched)
            watched.forget()

    def _count(self, call: Watched[Any]) -> None:
        found = self._metrics
        labels = (call.request.operation, found.label_of(call.model or ""), call.outcome)
        found.calls.labels(*labels).inc()
        found.seconds.labels(*labels).observe(call.seconds)
        if call.usage is not None:
            found.tokens.labels(*labels).inc(call.usage.total_tokens)
        if call.cost is not None:
            found.cost.labels(*labels).inc(float(call.cost))
        if call.retries:
            found.retries.labels(*labels).inc(call.retries)


class _Metrics(NamedTuple):
    """Those of one registry."""

    calls: Counter
    seconds: Histogram
    tokens: Counter
    cost: Counter
    retries: Counter
    unknown: set[str]
    """Models that the registry of models does not know, and that are labels."""

    def label_of(self, model: str) -> str:
        """The model, as far as there may be no end of names."""
        models = registry()
        if not model or model in models.all_ids or models.find(model) is not None:
            return model
        with short_lock():
            if len(self.unknown) < MOST_UNKNOWN:
                self.unknown.add(model)
        return model if model in self.unknown else OTHER


_known: weakref.WeakKeyDictionary[CollectorRegistry, _Metrics] = weakref.WeakKeyDictionary()
"""Metrics by their registry."""


def _metrics_in(collected: CollectorRegistry) -> _Metrics:
    from prometheus_client import Counter, Histogram

    with loading():  # by one thread: a registry takes no second metric of a name
        if (found := _known.get(collected)) is not None:
            return found
        try:
            made = _Metrics(
                Counter("puter_calls", "Calls of methods", LABELS, registry=collected),
                Histogram(
                    "puter_call_seconds", "Seconds that calls took", LABELS, registry=collected,
                    buckets=DURATION.buckets,
                ),
                Counter("puter_tokens", "Tokens sent and received", LABELS, registry=collected),
                Counter("puter_cost_usd", "US dollars, where told", LABELS, registry=collected),
                Counter("puter_retries", "Requests sent again", LABELS, registry=collected),
                set(),
            )  # fmt: skip
        except ValueError as error:
            raise PuterConfigError(
                f"The registry has metrics of these names already: {error}",
                hint="Give Prometheus() a CollectorRegistry() of its own.",
            ) from None
        _known[collected] = made
        return made
