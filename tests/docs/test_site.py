"""The site as readers get it: complete in itself, good links, every public name on one page.

Runs with `-m site -n 0`. The build checks links that pages write; what it leaves out is here.
"""

from __future__ import annotations

import builtins
import re
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import puter
import puter.batch
import puter.extensions
import puter.mcp
import puter.testing

pytestmark = [pytest.mark.site, pytest.mark.timeout(300)]
MODULES = (puter, puter.batch, puter.extensions, puter.mcp, puter.testing)
PUBLIC = {f"{module.__name__}.{name}" for module in MODULES for name in module.__all__}
OLDER = "Disconnect Failure Hang InvalidUtf8 Redirect Reset Truncate".split()
"""Names of `puter.testing` that have newer ones; the page says of which."""
ALSO = set(
    "BeforeTool ChatOptions Ledger LongContext Source Spent ToolLike "  # come and go with calls
    "ChatPuter PuterModel PuterModelSettings create_app "  # in modules of their own
    "MockPuter Plan local_puter mock_puter puter_client sometimes".split()  # of tests
)
ASSETS = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src"}
EXTERNAL = re.compile(r"https?:|//|data:")


class Page(HTMLParser):
    """The identifiers, links and assets of a page, and what stands in its headings of objects."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.assets: list[str] = []
        self.objects: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if re.search(r"\bdoc-(heading|object-name)\b", given.get("class", "")) and "id" in given:
            self.objects.append(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ASSETS and ASSETS[tag] in given and given.get("rel") != "canonical":
            self.assets.append(given[ASSETS[tag]])


@cache
def pages(site: Path) -> list[Page]:
    return [Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"]


@cache
def objects(site: Path) -> Counter[str]:
    """What the reference describes, by the path where it is defined."""
    return Counter(name for page in pages(site) for name in page.objects)


def described_as(name: str, site: Path) -> list[str]:
    return [path for path in objects(site).elements() if f".{path}".endswith(f".{name}")]


def test_links_lead_to_what_is_there(site: Path) -> None:
    ids = {page.path: page.ids for page in pages(site)}
    broken = []
    for page in pages(site):
        for link in page.links + page.assets:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            known = ids.get(target)
            if not target.is_file() or (parts.fragment and known and parts.fragment not in known):
                broken.append(f"{page.path.relative_to(site)}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loaded = {asset for page in pages(site) for asset in page.assets if EXTERNAL.match(asset)}
    for path in site.rglob("*.css"):
        styles = path.read_text(encoding="utf-8")
        found = re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", styles)
        loaded |= {url for url in found if EXTERNAL.match(url) and not url.startswith("data:")}
    assert loaded == set()


def test_llms_txt_lists_every_page(site: Path) -> None:
    listed = re.findall(r"\(<(.+?)>\)", (site / "llms.txt").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(
        page.path.relative_to(site).with_suffix(".md").as_posix() for page in pages(site)
    )
    whole = (site / "llms-full.txt").read_text(encoding="utf-8")
    assert all((site / name).is_file() for name in listed)
    assert "async def async_chat(...)" in whole, "the reference is not part of it"


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_public_name_is_described_once(name: str, site: Path) -> None:
    name = name.rpartition(".")[2]
    if name == "__version__":
        assert "puter.__version__" in (site / "reference/client.md").read_text(encoding="utf-8")
    elif name in OLDER:
        assert f"`{name}`" in (site / "reference/testing.md").read_text(encoding="utf-8")
    else:
        assert len(described_as(name, site)) == 1, described_as(name, site)


@pytest.mark.parametrize("cls", [puter.PuterAI, puter.Conversation])
def test_each_public_member_is_described_once(cls: type, site: Path) -> None:
    told = Counter(objects(site))
    path = f"{cls.__module__}.{cls.__name__}"
    members = {name for name in dir(cls) if not name.startswith("_")}
    if cls is puter.Conversation:  # they are the client's, and the page says so
        members -= {"chat", "async_chat", "parse", "async_parse"}
        members -= {"id", "messages", "model", "system"}  # in its list of attributes
    assert {name: told[f"{path}.{name}"] for name in members} == dict.fromkeys(members, 1)


def test_chat_and_its_twins_stand_together(site: Path) -> None:
    chat = next(page for page in pages(site) if page.path.match("reference/chat.html"))
    expected = {f"puter.ai.PuterAI.{name}" for name in ("chat", "async_chat", "parse")}
    assert expected <= set(chat.objects)


def test_nothing_internal_is_described(site: Path) -> None:
    known = {name.rpartition(".")[2] for name in PUBLIC} | ALSO
    paths = set(objects(site))
    inner = {path for path in paths if path.rpartition(".")[0] in paths}
    leaked = {path for path in paths - inner if path.rpartition(".")[2] not in known}
    leaked -= {path for path in leaked if re.fullmatch(r"puter\.ai\.PuterAI\.[a-z]\w*", path)}
    assert leaked == set()
    assert [path for path in paths if re.search(r"\._", path)] == []


def test_bases_are_public(site: Path) -> None:
    known = {name.rpartition(".")[2] for name in PUBLIC} | set(dir(builtins))
    named = {
        base
        for page in pages(site)
        for line in re.findall(r"Bases: (.*?)</p>", page.text, re.DOTALL)
        for base in re.findall(r"[A-Za-z_]\w*", re.sub(r"<[^>]*>", "", line))
    }
    assert "PuterError" in named
    assert named <= known
