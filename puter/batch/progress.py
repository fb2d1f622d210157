"""The progress bar of a batch: how many items are done, what they cost, how long the rest takes."""

from __future__ import annotations

import sys
from contextlib import suppress
from decimal import Decimal
from typing import Any

from puter.exceptions import PuterConfigError
from puter.money import usd
from puter.process import library


def open_bar(wanted: bool | None, total: int | None) -> Any:
    """A bar of tqdm, or None.

    Args:
        wanted: None for one where stderr is a terminal and tqdm is installed.
        total: How many items there are, if that is known.

    Raises:
        PuterConfigError: One is wanted, and tqdm is not installed.
    """
    if wanted is False or (wanted is None and not _is_terminal()):
        return None
    try:
        with library("tqdm", "batch", "A progress bar"):
            from tqdm.auto import tqdm  # type: ignore[import-untyped]
    except PuterConfigError:
        if wanted is None:
            return None
        raise
    return tqdm(total=total, unit="item", dynamic_ncols=True)


def advance(bar: Any, cost: Decimal, failed: int, *, reused: bool) -> None:
    """One more is done. One whose answer was there before says nothing of the speed."""
    with suppress(Exception):  # such as a terminal that was closed: the answers go on
        if reused:
            bar.initial += 1
            bar.last_print_n += 1
            bar.n += 1
            return
        more = {"failed": failed} if failed else {}
        bar.set_postfix({"cost": usd(cost), **more}, refresh=False)
        bar.update()


def close_bar(bar: Any) -> None:
    with suppress(Exception):
        bar.refresh()
        bar.close()


def _is_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False
