"""Raw driver calls, which every media operation is made of."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from puter.exceptions import PuterInputError, PuterResponseError
from puter.exchange import Call, exchange
from puter.flow import Body, Flow, read
from puter.media import Media
from puter.operations.auth import ensure_signed_in
from puter.wire import calls
from puter.wire.errors import WRONG_HOST
from puter.wire.http import is_json
from puter.wire.media import body_with, result_of
from puter.wire.mime import canonical
from puter.wire.ndjson import LineError, Lines

if TYPE_CHECKING:
    from puter.sources import Loaded
    from puter.wire.http import Reply


def invoke(
    call: Call,
    interface: str,
    method: str,
    args: dict[str, Any],
    *,
    driver: str | None = None,
    blob: tuple[str, Loaded] | None = None,
    **treatment: Any,
) -> Flow[Reply]:
    """A driver call; ``blob`` names an argument whose bytes are encoded into place."""
    if blob is None:
        request = calls.driver_call(
            call.config, interface, method, args, driver=driver, **treatment
        )
    else:
        key, loaded = blob
        request = calls.driver_call(call.config, interface, method, {}, driver=driver, **treatment)
        payload = calls.driver_payload(interface, method, args, driver)
        request = dataclasses.replace(request, body=body_with(payload, args, key, loaded))
    yield from ensure_signed_in(call)
    return (yield from exchange(call, request))


def result(
    call: Call, interface: str, method: str, args: dict[str, Any], **treatment: Any
) -> Flow[Any]:
    """The result of a driver call that answers with an envelope."""
    reply = yield from invoke(call, interface, method, args, **treatment)
    return result_of(reply.data)


def raw_call(call: Call, interface: str, method: str, args: Any, driver: str | None) -> Flow[Any]:
    """A driver call as the user words it, decoded by what comes back."""
    for name, value in (("interface", interface), ("method", method), ("driver", driver)):
        if (name != "driver" or value is not None) and (not isinstance(value, str) or not value):
            raise PuterInputError(f"{name} must be a non-empty str, not {value!r}")
    if args is not None and not isinstance(args, dict):
        raise PuterInputError(f"args must be a dict, not {type(args).__name__}")
    reply = yield from invoke(
        call, interface, method, args or {}, driver=driver, stream=True, expect="any"
    )
    if reply.stream is None:
        if is_json(reply.content_type):
            return result_of(_json(reply))
        if reply.content_type == "text/html":
            raise PuterResponseError("The answer is an HTML page", hint=WRONG_HOST)
        return Media(reply.body, mime_type=canonical(reply.content_type))
    data = yield from read_all(reply.stream)
    if reply.content_type == "application/x-ndjson":
        try:
            lines = Lines()
            return [*lines.feed(data), *lines.flush()]
        except LineError as error:
            raise PuterResponseError(
                f"The answer is damaged: {error}", hint="Try again."
            ) from error
    return Media(data, mime_type=canonical(reply.content_type))


def _json(reply: Reply) -> Any:
    try:
        return reply.data
    except ValueError as error:
        raise PuterResponseError("The answer is broken JSON", hint="Try again.") from error


def read_all(body: Body, most: int | None = None) -> Flow[bytes]:
    """The bytes of an open reply, up to ``most`` and a little more; closed when they were all."""
    pieces: list[bytes] = []
    size, more_to_come = 0, False
    try:
        while not more_to_come and (data := (yield from read(body))):
            pieces.append(data)
            size += len(data)
            more_to_come = most is not None and size >= most
    finally:
        if not more_to_come:
            body.close()
    return b"".join(pieces)
