"""``PuterConfig``: the settings of one client, each assignment checked; where they come from.

A new setting is a field of ``PuterConfig``, with its default and its docstring, and a line in
``puter.settings.ConfigOptions``, with its check. Its environment variable is read by its type.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import sys
import typing
from collections.abc import Mapping
from types import ModuleType, NoneType
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from puter.checks import did_you_mean, is_loopback
from puter.exceptions import PuterConfigError, repr_of
from puter.frames import without_arguments
from puter.process import late
from puter.records import dataclass, field
from puter.settings import (
    ConfigOptions,
    origin_of,
    public_headers,
    secret_headers,
    setting_checks,
    without_credentials,
)

if TYPE_CHECKING:
    import difflib
    import json

    from typing_extensions import Self, Unpack

    from puter import profiles
else:
    difflib, json = late("difflib"), late("json")
    profiles = late("puter.profiles")

T = TypeVar("T")


def _guarded(cls: type[T]) -> type[T]:
    cls.__init__ = without_arguments(cls.__init__)  # type: ignore[method-assign]
    return cls


@_guarded
@dataclass(repr=False)
class PuterConfig:
    """The settings of one client. Every assignment is checked.

    ``PuterConfig(...)`` starts from the defaults below, ``from_env()`` from the environment
    variables ``PUTER_<FIELD>`` (``PUTER_TIMEOUT=60``), which is what ``PuterAI()`` does, and
    ``from_file()`` from config files below these, as ``PuterAI(profile="work")`` does.

    Raises:
        PuterConfigError: A value is not valid or a name is unknown.

    Examples:
        >>> config = PuterConfig(timeout=60)
        >>> config.update(max_retries=2, deadline=90)
        >>> config.login_url
        'https://puter.com/login'
    """

    api_base: str = "https://api.puter.com"
    """URL of the API. Default ``https://api.puter.com``."""
    login_url: str = None  # type: ignore[assignment]  # derived when not given
    """URL of the sign-in. Default: ``api_base`` without its leading ``api.``, plus ``/login``."""
    timeout: float | None = 300.0
    """Seconds of silence allowed between bytes, and until the headers of an answer have come, above
    0; None: no limit. Default 300, because the server is silent while a model thinks."""
    connect_timeout: float | None = 10.0
    """Seconds to make a connection, above 0; None: no limit. Default 10."""
    chunk_timeout: float | None = None
    """Seconds of silence allowed between the chunks of a chat once its first has come, above 0.
    Default None: as ``timeout``."""
    deadline: float | None = None
    """Seconds for a whole call with all its waits and retries, above 0. Default None: no limit."""
    max_response_bytes: int = 256 * 1024 * 1024
    """Bytes of one answer at most, decoded, 1 or more; more is a PuterResponseError. Default 256
    MiB. A line of a stream may have 64 MiB, or this where it is less. Decoding JSON may take 1.3
    times as much memory (16 MiB in any case); what would take more is refused before."""
    max_retries: int = 5
    """How often a failed request is sent again at most, 0 or more. Default 5."""
    retry_delay: float = 0.5
    """Seconds before the first retry, 0 or more. Default 0.5."""
    backoff_factor: float = 2.0
    """Each further delay is that many times longer, 1 or more. Default 2. With the defaults the
    delays add up to at least 11.6 s, which crosses Puter's window of 10 s."""
    max_retry_delay: float = 60.0
    """Longest delay in seconds, 0 or more; a longer ``Retry-After`` raises at once. Default 60."""
    retry_on_timeout: bool = False
    """Send a *billed* call again after a timeout. It may be paid twice. Default False."""
    rate_limit_requests: int | None = 30
    """Calls per ``rate_limit_period``, 1 or more; None: no limit. Default 30 (Puter backend, free
    account)."""
    rate_limit_period: float = 10.0
    """Seconds that ``rate_limit_requests`` counts for, above 0. Default 10 (Puter backend: rolling
    window of 10 s). The client waits a tenth longer, as the server counts when calls arrive."""
    max_concurrency: int | Literal["auto"] | None = "auto"
    """Calls at the same time, 1 or more; None: no limit. Default ``"auto"``: 3 at first, as a free
    account may make, more while calls wait and none is refused, up to the 20 of a paid one, and
    fewer when Puter refuses one. A number is where it begins, and never exceeded."""
    headers: dict[str, str] = field(default_factory=dict)
    """More headers for every request, names and values in ASCII; ``config.headers["X-A"] = "1"`` is
    checked like an assignment. Default: none."""
    default_model: str = "gpt-5-nano"
    """Model of a chat that names none. Default ``gpt-5-nano``."""
    auto_login: bool = True
    """The first call signs in when there is a user name and a password but no token. Default
    True."""
    proxy: str | None = None
    """URL of a proxy, ``http://`` or ``https://`` (no SOCKS); ``""`` for none. Default None: follow
    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY. The last is read as requests reads it: a list
    of hosts, ends of host names, addresses and networks, IPv6 too, each with a port or without.
    Plain http to this machine takes no proxy of the environment."""
    verify: bool | str | None = None
    """Path of a CA bundle; True: certifi's. Default None: follow REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE
    and SSL_CERT_FILE."""
    allow_http: bool = False
    """Permit plain http to other hosts than loopback. Default False."""

    def __post_init__(self) -> None:
        self.__dict__["_ready"] = True
        _check_http(self.__dict__)

    if not TYPE_CHECKING:  # a type checker shall refuse names that are not above

        @without_arguments
        def __setattr__(self, name: str, value: Any) -> None:
            check = setting_checks().get(name)
            if check is None:
                raise _unknown_setting(name)
            values = {**self.__dict__, name: check(name, value)}
            if name == "login_url":
                values["_login_given"] = value is not None
            if name in ("api_base", "login_url") and not values.get("_login_given"):
                values["login_url"] = _derive_login(values["api_base"])
            if "_ready" in values:
                _check_http(values)
            self.__dict__.update(values)

        def __delattr__(self, name: str) -> None:
            raise PuterConfigError(
                f"The setting {name!r} cannot be deleted",
                hint="Assign what it shall be; the defaults are those of PuterConfig().",
            )

    @classmethod
    @without_arguments
    def from_env(cls, **overrides: Unpack[ConfigOptions]) -> Self:
        """Settings from ``PUTER_<FIELD>`` variables; ``overrides`` win.

        ``PUTER_HEADERS`` is a JSON object; flags are ``1/0``, ``true/false``, ``yes/no``,
        ``on/off``; ``none`` stands for None. An empty variable counts as not set, except
        ``PUTER_PROXY``, where it means no proxy.

        Raises:
            PuterConfigError: A variable or an override is not valid; the message names it.

        Examples:
            >>> import os
            >>> os.environ["PUTER_MAX_RETRIES"] = "2"
            >>> PuterConfig.from_env(timeout=60).max_retries
            2
            >>> del os.environ["PUTER_MAX_RETRIES"]
        """
        return cls._over({}, overrides)

    @classmethod
    @without_arguments
    def from_file(
        cls,
        path: str | os.PathLike[str] | None = None,
        profile: str | None = None,
        **overrides: Unpack[ConfigOptions],
    ) -> Self:
        r"""Settings from config files, read now; the environment and ``overrides`` win.

        Sign-in data in them is for ``PuterAI(profile=...)`` alone.

        Args:
            path: A TOML file. Default: ``./puter.toml``, and for what it does not say the user's,
                ``~/.config/puter/config.toml`` (as ``platformdirs`` has it on other systems);
                either may be missing.
            profile: Whose settings, of a table ``[profile.name]``, count before those at the top
                of the same file. Default: ``PUTER_PROFILE``, or the top level alone, as for
                ``""``.
            **overrides: Single settings by name.

        Raises:
            PuterConfigError: A file, a key, a value or the profile is not good; the message names
                it.

        Examples:
            >>> from pathlib import Path
            >>> _ = Path("puter.toml").write_text("timeout = 60\n[profile.quick]\ntimeout = 5")
            >>> PuterConfig.from_file("puter.toml", profile="quick").timeout
            5
        """
        return cls._over(settings_in(profile_of(path, profile)), overrides)

    @classmethod
    def _over(cls, found: Mapping[str, Any], overrides: Mapping[str, Any]) -> Self:
        """Settings from the environment, over those ``found`` elsewhere and under others."""
        _check_names(overrides)
        found = dict(found)
        for name, check in setting_checks().items():
            variable = f"PUTER_{name.upper()}"
            text = os.environ.get(variable)
            if name in overrides or text is None or (text == "" and name != "proxy"):
                continue
            try:
                found[name] = check(name, _parse(name, text))
            except PuterConfigError as error:
                raise PuterConfigError(f"{variable}: {error.message}", hint=error.hint) from None
        found.update(overrides)
        return cls(**found)

    @without_arguments
    def update(self, **changes: Unpack[ConfigOptions]) -> None:
        """Change several settings: all of them, or, when one is not valid, none.

        Raises:
            PuterConfigError: A name is unknown or a value is not valid.

        Examples:
            >>> PuterConfig().update(timeout=60, max_retries=1)
        """
        self.__dict__.update(self.replace(**changes).__dict__)

    @without_arguments
    def replace(self, **changes: Unpack[ConfigOptions]) -> Self:
        """A copy with the changes; see ``update()``.

        Examples:
            >>> PuterConfig(timeout=60).replace(max_retries=2).timeout
            60
        """
        _check_names(changes)
        values = self.to_dict()
        values.update(changes)
        return type(self)(**values)

    def to_dict(self) -> dict[str, Any]:
        """The settings, as ``PuterConfig(**d)`` takes them; a derived ``login_url`` is None.

        Examples:
            >>> PuterConfig(**PuterConfig(timeout=60).to_dict()).timeout
            60
        """
        values: dict[str, Any] = {name: self.__dict__[name] for name in setting_checks()}
        values["headers"] = dict(self.headers)
        if not self.__dict__.get("_login_given"):
            values["login_url"] = None
        return values

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, headers=copy.copy(self.headers))
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return copy.copy(self)

    def __reduce__(self) -> Any:
        return functools.partial(type(self), **{**self.to_dict(), **public_values(self)}), ()

    def __repr__(self) -> str:
        if "_ready" not in vars(self):
            return "<PuterConfig not made>"  # a debugger shows it
        told = {
            **self.to_dict(),
            "login_url": self.login_url,
            **public_values(self, stand_in="***"),
        }
        return f"PuterConfig({', '.join(f'{name}={value!r}' for name, value in told.items())})"


