"""LocalPuter in a process of its own; it counts how often each marked request may have run."""

from __future__ import annotations

import multiprocessing
import re
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from puter.testing import LocalPuter, Reply, faults

if TYPE_CHECKING:
    from typing_extensions import Self

    from puter.testing import ChatCall, RecordedRequest

MARKER = re.compile(rb"soak-\d+-")
"""What each prompt that costs something begins with, for it alone."""


@dataclass(frozen=True)
class Account:
    """Who may call where."""

    api_base: str
    login_url: str
    username: str
    password: str
    token: str


class Server:
    """The server's process, as the client sees it.

    Args:
        rate: Part of the requests that meet a fault.
        seed: Of the faults.
    """

    def __init__(self, rate: float, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = theirs, rate, seed
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self.account: Account = self._connection.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join(10)
        self._process.kill()

    def count(self) -> dict[str, Any]:
        """Requests so far, those that met a fault, and marks of what may have run twice."""
        self._connection.send("count")
        counted: dict[str, Any] = self._connection.recv()
        return counted


class _Tally:
    """Empties the journal, so that the server does not grow by it."""

    def __init__(self, server: LocalPuter) -> None:
        self._journal = server._backend.journal
        self._open: list[RecordedRequest] = []
        self._ran: Counter[tuple[bytes, int]] = Counter()
        self.requests = self.faults = 0

    def take(self, *, all_of_them: bool = False) -> None:
        with self._journal._changed:
            records, self._journal._entries = self._journal._entries, []
        self.requests += len(records)
        self.faults += sum(record.fault is not None for record in records)
        self._open += records
        left = []
        for record in self._open:
            if record.finished is None and not record.dropped and not all_of_them:
                left.append(record)
            elif found := MARKER.findall(record.body):
                # A refusal ran nothing; what was answered, failed or broke off may have.
                refused = record.status is not None and 400 <= record.status < 500
                self._ran[found[-1], record.body.count(b'"role"')] += not refused
        self._open = left

    def counted(self) -> dict[str, Any]:
        self.take(all_of_them=True)
        twice = [
            f"{mark.decode()} {times} times" for (mark, _), times in self._ran.items() if times > 1
        ]
        return {
            "requests": self.requests,
            "ran": sum(self._ran.values()),
            "faults": self.faults,
            "twice": twice,
        }


def _serve(connection: Connection, rate: float, seed: int) -> None:
    server = LocalPuter(tier=None, allowance=1e9)
    server.respond(_answer)
    if rate:
        server.inject(faults.sometimes(rate, seed=seed))
    tally = _Tally(server)
    with server:
        who = server.username, server.password, server.token
        connection.send(Account(server.api_base, server.login_url, *who))
        try:
            while True:
                if connection.poll(0.5):
                    connection.recv()
                    connection.send(tally.counted())
                tally.take()
        except (EOFError, KeyboardInterrupt, BrokenPipeError):
            return


async def _answer(call: ChatCall) -> Any:
    """Long enough to be cut in the middle; None leaves tools and types to the built-in partner."""
    for_partner = call.tools or "outputFormat" in call.upstream_options
    return None if for_partner else Reply(chunks=["word "] * 20, pace=0.001)
