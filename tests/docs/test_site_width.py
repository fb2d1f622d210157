"""How wide the pages are in Chromium: on a screen, and on a telephone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chromium import page

pytestmark = [pytest.mark.site, pytest.mark.timeout(600)]
WIDE, NARROW = 1280, 390
SCROLLED = """
    [...document.querySelectorAll('article pre, article pre > code, article table')]
        .filter(one => one.scrollWidth > one.clientWidth + 1 && one.closest('.md-content'))
        .map(one => one.tagName + ': ' + one.innerText.slice(0, 60))
"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
WIDE_TABLES = {"reference/faults.html"}  # a column for each kind of call
FLOWING = {"troubleshooting.html"}  # its blocks are sentences


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


async def test_nothing_is_cut_off(site: Path, browser: str) -> None:
    """At either width the page itself never scrolls sideways; at the wide one, no code does."""
    wrong: list[str] = []
    async with page(browser) as tab:
        for path in pages(site):
            name = path.relative_to(site).as_posix()
            await tab.resize(WIDE)
            await tab.load(path.as_uri())
            scrolled = await tab.see(SCROLLED)
            if name in WIDE_TABLES:
                scrolled = [one for one in scrolled if not one.startswith("TABLE")]
            wrong += [f"{name} at {WIDE}: {one}" for one in scrolled]
            for width in (WIDE, NARROW):
                await tab.resize(width)
                if (more := await tab.see(TOO_WIDE)) > 0:
                    wrong.append(f"{name} at {width}: the page is {more} pixels too wide")
            if name in FLOWING:
                wrong += [f"{name} at {NARROW}: {one}" for one in await tab.see(SCROLLED)]
    assert wrong == []
