"""The routes of the file system: writing, reading, listing, deleting."""

from __future__ import annotations

import hashlib
import re
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from aiohttp import web

from puter.testing.file_tree import OCTETS, Entry, decode_base64, described, listed
from puter.testing.refusals import ApiError, bad_request

if TYPE_CHECKING:
    from puter.testing.exchange import Exchange

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


async def write(exchange: Exchange) -> web.StreamResponse:
    exchange.authorise()
    fields, files = exchange.fields, exchange.backend.files
    meta = fields.get("fileMetadata")
    meta = meta if isinstance(meta, dict) else {}
    path, size, content = meta.get("path"), meta.get("size"), fields.get("fileContent")
    if not isinstance(path, str) or not path.strip():
        raise bad_request("Missing path")
    if isinstance(size, bool) or not isinstance(size, int | float) or size < 0:
        raise bad_request("Invalid file size")  # its value is not compared with the content
    if not isinstance(content, str):
        raise bad_request("Missing file content")
    is_base64 = fields.get("encoding") == "base64"
    data = decode_base64(content) if is_base64 else content.encode(errors="replace")
    entry, replaced = files.write(
        files.place(exchange.token, path),
        data,
        str(meta.get("contentType") or OCTETS),
        overwrite=bool(meta.get("overwrite")),
        dedupe=bool(meta.get("dedupeName")),
        parents=bool(meta.get("createMissingParents")),
    )
    return exchange.json(
        {
            "fsEntry": described(entry, files),
            "wasOverwrite": replaced,
            "requestedThumbnail": None,
            "contentHashSha256": hashlib.sha256(data).hexdigest(),
        }
    )


async def stat(exchange: Exchange) -> web.StreamResponse:
    return exchange.json(listed(_named(exchange), exchange.backend.files, full=True))


async def readdir(exchange: Exchange) -> web.StreamResponse:
    directory, files = _named(exchange), exchange.backend.files
    if not directory.is_dir:
        raise ApiError(400, "Target is not a directory", "dest_is_not_a_directory")
    return exchange.json([listed(entry, files) for entry in files.children(directory)])


async def delete(exchange: Exchange) -> web.StreamResponse:
    """One entry, or those of ``paths``."""
    exchange.authorise()
    files, fields, paths = exchange.backend.files, exchange.fields, exchange.fields.get("paths")
    recursive = bool(fields.get("recursive", True))
    if not isinstance(paths, list):
        entry = _named(exchange)
        files.remove(entry, recursive=recursive)
        return exchange.json({"ok": True, "uid": entry.uid})
    removed: list[dict[str, Any]] = []
    for path in paths:
        entry = files.find(exchange.token, path)
        removed.append(listed(entry, files))
        files.remove(entry, recursive=recursive)
    return exchange.json(removed)


async def sample(exchange: Exchange) -> web.StreamResponse:
    """What media calls refer to, for anybody who knows the URL."""
    found = exchange.backend.samples.get(exchange.record.path)
    if found is None:
        raise ApiError(404, "Not Found", "not_found")
    return exchange.finish(web.Response(body=found[0], headers={"Content-Type": found[1]}))


def _named(exchange: Exchange) -> Entry:
    exchange.authorise()
    fields = exchange.fields
    uid = fields.get("uid") or fields.get("uuid")
    return exchange.backend.files.find(exchange.token, fields.get("path"), uid)


async def read(exchange: Exchange) -> web.StreamResponse:
    exchange.authorise()
    query = exchange.request.query
    path = query.get("file") or query.get("path")
    entry = exchange.backend.files.find(exchange.token, path, query.get("uid"))
    if entry.is_dir:
        raise ApiError(400, "Cannot read a directory", "cannot_read_a_directory")
    data, status, size = entry.data, 200, len(entry.data)
    headers = {
        "Content-Type": OCTETS,  # whatever it is
        "Last-Modified": formatdate(entry.modified, usegmt=True),
        "Content-Disposition": f'inline; filename="{entry.name}"',
    }
    if wanted := _RANGE.match(exchange.request.headers.get("Range", "")):
        first, last = int(wanted[1] or 0), min(int(wanted[2] or size - 1), size - 1)
        if not wanted[1]:  # the last so many bytes
            first, last = max(0, size - int(wanted[2] or 0)), size - 1
        if first > last:
            headers = {"Content-Range": f"bytes */{size}"}
            return exchange.finish(web.Response(status=416, headers=headers))
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        data, status = data[first : last + 1], 206
    return exchange.finish(web.Response(status=status, body=data, headers=headers))
