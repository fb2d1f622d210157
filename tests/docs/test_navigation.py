"""Each page has its line in the navigation: Zensical builds others, where nobody finds them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAVIGATION = re.search(
    r"^nav:.*?(?=^\S)", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)


def test_every_page_is_in_the_navigation_once_and_every_line_of_it_is_a_page() -> None:
    assert NAVIGATION is not None
    lines = Counter(re.findall(r": (\S+\.md)$", NAVIGATION[0], re.MULTILINE))
    docs = ROOT / "docs"
    assert lines == Counter(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))


def test_the_navigation_calls_each_page_by_the_beginning_of_its_title() -> None:
    assert NAVIGATION is not None
    names = re.findall(r'- "?(.+?)"?: (\S+\.md)$', NAVIGATION[0], re.MULTILINE)
    other = {"index.md"}  # its title is that of the whole site
    for name, page in names:
        title = (ROOT / "docs" / page).read_text(encoding="utf-8").partition("\n")[0]
        assert page in other or title.startswith(f"# {name}"), page
