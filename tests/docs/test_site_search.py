"""What the search of the site finds, opened from the disk in Chromium."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chromium import Page, page

pytestmark = [pytest.mark.site, pytest.mark.timeout(600)]
DIALOG = "[...document.querySelectorAll('body > div')].find(one => one.shadowRoot)?.shadowRoot"
FIRST = 5  # results that are seen without scrolling
QUESTIONS = {  # where each is answered
    "2FA": ["how-to/sign-in", "reference/sign-in"],
    "proxy": ["how-to/proxies"],
    "FastAPI": ["how-to/web-frameworks"],
    "cost": ["how-to/costs", "explanation/costs"],
    "rate limit": ["how-to/retries-and-limits", "explanation/limits"],
    "429": ["how-to/retries-and-limits", "explanation/limits", "troubleshooting"],
    "Aider": ["how-to/editors", "how-to/local-endpoint"],
    "tokens": ["how-to/configure", "reference/chat"],
    "openai": ["how-to/migrate-from-openai"],
    "async_chat": ["reference/chat"],
    "PuterRateLimitError": ["reference/errors"],
    "max_retries": ["reference/config"],
}


async def found(tab: Page, words: str, site: Path) -> list[str]:
    """The pages of the first results, as the dialog lists them."""
    field = f"{DIALOG}.querySelector('input')"
    await tab.see(f"{field}.focus(), {field}.select()")
    await tab.type(words)
    links = f"[...{DIALOG}.querySelectorAll('ol a')].map(one => one.href)"
    asked = f"new URL({links}[0]).searchParams.get('h') == {json.dumps(words)}"
    await tab.until(f"{links}.length > 0 && {asked}")
    start = len(f"{site.as_uri()}/")
    return [link[start:].partition(".html")[0] for link in await tab.see(links)]


async def test_search_finds_the_page_that_answers(site: Path, browser: str) -> None:
    missing: dict[str, list[str]] = {}
    async with page(browser) as tab:
        await tab.load((site / "index.html").as_uri())
        button = "document.querySelector('button.md-search__button')"
        await tab.until(f"{DIALOG}?.querySelector('dialog')?.open || ({button}.click(), false)")
        for words, targets in QUESTIONS.items():
            seen = (await found(tab, words, site))[:FIRST]
            if not set(targets) & set(seen):
                missing[words] = seen
    assert missing == {}
