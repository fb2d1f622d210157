"""``monotonic``: the machine's own seconds, also for whoever freezes time in tests.

freezegun puts its own functions into ``time``, and a throttle whose clock stands still admits
nobody any more. A second copy of that built-in module keeps the real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import BuiltinImporter
from typing import Any

_spec = BuiltinImporter.find_spec("time")
if _spec is None:  # it is built in everywhere
    raise ImportError("Python without its time module")
_time: Any = BuiltinImporter.create_module(_spec)
BuiltinImporter.exec_module(_time)
monotonic: Callable[[], float] = _time.monotonic
