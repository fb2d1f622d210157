"""For the examples: your Puter when credentials are set, else a LocalPuter on this machine."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from puter import PuterAI
from puter.testing import LocalPuter

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def open_client() -> Generator[PuterAI, None, None]:
    """A client that is closed at the end."""
    if os.environ.keys() & {"PUTER_AUTH_TOKEN", "PUTER_TOKEN", "PUTER_API_TOKEN", "PUTER_USERNAME"}:
        with PuterAI() as ai:
            yield ai
    else:
        with LocalPuter() as puter, puter.client() as ai:
            print(f"No credentials set: talking to a LocalPuter at {puter.url}\n")
            yield ai


if __name__ == "__main__":
    with open_client() as client:
        print(client.whoami().username)
