"""The interface ``puter-kvstore``: small values by key, per user and app."""

from __future__ import annotations

import base64
import copy
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from puter.testing.http import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import web

    from puter.testing.drivers import DriverCall

# Puter backend: bytes of a key.
MAX_KEY = 1024


@dataclass
class _Item:
    value: Any
    expires: float | None = None  # unix seconds

    @property
    def live(self) -> bool:
        return self.expires is None or self.expires > time.time()


class KeyValues:
    """The stores of all users of one server; safe to use from any thread."""

    def __init__(self) -> None:
        self.lock: Any = threading.RLock()
        self._stores: dict[tuple[str, str | None], dict[str, _Item]] = {}

    def of(self, call: DriverCall) -> dict[str, _Item]:
        """What is alive in the caller's store. Hold the lock while using it."""
        store = self._stores.setdefault((call.user.uuid, call.exchange.token.app), {})
        for key in [key for key, item in store.items() if not item.live]:
            del store[key]
        return store


async def get(call: DriverCall) -> web.StreamResponse:
    """The method ``get``: one key, or several."""
    key = call.args.get("key")
    keys = [_key(one) for one in (key if isinstance(key, list) else [key])]
    with call.backend.kv.lock:
        store = call.backend.kv.of(call)
        values = [store[one].value if one in store else None for one in keys]
    return call.result(values if isinstance(key, list) else values[0])


async def put(call: DriverCall) -> web.StreamResponse:
    """The method ``set``."""
    _put(call, [call.args])
    return call.result(value=True)


async def batch_put(call: DriverCall) -> web.StreamResponse:
    """The method ``batchPut``."""
    items = call.args.get("items")
    if not isinstance(items, list) or not items:
        raise bad_request("Missing or empty `items`")
    _put(call, [item if isinstance(item, dict) else {} for item in items])
    return call.result(value=True)


def _put(call: DriverCall, items: list[Any]) -> None:
    found = {}
    for item in items:
        key = _key(item.get("key"))
        if "value" not in item:
            raise bad_request("Missing `value`")
        found[key] = _Item(item["value"], item.get("expireAt"))
    with call.backend.kv.lock:
        call.backend.kv.of(call).update(found)


async def delete(call: DriverCall) -> web.StreamResponse:
    """The method ``del``: true for keys that were never there, too."""
    key = _key(call.args.get("key"))
    with call.backend.kv.lock:
        call.backend.kv.of(call).pop(key, None)
    return call.result(value=True)


async def flush(call: DriverCall) -> web.StreamResponse:
    """The method ``flush``."""
    with call.backend.kv.lock:
        call.backend.kv.of(call).clear()
    return call.result(value=True)


async def listing(call: DriverCall) -> web.StreamResponse:
    """The method ``list``: an array, or a page when ``limit`` or ``cursor`` is given."""
    args = call.args
    prefix = str(args.get("pattern") or "").removesuffix("*")
    limit, cursor = args.get("limit"), args.get("cursor")
    after = _after(cursor)
    with call.backend.kv.lock:
        store = call.backend.kv.of(call)
        keys = [key for key in sorted(store) if key.startswith(prefix) and key > after]
        shown = keys[: int(limit)] if limit else keys
        items: list[Any] = [{"key": key, "value": store[key].value} for key in shown]
    form = args.get("as", "entries")
    if form in ("keys", "values"):
        items = [item[form.removesuffix("s")] for item in items]
    if limit is None and cursor is None:
        return call.result(items)
    page: dict[str, Any] = {"items": items}
    if len(shown) < len(keys):
        page["cursor"] = base64.b64encode(shown[-1].encode()).decode()
    return call.result(page)


def _after(cursor: object) -> str:
    try:
        return base64.b64decode(cursor, validate=True).decode() if isinstance(cursor, str) else ""
    except ValueError as error:
        raise bad_request("Invalid cursor") from error


async def incr(call: DriverCall) -> web.StreamResponse:
    """The method ``incr``."""
    return _count(call, 1)


async def decr(call: DriverCall) -> web.StreamResponse:
    """The method ``decr``."""
    return _count(call, -1)


