"""Files in the user's Puter: enough for AI work."""

from __future__ import annotations

import posixpath
from typing import Any
from urllib.parse import quote

from puter.api.downloads import read_all
from puter.api.sources import resolve
from puter.checks import text as check_text
from puter.engine.context import CallContext
from puter.engine.effects import Flow, Invoke, do
from puter.engine.pipeline import exchange
from puter.exceptions import NEWER_SERVER, PuterInputError, PuterResponseError
from puter.types.mime import is_textual, mime_of
from puter.types.puter_file import PuterFile, Source
from puter.wire.errors import unknown_shape
from puter.wire.http import api_get, api_post
from puter.wire.json import as_dict, as_dicts
from puter.wire.pieces import Base64

HOME = "~/Documents"
"""Where an upload without a path goes."""


def upload(
    call: CallContext,
    source: Source,
    path: str | PuterFile | None = None,
    *,
    overwrite: bool = False,
) -> Flow[PuterFile]:
    """Upload a file to your Puter.

    Args:
        source: A path on this machine, bytes, ``(bytes, MIME type)``, an open file, a PIL image or
            a value of another call, such as an ``Audio``; 37.5 MiB at most. It may be empty. Its
            MIME type is told by its bytes, else by its name or that of the destination.
        path: Destination: absolute or under ``~/``; one that ends with ``/`` is a folder. Missing
            folders are created. Default: ``~/Documents/`` and the file's own name.
        overwrite: Replace a file that is there already. Default: False.

    Returns:
        The file, which ``files=`` and ``images=`` take.

    Raises:
        PuterInputError: The source or the path cannot be used; nothing was sent.
        PuterBadRequestError: There is such a file already.
        PuterError: Anything else that the server refused.

    Examples:
        >>> cat = ai.upload("cat.jpg")
        >>> print(ai.chat("What is this?", "claude-haiku-4-5", images=cat))
        A cat.
    """
    resolved = yield from do(Invoke(resolve, (source, None, True)))
    if resolved.data is None:
        raise PuterInputError(
            "upload() wants the file itself, not where it is on the web or in your Puter",
            hint="Pass a path on this machine, an open file or bytes, such as image.read().",
        )
    target = _target(path, resolved.name)
    kind, named = resolved.mime_type, mime_of(None, target)
    vague = not kind or (kind == "text/plain" and is_textual(named))
    if vague and not isinstance(source, tuple):
        kind = named or kind
    meta = {
        "path": target,
        "size": len(resolved.data),
        "contentType": kind or "application/octet-stream",
        "overwrite": overwrite,
        "createMissingParents": True,
    }
    content = Base64("", resolved.data)
    payload = {"fileMetadata": meta, "encoding": "base64", "fileContent": content}
    reply = yield from exchange(call, api_post(call.config, "/fs/write", payload))
    entry = as_dict(reply.data).get("fsEntry")
    if not isinstance(entry, dict):
        raise unknown_shape("The answer to the upload", reply.data)
    return _file(entry)


def _target(path: str | PuterFile | None, name: str) -> str:
    if isinstance(path, PuterFile):
        return path.path
    if path is None:
        if not name:
            raise PuterInputError("upload() of bytes needs path='~/Documents/name.png'")
        return f"{HOME}/{name}"
    target = _path(check_text("path", path))
    if target.endswith("/") and not name:
        raise PuterInputError(f"path={path!r} is a folder", hint="Add the name of the file.")
    return target + name if target.endswith("/") else target


def read_file(call: CallContext, path: str | PuterFile) -> Flow[bytes]:
    """Read a file in your Puter.

    Args:
        path: Absolute or under ``~/``.

    Returns:
        The bytes of the file.

    Raises:
        PuterInputError: The path is not absolute or under ``~/``; nothing was sent.
        PuterNotFoundError: There is no such file, or the token may not see it.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> ai.read_file("~/Documents/notes.txt")
        b'Bread, milk'
    """
    query = quote(_path(path), safe="")
    # Streamed, because a file that holds JSON is no answer of the server's.
    reply = yield from exchange(call, api_get(call.config, f"/read?file={query}", stream=True))
    return reply.body if reply.stream is None else (yield from read_all(reply.stream))


