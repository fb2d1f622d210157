"""The routes of the file system: writing, reading, listing, deleting."""

from __future__ import annotations

import hashlib
from email.utils import formatdate
from typing import Any

from aiohttp import web

from puter.testing.exchange import Exchange
from puter.testing.file_tree import OCTETS, Entry, decode_base64, described, listed
from puter.testing.refusals import ApiError, bad_request


async def write(exchange: Exchange) -> web.StreamResponse:
    exchange.authorise()
    fields, files = exchange.fields, exchange.backend.files
    meta: dict[str, Any] = fields.get("fileMetadata") or {}
    path, size, content = meta.get("path"), meta.get("size"), fields.get("fileContent")
    if not isinstance(path, str) or not path.strip():
        raise bad_request("Missing path")
    if not isinstance(size, int | float):
        raise bad_request("Invalid file size")  # its value is not compared with the content
    if not isinstance(content, str):
        raise bad_request("Unsupported file content payload")
    is_base64 = fields.get("encoding") == "base64"
    data = decode_base64(content) if is_base64 else content.encode(errors="replace")
    place, kind = files.place(exchange.token, path), str(meta.get("contentType") or OCTETS)
    entry, replaced = files.write(place, data, kind, overwrite=bool(meta.get("overwrite")))
    about: dict[str, Any] = {"wasOverwrite": replaced, "requestedThumbnail": None}
    about["contentHashSha256"] = hashlib.sha256(data).hexdigest()
    return exchange.json({"fsEntry": described(entry, files), **about})


async def stat(exchange: Exchange) -> web.StreamResponse:
    return exchange.json(listed(_named(exchange), exchange.backend.files, full=True))


async def readdir(exchange: Exchange) -> web.StreamResponse:
    directory, files = _named(exchange), exchange.backend.files
    if not directory.is_dir:
        raise ApiError(400, "Target is not a directory", "dest_is_not_a_directory")
    return exchange.json([listed(entry, files) for entry in files.children(directory)])


async def delete(exchange: Exchange) -> web.StreamResponse:
    """Those of ``paths``."""
    exchange.authorise()
    files, removed = exchange.backend.files, list[dict[str, Any]]()
    for path in exchange.fields.get("paths") or [None]:
        entry = files.find(exchange.token, path)
        if exchange.backend.newer and entry.parent == "/":  # the older one empties it
            raise ApiError(403, "Cannot delete a home directory", "forbidden")
        removed.append(listed(entry, files))
        files.remove(entry, recursive=bool(exchange.fields.get("recursive", True)))
    return exchange.json(removed)


async def sample(exchange: Exchange) -> web.StreamResponse:
    """What media calls refer to, for anybody who knows the URL."""
    found = exchange.backend.samples.get(exchange.record.path)
    if found is None:
        raise ApiError(404, "Not Found", "not_found")
    return exchange.finish(web.Response(body=found[0], headers={"Content-Type": found[1]}))


def _named(exchange: Exchange) -> Entry:
    exchange.authorise()
    return exchange.backend.files.find(exchange.token, exchange.fields.get("path"))


async def read(exchange: Exchange) -> web.StreamResponse:
    exchange.authorise()
    query = exchange.request.query
    path = query.get("file") or query.get("path")
    entry = exchange.backend.files.find(exchange.token, path)
    if entry.is_dir:
        raise ApiError(400, "Cannot read a directory", "cannot_read_a_directory")
    headers = {
        "Content-Type": OCTETS,  # whatever it is
        "Last-Modified": formatdate(entry.modified, usegmt=True),
        "Content-Disposition": f'inline; filename="{entry.name}"',
    }
    return exchange.finish(web.Response(body=entry.data, headers=headers))
