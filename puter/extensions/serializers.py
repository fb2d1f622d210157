"""``Orjson``: the JSON of requests and answers by orjson."""

from __future__ import annotations

from typing import Any

from puter.process import library


class Orjson:
    """Writes and reads JSON with ``orjson`` (``pip install orjson``).

    Results and errors are those of the standard library: it takes over for what orjson refuses or
    reads otherwise, such as halves of emoji and numbers of more than 64 bits.

    Raises:
        PuterConfigError: orjson is not installed.

    Examples:
        >>> ai = PuterAI(token="...").use(Orjson())
    """

    def __init__(self) -> None:
        with library("orjson", "orjson", "Orjson()"):
            import orjson
        self._dumps: Any = orjson.dumps
        self._option = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
        self.loads: Any = orjson.loads

    def dumps(self, obj: Any) -> bytes:
        """The JSON of a value."""
        written: bytes = self._dumps(obj, None, self._option)
        return written
