"""One call at a time for each key, while others who want the same wait for it."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager

from puter.engine.throttle import Throttle
from puter.process import short_lock


class Flights:
    """The keys that calls are under way for.

    Each is a queue for threads and tasks alike, which goes when the last of them leaves. Whoever is
    first in it flies; when that fails the next one does.
    """

    def __init__(self) -> None:
        self._queues: dict[str, tuple[Throttle, list[None]]] = {}

    @contextmanager
    def join(self, key: str) -> Generator[Throttle, None, None]:
        """The queue of a key, to be in as long as the block lasts."""
        made = Throttle(rate_limit=math.inf, max_concurrency=1)  # may not be made under the lock
        with short_lock():
            queue, members = self._queues.setdefault(key, (made, []))
            members.append(None)
        try:
            yield queue
        finally:
            with short_lock():
                members.pop()
                if not members:
                    self._queues.pop(key, None)


def land(queue: Throttle) -> None:
    """Let all go who wait: the flight went well, and brought nothing that they could use."""
    queue.resize(math.inf, 1.0, math.inf)
