"""The files of all users, in memory."""

from __future__ import annotations

import mimetypes
import posixpath
import threading
import time
import uuid
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from puter.testing.http import ApiError, bad_request

if TYPE_CHECKING:
    from puter.testing.accounts import Accounts, Token

# Puter backend: what every home directory holds.
FOLDERS = ("Desktop", "Documents", "Pictures", "Videos", "Public", "AppData", "Trash")
# Puter backend: bytes a user may store.
CAPACITY = 80_949_268_480

OCTETS = "application/octet-stream"
_TYPES = mimetypes.MimeTypes()  # Python's own table, whatever the machine knows


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

    @property
    def name(self) -> str:
        """The last part of the path."""
        return posixpath.basename(self.path)

    @property
    def parent(self) -> str:
        """The path of the directory it is in."""
        return posixpath.dirname(self.path)

    @property
    def owner(self) -> str:
        """The name of the user whose home it is in."""
        return self.path.split("/")[1]

    @property
    def type(self) -> str | None:
        """The MIME type by its name, as listings show it."""
        if self.is_dir:
            return "folder"
        kind = mime_of(self.name)
        return f"{kind}; charset=utf-8" if kind and kind.startswith("text/") else kind


def mime_of(name: str) -> str | None:
    """The MIME type of a file of that name."""
    return _TYPES.guess_type(name)[0]


def subject_missing(text: str = "Subject does not exist") -> ApiError:
    """There is no such file, or the caller may not know of it."""
    return ApiError(404, text, "subject_does_not_exist")


