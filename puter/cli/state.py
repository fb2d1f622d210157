"""Where the command line keeps what it remembers by itself: the user's folder for state."""

from __future__ import annotations

import os


def state_file(name: str) -> str:
    """The path of a file of ours, whether it is there or not."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "puter", name)
