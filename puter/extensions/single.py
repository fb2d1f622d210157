"""``Single``: an extension that is one thing for all who use it."""

from __future__ import annotations

from typing import NoReturn


class Single:
    """Clients, their copies and conversations share the very object, and with it what it counts.

    It is neither copied nor pickled. A copy would count apart from the original, or share half of
    it: two amounts of money where there is one.
    """

    per_attempt: bool = False
    """Whether its middleware is around each HTTP attempt, not the whole call."""

    def __reduce_ex__(self, protocol: object, /) -> NoReturn:
        """Refuse what ``copy.copy()``, ``copy.deepcopy()`` and ``pickle`` ask for.

        Raises:
            TypeError: Always.
        """
        name = type(self).__name__
        raise TypeError(
            f"This {name} is neither copied nor pickled. Give the same one to each client of this "
            f"process, or make another: {name}(...)."
        )
