"""The routes of the file system: writing, reading, listing, deleting."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from email.parser import BytesHeaderParser
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from aiohttp import web

from puter.testing.files import OCTETS, Entry, described, listed
from puter.testing.http import ApiError, Exchange, bad_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from puter.testing.backend import Backend

# Puter backend: the status of a batch in which an operation failed.
SOME_FAILED = 218

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


async def write(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /fs/write``. Raises ApiError."""
    backend.authorise(exchange)
    meta = exchange.fields.get("fileMetadata")
    meta = meta if isinstance(meta, dict) else {}
    path, size = meta.get("path"), meta.get("size")
    if not isinstance(path, str) or not path.strip():
        raise bad_request("Missing path")
    if isinstance(size, bool) or not isinstance(size, int | float) or size < 0:
        raise bad_request("Invalid file size")  # its value is not compared with the content
    content = exchange.fields.get("fileContent")
    if not isinstance(content, str):
        raise bad_request("Missing file content")
    is_base64 = exchange.fields.get("encoding") == "base64"
    data = decode_base64(content) if is_base64 else content.encode(errors="replace")
    entry, replaced = backend.files.write(
        backend.files.place(exchange.token, path),
        data,
        str(meta.get("contentType") or OCTETS),
        overwrite=bool(meta.get("overwrite")),
        dedupe=bool(meta.get("dedupeName")),
        parents=bool(meta.get("createMissingParents")),
    )
    return exchange.json(
        {
            "fsEntry": described(entry, backend.files),
            "wasOverwrite": replaced,
            "requestedThumbnail": None,
            "contentHashSha256": hashlib.sha256(data).hexdigest(),
        }
    )


def decode_base64(text: str) -> bytes:
    """Decode as JavaScript does: what is no base64 is skipped."""
    text = text.partition("=")[0].replace("-", "+").replace("_", "/")
    text = re.sub(r"[^A-Za-z0-9+/]", "", text)
    if len(text) % 4 == 1:  # a single letter is no byte yet
        text = text[:-1]
    return base64.b64decode(text + "=" * (-len(text) % 4))


