"""The interface ``puter-kvstore``: small values by key, per user and app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puter.testing.refusals import bad_request

if TYPE_CHECKING:
    from aiohttp import web

    from puter.testing.driver_calls import DriverCall

# Puter backend: bytes of a key.
MAX_KEY = 1024


class KeyValues:
    """The stores of all users of one server. Only the server's event loop uses them."""

    def __init__(self) -> None:
        self._stores: dict[tuple[str, str | None], dict[str, Any]] = {}

    def of(self, call: DriverCall) -> dict[str, Any]:
        return self._stores.setdefault((call.user.uuid, call.token.app), {})


async def get(call: DriverCall) -> web.StreamResponse:
    """One key, or a list of keys."""
    store, key = call.backend.kv.of(call), call.args.get("key")
    if isinstance(key, list):
        return call.result([store.get(_key(one)) for one in key])
    return call.result(store.get(_key(key)))


async def put(call: DriverCall) -> web.StreamResponse:
    key = _key(call.args.get("key"))
    if "value" not in call.args:
        raise bad_request("Missing `value`")
    call.backend.kv.of(call)[key] = call.args["value"]
    return call.result(value=True)


async def delete(call: DriverCall) -> web.StreamResponse:
    """True for keys that were never there, too."""
    call.backend.kv.of(call).pop(_key(call.args.get("key")), None)
    return call.result(value=True)


async def listing(call: DriverCall) -> web.StreamResponse:
    """Sorted entries whose keys begin with ``pattern``; ``as`` may be ``keys`` or ``values``."""
    store, prefix = call.backend.kv.of(call), str(call.args.get("pattern") or "").removesuffix("*")
    items: list[Any] = [
        {"key": key, "value": store[key]} for key in sorted(store) if key.startswith(prefix)
    ]
    form = call.args.get("as")
    if form in ("keys", "values"):
        items = [item[form.removesuffix("s")] for item in items]
    return call.result(items)


async def incr(call: DriverCall) -> web.StreamResponse:
    """Add to a number; the only path is ``""``, the value itself."""
    store, key = call.backend.kv.of(call), _key(call.args.get("key"))
    amounts = call.args.get("pathAndAmountMap")
    if not isinstance(amounts, dict) or not amounts:
        raise bad_request("Missing or invalid `pathAndAmountMap`")
    old: Any = store.get(key) or 0
    amount: Any = amounts.get("")
    if not all(type(number) in (int, float) for number in (old, amount)):
        raise bad_request("kv: value is not a number")
    store[key] = old + amount
    return call.result(store[key])


def _key(key: object) -> str:
    if key is None:
        raise bad_request("Missing `key`")
    if len(str(key).encode()) > MAX_KEY:
        raise bad_request(f"kv: key exceeds {MAX_KEY} byte limit")
    return str(key)


METHODS = {"get": get, "set": put, "del": delete, "list": listing, "incr": incr}
