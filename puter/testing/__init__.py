"""Test against Puter without Puter: `LocalPuter`, an embedded server.

Names are imported when first used: the pytest plugin in this package must be quick to load.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from puter.testing.accounts import User
    from puter.testing.chat_call import ChatCall
    from puter.testing.gate import Gate
    from puter.testing.journal import RecordedRequest
    from puter.testing.limits import Tier
    from puter.testing.media_call import AudioBody, MediaCall
    from puter.testing.media_files import MediaInput
    from puter.testing.replies import (
        Disconnect,
        Failure,
        Fault,
        Garbage,
        Hang,
        InvalidUtf8,
        Redirect,
        Reply,
        Reset,
        StreamCut,
        StreamDisconnect,
        StreamEnd,
        StreamError,
        StreamFault,
        StreamReset,
        Truncate,
        UpstreamFailure,
    )  # fmt: skip
    from puter.testing.server import LocalPuter
    from puter.transports.mock import MockReply, MockRequest, MockTransport

__all__ = [
    "AudioBody", "ChatCall", "Disconnect", "Failure", "Fault", "Garbage", "Gate", "Hang",
    "InvalidUtf8", "LocalPuter", "MediaCall", "MediaInput", "MockReply", "MockRequest",
    "MockTransport", "RecordedRequest", "Redirect", "Reply",
    "Reset", "StreamCut", "StreamDisconnect", "StreamEnd", "StreamError", "StreamFault",
    "StreamReset", "Tier", "Truncate", "UpstreamFailure", "User",
]  # fmt: skip

_MODULES = {
    "AudioBody": "puter.testing.media_call",
    "ChatCall": "puter.testing.chat_call",
    "Gate": "puter.testing.gate",
    "LocalPuter": "puter.testing.server",
    "MediaCall": "puter.testing.media_call",
    "MediaInput": "puter.testing.media_files",
    "MockReply": "puter.transports.mock",
    "MockRequest": "puter.transports.mock",
    "MockTransport": "puter.transports.mock",
    "RecordedRequest": "puter.testing.journal",
    "Tier": "puter.testing.limits",
    "User": "puter.testing.accounts",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_MODULES.get(name, "puter.testing.replies"))
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
