"""Files, tokens, spending and the catalogue against a LocalPuter."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import puter
from puter import PuterFile
from puter.testing import LocalPuter

if TYPE_CHECKING:
    from tests.sockets.live import Live

PNG = b"\x89PNG\r\n\x1a\n....IHDR"


# ------------------------------------------------------------ files


async def test_a_file_there_and_back(live: Live, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Bread, milk, eggs.")
    ai = live.client()
    file = await live(ai, "upload", tmp_path / "notes.txt")
    assert (file.path, file.name, file.size) == ("/alice/Documents/notes.txt", "notes.txt", 18)
    assert live.puter.files["~/Documents/notes.txt"] == b"Bread, milk, eggs."
    assert await live(ai, "read_file", file) == b"Bread, milk, eggs."
    told = await live(ai, "stat_file", file)
    assert (told.uid, told.size, told.is_folder) == (file.uid, 18, False)
    assert told.mime_type.startswith("text/plain")
    assert told.raw["owner"] == {"username": "alice"}
    assert [one.path for one in await live(ai, "list_files", "~/Documents")] == [file.path]
    await live(ai, "delete_file", file)
    assert "~/Documents/notes.txt" not in live.puter.files
    with pytest.raises(puter.PuterNotFoundError, match="Entry not found"):
        await live(ai, "read_file", file)


async def test_the_home_folder(live: Live) -> None:
    home = await live(live.client(), "list_files")
    assert [one.name for one in home] == [
        "AppData", "Desktop", "Documents", "Pictures", "Public", "Trash", "Videos",
    ]  # fmt: skip
    assert all(one.is_folder for one in home)


@pytest.mark.parametrize(
    "data",
    [b"", b"x", bytes(range(256)) * 4000, b'{"success": false}', b"[" * 5000],
    ids=["empty", "one", "a megabyte", "json", "nested"],
)
async def test_bytes_stay_the_same(live: Live, data: bytes) -> None:
    live.puter.files["~/Documents/ü & x%20.bin"] = data
    ai = live.client()
    assert await live(ai, "read_file", "~/Documents/ü & x%20.bin") == data
    if data:
        again = await live(ai, "upload", data, "~/new/folder/x.bin")
        assert live.puter.files[again.path] == data


async def test_what_is_there_is_replaced_only_when_told_so(live: Live) -> None:
    ai = live.client()
    first = await live(ai, "upload", PNG, "~/dot.png")
    with pytest.raises(puter.PuterBadRequestError, match="overwrite=True") as caught:
        await live(ai, "upload", b"other", "~/dot.png")
    assert (caught.value.status, caught.value.body["entry_name"]) == (409, "dot.png")
    second = await live(ai, "upload", b"other", first, overwrite=True)
    assert live.puter.files["~/dot.png"] == b"other"
    assert second.uid == first.uid


@pytest.mark.parametrize(
    ("method", "arguments", "error", "match"),
    [
        ("upload", (PNG, "/dot.png"), puter.PuterBadRequestError, "root"),
        ("upload", (PNG, "/bob/dot.png"), puter.PuterNotFoundError, "does not exist"),
        ("read_file", ("~/Documents",), puter.PuterBadRequestError, "Cannot read a directory"),
        ("read_file", ("/bob/secret.txt",), puter.PuterNotFoundError, "Entry not found"),
        ("stat_file", ("~/gone",), puter.PuterNotFoundError, "path=/alice/gone"),
        ("list_files", ("~/gone",), puter.PuterNotFoundError, "Entry not found"),
        ("list_files", ("~/a/b.txt",), puter.PuterBadRequestError, "not a directory"),
        ("delete_file", ("~/gone",), puter.PuterNotFoundError, "Entry not found"),
        ("delete_file", ("~/a",), puter.PuterBadRequestError, "not empty"),
    ],
)
async def test_what_cannot_be_done_is_told(
    live: Live, method: str, arguments: Any, error: type[puter.PuterError], match: str
) -> None:
    live.puter.add_user("bob", None)
    live.puter.files["/bob/secret.txt"] = b"x"
    live.puter.files["~/a/b.txt"] = b"x"
    with pytest.raises(error, match=match):
        await live(live.client(), method, *arguments)
    assert set(live.puter.files) == {"/alice/a/b.txt", "/bob/secret.txt"}


async def test_a_folder_is_deleted_whole_when_told_so(live: Live) -> None:
    live.puter.files["~/a/b/c.txt"] = b"x"
    await live(live.client(), "delete_file", "~/a", recursive=True)
    assert list(live.puter.files) == []


async def test_a_full_account(live: Live) -> None:
    with (
        LocalPuter(tier=None, storage=10) as server,
        pytest.raises(puter.PuterBadRequestError, match="limit") as caught,
    ):
        await live(live.client(server), "upload", PNG, "~/dot.png")
    assert (caught.value.status, caught.value.code) == (413, "storage_limit_reached")


async def test_an_app_sees_its_own_folder_only(live: Live) -> None:
    live.puter.files["~/Documents/mine.txt"] = b"x"
    app = live.client(token=live.puter.issue_token("alice", "app"))
    with pytest.raises(puter.PuterNotFoundError, match="an app token sees its own folders"):
        await live(app, "read_file", "~/Documents/mine.txt")


async def test_an_upload_goes_into_a_chat(live: Live) -> None:
    ai = live.client()
    picture = await live(ai, "upload", PNG, "~/dot.png")
    assert isinstance(picture, PuterFile)
    await live(ai, "chat", "What is this?", "claude-haiku-4-5", images=picture)
    assert picture.path in str(live.puter.chats[-1].json)


# ------------------------------------------------------------ tokens


async def test_a_token_for_a_program(live: Live) -> None:
    ai = live.client()
    token = await live(ai, "create_api_token", "nightly job", "30d")
    job = live.client(token=token)
    assert (await live(job, "whoami")).username == "alice"
    assert await live(job, "chat", "Hi")
    with pytest.raises(puter.PuterPermissionError, match="may not create access tokens"):
        await live(job, "create_api_token")
    with pytest.raises(puter.PuterPermissionError):
        await live(job, "revoke_api_token", token)
    await live(ai, "revoke_api_token", token)
    with pytest.raises(puter.PuterAuthError) as caught:
        await live(job, "chat", "Hi")
    assert caught.value.reason == "session_revoked"
    assert (await live(ai, "whoami")).username == "alice"


async def test_a_token_that_expires(live: Live) -> None:
    token = await live(live.client(), "create_api_token", None, 3600)
    job = live.client(token=token)
    assert await live(job, "chat", "Hi")
    live.puter.expire(token)
    with pytest.raises(puter.PuterAuthError) as caught:
        await live(job, "chat", "Hi")
    assert caught.value.reason == "session_expired"


async def test_a_span_that_is_none(live: Live) -> None:
    with pytest.raises(puter.PuterBadRequestError, match="expiresIn"):
        await live(live.client(), "create_api_token", None, "soon")


# ------------------------------------------------------------ spending


async def test_what_calls_cost_is_found_again(live: Live) -> None:
    with LocalPuter(tier=None, allowance=0.5) as server:
        ai = live.client(server)
        assert (await live(ai, "account_usage")).allowance == Decimal("0.5")
        reply = await live(ai, "chat", "Hi", "gpt-4.1")
        await live(ai, "txt2img", "a cat", "gpt-image-1-mini")
        await live(ai, "txt2speech", "Hi", provider="openai", model="tts-1")
        usage = await live(ai, "account_usage")
        assert usage.by_model["gpt-4.1"] == pytest.approx(reply.cost)
        assert usage.by_model["gpt-image-1-mini"] == Decimal("0.005")
        assert usage.by_model["tts-1"] > 0
        assert usage.spent + usage.remaining == pytest.approx(Decimal("0.5"))
        assert usage.by_app["os-global"] == pytest.approx(usage.spent)


# ------------------------------------------------------------ models


@pytest.mark.parametrize("sort", ["chat", "image", "video"])
async def test_the_catalogue_is_asked_for_once(live: Live, sort: str) -> None:
    ai = live.client()
    models = await live(ai, "list_models", kind=sort)
    providers = await live(ai, "list_model_providers", kind=sort)
    some = await live(ai, "list_models", providers[0], kind=sort)
    assert len(live.puter.requests) == 1
    assert {one.provider for one in models} == set(providers)
    assert 0 < len(some) < len(models)
    assert models.cheapest() is not None


async def test_sync_and_async_methods_share_one_catalogue() -> None:
    with LocalPuter(tier=None) as server, server.client() as ai:
        here = await ai.async_list_models()
        there = await asyncio.to_thread(ai.list_models)
        assert here == there
        assert len(server.requests) == 1


async def test_the_cheapest_model_answers_as_estimated(live: Live) -> None:
    ai = live.client()
    model = (await live(ai, "list_models")).cheapest("gpt", tools=True)
    assert model is not None
    reply = await live(ai, "chat", "Hi", model.id, provider=model.provider)
    assert reply.model == model.id
    guess = ai.estimate_cost("Hi", model.id, output_tokens=reply.usage.output_tokens)
    assert guess.cost is not None
    assert guess.cost == pytest.approx(reply.cost, rel=3)