def public_values(config: PuterConfig, stand_in: str | None = None) -> dict[str, Any]:
    """The settings that may hold secrets, without them (or with a stand-in)."""
    if stand_in is None:
        headers = public_headers(config.headers.items())
        return {"headers": headers, "proxy": without_credentials(config.proxy)}
    hidden = dict.fromkeys(config.headers, stand_in)
    return {"headers": hidden, "proxy": without_credentials(config.proxy, f"{stand_in}@")}


def _check_http(values: Mapping[str, Any]) -> None:
    for name in ("api_base", "login_url"):
        parts = urlsplit(values[name])
        if parts.scheme == "http" and not (
            values["allow_http"] or is_loopback(parts.hostname or "")
        ):
            raise PuterConfigError(
                f"{name}: plain http to {parts.hostname} would show the token to the network",
                hint="Use https, or allow_http=True if that network is yours.",
            )


def _derive_login(api_base: str) -> str:
    scheme, _, host = origin_of(api_base).partition("://")
    return f"{scheme}://{host.removeprefix('api.')}/login"


def profile_of(
    path: str | os.PathLike[str] | None,
    profile: str | None,
    *,
    project: bool = True,
    may_be_new: bool = False,
) -> profiles.Profile:
    """What config files say, see ``PuterConfig.from_file()``, with the sign-in data in them.

    Args:
        path: As there.
        profile: As there.
        project: Whether ``./puter.toml`` counts; it may be a stranger's.
        may_be_new: Whether a profile that no file has is what stands at the top.
    """
    return profiles.read(
        path,
        profile,
        project=project,
        may_be_new=may_be_new,
        check_key=_check_key,
        check=_check_value,
        is_secret=_holds_secret,
    )