class Files:
    """A file system; safe to use from any thread.

    Args:
        accounts: whose homes there are.
        capacity: bytes each user may store.
    """

    def __init__(self, accounts: Accounts, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._accounts = accounts
        self._lock = threading.RLock()
        self._entries: dict[str, Entry] = {}

    @staticmethod
    def resolve(path: str, username: str) -> str:
        """``path`` as an absolute one, ``~`` being the home of ``username``."""
        path = path.strip()
        if path == "~" or path.startswith("~/"):
            path = f"/{username}{path[1:]}"
        return posixpath.normpath("/" + path.lstrip("/"))

    def get(self, path: str) -> Entry | None:
        """What is at an absolute path."""
        with self._lock:
            home = "/".join(path.split("/")[:2])
            if home not in self._entries and self._accounts.find(username=home[1:]):
                for folder in (home, *(f"{home}/{name}" for name in FOLDERS)):
                    self._entries[folder] = Entry(folder, is_dir=True)
            return self._entries.get(path)

    @staticmethod
    def may_use(token: Token, path: str) -> bool:
        """True inside the caller's home; an app is confined to its own folder in there."""
        home = f"/{token.user.username}"
        if token.app is not None:
            home += f"/AppData/{token.app}"
        return path == home or path.startswith(home + "/")

    def find(self, token: Token, path: object = None, uid: object = None) -> Entry:
        """The entry of that path or uid. Raises ApiError 404, also for files of others."""
        if isinstance(uid, str) and uid:
            with self._lock:
                entry = next((e for e in self._entries.values() if e.uid == uid), None)
            shown = f"uuid={uid}"
        elif isinstance(path, str) and path.strip():
            full = self.resolve(path, token.user.username)
            shown = f"path={full if path.strip().startswith(('/', '~')) else path}"
            entry = self.get(full) if path.strip().startswith(("/", "~")) else None
        else:
            raise bad_request("Missing entry reference (expected one of: path, uid, id)")
        if entry is None or not self.may_use(token, entry.path):
            raise subject_missing(f"Entry not found: {shown}")
        return entry

    def children(self, directory: Entry) -> list[Entry]:
        """What is in a directory, by name."""
        with self._lock:
            inside = [entry for entry in self._entries.values() if entry.parent == directory.path]
        return sorted(inside, key=lambda entry: entry.path)

    def all_files(self) -> list[Entry]:
        """Every file of every user."""
        with self._lock:
            return [entry for entry in self._entries.values() if not entry.is_dir]

    def used(self, username: str) -> int:
        """Bytes the user stores."""
        return sum(len(file.data) for file in self.all_files() if file.owner == username)

    def output_path(self, token: Token, path: object) -> str | None:
        """Where a generated picture or film goes. Raises ApiError before anything is made."""
        if not isinstance(path, str) or not path:
            return None
        full = self.resolve(path, token.user.username)
        if posixpath.dirname(full) == "/":
            raise ApiError(400, "Cannot write to root path", "cannot_write_to_root")
        if not self.may_use(token, full):
            raise ApiError(403, "Write access denied for destination", "access_denied")
        return full

    def place(self, token: Token, path: str) -> str:
        """The absolute form of a path to write to. Raises ApiError."""
        full = self.resolve(path, token.user.username)
        if posixpath.dirname(full) == "/":
            raise ApiError(400, "Cannot write to root path", "cannot_write_to_root")
        if not self.may_use(token, full):
            raise subject_missing()
        return full

    def write(
        self,
        path: str,
        data: bytes,
        content_type: str = OCTETS,
        *,
        overwrite: bool = False,
        dedupe: bool = False,
        parents: bool = False,
    ) -> tuple[Entry, bool]:
        """Store a file at an absolute path. Raises ApiError.

        Args:
            path: where to.
            data: the bytes.
            content_type: MIME type.
            overwrite: replace a file of that name.
            dedupe: take the next free name, such as ``dot (1).png``, instead.
            parents: make missing directories.

        Returns:
            The entry, and whether it replaced another.
        """
        with self._lock:
            old = self.get(path)
            if old is not None and dedupe:
                path, old = self._free_name(path), None
            if old is not None and (old.is_dir or not overwrite):
                text = "A file already exists at this path and overwrite was not requested"
                raise ApiError(409, text, "item_with_same_name_exists", entry_name=old.name)
            self._require_parent(posixpath.dirname(path), make=parents)
            owner = path.split("/")[1]
            growth = len(data) - (len(old.data) if old else 0)
            if self.used(owner) + growth > self.capacity:
                raise ApiError(413, "Storage limit reached", "storage_limit_reached")
            if old is None:
                entry = self._entries[path] = Entry(path, is_dir=False)
            else:
                entry = old
            entry.data, entry.content_type = data, content_type
            entry.modified = int(time.time())
            return entry, old is not None

    def make_directory(self, path: str, *, dedupe: bool = False, parents: bool = False) -> Entry:
        """Make a directory at an absolute path. Raises ApiError."""
        with self._lock:
            old = self.get(path)
            if old is not None and not dedupe:
                text = "An item already exists at this path"
                raise ApiError(409, text, "item_with_same_name_exists", entry_name=old.name)
            path = path if old is None else self._free_name(path)
            self._require_parent(posixpath.dirname(path), make=parents)
            entry = self._entries[path] = Entry(path, is_dir=True)
            return entry

    def remove(self, entry: Entry, *, recursive: bool = True) -> None:
        """Delete an entry and what is in it. Raises ApiError for a directory that is not empty."""
        with self._lock:
            inside = [path for path in self._entries if path.startswith(entry.path + "/")]
            if inside and not recursive:
                raise ApiError(422, "Directory is not empty", "not_empty")
            for path in (*inside, entry.path):
                self._entries.pop(path, None)

    def _free_name(self, path: str) -> str:
        stem, extension = posixpath.splitext(path)
        number = 1
        while f"{stem} ({number}){extension}" in self._entries:
            number += 1
        return f"{stem} ({number}){extension}"

    def _require_parent(self, path: str, *, make: bool) -> None:
        parent = self.get(path)
        if parent is None and not make:
            raise ApiError(404, f"Parent path does not exist: {path}", "not_found")
        if parent is None:
            self._require_parent(posixpath.dirname(path), make=True)
            self._entries[path] = Entry(path, is_dir=True)
        elif not parent.is_dir:
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

    def __init__(self, files: Files, username: str) -> None:
        self._files = files
        self._username = username

    def __getitem__(self, path: str) -> bytes:
        return self._entry(path).data

    def __setitem__(self, path: str, data: bytes) -> None:
        full = self._files.resolve(path, self._username)
        try:
            self._files.write(
                full, bytes(data), mime_of(full) or OCTETS, overwrite=True, parents=True
            )
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


def listed(entry: Entry, files: Files, *, full: bool = False) -> dict[str, Any]:
    """The snake_case form of an entry; ``full`` as ``/stat`` shows it."""
    parent = files.get(entry.parent)
    parent_uid = parent.uid if parent else None
    shown: dict[str, Any] = {
        "id": entry.uid,
        "uid": entry.uid,
        "uuid": entry.uid,
        "parent_id": parent_uid,
        "parent_uid": parent_uid,
        "path": entry.path,
        "dirname": entry.parent,
        "dirpath": entry.parent,
        "name": entry.name,
        "is_dir": entry.is_dir,
        "is_shortcut": 0,
        "shortcut_to": None,
        "is_symlink": 0,
        "symlink_path": None,
        "type": entry.type,
        "writable": True,
        "is_public": None,
        "thumbnail": None,
        "immutable": False,
        "metadata": _metadata(entry),
        "modified": entry.modified,
        "created": entry.created,
        "accessed": entry.modified,
        "size": len(entry.data),
        "layout": None,
        "subdomains": [],
        "workers": [],
        "has_website": False,
        "suggested_apps": [],
        "associated_app": None,
    }
    if full or not entry.is_dir:
        shown["is_empty"] = entry.is_dir and not files.children(entry)
    if full:
        shown["owner"] = {"username": entry.owner}
    return shown


def described(entry: Entry, files: Files) -> dict[str, Any]:
    """The camelCase form of an entry."""
    parent = files.get(entry.parent)
    return {
        "uuid": entry.uid,
        "uid": entry.uid,
        "parentUid": parent.uid if parent else None,
        "path": entry.path,
        "name": entry.name,
        "isDir": entry.is_dir,
        "isShortcut": False,
        "shortcutTo": None,
        "isSymlink": False,
        "symlinkPath": None,
        "isPublic": None,
        "immutable": False,
        "metadata": _metadata(entry),
        "modified": entry.modified,
        "created": entry.created,
        "accessed": entry.modified,
        "size": len(entry.data),
        "layout": None,
        "subdomains": [],
        "workers": [],
        "hasWebsite": False,
        "suggestedApps": [],
    }


def _metadata(entry: Entry) -> str | None:
    return None if entry.is_dir else f'{{"contentType":"{entry.content_type}"}}'
