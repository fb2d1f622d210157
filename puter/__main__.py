"""``python -m puter``: the command line, as ``puter-ai``."""

from __future__ import annotations

from puter.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
