"""The table of docs/explanation/providers.md: who reads which option of a chat.

``python -m tests.docs.providers --write`` writes it from ``puter.wire.dialects``.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from puter.options import ChatOptions
from puter.wire.dialects import PROVIDERS, READ_SOMEWHERE

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "providers.md"
MARK = "<!-- written by python -m tests.docs.providers --write -->"


GROUPS = {
    "OpenAI": {"openai-completion", "azure-openai"},
    "Responses": {"openai-responses", "azure-openai-responses"},
}
"""Providers that are alike, under one name."""


def grouped(names: Collection[str]) -> list[str]:
    left = set(names)
    told: list[str] = []
    for group, members in GROUPS.items():
        if members <= left:
            told.append(group)
            left -= members
    return [*told, *sorted(left)]


def named(readers: Collection[str]) -> str:
    """The providers, or those that are missing where these are fewer."""
    others = set(PROVIDERS) - set(readers)
    if not others:
        return "all"
    if len(others) < len(readers):
        return f"all but {', '.join(grouped(others))}"
    return ", ".join(grouped(readers))


def exceptions_of(option: str) -> str:
    """The providers that drop it for some models, or fail with it."""
    dropping = [
        name
        for name, row in PROVIDERS.items()
        if any(option in dropped for dropped in row.drops_for.values())
    ]
    told = [f"some models of {one}" for one in grouped(dropping)]
    told += [f"{name} fails" for name, row in PROVIDERS.items() if option in row.refuses]
    return ", ".join(told)


def table() -> list[str]:
    lines = ["| option | read by | but not by |", "|---|---|---|"]
    for option in ChatOptions.__annotations__:
        if option in READ_SOMEWHERE:
            readers = [name for name, row in PROVIDERS.items() if option in row.reads]
            lines.append(f"| `{option}` | {named(readers)} | {exceptions_of(option)} |")
    return lines


def written() -> list[str]:
    return PAGE.read_text("utf-8").split(MARK)[1].strip().splitlines()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", required=True)
    parser.parse_args()
    before, _, after = PAGE.read_text("utf-8").split(MARK)
    PAGE.write_text(MARK.join([before, "\n" + "\n".join(table()) + "\n", after]), "utf-8")
