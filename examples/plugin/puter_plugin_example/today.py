"""Chats that know what day it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from puter.extensions import Flow, Request


def today(request: Request, call_next: Callable[[Request], Flow[Any]]) -> Flow[Any]:
    """Say the date before what is sent; it is not remembered."""
    if request.messages:  # a chat, or parse()
        now = datetime.now().astimezone()
        date = {"role": "system", "content": f"Today is {now:%A, %Y-%m-%d}."}
        request = request.replace(messages=[date, *request.messages])
    return (yield from call_next(request))
