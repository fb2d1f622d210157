"""What happened during a call, as frozen values; the transports log each in one line."""

from __future__ import annotations

import logging
from typing import ClassVar, TypeAlias

from puter.exceptions import words_of
from puter.records import dataclass
from puter.wire.http import HttpRequest
from puter.wire.redact import one_line

LOGGER = logging.getLogger("puter")
_http = logging.getLogger("puter.http")
_tools = logging.getLogger("puter.tools")
_retry = logging.getLogger("puter.retry")


@dataclass(frozen=True, slots=True)
class Answered:
    """A request was answered."""

    logger: ClassVar[logging.Logger] = _http
    level: ClassVar[int] = logging.DEBUG
    error: ClassVar[None] = None
    request: HttpRequest
    status: int
    seconds: float

    def __str__(self) -> str:
        where = f"{self.request.method} {self.request.where}"
        return one_line(f"{where} -> {self.status} in {self.seconds:.3f} s")


@dataclass(frozen=True, slots=True)
class Retrying:
    """A request will be sent again after ``delay`` seconds."""

    logger: ClassVar[logging.Logger] = _retry
    error: ClassVar[None] = None
    request: HttpRequest
    attempt: int
    delay: float
    reason: str
    unreachable: bool = False
    """No connection could be made."""

    @property
    def level(self) -> int:
        """A server that stays unreachable makes for a long silence."""
        return logging.WARNING if self.unreachable and self.attempt > 1 else logging.INFO

    def __str__(self) -> str:
        failed = f"attempt {self.attempt} failed ({self.reason})"
        where = f"{self.request.method} {self.request.where}"
        return one_line(f"{where}: {failed}, next one in {self.delay:.2f} s")


@dataclass(frozen=True, slots=True)
class ToolRan:
    """A tool was run; ``error`` is what it raised, if anything, and is logged with traceback."""

    logger: ClassVar[logging.Logger] = _tools
    name: str
    call_id: str
    error: Exception | None = None

    @property
    def level(self) -> int:
        return logging.DEBUG if self.error is None else logging.WARNING

    def __str__(self) -> str:
        if self.error is None:
            return one_line(f"{self.name} ran ({self.call_id})")
        kind = type(self.error).__name__
        return one_line(f"{self.name} failed ({self.call_id}): {kind}: {words_of(self.error)}")


Event: TypeAlias = Answered | Retrying | ToolRan
