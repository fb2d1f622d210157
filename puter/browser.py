"""Showing an address in the user's browser, without waiting for it."""

from __future__ import annotations

import os
import threading
import webbrowser
from collections.abc import Callable


def show(url: str, otherwise: Callable[[], None]) -> None:
    """Open the address in a browser.

    ``webbrowser`` waits for some browsers, so a thread does it that nobody waits for.

    Args:
        url: The address.
        otherwise: Called when no browser opens, from that thread.
    """
    try:
        threading.Thread(
            target=_open, args=(url, otherwise), daemon=True, name="puter-browser"
        ).start()
    except RuntimeError:  # this process can start no more threads
        otherwise()


def _open(url: str, otherwise: Callable[[], None]) -> None:
    try:
        opened = not _takes_the_terminal() and webbrowser.open(url)
    except Exception:  # noqa: BLE001 - whatever a browser's driver fails with, there is none
        opened = False
    if not opened:
        otherwise()


def _takes_the_terminal() -> bool:
    """Whether it would be a text browser: lynx, w3m. Puter's page needs JavaScript besides."""
    if os.environ.get("BROWSER"):
        return False  # the user says which
    try:
        return type(webbrowser.get()) is webbrowser.GenericBrowser
    except webbrowser.Error:
        return False
