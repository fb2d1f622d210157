"""Which requests meet a fault: a plan that `LocalPuter` and `MockTransport` follow."""

from __future__ import annotations

import inspect
import math
import random
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from puter.testing.faults.fault import KINDS, Fault, whole_number

_INTERFACES = {
    "puter-chat-completion": "chat",
    "puter-image-generation": "txt2img",
    "puter-tts": "txt2speech",
    "puter-video-generation": "txt2vid",
    "puter-speech2speech": "speech2speech",
    "puter-speech2txt": "speech2txt",
    "puter-ocr": "img2txt",
}
_PATHS = {
    "/login": "login",
    "/logout": "logout",
    "/whoami": "whoami",
    "/puterai": "list_models",
    "/metering": "account_usage",
    "/fs/write": "upload",
    "/stat": "stat_file",
    "/read": "read_file",
    "/readdir": "list_files",
    "/delete": "delete_file",
    "/sample": "download",
}
OPERATIONS: tuple[str, ...] = (*_INTERFACES.values(), *_PATHS.values())
"""What `inject` takes as ``operation``: ``download`` is of a picture, sound or clip by its URL."""


@dataclass(frozen=True)
class Request:
    """What a plan has to know of a request."""

    path: str
    operation: str
    streamed: bool

    @classmethod
    def of(cls, path: str, body: object) -> Request:
        fields: Mapping[str, Any] = body if isinstance(body, dict) else {}
        args = fields.get("args")
        lists = str(fields.get("method")).startswith("list")
        operation = "" if lists else _INTERFACES.get(str(fields.get("interface")), "")
        if path != "/drivers/call":
            begun = (name for at, name in _PATHS.items() if f"{path}/".startswith(f"{at}/"))
            operation = next(begun, "")
        streamed = isinstance(args, dict) and bool(args.get("stream"))
        return cls(path, operation, operation == "chat" and streamed)

    def fits(self, fault: Fault) -> bool:
        """Whether the fault can happen to it."""
        if fault.scope == "stream":
            return self.streamed
        return fault.scope == "any" or self.operation == "chat"


class Sometimes:
    """A fault in some requests, by chance; see `sometimes`."""

    def __init__(self, rate: float, seed: int, kinds: Iterable[Fault]) -> None:
        self.kinds: tuple[Fault, ...] = tuple(kinds)
        self._rate, self._random = rate, random.Random(seed)

    def choose(self, request: Request) -> Fault | None:
        """The fault that the request meets, if any; each call is one throw of the dice."""
        thrown, which = self._random.random(), self._random.random()
        fitting = [one for one in self.kinds if request.fits(one)]
        return fitting[int(which * len(fitting))] if fitting and thrown < self._rate else None


def _fault(given: Any, kinds: tuple[type, ...]) -> Any:
    if not isinstance(given, kinds):
        told = f"{given.__name__} without ()" if inspect.isfunction(given) else repr(given)[:80]
        raise TypeError(f"a fault is such as faults.status(500), not {told}.")
    return given


def sometimes(
    rate: float, *, seed: int = 0, kinds: Iterable[Fault | str] | None = None
) -> Sometimes:
    """A fault in some requests, by chance; the same seed chooses the same ones.

    Args:
        rate: how many requests meet one, from 0 to 1.
        seed: of the random numbers: the n-th request always has the same fate.
        kinds: faults, or names in `KINDS`; ``None`` = all kinds. Each request meets one that can
            happen to it.

    Raises:
        TypeError: a kind is neither a fault nor a name.
        ValueError: the rate is not from 0 to 1, or there is no such kind.
    """
    if isinstance(kinds, (str, Fault)):
        raise TypeError(f"kinds is a list: write kinds=[{kinds!r}]")
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must be from 0 to 1, not {rate!r}")
    chosen: list[Fault] = []
    for one in KINDS if kinds is None else kinds:
        if isinstance(one, str) and one not in KINDS:
            raise ValueError(f"no kind of fault {one!r}; there are {', '.join(KINDS)}.")
        chosen.append(_fault(KINDS[one] if isinstance(one, str) else one, (Fault,)))
    return Sometimes(rate, seed, chosen)


@dataclass
class _Entry:
    fault: Fault | Sometimes
    operation: str | None
    path: str | None
    times: float
    after: int

    def pick(self, request: Request) -> Fault | None:
        if self.operation not in (None, request.operation) or self.path not in (None, request.path):
            return None
        if isinstance(self.fault, Fault) and not request.fits(self.fault):
            return None
        if self.after > 0:
            self.after -= 1
            return None
        found = self.fault if isinstance(self.fault, Fault) else self.fault.choose(request)
        self.times -= found is not None
        return found


class Plan:
    """Faults that are laid down; safe to use from any thread.

    Args:
        *faults: each as `inject` takes it.

    Attributes:
        injected: what happened so far: path and fault.
    """

    def __init__(self, *faults: Fault | Sometimes) -> None:
        self.injected: list[tuple[str, Fault]] = []
        self._entries: list[_Entry] = []
        self._lock = threading.Lock()
        for fault in faults:
            self.inject(fault)

    def inject(
        self,
        fault: Fault | Sometimes,
        *,
        operation: str | None = None,
        path: str | None = None,
        times: int | None = None,
        after: int = 0,
    ) -> None:
        """Let requests meet ``fault``.

        Args:
            fault: such as ``faults.reset()``, or ``faults.sometimes(0.1, seed=1)``.
            operation: only requests of this one of `OPERATIONS`, such as ``"chat"``.
            path: only requests to this path, such as ``"/whoami"``.
            times: how many requests; ``None`` = one, and with ``sometimes`` any number.
            after: how many of these requests pass unharmed before.

        Raises:
            TypeError: it is no fault, or a number is none.
            ValueError: there is no such operation, ``times`` is below 1, or ``after`` below 0.
        """
        _fault(fault, (Fault, Sometimes))
        if times is not None:
            whole_number("times", times, 1)
        whole_number("after", after, 0)
        if path is not None and not isinstance(path, str):
            raise TypeError(f"path must be such as '/whoami', not {path!r}.")
        if operation is not None and operation not in OPERATIONS:
            raise ValueError(f"no operation {operation!r}; there are {', '.join(OPERATIONS)}.")
        usual = 1 if isinstance(fault, Fault) else math.inf
        entry = _Entry(fault, operation, path, usual if times is None else times, after)
        with self._lock:
            self._entries.append(entry)

    def pick(self, path: str, body: object) -> Fault | None:
        """The fault that a request meets, used up by this call."""
        if not self._entries:
            return None
        request = Request.of(path, body)
        with self._lock:
            for entry in self._entries:
                if (found := entry.pick(request)) is not None:
                    if entry.times <= 0:
                        self._entries.remove(entry)
                    self.injected.append((path, found))
                    return found
        return None

    def clear(self) -> None:
        """Forget what is laid down; ``injected`` stays."""
        with self._lock:
            self._entries.clear()
