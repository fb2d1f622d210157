"""``PuterAI``: the client. Each operation is a line here, and written once in ``puter/api/``."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from puter import checks
from puter.api.methods import ChatMethods
from puter.config import PuterConfig, profile_of, settings_in
from puter.docstrings import documented_by
from puter.engine.client import Client, operations, paired, prepared
from puter.engine.context import SharedState, Transports
from puter.engine.credentials import TOKEN_VARIABLES, Credentials
from puter.exceptions import PuterConfigError, repr_of
from puter.frames import without_arguments
from puter.history import History, load
from puter.keywords import suggesting
from puter.process import late, loading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self, Unpack

    from puter import conversation as conversations
    from puter import models, profiles
    from puter.api import (
        auth,
        browser_login,
        drivers,
        files,
        images,
        model_lists,
        speech,
        usage_and_tokens,
        video,
    )
    from puter.api import auth as signing_in
    from puter.batch import calls as batches
    from puter.conversation import Conversation
    from puter.engine import events, log
    from puter.engine import transport as engine_transport
    from puter.engine.context import CallContext
    from puter.engine.effects import Flow
    from puter.engine.events import Event
    from puter.engine.ledger import Ledger
    from puter.engine.transport import Transport
    from puter.extensions import installing
    from puter.extensions.installing import Extension
    from puter.profiles import Profile
    from puter.settings import ConfigOptions
    from puter.types import model as model_types
    from puter.types.model import CostEstimate
    from puter.wire import catalogue
    from puter.wire import messages as messages_of_chats
else:
    auth, drivers = operations("puter.api.auth"), operations("puter.api.drivers")
    browser_login = operations("puter.api.browser_login")
    files, images = operations("puter.api.files"), operations("puter.api.images")
    model_lists, speech = operations("puter.api.model_lists"), operations("puter.api.speech")
    usage_and_tokens = operations("puter.api.usage_and_tokens")
    video = operations("puter.api.video")
    batches = operations("puter.batch.calls")

    catalogue, conversations = late("puter.wire.catalogue"), late("puter.conversation")
    events, log = late("puter.engine.events"), late("puter.engine.log")
    messages_of_chats = late("puter.wire.messages")
    models, model_types = late("puter.models"), late("puter.types.model")
    profiles = late("puter.profiles")
    installing = late("puter.extensions.installing")
    engine_transport, signing_in = late("puter.engine.transport"), late("puter.api.auth")


class PuterAI(Client, ChatMethods):
    """A client of Puter's AI, for sync and async code alike.

    The constructor does no I/O, except that it reads config files for a ``profile``, and needs no
    event loop. Make one for an account, and share it: threads, tasks and ``with_options()`` copies
    queue together for Puter's limits, and two clients of one account do not. It pickles (settings
    and history, never token or password) and survives fork and several ``asyncio.run`` calls. Each
    method that talks to Puter has a twin ``async_<name>`` with the same parameters.

    Args:
        username: Account name or e-mail address. Default: ``PUTER_USERNAME``.
        password: Password of that account. Default: ``PUTER_PASSWORD``.
        token: A Puter token, instead of signing in. Default: ``PUTER_AUTH_TOKEN``, ``PUTER_TOKEN``
            or ``PUTER_API_TOKEN``, unless a user name or password is given.
        config: Settings; a copy is kept. Default: ``PuterConfig.from_env()``.
        profile: Name of a profile in config files, ``""`` for their top level alone, or a
            ``Profile`` that was read: settings and sign-in data for what neither arguments nor the
            environment tell. Default: ``PUTER_PROFILE``; without it no file is read. See
            ``PuterConfig.from_file()``.
        transport: What carries requests out, such as ``puter.testing.MockTransport``. Default:
            requests for the sync methods, aiohttp for the async ones.
        **config_overrides: Single settings by name, see ``PuterConfig``.

    Raises:
        PuterConfigError: A setting is unknown or not valid; or a profile or plugin is.
        PuterInputError: A credential is not a usable str.

    Examples:
        >>> with PuterAI(timeout=60) as ai:  # the token is in PUTER_AUTH_TOKEN
        ...     print(ai.chat("Say hello"))
        Hello!
    """

    config: PuterConfig
    """This client's own settings; ``config.update(timeout=60)`` counts from the next call on."""

    @without_arguments
    def __init__(
        self,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        *,
        config: PuterConfig | None = None,
        profile: str | Profile | None = None,
        transport: Transport | None = None,
        **config_overrides: Unpack[ConfigOptions],
    ) -> None:
        found = _profile(profile)
        settings_with = partial(_settings, config, config_overrides)
        settings = settings_with(found)
        credentials = _credentials(username, password, token, found, settings_with)
        if transport is not None and not isinstance(transport, engine_transport.Transport):
            raise PuterConfigError(
                f"transport must be a Transport, not {type(transport).__name__}",
                hint="For tests pass puter.testing.MockTransport(handler).",
            )
        transports = Transports({"sync": _requests_transport, "async": _aiohttp_transport})
        if transport is not None:
            transports.update({"sync": transport, "async": transport})
        if level := os.environ.get("PUTER_LOG"):
            log.log_to_stderr(level)
        self._set_up(settings, SharedState(credentials, transports))
        self._history = History()
        if names := os.environ.get("PUTER_PLUGINS"):
            installing.install_plugins(self, names)

    if not TYPE_CHECKING:  # which sees by itself what is assigned

        @without_arguments
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "config" and not isinstance(value, PuterConfig):
                raise _no_config(value)
            super().__setattr__(name, value)

    def _sign_in(self, call: CallContext) -> Flow[None]:
        return signing_in.ensure_signed_in(call)

    # ------------------------------------------------------------ operations

    login, async_login = paired(auth.login)
    login_with_browser, async_login_with_browser = paired(browser_login.login_with_browser)
    logout, async_logout = paired(auth.logout)
    whoami, async_whoami = paired(auth.whoami)

    txt2img, async_txt2img = paired(images.txt2img)
    img2txt, async_img2txt = paired(images.img2txt)
    txt2speech, async_txt2speech = paired(speech.txt2speech)
    speech2txt, async_speech2txt = paired(speech.speech2txt)
    speech2speech, async_speech2speech = paired(speech.speech2speech)
    list_voices, async_list_voices = paired(speech.list_voices)
    list_engines, async_list_engines = paired(speech.list_engines)
    txt2vid, async_txt2vid = paired(video.txt2vid)

    list_models, async_list_models = paired(model_lists.list_models)
    list_model_providers, async_list_model_providers = paired(model_lists.list_model_providers)

    account_usage, async_account_usage = paired(usage_and_tokens.account_usage)
    app_usage, async_app_usage = paired(usage_and_tokens.app_usage)
    create_api_token, async_create_api_token = paired(usage_and_tokens.create_api_token)
    revoke_api_token, async_revoke_api_token = paired(usage_and_tokens.revoke_api_token)

    upload, async_upload = paired(files.upload)
    read_file, async_read_file = paired(files.read_file)
    stat_file, async_stat_file = paired(files.stat_file)
    list_files, async_list_files = paired(files.list_files)
    delete_file, async_delete_file = paired(files.delete_file)

    call, async_call = paired(drivers.call)

    batch, async_batch = prepared(batches.batch)

    # ------------------------------------------------------------ chat

    @property
    def chat_history(self) -> list[dict[str, Any]]:
        """The live list of messages exchanged so far; one assigned is checked like ``messages=``.

        Raises:
            PuterInputError: What is assigned is no list of messages.

        Examples:
            >>> ai.chat_history = ["Say hello", {"role": "assistant", "content": "Hello!"}]
            >>> ai.chat_history = ai.chat_history[-1:]
            >>> ai.chat_history
            [{'role': 'assistant', 'content': 'Hello!'}]
        """
        return self._history.messages

    @chat_history.setter
    def chat_history(self, messages: Sequence[Mapping[str, Any] | str]) -> None:
        self._history.replace("chat_history", messages)

    def clear_chat_history(self) -> None:
        """Forget the messages exchanged so far.

        Examples:
            >>> _ = ai.chat("Say hello")
            >>> ai.clear_chat_history()
            >>> ai.chat_history
            []
        """
        self._history.clear()

    @suggesting
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
        history = History(
            messages_of_chats.check_messages(messages) if messages else (),
            system=checks.text_or_none("system", system),
            model=checks.text_or_none("model", model),
            queued=True,
        )
        return conversations.Conversation(self, history)

    def load_conversation(self, path: str | os.PathLike[str]) -> Conversation:
        """Go on with a conversation that ``Conversation.save`` wrote.

        Args:
            path: The file.

        Raises:
            PuterInputError: The file holds none, or one of a newer SDK, or is a pipe or a device.
            OSError: It could not be read.

        Examples:
            >>> path = ai.conversation(system="Be brief.").save("talk.json")
            >>> ai.load_conversation(path).system
            'Be brief.'
        """
        return conversations.Conversation(self, load(path))

    # ------------------------------------------------------------ models

    @property
    def current_model(self) -> str:
        """The model of a chat that names none; assigning it sets ``config.default_model``.

        Raises:
            PuterConfigError: What is assigned is no name.

        Examples:
            >>> ai.current_model = "claude-haiku-4-5"
        """
        return self.config.default_model

    @current_model.setter
    def current_model(self, name: str) -> None:
        self.config.default_model = name

    @property
    def available_models(self) -> Mapping[str, str]:
        """Known models and their providers: the offline registry, read-only.

        Models of drivers are there as well, with the names of their drivers.
        """
        return self._models.providers

    @property
    def _models(self) -> models.ModelRegistry:
        """The registry, and above it the models of drivers."""
        known, servers = models.registry(), self._extensions.drivers
        if not servers:
            return known
        own = {one.models[key]: one.name for key, one in servers.items()}
        return models.ModelRegistry({**known.providers, **own}, known.catalogue)

    def get_available_models(self) -> list[str]:
        """Names of the known models, sorted; a fresh list each time, without network.

        Examples:
            >>> "gpt-5-nano" in PuterAI().get_available_models()
            True
        """
        return sorted(self._models.providers)

    def set_model(self, name: str) -> bool:
        """Choose the model of later chats by its id or alias, upper or lower case.

        Args:
            name: The model.

        Returns:
            True when the registry knows the name. False leaves the model alone, and a warning on
            the logger ``puter`` names near ones. A model newer than the registry can be named in
            each call, or as ``default_model``.

        Examples:
            >>> ai = PuterAI()
            >>> ai.set_model("no such model"), ai.current_model
            (False, 'gpt-5-nano')
        """
        known = self._models
        found = known.find(name) if isinstance(name, str) else None
        if found is not None:
            self.config.default_model = found
            return True
        near = checks.did_you_mean(known.suggest(name)) if isinstance(name, str) else ""
        events.LOGGER.warning(
            "set_model(%s): no such model is known, %s stays. %s",
            repr_of(name),
            self.current_model,
            near or f"config.default_model = {repr_of(name)} takes any name.",
        )
        return False

    def estimate_cost(
        self, prompt: str, model: str | None = None, *, output_tokens: int = 500
    ) -> CostEstimate:
        """An estimate of what a chat would cost, from list prices and without network.

        The text counts as a quarter of a token a character; the server's own count will differ.

        Args:
            prompt: What would be said, history included.
            model: Which model. Default: ``current_model``.
            output_tokens: Tokens that the answer is assumed to have, 0 or more. Default 500.

        Raises:
            PuterInputError: An argument is wrong.

        Examples:
            >>> print(PuterAI().estimate_cost("Hello!", "gpt-4.1"))
            about 0.00401 USD
        """
        name = self.current_model if model is None else checks.text("model", model)
        known = self._models.lookup(name)
        live = next((one for one in self._catalogues.get("chat", ()) if one.id == known.id), None)
        listed = (
            catalogue.read_model(known.entry, "chat")
            if known.entry
            else model_types.Model(known.id, "")
        )
        return catalogue.estimate_cost(live or listed, prompt, output_tokens)

    # ------------------------------------------------------------ extensions

    def use(self, extension: Extension, *, per_attempt: bool = False) -> Self:
        """Give the client an extension; copies made from now on share it. A pickle has none.

        When it fails, nothing of the extension is left in.

        Args:
            extension: A middleware, which is a generator function ``(request, call_next)``; or one
                of ``puter.extensions``; or any object with such a ``middleware``, or with
                ``setup(client)``, or both; or the name of an installed plugin (entry point group
                ``puter.plugins``; the variable ``PUTER_PLUGINS="a,b"`` names those of each client).
                The first is outermost. A driver serves the models that it names; of two that name
                the same the later one does.
            per_attempt: Put the middleware around each HTTP attempt, not the whole call. Objects
                with an attribute ``per_attempt`` know that for themselves.

        Returns:
            The client.

        Raises:
            PuterConfigError: It is no extension, or in use already; ``per_attempt`` is not for it;
                or the plugin is not installed or fails.
            Exception: What ``setup()`` of an extension raises that is no plugin.

        Examples:
            >>> def in_german(request, call_next):
            ...     system = {"role": "system", "content": "Answer in German."}
            ...     request = request.replace(messages=[system, *request.messages])
            ...     return (yield from call_next(request))
            >>> ai = PuterAI(token="...").use(in_german)
        """
        installing.install(self, extension, per_attempt=per_attempt)
        return self

    def on(self, event: str, callback: Callable[[Event], Any]) -> Callable[[], None]:
        """Call a function whenever something happens; it cannot break a call.

        Events are ``call.start``, ``call.end``, ``call.error``, ``response``, ``retry``,
        ``throttle.wait``, ``stream.chunk``, ``tool.start``, ``tool.end``, ``history.commit`` and
        ``fallback``. A callback that fails is logged once.

        Args:
            event: Name of the event.
            callback: Takes the ``puter.extensions.Event``. Async methods await coroutine functions.

        Returns:
            A function that ends it.

        Raises:
            PuterConfigError: There is no such event, or the callback is no function.

        Examples:
            >>> stop = ai.on("call.end", lambda event: print(event.operation, event.usage))
            >>> ai.chat("Say hello").text
            chat Usage(input_tokens=6, output_tokens=2, cached_tokens=0, reasoning_tokens=0)
            'Hello!'
            >>> stop()
        """
        return events.subscribe(self._extensions, event, callback)

    # ------------------------------------------------------------ copies, closing

    @property
    def usage(self) -> Ledger:
        """What this client's calls used and cost so far, in all, ``by_model`` and ``by_operation``.

        Media and calls that were given up count as well; those whose cost the server does not tell
        are in ``unpriced``, not in ``cost``.

        Examples:
            >>> print(PuterAI().usage)
            0 calls, 0 USD
        """
        return self._shared.ledger

    @without_arguments
    def with_options(self, **overrides: Unpack[ConfigOptions]) -> Self:
        """A cheap copy with other settings and an empty history.

        It shares token, connections and ledger, and the throttle until it gets limits of its own.
        Closing either closes both.

        Args:
            **overrides: Settings by name, see ``PuterConfig``.

        Raises:
            PuterConfigError: A setting is unknown or not valid.

        Examples:
            >>> ai = PuterAI()
            >>> quick = ai.with_options(timeout=20, max_retries=0)
        """
        config = self.config.replace(**overrides)
        self._take_settings()
        twin = self._twin()
        twin.config = config
        twin._borrows_throttle = True
        twin._history = History()
        twin._catalogues = {}
        twin._take_settings()
        return twin

    def close(self) -> None:
        """Close all connections and forget the token. Safe to repeat.

        Calls under way come to their end; open streams and downloads end with an error.

        Examples:
            >>> ai = PuterAI()
            >>> ai.close()
        """
        asynchronous = self._shut()
        if asynchronous is not None:
            asynchronous.close()

    @documented_by(close)
    async def async_close(self) -> None:
        asynchronous = self._shut()
        if asynchronous is not None:
            await asynchronous.async_close()

    def _shut(self) -> Transport | None:
        self._shared.credentials.forget()
        return self._shared.transports.shut()

    def __enter__(self) -> Self:
        self._shared.transports.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._shared.transports.check_open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.async_close()

    def __copy__(self) -> Self:
        """A client that goes its own way from here, with the same connections and token."""
        twin = self.with_options()
        twin._history = self._history.copy()
        return twin

    def __deepcopy__(self, memo: Any) -> Self:
        return self.__copy__()

    def __getstate__(self) -> dict[str, Any]:
        return {
            "config": self.config,
            "username": self._shared.credentials.username,
            "messages": self._history.snapshot(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        PuterAI.__init__(self, state["username"], config=state["config"])
        self._history = History(state["messages"])

    def __repr__(self) -> str:
        if "_shared" not in vars(self):
            return "<PuterAI not made>"  # a traceback of the constructor shows it
        credentials = self._shared.credentials
        state = "signed in" if credentials.token else "not signed in"
        if credentials.closed:
            state = "closed"
        name = f"username={credentials.username!r}, " if credentials.username else ""
        return f"<PuterAI {name}model={self.current_model!r}, {self.config.api_base}, {state}>"


def _profile(name: str | Profile | None) -> Profile | None:
    """What config files say, None when nobody asked for them; or what was read of them already."""
    if name is None and not os.environ.get("PUTER_PROFILE"):
        return None
    return name if isinstance(name, profiles.Profile) else profile_of(None, name)


def _settings(config: Any, overrides: Any, found: Profile | None) -> PuterConfig:
    if config is None:
        return PuterConfig._over({} if found is None else settings_in(found), overrides)
    if isinstance(config, PuterConfig):
        return config.replace(**overrides)
    raise _no_config(config)


def _no_config(config: Any) -> PuterConfigError:
    return PuterConfigError(
        f"config must be a PuterConfig, not {type(config).__name__}",
        hint="Single settings go in by name: PuterAI(timeout=60), or config.update(timeout=60).",
    )


def _credentials(
    username: str | None,
    password: str | None,
    token: str | None,
    found: Profile | None,
    settings_with: Callable[[Profile], PuterConfig],
) -> Credentials:
    """Those given, else those of the environment, else those of the profile.

    A token stands for all of them: it is left where a user name or password comes before it.
    """
    env = os.environ
    if token is None and username is None and password is None:
        tokens = (env.get(name, "").strip() for name in TOKEN_VARIABLES)
        token = next(filter(None, tokens), None)
    username = username if username is not None else env.get("PUTER_USERNAME") or None
    password = password if password is not None else env.get("PUTER_PASSWORD") or None
    if found is not None:
        if token is None and username is None and password is None:
            token = found.secret("token", settings_with)
        if username is None:
            username = found.values(["username"]).get("username")
        if password is None and token is None:
            password = found.secret("password", settings_with)
    credentials = Credentials(username, password, token)
    credentials.profile_read = found is not None
    return credentials


def _requests_transport() -> Transport:
    with loading():
        from puter.transports.requests_transport import RequestsTransport
    return RequestsTransport()


def _aiohttp_transport() -> Transport:
    with loading():
        from puter.transports.aiohttp_transport import AiohttpTransport
    return AiohttpTransport()