async def batch(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /batch``: operations in a form, each with its own result."""
    backend.authorise(exchange)
    infos: list[Any] = []
    operations: list[Any] = []
    uploads: list[bytes] = []
    for name, data in _parts(exchange):
        if name == "file":
            uploads.append(data)
        elif name in ("fileinfo", "operation"):
            (infos if name == "fileinfo" else operations).append(_json_object(name, data))
    results: list[Any] = []
    failed = False
    for operation in operations:
        try:
            entry = _operate(backend, exchange, operation, infos, uploads)
        except ApiError as error:
            failed = True
            refusal = {"status": error.status, "message": str(error), "code": error.code}
            results.append({"error": True, **refusal})
        else:
            results.append(listed(entry, backend.files))
    return exchange.json({"results": results}, SOME_FAILED if failed else 200)


def _operate(
    backend: Backend,
    exchange: Exchange,
    operation: Mapping[str, Any],
    infos: list[Any],
    uploads: list[bytes],
) -> Entry:
    kind = operation.get("op")
    name, folder = str(operation.get("name") or ""), str(operation.get("path") or "")
    path = backend.files.place(exchange.token, f"{folder}/{name}" if name else folder)
    options = {
        "dedupe": bool(operation.get("dedupe_name")),
        "parents": bool(operation.get("create_missing_ancestors")),
    }
    if kind == "mkdir":
        return backend.files.make_directory(path, **options)
    number = operation.get("item_upload_id", 0)
    if kind != "write" or not isinstance(number, int) or not 0 <= number < len(uploads):
        raise bad_request("Invalid operation" if kind != "write" else "Missing file for operation")
    info = infos[number] if number < len(infos) else {}
    overwrite = bool(operation.get("overwrite"))
    try:
        entry, _ = backend.files.write(
            path, uploads[number], str(info.get("type") or OCTETS), overwrite=overwrite, **options
        )
    except ApiError as error:
        if error.status == 404:  # a missing parent is told in fewer words here
            raise ApiError(404, "Subject does not exist", "subject_does_not_exist") from error
        raise
    return entry


def _parts(exchange: Exchange) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the parts of a form, in their order."""
    kind = _header(f"Content-Type: {exchange.request.headers.get('Content-Type', '')}".encode())
    boundary = kind.get_boundary()
    if kind.get_content_type() != "multipart/form-data" or not boundary:
        raise bad_request("Expected multipart/form-data")
    for piece in (b"\r\n" + exchange.record.body).split(b"\r\n--" + boundary.encode())[1:-1]:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = _header(head).get_param("name", header="content-disposition")
        yield str(name), content


def _header(head: bytes) -> Any:
    return BytesHeaderParser().parsebytes(head)


def _json_object(name: str, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise bad_request(f"Invalid JSON in `{name}`") from error
    if not isinstance(value, dict):
        raise bad_request(f"Invalid JSON in `{name}`")
    return value


async def stat(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /stat``."""
    return exchange.json(listed(_named(backend, exchange), backend.files, full=True))


async def stat_camel(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /fs/stat``."""
    return exchange.json(described(_named(backend, exchange), backend.files))


async def readdir(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /readdir``."""
    directory = _named(backend, exchange)
    if not directory.is_dir:
        raise ApiError(400, "Target is not a directory", "dest_is_not_a_directory")
    files = backend.files
    return exchange.json([listed(entry, files) for entry in files.children(directory)])


async def mkdir(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /mkdir``."""
    backend.authorise(exchange)
    fields = exchange.fields
    path, parent = fields.get("path"), fields.get("parent")
    if not isinstance(path, str) or not path:
        raise bad_request("`path` is required")
    if isinstance(parent, str) and not path.startswith(("/", "~")):
        path = f"{parent}/{path}"
    parents = fields.get("create_missing_parents") or fields.get("create_missing_ancestors")
    entry = backend.files.make_directory(
        backend.files.place(exchange.token, path),
        dedupe=bool(fields.get("dedupe_name")),
        parents=bool(parents),
    )
    return exchange.json(listed(entry, backend.files))


async def delete(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /delete``: one entry, or those of ``paths``."""
    backend.authorise(exchange)
    files, fields, paths = backend.files, exchange.fields, exchange.fields.get("paths")
    recursive = bool(fields.get("recursive", True))
    if not isinstance(paths, list):
        entry = _named(backend, exchange)
        files.remove(entry, recursive=recursive)
        return exchange.json({"ok": True, "uid": entry.uid})
    removed = []
    for path in paths:
        entry = files.find(exchange.token, path)
        removed.append(listed(entry, files))
        files.remove(entry, recursive=recursive)
    return exchange.json(removed)


async def delete_camel(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /fs/delete``."""
    backend.files.remove(_named(backend, exchange))
    return exchange.json({"ok": True})


async def read(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /read``: bytes without a type of their own."""
    return _send(exchange, _readable(backend, exchange), OCTETS)


async def read_typed(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /fs/read``: bytes with their type."""
    entry = _readable(backend, exchange)
    return _send(exchange, entry, entry.content_type or OCTETS)


async def df(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``POST /df``: bytes used and available."""
    user = backend.authorise(exchange)
    used = backend.files.used(user.username)
    return exchange.json({"used": used, "capacity": backend.files.capacity})


async def sample(backend: Backend, exchange: Exchange) -> web.StreamResponse:
    """Answer ``GET /sample/...``: what media calls refer to, for anybody who knows the URL."""
    found = backend.samples.find(exchange.record.path)
    if found is None:
        raise ApiError(404, "Not Found", "not_found")
    data, kind = found
    return exchange.finish(web.Response(body=data, headers={"Content-Type": kind}))


def _named(backend: Backend, exchange: Exchange) -> Entry:
    backend.authorise(exchange)
    fields = exchange.fields
    return backend.files.find(
        exchange.token, fields.get("path"), fields.get("uid") or fields.get("uuid")
    )


def _readable(backend: Backend, exchange: Exchange) -> Entry:
    backend.authorise(exchange)
    query = exchange.request.query
    path = query.get("file") or query.get("path")
    entry = backend.files.find(exchange.token, path, query.get("uid"))
    if entry.is_dir:
        raise ApiError(400, "Cannot read a directory", "cannot_read_a_directory")
    return entry


def _send(exchange: Exchange, entry: Entry, content_type: str) -> web.StreamResponse:
    data, status = entry.data, 200
    headers = {
        "Content-Type": content_type,
        "Last-Modified": formatdate(entry.modified, usegmt=True),
        "Content-Disposition": f'inline; filename="{entry.name}"',
    }
    if wanted := _RANGE.match(exchange.request.headers.get("Range", "")):
        first, last = _bounds(wanted[1], wanted[2], len(data))
        if first > last:
            headers = {"Content-Range": f"bytes */{len(data)}"}
            return exchange.finish(web.Response(status=416, headers=headers))
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        data, status = data[first : last + 1], 206
    return exchange.finish(web.Response(status=status, body=data, headers=headers))


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:  # the last so many bytes
        return max(0, size - int(last or 0)), size - 1
    return int(first), min(int(last or size - 1), size - 1)


ROUTES = {
    ("POST", "/fs/write"): write,
    ("POST", "/batch"): batch,
    ("POST", "/stat"): stat,
    ("POST", "/fs/stat"): stat_camel,
    ("GET", "/read"): read,
    ("GET", "/fs/read"): read_typed,
    ("POST", "/readdir"): readdir,
    ("POST", "/mkdir"): mkdir,
    ("POST", "/delete"): delete,
    ("POST", "/fs/delete"): delete_camel,
    ("POST", "/df"): df,
    ("GET", "/sample/*"): sample,
}
