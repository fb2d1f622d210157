"""``PuterConfig``: the settings of one client, each assignment checked."""

from __future__ import annotations

import copy
import difflib
import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from puter.exceptions import PuterConfigError

if TYPE_CHECKING:
    from typing_extensions import Self

OUR_HEADERS = frozenset(
    "accept-encoding authorization connection content-encoding content-length content-type cookie "
    "host origin proxy-authorization referer transfer-encoding x-api-key".split()
)
"""Headers that the client sets, or that break or leak a call; none may be configured."""


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1, localhost and its subdomains."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_MOST = 10**9
"""Bound of every number: 30 years in seconds, and no timer or socket overflows."""


def _fail(name: str, value: Any, wanted: str) -> PuterConfigError:
    shown = repr(value) if len(repr(value)) <= 60 else f"a {type(value).__name__}"
    if _is_private(name) or (isinstance(value, str) and re.search("[@?]", value)):
        shown = "the value given"  # it may hold a password or a token
    return PuterConfigError(f"{name}={shown} is not valid", hint=f"{name} must be {wanted}.")


def _is_private(name: str) -> bool:
    return name in ("proxy", "headers")


def _number(
    wanted: str, *, least: float, above: bool = False, none: bool = False, whole: bool = False
) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if value is None and none:
            return None
        good = (
            isinstance(value, int if whole else (int, float))
            and not isinstance(value, bool)
            and (least < value if above else least <= value)
            and value <= _MOST
        )
        if not good:
            raise _fail(name, value, wanted + (", or None for no limit" if none else ""))
        return value

    return check


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _fail(name, value, "True or False")
    return value


