"""The settings one by one: ``ConfigOptions``, and the check of each."""

from __future__ import annotations

import os
import re
import typing
from collections import UserDict
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict
from urllib.parse import SplitResult, urlsplit

from puter.checks import MOST, SECONDS, Check, Kind, Range, checker_of, checks_of
from puter.exceptions import PuterConfigError, repr_of
from puter.frames import without_arguments

if TYPE_CHECKING:
    from typing_extensions import Self

AUTO: Literal["auto"] = "auto"
"""``max_concurrency`` that finds its number itself."""

OUR_HEADERS = frozenset(
    "accept-encoding authorization connection content-encoding content-length content-type cookie "
    "host origin proxy-authorization referer transfer-encoding x-api-key".split()
)
"""Headers that the client sets, or that break or leak a call; none may be configured."""

_SECRET = re.compile("auth|token|key|secret|password|session|cookie", re.IGNORECASE)


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _fail(name: str, value: Any, wanted: str) -> PuterConfigError:
    told = f"{name}={repr_of(value, 60)}"
    if name in ("proxy", "headers") or (isinstance(value, str) and re.search("[@?]", value)):
        told = f"{name}: the value given"  # it may hold a password or a token
    return PuterConfigError(f"{told} is not valid", hint=f"{name} must be {wanted}.")


