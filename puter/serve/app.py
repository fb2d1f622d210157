"""The routes, and who may use them."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from puter.checks import Range, whole_number
from puter.exceptions import PuterConfigError, PuterError, PuterInputError
from puter.serve import anthropic_messages, media, model_list, openai_chat
from puter.serve.chat_request import THOUGHTS
from puter.serve.event_stream import PING, STREAMS, close_streams
from puter.serve.problems import Paid, Refused, problem_of
from puter.serve.repetitions import REPETITIONS, Repetitions
from puter.serve.shared import CLIENT, LOGGER
from puter.serve.thoughts import Thoughts
from puter.serve.unauthenticated import UNAUTHENTICATED, ConnectionLimiter
from puter.wire.json import MAX_BODY

if TYPE_CHECKING:
    from puter.ai import PuterAI

KEY: web.AppKey[str] = web.AppKey("key", str)
"""Where an application has its key: ``app[KEY]``."""
_HOSTS: web.AppKey[frozenset[str] | None] = web.AppKey("hosts", frozenset)

LOOPBACK: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
"""Names under which this machine calls itself."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEYS: re.Pattern[str] = re.compile(r"[\x21-\x7e]{1,1000}")
"""What a key may be."""
_ROUTES: Mapping[str, tuple[Callable[..., web.RouteDef], Handler]] = {
    "chat/completions": (web.post, openai_chat.completions),
    "messages": (web.post, anthropic_messages.messages),
    "models": (web.get, model_list.list_models),
    "models/{model:.+}": (web.get, model_list.get_model),
    "images/generations": (web.post, media.images),
    "audio/speech": (web.post, media.speech),
    "audio/transcriptions": (web.post, media.transcriptions),
    "audio/translations": (web.post, media.translations),
}
_BASE = "/{base:/*(?:v1/+)*}"
"""One ``v1``; none or two, where a base URL has it that must not, or lacks it."""


def create_app(
    client: PuterAI,
    *,
    key: str | None = None,
    hosts: Collection[str] | None = LOOPBACK,
    max_body: int = MAX_BODY,
    ping: float = 10.0,
) -> web.Application:
    """Make the application: OpenAI's and Anthropic's protocols in front, a client of Puter behind.

    Run it with ``web.run_app(app, host="127.0.0.1", handler_cancellation=True)``, or
    ``puter-ai serve``: with ``handler_cancellation`` a caller that leaves also ends the call at
    Puter. The client's limits, retries, budget, cache and fallback hold for all callers together;
    nothing is added to its history. The client is yours to close.

    Args:
        client: Who asks Puter. Its token is never shown to callers.
        key: What callers have to show, as ``Authorization: Bearer`` or ``x-api-key``: 1 to 1,000
            visible ASCII characters. Default: a new one, which is ``app[puter.serve.KEY]``. There
            is no way to serve without: whoever reaches the port could spend your money.
        hosts: Names by which callers may address the server, without port. A page in a browser that
            had a name of its own lead to this machine is refused so. Default: names of this
            machine. None for any: where the server listens to a network.
        max_body: Bytes of a request at most, 1 or more. Default: 50 MiB.
        ping: Seconds of silence after which a stream gets a sign of life, above 0. Default 10.

    Raises:
        PuterConfigError: A setting is not usable.

    Examples:
        >>> app = create_app(ai, key="only-for-this-machine")
        >>> app[KEY]
        'only-for-this-machine'
    """
    if key is not None and not (isinstance(key, str) and KEYS.fullmatch(key)):
        raise PuterConfigError(
            "key must be a str of 1 to 1,000 visible ASCII characters",
            hint="Leave it out: a new one is made, and is app[puter.serve.KEY].",
        )
    if isinstance(hosts, str):
        raise PuterConfigError("hosts must be a list of names", hint=f"Pass [{hosts!r}].")
    try:
        whole_number("max_body", max_body, 1)
        Range(0, above=True).kind(whole=False)("ping", ping)
    except PuterInputError as error:
        raise PuterConfigError(error.message) from None
    app = web.Application(
        middlewares=[_guarded],
        client_max_size=max_body,
        handler_args={"auto_decompress": False},  # a bomb would hold the event loop
    )
    app[CLIENT] = client
    app[KEY] = secrets.token_urlsafe(24) if key is None else key
    app[_HOSTS] = None if hosts is None else frozenset(map(str.lower, hosts))
    app[PING], app[STREAMS] = ping, set()
    app[REPETITIONS], app[THOUGHTS], app[media.ENGINES] = Repetitions(), Thoughts(), {}
    app[UNAUTHENTICATED] = ConnectionLimiter()
    app.add_routes(
        make(f"{_BASE}{path}{{end:/*}}", handler) for path, (make, handler) in _ROUTES.items()
    )
    app.on_shutdown.append(close_streams)
    return app


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in who shows the key, and tell of failures in the vendor's form."""
    authenticated = False
    try:
        _check_caller(request)
        authenticated = True
        request.app[UNAUTHENTICATED].authenticated(request.transport)
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused(415, "Send the request without Content-Encoding", "compressed_body")
        return await handler(request)
    except (Refused, Paid, PuterError) as error:
        problem = problem_of(error)
    except web.HTTPException as error:
        problem = problem_of(_refused(request, error))
    except web.RequestPayloadError as error:
        problem = problem_of(Refused(400, f"The body cannot be read: {error}", "unreadable_body"))
    except ConnectionError:  # nobody listens any more
        raise
    except Exception as error:  # noqa: BLE001 - logged, and told as an error of the server
        LOGGER.exception("%s %r", request.method, request.path)
        problem = problem_of(error)
    is_anthropic = "anthropic-version" in request.headers or "/messages" in request.path
    body = problem.anthropic() if is_anthropic else problem.openai()
    response = web.json_response(body, status=problem.status, headers=problem.headers)
    if not authenticated:
        response.force_close()
    return response


def _check_caller(request: web.Request) -> None:
    """Raise Refused for whoever is not meant."""
    hosts = request.app[_HOSTS]
    if hosts is not None and _name_in(request.headers.get("Host", "")) not in hosts:
        raise Refused(
            403,
            "This server answers under names of this machine only, such as 127.0.0.1",
            "host_not_allowed",
        )
    if request.method == "OPTIONS":  # of a browser, for a page from elsewhere
        raise Refused(403, "Pages in browsers may not call this server", "no_cors")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    shown, key = (bearer, request.headers.get("x-api-key", "")), request.app[KEY].encode()
    if not any(hmac.compare_digest(one.encode(errors="replace"), key) for one in shown):
        raise Refused(
            401,
            "This is not the key of this server: the one that was chosen for it, or else the one "
            "that it tells when it starts, after key=. It is no key of Puter, OpenAI or Anthropic.",
            "invalid_api_key",
        )


def _name_in(host: str) -> str | None:
    """The name in a Host header, without port and brackets."""
    try:
        return None if "@" in host else urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _refused(request: web.Request, error: web.HTTPException) -> Refused:
    """An error of aiohttp in our words."""
    match error.status:
        case 404:
            paths = ", ".join(f"/v1/{path}" for path in _ROUTES if "{" not in path)
            said = f"There is no {request.path} here, but {paths}"
            return Refused(404, said, "not_found")
        case 405:
            said, allowed = f"{request.path} does not take {request.method}", error.headers["Allow"]
            return Refused(405, said, "method_not_allowed", {"Allow": allowed})
        case 413:
            said = f"The request is larger than {request.app._client_max_size} bytes"
            return Refused(413, said, "request_too_large")
        case _:
            return Refused(error.status, error.reason, "http_error")
