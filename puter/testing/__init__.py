"""Test against Puter without Puter: `LocalPuter`, an embedded server."""

from __future__ import annotations

from puter.testing.accounts import User
from puter.testing.chat import ChatCall
from puter.testing.journal import RecordedRequest
from puter.testing.limits import Tier
from puter.testing.replies import (
    Disconnect,
    Failure,
    Fault,
    Hang,
    InvalidUtf8,
    Redirect,
    Reply,
    Reset,
    Truncate,
    UpstreamFailure,
)
from puter.testing.server import LocalPuter

__all__ = [
    "ChatCall",
    "Disconnect",
    "Failure",
    "Fault",
    "Hang",
    "InvalidUtf8",
    "LocalPuter",
    "RecordedRequest",
    "Redirect",
    "Reply",
    "Reset",
    "Tier",
    "Truncate",
    "UpstreamFailure",
    "User",
]