def _count(call: DriverCall, sign: int) -> web.StreamResponse:
    amounts = _map(call, "pathAndAmountMap")
    for path, amount in amounts.items():
        if not _is_number(amount):
            raise bad_request(f"Amount for '{path}' must be a number")

    def change(old: Any, amount: Any) -> Any:
        if old is not None and not _is_number(old):
            raise bad_request("kv: value is not a number")
        return (old or 0) + sign * amount

    return _change(call, amounts, change)


async def update(call: DriverCall) -> web.StreamResponse:
    """The method ``update``."""
    return _change(call, _map(call, "pathAndValueMap"), lambda _old, new: new)


async def add(call: DriverCall) -> web.StreamResponse:
    """The method ``add``: append to the array at each path."""

    def change(old: Any, new: Any) -> Any:
        return [*(old if isinstance(old, list) else []), *(new if isinstance(new, list) else [new])]

    return _change(call, _map(call, "pathAndValueMap"), change)


async def remove(call: DriverCall) -> web.StreamResponse:
    """The method ``remove``: delete what is at each path."""
    key, paths = _key(call.args.get("key")), call.args.get("paths")
    if not isinstance(paths, list) or not paths:
        raise bad_request("Missing or invalid `paths`")
    with call.backend.kv.lock:
        item = call.backend.kv.of(call).get(key, _Item(None))
        for path in paths:
            *parents, last = str(path).split(".")
            holder = item.value
            for name in parents:
                holder = holder.get(name) if isinstance(holder, dict) else None
            if isinstance(holder, dict):
                holder.pop(last, None)
        return call.result(item.value)


async def expire_at(call: DriverCall) -> web.StreamResponse:
    """The method ``expireAt``, whose answer has no result."""
    return _expire(call, _number(call, "timestamp", "`timestamp` must be a number"))


async def expire(call: DriverCall) -> web.StreamResponse:
    """The method ``expire``, whose answer has no result."""
    seconds = _number(call, "ttl", "`ttl` must be a number (seconds)")
    return _expire(call, int(time.time()) + seconds)


def _expire(call: DriverCall, when: float) -> web.StreamResponse:
    key = _key(call.args.get("key"))
    with call.backend.kv.lock:
        store = call.backend.kv.of(call)
        if key in store:
            store[key].expires = when
    return call.done()


def _change(
    call: DriverCall, changes: Mapping[str, Any], change: Callable[[Any, Any], Any]
) -> web.StreamResponse:
    """Put ``change(old, new)`` at each path; the path ``""`` is the value itself."""
    key = _key(call.args.get("key"))
    with call.backend.kv.lock:
        store = call.backend.kv.of(call)
        item = store.get(key, _Item(None))
        value = copy.deepcopy(item.value)  # all changes or none
        for path, new in changes.items():
            if path == "":
                value = change(value, new)
                continue
            value = value if isinstance(value, dict) else {}
            *parents, last = path.split(".")
            holder = value
            for name in parents:
                inner = holder.get(name)
                holder[name] = holder = inner if isinstance(inner, dict) else {}
            holder[last] = change(holder.get(last), new)
        store[key] = _Item(value, item.expires)
    return call.result(value)


def _key(key: object) -> str:
    if key is None:
        raise bad_request("Missing `key`")
    text = key if isinstance(key, str) else str(key)
    if len(text.encode()) > MAX_KEY:
        raise bad_request(f"kv: key exceeds {MAX_KEY} byte limit")
    return text


def _map(call: DriverCall, name: str) -> dict[str, Any]:
    value = call.args.get(name)
    if not isinstance(value, dict) or not value:
        raise bad_request(f"Missing or invalid `{name}`")
    return value


def _number(call: DriverCall, name: str, refusal: str) -> float:
    value: Any = call.args.get(name)
    if not _is_number(value):
        raise bad_request(refusal)
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


METHODS = {
    "get": get,
    "set": put,
    "batchPut": batch_put,
    "del": delete,
    "list": listing,
    "incr": incr,
    "decr": decr,
    "expireAt": expire_at,
    "expire": expire,
    "update": update,
    "add": add,
    "remove": remove,
    "flush": flush,
}
