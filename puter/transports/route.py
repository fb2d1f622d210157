"""Which proxy and which CA bundle a request uses, the same for both drivers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from puter.config import CHECKS
from puter.exceptions import PuterConfigError

if TYPE_CHECKING:
    from puter.wire.http import Request

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach a host: proxy URL (None: directly) and path of CA certificates (None: ours)."""

    proxy: str | None
    bundle: str | None


def on_loopback(host: str) -> str:
    """Where to find a host: ``*.localhost`` is this machine (RFC 6761)."""
    return "127.0.0.1" if host.endswith(".localhost") else host


class Routes:
    """Routes per origin and settings, looked up in the environment once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str | None, bool | str | None, str], Route] = {}

    def of(self, request: Request) -> Route:
        parts = urlsplit(request.url)
        key = (request.proxy, request.verify, f"{parts.scheme}://{parts.netloc}")
        route = self._known.get(key)
        if route is None:
            proxy = (
                request.proxy
                if request.proxy is not None
                else _proxy_of(parts.scheme, parts.netloc)
            )
            route = self._known[key] = Route(proxy or None, _bundle_of(request.verify))
        return route


def _proxy_of(scheme: str, netloc: str) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass(netloc):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        return str(CHECKS["proxy"]("proxy", proxy))
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
    """The path itself, or requests' certificates: both drivers trust the same ones."""
    if bundle is not None:
        return bundle
    import certifi

    return certifi.where()
