"""The file system over plain HTTP: uploads, reading, listing, deleting, files in chats."""

from __future__ import annotations

import base64
import copy
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from puter.testing import LocalPuter
from tests.local_puter.support import Caller, captures, error_of
from tests.local_puter.test_captures import local, replay

if TYPE_CHECKING:
    import requests

# Each operation has one form in LocalPuter: that which the SDK uses.
OTHERS = ("stat_v2", "delete_v2", "delete_path", "fs_write_dedupe", "read_Range_hdr")
FILES = {name: one for name, one in captures("files").items() if name not in OTHERS}
DOT = base64.b64decode(captures("files")["fs_write_dedupe"]["request"]["body"]["fileContent"])

VARYING = {
    "id",
    "uid",
    "uuid",
    "parent_id",
    "parent_uid",
    "parentUid",
    "modified",
    "created",
    "accessed",
}


def settled(value: Any) -> Any:
    """Without the values of ids and times, which are new each time."""
    if isinstance(value, dict):
        return {key: key in VARYING or settled(item) for key, item in value.items()}
    return [settled(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", FILES)
def test_captures_to_the_last_byte(name: str, session: requests.Session) -> None:
    capture = copy.deepcopy(FILES[name])
    with local() as puter:
        puter.add_user("admin", None)
        puter.files["~/Documents/dot.png"] = DOT
        puter.files["~/Documents/new/sub/a.txt"] = b"hello text"
        if name == "readdir":
            puter.files["~/Documents/b.png"] = DOT
            puter.files["~/Documents/dot (1).png"] = DOT
            for earlier in ("fs_write_size_mismatch", "fs_write_wrong_size"):
                assert replay(puter, session, FILES[earlier]["request"], puter.token).ok
        response = replay(puter, session, capture["request"], puter.token)
    wanted = capture["response"]
    assert response.status_code == wanted["status"]
    for header in ("Content-Type", "Vary", "Content-Range", "Content-Disposition"):
        assert response.headers.get(header) == wanted["headers"].get(header)
    if isinstance(wanted["body"], str):
        assert response.text == wanted["body"]
        assert response.headers["Last-Modified"].endswith(" GMT")
        return
    assert settled(response.json()) == settled(wanted["body"])


def write(caller: Caller, path: str, content: str = "hello", **meta: Any) -> requests.Response:
    metadata = {"path": path, "size": len(content), **meta}
    return caller.post("/fs/write", {"fileMetadata": metadata, "fileContent": content})


# --- writing -------------------------------------------------------------------------------------


def test_writing_and_reading_back(caller: Caller) -> None:
    data = bytes(range(256))
    body: dict[str, Any] = {
        "fileMetadata": {
            "path": "~/Documents/deep/down/all.bin",
            "size": 1,
            "contentType": "application/x-all",
            "createMissingParents": True,
        },
        "fileContent": base64.b64encode(data).decode(),
        "encoding": "base64",
    }
    answer = caller.post("/fs/write", body).json()
    assert answer["wasOverwrite"] is False
    assert answer["contentHashSha256"] == hashlib.sha256(data).hexdigest()
    assert answer["fsEntry"]["size"] == 256
    assert caller.get("/read?file=~/Documents/deep/down/all.bin").content == data
    read = caller.get("/read?path=/alice/Documents/deep/down/all.bin")
    assert (read.content, read.headers["Content-Type"]) == (data, "application/octet-stream")
    assert answer["fsEntry"]["metadata"] == '{"contentType":"application/x-all"}'
    assert caller.puter.files["~/Documents/deep/down/all.bin"] == data
    body["fileMetadata"]["overwrite"] = True
    again = caller.post("/fs/write", {**body, "fileContent": ""}).json()
    assert (again["wasOverwrite"], again["fsEntry"]["uid"]) == (True, answer["fsEntry"]["uid"])
    assert caller.puter.files["~/Documents/deep/down/all.bin"] == b""


@pytest.mark.parametrize(
    ("path", "meta", "outcome"),
    [
        ("", {}, (400, "bad_request", "Missing path")),
        ("~/a.txt", {"size": None}, (400, "bad_request", "Invalid file size")),
        ("~/a.txt", {"size": "5"}, (400, "bad_request", "Invalid file size")),
        ("/a.txt", {}, (400, "cannot_write_to_root", "Cannot write to root path")),
        ("/bob/a.txt", {}, (404, "subject_does_not_exist", "Subject does not exist")),
        ("/nobody/a.txt", {}, (404, "subject_does_not_exist", "Subject does not exist")),
        ("~/../bob/a.txt", {}, (404, "subject_does_not_exist", "Subject does not exist")),
    ],
)
def test_faults_of_writing(path: str, meta: Any, outcome: Any, caller: Caller) -> None:
    caller.puter.add_user("bob", None)
    assert error_of(write(caller, path, **meta)) == outcome
    assert not caller.puter.files


def test_taken_names(caller: Caller) -> None:
    assert write(caller, "~/a.txt").ok
    taken = write(caller, "~/a.txt")
    assert error_of(taken)[:2] == (409, "item_with_same_name_exists")
    assert taken.json()["entry_name"] == "a.txt"
    directory = write(caller, "~/Documents", overwrite=True)
    assert error_of(directory) == (409, "conflict", "Cannot overwrite a directory")


def test_an_empty_file(caller: Caller) -> None:
    assert write(caller, "~/empty.txt", "").ok
    assert caller.puter.files["~/empty.txt"] == b""
    assert caller.get("/read", params={"path": "~/empty.txt"}).content == b""


def test_storage_is_limited(session: requests.Session) -> None:
    with LocalPuter(storage=10) as puter:
        caller = Caller(puter, session)
        assert write(caller, "~/a", "x" * 10).ok
        full = write(caller, "~/b", "x")
        assert error_of(full)[:2] == (413, "storage_limit_reached")
        assert full.headers["X-Needs-Upgrade"] == "true"
        assert write(caller, "~/a", "y" * 10, overwrite=True).ok
        assert write(caller, "~/b", "x").status_code == 413


# --- looking -------------------------------------------------------------------------------------


def test_a_home_has_its_folders(caller: Caller) -> None:
    listed = caller.post("/readdir", {"path": "~"}).json()
    names = ["AppData", "Desktop", "Documents", "Pictures", "Public", "Trash", "Videos"]
    assert [entry["name"] for entry in listed] == names
    assert caller.post("/readdir", {"path": "~/Documents"}).json() == []
    stat = caller.post("/stat", {"path": "~/Documents"}).json()
    assert (stat["type"], stat["is_empty"], stat["owner"]) == (
        "folder",
        True,
        {"username": "alice"},
    )


def test_files_of_others_look_missing(caller: Caller) -> None:
    puter = caller.puter
    puter.add_user("bob", None)
    puter.files["/bob/Documents/secret.txt"] = b"secret"
    text = "Entry not found: path=/bob/Documents/secret.txt"
    missing = (404, "subject_does_not_exist", text)
    path = {"path": "/bob/Documents/secret.txt"}
    for route in ("/stat", "/readdir"):
        assert error_of(caller.post(route, path)) == missing
    assert error_of(caller.post("/delete", {"paths": [path["path"]]})) == missing
    assert error_of(caller.get("/read", params=path)) == missing
    assert puter.files["/bob/Documents/secret.txt"] == b"secret"


def test_relative_and_missing_paths(caller: Caller) -> None:
    caller.puter.files["~/a.txt"] = b"x"
    text = "Entry not found: path=a.txt"
    assert error_of(caller.post("/stat", {"path": "a.txt"})) == (
        404,
        "subject_does_not_exist",
        text,
    )
    nothing = (400, "bad_request", "Missing entry reference (expected one of: path, uid, id)")
    assert error_of(caller.post("/stat", {})) == nothing
    assert error_of(caller.get("/read")) == nothing
    not_a_directory = error_of(caller.post("/readdir", {"path": "~/a.txt"}))
    assert not_a_directory[:2] == (400, "dest_is_not_a_directory")


# --- changing ------------------------------------------------------------------------------------


def test_a_file_is_no_directory(caller: Caller) -> None:
    assert write(caller, "~/a.txt").ok
    assert write(caller, "~/a.txt/b.txt").status_code == 400


def test_deleting(caller: Caller) -> None:
    files = caller.puter.files
    for name in ("a", "b", "folder/c", "folder/d", "folder2/e"):
        files[f"~/Documents/{name}"] = b"x"
    kept = caller.post("/delete", {"paths": ["~/Documents/folder"], "recursive": False})
    assert error_of(kept) == (409, "conflict", "Directory is not empty")
    removed = caller.post("/delete", {"paths": ["~/Documents/a", "~/Documents/folder"]})
    assert [entry["name"] for entry in removed.json()] == ["a", "folder"]
    assert list(files) == ["/alice/Documents/b", "/alice/Documents/folder2/e"]


def test_deleting_the_home(caller: Caller, older: Caller) -> None:
    for one in (caller, older):
        one.puter.files["~/a.txt"] = b"x"
    refused = error_of(caller.post("/delete", {"paths": ["~/"]}))
    assert refused == (403, "forbidden", "Cannot delete a home directory")
    assert caller.puter.files
    assert older.post("/delete", {"paths": ["~/"]}).ok
    assert not older.puter.files


def test_an_app_sees_only_its_own_folder(caller: Caller) -> None:
    own = "~/AppData/app/a.txt"
    caller.puter.files["~/a.txt"] = caller.puter.files[own] = b"x"
    token = caller.puter.issue_token("alice", "app")
    assert caller.get("/read", params={"path": own}, token=token).content == b"x"
    assert caller.get("/read", params={"path": "~/a.txt"}, token=token).status_code == 404


def test_what_is_gone_is_gone(caller: Caller) -> None:
    for path in ("/write", "/upload", "/kv/set", "/kv/get", "/ai/img2txt", "/ai/txt2vid"):
        assert error_of(caller.post(path, {})) == (404, "not_found", "Not Found")
    assert error_of(caller.get("/getReadURL"))[0] == 404


def test_the_view_for_tests(puter: LocalPuter) -> None:
    files = puter.files
    files["~/Documents/a.txt"] = b"hello"
    assert dict(files) == {"/alice/Documents/a.txt": b"hello"}
    assert "~/Documents/a.txt" in files
    assert "~/Documents" not in files
    assert repr(files) == "<files of LocalPuter: /alice/Documents/a.txt>"
    del files["~/Documents/a.txt"]
    assert len(files) == 0
    with pytest.raises(KeyError):
        files["~/Documents/a.txt"]
    with pytest.raises(ValueError, match="cannot be written"):
        files["~/Documents"] = b"x"
