"""Links between the pages lead somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.docs.markdown import anchors, links, pages

if TYPE_CHECKING:
    from pathlib import Path

_PAGES = pages(ROOT)


def broken(page: Path) -> list[str]:
    """The links of a page that name no file, or no heading of it."""
    found = []
    for link in links(page.read_text()):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            found.append(link)
    return found


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken(page) == []


def test_a_link_to_nowhere_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading, here\n[a](page.md#a-heading-here) [b](none.md) [c](#none) `[d](e)` [f](https://x.test/)\n"
    )
    assert broken(page) == ["none.md", "#none"]


def test_each_page_of_docs_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        nearby = [
            (page.parent / link.partition("#")[0]).resolve() for link in links(page.read_text()) if "://" not in link
        ]
        waiting += [each for each in nearby if each.suffix == ".md" and each not in seen]
    assert {page for page in _PAGES if page.parent == ROOT / "docs"} - seen == set()
