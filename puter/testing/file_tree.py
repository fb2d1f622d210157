"""The files of all users, in memory."""

from __future__ import annotations

import base64
import posixpath
import time
import uuid
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from puter.testing.accounts import Token
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request
from puter.types.mime import mime_of

# Puter backend: what every home directory holds.
FOLDERS = ("Desktop", "Documents", "Pictures", "Videos", "Public", "AppData", "Trash")
# Puter backend: bytes a user may store.
CAPACITY = 80_949_268_480

OCTETS = "application/octet-stream"


@dataclass(eq=False)
class Entry:
    """A file or a directory; times are unix seconds."""

    path: str
    is_dir: bool
    data: bytes = field(default=b"", repr=False)
    content_type: str | None = None
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: int = field(default_factory=lambda: int(time.time()))
    modified: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.parent: str = posixpath.dirname(self.path)
        self.name: str = posixpath.basename(self.path)
        self.owner: str = self.path.split("/")[1]

    @property
    def type(self) -> str | None:
        """The MIME type by its name, as listings show it."""
        if self.is_dir:
            return "folder"
        kind = mime_of(None, self.name)
        return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind or None


def decode_base64(text: str) -> bytes:
    """Decode leniently, as JavaScript does: what is no base64 is skipped, padding may miss."""
    return base64.b64decode(text.rstrip("=") + "==")


