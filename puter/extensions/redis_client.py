"""A client of Redis, as the extensions want it."""

from __future__ import annotations

from typing import Any

from puter.exceptions import PuterConfigError
from puter.process import library

# Seconds that Redis may take to connect and to answer, if its URL does not say.
_CONNECT, _ANSWER = 2.0, 5.0


def connect(what: str, url: str, **options: Any) -> Any:
    """A ``redis.Redis`` that connects when it is first used.

    Args:
        what: Who needs it, for errors.
        url: ``redis://``, ``rediss://`` or ``unix://``.
        **options: Of ``redis.Redis``; those of the URL go before.

    Raises:
        PuterConfigError: The package redis is not installed, or the URL cannot be read.
    """
    with library("redis", "redis", what):
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    try:
        return redis.Redis.from_url(
            url,
            socket_connect_timeout=_CONNECT,
            socket_timeout=_ANSWER,
            retry=Retry(NoBackoff(), 1),  # at once: a connection may have been closed meanwhile
            **options,
        )
    except (ValueError, TypeError, AttributeError):
        pass  # its words may have the password in them: it is not to be the context of ours
    raise PuterConfigError(
        f"{what} cannot read its URL",
        hint="It looks like redis://:password@host:6379/0, rediss://... or unix://path.",
    )
