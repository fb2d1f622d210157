"""What all parts of the application use: the client, and the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from puter.ai import PuterAI

CLIENT: web.AppKey[PuterAI] = web.AppKey("client")
"""Who asks Puter."""
LOGGER: logging.Logger = logging.getLogger("puter.serve")
