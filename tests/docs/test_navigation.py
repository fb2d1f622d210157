"""Each page has its line in the navigation: Zensical builds others, where nobody finds them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAVIGATION = re.search(
    r"^nav:.*?(?=^\S)", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)


def test_every_page_is_in_the_navigation_once_under_its_own_heading() -> None:
    assert NAVIGATION is not None
    lines = Counter(re.findall(r"^ +- (\S+\.md)$", NAVIGATION[0], re.MULTILINE))
    docs = ROOT / "docs"
    assert lines == Counter(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))
