"""``RedisLimiter``: the limits of one account, kept by many processes and hosts together."""

from __future__ import annotations

import atexit
import math
import os
import sys
import weakref
from functools import cache
from typing import TYPE_CHECKING, Any

from puter.checks import Range, one_of, text
from puter.engine.client import Client, limits_of
from puter.engine.clock import monotonic
from puter.engine.throttle import NO_PROGRESS, Permit, ThreadFuture, Throttle, WouldDeadlock, finish
from puter.extensions.leases import Keeper, Lease, Limits, OnUnavailable
from puter.extensions.redis_client import connect
from puter.extensions.single import Single
from puter.process import short_lock
from puter.secret import Secret
from puter.threads import running_loop

if TYPE_CHECKING:
    import asyncio

_lease_length = Range(1, 3600, wanted="a number of seconds from 1 to 3600").kind(whole=False)


class RedisLimiter(Single):
    """Lets many processes, on many hosts, keep the limits of one account together.

    It counts the calls of all clients that use the same Redis and key: one rolling window, one
    number of calls at a time, one queue, first come first served. The limits are the client's own
    (``rate_limit_requests``, ``rate_limit_period``, ``max_concurrency``; ``"auto"`` is 3 here), and
    so are ``deadline`` and cancellation. Give it to one client or to several; their
    ``with_options()`` copies are counted as well. Calls wait for Redis in a thread of their own, so
    an event loop never does.

    Each call holds a lease while it runs, a stream until it is closed. It is renewed by its
    process; that of a process that was killed ends by itself. All times are those of the Redis
    server, and its keys expire.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, with its password and options. By default
            Redis has 2 s to be connected and 5 s to answer (``?socket_timeout=``).
        key: Names the account: what its keys in Redis begin with, in braces. Default ``"puter"``.
        lease: Seconds until what a killed process held is free again, 1 to 3600. Default 30.
        on_unavailable: When Redis does not answer, ``"raise"`` (default): calls fail with
            ``PuterConnectionError`` before anything is sent; ``"local"``: they go on under the
            limits of this process alone until it is back, and one warning is logged.

    Raises:
        PuterConfigError: The package redis is not installed, or the URL cannot be read.
        PuterInputError: An argument is not valid.

    Examples:
        >>> ai = PuterAI().use(RedisLimiter("redis://:password@localhost:6379/0", lease=60))
    """

    def __init__(
        self,
        url: str,
        *,
        key: str = "puter",
        lease: float = 30,
        on_unavailable: OnUnavailable = "raise",
    ) -> None:
        self._url = Secret(url)
        self._key: str = text("key", key)
        self._lease: float = _lease_length("lease", lease)
        self._on_unavailable: OnUnavailable = one_of(("raise", "local"))(
            "on_unavailable", on_unavailable
        )
        self._kept: Keeper | None = None
        self._connect().close()  # it has not connected yet
        _limiters.add(self)

    def __repr__(self) -> str:
        return f"RedisLimiter(key={self._key!r})"

    def setup(self, client: Client) -> None:
        """Let the client, and the copies that are made of it from now on, keep the limits."""
        client._take_settings()
        client._throttle = FleetThrottle(self, *limits_of(client._settings))
        client._borrows_throttle = False

    def _connect(self) -> Any:
        return connect("RedisLimiter", self._url.reveal())

    @property
    def _keeper(self) -> Keeper:
        """What keeps the leases of this process; a forked child has its own."""
        keeper = self._kept
        if keeper is None or keeper.pid != os.getpid():
            with short_lock():  # another thread may have come first
                keeper = self._kept
                if keeper is None or keeper.pid != os.getpid():
                    keeper = self._kept = Keeper(
                        self._connect, self._key, self._lease, self._on_unavailable
                    )
                    _say_farewell(keeper.pid)
        return keeper


