"""One call at a time for each key, while others who want the same wait for it."""

from __future__ import annotations

import math
from weakref import WeakValueDictionary

from puter.engine.throttle import Throttle
from puter.process import short_lock


class Flights:
    """The keys that calls are under way for.

    Each is a queue for threads and tasks alike. Whoever is first in it flies; when that fails the
    next one does. It is gone when nobody holds it, however they left.
    """

    def __init__(self) -> None:
        self._queues: WeakValueDictionary[str, Throttle] = WeakValueDictionary()

    def queue(self, key: str) -> Throttle:
        """The queue of a key."""
        made = Throttle(rate_limit=math.inf, max_concurrency=1)  # may load something: no lock yet
        with short_lock():
            return self._queues.setdefault(key, made)

    def land(self, key: str, queue: Throttle) -> None:
        """Let all go who wait: the flight went well, and brought nothing that they could use."""
        with short_lock():
            if self._queues.get(key) is queue:
                del self._queues[key]
        queue.resize(math.inf, 1.0, math.inf)
