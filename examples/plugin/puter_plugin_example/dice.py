"""A tool for every chat."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from puter.extensions import Flow, Request


def roll_dice(count: int = 1, sides: int = 6) -> list[int]:
    """Roll dice.

    Args:
        count: How many, 1 to 100.
        sides: Sides of each, 1 or more.
    """
    return [random.randint(1, max(sides, 1)) for _ in range(min(count, 100))]


class Dice:
    """Gives each chat the tool ``roll_dice``, beside those of its own."""

    def middleware(self, request: Request, call_next: Callable[[Request], Flow[Any]]) -> Flow[Any]:
        if request.operation == "chat":
            tools = [*(request.args["tools"] or ()), roll_dice]
            request = request.replace(args={**request.args, "tools": tools})
        return (yield from call_next(request))