class FleetThrottle(Throttle):
    """The limits of an account, some of whose calls are made elsewhere.

    Those of this process queue here, as ever; who is admitted asks for a lease then. So Redis sees
    at most as many waiters of a process as may run at a time, and processes take turns.

    Args:
        limiter: Where the leases are had.
        rate_limit: As of ``Throttle``, and so are the others; a ``start`` is the limit.
        period: As of ``Throttle``.
        max_concurrency: As of ``Throttle``.
        start: How many may run at a time: more are not tried, for each process would be refused.
        account: That of the client that this one's is a copy of: both its limits are kept.
    """

    def __init__(
        self,
        limiter: RedisLimiter,
        rate_limit: float,
        period: float,
        max_concurrency: float,
        start: float | None = None,
        *,
        account: FleetThrottle | None = None,
    ) -> None:
        self.limiter = limiter
        self._account = self if account is None else account
        super().__init__(rate_limit, period, max_concurrency, start)

    @property
    def account_limits(self) -> Limits:
        account = self._account
        return account.rate_limit, account.period, account._ceiling

    def permit(self) -> Permit:
        return FleetPermit(self)

    def with_limits(self, *limits: float) -> Throttle:
        return FleetThrottle(self.limiter, *limits, account=self._account)

    def resize(
        self, rate_limit: float, period: float, max_concurrency: float, start: float | None = None
    ) -> None:
        super().resize(rate_limit, period, start or max_concurrency)

    def hold(self, seconds: float) -> None:
        super().hold(seconds)
        self.limiter._keeper.hold(seconds)


class FleetPermit(Permit):
    """A permit that has a lease while it is out."""

    __slots__ = ("_fleet", "_keeper", "_lease", "_ticket")

    def __init__(self, throttle: FleetThrottle) -> None:
        super().__init__(throttle)
        self._fleet = throttle
        self._lease: Lease | None = None
        self._ticket = 0

    def acquire(self, timeout: float | None = None) -> Permit:
        began = monotonic()
        ends = math.inf if timeout is None else began + timeout
        super().acquire(timeout)
        lease = self._ask(began, ThreadFuture())
        bound = math.inf
        if (loop := running_loop()) is not None and _any_lease_of(loop):
            bound = monotonic() + NO_PROGRESS  # its tasks stand still meanwhile
        if not lease.future.wait(min(ends, bound) - monotonic()):
            raise self.throttle._late() if ends <= bound else _standing_still()
        if failure := lease.future.result:
            raise failure()
        return self

    async def async_acquire(self, timeout: float | None = None) -> Permit:
        import asyncio

        loop, timer = asyncio.get_running_loop(), None
        began = monotonic()
        await super().async_acquire(timeout)
        lease = self._ask(began, loop.create_future())
        if timeout is not None and timeout < math.inf:
            left = began + timeout - monotonic()
            timer = loop.call_later(left, finish, lease.future, self.throttle._late)
        try:
            if failure := await lease.future:
                raise failure()
        finally:
            if timer is not None:
                timer.cancel()
        return self

    def _ask(self, began: float, future: Any) -> Lease:
        keeper = self._keeper = self._fleet.limiter._keeper
        lease = Lease(self, self._ticket, began, self._fleet.account_limits, future)
        self._lease = lease  # before it is asked for: what interrupts this gives it back
        keeper.ask(lease)
        return lease

    def release(self) -> None:
        try:
            if (lease := self._lease) is not None:
                self._keeper.give_back(lease)
                # If the server refused it, it is acquired once more, and keeps its place.
                self._ticket, self._lease = lease.ticket, None
        finally:
            super().release()


def _standing_still() -> WouldDeadlock:
    return WouldDeadlock(
        f"this thread waited {NO_PROGRESS:g} s for other calls, and its event loop with it",
        "In async code await the async_ method.",
    )


_limiters: weakref.WeakSet[RedisLimiter] = weakref.WeakSet()


def _any_lease_of(loop: asyncio.AbstractEventLoop) -> bool:
    keepers = [limiter._kept for limiter in list(_limiters)]
    return any(keeper is not None and keeper.serves(loop) for keeper in keepers)


@atexit.register
def _finish_all() -> None:
    """Give back what this process holds: it would be missed until its leases end."""
    for limiter in list(_limiters):
        if limiter._kept is not None:
            limiter._kept.finish()


@cache
def _say_farewell(_: int) -> None:
    """See to it that a child of multiprocessing does so, too: it ends without ``atexit``."""
    if (util := sys.modules.get("multiprocessing.util")) is not None:
        util.Finalize(None, _finish_all, exitpriority=0)
