"""Which proxy and which CA bundle a request uses, the same for both transports."""

from __future__ import annotations

import ipaddress
import os
import ssl
from contextlib import suppress
from functools import lru_cache
from urllib.parse import urlsplit
from urllib.request import getproxies

import certifi

from puter.checks import is_loopback
from puter.exceptions import PuterConfigError, with_article
from puter.process import loading
from puter.records import dataclass, field
from puter.settings import check_proxy

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """How to reach a host: proxy (None: directly) and path of CA certificates (None: ours)."""

    url: str | None = field(repr=False)
    bundle: str | None
    """Looked up where there is TLS alone: to read one takes 40 ms."""


def on_loopback(host: str) -> str:
    """Where to find a host: ``*.localhost`` is this machine (RFC 6761)."""
    return "127.0.0.1" if host.endswith(".localhost") else host


def proxy_settings(url: str, proxy: str | None, verify: bool | str | None) -> ProxySettings:
    """How to reach a URL; each transport remembers what it has looked up.

    Args:
        url: Where to.
        proxy: The client's setting: a proxy URL, ``""`` for none, None for the environment's.
        verify: The client's setting: a path, True, or None for the environment's bundle.
    """
    found = _proxy_of(url) if proxy is None else proxy
    has_tls = url.startswith("https:") or str(found).startswith("https:")
    return ProxySettings(found or None, _bundle_of(verify) if has_tls else None)


def _proxy_of(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return None  # what is meant for this machine would be read by another
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or _needs_none(url, proxies.get("no", "")):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        return str(check_proxy("proxy", proxy))
    except PuterConfigError:
        kind = with_article(proxy.partition("://")[0])
        raise PuterConfigError(
            f"The environment names {kind} proxy that cannot be used",
            hint="Set PUTER_PROXY to an http:// proxy, or to '' for none.",
        ) from None


def _needs_none(url: str, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host, as requests understands it; IPv6 and ports of addresses too.

    It holds addresses, networks (``10.0.0.0/8``, ``fd00::/8``), and names, which stand for all that
    end with them; each may have a port.
    """
    parts = urlsplit(url)
    with suppress(ValueError):
        address = ipaddress.ip_address(parts.hostname or "")
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        for entry in no_proxy.replace(" ", "").split(","):
            if _is_in(address, port, entry):
                return True
    with loading():  # the async methods need no requests otherwise
        from requests.utils import should_bypass_proxies
    return bool(should_bypass_proxies(url, None))


def _is_in(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, entry: str) -> bool:
    """Whether an entry such as ``::1``, ``[::1]:80``, ``10.0.0.0/8``, ``10.0.0.1:80`` names it."""
    if entry.startswith("["):
        network, _, wanted = entry[1:].partition("]")
    elif entry.count(":") == 1:
        network, _, wanted = entry.partition(":")
    else:
        network, wanted = entry, ""
    try:
        found = address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
    return found and wanted.lstrip(":") in ("", str(port))


def _bundle_of(verify: bool | str | None) -> str | None:
    if isinstance(verify, str):
        return _checked("verify", verify)
    if verify is True:
        return None
    named = ((variable, os.environ.get(variable)) for variable in _CA_VARIABLES)
    return next((_checked(variable, path) for variable, path in named if path), None)


@lru_cache(maxsize=16)
def _checked(name: str, path: str) -> str:
    """The path of a bundle, which is read here once so that no handshake fails over it."""
    if not os.path.exists(path):
        raise PuterConfigError(f"{name}: there is no CA bundle at {path!r}")
    if not os.path.isdir(path):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except OSError as error:
            empty = isinstance(error, ssl.SSLError)
            why = "it holds no certificates" if empty else error.strerror
            raise PuterConfigError(
                f"{name}: the CA bundle {path!r} cannot be used: {why}",
                hint="It is a file of certificates in the PEM format.",
            ) from None
    return path


@lru_cache(maxsize=16)
def ca_bundle(bundle: str | None) -> str:
    """The path itself, or requests' certificates: both transports trust the same ones."""
    if bundle is not None:
        return bundle
    return certifi.where()