def check_url(name: str, value: Any) -> str:
    """An address without the slash at its end.

    Raises:
        PuterConfigError: It is none, or holds a query or a user name.
    """
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
        or "\\" in value
        or any(one.isspace() or one < " " for one in value.strip())  # no pattern to compile
    ):
        raise _fail(name, value, wanted)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _split(name: str, value: str, wanted: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises when it is no number
        host = parts.hostname or ""
        if not host.isascii() or max(map(len, host.split("."))) > 63 or ".." in host:
            host.encode("idna")  # refuses what is no host; its tables take 2 ms to load
    except (ValueError, UnicodeError):
        raise _fail(name, value, wanted) from None
    return parts


def _check_login_url(name: str, value: Any) -> str | None:
    if value is None:
        return None  # derived from api_base
    url = check_url(name, value)
    return url if urlsplit(url).path else f"{url}/login"


def check_proxy(name: str, value: Any) -> str | None:
    """The address of a proxy, "" for none, None to follow the environment.

    Raises:
        PuterConfigError: It cannot be used; the message does not show it.
    """
    wanted = "an http:// or https:// URL, '' for no proxy, or None to follow the environment"
    if value is None or value == "":
        return None if value is None else ""
    if not isinstance(value, str):
        raise _fail(name, value, wanted)
    parts = _split(name, value, wanted)
    if parts.scheme.startswith("socks"):
        raise PuterConfigError(f"{name}: SOCKS is not supported", hint=f"{name} must be {wanted}.")
    if parts.scheme not in ("http", "https") or not parts.hostname or "\\" in value:
        raise _fail(name, value, wanted)  # libraries do not agree on the host before a backslash
    return _Proxy(value)


class _Proxy(str):
    """The URL of a proxy, shown without its password.

    Its deep copy, as ``dataclasses.asdict`` makes one, has none.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(without_credentials(self, "***@"))

    def __deepcopy__(self, memo: Any) -> str:
        return str(without_credentials(self))


def without_credentials(proxy: str | None, stand_in: str = "") -> str | None:
    """The URL of a proxy without user name and password, ``stand_in`` in their place."""
    parts = urlsplit(proxy or "")
    if parts.username is None:
        return proxy and str(proxy)
    return parts._replace(netloc=stand_in + parts.netloc.rpartition("@")[2]).geturl()


def _check_verify(name: str, value: Any) -> bool | str | None:
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
            f"verify: there is no CA bundle at {repr_of(path)}",
            hint="Give the path of a PEM file, or leave it out.",
        )
    return path


class Headers(UserDict[str, str]):
    """Headers by name, each checked when it is set."""

    @without_arguments
    def __setitem__(self, name: str, value: str) -> None:
        _check_header(name, value)
        super().__setitem__(name, value)

    if not TYPE_CHECKING:  # with the types that they have
        update = without_arguments(UserDict.update)
        setdefault = without_arguments(UserDict.setdefault)

    @without_arguments
    def __ior__(self, other: Any) -> Self:  # type: ignore[override]  # its own checks nothing
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:  # before each call; Mapping's makes two dicts
        return self.data == (other.data if isinstance(other, Headers) else other)

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __deepcopy__(self, memo: Any) -> dict[str, str]:
        return public_headers(self.items())  # as dataclasses.asdict makes plain data of it

    def __reduce__(self) -> Any:
        return Headers, (public_headers(self.items()),)

    def __repr__(self) -> str:
        hidden = {name: "***" for name in self if _SECRET.search(name)}
        return repr({**self, **hidden})


def public_headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in pairs if not _SECRET.search(name)}


def secret_headers(headers: Mapping[str, str]) -> list[str]:
    """Values of the headers that, by their names, hold something secret."""
    return [value for name, value in headers.items() if _SECRET.search(name)]


def _check_headers(name: str, value: Any) -> Headers:
    if not isinstance(value, Mapping):
        raise _fail(
            name,
            value,
            "a mapping of header names to str values; the variable PUTER_HEADERS holds a JSON "
            """object, such as {"X-Team": "blue"}""",
        )
    return Headers(value)


def _check_header(name: Any, value: Any) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise PuterConfigError(
            f"headers: {repr_of(name, 40)} is not a header name",
            hint="Use letters, digits and hyphens.",
        )
    if name.lower() in OUR_HEADERS:
        raise PuterConfigError(
            f"headers: {name!r} is set by the client and cannot be configured",
            hint="Give the token as token=..., and leave Origin and cookies to browsers.",
        )
    if (
        not isinstance(value, str)
        or not re.fullmatch(r"[\t\x20-\x7e]*", value)
        or value != value.strip()
    ):
        raise PuterConfigError(
            f"headers: the value of {name!r} cannot be sent",
            hint="It must be printable ASCII text without white space around it.",
        )


def _check_model(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _fail(name, value, "the name of a model, such as 'gpt-5-nano'")
    return value.strip()


_Patience = Annotated[float | None, SECONDS]
_Delay = Annotated[float, Range(0, MOST, wanted="a number of seconds, 0 or more")]
_Limit = Annotated[int | None, Range(1, MOST, wanted="a whole number, 1 or more")]


def _check_concurrency(name: str, value: Any) -> Any:
    if isinstance(value, str) and value.strip().lower() == AUTO:
        return AUTO
    kind = Range(1, MOST).kind(whole=True)
    if value is not None and not kind.accepts(value):
        raise _fail(name, value, "a whole number, 1 or more, or 'auto', or None for no limit")
    return value


class ConfigOptions(TypedDict, total=False):
    """The settings by name, as keyword arguments; see ``PuterConfig`` for each.

    A function in ``Annotated[...]`` checks a value and returns it tidied.
    """

    api_base: Annotated[str, check_url]
    login_url: Annotated[str | None, _check_login_url]
    timeout: _Patience
    connect_timeout: _Patience
    chunk_timeout: _Patience
    deadline: _Patience
    max_response_bytes: Annotated[int, Range(1, 2**40, wanted="a number of bytes, 1 or more")]
    max_retries: Annotated[int, Range(0, MOST, wanted="a whole number, 0 or more")]
    retry_delay: _Delay
    backoff_factor: Annotated[float, Range(1, MOST, wanted="a number, 1 or more")]
    max_retry_delay: _Delay
    retry_on_timeout: bool
    rate_limit_requests: _Limit
    rate_limit_period: Annotated[float, SECONDS]
    max_concurrency: Annotated[int | Literal["auto"] | None, _check_concurrency]
    headers: Annotated[Mapping[str, str], _check_headers]
    default_model: Annotated[str, _check_model]
    auto_login: bool
    proxy: Annotated[str | None, check_proxy]
    verify: Annotated[bool | str | None, _check_verify]
    allow_http: bool


def _setting_check(annotation: Any) -> Check:
    """As ``checker_of()``, but its errors are of the configuration, and None may be a value."""
    kind = checker_of(annotation)
    if not isinstance(kind, Kind):
        return kind  # a function of its own
    types = typing.get_args(getattr(annotation, "__origin__", annotation))
    wanted = f"{kind.wanted}, or None for no limit" if NoneType in types else kind.wanted

    def check(name: str, value: Any) -> Any:
        if not (kind.accepts(value) or (value is None and NoneType in types)):
            raise _fail(name, value, wanted)
        return value

    return check


def setting_checks() -> Mapping[str, Check]:
    return checks_of(ConfigOptions, _setting_check)