def _url(name: str, value: Any) -> str:
    wanted = "a URL such as 'https://api.puter.com', without query or user name"
    if not isinstance(value, str):
        raise _fail(name, value, wanted)
    parts = _split(name, value.strip(), wanted)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.username is not None
        or parts.query
        or parts.fragment
        or re.search(r"[\s\\\x00-\x1f]", value.strip())
    ):
        raise _fail(name, value, wanted)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _split(name: str, value: str, wanted: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises when it is no number
        (parts.hostname or "").encode("idna")
    except (ValueError, UnicodeError):
        raise _fail(name, value, wanted) from None
    return parts


def _login_url(name: str, value: Any) -> str | None:
    if value is None:
        return None  # derived from api_base
    url = _url(name, value)
    return url if urlsplit(url).path else f"{url}/login"


def _proxy(name: str, value: Any) -> str | None:
    wanted = "an http:// or https:// URL, '' for no proxy, or None to follow the environment"
    if value is None or value == "":
        return None if value is None else ""
    if not isinstance(value, str):
        raise _fail(name, value, wanted)
    parts = _split(name, value, wanted)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _fail(name, value, wanted)
    return value


def _verify(name: str, value: Any) -> bool | str | None:
    if value is False:
        raise PuterConfigError(
            "verify=False would send the token to whoever answers",
            hint="Give the path of your CA bundle instead: verify='/path/to/ca.pem'.",
        )
    if value is None or value is True:
        return None if value is None else True
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise _fail(name, value, "True, or the path of a CA bundle, or None for the environment")
    path = os.fspath(value)
    if not isinstance(path, str) or not os.path.exists(path):
        raise PuterConfigError(
            f"verify: there is no CA bundle at {str(path)!r}",
            hint="Give the path of a PEM file, or leave it out.",
        )
    return path


def _headers(name: str, value: Any) -> Mapping[str, str]:
    wanted = "a mapping of header names to str values"
    if not isinstance(value, Mapping):
        raise _fail(name, value, wanted)
    for key, text in value.items():
        if not isinstance(key, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", key):
            raise PuterConfigError(
                f"headers: {str(key)[:40]!r} is not a header name",
                hint="Use letters, digits and hyphens.",
            )
        if key.lower() in OUR_HEADERS:
            raise PuterConfigError(
                f"headers: {key!r} is set by the client and cannot be configured",
                hint="Give the token as token=..., and leave Origin and cookies to browsers.",
            )
        if (
            not isinstance(text, str)
            or not re.fullmatch(r"[\t\x20-\x7e]*", text)
            or text != text.strip()
        ):
            raise PuterConfigError(
                f"headers: the value of {key!r} cannot be sent",
                hint="It must be printable ASCII text without white space around it.",
            )
    return MappingProxyType(dict(value))


def _model(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _fail(name, value, "the name of a model, such as 'gpt-5-nano'")
    return value.strip()


_positive = _number("a number of seconds above 0", least=0, above=True, none=True)
_seconds = _number("a number of seconds, 0 or more", least=0)
_count = _number("a whole number, 1 or more", least=1, none=True, whole=True)

CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "api_base": _url,
    "login_url": _login_url,
    "timeout": _positive,
    "connect_timeout": _positive,
    "deadline": _positive,
    "max_retries": _number("a whole number, 0 or more", least=0, whole=True),
    "retry_delay": _seconds,
    "backoff_factor": _number("a number, 1 or more", least=1),
    "max_retry_delay": _seconds,
    "retry_on_timeout": _flag,
    "rate_limit_requests": _count,
    "rate_limit_period": _number("a number of seconds above 0", least=0, above=True),
    "max_concurrency": _count,
    "headers": _headers,
    "default_model": _model,
    "auto_login": _flag,
    "proxy": _proxy,
    "verify": _verify,
    "allow_http": _flag,
}


@dataclass(repr=False)
class PuterConfig:
    """The settings of one client. Every assignment is checked.

    ``PuterConfig(...)`` starts from the defaults below, ``from_env()`` from the environment
    variables ``PUTER_<FIELD>`` (``PUTER_TIMEOUT=60``), which is what ``PuterAI()`` does.

    Attributes:
        api_base: API host. Default ``https://api.puter.com``.
        login_url: Sign-in address. Default: ``api_base`` without its leading ``api.``, plus
            ``/login``.
        timeout: Seconds of silence allowed between bytes. Default 300, because the server is silent
            while a model thinks. ``None``: no limit.
        connect_timeout: Seconds to make a connection. Default 10.
        deadline: Seconds for a whole call with all its waits and retries. Default ``None``: no
            limit.
        max_retries: How often a failed request is sent again at most. Default 5.
        retry_delay: Seconds before the first retry. Default 0.5.
        backoff_factor: Each further delay is that many times longer. Default 2. With the defaults
            the delays add up to at least 11.6 s, which crosses Puter's 10 s window.
        max_retry_delay: Longest delay in seconds; a longer ``Retry-After`` raises at once. Default
            60.
        retry_on_timeout: Send a *billed* call again after a timeout. It may be paid twice. Default
            False.
        rate_limit_requests: Calls per ``rate_limit_period``. Default 30 (Puter backend, free
            account).
        rate_limit_period: Seconds. Default 10 (Puter backend: rolling 10 s window).
        max_concurrency: Calls at the same time. Default 3 (Puter backend, free account; paid 20).
        headers: More headers for every request.
        default_model: Model of a chat that names none. Default ``gpt-5-nano``.
        auto_login: The first call signs in when there is a username and password but no token.
            Default True.
        proxy: Proxy URL; ``""`` for none; ``None`` (default) follows HTTP_PROXY, HTTPS_PROXY,
            ALL_PROXY and NO_PROXY.
        verify: Path of a CA bundle; ``None`` (default) follows REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE
            and SSL_CERT_FILE.
        allow_http: Permit plain http to other hosts than loopback. Default False.

    Raises:
        PuterConfigError: A value is not valid or a name is unknown.

    Examples:
        >>> config = PuterConfig(timeout=60)
        >>> config.update(max_retries=2, deadline=90)
        >>> config.login_url
        'https://puter.com/login'
    """

    api_base: str = "https://api.puter.com"
    login_url: str = None  # type: ignore[assignment]  # derived from api_base when not given
    timeout: float | None = 300.0
    connect_timeout: float | None = 10.0
    deadline: float | None = None
    max_retries: int = 5
    retry_delay: float = 0.5
    backoff_factor: float = 2.0
    max_retry_delay: float = 60.0
    retry_on_timeout: bool = False
    rate_limit_requests: int | None = 30
    rate_limit_period: float = 10.0
    max_concurrency: int | None = 3
    headers: Mapping[str, str] = field(default_factory=dict)
    default_model: str = "gpt-5-nano"
    auto_login: bool = True
    proxy: str | None = None
    verify: bool | str | None = None
    allow_http: bool = False

    def __post_init__(self) -> None:
        self.__dict__["_ready"] = True
        self._check_http()

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in CHECKS:
            raise unknown_setting(name)
        before = dict(self.__dict__)
        self.__dict__[name] = CHECKS[name](name, value)
        if name == "login_url":
            self.__dict__["_login_given"] = value is not None
        if name in ("api_base", "login_url") and not self.__dict__.get("_login_given"):
            self.__dict__["login_url"] = _derive_login(self.api_base)
        if self.__dict__.get("_ready"):
            try:
                self._check_http()
            except PuterConfigError:
                self.__dict__.clear()
                self.__dict__.update(before)
                raise

    def _check_http(self) -> None:
        for name in ("api_base", "login_url"):
            parts = urlsplit(getattr(self, name))
            if parts.scheme == "http" and not (
                self.allow_http or is_loopback(parts.hostname or "")
            ):
                raise PuterConfigError(
                    f"{name}: plain http to {parts.hostname} would show the token to the network",
                    hint="Use https, or allow_http=True if that network is yours.",
                )

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """Settings from ``PUTER_<FIELD>`` variables; ``overrides`` win.

        ``PUTER_HEADERS`` is a JSON object; flags are ``1/0``, ``true/false``, ``yes/no``,
        ``on/off``; ``none`` stands for None. An empty variable counts as not set, except
        ``PUTER_PROXY``, where it means no proxy.

        Raises:
            PuterConfigError: A variable or an override is not valid; the message names it.
        """
        check_names(overrides)
        found = {}
        for one in fields(cls):
            variable = f"PUTER_{one.name.upper()}"
            text = os.environ.get(variable)
            if one.name in overrides or text is None or (text == "" and one.name != "proxy"):
                continue
            try:
                found[one.name] = CHECKS[one.name](one.name, _parse(one.name, text))
            except PuterConfigError as error:
                raise PuterConfigError(f"{variable}: {error.message}", hint=error.hint) from None
            except (ValueError, RecursionError):
                raise PuterConfigError(
                    f"{variable} could not be read", hint=f"See PuterConfig.{one.name}."
                ) from None
        return cls(**{**found, **overrides})

    def update(self, **changes: Any) -> None:
        """Change several settings: all of them, or, when one is not valid, none.

        Raises:
            PuterConfigError: A name is unknown or a value is not valid.

        Examples:
            >>> PuterConfig().update(timeout=60, max_retries=1)
        """
        self.__dict__.update(self.replace(**changes).__dict__)

    def replace(self, **changes: Any) -> Self:
        """A copy with the changes; see ``update()``."""
        check_names(changes)
        return type(self)(**{**self.to_dict(), **changes})

    def to_dict(self) -> dict[str, Any]:
        """The settings, as ``PuterConfig(**d)`` takes them; a derived ``login_url`` is None."""
        values: dict[str, Any] = {one.name: self.__dict__[one.name] for one in fields(self)}
        values["headers"] = dict(self.headers)
        if not self.__dict__.get("_login_given"):
            values["login_url"] = None
        return values

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return copy.copy(self)

    def __reduce__(self) -> Any:
        return _unpickle, (type(self), {**self.to_dict(), **_public(self)})

    def __repr__(self) -> str:
        shown = {**self.to_dict(), "login_url": self.login_url, **_public(self, stand_in="***")}
        return f"PuterConfig({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def _public(config: PuterConfig, stand_in: str | None = None) -> dict[str, Any]:
    """The settings that may hold secrets, without them (or with a stand-in)."""
    headers = {
        name: stand_in or value
        for name, value in config.headers.items()
        if stand_in or not _smells_secret(name)
    }
    proxy = config.proxy
    if proxy:
        parts = urlsplit(proxy)
        if parts.username is not None:
            bare = parts.netloc.rpartition("@")[2]
            proxy = parts._replace(netloc=f"{stand_in}@{bare}" if stand_in else bare).geturl()
    return {"headers": headers, "proxy": proxy}


def _smells_secret(header: str) -> bool:
    return bool(re.search(r"auth|token|key|secret|password|session|cookie", header, re.IGNORECASE))


def _unpickle(cls: type[PuterConfig], values: dict[str, Any]) -> PuterConfig:
    return cls(**values)


def _derive_login(api_base: str) -> str:
    scheme, _, host = origin_of(api_base).partition("://")
    return f"{scheme}://{host.removeprefix('api.')}/login"


def _parse(name: str, text: str) -> Any:
    default = getattr(PuterConfig, name, None)
    word = text.strip().lower()
    if word == "none" and name != "default_model":
        return None
    if name == "headers":
        return json.loads(text)
    if name == "verify":
        return {"true": True, "1": True, "false": False, "0": False}.get(word, text)
    if isinstance(default, bool):
        if word not in _FLAGS:
            raise PuterConfigError(f"{text!r} is neither true nor false", hint="Use 1 or 0.")
        return _FLAGS[word]
    if name in _NUMBERS:
        number = float(word)
        return int(number) if number.is_integer() else number
    return text


_FLAGS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_NUMBERS = frozenset(
    "timeout connect_timeout deadline max_retries retry_delay backoff_factor max_retry_delay "
    "rate_limit_requests rate_limit_period max_concurrency".split()
)


def check_names(given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in CHECKS:
            raise unknown_setting(name)


def unknown_setting(name: str) -> PuterConfigError:
    near = difflib.get_close_matches(name, CHECKS, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known settings: {', '.join(CHECKS)}."
    return PuterConfigError(f"There is no setting {name!r}", hint=hint)
