"""The command line: ``puter-ai``, which is ``python -m puter`` as well."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words after ``puter-ai``. Default: those of this process.

    Returns:
        The exit code: 0 good, 1 an error of Puter, the network, a setting or in writing a file,
        2 wrong use, 130 interrupted.
    """
    try:
        from puter.cli.app import run

        return run(arguments)
    except KeyboardInterrupt:  # while modules are loaded; run() handles all others
        return 130
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in ("click", "rich"):
            raise
        install = "pip install click rich (the extra puter-python-sdk[cli])"
        sys.stderr.write(f"puter-ai: This needs the packages click and rich. {install}\n")
        return 1
