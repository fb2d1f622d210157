"""For the examples: your Puter when credentials are set, else a LocalPuter on this machine.

With PUTER_AUTH_TOKEN (or PUTER_USERNAME and PUTER_PASSWORD) set, an example talks to your Puter
and is billed; without, it needs no account and no network, and costs nothing.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

ON_CTRL_C = signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback while modules load

from puter import PuterAI, PuterError  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Generator

CREDENTIALS = {"PUTER_AUTH_TOKEN", "PUTER_TOKEN", "PUTER_API_TOKEN", "PUTER_USERNAME"}


@contextmanager
def open_client() -> Generator[PuterAI, None, None]:
    """A client that is closed at the end; what goes wrong meanwhile ends the program in a line."""
    try:
        signal.signal(signal.SIGINT, ON_CTRL_C)
        sys.stdin = sys.stdin or io.StringIO()  # closed, `<&-`: input() is at its end then
        with ExitStack() as stack:
            if os.environ.keys() & CREDENTIALS:
                ai = stack.enter_context(PuterAI())
            else:
                from puter.testing import LocalPuter

                puter = stack.enter_context(LocalPuter())
                ai = stack.enter_context(puter.client())
                print(f"No credentials set: talking to a LocalPuter at {puter.url}\n")
            yield ai
            print(end="", flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `| head -1` has read enough; Python must not flush again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (PuterError, OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    with open_client() as client:
        print(client.whoami().username)
