"""``python -m puter.testing``: a LocalPuter to try things against, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from puter.testing.backend import GENERATIONS
from puter.testing.limits import TIERS
from puter.testing.server import LocalPuter


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m puter.testing", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=0, help="port to listen on; any free one by default"
    )
    parser.add_argument(
        "--tier",
        choices=(*TIERS, "none"),
        default="user_free",
        help="limits of the account (default: %(default)s)",
    )
    parser.add_argument(
        "--generation",
        choices=GENERATIONS,
        default=GENERATIONS[-1],
        help="which server to play (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    tier = None if options.tier == "none" else options.tier
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    server = LocalPuter(port=options.port, tier=tier, generation=options.generation)
    try:
        server.start()
    except OSError as error:
        parser.error(f"cannot listen on port {options.port}: {error.strerror}")
    with suppress(KeyboardInterrupt), server as puter:
        print(f"LocalPuter listens on {puter.url} (Ctrl-C ends it)")
        print(f"User {puter.username!r}, password {puter.password!r}, token:\n{puter.token}\n")
        print(f"export PUTER_API_BASE={puter.api_base}")
        print(f"export PUTER_LOGIN_URL={puter.login_url}")
        print(f"export PUTER_AUTH_TOKEN={puter.token}", flush=True)
        while True:
            time.sleep(1)


if __name__ == "__main__":
    main()
