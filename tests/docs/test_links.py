"""Every link between pages leads to a file and, where it names one, to a heading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, name_of

LARGEST_IMAGE = 150_000  # bytes


def links_of(page: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of the headings, as they are made on code hosts."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("source", PAGES, ids=name_of)
def test_every_link_leads_somewhere(source: Path) -> None:
    broken = []
    for link in links_of(source):
        path, _, anchor = link.partition("#")
        target = (source.parent / path).resolve() if path else source
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)

    assert broken == []


def test_every_page_is_on_the_map() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links_of(index)}

    assert [name_of(page) for page in PAGES if page != index and page not in linked] == []


def test_pictures_are_small_and_all_are_shown() -> None:
    pictures = set((ROOT / "docs" / "images").glob("*.png"))
    shown = {
        (page.parent / link).resolve() for page in PAGES for link in links_of(page) if link.endswith(".png")
    }

    assert pictures == shown
    assert [picture.name for picture in pictures if picture.stat().st_size > LARGEST_IMAGE] == []
