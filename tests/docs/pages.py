"""Reads the pages: their blocks of code, and the file that a block belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]

# "In `shop/models.py`:" just above a block says where the block belongs.
_FILE = re.compile(r"`([\w/]+\.(?:py|mmd))`[^`]*:$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: its language, its text, the line of the page it begins at, and its file if it has one."""

    page: Path
    language: str
    text: str
    line: int
    file: str = ""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}, line {self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page in their order."""
    said, fence, opened, inside = "", "", 0, list[str]()
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if fence:
            if line.strip() != "```":
                inside.append(line)
                continue
            found = _FILE.search(said) if fence in {"python", "mermaid"} else None
            text = "\n".join(inside) + "\n"
            file = found.group(1) if found else ""
            yield Block(page=page, language=fence, text=text, line=opened, file=file)
            said, fence, inside = "", "", []
        elif line.startswith("```"):
            fence, opened = line.removeprefix("```").strip() or "none", number + 1
        elif line.strip():
            said = line.strip()
    assert not fence, f"{page}: a block is not closed"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))