def settings_in(profile: profiles.Profile) -> dict[str, Any]:
    """The settings of a profile, without its sign-in data."""
    return profile.values(setting_checks())


def _check_key(name: str) -> None:
    known = [*CREDENTIALS, *setting_checks()]
    if name not in known:
        near = [one for one in _near(name) if one in known]
        hint = did_you_mean(near) or f"There are {', '.join(known)}."
        raise PuterConfigError(f"There is no setting {repr_of(name)}", hint=hint)


def _check_value(name: str, value: Any) -> Any:
    if name in setting_checks():
        return setting_checks()[name](name, None if _is_none(name, value) else value)
    if not isinstance(value, str) or not value.strip():
        raise PuterConfigError(f"{name} must be a text with something in it")
    return value


def _holds_secret(name: str, value: Any) -> bool:
    if name == "headers" and isinstance(value, Mapping):
        return bool(secret_headers(value))
    return name == "proxy" and "@" in str(value)


def _is_none(name: str, value: Any) -> bool:
    """Whether it is the word ``none`` for None, which neither TOML nor variables have."""
    kinds = typing.get_args(typing.get_type_hints(ConfigOptions)[name])
    return isinstance(value, str) and value.strip().lower() == "none" and NoneType in kinds


def _parse(name: str, text: str) -> Any:
    """The value in an environment variable, by the type of the setting; else the text itself."""
    wanted = typing.get_type_hints(ConfigOptions)[name]
    kinds = {wanted, *typing.get_args(wanted)}
    word = text.strip().lower()
    if _is_none(name, text):
        return None
    if bool in kinds and word in _FLAGS:
        return _FLAGS[word]
    if wanted is bool:
        raise PuterConfigError(f"{text!r} is neither true nor false", hint="Use 1 or 0.")
    with contextlib.suppress(ValueError, RecursionError):  # which the check refuses
        if kinds & {int, float}:
            number = float(word)
            return int(number) if number.is_integer() else number
        if typing.get_origin(wanted) is Mapping:
            return json.loads(text)
    return text


