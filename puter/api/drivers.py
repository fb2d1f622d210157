"""Driver calls: any by hand, and what the media operations make theirs with."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from puter.api.downloads import read_all
from puter.api.sources import ResolvedSource
from puter.checks import flag, text, text_or_none
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.engine.pipeline import exchange
from puter.exceptions import PuterAPIError, PuterInputError, PuterResponseError
from puter.models import registry
from puter.process import late
from puter.types.media import Media
from puter.types.mime import canonical
from puter.wire.errors import RAISE_LIMIT, WRONG_HOST
from puter.wire.http import HttpReply, driver_call, is_json
from puter.wire.json import TOO_LARGE
from puter.wire.media import advise, read_spent, result_of
from puter.wire.ndjson import LineError, NDJSONDecoder
from puter.wire.pieces import Base64
from puter.wire.providers import listed_name, refuse_misspelt_provider

if TYPE_CHECKING:
    from puter.engine import middleware
else:
    middleware = late("puter.engine.middleware")


def call(
    context: CallContext,
    interface: str,
    method: str,
    args: dict[str, Any] | None = None,
    *,
    driver: str | None = None,
) -> Flow[Any]:
    """Call any driver of Puter directly, where this client has no method for it.

    The call may be billed, so it is never repeated when its outcome is unknown.

    Args:
        interface: Interface of the driver, such as ``"puter-kvstore"``.
        method: Method of the interface, such as ``"set"``.
        args: Arguments of the method. Default: none.
        driver: Which driver of the interface. Default: the server's choice.

    Returns:
        The ``result`` of an envelope (None when there is none), a list of dicts for a stream of
        lines, a ``Media`` for anything else.

    Raises:
        PuterInputError: An argument is wrong; nothing was sent.
        PuterNotFoundError: There is no such interface, driver or method.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> ai.call("puter-kvstore", "set", {"key": "a", "value": 1})
        True
    """
    text("interface", interface)
    text("method", method)
    text_or_none("driver", driver)
    if args is not None and not isinstance(args, dict):
        raise PuterInputError(f"args must be a dict, not {type(args).__name__}")
    reply = yield from invoke(
        context, interface, method, args or {}, driver=driver, stream=True, expect="any"
    )
    if reply.stream is None:
        if is_json(reply.content_type):
            return result_of(_json(reply))
        if reply.content_type == "text/html" or reply.status >= 300:
            what = "an HTML page" if reply.status < 300 else "a redirect"
            raise PuterResponseError(f"The answer is {what}", hint=WRONG_HOST)
        return Media(reply.body, mime_type=canonical(reply.content_type))
    data = yield from read_all(reply.stream)
    if reply.content_type == "application/x-ndjson":
        try:
            lines = NDJSONDecoder(context.config.max_response_bytes)
            return [*lines.feed(data), *lines.flush()]
        except LineError as error:
            raise _damaged("damaged", error) from None
    return Media(data, mime_type=canonical(reply.content_type))


def _json(reply: HttpReply) -> Any:
    try:
        return reply.data
    except ValueError as error:
        raise _damaged("broken JSON", error) from None


def _damaged(what: str, error: ValueError) -> PuterResponseError:
    hint = RAISE_LIMIT if str(error) == TOO_LARGE else "Try again."
    return PuterResponseError(f"The answer is {what}: {error}", hint=hint)


def driver_args(
    options: Mapping[str, Any], *, test_mode: bool | None = None, **explicit: Any
) -> dict[str, Any]:
    """The arguments of a driver call that are not None, with ``extra`` merged in last.

    Raises:
        PuterInputError: ``test_mode`` is no bool.
    """
    args = {**explicit, **options}
    if test_mode is not None and flag("test_mode", test_mode):
        args["test_mode"] = True
    extra: Mapping[str, Any] = args.pop("extra", None) or {}
    args.pop("timeout", None)
    return {**{name: value for name, value in args.items() if value is not None}, **extra}


def media_provider(call: CallContext, provider: str | None, kind: str) -> str | None:
    """The provider as every server and ``list_models()`` has it; new names go as they are.

    Raises:
        PuterInputError: It is no str, or empty, or nearly a known one.
    """
    name = text_or_none("provider", provider)
    if name is None:
        return None
    refuse_misspelt_provider(name, kind, call.catalogues.get(kind, ()))
    return listed_name(name, kind)


def output_path(path: str | None) -> str | None:
    """Where the server saves a result: absolute, or under the home folder.

    Raises:
        PuterInputError: It is no path of a file.
    """
    if path is None:
        return None
    if not isinstance(path, str) or not path.strip() or path.strip() in ("/", "~", "~/"):
        raise PuterInputError(
            f"puter_output_path={path!r} is no file in your Puter",
            hint="Give a path such as '~/Pictures/cat.png'.",
        )
    return path if path.startswith(("/", "~/")) else f"~/{path}"


def invoke(
    call: CallContext,
    interface: str,
    method: str,
    args: dict[str, Any],
    *,
    driver: str | None = None,
    source: tuple[str, ResolvedSource | None] | None = None,
    timeout: float | None = None,
    **request_options: Any,
) -> Flow[HttpReply]:
    """Make a driver call.

    Args:
        call: The call.
        interface: Interface of the driver.
        method: Method of the interface.
        args: Arguments of the method.
        driver: Which driver of the interface. Default: the server's choice.
        source: Name of an argument, and the source that goes there: its address, or its bytes in
            base64.
        timeout: Seconds of silence allowed. Default: the client's.
        **request_options: Fields of ``HttpRequest``.
    """
    if timeout is not None:
        request_options["timeout"] = timeout
    key, resolved = source or ("", None)
    if resolved is not None and resolved.data is not None:
        args[key] = Base64(f"data:{resolved.mime_type};base64,", resolved.data)
    elif resolved is not None:
        args.setdefault(key, resolved.path or resolved.url)
    serializer = call.extensions.serializer
    request = driver_call(
        call.config,
        interface,
        method,
        args,
        driver=driver,
        serializer=serializer,
        **request_options,
    )
    model = str(args.get("model") or "")
    try:
        reply = yield from exchange(call, request, asked=lambda: _asked(call, model, args))
    except PuterAPIError as error:
        advise(error, interface, model, functools.partial(_like, call, model))
        raise
    if not request.idempotent:
        answered_by, usage, cost = read_spent(reply)
        if request.billed is None:
            cost = Decimal(0)
        call.record(model or answered_by, usage, cost)
    return reply


def _asked(call: CallContext, model: str, args: Mapping[str, Any]) -> middleware.Request:
    """The request as extensions see it."""
    return middleware.Request(call.operation, model or None, args=args, call=call)


def _like(call: CallContext, model: str, kind: str) -> tuple[str, ...]:
    """Models of like names: of the server's own list, where it was fetched."""
    listed = [one.raw for one in call.catalogues.get(kind, ())]
    return registry().suggest(model, kind=kind, listed=listed)


def result(
    call: CallContext, interface: str, method: str, args: dict[str, Any], **request_options: Any
) -> Flow[Any]:
    """The result of a driver call that answers with an envelope."""
    reply = yield from invoke(call, interface, method, args, **request_options)
    return result_of(reply.data)
