"""``LogFilter``: what the libraries log while a server is open."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_LOGGER = logging.getLogger("puter.mcp")


class LogFilter(logging.Filter):
    """Lets the libraries log no secret, and tell once of what is no message, without a traceback.

    Made in the thread of a connection, it leaves alone what is logged in others.

    Args:
        label: Of the server.
        redact: Takes what is secret out of a text.
    """

    _LOGGERS = (  # as mcp and its HTTP library name them
        "client",
        "mcp.client.stdio",
        "mcp.client.streamable_http",
        "httpx2",
        "httpcore2.http11",
    )

    def __init__(self, label: str, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._label, self._redact = label, redact
        self._thread, self._told = threading.get_ident(), False

    def filter(self, record: logging.LogRecord) -> bool:
        if threading.get_ident() != self._thread:
            return True
        if not record.exc_info:
            record.msg, record.args = self._redact(record.getMessage()), ()
            return True
        if isinstance(record.exc_info[1], ValueError) and not self._told:
            self._told = True
            _LOGGER.warning(
                "%s writes something that is no message of MCP; it is ignored", self._label
            )
        return False

    def __enter__(self) -> None:
        for name in self._LOGGERS:
            logging.getLogger(name).addFilter(self)

    def __exit__(self, *_: object) -> None:
        for name in self._LOGGERS:
            logging.getLogger(name).removeFilter(self)
