"""Requests to Puter's endpoints, built from a client's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puter.config import origin_of
from puter.wire.http import Request, build

if TYPE_CHECKING:
    from puter.config import PuterConfig


def driver_payload(
    interface: str, method: str, args: dict[str, Any], driver: str | None
) -> dict[str, Any]:
    payload: dict[str, Any] = {"interface": interface, "method": method, "args": args}
    return payload if driver is None else {**payload, "driver": driver}


def driver_call(
    config: PuterConfig,
    interface: str,
    method: str,
    args: dict[str, Any],
    *,
    driver: str | None = None,
    **treatment: Any,
) -> Request:
    """``POST /drivers/call``: nearly everything Puter's AI does."""
    payload = driver_payload(interface, method, args, driver)
    return build(
        config, "POST", f"{config.api_base}/drivers/call", payload, limited=True, **treatment
    )


def chat(config: PuterConfig, args: dict[str, Any], **treatment: Any) -> Request:
    return driver_call(
        config, "puter-chat-completion", "complete", args, driver="ai-chat", **treatment
    )


def api_get(config: PuterConfig, path: str, **treatment: Any) -> Request:
    """``GET`` on the API host: free, so it may be repeated."""
    return build(config, "GET", config.api_base + path, repeatable=True, **treatment)


def api_post(config: PuterConfig, path: str, payload: Any, **treatment: Any) -> Request:
    return build(config, "POST", config.api_base + path, payload, **treatment)


def gui_get(config: PuterConfig, path: str, **treatment: Any) -> Request:
    return build(config, "GET", origin_of(config.login_url) + path, repeatable=True, **treatment)


def gui_post(config: PuterConfig, path: str, payload: Any, **treatment: Any) -> Request:
    return build(config, "POST", origin_of(config.login_url) + path, payload, **treatment)


def login(config: PuterConfig, path: str, payload: dict[str, str]) -> Request:
    """The login family on the GUI host: no token, no Origin, and a 429 there means minutes."""
    return build(
        config,
        "POST",
        config.login_url + path,
        payload,
        signed=False,
        waits=False,
        secrets=tuple(value for key, value in payload.items() if key not in ("username", "email")),
    )