_FLAGS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def _check_names(settings: Mapping[str, Any]) -> None:
    """Refuse names that no setting has, with a suggestion."""
    for name in settings:
        if name not in setting_checks():
            raise _unknown_setting(name)


CREDENTIALS = ("username", "password", "token")
_OF_CLIENT = (*CREDENTIALS, "profile")
"""Arguments of ``PuterAI`` that are no settings."""

MEANT = {
    **dict.fromkeys(
        ("api_key", "auth_token", "access_token", "api_token", "puter_token", "key"), "token"
    ),
    **dict.fromkeys(("email", "user", "login"), "username"),
    **dict.fromkeys(("base_url", "api_url", "host", "endpoint", "api_origin"), "api_base"),
    **dict.fromkeys(("model", "model_name"), "default_model"),
    **dict.fromkeys(("default_headers", "extra_headers"), "headers"),
    **dict.fromkeys(("request_timeout", "read_timeout"), "timeout"),
    "http_client": "transport",
    "proxies": "proxy",
    "verify_ssl": "verify",
    "ssl_verify": "verify",
}
"""What users of other SDKs mean."""


def _unknown_setting(name: str) -> PuterConfigError:
    near = _near(name)
    if name in _OF_CLIENT:
        hint = f"It belongs to the client: PuterAI({name}=...)."
    elif not near:
        hint = f"PuterAI takes {', '.join([*_OF_CLIENT, *setting_checks()])}."
    elif near[0] in (*_OF_CLIENT, "transport"):
        hint = f"Did you mean PuterAI({near[0]}=...)?"
    else:
        hint = f"Did you mean {near[0]!r}?"
    return PuterConfigError(f"There is no setting {name!r}", hint=hint)


def _near(name: str) -> list[str]:
    """The name that is meant, if any comes near."""
    known = [*_OF_CLIENT, *setting_checks()]
    return [MEANT[name]] if name in MEANT else difflib.get_close_matches(name, known, n=1)


class _NoGlobalConfig(ModuleType):
    """Tells who takes this module for the settings themselves that each client has its own."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(self._told(name))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in setting_checks():
            raise AttributeError(self._told(name))
        super().__setattr__(name, value)

    def _told(self, name: str) -> str:
        told = f"module {self.__name__!r} has no attribute {name!r}"
        if name not in setting_checks() and not hasattr(PuterConfig, name):
            return told
        return f"{told}: each client has its own settings, as in ai.config.update(timeout=60)"


sys.modules[__name__].__class__ = _NoGlobalConfig
