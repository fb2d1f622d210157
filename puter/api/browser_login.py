"""Signing in in the user's browser: Puter's own page hands a token to this machine."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from urllib.parse import quote

from puter.browser import show
from puter.callback import Callback
from puter.checks import SECONDS, flag
from puter.engine.context import CallContext
from puter.engine.credentials import client_closed
from puter.engine.effects import Flow, Invoke, do
from puter.exceptions import PuterTimeoutError
from puter.settings import origin_of


def login_with_browser(
    call: CallContext, *, timeout: float = 300, open_browser: bool = True
) -> Flow[bool]:
    """Sign in on Puter's page in the user's browser, which hands the client a token.

    The browser brings the token to a one-time address of this machine, which listens on the
    loopback interface alone and is closed after it. It is an API token for the whole account, and
    does not expire by itself. Where no browser opens, the page's address is printed on standard
    error; a browser on another machine needs the port forwarded: ``ssh -L PORT:localhost:PORT``.

    Args:
        timeout: Seconds to wait for the user, above 0. The client's ``deadline`` counts as well.
        open_browser: Whether to open a browser; else the address is printed.

    Returns:
        True. Anything else raises.

    Raises:
        PuterTimeoutError: Nobody signed in in time. Puter does not tell when the user refuses.
        PuterError: Nothing can listen on this machine.

    Examples:
        >>> ai.login_with_browser(timeout=120)
        True
    """
    seconds = SECONDS.kind(whole=False)("timeout", timeout)
    flag("open_browser", open_browser)
    who, left = call.shared.credentials, call.time_left()
    seconds = seconds if left is None else min(seconds, left)
    callback = Callback()
    who.at_closing.append(callback.stop)
    try:
        if who.closed:
            raise client_closed()
        address = yield from do(Invoke(callback.open, inline=True))
        page = f"{origin_of(call.config.login_url)}/?action=authme&redirectURL="
        page += quote(address, safe="")
        tell = partial(_tell, callback, page)
        begin = (
            Invoke(show, (page, tell), inline=True) if open_browser else Invoke(tell, inline=True)
        )
        yield from do(begin)
        token = yield from do(Invoke(callback.wait, (seconds,), stop=callback.stop))
    finally:
        who.at_closing.remove(callback.stop)
        callback.close()
    if who.closed:
        raise client_closed()
    if token is None:
        raise PuterTimeoutError(
            f"Nobody signed in in the browser within {seconds:g} s",
            hint="Call login_with_browser() again, with a longer timeout, or pass token=... . "
            "A browser on another machine needs the port forwarded.",
        )
    who.sign_in(token.reveal(), call.config)
    return True


def _tell(callback: Callback, page: str) -> None:
    """Print the page's address, while somebody still waits for it."""
    port = callback.port
    if port is None or sys.stderr is None:
        return
    told = (
        f"Open this address in a browser to sign in to Puter:\n\n{page}\n\n"
        f"A browser on another machine needs: ssh -L {port}:localhost:{port} THIS_MACHINE\n"
    )
    with suppress(OSError, ValueError):  # standard error is closed
        sys.stderr.write(told)
        sys.stderr.flush()