def stat_file(call: CallContext, path: str | PuterFile) -> Flow[PuterFile]:
    """Look up a file or folder in your Puter.

    Args:
        path: Absolute or under ``~/``.

    Returns:
        Its size, type and more; all that the server said is in ``.raw``.

    Raises:
        PuterInputError: The path is not absolute or under ``~/``; nothing was sent.
        PuterNotFoundError: There is no such file, or the token may not see it.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> ai.stat_file("~/Documents/notes.txt").size
        11
    """
    payload = {"path": _path(path)}
    reply = yield from exchange(call, api_post(call.config, "/stat", payload, idempotent=True))
    if not isinstance(reply.data, dict):
        raise unknown_shape("The answer to the stat", reply.data)
    return _file(reply.data)


def list_files(call: CallContext, path: str | PuterFile = "~/") -> Flow[list[PuterFile]]:
    """List the content of a folder in your Puter.

    Args:
        path: The folder, absolute or under ``~/``. Default: the home folder.

    Returns:
        Its files and folders.

    Raises:
        PuterInputError: The path is not absolute or under ``~/``; nothing was sent.
        PuterNotFoundError: There is no such folder, or the token may not see it.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> [one.name for one in ai.list_files()]
        ['AppData', 'Desktop', 'Documents', ...]
    """
    payload = {"path": _path(path)}
    reply = yield from exchange(call, api_post(call.config, "/readdir", payload, idempotent=True))
    if not isinstance(reply.data, list):
        raise unknown_shape("The answer to the listing", reply.data)
    return [_file(entry) for entry in as_dicts(reply.data)]


def delete_file(call: CallContext, path: str | PuterFile, *, recursive: bool = False) -> Flow[None]:
    """Delete a file in your Puter, or a folder.

    Args:
        path: Absolute or under ``~/``.
        recursive: Delete a folder with everything in it. Default: False, which deletes files and
            empty folders only.

    Raises:
        PuterInputError: The path is not absolute or under ``~/``, or is the home folder, however it
            is spelled; nothing was sent.
        PuterNotFoundError: There is no such file, or the token may not see it.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> ai.delete_file("~/Documents/notes.txt")
    """
    target = _path(path)
    if _is_home(target):
        raise PuterInputError(
            f"delete_file({target!r}) would delete the whole home folder",
            hint="Name what is in it, such as '~/Documents/old'.",
        )
    payload = {"paths": [target], "recursive": recursive}
    yield from exchange(call, api_post(call.config, "/delete", payload))


def _is_home(path: str) -> bool:
    """Whether it is a home folder (``~``, ``/alice``), the root, or above: no name in a folder."""
    whole = posixpath.normpath(f"/{path.strip().lstrip('/')}")
    return len([name for name in whole.split("/") if name.strip()]) < 2


def _path(path: str | PuterFile) -> str:
    return path.path if isinstance(path, PuterFile) else PuterFile(path).path


def _file(entry: dict[str, Any]) -> PuterFile:
    """A file of the server's entry, in the old spelling or the new."""
    path: Any = entry.get("path")
    kind = entry.get("type")
    size = entry.get("size")
    try:
        return PuterFile(
            path,
            name=str(entry.get("name") or str(path).rpartition("/")[2]),
            uid=str(entry.get("uid") or entry.get("uuid") or ""),
            size=size if isinstance(size, int) else None,
            is_folder=bool(entry.get("is_dir", entry.get("isDir", False))),
            mime_type=kind if isinstance(kind, str) and "/" in kind else "",
            raw=entry,
        )
    except PuterInputError as error:  # that means: nothing was sent
        raise PuterResponseError(
            f"The server's entry of a file cannot be read: {error.message}",
            body=entry,
            hint=NEWER_SERVER,
        ) from None
