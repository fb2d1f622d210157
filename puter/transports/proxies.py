"""Which proxy and which CA bundle a request uses, the same for both transports."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from puter.config import check_proxy
from puter.exceptions import PuterConfigError

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """How to reach a host: proxy (None: directly) and path of CA certificates (None: ours)."""

    url: str | None
    bundle: str | None


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
    parts = urlsplit(url)
    found = _proxy_of(parts.scheme, parts.netloc) if proxy is None else proxy
    return ProxySettings(found or None, _bundle_of(verify))


def _proxy_of(scheme: str, netloc: str) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass(netloc):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        return str(check_proxy("proxy", proxy))
    except PuterConfigError:
        raise PuterConfigError(
            f"The environment names a {proxy.partition('://')[0]} proxy that cannot be used",
            hint="Set PUTER_PROXY to an http:// proxy, or to '' for none.",
        ) from None


def _bundle_of(verify: bool | str | None) -> str | None:
    if isinstance(verify, str):
        return verify
    if verify is True:
        return None
    for variable in _CA_VARIABLES:
        path = os.environ.get(variable)
        if path:
            if not os.path.exists(path):
                raise PuterConfigError(f"{variable}: there is no CA bundle at {path!r}")
            return path
    return None


@lru_cache(maxsize=16)
def ca_bundle(bundle: str | None) -> str:
    """The path itself, or requests' certificates: both transports trust the same ones."""
    if bundle is not None:
        return bundle
    import certifi

    return certifi.where()
