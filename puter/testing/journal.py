"""The journal: every request LocalPuter received, for tests to look at."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from puter.testing.faults.fault import Fault
from puter.testing.faults.plan import Request

if TYPE_CHECKING:
    from puter.testing.chat_call import ChatCall
    from puter.testing.media_call import MediaCall


@dataclass(eq=False, repr=False)
class RecordedRequest:
    """A request as it arrived, and what became of it; its ``repr`` shows method and path alone.

    ``json`` is the parsed body (``None`` when the server did not parse it). ``started`` and
    ``finished`` are ``time.monotonic()`` seconds. ``status`` is ``None`` before the answer begins
    and ``finished`` before it is complete, and for good when that never happens. ``dropped``
    turns true when the connection is lost before that. ``usage`` is what a chat is billed; an
    abandoned one in full on the server of 2026-08, and as far as it came on that of 2026-10.
    ``chat`` and ``media`` are the calls as their vendors got them. ``fault`` is what it met, and
    ``ran`` says whether it was carried out, before that.
    """

    method: str
    path: str
    host: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = b""
    json: Any = None
    status: int | None = None
    token_user: str | None = None
    started: float = field(default_factory=time.monotonic)
    finished: float | None = None
    dropped: bool = False
    usage: Mapping[str, Any] | None = None
    chat: ChatCall | None = None
    media: MediaCall | None = None
    fault: Fault | None = None
    ran: bool = False

    def __repr__(self) -> str:
        return f"<RecordedRequest {self.method} {self.path}>"

    @property
    def operation(self) -> str:
        """Which of `faults.OPERATIONS` it is, ``""`` for others."""
        return Request.of(self.path, self.json).operation

    @property
    def billed(self) -> bool:
        """True for a chat or media call that is paid for."""
        return self.usage is not None or (self.ran and self.media is not None)

    @property
    def is_chat(self) -> bool:
        """True for a chat ``complete`` call."""
        if self.path != "/drivers/call" or not isinstance(self.json, dict):
            return False
        asked = self.json.get("interface"), self.json.get("method")
        return asked == ("puter-chat-completion", "complete")


class Journal:
    """Requests in order of arrival; safe to use from any thread."""

    def __init__(self) -> None:
        self._entries: list[RecordedRequest] = []
        self._changed = threading.Condition()

    def add(self, record: RecordedRequest) -> None:
        with self._changed:
            self._entries.append(record)
            self._changed.notify_all()

    def notify(self) -> None:
        """Wake those who wait: a request got its answer, or lost its client."""
        with self._changed:
            self._changed.notify_all()

    def entries(self) -> list[RecordedRequest]:
        with self._changed:
            return list(self._entries)

    def clear(self) -> None:
        with self._changed:
            self._entries.clear()

    def wait_for(
        self, wanted: int | Callable[[RecordedRequest], object], timeout: float
    ) -> list[RecordedRequest]:
        """Block until so many requests arrived, or one satisfies the condition."""

        def found() -> list[RecordedRequest]:
            if isinstance(wanted, int):
                return list(self._entries) if len(self._entries) >= wanted else []
            return [entry for entry in self._entries if wanted(entry)]

        with self._changed:
            if wanted == 0 or self._changed.wait_for(found, timeout):
                return found()
            raise TimeoutError(
                f"no such request within {timeout:g} s; {len(self._entries)} arrived. "
                "Check the condition, or give a longer timeout."
            )
