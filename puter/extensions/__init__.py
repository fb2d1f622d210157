"""What ``client.use()`` takes, and what such extensions are made with.

    from puter.extensions import map_chunks

    def shouting(request, call_next):
        return (yield from map_chunks(call_next(request), str.upper))

    ai.use(shouting)

Names are loaded on first use; what a library is needed for says so then.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from puter.engine.chunk_mapping import map_chunks as map_chunks
    from puter.engine.effects import Flow as Flow
    from puter.engine.events import Event as Event
    from puter.engine.middleware import AttemptMiddleware as AttemptMiddleware
    from puter.engine.middleware import AttemptRequest as AttemptRequest
    from puter.engine.middleware import CallNext as CallNext
    from puter.engine.middleware import Middleware as Middleware
    from puter.engine.middleware import Request as Request
    from puter.engine.middleware import invoke as invoke
    from puter.engine.middleware import notify as notify
    from puter.engine.middleware import sleep as sleep
    from puter.engine.servers import ChatRequest as ChatRequest
    from puter.engine.servers import Driver as Driver
    from puter.extensions.budget import Budget as Budget
    from puter.extensions.cache import Cache as Cache
    from puter.extensions.fallback import Fallback as Fallback
    from puter.extensions.limiter import RedisLimiter as RedisLimiter
    from puter.extensions.metrics import Prometheus as Prometheus
    from puter.extensions.openai_compatible import OpenAICompatible as OpenAICompatible
    from puter.extensions.serializers import Orjson as Orjson
    from puter.extensions.stores import Store as Store
    from puter.extensions.tracing import OpenTelemetry as OpenTelemetry
    from puter.wire.http import HttpReply as HttpReply
    from puter.wire.http import HttpRequest as HttpRequest
    from puter.wire.serializing import Serializer as Serializer

_MODULES = {
    "puter.engine.chunk_mapping": ("map_chunks",),
    "puter.engine.effects": ("Flow",),
    "puter.engine.events": ("Event",),
    "puter.engine.middleware": (
        "AttemptMiddleware", "AttemptRequest", "CallNext", "Middleware", "Request", "invoke",
        "notify", "sleep",
    ),
    "puter.engine.servers": ("ChatRequest", "Driver"),
    "puter.extensions.budget": ("Budget",),
    "puter.extensions.cache": ("Cache",),
    "puter.extensions.fallback": ("Fallback",),
    "puter.extensions.limiter": ("RedisLimiter",),
    "puter.extensions.metrics": ("Prometheus",),
    "puter.extensions.openai_compatible": ("OpenAICompatible",),
    "puter.extensions.stores": ("Store",),
    "puter.extensions.tracing": ("OpenTelemetry",),
    "puter.extensions.serializers": ("Orjson",),
    "puter.wire.serializing": ("Serializer",),
    "puter.wire.http": ("HttpReply", "HttpRequest"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # a type checker shall refuse names that are not above

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name == "__all__":
            value = sorted(_MODULE_OF)
        elif name in _MODULE_OF:
            value = getattr(import_module(_MODULE_OF[name]), name)
        else:
            raise AttributeError(f"module 'puter.extensions' has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
