"""``python -m puter models refresh``: rewrite the registry of models from a live server."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from puter.ai import PuterAI
from puter.api.model_lists import fetch_catalogue
from puter.atomic import write_whole
from puter.exceptions import PuterError
from puter.models import providers_of


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is 0, or 1 when the server or the disk failed."""
    parser = argparse.ArgumentParser(prog="python -m puter")
    commands = parser.add_subparsers(required=True, metavar="command")
    models = commands.add_parser("models", help="the registry of models")
    actions = models.add_subparsers(required=True, metavar="action")
    refresh = actions.add_parser("refresh", help="rewrite the registry from a live server")
    refresh.add_argument("--api-base", help="default: PUTER_API_BASE, or https://api.puter.com")
    refresh.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent,
        help="folder to write to (default: the package's own)",
    )
    chosen = parser.parse_args(arguments)
    try:
        count = _refresh(chosen.api_base, chosen.output)
    except (PuterError, OSError) as error:
        print(f"puter: {error}", file=sys.stderr)
        return 1
    print(f"{count} chat models written to {chosen.output}")
    return 0


def _refresh(api_base: str | None, folder: Path) -> int:
    """Write the registry; how many chat models it has."""
    with PuterAI() if api_base is None else PuterAI(api_base=api_base) as ai:
        lists = ai._run(fetch_catalogue)
        source = ai.config.api_base
    today = datetime.now(timezone.utc).date().isoformat()
    write({"captured": today, "source": source, **lists}, folder)
    return len(providers_of(lists))


def write(catalogue: Mapping[str, Any], folder: Path) -> None:
    """Write both files of the registry, each of them whole or not at all."""
    for name, data in (
        ("catalogue.json", catalogue),
        ("available_models.json", providers_of(catalogue)),
    ):
        write_whole(folder / name, f"{_pretty(data)}\n".encode())


def _pretty(data: Mapping[str, Any]) -> str:
    """JSON with one model a line, so that a refresh reads well as a diff."""
    lines: list[str] = []
    for key, value in data.items():
        if isinstance(value, list):
            inner = ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in value)
            lines.append(f"{json.dumps(key)}: [\n{inner}\n]" if value else f"{json.dumps(key)}: []")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}"


if __name__ == "__main__":
    raise SystemExit(main())
