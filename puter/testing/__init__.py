"""Test against Puter without Puter: `LocalPuter`, an embedded server."""

from __future__ import annotations

from puter.testing.accounts import User
from puter.testing.chat_driver import ChatCall
from puter.testing.gate import Gate
from puter.testing.journal import RecordedRequest
from puter.testing.limits import Tier
from puter.testing.media_call import AudioBody, MediaCall, MediaInput
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
    StreamError,
    StreamFault,
    StreamReset,
    Truncate,
    UpstreamFailure,
)
from puter.testing.server import LocalPuter

__all__ = [
    "AudioBody",
    "ChatCall",
    "Disconnect",
    "Failure",
    "Fault",
    "Garbage",
    "Gate",
    "Hang",
    "InvalidUtf8",
    "LocalPuter",
    "MediaCall",
    "MediaInput",
    "RecordedRequest",
    "Redirect",
    "Reply",
    "Reset",
    "StreamCut",
    "StreamDisconnect",
    "StreamError",
    "StreamFault",
    "StreamReset",
    "Tier",
    "Truncate",
    "UpstreamFailure",
    "User",
]
