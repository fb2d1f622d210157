"""Where the command line keeps what it remembers by itself: the user's folder for state."""

from __future__ import annotations

import os
from typing import IO


def state_file(name: str) -> str:
    """The path of a file of ours, whether it is there or not."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "puter", name)


def open_private(path: str) -> IO[bytes]:
    """A file to add to, made with its folder where it is missing, for its owner alone."""
    os.makedirs(os.path.dirname(path) or os.curdir, mode=0o700, exist_ok=True)
    return open(path, "ab", buffering=0, opener=_private)


def _private(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if os.name == "posix":
        os.fchmod(descriptor, 0o600)
    return descriptor
