"""Files in the user's Puter: enough for AI work."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from puter.exceptions import PuterInputError, PuterResponseError
from puter.exchange import Call, exchange
from puter.flow import Flow, ask
from puter.operations.auth import ensure_signed_in
from puter.operations.raw import read_all
from puter.sources import PuterFile, load
from puter.wire import calls
from puter.wire.media import body_with_base64

if TYPE_CHECKING:
    from puter.wire.http import Reply, Request

HOME = "~/Documents"
"""Where an upload without a path goes."""


def upload(call: Call, source: Any, path: Any, *, overwrite: bool) -> Flow[PuterFile]:
    loaded = yield from ask(load, source)
    if loaded.data is None:
        raise PuterInputError(
            "upload() wants the file itself, not where it is on the web or in your Puter",
            hint="Pass a path on this machine, bytes or an open file.",
        )
    where = _where(path, loaded.name)
    meta = {
        "path": where,
        "size": len(loaded.data),
        "contentType": loaded.mime_type or "application/octet-stream",
        "overwrite": overwrite,
        "createMissingParents": True,
    }
    payload: dict[str, Any] = {"fileMetadata": meta, "encoding": "base64"}
    request = calls.api_post(call.config, "/fs/write", {})
    body = body_with_base64(payload, payload, "fileContent", "", loaded.data)
    reply = yield from _sent(call, dataclasses.replace(request, body=body))
    entry = reply.data.get("fsEntry") if isinstance(reply.data, dict) else None
    if not isinstance(entry, dict):
        raise _unknown("upload", reply)
    return _file(entry)


def _where(path: Any, name: str) -> str:
    if isinstance(path, PuterFile):
        return path.path
    if path is not None and (not isinstance(path, str) or not path.strip()):
        raise PuterInputError(f"path must be a non-empty str, not {path!r}")
    if path is None and not name:
        raise PuterInputError("upload() of bytes needs path='~/Documents/name.png'")
    where = path if path is not None else f"{HOME}/{name}"
    if where.endswith("/"):
        if not name:
            raise PuterInputError(f"path={path!r} is a folder", hint="Add the name of the file.")
        where += name
    return where if where.startswith(("/", "~/")) else f"~/{where}"


def read_file(call: Call, path: Any) -> Flow[bytes]:
    query = quote(_path(path), safe="")
    # Streamed, because a file that holds JSON is no answer of the server's.
    request = calls.api_get(call.config, f"/read?file={query}", stream=True)
    reply = yield from _sent(call, request)
    return reply.body if reply.stream is None else (yield from read_all(reply.stream))


def stat_file(call: Call, path: Any) -> Flow[PuterFile]:
    request = calls.api_post(call.config, "/stat", {"path": _path(path)}, repeatable=True)
    reply = yield from _sent(call, request)
    if not isinstance(reply.data, dict):
        raise _unknown("stat", reply)
    return _file(reply.data)


def list_files(call: Call, path: Any) -> Flow[list[PuterFile]]:
    request = calls.api_post(call.config, "/readdir", {"path": _path(path)}, repeatable=True)
    reply = yield from _sent(call, request)
    if not isinstance(reply.data, list):
        raise _unknown("listing", reply)
    return [_file(entry) for entry in reply.data if isinstance(entry, dict)]


def delete_file(call: Call, path: Any, *, recursive: bool) -> Flow[None]:
    payload = {"paths": [_path(path)], "recursive": recursive}
    yield from _sent(call, calls.api_post(call.config, "/delete", payload))


def _sent(call: Call, request: Request) -> Flow[Reply]:
    yield from ensure_signed_in(call)
    return (yield from exchange(call, request))


def _path(path: Any) -> str:
    return path.path if isinstance(path, PuterFile) else PuterFile(path).path


def _file(entry: dict[str, Any]) -> PuterFile:
    """A file of the server's entry, in the old spelling or the new."""
    path = entry.get("path")
    if not isinstance(path, str):
        raise PuterResponseError("A file entry has no path", body=entry, hint="Try again.")
    kind = entry.get("type")
    size = entry.get("size")
    return PuterFile(
        path,
        name=str(entry.get("name") or path.rpartition("/")[2]),
        uid=str(entry.get("uid") or entry.get("uuid") or ""),
        size=size if isinstance(size, int) else None,
        is_folder=bool(entry.get("is_dir", entry.get("isDir", False))),
        mime_type=kind if isinstance(kind, str) and "/" in kind else "",
        raw=entry,
    )


def _unknown(what: str, reply: Reply) -> PuterResponseError:
    return PuterResponseError(
        f"The answer to the {what} has an unknown shape",
        body=reply.data,
        hint="The server may be newer or older than this SDK understands.",
    )
