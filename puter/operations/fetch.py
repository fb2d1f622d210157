"""Fetching what a media URL points to: another host's, so never with the Puter token."""

from __future__ import annotations

from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from puter.exceptions import (
    PuterAPIError,
    PuterNotFoundError,
    PuterResponseError,
    PuterServerError,
)
from puter.exchange import Call, retrying
from puter.flow import Flow, send
from puter.wire.http import Reply, Request, build

REDIRECTS = 5
"""Redirects followed at most; storage hosts use one or two."""


def fetch(call: Call, url: str) -> Flow[Reply]:
    """The reply behind a URL, open for reading."""
    url = _target("", url)
    config = call.config.replace(headers={})  # those may hold the user's own keys
    steps = retrying(call, _got)
    for _ in range(REDIRECTS + 1):
        request = build(
            config, "GET", url, repeatable=True, signed=False, expect="any", stream=True
        )
        reply = yield from steps(request)
        if not 300 <= reply.status < 400:
            return reply
        url = _target(url, reply.headers.get("location", ""))
    raise PuterAPIError(f"{urlsplit(url).netloc} redirects in circles", hint="Try again later.")


def _target(base: str, url: str) -> str:
    """Where a URL points, as it may stand in a request: with spaces and the like escaped."""
    try:
        parts = urlsplit(urljoin(base, url))
    except ValueError as error:
        raise PuterResponseError(f"{url!r} is no URL: {error}", hint="Ask again.") from None
    path, query = (quote(one, safe="!$%&'()*+,/:;=?@[]~") for one in (parts.path, parts.query))
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def _got(request: Request) -> Flow[Reply]:
    reply = yield from send(request)
    if reply.status < 400:
        return reply
    kind = PuterServerError if reply.status >= 500 else PuterNotFoundError
    raise kind(
        f"The file at {request.url.partition('?')[0]} could not be fetched",
        status=reply.status,
        hint="Such addresses expire: fetch them soon, or ask again.",
    )