class FileTree:
    """A file system; each change is one step, so any thread may make it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: dict[str, Entry] = {}

    @staticmethod
    def resolve(path: str, username: str) -> str:
        """``path`` as an absolute one, ``~`` being the home of ``username``."""
        path = path.strip()
        if path == "~" or path.startswith("~/"):
            path = f"/{username}{path[1:]}"
        return posixpath.normpath("/" + path.lstrip("/"))

    def add_home(self, home: str) -> None:
        """Give a new user the directory ``home`` and what is in it from the start."""
        for folder in (home, *(f"{home}/{name}" for name in FOLDERS)):
            self._entries[folder] = Entry(folder, is_dir=True)

    def get(self, path: str) -> Entry | None:
        return self._entries.get(path)

    def find(self, token: Token, path: object) -> Entry:
        """The entry of that path. Raises ApiError 404, also for files of others."""
        if not isinstance(path, str) or not path:
            raise bad_request("Missing entry reference (expected one of: path, uid, id)")
        shown = self.resolve(path, token.user.username) if path[0] in "/~" else path
        entry = self.get(shown)
        if entry is None or not token.may_use(shown):
            raise ApiError(404, f"Entry not found: path={shown}", "subject_does_not_exist")
        return entry

    def children(self, directory: Entry) -> list[Entry]:
        inside = [entry for entry in list(self._entries.values()) if entry.parent == directory.path]
        return sorted(inside, key=lambda entry: entry.path)

    def all_files(self) -> list[Entry]:
        return [entry for entry in list(self._entries.values()) if not entry.is_dir]

    def place(self, token: Token, path: str, denied: ApiError | None = None) -> str:
        """The absolute form of a path to write to. Raises ApiError, ``denied`` outside the home."""
        full = self.resolve(path, token.user.username)
        if posixpath.dirname(full) == "/":
            raise ApiError(400, "Cannot write to root path", "cannot_write_to_root")
        if not token.may_use(full):
            raise denied or ApiError(404, "Subject does not exist", "subject_does_not_exist")
        return full

    def write(
        self, path: str, data: bytes, content_type: str, *, overwrite: bool = True
    ) -> tuple[Entry, bool]:
        """Store a file; returns it, and if one was there before. Raises ApiError."""
        old = self.get(path)
        if old is not None and not overwrite:
            text = "A file already exists at this path and overwrite was not requested"
            raise ApiError(409, text, "item_with_same_name_exists", entry_name=old.name)
        if old is not None and old.is_dir:
            raise ApiError(409, "Cannot overwrite a directory", "conflict")
        self._make_directory(posixpath.dirname(path))
        entry = old or Entry(path, is_dir=False)
        used = sum(len(file.data) for file in self.all_files() if file.owner == entry.owner)
        if used + len(data) - len(entry.data) > self._capacity:
            raise ApiError(413, "Storage limit reached", "storage_limit_reached")
        self._entries[path] = entry
        entry.data, entry.content_type, entry.modified = data, content_type, int(time.time())
        return entry, old is not None

    def remove(self, entry: Entry, *, recursive: bool = True) -> None:
        """Delete an entry and what is in it. Raises ApiError for a directory that is not empty."""
        inside = [path for path in list(self._entries) if path.startswith(entry.path + "/")]
        if inside and not recursive:
            raise ApiError(409, "Directory is not empty", "conflict")
        for path in (*inside, entry.path):
            self._entries.pop(path, None)
        if entry.is_dir and entry.parent == "/":  # homes are only emptied
            self.add_home(entry.path)

    def _make_directory(self, path: str) -> None:
        old = self.get(path)
        if old is None:
            self._make_directory(posixpath.dirname(path))
            self._entries[path] = Entry(path, is_dir=True)
        elif not old.is_dir:
            raise bad_request(f"Parent path is not a directory: {path}")


class FileView(MutableMapping[str, bytes]):
    """The files of a LocalPuter by absolute path; ``~`` is the home of the default user.

    Directories do not show; those missing on the way to a new file are made.

    Examples:
        >>> from puter.testing import LocalPuter
        >>> puter = LocalPuter()
        >>> puter.files["~/Documents/note.txt"] = b"hello"
        >>> list(puter.files)
        ['/alice/Documents/note.txt']
    """

    def __init__(self, files: FileTree, username: str) -> None:
        self._files = files
        self._username = username

    def __getitem__(self, path: str) -> bytes:
        return self._entry(path).data

    def __setitem__(self, path: str, data: bytes) -> None:
        full = self._files.resolve(path, self._username)
        kind = mime_of(None, full) or OCTETS
        try:
            self._files.write(full, bytes(data), kind)
        except ApiError as error:
            raise ValueError(f"{path!r} cannot be written: {error}.") from error

    def __delitem__(self, path: str) -> None:
        self._files.remove(self._entry(path))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(entry.path for entry in self._files.all_files()))

    def __len__(self) -> int:
        return len(self._files.all_files())

    def __repr__(self) -> str:
        return f"<files of LocalPuter: {', '.join(self) or 'none'}>"

    def _entry(self, path: str) -> Entry:
        entry = self._files.get(self._files.resolve(path, self._username))
        if entry is None or entry.is_dir:
            raise KeyError(path)
        return entry


def listed(entry: Entry, files: FileTree, *, full: bool = False) -> dict[str, Any]:
    """The snake_case form of an entry; ``full`` as ``/stat`` shows it."""
    parent = files.get(entry.parent)
    parent_uid = parent.uid if parent else None
    ids = {"id": entry.uid, "parent_id": parent_uid, "parent_uid": parent_uid}
    where = {"dirname": entry.parent, "dirpath": entry.parent, "type": entry.type}
    shown = {**recorded("file_listed"), **_common(entry), **ids, **where, "is_dir": entry.is_dir}
    if full or not entry.is_dir:
        shown["is_empty"] = entry.is_dir and not files.children(entry)
    if full:
        shown["owner"] = {"username": entry.owner}
    return shown


def described(entry: Entry, files: FileTree) -> dict[str, Any]:
    """The camelCase form of an entry."""
    parent = files.get(entry.parent)
    about = {"parentUid": parent.uid if parent else None, "isDir": entry.is_dir}
    return {**recorded("file_described"), **_common(entry), **about}


def _common(entry: Entry) -> dict[str, Any]:
    """What is called the same in both forms."""
    return {
        **dict.fromkeys(("uid", "uuid"), entry.uid),
        "path": entry.path,
        "name": entry.name,
        "metadata": None if entry.is_dir else f'{{"contentType":"{entry.content_type}"}}',
        "modified": entry.modified,
        "created": entry.created,
        "accessed": entry.modified,
        "size": len(entry.data),
    }
