"""What OpenTelemetry calls the facts of a call to a model: names, units, buckets, in one table.

They are those of the semantic conventions for generative AI as of version 1.41 of the semantic
conventions, the last before these moved to a repository of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from puter.exceptions import PuterError

if TYPE_CHECKING:
    from puter.engine.middleware import Request
    from puter.extensions.watched import Watched

SCHEMA = "https://opentelemetry.io/schemas/1.41.0"
SYSTEM = "puter"
"""``gen_ai.provider.name``: whose API it is; who serves the model is in ``puter.provider``."""
OPERATION = {"chat": "chat", "parse": "chat"}
"""``gen_ai.operation.name`` of methods that the conventions have a word for."""
_OUTPUT = {
    "txt2img": "image",
    "txt2speech": "speech",
    "speech2speech": "speech",
    "img2txt": "text",
    "speech2txt": "text",
    "txt2vid": "video",
    "parse": "json",
}


def operation_name(request: Request) -> str:
    return OPERATION.get(request.operation, request.operation)


def span_name(request: Request) -> str:
    """Such as ``chat gpt-5-nano``."""
    return f"{operation_name(request)} {request.model or ''}".strip()


def error_type(error: BaseException) -> str:
    """The server's code where it has one, else the class."""
    code = error.code if isinstance(error, PuterError) else None
    if code and re.fullmatch(r"(?a)\w[\w.-]{0,63}", code):
        return code
    return type(error).__name__


def _option(name: str) -> Callable[[Request], Any]:
    def read(request: Request) -> Any:
        value = request.options.get(name)
        return list(map(str, value)) if isinstance(value, (list, tuple)) else value

    return read


def _address(request: Request, model: str | None) -> tuple[str | None, int | None]:
    """Host and port that the chats of a model go to, as far as its driver tells."""
    call, chats = request.call, request.operation in OPERATION
    server = call.extensions.server_of(model) if chats else None
    try:
        url = urlsplit(call.config.api_base if server is None else server.address)
        return url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)
    except ValueError:
        return None, None


def _of_usage(name: str, *, unknown: int | None = None) -> Callable[[Watched[Any]], Any]:
    """Tokens; ``unknown`` is the number that vendors which do not tell are given."""

    def read(call: Watched[Any]) -> Any:
        count = None if call.usage is None else getattr(call.usage, name)
        return None if count == unknown else count

    return read


def _of_result(name: str) -> Callable[[Watched[Any]], Any]:
    return lambda call: getattr(call.result, name, None) or None


def _finish_reasons(call: Watched[Any]) -> Any:
    reason = getattr(call.result, "finish_reason", None)
    if reason is None:
        return None
    return [reason if call.outcome == "ok" else "error"]


def _cost(call: Watched[Any]) -> Any:
    return None if call.cost is None else float(call.cost)


OF_REQUEST: Mapping[str, Callable[[Request], Any]] = {
    "gen_ai.operation.name": operation_name,
    "gen_ai.provider.name": lambda _: SYSTEM,
    "gen_ai.request.model": lambda request: request.model or None,
    "gen_ai.request.stream": lambda request: request.stream or None,
    "gen_ai.request.temperature": _option("temperature"),
    "gen_ai.request.top_p": _option("top_p"),
    "gen_ai.request.max_tokens": _option("max_tokens"),
    "gen_ai.request.seed": _option("seed"),
    "gen_ai.request.stop_sequences": _option("stop"),
    "gen_ai.request.frequency_penalty": _option("frequency_penalty"),
    "gen_ai.request.presence_penalty": _option("presence_penalty"),
    "gen_ai.output.type": lambda request: _OUTPUT.get(request.operation),
    "gen_ai.conversation.id": lambda request: request.metadata.get("conversation_id"),
    "server.address": lambda request: _address(request, request.model)[0],
    "server.port": lambda request: _address(request, request.model)[1],
}
"""Attributes known when a call begins; what is None is left out."""

OF_END: Mapping[str, Callable[[Watched[Any]], Any]] = {
    "gen_ai.response.model": _of_result("model"),
    "gen_ai.response.finish_reasons": _finish_reasons,
    "gen_ai.response.time_to_first_chunk": lambda call: call.first_chunk,
    "gen_ai.usage.input_tokens": _of_usage("input_tokens"),
    "gen_ai.usage.output_tokens": _of_usage("output_tokens"),
    "gen_ai.usage.cache_read.input_tokens": _of_usage("cached_tokens", unknown=0),
    "gen_ai.usage.reasoning.output_tokens": _of_usage("reasoning_tokens", unknown=0),
    "server.address": lambda call: _address(call.request, call.model)[0],
    "server.port": lambda call: _address(call.request, call.model)[1],
    "http.request.resend_count": lambda call: call.retries or None,
    "puter.provider": _of_result("provider"),
    "puter.cost_usd": _cost,
    "puter.cached": _of_result("cached"),
}
"""Attributes known when it has ended; what is None is left out."""

ERROR_TYPE = "error.type"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - of tokens of text
INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
"""The content, which is not recorded unless asked for."""

OF_METRICS = (
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model",
    "gen_ai.response.model", "server.address", "server.port", ERROR_TYPE,
)  # fmt: skip
"""The attributes that metrics have as well."""


class Histogram(NamedTuple):
    """A metric."""

    name: str
    unit: str
    description: str
    buckets: tuple[float, ...]


DURATION = Histogram(
    "gen_ai.client.operation.duration",
    "s",
    "GenAI operation duration.",
    tuple(round(0.01 * 2**n, 2) for n in range(14)),
)
TOKENS = Histogram(
    "gen_ai.client.token.usage",
    "{token}",
    "Number of input and output tokens used.",
    tuple(4**n for n in range(14)),
)

Attributes: TypeAlias = dict[str, Any]


def attributes_of(table: Mapping[str, Callable[[Any], Any]], what: Any) -> Attributes:
    """The attributes of a table that are known."""
    found = {name: read(what) for name, read in table.items()}
    return {name: value for name, value in found.items() if value is not None}
