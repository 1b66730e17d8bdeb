"""Every block of Python on every page is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import scratch
from tests.docs.pages import PAGES, README, ROOT, blocks_of, name_of

OWN_TESTS = {
    ROOT / "docs" / "guide" / "add-to-your-project.md",  # test_add_to_your_project.py
    ROOT / "docs" / "guide" / "production.md",  # test_production.py
}
RUN = {"python", "pycon"}
SHOWN = {"console", "http", "json", "mermaid", "text"}


def has_samples(page: Path) -> bool:
    return any(block.language in RUN for block in blocks_of(page))


@pytest.mark.parametrize(
    "source", [page for page in PAGES if page not in OWN_TESTS and has_samples(page)], ids=name_of
)
def test_the_samples_of_the_page_run(source: Path, tmp_path: Path) -> None:
    """The other pages build upon the files of the README."""
    first = [] if source == README else list(blocks_of(README))
    scratch.build(tmp_path, [*first, *blocks_of(source)])

    scratch.run(tmp_path, "-m", "tests.docs.play", str(source))


@pytest.mark.parametrize("source", PAGES, ids=name_of)
def test_a_block_says_in_which_language_it_is(source: Path) -> None:
    """So that no sample of Python escapes under another name."""
    others = {block.place: block.language for block in blocks_of(source) if block.language not in RUN | SHOWN}

    assert others == {}
