"""The body of a request: JSON, and the parameters in it that are read, refused or ignored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from puter.exceptions import PuterInputError, repr_of
from puter.serve.shared import CLIENT, LOGGER
from puter.threads import in_thread
from puter.wire.json import read_json

DEPTH = 200
"""Lists and objects inside each other in a request at most; the client checks what it sends."""

Refusals = Mapping[str, tuple[tuple[Any, ...], str]]
"""Parameters that change the answer and that Puter does not have: harmless values, and advice."""

REFUSED_OF_ALL: Refusals = {"test_mode": ((False,), "What is asked here is billed.")}
"""Those of all requests."""


async def read_body(request: web.Request) -> tuple[bytes, dict[str, Any]]:
    """The body of a request, and the JSON object in it.

    Raises:
        PuterInputError: There is none.
    """
    raw = await request.read()
    limit = request.app[CLIENT].config.max_response_bytes
    try:  # pictures may take a second
        body = await in_thread(partial(read_json, raw, limit, depth=DEPTH, finite=True))
    except ValueError as error:
        raise PuterInputError(f"The body of the request is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise PuterInputError("The body of the request must be a JSON object")
    refuse(body, REFUSED_OF_ALL)
    return raw, body


def flag_in(body: Mapping[str, Any], name: str) -> bool:
    """True or False in a request; left out, or null, is False.

    Raises:
        PuterInputError: It is neither.
    """
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise PuterInputError(f"{name} must be true or false, not {repr_of(value)}")
    return bool(value)


def refuse(body: Mapping[str, Any], refusals: Refusals) -> None:
    """Raise PuterInputError for parameters whose value is not harmless."""
    for name, (harmless, advice) in refusals.items():
        value = body.get(name)
        if value is not None and value not in harmless:
            raise PuterInputError(f"{name}={repr_of(value, 40)} cannot be done", hint=advice)


def objects_in(body: Mapping[str, Any], name: str) -> list[Any]:
    """The list of objects in a request; left out, or null, is empty.

    Raises:
        PuterInputError: It is something else.
    """
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise PuterInputError(f"{name} must be a list of objects, not {repr_of(value)}")
    return value


_told: set[str] = set()


def tell_ignored(names: Iterable[str]) -> None:
    """Log, once for each name, that a parameter has no effect."""
    for name in names:
        if name not in _told and len(_told) < 1000:
            _told.add(name)
            LOGGER.info("the parameter %s of a request is ignored", repr_of(name))
