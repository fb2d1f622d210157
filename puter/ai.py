"""``PuterAI``: the front door. Each method is a pair of short doors onto one flow."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from puter.config import PuterConfig, check_names
from puter.conversation import Conversation, text_or_none
from puter.credentials import Credentials
from puter.doors.account import AccountDoors
from puter.doors.base import share_docstrings
from puter.doors.chat import ChatDoors
from puter.doors.files import FileDoors
from puter.doors.media import MediaDoors
from puter.doors.models import ModelDoors
from puter.exceptions import PuterConfigError, PuterError
from puter.exchange import Call, counted
from puter.history import History, load
from puter.ledger import Ledger
from puter.models import registry
from puter.operations import auth
from puter.retry import RetryBudget
from puter.throttle import Throttle
from puter.wire.chat import check_messages

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from puter.catalogue import ModelList
    from puter.flow import Flow
    from puter.operations.auth import Code
    from puter.replies import Account
    from puter.transports.asynchronous import Asynchronous
    from puter.transports.blocking import Blocking

T = TypeVar("T")

_LIMITS = ("rate_limit_requests", "rate_limit_period", "max_concurrency")


class _Shared:
    """What a client and its ``with_options`` copies share."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.ledger = Ledger()
        self.budget = RetryBudget()
        self.warned: set[tuple[str, str]] = set()  # options that a model drops, told once
        self.closed = False
        self._blocking: Blocking | None = None
        self._asynchronous: Asynchronous | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        if self.closed:
            raise PuterError("This PuterAI is closed", hint="Make a new one.")

    @property
    def blocking(self) -> Blocking:
        with self._lock:
            self.open()
            if self._blocking is None:
                from puter.transports.blocking import Blocking

                self._blocking = Blocking()
            return self._blocking

    @property
    def asynchronous(self) -> Asynchronous:
        with self._lock:
            self.open()
            if self._asynchronous is None:
                from puter.transports.asynchronous import Asynchronous

                self._asynchronous = Asynchronous()
            return self._asynchronous

    def shut(self) -> Asynchronous | None:
        """Close the blocking side and hand out the other for the caller to close; once."""
        with self._lock:
            self.closed = True
            blocking, self._blocking = self._blocking, None
            asynchronous, self._asynchronous = self._asynchronous, None
            self.credentials.forget()
        if blocking is not None:
            blocking.close()
        return asynchronous


class PuterAI(ChatDoors, MediaDoors, ModelDoors, AccountDoors, FileDoors):
    """A client of Puter's AI, for sync and async code alike.

    Making one touches no network, file, thread or event loop. Threads and tasks may share it; it
    pickles (settings and history, never token or password) and survives fork and several
    ``asyncio.run`` calls.

    Args:
        username: Account name or e-mail address. Default: ``PUTER_USERNAME``.
        password: Its password. Default: ``PUTER_PASSWORD``.
        token: A Puter token, instead of signing in. Default: ``PUTER_AUTH_TOKEN`` or
            ``PUTER_TOKEN``, unless a user name or password is given.
        config: Settings; a copy is kept. Default: ``PuterConfig.from_env()``.
        **config_overrides: Single settings by name, see ``PuterConfig``.

    Attributes:
        config: This client's own settings; ``config.update(timeout=60)`` counts from the next call
            on.

    Raises:
        PuterConfigError: A setting is unknown or not valid.
        PuterInputError: A credential is not a usable str.

    Examples:
        >>> with PuterAI(token="...", timeout=60) as ai:  # doctest: +SKIP
        ...     print(ai.chat("Hello!"))
    """

    config: PuterConfig

    def __init__(
        self,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        *,
        config: PuterConfig | None = None,
        **config_overrides: Any,
    ) -> None:
        if config is None:
            self.config = PuterConfig.from_env(**config_overrides)
        elif isinstance(config, PuterConfig):
            self.config = config.replace(**config_overrides)
        else:
            raise PuterConfigError(
                f"config must be a PuterConfig, not {type(config).__name__}",
                hint="Single settings go in by name: PuterAI(timeout=60).",
            )
        env = os.environ
        if token is None and username is None and password is None:
            token = env.get("PUTER_AUTH_TOKEN", "").strip() or env.get("PUTER_TOKEN", "").strip()
            token = token or None
        self._shared = _Shared(
            Credentials(
                username if username is not None else env.get("PUTER_USERNAME") or None,
                password if password is not None else env.get("PUTER_PASSWORD") or None,
                token,
            )
        )
        self._own = History()
        self._throttle = Throttle(*self._limits())
        self._throttled_by = self._limits()
        self._registry = registry()
        self._catalogues: dict[str, ModelList] = {}
        self._clock: Callable[[], float] = time.monotonic
        self._random: Callable[[], float] = random.random

    # ------------------------------------------------------------ machinery

    @property
    def _client(self) -> PuterAI:
        return self

    @property
    def _history(self) -> History:
        return self._own

    def _limits(self) -> tuple[float, float, float]:
        config = self.config
        return (
            config.rate_limit_requests or float("inf"),
            config.rate_limit_period,
            config.max_concurrency or float("inf"),
        )

    def _call(self) -> Call:
        limits = self._limits()
        if limits != self._throttled_by:
            self._throttled_by = limits
            self._throttle.resize(*limits)
        shared = self._shared
        return Call(
            config=self.config.__copy__(),
            credentials=shared.credentials,
            throttle=self._throttle,
            budget=shared.budget,
            ledger=shared.ledger,
            registry=self._registry,
            clock=self._clock,
            random=self._random,
        )

    def _run(self, operation: Callable[..., Flow[T]], *args: Any, **kwargs: Any) -> T:
        driver, call = self._shared.blocking, self._call()
        return driver.run(counted(call, operation(call, *args, **kwargs)))

    async def _async_run(self, operation: Callable[..., Flow[T]], *args: Any, **kwargs: Any) -> T:
        driver, call = self._shared.asynchronous, self._call()
        return await driver.run(counted(call, operation(call, *args, **kwargs)))

    # ------------------------------------------------------------ signing in

    def login(self, *, otp: Code = None, recovery_code: Code = None) -> bool:
        """Sign in with the client's user name (or e-mail address) and password.

        Args:
            otp: Code of the second factor, or a function that returns it, called only when asked
                for (``async_login`` takes an async function too).
            recovery_code: A one-time recovery code in its place.

        Returns:
            True. Anything else raises.

        Raises:
            PuterTwoFactorRequired: The account has a second factor and neither code was given.
            PuterAuthError: The sign-in was refused; the message says why and what to do.
            PuterRateLimitError: Too many sign-ins (Puter backend: 10 in 15 minutes). Not retried.
            PuterResponseError: ``login_url`` is not a Puter.
            PuterConnectionError: No answer.

        Examples:
            >>> ai = PuterAI("alice", "correct horse")
            >>> ai.login(otp=lambda: input("Code: "))  # doctest: +SKIP
            True
        """
        return self._run(auth.login, otp=otp, recovery_code=recovery_code)

    async def async_login(self, *, otp: Code = None, recovery_code: Code = None) -> bool:
        return await self._async_run(auth.login, otp=otp, recovery_code=recovery_code)

    def logout(self) -> None:
        """Revoke the session where the token may do that, and forget the token in any case.

        An API token cannot revoke itself; it is only forgotten. Without a token nothing happens.

        Raises:
            PuterConnectionError: No answer, so the session may still be open; the token is
                forgotten.

        Examples:
            >>> ai.logout()  # doctest: +SKIP
        """
        self._run(auth.logout)

    async def async_logout(self) -> None:
        await self._async_run(auth.logout)

    def whoami(self) -> Account:
        """Ask who is signed in. Free.

        Raises:
            PuterAuthError: Not signed in, or the token is no longer good.
            PuterAPIError: The server failed or did not answer.

        Examples:
            >>> ai.whoami().username  # doctest: +SKIP
            'alice'
        """
        return self._run(auth.whoami)

    async def async_whoami(self) -> Account:
        return await self._async_run(auth.whoami)

    # ------------------------------------------------------------ chat

    @property
    def chat_history(self) -> list[dict[str, Any]]:
        """The live list of messages exchanged so far."""
        return self._own.messages

    def clear_chat_history(self) -> None:
        """Forget the messages exchanged so far."""
        self._own.clear()

    def conversation(
        self,
        *,
        system: str | None = None,
        model: str | None = None,
        messages: Sequence[Mapping[str, Any] | str] = (),
    ) -> Conversation:
        """Begin a conversation of its own, beside the client's history.

        Args:
            system: Instructions sent with every call.
            model: The model of calls that name none. Default: the client's.
            messages: What was said before.

        Raises:
            PuterInputError: An argument is wrong.

        Examples:
            >>> talk = PuterAI(token="...").conversation(system="Answer in one word.")
            >>> talk.messages
            []
        """
        return Conversation(
            self,
            History(
                check_messages(messages) if messages else (),
                system=text_or_none("system", system),
                model=text_or_none("model", model),
                queued=True,
            ),
        )

    def load_conversation(self, path: str | os.PathLike[str]) -> Conversation:
        """Go on with a conversation that ``Conversation.save`` wrote.

        Raises:
            PuterInputError: The file holds none, or one of a newer SDK.
            OSError: It could not be read.

        Examples:
            >>> talk = ai.load_conversation("talk.json")  # doctest: +SKIP
        """
        return Conversation(self, load(path))

    # ------------------------------------------------------------ models

    @property
    def current_model(self) -> str:
        """The model of a chat that names none."""
        return self.config.default_model

    @property
    def available_models(self) -> Mapping[str, str]:
        """Known models and their providers: the offline registry, read-only."""
        return self._registry.drivers

    def get_available_models(self) -> list[str]:
        """Names of the known models, sorted; a fresh list each time, without network.

        Examples:
            >>> "gpt-5-nano" in PuterAI().get_available_models()
            True
        """
        return sorted(self._registry.drivers)

    def set_model(self, name: str) -> bool:
        """Choose the model of later chats by its id or alias, upper or lower case.

        Returns:
            True when the registry knows the name; False leaves the model alone (a model newer than
            the registry can be named in each call, or as ``default_model``).

        Examples:
            >>> ai = PuterAI()
            >>> ai.set_model("no such model"), ai.current_model
            (False, 'gpt-5-nano')
        """
        found = self._registry.find(name) if isinstance(name, str) else None
        if found is not None:
            self.config.default_model = found
        return found is not None

    # ------------------------------------------------------------ life

    @property
    def usage(self) -> Ledger:
        """What this client's answered calls used and cost so far, in all and ``by_model``."""
        return self._shared.ledger

    def with_options(self, **overrides: Any) -> Self:
        """A cheap copy with other settings and an empty history.

        It shares token, connections and ledger, and the throttle unless a limit is overridden.
        Closing either closes both.

        Raises:
            PuterConfigError: A setting is unknown or not valid.

        Examples:
            >>> ai = PuterAI()
            >>> quick = ai.with_options(timeout=20, max_retries=0)
        """
        check_names(overrides)
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.config = self.config.replace(**overrides)
        twin._own = History()
        twin._catalogues = {}
        if any(name in overrides for name in _LIMITS):
            twin._throttled_by = twin._limits()
            twin._throttle = Throttle(*twin._throttled_by)
        return twin

    def close(self) -> None:
        """Close the connections of both doors and forget the token. Safe to repeat.

        Examples:
            >>> ai = PuterAI()
            >>> ai.close()
        """
        asynchronous = self._shared.shut()
        if asynchronous is not None:
            asynchronous.close()

    async def async_close(self) -> None:
        asynchronous = self._shared.shut()
        if asynchronous is not None:
            await asynchronous.aclose()

    def __enter__(self) -> Self:
        self._shared.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._shared.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.async_close()

    def __copy__(self) -> Self:
        """A client that goes its own way from here, with the same connections and token."""
        twin = self.with_options()
        twin._own = self._own.copy()
        return twin

    def __getstate__(self) -> dict[str, Any]:
        return {
            "config": self.config,
            "username": self._shared.credentials.username,
            "messages": self._own.snapshot(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        PuterAI.__init__(self, state["username"], config=state["config"])
        self._own = History(state["messages"])

    def __repr__(self) -> str:
        who = self._shared.credentials
        state = "closed" if self._shared.closed else "signed in" if who.token else "not signed in"
        name = f"username={who.username!r}, " if who.username else ""
        return f"<PuterAI {name}model={self.current_model!r}, {self.config.api_base}, {state}>"


share_docstrings(PuterAI)
